/* Drawings of many pictures: one sheet of all, or one file a picture in a folder, named after the pictures.
 *
 *     ehm_series s;
 *     ehm_code rc = ehm_series_open(&s, "out.png", false, n, "seed 0", &err);
 *     while (...) if ((rc = ehm_series_add(&s, "n01/x.jpg", &drawing, &err))) break;
 *     if (!rc) rc = ehm_series_end(&s, &err);       // writes the sheet
 *     ehm_series_close(&s);
 */
#ifndef EHM_DRAW_SERIES_H
#define EHM_DRAW_SERIES_H
#include "image/image.h"

typedef struct {
    const char *out, *note;
    bool each;
    int64_t n_expected, n;       /* n: drawings so far */
    const char *file;            /* each: name of the file written last, without folder; until close */
    int32_t w, h;                /* of the sheet, after ehm_series_end; else of the drawing written last */
    ehm_image *drawings;         /* private from here on */
    int64_t height, cap;
    char **names; uint64_t *slots; size_t n_slots; /* each: names given, folded, and a table of them */
    ehm_arena arena, scratch;
} ehm_series;
/* out: the file of the sheet (.png, .ppm), or with each the folder, which is made with the first file. note: a line or more under each file's drawings, NULL for none; both are
 * borrowed until close, and the note may be set anew before each drawing. n_expected: about how many come; 0 unknown. Errors (EHM_E_CONFIG): with each, an out that names a file. */
ehm_code ehm_series_open(ehm_series *s, const char *out, bool each, int64_t n_expected, const char *note, ehm_err *err);
/* drawing: u8 RGB. Written at once, or copied. EHM_E_CONFIG, at the first picture where possible: the sheet would be larger than viewers open. */
ehm_code ehm_series_add(ehm_series *s, const char *name, const ehm_image *drawing, ehm_err *err);
ehm_code ehm_series_end(ehm_series *s, ehm_err *err);
void ehm_series_close(ehm_series *s);

/* The file name that the picture's path gives, without folder: '/' becomes '_', the ending goes, what is no harmless character becomes '_', the rest is cut
 * to 150 bytes; the second of a name (upper and lower case being the same) gets -2. ".png", where this build writes it, else ".ppm". In s until close. */
ehm_code ehm_series_name(const char **out, ehm_series *s, const char *name, ehm_err *err);
#endif
