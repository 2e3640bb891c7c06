/* Our packed product against plain loops in double, for any kernel table: many odd shapes, all transposes,
 * types and endings. Used with the kernels of this machine (test_cpu_gemm.c) and with wide ones built from
 * plain C (test_cpu_wide*.c), which have the tile sizes of processors that this machine may not be. */
#ifndef EHM_TESTS_CPU_GEMM_CHECK_H
#define EHM_TESTS_CPU_GEMM_CHECK_H
#include "base/rng.h"
#include "compute/cpu/cpu_int.h"
#include "harness.h"

static inline ehm_cpu *gemm_cpu(int32_t n_threads) {
    ehm_err err = {0};
    void *self = NULL;
    setenv("EHM_GEMM", "own", 1);
    REQUIRE_OK(ehm_backend_cpu.open(&self, "cpu", n_threads, &err), &err);
    unsetenv("EHM_GEMM");
    return self;
}
static inline double gemm_value(const void *p, bool bf16, int64_t i) {
    return bf16 ? (double)ehm_f32_of(((const uint16_t *)p)[i]) : (double)((const float *)p)[i];
}
static inline void *gemm_fill(ehm_rng *r, int64_t n, bool bf16) {
    void *p = malloc((size_t)n * (bf16 ? 2 : 4) + 1);
    REQUIRE(p);
    for (int64_t i = 0; i < n; i++) {
        float v = (float)ehm_rng_normal(r);
        if (bf16) ((uint16_t *)p)[i] = ehm_bf16_of(v);
        else ((float *)p)[i] = v;
    }
    return p;
}
/* how: bits trans_a 1, trans_b 2, bias 4, add 8, accumulate 16, out bf16 32, add bf16 64, weight 128, add is
 * out 256 */
static inline void gemm_one(ehm_cpu *c, const ehm_gemm_kern *kern, int64_t m, int64_t n, int64_t k, int how,
                            bool in_bf16) {
    ehm_rng r =
        ehm_rng_of(ehm_test_seed(), EHM_RNG_test, (uint32_t)how, (uint64_t)((m * 1000003 + n) * 1000003 + k));
    ehm_gemm g = {.m = m, .n = n, .k = k, .a_bf16 = in_bf16, .b_bf16 = in_bf16};
    g.trans_a = how & 1, g.trans_b = how & 2, g.accumulate = how & 16, g.out_bf16 = how & 32,
    g.add_bf16 = how & 64, g.weight_b = how & 128;
    g.lda = g.trans_a ? m : k, g.ldb = g.trans_b ? k : n;
    void *a = gemm_fill(&r, m * k, in_bf16), *b = gemm_fill(&r, k * n, in_bf16),
         *out = gemm_fill(&r, m * n, g.out_bf16);
    float *bias = gemm_fill(&r, n, false), *got = malloc((size_t)(m * n) * 4),
          *want = malloc((size_t)(m * n) * 4);
    void *add = gemm_fill(&r, m * n, g.add_bf16);
    if (how & 256) free(add), add = out, g.add_bf16 = g.out_bf16;
    g.a = a, g.b = b, g.out = out;
    if (how & 4) g.bias = bias;
    if (how & 8) g.add = add;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = 0;
            for (int64_t q = 0; q < k; q++)
                s += gemm_value(a, in_bf16, g.trans_a ? q * m + i : i * k + q) *
                     gemm_value(b, in_bf16, g.trans_b ? j * k + q : q * n + j);
            if (g.bias) s += (double)bias[j];
            if (g.add) s += gemm_value(add, g.add_bf16, i * n + j);
            if (g.accumulate) s += gemm_value(out, g.out_bf16, i * n + j);
            want[i * n + j] = (float)s;
        }
    ehm_cpu_gemm(c, kern, &g);
    for (int64_t i = 0; i < m * n; i++) got[i] = (float)gemm_value(out, g.out_bf16, i);
    char what[128];
    snprintf(what, sizeof what, "%s %lldx%lldx%lld how %d%s", kern->name, (long long)m, (long long)n,
             (long long)k, how, in_bf16 ? " bf16" : "");
    ehm_test_close_f32(__FILE__, __LINE__, what, got, want, m * n, g.out_bf16 ? 4e-3 : 3e-6);
    ehm_cpu_weights_forget(c, b, 1); /* the address comes again with other numbers */
    if (add != out) free(add);
    free(a), free(b), free(out), free(bias), free(got), free(want);
}
static inline void gemm_check(const ehm_gemm_kern *kern, int32_t n_threads) {
    static const int64_t shape[][3] = {{1, 1, 1},      {6, 16, 384},  {7, 17, 385},   {14, 32, 769},
                                       {13, 31, 2},    {5, 33, 3},    {29, 8, 31},    {100, 9, 64},
                                       {33, 100, 1},   {97, 65, 95},  {3, 200, 1000}, {64, 48, 3111},
                                       {150, 70, 512}, {28, 64, 768}, {1, 40, 3000}};
    ehm_cpu *c = gemm_cpu(n_threads);
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int t = 0; t < 4; t++) { /* the transposes, with endings that differ from shape to shape */
            int how = (int)((i * 4 + (size_t)t) * 37 % 256) / 4 * 4 | t;
            if (how & 8 && i % 3 == 0) how |= 256;
            if (!kern->pairs) gemm_one(c, kern, shape[i][0], shape[i][1], shape[i][2], how, false);
            gemm_one(c, kern, shape[i][0], shape[i][1], shape[i][2], how ^ 32, true);
        }
    for (int how = 0; how < 256; how += 4) /* every ending on one shape */
        if (kern->pairs) gemm_one(c, kern, 15, 35, 40, how, true);
        else gemm_one(c, kern, 15, 35, 40, how, how & 16);
    CHECK_INT(c->failed, EHM_OK);
    ehm_backend_cpu.close(c);
}
#endif
