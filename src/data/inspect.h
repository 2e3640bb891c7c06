/* Looking through a whole set: every file decoded, near-duplicates found, pictures and labels written out.
 *
 *     ehm_data_checked r; ehm_data_check(&r, ds, prints, pool, &arena, &err);     // prints may be NULL
 *     ehm_twins t; ehm_prints_match(&t, prints, n, NULL, 0, &arena, &err);        // within one set
 *     ehm_data_exported x; ehm_data_export(&x, ds, "folder", pool, &err);
 */
#ifndef EHM_DATA_INSPECT_H
#define EHM_DATA_INSPECT_H
#include "base/pool.h"
#include "data/data.h"

/* What a picture looks like from afar: 64 signs of its low frequencies and an 8x8 grey copy. flat: nothing to
 * compare. */
typedef struct { uint64_t signs; uint8_t grey[64]; bool there, flat; } ehm_print;
ehm_code ehm_print_of(ehm_print *out, const ehm_image *im, ehm_arena *scratch, ehm_err *err);
/* prints [count]; pictures that cannot be read have there = false. */
ehm_code ehm_data_prints(ehm_print *prints, ehm_dataset *ds, ehm_pool *pool, ehm_err *err);

typedef struct { int64_t a, b; } ehm_twin;
typedef struct {
    int64_t n_pairs;                /* found in all */
    int64_t n_b;                    /* pictures of the second set (within one: of the set) that have a twin */
    const ehm_twin *pairs;
    int64_t n_kept; /* the first of them, at most 10,000, in order; a < b within one set */
} ehm_twins;
/* b NULL: within a. Re-encoded, resized and lightly retouched copies are found; crops, turns and mirrors are
 * not. */
ehm_code ehm_prints_match(ehm_twins *out, const ehm_print *a, int64_t n_a, const ehm_print *b, int64_t n_b,
                          ehm_arena *arena, ehm_err *err);

typedef struct { int64_t id; const char *reason; } ehm_bad_file;
typedef struct {
    int64_t n, n_bad, n_kept;
    const ehm_bad_file *bad;
    double seconds;
} ehm_data_checked; /* bad: the first 10,000, in order */
/* Decodes everything a picture has, maps and boxes too. prints (may be NULL) [count] are filled on the way.
 */
ehm_code ehm_data_check(ehm_data_checked *out, ehm_dataset *ds, ehm_print *prints, ehm_pool *pool,
                        ehm_arena *a, ehm_err *err);

typedef struct { int64_t n, n_bad, n_maps, n_boxes, n_captions; } ehm_data_exported;
/* Writes images/CLASS/NNNNNN.png (images/NNNNNN.png without a label), classes.txt,
 * labels/{class,object,part}/NNNNNN.png and classes.tsv, boxes.json (COCO), captions.tsv, as far as the set
 * has them. NNNNNN is the picture's number. dir must be absent or empty. Pictures that cannot be read are
 * left out, counted and named by ehm_log. Errors: EHM_E_CONFIG (dir not empty), EHM_E_UNSUPPORTED
 * (floating-point pictures, more than 4 channels), EHM_E_IO. */
ehm_code ehm_data_export(ehm_data_exported *out, ehm_dataset *ds, const char *dir, ehm_pool *pool,
                         ehm_err *err);
#endif
