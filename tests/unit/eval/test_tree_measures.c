/* Numbers about attention and similarity equal NumPy's; halves and mirrors are what they say. */
#include "eval/tree_measures.h"
#include "base/file.h"
#include "base/rng.h"
#include "harness.h"

TEST(tree_measures, golden) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_bytes text;
    float A[144], S[144], whole[169];
    int n, used, n_cases = 0;
    double want[3];
    REQUIRE_OK(ehm_file_read(&text, ehm_test_path("tests/golden/tree_measures/matrices.txt"), &a, &err), &err);
    char *at = (char *)text.data;
    while (sscanf(at, "%d %lf %lf %lf%n", &n, &want[0], &want[1], &want[2], &used) == 4) {
        at += used, n_cases++;
        for (int i = 0; i < n * n; i++) A[i] = strtof(at, &at);
        for (int i = 0; i < n * n; i++) S[i] = strtof(at, &at);
        for (int i = 0; i < n; i++) S[i * n + i] = 1e9f; /* the diagonal is nobody's business */
        CHECK_NEAR(ehm_tree_popularity(S, n), want[0], 1e-9);
        CHECK_NEAR(ehm_sink_index(A, n), want[1], 1e-9);
        CHECK_NEAR(ehm_attention_entropy(A, n), want[2], 1e-9);
        /* Rows need not sum to 1, and a class token around it changes nothing. */
        for (int i = 0; i < (n + 1) * (n + 1); i++) {
            int y = i / (n + 1), x = i % (n + 1);
            whole[i] = y && x ? A[(y - 1) * n + x - 1] * 0.5f : 77;
        }
        CHECK_NEAR(ehm_attention_entropy_patches(whole, n), want[2], 1e-9);
    }
    CHECK_INT(n_cases, 8);
    ehm_arena_free(&a);
}

TEST(tree_measures, agreement) {
    ehm_arena a = {0}, scratch = {0};
    ehm_err err = {0};
    ehm_bytes text;
    int n, used, n_cases = 0;
    double want;
    int32_t v[60];
    REQUIRE_OK(ehm_file_read(&text, ehm_test_path("tests/golden/tree_measures/agreement.txt"), &a, &err), &err);
    char *at = (char *)text.data;
    while (sscanf(at, "%d %lf%n", &n, &want, &used) == 2) {
        at += used, n_cases++;
        for (int i = 0; i < 2 * n; i++) v[i] = (int32_t)strtol(at, &at, 10);
        ehm_frontier x = {.n = n, .of_leaf = v}, y = {.n = n, .of_leaf = v + n};
        CHECK_NEAR(ehm_frontier_agreement(&x, &y, &scratch), want, 1e-12);
        CHECK_NEAR(ehm_frontier_agreement(&y, &x, &scratch), want, 1e-12);
    }
    CHECK_INT(n_cases, 7);
    ehm_arena_free(&a), ehm_arena_free(&scratch);
}

TEST(tree_measures, extremes) {
    enum { N = 8 };
    float A[N * N] = {0}, S[N * N];
    CHECK(isnan(ehm_sink_index(A, N)));
    CHECK(isnan(ehm_attention_entropy(A, N)));
    for (int i = 0; i < N; i++) A[i * N + 3] = 0.25f;
    CHECK_NEAR(ehm_sink_index(A, N), N, 1e-12); /* one patch draws all */
    CHECK_NEAR(ehm_attention_entropy(A, N), 0, 1e-12);
    for (int i = 0; i < N * N; i++) A[i] = 3;
    CHECK_NEAR(ehm_sink_index(A, N), 1, 1e-12);
    CHECK_NEAR(ehm_attention_entropy(A, N), 1, 1e-12);
    CHECK(isnan(ehm_attention_entropy(A, 1)));
    CHECK(isnan(ehm_tree_popularity(A, N))); /* does not vary */
    CHECK(isnan(ehm_tree_popularity(A, 2)));
    /* Sums of popularities are explained whole; two blocks of equal size are not explained at all. */
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) S[i * N + j] = (float)(i * i % 5 + j * j % 5);
    CHECK_NEAR(ehm_tree_popularity(S, N), 1, 1e-12);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) S[i * N + j] = (i < N / 2) == (j < N / 2);
    CHECK_NEAR(ehm_tree_popularity(S, N), 0, 1e-12);
}

TEST(tree_measures, mirror_and_halves) {
    int32_t node[6] = {0, 1, 2, 3, 4, 5}, back[6], again[6];
    ehm_frontier_mirror(back, node, 2, 3);
    const int32_t want[6] = {2, 1, 0, 5, 4, 3};
    for (int i = 0; i < 6; i++) CHECK_INT(back[i], want[i]);
    ehm_frontier_mirror(again, back, 2, 3);
    CHECK(!memcmp(again, node, sizeof node));
    ehm_affinity_opt o = {.kind = EHM_SIM_DIRECT, .per_head = true, .n_layers = 5, .layer = {1, 2, 4, 7, 9}}, x, y;
    CHECK(ehm_affinity_halves(&x, &y, &o));
    CHECK_INT(x.n_layers, 3);
    CHECK_INT(y.n_layers, 2);
    CHECK(x.layer[0] == 1 && x.layer[1] == 4 && x.layer[2] == 9 && y.layer[0] == 2 && y.layer[1] == 7);
    CHECK(x.kind == EHM_SIM_DIRECT && y.per_head);
    o.n_layers = 1;
    CHECK(!ehm_affinity_halves(&x, &y, &o));
}

static double next_number(char **at) {
    char *end;
    double v = strtod(*at, &end);
    REQUIRE(end != *at);
    *at = end;
    return v;
}

TEST(tree_measures, fit_to_regions_and_cosines) {
    enum { N = 100 };
    ehm_arena a = {0}, scratch = {0};
    ehm_err err = {0};
    ehm_bytes text;
    int n_cases = 0;
    int32_t label[N];
    double z[4 * N];
    REQUIRE_OK(ehm_file_read(&text, ehm_test_path("tests/golden/best_cut/best_cut.txt"), &a, &err), &err);
    char *at = (char *)text.data;
    for (int n; (n = (int)next_number(&at)) > 0; n_cases++) {
        ehm_tree t;
        double node = next_number(&at), best = next_number(&at), of_labels = next_number(&at);
        REQUIRE(n <= N);
        for (int i = 0; i < n; i++) label[i] = (int32_t)next_number(&at);
        for (int i = 0; i < 4 * (n - 1); i++) z[i] = next_number(&at);
        REQUIRE_OK(ehm_tree_new(&t, n, &a, &err), &err);
        REQUIRE_OK(ehm_tree_from_z(&t, z, n, &err), &err);
        ehm_arena_reset(&scratch);
        ehm_tree_fit fit = ehm_tree_fit_of(&t, label, &scratch);
        CHECK_NEAR(fit.best_node, node, 1e-12);
        CHECK_NEAR(fit.best_cut, best, 1e-12);
        CHECK_NEAR(fit.label_cut, of_labels, 1e-12);
        for (int i = 0; i < n; i++) label[i] = -1;
        fit = ehm_tree_fit_of(&t, label, &scratch);
        CHECK(isnan(fit.best_node) && isnan(fit.best_cut) && isnan(fit.label_cut));
    }
    CHECK_INT(n_cases, 9);
    int rows = (int)next_number(&at), D = (int)next_number(&at);
    float x[N], S[N];
    for (int i = 0; i < rows * D; i++) x[i] = (float)next_number(&at);
    ehm_cosines(S, x, rows, D);
    for (int i = 0; i < rows * rows; i++) CHECK_NEAR(S[i], next_number(&at), 1e-6);
    memset(x, 0, sizeof *x * (size_t)D);
    ehm_cosines(S, x, rows, D);
    CHECK(S[0] == 1 && S[1] == 0 && S[rows] == 0);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < rows; j++) CHECK(S[i * rows + j] == S[j * rows + i]);
    ehm_arena_free(&a), ehm_arena_free(&scratch);
}
