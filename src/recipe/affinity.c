#include "recipe/affinity.h"
#include "base/clock.h"
#include "base/str.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float MEAN_DECAY = 0.99f;

struct ehm_affinity {
    ehm_affinity_opt o;
    ehm_vit_shape shape;
    int32_t batch;
    uint32_t want;
    bool train, has_mean;
    int32_t n_run[8];                        /* blocks to run for each set of wants */
    ehm_view probs, a, similarity, attention, cls, mean, count;
    /* the run under way */
    ehm_vit_encoder_pass *pass;
    int64_t b;
    uint32_t now;
    bool update;
    int32_t i_chosen;
    double look_s;
};

/* ---- which layers ---- */

static ehm_code bad_layers(const char *text, int32_t depth, ehm_err *err) {
    EHM_HINT(err, "all, last, first:K with K up to %d, first:1/3, or block numbers from 0 to %d such as 0,3,5", (int)depth, (int)depth - 1);
    return EHM_FAIL(err, EHM_E_CONFIG, "--tree-layers %s: the encoder has %d blocks", text, (int)depth);
}

static ehm_code first_layers(ehm_affinity_opt *o, const char *text, int32_t depth, ehm_err *err) {
    const char *p = text + strlen("first:"), *slash = strchr(p, '/');
    char a[24];
    int64_t k, of = 1;
    snprintf(a, sizeof a, "%.*s", slash ? (int)(slash - p) : 23, p);
    if (!ehm_parse_i64(a, &k) || (slash && !ehm_parse_i64(slash + 1, &of)) || k < 1 || of < 1 || (slash && k > of))
        return bad_layers(text, depth, err);
    if (slash) { /* to the nearest; at least two where there are, so that halves of the layers can be compared */
        k = (2 * k * depth + of) / (2 * of);
        if (k < 2) k = depth < 2 ? 1 : 2;
    }
    if (k > depth) return bad_layers(text, depth, err);
    o->n_layers = (int32_t)k;
    for (int32_t i = 0; i < o->n_layers; i++) o->layer[i] = i;
    return EHM_OK;
}

static ehm_code listed_layers(ehm_affinity_opt *o, const char *text, int32_t depth, ehm_err *err) {
    bool on[128] = {false};
    for (const char *p = text; *p;) {
        char one[24];
        int64_t i;
        size_t len = strcspn(p, ",");
        snprintf(one, sizeof one, "%.*s", (int)(len < 23 ? len : 23), p);
        if (!ehm_parse_i64(one, &i) || i < 0 || i >= depth) return bad_layers(text, depth, err);
        on[i] = true;
        p += len + (p[len] == ',');
    }
    o->n_layers = 0;
    for (int32_t i = 0; i < depth; i++)
        if (on[i]) o->layer[o->n_layers++] = i;
    return o->n_layers ? EHM_OK : bad_layers(text, depth, err);
}

static ehm_code layers_of(ehm_affinity_opt *o, const char *text, int32_t depth, ehm_err *err) {
    if (depth > 128) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "trees from the attention of %d blocks; 128 are the most", (int)depth);
    if (!strcmp(text, "all")) {
        o->n_layers = depth;
        for (int32_t i = 0; i < depth; i++) o->layer[i] = i;
        return EHM_OK;
    }
    if (!strcmp(text, "last")) {
        o->n_layers = 1, o->layer[0] = depth - 1;
        return EHM_OK;
    }
    return ehm_starts(text, "first:") ? first_layers(o, text, depth, err) : listed_layers(o, text, depth, err);
}

ehm_code ehm_affinity_opt_of(ehm_affinity_opt *out, const ehm_config *c, const ehm_vit_shape *s, ehm_err *err) {
    static const char *const kinds[] = {"residual", "profile", "direct", "balanced"};
    *out = (ehm_affinity_opt){.kind = EHM_SIM_RESIDUAL};
    for (int i = 0; i < 4; i++)
        if (!strcmp(c->similarity, kinds[i])) out->kind = (ehm_sim_kind)i;
    out->per_head = !strcmp(c->profile_per, "head");
    out->raw_rows = !strcmp(c->attention_rows, "raw");
    out->standardise = !strcmp(c->head_weight, "standardise");
    return layers_of(out, c->tree_layers, s->depth, err);
}

/* ---- opening and planning ---- */

static bool profiled(const ehm_affinity *t) { return t->o.kind == EHM_SIM_RESIDUAL || t->o.kind == EHM_SIM_PROFILE; }
/* Do slices of single heads enter the similarity? */
static bool slices(const ehm_affinity *t) { return profiled(t) ? t->o.per_head : t->o.standardise; }

ehm_code ehm_affinity_open(ehm_affinity **out, const ehm_affinity_opt *o, const ehm_vit_shape *s, int32_t batch, uint32_t want,
                           bool train, ehm_err *err) {
    *out = NULL;
    if (s->n_patches > 4096) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "trees over %d patches; 4096 are the most", (int)s->n_patches);
    ehm_affinity *t = calloc(1, sizeof *t);
    if (!t) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the teacher");
    t->o = *o, t->shape = *s, t->batch = batch, t->want = want, t->train = train;
    for (uint32_t w = 0; w < 8; w++)
        t->n_run[w] = w & (EHM_WANT_ATTENTION | EHM_WANT_CLS) ? s->depth : o->layer[o->n_layers - 1] + 1;
    *out = t;
    return EHM_OK;
}

void ehm_affinity_close(ehm_affinity *t) { free(t); }

void ehm_affinity_plan(ehm_affinity *t, ehm_plan *plan) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t B = t->batch, L = t->shape.n_patches, N = 1 + L, H = t->shape.num_heads, C = slices(t) ? H : 1;
    if (t->want & EHM_WANT_SIMILARITY && t->o.kind == EHM_SIM_RESIDUAL) {
        t->mean = ehm_plan_view(plan, t->train ? EHM_MEM_STATE : EHM_MEM_CACHE, "teacher.attention_mean", real, 4,
                                (int64_t[]){t->o.n_layers, C, L, L});
        t->count = ehm_plan_1d(plan, t->train ? EHM_MEM_STATE : EHM_MEM_CACHE, "teacher.mean_count", real, t->o.n_layers);
    }
    if (t->want & EHM_WANT_SIMILARITY) t->similarity = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, real, B, L, L);
    if (t->want & EHM_WANT_ATTENTION) t->attention = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, real, B, L, L);
    if (t->want & EHM_WANT_CLS) t->cls = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, B, L);
    t->probs = ehm_plan_view(plan, EHM_MEM_SCRATCH, NULL, real, 4, (int64_t[]){B, C, N, N});
    t->a = ehm_plan_view(plan, EHM_MEM_SCRATCH, NULL, real, 4, (int64_t[]){B, C, L, L});
}

/* ---- the pass ---- */

/* The first b pictures of a [B,...] view. */
static ehm_view first(ehm_view v, int64_t b) { return ehm_view_rows(v, 0, b); }

static ehm_view merged(ehm_view v) { return ehm_view_reshape(v, 3, (int64_t[]){v.dim[0] * v.dim[1], v.dim[2], v.dim[3]}); }

static ehm_view probs_of(ehm_affinity *t, ehm_dev *d, ehm_view qkv, bool per_head) {
    int64_t N = 1 + (int64_t)t->shape.n_patches;
    ehm_view p = per_head ? first(t->probs, t->b) : ehm_fit3(t->probs, t->b, N, N);
    ehm_attn_probs(d, &(ehm_attn_probs_args){.probs = p, .qkv = qkv, .n_heads = t->shape.num_heads,
                                             .scale = ehm_stack_scale(&t->pass->enc->blocks), .per_head = per_head});
    return p;
}

/* [C,L,L] of the k-th chosen layer. */
static ehm_view mean_of(const ehm_affinity *t, int32_t k) {
    ehm_view v = ehm_view_rows(t->mean, k, 1);
    return ehm_view_reshape(v, 3, (int64_t[]){v.dim[1], v.dim[2], v.dim[3]});
}

static void add_similarity(ehm_affinity *t, ehm_dev *d, ehm_view probs, int32_t k) {
    float weight = 1.0f / (float)t->o.n_layers;
    ehm_view a = first(t->a, t->b), s = first(t->similarity, t->b);
    ehm_attn_patches(d, &(ehm_attn_patches_args){.out = merged(a), .probs = probs.rank == 4 ? merged(probs) : probs, .weight = 1,
                                                 .renormalise = !t->o.raw_rows});
    if (!profiled(t)) {
        ehm_attn_direct(d, &(ehm_attn_direct_args){.s = s, .a = a, .weight = weight, .standardise = t->o.standardise, .accumulate = k > 0});
        return;
    }
    ehm_view mean = ehm_view_none();
    if (t->o.kind == EHM_SIM_RESIDUAL && t->update)
        ehm_running_mean(d, &(ehm_running_mean_args){.mean = mean_of(t, k), .count = ehm_view_rows(t->count, k, 1), .x = a, .decay = MEAN_DECAY});
    if (t->o.kind == EHM_SIM_RESIDUAL && (t->update || t->has_mean)) mean = mean_of(t, k);
    ehm_attn_profile(d, &(ehm_attn_profile_args){.s = s, .a = a, .mean = mean, .weight = weight, .accumulate = k > 0});
}

static void look(void *ctx, ehm_dev *d, int32_t i_block, ehm_view qkv) {
    ehm_affinity *t = ctx;
    double t0 = ehm_clock_s();
    int32_t k = t->i_chosen;
    bool chosen = t->now & EHM_WANT_SIMILARITY && k < t->o.n_layers && t->o.layer[k] == i_block;
    bool attention = t->now & EHM_WANT_ATTENTION, cls = t->now & EHM_WANT_CLS && i_block == t->shape.depth - 1;
    ehm_view mean_probs = ehm_view_none();
    if (attention || cls || (chosen && !slices(t))) mean_probs = probs_of(t, d, qkv, false);
    if (attention)
        ehm_attn_patches(d, &(ehm_attn_patches_args){.out = first(t->attention, t->b), .probs = mean_probs,
                                                     .weight = 1.0f / (float)t->shape.depth, .accumulate = i_block > 0});
    if (cls) /* the map itself goes where nobody reads it */
        ehm_attn_patches(d, &(ehm_attn_patches_args){.out = ehm_fit3(t->a, t->b, t->shape.n_patches, t->shape.n_patches),
                                                     .cls = first(t->cls, t->b), .probs = mean_probs, .weight = 1});
    if (chosen) {
        add_similarity(t, d, slices(t) ? probs_of(t, d, qkv, true) : mean_probs, k);
        t->i_chosen++;
    }
    t->look_s += ehm_clock_s() - t0;
}

void ehm_affinity_run(ehm_affinity *t, ehm_dev *d, ehm_vit_encoder_pass *pass, const ehm_weights *w, ehm_view patches,
                      const ehm_vit_route *all, int64_t b, uint32_t want, bool update_mean) {
    EHM_ASSERT(want && !(want & ~t->want) && b >= 1 && b <= t->batch);
    int64_t L = t->shape.n_patches;
    t->pass = pass, t->b = b, t->now = want, t->i_chosen = 0, t->look_s = 0;
    t->update = update_mean && t->mean.rank > 0;
    ehm_taps taps = {.n_blocks = t->n_run[want], .look = look, .ctx = t, .only_qkv = true};
    ehm_vit_encoder_fwd(d, pass, w, patches, all, b, L, 1 + L, &taps);
    if (t->update) t->has_mean = true;
    ehm_dev_label(d, "");
}

/* ---- results ---- */

static ehm_code fetch(ehm_dev *d, float *out, ehm_view v, ehm_err *err) {
    if (v.dtype == EHM_F32) {
        ehm_download(d, out, v, ehm_view_bytes(v));
        return ehm_dev_check(d, err);
    }
    double part[512]; /* the double device, in tests */
    for (int64_t at = 0, n = ehm_view_count(v); at < n; at += 512) {
        int64_t k = n - at < 512 ? n - at : 512;
        ehm_view p = ehm_view_of(v.buf, v.offset + at, v.dtype, 1, &k);
        ehm_download(d, part, p, ehm_view_bytes(p));
        for (int64_t i = 0; i < k; i++) out[at + i] = (float)part[i];
    }
    return ehm_dev_check(d, err);
}

ehm_code ehm_affinity_fetch(ehm_affinity *t, ehm_dev *d, float *similarity, float *attention, float *cls, int64_t b, ehm_err *err) {
    if (similarity) EHM_TRY(fetch(d, similarity, first(t->similarity, b), err));
    if (attention) EHM_TRY(fetch(d, attention, first(t->attention, b), err));
    if (cls) EHM_TRY(fetch(d, cls, first(t->cls, b), err));
    return EHM_OK;
}

ehm_view ehm_affinity_similarity(const ehm_affinity *t) { return first(t->similarity, t->b); }
double ehm_affinity_look_s(const ehm_affinity *t) { return t->look_s; }
ehm_view ehm_affinity_mean(const ehm_affinity *t) { return t->mean; }
ehm_view ehm_affinity_mean_count(const ehm_affinity *t) { return t->count; }
const ehm_affinity_opt *ehm_affinity_options(const ehm_affinity *t) { return &t->o; }

ehm_code ehm_affinity_set_mean(ehm_affinity *t, ehm_dev *d, const float *mean, ehm_err *err) {
    ehm_view v = t->mean;
    if (!v.rank) return EHM_OK;
    if (v.dtype == EHM_F32) ehm_upload(d, v, mean, ehm_view_bytes(v));
    else {
        double part[512];
        for (int64_t at = 0, n = ehm_view_count(v); at < n; at += 512) {
            int64_t k = n - at < 512 ? n - at : 512;
            for (int64_t i = 0; i < k; i++) part[i] = mean[at + i];
            ehm_view p = ehm_view_of(v.buf, v.offset + at, v.dtype, 1, &k);
            ehm_upload(d, p, part, ehm_view_bytes(p));
        }
    }
    t->has_mean = true;
    return ehm_dev_check(d, err);
}

void ehm_affinity_mean_restored(ehm_affinity *t) { t->has_mean = true; }

/* Products only: the blocks that run (the last one up to its scores), scores of the layers looked at, profiles. */
double ehm_affinity_flops(const ehm_affinity *t) {
    double N = 1 + t->shape.n_patches, L = t->shape.n_patches, D = t->shape.embed_dim, M = t->shape.mlp_dim, H = t->shape.num_heads;
    double block = 2 * N * D * (4 * D + 2 * M) + 4 * N * N * D, n = t->n_run[t->want & 7];
    double embed = 2 * L * (double)t->shape.patch_pixels * D;
    double looked = t->want & EHM_WANT_ATTENTION ? t->shape.depth : t->o.n_layers;
    double profile = profiled(t) && t->want & EHM_WANT_SIMILARITY ? 2 * L * L * L * (slices(t) ? H : 1) * t->o.n_layers : 0; /* one triangle of two Gram matrices */
    return embed + (n - 1) * block + 2 * N * D * 3 * D + looked * 2 * N * N * D + profile;
}
