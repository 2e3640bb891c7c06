#include "base/log.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "eval/softmax_regression.h"
#include "harness.h"

enum { N = 300, Q = 60, D = 7 };

/* The formula of tools/golden/linear.py. */
static void make_rows(float *x, int32_t *y, int first, int n, int classes) {
    for (int i = first; i < first + n; i++) {
        int label = i * 7 % 11 % classes;
        y[i - first] = label;
        for (int k = 0; k < D; k++)
            x[(i - first) * D + k] = (float)(sin(12.9898 * i + 78.233 * k * k + 3.0 * k) + 0.6 * cos(2.1 * (label + 1) * (k + 1)));
    }
}
static double next(FILE *f) {
    double v;
    REQUIRE(fscanf(f, "%lf", &v) == 1);
    return v;
}

TEST(softmax_regression, agrees_with_scikit_learn) {
    ehm_err err = {0};
    ehm_dev *d = NULL;
    FILE *f = fopen(ehm_test_path("tests/golden/linear/linear.txt"), "r");
    float x[N * D], z[Q * D];
    int32_t y[N], t[Q], guess[Q], rank[Q];
    double loss[Q], w[5 * (D + 1)];
    REQUIRE(f);
    REQUIRE_OK(ehm_dev_open(&d, "auto", 2, &err), &err);
    for (int i = 0; i < 6; i++) {
        int k = (int)next(f);
        double c = next(f), objective = next(f), test_loss = next(f), sum = 0, mean = 0;
        ehm_softreg *s = NULL;
        ehm_softreg_report r;
        make_rows(x, y, 0, N, k), make_rows(z, t, N, Q, k);
        REQUIRE_OK(ehm_softreg_open(&s, d, D, k, &err), &err);
        CHECK_INT(ehm_softreg_count(s), k * (D + 1));
        memset(w, 0, sizeof w);
        REQUIRE_OK(ehm_softreg_fit(w, &r, s, &(ehm_softreg_set){.x = x, .labels = y, .n = N}, c, &(ehm_softreg_opt){5e-7, 1000}, &err), &err);
        CHECK(r.converged);
        CHECK_NEAR(r.objective / objective, 1, 1e-6);
        for (int j = 0; j < k * D; j++) CHECK_NEAR(w[j], next(f), 2e-4);
        for (int j = 0; j < k; j++) mean += w[k * D + j] / k;
        for (int j = 0; j < k; j++) CHECK_NEAR(w[k * D + j] - mean, next(f), 2e-4);
        REQUIRE_OK(ehm_softreg_score(guess, rank, loss, s, w, &(ehm_softreg_set){.x = z, .labels = t, .n = Q}, &err), &err);
        for (int j = 0; j < Q; j++) {
            CHECK_INT(guess[j], next(f));
            CHECK_INT(rank[j] == 0, guess[j] == t[j]);
            sum += loss[j];
        }
        CHECK_NEAR(sum / Q, test_loss, 1e-5);
        ehm_softreg_close(s);
    }
    fclose(f);
    ehm_dev_close(d);
}

/* Products are in f32, so the steps are wide enough to stand out of their rounding. */
TEST(softmax_regression, gradient_is_that_of_finite_differences) {
    enum { K = 4, P = K * (D + 1) };
    ehm_err err = {0};
    ehm_dev *d = NULL;
    ehm_softreg *s = NULL;
    float x[N * D];
    int32_t y[N];
    int64_t rows[200];
    double w[P], g[P], up, down;
    ehm_rng rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 0);
    REQUIRE_OK(ehm_dev_open(&d, "ref", 1, &err), &err);
    REQUIRE_OK(ehm_softreg_open(&s, d, D, K, &err), &err);
    make_rows(x, y, 0, N, K);
    for (int i = 0; i < 200; i++) rows[i] = (int64_t)ehm_rng_below(&rng, N);
    for (int i = 0; i < P; i++) w[i] = 0.5 * ehm_rng_normal(&rng);
    ehm_softreg_set set = {.x = x, .labels = y, .rows = rows, .n = 200};
    REQUIRE_OK(ehm_softreg_objective(&up, g, s, w, &set, 0.3, &err), &err);
    for (int i = 0; i < P; i++) {
        double old = w[i], h = 0.01;
        w[i] = old + h;
        REQUIRE_OK(ehm_softreg_objective(&up, NULL, s, w, &set, 0.3, &err), &err);
        w[i] = old - h;
        REQUIRE_OK(ehm_softreg_objective(&down, NULL, s, w, &set, 0.3, &err), &err);
        w[i] = old;
        CHECK_NEAR((up - down) / (2 * h), g[i], 2e-3 + 1e-4 * fabs(g[i]));
    }
    ehm_softreg_close(s);
    ehm_dev_close(d);
}

/* More rows than a block holds, more classes than the features tell apart, and rows picked from among others. */
TEST(softmax_regression, same_bits_for_any_threads_and_same_minimum_from_anywhere) {
    enum { M = 2500, DIM = 24, K = 13, P = K * (DIM + 1) };
    ehm_err err = {0};
    float *x = malloc(sizeof(float) * 2 * M * DIM);
    int32_t *y = malloc(sizeof(int32_t) * 2 * M);
    int64_t *rows = malloc(sizeof(int64_t) * M);
    double w[3][P] = {{0}};
    ehm_softreg_report r[3];
    ehm_rng rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 1, 0);
    for (int i = 0; i < 2 * M; i++) {
        y[i] = i % 2 ? -1 : i / 2 % K; /* what is not among the rows is never looked at */
        for (int k = 0; k < DIM; k++) x[i * DIM + k] = i % 2 ? NAN : (float)(ehm_rng_normal(&rng) + (k == y[i]));
    }
    for (int i = 0; i < M; i++) rows[i] = 2 * i;
    for (int i = 0; i < P; i++) w[2][i] = ehm_rng_normal(&rng);
    for (int i = 0; i < 3; i++) {
        ehm_dev *d = NULL;
        ehm_softreg *s = NULL;
        REQUIRE_OK(ehm_dev_open(&d, "auto", i == 1 ? 3 : 1, &err), &err);
        REQUIRE_OK(ehm_softreg_open(&s, d, DIM, K, &err), &err);
        REQUIRE_OK(ehm_softreg_fit(w[i], &r[i], s, &(ehm_softreg_set){x, y, rows, M}, 0.02, &(ehm_softreg_opt){1e-5, 1000}, &err), &err);
        CHECK(r[i].converged);
        ehm_softreg_close(s);
        ehm_dev_close(d);
    }
    CHECK(!memcmp(w[0], w[1], sizeof w[0]));
    CHECK_INT(r[0].n_evals, r[1].n_evals);
    CHECK_NEAR(r[2].objective / r[0].objective, 1, 1e-7);
    for (int i = 0; i < K * DIM; i++) CHECK_NEAR(w[2][i], w[0][i], 1e-3);
    free(x), free(y), free(rows);
}

/* Far weights, separable classes, hardly any penalty: probabilities of 0 and 1 and a long way to go. */
TEST(softmax_regression, separable_and_overflowing) {
    ehm_err err = {0};
    ehm_dev *d = NULL;
    ehm_softreg *s = NULL;
    float x[4] = {-1000, -999, 999, 1000};
    int32_t y[4] = {0, 0, 1, 1}, guess[4], rank[4], lacks[4] = {0, 1, -1, 1};
    double w[4] = {0}, loss[4], f, g[4], far[4] = {1e6, -1e6, 0, 0};
    ehm_softreg_report r;
    ehm_softreg_set set = {.x = x, .labels = y, .n = 4};
    REQUIRE_OK(ehm_dev_open(&d, "auto", 1, &err), &err);
    REQUIRE_OK(ehm_softreg_open(&s, d, 1, 2, &err), &err);
    REQUIRE_OK(ehm_softreg_objective(&f, g, s, far, &set, 1, &err), &err);
    CHECK_NEAR(f / (2e12 + 7.996e9), 1, 1e-5); /* rows at 2e6 * 1000 each, and the penalty of two classes */
    REQUIRE_OK(ehm_softreg_fit(w, &r, s, &set, 1e6, NULL, &err), &err);
    CHECK(r.converged);
    set.labels = lacks;
    REQUIRE_OK(ehm_softreg_score(guess, rank, loss, s, w, &set, &err), &err);
    CHECK(guess[0] == 0 && guess[1] == 0 && guess[2] == 1 && guess[3] == 1);
    CHECK(rank[0] == 0 && rank[1] == 1 && rank[2] == 2 && rank[3] == 0);
    CHECK_NEAR(loss[2], 36.04365338911715, 1e-9);
    CHECK(loss[1] > 1 && loss[0] < 0.1);
    ehm_softreg_close(s);
    ehm_dev_close(d);
}

TEST(softmax_regression, bad_input_is_named) {
    ehm_err err = {0};
    ehm_dev *d = NULL;
    ehm_softreg *s = NULL;
    float x[4] = {1, 2, NAN, 4};
    int32_t y[4] = {0, 1, 0, 2};
    double w[6] = {0};
    ehm_softreg_report r;
    ehm_softreg_set set = {.x = x, .labels = y, .n = 4};
    REQUIRE_OK(ehm_dev_open(&d, "auto", 1, &err), &err);
    CHECK_FAILS(ehm_softreg_open(&s, d, 5, 1, &err), &err, EHM_E_ARG, "5 features and 1 classes");
    REQUIRE_OK(ehm_softreg_open(&s, d, 1, 2, &err), &err);
    CHECK_FAILS(ehm_softreg_fit(w, &r, s, &set, 1, NULL, &err), &err, EHM_E_ARG, "row 3 has label 2, and there are 2 classes");
    set.n = 3;
    CHECK_FAILS(ehm_softreg_fit(w, &r, s, &set, 1, NULL, &err), &err, EHM_E_NUMERIC, "are all features finite?");
    CHECK_FAILS(ehm_softreg_fit(w, &r, s, &set, 0, NULL, &err), &err, EHM_E_ARG, "C 0");
    set.n = 0;
    CHECK_FAILS(ehm_softreg_fit(w, &r, s, &set, 1, NULL, &err), &err, EHM_E_ARG, "0 rows");
    ehm_softreg_close(s);
    ehm_dev_close(d);
}
