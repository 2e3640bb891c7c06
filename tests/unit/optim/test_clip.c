#include "harness.h"
#include "optim/clip.h"

/* The numbers of one call; grads [1] each, absent ones are 0 here. */
static void clip(const float grad[3], float loss, float max_norm, float *norm, float *factor) {
    ehm_err err = {0};
    ehm_dev *d;
    ehm_plan plan;
    ehm_clip c;
    ehm_view g[3] = {0}, l = {0};
    REQUIRE_OK(ehm_dev_open(&d, "ref", 1, &err), &err);
    ehm_plan_begin(&plan, d);
    for (int pass = 0; pass < 2; pass++) {
        ehm_clip_plan(&c, &plan);
        for (int i = 0; i < 3; i++)
            if (grad[i] != 0) g[i] = ehm_plan_1d(&plan, EHM_MEM_GRAD, NULL, EHM_F32, 1);
        l = ehm_plan_1d(&plan, EHM_MEM_CACHE, NULL, EHM_F32, 1);
        if (!pass) REQUIRE_OK(ehm_plan_commit(&plan, &err), &err);
    }
    REQUIRE_OK(ehm_plan_end(&plan, &err), &err);
    for (int i = 0; i < 3; i++)
        if (g[i].rank) ehm_upload(d, g[i], &grad[i], sizeof grad[i]);
    ehm_upload(d, l, &loss, sizeof loss);
    ehm_clip_run(&c, d, g, 3, l, max_norm, 1);
    ehm_download(d, norm, c.norm, sizeof *norm);
    ehm_download(d, factor, c.factor, sizeof *factor);
    REQUIRE_OK(ehm_dev_check(d, &err), &err);
    ehm_plan_free(&plan);
    ehm_dev_close(d);
}

TEST(clip, norm_is_of_all_groups_together) {
    float norm, factor;
    clip((float[]){3, 0, 4}, 1, 2.5f, &norm, &factor);
    CHECK_NEAR(norm, 5, 1e-6);
    CHECK_NEAR(factor, 0.5, 1e-6);
    clip((float[]){2, 3, 6}, 1, 0, &norm, &factor); /* 0 only measures */
    CHECK_NEAR(norm, 7, 1e-6);
    CHECK_NEAR(factor, 1, 0);
    clip((float[]){2, 3, 6}, 1, 100, &norm, &factor); /* what is short enough is left alone */
    CHECK_NEAR(factor, 1, 0);
    clip((float[]){0, 0, 0}, 1, 3, &norm, &factor);
    CHECK_NEAR(norm, 0, 0);
}

TEST(clip, a_loss_that_is_no_number_changes_nothing) {
    float norm, factor;
    clip((float[]){3, 0, 4}, NAN, 2.5f, &norm, &factor);
    CHECK(isnan(factor) && !isfinite(norm));
    clip((float[]){3, 0, 4}, INFINITY, 2.5f, &norm, &factor);
    CHECK(isnan(factor) && !isfinite(norm));
}
