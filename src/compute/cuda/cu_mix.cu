/* Weighted sums of rows, and their gradient: which places a row is read from is turned round first, so that each row's sum goes in order and nobody
 * adds to what another adds to. */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 256, COLUMNS = 64 };

typedef struct {
    cu_out out;
    cu_in x;
    const int32_t *idx;
    const float *weight;
    int64_t n, rows, c, k, count;
    int64_t idx_stride, weight_stride; /* from picture to picture; 0: the same for all */
} mix_job;
KERNEL(mix_rows, mix_job) {
    const int64_t i = GLOBAL_ID;
    float sum = 0;
    if (i >= job.count) return;
    const int64_t row = i / job.c, b = row / job.rows, r = row % job.rows, column = i % job.c;
    const int32_t *idx = job.idx + b * job.idx_stride + r * job.k;
    for (int64_t k = 0; k < job.k; k++)
        if (idx[k] >= 0)
            sum += (job.weight ? job.weight[b * job.weight_stride + r * job.k + k] : 1) * load(job.x, (b * job.n + idx[k]) * job.c + column);
    store(job.out, i, sum);
}
void ehm_cuda_op_mix_rows_fwd(void *self, const ehm_mix_rows_fwd_args *a) {
    mix_job j;
    j.out = out_of(a->out), j.x = in_of(a->x), j.idx = (const int32_t *)ehm_ptr(a->idx), j.weight = (const float *)ehm_ptr(a->weight);
    j.n = a->x.dim[1], j.rows = a->out.dim[1], j.c = a->out.dim[2], j.k = a->idx.dim[2], j.count = a->out.dim[0] * j.rows * j.c;
    j.idx_stride = a->idx.dim[0] > 1 ? j.rows * j.k : 0, j.weight_stride = a->weight.rank && a->weight.dim[0] > 1 ? j.rows * j.k : 0;
    LAUNCH_FLAT((ehm_cuda *)self, mix_rows, blocks_of(j.count, THREADS), THREADS, j);
}

/* For each row of x the places (r * K + k) that read it, in their order: place[start[row] ..]. A block a table. */
typedef struct {
    int32_t *start, *place, *at; /* [tables,n+1], [tables,rows*K], [tables,n] */
    const int32_t *idx;
    int64_t n, places;
} turn_job;
KERNEL(turn_round, turn_job) {
    const int32_t *idx = job.idx + (int64_t)blockIdx.x * job.places;
    int32_t *start = job.start + (int64_t)blockIdx.x * (job.n + 1), *place = job.place + (int64_t)blockIdx.x * job.places;
    int32_t *at = job.at + (int64_t)blockIdx.x * job.n;
    /* Threads share the rows, each looks at all places: no order is left to chance. LATER(speed): one table for a batch's boxes is a block that
     * looks at rows times places; a counting sort by stretches would do. */
    for (int64_t row = threadIdx.x; row < job.n; row += THREADS) {
        int32_t count = 0;
        for (int64_t i = 0; i < job.places; i++) count += idx[i] == row;
        at[row] = count;
    }
    BARRIER();
    if (!threadIdx.x) {
        int32_t sum = 0;
        for (int64_t row = 0; row < job.n; row++) start[row] = sum, sum += at[row];
        start[job.n] = sum;
    }
    BARRIER();
    for (int64_t row = threadIdx.x; row < job.n; row += THREADS) {
        int32_t to = start[row];
        for (int64_t i = 0; i < job.places; i++)
            if (idx[i] == row) place[to++] = (int32_t)i;
    }
}
typedef struct {
    float *dx;
    cu_in dout;
    const int32_t *start, *place;
    const float *weight;
    int64_t n, rows, c, k, count, start_stride, place_stride, weight_stride;
    int32_t accumulate;
} mix_back_job;
KERNEL(mix_back, mix_back_job) {
    const int64_t i = GLOBAL_ID;
    if (i >= job.count) return;
    const int64_t row = i / job.c, b = row / job.n, column = i % job.c;
    const int32_t *start = job.start + b * job.start_stride + row % job.n, *place = job.place + b * job.place_stride;
    float sum = job.accumulate ? job.dx[i] : 0;
    for (int32_t q = start[0]; q < start[1]; q++)
        sum += (job.weight ? job.weight[b * job.weight_stride + place[q]] : 1) *
               load(job.dout, (b * job.rows + place[q] / job.k) * job.c + column);
    job.dx[i] = sum;
}
void ehm_cuda_op_mix_rows_bwd(void *self, const ehm_mix_rows_bwd_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    turn_job t;
    mix_back_job j;
    const int64_t tables = a->idx.dim[0], rows = a->dout.dim[1], k = a->idx.dim[2];
    t.n = a->dx.dim[1], t.places = rows * k, t.idx = (const int32_t *)ehm_ptr(a->idx);
    t.start = (int32_t *)ehm_cuda_scratch(c, 0, (size_t)(tables * (2 * t.n + 1 + t.places)) * sizeof(int32_t));
    if (!t.start) return;
    t.at = t.start + tables * (t.n + 1), t.place = t.at + tables * t.n;
    LAUNCH(c, turn_round, EHM_DIM3((uint32_t)tables, 1, 1), THREADS, t);
    j.dx = (float *)ehm_ptr(a->dx), j.dout = in_of(a->dout), j.start = t.start, j.place = t.place, j.weight = (const float *)ehm_ptr(a->weight);
    j.n = t.n, j.rows = rows, j.c = a->dx.dim[2], j.k = k, j.count = a->dx.dim[0] * j.n * j.c;
    j.start_stride = tables > 1 ? t.n + 1 : 0, j.place_stride = tables > 1 ? t.places : 0;
    j.weight_stride = a->weight.rank && a->weight.dim[0] > 1 ? t.places : 0;
    j.accumulate = a->accumulate;
    LAUNCH_FLAT(c, mix_back, blocks_of(j.count, THREADS), THREADS, j);
}
