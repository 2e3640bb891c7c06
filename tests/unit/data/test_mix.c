/* Mixup, cutmix, their targets and random erasing against timm (tools/golden/randaug.py). */
#include "base/file.h"
#include "data/augment_int.h"
#include "data/mix_int.h"
#include "harness.h"

static const char *golden(const char *name, ehm_arena *a) {
    ehm_bytes text;
    ehm_err err = {0};
    char path[200];
    snprintf(path, sizeof path, "tests/golden/randaug/%s", name);
    REQUIRE_OK(ehm_file_read(&text, ehm_test_path(path), a, &err), &err);
    return (const char *)text.data;
}
static const char *after_line(const char *at) {
    const char *end = strchr(at, '\n');
    return end ? end + 1 : at + strlen(at);
}

enum { N = 4, C = 3, H = 5, W = 7, CLASSES = 6, PIXELS = N * H * W * C };
static void batch(float *x) {
    for (int i = 0; i < PIXELS; i++) x[i] = (float)(i * 37 % 101) / 101 - .3f;
}

TEST(mix, pixels_and_targets_as_timm) {
    static const int32_t labels[N] = {2, 0, 5, 2};
    ehm_arena a = {0};
    int cut, cy, cx, used, n = 0;
    double lambda, smoothing, share;
    for (const char *at = golden("mix.txt", &a);
         sscanf(at, "%d %lf %d %d %lf %lf%n", &cut, &lambda, &cy, &cx, &smoothing, &share, &used) == 6; n++) {
        float x[PIXELS], want[PIXELS], target[N * CLASSES], want_target[N * CLASSES];
        at += used;
        for (int i = 0; i < PIXELS; i++) want[i] = strtof(at, (char **)&at);
        for (int i = 0; i < N * CLASSES; i++) want_target[i] = strtof(at, (char **)&at);
        batch(x);
        if (cut) {
            int32_t box[4];
            double got = ehm_mix_box(box, H, W, lambda, cy, cx);
            CHECK_NEAR(got, share, 1e-15);
            ehm_mix_pixels(x, N, H, W, C, got, box);
        } else {
            CHECK_NEAR(share, lambda, 0);
            ehm_mix_pixels(x, N, H, W, C, lambda, NULL);
        }
        CHECK_CLOSE_F32(x, want, PIXELS, 1e-7);
        ehm_mix_targets(target, labels, N, CLASSES, share, smoothing);
        CHECK_CLOSE_F32(target, want_target, N * CLASSES, 1e-7);
    }
    CHECK_INT(n, 7);
    ehm_arena_free(&a);
}

/* Each picture's shares sum to 1, also in a batch of odd length, where the middle one is its own partner; pictures
 * without a label get none. */
TEST(mix, targets_keep_their_mass) {
    static const int32_t labels[5] = {3, 1, 2, -1, 3};
    float target[5 * 4];
    for (int s = 0; s < 3; s++)
        for (int k = 0; k <= 4; k++) {
            double lambda = k / 4., smoothing = s * .1;
            ehm_mix_targets(target, labels, 5, 4, lambda, smoothing);
            for (int i = 0; i < 5; i++) {
                double sum = 0;
                for (int c = 0; c < 4; c++) sum += (double)target[i * 4 + c];
                CHECK_NEAR(sum, i == 1 ? lambda : i == 3 ? 1 - lambda : 1, 1e-6);
            }
            CHECK_NEAR((double)target[3], 1 - smoothing + smoothing / 4, 1e-6); /* both are of class 3 */
            CHECK_NEAR((double)target[2 * 4 + 2], 1 - smoothing + smoothing / 4, 1e-6);
        }
}

/* The box's share of a constant batch is what lambda says, and lambda has the mean and variance of Beta(a, a). */
TEST(mix, batches) {
    enum { BATCHES = 4000, SIDE = 12 };
    static float x[3 * SIDE * SIDE];
    const ehm_mix_opt both = {.mixup = .8, .cutmix = 1, .prob = .75, .switch_prob = .5}, up = {.mixup = .2, .prob = 1};
    int n_none = 0, n_cut = 0;
    double sum = 0, square = 0;
    for (int b = 0; b < BATCHES; b++) {
        double lambda, again;
        for (int i = 0; i < 3 * SIDE * SIDE; i++) x[i] = (float)(i / (SIDE * SIDE));
        ehm_mix_batch(&lambda, x, 3, SIDE, SIDE, 1, &both, 5, 2, b);
        double mean = 0;
        bool whole = true;
        for (int i = 0; i < SIDE * SIDE; i++) mean += (double)x[i] / (SIDE * SIDE), whole &= x[i] == 0 || x[i] == 2;
        CHECK_NEAR(mean, 2 * (1 - lambda), 1e-5);
        for (int i = 0; i < SIDE * SIDE; i++) {
            CHECK_NEAR((double)x[i] + (double)x[2 * SIDE * SIDE + i], 2, 1e-6);
            CHECK(x[SIDE * SIDE + i] == 1); /* its own partner */
        }
        n_none += lambda == 1, n_cut += lambda < 1 && whole;
        ehm_mix_batch(&again, x, 3, SIDE, SIDE, 1, &both, 5, 2, b);
        CHECK(again == lambda);
        ehm_mix_batch(&lambda, x, 3, SIDE, SIDE, 1, &up, 5, 2, b);
        sum += lambda, square += lambda * lambda;
    }
    /* One in 4 is not mixed; of cut ones, boxes below a pixel's side leave lambda at 1 too: area under 1/144 of Beta(1,1). */
    CHECK_NEAR(n_none / (double)BATCHES, .25 + .375 / 144, .02);
    CHECK_NEAR(n_cut / (double)BATCHES, .375 * 143 / 144, .02);
    CHECK_NEAR(sum / BATCHES, .5, .025);
    CHECK_NEAR(square / BATCHES - sum / BATCHES * sum / BATCHES, 1 / (4 * (2 * .2 + 1)), .008);
    double lambda = 0;
    ehm_mix_batch(&lambda, x, 3, SIDE, SIDE, 1, &(ehm_mix_opt){.prob = 1}, 5, 2, 0);
    CHECK(lambda == 1);
    ehm_mix_batch(&lambda, x, 1, SIDE, SIDE, 1, &up, 5, 2, 0);
    CHECK(lambda == 1);
}

TEST(mix, beta) {
    static const double at[] = {.001, .1, .5, 1, 1.5, 8};
    for (int k = 0; k < 6; k++) {
        ehm_rng r = ehm_rng_of(3, EHM_RNG_mix, 0, (uint64_t)k);
        double sum = 0, square = 0, fourth = 0, a = at[k];
        for (int i = 0; i < 20000; i++) {
            double v = ehm_mix_beta(a, &r);
            REQUIRE(v >= 0 && v <= 1);
            sum += v, square += (v - .5) * (v - .5), fourth += pow(v - .5, 4);
        }
        double var = 1 / (4 * (2 * a + 1));
        CHECK_NEAR(sum / 20000, .5, 5 * sqrt(var / 20000));
        CHECK_NEAR(square / 20000, var, .02 * var + 5e-4);
        CHECK_NEAR(fourth / 20000, 3 * var * var * (2 * a + 1) / (2 * a + 3), .04 * fourth / 20000 + 2e-4);
    }
}

TEST(erase, sides_as_timm) {
    ehm_arena a = {0};
    int h, w, eh, ew, n = 0, n_none = 0;
    double share, aspect;
    for (const char *at = after_line(golden("erase_sizes.csv", &a));
         sscanf(at, "%d,%d,%lf,%lf,%d,%d", &h, &w, &share, &aspect, &eh, &ew) == 6; at = after_line(at), n++) {
        int32_t gh = 0, gw = 0;
        bool fits = ehm_erase_size(&gh, &gw, h, w, share, aspect);
        if (!gh || !gw) gh = gw = 0; /* nothing is erased */
        n_none += !fits;
        if (gh != eh || gw != ew)
            ehm_test_fail(__FILE__, __LINE__, "%dx%d, %g, %g: %dx%d, expected %dx%d", h, w, share, aspect, gh, gw, eh, ew);
    }
    CHECK_INT(n, 200);
    CHECK(n_none > 20);
    ehm_arena_free(&a);
}

TEST(erase, moments_as_timm) {
    enum { DRAWS = 6000 };
    static float px[90 * 90];
    static const double mean = 5, std = .25;
    ehm_arena a = {0};
    int h, w, n, used;
    double share, noise = 0, noise2 = 0, n_noise = 0;
    for (const char *at = after_line(golden("erase_moments.csv", &a)); sscanf(at, "%d,%d,%d,%lf%n", &h, &w, &n, &share, &used) == 4;
         at = after_line(at)) {
        double want[8], sum[4] = {0}, square[4] = {0};
        int hit = 0;
        at += used;
        for (int i = 0; i < 8; i++) want[i] = strtod(at + 1, (char **)&at);
        for (int i = 0; i < DRAWS; i++) {
            ehm_rng r = ehm_rng_of(9, EHM_RNG_erase, 1, (uint64_t)i);
            int lo_y = h, lo_x = w, hi_y = -1, hi_x = -1;
            memset(px, 0, sizeof *px * (size_t)(h * w));
            ehm_erase(px, h, w, 1, .25, &mean, &std, &r);
            for (int k = 0; k < h * w; k++) {
                if (px[k] == 0) continue;
                int y = k / w, x = k % w;
                lo_y = y < lo_y ? y : lo_y, hi_y = y > hi_y ? y : hi_y, lo_x = x < lo_x ? x : lo_x, hi_x = x > hi_x ? x : hi_x;
                noise += (double)px[k], noise2 += (double)px[k] * (double)px[k], n_noise++;
            }
            if (hi_y < 0) continue;
            hit++;
            double v[4] = {lo_y, lo_x, hi_y - lo_y + 1, hi_x - lo_x + 1};
            for (int k = 0; k < 4; k++) sum[k] += v[k], square[k] += v[k] * v[k];
        }
        CHECK_NEAR(hit / (double)DRAWS, share, .03);
        for (int k = 0; k < 4; k++) {
            double m = sum[k] / hit, s = sqrt(square[k] / hit - m * m), error = want[4 + k] * sqrt(1. / hit + 1. / (share * n));
            CHECK_NEAR(m, want[k], 5 * error);
            CHECK_NEAR(s, want[4 + k], 5 * error);
        }
    }
    CHECK_NEAR(noise / n_noise, mean, .01);
    CHECK_NEAR(sqrt(noise2 / n_noise - noise / n_noise * noise / n_noise), std, .01);
    ehm_arena_free(&a);
}
