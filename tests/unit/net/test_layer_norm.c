/* The layer norm as the network calls it: MAE's epsilon, on rows so flat that it shows. */
#include "harness.h"
#include "net/layer.h"

TEST(layer_norm, epsilon_as_published) {
    enum { D = 4 };
    /* Variance 1e-6, which is epsilon: each value shrinks to 1 / sqrt(2) of its deviation. torch's own 1e-5
     * would give 1 / sqrt(11). */
    static const float in[2 * D] = {0.001f, -0.001f, 0.001f, -0.001f, 3, 1, 3, 1};
    float out[2 * D], one[D] = {1, 1, 1, 1}, zero[D] = {0};
    ehm_err err = {0};
    ehm_dev *d;
    ehm_params ps = {0};
    ehm_weights w;
    ehm_norm n;
    ehm_norm_cache c;
    ehm_plan plan;
    ehm_view x, y;
    REQUIRE_OK(ehm_dev_open(&d, "ref", 1, &err), &err);
    ehm_norm_add(&n, &ps, "norm", D);
    ehm_plan_begin(&plan, d);
    for (int pass = 0; pass < 2; pass++) {
        ehm_weights_plan(&w, &ps, &plan, EHM_MEM_PARAM, "", EHM_F32);
        x = ehm_plan_2d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 2, D);
        y = ehm_plan_2d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 2, D);
        c.mean = ehm_plan_1d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 2);
        c.rstd = ehm_plan_1d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 2);
        if (!pass) REQUIRE_OK(ehm_plan_commit(&plan, &err), &err);
    }
    REQUIRE_OK(ehm_plan_end(&plan, &err), &err);
    ehm_upload(d, ehm_weight(&w, n.weight), one, sizeof one);
    ehm_upload(d, ehm_weight(&w, n.bias), zero, sizeof zero);
    ehm_upload(d, x, in, sizeof in);
    ehm_norm_layer_fwd(d, y, &c, x, &n, &w);
    ehm_download(d, out, y, sizeof out);
    REQUIRE_OK(ehm_dev_check(d, &err), &err);
    for (int i = 0; i < D; i++) CHECK_NEAR(out[i], i % 2 ? -0.70710678 : 0.70710678, 1e-5);
    for (int i = 0; i < D; i++) CHECK_NEAR(out[D + i], i % 2 ? -0.9999995 : 0.9999995, 1e-6);
    ehm_plan_free(&plan);
    ehm_params_free(&ps);
    ehm_dev_close(d);
}
