/* The all-MLP segmenter. The linear over the concatenated levels is computed as a sum of products, one for
 * each level, so nothing is concatenated. The last linear goes before the enlarging: both act on one
 * dimension each and the enlarging's weights sum to 1, so they may change places, and the product is four
 * times smaller. */
#include "net/heads_int.h"
#include <stdio.h>

static void add(ehm_head *h, ehm_params *ps, const ehm_norm *encoder_norm) {
    int64_t W = h->opt.width;
    char name[48];
    (void)encoder_norm;
    for (int32_t i = 0; i < h->n_levels; i++) {
        snprintf(name, sizeof name, "head.levels.%d.norm", (int)i);
        ehm_norm_add(&h->norm[i], ps, name, h->dim);
        snprintf(name, sizeof name, "head.levels.%d.proj", (int)i);
        ehm_linear_add(&h->proj[i], ps, name, W, h->dim);
    }
    /* Start as one matrix [W, n_levels*W] would: from the inputs that an output sums over. The bias is one,
     * at the first. */
    for (int32_t i = 0; i < h->n_levels; i++) {
        snprintf(name, sizeof name, "head.fuse.%d.weight", (int)i);
        h->fuse[i].weight = ehm_params_add(ps, name, EHM_DECAY, 2, (int64_t[]){W, W}, EHM_INIT_XAVIER, 0,
                                           h->n_levels * W, W, NULL);
    }
    h->fuse[0].bias = ehm_params_add(ps, "head.fuse.bias", EHM_NO_DECAY, 1, &W, EHM_INIT_ZERO, 0, 0, 0, NULL);
    ehm_linear_add_normal(&h->last, ps, "head.classes", h->opt.n_out, W, h->opt.head_std, 0);
}

static bool open_tables(ehm_head_pass *p, ehm_arena *a) {
    const ehm_head *h = p->head;
    return ehm_mix_span(&p->pick, a, 1, h->L) &&
           ehm_mix_enlarge2(&p->enlarge, a, h->grid_h / 2, h->grid_w / 2);
}

static void plan_fwd(ehm_head_pass *p, ehm_plan *plan, ehm_mem_kind kind) {
    const ehm_head *h = p->head;
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t R = p->batch * h->L, W = h->opt.width;
    ehm_mix_plan(&p->enlarge, plan);
    for (int32_t i = 0; i < h->n_levels; i++) {
        ehm_head_plan_read(p, plan, kind, i);
        p->y[i] = ehm_plan_2d(plan, kind, NULL, p->act, R, W);
    }
    p->u = ehm_plan_2d(plan, kind, NULL, p->act, R, W);
    p->g = ehm_plan_2d(plan, kind, NULL, p->act, R, W);
    p->sum = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, R, W);
    p->logits = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, R, h->opt.n_out);
}

static void plan_bwd(ehm_head_pass *p, ehm_plan *plan) {
    const ehm_head *h = p->head;
    int64_t R = p->batch * h->L, W = h->opt.width;
    p->dlogits = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, ehm_dev_real(plan->dev), R, h->opt.n_out);
    p->du = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, R, W);
    p->dy = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, R, W);
}

static void load(ehm_head_pass *p, ehm_dev *d) { ehm_mix_load(&p->enlarge, d); }

static void fwd(ehm_dev *d, ehm_head_pass *p, const ehm_weights *w, const ehm_view *levels, int64_t b) {
    const ehm_head *h = p->head;
    int64_t R = b * h->L, W = h->opt.width;
    ehm_view sum = ehm_fit2(p->sum, R, W), u = ehm_fit2(p->u, R, W), g = ehm_fit2(p->g, R, W),
             logits = ehm_fit2(p->logits, R, h->opt.n_out);
    for (int32_t i = 0; i < h->n_levels; i++) {
        ehm_view y = ehm_fit2(p->y[i], R, W);
        ehm_linear_fwd(d, y, ehm_head_read(d, p, i, levels[i], w, b), &h->proj[i], w, ehm_view_none());
        ehm_matmul(d, &(ehm_matmul_args){.out = i == h->n_levels - 1 ? u : sum,
                                         .a = y,
                                         .b = ehm_weight_act(w, h->fuse[i].weight),
                                         .bias = i ? ehm_view_none() : ehm_weight(w, h->fuse[0].bias),
                                         .add = i ? sum : ehm_view_none(),
                                         .trans_b = true,
                                         .weight_b = true});
    }
    ehm_gelu_fwd(d, &(ehm_gelu_fwd_args){.out = g, .x = u});
    ehm_linear_fwd(d, logits, g, &h->last, w, ehm_view_none());
    ehm_mix_fwd(d, ehm_head_out(p, 0, b), ehm_fit3(logits, b, h->L, h->opt.n_out), &p->enlarge);
}

static void bwd(ehm_dev *d, ehm_head_pass *p, const ehm_view *dlevels, const ehm_view *levels,
                const ehm_weights *w, const ehm_grads *g, int64_t b) {
    const ehm_head *h = p->head;
    int64_t R = b * h->L, W = h->opt.width;
    ehm_view dlogits = ehm_fit2(p->dlogits, R, h->opt.n_out), du = ehm_fit2(p->du, R, W),
             dy = ehm_fit2(p->dy, R, W), dh = ehm_fit2(p->dh, R, h->dim);
    (void)levels;
    ehm_mix_bwd(d, ehm_fit3(dlogits, b, h->L, h->opt.n_out), ehm_head_dout(p, 0, b), &p->enlarge, false);
    ehm_linear_bwd(d, du, ehm_feed(d, p->dout_act, dlogits), dlogits, ehm_fit2(p->g, R, W), &h->last, w, g);
    ehm_gelu_bwd(d, &(ehm_gelu_bwd_args){.dx = du, .dout = du, .x = ehm_fit2(p->u, R, W)});
    ehm_colsum(d, &(ehm_colsum_args){.out = ehm_grad(g, h->fuse[0].bias), .x = du, .accumulate = true});
    for (int32_t i = h->n_levels - 1; i >= 0; i--) {
        ehm_view weight = ehm_weight_act(w, h->fuse[i].weight);
        ehm_matmul(d, &(ehm_matmul_args){.out = ehm_grad_matrix(g, h->fuse[i].weight),
                                         .a = du,
                                         .b = ehm_fit2(p->y[i], R, W),
                                         .trans_a = true,
                                         .accumulate = true});
        ehm_matmul(d, &(ehm_matmul_args){.out = dy, .a = du, .b = weight, .weight_b = true});
        ehm_linear_bwd(d, dh, dy, dy, ehm_fit2(p->h[i], R, h->dim), &h->proj[i], w, g);
        ehm_head_read_bwd(d, p, i, dlevels, dh, w, g, b);
    }
}

const ehm_head_ops ehm_head_mlp_ops = {add, open_tables, plan_fwd, plan_bwd, load, fwd, bwd};
