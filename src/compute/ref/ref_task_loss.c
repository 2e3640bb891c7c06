/* Losses of downstream tasks: softmax cross-entropy, sigmoid focal loss (Lin et al. 2017), generalised IoU
 * (Rezatofighi et al. 2019). */
#include <math.h>
#include "compute/ref/ref_int.h"

typedef struct {
    const void *args;
    double *scratch;
    int64_t stride;
} loss_job;

/* ---- softmax cross-entropy ---- */

static void xent_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const loss_job *j = ctx;
    const ehm_xent_args *a = j->args;
    const int32_t *labels = ehm_ptr(a->labels);
    int64_t n = a->logits.dim[1];
    double *x = j->scratch + i_thread * j->stride, *t = x + n;
    for (int64_t r = begin; r < end; r++) {
        double top = -INFINITY, sum = 0, total = 0, loss = 0;
        double w = 1;
        memset(t, 0, (size_t)n * sizeof *t);
        if (!labels) {
            ehm_ref_load(t, a->target, r * n, n);
        } else if (labels[r] >= 0) {
            t[labels[r]] = 1;
            if (a->class_weight.rank) w = ehm_ref_get(a->class_weight, labels[r]);
        } else { /* this row does not count, whatever its logits are */
            ehm_ref_put(a->row_loss, r, 0);
            if (a->dlogits.rank) ehm_ref_store(a->dlogits, r * n, t, n);
            continue;
        }
        ehm_ref_load(x, a->logits, r * n, n);
        for (int64_t i = 0; i < n; i++) top = fmax(top, x[i]);
        for (int64_t i = 0; i < n; i++) sum += exp(x[i] - top);
        for (int64_t i = 0; i < n; i++) {
            double log_p = x[i] - top - log(sum);
            if (t[i] != 0) loss -= t[i] * log_p; /* a class ruled out (-inf) and not true costs nothing */
            total += t[i];
            x[i] = exp(log_p);
        }
        ehm_ref_put(a->row_loss, r, w * loss);
        for (int64_t i = 0; i < n; i++) x[i] = (double)a->scale * w * (total * x[i] - t[i]);
        if (a->dlogits.rank) ehm_ref_store(a->dlogits, r * n, x, n);
    }
}

void ehm_ref_xent(void *self, const ehm_xent_args *a) {
    ehm_ref *r = self;
    loss_job j = {.args = a};
    j.scratch = ehm_ref_scratch(r, 2 * a->logits.dim[1], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->logits.dim[0], 16, xent_rows, &j);
}

/* ---- focal loss ---- */

/* Value and slope at x for the share t of truth: with q = 1 - pt, loss = alpha_t ce q^gamma. p and 1 - p
 * are each made from the small exponential, so that neither loses its digits next to 1. */
static double focal_at(double x, double t, double gamma, double alpha, double *slope) {
    double e = exp(-fabs(x)), big = 1 / (1 + e), small = e / (1 + e);
    double p = x < 0 ? small : big, not_p = x < 0 ? big : small;
    double ce = fmax(x, 0) - x * t + log1p(e), q = t * not_p + (1 - t) * p;
    double share = alpha < 0 ? 1 : alpha * t + (1 - alpha) * (1 - t);
    if (gamma == 0) {
        *slope = share * (p - t);
        return share * ce;
    }
    /* q^(gamma - 1) p (1 - p) tends to 0 with q, since p (1 - p) <= q at the ends where q vanishes */
    double power = pow(q, gamma), turn = q > 0 ? power / q * p * not_p : 0;
    *slope = share * (power * (p - t) + ce * gamma * turn * (1 - 2 * t));
    return share * ce * power;
}

static void focal_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const loss_job *j = ctx;
    const ehm_focal_args *a = j->args;
    int64_t n = a->x.dim[1];
    double *x = j->scratch + i_thread * j->stride, *t = x + n;
    for (int64_t r = begin; r < end; r++) {
        double w = a->weight.rank ? ehm_ref_get(a->weight, r) : 1, sum = 0, slope;
        ehm_ref_load(x, a->x, r * n, n);
        ehm_ref_load(t, a->target, r * n, n);
        for (int64_t i = 0; i < n; i++) {
            if (w == 0) { /* the row is not looked at: padding may hold anything */
                x[i] = 0;
                continue;
            }
            sum += focal_at(x[i], t[i], (double)a->gamma, (double)a->alpha, &slope);
            x[i] = (double)a->scale * w * slope;
        }
        ehm_ref_put(a->row_loss, r, w * sum);
        if (a->dx.rank) ehm_ref_store(a->dx, r * n, x, n);
    }
}

void ehm_ref_focal(void *self, const ehm_focal_args *a) {
    ehm_ref *r = self;
    loss_job j = {.args = a};
    j.scratch = ehm_ref_scratch(r, 2 * a->x.dim[1], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->x.dim[0], 16, focal_rows, &j);
}

/* ---- generalised IoU ---- */

/* Boxes by their distances left, top, right, bottom from a point that both hold. With I, U, E the areas of
 * intersection, union and the box around both: loss = 2 - I/U - U/E. slope: towards x, the logarithms of
 * the distances. */
static double giou_at(const double x[4], const double t[4], double slope[4]) {
    double d[4], low[4], high[4];
    for (int i = 0; i < 4; i++) {
        d[i] = exp(fmin(x[i], 8));
        low[i] = fmin(d[i], t[i]);
        high[i] = fmax(d[i], t[i]);
    }
    double inside = (low[0] + low[2]) * (low[1] + low[3]), around = (high[0] + high[2]) * (high[1] + high[3]);
    double both = (d[0] + d[2]) * (d[1] + d[3]) + (t[0] + t[2]) * (t[1] + t[3]) - inside;
    for (int i = 0; i < 4; i++) {
        int across = (i + 1) % 2; /* the sides of the other axis: across and across + 2 */
        /* where the sides are equal, half of it, as torch shares the gradient of a minimum */
        double mine = d[i] < t[i] ? 1 : d[i] > t[i] ? 0 : 0.5;
        double d_inside = mine * (low[across] + low[across + 2]);
        double d_around = (1 - mine) * (high[across] + high[across + 2]);
        double d_both = d[across] + d[across + 2] - d_inside;
        double towards = (inside * d_both - d_inside * both) / (both * both);
        towards += (both * d_around - d_both * around) / (around * around);
        slope[i] = x[i] <= 8 ? towards * d[i] : 0;
    }
    return (both - inside) / both + (around - both) / around;
}

static void giou_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const ehm_giou_args *a = ((const loss_job *)ctx)->args;
    (void)i_thread;
    for (int64_t r = begin; r < end; r++) {
        double x[4], t[4], slope[4] = {0}, w = ehm_ref_get(a->weight, r), loss = 0;
        ehm_ref_load(x, a->x, r * 4, 4);
        ehm_ref_load(t, a->target, r * 4, 4);
        if (w != 0) loss = w * giou_at(x, t, slope);
        for (int i = 0; i < 4; i++) slope[i] = w != 0 ? slope[i] * w * (double)a->scale : 0;
        ehm_ref_put(a->row_loss, r, loss);
        if (a->dx.rank) ehm_ref_store(a->dx, r * 4, slope, 4);
    }
}

void ehm_ref_giou(void *self, const ehm_giou_args *a) {
    loss_job j = {.args = a};
    ehm_pool_for(((ehm_ref *)self)->pool, a->x.dim[0], 64, giou_rows, &j);
}
