#include "harness.h"
#include "loss/loss.h"

/* Mean over rows of the mean square, and its gradient, by hand; a scale applies to the gradient alone. */
TEST(loss, mse_by_hand) {
    const float pred[6] = {1, 2, 3, 4, 5, 6}, target[6] = {0, 2, 5, 4, 4, 6};
    const double want_rows[2] = {(1 + 0 + 4) / 3.0, (0 + 1 + 0) / 3.0};
    ehm_err err = {0};
    ehm_dev *d;
    ehm_plan plan;
    ehm_loss_cache cache;
    ehm_view p, t, dp, loss;
    float got, grad[6];
    const ehm_loss *l = ehm_loss_find("mse", &err);
    REQUIRE(l);
    REQUIRE_OK(ehm_dev_open(&d, "ref", 1, &err), &err);
    ehm_plan_begin(&plan, d);
    for (int pass = 0; pass < 2; pass++) {
        l->plan(&cache, &plan, 4, 3); /* room for more rows than come */
        p = ehm_plan_3d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 1, 2, 3),
        t = ehm_plan_3d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 1, 2, 3);
        dp = ehm_plan_3d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 1, 2, 3),
        loss = ehm_plan_1d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 1);
        if (!pass) REQUIRE_OK(ehm_plan_commit(&plan, &err), &err);
    }
    REQUIRE_OK(ehm_plan_end(&plan, &err), &err);
    ehm_upload(d, p, pred, sizeof pred);
    ehm_upload(d, t, target, sizeof target);
    l->fwd(d, loss, &cache, p, t);
    l->bwd(d, dp, &cache, p, t, 0.5f);
    ehm_download(d, &got, loss, sizeof got);
    ehm_download(d, grad, dp, sizeof grad);
    REQUIRE_OK(ehm_dev_check(d, &err), &err);
    CHECK_NEAR(got, (want_rows[0] + want_rows[1]) / 2, 1e-6);
    for (int i = 0; i < 6; i++) CHECK_NEAR(grad[i], 0.5 * 2 * (pred[i] - target[i]) / 3 / 2, 1e-7);
    ehm_plan_free(&plan);
    ehm_dev_close(d);
}

TEST(loss, registry) {
    ehm_err err = {0};
    int32_t n = 0;
    for (const ehm_loss *const *l = ehm_losses; *l; l++, n++) {
        CHECK((*l)->name && (*l)->summary && (*l)->source && (*l)->plan && (*l)->fwd && (*l)->bwd);
        CHECK(ehm_loss_find((*l)->name, &err) == *l);
    }
    CHECK(n >= 1);
    CHECK(!ehm_loss_find("none", &err));
    CHECK_INT(err.code, EHM_E_CONFIG);
}
