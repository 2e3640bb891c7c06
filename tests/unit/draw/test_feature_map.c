/* Feature pictures: one basis for all, the range of its set, and the same numbers whether tokens were kept or not. */
#include "draw/feature_map.h"
#include "harness.h"

typedef struct {
    ehm_arena a;
    ehm_model *m;
    ehm_dataset *ds;
    ehm_study s[4];
    int32_t n;
} scene;

static void open(scene *t) {
    ehm_err err = {0};
    const char *spec = "scenes:5:4";
    REQUIRE_OK(ehm_model_open(&t->m, "untrained:pico", &(ehm_model_opt){.device = "cpu", .threads = 1, .batch = 1}, &err), &err);
    REQUIRE_OK(ehm_dataset_open(&t->ds, &(ehm_strs){&spec, 1}, &(ehm_dataset_opt){.channels = 3, .ignore_label = -1}, &err), &err);
    REQUIRE_OK(ehm_study_read(t->s, &t->n, &(ehm_study_source){.model = t->m, .pictures = t->ds}, 4, &t->a, &err), &err);
}
static void closed(scene *t) {
    ehm_dataset_close(t->ds);
    ehm_model_close(t->m);
    ehm_arena_free(&t->a);
}

TEST(feature_map, one_basis_for_a_set) {
    enum { L = 64 };
    scene t = {0};
    ehm_err err = {0};
    ehm_feature_basis b;
    ehm_feature_map map[4];
    ehm_image sheet;
    open(&t);
    ehm_study_source src = {.model = t.m, .pictures = t.ds};
    REQUIRE_OK(ehm_feature_basis_learn(&b, 0, &src, 4, false, &t.a, &err), &err);
    CHECK(b.n_pictures == 4 && b.n_patches == 4 * L && b.pca.dim == 128);
    CHECK(b.pca.share[0] > b.pca.share[1] && b.pca.share[1] > b.pca.share[2] && b.pca.share[2] > 0);
    double sum[3] = {0}, squares[3] = {0};
    int32_t beyond = 0;
    for (int32_t i = 0; i < 4; i++) {
        REQUIRE_OK(ehm_feature_map_of(&map[i], &b, t.m, &t.s[i], &t.a, &err), &err);
        for (int32_t k = 0; k < L * 3; k++) {
            double v = (double)map[i].scores[k];
            sum[k % 3] += v, squares[k % 3] += v * v;
            beyond += v < b.lo[k % 3] || v > b.hi[k % 3];
            uint8_t px = ((const uint8_t *)map[i].colours.px)[((k / 3 / 8 * 8 + 3) * 64 + k / 3 % 8 * 8 + 5) * 3 + k % 3];
            double want = (v - b.lo[k % 3]) / (b.hi[k % 3] - b.lo[k % 3]) * 255;
            CHECK_NEAR(px, want < 0 ? 0 : want > 255 ? 255 : want, 0.51);
        }
    }
    CHECK(beyond >= 3 * 2 * 5 && beyond <= 3 * 2 * 6); /* 2 % of 256 at either end of three components */
    for (int32_t j = 0; j < 3; j++) { /* scores of the set: mean 0, and the variance that was found */
        CHECK_NEAR(sum[j] / (4 * L), 0, 1e-4);
        CHECK_NEAR(squares[j] / (4 * L - 1), b.pca.variance[j], 1e-4 * b.pca.variance[j]);
    }
    CHECK(map[0].colours.w == 64 && map[0].colours.h == 64);
    REQUIRE_OK(ehm_feature_sheet(&sheet, map, 4, &b, t.m, NULL, NULL, &t.a, &err), &err);
    CHECK_INT(sheet.w, 40 + 8 * (128 + 10) - 10);
    closed(&t);
}

TEST(feature_map, of_a_block) {
    scene t = {0};
    ehm_err err = {0};
    ehm_feature_basis b, last, spread;
    ehm_feature_map map;
    open(&t);
    ehm_study_source src = {.model = t.m, .pictures = t.ds};
    REQUIRE_OK(ehm_feature_basis_learn(&b, 2, &src, 4, false, &t.a, &err), &err);
    REQUIRE_OK(ehm_feature_basis_learn(&last, 0, &src, 4, false, &t.a, &err), &err);
    CHECK(fabs(b.pca.variance[0] - last.pca.variance[0]) > 1e-3);
    /* tokens of mean 0 and deviation 1: all variances and the mean's square add up to 1 a feature */
    double all = 0;
    for (int32_t k = 0; k < 128; k++) all += b.pca.mean[k] * b.pca.mean[k];
    CHECK_NEAR(b.pca.variance[0] / b.pca.share[0] * 255 / 256 + all, 128, 0.1);
    REQUIRE_OK(ehm_feature_map_of(&map, &b, t.m, &t.s[0], &t.a, &err), &err);
    REQUIRE_OK(ehm_feature_basis_learn(&spread, 0, &src, 2, true, &t.a, &err), &err); /* pictures 0 and 2 */
    CHECK_INT(spread.n_pictures, 2);
    CHECK_FAILS(ehm_feature_basis_learn(&b, 5, &src, 4, false, &t.a, &err), &err, EHM_E_ARG, "block 5 of 4");
    closed(&t);
}

static int64_t seen[16], n_seen;
static ehm_code see(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    (void)ctx, (void)scratch, (void)err;
    if (n_seen < 16) seen[n_seen++] = s->i_picture;
    return EHM_OK;
}

TEST(feature_map, pictures_come_in_order_or_spread) {
    ehm_err err = {0};
    ehm_dataset *ds = NULL;
    const char *spec = "scenes:5:21:16";
    int64_t n;
    REQUIRE_OK(ehm_dataset_open(&ds, &(ehm_strs){&spec, 1}, &(ehm_dataset_opt){.channels = 3, .ignore_label = -1}, &err), &err);
    ehm_study_source src = {.pictures = ds, .grid_h = 2, .grid_w = 2};
    n_seen = 0;
    REQUIRE_OK(ehm_study_each(&n, &src, 11, false, see, NULL, &err), &err);
    CHECK(n == 11 && n_seen == 11);
    for (int64_t i = 0; i < 11; i++) CHECK_INT(seen[i], i);
    n_seen = 0;
    REQUIRE_OK(ehm_study_each(&n, &src, 3, true, see, NULL, &err), &err);
    CHECK(n == 3 && seen[0] == 0 && seen[1] == 7 && seen[2] == 14);
    n_seen = 0;
    REQUIRE_OK(ehm_study_each(&n, &src, 1000, true, see, NULL, &err), &err);
    CHECK(n == 21 && n_seen == 16);
    ehm_dataset_close(ds);
}
