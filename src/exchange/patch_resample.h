/* A patch embedding brought to other patch sizes or channel counts.
 *
 *     ehm_patch_resample(out, in, 768, 3, 16, 8, &err);        // [768,3,16,16] -> [768,3,8,8]
 */
#ifndef EHM_EXCHANGE_PATCH_RESAMPLE_H
#define EHM_EXCHANGE_PATCH_RESAMPLE_H
#include "base/err.h"
#include <stdint.h>

/* kernel[D,C,p,p] -> out[D,C,q,q], not overlapping: kernel @ pinv(M), M (q*q x p*p) the bicubic antialiased resize of basis pictures: Beyer et al. 2023
 * (FlexiViT), as timm's resample_patch_embed does it. In double. Errors: EHM_E_MEMORY. Source: golden/exchange. */
ehm_code ehm_patch_resample(float *out, const float *kernel, int64_t dim, int64_t channels, int32_t p, int32_t q, ehm_err *err);
/* kernel[D,C,p*p] -> out[D,n,p*p] as timm's adapt_input_conv: n = 1: the sum over C; else tiled cyclically and scaled by C / n. */
void ehm_patch_channels(float *out, const float *kernel, int64_t dim, int64_t channels, int64_t n, int64_t pixels);
/* The position table without antialiasing as MAE's util/pos_embed does it: PyTorch's bicubic (a = -0.75, align_corners false). Same arguments as ehm_table_resize. */
ehm_code ehm_table_resize_mae(float *out, const float *in, int32_t dim, int32_t in_h, int32_t in_w, int32_t out_h, int32_t out_w, int32_t n_prefix, ehm_err *err);
#endif
