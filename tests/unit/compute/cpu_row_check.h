/* Element-wise and row-wise kernels against double, for any kernel table. */
#ifndef EHM_TESTS_CPU_ROW_CHECK_H
#define EHM_TESTS_CPU_ROW_CHECK_H
#include "base/rng.h"
#include "compute/cpu/cpu_int.h"
#include "harness.h"

/* x Phi(x) and its slope over -20 .. 20 against the C library's double erfc: absolute error, and the relative
 * one where it matters. */
static inline void row_check_gelu(const ehm_row_kern *k) {
    enum { N = 400001 };
    float *x = malloc(N * 4), *y = malloc(N * 4), *g = malloc(N * 4), *one = malloc(N * 4);
    double worst = 0, worst_slope = 0, tail = 0;
    REQUIRE(x && y && g && one);
    for (int i = 0; i < N; i++) x[i] = -20.f + (float)i * 1e-4f, one[i] = 1;
    k->gelu_fwd(y, false, x, false, N);
    k->gelu_bwd(g, false, one, false, x, false, N);
    for (int i = 0; i < N; i++) {
        double v = (double)x[i], phi = 0.5 * erfc(-v * 0.70710678118654752440),
               slope = phi + v * 0.39894228040143267794 * exp(-0.5 * v * v);
        double e = fabs((double)y[i] - v * phi), scale = fmax(1, fabs(v));
        worst = fmax(worst, e / scale), worst_slope = fmax(worst_slope, fabs((double)g[i] - slope));
        if (v < 0 && v > -6) tail = fmax(tail, e / fabs(v * phi));
    }
    CHECK(worst < 1.5e-7);
    CHECK(worst_slope < 3e-7);
    CHECK(tail < 3e-6); /* far left values keep their digits; x - x would not */
    float odd[5] = {NAN, INFINITY, 0.f, -0.f, 1e30f}, out[5];
    k->gelu_fwd(out, false, odd, false, 5);
    CHECK(isnan(out[0]) && isinf(out[1]) && out[2] == 0 && out[3] == 0 && out[4] == 1e30f);
    free(x), free(y), free(g), free(one);
}
/* Every bf16 pattern there and back, and rounding of halves, NaN and numbers below 2^-126. */
static inline void row_check_bf16(const ehm_row_kern *k) {
    uint16_t *b = malloc(65536 * 2), *c = malloc(65536 * 2);
    float *f = malloc(65536 * 4);
    REQUIRE(b && c && f);
    for (int i = 0; i < 65536; i++) b[i] = (uint16_t)i;
    k->to_f32(f, b, 65536);
    k->to_bf16(c, f, 65536);
    for (int i = 0; i < 65536; i++) {
        REQUIRE(isnan(f[i]) ? isnan(ehm_f32_of(b[i])) : f[i] == ehm_f32_of(b[i]));
        REQUIRE(c[i] == ehm_bf16_of(f[i]));
    }
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 9);
    for (int n = 1; n < 40;
         n++) { /* tails of every length; values between two bf16, exact halves among them */
        for (int i = 0; i < n; i++) {
            uint32_t u = ehm_rng_u32(&r);
            if (i & 1) u = (u & 0xffff0000u) | 0x8000u;
            memcpy(&f[i], &u, 4);
        }
        c[n] = 0x1234;
        k->to_bf16(c, f, n);
        for (int i = 0; i < n; i++) REQUIRE(c[i] == ehm_bf16_of(f[i]));
        CHECK_INT(c[n], 0x1234);
    }
    free(b), free(c), free(f);
}
/* A row's mean far from 0 must not eat the variance; every width up to some vectors. */
static inline void row_check_norm(const ehm_row_kern *k) {
    enum { ROWS = 3, MOST = 100 };
    float x[ROWS * MOST], y[ROWS * MOST], w[MOST], b[MOST], mean[ROWS], rstd[ROWS], want[ROWS * MOST];
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 8);
    for (int d = 1; d <= MOST; d++) {
        for (int i = 0; i < ROWS * d; i++) x[i] = 100.f + (float)ehm_rng_normal(&r);
        for (int i = 0; i < d; i++) w[i] = (float)ehm_rng_normal(&r), b[i] = (float)ehm_rng_normal(&r);
        k->norm_fwd(y, false, mean, rstd, x, w, b, 1e-6f, ROWS, d);
        for (int q = 0; q < ROWS; q++) {
            double m = 0, v = 0;
            for (int i = 0; i < d; i++) m += (double)x[q * d + i] / d;
            for (int i = 0; i < d; i++) v += ((double)x[q * d + i] - m) * ((double)x[q * d + i] - m) / d;
            for (int i = 0; i < d; i++)
                want[q * d + i] =
                    (float)(((double)x[q * d + i] - m) / sqrt(v + 1e-6) * (double)w[i] + (double)b[i]);
        }
        CHECK_CLOSE_F32(y, want, ROWS * d, 4e-5); /* 100 has a rounding of 4e-6 */
    }
}
static inline void row_check(const ehm_row_kern *k) {
    row_check_gelu(k);
    row_check_bf16(k);
    row_check_norm(k);
}
#endif
