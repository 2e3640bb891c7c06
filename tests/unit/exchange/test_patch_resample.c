#include "exchange/patch_resample.h"
#include "exchange/safetensors.h"
#include "harness.h"
#include "net/table_resize.h"

static float *get(const ehm_st *f, const char *name, int64_t *count) {
    const ehm_st_tensor *t = ehm_st_find(f, name);
    ehm_err err = {0};
    if (!t) ehm_test_fail(__FILE__, __LINE__, "no tensor %s", name), ehm_test_leave();
    float *v = malloc((size_t)t->count * sizeof *v);
    REQUIRE_OK(ehm_st_to_f32(t, v, &err), &err);
    *count = t->count;
    return v;
}

static ehm_st *golden(void) {
    ehm_st *f;
    ehm_err err = {0};
    REQUIRE_OK(ehm_st_open(&f, ehm_test_path("tests/golden/exchange_resample/resample.safetensors"), &err), &err);
    return f;
}

TEST(patch_resample, kernels_as_timm) {
    static const int32_t row[][2] = {{16, 8}, {16, 14}, {16, 12}, {16, 32}, {16, 1}, {4, 2}, {4, 3}, {4, 8}, {4, 5}, {7, 7}, {7, 6}, {7, 9}};
    ehm_st *f = golden();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char name[40];
        int64_t n_in, n;
        ehm_err err = {0};
        snprintf(name, sizeof name, "kernel.%d", (int)row[i][0]);
        float *in = get(f, name, &n_in);
        snprintf(name, sizeof name, "kernel.%d.to.%d", (int)row[i][0], (int)row[i][1]);
        float *want = get(f, name, &n), *out = malloc((size_t)n * sizeof *out);
        REQUIRE_OK(ehm_patch_resample(out, in, 2, 2, row[i][0], row[i][1], &err), &err);
        if (!ehm_test_close_f32(__FILE__, __LINE__, name, out, want, n, 2e-5)) break;
        free(in), free(want), free(out);
    }
    ehm_st_close(f);
}

/* What the pseudo-inverse is for: a patch made larger gives the same product with the resampled kernel. */
TEST(patch_resample, larger_patches_give_the_same_product) {
    enum { P = 4, Q = 8 };
    float kernel[P * P], out[Q * Q], patch[P * P], large[Q * Q];
    ehm_err err = {0};
    double small = 0, big = 0;
    for (int i = 0; i < P * P; i++) kernel[i] = (float)((i * 7 + 3) % 11) - 5, patch[i] = (float)((i * 5 + 1) % 13) / 13;
    REQUIRE_OK(ehm_table_resize(large, patch, 1, P, P, Q, Q, 0, &err), &err);
    REQUIRE_OK(ehm_patch_resample(out, kernel, 1, 1, P, Q, &err), &err);
    for (int i = 0; i < P * P; i++) small += (double)kernel[i] * (double)patch[i];
    for (int i = 0; i < Q * Q; i++) big += (double)out[i] * (double)large[i];
    CHECK_NEAR(big, small, 1e-5);
}

TEST(patch_resample, channels_as_timm) {
    static const int32_t row[] = {1, 2, 3, 4, 6, 8};
    ehm_st *f = golden();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char name[40];
        int64_t n_in, n;
        snprintf(name, sizeof name, "rgb.to.%d", (int)row[i]);
        float *in = get(f, "rgb", &n_in), *want = get(f, name, &n), *out = malloc((size_t)n * sizeof *out);
        ehm_patch_channels(out, in, 5, 3, row[i], 4);
        CHECK_CLOSE_F32(out, want, n, 1e-6);
        free(in), free(want), free(out);
    }
    ehm_st_close(f);
}

TEST(patch_resample, tables_as_mae_and_timm) {
    static const int32_t row[][2] = {{7, 9}, {2, 3}, {4, 6}, {6, 4}, {1, 13}, {3, 3}};
    ehm_st *f = golden();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char name[40];
        int64_t n_in, n;
        int32_t h = row[i][0], w = row[i][1];
        ehm_err err = {0};
        snprintf(name, sizeof name, "mae.%dx%d", (int)h, (int)w);
        float *in = get(f, "table", &n_in), *want = get(f, name, &n), *out = malloc((size_t)n * sizeof *out);
        REQUIRE_OK(ehm_table_resize_mae(out, in, 5, 4, 6, h, w, 1, &err), &err);
        CHECK_CLOSE_F32(out, want, n, 1e-5);
        free(want);
        snprintf(name, sizeof name, "timm.%dx%d", (int)h, (int)w);
        want = get(f, name, &n);
        REQUIRE_OK(ehm_table_resize(out, in, 5, 4, 6, h, w, 1, &err), &err);
        CHECK_CLOSE_F32(out, want, n, 1e-5);
        free(in), free(want), free(out);
    }
    ehm_st_close(f);
}
