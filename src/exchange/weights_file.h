/* Weights in and out of safetensors under MAE's names, with what a reader must know in the metadata
 * (strings): format, ehm_version, preset sizes (img_h, img_w, channels, patch_size, embed_dim, depth,
 * num_heads, mlp_dim, decoder_*), norm_pix_loss, mean, std, fit, layer_norm_eps, recipe, mask. No times,
 * paths or host: equal weights give equal bytes.
 */
#ifndef EHM_EXCHANGE_WEIGHTS_FILE_H
#define EHM_EXCHANGE_WEIGHTS_FILE_H
#include "exchange/safetensors.h"
#include "net/params.h"
#include "net/shape.h"

typedef struct {
    ehm_vit_shape shape;
    bool has_decoder, norm_pix, has_stats;
    double mean[256], std[256];
    char fit[16], recipe[32], mask[32];
} ehm_weights_info;
/* encoder_only leaves out mask_token and decoder_*. w's numbers are downloaded. */
ehm_code ehm_weights_save(const char *path, const ehm_weights *w, ehm_dev *d, const ehm_weights_info *info,
                          bool encoder_only, ehm_err *err);
/* What a file holds: from metadata, else deduced from the tensors' shapes (num_heads = embed_dim / 64 unless
 * known, said by *guessed). */
ehm_code ehm_weights_describe(ehm_weights_info *out, const ehm_st *f, bool *guessed, ehm_err *err);
/* The same with what is known from elsewhere; 0: not. Sizes in the metadata win. A picture size that does not go with the position table is
 * passed over. */
typedef struct { int32_t img_h, img_w, num_heads, decoder_num_heads; } ehm_weights_known;
ehm_code ehm_weights_describe_with(ehm_weights_info *out, const ehm_st *f, const ehm_weights_known *known,
                                   bool *guessed, ehm_err *err);
/* The metadata that a file of this info gets, into meta [EHM_WEIGHTS_META_MAX]; its texts live in a or info.
 * Returns how many; -1: no memory. */
enum { EHM_WEIGHTS_META_MAX = 24 };
int32_t ehm_weights_meta(ehm_st_meta *meta, const ehm_weights_info *info, bool encoder_only, ehm_arena *a);
typedef struct {
    int32_t n_matched, n_missing, n_unexpected;
    char first_missing[128], first_unexpected[128];
} ehm_weights_report;
/* Upload into w. Missing encoder tensors or other shapes: EHM_E_MISMATCH naming the first; a missing decoder
 * is allowed when decoder_optional. A classifier on mean-pooled tokens has fc_norm and no norm: that one
 * keeps its start (weight 1, bias 0) and does not count as missing. */
ehm_code ehm_weights_load(const ehm_weights *w, ehm_dev *d, const ehm_st *f, bool decoder_optional,
                          ehm_weights_report *rep, ehm_err *err);
/* "0.485,0.456,0.406": each the shortest text that reads back equal, as mean and std stand in metadata and settings. In a; NULL when there is no memory. */
const char *ehm_numbers_text(const double *v, int32_t n, ehm_arena *a);
#endif
