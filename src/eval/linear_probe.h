/* A linear classifier on frozen features as one file: the encoder, which features are taken, how they are normalised, weights. It stands alone.
 *
 *     ehm_linear_probe_save("probe.safetensors", m, &probe, &err);
 *     ehm_linear_probe_open(&p, "probe.safetensors", &arena, &err); ehm_model_open(&m, "probe.safetensors", &opt, &err);
 *     ehm_linear_probe_logits(logits, &p, m, pixels, EHM_U8, n, features, &err);
 */
#ifndef EHM_EVAL_LINEAR_PROBE_H
#define EHM_EVAL_LINEAR_PROBE_H
#include "infer/depths.h"

#define EHM_LINEAR_PROBE_NAME "linear"
typedef struct {
    bool of_cls;                  /* else the mean of the patch tokens */
    int32_t depth[EHM_DEPTHS_MAX], n_depths; /* 0: the whole encoder's */
    int32_t dim, n_classes;
    const char *const *classes;   /* [n_classes] */
    const double *mean, *std;     /* [dim] features are made (x - mean) / std, in f32 */
    const double *weight, *bias;  /* [n_classes,dim], [n_classes] */
} ehm_linear_probe;
ehm_code ehm_linear_probe_save(const char *path, const ehm_model *m, const ehm_linear_probe *p, ehm_err *err);
/* path: the file. meta: its "task" object. What it points to is in a. EHM_E_FORMAT names what is missing or of another shape. */
ehm_code ehm_linear_probe_open(ehm_linear_probe *p, const char *path, const ehm_json *meta, ehm_arena *a, ehm_err *err);
/* logits [n,n_classes], features [n,dim] scratch; pixels as the model's input, n <= its batch. */
ehm_code ehm_linear_probe_logits(double *logits, const ehm_linear_probe *p, ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, float *features,
                                 ehm_err *err);
#endif
