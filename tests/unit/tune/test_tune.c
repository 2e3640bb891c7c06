/* The loop of training with labels: resumed runs, threads, frozen encoders, saved networks, what is refused. */
#include "tune_fixture.h"

static void whole(const char *run, const char *device, const char *threads, const char *key, const char *value) {
    fixture f;
    fx_begin(&f, run);
    fx_set(&f, "device", device), fx_set(&f, "threads", threads);
    if (key) fx_set(&f, key, value);
    CHECK_OK(fx_run(&f, 0, NULL, NULL), &f.err);
    fx_end(&f);
}

/* Stopped in its fifth step; what the sixth batch would be is then asked of the checkpoint. */
static void in_two(const char *run, const char *device, const char *threads, const char *key, const char *value, int64_t per_step) {
    fixture f;
    ehm_tune_result res;
    fx_begin(&f, run);
    fx_set(&f, "device", device), fx_set(&f, "threads", threads);
    if (key) fx_set(&f, key, value);
    CHECK_INT(fx_run(&f, 5 * per_step, NULL, &res), EHM_E_STOPPED);
    CHECK_INT(res.steps, 5);
    fx_end(&f);
    fx_begin(&f, run);
    fx_set(&f, "device", device), fx_set(&f, "threads", threads), fx_set(&f, "resume", "true");
    if (key) fx_set(&f, key, value);
    CHECK_OK(fx_run(&f, 0, NULL, &res), &f.err);
    CHECK_INT(res.steps_here, 7);
    fx_end(&f);
}

static void same_runs(const char *a, const char *b) {
    static const char *const files[] = {"model.safetensors", "metrics.jsonl", "checkpoints/00000012/state.bin", "checkpoints/00000012/tune.json", "DONE"};
    fixture f = {0};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        fx_same(&f, ehm_arena_printf(&f.a, "%s/%s", a, files[i]), ehm_arena_printf(&f.a, "%s/%s", b, files[i]));
    ehm_arena_free(&f.a);
}

TEST(tune, resumes_bit_for_bit) {
    whole("a", "ref", "1", NULL, NULL);
    in_two("b", "ref", "1", NULL, NULL, 1);
    same_runs("a", "b");
}

TEST(tune, resumes_with_average_and_micro_batches) {
    fixture f;
    fx_begin(&f, "a");
    fx_set(&f, "ema", "0.9"), fx_set(&f, "accum_iter", "2");
    CHECK_OK(fx_run(&f, 0, NULL, NULL), &f.err);
    fx_end(&f);
    fx_begin(&f, "b");
    fx_set(&f, "ema", "0.9"), fx_set(&f, "accum_iter", "2");
    CHECK_INT(fx_run(&f, 10, NULL, NULL), EHM_E_STOPPED);
    fx_end(&f);
    fx_begin(&f, "b"); /* the average is taken over from the run */
    fx_set(&f, "resume", "true"), fx_set(&f, "accum_iter", "2");
    CHECK_OK(fx_run(&f, 0, NULL, NULL), &f.err);
    fx_end(&f);
    same_runs("a", "b");
}

TEST(tune, any_thread_count_on_ref) {
    whole("a", "ref", "1", NULL, NULL);
    whole("b", "ref", "3", "workers", "3");
    same_runs("a", "b");
}

TEST(tune, resumes_on_cpu) {
    fixture f = {0};
    ehm_dev *d = NULL;
    if (ehm_dev_open(&d, "cpu", 2, &f.err)) SKIP("the cpu device does not run here");
    ehm_dev_close(d);
    whole("a", "cpu", "2", NULL, NULL);
    in_two("b", "cpu", "2", NULL, NULL, 1);
    same_runs("a", "b");
}

static ehm_st *opened(fixture *f, const char *name) {
    ehm_st *s;
    REQUIRE_OK(ehm_st_open(&s, fx_path(f, name), &f->err), &f->err);
    return s;
}

TEST(tune, frozen_leaves_the_encoder) {
    fixture f;
    fx_begin(&f, NULL);
    f.setup.frozen = true;
    fx_set(&f, "drop_path", "0"), fx_set(&f, "layer_decay", "1"), fx_set(&f, "weight_decay", "0.5");
    CHECK_OK(fx_run(&f, 0, "m.safetensors", NULL), &f.err);
    ehm_st *before = opened(&f, "encoder.safetensors"), *after = opened(&f, "m.safetensors");
    int32_t n_same = 0, n_head = 0;
    for (int32_t i = 0; i < ehm_st_count(after); i++) {
        const ehm_st_tensor *y = ehm_st_at(after, i), *x = ehm_st_find(before, y->name);
        if (!x) n_head++;
        else if (memcmp(x->data, y->data, y->bytes)) ehm_test_fail(__FILE__, __LINE__, "%s has changed", y->name);
        else n_same++;
    }
    CHECK_INT(n_head, 4); /* fc_norm and head */
    CHECK_INT(n_same, 2 + 2 + 2 * 12);
    CHECK(!ehm_st_find(after, "norm.weight"));
    ehm_st_close(before), ehm_st_close(after);
    fx_set(&f, "drop_path", "0.1");
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_CONFIG, "--frozen keeps it");
    fx_end(&f);
}

/* What a saved network says is what it said when it was trained. */
TEST(tune, a_saved_network_predicts_the_same) {
    fixture f;
    ehm_tune *t;
    ehm_classify *k;
    ehm_tune_result res;
    static uint8_t px[3 * 32 * 32 * 3];
    float own[3 * 16], again[3 * 16];
    const ehm_json *meta;
    for (size_t i = 0; i < sizeof px; i++) px[i] = (uint8_t)(i * 37 + i / 91);
    fx_begin(&f, NULL);
    fx_set(&f, "ema", "0.5"), fx_set(&f, "steps", "4");
    REQUIRE_OK(fx_open(&f, &t, &k), &f.err);
    REQUIRE_OK(ehm_tune_run(t, &res, &f.err), &f.err);
    int32_t n = ehm_classify_n(k);
    REQUIRE(n <= 16);
    REQUIRE_OK(ehm_tune_infer(t, px, EHM_U8, 3, &f.err), &f.err);
    ehm_download(ehm_tune_device(t), own, ehm_classify_logits(k, 3), (size_t)n * 3 * sizeof *own);
    REQUIRE_OK(ehm_tune_save(t, fx_path(&f, "m.safetensors"), &f.err), &f.err);
    ehm_tune_close(t);
    REQUIRE_OK(ehm_tuned_meta(&meta, fx_path(&f, "m.safetensors"), &f.a, &f.err), &f.err);
    CHECK_STR(ehm_json_str_or(meta, "name", ""), "finetune");
    REQUIRE_OK(ehm_classify_from_meta(&k, meta, &f.err), &f.err);
    CHECK_STR(ehm_classify_name(k, 0), f.opt.names[0]);
    REQUIRE_OK(ehm_tuned_open(&t, fx_path(&f, "m.safetensors"), &ehm_classify_task, k, &f.c, &f.err), &f.err);
    CHECK_STR(ehm_tune_fit(t), "crop");
    REQUIRE_OK(ehm_tune_infer(t, px, EHM_U8, 3, &f.err), &f.err);
    ehm_download(ehm_tune_device(t), again, ehm_classify_logits(k, 3), (size_t)n * 3 * sizeof *again);
    CHECK(!memcmp(own, again, (size_t)n * 3 * sizeof *own));
    CHECK_FAILS(ehm_tune_infer(t, px, EHM_U8, 65, &f.err), &f.err, EHM_E_ARG, "made for 1 to 64");
    ehm_tune_close(t);
    CHECK_FAILS(ehm_tuned_meta(&meta, fx_path(&f, "encoder.safetensors"), &f.a, &f.err), &f.err, EHM_E_MISMATCH, "no task that was learned");
    fx_end(&f);
}

TEST(tune, loss_falls) {
    fixture f;
    ehm_tune_result first, last;
    fx_begin(&f, NULL);
    f.opt.mix.prob = 0, f.opt.smoothing = 0;
    f.setup.loader = (ehm_loader_opt){.augment = true, .crop_min = 0.9, .crop_max = 1};
    fx_set(&f, "drop_path", "0"), fx_set(&f, "lr", "4e-3"), fx_set(&f, "steps", "1");
    CHECK_OK(fx_run(&f, 0, NULL, &first), &f.err);
    fx_set(&f, "steps", "300");
    CHECK_OK(fx_run(&f, 0, NULL, &last), &f.err);
    CHECK_NEAR(first.loss, log(f.opt.n_classes), 0.01); /* the head starts almost at nothing */
    if (!(last.loss < 0.75 * first.loss)) ehm_test_fail(__FILE__, __LINE__, "the loss went from %g to %g", first.loss, last.loss);
    fx_end(&f);
}

/* Pictures that are left out of training have no part in it: their labels may be anything. */
TEST(tune, what_is_not_kept_is_not_learned) {
    fixture f;
    bool keep[40];
    int32_t other[16];
    fx_begin(&f, NULL);
    for (int i = 0; i < 40; i++) keep[i] = ehm_dataset_label(f.ds, i) != 0;
    for (int i = 0; i < 16; i++) other[i] = i;
    f.setup.keep = keep;
    CHECK_OK(fx_run(&f, 0, "a.safetensors", NULL), &f.err);
    other[0] = 1, f.opt.in_model = other;
    CHECK_OK(fx_run(&f, 0, "b.safetensors", NULL), &f.err);
    fx_same(&f, "a.safetensors", "b.safetensors");
    for (int i = 0; i < 40; i++) keep[i] = false;
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_CONFIG, "no picture to learn from");
    fx_end(&f);
}

TEST(tune, another_input_size) {
    fixture f;
    fx_begin(&f, NULL);
    f.setup.img_h = 48, f.setup.img_w = 24;
    fx_set(&f, "steps", "2");
    CHECK_OK(fx_run(&f, 0, "m.safetensors", NULL), &f.err);
    ehm_st *s = opened(&f, "m.safetensors");
    CHECK_INT(ehm_st_find(s, "pos_embed")->dim[1], 1 + 6 * 3);
    CHECK_STR(ehm_st_meta_get(s, "img_h"), "48");
    ehm_st_close(s);
    f.setup.img_h = 49;
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_CONFIG, "49");
    fx_end(&f);
}

TEST(tune, refuses) {
    fixture f;
    ehm_tune_result res;
    fx_begin(&f, "r");
    CHECK_INT(fx_run(&f, 3, NULL, NULL), EHM_E_STOPPED);
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_CONFIG, "holds a run");
    fx_set(&f, "resume", "true"), fx_set(&f, "layer_decay", "0.5");
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_MISMATCH, "layer_decay 0.75");
    fx_set(&f, "layer_decay", "0.75"), fx_set(&f, "seed", "6");
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_MISMATCH, "seed 5");
    fx_set(&f, "seed", "5");
    f.opt.pool_cls = true;
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_MISMATCH, "its head");
    f.opt.pool_cls = false;
    CHECK_OK(fx_run(&f, 0, NULL, &res), &f.err);
    CHECK_OK(fx_run(&f, 0, NULL, &res), &f.err);
    CHECK(res.already_done);
    fx_set(&f, "batch_size", "41");
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_MISMATCH, "batch_size 8");
    fx_end(&f);
    fx_begin(&f, NULL);
    fx_set(&f, "batch_size", "41");
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_CONFIG, "more than the 40 pictures");
    fx_set(&f, "batch_size", "8"), fx_set(&f, "save_every", "3");
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_CONFIG, "needs a run folder");
    fx_end(&f);
    fx_begin(&f, NULL);
    fx_set(&f, "lr", "1000"), fx_set(&f, "weight_decay", "10"), fx_set(&f, "warmup_epochs", "0"); /* weights grow by 9,999 times a step */
    CHECK_FAILS(fx_run(&f, 0, NULL, NULL), &f.err, EHM_E_NUMERIC, "not finite");
    fx_end(&f);
}
