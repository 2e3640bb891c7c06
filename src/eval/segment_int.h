/* Parts of the segmentation task. Internal to eval/. */
#ifndef EHM_EVAL_SEGMENT_INT_H
#define EHM_EVAL_SEGMENT_INT_H
#include "data/inspect.h"
#include "eval/eval.h"
#include "eval/segment.h"
#include "tune/task_segment.h"

/* ---- segment_scan.c: a look at every picture and map before anything is learned ---- */
typedef struct {
    int64_t n_pictures;            /* with a map in which a pixel counts */
    int64_t n_bad, n_none, n_void; /* cannot be read; have no map; all pixels ignored */
    int64_t n_pixels;              /* labelled, of all */
    int64_t *pixels;               /* [n_classes] labelled pixels of each class */
    int64_t *beside;               /* [n_classes] labelled pixels of the pictures that show it */
    bool *use;                     /* [count of the set] the picture counts */
    ehm_print *prints;             /* [count of the set] */
    double wide, high;             /* medians of the pictures' sizes, px */
} ehm_seg_scan;
/* only [count]: the others are passed over; NULL: all. class_of [n_values]: a map value's class, -1 ignored,
 * -2 not known (EHM_E_MISMATCH names file and value's name). Errors: EHM_E_FORMAT for a map of another size
 * than its picture and for values beyond the set's. Pictures that cannot be read are left out and counted. */
ehm_code ehm_seg_scan_set(ehm_seg_scan *out, ehm_dataset *ds, const bool *only, const int32_t *class_of,
                          int32_t n_values, int32_t n_classes, ehm_pool *pool, ehm_arena *a, ehm_err *err);
/* The classes of a set's maps without the ignored one: names in a; class_of [map classes of ds], as above
 * without -2. */
ehm_code ehm_seg_classes(const char *const **names, int32_t *n, int32_t **class_of, const ehm_dataset *ds,
                         ehm_arena *a, ehm_err *err);
/* The same of another set, by name; values with another name are -2. */
ehm_code ehm_seg_match(int32_t **class_of, const ehm_dataset *ds, const char *const *names, int32_t n,
                       ehm_arena *a, ehm_err *err);
/* Median frequency balancing (Eigen and Fergus 2015; SegNet): median(f) / f, f a class's pixels over all
 * labelled pixels of the pictures that show it; classes that are nowhere get 0 and no part in the median. */
void ehm_seg_median_weights(float *weight, const ehm_seg_scan *s, int32_t n_classes);
/* A map as classes: truth [w*h]. */
void ehm_seg_truth(int32_t *truth, const ehm_image *map, const int32_t *class_of, int32_t n_values);

/* ---- segment_pixels.c: the head on bare patches ---- */
typedef struct {
    ehm_segment *task; /* its own; freed at close */
    ehm_dataset *train;
    ehm_loader_opt loader;      /* as for the network, sizes, seed, threads and batch filled in */
    const ehm_vit_shape *shape; /* of the network at the size that was trained */
    const double *mean, *std;   /* [channels] */
    const bool *keep;           /* [count of the set] as for the network; NULL: all */
    ehm_dev *dev;
    int64_t steps, accum_iter;
    double lr, min_lr, warmup_steps, weight_decay, clip_grad;
} ehm_seg_bare_opt;
typedef struct ehm_seg_bare ehm_seg_bare;
ehm_code ehm_seg_bare_train(ehm_seg_bare **out, const ehm_seg_bare_opt *o, ehm_err *err);
ehm_code ehm_seg_bare_run(void *user, const void *pixels, ehm_dtype type, int32_t n, float *logits,
                          ehm_err *err);  /* an ehm_seg_net's run */
void ehm_seg_bare_close(ehm_seg_bare *b); /* NULL is fine */

/* ---- segment_files.c: what is written of each test picture ---- */
typedef struct {
    const char *predictions, *overlays; /* F.tsv or DIR; DIR; NULL: none */
    int64_t n_overlays;                 /* spread over the set */
    const char *const *classes;
    int32_t n_classes;
    ehm_dataset *test;
    bool wide; /* maps in 16 bit: more than 256 classes */
} ehm_seg_files;
ehm_code ehm_seg_files_check(const ehm_seg_files *f, ehm_err *err); /* before anything is learned */
/* One picture's: item i of n. */
ehm_code ehm_seg_files_add(const ehm_seg_files *f, int64_t i, int64_t n, int64_t id, const ehm_image *picture,
                           const int32_t *truth, const int32_t *predicted, const ehm_seg_scores *s,
                           ehm_arena *scratch, ehm_err *err);
/* The table, at the end. ids [scores->n]. */
ehm_code ehm_seg_files_end(const ehm_seg_files *f, const int64_t *ids, const ehm_seg_scores *s, ehm_err *err);
#endif
