/* The walk of `ehm eval tree`. The partner of picture i, whose tree is the control "swapped", is picture i + 1 of the same walk: the
 * order is shuffled, so that neighbours in a film are no partners. */
#include "eval/tree_pass_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "eval/tree_measures.h"
#include "infer/layer_affinity.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 64, CONTROL_NOISE_EPOCH = INT32_MAX };
enum { BY_ATTENTION, BY_MOVED, BY_SPATIAL, BY_PIXELS, BY_SCHEDULE, SOURCES };
const float ehm_tree_levels[EHM_TREE_LEVELS] = {0.25f, 0.5f, 1};

typedef struct {
    ehm_tree_pass *p;
    ehm_model *m;
    const ehm_vit_shape *s;
    ehm_pool *pool;
    uint64_t seed;
    int64_t n_max;
    int32_t i_level;
    ehm_mask_settings settings[SOURCES]; /* one for each source, all at k_end without noise; BY_SCHEDULE: attention's, at the K of each progress */
    ehm_linkage linkage;
    int32_t *labels;                     /* [n_max,L] */
    /* of the batch under way */
    int32_t n_batch;
    int64_t *place;                      /* [batch] picture of the walk, -1 left out */
    float *S, *A, *colour;
    float *layers;                       /* with agreement: [layers of kinds[0],n_batch,L,L] */
    uint8_t *mirrored, *flat;
    int32_t *node[2];                    /* [batch,L] */
    float *probs, *hidden;               /* hidden: [batch,1+L,D] */
    /* threads */
    ehm_arena scratch[THREADS_MAX];
    ehm_err errors[THREADS_MAX];
    int64_t failed[THREADS_MAX];
} walk;

/* ---- many pictures at once ---- */

typedef ehm_code (*picture_fn)(walk *w, int64_t i, void *arg, ehm_arena *scratch, ehm_err *err);
typedef struct {
    walk *w;
    picture_fn fn;
    void *arg;
} each_job;

static void each_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    each_job *j = ctx;
    walk *w = j->w;
    for (int64_t i = begin; i < end && w->failed[i_thread] < 0; i++) {
        ehm_arena_reset(&w->scratch[i_thread]);
        if (j->fn(w, i, j->arg, &w->scratch[i_thread], &w->errors[i_thread])) w->failed[i_thread] = i;
    }
}

/* fn for 0..n-1; the error of the lowest. */
static ehm_code each(walk *w, int64_t n, picture_fn fn, void *arg, ehm_err *err) {
    int32_t n_threads = ehm_pool_threads(w->pool), first = -1;
    if (n_threads > THREADS_MAX) n_threads = 1;
    for (int32_t t = 0; t < n_threads; t++) ehm_err_clear(&w->errors[t]), w->failed[t] = -1;
    ehm_pool_for(n_threads > 1 ? w->pool : NULL, n, 1, each_some, &(each_job){w, fn, arg});
    for (int32_t t = 0; t < n_threads; t++)
        if (w->failed[t] >= 0 && (first < 0 || w->failed[t] < w->failed[first])) first = t;
    if (first < 0) return EHM_OK;
    if (err && !err->code) *err = w->errors[first];
    return w->errors[first].code;
}

/* ---- trees ---- */

/* Balancing is the mask's part of a kind of similarity. */
static void use_kind(walk *w, const ehm_tree_kind *k) {
    w->settings[BY_ATTENTION].balance = w->settings[BY_MOVED].balance = !k->hidden && k->o.kind == EHM_SIM_BALANCED;
}

/* Keys depend on the picture alone, so that two models meet the same controls. */
static ehm_mask_in input_of(const walk *w, int source, int64_t picture, const float *S, const float *colour) {
    int64_t id = w->p->ids[picture];
    return (ehm_mask_in){.grid_h = w->s->grid_h,
                         .grid_w = w->s->grid_w,
                         .n_masked = w->s->n_patches - ehm_mask_n_visible(w->s->n_patches, w->settings[0].mask_ratio),
                         .n_views = 1,
                         .progress_frac = 1,
                         .rng = ehm_rng_of(w->seed, EHM_RNG_mask, 0, (uint64_t)id),
                         .seed = w->seed,
                         .sample = (uint64_t)id,
                         .settings = &w->settings[source],
                         .similarity = S,
                         .colour = colour,
                         .n_colour = colour ? w->s->channels : 0};
}

static ehm_code frontier_of(int32_t *node, const ehm_tree *tree, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    ehm_frontier f;
    EHM_TRY(ehm_frontier_new(&f, tree->n, scratch, err));
    ehm_mask_frontier(&f, NULL, tree, in, scratch);
    memcpy(node, f.of_leaf, sizeof *node * (size_t)tree->n);
    return EHM_OK;
}

static float purity_and_fit(ehm_tree_fits *fit, walk *w, const ehm_tree *t, int64_t p, ehm_arena *scratch) {
    const int32_t *label = w->labels + p * w->s->n_patches;
    if (fit) {
        ehm_tree_fit f = ehm_tree_fit_of(t, label, scratch);
        fit->of[0][p] = (float)f.best_node, fit->of[1][p] = (float)f.best_cut, fit->of[2][p] = (float)f.label_cut;
    }
    return (float)ehm_tree_purity(t, label, scratch);
}

/* Purity of a control's tree against picture p's labels, and how it fits them unless fit is NULL. */
static ehm_code control(float *out, ehm_tree_fits *fit, walk *w, int source, int64_t p, const float *S, const float *colour, ehm_arena *scratch, ehm_err *err) {
    ehm_tree t;
    bool flat;
    ehm_mask_in in = input_of(w, source, p, S, colour);
    EHM_TRY(ehm_tree_new(&t, w->s->n_patches, scratch, err));
    EHM_TRY(ehm_mask_tree(&t, &flat, &in, scratch, err));
    *out = purity_and_fit(fit, w, &t, p, scratch);
    return EHM_OK;
}

static ehm_code noise(float *out, ehm_tree_fits *fit, walk *w, int64_t p, ehm_arena *scratch, ehm_err *err) {
    int64_t n = w->s->n_patches;
    ehm_tree t;
    float *S = EHM_NEW_N(scratch, float, n * n);
    void *work = ehm_arena_alloc(scratch, 1, ehm_tree_work_bytes((int32_t)n, w->linkage, EHM_F32));
    if (!S || !work) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a tree of %lld patches", (long long)n);
    ehm_rng r = ehm_rng_of(w->seed, EHM_RNG_mask_source, CONTROL_NOISE_EPOCH, (uint64_t)w->p->ids[p]);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) S[i * n + j] = S[j * n + i] = ehm_rng_f32(&r);
    EHM_TRY(ehm_tree_new(&t, (int32_t)n, scratch, err));
    EHM_TRY(ehm_tree_build(&t, S, EHM_F32, (int32_t)n, w->linkage, 0, work, err));
    *out = purity_and_fit(fit, w, &t, p, scratch);
    return EHM_OK;
}

typedef struct {
    ehm_tree_kind *k;
    bool first;
} own_arg;

static ehm_code own_tree(walk *w, int64_t i, void *arg, ehm_arena *scratch, ehm_err *err) {
    own_arg *o = arg;
    ehm_tree_kind *k = o->k;
    ehm_tree_pass *pass = w->p;
    int64_t p = w->place[i], n = w->s->n_patches;
    if (p < 0) return EHM_OK;
    const float *S = w->S + i * n * n;
    ehm_mask_in in = input_of(w, BY_ATTENTION, p, S, NULL);
    bool flat;
    EHM_TRY(ehm_mask_tree(&k->tree[p], &flat, &in, scratch, err));
    w->flat[i] = flat;
    float *used = EHM_NEW_N(scratch, float, n * n);
    if (!used) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for similarities of %lld patches", (long long)n);
    EHM_TRY(ehm_mask_similarity(used, &in, scratch, err));
    k->popularity[p] = (float)ehm_tree_popularity(used, (int32_t)n);
    ehm_frontier f;
    EHM_TRY(ehm_frontier_new(&f, (int32_t)n, scratch, err));
    ehm_cut_count(&f, &k->tree[p], pass->k_end);
    k->share[p] = (float)(ehm_frontier_effective(&f) / f.n_nodes);
    EHM_TRY(frontier_of(k->node + p * n, &k->tree[p], &in, scratch, err));
    if (o->first && pass->controls) pass->sink[p] = (float)ehm_sink_index(w->A + i * n * n, (int32_t)n);
    if (!pass->has_labels) return EHM_OK;
    k->purity[p] = purity_and_fit(&k->fit, w, &k->tree[p], p, scratch);
    EHM_TRY(control(&k->moved[p], NULL, w, BY_MOVED, p, S, NULL, scratch, err));
    if (!o->first || !pass->baselines) return EHM_OK;
    EHM_TRY(control(&pass->spatial[p], &pass->spatial_fit, w, BY_SPATIAL, p, NULL, NULL, scratch, err));
    EHM_TRY(control(&pass->pixels[p], &pass->pixels_fit, w, BY_PIXELS, p, NULL, w->colour + i * n * w->s->channels, scratch, err));
    return noise(&pass->noise[p], &pass->noise_fit, w, p, scratch, err);
}

/* The frontier of S at k_end, into arg [batch,L]. */
static ehm_code other_frontier(walk *w, int64_t i, void *arg, ehm_arena *scratch, ehm_err *err) {
    int64_t p = w->place[i], n = w->s->n_patches;
    ehm_tree t;
    bool flat;
    if (p < 0) return EHM_OK;
    ehm_mask_in in = input_of(w, BY_ATTENTION, p, w->S + i * n * n, NULL);
    EHM_TRY(ehm_tree_new(&t, (int32_t)n, scratch, err));
    EHM_TRY(ehm_mask_tree(&t, &flat, &in, scratch, err));
    return frontier_of((int32_t *)arg + i * n, &t, &in, scratch, err);
}

static ehm_code agree_halves(walk *w, int64_t i, void *arg, ehm_arena *scratch, ehm_err *err) {
    int32_t n = w->s->n_patches;
    (void)arg, (void)err;
    if (w->place[i] >= 0) w->p->split[w->place[i]] = (float)ehm_adjusted_rand(w->node[0] + i * n, w->node[1] + i * n, n, scratch);
    return EHM_OK;
}

static ehm_code agree_mirror(walk *w, int64_t i, void *arg, ehm_arena *scratch, ehm_err *err) {
    int64_t n = w->s->n_patches, p = w->place[i];
    (void)arg, (void)err;
    if (p < 0) return EHM_OK;
    ehm_frontier_mirror(w->node[1] + i * n, w->node[0] + i * n, w->s->grid_h, w->s->grid_w);
    w->p->flip[p] = (float)ehm_adjusted_rand(w->p->kinds[0].node + p * n, w->node[1] + i * n, (int32_t)n, scratch);
    return EHM_OK;
}

/* With the next picture, once all are there. */
static ehm_code next_picture(walk *w, int64_t p, void *arg, ehm_arena *scratch, ehm_err *err) {
    ehm_tree_kind *k = arg;
    int64_t n = w->s->n_patches, q = (p + 1) % w->p->n;
    (void)err;
    if (!w->p->agreement) k->position[p] = (float)ehm_adjusted_rand(k->node + p * n, k->node + q * n, (int32_t)n, scratch);
    if (w->p->has_labels) k->swapped[p] = purity_and_fit(w->p->agreement ? NULL : &k->swapped_fit, w, &k->tree[q], p, scratch);
    return EHM_OK;
}

/* ---- trees of some layers, from what all layers say ---- */

/* Summed in double and in the order of layers: the same set gives the same bits. */
static void mean_of_layers(float *S, const walk *w, const ehm_affinity_opt *o, int64_t i) {
    const ehm_affinity_opt *all = &w->p->kinds[0].o;
    int64_t each_one = (int64_t)w->s->n_patches * w->s->n_patches;
    for (int64_t x = 0; x < each_one; x++) {
        double sum = 0;
        for (int32_t k = 0, at = 0; k < o->n_layers; k++, at++) {
            while (all->layer[at] != o->layer[k]) at++;
            sum += (double)w->layers[((int64_t)at * w->n_batch + i) * each_one + x];
        }
        S[x] = (float)(sum / o->n_layers);
    }
}

static ehm_code tree_of_layers(walk *w, int64_t i, void *arg, ehm_arena *scratch, ehm_err *err) {
    ehm_tree_kind *k = arg;
    int64_t p = w->place[i], n = w->s->n_patches;
    bool flat;
    if (p < 0) return EHM_OK;
    mean_of_layers(w->S + i * n * n, w, &k->o, i);
    ehm_mask_in in = input_of(w, BY_ATTENTION, p, w->S + i * n * n, NULL);
    EHM_TRY(ehm_mask_tree(&k->tree[p], &flat, &in, scratch, err));
    w->flat[i] = flat;
    if (w->p->has_labels) k->purity[p] = purity_and_fit(NULL, w, &k->tree[p], p, scratch);
    return EHM_OK;
}

static ehm_code agree_with_partner(walk *w, int64_t i, void *arg, ehm_arena *scratch, ehm_err *err) {
    ehm_tree_kind *k = arg;
    int64_t p = w->place[i];
    int32_t n = w->s->n_patches, *node = EHM_NEW_N(scratch, int32_t, 2 * n);
    if (p < 0) return EHM_OK;
    if (!node) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for cuts of %d patches", (int)n);
    ehm_mask_in in = input_of(w, BY_SCHEDULE, p, NULL, NULL);
    for (int32_t l = 0; l < EHM_TREE_LEVELS; l++) {
        in.progress_frac = ehm_tree_levels[l];
        EHM_TRY(frontier_of(node, &k->tree[p], &in, scratch, err));
        EHM_TRY(frontier_of(node + n, &k->partner->tree[p], &in, scratch, err));
        k->agree[l][p] = (float)ehm_adjusted_rand(node, node + n, n, scratch);
    }
    return EHM_OK;
}

static void count_flat(const walk *w, ehm_tree_kind *k) {
    for (int32_t i = 0; i < w->n_batch; i++) k->n_flat += w->place[i] >= 0 && w->flat[i];
}

static ehm_code agreement_of_batch(walk *w, const ehm_batch *b, ehm_err *err) {
    ehm_tree_pass *p = w->p;
    bool fell_back = false;
    use_kind(w, &p->kinds[0]);
    EHM_TRY(ehm_model_layer_affinity(w->m, &p->kinds[0].o, b->pixels, b->type, w->n_batch, w->layers, &fell_back, err));
    for (int32_t k = 0; k < p->n_kinds; k++) {
        memset(w->flat, 0, (size_t)w->n_batch);
        EHM_TRY(each(w, w->n_batch, tree_of_layers, &p->kinds[k], err));
        count_flat(w, &p->kinds[k]);
        p->kinds[k].fell_back |= fell_back;
    }
    for (int32_t k = 0; k < p->n_kinds; k++)
        if (p->kinds[k].partner) EHM_TRY(each(w, w->n_batch, agree_with_partner, &p->kinds[k], err));
    return EHM_OK;
}

/* ---- a batch ---- */

static void mean_colours(walk *w, const ehm_batch *b) {
    const ehm_vit_shape *s = w->s;
    size_t each = (size_t)s->img_h * (size_t)s->img_w * (size_t)s->channels * ehm_dtype_size(b->type);
    for (int64_t i = 0; i < w->n_batch; i++)
        ehm_mask_patch_colours(w->colour + i * s->n_patches * s->channels, (const char *)b->pixels + (size_t)i * each, b->type, s->img_h, s->img_w,
                               s->channels, s->grid_h, s->grid_w);
}

static void mirror(walk *w, const ehm_batch *b) {
    const ehm_vit_shape *s = w->s;
    size_t px = (size_t)s->channels * ehm_dtype_size(b->type), W = (size_t)s->img_w, rows = (size_t)w->n_batch * (size_t)s->img_h;
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < W; x++)
            memcpy(w->mirrored + (y * W + x) * px, (const uint8_t *)b->pixels + (y * W + W - 1 - x) * px, px);
}

static ehm_code entropies(walk *w, const ehm_batch *b, ehm_err *err) {
    int64_t n = w->s->n_patches, each_one = (1 + n) * (1 + n);
    int32_t n_take = 0;
    for (int32_t i = 0; i < w->n_batch; i++)
        if (w->place[i] >= 0 && w->place[i] < EHM_TREE_ENTROPY_PICTURES) n_take = i + 1;
    for (int32_t block = 0; n_take && block < w->s->depth; block++) {
        EHM_TRY(ehm_model_attention(w->m, b->pixels, b->type, n_take, block, false, w->probs, err));
        for (int32_t i = 0; i < n_take; i++)
            if (w->place[i] >= 0 && w->place[i] < EHM_TREE_ENTROPY_PICTURES)
                w->p->entropy[block * w->n_max + w->place[i]] = (float)ehm_attention_entropy_patches(w->probs + i * each_one, (int32_t)n);
    }
    return EHM_OK;
}

static ehm_code cosines(walk *w, int64_t i, void *arg, ehm_arena *scratch, ehm_err *err) {
    int64_t L = w->s->n_patches, D = w->s->embed_dim;
    const bool *has_cls = arg;
    (void)scratch, (void)err;
    if (w->place[i] < 0) return EHM_OK;
    ehm_cosines(w->S + i * L * L, w->hidden + i * (L + *has_cls) * D + *has_cls * D, (int32_t)L, (int32_t)D);
    return EHM_OK;
}

static ehm_code hidden_similarity(walk *w, const ehm_tree_kind *k, const ehm_batch *b, ehm_err *err) {
    bool has_cls = k->hidden != EHM_TREE_LAST_HIDDEN;
    if (has_cls) EHM_TRY(ehm_model_hidden(w->m, b->pixels, b->type, w->n_batch, k->hidden, w->hidden, err));
    else EHM_TRY(ehm_model_tokens(w->m, b->pixels, b->type, w->n_batch, NULL, NULL, w->hidden, err));
    return each(w, w->n_batch, cosines, &has_cls, err);
}

static ehm_code controls_of_batch(walk *w, const ehm_batch *b, ehm_err *err) {
    ehm_tree_pass *p = w->p;
    use_kind(w, &p->kinds[0]);
    ehm_affinity_opt half[2];
    p->has_halves = ehm_affinity_halves(&half[0], &half[1], &p->kinds[0].o);
    for (int i = 0; i < 2 && p->has_halves; i++) {
        EHM_TRY(ehm_model_affinity(w->m, &half[i], b->pixels, b->type, w->n_batch, w->S, NULL, NULL, NULL, err));
        EHM_TRY(each(w, w->n_batch, other_frontier, w->node[i], err));
    }
    if (p->has_halves) EHM_TRY(each(w, w->n_batch, agree_halves, NULL, err));
    mirror(w, b);
    EHM_TRY(ehm_model_affinity(w->m, &p->kinds[0].o, w->mirrored, b->type, w->n_batch, w->S, NULL, NULL, NULL, err));
    EHM_TRY(each(w, w->n_batch, other_frontier, w->node[0], err));
    EHM_TRY(each(w, w->n_batch, agree_mirror, NULL, err));
    return entropies(w, b, err);
}

static ehm_code batch(walk *w, const ehm_batch *b, ehm_err *err) {
    ehm_tree_pass *p = w->p;
    int64_t n = w->s->n_patches;
    w->n_batch = 0;
    for (int32_t i = 0; i < b->n && p->n < w->n_max; i++) {
        w->n_batch = i + 1, w->place[i] = -1;
        if (b->ids[i] != b->slots[i]) { /* a stand-in for a bad file: it has its own turn */
            p->n_bad++;
            continue;
        }
        if (p->has_labels)
            memcpy(w->labels + p->n * n, b->patch_labels + ((int64_t)i * b->n_levels + w->i_level) * n, sizeof(int32_t) * (size_t)n);
        p->ids[p->n] = b->ids[i];
        w->place[i] = p->n++;
    }
    if (!w->n_batch) return EHM_OK;
    if (p->agreement) return agreement_of_batch(w, b, err);
    if (p->baselines && p->has_labels) mean_colours(w, b);
    for (int32_t k = 0; k < p->n_kinds; k++) {
        ehm_tree_kind *kind = &p->kinds[k];
        bool fell_back = false, first = k == 0;
        memset(w->flat, 0, (size_t)w->n_batch);
        use_kind(w, kind);
        if (kind->hidden) EHM_TRY(hidden_similarity(w, kind, b, err));
        else EHM_TRY(ehm_model_affinity(w->m, &kind->o, b->pixels, b->type, w->n_batch, w->S, first && p->controls ? w->A : NULL, NULL, &fell_back, err));
        kind->fell_back |= fell_back;
        EHM_TRY(each(w, w->n_batch, own_tree, &(own_arg){kind, first}, err));
        count_flat(w, kind);
    }
    return p->controls ? controls_of_batch(w, b, err) : EHM_OK;
}

/* ---- opening ---- */

static bool numbers(float **out, ehm_arena *a, int64_t n) {
    if (!(*out = EHM_NEW_N(a, float, n))) return false;
    for (int64_t i = 0; i < n; i++) (*out)[i] = NAN;
    return true;
}

static bool fits(ehm_tree_fits *f, ehm_arena *a, int64_t n) { return numbers(&f->of[0], a, n) && numbers(&f->of[1], a, n) && numbers(&f->of[2], a, n); }

static ehm_code memory(walk *w, ehm_err *err) {
    ehm_tree_pass *p = w->p;
    ehm_arena *a = &p->arena;
    int64_t N = w->n_max, L = w->s->n_patches, B = ehm_model_batch(w->m), C = w->s->channels;
    bool ok = (p->ids = EHM_NEW_N(a, int64_t, N)) && (w->labels = EHM_NEW_N(a, int32_t, N * L)) && (w->place = EHM_NEW_N(a, int64_t, B)) &&
              (w->flat = EHM_NEW_N(a, uint8_t, B)) &&
              (w->S = EHM_NEW_N(a, float, B * L * L));
    ok = ok && (w->node[0] = EHM_NEW_N(a, int32_t, B * L)) && (w->node[1] = EHM_NEW_N(a, int32_t, B * L));
    bool hidden = false;
    for (int32_t k = 0; k < p->n_kinds; k++) hidden |= p->kinds[k].hidden != 0;
    if (ok && hidden) ok = (w->hidden = EHM_NEW_N(a, float, B * (1 + L) * w->s->embed_dim));
    if (ok && p->agreement) ok = (w->layers = EHM_NEW_N(a, float, p->kinds[0].o.n_layers * B * L * L));
    if (ok && p->baselines)
        ok = (w->colour = EHM_NEW_N(a, float, B * L * C)) && numbers(&p->spatial, a, N) && numbers(&p->pixels, a, N) && numbers(&p->noise, a, N) &&
             fits(&p->spatial_fit, a, N) && fits(&p->pixels_fit, a, N) && fits(&p->noise_fit, a, N);
    if (ok && p->controls)
        ok = (w->A = EHM_NEW_N(a, float, B * L * L)) && (w->mirrored = EHM_NEW_N(a, uint8_t, B * w->s->img_h * w->s->img_w * C * 4)) &&
             (w->probs = EHM_NEW_N(a, float, (B < EHM_TREE_ENTROPY_PICTURES ? B : EHM_TREE_ENTROPY_PICTURES) * (1 + L) * (1 + L))) &&
             numbers(&p->split, a, N) && numbers(&p->flip, a, N) && numbers(&p->sink, a, N) &&
             numbers(&p->entropy, a, N * w->s->depth);
    for (int32_t k = 0; ok && k < p->n_kinds; k++) {
        ehm_tree_kind *t = &p->kinds[k];
        ok = numbers(&t->purity, a, N) && numbers(&t->swapped, a, N) && numbers(&t->moved, a, N) && fits(&t->fit, a, N) && fits(&t->swapped_fit, a, N) && numbers(&t->share, a, N) &&
             numbers(&t->position, a, N) && numbers(&t->popularity, a, N) && (t->node = EHM_NEW_N(a, int32_t, N * L)) &&
             (t->tree = EHM_NEW_N(a, ehm_tree, N));
        for (int32_t l = 0; ok && p->agreement && l < EHM_TREE_LEVELS; l++) ok = numbers(&t->agree[l], a, N);
        for (int64_t i = 0; ok && i < N; i++) EHM_TRY(ehm_tree_new(&t->tree[i], (int32_t)L, a, err));
    }
    if (ok) return EHM_OK;
    EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d kinds of trees of %lld pictures of %lld patches", p->n_kinds, (long long)N, (long long)L);
    return EHM_HINT(err, "--pictures or --eval-batch-size less than %lld and %lld", (long long)N, (long long)B), EHM_E_MEMORY;
}

static ehm_code settings_of(walk *w, const ehm_config *cfg, ehm_err *err) {
    static const ehm_tree_source source[SOURCES] = {EHM_SOURCE_ATTENTION, EHM_SOURCE_MOVED, EHM_SOURCE_SPATIAL, EHM_SOURCE_PIXELS, EHM_SOURCE_ATTENTION};
    ehm_mask_settings s;
    EHM_TRY(ehm_mask_settings_of(&s, cfg, err));
    ehm_node_schedule schedule = s.schedule;
    s.k_jitter = s.mix_random = 0, s.mix_levels = false, s.schedule = EHM_SCHEDULE_FIXED;
    for (int i = 0; i < SOURCES; i++) w->settings[i] = s, w->settings[i].tree_source = source[i];
    w->settings[BY_SPATIAL].tree_prior = w->settings[BY_PIXELS].tree_prior = 0;
    w->settings[BY_SCHEDULE].schedule = schedule;
    for (int32_t l = 0; l < EHM_TREE_LEVELS; l++) w->p->k_at[l] = ehm_mask_nodes_at(&w->settings[BY_SCHEDULE], w->s->n_patches, (double)ehm_tree_levels[l]);
    w->linkage = s.linkage;
    w->p->k_end = ehm_mask_k_end(&s, w->s->n_patches);
    return EHM_OK;
}

/* Which of the maps that come with a batch. */
static ehm_code level_of(walk *w, const ehm_batch *b, const char *spec, ehm_err *err) {
    static const char *const names[] = {"part", "object", "class"};
    for (int32_t i = 0; i < 3; i++)
        if (!strcmp(w->p->level, names[i])) w->i_level = i - 3 + b->n_levels;
    if (w->i_level >= 0) return EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "--level %s: %s has label maps of classes alone", w->p->level, spec);
}

static ehm_code all_batches(walk *w, ehm_loader *l, const char *spec, ehm_err *err) {
    double begin = ehm_clock_s();
    char done[32], all[32];
    bool looked = false;
    while (w->p->n < w->n_max) {
        ehm_batch b;
        ehm_err why = {0};
        ehm_code rc = ehm_loader_next(l, &b, &why);
        if (rc == EHM_E_STOPPED && !b.n && !ehm_stop_asked()) break;
        if (rc) {
            if (err && !err->code) *err = why;
            return rc;
        }
        if (ehm_stop_asked())
            return EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld of %lld pictures", (long long)w->p->n, (long long)w->n_max);
        if (w->p->has_labels && !looked) EHM_TRY(level_of(w, &b, spec, err));
        looked = true;
        EHM_TRY(batch(w, &b, err));
        if (!w->p->quiet) ehm_progress(false, "trees of %s of %s pictures, %.1f a second", ehm_format_count(w->p->n, done), ehm_format_count(w->n_max, all),
                     (double)w->p->n / (ehm_clock_s() - begin + 1e-9));
    }
    if (!w->p->quiet) ehm_progress(true, "trees of %s pictures", ehm_format_count(w->p->n, done));
    return EHM_OK;
}

/* Mean attention of the very pictures that are looked at next, for every kind that subtracts one; with agreement the first kind's serves all. */
static ehm_code learn_means(walk *w, ehm_dataset *ds, const ehm_loader_opt *o, ehm_err *err) {
    ehm_tree_pass *p = w->p;
    ehm_loader_opt opt = *o;
    ehm_code rc = EHM_OK;
    char done[32], all[32];
    opt.label_grid_h = opt.label_grid_w = 0;
    for (int32_t k = 0; k < (p->agreement ? 1 : p->n_kinds) && !rc; k++) {
        ehm_loader *l = NULL;
        if (p->kinds[k].o.kind != EHM_SIM_RESIDUAL) continue;
        rc = ehm_loader_open(&l, ds, &opt, 0, err);
        for (int64_t n = 0; n < w->n_max && !rc;) {
            ehm_batch b;
            if ((rc = ehm_loader_next(l, &b, err))) break;
            int32_t take = b.n < w->n_max - n ? b.n : (int32_t)(w->n_max - n);
            rc = ehm_model_learn_mean(w->m, &p->kinds[k].o, b.pixels, b.type, take, err);
            n += take;
            if (!rc && ehm_stop_asked()) rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while mean attention was learned");
            if (!p->quiet) ehm_progress(false, "mean attention of %s of %s pictures for %s", ehm_format_count(n, done), ehm_format_count(w->n_max, all), p->kinds[k].name);
        }
        ehm_loader_close(l);
        if (!rc) rc = ehm_model_learn_mean(w->m, &p->kinds[k].o, NULL, EHM_U8, 0, err);
    }
    return rc;
}

ehm_code ehm_tree_pass_run(ehm_tree_pass *p, ehm_model *m, ehm_dataset *ds, const ehm_config *cfg, ehm_err *err) {
    walk *w = calloc(1, sizeof *w);
    if (!w) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to walk over a set");
    ehm_loader *l = NULL;
    ehm_code rc;
    w->p = p, w->m = m, w->s = ehm_model_shape(m), w->pool = ehm_dev_pool(ehm_model_device(m)), w->seed = (uint64_t)cfg->seed;
    w->n_max = cfg->pictures < ehm_dataset_count(ds) ? cfg->pictures : ehm_dataset_count(ds);
    p->baselines |= p->controls;
    p->has_labels = ehm_dataset_n_map_classes(ds) > 0;
    p->n_patches = w->s->n_patches, p->depth = w->s->depth;
    ehm_loader_opt opt = {.batch_size = ehm_model_batch(m),
                          .h = w->s->img_h,
                          .w = w->s->img_w,
                          .augment = true,
                          .crop_min = cfg->crop_min,
                          .crop_max = cfg->crop_max,
                          .flip = cfg->flip,
                          .shuffle = true,
                          .seed = w->seed,
                          .label_grid_h = p->has_labels ? w->s->grid_h : 0,
                          .label_grid_w = p->has_labels ? w->s->grid_w : 0,
                          .n_workers = EHM_IS_AUTO(cfg->workers) ? ehm_cpu_count() : (int32_t)cfg->workers,
                          .max_bad = 1};
    if (w->s->n_patches < 2) {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "a grid of one patch has no tree");
        goto done;
    }
    if ((rc = settings_of(w, cfg, err)) || (rc = memory(w, err)) ||
        (!strcmp(cfg->tree_mean, "set") && (rc = learn_means(w, ds, &opt, err))) || (rc = ehm_loader_open(&l, ds, &opt, 0, err)) ||
        (rc = all_batches(w, l, ehm_dataset_spec(ds), err)))
        goto done;
    if (p->n < 2) {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "%s: %lld of its pictures can be used, and a tree is compared with that of another picture", ehm_dataset_spec(ds),
                      (long long)p->n);
        goto done;
    }
    for (int32_t k = 0; k < p->n_kinds && !rc; k++) rc = each(w, p->n, next_picture, &p->kinds[k], err);
    /* Rows of entropy were laid out for as many pictures as could come. */
    for (int32_t i = 1; p->controls && i < p->depth; i++) memmove(p->entropy + i * p->n, p->entropy + i * w->n_max, sizeof(float) * (size_t)p->n);
done:
    ehm_loader_close(l);
    for (int t = 0; t < THREADS_MAX; t++) ehm_arena_free(&w->scratch[t]);
    free(w);
    return rc;
}

void ehm_tree_pass_free(ehm_tree_pass *p) { ehm_arena_free(&p->arena); }
