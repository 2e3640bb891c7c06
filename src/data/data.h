/* Data: a set of pictures with random access. Sources give bytes (or pixels); a dataset joins sources, decodes, converts channels, knows labels.
 *
 *     ehm_dataset *ds; ehm_dataset_open(&ds, &paths, &(ehm_dataset_opt){.channels = 0}, &err);
 *     ehm_sample s; ehm_dataset_read(ds, i, &s, EHM_WANT_LABEL_MAPS, &arena, &err);   // any thread, own arena
 *     ehm_dataset_close(ds);
 *
 * To add a source kind: source_x.c with an ehm_source_kind, one row in sources.def. Order of pictures: by path, code point order.
 */
#ifndef EHM_DATA_DATA_H
#define EHM_DATA_DATA_H
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/image.h"

typedef struct ehm_dataset ehm_dataset;
typedef struct {
    int32_t channels;       /* 0: the majority's count */
    const char *alpha;      /* "drop" (NULL), "keep", "white" */
    int64_t limit;          /* 0: all; else the first so many */
    int64_t max_pixels;     /* 0: the default limit of settings.def */
    const char *cache_dir;  /* NULL: the user's cache folder, else beside the set's archive is not written and temporary memory is used */
    int32_t ignore_label;   /* label maps: -1 means by name (Unlabelled, void) or 255 */
} ehm_dataset_opt;
ehm_code ehm_dataset_open(ehm_dataset **out, const ehm_strs *paths, const ehm_dataset_opt *opt, ehm_err *err);
void ehm_dataset_close(ehm_dataset *ds); /* NULL is fine */

int64_t ehm_dataset_count(const ehm_dataset *ds);
int32_t ehm_dataset_channels(const ehm_dataset *ds);
bool ehm_dataset_is_u8(const ehm_dataset *ds);           /* every picture of the looked-at sample has 8 bits: batches are u8; else f32 (16 bit / 65535, float as it is) */
int32_t ehm_dataset_n_classes(const ehm_dataset *ds);    /* 0: no labels */
const char *ehm_dataset_class(const ehm_dataset *ds, int32_t i);
int32_t ehm_dataset_label(const ehm_dataset *ds, int64_t i); /* -1: none */
/* Match this set's labels to another's classes by name, in place; EHM_E_MISMATCH names the first class that is unknown there. */
ehm_code ehm_dataset_adopt_classes(ehm_dataset *ds, const ehm_dataset *model, ehm_err *err);
const char *ehm_dataset_name(const ehm_dataset *ds, int64_t i); /* path inside the set, unique; borrowed until close */
bool ehm_dataset_of_single(const ehm_dataset *ds); /* each set named holds one picture: the user chose them one by one */
/* Are the two one stored picture: the same file on disk however it was named, or the same entry of the same archive, table or scenes? Not: pixels that are alike. */
bool ehm_dataset_same_picture(const ehm_dataset *a, int64_t i, const ehm_dataset *b, int64_t k);
const char *ehm_dataset_spec(const ehm_dataset *ds);     /* what was asked for, joined by ' ' */
const char *ehm_dataset_hash(const ehm_dataset *ds);     /* SHA-256 hex over count, names, labels, sizes in bytes: the index hash of a run */
int32_t ehm_dataset_n_map_classes(const ehm_dataset *ds); /* of pixel label maps; 0: the set has none */
const char *ehm_dataset_map_class(const ehm_dataset *ds, int32_t i);
int32_t ehm_dataset_ignore_label(const ehm_dataset *ds);

/* Pixels, x1 and y1 exclusive; class into n_box_classes names. crowd 1: a group of objects (COCO's iscrowd) or one hard to tell (Pascal VOC's
 * difficult), not learned from, and what is found there is neither right nor wrong; else 0. area: COCO's own, of the outline in pixels of the picture,
 * which says what is small; 0: that of the box; in a batch always 0. No padding: batches are compared byte by byte. */
typedef struct { float x0, y0, x1, y1; int32_t class_id, crowd; float area; } ehm_box;
typedef struct {
    ehm_image image;         /* channels as the set's, type u8 or f32; lives in the arena given */
    int32_t label;
    ehm_image label_map;     /* px NULL when there is none or it was not asked for; u8 or u16, one channel */
    ehm_image object_map, part_map; /* scenes only; u8 or u16, one channel */
    const ehm_box *boxes; int32_t n_boxes;
    const char *caption;     /* scenes, WebDataset txt; may be NULL */
} ehm_sample;
enum { EHM_WANT_LABEL_MAPS = 1, EHM_WANT_BOXES = 2, EHM_WANT_CAPTION = 4, EHM_WANT_OBJECT_MAPS = 8 };
/* Decodes picture i. opt (may be NULL) lets a crop be decoded alone or at reduced scale (image.h); its crop is in full-size pixels.
 * EHM_E_FORMAT, EHM_E_IO or EHM_E_UNSUPPORTED: a bad file; the message names it. Thread-safe. */
ehm_code ehm_dataset_read(ehm_dataset *ds, int64_t i, ehm_sample *out, uint32_t want, const ehm_decode_opt *opt, ehm_arena *a, ehm_err *err);
/* Width, height, channels from the header alone where the format allows. Cached by the dataset after the first call. */
ehm_code ehm_dataset_size_of(ehm_dataset *ds, int64_t i, ehm_image_info *out, ehm_arena *scratch, ehm_err *err);
/* Bytes of the file as stored; scenes: a PNG or PPM of the picture. */
ehm_code ehm_dataset_bytes(ehm_dataset *ds, int64_t i, ehm_bytes *out, ehm_arena *a, ehm_err *err);

/* A summary for people and JSON: kinds, count, classes with counts, sizes (least, median, most of a sample), channels, formats, ignored files. */
typedef struct {
    int64_t n, n_ignored, n_left_out, n_sampled; int32_t n_classes, channels, min_w, min_h, max_w, max_h, median_short_side; ehm_dtype type;
    int64_t n_per_class_min, n_per_class_max; float value_min, value_max; /* float pictures */
    bool has_icc, has_label_maps, has_boxes;
    int64_t n_turned; /* of those looked at: their EXIF orientation, which is not applied, says that they are not upright */
    char text[2048]; /* several lines, no newline at the end */
} ehm_data_summary;
ehm_code ehm_dataset_summary(ehm_dataset *ds, ehm_data_summary *out, ehm_err *err); /* looks at 256 pictures spread over the set (all when fewer) */

/* Pictures that the set does not hold though they lie there: in a format that no build reads (HEIC, AVIF and others), among others that can be read. They
 * are seen when the set is opened, said in one warning, and are no samples. A set of nothing else is opened as it is, and fails as it is read. */
typedef struct { const char *name, *format; } ehm_left_out;
int64_t ehm_dataset_n_left_out(const ehm_dataset *ds);
ehm_left_out ehm_dataset_left_out(const ehm_dataset *ds, int64_t i);

/* ---- for source kinds ---- */
typedef struct ehm_source ehm_source;
typedef struct { const char *name; int32_t label; const char *class_name; int64_t n_bytes; } ehm_source_item; /* label -1: none; class_name may be NULL when the source has ids only */
typedef struct { ehm_bytes bytes; bool has_image; ehm_image image; } ehm_source_data; /* encoded bytes, or pixels */
typedef struct {
    const char *name, *summary;
    bool (*claims)(const char *path);   /* by content or spelling; never by error */
    ehm_code (*open)(ehm_source **out, const char *path, const char *subset /* after '#', NULL */, const ehm_dataset_opt *opt, ehm_arena *a, ehm_err *err);
    int64_t (*count)(const ehm_source *s);
    ehm_code (*item)(const ehm_source *s, int64_t i, ehm_source_item *out);
    ehm_code (*read)(ehm_source *s, int64_t i, ehm_source_data *out, ehm_arena *a, ehm_err *err); /* thread-safe */
    ehm_code (*extras)(ehm_source *s, int64_t i, ehm_sample *out, uint32_t want, ehm_arena *a, ehm_err *err); /* maps, boxes, caption; NULL: none */
    void (*close)(ehm_source *s);
    ehm_code (*head)(ehm_source *s, int64_t i, size_t n_max, ehm_bytes *out, ehm_arena *a, ehm_err *err); /* first bytes of an encoded picture; NULL: read gives pixels or is cheap */
    bool (*file)(const ehm_source *s, int64_t i, ehm_str *path); /* path of the plain file that holds picture i and nothing else; NULL or false: it lies in something larger */
} ehm_source_kind;
/* Every ehm_source starts with this. */
struct ehm_source { const ehm_source_kind *kind; int32_t n_classes; const char **classes; int32_t n_map_classes; const char **map_classes; int32_t n_box_classes;
                    const char **box_classes; int32_t ignore_label; int64_t n_ignored; bool has_label_maps, has_boxes; int64_t n_boxes_skipped;
                    const ehm_left_out *left_out; int64_t n_left_out; };
int32_t ehm_dataset_n_box_classes(const ehm_dataset *ds);
const char *ehm_dataset_box_class(const ehm_dataset *ds, int32_t i);
/* As ehm_dataset_adopt_classes, for the classes of boxes. Not while other threads read. */
ehm_code ehm_dataset_adopt_box_classes(ehm_dataset *ds, const ehm_dataset *model, ehm_err *err);
/* Boxes left out because they have no size, lie outside their picture or have no class: those known from open, and those seen as pictures were read
 * so far. A note in the log says so once. */
int64_t ehm_dataset_boxes_skipped(const ehm_dataset *ds);
#endif
