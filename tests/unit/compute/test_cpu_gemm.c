/* The fast CPU back end's products, with every kernel that this processor can run. */
#include "cpu_gemm_check.h"
#include <string.h>

TEST(cpu_gemm, generic) { gemm_check(&ehm_gemm_generic, 2); }
#if defined(__x86_64__)
TEST(cpu_gemm, avx2) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) SKIP("this processor has no AVX2");
    gemm_check(&ehm_gemm_avx2, 2);
}
TEST(cpu_gemm, avx512) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
        SKIP("this processor has no AVX-512");
    gemm_check(&ehm_gemm_avx512, 2);
}
TEST(cpu_gemm, avx512bf16) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512bf16")) SKIP("this processor has no AVX512-BF16");
    gemm_check(&ehm_gemm_avx512bf16, 2);
}
#endif

/* One bit pattern, whatever the number of threads: long k is cut by shape alone. */
TEST(cpu_gemm, same_bits_any_threads) {
    static const int64_t shape[][3] = {{96, 96, 8320}, {192, 192, 2176}, {300, 200, 130},
                                       {65, 288, 96},  {17, 40, 3000},   {500, 70, 800}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        int64_t m = shape[i][0], n = shape[i][1], k = shape[i][2];
        ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, i);
        float *a = gemm_fill(&r, m * k, false), *b = gemm_fill(&r, k * n, false),
              *out = malloc((size_t)(m * n) * 4), *first = malloc((size_t)(m * n) * 4);
        for (int32_t threads = 1; threads < 8; threads += threads < 3 ? 1 : 2)
            for (int how = 0; how < 4; how++) {
                ehm_cpu *c = gemm_cpu(threads);
                ehm_gemm g = {.m = m,
                              .n = n,
                              .k = k,
                              .a = a,
                              .b = b,
                              .out = out,
                              .trans_a = true,
                              .lda = m,
                              .ldb = n,
                              .weight_b = how & 1};
                ehm_cpu_gemm(c, c->gemm_f32, &g);
                if (threads == 1 && !how) memcpy(first, out, (size_t)(m * n) * 4);
                CHECK(!memcmp(first, out, (size_t)(m * n) * 4));
                ehm_backend_cpu.close(c);
            }
        free(a), free(b), free(out), free(first);
    }
}
/* A packed weight is used until weights_changed, made anew after it, and gone with its buffer. */
TEST(cpu_gemm, packed_weights_follow_changes) {
    enum { M = 20, N = 33, K = 50 };
    ehm_cpu *c = gemm_cpu(2);
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 1);
    float *a = gemm_fill(&r, M * K, false), *b = gemm_fill(&r, N * K, false), *w = malloc(N * K * 4),
          plain[M * N], out[M * N];
    ehm_gemm g = {.m = M,
                  .n = N,
                  .k = K,
                  .a = a,
                  .b = w,
                  .out = out,
                  .trans_b = true,
                  .lda = K,
                  .ldb = K,
                  .weight_b = true};
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < N * K; i++) w[i] = b[i] * (float)(turn + 1);
        ehm_cpu_weights_changed(c);
        g.weight_b = false, g.out = plain;
        ehm_cpu_gemm(c, c->gemm_f32, &g);
        g.weight_b = true, g.out = out;
        for (int again = 0; again < 2; again++) {
            ehm_cpu_gemm(c, c->gemm_f32, &g);
            CHECK(!memcmp(plain, out, sizeof out));
        }
    }
    CHECK_INT(c->n_weights, 1);
    CHECK(c->weight_bytes > 0);
    ehm_cpu_weights_forget(c, w, N * K * 4);
    CHECK_INT(c->weight_bytes, 0);
    c->weight_bytes_max = 0; /* no room to keep any: the same values all the same */
    memset(out, 0, sizeof out);
    ehm_cpu_gemm(c, c->gemm_f32, &g);
    CHECK(!memcmp(plain, out, sizeof out));
    free(a), free(b), free(w);
    ehm_backend_cpu.close(c);
}
/* Scratch is there after the first call: the second takes the same places. */
TEST(cpu_gemm, no_new_memory_for_a_known_shape) {
    ehm_cpu *c = gemm_cpu(3);
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 4);
    float *a = gemm_fill(&r, 96 * 4000, false), *b = gemm_fill(&r, 96 * 4000, false),
          *out = malloc(96 * 96 * 4);
    ehm_gemm g = {.m = 96,
                  .n = 96,
                  .k = 4000,
                  .a = a,
                  .b = b,
                  .out = out,
                  .trans_a = true,
                  .lda = 96,
                  .ldb = 96,
                  .weight_b = true};
    ehm_cpu_gemm(c, c->gemm_f32, &g);
    void *shared = c->shared.p, *own = c->own[2].p;
    size_t kept = c->weight_bytes;
    for (int i = 0; i < 3; i++) {
        ehm_cpu_weights_changed(c);
        ehm_cpu_gemm(c, c->gemm_f32, &g);
    }
    CHECK(shared == c->shared.p && own == c->own[2].p && kept == c->weight_bytes);
    free(a), free(b), free(out);
    ehm_backend_cpu.close(c);
}
/* Not-a-number and infinity go through to the result, in padded tiles too, and touch only their row. */
TEST(cpu_gemm, not_finite_stays_in_its_row) {
    enum { M = 8, N = 19, K = 21 };
    ehm_cpu *c = gemm_cpu(1);
    float a[M * K], b[K * N], out[M * N];
    for (int i = 0; i < M * K; i++) a[i] = 1;
    for (int i = 0; i < K * N; i++) b[i] = 1;
    a[6 * K + 3] = NAN, a[2 * K] = INFINITY;
    ehm_gemm g = {.m = M, .n = N, .k = K, .a = a, .b = b, .out = out, .lda = K, .ldb = N};
    ehm_cpu_gemm(c, c->gemm_f32, &g);
    for (int i = 0; i < M * N; i++)
        CHECK(i / N == 6 ? isnan(out[i]) : i / N == 2 ? isinf(out[i]) : out[i] == K);
    ehm_backend_cpu.close(c);
}
/* oneDNN through its shim, where it is built in: the same numbers within rounding, weights that change,
 * endings. */
TEST(cpu_gemm, dnnl_shim) {
    enum { M = 45, N = 33, K = 70 };
    char about[64];
    ehm_cpu_dnnl *d;
    if (!ehm_cpu_dnnl_open(&d, 2, about, sizeof about)) SKIP("built without oneDNN");
    CHECK_HAS(about, "oneDNN");
    ehm_cpu *c = gemm_cpu(2);
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 7);
    float *a = gemm_fill(&r, M * K, false), *b = gemm_fill(&r, N * K, false), *bias = gemm_fill(&r, N, false),
          *add = gemm_fill(&r, M * N, false);
    float *got = malloc(M * N * 4), *want = malloc(M * N * 4);
    int done = 0;
    for (int how = 0; how < 64; how++)
        for (int turn = 0; turn < 2; turn++) {
            ehm_gemm g = {.m = M,
                          .n = N,
                          .k = K,
                          .a = a,
                          .b = b,
                          .trans_a = how & 1,
                          .trans_b = how & 2,
                          .accumulate = how & 16,
                          .weight_b = how & 32};
            g.lda = g.trans_a ? M : K, g.ldb = g.trans_b ? K : N;
            g.bias = how & 4 ? bias : NULL, g.add = how & 8 ? add : NULL;
            if (turn) {
                for (int i = 0; i < N * K; i++) b[i] = -b[i];
                ehm_cpu_dnnl_weights_changed(d), ehm_cpu_weights_changed(c);
            }
            for (int i = 0; i < M * N; i++) got[i] = want[i] = (float)i / (M * N);
            g.out = got;
            if (!ehm_cpu_dnnl_matmul(d, &g)) continue;
            g.out = want, done++;
            ehm_cpu_gemm(c, c->gemm_f32, &g);
            CHECK_CLOSE_F32(got, want, M * N, 2e-6);
        }
    CHECK(done > 60); /* f32 is there on every processor */
    ehm_cpu_dnnl_forget(d, b, N * K * 4);
    ehm_cpu_dnnl_close(d);
    ehm_backend_cpu.close(c);
    free(a), free(b), free(bias), free(add), free(got), free(want);
}
