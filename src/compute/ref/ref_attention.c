/* Self-attention, one head of one picture at a time. Scores are made for a block of query rows, so memory grows with N, not N*N. */
#include <math.h>
#include "compute/ref/ref_int.h"

enum { BLOCK = 32 }; /* query rows at once */

typedef struct {
    ehm_view qkv, out, lse, dout, dqkv, probs;
    int64_t b, n, h, k; /* batch, tokens, heads, head width */
    double scale;
    bool per_head;
    double *scratch;
    int64_t stride;
} attn_job;

static attn_job job_of(ehm_view qkv, int32_t n_heads, float scale) {
    return (attn_job){.qkv = qkv, .b = qkv.dim[0], .n = qkv.dim[1], .h = n_heads, .k = qkv.dim[2] / 3 / n_heads,
                      .scale = (double)scale};
}

/* rows [first, first + m) of third 0 (q), 1 (k) or 2 (v) of head h of picture b */
static void load_part(double *dst, const attn_job *j, ehm_view qkv, int64_t third, int64_t b, int64_t h, int64_t first,
                      int64_t m) {
    int64_t width = j->h * j->k;
    for (int64_t i = 0; i < m; i++)
        ehm_ref_load(dst + i * j->k, qkv, (b * j->n + first + i) * 3 * width + third * width + h * j->k, j->k);
}

static void store_part(const attn_job *j, ehm_view qkv, int64_t third, int64_t b, int64_t h, int64_t first, int64_t m,
                       const double *src) {
    int64_t width = j->h * j->k;
    for (int64_t i = 0; i < m; i++)
        ehm_ref_store(qkv, (b * j->n + first + i) * 3 * width + third * width + h * j->k, src + i * j->k, j->k);
}

/* The same for out and dout, [B,N,H*K]. */
static void load_head(double *dst, const attn_job *j, ehm_view v, int64_t b, int64_t h, int64_t first, int64_t m) {
    for (int64_t i = 0; i < m; i++)
        ehm_ref_load(dst + i * j->k, v, ((b * j->n + first + i) * j->h + h) * j->k, j->k);
}

static void transpose(double *restrict dst, const double *restrict src, int64_t rows, int64_t cols) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < cols; c++) dst[c * rows + i] = src[i * cols + c];
}

/* s[m,n] = scale q[m,k] kt[k,n] */
static void scores(const attn_job *j, double *s, const double *q, const double *kt, int64_t m) {
    memset(s, 0, (size_t)(m * j->n) * sizeof *s);
    ehm_ref_gemm_add(s, j->n, q, j->k, kt, j->n, m, j->n, j->k);
    for (int64_t i = 0; i < m * j->n; i++) s[i] *= j->scale;
}

/* A row of scores becomes probabilities; returns its log-sum-exp. */
static double softmax_row(double *s, int64_t n) {
    double top = s[0], sum = 0;
    for (int64_t i = 1; i < n; i++) top = s[i] > top ? s[i] : top;
    for (int64_t i = 0; i < n; i++) {
        s[i] = exp(s[i] - top);
        sum += s[i];
    }
    for (int64_t i = 0; i < n; i++) s[i] /= sum;
    return top + log(sum);
}

static void fwd_head(const attn_job *j, int64_t b, int64_t h, double *at) {
    int64_t nk = j->n * j->k;
    double *v = at, *kt = v + nk, *q = kt + nk, *o = q + BLOCK * j->k, *s = o + BLOCK * j->k, *k = s + BLOCK * j->n;
    load_part(k, j, j->qkv, 1, b, h, 0, j->n);
    transpose(kt, k, j->n, j->k);
    load_part(v, j, j->qkv, 2, b, h, 0, j->n);
    for (int64_t r = 0; r < j->n; r += BLOCK) {
        int64_t m = ehm_ref_min(BLOCK, j->n - r);
        load_part(q, j, j->qkv, 0, b, h, r, m);
        scores(j, s, q, kt, m);
        for (int64_t i = 0; i < m; i++)
            ehm_ref_put(j->lse, (b * j->h + h) * j->n + r + i, softmax_row(s + i * j->n, j->n));
        memset(o, 0, (size_t)(m * j->k) * sizeof *o);
        ehm_ref_gemm_add(o, j->k, s, j->n, v, j->k, m, j->k, j->n);
        for (int64_t i = 0; i < m; i++)
            ehm_ref_store(j->out, ((b * j->n + r + i) * j->h + h) * j->k, o + i * j->k, j->k);
    }
}

static void fwd_heads(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const attn_job *j = ctx;
    for (int64_t i = begin; i < end; i++) fwd_head(j, i / j->h, i % j->h, j->scratch + i_thread * j->stride);
}

void ehm_ref_attn_fwd(void *self, const ehm_attn_fwd_args *a) {
    ehm_ref *r = self;
    attn_job j = job_of(a->qkv, a->n_heads, a->scale);
    j.out = a->out;
    j.lse = a->lse;
    j.scratch = ehm_ref_scratch(r, 3 * j.n * j.k + 2 * BLOCK * j.k + BLOCK * j.n, &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, j.b * j.h, 1, fwd_heads, &j);
}

/* P = exp(S - lse) anew;  dV = Pt dO;  dP = dO Vt;  dS = P (dP - rowsum(dO O)) scale;  dQ = dS K;  dK = dSt Q. */
static void bwd_head(const attn_job *j, int64_t b, int64_t h, double *at) {
    int64_t nk = j->n * j->k, bk = BLOCK * j->k, bn = BLOCK * j->n;
    double *k = at, *kt = k + nk, *vt = kt + nk, *dk = vt + nk, *dv = dk + nk;
    double *q = dv + nk, *o = q + bk, *d_o = o + bk, *dq = d_o + bk;
    double *s = dq + bk, *ds = s + bn, *t = ds + bn;
    load_part(dk, j, j->qkv, 2, b, h, 0, j->n); /* dk lends its place to v */
    transpose(vt, dk, j->n, j->k);
    load_part(k, j, j->qkv, 1, b, h, 0, j->n);
    transpose(kt, k, j->n, j->k);
    memset(dk, 0, (size_t)nk * sizeof *dk);
    memset(dv, 0, (size_t)nk * sizeof *dv);
    for (int64_t r = 0; r < j->n; r += BLOCK) {
        int64_t m = ehm_ref_min(BLOCK, j->n - r);
        load_part(q, j, j->qkv, 0, b, h, r, m);
        load_head(o, j, j->out, b, h, r, m);
        load_head(d_o, j, j->dout, b, h, r, m);
        scores(j, s, q, kt, m);
        memset(ds, 0, (size_t)(m * j->n) * sizeof *ds);
        ehm_ref_gemm_add(ds, j->n, d_o, j->k, vt, j->n, m, j->n, j->k);
        for (int64_t i = 0; i < m; i++) {
            double lse = ehm_ref_get(j->lse, (b * j->h + h) * j->n + r + i), dot = 0;
            for (int64_t c = 0; c < j->k; c++) dot += d_o[i * j->k + c] * o[i * j->k + c];
            for (int64_t c = 0; c < j->n; c++) {
                double *p = &s[i * j->n + c], *dp = &ds[i * j->n + c];
                *p = exp(*p - lse);
                *dp = *p * (*dp - dot) * j->scale;
            }
        }
        memset(dq, 0, (size_t)(m * j->k) * sizeof *dq);
        ehm_ref_gemm_add(dq, j->k, ds, j->n, k, j->k, m, j->k, j->n);
        store_part(j, j->dqkv, 0, b, h, r, m, dq);
        transpose(t, ds, m, j->n);
        ehm_ref_gemm_add(dk, j->k, t, m, q, j->k, j->n, j->k, m);
        transpose(t, s, m, j->n);
        ehm_ref_gemm_add(dv, j->k, t, m, d_o, j->k, j->n, j->k, m);
    }
    store_part(j, j->dqkv, 1, b, h, 0, j->n, dk);
    store_part(j, j->dqkv, 2, b, h, 0, j->n, dv);
}

static void bwd_heads(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const attn_job *j = ctx;
    for (int64_t i = begin; i < end; i++) bwd_head(j, i / j->h, i % j->h, j->scratch + i_thread * j->stride);
}

void ehm_ref_attn_bwd(void *self, const ehm_attn_bwd_args *a) {
    ehm_ref *r = self;
    attn_job j = job_of(a->qkv, a->n_heads, a->scale);
    j.out = a->out;
    j.lse = a->lse;
    j.dout = a->dout;
    j.dqkv = a->dqkv;
    j.scratch = ehm_ref_scratch(r, 5 * j.n * j.k + 4 * BLOCK * j.k + 3 * BLOCK * j.n, &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, j.b * j.h, 1, bwd_heads, &j);
}

/* A block of query rows of one picture, head after head: the mean over heads then has a fixed order. */
static void probs_blocks(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const attn_job *j = ctx;
    int64_t nk = j->n * j->k, bn = BLOCK * j->n, blocks = (j->n + BLOCK - 1) / BLOCK;
    double *k = j->scratch + i_thread * j->stride, *kt = k + nk, *q = kt + nk, *s = q + BLOCK * j->k, *mean = s + bn;
    for (int64_t i = begin; i < end; i++) {
        int64_t b = i / blocks, r = i % blocks * BLOCK, m = ehm_ref_min(BLOCK, j->n - r);
        memset(mean, 0, (size_t)bn * sizeof *mean);
        for (int64_t h = 0; h < j->h; h++) {
            load_part(k, j, j->qkv, 1, b, h, 0, j->n);
            transpose(kt, k, j->n, j->k);
            load_part(q, j, j->qkv, 0, b, h, r, m);
            scores(j, s, q, kt, m);
            for (int64_t c = 0; c < m; c++) softmax_row(s + c * j->n, j->n);
            if (j->per_head) ehm_ref_store(j->probs, ((b * j->h + h) * j->n + r) * j->n, s, m * j->n);
            else
                for (int64_t c = 0; c < m * j->n; c++) mean[c] += s[c] / (double)j->h;
        }
        if (!j->per_head) ehm_ref_store(j->probs, (b * j->n + r) * j->n, mean, m * j->n);
    }
}

void ehm_ref_attn_probs(void *self, const ehm_attn_probs_args *a) {
    ehm_ref *r = self;
    attn_job j = job_of(a->qkv, a->n_heads, a->scale);
    j.probs = a->probs;
    j.per_head = a->per_head;
    j.scratch = ehm_ref_scratch(r, 2 * j.n * j.k + BLOCK * j.k + 2 * BLOCK * j.n, &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, j.b * ((j.n + BLOCK - 1) / BLOCK), 1, probs_blocks, &j);
}
