#include "net/vit.h"

void ehm_vit_decoder_roots(ehm_vit_decoder *e, ehm_params *ps, const ehm_vit_shape *s) {
    int64_t D = s->decoder_embed_dim, N = 1 + (int64_t)s->n_patches;
    *e = (ehm_vit_decoder){.shape = *s};
    e->mask_token = ehm_params_add(ps, "mask_token", EHM_DECAY, 3, (int64_t[]){1, 1, D}, EHM_INIT_NORMAL02, 0,
                                   0, 0, NULL);
    e->pos_embed =
        ehm_params_add(ps, "decoder_pos_embed", EHM_FROZEN, 3, (int64_t[]){1, N, D}, EHM_INIT_TABLE, 0, 0, 0,
                       ehm_sincos_new(&ps->arena, s->decoder_embed_dim, s->grid_h, s->grid_w));
}

void ehm_vit_decoder_modules(ehm_vit_decoder *e, ehm_params *ps, int64_t width, ehm_arena *a) {
    const ehm_vit_shape *s = &e->shape;
    int64_t D = s->decoder_embed_dim;
    e->width = width;
    ehm_linear_add(&e->embed, ps, "decoder_embed", D, s->embed_dim);
    if (!ehm_stack_add(&e->blocks, ps, a, "decoder_blocks", s->decoder_depth, D, s->decoder_num_heads,
                       s->decoder_mlp_dim))
        ps->failed = true;
    ehm_norm_add(&e->norm, ps, "decoder_norm", D);
    ehm_linear_add(&e->pred, ps, "decoder_pred", width, D);
}

bool ehm_vit_decoder_pass_open(ehm_vit_decoder_pass *p, const ehm_vit_decoder *e, int32_t batch, int32_t n_in,
                               int32_t n_pred, bool train, ehm_dtype act, ehm_arena *a) {
    *p = (ehm_vit_decoder_pass){
        .dec = e, .batch = batch, .n_in = n_in, .n_pred = n_pred, .train = train, .act = act};
    return ehm_stack_pass_open(&p->blocks, &e->blocks, batch, 1 + e->shape.n_patches, train, act, a);
}

void ehm_vit_decoder_pass_plan(ehm_vit_decoder_pass *p, ehm_plan *plan) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    ehm_mem_kind kind = p->train ? EHM_MEM_CACHE : EHM_MEM_SCRATCH;
    int64_t D = p->dec->shape.decoder_embed_dim, rows = (int64_t)p->batch * p->n_pred;
    p->pred = ehm_plan_2d(plan, kind, NULL, real, rows, p->dec->width);
    size_t mark = ehm_plan_mark(plan);
    ehm_stack_pass_plan_fwd(&p->blocks, plan);
    size_t mark_embed = ehm_plan_mark(plan);
    p->embedded = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, (int64_t)p->batch * p->n_in, D);
    ehm_plan_release(plan, mark_embed);
    ehm_stack_pass_plan_blocks(&p->blocks, plan);
    p->picked = ehm_plan_2d(plan, kind, NULL, real, rows, D);
    p->norm.mean = ehm_plan_1d(plan, kind, NULL, real, rows);
    p->norm.rstd = ehm_plan_1d(plan, kind, NULL, real, rows);
    p->h = ehm_plan_2d(plan, kind, NULL, p->act, rows, D);
    ehm_plan_release(plan, mark);
}

void ehm_vit_decoder_pass_plan_bwd(ehm_vit_decoder_pass *p, ehm_plan *plan) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t D = p->dec->shape.decoder_embed_dim, rows = (int64_t)p->batch * p->n_pred;
    size_t mark = ehm_plan_mark(plan);
    p->dx =
        ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, (int64_t)p->batch * (1 + p->dec->shape.n_patches), D);
    size_t mark_pred = ehm_plan_mark(plan);
    p->dpred = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, rows, p->dec->width);
    p->dh = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, rows, D);
    p->dpicked = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, rows, D);
    ehm_plan_release(plan, mark_pred);
    ehm_stack_pass_plan_bwd(&p->blocks, plan);
    p->dembedded = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, (int64_t)p->batch * p->n_in, D);
    ehm_plan_release(plan, mark);
}

void ehm_vit_decoder_fwd(ehm_dev *d, ehm_vit_decoder_pass *p, const ehm_weights *w, ehm_view z, ehm_view src,
                         ehm_view pred_idx, int64_t b, int64_t n_in, int64_t n_pred) {
    const ehm_vit_decoder *e = p->dec;
    int64_t D = e->shape.decoder_embed_dim, N = 1 + (int64_t)e->shape.n_patches;
    ehm_view embedded = ehm_fit3(p->embedded, b, n_in, D), picked = ehm_fit3(p->picked, b, n_pred, D),
             h = ehm_fit3(p->h, b, n_pred, D);
    ehm_dev_label(d, "decoder_embed");
    ehm_linear_fwd(d, embedded, z, &e->embed, w, ehm_view_none());
    ehm_route_fwd(d, &(ehm_route_fwd_args){.out = ehm_stack_in(&p->blocks, b, N),
                                           .x = embedded,
                                           .tokens = ehm_rows(ehm_weight(w, e->mask_token), D),
                                           .pos = ehm_rows(ehm_weight(w, e->pos_embed), D),
                                           .src = src});
    ehm_stack_fwd(d, &p->blocks, w, b, N, NULL);
    ehm_dev_label(d, "decoder_pred");
    ehm_gather_rows(
        d, &(ehm_gather_rows_args){.out = picked, .x = ehm_stack_out(&p->blocks, b, N), .idx = pred_idx});
    ehm_norm_layer_fwd(d, h, &p->norm, picked, &e->norm, w);
    ehm_linear_fwd(d, ehm_vit_decoder_pred(p, b, n_pred), h, &e->pred, w, ehm_view_none());
    ehm_dev_label(d, "");
}

ehm_view ehm_vit_decoder_pred(const ehm_vit_decoder_pass *p, int64_t b, int64_t n_pred) {
    return ehm_fit3(p->pred, b, n_pred, p->dec->width);
}
ehm_view ehm_vit_decoder_dpred(const ehm_vit_decoder_pass *p, int64_t b, int64_t n_pred) {
    return ehm_fit3(p->dpred, b, n_pred, p->dec->width);
}

void ehm_vit_decoder_bwd(ehm_dev *d, ehm_vit_decoder_pass *p, ehm_view dz, const ehm_weights *w,
                         const ehm_grads *g, ehm_view z, ehm_view src, ehm_view pred_idx, int64_t b,
                         int64_t n_in, int64_t n_pred) {
    const ehm_vit_decoder *e = p->dec;
    int64_t D = e->shape.decoder_embed_dim, N = 1 + (int64_t)e->shape.n_patches;
    ehm_view dh = ehm_fit3(p->dh, b, n_pred, D), dpicked = ehm_fit3(p->dpicked, b, n_pred, D),
             dx = ehm_fit3(p->dx, b, N, D);
    ehm_view dpred = ehm_vit_decoder_dpred(p, b, n_pred), dembedded = ehm_fit3(p->dembedded, b, n_in, D);
    ehm_dev_label(d, "decoder_pred");
    ehm_linear_bwd(d, dh, dpred, dpred, ehm_fit3(p->h, b, n_pred, D), &e->pred, w, g);
    ehm_norm_layer_bwd(d, dpicked, false, dh, ehm_fit3(p->picked, b, n_pred, D), &p->norm, &e->norm, w, g);
    ehm_scatter_rows(d, &(ehm_scatter_rows_args){.dx = dx, .dout = dpicked, .idx = pred_idx});
    ehm_stack_bwd(d, &p->blocks, dx, w, g, b, N);
    ehm_dev_label(d, "decoder_embed");
    ehm_route_bwd(
        d, &(ehm_route_bwd_args){
               .dx = dembedded, .dtokens = ehm_rows(ehm_grad(g, e->mask_token), D), .dout = dx, .src = src});
    ehm_linear_bwd(d, dz, dembedded, dembedded, z, &e->embed, w, g);
    ehm_dev_label(d, "");
}
