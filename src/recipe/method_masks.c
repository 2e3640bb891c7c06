/* Masks of a batch: what the rule asks for (the model's attention over all patches, patch colours, labels, a file) is made first, then
 * each picture's mask is drawn, in parallel; what the rules tell of their trees is summed up for the log. */
#include "base/clock.h"
#include "base/hash.h"
#include "recipe/method_int.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is summed over a line of the log ---- */

enum { SIZES = EHM_NODE_SIZES };
typedef enum {
    M_LOADS, M_PICTURES, M_U, M_TREES, M_FLAT, M_K, M_NODES, M_EFFECTIVE, M_EFFECTIVE_SHARE, M_LARGEST, M_SINGLE, M_OVER_MASKED,
    M_OVER_VISIBLE, M_CUT, M_MASKED_REGIONS, M_VISIBLE_REGIONS, M_LARGEST_REGION, M_PERIMETER, M_LEAVES, M_REMOVED = M_LEAVES + SIZES,
    METERS = M_REMOVED + SIZES
} meter;
enum { T_TEACHER, T_SIMILARITY, T_TREE, T_SELECT };

static void add_facts(double *m, const ehm_mask_facts *f, int32_t n) {
    m[M_FLAT] += f->flat;
    if (!f->has_tree) return;
    m[M_TREES]++;
    m[M_K] += f->k_wanted, m[M_NODES] += f->n_nodes, m[M_EFFECTIVE] += f->k_effective;
    m[M_EFFECTIVE_SHARE] += f->k_wanted ? f->k_effective / f->k_wanted : 0;
    m[M_LARGEST] += (double)f->largest / n, m[M_SINGLE] += f->n_nodes ? (double)f->n_single / f->n_nodes : 0;
    m[M_OVER_MASKED] += f->n_over_masked, m[M_OVER_VISIBLE] += f->n_over_visible, m[M_CUT] += f->n_cut;
    for (int32_t i = 0; i < SIZES; i++) m[M_LEAVES + i] += f->leaves_of_size[i], m[M_REMOVED + i] += f->removed_of_size[i];
}

static void add_shape(double *m, const ehm_mask_shape *s) {
    m[M_MASKED_REGIONS] += s->n_masked_regions, m[M_VISIBLE_REGIONS] += s->n_visible_regions;
    m[M_LARGEST_REGION] += s->largest_masked_region, m[M_PERIMETER] += s->perimeter;
}

int32_t ehm_method_metrics(ehm_method *m, ehm_method_metric out[EHM_METHOD_METRICS_MAX]) {
    static const char *const removed[SIZES] = {"removed_1", "removed_2", "removed_4", "removed_8", "removed_16", "removed_32", "removed_64",
                                               "removed_128", "removed_256", "removed_512", "removed_1024", "removed_2048", "removed_4096"};
    static const struct { const char *name; meter at; } tree[] = {
        {"tree_k", M_K}, {"tree_nodes", M_NODES}, {"tree_k_effective", M_EFFECTIVE}, {"tree_k_effective_share", M_EFFECTIVE_SHARE},
        {"tree_largest_share", M_LARGEST}, {"tree_single_share", M_SINGLE}, {"tree_nodes_over_masked", M_OVER_MASKED},
        {"tree_nodes_over_visible", M_OVER_VISIBLE}, {"tree_nodes_cut", M_CUT}};
    static const struct { const char *name; meter at; } shape[] = {
        {"masked_regions", M_MASKED_REGIONS}, {"visible_regions", M_VISIBLE_REGIONS}, {"largest_masked_region", M_LARGEST_REGION}, {"mask_perimeter", M_PERIMETER}};
    double *s = m->masks.meters, pictures = s[M_PICTURES], trees = s[M_TREES];
    int32_t n = 0;
    if (!pictures) return 0;
    out[n++] = (ehm_method_metric){"u", s[M_U] / s[M_LOADS]};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) out[n++] = (ehm_method_metric){shape[i].name, s[shape[i].at] / pictures};
    if (m->masks.ever) out[n++] = (ehm_method_metric){"flat_share", s[M_FLAT] / pictures}; /* nothing to go by: their masks were random */
    for (size_t i = 0; trees > 0 && i < sizeof tree / sizeof *tree; i++) out[n++] = (ehm_method_metric){tree[i].name, s[tree[i].at] / trees};
    for (int32_t i = 0; i < SIZES; i++)
        if (s[M_LEAVES + i] > 0) out[n++] = (ehm_method_metric){removed[i], s[M_REMOVED + i] / s[M_LEAVES + i]};
    memset(s, 0, METERS * sizeof *s);
    return n;
}

int32_t ehm_method_timings(ehm_method *m, ehm_method_metric out[EHM_METHOD_METRICS_MAX]) {
    static const char *const name[] = {"teacher_ms", "similarity_ms", "tree_ms", "selection_ms"};
    ehm_method_masks *k = &m->masks;
    int32_t n = 0;
    if (k->ever && k->n_loads && !k->device.on) /* a device that runs ahead has its own clock */
        for (int i = 0; i < 4; i++) out[n++] = (ehm_method_metric){name[i], 1e3 * k->load_s[i] / (double)k->n_loads};
    memset(k->load_s, 0, sizeof k->load_s);
    k->n_loads = 0;
    return n;
}

double *ehm_method_meters(ehm_method *m, int32_t *n) {
    *n = METERS;
    return m->masks.meters;
}

/* ---- opening ---- */

ehm_code ehm_recipe_check(const ehm_config *c, ehm_err *err) {
    ehm_mask_settings s;
    if (!ehm_mask_rule_find(c->mask, NULL, err)) return EHM_E_CONFIG;
    return ehm_mask_settings_of(&s, c, err);
}

static const ehm_mask_rule *tree_rule(void) { return ehm_mask_rule_find("ehm", NULL, NULL); }

/* The rule in force at this progress. */
static const ehm_mask_rule *rule_at(const ehm_method *m, double u) {
    return m->masks.warmup_random && u <= 0 ? ehm_mask_rule_find("random", NULL, NULL) : m->rule;
}

static uint32_t needs_now(const ehm_method *m, double u) {
    const ehm_method_masks *k = &m->masks;
    uint32_t needs = ehm_mask_needs(rule_at(m, u), &k->settings, k->arg, m->shape.n_patches, u);
    if (k->log_trees) needs |= ehm_mask_needs(tree_rule(), &k->settings, NULL, m->shape.n_patches, u);
    return needs;
}

static uint32_t wants_of(uint32_t needs) {
    return (needs & (EHM_MASK_NEEDS_SIMILARITY | EHM_MASK_NEEDS_OTHER) ? EHM_WANT_SIMILARITY : 0) |
           (needs & EHM_MASK_NEEDS_ATTENTION ? EHM_WANT_ATTENTION : 0) | (needs & EHM_MASK_NEEDS_CLS ? EHM_WANT_CLS : 0);
}

double ehm_method_teacher_s(const ehm_method *m, double progress) { return wants_of(needs_now(m, progress)) ? 0 : m->masks.pass_s; }

static ehm_code open_file(ehm_method *m, const ehm_config *cfg, ehm_err *err) {
    ehm_method_masks *k = &m->masks;
    bool pairs = k->settings.tree_source == EHM_SOURCE_FILE && !strcmp(m->rule->name, "ehm");
    if (!(k->ever & EHM_MASK_NEEDS_SCORE) && !pairs) {
        if (!cfg->mask_file) return EHM_OK;
        EHM_HINT(err, "the rules file and scores:file read it, and --tree-source file");
        return EHM_FAIL(err, EHM_E_CONFIG, "--mask-file %s: mask rule %s reads no file", cfg->mask_file, cfg->mask);
    }
    if (!cfg->mask_file)
        return EHM_FAIL(err, EHM_E_CONFIG, "%s reads a file of %s, and --mask-file is not given",
                        pairs ? "--tree-source file" : cfg->mask, pairs ? "similarities" : "numbers a patch");
    EHM_TRY(ehm_mask_file_open(&k->file, cfg->mask_file, pairs ? EHM_FILE_PAIRS : EHM_FILE_PATCHES, m->shape.grid_h, m->shape.grid_w, 0, err));
    if (strcmp(m->rule->name, "file")) return EHM_OK;
    ehm_mask_file_counts c = ehm_mask_file_count(k->file, m->n_masked);
    if (c.n_fewer || c.n_more)
        k->note = ehm_arena_printf(&m->arena, "%s: of %lld masks %lld hide fewer than %d patches (random ones are added) and %lld more (random ones come back); %lld say nothing",
                                   cfg->mask_file, (long long)c.n, (long long)c.n_fewer, (int)m->n_masked, (long long)c.n_more, (long long)c.n_blank);
    return EHM_OK;
}

static bool small_memory(ehm_method *m) {
    ehm_method_masks *k = &m->masks;
    size_t B = (size_t)m->batch, L = (size_t)m->shape.n_patches;
    k->meters = EHM_NEW_N(&m->arena, double, METERS);
    k->facts = EHM_NEW_N(&m->arena, ehm_mask_facts, B);
    k->shapes = EHM_NEW_N(&m->arena, ehm_mask_shape, B);
    if (k->ever & EHM_MASK_NEEDS_LOSS && (!(k->loss = EHM_NEW_N(&m->arena, float, 2 * L)) || !(k->row_loss = EHM_NEW_N(&m->arena, float, B * L)))) return false;
    return k->meters && k->facts && k->shapes;
}

/* What grows with the square of the patches waits until training begins: a method is also opened to count. */
static bool large_memory(ehm_method *m) {
    ehm_method_masks *k = &m->masks;
    size_t B = (size_t)ehm_method_crops(m), L = (size_t)m->shape.n_patches;
    uint32_t want = wants_of(k->ever);
    if (want & EHM_WANT_SIMILARITY && !(k->similarity = EHM_NEW_N(&m->arena, float, B * L * L))) return false;
    if (want & EHM_WANT_ATTENTION && !(k->attention = EHM_NEW_N(&m->arena, float, B * L * L))) return false;
    if (want & EHM_WANT_CLS && !(k->cls = EHM_NEW_N(&m->arena, float, B * L))) return false;
    if (k->ever & EHM_MASK_NEEDS_COLOUR && !(k->colour = EHM_NEW_N(&m->arena, float, (size_t)m->batch * L * (size_t)m->shape.channels))) return false;
    return true;
}

ehm_code ehm_method_masks_open(ehm_method *m, const ehm_config *cfg, ehm_err *err) {
    ehm_method_masks *k = &m->masks;
    const char *arg = NULL, *spec = cfg->mask ? cfg->mask : m->recipe->mask;
    if (!(m->rule = ehm_mask_rule_find(spec, &arg, err))) return EHM_E_CONFIG;
    if (arg && !(k->arg = ehm_arena_strdup(&m->arena, arg))) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the method");
    EHM_TRY(ehm_mask_settings_of(&k->settings, cfg, err));
    k->warmup_random = cfg->warmup_random && ehm_mask_needs_ever(m->rule, &k->settings, k->arg, m->shape.n_patches);
    if (m->train && m->rule->inexact)
        return EHM_FAIL(err, EHM_E_CONFIG, "mask rule %s removes another number of patches in each picture; training needs the same in all", m->rule->name);
    if (m->train) k->ever = ehm_mask_needs_ever(m->rule, &k->settings, k->arg, m->shape.n_patches);
    if (k->settings.node_order != EHM_NODE_ORDER_UNIFORM)
        k->note = ehm_arena_printf(&m->arena, "--node-order %s: nodes are taken from the front, so patches are not hidden equally often", cfg->node_order);
    k->log_trees = m->train && cfg->tree_log && !(k->ever & EHM_MASK_NEEDS_SIMILARITY);
    if (k->log_trees) k->ever |= ehm_mask_needs_ever(tree_rule(), &k->settings, NULL, m->shape.n_patches);
    if (k->ever & EHM_MASK_NEEDS_OTHER && ehm_method_crops(m) < 2)
        return EHM_FAIL(err, EHM_E_CONFIG, "--tree-source swapped takes the tree of the batch's next picture; a batch of 1 has none");
    if (m->train) EHM_TRY(open_file(m, cfg, err));
    if (!small_memory(m)) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the masks of a batch of %d", (int)m->batch);
    uint32_t want = wants_of(k->ever);
    if (!want) return EHM_OK;
    ehm_affinity_opt o;
    EHM_TRY(ehm_affinity_opt_of(&o, cfg, &m->shape, err));
    k->settings.balance = o.kind == EHM_SIM_BALANCED;
    EHM_TRY(ehm_affinity_open(&k->affinity, &o, &m->shape, ehm_method_crops(m), want, true, err));
    k->ema = !strcmp(cfg->tree_teacher, "ema"), k->half_life = cfg->tree_half_life;
    int32_t L = m->shape.n_patches;
    if (!ehm_vit_encoder_pass_open(&k->pass, &m->enc, ehm_method_crops(m), L, 1 + L, false, m->act, &m->arena))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the teacher's pass");
    return EHM_OK;
}

void ehm_method_masks_close(ehm_method *m) {
    ehm_method_masks *k = &m->masks;
    for (int32_t i = 0; i < k->n_scratch; i++) ehm_arena_free(&k->scratch[i]);
    free(k->scratch);
    ehm_affinity_close(k->affinity);
    ehm_mask_file_close(k->file);
}

void ehm_method_masks_plan(ehm_method *m, ehm_plan *plan) {
    ehm_method_masks *k = &m->masks;
    int64_t B = ehm_method_crops(m), L = m->shape.n_patches;
    if (k->loss) k->loss_state = ehm_plan_2d(plan, EHM_MEM_STATE, "mask.place_loss", EHM_F32, 2, L);
    if (!k->affinity) return;
    if (k->ema) ehm_weights_plan(&k->average, &m->params, plan, EHM_MEM_STATE, "teacher.", m->act);
    k->embed_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, B, L);
    k->src = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, B, 1 + L);
    k->pos_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, B, 1 + L);
    ehm_device_masks_plan(m, plan);
    size_t mark = ehm_plan_mark(plan);
    k->patches = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, ehm_dev_real(plan->dev), B, L, m->shape.patch_pixels);
    ehm_affinity_plan(k->affinity, plan);
    ehm_vit_encoder_pass_plan(&k->pass, plan, m->act);
    ehm_plan_release(plan, mark);
}

/* ---- the teacher ---- */

/* Every patch, in raster order: the same for every batch. */
static ehm_code route_all(ehm_method *m, ehm_dev *d, ehm_err *err) {
    ehm_method_masks *k = &m->masks;
    int64_t B = ehm_method_crops(m), L = m->shape.n_patches, N = 1 + L;
    if (k->routed) return EHM_OK;
    int32_t *idx = malloc((size_t)(B * N) * sizeof *idx);
    if (!idx) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the teacher's route");
    for (int64_t i = 0; i < B * L; i++) idx[i] = (int32_t)(i % L);
    ehm_upload(d, k->embed_idx, idx, (size_t)(B * L) * sizeof *idx);
    for (int64_t i = 0; i < B * N; i++) idx[i] = (int32_t)(i % N) - 1;
    ehm_upload(d, k->src, idx, (size_t)(B * N) * sizeof *idx);
    for (int64_t i = 0; i < B * N; i++) idx[i] = (int32_t)(i % N);
    ehm_upload(d, k->pos_idx, idx, (size_t)(B * N) * sizeof *idx);
    free(idx);
    k->routed = true;
    return EHM_OK;
}

/* learn: the batch counts in the running mean. there: masks are made on the device, else what was wanted is fetched. */
static ehm_code teach(ehm_method *m, ehm_dev *d, const ehm_batch *b, uint32_t want, bool learn, bool there, ehm_err *err) {
    ehm_method_masks *k = &m->masks;
    int64_t L = m->shape.n_patches;
    double t0 = ehm_clock_s();
    ehm_dev_label(d, "teacher");
    ehm_view patches = ehm_fit3(k->patches, b->n, L, m->shape.patch_pixels);
    ehm_vit_route all = {ehm_fit2(k->embed_idx, b->n, L), ehm_fit2(k->src, b->n, 1 + L), ehm_fit2(k->pos_idx, b->n, 1 + L)};
    if (!m->pixels_loaded) ehm_pixels_load(&m->pixels, d, b->pixels, b->type, b->n);
    m->pixels_loaded = true;
    const int64_t key[] = {b->n, want, learn, there, m->pixels.px.offset, m->pixels.type};
    double look = 0;
    while (ehm_dev_section(d, ehm_hash64(key, sizeof key, 1))) {
        ehm_pixels_patchify(&m->pixels, d, patches);
        ehm_affinity_run(k->affinity, d, &k->pass, k->ema ? &k->average : &m->weights, patches, &all, b->n, want, learn);
        look = ehm_affinity_look_s(k->affinity);
        if (there) ehm_device_masks_make(m, d, ehm_affinity_similarity(k->affinity));
        ehm_dev_section_end(d);
    }
    if (!there) EHM_TRY(ehm_affinity_fetch(k->affinity, d, want & EHM_WANT_SIMILARITY ? k->similarity : NULL, want & EHM_WANT_ATTENTION ? k->attention : NULL,
                               want & EHM_WANT_CLS ? k->cls : NULL, b->n, err));
    k->load_s[T_SIMILARITY] += look, k->load_s[T_TEACHER] += ehm_clock_s() - t0 - look;
    return EHM_OK;
}

/* ---- other things a rule may look at ---- */

static void mean_colours(const ehm_method *m, const ehm_batch *b, int64_t i, int64_t crop) {
    const ehm_vit_shape *s = &m->shape;
    size_t each = (size_t)s->img_h * (size_t)s->img_w * (size_t)s->channels * ehm_dtype_size(b->type);
    ehm_mask_patch_colours(m->masks.colour + i * s->n_patches * s->channels, (const char *)b->pixels + (size_t)crop * each, b->type, s->img_h, s->img_w,
                           s->channels, s->grid_h, s->grid_w);
}

typedef struct {
    ehm_method *m;
    const ehm_batch *b;
    float u;
    uint64_t seed;
    uint32_t needs;
    ehm_err *err; /* [n_scratch] */
    int64_t failed[64]; /* picture whose error a thread holds, -1 none */
} drawing;

/* Everything of sample i that was made: what belongs to its crop is shared by the crop's masks, the random keys are each mask's own. */
static ehm_code input_of(ehm_mask_in *in, const drawing *g, int64_t i, ehm_err *err) {
    ehm_method *m = g->m;
    ehm_method_masks *k = &m->masks;
    const ehm_batch *b = g->b;
    int64_t L = m->shape.n_patches, crop = i % b->n, view = i / b->n, slot = (b->slots ? b->slots[crop] : crop) + view * ((int64_t)1 << 40);
    bool pairs = k->settings.tree_source == EHM_SOURCE_FILE;
    *in = (ehm_mask_in){.grid_h = m->shape.grid_h, .grid_w = m->shape.grid_w, .n_masked = m->n_masked, .n_views = 1, .progress_frac = g->u,
                        .rng = ehm_rng_of(g->seed, EHM_RNG_mask, (uint32_t)b->epoch, (uint64_t)slot), .seed = g->seed, .sample = (uint64_t)slot,
                        .epoch = (uint32_t)b->epoch, .settings = &k->settings, .arg = k->arg};
    uint32_t want = wants_of(g->needs);
    if (want & EHM_WANT_SIMILARITY) in->similarity = k->similarity + crop * L * L;
    if (want & EHM_WANT_SIMILARITY && b->n > 1) in->similarity_other = k->similarity + (crop + 1) % b->n * L * L;
    if (want & EHM_WANT_ATTENTION) in->attention = k->attention + crop * L * L, in->n_attention_maps = m->shape.depth * m->shape.num_heads;
    if (want & EHM_WANT_CLS) in->cls_attention = k->cls + crop * L;
    if (g->needs & EHM_MASK_NEEDS_COLOUR) {
        mean_colours(m, b, i, crop);
        in->colour = k->colour + i * L * m->shape.channels, in->n_colour = m->shape.channels;
    }
    if (k->loss) in->loss = k->loss;
    if (b->patch_labels) in->labels = b->patch_labels + crop * b->n_levels * L, in->n_levels = b->n_levels;
    if (k->file) {
        const float *v = ehm_mask_file_of(k->file, b->ids ? b->ids[crop] : crop);
        if (!v)
            return EHM_FAIL(err, EHM_E_CONFIG, "--mask-file has no entry for picture %lld", (long long)(b->ids ? b->ids[crop] : crop));
        if (pairs) in->similarity = v;
        else in->score = v;
    }
    return EHM_OK;
}

static ehm_code draw_one(drawing *g, int64_t i, ehm_arena *scratch, ehm_err *err) {
    ehm_method *m = g->m;
    ehm_method_masks *k = &m->masks;
    int64_t L = m->shape.n_patches;
    ehm_mask_in in;
    ehm_arena_reset(scratch);
    ehm_mask mask = {.visible = m->visible + i * m->n_visible, .masked = m->masked + i * m->n_masked};
    EHM_TRY(input_of(&in, g, i, err));
    EHM_TRY(ehm_mask_draw(rule_at(m, g->u), &mask, &in, scratch, err));
    k->facts[i] = mask.facts;
    int32_t *work = EHM_NEW_N(scratch, int32_t, 2 * L);
    if (!work) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)L);
    ehm_mask_shape_of(&k->shapes[i], &mask, m->shape.grid_h, m->shape.grid_w, work);
    if (!k->log_trees) return EHM_OK;
    /* The tree that the rule would have used; its mask goes nowhere. */
    ehm_mask other = {.visible = EHM_NEW_N(scratch, int32_t, L), .masked = EHM_NEW_N(scratch, int32_t, L)};
    if (!other.visible || !other.masked) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)L);
    in.arg = NULL;
    EHM_TRY(ehm_mask_draw(tree_rule(), &other, &in, scratch, err));
    k->facts[i] = other.facts;
    return EHM_OK;
}

static void draw_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    drawing *g = ctx;
    if (g->failed[i_thread] >= 0) return;
    for (int64_t i = begin; i < end; i++)
        if (draw_one(g, i, &g->m->masks.scratch[i_thread], &g->err[i_thread])) {
            g->failed[i_thread] = i;
            return;
        }
}

/* ---- once, before the first step ---- */

/* Scratch grows to what the largest tree asks for, on attention that was never seen: in the run itself nothing is allocated. */
static ehm_code grow_scratch(ehm_method *m, ehm_dev *d, ehm_err *err) {
    ehm_method_masks *k = &m->masks;
    int32_t n = ehm_pool_threads(ehm_dev_pool(d)), L = m->shape.n_patches, levels = 3;
    if (n > 64) n = 64;
    k->scratch = calloc((size_t)n, sizeof *k->scratch);
    if (!k->scratch || !large_memory(m) || !ehm_device_masks_open(m)) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the masks of a batch of %d", (int)m->batch);
    k->n_scratch = n;
    ehm_arena a = {0};
    size_t LL = (size_t)L * (size_t)L;
    float *S = EHM_NEW_N(&a, float, LL), *row = EHM_NEW_N(&a, float, (size_t)L * (size_t)m->shape.channels);
    int32_t *lists = EHM_NEW_N(&a, int32_t, 2 * (size_t)L), *labels = EHM_NEW_N(&a, int32_t, (size_t)levels * (size_t)L), *work = EHM_NEW_N(&a, int32_t, 2 * (size_t)L);
    ehm_code rc = S && row && lists && labels && work ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory to draw a first mask");
    ehm_rng rng = ehm_rng_of(0, EHM_RNG_mask, 0, 0);
    for (int32_t i = 0; !rc && i < L; i++)
        for (int32_t j = 0; j <= i; j++) S[(size_t)i * (size_t)L + (size_t)j] = S[(size_t)j * (size_t)L + (size_t)i] = ehm_rng_f32(&rng);
    for (int32_t i = 0; !rc && i < L * m->shape.channels; i++) row[i] = (float)(i % 2);
    for (int32_t i = 0; !rc && i < L * levels; i++) labels[i] = i % 5;
    for (int32_t t = 0; !rc && t < n; t++)
        for (int u = 0; u <= 4 && !rc; u++) {
            ehm_mask_in in = {.grid_h = m->shape.grid_h, .grid_w = m->shape.grid_w, .n_masked = m->n_masked, .n_views = 1, .progress_frac = (float)u / 4,
                              .rng = rng, .settings = &k->settings, .arg = k->arg, .similarity = S, .similarity_other = S, .attention = S,
                              .cls_attention = S, .score = row, .loss = S, .colour = row, .n_colour = m->shape.channels, .labels = labels, .n_levels = levels};
            ehm_mask mask = {.visible = lists, .masked = lists + L};
            ehm_arena_reset(&k->scratch[t]);
            rc = ehm_mask_draw(m->rule, &mask, &in, &k->scratch[t], err);
            if (!EHM_NEW_N(&k->scratch[t], int32_t, 6 * (size_t)L)) rc = rc ? rc : EHM_FAIL(err, EHM_E_MEMORY, "no memory to draw a first mask");
            if (!rc && k->log_trees) in.arg = NULL, rc = ehm_mask_draw(tree_rule(), &mask, &in, &k->scratch[t], err);
        }
    ehm_arena_free(&a);
    return rc;
}

/* What the model gave for a picture whose mask could not be drawn: weights that blew up are no bad argument. */
static bool finite_inputs(const ehm_method_masks *k, uint32_t want, int64_t i, int64_t L) {
    for (int64_t j = i * L * L; j < (i + 1) * L * L; j++) {
        if (want & EHM_WANT_SIMILARITY && !isfinite(k->similarity[j])) return false;
        if (want & EHM_WANT_ATTENTION && !isfinite(k->attention[j])) return false;
    }
    for (int64_t j = i * L; want & EHM_WANT_CLS && j < (i + 1) * L; j++)
        if (!isfinite(k->cls[j])) return false;
    return true;
}

void ehm_method_masks_add(ehm_method *m, double progress, int64_t n) {
    ehm_method_masks *k = &m->masks;
    k->meters[M_LOADS]++, k->meters[M_U] += progress, k->meters[M_PICTURES] += (double)n;
    for (int64_t i = 0; i < n; i++) /* in order: the sums are the same for any threads */
        add_facts(k->meters, &k->facts[i], m->shape.n_patches), add_shape(k->meters, &k->shapes[i]);
}

/* The device draws: it is told what a mask takes beside the tree. */
static ehm_code draw_there(drawing *g, ehm_dev *d, ehm_err *err) {
    ehm_method *m = g->m;
    ehm_method_masks *k = &m->masks;
    for (int64_t i = 0; i < m->batch; i++) {
        ehm_mask_in in;
        EHM_TRY(input_of(&in, g, i, err));
        ehm_device_masks_numbers(m, &in, i);
    }
    ehm_device_masks_upload(m, d);
    EHM_TRY(teach(m, d, g->b, EHM_WANT_SIMILARITY, true, true, err));
    k->device.pending = true, k->device.progress = g->u;
    k->n_loads++;
    return EHM_OK;
}

ehm_code ehm_method_masks_draw(ehm_method *m, ehm_dev *d, const ehm_batch *b, float progress, uint64_t seed, ehm_err *err) {
    ehm_method_masks *k = &m->masks;
    ehm_pool *pool = ehm_dev_pool(d);
    ehm_err errors[64];
    drawing g = {.m = m, .b = b, .u = progress, .seed = seed, .err = errors, .needs = m->train ? needs_now(m, progress) : 0};
    bool first_load = !k->scratch;
    if (first_load) EHM_TRY(grow_scratch(m, d, err));
    if (k->affinity) EHM_TRY(route_all(m, d, err));
    /* The pass is made once for nothing: ops take what memory they need at the first call of a shape, and that is to be now, not when
     * K begins to fall. */
    if (first_load && k->affinity) {
        EHM_TRY(teach(m, d, b, wants_of(k->ever), false, false, err));
        double t0 = ehm_clock_s();
        EHM_TRY(teach(m, d, b, wants_of(k->ever), false, false, err)); /* and once more, to know what it takes */
        k->pass_s = ehm_clock_s() - t0;
        memset(k->load_s, 0, sizeof k->load_s);
    }
    uint32_t want = wants_of(g.needs);
    if (k->device.on && g.needs == EHM_MASK_NEEDS_SIMILARITY) return draw_there(&g, d, err);
    if (want) EHM_TRY(teach(m, d, b, want, true, false, err));
    for (int i = 0; i < k->n_scratch; i++) errors[i] = (ehm_err){0}, g.failed[i] = -1;
    double t0 = ehm_clock_s();
    ehm_pool_for(k->n_scratch == ehm_pool_threads(pool) ? pool : NULL, (int64_t)b->n * m->views, 1, draw_some, &g);
    double took = ehm_clock_s() - t0;
    int32_t first = -1;
    for (int32_t i = 0; i < k->n_scratch; i++)
        if (g.failed[i] >= 0 && (first < 0 || g.failed[i] < g.failed[first])) first = i;
    if (first >= 0) {
        if (!finite_inputs(k, want, g.failed[first] % b->n, m->shape.n_patches))
            return EHM_FAIL(err, EHM_E_NUMERIC, "the attention of picture %lld of the batch is not finite", (long long)(g.failed[first] % b->n));
        if (err && !err->code) *err = errors[first];
        return errors[first].code;
    }
    double tree_s = 0, select_s = 0;
    ehm_method_masks_add(m, (double)progress, (int64_t)b->n * m->views);
    for (int32_t i = 0; i < b->n * m->views; i++) tree_s += k->facts[i].tree_s, select_s += k->facts[i].select_s;
    /* Threads share the wall time of drawing as their own clocks divide it. */
    double all = tree_s + select_s;
    k->load_s[T_TREE] += all > 0 ? took * tree_s / all : 0, k->load_s[T_SELECT] += all > 0 ? took * select_s / all : took;
    k->n_loads++;
    return EHM_OK;
}

/* ---- between steps ---- */

/* The loss of a place: a running mean over pictures, since the next picture's own is not known before it is masked. */
static void learn_losses(ehm_method *m, ehm_dev *d) {
    static const float DECAY = 0.99f;
    ehm_method_masks *k = &m->masks;
    int64_t L = m->shape.n_patches, rows = (int64_t)m->n * m->n_masked;
    ehm_view v = m->loss_cache.row_loss;
    v.rank = 1, v.dim[0] = rows;
    ehm_download(d, k->row_loss, v, (size_t)rows * sizeof *k->row_loss);
    for (int64_t i = 0; i < rows; i++) {
        int32_t p = m->masked[i];
        float n = ++k->loss[L + p], w = n < 2000 ? (1 - DECAY) / (1 - powf(DECAY, n)) : 1 - DECAY;
        k->loss[p] += w * (k->row_loss[i] - k->loss[p]);
    }
    ehm_upload(d, k->loss_state, k->loss, (size_t)(2 * L) * sizeof *k->loss);
}

/* avg_t = the bias-corrected average: with w_t = (1 - d) / (1 - d^t), avg += w_t (p - avg), which begins as a copy (t = 1, w = 1). */
void ehm_method_stepped(ehm_method *m, ehm_dev *d, int64_t step, int64_t total) {
    ehm_method_masks *k = &m->masks;
    if (k->loss) learn_losses(m, d);
    if (!k->affinity || !k->ema) return;
    double half = k->half_life * (double)total, decay = half > 0 ? exp2(-1 / half) : 0, w = (1 - decay) / (1 - pow(decay, (double)step));
    for (int i = 0; i < EHM_PARAM_GROUPS; i++)
        if (k->average.flat[i].rank) ehm_ema(d, &(ehm_ema_args){.avg = k->average.flat[i], .p = m->weights.flat[i], .decay = (float)(1 - w)});
    ehm_weights_refresh(&k->average, d);
}

void ehm_method_started(ehm_method *m, ehm_dev *d) {
    ehm_method_masks *k = &m->masks;
    if (!k->affinity || !k->ema) return;
    for (int i = 0; i < EHM_PARAM_GROUPS; i++)
        if (k->average.flat[i].rank) ehm_axpby(d, &(ehm_axpby_args){.out = k->average.flat[i], .x = m->weights.flat[i], .a = 1, .b = 0});
    ehm_weights_refresh(&k->average, d);
}

void ehm_method_restored(ehm_method *m, ehm_dev *d) {
    ehm_weights_refresh(&m->weights, d);
    if (m->masks.loss) ehm_download(d, m->masks.loss, m->masks.loss_state, (size_t)(2 * m->shape.n_patches) * sizeof(float));
    if (m->masks.affinity && m->masks.ema) ehm_weights_refresh(&m->masks.average, d);
    if (m->masks.affinity) ehm_affinity_mean_restored(m->masks.affinity);
}

size_t ehm_method_host_bytes(const ehm_method *m, int32_t n_threads) {
    size_t LL = (size_t)m->shape.n_patches * (size_t)m->shape.n_patches * sizeof(float), B = (size_t)ehm_method_crops(m);
    uint32_t want = wants_of(m->masks.ever);
    size_t n = (want & EHM_WANT_SIMILARITY ? B * LL : 0) + (want & EHM_WANT_ATTENTION ? B * LL : 0);
    return n + (m->masks.ever ? 6 * LL * (size_t)n_threads : 0); /* a tree's copy of its matrix, and what a source or a rule makes beside it */
}

const char *ehm_method_note(const ehm_method *m) { return m->masks.note ? m->masks.note : ""; }
uint32_t ehm_method_needs(const ehm_method *m) { return m->masks.ever; }
const ehm_affinity *ehm_method_affinity(const ehm_method *m) { return m->masks.affinity; }
