/* One scale of twice the patch grid, two towers, three predictors. The unfolding moves whole cells, so norm
 * and GELU, which work on single cells, come before it. */
#include "net/heads_int.h"
#include <math.h>
#include <stdio.h>

enum { CLASSES, BOXES, CENTRES, FEATURES };

static void add(ehm_head *h, ehm_params *ps, const ehm_norm *encoder_norm) {
    static const char *const tower_name[2] = {"cls", "box"};
    int64_t W = h->opt.width;
    char name[48];
    (void)encoder_norm;
    ehm_norm_add(&h->norm[0], ps, "head.norm", h->dim);
    ehm_linear_add(&h->up, ps, "head.up", 4 * W, h->dim);
    ehm_norm_add(&h->up_norm, ps, "head.up_norm", W);
    for (int32_t t = 0; t < 2; t++)
        for (int32_t i = 0; i < EHM_TOWER_LAYERS; i++) {
            snprintf(name, sizeof name, "head.%s.%d", tower_name[t], (int)i);
            ehm_tower_layer_add(&h->tower[t][i], ps, name, W);
        }
    /* Each class starts at probability 0.01, so that the many points without an object do not drown the rest
     * (Lin et al. 2017). */
    ehm_linear_add_normal(&h->last, ps, "head.cls_pred", h->opt.n_out, 9 * W, h->opt.head_std, -log(99));
    ehm_linear_add_normal(&h->box, ps, "head.box_pred", 4, 9 * W, h->opt.head_std, 0);
    ehm_linear_add_normal(&h->centre, ps, "head.centre_pred", 1, 9 * W, h->opt.head_std, 0);
}

static bool open_tables(ehm_head_pass *p, ehm_arena *a) {
    const ehm_head *h = p->head;
    return ehm_mix_span(&p->pick, a, 1, h->L) &&
           ehm_mix_unfold2(&p->unfold, a, h->grid_h / 2, h->grid_w / 2) &&
           ehm_conv3_open(&p->conv, a, h->grid_h, h->grid_w, h->opt.width);
}

static void plan_fwd(ehm_head_pass *p, ehm_plan *plan, ehm_mem_kind kind) {
    int64_t R = p->batch * p->head->out_rows, W = p->head->opt.width;
    ehm_mix_plan(&p->unfold, plan);
    ehm_head_plan_read(p, plan, kind, 0);
    ehm_tower_plan(&p->up, plan, kind, p->act, R, W);
    p->feat = ehm_plan_2d(plan, kind, NULL, p->act, R, W);
    for (int32_t t = 0; t < 2; t++)
        for (int32_t i = 0; i < EHM_TOWER_LAYERS; i++) {
            ehm_tower_cache *c = &p->tower[t][i];
            /* Forward only, the classes' tower is done with before the boxes' starts. */
            if (p->train || !t) ehm_tower_plan(c, plan, kind, p->act, R, W);
            else *c = p->tower[0][i];
        }
    ehm_conv3_plan(&p->conv, plan, p->act, p->batch);
}

static void plan_bwd(ehm_head_pass *p, ehm_plan *plan) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t R = p->batch * p->head->out_rows, W = p->head->opt.width;
    p->dtower = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, R, W);
    p->dfeat =
        p->head->opt.with_features ? ehm_view_none() : ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, R, W);
    ehm_tower_plan_bwd(&p->tower_scratch, plan, p->act, R, W);
    ehm_conv3_plan_bwd(&p->conv, plan, p->act, p->batch);
}

static void load(ehm_head_pass *p, ehm_dev *d) {
    ehm_mix_load(&p->unfold, d);
    ehm_mix_load(&p->conv.table, d);
}

static void fwd(ehm_dev *d, ehm_head_pass *p, const ehm_weights *w, const ehm_view *levels, int64_t b) {
    const ehm_head *h = p->head;
    int64_t G = h->out_rows, W = h->opt.width;
    ehm_view in = ehm_head_read(d, p, 0, levels[0], w, b), feat = ehm_fit3(p->feat, b, G, W);
    ehm_linear_fwd(d, ehm_fit2(p->up.y, b * h->L, 4 * W), in, &h->up, w, ehm_view_none());
    ehm_norm_gelu_fwd(d, &p->up, &h->up_norm, w, b * G, W);
    ehm_mix_fwd(d, feat, ehm_fit3(p->up.a, b, G, W), &p->unfold);
    if (h->opt.with_features)
        ehm_mix_fwd(d, ehm_head_out(p, FEATURES, b), ehm_fit3(p->up.a, b, G, W), &p->unfold);
    for (int32_t t = 0; t < 2; t++) {
        ehm_view x = feat;
        for (int32_t i = 0; i < EHM_TOWER_LAYERS; i++) {
            ehm_tower_layer_fwd(d, &p->conv, &p->tower[t][i], x, &h->tower[t][i], w, b);
            x = ehm_fit3(p->tower[t][i].a, b, G, W);
        }
        ehm_conv3_fwd(d, &p->conv, ehm_head_out(p, t ? BOXES : CLASSES, b), x, t ? &h->box : &h->last, w, b);
        if (t) ehm_conv3_fwd(d, &p->conv, ehm_head_out(p, CENTRES, b), ehm_view_none(), &h->centre, w, b);
    }
}

/* From the predictors down one tower; its share of the features' gradient is written or added to dfeat. */
static void tower_bwd(ehm_dev *d, ehm_head_pass *p, int32_t t, ehm_view dfeat, bool accumulate,
                      const ehm_weights *w, const ehm_grads *g, int64_t b) {
    const ehm_head *h = p->head;
    int64_t G = h->out_rows, W = h->opt.width;
    ehm_view da = ehm_fit3(p->dtower, b, G, W), none = ehm_view_none();
    for (int32_t o = t ? BOXES : CLASSES; o <= (t ? CENTRES : CLASSES); o++) {
        ehm_view dout = ehm_fit2(p->dout[o], b * G, h->out_width[o]);
        const ehm_linear *l = o == CLASSES ? &h->last : o == BOXES ? &h->box : &h->centre;
        ehm_conv3_bwd(d, &p->conv, da, o == CENTRES, ehm_feed(d, p->dout_act, dout), dout,
                      o == CENTRES ? none : ehm_fit3(p->tower[t][EHM_TOWER_LAYERS - 1].a, b, G, W), l, w, g,
                      b);
    }
    for (int32_t i = EHM_TOWER_LAYERS - 1; i >= 0; i--)
        ehm_tower_layer_bwd(d, &p->conv, i ? da : dfeat, i ? false : accumulate, da, &p->tower_scratch,
                            &p->tower[t][i], ehm_fit3(i ? p->tower[t][i - 1].a : p->feat, b, G, W),
                            &h->tower[t][i], w, g, b);
}

static void bwd(ehm_dev *d, ehm_head_pass *p, const ehm_view *dlevels, const ehm_view *levels,
                const ehm_weights *w, const ehm_grads *g, int64_t b) {
    const ehm_head *h = p->head;
    int64_t G = h->out_rows, W = h->opt.width;
    /* What the mask branch sent back is the first summand where there is one. */
    ehm_view dfeat = ehm_fit3(h->opt.with_features ? p->dout[FEATURES] : p->dfeat, b, G, W);
    ehm_view dup = ehm_fit2(p->dtower, b * G, W), dh = ehm_fit2(p->dh, b * h->L, h->dim), dy_act;
    (void)levels;
    tower_bwd(d, p, 0, dfeat, h->opt.with_features, w, g, b);
    tower_bwd(d, p, 1, dfeat, true, w, g, b);
    ehm_mix_bwd(d, ehm_fit3(dup, b, G, W), dfeat, &p->unfold, false);
    ehm_view dy = ehm_norm_gelu_bwd(d, &dy_act, dup, &p->tower_scratch, &p->up, &h->up_norm, w, g);
    ehm_linear_bwd(d, dh, ehm_fit2(dy_act, b * h->L, 4 * W), ehm_fit2(dy, b * h->L, 4 * W),
                   ehm_fit2(p->h[0], b * h->L, h->dim), &h->up, w, g);
    ehm_head_read_bwd(d, p, 0, dlevels, dh, w, g, b);
}

const ehm_head_ops ehm_head_detect_ops = {add, open_tables, plan_fwd, plan_bwd, load, fwd, bwd};
