/* Matrix products: cuBLASLt's, and a plain kernel of our own for what it has no way for (and for the tests). */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 256, TILE = 32, DEEP = 32, EACH = TILE * TILE / THREADS };

typedef struct {
    cu_out out;
    cu_in a, b, add;
    const float *bias;
    int64_t m, n, k;
    int32_t trans_a, trans_b;
} product_job;
KERNEL(product, product_job) {
    SHARED float a[DEEP][TILE + 1], b[DEEP][TILE + 1];
    const int64_t row = (int64_t)blockIdx.y * TILE, column = (int64_t)blockIdx.x * TILE;
    const int32_t x = (int32_t)threadIdx.x % TILE, y = (int32_t)threadIdx.x / TILE; /* rows y, y + 8, ... of the tile */
    float sum[EACH];
    for (int32_t e = 0; e < EACH; e++) sum[e] = 0;
    for (int64_t k = 0; k < job.k; k += DEEP) {
        for (int32_t i = (int32_t)threadIdx.x; i < TILE * DEEP; i += THREADS) {
            /* neighbours in memory by neighbouring threads, whichever way the matrix lies */
            const int64_t in_a = job.trans_a ? i % TILE : i / DEEP, deep_a = job.trans_a ? i / TILE : i % DEEP;
            const int64_t in_b = job.trans_b ? i / DEEP : i % TILE, deep_b = job.trans_b ? i % DEEP : i / TILE;
            const int64_t r = row + in_a, c = column + in_b, ka = k + deep_a, kb = k + deep_b;
            a[deep_a][in_a] = r < job.m && ka < job.k ? load(job.a, job.trans_a ? ka * job.m + r : r * job.k + ka) : 0;
            b[deep_b][in_b] = c < job.n && kb < job.k ? load(job.b, job.trans_b ? c * job.k + kb : kb * job.n + c) : 0;
        }
        BARRIER();
        for (int32_t d = 0; d < DEEP; d++)
            UNROLL for (int32_t e = 0; e < EACH; e++) sum[e] += a[d][y + e * (THREADS / TILE)] * b[d][x];
        BARRIER();
    }
    for (int32_t e = 0; e < EACH; e++) {
        const int64_t r = row + y + e * (THREADS / TILE), c = column + x, at = r * job.n + c;
        if (r >= job.m || c >= job.n) continue;
        store(job.out, at, sum[e] + (job.bias ? job.bias[c] : 0) + (job.add.p ? load(job.add, at) : 0));
    }
}
static void own_product(ehm_cuda *c, const ehm_cuda_product *p) {
    product_job j;
    j.out.p = p->out, j.out.bf16 = p->out_bf16;
    j.a.p = p->a, j.b.p = p->b, j.a.bf16 = j.b.bf16 = p->in_bf16;
    j.add.p = p->add, j.add.bf16 = p->out_bf16;
    j.bias = (const float *)p->bias, j.m = p->m, j.n = p->n, j.k = p->k, j.trans_a = p->trans_a, j.trans_b = p->trans_b;
    /* the grid's second dim ends at 65,535 blocks: more rows go in parts */
    const int64_t most = (int64_t)65535 * TILE, size_in = p->in_bf16 ? 2 : 4, size_out = p->out_bf16 ? 2 : 4;
    if (p->m > most && !p->trans_a)
        for (int64_t first = 0; first < p->m; first += most) {
            j.m = p->m - first < most ? p->m - first : most;
            j.a.p = (const char *)p->a + first * p->k * size_in, j.out.p = (char *)p->out + first * p->n * size_out;
            if (p->add) j.add.p = (const char *)p->add + first * p->n * size_out;
            LAUNCH(c, product, EHM_DIM3((uint32_t)((p->n + TILE - 1) / TILE), (uint32_t)((j.m + TILE - 1) / TILE), 1), THREADS, j);
        }
    else LAUNCH(c, product, EHM_DIM3((uint32_t)((p->n + TILE - 1) / TILE), (uint32_t)((p->m + TILE - 1) / TILE), 1), THREADS, j);
}

typedef struct {
    cu_out out;
    cu_in x;
    int64_t n, period; /* x begins anew after so many */
} add_job;
KERNEL(add_values, add_job) {
    const int64_t i = GLOBAL_ID;
    if (i < job.n) store(job.out, i, load(as_in(job.out), i) + load(job.x, i % job.period));
}
static void add_to(ehm_cuda *c, ehm_view out, ehm_view x) {
    add_job j;
    j.out = out_of(out), j.x = in_of(x), j.n = ehm_view_count(out), j.period = ehm_view_count(x);
    LAUNCH_FLAT(c, add_values, blocks_of(j.n, THREADS), THREADS, j);
}

typedef struct {
    cu_out out;
    cu_in x;
    int64_t n;
} cast_job;
KERNEL(cast_bias, cast_job) {
    const int64_t i = GLOBAL_ID;
    if (i < job.n) store(job.out, i, load(job.x, i));
}
/* With the bias on the way out where cuBLASLt can: of its own type, or, as cuBLASLt asks where out is bf16, rounded to bf16. Else
 * added by a pass over out; false: not even the product alone. */
static bool by_cublas(ehm_cuda *c, ehm_cuda_product *p, const ehm_matmul_args *a) {
    if (ehm_cuda_blas_multiply(c, p)) return true;
    if (!p->bias) return false;
    if (p->out_bf16) {
        cast_job j;
        j.n = p->n, j.x.p = p->bias, j.x.bf16 = 0;
        j.out.p = ehm_cuda_scratch(c, 0, (size_t)p->n * sizeof(uint16_t)), j.out.bf16 = 1;
        LAUNCH_FLAT(c, cast_bias, blocks_of(j.n, THREADS), THREADS, j);
        p->bias = j.out.p, p->bias_bf16 = true;
        const bool done = ehm_cuda_blas_multiply(c, p);
        p->bias_bf16 = false;
        if (done) return true;
    }
    p->bias = NULL;
    if (!ehm_cuda_blas_multiply(c, p)) return false;
    add_to(c, a->out, a->bias);
    return true;
}

void ehm_cuda_op_matmul(void *self, const ehm_matmul_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    ehm_cuda_product p;
    memset(&p, 0, sizeof p);
    p.m = a->out.dim[0], p.n = a->out.dim[1], p.k = a->a.dim[a->trans_a ? 0 : 1];
    p.trans_a = a->trans_a, p.trans_b = a->trans_b, p.in_bf16 = is_bf16(a->a), p.out_bf16 = is_bf16(a->out);
    p.a = ehm_ptr(a->a), p.b = ehm_ptr(a->b), p.out = ehm_ptr(a->out), p.bias = ehm_ptr(a->bias);
    /* one thing can be added on the way; what is of another type, or the second thing, comes after */
    const bool after = a->add.rank && (a->accumulate || a->add.dtype != a->out.dtype);
    p.add = a->accumulate ? p.out : a->add.rank && !after ? ehm_ptr(a->add) : NULL;
    if (!by_cublas(c, &p, a)) {
        p.bias = ehm_ptr(a->bias);
        own_product(c, &p);
    }
    if (after) add_to(c, a->out, a->add);
}
