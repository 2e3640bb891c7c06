/* Sums over everything, in double: of blocks of fixed size, then of those in order; and the factor that clips gradients. */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 256, PER_BLOCK = 16384 };

typedef struct {
    const float *x;
    double *sums;
    int64_t n;
    int32_t square;
} sum_job;
KERNEL(sum_blocks, sum_job) {
    SHARED double of[THREADS / WARP];
    const int64_t begin = (int64_t)blockIdx.x * PER_BLOCK, end = begin + PER_BLOCK < job.n ? begin + PER_BLOCK : job.n;
    double sum = 0;
    for (int64_t i = begin + threadIdx.x; i < end; i += THREADS) sum += job.square ? (double)job.x[i] * (double)job.x[i] : (double)job.x[i];
    sum = block_sum_double(sum, of);
    if (!threadIdx.x) job.sums[blockIdx.x] = sum;
}
typedef struct {
    float *out;
    const double *sums;
    int64_t n;
    double scale;
    int32_t accumulate;
} total_job;
KERNEL(sum_total, total_job) {
    SHARED double of[THREADS / WARP];
    double sum = 0;
    for (int64_t i = threadIdx.x; i < job.n; i += THREADS) sum += job.sums[i];
    sum = block_sum_double(sum, of) * job.scale;
    if (!threadIdx.x) job.out[0] = (float)(job.accumulate ? (double)job.out[0] + sum : sum);
}
static void sum_all(ehm_cuda *c, ehm_view out, ehm_view x, bool square, double scale, bool accumulate) {
    sum_job j;
    total_job t;
    j.x = (const float *)ehm_ptr(x), j.n = x.dim[0], j.square = square;
    dim3 grid = blocks_of(j.n, PER_BLOCK);
    j.sums = (double *)ehm_cuda_scratch(c, 0, grid.x * sizeof(double));
    if (!j.sums) return;
    LAUNCH(c, sum_blocks, grid, THREADS, j);
    t.out = (float *)ehm_ptr(out), t.sums = j.sums, t.n = grid.x, t.scale = scale, t.accumulate = accumulate;
    LAUNCH(c, sum_total, EHM_DIM3(1, 1, 1), THREADS, t);
}
void ehm_cuda_op_sum(void *self, const ehm_sum_args *a) { sum_all((ehm_cuda *)self, a->out, a->x, false, (double)a->scale, a->accumulate); }
void ehm_cuda_op_sumsq(void *self, const ehm_sumsq_args *a) { sum_all((ehm_cuda *)self, a->out, a->x, true, 1, a->accumulate); }

typedef struct {
    float *factor, *norm;
    const float *sumsq;
    double max_norm, grad_scale;
} clip_job;
KERNEL(clip_factor, clip_job) {
    if (threadIdx.x) return;
    double norm = sqrt((double)job.sumsq[0]) * job.grad_scale, factor = job.grad_scale, room = job.max_norm / (norm + 1e-6);
    if (!isfinite(norm)) factor = (double)NAN;
    else if (job.max_norm > 0) factor *= room < 1 ? room : 1;
    job.norm[0] = (float)norm, job.factor[0] = (float)factor;
}
void ehm_cuda_op_clip_factor(void *self, const ehm_clip_factor_args *a) {
    clip_job j;
    j.factor = (float *)ehm_ptr(a->factor), j.norm = (float *)ehm_ptr(a->norm), j.sumsq = (const float *)ehm_ptr(a->sumsq);
    j.max_norm = (double)a->max_norm, j.grad_scale = (double)a->grad_scale;
    LAUNCH_FLAT((ehm_cuda *)self, clip_factor, EHM_DIM3(1, 1, 1), WARP, j);
}
