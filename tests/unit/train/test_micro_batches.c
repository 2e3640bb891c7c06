/* Several micro-batches are one step: same loss, same gradient, same rate as the same pictures at once. */
#include "base/json.h"
#include "train_fixture.h"

typedef struct { double loss[4], norm[4]; int64_t n; } curve;

static void train_two(curve *out, const char *run, const char *batch_size, const char *accum_iter) {
    fixture f;
    ehm_bytes text;
    fx_begin(&f, run);
    fx_set(&f, "steps", "2"), fx_set(&f, "log_every", "1"), fx_set(&f, "warmup_epochs", "0"), fx_set(&f, "recipe", "mae"); /* trees subtract a mean over batches */
    fx_set(&f, "batch_size", batch_size), fx_set(&f, "accum_iter", accum_iter), fx_set(&f, "clip_grad", "0");
    REQUIRE_OK(fx_run(&f, 0, NULL), &f.err);
    text = fx_read(&f, run, "metrics.jsonl");
    *out = (curve){0};
    for (char *p = (char *)text.data; *p && out->n < 4; p += strcspn(p, "\n") + 1) {
        ehm_json *j;
        REQUIRE_OK(ehm_json_parse(&j, p, strcspn(p, "\n"), "metrics.jsonl", &f.a, &f.err), &f.err);
        out->loss[out->n] = ehm_json_num_or(j, "loss", 0);
        out->norm[out->n++] = ehm_json_num_or(j, "grad_norm", 0);
    }
    fx_end(&f);
}

TEST(micro_batches, equal_one_batch) {
    curve once, twice;
    train_two(&once, "once", "16", "1");
    train_two(&twice, "twice", "8", "2");
    REQUIRE(once.n == 2 && twice.n == 2);
    for (int i = 0; i < 2; i++) {
        CHECK_NEAR(twice.loss[i], once.loss[i], 1e-5 * once.loss[i]);
        CHECK_NEAR(twice.norm[i], once.norm[i], 1e-4 * once.norm[i]);
    }
}

TEST(micro_batches, rate_counts_them_all) {
    fixture f;
    ehm_train *t;
    fx_begin(&f, "r");
    f.c.lr = EHM_AUTO_F64, f.c.origin[EHM_SETI_lr] = EHM_FROM_DEFAULT;
    fx_set(&f, "accum_iter", "2");
    REQUIRE_OK(ehm_train_open(&t, &f.c, EHM_TRAIN_DRY, &f.err), &f.err);
    CHECK_NEAR(ehm_train_facts_of(t)->lr, 1.5e-4 * 8 * 2 / 256, 1e-15);
    ehm_train_close(t);
    fx_end(&f);
}
