/* The linear probe of masked autoencoders against PyTorch. */
#include "base/log.h"
#include "eval/linear_mae.h"
#include "harness.h"

enum { B = 40, Q = 60, D = 7, STEPS = 20, K_MOST = 5 };

/* The formulas of tools/golden/linear_mae.py. */
static void make_rows(float *x, int32_t *y, int first, int n, int classes) {
    for (int i = first; i < first + n; i++) {
        int label = i * 7 % 11 % classes;
        y[i - first] = label;
        for (int k = 0; k < D; k++) {
            double v = sin(12.9898 * i + 78.233 * k * k + 3.0 * k) + 0.6 * cos(2.1 * (label + 1) * (k + 1));
            x[(i - first) * D + k] = (float)(v * (0.2 + k) + 3 * k - 5);
        }
    }
}
static double next(FILE *f) {
    double v;
    REQUIRE(fscanf(f, "%lf", &v) == 1);
    return v;
}

static void against_torch(const char *device) {
    ehm_err err = {0};
    ehm_dev *d = NULL;
    FILE *f = fopen(ehm_test_path("tests/golden/linear_mae/linear_mae.txt"), "r");
    float x[Q * D];
    int32_t y[Q], guess[Q], rank[Q];
    double losses[Q];
    REQUIRE(f);
    REQUIRE_OK(ehm_dev_open(&d, device, 2, &err), &err);
    for (int i = 0; i < 2; i++) {
        int k = (int)next(f);
        double decay = next(f), mean = 0;
        ehm_linear_mae *l = NULL;
        REQUIRE_OK(ehm_linear_mae_open(&l, d, D, k, decay, 0, &err), &err);
        double *w = ehm_linear_mae_weights(l);
        for (int c = 0; c < k; c++)
            for (int j = 0; j < D; j++) w[c * D + j] = 0.05 * sin(1.7 * c + 0.9 * j + 0.3);
        for (int s = 0; s < STEPS; s++) {
            double lr = next(f), want = next(f), loss;
            make_rows(x, y, s * B, B, k);
            REQUIRE_OK(ehm_linear_mae_step(&loss, l, x, y, B, lr, &err), &err);
            CHECK_NEAR(loss, want, 1e-5);
        }
        for (int j = 0; j < k * (D + 1); j++) CHECK_NEAR(w[j], next(f), 1e-5);
        for (int j = 0; j < 2 * D; j++) CHECK_NEAR(ehm_linear_mae_moments(l)[j], next(f), 1e-5);
        make_rows(x, y, STEPS * B, Q, k);
        REQUIRE_OK(ehm_linear_mae_score(guess, rank, losses, l, x, y, Q, &err), &err);
        for (int j = 0; j < Q; j++) mean += losses[j] / Q;
        CHECK_NEAR(mean, next(f), 1e-5);
        for (int j = 0; j < Q; j++) CHECK_INT(guess[j], next(f));
        ehm_linear_mae_close(l);
    }
    fclose(f);
    ehm_dev_close(d);
}
TEST(linear_mae, agrees_with_torch_ref) { against_torch("ref"); }
TEST(linear_mae, agrees_with_torch) { against_torch("auto"); }

TEST(linear_mae, batch_and_start) {
    ehm_err err = {0};
    ehm_dev *d = NULL;
    ehm_linear_mae *a = NULL, *b = NULL;
    enum { N = 400, K = 11 };
    double sum = 0, squares = 0, loss;
    float x[2 * N] = {0};
    int32_t y[2] = {0, 1};
    CHECK_INT(ehm_linear_mae_batch(2), 2);
    CHECK_INT(ehm_linear_mae_batch(15), 2);
    CHECK_INT(ehm_linear_mae_batch(16), 4);
    CHECK_INT(ehm_linear_mae_batch(5000), 1024);
    CHECK_INT(ehm_linear_mae_batch(1281167), 16384);
    REQUIRE_OK(ehm_dev_open(&d, "ref", 1, &err), &err);
    REQUIRE_OK(ehm_linear_mae_open(&a, d, N, K, 0, 3, &err), &err);
    REQUIRE_OK(ehm_linear_mae_open(&b, d, N, K, 0, 4, &err), &err);
    const double *w = ehm_linear_mae_weights(a);
    for (int i = 0; i < N * K; i++) sum += w[i], squares += w[i] * w[i];
    CHECK_NEAR(sum / (N * K), 0, 4 * 0.01 / sqrt(N * K));
    CHECK_NEAR(sqrt(squares / (N * K)) / 0.01, 1, 0.05);
    for (int i = 0; i < K; i++) CHECK(w[N * K + i] == 0);
    CHECK(memcmp(w, ehm_linear_mae_weights(b), sizeof *w * N * K));
    CHECK_FAILS(ehm_linear_mae_step(&loss, a, x, y, 1, 0.1, &err), &err, EHM_E_ARG, "needs two");
    ehm_err_clear(&err);
    CHECK_OK(ehm_linear_mae_step(&loss, a, x, y, 2, 0.1, &err), &err); /* features that never vary */
    CHECK_NEAR(loss, log(K), 1e-6);
    for (int i = 0; i < N * (K + 1); i += 97) CHECK(isfinite(w[i % (N * K)]));
    x[5] = NAN;
    CHECK_FAILS(ehm_linear_mae_step(&loss, a, x, y, 2, 0.1, &err), &err, EHM_E_NUMERIC, "finite");
    x[5] = 0;
    ehm_stop_request(2);
    CHECK_FAILS(ehm_linear_mae_step(&loss, b, x, y, 2, 0.1, &err), &err, EHM_E_STOPPED, "stopped");
    ehm_stop_request(0);
    ehm_linear_mae_close(a), ehm_linear_mae_close(b), ehm_linear_mae_close(NULL);
    ehm_dev_close(d);
}
