#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "data/augment_int.h"
#include "harness.h"
#include <sys/types.h>

/* Lines of a golden table after its head, one by one. */
typedef struct {
    FILE *f;
    char line[1024];
} table;
static table table_open(const char *name) {
    table t = {.f = fopen(ehm_test_path(name), "r")};
    REQUIRE(t.f != NULL);
    REQUIRE(fgets(t.line, sizeof t.line, t.f) != NULL);
    return t;
}
static bool table_next(table *t) {
    if (fgets(t->line, sizeof t->line, t->f)) return true;
    fclose(t->f);
    return false;
}

TEST(augment, moments_as_torchvision) {
    table t = table_open("tests/golden/augment/moments.csv");
    double worst = 0;
    int n_rows = 0;
    while (table_next(&t)) {
        int w, h, n;
        double lo, hi, v[10];
        REQUIRE(sscanf(t.line, "%d,%d,%lf,%lf,%d,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf", &w, &h, &lo, &hi,
                       &n, v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 8, v + 9) == 15);
        double s[4] = {0}, q[4] = {0}, area = 0, wh = 0, k4[4] = {0};
        for (int i = 0; i < n; i++) {
            double b[4];
            ehm_augment_box(b, NULL, w, h, lo, hi, .5, 1, 0, i);
            double x[4] = {b[0], b[1], b[2] - b[0], b[3] - b[1]};
            for (int j = 0; j < 4; j++)
                s[j] += x[j], q[j] += x[j] * x[j],
                    k4[j] += (x[j] - v[j]) * (x[j] - v[j]) * (x[j] - v[j]) * (x[j] - v[j]);
            area += x[2] * x[3] / ((double)w * h), wh += x[2] * x[3];
        }
        for (int j = 0; j < 4; j++) {
            double mean = s[j] / n, var = q[j] / n - mean * mean, sd = sqrt(var > 0 ? var : 0);
            /* Two samples of n: twice the variance of one. The deviation's error comes from the fourth
             * moment. */
            double z = (mean - v[j]) / (sqrt(2.0 / n) * v[4 + j]),
                   se = sqrt(2 * (k4[j] / n - var * var) / n) / (2 * sd), zs = (sd - v[4 + j]) / se;
            if (fabs(z) > worst) worst = fabs(z);
            if (fabs(zs) > worst) worst = fabs(zs);
            if (!(fabs(z) < 6) || !(fabs(zs) < 6))
                ehm_test_fail(__FILE__, __LINE__,
                              "%dx%d %g..%g column %d: mean %.4f, want %.4f (z %.1f); deviation %.4f, want "
                              "%.4f (z %.1f)",
                              w, h, lo, hi, j, mean, v[j], z, sd, v[4 + j], zs);
        }
        CHECK_NEAR(area / n, v[8], 6 * .25 * sqrt(2.0 / n));
        double cov = wh / n - s[2] / n * (s[3] / n),
               corr = cov / sqrt((q[2] / n - s[2] / n * (s[2] / n)) * (q[3] / n - s[3] / n * (s[3] / n)));
        CHECK_NEAR(corr, v[9], 6 * 1.5 * sqrt(2.0 / n));
        n_rows++;
    }
    CHECK_INT(n_rows, 7);
    printf("  worst |z| %.2f\n", worst);
}

TEST(augment, fallback_as_torchvision) {
    table t = table_open("tests/golden/augment/fallback.csv");
    int n_rows = 0;
    while (table_next(&t)) {
        int w, h, x, y, cw, ch;
        double b[4];
        REQUIRE(sscanf(t.line, "%d,%d,%d,%d,%d,%d", &w, &h, &x, &y, &cw, &ch) == 6);
        for (int i = 0; i < 50; i++) {
            ehm_augment_box(b, NULL, w, h, .5, 1, .5, 3, 1, i);
            CHECK_INT(b[0], x);
            CHECK_INT(b[1], y);
            CHECK_INT(b[2] - b[0], cw);
            CHECK_INT(b[3] - b[1], ch);
        }
        n_rows++;
    }
    CHECK_INT(n_rows, 8);
}

TEST(augment, inside_and_whole_numbers) {
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, 0, 0);
    for (int i = 0; i < 20000; i++) {
        int w = 1 + (int)ehm_rng_below(&r, 300), h = 1 + (int)ehm_rng_below(&r, 300);
        double lo = ehm_rng_uniform(&r, .01, 1), hi = ehm_rng_uniform(&r, lo, 1), b[4];
        ehm_augment_box(b, NULL, w, h, lo, hi, 0, 1, 2, i);
        bool ok = b[0] >= 0 && b[1] >= 0 && b[2] <= w && b[3] <= h && b[2] >= b[0] + 1 && b[3] >= b[1] + 1;
        for (int k = 0; k < 4; k++) ok = ok && b[k] == floor(b[k]);
        if (!ok)
            ehm_test_fail(__FILE__, __LINE__, "%dx%d, %g..%g: box %g %g %g %g", w, h, lo, hi, b[0], b[1],
                          b[2], b[3]);
    }
}

TEST(augment, draws_by_seed_epoch_sample) {
    double a[4], b[4];
    bool fa, fb;
    int n_flip = 0, n_same_flip = 0, n_same[3] = {0};
    for (int i = 0; i < 2000; i++) {
        ehm_augment_box(a, &fa, 640, 480, .2, 1, .5, 9, 4, i),
            ehm_augment_box(b, &fb, 640, 480, .2, 1, .5, 9, 4, i);
        CHECK(!memcmp(a, b, sizeof a) && fa == fb);
        n_flip += fa;
        ehm_augment_box(b, &fb, 64, 48, .2, 1, .5, 9, 4, i); /* another size: the same flip */
        n_same_flip += fa == fb;
        ehm_augment_box(b, &fb, 640, 480, .2, 1, .5, 10, 4, i), n_same[0] += !memcmp(a, b, sizeof a);
        ehm_augment_box(b, &fb, 640, 480, .2, 1, .5, 9, 5, i), n_same[1] += !memcmp(a, b, sizeof a);
        ehm_augment_box(b, &fb, 640, 480, .2, 1, .5, 9, 4, i + 2000), n_same[2] += !memcmp(a, b, sizeof a);
    }
    CHECK_INT(n_same_flip, 2000);
    CHECK_NEAR(n_flip, 1000, 6 * sqrt(500));
    for (int k = 0; k < 3; k++) CHECK(n_same[k] < 5);
    for (int i = 0; i < 200; i++) {
        ehm_augment_box(a, &fa, 9, 9, .2, 1, 0, 1, 1, i), CHECK(!fa);
        ehm_augment_box(a, &fa, 9, 9, .2, 1, 1, 1, 1, i), CHECK(fa);
    }
}

/* The picture of tools/golden/augment.py. */
static ehm_image picture(int w, int h, ehm_arena *a) {
    ehm_image im;
    ehm_err err = {0};
    REQUIRE_OK(ehm_image_new(&im, w, h, 3, EHM_U8, a, &err), &err);
    uint8_t *p = im.px;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < 3; k++)
                *p++ = (uint8_t)(x * 7 + y * 13 + k * 50 + (x * y) % 31 * 5 + (x / 9 + y / 7) % 2 * 90);
    return im;
}

TEST(augment, resample_as_pillow) {
    table t = table_open("tests/golden/augment/resample.csv");
    ehm_arena a = {0};
    ehm_err err = {0};
    int n_rows = 0;
    while (table_next(&t)) {
        char kind[8], sha[65], first[64], got[65], got_first[64];
        int w, h, flip, iw, ih;
        double b[4], e[4];
        REQUIRE(sscanf(t.line, "%7[^,],%d,%d,%lf,%lf,%lf,%lf,%d,%d,%d,%64[^,],%48s", kind, &w, &h, b, b + 1,
                       b + 2, b + 3, &flip, &iw, &ih, sha, first) == 12);
        ehm_image im = picture(w, h, &a), crop;
        uint8_t *px = EHM_NEW_N(&a, uint8_t, iw * ih * 3);
        if (!strcmp(kind, "crop")) {
            REQUIRE_OK(ehm_data_crop(&crop, &im, b, &a, &err), &err);
            REQUIRE_OK(ehm_data_resample(px, EHM_U8, ih, iw, &crop, NULL, &a, &err), &err);
            if (flip) ehm_data_mirror(px, ih, iw, 3);
        } else {
            ehm_eval_box(e, w, h, iw, ih, NULL);
            for (int k = 0; k < 4; k++) CHECK_NEAR(e[k], b[k], 1e-8);
            REQUIRE_OK(ehm_data_fit(px, EHM_U8, ih, iw, &im, n_rows % 2 ? "crop" : NULL, &a, &err), &err);
        }
        ehm_sha256_text(px, (size_t)(iw * ih * 3), got);
        for (int i = 0; i < 24; i++) snprintf(got_first + 2 * i, 3, "%02x", px[i]);
        CHECK_STR(got_first, first);
        CHECK_STR(got, sha);
        ehm_arena_reset(&a);
        n_rows++;
    }
    CHECK_INT(n_rows, 12);
    ehm_arena_free(&a);
}

TEST(augment, eval_boxes) {
    double b[4];
    ehm_eval_box(b, 500, 375, 224, 224, "stretch");
    CHECK(b[0] == 0 && b[1] == 0 && b[2] == 500 && b[3] == 375);
    ehm_eval_box(b, 100, 50, 64, 64, "pad");
    CHECK(b[0] == 0 && b[1] == -25 && b[2] == 100 && b[3] == 75);
    ehm_eval_box(b, 96, 96, 96, 96, "auto"); /* 96 is not above 96 */
    CHECK(b[0] == 0 && b[1] == 0 && b[2] == 96 && b[3] == 96);
    ehm_eval_box(b, 112, 112, 97, 97, "crop");
    CHECK(b[0] == 7 && b[2] == 105);
    /* Always inside the picture, whatever the rounding. */
    for (int w = 1; w < 140; w += 3)
        for (int h = 1; h < 140; h += 5)
            for (int n = 1; n < 120; n += 7) {
                ehm_eval_box(b, w, h, n, n + 3, NULL);
                if (!(b[0] >= 0 && b[1] >= 0 && b[2] <= w && b[3] <= h && b[2] > b[0] && b[3] > b[1]))
                    ehm_test_fail(__FILE__, __LINE__, "%dx%d to %dx%d", w, h, n, n + 3);
            }
}

TEST(augment, fit_pad_and_types) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_image im = picture(40, 20, &a);
    memset(im.px, 255, 40 * 20 * 3);
    uint8_t u[32 * 32 * 3];
    memset(u, 7, sizeof u);
    REQUIRE_OK(ehm_data_fit(u, EHM_U8, 32, 32, &im, "pad", &a, &err), &err);
    for (int y = 0; y < 32; y++) CHECK_INT(u[(y * 32 + 5) * 3], y >= 8 && y < 24 ? 255 : 0);
    /* f32 of a u8 picture is the u8 result over 255. */
    static float f[32 * 32 * 3];
    im = picture(40, 20, &a);
    for (int kind = 0; kind < 3; kind++) {
        const char *fit = kind == 0 ? "crop" : kind == 1 ? "stretch" : "pad";
        REQUIRE_OK(ehm_data_fit(u, EHM_U8, 32, 32, &im, fit, &a, &err), &err);
        REQUIRE_OK(ehm_data_fit(f, EHM_F32, 32, 32, &im, fit, &a, &err), &err);
        int n_bad = 0;
        for (int i = 0; i < 32 * 32 * 3; i++) n_bad += fabs(f[i] - u[i] / 255.0) > 1e-6;
        CHECK_INT(n_bad, 0);
    }
    /* u16 and f32 pictures into u8. */
    uint16_t v16[4] = {0, 257, 65535, 32768};
    float v32[4] = {-1, .5f, 2, 1};
    uint8_t o[4], want16[4] = {0, 1, 255, 128}, want32[4] = {0, 128, 255, 255};
    REQUIRE_OK(ehm_data_resample(o, EHM_U8, 1, 4, &(ehm_image){v16, 4, 1, 1, EHM_U16}, NULL, &a, &err), &err);
    CHECK(!memcmp(o, want16, 4));
    REQUIRE_OK(ehm_data_resample(o, EHM_U8, 1, 4, &(ehm_image){v32, 4, 1, 1, EHM_F32}, NULL, &a, &err), &err);
    CHECK(!memcmp(o, want32, 4));
    CHECK_FAILS(ehm_data_resample(o, EHM_I32, 1, 4, &(ehm_image){v32, 4, 1, 1, EHM_F32}, NULL, &a, &err),
                &err, EHM_E_ARG, "i32");
    ehm_arena_free(&a);
}

TEST(augment, mirror) {
    uint8_t p[2][5][3], q[2][5][3];
    for (int i = 0; i < 30; i++) (&p[0][0][0])[i] = (uint8_t)i;
    memcpy(q, p, sizeof p);
    ehm_data_mirror(q, 2, 5, 3);
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 5; x++) CHECK(!memcmp(q[y][x], p[y][4 - x], 3));
    ehm_data_mirror(q, 2, 5, 3);
    CHECK(!memcmp(p, q, sizeof p));
}
