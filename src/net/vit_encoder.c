#include "net/vit.h"
#include <math.h>

void ehm_vit_encoder_roots(ehm_vit_encoder *e, ehm_params *ps, const ehm_vit_shape *s) {
    int64_t D = s->embed_dim, N = 1 + (int64_t)s->n_patches;
    *e = (ehm_vit_encoder){.shape = *s};
    e->cls_token =
        ehm_params_add(ps, "cls_token", EHM_DECAY, 3, (int64_t[]){1, 1, D}, EHM_INIT_NORMAL02, 0, 0, 0, NULL);
    e->pos_embed = ehm_params_add(ps, "pos_embed", EHM_FROZEN, 3, (int64_t[]){1, N, D}, EHM_INIT_TABLE, 0, 0,
                                  0, ehm_sincos_new(&ps->arena, s->embed_dim, s->grid_h, s->grid_w));
}

void ehm_vit_encoder_modules(ehm_vit_encoder *e, ehm_params *ps, ehm_arena *a) {
    const ehm_vit_shape *s = &e->shape;
    int64_t D = s->embed_dim, p = s->patch_size, P = s->patch_pixels;
    e->patch_embed.weight = ehm_params_add(ps, "patch_embed.proj.weight", EHM_DECAY, 4,
                                           (int64_t[]){D, s->channels, p, p}, EHM_INIT_XAVIER, 0, P, D, NULL);
    /* The published init leaves a convolution's bias at its framework's default. */
    e->patch_embed.bias = ehm_params_add(ps, "patch_embed.proj.bias", EHM_NO_DECAY, 1, &D, EHM_INIT_UNIFORM,
                                         1.0 / sqrt((double)P), 0, 0, NULL);
    if (!ehm_stack_add(&e->blocks, ps, a, "blocks", s->depth, D, s->num_heads, s->mlp_dim)) ps->failed = true;
    ehm_norm_add(&e->norm, ps, "norm", D);
}

bool ehm_vit_encoder_pass_open(ehm_vit_encoder_pass *p, const ehm_vit_encoder *e, int32_t batch,
                               int32_t n_embed, int32_t n_tokens, bool train, ehm_dtype act, ehm_arena *a) {
    *p = (ehm_vit_encoder_pass){
        .enc = e, .batch = batch, .n_embed = n_embed, .n_tokens = n_tokens, .train = train, .act = act};
    return ehm_stack_pass_open(&p->blocks, &e->blocks, batch, n_tokens, train, act, a);
}

void ehm_vit_encoder_pass_plan(ehm_vit_encoder_pass *p, ehm_plan *plan, ehm_dtype z_type) {
    const ehm_vit_shape *s = &p->enc->shape;
    ehm_dtype real = ehm_dev_real(plan->dev);
    ehm_mem_kind kind = p->train ? EHM_MEM_CACHE : EHM_MEM_SCRATCH;
    int64_t rows = (int64_t)p->batch * p->n_tokens, embeds = (int64_t)p->batch * p->n_embed, D = s->embed_dim;
    size_t mark;
    if (p->stream_only) {
        ehm_stack_pass_plan_fwd(&p->blocks, plan);
        mark = ehm_plan_mark(plan);
    } else {
        p->z = ehm_plan_2d(plan, kind, NULL, z_type, rows, D);
        mark = ehm_plan_mark(plan);
        p->norm.mean = ehm_plan_1d(plan, kind, NULL, real, rows);
        p->norm.rstd = ehm_plan_1d(plan, kind, NULL, real, rows);
        ehm_stack_pass_plan_fwd(&p->blocks, plan);
    }
    size_t mark_embed = ehm_plan_mark(plan);
    p->embed_in = ehm_plan_2d(plan, kind, NULL, p->act, embeds, s->patch_pixels);
    p->embedded = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, embeds, D);
    ehm_plan_release(plan, mark_embed);
    ehm_stack_pass_plan_blocks(&p->blocks, plan);
    ehm_plan_release(plan, mark);
}

void ehm_vit_encoder_pass_plan_bwd(ehm_vit_encoder_pass *p, ehm_plan *plan) {
    int64_t D = p->enc->shape.embed_dim;
    size_t mark = ehm_plan_mark(plan);
    p->dx =
        ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, ehm_dev_real(plan->dev), (int64_t)p->batch * p->n_tokens, D);
    ehm_stack_pass_plan_bwd(&p->blocks, plan);
    p->dembedded = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, (int64_t)p->batch * p->n_embed, D);
    ehm_plan_release(plan, mark);
}

void ehm_vit_encoder_fwd(ehm_dev *d, ehm_vit_encoder_pass *p, const ehm_weights *w, ehm_view patches,
                         const ehm_vit_route *route, int64_t b, int64_t n_embed, int64_t n_tokens,
                         const ehm_taps *taps) {
    const ehm_vit_encoder *e = p->enc;
    int64_t D = e->shape.embed_dim, P = e->shape.patch_pixels;
    ehm_view in = ehm_fit3(p->embed_in, b, n_embed, P), embedded = ehm_fit3(p->embedded, b, n_embed, D);
    ehm_dev_label(d, "patch_embed");
    ehm_gather_rows(
        d, &(ehm_gather_rows_args){
               .out = in, .x = patches, .idx = route->embed_idx, .channel_first_patch = e->shape.patch_size});
    ehm_linear_fwd(d, embedded, in, &e->patch_embed, w, ehm_view_none());
    ehm_route_fwd(d, &(ehm_route_fwd_args){.out = ehm_stack_in(&p->blocks, b, n_tokens),
                                           .x = embedded,
                                           .tokens = ehm_rows(ehm_weight(w, e->cls_token), D),
                                           .pos = ehm_rows(ehm_weight(w, e->pos_embed), D),
                                           .src = route->src,
                                           .pos_idx = route->pos_idx});
    ehm_stack_fwd(d, &p->blocks, w, b, n_tokens, taps);
    if (p->stream_only) return;
    if (taps && (taps->only_qkv || (taps->n_blocks >= 0 && taps->n_blocks < e->blocks.n_blocks))) return;
    ehm_dev_label(d, "norm");
    ehm_norm_layer_fwd(d, ehm_vit_encoder_out(p, b, n_tokens), &p->norm,
                       ehm_stack_out(&p->blocks, b, n_tokens), &e->norm, w);
    ehm_dev_label(d, "");
}

ehm_view ehm_vit_encoder_out(const ehm_vit_encoder_pass *p, int64_t b, int64_t n_tokens) {
    return ehm_fit3(p->z, b, n_tokens, p->enc->shape.embed_dim);
}

ehm_view ehm_vit_encoder_tokens(const ehm_vit_encoder_pass *p, int64_t b, int64_t n_tokens) {
    return ehm_stack_out(&p->blocks, b, n_tokens);
}

ehm_view ehm_vit_encoder_level(const ehm_vit_encoder_pass *p, int32_t i_block, int64_t b, int64_t n_tokens) {
    EHM_ASSERT(i_block >= 0 && i_block < p->enc->blocks.n_blocks);
    EHM_ASSERT(p->train || i_block == p->enc->blocks.n_blocks - 1);
    return ehm_fit3(p->blocks.x[p->train ? i_block + 1 : 0], b, n_tokens, p->enc->shape.embed_dim);
}

void ehm_vit_encoder_bwd_stream(ehm_dev *d, ehm_vit_encoder_pass *p, ehm_view dx, const ehm_weights *w,
                                const ehm_grads *g, const ehm_vit_route *route, int64_t b, int64_t n_embed,
                                int64_t n_tokens, const ehm_stack_bwd_opt *opt) {
    const ehm_vit_encoder *e = p->enc;
    int64_t D = e->shape.embed_dim, P = e->shape.patch_pixels;
    ehm_view dembedded = ehm_fit3(p->dembedded, b, n_embed, D);
    ehm_stack_bwd_with(d, &p->blocks, dx, w, g, b, n_tokens, opt);
    if (opt && opt->first_block > 0) return;
    ehm_dev_label(d, "patch_embed");
    ehm_route_bwd(d, &(ehm_route_bwd_args){.dx = dembedded,
                                           .dtokens = ehm_rows(ehm_grad(g, e->cls_token), D),
                                           .dout = dx,
                                           .src = route->src,
                                           .pos_idx = route->pos_idx});
    ehm_linear_bwd(d, ehm_view_none(), dembedded, dembedded, ehm_fit3(p->embed_in, b, n_embed, P),
                   &e->patch_embed, w, g);
    ehm_dev_label(d, "");
}

void ehm_vit_encoder_bwd(ehm_dev *d, ehm_vit_encoder_pass *p, ehm_view dz, const ehm_weights *w,
                         const ehm_grads *g, const ehm_vit_route *route, int64_t b, int64_t n_embed,
                         int64_t n_tokens) {
    const ehm_vit_encoder *e = p->enc;
    ehm_view dx = ehm_fit3(p->dx, b, n_tokens, e->shape.embed_dim);
    ehm_dev_label(d, "norm");
    ehm_norm_layer_bwd(d, dx, false, dz, ehm_stack_out(&p->blocks, b, n_tokens), &p->norm, &e->norm, w, g);
    ehm_vit_encoder_bwd_stream(d, p, dx, w, g, route, b, n_embed, n_tokens, NULL);
}
