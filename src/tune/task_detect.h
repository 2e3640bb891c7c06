/* Detection as a task of tune.h: FCOS (Tian et al. 2019) on the single scale of a plain ViT, and on top of it, where asked for, a mask for each box (the
 * mask branch of Mask R-CNN, He et al. 2017).
 *
 *     ehm_detect *s; ehm_detect_new(&s, &(ehm_detect_opt){.n_classes = 3, .classes = names}, &err);
 *     ehm_tune_setup setup = {.task = ehm_detect_task(s), .user = s, .train = ds, .loader = {.want_boxes = true, ...}};
 *     ... ehm_tune_open, ehm_tune_run; ehm_tune_infer(t, pixels, EHM_U8, n, &err); ...
 *     ehm_detect_read(s, dev, n, &err);
 *     const ehm_found_box *b = ehm_detect_boxes(s, i, &n_boxes);     // of picture i, best first, in pixels of the input
 *
 * Loss of a batch: focal loss of classes (alpha 0.25, gamma 2) over all points by the number of points that answer for a box; generalised IoU of those,
 * weighted by their centreness and over its sum; cross-entropy of centreness, their mean; with masks the mean cross-entropy of the true boxes' masks,
 * at the true class. Training boxes are in pixels of the input (ehm_batch.boxes); masks need ehm_batch.objects too.
 */
#ifndef EHM_TUNE_TASK_DETECT_H
#define EHM_TUNE_TASK_DETECT_H
#include "tune/detect_points.h"
#include "tune/tune.h"

enum {
    EHM_DETECT_CANDIDATES = 1000, /* best boxes of a picture that suppression looks at */
    EHM_DETECT_ROIS = 8           /* true boxes of a picture that train the mask branch; of more, evenly chosen ones */
};
typedef struct ehm_detect ehm_detect;
typedef struct {
    int32_t n_classes;           /* 1 or more */
    const char *const *classes;  /* [n_classes] names, copied */
    bool masks;                  /* the task "instances", else "detect" */
    int32_t width;               /* of the head, a multiple of 4; 0: 128 */
    float nms;                   /* bound of suppression; 0: 0.6 */
    float score_min;             /* boxes of lower score are not given; 0: 0.05 */
    int32_t max_boxes;           /* of a picture; 0: 100 */
    const char *fit;             /* how a picture lies in the input when boxes are looked for: "stretch" (NULL), "pad" or "crop"; for the record */
} ehm_detect_opt;
/* Errors: EHM_E_ARG for options outside their range, EHM_E_MEMORY. */
ehm_code ehm_detect_new(ehm_detect **out, const ehm_detect_opt *o, ehm_err *err);
/* From the "task" object of a saved model. EHM_E_FORMAT names the key that is missing or wrong. */
ehm_code ehm_detect_from_json(ehm_detect **out, const ehm_json *meta, ehm_err *err);
void ehm_detect_free(ehm_detect *s); /* as the task's close; NULL is fine */
const ehm_tune_task *ehm_detect_task(const ehm_detect *s); /* for tune, with s as user; lives as long as the program */
const ehm_detect_opt *ehm_detect_options(const ehm_detect *s); /* with defaults filled in */
/* Of the training batches so far: boxes shown, and those for which no point could answer (smaller than a cell, or hidden behind smaller ones). */
void ehm_detect_counts(const ehm_detect *s, int64_t *n_boxes, int64_t *n_without_point);

/* After an inference of n pictures: boxes, suppressed and sorted, and their masks. Errors: those of the device. */
ehm_code ehm_detect_read(ehm_detect *s, ehm_dev *d, int32_t n, ehm_err *err);
/* Of picture i of that inference; borrowed until the next read. */
const ehm_found_box *ehm_detect_boxes(const ehm_detect *s, int32_t i, int32_t *n_boxes);
/* [n_boxes,EHM_MASK_SIDE,EHM_MASK_SIDE] probability that a cell of the box belongs to the object, at the box's own class. NULL without masks. */
const float *ehm_detect_masks(const ehm_detect *s, int32_t i);
/* Lays such a mask into a picture: px [h,w] gets 1 where the probability, bilinear between cell centres, reaches one half inside the box (pixels of the
 * picture), else 0. */
void ehm_mask_paste(uint8_t *px, int32_t h, int32_t w, const float *mask, double x0, double y0, double x1, double y1);
#endif
