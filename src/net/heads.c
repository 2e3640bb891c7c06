#include "net/heads_int.h"

enum { DEFAULT_WIDTH = 128, QUARTERS = 4 };

static const ehm_head_ops *const ops_of[] = {[EHM_HEAD_CLASS_CLS] = &ehm_head_rows_ops,
                                             [EHM_HEAD_CLASS_MEAN] = &ehm_head_rows_ops,
                                             [EHM_HEAD_SEG_LINEAR] = &ehm_head_rows_ops,
                                             [EHM_HEAD_SEG_MLP] = &ehm_head_mlp_ops,
                                             [EHM_HEAD_DETECT] = &ehm_head_detect_ops};

ehm_code ehm_head_check(const ehm_head_opt *o, ehm_err *err) {
    bool wide = o->kind == EHM_HEAD_SEG_MLP || o->kind == EHM_HEAD_DETECT;
    if ((unsigned)o->kind > EHM_HEAD_DETECT)
        return EHM_FAIL(err, EHM_E_ARG, "there is no head of kind %d", (int)o->kind);
    if (o->n_out < 1)
        return EHM_FAIL(err, EHM_E_CONFIG, "a head for %d classes cannot be made", (int)o->n_out);
    if (wide && (o->width < 0 || o->width % 4))
        return EHM_FAIL(err, EHM_E_CONFIG, "a head of width %d cannot be made: it must be a multiple of 4",
                        (int)o->width);
    if (!(o->head_std >= 0) || o->head_std > 1)
        return EHM_FAIL(err, EHM_E_CONFIG, "the last layer cannot start with deviation %g: 0 to 1 is allowed",
                        o->head_std);
    return EHM_OK;
}

/* Outputs after equal parts of the blocks, the last after all; fewer levels where there are fewer blocks. */
static void choose_levels(ehm_head *h, int32_t depth) {
    h->n_levels = h->opt.kind != EHM_HEAD_SEG_MLP ? 1 : depth < QUARTERS ? depth : QUARTERS;
    for (int32_t i = 0; i < h->n_levels; i++)
        h->level[i] = (depth * (i + 1) + h->n_levels - 1) / h->n_levels - 1;
}

static void choose_outs(ehm_head *h) {
    bool detect = h->opt.kind == EHM_HEAD_DETECT, twice = detect || h->opt.kind == EHM_HEAD_SEG_MLP;
    if (h->opt.kind == EHM_HEAD_CLASS_CLS || h->opt.kind == EHM_HEAD_CLASS_MEAN) h->grid_h = h->grid_w = 1;
    if (twice) h->grid_h *= 2, h->grid_w *= 2;
    h->out_rows = (int64_t)h->grid_h * h->grid_w;
    h->n_outs = !detect ? 1 : h->opt.with_features ? 4 : 3;
    const int64_t width[EHM_HEAD_OUTS] = {h->opt.n_out, 4, 1, h->opt.width};
    for (int32_t i = 0; i < h->n_outs; i++) h->out_width[i] = width[i];
}

ehm_head *ehm_head_add(ehm_params *ps, ehm_arena *a, const ehm_vit_shape *s, const ehm_norm *encoder_norm,
                       const ehm_head_opt *o) {
    ehm_head *h = EHM_NEW(a, ehm_head);
    if (!h) return ps->failed = true, NULL;
    *h = (ehm_head){.ops = ops_of[o->kind],
                    .opt = *o,
                    .dim = s->embed_dim,
                    .L = s->n_patches,
                    .grid_h = s->grid_h,
                    .grid_w = s->grid_w};
    if (!h->opt.width) h->opt.width = DEFAULT_WIDTH;
    if (!(h->opt.head_std > 0)) h->opt.head_std = 0.01;
    choose_levels(h, s->depth);
    choose_outs(h);
    h->ops->add(h, ps, encoder_norm);
    return ps->failed ? NULL : h;
}

ehm_head_pass *ehm_head_pass_open(ehm_head *h, int32_t batch, bool train, ehm_dtype act, ehm_arena *a) {
    ehm_head_pass *p = EHM_NEW(a, ehm_head_pass);
    if (!p) return NULL;
    *p = (ehm_head_pass){.head = h, .batch = batch, .train = train, .act = act};
    return h->ops->open(p, a) ? p : NULL;
}

int32_t ehm_head_n_levels(const ehm_head *h) { return h->n_levels; }
int32_t ehm_head_level(const ehm_head *h, int32_t i) {
    EHM_ASSERT(i >= 0 && i < h->n_levels);
    return h->level[i];
}
int32_t ehm_head_n_outs(const ehm_head *h) { return h->n_outs; }
void ehm_head_grid(const ehm_head *h, int32_t *gh, int32_t *gw) { *gh = h->grid_h, *gw = h->grid_w; }

void ehm_head_pass_plan(ehm_head_pass *p, ehm_plan *plan) {
    const ehm_head *h = p->head;
    ehm_mem_kind kind = p->train ? EHM_MEM_CACHE : EHM_MEM_SCRATCH;
    ehm_dtype real = ehm_dev_real(plan->dev);
    for (int32_t i = 0; i < h->n_outs; i++) {
        p->out[i] = ehm_plan_3d(plan, kind, NULL, real, p->batch, h->out_rows, h->out_width[i]);
        p->dout[i] = p->train ? ehm_plan_3d(plan, kind, NULL, real, p->batch, h->out_rows, h->out_width[i])
                              : ehm_view_none();
    }
    size_t mark = ehm_plan_mark(plan);
    ehm_mix_plan(&p->pick, plan);
    h->ops->plan(p, plan, kind);
    ehm_plan_release(plan, mark);
}

void ehm_head_pass_plan_bwd(ehm_head_pass *p, ehm_plan *plan) {
    size_t mark = ehm_plan_mark(plan);
    const ehm_head *h = p->head;
    int64_t widest = 0;
    for (int32_t i = 0; i < h->n_outs && i < 3; i++)
        widest = widest > h->out_width[i] ? widest : h->out_width[i];
    p->dout_act = p->act == ehm_dev_real(plan->dev)
                      ? ehm_view_none()
                      : ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, p->batch * h->out_rows, widest);
    ehm_head_plan_read_bwd(p, plan);
    h->ops->plan_bwd(p, plan);
    ehm_plan_release(plan, mark);
}

ehm_code ehm_head_pass_load(ehm_head_pass *p, ehm_dev *d, ehm_err *err) {
    ehm_mix_load(&p->pick, d);
    p->head->ops->load(p, d);
    return ehm_dev_check(d, err);
}

void ehm_head_fwd(ehm_dev *d, ehm_head_pass *p, const ehm_weights *w, const ehm_view *levels, int64_t b) {
    ehm_dev_label(d, "head");
    p->head->ops->fwd(d, p, w, levels, b);
    ehm_dev_label(d, "");
}

void ehm_head_bwd(ehm_dev *d, ehm_head_pass *p, const ehm_view *dlevels, const ehm_view *levels,
                  const ehm_weights *w, const ehm_grads *g, int64_t b) {
    ehm_dev_label(d, "head");
    p->head->ops->bwd(d, p, dlevels, levels, w, g, b);
    ehm_dev_label(d, "");
}

ehm_view ehm_head_out(const ehm_head_pass *p, int32_t i, int64_t b) {
    EHM_ASSERT(i >= 0 && i < p->head->n_outs);
    return ehm_fit3(p->out[i], b, p->head->out_rows, p->head->out_width[i]);
}

ehm_view ehm_head_dout(const ehm_head_pass *p, int32_t i, int64_t b) {
    EHM_ASSERT(i >= 0 && i < p->head->n_outs && p->train);
    return ehm_fit3(p->dout[i], b, p->head->out_rows, p->head->out_width[i]);
}

/* ---- reading a level ---- */

void ehm_head_plan_read(ehm_head_pass *p, ehm_plan *plan, ehm_mem_kind kind, int32_t i) {
    int64_t rows = p->batch * p->pick.rows, D = p->head->dim;
    ehm_dtype real = ehm_dev_real(plan->dev);
    p->picked[i] = ehm_plan_2d(plan, kind, NULL, real, rows, D);
    p->h[i] = ehm_plan_2d(plan, kind, NULL, p->act, rows, D);
    p->norm[i].mean = ehm_plan_1d(plan, kind, NULL, real, rows);
    p->norm[i].rstd = ehm_plan_1d(plan, kind, NULL, real, rows);
}

void ehm_head_plan_read_bwd(ehm_head_pass *p, ehm_plan *plan) {
    int64_t rows = p->batch * p->pick.rows, D = p->head->dim;
    p->dh = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, rows, D);
    p->dpicked = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, ehm_dev_real(plan->dev), rows, D);
}

ehm_view ehm_head_read(ehm_dev *d, ehm_head_pass *p, int32_t i, ehm_view level, const ehm_weights *w,
                       int64_t b) {
    int64_t n = p->pick.rows, D = p->head->dim;
    ehm_view h = ehm_fit2(p->h[i], b * n, D), picked = ehm_fit3(p->picked[i], b, n, D);
    ehm_mix_fwd(d, picked, level, &p->pick);
    ehm_norm_layer_fwd(d, h, &p->norm[i], picked, &p->head->norm[i], w);
    return h;
}

void ehm_head_read_bwd(ehm_dev *d, ehm_head_pass *p, int32_t i, const ehm_view *dlevels, ehm_view dh,
                       const ehm_weights *w, const ehm_grads *g, int64_t b) {
    int64_t n = p->pick.rows, D = p->head->dim;
    ehm_view dpicked = ehm_fit3(p->dpicked, b, n, D);
    ehm_norm_layer_bwd(d, dpicked, false, dh, ehm_fit3(p->picked[i], b, n, D), &p->norm[i], &p->head->norm[i],
                       w, g);
    if (dlevels && dlevels[i].rank) ehm_mix_bwd(d, dlevels[i], dpicked, &p->pick, false);
}
