/* Similarities of patches, each layer's on its own, from one forward pass. A similarity is a mean over layers, so that of any set of layers is the mean of
 * these: what cheaper teachers would see costs one pass, not one each.
 *
 *     ehm_model_layer_affinity(m, &o, pixels, EHM_U8, n, S, &fell_back, &err);    // S [o.n_layers,n,L,L]
 */
#ifndef EHM_INFER_LAYER_AFFINITY_H
#define EHM_INFER_LAYER_AFFINITY_H
#include "infer/infer.h"

/* similarity [n_layers,n,L,L] f32, in the order of o's layers: of each what ehm_model_affinity gives with that layer alone; n <= batch. Residual: one layer
 * without a mean, stored or learned, makes all of them profiles (*fell_back, may be NULL), so that they can be compared. Blocks after o's last are not run. */
ehm_code ehm_model_layer_affinity(ehm_model *m, const ehm_affinity_opt *o, const void *pixels, ehm_dtype type, int32_t n, float *similarity,
                                  bool *fell_back, ehm_err *err);
#endif
