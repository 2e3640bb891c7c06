/* Label maps of pictures, and how right they are.
 *
 *     ehm_seg_net net = {.in_h = 64, .in_w = 64, ..., .run = my_run, .user = me};   // inputs to logits
 *     ehm_seg_look look = {.slide = true};
 *     ehm_seg_maps(maps, &net, &look, images, n, pool, &arena, &err);   // maps[i] [h*w] of images[i]
 *     ehm_seg_scores_add(&scores, i, truth, maps[i], n_pixels);
 *
 * A picture is brought to its working size: its own (slide), or the largest that fits the input. Inputs are
 * cut from it with a stride, the last of a row ending at its edge; where it is smaller than the input it lies
 * in the middle and mid grey is around it. Logits are enlarged bilinearly to the input, averaged where
 * windows overlap, then enlarged bilinearly to the stored size; the largest is the class (ties to the lower
 * one).
 */
#ifndef EHM_EVAL_SEGMENT_H
#define EHM_EVAL_SEGMENT_H
#include "base/mem.h"
#include "base/pool.h"
#include "image/image.h"

typedef struct {
    int32_t in_h, in_w, channels, n_classes, grid_h, grid_w;
    int32_t batch; /* inputs a run, at most */
    /* pixels [n,in_h,in_w,channels] u8 or f32 -> logits [n,grid_h,grid_w,n_classes] */
    ehm_code (*run)(void *user, const void *pixels, ehm_dtype type, int32_t n, float *logits, ehm_err *err);
    void *user;
} ehm_seg_net;
/* A network that was trained, or a saved one that was opened again (tune/task_segment.h); t as long as the
 * net. Its options tell whether it looks at whole pictures or slides. */
struct ehm_tune;
struct ehm_segment;
typedef struct {
    struct ehm_tune *tune;
    struct ehm_segment *task;
} ehm_seg_tuned;
ehm_seg_net ehm_seg_net_of(ehm_seg_tuned *t);
typedef struct {
    bool slide;
    int32_t stride_h, stride_w; /* 0: half the input; 1 to the input's side */
} ehm_seg_look;
/* Inputs that a picture of w x h takes. */
int64_t ehm_seg_n_windows(const ehm_seg_net *net, const ehm_seg_look *look, int32_t w, int32_t h);
/* maps[i] [images[i].w * images[i].h], given. The images share type (u8 or f32) and the net's channels.
 * Errors: the net's own, EHM_E_ARG, EHM_E_MEMORY. */
ehm_code ehm_seg_maps(int32_t *const *maps, const ehm_seg_net *net, const ehm_seg_look *look,
                      const ehm_image *images, int32_t n, ehm_pool *pool, ehm_arena *scratch, ehm_err *err);

/* ---- scores ---- */

/* Of each picture and class: pixels of it, pixels called it, pixels where both hold; ignored pixels are no
 * part of any. */
typedef struct {
    int32_t truth, predicted, both;
} ehm_seg_count;
typedef struct {
    int64_t n;
    int32_t n_classes;
    ehm_seg_count *count; /* [n,n_classes] */
    int64_t *confusion;   /* [n_classes,n_classes] of all, row the truth */
} ehm_seg_scores;
ehm_code ehm_seg_scores_new(ehm_seg_scores *s, int64_t n, int32_t n_classes, ehm_arena *a, ehm_err *err);
/* truth [n_pixels], -1 ignored; predicted in 0..n_classes-1. */
void ehm_seg_scores_add(ehm_seg_scores *s, int64_t i, const int32_t *truth, const int32_t *predicted,
                        int64_t n_pixels);

/* Over pixels of all pictures together: mean IoU over classes that are in the truth, share of pixels right,
 * mean share right over classes that are in the truth; then the IoU of each class (NaN where it is neither
 * there nor predicted). */
enum { EHM_SEG_MIOU, EHM_SEG_PIXELS, EHM_SEG_CLASSES, EHM_SEG_IOU };
/* [EHM_SEG_IOU + n_classes], of picture i alone; i -1: of all. */
void ehm_seg_measures_of(double *out, const ehm_seg_scores *s, int64_t i);

/* Percentile bootstrap over runs of pictures (run_of [n]: 0 to n_runs - 1): counts are summed over the runs
 * drawn, then measured, since these measures are no means over pictures. All models see the same draws. lo,
 * hi [n_models,EHM_SEG_IOU+n_classes]; partner[m] (NULL: none): the model that m is compared with, -1 none;
 * then dlo, dhi of the difference m - partner. Draws in which a measure does not exist are left out of it.
 * kept (NULL: not wanted) [n_models,EHM_SEG_IOU+n_classes,EHM_BOOT_DRAWS]: the measures in each draw. */
ehm_code ehm_seg_bootstrap(double *lo, double *hi, double *dlo, double *dhi, double *kept,
                           const ehm_seg_scores *const *models, const int32_t *partner, int32_t n_models,
                           const int32_t *run_of, int32_t n_runs, uint64_t seed, ehm_err *err);
/* Frames of a video resemble their neighbours, so that they are drawn in runs. length 0: 10 where the names
 * are those of frames, else 1. Frames: most names go on from the one before by the same step of more than 1
 * (0001TP_006690, 0001TP_006720), or say "frame". A run ends where the name before the number changes, where
 * more than four steps are missing, or after length pictures. Returns the runs; *used (may be NULL) the
 * length. */
int32_t ehm_seg_runs(int32_t *run_of, const char *const *names, int64_t n, int32_t length, int32_t *used);
#endif
