#include "harness.h"
#include "base/file.h"
#include "optim/schedule.h"

/* tests/golden/schedule/mae.tsv: MAE's lr_sched.py and its training loop (accumulation included), see HOW there. */
TEST(schedule, mae_formula) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_bytes text;
    int n = 0;
    REQUIRE_OK(ehm_file_read(&text, ehm_test_path("tests/golden/schedule/mae.tsv"), &a, &err), &err);
    ehm_schedule s = {0};
    for (char *p = (char *)text.data; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
        double epochs, warmup, lr, min_lr, want;
        long long loader, accum, step;
        if (sscanf(p, "case\t%lf\t%lf\t%lf\t%lf\t%lld\t%lld", &epochs, &warmup, &lr, &min_lr, &loader, &accum) == 6) {
            double per = (double)loader / (double)accum;
            ehm_schedule_init(&s, (int64_t)(epochs * per), warmup * per, lr, min_lr);
        } else if (sscanf(p, "%lld\t%lf", &step, &want) == 2) {
            CHECK_NEAR(ehm_schedule_lr(&s, step), want, 1e-12 * (want > 1e-6 ? want : 1e-6));
            n++;
        }
    }
    CHECK(n > 100);
    ehm_arena_free(&a);
}

TEST(schedule, first_update_has_rate_zero) {
    ehm_schedule s;
    ehm_schedule_init(&s, 100, 5, 1e-3, 1e-5);
    CHECK(ehm_schedule_lr(&s, 0) == 0);
    CHECK_NEAR(ehm_schedule_lr(&s, 1), 2e-4, 1e-18);
    CHECK_NEAR(ehm_schedule_lr(&s, 5), 1e-3, 1e-18);
    CHECK(ehm_schedule_lr(&s, 100) == 1e-5);
    CHECK(ehm_schedule_lr(&s, 1000) == 1e-5);
    ehm_schedule_init(&s, 10, 0, 1e-3, 0); /* no warm-up: the top at once */
    CHECK(ehm_schedule_lr(&s, 0) == 1e-3);
}

TEST(schedule, segments) {
    ehm_err err = {0};
    ehm_schedule s;
    ehm_schedule_init(&s, 1000, 50, 1, 0);
    CHECK_OK(ehm_schedule_add(&s, &(ehm_schedule_segment){.first_step = 20, .total_steps = 200, .warmup_steps = 10, .lr = 1}, &err), &err);
    CHECK_NEAR(ehm_schedule_lr(&s, 19), 19.0 / 50, 1e-15); /* what was done stays */
    CHECK_NEAR(ehm_schedule_lr(&s, 20), 0.5 * (1 + cos(M_PI * 10 / 190)), 1e-15);
    CHECK_INT(ehm_schedule_total(&s), 200);
    CHECK_OK(ehm_schedule_add(&s, &(ehm_schedule_segment){.first_step = 200, .origin_step = 200, .total_steps = 100, .warmup_steps = 5, .lr = 2}, &err), &err);
    CHECK_INT(ehm_schedule_total(&s), 300);
    CHECK(ehm_schedule_lr(&s, 200) == 0);
    CHECK_NEAR(ehm_schedule_lr(&s, 205), 2, 1e-15);
    CHECK_FAILS(ehm_schedule_add(&s, &(ehm_schedule_segment){.first_step = 100}, &err), &err, EHM_E_ARG, "step 100");
}

TEST(schedule, progress_is_the_share_of_rates) {
    ehm_schedule s;
    ehm_schedule_init(&s, 1000, 50, 1e-3, 0);
    double total = ehm_schedule_lr_sum(&s, 0, 1000), at = 0;
    CHECK(ehm_schedule_progress(&s, 0, 0, total) == 0);
    CHECK_NEAR(ehm_schedule_progress(&s, 1000, total, total), 1, 0);
    /* Half of the summed rate is spent well before half of the steps. */
    int64_t half = 0;
    while (ehm_schedule_progress(&s, half, at, total) < 0.5) at += ehm_schedule_lr(&s, half++);
    CHECK(half > 250 && half < 340);
    CHECK(at == ehm_schedule_lr_sum(&s, 0, half)); /* however the sum was cut */
    CHECK_NEAR(ehm_schedule_progress(&s, 250, 0, 0), 0.25, 1e-15);
}
