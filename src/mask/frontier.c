/* From a tree to the nodes that are hidden or shown together. */
#include "mask/tree_mask_int.h"
#include <math.h>

void ehm_mask_frontier_of_leaves(ehm_frontier *f, int32_t n) {
    f->n = f->n_nodes = n;
    for (int32_t i = 0; i < n; i++) f->node[i] = f->start[i] = f->member[i] = f->of_leaf[i] = i;
    f->start[n] = n;
}

/* The root distance falls from this tree's depth to that of k_end nodes in a balanced tree; between two
 * levels the finer one is taken as often as its share says. */
static int32_t depth_at(int32_t depth, int32_t k_end, double level, double rounding) {
    int32_t end = 0;
    while ((int64_t)1 << end < k_end) end++;
    double d = depth + (fmin(end, depth) - depth) * level, whole = floor(d);
    return (int32_t)whole + (rounding < d - whole);
}

void ehm_mask_cut(ehm_frontier *f, const ehm_tree *tree, int32_t k, const ehm_mask_settings *s) {
    if (s->cut == EHM_CUT_COUNT) ehm_cut_count(f, tree, k);
    else ehm_cut_effective(f, tree, k);
}

void ehm_mask_frontier(ehm_frontier *f, int32_t *k_wanted, const ehm_tree *tree, const ehm_mask_in *in,
                       ehm_arena *scratch) {
    const ehm_mask_settings *s = ehm_mask_settings_or(in->settings);
    int32_t n = tree->n, k = 0;
    double u, rounding;
    (void)scratch; /* the frontier's own workspace does */
    ehm_mask_draw_level(&u, &rounding, in);
    if (s->cut == EHM_CUT_DEPTH) {
        int32_t d =
            depth_at(ehm_tree_depth(tree, f->work), ehm_mask_k_end(s, n), ehm_mask_level_of(s, u), rounding);
        k = d < 30 && 1 << d < n ? 1 << d : n; /* what so many levels would be in a balanced tree */
        ehm_cut_depth(f, tree, d);
    } else {
        k = ehm_mask_nodes_at(s, n, u);
        ehm_mask_cut(f, tree, k, s);
    }
    if (k_wanted) *k_wanted = k;
}
