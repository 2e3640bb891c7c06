/* Semantic segmentation as a task of tune.h: a head that gives logits on a grid, enlarged bilinearly to the
 * model's input, and cross-entropy of each labelled pixel.
 *
 *     ehm_segment_opt o = {.head = EHM_HEAD_SEG_MLP, .n_classes = 12, .classes = names};
 *     ehm_segment *s; ehm_segment_new(&s, &o, &err);
 *     ehm_tune_setup setup = {.task = ehm_segment_task(s), .user = s, .train = ds, .loader.want_maps = true};
 *     ... ehm_tune_open, ehm_tune_run; ehm_tune_infer(t, pixels, EHM_U8, n, &err); ...
 *     ehm_segment_logits(s, dev, logits, n);                       // [n,grid_h,grid_w,n_classes]
 *
 * Loss: the mean over the batch's labelled pixels, weighted by class_weight where given, as torch's
 * cross_entropy(interpolate(logits, align_corners=False), weight, ignore_index) gives it; a batch without a
 * labelled pixel has loss 0 and no gradient.
 */
#ifndef EHM_TUNE_TASK_SEGMENT_H
#define EHM_TUNE_TASK_SEGMENT_H
#include "tune/tune.h"

typedef struct ehm_segment ehm_segment;
typedef struct {
    ehm_head_kind head;          /* EHM_HEAD_SEG_LINEAR or EHM_HEAD_SEG_MLP */
    int32_t n_classes;           /* 1 or more */
    int32_t width;               /* of the MLP head, a multiple of 4; 0: 128 */
    int32_t depth;               /* blocks of the encoder: an MLP head reads a level fewer where there are
                                    fewer than four; 0: enough */
    const char *const *classes;  /* [n_classes] names, copied */
    const int32_t *class_of;     /* [n_values] class of a set's map value, -1 ignored, copied; NULL: a value
                                    is its class */
    int32_t n_values;
    const float *class_weight;   /* [n_classes], 0 or more, copied; NULL: all 1 */
    /* How it is used, stored with the model. */
    bool slide;                  /* windows at the picture's own size, else the whole, as large as fits */
    double size_factor;          /* pictures are seen so many times the size that fits (1 unless slide) */
} ehm_segment_opt;
/* Errors: EHM_E_ARG for options outside their range, EHM_E_MEMORY. */
ehm_code ehm_segment_new(ehm_segment **out, const ehm_segment_opt *o, ehm_err *err);
/* From the "task" object of a saved model. EHM_E_FORMAT names the key that is missing or wrong. */
ehm_code ehm_segment_from_json(ehm_segment **out, const ehm_json *meta, ehm_err *err);
void ehm_segment_free(ehm_segment *s); /* as the task's close; NULL is fine */

const ehm_tune_task *ehm_segment_task(const ehm_segment *s); /* for tune, with s as user; lives in s */

const ehm_segment_opt *ehm_segment_options(const ehm_segment *s);
void ehm_segment_grid(const ehm_segment *s, int32_t *gh, int32_t *gw); /* of the logits; known after add */
/* Logits of the last inference: out [n,gh,gw,n_classes] f32 on the host, whatever the device computes in.
 * Errors stay on the device. */
void ehm_segment_logits(ehm_segment *s, ehm_dev *d, float *out, int32_t n);

/* Bilinear enlargement along one side, as torch's interpolate without aligned corners: number i of n_out is
 * (1 - w1) * in[i0] + w1 * in[i1]. */
typedef struct {
    int32_t i0, i1;
    float w1;
} ehm_bilinear_tap;
ehm_bilinear_tap ehm_bilinear_at(int32_t i, int32_t n_out, int32_t n_in);
/* Along both, as sums of rows: idx and weight [out_h*out_w,4]. */
void ehm_segment_enlarge_table(int32_t *idx, float *weight, int32_t out_h, int32_t out_w, int32_t in_h,
                               int32_t in_w);
#endif
