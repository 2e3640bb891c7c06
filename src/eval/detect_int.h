/* Parts of the tasks detect and instances. Internal to eval/. */
#ifndef EHM_EVAL_DETECT_INT_H
#define EHM_EVAL_DETECT_INT_H
#include "data/inspect.h"
#include "data/patch_labels.h"
#include "eval/detection.h"
#include "eval/eval.h"
#include "tune/task_detect.h"

/* ---- detect_scan.c: a look at every picture before anything is learned ---- */
typedef struct {
    int32_t n_boxes, w, h;     /* w, h: the picture as stored, px */
    bool use;                  /* asked for, and can be read */
    ehm_box *boxes;            /* in pixels of the picture as stored */
    uint8_t *objects;          /* [h,w] with masks: 1 + number of the box whose object the pixel shows, 0 none */
} ehm_box_truth;
typedef struct {
    int64_t n_pictures, n_bad, n_boxes, n_empty, n_crowds; /* of pictures in use: all, unreadable ones besides, boxes, pictures without a box; crowds besides */
    ehm_box_truth *of;         /* [count of the set] */
    int64_t *boxes_of, *pictures_of; /* [n_classes] boxes of each class, and pictures that show it */
    double (*mean)[4];         /* [n_classes] mean box as shares of width and height, x0 y0 x1 y1 */
    ehm_print *prints;         /* [count of the set] */
} ehm_box_scan;
/* only [count]: the others are passed over; NULL: all. Pictures that cannot be read are left out and counted. masks: EHM_E_MISMATCH where a picture has
 * boxes but no map of objects; EHM_E_UNSUPPORTED for more than 254 boxes in one. */
ehm_code ehm_box_scan_set(ehm_box_scan *out, ehm_dataset *ds, const bool *only, int32_t n_classes, bool masks, ehm_pool *pool, ehm_arena *a, ehm_err *err);
/* Which object of a map is whose box: id_of [n], 0 none. Boxes of such sets are the extents of visible objects, in the order of their numbers, and some
 * objects have none. */
void ehm_box_objects(int32_t *id_of, const ehm_box *boxes, int32_t n, const ehm_image *map);

/* ---- detect_files.c: what is written of each test picture ---- */
typedef struct { float x0, y0, x1, y1, score; int32_t class_id; } ehm_placed_box; /* pixels of the picture as stored */
typedef struct {
    const char *predictions, *sheet;    /* F.tsv or F.json; F.png; NULL: none */
    int64_t n_sheet;                    /* pictures of the sheet, spread over the items */
    const char *const *classes; int32_t n_classes;
    ehm_dataset *test;
    const int32_t *category_of;         /* [n_classes] number of the class in COCO files of the test set */
    bool masks;
    /* what is gathered */
    ehm_str lines;
    int64_t n_results;
    struct ehm_box_shown { int64_t id; int32_t n; ehm_placed_box *boxes; float *masks; bool there; } *shown; /* [n_sheet] */
    ehm_arena arena;
} ehm_box_files;
ehm_code ehm_box_files_open(ehm_box_files *f, ehm_err *err); /* before anything is learned: names that cannot be written */
void ehm_box_files_close(ehm_box_files *f);
/* Item i of n, picture id: boxes best first; mask_px: [n_boxes] masks of the whole picture, or NULL; masks: as ehm_detect_masks gives them, or NULL. */
ehm_code ehm_box_files_add(ehm_box_files *f, int64_t i, int64_t n, int64_t id, const ehm_box_truth *truth, const ehm_placed_box *boxes, int32_t n_boxes,
                           uint8_t *const *mask_px, const float *masks, ehm_err *err);
ehm_code ehm_box_files_end(ehm_box_files *f, const ehm_box_scan *truth, ehm_err *err);

/* ---- eval_detect.c: both tasks ---- */
enum { EHM_MASK_METRICS = 4 };
extern const ehm_metric ehm_mask_metrics[EHM_MASK_METRICS];
#define EHM_DETECT_GROUPS "size,fit,scale,detect,boxes," EHM_TUNE_GROUPS
ehm_code ehm_detect_run(ehm_eval_out *out, const ehm_eval_in *in, bool masks, ehm_arena *a, ehm_err *err);
#endif
