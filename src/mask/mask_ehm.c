/* Evolved hierarchical masking: patches are hidden by whole nodes of a tree over the picture's patches, few
 * and large ones as training proceeds. The paper gives no equations: a reconstruction. */
#include "base/clock.h"
#include "mask/tree_mask_int.h"

static uint32_t ehm_needs(const ehm_mask_settings *settings, const char *arg, int32_t n,
                          double progress_frac) {
    const ehm_mask_settings *s = ehm_mask_settings_or(settings);
    (void)arg;
    if (ehm_mask_all_leaves(s, n, progress_frac)) return 0;
    uint32_t need = s->node_order == EHM_NODE_ORDER_ATTENTION ? EHM_MASK_NEEDS_CLS
                    : s->node_order == EHM_NODE_ORDER_LOSS    ? EHM_MASK_NEEDS_LOSS
                                                              : 0;
    switch (s->tree_source) {
    case EHM_SOURCE_SWAPPED: return need | EHM_MASK_NEEDS_OTHER;
    case EHM_SOURCE_SPATIAL: return need;
    case EHM_SOURCE_PIXELS: return need | EHM_MASK_NEEDS_COLOUR;
    case EHM_SOURCE_LABELS: return need | EHM_MASK_NEEDS_LABELS;
    default: return need | EHM_MASK_NEEDS_SIMILARITY;
    }
}

static int32_t bucket_of(int32_t size) {
    int32_t b = 0;
    while (size > 1 && b < EHM_NODE_SIZES - 1) size >>= 1, b++;
    return b;
}

static void facts_of(ehm_mask_facts *to, const ehm_frontier *f, const uint8_t *removed, int32_t n_masked) {
    to->n_nodes = f->n_nodes, to->largest = ehm_frontier_largest(f),
    to->k_effective = (float)ehm_frontier_effective(f);
    for (int32_t k = 0; k < f->n_nodes; k++) {
        int32_t size = ehm_frontier_size(f, k), b = bucket_of(size);
        to->n_single += size == 1, to->n_over_masked += size > n_masked,
            to->n_over_visible += size > f->n - n_masked;
        to->leaves_of_size[b] += size;
        for (int32_t i = f->start[k]; i < f->start[k + 1]; i++)
            to->removed_of_size[b] += removed[f->member[i]];
    }
}

/* Whether this picture's own level needs no tree, though that of another one may. */
static bool leaves_for(const ehm_mask_in *in, int32_t n) {
    const ehm_mask_settings *s = ehm_mask_settings_or(in->settings);
    double u, rounding;
    if (ehm_mask_all_leaves(s, n, (double)in->progress_frac)) return true;
    ehm_mask_draw_level(&u, &rounding, in);
    return s->cut == EHM_CUT_DEPTH ? ehm_mask_level_of(s, u) <= 0 : ehm_mask_nodes_at(s, n, u) >= n;
}

static ehm_code ehm_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w;
    ehm_mask_facts facts = {0};
    ehm_frontier f;
    ehm_tree tree;
    EHM_TRY(ehm_frontier_new(&f, n, scratch, err));
    uint8_t *removed = EHM_NEW_N(scratch, uint8_t, n);
    if (!removed) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
    if (leaves_for(in, n)) ehm_mask_frontier_of_leaves(&f, n);
    else {
        double begin = ehm_clock_s();
        EHM_TRY(ehm_tree_new(&tree, n, scratch, err));
        EHM_TRY(ehm_mask_tree(&tree, &facts.flat, in, scratch, err));
        ehm_mask_frontier(&f, &facts.k_wanted, &tree, in, scratch);
        if (facts.flat) ehm_mask_frontier_of_leaves(&f, n); /* its tree is made of ties */
        facts.has_tree = true, facts.tree_s = ehm_clock_s() - begin;
    }
    for (int32_t v = 0; v < in->n_views; v++) {
        double begin = ehm_clock_s();
        out[v].facts = facts;
        if (v) out[v].facts.tree_s = 0; /* one tree for all of them */
        EHM_TRY(ehm_mask_select_view(removed, &out[v].facts.n_cut, &f, &tree, in->n_masked, in, v, scratch,
                                     err));
        ehm_mask_of_flags(&out[v], removed, n);
        out[v].facts.select_s = ehm_clock_s() - begin;
        if (facts.has_tree && !facts.flat) facts_of(&out[v].facts, &f, removed, in->n_masked);
    }
    return EHM_OK;
}

ehm_code ehm_mask_facts_of(ehm_mask_facts *out, const ehm_tree *tree, bool flat, int32_t k, int32_t n_cut,
                           const ehm_mask *m, const ehm_mask_settings *settings, ehm_arena *scratch,
                           ehm_err *err) {
    int32_t n = tree->n;
    ehm_frontier f;
    *out = (ehm_mask_facts){.n_cut = n_cut};
    if (k >= n) return EHM_OK;
    out->has_tree = true, out->flat = flat, out->k_wanted = k;
    if (flat) return EHM_OK;
    EHM_TRY(ehm_frontier_new(&f, n, scratch, err));
    uint8_t *removed = EHM_NEW_N(scratch, uint8_t, n);
    if (!removed) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
    for (int32_t i = 0; i < m->n_masked; i++) removed[m->masked[i]] = 1;
    ehm_mask_cut(&f, tree, k, settings);
    facts_of(out, &f, removed, m->n_masked);
    return EHM_OK;
}

const ehm_mask_rule ehm_mask_rule_ehm = {
    .name = "ehm",
    .summary = "nodes of a tree grown from the model's attention, coarser as training proceeds",
    .source = "reconstruction of arXiv 2504.09155, which gives no equations and no code",
    .details = "Begins as random and ends with --k-end nodes. Its options: --similarity, --linkage, "
               "--tree-source (controls), --schedule, --k-start, --k-end, --k-jitter, --cut, --select, "
               "--boundary, --node-order, --mix-random, --mix-levels. Each patch is hidden equally often "
               "unless --select prefix or a --node-order other than uniform is given: such an order takes "
               "nodes from the front, as --select prefix does.",
    .needs = ehm_needs,
    .draw = ehm_draw,
};
