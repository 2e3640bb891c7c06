/* The network in memory: parameters of encoder and task, what passes need, and the encoder's way there and back. */
#include "tune/tune_int.h"
#include "net/table_resize.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- parameters ---- */

/* As MAE's fine-tuning the class token is not decayed and the position table learns (He et al. 2022, code); the rest is as in pre-training. */
static void add_encoder(ehm_tune *t) {
    const ehm_vit_shape *s = &t->info.shape;
    int64_t D = s->embed_dim, N = 1 + (int64_t)s->n_patches;
    ehm_params *ps = &t->params;
    t->enc = (ehm_vit_encoder){.shape = *s};
    t->enc.cls_token = ehm_params_add(ps, "cls_token", EHM_NO_DECAY, 3, (int64_t[]){1, 1, D}, EHM_INIT_NORMAL02, 0, 0, 0, NULL);
    t->enc.pos_embed = ehm_params_add(ps, "pos_embed", EHM_NO_DECAY, 3, (int64_t[]){1, N, D}, EHM_INIT_TABLE, 0, 0, 0,
                                      ehm_sincos_new(&ps->arena, s->embed_dim, s->grid_h, s->grid_w));
    ehm_vit_encoder_modules(&t->enc, ps, &t->arena);
    t->n_encoder = ps->n;
}

static ehm_tune_place place_of(ehm_tune *t, const ehm_tune_walk *k) {
    return (ehm_tune_place){.arena = &t->arena, .params = &t->params, .shape = &t->info.shape, .encoder_norm = &t->enc.norm, .batch = k->batch,
                            .train = k->train, .act = t->act};
}

/* Layers count as in MAE's lr_decay.py: tokens, positions and patches 0, block i i + 1, all that follows depth + 1. */
double ehm_tune_lr_scale(const ehm_tune *t, const char *name) {
    int32_t depth = t->info.shape.depth, layer = depth + 1;
    if (!strcmp(name, "cls_token") || !strcmp(name, "pos_embed") || ehm_starts(name, "patch_embed.")) layer = 0;
    else if (ehm_starts(name, "blocks.")) layer = (int32_t)strtol(name + strlen("blocks."), NULL, 10) + 1;
    return pow(t->cfg.layer_decay, depth + 1 - layer);
}

/* Neighbours of one rate become one stretch. */
static ehm_code find_rates(ehm_tune *t, ehm_err *err) {
    const ehm_params *ps = &t->params;
    t->rate = EHM_NEW_N(&t->arena, ehm_tune_rate, ps->n);
    if (!t->rate) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the learning rates");
    for (int32_t g = 0; g < EHM_ADAMW_GROUPS; g++) {
        t->first_learned[g] = t->setup.frozen ? ps->group_count[g] : 0;
        for (int32_t i = ps->n - 1; t->setup.frozen && i >= t->n_encoder; i--)
            if (ps->item[i].group == g) t->first_learned[g] = ps->item[i].offset;
        ehm_tune_rate *last = NULL;
        for (int32_t i = t->setup.frozen ? t->n_encoder : 0; i < ps->n; i++) {
            const ehm_param *p = &ps->item[i];
            if (p->group != g) continue;
            double scale = ehm_tune_lr_scale(t, p->name);
            if (last) last->n = p->offset - last->first;
            if (last && last->scale == scale) continue;
            last = &t->rate[t->n_rates++];
            *last = (ehm_tune_rate){.group = g, .first = p->offset, .scale = scale};
        }
        if (last) last->n = ps->group_count[g] - last->first;
    }
    return EHM_OK;
}

ehm_code ehm_tune_net_open(ehm_tune *t, ehm_err *err) {
    add_encoder(t);
    ehm_tune_place p = place_of(t, &t->learn);
    EHM_TRY(t->task->add(t->user, &p, err));
    if (t->params.failed) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the network's tables");
    EHM_ASSERT(t->task->n_levels >= 1 && t->task->n_levels <= EHM_HEAD_LEVELS);
    EHM_ASSERT(t->task->level(t->user, t->task->n_levels - 1) == t->info.shape.depth - 1);
    return t->learns ? find_rates(t, err) : EHM_OK;
}

static ehm_code open_walk(ehm_tune *t, ehm_tune_walk *k, int32_t batch, bool train, ehm_err *err) {
    int32_t L = t->info.shape.n_patches;
    *k = (ehm_tune_walk){.train = train, .backward = train && !t->setup.frozen, .batch = batch};
    if (!ehm_vit_encoder_pass_open(&k->pass, &t->enc, batch, L, 1 + L, k->backward, t->act, &t->arena))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the network's tables");
    k->pass.stream_only = true;
    k->pass.blocks.drop_path = k->backward && t->cfg.drop_path > 0;
    return EHM_OK;
}

ehm_code ehm_tune_net_passes(ehm_tune *t, int32_t batch, int32_t look_batch, ehm_err *err) {
    if (t->learns) {
        EHM_TRY(open_walk(t, &t->learn, batch, true, err));
        ehm_tune_place p = place_of(t, &t->learn);
        EHM_TRY(t->task->pass_open(t->user, &p, err));
        t->host_keep = EHM_NEW_N(&t->arena, float, 2 * (size_t)t->info.shape.depth * (size_t)batch);
        if (!t->host_keep) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for stochastic depth");
    }
    EHM_TRY(open_walk(t, &t->look, look_batch, false, err));
    ehm_tune_place p = place_of(t, &t->look);
    return t->task->pass_open(t->user, &p, err);
}

/* ---- memory ---- */

static void plan_weights(ehm_tune *t, ehm_plan *plan) {
    const ehm_params *ps = &t->params;
    ehm_weights_plan(&t->weights, ps, plan, EHM_MEM_PARAM, "", t->act);
    if (!t->learns) return;
    int64_t n[EHM_ADAMW_GROUPS];
    for (int32_t g = 0; g < EHM_ADAMW_GROUPS; g++) n[g] = ps->group_count[g] - t->first_learned[g];
    ehm_grads_plan(&t->grads, ps, plan);
    ehm_adamw_plan(&t->adamw, plan, n, EHM_ADAMW_GROUPS);
    if (t->cfg.ema > 0) ehm_weights_plan(&t->average, ps, plan, EHM_MEM_STATE, "ema.", t->act);
    ehm_clip_plan(&t->clip, plan);
    t->loss = ehm_plan_1d(plan, EHM_MEM_CACHE, "loss", ehm_dev_real(plan->dev), 1);
    t->loss_mean = ehm_plan_1d(plan, EHM_MEM_CACHE, "loss_mean", ehm_dev_real(plan->dev), 1);
}

/* with_task: else the encoder alone, for an estimate. */
static void plan_walk(ehm_tune *t, ehm_tune_walk *k, ehm_plan *plan, bool with_task) {
    const ehm_vit_shape *s = &t->info.shape;
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t B = k->batch, rows = B * (1 + (int64_t)s->n_patches), D = s->embed_dim;
    int32_t n = t->task->n_levels;
    size_t mark = ehm_plan_mark(plan);
    k->patches = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, real, B, s->n_patches, s->patch_pixels);
    for (int32_t i = 0; i < n - 1 && !k->backward; i++) k->level[i] = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, rows, D);
    ehm_vit_encoder_pass_plan(&k->pass, plan, t->act);
    if (with_task) t->task->plan(t->user, plan, k->train);
    if (k->train) {
        for (int32_t i = 0; i < n && k->backward; i++) k->dlevel[i] = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, rows, D);
        if (with_task) t->task->plan_bwd(t->user, plan);
        if (k->backward) ehm_vit_encoder_pass_plan_bwd(&k->pass, plan);
    }
    ehm_plan_release(plan, mark);
}

static void plan_inputs(ehm_tune *t, ehm_plan *plan, int32_t batch) {
    int64_t B = batch, L = t->info.shape.n_patches;
    ehm_pixels_plan(&t->pixels, plan, &t->info.shape, batch);
    t->route.embed_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, B, L);
    t->route.src = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, B, 1 + L);
    t->route.pos_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, B, 1 + L);
}

static void plan_all(ehm_tune *t, ehm_plan *plan) {
    plan_weights(t, plan);
    plan_inputs(t, plan, t->learn.batch > t->look.batch ? t->learn.batch : t->look.batch);
    if (t->learns) plan_walk(t, &t->learn, plan, true);
    plan_walk(t, &t->look, plan, true);
}

static ehm_code close_count(ehm_plan *p, size_t bytes[EHM_MEM_KINDS], int32_t batch, ehm_err *err) {
    ehm_code rc = p->failed ? EHM_FAIL(err, EHM_E_MEMORY, "a batch of %d pictures needs more memory than can be counted", (int)batch) : EHM_OK;
    for (int32_t i = 0; i < EHM_MEM_KINDS; i++) bytes[i] = ehm_plan_bytes(p, i);
    ehm_plan_free(p);
    return rc;
}

ehm_code ehm_tune_net_estimate(ehm_tune *t, int32_t batch, size_t bytes[EHM_MEM_KINDS], ehm_err *err) {
    ehm_plan p;
    EHM_TRY(open_walk(t, &t->learn, batch, true, err));
    ehm_plan_begin(&p, t->dev);
    plan_weights(t, &p);
    plan_inputs(t, &p, batch);
    plan_walk(t, &t->learn, &p, false);
    return close_count(&p, bytes, batch, err);
}

ehm_code ehm_tune_net_count(ehm_tune *t, ehm_err *err) {
    ehm_plan p;
    ehm_plan_begin(&p, t->dev);
    plan_all(t, &p);
    return close_count(&p, t->bytes, t->learn.batch, err);
}

/* Every patch is embedded, and each token is its own patch's. */
static ehm_code put_route(ehm_tune *t, ehm_err *err) {
    int64_t L = t->info.shape.n_patches, B = t->route.src.dim[0];
    int32_t *v = malloc((size_t)B * (size_t)(1 + L) * sizeof *v);
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the network's tables");
    for (int64_t i = 0; i < B * L; i++) v[i] = (int32_t)(i % L);
    ehm_upload(t->dev, t->route.embed_idx, v, (size_t)(B * L) * sizeof *v);
    for (int64_t i = 0; i < B * (1 + L); i++) v[i] = (int32_t)(i % (1 + L)) - 1; /* -1: the class token */
    ehm_upload(t->dev, t->route.src, v, (size_t)(B * (1 + L)) * sizeof *v);
    for (int64_t i = 0; i < B * (1 + L); i++) v[i]++;
    ehm_upload(t->dev, t->route.pos_idx, v, (size_t)(B * (1 + L)) * sizeof *v);
    free(v);
    return EHM_OK;
}

ehm_code ehm_tune_net_place(ehm_tune *t, ehm_err *err) {
    ehm_plan_begin(&t->plan, t->dev);
    t->planned = true;
    plan_all(t, &t->plan);
    EHM_TRY(ehm_plan_commit(&t->plan, err));
    plan_all(t, &t->plan);
    EHM_TRY(ehm_plan_end(&t->plan, err));
    t->adamw.beta1 = (float)t->cfg.beta1, t->adamw.beta2 = (float)t->cfg.beta2;
    EHM_TRY(ehm_pixels_stats(&t->pixels, t->dev, t->info.mean, t->info.std, t->info.shape.channels, err));
    EHM_TRY(put_route(t, err));
    if (t->task->placed) EHM_TRY(t->task->placed(t->user, t->dev, err));
    return ehm_dev_check(t->dev, err);
}

/* ---- weights of the pre-trained encoder ---- */

static ehm_code upload(ehm_tune *t, const ehm_param *p, const float *v) {
    ehm_view flat = t->weights.flat[p->group];
    ehm_upload(t->dev, ehm_view_of(flat.buf, flat.offset + p->offset, EHM_F32, 1, &p->count), v, (size_t)p->count * sizeof *v);
    return EHM_OK;
}

/* The table of the file's own grid, brought to the grid that is trained. */
static ehm_code load_positions(ehm_tune *t, const ehm_param *p, const ehm_st_tensor *s, ehm_err *err) {
    const ehm_vit_shape *from = &t->source.info.shape, *to = &t->info.shape;
    int64_t n = 1 + (int64_t)from->grid_h * from->grid_w, D = to->embed_dim;
    if (s->rank != 3 || s->dim[0] != 1 || s->dim[1] != n || s->dim[2] != D)
        return EHM_FAIL(err, EHM_E_MISMATCH, "tensor \"pos_embed\" is not 1x%lldx%lld, as the file's sizes say", (long long)n, (long long)D);
    float *in = malloc((size_t)(n * D) * sizeof *in), *out = malloc((size_t)p->count * sizeof *out);
    ehm_code rc = in && out ? ehm_st_to_f32(s, in, err) : EHM_FAIL(err, EHM_E_MEMORY, "no memory for the position table");
    if (!rc) rc = ehm_table_resize(out, in, (int32_t)D, from->grid_h, from->grid_w, to->grid_h, to->grid_w, 1, err);
    if (!rc) rc = upload(t, p, out);
    free(in), free(out);
    return rc;
}

static ehm_code load_one(ehm_tune *t, const ehm_param *p, const ehm_st_tensor *s, ehm_err *err) {
    if (!strcmp(p->name, "pos_embed")) return load_positions(t, p, s, err);
    if (s->rank != p->rank || memcmp(s->dim, p->dim, (size_t)p->rank * sizeof *p->dim))
        return EHM_FAIL(err, EHM_E_MISMATCH, "tensor \"%s\" has another shape in the file than the network needs", p->name);
    float *v = malloc((size_t)p->count * sizeof *v);
    ehm_code rc = v ? ehm_st_to_f32(s, v, err) : EHM_FAIL(err, EHM_E_MEMORY, "no memory for \"%s\"", p->name);
    if (!rc) rc = upload(t, p, v);
    free(v);
    return rc;
}

ehm_code ehm_tune_load_encoder(ehm_tune *t, const ehm_st *f, ehm_err *err) {
    bool pooled = ehm_st_find(f, "fc_norm.weight") != NULL; /* a classifier that was fine-tuned has no norm of the encoder's own */
    for (int32_t i = 0; i < t->n_encoder; i++) {
        const ehm_param *p = &t->params.item[i];
        const ehm_st_tensor *s = ehm_st_find(f, p->name);
        if (!s && pooled && ehm_starts(p->name, "norm.")) continue;
        if (!s) return EHM_FAIL(err, EHM_E_MISMATCH, "%s has no tensor \"%s\"", t->cfg.model, p->name);
        EHM_TRY(load_one(t, p, s, err));
    }
    ehm_weights_refresh(&t->weights, t->dev);
    return ehm_dev_check(t->dev, err);
}

/* ---- there and back ---- */

static ehm_vit_route route_of(const ehm_tune *t, int64_t b) {
    int64_t L = t->info.shape.n_patches;
    return (ehm_vit_route){ehm_fit2(t->route.embed_idx, b, L), ehm_fit2(t->route.src, b, 1 + L), ehm_fit2(t->route.pos_idx, b, 1 + L)};
}

void ehm_tune_net_fwd(ehm_tune *t, ehm_tune_walk *k, const ehm_weights *w, const ehm_batch *b, const void *pixels, ehm_dtype type, int32_t n,
                      ehm_view levels[EHM_HEAD_LEVELS]) {
    const ehm_vit_shape *s = &t->info.shape;
    int64_t L = s->n_patches, D = s->embed_dim;
    int32_t n_levels = t->task->n_levels;
    ehm_tap tap[EHM_HEAD_LEVELS] = {{0}};
    ehm_vit_route route = route_of(t, n);
    ehm_view patches = ehm_fit3(k->patches, n, L, s->patch_pixels);
    if (k->pass.blocks.drop_path) {
        ehm_view keep = k->pass.blocks.keep;
        size_t count = 2 * (size_t)s->depth * (size_t)n;
        ehm_stack_draw_keep(t->host_keep, s->depth, n, b->slots, t->cfg.drop_path, (uint64_t)t->cfg.seed, b->epoch);
        ehm_upload(t->dev, ehm_view_of(keep.buf, keep.offset, EHM_F32, 1, (int64_t[]){(int64_t)count}), t->host_keep, count * sizeof(float));
    }
    for (int32_t i = 0; i < n_levels - 1 && !k->backward; i++)
        tap[i] = (ehm_tap){.i_block = t->task->level(t->user, i), .hidden = ehm_fit3(k->level[i], n, 1 + L, D)};
    ehm_pixels_load(&t->pixels, t->dev, pixels, type, n);
    ehm_pixels_patchify(&t->pixels, t->dev, patches);
    ehm_vit_encoder_fwd(t->dev, &k->pass, w, patches, &route, n, L, 1 + L,
                        &(ehm_taps){.tap = tap, .n_taps = k->backward ? 0 : n_levels - 1, .n_blocks = -1});
    for (int32_t i = 0; i < n_levels; i++)
        levels[i] = k->backward || i == n_levels - 1 ? ehm_vit_encoder_level(&k->pass, t->task->level(t->user, i), n, 1 + L) : tap[i].hidden;
}

ehm_view ehm_tune_net_dlevel(const ehm_tune_walk *k, const ehm_tune *t, int32_t i, int32_t n) {
    return k->backward ? ehm_fit3(k->dlevel[i], n, 1 + (int64_t)t->info.shape.n_patches, t->info.shape.embed_dim) : ehm_view_none();
}

typedef struct { const ehm_tune *t; const ehm_tune_walk *k; } joining;

/* Gradients of the levels that the task read on the way; the last one is what the pass began with. */
static void join(void *ctx, ehm_dev *d, int32_t i_block, ehm_view dx) {
    const joining *j = ctx;
    for (int32_t i = 0; i < j->t->task->n_levels - 1; i++)
        if (j->t->task->level(j->t->user, i) == i_block)
            ehm_axpby(d, &(ehm_axpby_args){.out = dx, .x = ehm_fit2(j->k->dlevel[i], dx.dim[0], dx.dim[1]), .a = 1, .b = 1});
}

void ehm_tune_net_bwd(ehm_tune *t, ehm_tune_walk *k, int32_t n) {
    int64_t N = 1 + (int64_t)t->info.shape.n_patches, D = t->info.shape.embed_dim;
    joining j = {t, k};
    ehm_vit_route route = route_of(t, n);
    ehm_view dx = ehm_tune_net_dlevel(k, t, t->task->n_levels - 1, n);
    ehm_vit_encoder_bwd_stream(t->dev, &k->pass, dx, &t->weights, &t->grads, &route, n, N - 1, N, &(ehm_stack_bwd_opt){.join = join, .ctx = &j});
    /* dx is now the gradient of the embedding, and every picture's token i has row i of the table. */
    ehm_colsum(t->dev, &(ehm_colsum_args){.out = ehm_view_reshape(ehm_grad(&t->grads, t->enc.pos_embed), 1, (int64_t[]){N * D}),
                                          .x = ehm_fit2(dx, n, N * D), .accumulate = true});
}
