/* For hierarchical masking itself, and for its tests. */
#ifndef EHM_MASK_TREE_MASK_INT_H
#define EHM_MASK_TREE_MASK_INT_H
#include "mask/mask_int.h"
#include "mask/tree_mask.h"

/* What K(u) and the depth are interpolated by: 0 at the finest, 1 at the coarsest end of the schedule. */
double ehm_mask_level_of(const ehm_mask_settings *s, double u);
/* Whether every level that a picture may take at u leaves each patch its own node, so that no tree is needed.
 */
bool ehm_mask_all_leaves(const ehm_mask_settings *s, int32_t n, double u);
/* u' of this picture, and what rounds the depth; both in [0,1]. */
void ehm_mask_draw_level(double *u, double *rounding, const ehm_mask_in *in);
/* The frontier of k nodes by s->cut, count or effective count. */
void ehm_mask_cut(ehm_frontier *f, const ehm_tree *tree, int32_t k, const ehm_mask_settings *s);
/* The frontier of all leaves, for which no tree is needed. */
void ehm_mask_frontier_of_leaves(ehm_frontier *f, int32_t n);
/* ehm_mask_select for one of several masks of the same picture; view 0 is ehm_mask_select. */
ehm_code ehm_mask_select_view(uint8_t *removed, int32_t *n_cut, const ehm_frontier *f, const ehm_tree *tree,
                              int32_t n_masked, const ehm_mask_in *in, int32_t view, ehm_arena *scratch,
                              ehm_err *err);

/* The two ways to choose, without their random numbers. Nodes of start[k + 1] - start[k] leaves come in the
 * given order. */
/* take [n_nodes]: how many leaves each node loses, n_masked in all. draw [n_nodes]: uniform 64-bit numbers; a
 * node's own decides between it and the node that is open when its turn comes. */
void ehm_mask_pivot(int32_t *take, const int32_t *start, const int32_t *order, int32_t n_nodes,
                    int32_t n_masked, const uint64_t *draw);
/* inside [n]: the n_masked positions of the circle of n leaves from first on are set to 1, all others to 0.
 */
void ehm_mask_arc(uint8_t *inside, int32_t n, int32_t first, int32_t n_masked);
/* Where each leaf goes in the controls moved and shuffled: leaf i to perm[i]. */
void ehm_mask_moves(int32_t *perm, const ehm_mask_in *in);
#endif
