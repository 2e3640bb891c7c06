/* Cuts of a tree: frontiers, that is disjoint nodes that cover all leaves.
 *
 *     ehm_frontier f; ehm_frontier_new(&f, t.n, &arena, &err);
 *     ehm_cut_effective(&f, &t, 10);           // as coarse as 10 nodes of equal size
 *     for (i = 0; i < f.n_nodes; i++) members are f.member[f.start[i]] .. f.member[f.start[i + 1] - 1], ascending
 *
 * Nodes of a frontier are ordered by their lowest leaf. Nothing here allocates but _new.
 */
#ifndef EHM_HIERARCHY_CUT_H
#define EHM_HIERARCHY_CUT_H
#include "hierarchy/tree.h"

typedef struct {
    int32_t n, n_nodes;
    int32_t *node;    /* [n] node ids of the tree, n_nodes used */
    int32_t *start;   /* [n+1] */
    int32_t *member;  /* [n] leaves, node by node */
    int32_t *of_leaf; /* [n] index into node */
    int32_t *work;    /* [4 n] private */
} ehm_frontier;
ehm_code ehm_frontier_new(ehm_frontier *f, int32_t n, ehm_arena *a, ehm_err *err);
static inline int32_t ehm_frontier_size(const ehm_frontier *f, int32_t i) { return f->start[i + 1] - f->start[i]; }

/* The frontier of k nodes: the last k - 1 merges undone. k is clamped to 1..n. */
void ehm_cut_count(ehm_frontier *f, const ehm_tree *t, int32_t k);
/* Merges undone from the last until n^2 / sum of squared node sizes >= k; at k >= n all leaves. */
void ehm_cut_effective(ehm_frontier *f, const ehm_tree *t, double k);
/* All nodes at distance d from the root, and leaves that are nearer. d 0: the root. */
void ehm_cut_depth(ehm_frontier *f, const ehm_tree *t, int32_t d);
double ehm_frontier_effective(const ehm_frontier *f); /* n^2 / sum of squared node sizes */
int32_t ehm_frontier_largest(const ehm_frontier *f);  /* leaves of the largest node */

int32_t ehm_tree_depth(const ehm_tree *t, int32_t *work /* [2n] */); /* the longest way from the root to a leaf, in edges; 0 for n = 1 */
/* Leaves below node, in the tree's own order (left subtree first); returns how many. stack [n]. */
int32_t ehm_tree_members(int32_t *leaf, const ehm_tree *t, int32_t node, int32_t *stack);

/* ---- agreement; n leaves, work from scratch, NAN when there is nothing to compare or no memory ---- */
/* Dendrogram purity (Heller and Ghahramani 2005): over all pairs of leaves with the same label, the share of their label among the
 * labelled leaves below their least common ancestor; exact, O(n log n + n classes). label < 0: left out, everywhere. NAN without a pair. */
double ehm_tree_purity(const ehm_tree *t, const int32_t *label, ehm_arena *scratch);
/* Adjusted Rand index (Hubert and Arabie 1985) of two labellings of n items, any ids >= 0. 1 when both are the same single cluster. */
double ehm_adjusted_rand(const int32_t *a, const int32_t *b, int32_t n, ehm_arena *scratch);
#endif
