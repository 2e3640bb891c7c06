/* Numbers about attention, similarities and trees of one picture that need no labels. Pure functions on plain arrays.
 *
 *     double r2 = ehm_tree_popularity(S, n), sink = ehm_sink_index(A, n), e = ehm_attention_entropy(A, n);
 *     double split = ehm_frontier_agreement(&odd, &even, &scratch);
 *
 * NAN where there is nothing to measure. Ours: the questions are those of docs on hierarchical masks, the definitions stand here.
 */
#ifndef EHM_EVAL_TREE_MEASURES_H
#define EHM_EVAL_TREE_MEASURES_H
#include "hierarchy/cut.h"
#include "recipe/affinity.h"

/* R^2 of the least-squares fit S_ij = u_i + u_j over all pairs i < j: 1 when similarity says only how popular each patch is. S [n,n] symmetric,
 * the diagonal is ignored. NAN for n < 3 and where S does not vary. */
double ehm_tree_popularity(const float *S, int32_t n);
/* Largest column sum of A [n,n] >= 0 times n over the total: 1 when all are attended to alike, n when one patch draws all. NAN for a total of 0. */
double ehm_sink_index(const float *A, int32_t n);
/* Mean over rows of -sum p log p / log n, each row of A [n,n] >= 0 made to sum to 1 (rows of zeros are left out): 1 is uniform. NAN for n < 2. */
double ehm_attention_entropy(const float *A, int32_t n);
/* The same of A [1+n,1+n] without its first row and column, the class token's. */
double ehm_attention_entropy_patches(const float *A, int32_t n);
/* Adjusted Rand index of two frontiers over the same leaves. */
double ehm_frontier_agreement(const ehm_frontier *a, const ehm_frontier *b, ehm_arena *scratch);
/* node [grid_h*grid_w], a frontier's of_leaf for a mirrored picture, brought back to the picture. out must not overlap. */
void ehm_frontier_mirror(int32_t *out, const int32_t *node, int32_t grid_h, int32_t grid_w);
/* The first, third, ... and the second, fourth, ... of the chosen layers. False with fewer than two. */
bool ehm_affinity_halves(ehm_affinity_opt *first, ehm_affinity_opt *second, const ehm_affinity_opt *o);
#endif
