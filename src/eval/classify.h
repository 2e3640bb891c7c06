/* A classifier on an encoder, as a task of tune/: `ehm eval finetune` trains it, `ehm predict` opens it again.
 *
 *     ehm_classify *k; ehm_classify_from_meta(&k, meta, &err);                      // meta: ehm_tuned_meta's
 *     ehm_tuned_open(&t, path, &ehm_classify_task, k, &config, &err);               // k is t's from here on
 *     ehm_tune_infer(t, pixels, EHM_U8, n, &err);
 *     ehm_download(ehm_tune_device(t), logits, ehm_classify_logits(k, n), bytes);   // [n, classes] f32
 */
#ifndef EHM_EVAL_CLASSIFY_H
#define EHM_EVAL_CLASSIFY_H
#include "tune/tune.h"

typedef struct ehm_classify ehm_classify;
extern const ehm_tune_task ehm_classify_task; /* name "finetune" */
typedef struct {
    int32_t n_classes;
    const char *const *names;   /* [n_classes], copied */
    bool pool_cls;              /* the class token through the encoder's norm; else the mean of the patch tokens through one of its own */
    double smoothing; ehm_mix_opt mix; uint64_t seed;
    const int32_t *in_model;    /* class of each label of the training set; borrowed. NULL: the same */
} ehm_classify_opt;
ehm_code ehm_classify_new(ehm_classify **out, const ehm_classify_opt *o, ehm_err *err);
/* From the "task" object of a saved network. EHM_E_MISMATCH: another task's; EHM_E_FORMAT. */
ehm_code ehm_classify_from_meta(ehm_classify **out, const ehm_json *meta, ehm_err *err);
bool ehm_classify_mixes(const ehm_classify *k); /* pictures of a batch are mixed: the loader must give f32 */
int32_t ehm_classify_n(const ehm_classify *k);
const char *ehm_classify_name(const ehm_classify *k, int32_t i);
ehm_view ehm_classify_logits(const ehm_classify *k, int32_t n); /* [n, classes] f32, after ehm_tune_infer */
#endif
