/* Features of several depths of the encoder in one forward pass, side by side, as linear probes of DINO take them.
 *
 *     int32_t depth[EHM_DEPTHS_MAX], n;
 *     ehm_depths_parse(depth, &n, "last:4", shape->depth, &err);
 *     ehm_model_depths(m, pixels, EHM_U8, b, depth, n, cls, mean, &err);      // cls [b, n * embed_dim]
 *
 * Depth k is what stands in the residual stream after k blocks, through the encoder's final norm; the depth of the whole encoder is what
 * ehm_model_cls_mean gives, to the bit. Source: Caron et al. 2021, eval_linear.py (n_last_blocks).
 */
#ifndef EHM_INFER_DEPTHS_H
#define EHM_INFER_DEPTHS_H
#include "infer/infer.h"

enum { EHM_DEPTHS_MAX = 64 };
/* text: blocks counted from 1, ascending, such as 3,6,9,12, or last:N; out [EHM_DEPTHS_MAX]. EHM_E_CONFIG names what is wrong and how many blocks there
 * are. */
ehm_code ehm_depths_parse(int32_t *out, int32_t *n, const char *text, int32_t depth, ehm_err *err);
/* cls, mean [n, n_depths * embed_dim] f32, depth by depth; either may be NULL. depth: ascending, 1 to the encoder's; n <= batch. Blocks after the last one
 * asked for are not run. */
ehm_code ehm_model_depths(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, const int32_t *depth, int32_t n_depths, float *cls,
                          float *mean, ehm_err *err);
#endif
