/* Self-attention without the matrix of scores in memory (Dao et al. 2022): for any head width up to 256, f32 or bf16, sums in f32 on the ordinary units.
 * A block takes 32 queries of a head and walks over the keys in pieces of 32; the gradient walks twice, once for the keys and values (a block takes
 * 32 keys) and once for the queries, so nobody adds to what another adds to. cu_attention_mma.cu has the tensor cores' form for bf16. */
#include "compute/cuda/cu_attention.h"

enum { THREADS = 128, PIECE = 32, WARPS = THREADS / WARP, ROWS_EACH = PIECE / WARPS };

/* Where row r (0 .. N - 1) of a head's q, k or v (which 0, 1, 2) begins in qkv, and in out. */
DEV int64_t at_qkv(attn_job job, int64_t r, int32_t which) {
    return ((int64_t)blockIdx.z * job.n + r) * 3 * job.width + which * job.width + (int64_t)blockIdx.y * job.k;
}
DEV int64_t at_out(attn_job job, int64_t r) { return ((int64_t)blockIdx.z * job.n + r) * job.width + (int64_t)blockIdx.y * job.k; }
DEV int64_t at_lse(attn_job job, int64_t r) { return ((int64_t)blockIdx.z * job.heads + blockIdx.y) * job.n + r; }

/* tile[PIECE][k + 1] from rows first .. of x, rows beyond the end 0; the caller waits */
DEV void load_qkv(float *tile, attn_job job, int64_t first, int32_t which) {
    for (int64_t i = threadIdx.x; i < PIECE * job.k; i += THREADS) {
        int64_t r = i / job.k, c = i % job.k;
        tile[r * (job.k + 1) + c] = first + r < job.n ? load(job.qkv, at_qkv(job, first + r, which) + c) : 0;
    }
}
DEV void load_rows(float *tile, attn_job job, cu_in x, int64_t first) {
    for (int64_t i = threadIdx.x; i < PIECE * job.k; i += THREADS) {
        int64_t r = i / job.k, c = i % job.k;
        tile[r * (job.k + 1) + c] = first + r < job.n ? load(x, at_out(job, first + r) + c) : 0;
    }
}
/* The score of row r of one tile with row `lane` of the other. */
DEV float dot_rows(const float *a, const float *b, int64_t k) {
    float sum = 0;
    for (int64_t c = 0; c < k; c++) sum += a[c] * b[c];
    return sum;
}

KERNEL(attn_fwd, attn_job) {
    DYNAMIC_SHARED(float, shared);
    const int64_t k = job.k, row_floats = k + 1, first = (int64_t)blockIdx.x * PIECE;
    float *q = shared, *key = q + PIECE * row_floats, *value = key + PIECE * row_floats, *sum = value + PIECE * row_floats; /* sum [PIECE][k + 1] */
    float *p = sum + PIECE * row_floats; /* [PIECE][PIECE + 1] */
    const int32_t warp = (int32_t)threadIdx.x / WARP, lane = (int32_t)threadIdx.x % WARP;
    float top[ROWS_EACH], total[ROWS_EACH];
    for (int32_t i = 0; i < ROWS_EACH; i++) top[i] = -INFINITY, total[i] = 0;
    for (int64_t i = threadIdx.x; i < PIECE * row_floats; i += THREADS) sum[i] = 0;
    load_qkv(q, job, first, 0);
    for (int64_t j = 0; j < job.n; j += PIECE) {
        load_qkv(key, job, j, 1);
        load_qkv(value, job, j, 2);
        BARRIER();
        for (int32_t i = 0; i < ROWS_EACH; i++) { /* a warp's rows are its own from here to the end */
            const int32_t r = warp * ROWS_EACH + i;
            const float s = j + lane < job.n ? job.scale * dot_rows(q + r * row_floats, key + lane * row_floats, k) : -INFINITY;
            const float new_top = fmaxf(top[i], warp_max(s)), e = expf(s - new_top), shrink = expf(top[i] - new_top);
            p[r * (PIECE + 1) + lane] = e;
            total[i] = total[i] * shrink + warp_sum(e);
            top[i] = new_top;
            for (int64_t c = lane; c < k; c += WARP) sum[r * row_floats + c] *= shrink;
        }
        BARRIER();
        for (int32_t i = 0; i < ROWS_EACH; i++) {
            const int32_t r = warp * ROWS_EACH + i;
            for (int64_t c = lane; c < k; c += WARP) {
                float o = sum[r * row_floats + c];
                for (int32_t x = 0; x < PIECE; x++) o += p[r * (PIECE + 1) + x] * value[x * row_floats + c];
                sum[r * row_floats + c] = o;
            }
        }
        BARRIER();
    }
    for (int32_t i = 0; i < ROWS_EACH; i++) {
        const int64_t r = first + warp * ROWS_EACH + i;
        if (r >= job.n) continue;
        for (int64_t c = lane; c < k; c += WARP) store(job.out, at_out(job, r) + c, sum[(warp * ROWS_EACH + i) * row_floats + c] / total[i]);
        if (!lane) job.lse[at_lse(job, r)] = top[i] + logf(total[i]);
    }
}

/* ---- the gradient ---- */

/* d[b,h,r] = sum of dout * out: what the softmax's gradient takes off each row */
KERNEL(attn_dots, attn_job) {
    const int64_t r = (int64_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    const int32_t lane = (int32_t)threadIdx.x % WARP;
    float sum = 0;
    for (int64_t c = lane; c < job.k && r < job.n; c += WARP) sum += load(job.dout, at_out(job, r) + c) * load(as_in(job.out), at_out(job, r) + c);
    sum = warp_sum(sum);
    if (r < job.n && !lane) job.dots[at_lse(job, r)] = sum;
}

/* Score gradients of 32 queries by 32 keys: p = exp(s - lse) and ds = p * (dout v - dots) * scale. Each warp its queries, lanes the keys. */
DEV void score_gradients(float *p, float *ds, attn_job job, const float *q, const float *key, const float *value, const float *dout, int64_t i_query, int64_t i_key) {
    const int32_t warp = (int32_t)threadIdx.x / WARP, lane = (int32_t)threadIdx.x % WARP;
    const int64_t k = job.k, row_floats = k + 1;
    for (int32_t i = 0; i < ROWS_EACH; i++) {
        const int32_t r = warp * ROWS_EACH + i;
        const bool there = i_query + r < job.n && i_key + lane < job.n;
        float e = 0, d = 0;
        if (there) {
            e = expf(job.scale * dot_rows(q + r * row_floats, key + lane * row_floats, k) - job.lse[at_lse(job, i_query + r)]);
            d = e * (dot_rows(dout + r * row_floats, value + lane * row_floats, k) - job.dots[at_lse(job, i_query + r)]) * job.scale;
        }
        p[r * (PIECE + 1) + lane] = e, ds[r * (PIECE + 1) + lane] = d;
    }
}
DEV float *after(float *tile, int64_t k) { return tile + PIECE * (k + 1); }

KERNEL(attn_bwd_keys, attn_job) {
    DYNAMIC_SHARED(float, shared);
    const int64_t k = job.k, row_floats = k + 1, first = (int64_t)blockIdx.x * PIECE;
    float *q = shared, *key = after(q, k), *value = after(key, k), *dout = after(value, k), *dkey = after(dout, k), *dvalue = after(dkey, k);
    float *p = after(dvalue, k), *ds = p + PIECE * (PIECE + 1);
    for (int64_t i = threadIdx.x; i < PIECE * row_floats; i += THREADS) dkey[i] = dvalue[i] = 0;
    load_qkv(key, job, first, 1);
    load_qkv(value, job, first, 2);
    for (int64_t j = 0; j < job.n; j += PIECE) {
        load_qkv(q, job, j, 0);
        load_rows(dout, job, job.dout, j);
        BARRIER();
        score_gradients(p, ds, job, q, key, value, dout, j, first);
        BARRIER();
        for (int64_t i = threadIdx.x; i < PIECE * k; i += THREADS) {
            const int64_t r = i / k, c = i % k;
            float a = dkey[r * row_floats + c], b = dvalue[r * row_floats + c];
            for (int32_t x = 0; x < PIECE; x++) {
                a += ds[x * (PIECE + 1) + r] * q[x * row_floats + c];
                b += p[x * (PIECE + 1) + r] * dout[x * row_floats + c];
            }
            dkey[r * row_floats + c] = a, dvalue[r * row_floats + c] = b;
        }
        BARRIER();
    }
    for (int64_t i = threadIdx.x; i < PIECE * k; i += THREADS) {
        const int64_t r = i / k, c = i % k;
        if (first + r >= job.n) continue;
        store(job.dqkv, at_qkv(job, first + r, 1) + c, dkey[r * row_floats + c]);
        store(job.dqkv, at_qkv(job, first + r, 2) + c, dvalue[r * row_floats + c]);
    }
}

KERNEL(attn_bwd_queries, attn_job) {
    DYNAMIC_SHARED(float, shared);
    const int64_t k = job.k, row_floats = k + 1, first = (int64_t)blockIdx.x * PIECE;
    float *q = shared, *key = after(q, k), *value = after(key, k), *dout = after(value, k), *dq = after(dout, k), *p = after(dq, k);
    float *ds = p + PIECE * (PIECE + 1);
    for (int64_t i = threadIdx.x; i < PIECE * row_floats; i += THREADS) dq[i] = 0;
    load_qkv(q, job, first, 0);
    load_rows(dout, job, job.dout, first);
    for (int64_t j = 0; j < job.n; j += PIECE) {
        load_qkv(key, job, j, 1);
        load_qkv(value, job, j, 2);
        BARRIER();
        score_gradients(p, ds, job, q, key, value, dout, first, j);
        BARRIER();
        for (int64_t i = threadIdx.x; i < PIECE * k; i += THREADS) {
            const int64_t r = i / k, c = i % k;
            float a = dq[r * row_floats + c];
            for (int32_t x = 0; x < PIECE; x++) a += ds[r * (PIECE + 1) + x] * key[x * row_floats + c];
            dq[r * row_floats + c] = a;
        }
        BARRIER();
    }
    for (int64_t i = threadIdx.x; i < PIECE * k; i += THREADS)
        if (first + i / k < job.n) store(job.dqkv, at_qkv(job, first + i / k, 0) + i % k, dq[i / k * row_floats + i % k]);
}

/* ---- probabilities: a block 32 queries; all heads one after the other, so that their mean has one order ---- */

KERNEL(attn_probs, attn_job) {
    DYNAMIC_SHARED(float, shared);
    const int64_t k = job.k, row_floats = k + 1, first = (int64_t)blockIdx.x * PIECE;
    float *q = shared, *key = after(q, k);
    const int32_t warp = (int32_t)threadIdx.x / WARP, lane = (int32_t)threadIdx.x % WARP;
    const int64_t b = blockIdx.z;
    for (int64_t h = job.per_head ? blockIdx.y : 0; h < (job.per_head ? (int64_t)blockIdx.y + 1 : job.heads); h++) {
        float top[ROWS_EACH], total[ROWS_EACH];
        float *out = job.probs + (job.per_head ? b * job.heads + h : b) * job.n * job.n;
        attn_job head = job; /* its q, k and v; blockIdx.y is no head where all heads are walked over */
        head.qkv.p = (const char *)job.qkv.p + (h - (int64_t)blockIdx.y) * k * (job.qkv.bf16 ? 2 : 4);
        for (int32_t i = 0; i < ROWS_EACH; i++) top[i] = -INFINITY, total[i] = 0;
        load_qkv(q, head, first, 0);
        for (int32_t pass = 0; pass < 2; pass++) /* the sum of a row first, then its values */
            for (int64_t j = 0; j < job.n; j += PIECE) {
                load_qkv(key, head, j, 1);
                BARRIER();
                for (int32_t i = 0; i < ROWS_EACH; i++) {
                    const int64_t r = warp * ROWS_EACH + i, at = (first + r) * job.n + j + lane;
                    const float s = j + lane < job.n ? job.scale * dot_rows(q + r * row_floats, key + lane * row_floats, k) : -INFINITY;
                    if (!pass) {
                        const float new_top = fmaxf(top[i], warp_max(s));
                        total[i] = total[i] * expf(top[i] - new_top) + warp_sum(expf(s - new_top));
                        top[i] = new_top;
                    } else if (first + r < job.n && j + lane < job.n) {
                        const float p = expf(s - top[i]) / total[i];
                        if (job.per_head) out[at] = p;
                        else out[at] = (h ? out[at] : 0) + p / (float)job.heads;
                    }
                }
                BARRIER();
            }
    }
}

/* ---- the ops ---- */

static attn_job job_of(ehm_view qkv, int32_t heads, float scale) {
    attn_job j;
    memset(&j, 0, sizeof j);
    j.qkv = in_of(qkv), j.n = qkv.dim[1], j.width = qkv.dim[2] / 3, j.heads = heads, j.k = j.width / heads, j.scale = scale;
    return j;
}
static size_t tiles_bytes(int64_t k, int32_t tiles, int32_t squares) {
    return (size_t)(tiles * PIECE * (k + 1) + squares * PIECE * (PIECE + 1)) * sizeof(float);
}
/* Shared memory ends somewhere: heads wider than that have no place. */
static bool wide_ok(ehm_cuda *c, int64_t k, size_t bytes) {
    if (bytes <= c->shared_bytes) return true;
    if (!c->err.code) EHM_FAIL(&c->err, EHM_E_UNSUPPORTED, "heads %lld wide need %zu bytes of shared memory, and a block of this GPU has %zu", (long long)k, bytes, c->shared_bytes);
    return false;
}
static dim3 pieces(int64_t n, int64_t y, int64_t z) { return EHM_DIM3((uint32_t)((n + PIECE - 1) / PIECE), (uint32_t)y, (uint32_t)z); }

void ehm_cuda_op_attn_fwd(void *self, const ehm_attn_fwd_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    attn_job j = job_of(a->qkv, a->n_heads, a->scale);
    size_t bytes = tiles_bytes(j.k, 4, 1);
    j.out = out_of(a->out), j.lse = (float *)ehm_ptr(a->lse);
    if (ehm_cuda_mma_fits(&j)) {
        ehm_cuda_mma_fwd(c, &j, a->qkv.dim[0]);
        return;
    }
    if (!wide_ok(c, j.k, bytes)) return;
    LAUNCH_SHARED(c, attn_fwd, pieces(j.n, j.heads, a->qkv.dim[0]), THREADS, bytes, j);
}
void ehm_cuda_op_attn_bwd(void *self, const ehm_attn_bwd_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    attn_job j = job_of(a->qkv, a->n_heads, a->scale);
    const int64_t b = a->qkv.dim[0];
    size_t keys = tiles_bytes(j.k, 6, 2), queries = tiles_bytes(j.k, 5, 2);
    j.dqkv = out_of(a->dqkv), j.dout = in_of(a->dout), j.out = out_of(a->out), j.lse = (float *)ehm_ptr(a->lse);
    j.dots = (float *)ehm_cuda_scratch(c, 0, (size_t)(b * j.heads * j.n) * sizeof(float));
    const bool mma = ehm_cuda_mma_fits(&j);
    if (!j.dots || (!mma && !wide_ok(c, j.k, keys))) return;
    LAUNCH(c, attn_dots, EHM_DIM3((uint32_t)((j.n + WARPS - 1) / WARPS), (uint32_t)j.heads, (uint32_t)b), THREADS, j);
    if (mma) {
        ehm_cuda_mma_bwd(c, &j, b);
        return;
    }
    LAUNCH_SHARED(c, attn_bwd_keys, pieces(j.n, j.heads, b), THREADS, keys, j);
    LAUNCH_SHARED(c, attn_bwd_queries, pieces(j.n, j.heads, b), THREADS, queries, j);
}
void ehm_cuda_op_attn_probs(void *self, const ehm_attn_probs_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    attn_job j = job_of(a->qkv, a->n_heads, a->scale);
    size_t bytes = tiles_bytes(j.k, 2, 0);
    j.probs = (float *)ehm_ptr(a->probs), j.per_head = a->per_head;
    if (ehm_cuda_mma_fits(&j)) {
        ehm_cuda_mma_probs(c, &j, a->qkv.dim[0]);
        return;
    }
    if (!wide_ok(c, j.k, bytes)) return;
    LAUNCH_SHARED(c, attn_probs, pieces(j.n, a->per_head ? j.heads : 1, a->qkv.dim[0]), THREADS, bytes, j);
}
