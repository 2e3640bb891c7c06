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
    int32_t rois, n_loaded, grid_h, grid_w; /* most of a batch; the batch's own */
    bool train;
    ehm_dtype act;
    int32_t *host_idx;
    float *host_weight; /* [rois*CELLS,READS] */
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

ehm_mask_pass *ehm_mask_pass_open(ehm_mask_branch *m, int32_t most_rois, int32_t grid_h, int32_t grid_w,
                                  bool train, ehm_dtype act, ehm_arena *a) {
    ehm_mask_pass *p = EHM_NEW(a, ehm_mask_pass);
    if (!p) return NULL;
    *p = (ehm_mask_pass){.branch = m,
                         .rois = most_rois,
                         .grid_h = grid_h,
                         .grid_w = grid_w,
                         .train = train,
                         .act = act};
    size_t n;
    if (!ehm_mul_size(&n, (size_t)most_rois, CELLS * READS)) return NULL;
    p->host_idx = EHM_NEW_N(a, int32_t, n);
    p->host_weight = EHM_NEW_N(a, float, n);
    return p->host_idx && p->host_weight && ehm_mix_unfold2(&p->unfold, a, EHM_ROI_SIDE, EHM_ROI_SIDE) &&
                   ehm_conv3_open(&p->conv, a, EHM_ROI_SIDE, EHM_ROI_SIDE, m->width)
               ? p
               : NULL;
}

void ehm_mask_pass_plan(ehm_mask_pass *p, ehm_plan *plan) {
    const ehm_mask_branch *m = p->branch;
    ehm_mem_kind kind = p->train ? EHM_MEM_CACHE : EHM_MEM_SCRATCH;
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t N = p->rois, R = N * CELLS, W = m->width;
    p->out = ehm_plan_3d(plan, kind, NULL, real, N, 4 * CELLS, m->n_classes);
    p->dout = p->train ? ehm_plan_3d(plan, kind, NULL, real, N, 4 * CELLS, m->n_classes) : ehm_view_none();
    size_t mark = ehm_plan_mark(plan);
    p->idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, R, READS);
    p->weight = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, real, R, READS);
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
    int64_t N = p->rois, R = N * CELLS, W = m->width;
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

/* One cell's reads: the mean of its samples, each of four corners. first: row of the features where the box's
 * picture begins. */
static void cell_reads(int32_t *idx, float *weight, const sample *y, const sample *x, int32_t first,
                       int32_t grid_w) {
    for (int32_t k = 0; k < SAMPLES * SAMPLES; k++) {
        const sample *v = &y[k / SAMPLES], *h = &x[k % SAMPLES];
        for (int32_t c = 0; c < CORNERS; c++) {
            int32_t row = c / 2 ? v->hi : v->lo, col = c % 2 ? h->hi : h->lo;
            double share = (c / 2 ? v->frac : 1 - v->frac) * (c % 2 ? h->frac : 1 - h->frac);
            *idx++ = v->inside && h->inside ? first + row * grid_w + col : -1;
            *weight++ = (float)(share / (SAMPLES * SAMPLES));
        }
    }
}

ehm_code ehm_mask_pass_load(ehm_mask_pass *p, ehm_dev *d, const float *boxes, const int32_t *picture, int32_t n,
                            ehm_err *err) {
    int64_t rows = n * (int64_t)CELLS;
    EHM_ASSERT(n >= 0 && n <= p->rois);
    p->n_loaded = n;
    for (int32_t r = 0; r < n; r++) {
        const float *box = boxes + 4 * (int64_t)r;
        sample y[EHM_ROI_SIDE * SAMPLES], x[EHM_ROI_SIDE * SAMPLES];
        if (!isfinite(box[0]) || !isfinite(box[1]) || !(box[2] >= box[0]) || !(box[3] >= box[1]) ||
            !isfinite(box[2]) || !isfinite(box[3]))
            return EHM_FAIL(err, EHM_E_ARG, "box %d, of picture %d, is %g, %g to %g, %g: that is no box", r,
                            picture[r], (double)box[0], (double)box[1], (double)box[2], (double)box[3]);
        samples_of(x, box[0], box[2], p->grid_w);
        samples_of(y, box[1], box[3], p->grid_h);
        for (int64_t c = 0; c < CELLS; c++) {
            int64_t at = (r * (int64_t)CELLS + c) * READS;
            cell_reads(p->host_idx + at, p->host_weight + at, y + c / EHM_ROI_SIDE * SAMPLES,
                       x + c % EHM_ROI_SIDE * SAMPLES, picture[r] * p->grid_h * p->grid_w, p->grid_w);
        }
    }
    if (!n) return EHM_OK;
    ehm_mix_load(&p->unfold, d);
    ehm_mix_load(&p->conv.table, d);
    ehm_upload(d, ehm_fit2(p->idx, rows, READS), p->host_idx, (size_t)(rows * READS) * sizeof *p->host_idx);
    ehm_put_reals(d, p->weight, p->host_weight, rows * READS);
    return ehm_dev_check(d, err);
}

/* The features of all pictures as one list of rows, which the tables name. */
static ehm_view rows_of(ehm_view features) {
    return ehm_fit3(features, 1, features.dim[0] * features.dim[1], features.dim[2]);
}

void ehm_mask_fwd(ehm_dev *d, ehm_mask_pass *p, const ehm_weights *w, ehm_view features) {
    const ehm_mask_branch *m = p->branch;
    int64_t N = p->n_loaded, R = N * CELLS, W = m->width;
    EHM_ASSERT(N > 0);
    ehm_dev_label(d, "head.mask");
    ehm_view x = ehm_fit3(p->roi, 1, R, W), u = ehm_fit2(p->u, R, 4 * W),
             logits = ehm_fit2(p->logits, 4 * R, m->n_classes);
    ehm_mix_rows_fwd(d, &(ehm_mix_rows_fwd_args){.out = x,
                                                 .x = rows_of(features),
                                                 .idx = ehm_fit3(p->idx, 1, R, READS),
                                                 .weight = ehm_fit3(p->weight, 1, R, READS)});
    for (int32_t i = 0; i < LAYERS; i++) {
        ehm_tower_layer_fwd(d, &p->conv, &p->tower[i], x, &m->tower[i], w, N);
        x = ehm_fit2(p->tower[i].a, R, W);
    }
    ehm_linear_fwd(d, u, x, &m->up, w, ehm_view_none());
    ehm_gelu_fwd(d, &(ehm_gelu_fwd_args){.out = ehm_fit2(p->g, R, 4 * W), .x = u});
    ehm_linear_fwd(d, logits, ehm_fit2(p->g, 4 * R, W), &m->classes, w, ehm_view_none());
    ehm_mix_fwd(d, ehm_mask_out(p), ehm_fit3(logits, N, 4 * CELLS, m->n_classes), &p->unfold);
    ehm_dev_label(d, "");
}

ehm_view ehm_mask_out(const ehm_mask_pass *p) {
    return ehm_fit3(p->out, p->n_loaded, 4 * CELLS, p->branch->n_classes);
}

ehm_view ehm_mask_dout(const ehm_mask_pass *p) {
    EHM_ASSERT(p->train);
    return ehm_fit3(p->dout, p->n_loaded, 4 * CELLS, p->branch->n_classes);
}

void ehm_mask_bwd(ehm_dev *d, ehm_mask_pass *p, ehm_view dfeatures, const ehm_weights *w, const ehm_grads *g) {
    const ehm_mask_branch *m = p->branch;
    int64_t N = p->n_loaded, R = N * CELLS, W = m->width;
    EHM_ASSERT(N > 0);
    ehm_dev_label(d, "head.mask");
    ehm_view dlogits = ehm_fit2(p->dlogits, 4 * R, m->n_classes), du = ehm_fit2(p->du, R, 4 * W),
             da = ehm_fit2(p->da, R, W);
    ehm_mix_bwd(d, ehm_fit3(dlogits, N, 4 * CELLS, m->n_classes), ehm_mask_dout(p), &p->unfold, false);
    ehm_linear_bwd(d, ehm_fit2(du, 4 * R, W), ehm_feed(d, p->dlogits_act, dlogits), dlogits,
                   ehm_fit2(p->g, 4 * R, W), &m->classes, w, g);
    ehm_gelu_bwd(d, &(ehm_gelu_bwd_args){.dx = du, .dout = du, .x = ehm_fit2(p->u, R, 4 * W)});
    ehm_linear_bwd(d, da, du, du, ehm_fit2(p->tower[LAYERS - 1].a, R, W), &m->up, w, g);
    for (int32_t i = LAYERS - 1; i >= 0; i--)
        ehm_tower_layer_bwd(d, &p->conv, da, false, da, &p->scratch, &p->tower[i],
                            i ? p->tower[i - 1].a : p->roi, &m->tower[i], w, g, N);
    ehm_mix_rows_bwd(d, &(ehm_mix_rows_bwd_args){.dx = rows_of(dfeatures),
                                                 .dout = ehm_fit3(da, 1, R, W),
                                                 .idx = ehm_fit3(p->idx, 1, R, READS),
                                                 .weight = ehm_fit3(p->weight, 1, R, READS),
                                                 .accumulate = true});
    ehm_dev_label(d, "");
}
