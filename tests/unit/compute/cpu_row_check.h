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
/* Sums of rows and their gradient: every width up to some vectors, values of one place beyond must stay. */
static inline void row_check_mix(const ehm_row_kern *k) {
    enum { N = 5, R = 3, K = 4, MOST = 150 };
    static const int32_t idx[R * K] = {0, 4, 4, -1, -7, 2, 0, 1, 3, 3, 3, 3};
    float x[N * MOST], y[R * MOST + 1], w[R * K], dx[N * MOST + 1], want[N * MOST];
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 7);
    for (int i = 0; i < R * K; i++) w[i] = (float)ehm_rng_normal(&r);
    for (int c = 1; c <= MOST; c++)
        for (int with = 0; with < 2; with++) {
            for (int i = 0; i < N * c; i++) x[i] = (float)ehm_rng_normal(&r), dx[i] = want[i] = (float)i;
            y[R * c] = dx[N * c] = 77;
            k->mix_rows(y, false, x, false, idx, with ? w : NULL, R, K, c);
            k->mix_back(dx, y, false, idx, with ? w : NULL, R, K, c, c);
            for (int i = 0; i < R * c; i++) {
                double sum = 0;
                for (int q = 0; q < K; q++) {
                    const int32_t from = idx[i / c * K + q];
                    const double f = with ? (double)w[i / c * K + q] : 1;
                    if (from < 0) continue;
                    sum += f * (double)x[from * c + i % c];
                    want[from * c + i % c] += (float)(f * (double)y[i]);
                }
                CHECK_NEAR(y[i], sum, 4e-6);
            }
            CHECK_CLOSE_F32(dx, want, N * c, 4e-6);
            CHECK(y[R * c] == 77 && dx[N * c] == 77);
        }
}
/* Losses of rows of every width up to some vectors, far from 0 too, against double; one that is learnt keeps its
 * digits in the gradient. */
static inline void row_check_xent(const ehm_row_kern *k) {
    enum { MOST = 70 };
    float x[MOST], t[MOST], d[MOST], loss, scale = 0.5f;
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 6);
    for (int c = 1; c <= MOST; c++)
        for (int kind = 0; kind < 4; kind++) { /* 0, 1: shares; 2, 3: a label */
            const int32_t label = (int32_t)ehm_rng_below(&r, (uint32_t)c);
            double top = -INFINITY, sum = 0, total = 0, want = 0;
            for (int i = 0; i < c; i++) {
                x[i] = (float)(4 * ehm_rng_normal(&r)) + (kind & 1 ? -500.f : 0.f);
                t[i] = kind < 2 ? (float)ehm_rng_f64(&r) / (float)c : i == label;
                top = fmax(top, (double)x[i]), total += (double)t[i];
            }
            for (int i = 0; i < c; i++) sum += exp((double)x[i] - top);
            for (int i = 0; i < c; i++) want += (double)t[i] * (top + log(sum) - (double)x[i]);
            k->xent(&loss, d, false, x, false, kind < 2 ? t : NULL, kind < 2 ? NULL : &label, NULL, scale, 1, c);
            CHECK_NEAR(loss, want, 2e-6 * fmax(1, fabs(want)));
            for (int i = 0; i < c; i++)
                CHECK_NEAR(d[i], 0.5 * (total * exp((double)x[i] - top) / sum - (double)t[i]), 4e-7); /* without FMA exp is off by some more */
        }
    const int32_t first = 0;
    for (int i = 0; i < 20; i++) x[i] = i ? -INFINITY : 12.f; /* classes ruled out */
    x[1] = 0;
    k->xent(&loss, d, false, x, false, NULL, &first, NULL, 1.f, 1, 20);
    CHECK(fabs((double)d[0] / (-exp(-12.) / (1 + exp(-12.))) - 1) < 1e-2 && d[7] == 0 && isfinite(loss));
    memset(t, 0, sizeof t), t[0] = 1;
    k->xent(&loss, d, false, x, false, t, NULL, NULL, 1.f, 1, 20);
    CHECK(isfinite(loss) && d[7] == 0);
}
static inline void row_check_focal(const ehm_row_kern *k) {
    enum { MOST = 40 };
    static const float settings[][3] = {{2, 0.25f, 1}, {0, -1, 1}, {1, -1, 0.5f}, {1.5f, 0.75f, 1}, {0.5f, -1, 1}, {5, 0, 1}};
    float x[MOST], t[MOST], d[MOST], loss;
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 5);
    for (int n = 1; n <= MOST; n++)
        for (size_t q = 0; q < sizeof settings / sizeof settings[0]; q++) {
            const double gamma = (double)settings[q][FOCAL_GAMMA], alpha = (double)settings[q][FOCAL_ALPHA];
            double sum = 0;
            for (int i = 0; i < n; i++) {
                x[i] = (float)(4 * ehm_rng_normal(&r));
                t[i] = n & 1 ? (float)ehm_rng_f64(&r) : (float)ehm_rng_below(&r, 2);
            }
            k->focal(&loss, d, false, x, false, t, NULL, settings[q], 1, n);
            for (int i = 0; i < n; i++) {
                double p = 1 / (1 + exp(-(double)x[i])), s = (double)t[i], u = p * (1 - s) + (1 - p) * s;
                double ce = -s * log(p) - (1 - s) * log1p(-p), a = alpha < 0 ? 1 : alpha * s + (1 - alpha) * (1 - s);
                double slope = pow(u, gamma) * (p - s) + ce * gamma * pow(u, gamma - 1) * (1 - 2 * s) * p * (1 - p);
                sum += a * ce * pow(u, gamma);
                CHECK_NEAR(d[i], (double)settings[q][FOCAL_SCALE] * a * slope, 3e-6);
            }
            CHECK_NEAR(loss, sum, 2e-6 * fmax(1, sum));
        }
}
static inline void row_check(const ehm_row_kern *k) {
    row_check_mix(k);
    row_check_xent(k);
    row_check_focal(k);
    row_check_gelu(k);
    row_check_bf16(k);
    row_check_norm(k);
}
#endif
