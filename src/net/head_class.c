/* One row or every row of the last level, its norm, one linear: both classifiers and the linear segmenter. */
#include "net/heads_int.h"

static void add(ehm_head *h, ehm_params *ps, const ehm_norm *encoder_norm) {
    /* The class token and single patches go through the encoder's own norm, a mean of patches through a new
     * one, as MAE's fine-tuning does. */
    if (h->opt.kind == EHM_HEAD_CLASS_MEAN) ehm_norm_add(&h->norm[0], ps, "fc_norm", h->dim);
    else if (encoder_norm) h->norm[0] = *encoder_norm;
    else ehm_norm_add(&h->norm[0], ps, "norm", h->dim);
    ehm_linear_add_normal(&h->last, ps, "head", h->opt.n_out, h->dim, h->opt.head_std, 0);
}

static bool open_tables(ehm_head_pass *p, ehm_arena *a) {
    const ehm_head *h = p->head;
    switch (h->opt.kind) {
    case EHM_HEAD_CLASS_CLS: return ehm_mix_span(&p->pick, a, 0, 1);
    case EHM_HEAD_CLASS_MEAN: return ehm_mix_mean(&p->pick, a, 1, h->L);
    default: return ehm_mix_span(&p->pick, a, 1, h->L);
    }
}

static void plan_fwd(ehm_head_pass *p, ehm_plan *plan, ehm_mem_kind kind) {
    ehm_head_plan_read(p, plan, kind, 0);
}
static void plan_bwd(ehm_head_pass *p, ehm_plan *plan) { (void)p, (void)plan; }
static void load(ehm_head_pass *p, ehm_dev *d) { (void)p, (void)d; }

static void fwd(ehm_dev *d, ehm_head_pass *p, const ehm_weights *w, const ehm_view *levels, int64_t b) {
    ehm_view h = ehm_head_read(d, p, 0, levels[0], w, b);
    ehm_linear_fwd(d, ehm_head_out(p, 0, b), h, &p->head->last, w, ehm_view_none());
}

static void bwd(ehm_dev *d, ehm_head_pass *p, const ehm_view *dlevels, const ehm_view *levels,
                const ehm_weights *w, const ehm_grads *g, int64_t b) {
    int64_t R = b * p->pick.rows, D = p->head->dim;
    ehm_view dout = ehm_fit2(p->dout[0], R, p->head->opt.n_out), dh = ehm_fit2(p->dh, R, D);
    (void)levels;
    ehm_linear_bwd(d, dh, ehm_feed(d, p->dout_act, dout), dout, ehm_fit2(p->h[0], R, D), &p->head->last, w,
                   g);
    ehm_head_read_bwd(d, p, 0, dlevels, dh, w, g, b);
}

const ehm_head_ops ehm_head_rows_ops = {add, open_tables, plan_fwd, plan_bwd, load, fwd, bwd};
