/* One head of attention, forward, backward and probabilities, against plain loops in double, for any kernel
 * table. */
#ifndef EHM_TESTS_CPU_ATTN_CHECK_H
#define EHM_TESTS_CPU_ATTN_CHECK_H
#include "base/rng.h"
#include "compute/cpu/cpu_int.h"
#include "harness.h"

enum { ATTN_Q, ATTN_K, ATTN_V };
typedef struct {
    int64_t n, k, width;
    bool bf16;
    void *qkv, *out, *dout, *dqkv;
    float *lse;
    double *p, loose;
} attn_case;

static inline double attn_at(const void *x, bool bf16, int64_t i) {
    return bf16 ? (double)ehm_f32_of(((const uint16_t *)x)[i]) : (double)((const float *)x)[i];
}
static inline double attn_in(const attn_case *c, int third, int64_t t, int64_t i) {
    return attn_at(c->qkv, c->bf16, t * 3 * c->width + third * c->width + i);
}
static inline void attn_compare(const attn_case *c, const char *name, const char *what, const float *got,
                                const float *want, int64_t n, double tol) {
    char text[160];
    tol *= c->loose;
    snprintf(text, sizeof text, "%s %s N %lld K %lld%s", name, what, (long long)c->n, (long long)c->k,
             c->bf16 ? " bf16" : "");
    ehm_test_close_f32(__FILE__, __LINE__, text, got, want, n, tol);
}
static inline void attn_one(const ehm_attn_kern *kern, const char *name, int64_t n, int64_t k, bool bf16,
                            float size) {
    attn_case c = {
        .n = n,
        .k = k,
        .width = 2 * k + 3,
        .bf16 = bf16,
        .loose = (double)(size * size)}; /* the head lies inside wider rows; what is outside must stay */
    const int64_t el = bf16 ? 2 : 4, w = c.width;
    const float scale = 1.f / sqrtf((float)k);
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, bf16, (uint64_t)(n * 1000003 + k));
    c.qkv = malloc((size_t)(n * 3 * w * el)), c.out = malloc((size_t)(n * w * el)),
    c.dout = malloc((size_t)(n * w * el));
    c.dqkv = malloc((size_t)(n * 3 * w * el)), c.lse = malloc((size_t)n * 4),
    c.p = malloc((size_t)(n * n) * 8);
    float *got = malloc((size_t)(n * (n > 3 * k ? n : 3 * k)) * 4),
          *want = malloc((size_t)(n * (n > 3 * k ? n : 3 * k)) * 4);
    float *scratch = malloc((kern->bwd_scratch(n, k) + kern->fwd_scratch(n, k)) * 4);
    REQUIRE(c.qkv && c.out && c.dout && c.dqkv && c.lse && c.p && got && want && scratch);
    for (int64_t i = 0; i < n * 3 * w; i++) {
        float v = (float)ehm_rng_normal(&r) * size;
        if (bf16) ((uint16_t *)c.qkv)[i] = ehm_bf16_of(v);
        else ((float *)c.qkv)[i] = v;
    }
    for (int64_t i = 0; i < n * w; i++) {
        float v = (float)ehm_rng_normal(&r);
        if (bf16) ((uint16_t *)c.dout)[i] = ehm_bf16_of(v);
        else ((float *)c.dout)[i] = v;
    }
    memset(c.out, 0x40, (size_t)(n * w * el)), memset(c.dqkv, 0x40, (size_t)(n * 3 * w * el));
    /* p, and out and lse from it */
    double *o = calloc((size_t)(n * k), 8), *l = calloc((size_t)n, 8);
    for (int64_t i = 0; i < n; i++) {
        double top = -INFINITY, sum = 0;
        for (int64_t j = 0; j < n; j++) {
            double s = 0;
            for (int64_t q = 0; q < k; q++) s += attn_in(&c, ATTN_Q, i, q) * attn_in(&c, ATTN_K, j, q);
            c.p[i * n + j] = s * (double)scale;
            top = fmax(top, s * (double)scale);
        }
        for (int64_t j = 0; j < n; j++) sum += c.p[i * n + j] = exp(c.p[i * n + j] - top);
        for (int64_t j = 0; j < n; j++) {
            c.p[i * n + j] /= sum;
            for (int64_t q = 0; q < k; q++) o[i * k + q] += c.p[i * n + j] * attn_in(&c, ATTN_V, j, q);
        }
        l[i] = top + log(sum);
    }
    ehm_attn_head h = {.n_tokens = n,
                       .width = w,
                       .head_dim = k,
                       .qkv = c.qkv,
                       .scale = scale,
                       .bf16 = bf16,
                       .out = c.out,
                       .lse = c.lse,
                       .dout = c.dout,
                       .dqkv = c.dqkv,
                       .scratch = scratch};
    kern->fwd(&h);
    for (int64_t i = 0; i < n * k; i++)
        got[i] = (float)attn_at(c.out, bf16, i / k * w + i % k), want[i] = (float)o[i];
    attn_compare(&c, name, "out", got, want, n * k, bf16 ? 6e-3 : 3e-6);
    for (int64_t i = 0; i < n; i++) got[i] = c.lse[i], want[i] = (float)l[i];
    attn_compare(&c, name, "lse", got, want, n, 2e-6);
    /* nothing beside the head was written */
    for (int64_t i = 0; i < n; i++)
        for (int64_t q = k * el; q < w * el; q++) REQUIRE(((char *)c.out)[i * w * el + q] == 0x40);
    /* gradients */
    double *g = calloc((size_t)(3 * n * k), 8);
    for (int64_t i = 0; i < n; i++) {
        double dot = 0;
        for (int64_t q = 0; q < k; q++)
            dot += attn_at(c.dout, bf16, i * w + q) * attn_at(c.out, bf16, i * w + q);
        for (int64_t j = 0; j < n; j++) {
            double dp = 0, p = c.p[i * n + j];
            for (int64_t q = 0; q < k; q++)
                dp += attn_at(c.dout, bf16, i * w + q) * attn_in(&c, ATTN_V, j, q);
            double ds = p * (dp - dot) * (double)scale;
            for (int64_t q = 0; q < k; q++) {
                g[(ATTN_Q * n + i) * k + q] += ds * attn_in(&c, ATTN_K, j, q);
                g[(ATTN_K * n + j) * k + q] += ds * attn_in(&c, ATTN_Q, i, q);
                g[(ATTN_V * n + j) * k + q] += p * attn_at(c.dout, bf16, i * w + q);
            }
        }
    }
    kern->bwd(&h);
    for (int t = 0; t < 3; t++) {
        const char *what[] = {"dq", "dk", "dv"};
        for (int64_t i = 0; i < n * k; i++)
            got[i] = (float)attn_at(c.dqkv, bf16, i / k * 3 * w + t * w + i % k),
            want[i] = (float)g[t * n * k + i];
        attn_compare(&c, name, what[t], got, want, n * k, bf16 ? 6e-3 : n == 1 && t < 2 ? 1e-6 : 1e-5);
    }
    for (int64_t i = 0; i < 3 * n; i++)
        for (int64_t q = k * el; q < w * el; q++) REQUIRE(((char *)c.dqkv)[i * w * el + q] == 0x40);
    /* probabilities: half the rows, then added to the same */
    h.probs = got, h.factor = 0.5f, h.row0 = n / 3, h.n_rows = n - n / 3;
    kern->probs(&h);
    h.add_probs = true;
    kern->probs(&h);
    for (int64_t i = 0; i < n * n; i++) want[i] = (float)c.p[i];
    attn_compare(&c, name, "probs", got + n / 3 * n, want + n / 3 * n, (n - n / 3) * n, 3e-6);
    free(o), free(l), free(g), free(got), free(want), free(scratch);
    free(c.qkv), free(c.out), free(c.dout), free(c.dqkv), free(c.lse), free(c.p);
}
static inline void attn_check(const ehm_attn_kern *kern, const char *name) {
    static const int64_t nk[][2] = {{1, 8},   {2, 1},    {17, 64},  {65, 32},  {50, 64},  {49, 31},
                                    {96, 80}, {197, 32}, {385, 16}, {400, 13}, {20, 500}, {1025, 8}};
    for (size_t i = 0; i < sizeof nk / sizeof *nk; i++) {
        attn_one(kern, name, nk[i][0], nk[i][1], false, 1.f);
        attn_one(kern, name, nk[i][0], nk[i][1], true, 1.f);
    }
    attn_one(kern, name, 33, 16, false, 12.f); /* scores of several hundred: sharp rows, exp of very negative
                                                  numbers; their rounding grows too */
}
#endif
