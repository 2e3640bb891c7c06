/* Parts of retrieval: whitening and GeM against scikit-learn and PyTorch, eigenvectors, exact search, patches matched, intervals over originals, copies. */
#include "base/pool.h"
#include "base/rng.h"
#include "data/copies.h"
#include "data/truth.h"
#include "eval/eval.h"
#include "eval/knn.h"
#include "eval/retrieve.h"
#include "eval/retrieve_int.h"
#include "golden_numbers.h"
#include "harness.h"
#include "image/encode_jpeg.h"

static void skip_to_whitening(numbers *g) {
    for (int64_t i = (int64_t)numbers_next(g); i > 0; i--) {
        int64_t n = (int64_t)numbers_next(g);
        for (int64_t k = 0; k < n + 2; k++) numbers_next(g);
    }
    for (int64_t i = (int64_t)numbers_next(g); i > 0; i--) {
        int64_t n = (int64_t)numbers_next(g);
        for (int64_t k = 0; k < 2 * n + 1; k++) numbers_next(g);
    }
    int64_t c = (int64_t)numbers_next(g);
    for (int64_t k = 0; k < 1 + c * c + 4; k++) numbers_next(g);
}

TEST(retrieve, whitening_as_scikit_learn) {
    numbers g = numbers_open("tests/golden/ranking/ranking.txt");
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_whiten w;
    skip_to_whitening(&g);
    int32_t n = (int32_t)numbers_next(&g), d = (int32_t)numbers_next(&g);
    REQUIRE(n == 40 && d == 7);
    float x[40 * 7], got[40 * 7], want[40 * 7];
    for (int32_t i = 0; i < n * d; i++) x[i] = (float)numbers_next(&g);
    REQUIRE_OK(ehm_whiten_learn(&w, x, n, d, 0, NULL, &a, &err), &err);
    CHECK_INT(w.n_kept, d);
    for (int32_t i = 0; i < d; i++) {
        double v = numbers_next(&g);
        CHECK_NEAR(w.value[i], v, 1e-10 * fabs(v) + 1e-12);
    }
    for (int32_t i = 0; i < n * d; i++) want[i] = (float)numbers_next(&g);
    ehm_whiten_apply(got, &w, x, n, NULL);
    CHECK_CLOSE_F32(got, want, n * d, 1e-6);
    /* fewer components are the first ones */
    ehm_whiten few;
    REQUIRE_OK(ehm_whiten_learn(&few, x, n, d, 3, NULL, &a, &err), &err);
    CHECK_INT(few.n_kept, 3);
    ehm_whiten_apply(got, &few, x, 1, NULL);
    CHECK_CLOSE_F32(got, want, 3, 1e-6);
    /* GeM stands behind it in the file */
    int32_t n_t = (int32_t)numbers_next(&g), d_t = (int32_t)numbers_next(&g);
    float t[64], y[8], expected[8];
    for (int32_t i = 0; i < n_t * d_t; i++) t[i] = (float)numbers_next(&g);
    for (int32_t k = 0; k < 3; k++) {
        double p = numbers_next(&g);
        for (int32_t i = 0; i < d_t; i++) expected[i] = (float)numbers_next(&g);
        ehm_gem(y, t, n_t, d_t, p);
        CHECK_CLOSE_F32(y, expected, d_t, 1e-6);
    }
    ehm_arena_free(&a);
    numbers_close(&g);
}

TEST(retrieve, whitening_refuses_and_cuts) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_whiten w;
    float same[12] = {1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3}, few[8] = {1, 0, 0, 0, 0, 2, 0, 0};
    CHECK_FAILS(ehm_whiten_learn(&w, same, 4, 3, 0, NULL, &a, &err), &err, EHM_E_MISMATCH, "the same");
    CHECK_FAILS(ehm_whiten_learn(&w, same, 1, 3, 0, NULL, &a, &err), &err, EHM_E_MISMATCH, "two pictures");
    same[4] = NAN;
    CHECK_FAILS(ehm_whiten_learn(&w, same, 4, 3, 0, NULL, &a, &err), &err, EHM_E_NUMERIC, "not finite");
    ehm_err_clear(&err);
    REQUIRE_OK(ehm_whiten_learn(&w, few, 2, 4, 0, NULL, &a, &err), &err); /* two pictures span a line */
    CHECK_INT(w.n_kept, 1);
    ehm_arena_free(&a);
}

TEST(retrieve, eigenvectors_diagonalise) {
    enum { N = 61 };
    static double m[N * N], v[N * N], value[N], scratch[2 * N];
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 3);
    for (int32_t kind = 0; kind < 3; kind++) {
        for (int32_t i = 0; i < N; i++)
            for (int32_t k = i; k < N; k++) /* full, of low rank, diagonal with equal entries */
                m[i * N + k] = m[k * N + i] = kind == 0 ? ehm_rng_normal(&r) : kind == 1 ? (double)((i % 3 + 1) * (k % 3 + 1)) : i == k ? (double)(i / 20) : 0;
        memcpy(v, m, sizeof v);
        REQUIRE(ehm_symmetric_eigen(v, value, N, scratch));
        double worst = 0, worst_dot = 0;
        for (int32_t i = 0; i < N; i++)
            for (int32_t k = 0; k < N; k++) {
                double sum = 0, dot = 0;
                for (int32_t l = 0; l < N; l++) sum += m[k * N + l] * v[i * N + l], dot += v[i * N + l] * v[k * N + l];
                double off = fabs(sum - value[i] * v[i * N + k]), off_dot = fabs(dot - (i == k));
                if (!(off <= worst)) worst = off; /* what is no number stays */
                if (!(off_dot <= worst_dot)) worst_dot = off_dot;
            }
        CHECK_NEAR(worst, 0, 1e-11 * (kind == 1 ? 300 : 20));
        CHECK_NEAR(worst_dot, 0, 1e-12);
        for (int32_t i = 1; i < N; i++) CHECK(value[i - 1] <= value[i]);
    }
}

TEST(retrieve, search_as_the_neighbours_of_knn) {
    enum { N = 70, Q = 9, D = 12 };
    static float x[N * D], q[Q * D];
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_dev *d = NULL;
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 4);
    int32_t idx[Q * 10];
    float sim[Q * 10];
    int64_t self[Q], start[Q + 1], positive[2 * Q];
    ehm_rank_got got;
    for (int32_t i = 0; i < N * D; i++) x[i] = (float)ehm_rng_normal(&r);
    for (int32_t i = 0; i < Q * D; i++) q[i] = (float)ehm_rng_normal(&r);
    REQUIRE_OK(ehm_dev_open(&d, "ref", 2, &err), &err);
    ehm_knn_unit_rows(x, N, D, NULL), ehm_knn_unit_rows(q, Q, D, NULL);
    REQUIRE_OK(ehm_knn_search(idx, sim, d, x, N, q, Q, D, 10, &err), &err);
    for (int32_t i = 0; i < Q; i++) { /* two right ones a query: its third neighbour and one anywhere; its first neighbour is itself */
        int64_t one = idx[i * 10 + 2], other = (one + 11) % N;
        if (other == idx[i * 10]) other = (other + 1) % N;
        start[i] = 2 * i, self[i] = idx[i * 10];
        positive[2 * i] = one < other ? one : other, positive[2 * i + 1] = one < other ? other : one;
    }
    start[Q] = 2 * Q;
    REQUIRE_OK(ehm_rank_search(&got, d, x, N, q, D, &(ehm_rank_ask){Q, self, positive, start, 8}, &a, &err), &err);
    CHECK_INT(got.n_top, 8);
    for (int32_t i = 0; i < Q; i++) {
        for (int32_t k = 0; k < 8; k++) CHECK_INT(got.top[i * 8 + k], idx[i * 10 + k + 1]);
        for (int32_t p = 0; p < 2; p++) { /* ranks by counting */
            bool found = false;
            for (int32_t w = 0; w < 2; w++) {
                const float *t = x + positive[2 * i + w] * D;
                int64_t ahead = 0;
                double mine = 0;
                for (int32_t f = 0; f < D; f++) mine += (double)(t[f] * q[i * D + f]);
                for (int32_t o = 0; o < N; o++) {
                    double s = 0;
                    for (int32_t f = 0; f < D; f++) s += (double)(x[o * D + f] * q[i * D + f]);
                    ahead += o != self[i] && o != positive[2 * i + w] && s > mine;
                }
                found |= ahead == got.rank[2 * i + p];
            }
            CHECK(found);
        }
        CHECK(got.rank[2 * i] < got.rank[2 * i + 1] && got.rank[2 * i] <= 1);
    }
    CHECK_FAILS(ehm_rank_search(&got, d, x, 0, q, D, &(ehm_rank_ask){Q, self, positive, start, 8}, &a, &err), &err, EHM_E_ARG, "0 pictures");
    ehm_dev_close(d);
    ehm_arena_free(&a);
}

TEST(retrieve, a_descriptor_that_says_nothing_gets_no_credit) {
    float x[6] = {1, 1, 1, 1, 1, 1}, q[1] = {1};
    int64_t start[2] = {0, 2}, positive[2] = {0, 2};
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_dev *d = NULL;
    ehm_rank_got got;
    REQUIRE_OK(ehm_dev_open(&d, "ref", 1, &err), &err);
    REQUIRE_OK(ehm_rank_search(&got, d, x, 6, q, 1, &(ehm_rank_ask){1, NULL, positive, start, 6}, &a, &err), &err);
    CHECK_INT(got.rank[0], 4);
    CHECK_INT(got.rank[1], 5);
    CHECK_INT(got.top[0], 1);
    CHECK_INT(got.top[4], 0);
    ehm_dev_close(d);
    ehm_arena_free(&a);
}

/* A grid of patches where patch (x, y) of the query is the one that a turn, scale or mirror puts at (u, v). */
TEST(retrieve, matching_finds_turns_and_mirrors) {
    enum { S = 8, N = S * S };
    static float sim[N * N];
    static ehm_match_pair pairs[N];
    static int32_t best_q[N];
    ehm_grid g = {S, S};
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 5);
    for (int32_t kind = 0; kind < 4; kind++) { /* shift by (2, 1), quarter turn, mirror, no order */
        int32_t to[N], n_inside = 0;
        for (int32_t i = 0; i < N; i++) to[i] = i;
        if (kind == 3) ehm_rng_shuffle_i32(&r, to, N);
        for (int32_t i = 0; i < N * N; i++) sim[i] = 0.3f * ehm_rng_f32(&r);
        for (int32_t i = 0; i < N; i++) {
            int32_t x = i % S, y = i / S, u = kind == 0 ? x + 2 : kind == 1 ? S - 1 - y : S - 1 - x, v = kind == 0 ? y + 1 : kind == 1 ? x : y;
            if (kind == 3) u = to[i] % S, v = to[i] / S;
            if (u >= S || v >= S) continue;
            sim[i * N + v * S + u] = 0.9f + 0.01f * ehm_rng_f32(&r);
            n_inside++;
        }
        ehm_match m = ehm_match_patches(sim, N, g, g, pairs, best_q);
        CHECK(m.n_matches >= n_inside);
        if (kind == 3) {
            CHECK(m.n_inliers < N / 3);
            continue;
        }
        CHECK(m.n_inliers >= n_inside);
        CHECK_INT(m.mirrored, kind == 2);
        CHECK_NEAR(m.scale, 1, 0.2);
        if (kind == 1) CHECK_NEAR(m.degrees, 90, 10);
    }
    memset(sim, 0, sizeof sim); /* nothing to tell patches apart: one match, no two to agree */
    CHECK_INT(ehm_match_patches(sim, N, g, g, pairs, best_q).n_inliers, 1);
}

TEST(retrieve, intervals_over_originals) {
    enum { Q = 90, G = 30 };
    float value[Q], mean_of_group[G], score[Q], n_positive[Q];
    uint8_t right[Q];
    int32_t group[Q], query[Q];
    double v[4], lo[4], hi[4], m, l, h;
    ehm_err err = {0};
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 6);
    for (int32_t g = 0; g < G; g++) mean_of_group[g] = 0;
    for (int32_t q = 0; q < Q; q++) {
        group[q] = q / 3, query[q] = q;
        value[q] = (float)ehm_rng_below(&r, 2);
        mean_of_group[q / 3] += value[q] / 3;
        score[q] = ehm_rng_f32(&r), right[q] = ehm_rng_below(&r, 2) != 0, n_positive[q] = 1;
    }
    ehm_group_line lines[2] = {{.value = value}, {.score = score, .right = right, .query = query, .n = Q, .n_positive = n_positive}};
    int32_t minus[2] = {-1, 1};
    REQUIRE_OK(ehm_group_bootstrap(v, lo, hi, lines, 2, minus, group, Q, G, 0, &err), &err);
    /* as many queries of each original: the mean of originals' means, by the same draws */
    REQUIRE_OK(ehm_bootstrap(&m, &l, &h, &(const float *){mean_of_group}, 1, G, 0, &err), &err);
    CHECK_NEAR(v[0], m, 1e-6);
    CHECK_NEAR(lo[0], l, 1e-6);
    CHECK_NEAR(hi[0], h, 1e-6);
    CHECK(lo[1] < v[1] && v[1] < hi[1]);
    CHECK_NEAR(v[3], 0, 0); /* a line less itself */
    CHECK_NEAR(lo[3], 0, 0);
    CHECK_NEAR(hi[3], 0, 0);
    for (int32_t q = 0; q < Q; q++) value[q] = NAN;
    REQUIRE_OK(ehm_group_bootstrap(v, lo, hi, lines, 1, NULL, group, Q, G, 0, &err), &err);
    CHECK(isnan(v[0]) && isnan(lo[0]));
}

static void smooth_picture(ehm_image *im, int32_t c, ehm_dtype type, ehm_arena *a) {
    ehm_err err = {0};
    REQUIRE_OK(ehm_image_new(im, 60, 40, c, type, a, &err), &err);
    for (int32_t i = 0; i < 60 * 40 * c; i++) {
        double v = 0.5 + 0.4 * sin(0.1 * (i / c % 60) + i % c) * cos(0.2 * (i / c / 60));
        if (type == EHM_U8) ((uint8_t *)im->px)[i] = (uint8_t)(255 * v + 0.5);
        else ((float *)im->px)[i] = (float)v;
    }
}

TEST(copies, each_kind_is_a_function_of_seed_picture_and_severity) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image in, host, one, two, keep;
    for (int32_t c = 1; c <= 5; c += 2)
        for (int32_t f = 0; f < 2; f++) {
            ehm_arena_reset(&a);
            ehm_dtype type = f ? EHM_F32 : EHM_U8;
            smooth_picture(&in, c, type, &a), smooth_picture(&host, c, EHM_U8, &a), smooth_picture(&keep, c, type, &a);
            for (int32_t k = 0; k < ehm_copy_n_kinds(); k++) {
                CHECK_INT(ehm_copy_find(ehm_copy_name(k)), k);
                if (ehm_copy_impossible(k, c)) {
                    CHECK_FAILS(ehm_copy_make(&one, &in, k, 1, &host, 1, 7, &a, &err), &err, EHM_E_UNSUPPORTED, "jpeg");
                    ehm_err_clear(&err);
                    continue;
                }
                for (int32_t s = 1; s <= ehm_copy_n_severities(k); s++) {
                    REQUIRE_OK(ehm_copy_make(&one, &in, k, s, &host, 1, 7, &a, &err), &err);
                    REQUIRE_OK(ehm_copy_make(&two, &in, k, s, &host, 1, 7, &a, &err), &err);
                    CHECK(one.c == c && one.type == type && one.w == two.w && one.h == two.h);
                    CHECK(!memcmp(one.px, two.px, ehm_image_bytes(&one)));
                    CHECK(one.w != in.w || one.h != in.h || memcmp(one.px, in.px, ehm_image_bytes(&in)));
                    CHECK(!memcmp(in.px, keep.px, ehm_image_bytes(&in)));
                }
            }
        }
    ehm_arena_free(&a);
}

TEST(copies, sizes_shares_and_mirrors) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image in, host, out, back;
    smooth_picture(&in, 3, EHM_U8, &a), smooth_picture(&host, 3, EHM_U8, &a);
    const double crop[3] = {0.65, 0.40, 0.15}, paste[3] = {0.50, 0.25, 0.12};
    for (int32_t s = 1; s <= 3; s++)
        for (int64_t picture = 0; picture < 8; picture++) {
            REQUIRE_OK(ehm_copy_make(&out, &in, ehm_copy_find("crop"), s, NULL, 3, picture, &a, &err), &err);
            CHECK_NEAR((double)out.w * out.h / (60 * 40), crop[s - 1], 0.16 * crop[s - 1]);
            REQUIRE_OK(ehm_copy_make(&out, &in, ehm_copy_find("paste"), s, &host, 3, picture, &a, &err), &err);
            CHECK_NEAR(60.0 * 40 / ((double)out.w * out.h), paste[s - 1], 0.05 * paste[s - 1]);
            REQUIRE_OK(ehm_copy_make(&out, &in, ehm_copy_find("scale"), s, NULL, 3, picture, &a, &err), &err);
            CHECK_INT(out.w, s == 1 ? 30 : s == 2 ? 15 : 12); /* not below 8 rows */
        }
    REQUIRE_OK(ehm_copy_make(&out, &in, ehm_copy_find("mirror"), 1, NULL, 3, 1, &a, &err), &err);
    REQUIRE_OK(ehm_copy_make(&back, &out, ehm_copy_find("mirror"), 1, NULL, 3, 2, &a, &err), &err);
    CHECK(!memcmp(back.px, in.px, ehm_image_bytes(&in)));
    CHECK(((uint8_t *)out.px)[0] == ((uint8_t *)in.px)[59 * 3]);
    CHECK_FAILS(ehm_copy_make(&out, &in, ehm_copy_find("mirror"), 2, NULL, 3, 1, &a, &err), &err, EHM_E_ARG, "severities 1 to 1");
    CHECK_FAILS(ehm_copy_make(&out, &in, ehm_copy_find("paste"), 1, NULL, 3, 1, &a, &err), &err, EHM_E_ARG, "another picture");
    CHECK_FAILS(ehm_copy_make(&out, &in, 99, 1, NULL, 3, 1, &a, &err), &err, EHM_E_ARG, "99");
    CHECK_INT(ehm_copy_find("crops"), -1);
    ehm_arena_free(&a);
}

TEST(copies, jpeg_comes_back_and_refuses) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image in, out;
    ehm_bytes strong, mild;
    if (!ehm_jpeg_can_encode()) SKIP("this build has no libjpeg");
    smooth_picture(&in, 3, EHM_U8, &a);
    REQUIRE_OK(ehm_jpeg_encode(&strong, &in, 5, &a, &err), &err);
    REQUIRE_OK(ehm_jpeg_encode(&mild, &in, 95, &a, &err), &err);
    CHECK(strong.len < mild.len);
    REQUIRE_OK(ehm_image_decode(&out, mild.data, mild.len, NULL, &a, &err), &err);
    CHECK(out.w == 60 && out.h == 40 && out.c == 3);
    int32_t worst = 0;
    for (int32_t i = 0; i < 60 * 40 * 3; i++) {
        int32_t d = abs(((uint8_t *)out.px)[i] - ((uint8_t *)in.px)[i]);
        worst = d > worst ? d : worst;
    }
    CHECK(worst < 24);
    CHECK_FAILS(ehm_jpeg_encode(&mild, &in, 0, &a, &err), &err, EHM_E_ARG, "quality 0");
    in.c = 2;
    CHECK_FAILS(ehm_jpeg_encode(&mild, &in, 50, &a, &err), &err, EHM_E_ARG, "1 or 3 channels");
    ehm_arena_free(&a);
}

TEST(truth, helpers_of_folders_and_tars) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_bytes text;
    bool there;
    const char *path, *part;
    char *f[8];
    REQUIRE_OK(ehm_data_split_spec(&path, &part, "no/such.tar#landmarks", &a, &err), &err);
    CHECK_STR(path, "no/such.tar");
    CHECK_STR(part, "landmarks");
    REQUIRE_OK(ehm_data_helper(&text, &there, "scenes:1:20", "groundtruth.tsv", NULL, &a, &err), &err);
    CHECK(!there);
    char lines[] = "query\tpositive\n\nq\tp\tcrop\r\n";
    ehm_table_lines l = {.at = lines};
    CHECK_INT(ehm_table_next(&l, f, 8), 2);
    CHECK_INT(ehm_table_next(&l, f, 8), 3);
    CHECK_INT(l.line, 3);
    CHECK_STR(f[2], "crop");
    CHECK_INT(ehm_table_next(&l, f, 8), 0);
    ehm_arena_free(&a);
}

TEST(truth, real_set) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_bytes text;
    bool there;
    const char *tar = ehm_test_data("copies.tar");
    REQUIRE_OK(ehm_data_helper(&text, &there, tar, "groundtruth.tsv", NULL, &a, &err), &err);
    CHECK(there && !strncmp((char *)text.data, "query\tpositive", 14));
    REQUIRE_OK(ehm_data_helper(&text, &there, tar, "nothing.tsv", NULL, &a, &err), &err);
    CHECK(!there);
    ehm_arena_free(&a);
}
