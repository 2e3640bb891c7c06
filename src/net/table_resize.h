/* A position table brought to another grid, as timm's resample_abs_pos_embed does it: bicubic with antialiasing (Keys 1981, a = -0.5; pixel centres).
 *
 *     ehm_table_resize(out, in, dim, 14, 14, 24, 24, 1, &err);      // [1 + 14*14, dim] -> [1 + 24*24, dim]
 */
#ifndef EHM_NET_TABLE_RESIZE_H
#define EHM_NET_TABLE_RESIZE_H
#include "base/err.h"
#include <stdint.h>

/* in [n_prefix + in_h*in_w, dim], out [n_prefix + out_h*out_w, dim], not overlapping; the first n_prefix rows (the class token's) are copied. An equal grid
 * is copied. Sums in double. Errors: EHM_E_MEMORY. Source: golden/tune. */
ehm_code ehm_table_resize(float *out, const float *in, int32_t dim, int32_t in_h, int32_t in_w, int32_t out_h, int32_t out_w, int32_t n_prefix, ehm_err *err);
#endif
