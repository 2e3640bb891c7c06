/* Losses of downstream tasks: rows are independent, so work is cut by rows. */
#include "compute/cpu/cpu_int.h"
#include <math.h>

enum { ELEMENTS = 16384 };

typedef struct {
    ehm_cpu *c;
    const void *args;
} loss_job;
static bool is_bf16(ehm_view v) { return v.dtype == EHM_BF16; }
static double value(ehm_view v, int64_t i) {
    const void *p = ehm_ptr(v);
    return (double)(is_bf16(v) ? ehm_f32_of(((const uint16_t *)p)[i]) : ((const float *)p)[i]);
}
static void set(ehm_view v, int64_t i, double x) {
    if (!v.rank) return;
    if (is_bf16(v)) ((uint16_t *)ehm_ptr(v))[i] = ehm_bf16_of((float)x);
    else ((float *)ehm_ptr(v))[i] = (float)x;
}
static void run(ehm_cpu *c, int64_t rows, int64_t width, ehm_pool_fn fn, const void *args) {
    loss_job j = {c, args};
    if (!c->failed) ehm_pool_for(c->pool, rows, 1 + ELEMENTS / width, fn, &j);
}

static void *at(ehm_view v, int64_t i) {
    return v.rank ? (char *)ehm_ptr(v) + i * (is_bf16(v) ? 2 : 4) : NULL;
}

static void xent_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const loss_job *j = ctx;
    const ehm_xent_args *a = j->args;
    const int64_t n = a->logits.dim[1];
    (void)i_thread;
    j->c->row->xent(at(a->row_loss, begin), at(a->dlogits, begin * n), is_bf16(a->dlogits),
                    at(a->logits, begin * n), is_bf16(a->logits), at(a->target, begin * n),
                    at(a->labels, begin), ehm_ptr(a->class_weight), a->scale, end - begin, n);
}
void ehm_cpu_op_xent(void *self, const ehm_xent_args *a) {
    run(self, a->logits.dim[0], a->logits.dim[1], xent_some, a);
}

static void focal_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const loss_job *j = ctx;
    const ehm_focal_args *a = j->args;
    const int64_t n = a->x.dim[1];
    const float c[3] = {[FOCAL_GAMMA] = a->gamma, [FOCAL_ALPHA] = a->alpha, [FOCAL_SCALE] = a->scale};
    (void)i_thread;
    j->c->row->focal(at(a->row_loss, begin), at(a->dx, begin * n), is_bf16(a->dx), at(a->x, begin * n),
                     is_bf16(a->x), at(a->target, begin * n), at(a->weight, begin), c, end - begin, n);
}
void ehm_cpu_op_focal(void *self, const ehm_focal_args *a) {
    run(self, a->x.dim[0], a->x.dim[1], focal_some, a);
}

/* Loss 1 - giou = (U - I) / U + (E - U) / E and its slope towards the logarithms x of the four distances;
 * I, U and E are the areas of intersection, union and the box around both. In double: rows are few and
 * short, and next to a perfect box areas cancel. */
static double giou_at(const double x[4], const double t[4], double slope[4]) {
    double d[4], low[4], high[4];
    for (int i = 0; i < 4; i++) {
        d[i] = exp(fmin(x[i], 8));
        low[i] = fmin(d[i], t[i]), high[i] = fmax(d[i], t[i]);
    }
    double i_area = (low[0] + low[2]) * (low[1] + low[3]), e_area = (high[0] + high[2]) * (high[1] + high[3]);
    double u_area = (d[0] + d[2]) * (d[1] + d[3]) + (t[0] + t[2]) * (t[1] + t[3]) - i_area;
    for (int i = 0; i < 4; i++) {
        int other = (i + 1) % 2; /* a side of the other axis; the second is 2 further */
        double inner = d[i] < t[i] ? 1 : d[i] > t[i] ? 0 : 0.5; /* equal sides: half to each, as torch does */
        double di = inner * (low[other] + low[other + 2]), de = (1 - inner) * (high[other] + high[other + 2]);
        double du = d[other] + d[other + 2] - di;
        double dd = (i_area * du - di * u_area) / (u_area * u_area);
        dd += (u_area * de - du * e_area) / (e_area * e_area);
        slope[i] = x[i] <= 8 ? dd * d[i] : 0;
    }
    return (u_area - i_area) / u_area + (e_area - u_area) / e_area;
}
static void giou_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const ehm_giou_args *a = ((const loss_job *)ctx)->args;
    (void)i_thread;
    for (int64_t r = begin; r < end; r++) {
        double w = value(a->weight, r), x[4], t[4], slope[4] = {0}, loss = 0;
        if (w != 0) { /* most points lie in no box */
            for (int i = 0; i < 4; i++) x[i] = value(a->x, r * 4 + i), t[i] = value(a->target, r * 4 + i);
            loss = w * giou_at(x, t, slope);
        }
        set(a->row_loss, r, loss);
        for (int i = 0; i < 4; i++) set(a->dx, r * 4 + i, w != 0 ? (double)a->scale * w * slope[i] : 0);
    }
}
void ehm_cpu_op_giou(void *self, const ehm_giou_args *a) { run(self, a->x.dim[0], 4, giou_some, a); }
