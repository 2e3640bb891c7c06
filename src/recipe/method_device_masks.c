/* Trees and masks made on the device, where it can: nothing is fetched between the teacher's pass and the step, and what they were is looked at once the
 * step is done. The same bits as method_masks.c gives. */
#include "recipe/method_int.h"

/* ---- planning ---- */

static bool possible(const ehm_method *m, const ehm_dev *d) {
    const ehm_method_masks *k = &m->masks;
    return m->train && k->affinity && !k->log_trees && !strcmp(m->rule->name, "ehm") && ehm_mask_for_device(&k->settings) &&
           m->corrupt->plain_routes && m->head->lists && m->shape.n_patches > 1 && ehm_dev_has_trees(d, m->shape.n_patches);
}

void ehm_device_masks_plan(ehm_method *m, ehm_plan *plan) {
    ehm_device_masks *e = &m->masks.device;
    int64_t B = ehm_method_crops(m), S = m->batch, merges = m->shape.n_patches - 1;
    e->on = possible(m, plan->dev);
    if (!e->on) return;
    ehm_trees_args *t = &e->trees;
    t->left = ehm_plan_2d(plan, EHM_MEM_CACHE, NULL, EHM_I32, B, merges), t->right = ehm_plan_2d(plan, EHM_MEM_CACHE, NULL, EHM_I32, B, merges);
    t->size = ehm_plan_2d(plan, EHM_MEM_CACHE, NULL, EHM_I32, B, merges), t->height = ehm_plan_2d(plan, EHM_MEM_CACHE, NULL, EHM_F32, B, merges);
    t->offset = ehm_plan_1d(plan, EHM_MEM_CACHE, NULL, EHM_F32, B), t->state = ehm_plan_1d(plan, EHM_MEM_CACHE, NULL, EHM_I32, B);
    e->masks = (ehm_tree_masks_args){
        .visible = ehm_plan_2d(plan, EHM_MEM_CACHE, NULL, EHM_I32, S, m->n_visible),
        .left = t->left, .right = t->right, .size = t->size, .state = t->state,
        .n_masked = m->n_masked, .by_nodes = ehm_mask_by_nodes(&m->masks.settings, m->n_masked),
        .effective = m->masks.settings.cut == EHM_CUT_EFFECTIVE, .along_tree = m->masks.settings.boundary == EHM_BOUNDARY_TREE};
    e->masks.masked = ehm_plan_2d(plan, EHM_MEM_CACHE, NULL, EHM_I32, S, m->n_masked);
    e->masks.n_cut = ehm_plan_1d(plan, EHM_MEM_CACHE, NULL, EHM_I32, S);
    e->masks.k = ehm_plan_1d(plan, EHM_MEM_INPUT, NULL, EHM_I32, S);
    e->masks.keys = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, S, EHM_TREE_KEYS);
}

bool ehm_device_masks_open(ehm_method *m) {
    ehm_device_masks *e = &m->masks.device;
    size_t B = (size_t)ehm_method_crops(m), S = (size_t)m->batch, merges = (size_t)m->shape.n_patches - 1;
    if (!e->on) return true;
    e->k = EHM_NEW_N(&m->arena, int32_t, S), e->n_cut = EHM_NEW_N(&m->arena, int32_t, S), e->state = EHM_NEW_N(&m->arena, int32_t, B);
    e->keys = EHM_NEW_N(&m->arena, uint32_t, EHM_TREE_KEYS * S);
    e->tree = EHM_NEW_N(&m->arena, ehm_tree, B);
    int32_t *nodes = EHM_NEW_N(&m->arena, int32_t, 3 * B * merges);
    if (!e->k || !e->n_cut || !e->state || !e->keys || !e->tree || !nodes) return false;
    for (size_t i = 0; i < B; i++) {
        int32_t *left = nodes + i * merges;
        e->tree[i] = (ehm_tree){.n = m->shape.n_patches, .left = left, .right = left + B * merges, .size = left + 2 * B * merges};
    }
    return true;
}

/* ---- before the step ---- */

void ehm_device_masks_numbers(ehm_method *m, const ehm_mask_in *in, int64_t i) {
    ehm_device_masks *e = &m->masks.device;
    e->k[i] = ehm_mask_numbers(e->keys + EHM_TREE_KEYS * i, in);
}

void ehm_device_masks_upload(ehm_method *m, ehm_dev *d) {
    ehm_device_masks *e = &m->masks.device;
    ehm_upload(d, e->masks.k, e->k, ehm_view_bytes(e->masks.k));
    ehm_upload(d, e->masks.keys, e->keys, ehm_view_bytes(e->masks.keys));
}

void ehm_device_masks_make(ehm_method *m, ehm_dev *d, ehm_view similarity) {
    ehm_device_masks *e = &m->masks.device;
    int64_t S = m->batch, V = m->n_visible;
    e->trees.s = similarity;
    ehm_dev_label(d, "trees");
    ehm_trees(d, &e->trees);
    ehm_dev_label(d, "masks");
    ehm_tree_masks(d, &e->masks);
    ehm_mask_routes_args r = {.embed_idx = ehm_fit2(m->embed_idx, S, V), .src = ehm_fit2(m->src, S, 1 + V), .pos_idx = ehm_fit2(m->pos_idx, S, 1 + V),
                              .target_idx = ehm_fit2(m->target_idx, S, m->n_masked), .visible = e->masks.visible, .masked = e->masks.masked};
    m->head->lists(m, &r.back, &r.pred);
    ehm_mask_routes(d, &r);
    ehm_dev_label(d, "");
}

/* ---- after it ---- */

typedef struct { ehm_method *m; bool failed[64]; } looking;

static bool look_at(const ehm_method *m, int64_t i, ehm_arena *scratch) {
    const ehm_method_masks *k = &m->masks;
    const ehm_device_masks *e = &k->device;
    int64_t crop = i % ehm_method_crops(m);
    ehm_mask mask = {m->visible + i * m->n_visible, m->masked + i * m->n_masked, m->n_visible, m->n_masked, {0}};
    ehm_arena_reset(scratch);
    int32_t *work = EHM_NEW_N(scratch, int32_t, 2 * m->shape.n_patches);
    if (!work || ehm_mask_facts_of(&k->facts[i], &e->tree[crop], e->state[crop] == EHM_TREES_FLAT, e->k[i], e->n_cut[i], &mask, &k->settings, scratch, NULL))
        return false;
    ehm_mask_shape_of(&k->shapes[i], &mask, m->shape.grid_h, m->shape.grid_w, work);
    return true;
}
static void look_at_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    looking *g = ctx;
    for (int64_t i = begin; i < end; i++) g->failed[i_thread] |= !look_at(g->m, i, &g->m->masks.scratch[i_thread]);
}

static void fetch(ehm_dev *d, void *to, ehm_view v) { ehm_download(d, to, v, ehm_view_bytes(v)); }

ehm_code ehm_method_settled(ehm_method *m, ehm_dev *d, ehm_err *err) {
    ehm_method_masks *k = &m->masks;
    ehm_device_masks *e = &k->device;
    ehm_pool *pool = ehm_dev_pool(d);
    looking g = {.m = m};
    if (!e->pending) return EHM_OK;
    e->pending = false;
    fetch(d, m->visible, e->masks.visible), fetch(d, m->masked, e->masks.masked), fetch(d, e->n_cut, e->masks.n_cut), fetch(d, e->state, e->trees.state);
    fetch(d, e->tree->left, e->trees.left), fetch(d, e->tree->right, e->trees.right), fetch(d, e->tree->size, e->trees.size);
    EHM_TRY(ehm_dev_check(d, err));
    for (int32_t i = 0; i < ehm_method_crops(m); i++)
        if (e->state[i] == EHM_TREES_BAD) return EHM_FAIL(err, EHM_E_NUMERIC, "the attention of picture %d of the batch is not finite", (int)i);
    ehm_pool_for(k->n_scratch == ehm_pool_threads(pool) ? pool : NULL, m->batch, 1, look_at_some, &g);
    for (int i = 0; i < 64; i++)
        if (g.failed[i]) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for what the masks of a batch of %d were", (int)m->batch);
    ehm_method_masks_add(m, e->progress, m->batch);
    return EHM_OK;
}
