/* Losses: pixels and their targets, and those of downstream tasks: softmax cross-entropy, sigmoid focal loss (Lin et al. 2017), generalised IoU
 * (Rezatofighi et al. 2019). A warp takes a row. */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 256, ROWS_AT_ONCE = THREADS / WARP };
#define ROW ((int64_t)blockIdx.x * ROWS_AT_ONCE + threadIdx.x / WARP)
#define LANE ((int32_t)threadIdx.x % WARP)

/* ---- pixels ---- */

typedef struct {
    float *target;
    const float *patches;
    const int32_t *idx;
    int64_t rows, m, l, p;
    int32_t norm_pix;
} target_job;
KERNEL(pixel_target, target_job) {
    const int64_t row = ROW, p = job.p;
    const bool here = row < job.rows;
    const float *x = job.patches + (here ? row / job.m * job.l + job.idx[row] : 0) * p;
    float sum = 0, square = 0;
    for (int64_t i = LANE; i < p; i += WARP) sum += x[i];
    const float mean = job.norm_pix ? warp_sum(sum) / (float)p : 0;
    for (int64_t i = LANE; i < p; i += WARP) square += (x[i] - mean) * (x[i] - mean);
    const float rstd = job.norm_pix ? 1 / sqrtf(warp_sum(square) / (float)(p - 1) + 1e-6f) : 1;
    for (int64_t i = LANE; i < p && here; i += WARP) job.target[row * p + i] = job.norm_pix ? (x[i] - mean) * rstd : x[i];
}
void ehm_cuda_op_pixel_target(void *self, const ehm_pixel_target_args *a) {
    target_job j;
    j.target = (float *)ehm_ptr(a->target), j.patches = (const float *)ehm_ptr(a->patches), j.idx = (const int32_t *)ehm_ptr(a->idx);
    j.m = a->idx.dim[1], j.rows = a->idx.dim[0] * j.m, j.l = a->patches.dim[1], j.p = a->patches.dim[2], j.norm_pix = a->norm_pix;
    LAUNCH((ehm_cuda *)self, pixel_target, blocks_of(j.rows, ROWS_AT_ONCE), THREADS, j);
}

typedef struct {
    float *row_loss;
    cu_out dx; /* p NULL: none */
    cu_in x;
    const float *target, *weight; /* weight: of rows, or of classes; may be NULL */
    const int32_t *labels;
    float scale, gamma, alpha;
    int64_t rows, n;
} loss_job;
KERNEL(mse, loss_job) {
    const int64_t row = ROW, n = job.n, at = (row < job.rows ? row : 0) * n;
    float sum = 0;
    for (int64_t i = LANE; i < n && row < job.rows; i += WARP) {
        float e = load(job.x, at + i) - job.target[at + i];
        sum += e * e;
        if (job.dx.p) store(job.dx, at + i, e * job.scale);
    }
    sum = warp_sum(sum) / (float)n;
    if (row < job.rows && !LANE) job.row_loss[row] = sum;
}
static loss_job loss_of(ehm_view row_loss, ehm_view dx, ehm_view x, ehm_view target, float scale) {
    loss_job j;
    memset(&j, 0, sizeof j);
    j.row_loss = (float *)ehm_ptr(row_loss), j.dx = out_of(dx), j.x = in_of(x), j.target = (const float *)ehm_ptr(target);
    j.scale = scale, j.rows = x.dim[0], j.n = x.dim[1];
    return j;
}
void ehm_cuda_op_mse(void *self, const ehm_mse_args *a) {
    loss_job j = loss_of(a->row_loss, a->dpred, a->pred, a->target, (float)(2 / (double)a->pred.dim[1] * (double)a->scale));
    LAUNCH((ehm_cuda *)self, mse, blocks_of(j.rows, ROWS_AT_ONCE), THREADS, j);
}

/* ---- softmax cross-entropy ---- */

KERNEL(xent, loss_job) {
    const int64_t row = ROW, n = job.n;
    const bool there = row < job.rows;
    const int64_t at = (there ? row : 0) * n, label = job.labels && there ? job.labels[row] : -1;
    const bool counts = there && (!job.labels || label >= 0);
    float top = -INFINITY, sum = 0, total = 0, loss = 0;
    for (int64_t i = LANE; i < n && counts; i += WARP) top = fmaxf(top, load(job.x, at + i));
    top = warp_max(top);
    for (int64_t i = LANE; i < n && counts; i += WARP) sum += expf(load(job.x, at + i) - top);
    sum = warp_sum(sum);
    const float log_sum = counts ? logf(sum) : 0, w = counts && job.labels && job.weight ? job.weight[label] : 1;
    for (int64_t i = LANE; i < n && counts; i += WARP) {
        float t = job.labels ? (float)(i == label) : job.target[at + i];
        if (t != 0) loss -= t * (load(job.x, at + i) - top - log_sum);
        total += t;
    }
    loss = warp_sum(loss), total = warp_sum(total);
    if (!there) return;
    if (!LANE) job.row_loss[row] = counts ? w * loss : 0;
    for (int64_t i = LANE; i < n && job.dx.p; i += WARP) {
        float t = job.labels ? (float)(i == label) : job.target[at + i];
        store(job.dx, at + i, counts ? job.scale * w * (total * expf(load(job.x, at + i) - top - log_sum) - t) : 0);
    }
}
void ehm_cuda_op_xent(void *self, const ehm_xent_args *a) {
    loss_job j = loss_of(a->row_loss, a->dlogits, a->logits, a->target, a->scale);
    j.labels = (const int32_t *)ehm_ptr(a->labels), j.weight = (const float *)ehm_ptr(a->class_weight);
    LAUNCH((ehm_cuda *)self, xent, blocks_of(j.rows, ROWS_AT_ONCE), THREADS, j);
}

/* ---- focal loss: value and slope as the reference has them ---- */

DEV float focal_at(float x, float t, float gamma, float alpha, float *slope) {
    float e = expf(-fabsf(x)), big = 1 / (1 + e), small = e / (1 + e), p = x < 0 ? small : big, not_p = x < 0 ? big : small;
    float ce = fmaxf(x, 0) - x * t + log1pf(e), q = t * not_p + (1 - t) * p, share = alpha < 0 ? 1 : alpha * t + (1 - alpha) * (1 - t);
    if (gamma == 0) {
        *slope = share * (p - t);
        return share * ce;
    }
    float power = powf(q, gamma), turn = q > 0 ? power / q * p * not_p : 0;
    *slope = share * (power * (p - t) + ce * gamma * turn * (1 - 2 * t));
    return share * ce * power;
}
KERNEL(focal, loss_job) {
    const int64_t row = ROW, n = job.n;
    const bool there = row < job.rows;
    const int64_t at = (there ? row : 0) * n;
    const float w = !there ? 0 : job.weight ? job.weight[row] : 1;
    float sum = 0, slope;
    for (int64_t i = LANE; i < n && there; i += WARP) {
        float d = 0;
        if (w != 0) { /* a row that does not count is not looked at: padding may hold anything */
            sum += focal_at(load(job.x, at + i), job.target[at + i], job.gamma, job.alpha, &slope);
            d = job.scale * w * slope;
        }
        if (job.dx.p) store(job.dx, at + i, d);
    }
    sum = warp_sum(sum);
    if (there && !LANE) job.row_loss[row] = w * sum;
}
void ehm_cuda_op_focal(void *self, const ehm_focal_args *a) {
    loss_job j = loss_of(a->row_loss, a->dx, a->x, a->target, a->scale);
    j.weight = (const float *)ehm_ptr(a->weight), j.gamma = a->gamma, j.alpha = a->alpha;
    LAUNCH((ehm_cuda *)self, focal, blocks_of(j.rows, ROWS_AT_ONCE), THREADS, j);
}

/* ---- generalised IoU: a thread a row; few values, so in double ---- */

DEV double giou_at(const double *x, const double *t, double *slope) {
    double d[4], low[4], high[4];
    for (int32_t i = 0; i < 4; i++) {
        d[i] = exp(x[i] < 8 ? x[i] : 8);
        low[i] = d[i] < t[i] ? d[i] : t[i];
        high[i] = d[i] < t[i] ? t[i] : d[i];
    }
    double inside = (low[0] + low[2]) * (low[1] + low[3]), around = (high[0] + high[2]) * (high[1] + high[3]);
    double both = (d[0] + d[2]) * (d[1] + d[3]) + (t[0] + t[2]) * (t[1] + t[3]) - inside;
    for (int32_t i = 0; i < 4; i++) {
        int32_t across = (i + 1) % 2; /* the sides of the other axis: across and across + 2 */
        double mine = d[i] < t[i] ? 1 : d[i] > t[i] ? 0 : 0.5;
        double d_inside = mine * (low[across] + low[across + 2]), d_around = (1 - mine) * (high[across] + high[across + 2]);
        double d_both = d[across] + d[across + 2] - d_inside;
        double towards = (inside * d_both - d_inside * both) / (both * both) + (both * d_around - d_both * around) / (around * around);
        slope[i] = x[i] <= 8 ? towards * d[i] : 0;
    }
    return (both - inside) / both + (around - both) / around;
}
KERNEL(giou, loss_job) {
    const int64_t row = GLOBAL_ID;
    if (row >= job.rows) return;
    double x[4], t[4], slope[4] = {0, 0, 0, 0}, loss = 0, w = (double)job.weight[row];
    for (int32_t i = 0; i < 4; i++) x[i] = (double)load(job.x, row * 4 + i), t[i] = (double)job.target[row * 4 + i];
    if (w != 0) loss = w * giou_at(x, t, slope);
    job.row_loss[row] = (float)loss;
    for (int32_t i = 0; i < 4 && job.dx.p; i++) store(job.dx, row * 4 + i, w != 0 ? (float)(slope[i] * w * (double)job.scale) : 0);
}
void ehm_cuda_op_giou(void *self, const ehm_giou_args *a) {
    loss_job j = loss_of(a->row_loss, a->dx, a->x, a->target, a->scale);
    j.weight = (const float *)ehm_ptr(a->weight);
    LAUNCH_FLAT((ehm_cuda *)self, giou, blocks_of(j.rows, THREADS), THREADS, j);
}
