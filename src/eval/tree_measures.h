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
/* How well a tree's nodes and cuts fit the labelled regions of its picture. A region r is the set of leaves with label r; leaves with a label below 0 are
 * left out everywhere, and so counted in no node. IoU(S, r) = |S and r| / |S or r|.
 *   best_node = mean over regions r of max over all 2n - 1 nodes S of IoU(S, r)
 *   best_cut  = max over K = 2 .. min(n, EHM_TREE_CUT_MOST) of mean over regions r of IoU(P_r, r), where the tree is cut into K nodes
 *               (ehm_cut_count), each node takes the label that most of its leaves have (ties to the lower), and P_r is the union of the nodes that took r
 *   label_cut = the same at the one K that is the number of regions
 * A tree that holds every region whole has 1 in the first two, and in the third where those are its last merges. Labels
 * name the nodes, so a finer cut mostly fits better; where n <= EHM_TREE_CUT_MOST the last cut is into single leaves and any tree has 1, so that only the other two tell trees apart.
 * NAN without a labelled leaf, for n < 2, and without memory. */
enum { EHM_TREE_CUT_MOST = 64 };
typedef struct { double best_node, best_cut, label_cut; } ehm_tree_fit;
ehm_tree_fit ehm_tree_fit_of(const ehm_tree *t, const int32_t *label, ehm_arena *scratch);
/* Cosines of the rows of x [n,D]: S [n,n], symmetric to the bit; a row of zeros has 0 with all, 1 with itself. */
void ehm_cosines(float *S, const float *x, int32_t n, int32_t D);
/* Adjusted Rand index of two frontiers over the same leaves. */
double ehm_frontier_agreement(const ehm_frontier *a, const ehm_frontier *b, ehm_arena *scratch);
/* node [grid_h*grid_w], a frontier's of_leaf for a mirrored picture, brought back to the picture. out must not overlap. */
void ehm_frontier_mirror(int32_t *out, const int32_t *node, int32_t grid_h, int32_t grid_w);
/* The first, third, ... and the second, fourth, ... of the chosen layers. False with fewer than two. */
bool ehm_affinity_halves(ehm_affinity_opt *first, ehm_affinity_opt *second, const ehm_affinity_opt *o);
#endif
