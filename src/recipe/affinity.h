/* Affinity: from the attention of a forward pass to the similarity of patches, and the teacher pass that makes it.
 *
 *     ehm_affinity_opt o; ehm_affinity_opt_of(&o, &cfg, &shape, &err);
 *     ehm_affinity_open(&t, &o, &shape, batch, &err);
 *     ehm_affinity_plan(t, plan);                                     // both passes
 *     ehm_affinity_run(t, d, &pass, &weights, patches, &route, b, want, update_mean);
 *     ehm_affinity_fetch(t, d, S, A, cls, b);                         // host copies
 *
 * Per chosen layer: post-softmax attention in f32, mean over heads (or each head), class token dropped, rows renormalised; then
 *   residual  minus the running mean over pictures, then profile     profile  correlation of rows plus correlation of columns
 *   direct    (A + A^T) / 2                                          balanced the same (balancing itself is the mask's, on the host)
 * averaged over the layers. Memory is for one layer at a time; the last layer stops after its softmax. The running mean is state
 * (one [L,L] a layer, or a head), so that a checkpoint holds it. Ours: the paper gives no equations.
 */
#ifndef EHM_RECIPE_AFFINITY_H
#define EHM_RECIPE_AFFINITY_H
#include "base/settings.h"
#include "compute/plan.h"
#include "net/vit.h"

typedef enum { EHM_SIM_RESIDUAL, EHM_SIM_PROFILE, EHM_SIM_DIRECT, EHM_SIM_BALANCED } ehm_sim_kind;
typedef struct {
    ehm_sim_kind kind;
    bool per_head, raw_rows, standardise;
    int32_t n_layers, layer[128];     /* ascending block numbers */
} ehm_affinity_opt;
/* tree_layers and the like. EHM_E_CONFIG names the layer that is not there and how many there are. */
ehm_code ehm_affinity_opt_of(ehm_affinity_opt *out, const ehm_config *c, const ehm_vit_shape *s, ehm_err *err);

typedef struct ehm_affinity ehm_affinity;
enum { EHM_WANT_SIMILARITY = 1, EHM_WANT_ATTENTION = 2, EHM_WANT_CLS = 4 }; /* attention and cls run all layers */
/* train: the running mean is planned as state. */
ehm_code ehm_affinity_open(ehm_affinity **out, const ehm_affinity_opt *o, const ehm_vit_shape *s, int32_t batch, uint32_t want,
                           bool train, ehm_err *err);
void ehm_affinity_close(ehm_affinity *t);
/* prefix names the state: "teacher.attention_mean", "teacher.mean_count". The result stays in scratch above the caller's mark. */
void ehm_affinity_plan(ehm_affinity *t, ehm_plan *plan);
/* want: a subset of what it was opened with; update_mean: this batch counts in the running mean (before it is subtracted). Without a
 * mean, and with a count of 0, residual is profile. */
void ehm_affinity_run(ehm_affinity *t, ehm_dev *d, ehm_vit_encoder_pass *pass, const ehm_weights *w, ehm_view patches,
                      const ehm_vit_route *all, int64_t b, uint32_t want, bool update_mean);
/* What the last run left: [b,L,L] in scratch, until the next op that uses it. */
ehm_view ehm_affinity_similarity(const ehm_affinity *t);
/* similarity, attention [b,L,L], cls [b,L] f32; NULL where not wanted. Waits. */
ehm_code ehm_affinity_fetch(ehm_affinity *t, ehm_dev *d, float *similarity, float *attention, float *cls, int64_t b, ehm_err *err);
/* [n_layers(,H),L,L] and [1]; rank 0 without. For files. */
ehm_view ehm_affinity_mean(const ehm_affinity *t);
ehm_view ehm_affinity_mean_count(const ehm_affinity *t);
/* Host mean from a file for a forward-only use: [n_layers(,H),L,L] f32. */
ehm_code ehm_affinity_set_mean(ehm_affinity *t, ehm_dev *d, const float *mean, ehm_err *err);
/* A checkpoint brought the mean back. */
void ehm_affinity_mean_restored(ehm_affinity *t);
double ehm_affinity_look_s(const ehm_affinity *t); /* seconds of the last run that went into scores and similarity, on devices that do not run ahead */
const ehm_affinity_opt *ehm_affinity_options(const ehm_affinity *t);
/* Products of one picture's teacher pass, by count. */
double ehm_affinity_flops(const ehm_affinity *t);
#endif
