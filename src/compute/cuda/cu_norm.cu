/* Layer norm (Ba et al. 2016), its gradient, and sums over rows. A warp takes a row; what is summed over rows goes by stretches of rows whose sums
 * are added in order. */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 256, ROWS_AT_ONCE = THREADS / WARP, COLUMNS = 128, STRETCHES_MOST = 512, FEW = 16 };

typedef struct {
    cu_out out;
    float *mean, *rstd;
    const float *x, *weight, *bias;
    float eps;
    int64_t rows, d;
} norm_fwd_job;
KERNEL(norm_fwd, norm_fwd_job) {
    const int64_t row = (int64_t)blockIdx.x * ROWS_AT_ONCE + threadIdx.x / WARP, d = job.d;
    const int32_t lane = (int32_t)threadIdx.x % WARP;
    const bool here = row < job.rows; /* a warp as a whole, and nobody leaves before the sums */
    const float *x = job.x + (here ? row : 0) * d;
    float sum = 0, square = 0;
    for (int64_t i = lane; i < d; i += WARP) sum += x[i];
    const float mean = warp_sum(sum) / (float)d;
    for (int64_t i = lane; i < d; i += WARP) square += (x[i] - mean) * (x[i] - mean);
    const float rstd = 1 / sqrtf(warp_sum(square) / (float)d + job.eps);
    if (!here) return;
    if (!lane) job.mean[row] = mean, job.rstd[row] = rstd;
    for (int64_t i = lane; i < d; i += WARP) store(job.out, row * d + i, (x[i] - mean) * rstd * job.weight[i] + job.bias[i]);
}
void ehm_cuda_op_norm_fwd(void *self, const ehm_norm_fwd_args *a) {
    norm_fwd_job j;
    j.out = out_of(a->out);
    j.mean = (float *)ehm_ptr(a->mean), j.rstd = (float *)ehm_ptr(a->rstd);
    j.x = (const float *)ehm_ptr(a->x), j.weight = (const float *)ehm_ptr(a->weight), j.bias = (const float *)ehm_ptr(a->bias);
    j.eps = a->eps, j.rows = a->x.dim[0], j.d = a->x.dim[1];
    LAUNCH((ehm_cuda *)self, norm_fwd, blocks_of(j.rows, ROWS_AT_ONCE), THREADS, j);
}

/* dx = rstd * (g - mean(g) - n * mean(g n)) with g = dout * weight, n the normalised row */
typedef struct {
    float *dx;
    cu_in dout;
    const float *x, *mean, *rstd, *weight;
    int64_t rows, d;
    int32_t accumulate;
} norm_bwd_job;
KERNEL(norm_bwd, norm_bwd_job) {
    const int64_t row = (int64_t)blockIdx.x * ROWS_AT_ONCE + threadIdx.x / WARP, d = job.d;
    const int32_t lane = (int32_t)threadIdx.x % WARP;
    const bool here = row < job.rows;
    const int64_t at = (here ? row : 0) * d;
    const float mean = job.mean[here ? row : 0], rstd = job.rstd[here ? row : 0];
    float sum = 0, with_n = 0;
    for (int64_t i = lane; i < d; i += WARP) {
        float g = load(job.dout, at + i) * job.weight[i];
        sum += g, with_n += g * ((job.x[at + i] - mean) * rstd);
    }
    sum = warp_sum(sum) / (float)d, with_n = warp_sum(with_n) / (float)d;
    if (!here) return;
    for (int64_t i = lane; i < d; i += WARP) {
        float g = load(job.dout, at + i) * job.weight[i], n = (job.x[at + i] - mean) * rstd, dx = rstd * (g - sum - n * with_n);
        job.dx[at + i] = job.accumulate ? job.dx[at + i] + dx : dx;
    }
}

/* Narrow rows: what is left of such a difference is small, so in double, a thread a row. */
KERNEL(norm_bwd_few, norm_bwd_job) {
    const int64_t row = GLOBAL_ID, d = job.d, at = row * d;
    double sum = 0, with_n = 0;
    if (row >= job.rows) return;
    const double mean = (double)job.mean[row], rstd = (double)job.rstd[row];
    for (int64_t i = 0; i < d; i++) {
        double g = (double)load(job.dout, at + i) * (double)job.weight[i];
        sum += g, with_n += g * (((double)job.x[at + i] - mean) * rstd);
    }
    for (int64_t i = 0; i < d; i++) {
        double g = (double)load(job.dout, at + i) * (double)job.weight[i], n = ((double)job.x[at + i] - mean) * rstd;
        double dx = rstd * (g - sum / (double)d - n * (with_n / (double)d));
        job.dx[at + i] = (float)(job.accumulate ? (double)job.dx[at + i] + dx : dx);
    }
}

/* ---- sums over rows: of x, or of dout and of dout times the normalised row ---- */

typedef struct {
    float *sums, *sums_n; /* [stretches,d]; sums_n may be NULL: then mean, rstd and normed are not looked at */
    cu_in x;
    const float *normed, *mean, *rstd;
    int64_t rows, d, stretch;
} column_job;
KERNEL(column_sums, column_job) {
    const int64_t i = (int64_t)blockIdx.x * COLUMNS + threadIdx.x, begin = (int64_t)blockIdx.y * job.stretch;
    const int64_t end = begin + job.stretch < job.rows ? begin + job.stretch : job.rows;
    float sum = 0, with_n = 0;
    if (i >= job.d) return;
    for (int64_t r = begin; r < end; r++) {
        float x = load(job.x, r * job.d + i);
        sum += x;
        if (job.sums_n) with_n += x * ((job.normed[r * job.d + i] - job.mean[r]) * job.rstd[r]);
    }
    job.sums[(int64_t)blockIdx.y * job.d + i] = sum;
    if (job.sums_n) job.sums_n[(int64_t)blockIdx.y * job.d + i] = with_n;
}
typedef struct {
    float *out, *out_n; /* either may be NULL */
    const float *sums, *sums_n;
    int64_t d, stretches;
    int32_t accumulate;
} stretch_job;
KERNEL(stretch_sums, stretch_job) {
    const int64_t i = GLOBAL_ID;
    float sum = 0, with_n = 0;
    if (i >= job.d) return;
    for (int64_t s = 0; s < job.stretches; s++) {
        if (job.out) sum += job.sums[s * job.d + i];
        if (job.out_n) with_n += job.sums_n[s * job.d + i];
    }
    if (job.out) job.out[i] = job.accumulate ? job.out[i] + sum : sum;
    if (job.out_n) job.out_n[i] = job.accumulate ? job.out_n[i] + with_n : with_n;
}

/* out and out_n (may be NULL) from j, whose sums are made here */
static void sum_columns(ehm_cuda *c, column_job j, bool with_n, float *out, float *out_n, bool accumulate) {
    int64_t stretches = (j.rows + 31) / 32;
    stretch_job s;
    if (stretches > STRETCHES_MOST) stretches = STRETCHES_MOST;
    j.stretch = (j.rows + stretches - 1) / stretches;
    stretches = (j.rows + j.stretch - 1) / j.stretch;
    j.sums = (float *)ehm_cuda_scratch(c, 0, (size_t)(stretches * j.d) * (with_n ? 2 : 1) * sizeof(float));
    if (!j.sums) return;
    j.sums_n = with_n ? j.sums + stretches * j.d : NULL;
    LAUNCH_FLAT(c, column_sums, EHM_DIM3((uint32_t)((j.d + COLUMNS - 1) / COLUMNS), (uint32_t)stretches, 1), COLUMNS, j);
    s.out = out, s.out_n = out_n, s.sums = j.sums, s.sums_n = j.sums_n, s.d = j.d, s.stretches = stretches, s.accumulate = accumulate;
    LAUNCH_FLAT(c, stretch_sums, blocks_of(j.d, COLUMNS), COLUMNS, s);
}

void ehm_cuda_op_norm_bwd(void *self, const ehm_norm_bwd_args *a) {
    norm_bwd_job j;
    column_job sums;
    j.dx = (float *)ehm_ptr(a->dx), j.dout = in_of(a->dout), j.x = (const float *)ehm_ptr(a->x);
    j.mean = (const float *)ehm_ptr(a->mean), j.rstd = (const float *)ehm_ptr(a->rstd), j.weight = (const float *)ehm_ptr(a->weight);
    j.rows = a->x.dim[0], j.d = a->x.dim[1], j.accumulate = a->accumulate_dx;
    if (j.d < FEW) LAUNCH_FLAT((ehm_cuda *)self, norm_bwd_few, blocks_of(j.rows, THREADS), THREADS, j);
    else LAUNCH((ehm_cuda *)self, norm_bwd, blocks_of(j.rows, ROWS_AT_ONCE), THREADS, j);
    if (!a->dweight.rank && !a->dbias.rank) return;
    memset(&sums, 0, sizeof sums);
    sums.x = j.dout, sums.normed = j.x, sums.mean = j.mean, sums.rstd = j.rstd, sums.rows = j.rows, sums.d = j.d;
    sum_columns((ehm_cuda *)self, sums, true, (float *)ehm_ptr(a->dbias), (float *)ehm_ptr(a->dweight), true);
}

void ehm_cuda_op_colsum(void *self, const ehm_colsum_args *a) {
    column_job j;
    memset(&j, 0, sizeof j);
    j.x = in_of(a->x), j.rows = a->x.dim[0], j.d = a->x.dim[1];
    sum_columns((ehm_cuda *)self, j, false, (float *)ehm_ptr(a->out), NULL, a->accumulate);
}
