/* Principal components: scikit-learn's numbers, in whatever pieces the vectors come; matrices that have fewer than three. */
#include "base/file.h"
#include "base/rng.h"
#include "draw/pca.h"
#include "harness.h"

typedef struct { char *text; } reader;
static double number(reader *r) {
    char *end;
    double v = strtod(r->text, &end);
    REQUIRE(end != r->text);
    r->text = end;
    return v;
}

TEST(pca, agrees_with_scikit_learn) {
    ehm_arena a = {0}, scratch = {0};
    ehm_err err = {0};
    ehm_bytes file;
    static float x[90 * 24], scores[90 * 3], sorted[90];
    REQUIRE_OK(ehm_file_read(&file, ehm_test_path("tests/golden/draw/pca.txt"), &a, &err), &err);
    reader r = {(char *)file.data};
    for (int32_t which = 0; which < 3; which++) {
        int32_t n = (int32_t)number(&r), dim = (int32_t)number(&r), axes = which == 2 ? 2 : 3; /* the third case has rank 2 */
        ehm_scatter s;
        ehm_pca p;
        for (int32_t i = 0; i < n * dim; i++) x[i] = (float)number(&r);
        REQUIRE_OK(ehm_scatter_new(&s, dim, &a, &err), &err);
        for (int32_t i = 0, k; i < n; i += k) { /* pieces of 1, 2, 3, ... */
            k = 1 + i % 7 < n - i ? 1 + i % 7 : n - i;
            REQUIRE_OK(ehm_scatter_add(&s, x + i * dim, k, &scratch, &err), &err);
        }
        CHECK_INT(s.n, n);
        REQUIRE_OK(ehm_pca_of(&p, &s, &a, &err), &err);
        CHECK(p.separated);
        for (int32_t j = 0; j < 3; j++)
            for (int32_t k = 0; k < dim; k++) {
                double want = number(&r);
                if (j < axes) CHECK_NEAR(p.axis[j * dim + k], want, 1e-6);
            }
        for (int32_t j = 0; j < 3; j++) {
            double want = number(&r);
            CHECK_NEAR(p.variance[j], want, 1e-7 * p.variance[0]);
        }
        for (int32_t j = 0; j < 3; j++) CHECK_NEAR(p.share[j], number(&r), 1e-7);
        ehm_pca_project(scores, &p, x, n);
        for (int32_t i = 0; i < 12; i++) {
            double want = number(&r);
            if (i % 3 < axes) CHECK_NEAR(scores[i], want, 2e-5);
        }
        for (int32_t end = 0; end < 2; end++)
            for (int32_t j = 0; j < 3; j++) {
                double want = number(&r);
                for (int32_t i = 0; i < n; i++) { /* sort by insertion */
                    int32_t at = i;
                    for (; at > 0 && sorted[at - 1] > scores[i * 3 + j]; at--) sorted[at] = sorted[at - 1];
                    sorted[at] = scores[i * 3 + j];
                }
                if (j < axes) CHECK_NEAR(ehm_sorted_quantile(sorted, n, end ? 0.98 : 0.02), want, 2e-5);
            }
    }
    ehm_arena_free(&a), ehm_arena_free(&scratch);
}

/* C v = variance v by the definition, and axes of unit length at right angles, for a matrix larger than the block. */
TEST(pca, axes_are_eigenvectors) {
    enum { N = 300, D = 70 };
    static float x[N * D];
    ehm_arena a = {0}, scratch = {0};
    ehm_err err = {0};
    ehm_scatter s;
    ehm_pca p;
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 0);
    for (int32_t i = 0; i < N; i++)
        for (int32_t k = 0; k < D; k++) x[i * D + k] = (float)(1000 + ehm_rng_normal(&r) * (k < 4 ? 6 - k : 1));
    REQUIRE_OK(ehm_scatter_new(&s, D, &a, &err), &err);
    REQUIRE_OK(ehm_scatter_add(&s, x, 1, &scratch, &err), &err);
    REQUIRE_OK(ehm_scatter_add(&s, x + D, N - 1, &scratch, &err), &err);
    REQUIRE_OK(ehm_pca_of(&p, &s, &a, &err), &err);
    CHECK(p.separated && p.variance[0] > p.variance[1] && p.variance[1] > p.variance[2] && p.variance[2] > 4);
    for (int32_t j = 0; j < 3; j++) {
        const double *v = p.axis + j * D;
        double largest = 0;
        for (int32_t k = 0; k < D; k++) {
            double sum = 0;
            for (int32_t i = 0; i < D; i++) sum += s.products[k < i ? k * D + i : i * D + k] / (N - 1) * v[i];
            CHECK_NEAR(sum, p.variance[j] * v[k], 1e-7 * p.variance[0]);
            if (fabs(v[k]) > fabs(largest)) largest = v[k];
        }
        CHECK(largest > 0);
        for (int32_t l = 0; l <= j; l++) {
            double sum = 0;
            for (int32_t k = 0; k < D; k++) sum += v[k] * p.axis[l * D + k];
            CHECK_NEAR(sum, l == j, 1e-9);
        }
    }
    ehm_arena_free(&a), ehm_arena_free(&scratch);
}

TEST(pca, little_to_find) {
    ehm_arena a = {0}, scratch = {0}, tight = {.limit_bytes = 100};
    ehm_err err = {0};
    ehm_scatter s;
    ehm_pca p;
    float x[4 * 5] = {0}, bad[5] = {1, 2, NAN, 4, 5};
    REQUIRE_OK(ehm_scatter_new(&s, 5, &a, &err), &err);
    CHECK_FAILS(ehm_pca_of(&p, &s, &a, &err), &err, EHM_E_ARG, "of 0 vectors");
    for (int32_t i = 0; i < 20; i++) x[i] = 3; /* all the same */
    REQUIRE_OK(ehm_scatter_add(&s, x, 4, &scratch, &err), &err);
    CHECK_FAILS(ehm_scatter_add(&s, bad, 1, &scratch, &err), &err, EHM_E_NUMERIC, "(number 3) is not finite");
    CHECK_INT(s.n, 4);
    REQUIRE_OK(ehm_pca_of(&p, &s, &a, &err), &err);
    CHECK(p.share[0] == 0 && p.variance[0] == 0 && p.mean[2] == 3);
    /* one direction only: the others are at right angles and hold nothing */
    REQUIRE_OK(ehm_scatter_add(&s, (float[]){3, 3, 3, 3, 8}, 1, &scratch, &err), &err);
    REQUIRE_OK(ehm_pca_of(&p, &s, &a, &err), &err);
    CHECK_NEAR(p.share[0], 1, 1e-12);
    CHECK_NEAR(p.variance[0], 5, 1e-12);
    CHECK_NEAR(p.axis[4], 1, 1e-9);
    CHECK_NEAR(p.share[1], 0, 1e-12);
    double sum = 0;
    for (int32_t k = 0; k < 5; k++) sum += p.axis[5 + k] * p.axis[5 + k];
    CHECK_NEAR(sum, 1, 1e-9);
    CHECK_FAILS(ehm_scatter_new(&s, 64, &tight, &err), &err, EHM_E_MEMORY, "64 features");
    ehm_scatter two = {.dim = 2, .n = 9};
    CHECK_FAILS(ehm_pca_of(&p, &two, &a, &err), &err, EHM_E_ARG, "of 2 features");
    ehm_arena_free(&a), ehm_arena_free(&scratch), ehm_arena_free(&tight);
}

TEST(pca, small_eigen) {
    double m[9] = {2, 0, 0, 0, 3, 4, 0, 4, 9}, value[3], vector[9]; /* 11, 2, 1 */
    ehm_small_eigen(value, vector, m, 3);
    CHECK_NEAR(value[0], 11, 1e-12);
    CHECK_NEAR(value[1], 2, 1e-12);
    CHECK_NEAR(value[2], 1, 1e-12);
    CHECK_NEAR(fabs(vector[1]), 1 / sqrt(5), 1e-12);
    CHECK_NEAR(fabs(vector[2]), 2 / sqrt(5), 1e-12);
}
