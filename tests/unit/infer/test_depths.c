/* Features of several depths, against golden hidden states that are normalised here, and against the whole encoder's. */
#include "../recipe/mae_golden.h"
#include "infer/depths.h"

TEST(depths, parse) {
    ehm_err err = {0};
    int32_t v[EHM_DEPTHS_MAX], n;
    REQUIRE_OK(ehm_depths_parse(v, &n, "3,6,9,12", 12, &err), &err);
    CHECK(n == 4 && v[0] == 3 && v[1] == 6 && v[2] == 9 && v[3] == 12);
    REQUIRE_OK(ehm_depths_parse(v, &n, "last:4", 12, &err), &err);
    CHECK(n == 4 && v[0] == 9 && v[3] == 12);
    REQUIRE_OK(ehm_depths_parse(v, &n, "last:1", 1, &err), &err);
    CHECK(n == 1 && v[0] == 1);
    static const char *const wrong[] = {"", "0", "13", "1,1", "2,1", "1,", ",1", "last:0", "last:13", "last:", "all", "1.5", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK_FAILS(ehm_depths_parse(v, &n, wrong[i], 12, &err), &err, EHM_E_CONFIG, "--depths");
}

static void check(const char *device, int32_t i_case, double tol) {
    golden g;
    char path[600], name[128];
    ehm_model *m;
    ehm_st *data;
    ehm_err err = {0};
    ehm_weights_info info = {0};
    golden_open(&g, i_case, "ref", EHM_F32, false);
    info.shape = g.shape, info.has_decoder = true, info.norm_pix = g.gc->norm_pix, info.has_stats = true;
    memcpy(info.mean, golden_get(&g, "mean")->data, (size_t)g.gc->c * sizeof(double));
    memcpy(info.std, golden_get(&g, "std")->data, (size_t)g.gc->c * sizeof(double));
    strcpy(info.fit, "crop"), strcpy(info.recipe, "mae"), strcpy(info.mask, "random");
    snprintf(path, sizeof path, "%s/model.safetensors", ehm_test_tmp());
    REQUIRE_OK(ehm_weights_save(path, ehm_method_weights(g.m), g.d, &info, true, &err), &err);
    golden_close(&g);
    snprintf(name, sizeof name, "tests/golden/mae/%s_weights.safetensors", golden_cases[i_case].name);
    ehm_st *weights;
    REQUIRE_OK(ehm_st_open(&weights, ehm_test_path(name), &err), &err);
    snprintf(name, sizeof name, "tests/golden/mae/%s_data.safetensors", golden_cases[i_case].name);
    REQUIRE_OK(ehm_st_open(&data, ehm_test_path(name), &err), &err);
    REQUIRE_OK(ehm_model_open(&m, path, &(ehm_model_opt){.device = device, .threads = 2, .dtype = "f32", .batch = 5}, &err), &err);
    const ehm_st_tensor *px = ehm_st_find(data, "pixels"), *hidden = ehm_st_find(data, "hidden1");
    const float *scale = ehm_st_find(weights, "norm.weight")->data, *shift = ehm_st_find(weights, "norm.bias")->data, *h = hidden->data;
    int32_t n = (int32_t)px->dim[0];
    int64_t N = hidden->dim[1], D = hidden->dim[2];
    size_t wide = (size_t)(n * 2 * D);
    float *cls = calloc(wide, sizeof *cls), *mean = calloc(wide, sizeof *mean), *want_cls = calloc(wide, sizeof *cls), *want_mean = calloc(wide, sizeof *cls);
    float *one = calloc(wide, sizeof *cls), *two = calloc(wide, sizeof *cls);
    REQUIRE_OK(ehm_model_cls_mean(m, px->data, EHM_U8, n, one, two, &err), &err);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t t = 0; t < N; t++) { /* the first depth is the golden stream through the final norm */
            double mu = 0, var = 0;
            const float *x = h + (i * N + t) * D;
            for (int64_t k = 0; k < D; k++) mu += (double)x[k] / (double)D;
            for (int64_t k = 0; k < D; k++) var += ((double)x[k] - mu) * ((double)x[k] - mu) / (double)D;
            for (int64_t k = 0; k < D; k++) {
                double v = ((double)x[k] - mu) / sqrt(var + 1e-6) * (double)scale[k] + (double)shift[k];
                if (!t) want_cls[i * 2 * D + k] = (float)v;
                else want_mean[i * 2 * D + k] += (float)(v / (double)(N - 1));
            }
        }
        memcpy(want_cls + (i * 2 + 1) * D, one + i * D, (size_t)D * sizeof *one);
        memcpy(want_mean + (i * 2 + 1) * D, two + i * D, (size_t)D * sizeof *one);
    }
    REQUIRE_OK(ehm_model_depths(m, px->data, EHM_U8, n, (int32_t[]){1, 2}, 2, cls, mean, &err), &err);
    CHECK_CLOSE_F32(cls, want_cls, (int64_t)wide, tol);
    CHECK_CLOSE_F32(mean, want_mean, (int64_t)wide, tol);
    for (int64_t i = 0; i < n; i++) { /* the last is the whole encoder's to the bit */
        CHECK(!memcmp(cls + (i * 2 + 1) * D, one + i * D, (size_t)D * sizeof *one));
        CHECK(!memcmp(mean + (i * 2 + 1) * D, two + i * D, (size_t)D * sizeof *one));
    }
    /* Each alone is a part of both together. */
    REQUIRE_OK(ehm_model_depths(m, px->data, EHM_U8, n, (int32_t[]){1}, 1, one, NULL, &err), &err);
    for (int64_t i = 0; i < n; i++) CHECK(!memcmp(cls + i * 2 * D, one + i * D, (size_t)D * sizeof *one));
    CHECK_FAILS(ehm_model_depths(m, px->data, EHM_U8, 6, (int32_t[]){1}, 1, one, two, &err), &err, EHM_E_ARG, "6 pictures");
    CHECK_FAILS(ehm_model_depths(m, px->data, EHM_U8, n, (int32_t[]){2, 1}, 2, one, two, &err), &err, EHM_E_ARG, "ascending");
    CHECK_FAILS(ehm_model_depths(m, px->data, EHM_U8, n, (int32_t[]){3}, 1, one, two, &err), &err, EHM_E_ARG, "1 to 2");
    CHECK_FAILS(ehm_model_depths(m, px->data, EHM_U8, n, (int32_t[]){1}, 0, one, two, &err), &err, EHM_E_ARG, "0 depths");
    free(cls), free(mean), free(want_cls), free(want_mean), free(one), free(two);
    ehm_st_close(data), ehm_st_close(weights);
    ehm_model_close(m);
}
TEST(depths, ref64) { check("ref64", 0, 1e-6); check("ref64", 1, 1e-6); }
TEST(depths, ref) { check("ref", 0, 1e-5); check("ref", 1, 1e-5); }
TEST(depths, cpu) {
    ehm_dev *d = NULL;
    ehm_err err = {0};
    if (ehm_dev_open(&d, "cpu", 2, &err)) SKIP("the cpu device does not run here");
    ehm_dev_close(d);
    check("cpu", 0, 1e-5);
}
