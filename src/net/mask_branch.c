#include "net/heads.h"
#include "net/layer_grid.h"
#include <math.h>
#include <stdio.h>

/* Samples of a cell along one side, cells of a RoI, what a sample reads. */
enum {
    SAMPLES = 2,
    CELLS = EHM_ROI_SIDE * EHM_ROI_SIDE,
    CORNERS = 4,
    READS = SAMPLES * SAMPLES * CORNERS,
    LAYERS = 2
};

struct ehm_mask_branch {
    int64_t width;
    int32_t n_classes;
    ehm_tower_layer tower[LAYERS];
    ehm_linear up, classes;
};
struct ehm_mask_pass {
    const ehm_mask_branch *branch;
    int32_t batch, rois, grid_h, grid_w;
    bool train;
    ehm_dtype act;
    int32_t *host_idx;
    float *host_weight; /* [batch,rois*CELLS,READS] */
    ehm_view idx, weight;
    ehm_mix unfold;
    ehm_conv3 conv;
    ehm_view roi, u, g, logits, out, dout; /* roi, u, g act; the rest f32 */
    ehm_tower_cache tower[LAYERS];
    ehm_view dlogits, dlogits_act, du, da;
    ehm_tower_scratch scratch;
};

ehm_mask_branch *ehm_mask_branch_add(ehm_params *ps, ehm_arena *a, int32_t width, int32_t n_classes) {
    ehm_mask_branch *m = EHM_NEW(a, ehm_mask_branch);
    char name[48];
    if (!m) return ps->failed = true, NULL;
    m->width = width, m->n_classes = n_classes;
    for (int32_t i = 0; i < LAYERS; i++) {
        snprintf(name, sizeof name, "head.mask.%d", (int)i);
        ehm_tower_layer_add(&m->tower[i], ps, name, width);
    }
    ehm_linear_add(&m->up, ps, "head.mask.up", 4 * (int64_t)width, width);
    ehm_linear_add_normal(&m->classes, ps, "head.mask.classes", n_classes, width, 0.01, 0);
    return ps->failed ? NULL : m;
}

ehm_mask_pass *ehm_mask_pass_open(ehm_mask_branch *m, int32_t batch, int32_t rois_per_picture, int32_t grid_h,
                                  int32_t grid_w, bool train, ehm_dtype act, ehm_arena *a) {
    ehm_mask_pass *p = EHM_NEW(a, ehm_mask_pass);
    if (!p) return NULL;
    *p = (ehm_mask_pass){.branch = m,
                         .batch = batch,
                         .rois = rois_per_picture,
                         .grid_h = grid_h,
                         .grid_w = grid_w,
                         .train = train,
                         .act = act};
    size_t n = (size_t)batch * (size_t)rois_per_picture;
    if (!ehm_mul_size(&n, n, CELLS * READS)) return NULL;
    p->host_idx = EHM_NEW_N(a, int32_t, n);
    p->host_weight = EHM_NEW_N(a, float, n);
    return p->host_idx && p->host_weight && ehm_mix_unfold2(&p->unfold, a, EHM_ROI_SIDE, EHM_ROI_SIDE) &&
                   ehm_conv3_open(&p->conv, a, EHM_ROI_SIDE, EHM_ROI_SIDE, m->width)
               ? p
               : NULL;
}

static int64_t all_rois(const ehm_mask_pass *p, int64_t b) { return b * p->rois; }

void ehm_mask_pass_plan(ehm_mask_pass *p, ehm_plan *plan) {
    const ehm_mask_branch *m = p->branch;
    ehm_mem_kind kind = p->train ? EHM_MEM_CACHE : EHM_MEM_SCRATCH;
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t N = all_rois(p, p->batch), R = N * CELLS, W = m->width;
    p->out = ehm_plan_3d(plan, kind, NULL, real, N, 4 * CELLS, m->n_classes);
    p->dout = p->train ? ehm_plan_3d(plan, kind, NULL, real, N, 4 * CELLS, m->n_classes) : ehm_view_none();
    size_t mark = ehm_plan_mark(plan);
    p->idx = ehm_plan_3d(plan, EHM_MEM_INPUT, NULL, EHM_I32, p->batch, p->rois * (int64_t)CELLS, READS);
    p->weight = ehm_plan_3d(plan, EHM_MEM_INPUT, NULL, real, p->batch, p->rois * (int64_t)CELLS, READS);
    ehm_mix_plan(&p->unfold, plan);
    p->roi = ehm_plan_2d(plan, kind, NULL, p->act, R, W);
    for (int32_t i = 0; i < LAYERS; i++) ehm_tower_plan(&p->tower[i], plan, kind, p->act, R, W);
    p->u = ehm_plan_2d(plan, kind, NULL, p->act, R, 4 * W);
    p->g = ehm_plan_2d(plan, kind, NULL, p->act, R, 4 * W);
    p->logits = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, 4 * R, m->n_classes);
    ehm_conv3_plan(&p->conv, plan, p->act, N);
    ehm_plan_release(plan, mark);
}

void ehm_mask_pass_plan_bwd(ehm_mask_pass *p, ehm_plan *plan) {
    const ehm_mask_branch *m = p->branch;
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t N = all_rois(p, p->batch), R = N * CELLS, W = m->width;
    size_t mark = ehm_plan_mark(plan);
    p->dlogits = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, 4 * R, m->n_classes);
    p->dlogits_act = p->act == real ? ehm_view_none()
                                    : ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, 4 * R, m->n_classes);
    p->du = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, p->act, R, 4 * W);
    p->da = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, real, R, W);
    ehm_tower_plan_bwd(&p->scratch, plan, p->act, R, W);
    ehm_conv3_plan_bwd(&p->conv, plan, p->act, N);
    ehm_plan_release(plan, mark);
}

/* Where the samples of a box fall along one axis, and how far between two cells. */
typedef struct {
    int32_t lo, hi;
    double frac;
    bool inside;
} sample;

static void samples_of(sample out[EHM_ROI_SIDE * SAMPLES], double from, double to, int32_t n) {
    const double step = (to - from) / (EHM_ROI_SIDE * SAMPLES);
    for (int32_t i = 0; i < EHM_ROI_SIDE * SAMPLES; i++) {
        /* Cell k covers k to k + 1, its value stands at its centre. */
        double at = from - 0.5 + (i + 0.5) * step, held = fmin(fmax(at, 0), n - 1);
        sample s = {.lo = (int32_t)held, .inside = at >= -1 && at <= n};
        s.hi = s.lo < n - 1 ? s.lo + 1 : s.lo;
        s.frac = held - s.lo;
        out[i] = s;
    }
}

/* One cell's reads: the mean of its samples, each of four corners. */
static void cell_reads(int32_t *idx, float *weight, const sample *y, const sample *x, int32_t grid_w) {
    for (int32_t k = 0; k < SAMPLES * SAMPLES; k++) {
        const sample *v = &y[k / SAMPLES], *h = &x[k % SAMPLES];
        for (int32_t c = 0; c < CORNERS; c++) {
            int32_t row = c / 2 ? v->hi : v->lo, col = c % 2 ? h->hi : h->lo;
            double share = (c / 2 ? v->frac : 1 - v->frac) * (c % 2 ? h->frac : 1 - h->frac);
            *idx++ = v->inside && h->inside ? row * grid_w + col : -1;
            *weight++ = (float)(share / (SAMPLES * SAMPLES));
        }
    }
}

ehm_code ehm_mask_pass_load(ehm_mask_pass *p, ehm_dev *d, const float *boxes, int64_t b, ehm_err *err) {
    int64_t rows = p->rois * (int64_t)CELLS, n = b * rows * READS;
    EHM_ASSERT(b >= 1 && b <= p->batch);
    for (int64_t r = 0; r < all_rois(p, b); r++) {
        const float *box = boxes + 4 * r;
        sample y[EHM_ROI_SIDE * SAMPLES], x[EHM_ROI_SIDE * SAMPLES];
        if (!isfinite(box[0]) || !isfinite(box[1]) || !(box[2] >= box[0]) || !(box[3] >= box[1]) ||
            !isfinite(box[2]) || !isfinite(box[3]))
            return EHM_FAIL(err, EHM_E_ARG, "box %lld of picture %lld is %g, %g to %g, %g: that is no box",
                            (long long)(r % p->rois), (long long)(r / p->rois), (double)box[0],
                            (double)box[1], (double)box[2], (double)box[3]);
        samples_of(x, box[0], box[2], p->grid_w);
        samples_of(y, box[1], box[3], p->grid_h);
        for (int64_t c = 0; c < CELLS; c++) {
            int64_t at = (r * CELLS + c) * READS;
            cell_reads(p->host_idx + at, p->host_weight + at, y + c / EHM_ROI_SIDE * SAMPLES,
                       x + c % EHM_ROI_SIDE * SAMPLES, p->grid_w);
        }
    }
    ehm_mix_load(&p->unfold, d);
    ehm_mix_load(&p->conv.table, d);
    ehm_upload(d, ehm_fit3(p->idx, b, rows, READS), p->host_idx, (size_t)n * sizeof *p->host_idx);
    ehm_put_reals(d, p->weight, p->host_weight, n);
    return ehm_dev_check(d, err);
}

void ehm_mask_fwd(ehm_dev *d, ehm_mask_pass *p, const ehm_weights *w, ehm_view features, int64_t b) {
    const ehm_mask_branch *m = p->branch;
    int64_t N = all_rois(p, b), R = N * CELLS, W = m->width, rows = p->rois * (int64_t)CELLS;
    ehm_dev_label(d, "head.mask");
    ehm_view x = ehm_fit3(p->roi, b, rows, W), u = ehm_fit2(p->u, R, 4 * W),
             logits = ehm_fit2(p->logits, 4 * R, m->n_classes);
    ehm_mix_rows_fwd(d, &(ehm_mix_rows_fwd_args){.out = x,
                                                 .x = features,
                                                 .idx = ehm_fit3(p->idx, b, rows, READS),
                                                 .weight = ehm_fit3(p->weight, b, rows, READS)});
    for (int32_t i = 0; i < LAYERS; i++) {
        ehm_tower_layer_fwd(d, &p->conv, &p->tower[i], x, &m->tower[i], w, N);
        x = ehm_fit2(p->tower[i].a, R, W);
    }
    ehm_linear_fwd(d, u, x, &m->up, w, ehm_view_none());
    ehm_gelu_fwd(d, &(ehm_gelu_fwd_args){.out = ehm_fit2(p->g, R, 4 * W), .x = u});
    ehm_linear_fwd(d, logits, ehm_fit2(p->g, 4 * R, W), &m->classes, w, ehm_view_none());
    ehm_mix_fwd(d, ehm_mask_out(p, b), ehm_fit3(logits, N, 4 * CELLS, m->n_classes), &p->unfold);
    ehm_dev_label(d, "");
}

ehm_view ehm_mask_out(const ehm_mask_pass *p, int64_t b) {
    return ehm_fit3(p->out, all_rois(p, b), 4 * CELLS, p->branch->n_classes);
}

ehm_view ehm_mask_dout(const ehm_mask_pass *p, int64_t b) {
    EHM_ASSERT(p->train);
    return ehm_fit3(p->dout, all_rois(p, b), 4 * CELLS, p->branch->n_classes);
}

void ehm_mask_bwd(ehm_dev *d, ehm_mask_pass *p, ehm_view dfeatures, const ehm_weights *w, const ehm_grads *g,
                  int64_t b) {
    const ehm_mask_branch *m = p->branch;
    int64_t N = all_rois(p, b), R = N * CELLS, W = m->width, rows = p->rois * (int64_t)CELLS;
    ehm_dev_label(d, "head.mask");
    ehm_view dlogits = ehm_fit2(p->dlogits, 4 * R, m->n_classes), du = ehm_fit2(p->du, R, 4 * W),
             da = ehm_fit2(p->da, R, W);
    ehm_mix_bwd(d, ehm_fit3(dlogits, N, 4 * CELLS, m->n_classes), ehm_mask_dout(p, b), &p->unfold, false);
    ehm_linear_bwd(d, ehm_fit2(du, 4 * R, W), ehm_feed(d, p->dlogits_act, dlogits), dlogits,
                   ehm_fit2(p->g, 4 * R, W), &m->classes, w, g);
    ehm_gelu_bwd(d, &(ehm_gelu_bwd_args){.dx = du, .dout = du, .x = ehm_fit2(p->u, R, 4 * W)});
    ehm_linear_bwd(d, da, du, du, ehm_fit2(p->tower[LAYERS - 1].a, R, W), &m->up, w, g);
    for (int32_t i = LAYERS - 1; i >= 0; i--)
        ehm_tower_layer_bwd(d, &p->conv, da, false, da, &p->scratch, &p->tower[i],
                            i ? p->tower[i - 1].a : p->roi, &m->tower[i], w, g, N);
    ehm_mix_rows_bwd(d, &(ehm_mix_rows_bwd_args){.dx = dfeatures,
                                                 .dout = ehm_fit3(da, b, rows, W),
                                                 .idx = ehm_fit3(p->idx, b, rows, READS),
                                                 .weight = ehm_fit3(p->weight, b, rows, READS),
                                                 .accumulate = true});
    ehm_dev_label(d, "");
}
