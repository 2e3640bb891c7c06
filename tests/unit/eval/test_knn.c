#include "compute/compute.h"
#include "eval/eval.h"
#include "eval/knn.h"
#include "harness.h"

typedef struct { FILE *f; int n, q, d, c; float *x, *z; int32_t *ly, *qy; } golden;

static double next(FILE *f) {
    double v;
    REQUIRE(fscanf(f, "%lf", &v) == 1);
    return v;
}
static golden read_golden(void) {
    golden g = {.f = fopen(ehm_test_path("tests/golden/knn/knn.txt"), "r")};
    REQUIRE(g.f);
    g.n = (int)next(g.f), g.q = (int)next(g.f), g.d = (int)next(g.f), g.c = (int)next(g.f);
    g.x = malloc(sizeof(float) * (size_t)(g.n * g.d)), g.z = malloc(sizeof(float) * (size_t)(g.q * g.d));
    g.ly = malloc(sizeof(int32_t) * (size_t)g.n), g.qy = malloc(sizeof(int32_t) * (size_t)g.q);
    for (int i = 0; i < g.n * g.d; i++) g.x[i] = (float)next(g.f);
    for (int i = 0; i < g.n; i++) g.ly[i] = (int32_t)next(g.f);
    for (int i = 0; i < g.q * g.d; i++) g.z[i] = (float)next(g.f);
    for (int i = 0; i < g.q; i++) g.qy[i] = (int32_t)next(g.f);
    return g;
}
static void free_golden(golden *g) { fclose(g->f), free(g->x), free(g->z), free(g->ly), free(g->qy); }

TEST(knn, agrees_with_scikit_learn) {
    golden g = read_golden();
    ehm_err err = {0};
    ehm_dev *d = NULL;
    double votes[16];
    REQUIRE_OK(ehm_dev_open(&d, "auto", 2, &err), &err);
    ehm_knn_unit_rows(g.x, g.n, g.d, NULL);
    ehm_knn_unit_rows(g.z, g.q, g.d, NULL);
    for (int set = 0; set < 5; set++) {
        int k = (int)next(g.f);
        double t = next(g.f);
        int32_t *idx = malloc(sizeof(int32_t) * (size_t)(g.q * k));
        float *sim = malloc(sizeof(float) * (size_t)(g.q * k));
        REQUIRE_OK(ehm_knn_search(idx, sim, d, g.x, g.n, g.z, g.q, g.d, k, &err), &err);
        for (int i = 0; i < g.q; i++) CHECK_INT(ehm_knn_vote(idx + i * k, sim + i * k, k, t, g.ly, g.c, votes), next(g.f));
        for (int i = 0; i < g.q; i++) CHECK_INT(idx[i * k], next(g.f));
        for (int i = 0; i < g.q; i++) CHECK_NEAR((double)sim[i * k + k - 1], next(g.f), 1e-5);
        free(idx), free(sim);
    }
    ehm_dev_close(d);
    free_golden(&g);
}

TEST(knn, ties_go_to_the_lower_index_across_blocks) {
    enum { N = 9000, D = 3 };
    float *x = calloc(N * D, sizeof *x), q[D] = {1, 0, 0}, sim[4];
    int32_t idx[4];
    ehm_err err = {0};
    ehm_dev *d = NULL;
    REQUIRE_OK(ehm_dev_open(&d, "auto", 2, &err), &err);
    x[8500 * D] = 1, x[17 * D] = 1, x[8191 * D] = 1, x[4000 * D] = 0.5f;
    REQUIRE_OK(ehm_knn_search(idx, sim, d, x, N, q, 1, D, 4, &err), &err);
    CHECK_INT(idx[0], 17);
    CHECK_INT(idx[1], 8191);
    CHECK_INT(idx[2], 8500);
    CHECK_INT(idx[3], 4000);
    CHECK_FAILS(ehm_knn_search(idx, sim, d, x, 3, q, 1, D, 4, &err), &err, EHM_E_ARG, "k = 4 neighbours, but there are 3");
    ehm_dev_close(d);
    free(x);
}

TEST(bootstrap, agrees_with_scipy) {
    golden g = read_golden();
    for (int set = 0; set < 5; set++) {
        next(g.f), next(g.f);
        for (int i = 0; i < 3 * g.q; i++) next(g.f);
    }
    float hit[400], flipped[400];
    for (int i = 0; i < 400; i++) hit[i] = (float)next(g.f), flipped[i] = 1 - hit[i];
    const float *rows[2] = {hit, flipped};
    double mean[2], lo[2], hi[2];
    ehm_err err = {0};
    REQUIRE_OK(ehm_bootstrap(mean, lo, hi, rows, 2, 400, 0, &err), &err);
    CHECK_NEAR(mean[0], next(g.f), 1e-12);
    CHECK_NEAR(lo[0], next(g.f), 0.004); /* both are Monte Carlo: 2,000 and 20,000 draws of a mean with deviation 0.024 */
    CHECK_NEAR(hi[0], next(g.f), 0.004);
    CHECK_NEAR(lo[0] + hi[1], 1, 1e-12); /* the same draws for every row */
    free_golden(&g);
}

/* Draws that are alike widen nothing; draws that differ in all are all that counts. */
TEST(bootstrap, draws_are_resampled_too) {
    float one[50], alike[3 * 50], apart[2 * 50];
    for (int i = 0; i < 50; i++) {
        one[i] = (float)(i % 3 == 0);
        for (int d = 0; d < 3; d++) alike[d * 50 + i] = one[i];
        apart[i] = 0, apart[50 + i] = 1;
    }
    const float *a = one, *b = alike, *c = apart;
    double mean[3], lo[3], hi[3];
    ehm_err err = {0};
    REQUIRE_OK(ehm_bootstrap(&mean[0], &lo[0], &hi[0], &a, 1, 50, 7, &err), &err);
    REQUIRE_OK(ehm_bootstrap_draws(&mean[1], &lo[1], &hi[1], &b, 1, 3, 50, 7, &err), &err);
    REQUIRE_OK(ehm_bootstrap_draws(&mean[2], &lo[2], &hi[2], &c, 1, 2, 50, 7, &err), &err);
    CHECK_NEAR(mean[1], mean[0], 1e-12);
    CHECK_NEAR(lo[1], lo[0], 1e-12);
    CHECK_NEAR(hi[1], hi[0], 1e-12);
    CHECK(mean[2] == 0.5 && lo[2] == 0 && hi[2] == 1);
}
