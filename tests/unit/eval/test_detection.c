#include "base/rng.h"
#include "eval/detection.h"
#include "eval/eval.h"
#include "harness.h"

static double next(FILE *f) {
    double v;
    REQUIRE(fscanf(f, "%lf", &v) == 1);
    return v;
}
static void paint(uint8_t *px, int width, const int *r) {
    for (int y = r[1]; y < r[1] + r[3]; y++) memset(px + y * width + r[0], 1, (size_t)r[2]);
}

typedef struct { ehm_coco *e; int n_classes, n_images; FILE *f; } set;
static set read_set(const char *name, ehm_err *err) {
    char path[64], word[32];
    snprintf(path, sizeof path, "tests/golden/detection/%s.txt", name);
    set s = {.f = fopen(ehm_test_path(path), "r")};
    REQUIRE(s.f && fscanf(s.f, "%31s", word) == 1);
    bool masks = next(s.f) > 0;
    s.n_classes = (int)next(s.f), s.n_images = (int)next(s.f);
    int n = (int)next(s.f), w = (int)next(s.f), h = (int)next(s.f);
    uint8_t *px = malloc((size_t)(w * h));
    REQUIRE(px);
    REQUIRE_OK(ehm_coco_open(&s.e, s.n_classes, s.n_images, masks, err), err);
    for (int i = 0; i < n; i++) {
        REQUIRE(fscanf(s.f, "%31s", word) == 1);
        int64_t image = (int64_t)next(s.f);
        ehm_coco_box b = {.class_id = (int32_t)next(s.f)};
        b.crowd = next(s.f) > 0, b.score = next(s.f);
        if (masks) {
            memset(px, 0, (size_t)(w * h));
            for (int k = (int)next(s.f); k > 0; k--) {
                int r[4];
                for (int q = 0; q < 4; q++) r[q] = (int)next(s.f);
                paint(px, w, r);
            }
        } else b.x = next(s.f), b.y = next(s.f), b.w = next(s.f), b.h = next(s.f);
        ehm_coco_mask m = {h, w, px};
        if (word[0] == 'a') b.area = next(s.f);
        if (word[0] != 'f') REQUIRE_OK(ehm_coco_truth(s.e, image, &b, masks ? &m : NULL, err), err);
        else REQUIRE_OK(ehm_coco_found(s.e, image, &b, masks ? &m : NULL, err), err);
    }
    free(px);
    return s;
}

static void compare(const char *name) {
    ehm_err err = {0};
    set s = read_set(name, &err);
    for (int round = 0; round < 2; round++) {
        int32_t weight[64];
        double per_class[16];
        ehm_coco_scores got;
        for (int i = 0; i < s.n_images; i++) weight[i] = (int32_t)next(s.f);
        REQUIRE_OK(ehm_coco_score(&got, per_class, s.e, round ? weight : NULL, &err), &err);
        CHECK_NEAR(got.ap, next(s.f), 1e-9);
        CHECK_NEAR(got.ap50, next(s.f), 1e-9);
        CHECK_NEAR(got.ap75, next(s.f), 1e-9);
        CHECK_NEAR(got.ap_small, next(s.f), 1e-9);
        CHECK_NEAR(got.ap_medium, next(s.f), 1e-9);
        CHECK_NEAR(got.ap_large, next(s.f), 1e-9);
        CHECK_NEAR(got.ar1, next(s.f), 1e-9);
        CHECK_NEAR(got.ar10, next(s.f), 1e-9);
        CHECK_NEAR(got.ar100, next(s.f), 1e-9);
        for (int k = 0; k < s.n_classes; k++) CHECK_NEAR(per_class[k], next(s.f), 1e-9);
    }
    fclose(s.f);
    ehm_coco_close(s.e);
}
TEST(detection, boxes_as_pycocotools) { compare("boxes"), compare("boxes_plain"); }
TEST(detection, truth_of_an_area_of_its_own) { compare("boxes_area"), compare("masks_area"); }
TEST(detection, masks_as_pycocotools) { compare("masks"), compare("masks_plain"); }

/* Each draw is the score with that draw's weights; any number of threads, and two sets of one size see the same draws. */
TEST(detection, bootstrap_is_the_score_of_draws) {
    ehm_err err = {0};
    set s = read_set("boxes_plain", &err);
    int width = 3 + s.n_classes;
    size_t bytes = sizeof(double) * (size_t)(EHM_BOOT_DRAWS * width);
    double *one = malloc(bytes), *two = malloc(bytes), per_class[16], sum = 0;
    ehm_pool *pool = NULL;
    REQUIRE_OK(ehm_pool_open(&pool, 3, &err), &err);
    REQUIRE(one && two);
    REQUIRE_OK(ehm_coco_bootstrap(one, s.e, 7, NULL, &err), &err);
    REQUIRE_OK(ehm_coco_bootstrap(two, s.e, 7, pool, &err), &err);
    CHECK(!memcmp(one, two, bytes));
    ehm_coco_scores all, drawn;
    REQUIRE_OK(ehm_coco_score(&all, NULL, s.e, NULL, &err), &err);
    for (int i = 0; i < EHM_BOOT_DRAWS; i++) sum += one[i * width];
    CHECK_NEAR(sum / EHM_BOOT_DRAWS, all.ap, 0.02);
    for (int i = 0; i < 50; i++) {
        int32_t weight[64] = {0};
        ehm_rng r = ehm_rng_of(7, EHM_RNG_bootstrap, 0, (uint64_t)i);
        for (int k = 0; k < s.n_images; k++) weight[ehm_rng_below64(&r, (uint64_t)s.n_images)]++;
        REQUIRE_OK(ehm_coco_score(&drawn, per_class, s.e, weight, &err), &err);
        CHECK_NEAR(one[i * width], drawn.ap, 1e-12);
        CHECK_NEAR(one[i * width + 2], drawn.ap75, 1e-12);
        for (int k = 0; k < s.n_classes; k++) CHECK_NEAR(one[i * width + 3 + k], per_class[k], 1e-12);
    }
    free(one), free(two), fclose(s.f);
    ehm_pool_close(pool);
    ehm_coco_close(s.e);
}

TEST(detection, nothing_to_measure) {
    ehm_err err = {0};
    ehm_coco *e;
    ehm_coco_scores s;
    double per_class[2];
    REQUIRE_OK(ehm_coco_open(&e, 2, 1, false, &err), &err);
    REQUIRE_OK(ehm_coco_score(&s, per_class, e, NULL, &err), &err);
    CHECK(s.ap == -1 && s.ar100 == -1 && per_class[0] == -1);
    REQUIRE_OK(ehm_coco_truth(e, 0, &(ehm_coco_box){.w = 10, .h = 10}, NULL, &err), &err);
    REQUIRE_OK(ehm_coco_score(&s, per_class, e, NULL, &err), &err);
    CHECK(s.ap == 0 && s.ap_small == 0 && s.ap_large == -1 && per_class[0] == 0 && per_class[1] == -1);
    REQUIRE_OK(ehm_coco_found(e, 0, &(ehm_coco_box){.w = 10, .h = 10, .score = 0.5}, NULL, &err), &err);
    REQUIRE_OK(ehm_coco_score(&s, NULL, e, NULL, &err), &err); /* what came after a score counts too */
    CHECK_NEAR(s.ap, 1, 1e-12);
    ehm_coco_close(e);
    ehm_coco_close(NULL);
}

TEST(detection, what_is_no_box_is_refused) {
    ehm_err err = {0};
    ehm_coco *e, *m;
    uint8_t px[12] = {0, 1};
    ehm_coco_box b = {.w = 2, .h = 2, .score = 0.5};
    REQUIRE_OK(ehm_coco_open(&e, 2, 3, false, &err), &err);
    REQUIRE_OK(ehm_coco_open(&m, 2, 3, true, &err), &err);
    CHECK_FAILS(ehm_coco_truth(e, 3, &b, NULL, &err), &err, EHM_E_ARG, "picture 3");
    b.class_id = 2;
    CHECK_FAILS(ehm_coco_found(e, 0, &b, NULL, &err), &err, EHM_E_ARG, "class 2");
    b.class_id = 0, b.w = -1;
    CHECK_FAILS(ehm_coco_found(e, 0, &b, NULL, &err), &err, EHM_E_ARG, "-1x2");
    b.w = 2, b.score = NAN;
    CHECK_FAILS(ehm_coco_found(e, 0, &b, NULL, &err), &err, EHM_E_ARG, "score");
    b.score = 0;
    CHECK_FAILS(ehm_coco_truth(e, 0, &b, &(ehm_coco_mask){3, 4, px}, &err), &err, EHM_E_ARG, "has a mask");
    CHECK_FAILS(ehm_coco_truth(m, 0, &b, NULL, &err), &err, EHM_E_ARG, "lacks a mask");
    ehm_err_clear(&err);
    REQUIRE_OK(ehm_coco_truth(m, 0, &b, &(ehm_coco_mask){3, 4, px}, &err), &err);
    CHECK_FAILS(ehm_coco_found(m, 0, &b, &(ehm_coco_mask){4, 3, px}, &err), &err, EHM_E_ARG, "3x4");
    ehm_coco *none;
    CHECK_FAILS(ehm_coco_open(&none, 0, 1, false, &err), &err, EHM_E_ARG, "0 classes");
    ehm_coco_close(e), ehm_coco_close(m);
}

TEST(detection, runs_as_pycocotools_writes_them) {
    FILE *f = fopen(ehm_test_path("tests/golden/detection/rle.txt"), "r");
    static char code[1 << 14], text[1 << 17];
    static uint8_t px[1 << 17];
    REQUIRE(f);
    for (int i = 0; i < 7; i++) {
        ehm_str s = {0};
        int w = (int)next(f), h = (int)next(f);
        REQUIRE(fscanf(f, "%16000s %120000s", code, text) == 2 && (int)strlen(text) == w * h);
        for (int k = 0; k < w * h; k++) px[k] = text[k] == '1';
        ehm_coco_rle(&s, &(ehm_coco_mask){h, w, px});
        CHECK_STR(ehm_str_c(&s), code);
        ehm_str_free(&s);
    }
    fclose(f);
}
