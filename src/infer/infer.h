/* Infer: open a trained (or untrained) model and run it forward: features, attention, hidden states,
 * reconstructions. Never masks unless asked.
 *
 *     ehm_model *m; ehm_model_open(&m, "runs/r", &opt, &err);
 *     ehm_model_features(m, pixels, EHM_U8, n, EHM_POOL_MEAN, out, &err);     // out [n, embed_dim]
 */
#ifndef EHM_INFER_INFER_H
#define EHM_INFER_INFER_H
#include "base/json.h"
#include "base/settings.h"
#include "compute/compute.h"
#include "data/loader.h"
#include "net/shape.h"
#include "recipe/affinity.h"

typedef struct ehm_model ehm_model;
typedef struct {
    const char *device;
    int32_t threads;
    const char *dtype;
    int32_t batch; /* 0: 64 */
} ehm_model_opt;
/* spec: a run folder (unfinished: its newest checkpoint), RUN/checkpoints/NNNNNNNN, a safetensors file of ours or of MAE/timm names, untrained:RUN, untrained:PRESET (seed
 * 0; size and channels of the preset, 3). Errors name what is missing. */
ehm_code ehm_model_open(ehm_model **out, const char *spec, const ehm_model_opt *opt, ehm_err *err);
/* An untrained encoder of these sizes: no decoder, seed 0, mean and std 0.5. */
ehm_code ehm_model_open_shape(ehm_model **out, const ehm_vit_shape *shape, const ehm_model_opt *opt, ehm_err *err);
void ehm_model_close(ehm_model *m);
const ehm_vit_shape *ehm_model_shape(const ehm_model *m);
/* What --channels asks for must be what the model takes; EHM_AUTO_I64 always is. Errors: EHM_E_MISMATCH with
 * both numbers. */
ehm_code ehm_model_takes_channels(const ehm_model *m, int64_t channels, ehm_err *err);
const char *ehm_model_spec(const ehm_model *m);
bool ehm_model_has_decoder(const ehm_model *m);
bool ehm_model_norm_pix(const ehm_model *m);
/* Per channel; returns the channel count. */
int32_t ehm_model_stats(const ehm_model *m, double *mean, double *std);
const char *ehm_model_fit(const ehm_model *m);    /* evaluation transform of its run: "crop", ... */
ehm_dev *ehm_model_device(const ehm_model *m);
const char *ehm_model_dtype(const ehm_model *m);  /* "f32" or "bf16" */
int32_t ehm_model_batch(const ehm_model *m);

typedef enum {
    EHM_POOL_CLS,
    EHM_POOL_MEAN,
    EHM_POOL_PATCHES
} ehm_pooling; /* after the final norm: class token; mean of patch tokens; all patch tokens */
/* pixels [n,img_h,img_w,channels] u8 or f32 (0..1), n <= batch. out: [n,D] or [n,L,D]. */
ehm_code ehm_model_features(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, ehm_pooling pool,
                            float *out, ehm_err *err);
/* Both poolings in one pass: cls [n,D], mean [n,D]; either may be NULL. */
ehm_code ehm_model_cls_mean(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, float *cls,
                            float *mean, ehm_err *err);
/* The same with all patch tokens [n,L,D]; each may be NULL. */
ehm_code ehm_model_tokens(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, float *cls,
                          float *mean, float *patches, ehm_err *err);
/* Post-softmax attention of block i_block (0 to depth - 1; -1: the last), f32 [n,H,1+L,1+L] (per_head) or
 * [n,1+L,1+L]. */
ehm_code ehm_model_attention(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, int32_t i_block,
                             bool per_head, float *out, ehm_err *err);
/* What masks of a hierarchy are made from (recipe/affinity.h): similarity [n,L,L], attention [n,L,L], cls [n,L] f32; each may be NULL. o: which layers
 * and how. Residual takes the mean stored beside the model; without one, or for other layers, it falls back to profile (*fell_back, may be NULL). */
ehm_code ehm_model_affinity(ehm_model *m, const ehm_affinity_opt *o, const void *pixels, ehm_dtype type, int32_t n, float *similarity,
                            float *attention, float *cls, bool *fell_back, ehm_err *err);
/* Residual's mean learned from pictures at hand, for models without a stored one or for other layers than it holds: called with batches (n of 0 ends it), then
 * ehm_model_affinity under the same o subtracts it. The bias-corrected average over calls of training (decay 0.99 for every 16 pictures). */
ehm_code ehm_model_learn_mean(ehm_model *m, const ehm_affinity_opt *o, const void *pixels, ehm_dtype type, int32_t n, ehm_err *err);
/* The settings of the named groups as the model's run had them, where c has only defaults; nothing without a run. For drawing and evaluating with
 * the run's own mask rule and tree. */
ehm_code ehm_model_settings(const ehm_model *m, ehm_config *c, const char *groups, ehm_arena *a, ehm_err *err);
/* Tokens after i_block blocks (0 = embeddings, depth or -1 = the last, before the final norm), f32 [n,1+L,D].
 */
ehm_code ehm_model_hidden(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, int32_t i_block,
                          float *out, ehm_err *err);
/* Decoder output for given masks: visible [n,n_visible]; pred [n,L,P] in the target's space (norm-pix or
 * normalised pixels); loss [1], the mean over the masked patches of all n pictures. Either may be NULL.
 * EHM_E_MISMATCH when there is no decoder. */
ehm_code ehm_model_reconstruct(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n,
                               const int32_t *visible, const int32_t *masked, int32_t n_visible, float *pred,
                               float *loss, ehm_err *err);

/* Features of a whole set, with progress: fn is called in order with up to batch rows. */
/* Patches NULL unless asked for. */
typedef ehm_code (*ehm_feature_fn)(void *ctx, const ehm_batch *b, const float *cls, const float *mean,
                                   const float *patches, ehm_err *err);
ehm_code ehm_model_run_dataset(ehm_model *m, ehm_dataset *ds, int32_t n_workers, bool want_patches,
                               ehm_feature_fn fn, void *ctx, ehm_err *err);
#endif
