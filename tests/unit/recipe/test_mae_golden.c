/* The whole model against an independent one in PyTorch (tests/golden/mae/HOW). */
#include "mae_golden.h"

static void check_loss_and_grads(const char *device, int32_t i_case) {
    golden g;
    ehm_err err = {0};
    golden_open(&g, i_case, device, EHM_F32, true);
    golden_masks(&g, 0);
    REQUIRE_OK(ehm_method_load_masks(g.m, g.d, &g.batch, g.visible, g.masked, g.n_visible, &err), &err);
    ehm_method_fwd(g.m, g.d);
    ehm_method_bwd(g.m, g.d, 1);
    REQUIRE_OK(ehm_dev_check(g.d, &err), &err);
    double want = *(const double *)golden_get(&g, "loss")->data;
    CHECK_NEAR(golden_loss(&g), want, 1e-5 * want);
    const ehm_params *ps = ehm_method_params(g.m);
    int32_t n_checked = 0;
    double worst = 0;
    for (int32_t i = 0; i < ps->n; i++) {
        const ehm_param *p = &ps->item[i];
        if (p->group == EHM_FROZEN) continue;
        const ehm_st_tensor *t = ehm_st_find(g.grads, p->name);
        REQUIRE(t && t->count == p->count);
        ehm_view flat = ehm_method_grad(g.m, p->group);
        double *got = malloc((size_t)p->count * sizeof *got), diff = 0, norm = 0;
        golden_down(g.d, got, ehm_view_of(flat.buf, flat.offset + p->offset, flat.dtype, 1, &p->count));
        for (int64_t k = 0; k < p->count; k++) {
            double y = ((const float *)t->data)[k];
            diff += (got[k] - y) * (got[k] - y), norm += y * y;
        }
        if (!(sqrt(diff) <= 1e-3 * sqrt(norm)))
            ehm_test_fail(__FILE__, __LINE__, "%s %s: gradient of %s is off by %g of its norm %g", device,
                          g.gc->name, p->name, sqrt(diff / norm), sqrt(norm));
        if (sqrt(diff / norm) > worst) worst = sqrt(diff / norm);
        free(got);
        n_checked++;
    }
    CHECK_INT(n_checked, ehm_st_count(g.grads));
    CHECK(worst > 0);
    golden_close(&g);
}

TEST(mae_golden, loss_and_gradients_ref) {
    check_loss_and_grads("ref", 0);
    check_loss_and_grads("ref", 1);
}
TEST(mae_golden, loss_and_gradients_cpu) {
    check_loss_and_grads("cpu", 0);
    check_loss_and_grads("cpu", 1);
}

/* Ten steps of AdamW with clipping at norm 3, a fresh mask each; the first norms of one case are above 3. */
static void check_training(const char *device, int32_t i_case) {
    golden g;
    ehm_err err = {0};
    ehm_plan plan;
    ehm_view moment[2][2], scalar;
    golden_open(&g, i_case, device, EHM_F32, true);
    ehm_weights *w = ehm_method_weights(g.m);
    ehm_plan_begin(&plan, g.d);
    for (int32_t pass = 0; pass < 2; pass++) {
        for (int32_t k = 0; k < 4; k++)
            moment[k / 2][k % 2] =
                ehm_plan_1d(&plan, EHM_MEM_STATE, "moment", EHM_F32, ehm_view_count(w->flat[k / 2]));
        scalar = ehm_plan_1d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 48);
        if (!pass) REQUIRE_OK(ehm_plan_commit(&plan, &err), &err);
    }
    REQUIRE_OK(ehm_plan_end(&plan, &err), &err);
    ehm_view sumsq = ehm_view_rows(scalar, 0, 1), norm = ehm_view_rows(scalar, 16, 1),
             factor = ehm_view_rows(scalar, 32, 1);
    const double *losses = golden_get(&g, "losses")->data, *norms = golden_get(&g, "norms")->data;
    for (int32_t step = 0; step < 10; step++) {
        golden_masks(&g, 1 + step);
        for (int32_t k = 0; k < 2; k++)
            ehm_fill(g.d, &(ehm_fill_args){.x = ehm_method_grad(g.m, k), .value = 0});
        REQUIRE_OK(ehm_method_load_masks(g.m, g.d, &g.batch, g.visible, g.masked, g.n_visible, &err), &err);
        ehm_method_fwd(g.m, g.d);
        ehm_method_bwd(g.m, g.d, 1);
        for (int32_t k = 0; k < 2; k++)
            ehm_sumsq(g.d,
                      &(ehm_sumsq_args){.out = sumsq, .x = ehm_method_grad(g.m, k), .accumulate = k > 0});
        ehm_clip_factor(g.d,
                        &(ehm_clip_factor_args){
                            .factor = factor, .norm = norm, .sumsq = sumsq, .max_norm = 3, .grad_scale = 1});
        for (int32_t k = 0; k < 2; k++)
            ehm_adamw(g.d, &(ehm_adamw_args){.p = w->flat[k],
                                             .g = ehm_method_grad(g.m, k),
                                             .m = moment[k][0],
                                             .v = moment[k][1],
                                             .factor = factor,
                                             .lr = g.gc->lr,
                                             .beta1 = 0.9f,
                                             .beta2 = 0.95f,
                                             .eps = 1e-8f,
                                             .weight_decay = k == EHM_DECAY ? 0.05f : 0,
                                             .t = step + 1});
        ehm_dev_weights_changed(g.d);
        REQUIRE_OK(ehm_dev_check(g.d, &err), &err);
        double n;
        golden_down(g.d, &n, norm);
        CHECK_NEAR(golden_loss(&g), losses[step], 1e-4 * losses[step]);
        CHECK_NEAR(n, norms[step], 1e-3 * norms[step]);
    }
    ehm_plan_free(&plan);
    golden_close(&g);
}

TEST(mae_golden, ten_steps_ref) {
    check_training("ref", 0);
    check_training("ref", 1);
}
TEST(mae_golden, ten_steps_cpu) {
    check_training("cpu", 0);
    check_training("cpu", 1);
}

/* bf16 carries 8 bits: the loss stays near, the gradient as a whole points the same way. */
TEST(mae_golden, bf16_is_near) {
    golden g;
    ehm_err err = {0};
    golden_open(&g, 0, "ref", EHM_BF16, true);
    golden_masks(&g, 0);
    REQUIRE_OK(ehm_method_load_masks(g.m, g.d, &g.batch, g.visible, g.masked, g.n_visible, &err), &err);
    ehm_method_fwd(g.m, g.d);
    ehm_method_bwd(g.m, g.d, 1);
    REQUIRE_OK(ehm_dev_check(g.d, &err), &err);
    double want = *(const double *)golden_get(&g, "loss")->data, diff = 0, norm = 0;
    CHECK_NEAR(golden_loss(&g), want, 1e-2 * want);
    const ehm_params *ps = ehm_method_params(g.m);
    for (int32_t i = 0; i < ps->n; i++) {
        const ehm_param *p = &ps->item[i];
        if (p->group == EHM_FROZEN) continue;
        const float *y = ehm_st_find(g.grads, p->name)->data;
        ehm_view flat = ehm_method_grad(g.m, p->group);
        double *got = malloc((size_t)p->count * sizeof *got);
        golden_down(g.d, got, ehm_view_of(flat.buf, flat.offset + p->offset, flat.dtype, 1, &p->count));
        for (int64_t k = 0; k < p->count; k++)
            diff += (got[k] - y[k]) * (got[k] - y[k]), norm += (double)y[k] * y[k];
        free(got);
    }
    CHECK(sqrt(diff / norm) < 0.05);
    CHECK(sqrt(diff / norm) > 1e-5); /* or the copies in bf16 were not used */
    golden_close(&g);
}

/* Forward only, all patches predicted: the published order of pixels, patches and channels. */
TEST(mae_golden, prediction_of_every_patch) {
    for (int32_t i_case = 0; i_case < 2; i_case++) {
        golden g;
        ehm_err err = {0};
        golden_open(&g, i_case, "ref", EHM_F32, false);
        golden_masks(&g, 0);
        REQUIRE_OK(ehm_method_load_masks(g.m, g.d, &g.batch, g.visible, g.masked, g.n_visible, &err), &err);
        ehm_method_fwd(g.m, g.d);
        REQUIRE_OK(ehm_dev_check(g.d, &err), &err);
        double want = *(const double *)golden_get(&g, "loss")->data;
        CHECK_NEAR(golden_loss(&g), want, 1e-5 * want);
        const ehm_st_tensor *t = golden_get(&g, "pred");
        ehm_view pred = ehm_method_prediction(g.m);
        REQUIRE(ehm_view_count(pred) == t->count);
        float *got = malloc(t->bytes);
        ehm_download(g.d, got, pred, t->bytes);
        CHECK_CLOSE_F32(got, t->data, t->count, 1e-5);
        free(got);
        golden_close(&g);
    }
}

/* Pixels given as floats of 0..1 are the same pictures. */
TEST(mae_golden, float_pixels) {
    golden g;
    ehm_err err = {0};
    golden_open(&g, 0, "ref", EHM_F32, true);
    golden_masks(&g, 0);
    const ehm_st_tensor *px = golden_get(&g, "pixels");
    float *f = malloc((size_t)px->count * sizeof *f);
    for (int64_t i = 0; i < px->count; i++) f[i] = (float)(((const uint8_t *)px->data)[i] / 255.0);
    g.batch.pixels = f, g.batch.type = EHM_F32;
    REQUIRE_OK(ehm_method_load_masks(g.m, g.d, &g.batch, g.visible, g.masked, g.n_visible, &err), &err);
    ehm_method_fwd(g.m, g.d);
    double want = *(const double *)golden_get(&g, "loss")->data;
    CHECK_NEAR(golden_loss(&g), want, 1e-5 * want);
    free(f);
    golden_close(&g);
}
