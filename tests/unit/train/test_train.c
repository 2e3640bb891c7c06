#include "train_fixture.h"
#include <unistd.h>
#include "base/json.h"
#include "exchange/safetensors.h"

static ehm_json *last_line(fixture *f, const char *run, const char *file, int *n) {
    ehm_bytes b = fx_read(f, run, file);
    ehm_json *j = NULL;
    *n = 0;
    for (char *p = (char *)b.data; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL, (*n)++) {
        size_t len = strcspn(p, "\n");
        REQUIRE_OK(ehm_json_parse(&j, p, len, file, &f->a, &f->err), &f->err);
    }
    return j;
}

TEST(train, run_folder) {
    fixture f;
    ehm_train_result res;
    int n;
    fx_begin(&f, "r");
    fx_set(&f, "steps", "10");
    ehm_train *t;
    REQUIRE_OK(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err);
    ehm_train_show(t);
    REQUIRE_OK(ehm_train_run(t, NULL, 0, &res, &f.err), &f.err);
    ehm_train_close(t);
    CHECK_INT(res.steps, 10);
    static const char *const files[] = {"config.json", "metrics.jsonl", "timing.jsonl", "train.log", "model.safetensors", "encoder.safetensors", "DONE", "checkpoints/00000010/DONE"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) CHECK(fx_has(&f, "r", files[i]));
    ehm_json *m = last_line(&f, "r", "metrics.jsonl", &n);
    CHECK_INT(n, 5); /* 1, 3, 6, 9, 10 */
    CHECK_INT(ehm_json_i64_or(m, "step", 0), 10);
    CHECK_NEAR(ehm_json_num_or(m, "epoch", 0), 2, 1e-12);
    CHECK(ehm_json_num_or(m, "loss", 0) > 0.1 && ehm_json_num_or(m, "loss", 9) < 2);
    CHECK(ehm_json_num_or(m, "grad_norm", 0) > 0);
    m = last_line(&f, "r", "timing.jsonl", &n);
    CHECK(ehm_json_num_or(m, "images_per_s", 0) > 0);
    CHECK(ehm_json_num_or(m, "rss", 0) > 1e6);
    ehm_json *c;
    ehm_bytes text = fx_read(&f, "r", "config.json");
    REQUIRE_OK(ehm_json_parse(&c, (char *)text.data, text.len, "config.json", &f.a, &f.err), &f.err);
    CHECK_INT(ehm_json_i64_or(c, "format", 0), 1);
    const ehm_json *s = ehm_json_get(c, "settings");
    CHECK_STR(ehm_json_str_or(ehm_json_get(s, "beta2"), "origin", ""), "default");
    CHECK_STR(ehm_json_str_or(ehm_json_get(s, "mask_ratio"), "origin", ""), "recipe");
    CHECK_STR(ehm_json_str_or(ehm_json_get(s, "steps"), "origin", ""), "flag");
    CHECK_STR(ehm_json_str_or(ehm_json_get(s, "mean"), "origin", ""), "data");
    CHECK_INT(ehm_json_get(ehm_json_get(c, "data"), "mean")->n, 3);
    CHECK_INT(ehm_json_i64_or(ehm_json_get(c, "data"), "count", 0), 40);
    CHECK_INT(ehm_json_i64_or(ehm_json_get(c, "shape"), "embed_dim", 0), 16);
    CHECK(strlen(ehm_json_str_or(ehm_json_get(c, "data"), "hash", "")) == 64);
    text = fx_read(&f, "r", "train.log");
    CHECK_HAS((char *)text.data, "mask_ratio");
    fx_end(&f);
}

TEST(train, loss_falls) {
    fixture f;
    ehm_train_result res;
    int n;
    fx_begin(&f, "r");
    fx_set(&f, "steps", "150"), fx_set(&f, "lr", "3e-3"), fx_set(&f, "device", "auto"), fx_set(&f, "threads", "2");
    REQUIRE_OK(fx_run(&f, 0, &res), &f.err);
    ehm_bytes b = fx_read(&f, "r", "metrics.jsonl");
    ehm_json *first, *last = last_line(&f, "r", "metrics.jsonl", &n);
    REQUIRE_OK(ehm_json_parse(&first, (char *)b.data, strcspn((char *)b.data, "\n"), "metrics", &f.a, &f.err), &f.err);
    double a = ehm_json_num_or(first, "loss", 0), z = ehm_json_num_or(last, "loss", 9);
    if (!(z < a - 0.1)) ehm_test_fail(__FILE__, __LINE__, "loss went from %g to %g in 150 steps", a, z);
    CHECK(ehm_json_num_or(first, "lr", 1) == 0); /* as in MAE */
    fx_end(&f);
}

TEST(train, not_finite_stops_and_keeps) {
    fixture f;
    ehm_st *st = NULL;
    fx_begin(&f, "good");
    fx_set(&f, "steps", "4");
    REQUIRE_OK(fx_run(&f, 0, NULL), &f.err);
    /* the same weights with one infinity */
    REQUIRE_OK(ehm_st_open(&st, fx_dir(&f, "good/model.safetensors"), &f.err), &f.err);
    int32_t n = ehm_st_count(st);
    ehm_st_tensor *t = EHM_NEW_N(&f.a, ehm_st_tensor, n);
    for (int32_t i = 0; i < n; i++) {
        t[i] = *ehm_st_at(st, i);
        if (strcmp(t[i].name, "blocks.1.mlp.fc1.weight")) continue;
        float *poisoned = ehm_arena_alloc(&f.a, t[i].bytes, 1);
        memcpy(poisoned, t[i].data, t[i].bytes);
        poisoned[3] = INFINITY;
        t[i].data = poisoned;
    }
    REQUIRE_OK(ehm_st_write(fx_dir(&f, "bad.safetensors"), t, n, NULL, 0, &f.err), &f.err);
    ehm_st_close(st);
    fx_set(&f, "out", fx_dir(&f, "r")), fx_set(&f, "init", fx_dir(&f, "bad.safetensors"));
    CHECK_FAILS(fx_run(&f, 0, NULL), &f.err, EHM_E_NUMERIC, "step 1");
    CHECK(!fx_has(&f, "r", "DONE"));
    CHECK(!fx_has(&f, "r", "model.safetensors"));
    ehm_json *j;
    ehm_bytes text = fx_read(&f, "r", "nonfinite.json");
    REQUIRE_OK(ehm_json_parse(&j, (char *)text.data, text.len, "nonfinite.json", &f.a, &f.err), &f.err);
    CHECK_INT(ehm_json_i64_or(j, "step", 0), 1);
    CHECK_INT(ehm_json_i64_or(j, "seed", 0), 5);
    CHECK_INT(ehm_json_get(j, "samples")->n, 8);
    CHECK(*ehm_json_str_or(ehm_json_get(j, "samples")->first, "name", ""));
    CHECK_HAS(ehm_json_str_or(j, "first_op", ""), "matmul"); /* the product that read the infinity */
    fx_end(&f);
}

/* A run that blows up after some good steps keeps its last checkpoint, with finite weights in it. */
static ehm_code poison(void *user, const ehm_train_at *at, ehm_err *err) {
    (void)user, (void)err;
    if (at->step != 6) return EHM_OK;
    ehm_view w = ehm_method_weights(ehm_train_method(at->train))->flat[0];
    ehm_view one = ehm_view_rows(w, 7, 1);
    float nan = NAN;
    ehm_upload(ehm_train_device(at->train), one, &nan, sizeof nan);
    ehm_dev_weights_changed(ehm_train_device(at->train));
    return EHM_OK;
}
TEST(train, last_good_checkpoint_stands) {
    fixture f;
    ehm_train *t;
    ehm_train_result res;
    fx_begin(&f, "r");
    fx_set(&f, "steps", "10"), fx_set(&f, "save_steps", "4");
    REQUIRE_OK(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err);
    ehm_train_hook hook = {.stepped = poison};
    CHECK_FAILS(ehm_train_run(t, &hook, 1, &res, &f.err), &f.err, EHM_E_NUMERIC, "step 7");
    ehm_train_close(t);
    CHECK(fx_has(&f, "r", "checkpoints/00000004/DONE"));
    CHECK(!fx_has(&f, "r", "checkpoints/00000006/DONE"));
    fx_set(&f, "resume", "true");
    ehm_err_clear(&f.err);
    CHECK_OK(fx_run(&f, 0, &res), &f.err);
    CHECK_INT(res.steps_here, 6);
    CHECK(!fx_has(&f, "r", "nonfinite.json"));
    fx_end(&f);
}

TEST(train, init_from_a_run) {
    fixture f;
    fx_begin(&f, "a");
    fx_set(&f, "steps", "4");
    REQUIRE_OK(fx_run(&f, 0, NULL), &f.err);
    fx_set(&f, "out", fx_dir(&f, "b")), fx_set(&f, "steps", "1"), fx_set(&f, "init", fx_dir(&f, "a"));
    REQUIRE_OK(fx_run(&f, 0, NULL), &f.err); /* the first update has rate 0: nothing changes */
    ehm_bytes x = fx_read(&f, "a", "model.safetensors"), y = fx_read(&f, "b", "model.safetensors");
    CHECK(x.len == y.len && !memcmp(x.data, y.data, x.len));
    fx_set(&f, "out", fx_dir(&f, "c")), fx_set(&f, "embed_dim", "32");
    CHECK_FAILS(fx_run(&f, 0, NULL), &f.err, EHM_E_MISMATCH, "--init");
    CHECK(!ehm_dir_exists(fx_dir(&f, "c")));
    fx_set(&f, "embed_dim", "16"), fx_set(&f, "init", fx_dir(&f, "nothing"));
    CHECK(fx_run(&f, 0, NULL) != EHM_OK);
    CHECK(!ehm_dir_exists(fx_dir(&f, "c")));
    fx_end(&f);
}

TEST(train, choices_are_settled_with_reasons) {
    fixture f = {0};
    ehm_train *t;
    ehm_config_init(&f.c);
    fx_set(&f, "data", "scenes:1:600:32"), fx_set(&f, "device", "ref"), fx_set(&f, "out", fx_dir(&f, "r")), fx_set(&f, "epochs", "30");
    REQUIRE_OK(ehm_train_open(&t, &f.c, EHM_TRAIN_DRY, &f.err), &f.err);
    const ehm_train_facts *x = ehm_train_facts_of(t);
    const ehm_config *c = ehm_train_config(t);
    CHECK_INT(x->shape.img_h, 32);
    CHECK_INT(x->shape.patch_size, 4);
    CHECK_INT(c->batch_size, 256);
    CHECK_INT(x->batches_per_epoch, 2);
    CHECK_INT(x->total_steps, 60);
    CHECK_NEAR(x->warmup_steps, 3, 1e-9); /* 5 % of the steps */
    CHECK_NEAR(x->lr, 1.5e-4, 1e-15);
    CHECK_STR(c->dtype, "f32");
    CHECK_INT(c->origin[EHM_SETI_preset], EHM_FROM_DATA);
    CHECK(*ehm_train_why(t, EHM_SETI_preset) && *ehm_train_why(t, EHM_SETI_batch_size) && *ehm_train_why(t, EHM_SETI_steps));
    CHECK(x->flops_per_picture > 1e6 && x->checkpoint_bytes > x->n_params * 8);
    CHECK(!ehm_dir_exists(c->out)); /* a dry run leaves nothing */
    ehm_train_close(t);
    fx_end(&f);
    f = (fixture){0};
    ehm_config_init(&f.c);
    fx_set(&f, "data", "scenes:1:100:64"), fx_set(&f, "device", "ref"), fx_set(&f, "out", fx_dir(&f, "r"));
    REQUIRE_OK(ehm_train_open(&t, &f.c, EHM_TRAIN_DRY, &f.err), &f.err);
    CHECK_INT(ehm_train_config(t)->batch_size, 64);
    CHECK_INT(ehm_train_config(t)->origin[EHM_SETI_batch_size], EHM_FROM_DATA);
    CHECK_INT(ehm_train_facts_of(t)->shape.patch_size, 8);
    ehm_train_close(t);
    fx_end(&f);
}

TEST(train, plan_without_data) {
    fixture f = {0};
    ehm_train *t;
    ehm_config_init(&f.c);
    fx_set(&f, "preset", "base"), fx_set(&f, "batch_size", "1"), fx_set(&f, "device", "ref");
    REQUIRE_OK(ehm_train_open(&t, &f.c, EHM_TRAIN_PLAN, &f.err), &f.err);
    const ehm_train_facts *x = ehm_train_facts_of(t);
    CHECK_INT(x->n_params, 111907840); /* the published model, both frozen position tables included */
    CHECK_INT(x->shape.img_h, 224);
    CHECK_INT(x->n_visible, 49);
    CHECK_INT(x->total_steps, -1);
    CHECK(x->plan_bytes[EHM_MEM_PARAM] >= (size_t)x->n_params * 4);
    ehm_train_close(t);
    fx_end(&f);
}

TEST(train, refusals) {
    static const struct { const char *key, *value; ehm_code code; const char *part; } bad[] = {
        {"batch_size", "41", EHM_E_CONFIG, "40 pictures"}, {"mean", "0.5", EHM_E_CONFIG, "3 channels"}, {"mean", "a,b,c", EHM_E_CONFIG, "not a number"},
        {"std", "1,0,1", EHM_E_CONFIG, "above 0"}, {"img_size", "33", EHM_E_CONFIG, "33"}, {"img_size", "big", EHM_E_CONFIG, "HxW"}, {"recipe", "nope", EHM_E_CONFIG, "nope"},
        {"mask", "nope", EHM_E_CONFIG, "nope"}, {"device", "ref64", EHM_E_CONFIG, "does not train"}, {"crop_min", "1", EHM_OK, ""}, {"num_heads", "3", EHM_E_CONFIG, "num_heads"},
        {"cache_memory", "much", EHM_E_CONFIG, "much"}, {"cache_memory", "900000G", EHM_E_MEMORY, "free"}, {"mask_ratio", "0", EHM_E_CONFIG, "mask"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fixture f;
        ehm_train *t = NULL;
        fx_begin(&f, "r");
        fx_set(&f, bad[i].key, bad[i].value);
        if (bad[i].code) {
            CHECK_FAILS(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err, bad[i].code, bad[i].part);
            CHECK(!t);
        }
        ehm_train_close(t);
        CHECK(!ehm_dir_exists(fx_dir(&f, "r")));
        fx_end(&f);
    }
    fixture f;
    ehm_train *t = NULL;
    fx_begin(&f, NULL);
    CHECK_FAILS(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err, EHM_E_CONFIG, "--out");
    fx_set(&f, "out", fx_dir(&f, "r")), fx_set(&f, "steps", "5"), fx_set(&f, "epochs", "5");
    CHECK_FAILS(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err, EHM_E_CONFIG, "two lengths");
    f.c.data = (ehm_strs){0};
    CHECK_FAILS(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err, EHM_E_CONFIG, "no pictures");
    fx_end(&f);
}

TEST(train, memory_that_is_not_there_is_refused_with_what_fits) {
    fixture f;
    ehm_train *t = NULL;
    fx_begin(&f, "r");
    fx_set(&f, "embed_dim", "8192"), fx_set(&f, "depth", "128"); /* 100 billion numbers */
    CHECK_FAILS(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err, EHM_E_MEMORY, "a batch of 8 pictures needs");
    CHECK_HAS(f.err.hint, "--preset");
    fx_set(&f, "batch_size", "auto");
    CHECK_FAILS(ehm_train_open(&t, &f.c, EHM_TRAIN_RUN, &f.err), &f.err, EHM_E_MEMORY, "parameters");
    CHECK(!ehm_dir_exists(fx_dir(&f, "r")));
    ehm_err_clear(&f.err);
    REQUIRE_OK(ehm_train_open(&t, &f.c, EHM_TRAIN_PLAN, &f.err), &f.err); /* a plan is told, not refused */
    ehm_train_close(t);
    fx_end(&f);
    fx_begin(&f, "r");
    f.c.data = (ehm_strs){0};
    fx_set(&f, "data", "scenes:1:1000000:32"), fx_set(&f, "batch_size", "1048576"), fx_set(&f, "embed_dim", "512");
    ehm_code rc = ehm_train_open(&t, &f.c, EHM_TRAIN_DRY, &f.err);
    if (rc) { /* where this fits, the set is too small */
        CHECK(rc == EHM_E_MEMORY || rc == EHM_E_CONFIG);
        if (rc == EHM_E_MEMORY) CHECK_HAS(f.err.hint, "--batch-size");
    }
    ehm_train_close(t);
    fx_end(&f);
}

/* The curriculum follows the length that was fitted, not the provisional one, whose warm-up alone is longer here. */
TEST(train, curriculum_of_the_fitted_length) {
    fixture f;
    ehm_train_result res;
    fx_begin(&f, "r");
    fx_set(&f, "epochs", "1000000"), fx_set(&f, "max_minutes", "0.012"), fx_set(&f, "log_every", "1"), fx_set(&f, "recipe", "mae");
    REQUIRE_OK(fx_run(&f, 0, &res), &f.err);
    int32_t n_between = 0;
    char *line = (char *)fx_read(&f, "r", "metrics.jsonl").data;
    for (; *line; line += strcspn(line, "\n") + 1) {
        ehm_json *m;
        REQUIRE_OK(ehm_json_parse(&m, line, strcspn(line, "\n"), "metrics.jsonl", &f.a, &f.err), &f.err);
        double u = ehm_json_num_or(m, "u", -1);
        n_between += u > 0.1 && u < 0.9;
    }
    if (n_between < (int32_t)(res.steps / 5))
        ehm_test_fail(__FILE__, __LINE__, "%d lines with u between 0.1 and 0.9 in %lld steps", (int)n_between, (long long)res.steps);
    fx_end(&f);
}

TEST(train, time_limit_fits_the_length) {
    fixture f;
    ehm_train_result res;
    fx_begin(&f, "r");
    fx_set(&f, "max_minutes", "0.04"); /* 2.4 s */
    REQUIRE_OK(fx_run(&f, 0, &res), &f.err);
    if (res.steps < 4 || res.steps == 500 || res.seconds > 10) /* 100 epochs would be 500; a busy machine is slow */
        ehm_test_fail(__FILE__, __LINE__, "%lld steps in %g s for a limit of 2.4 s", (long long)res.steps, res.seconds);
    ehm_bytes c = fx_read(&f, "r", "config.json");
    CHECK_HAS((char *)c.data, "\"first_step\"");
    CHECK_HAS((char *)fx_read(&f, "r", "train.log").data, "are enough for");
    /* resumed: the same total, and the same words again are no difference */
    fx_set(&f, "resume", "true");
    REQUIRE_OK(fx_run(&f, 0, &res), &f.err);
    CHECK(res.already_done);
    fx_end(&f);
    fx_begin(&f, "s");
    fx_set(&f, "max_minutes", "0.1"), fx_set(&f, "recipe", "mae"); /* quick steps and time enough, also under a sanitizer on a busy machine */
    CHECK_INT(fx_run(&f, 2, &res), EHM_E_STOPPED); /* before the measuring is over */
    fx_set(&f, "resume", "true");
    REQUIRE_OK(fx_run(&f, 32, &res) == EHM_E_STOPPED ? EHM_OK : EHM_E_ARG, &f.err);
    ehm_json *j;
    ehm_bytes b = fx_read(&f, "s", "checkpoints/00000032/train.json");
    REQUIRE_OK(ehm_json_parse(&j, (char *)b.data, b.len, "train.json", &f.a, &f.err), &f.err);
    const ehm_json *seg = ehm_json_get(j, "schedule")->first->next;
    CHECK(seg != NULL);
    int64_t total = ehm_json_i64_or(seg, "total_steps", 0);
    ehm_err_clear(&f.err);
    REQUIRE_OK(fx_run(&f, 0, &res), &f.err);
    CHECK_INT(res.steps, total);
    fx_end(&f);
}

TEST(train, in_use_is_refused_by_process_id) {
    fixture f;
    ehm_run *r;
    char pid[32];
    fx_begin(&f, "r");
    fx_set(&f, "steps", "2");
    REQUIRE_OK(fx_run(&f, 0, NULL), &f.err);
    REQUIRE_OK(ehm_run_open(&r, fx_dir(&f, "r"), EHM_RUN_RESUME, &f.err), &f.err);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    fx_set(&f, "resume", "true");
    CHECK_FAILS(fx_run(&f, 0, NULL), &f.err, EHM_E_MISMATCH, pid);
    ehm_run_close(r);
    ehm_err_clear(&f.err);
    CHECK_OK(fx_run(&f, 0, NULL), &f.err);
    fx_end(&f);
}

TEST(train, checkpoints_by_steps_and_keep) {
    fixture f;
    fx_begin(&f, "r");
    fx_set(&f, "steps", "11"), fx_set(&f, "save_steps", "2"), fx_set(&f, "keep", "3");
    REQUIRE_OK(fx_run(&f, 0, NULL), &f.err);
    static const char *const there[] = {"00000008", "00000010", "00000011"};
    for (int i = 0; i < 3; i++) CHECK(fx_has(&f, "r", ehm_arena_printf(&f.a, "checkpoints/%s/DONE", there[i])));
    CHECK(!fx_has(&f, "r", "checkpoints/00000006/DONE"));
    fx_end(&f);
}

/* 40 pictures as PPM, one that ends early, one that is none. */
static void write_pictures(fixture *f, const char *dir) {
    ehm_err err = {0};
    static uint8_t px[13 + 32 * 32 * 3] = "P6\n32 32\n255\n";
    REQUIRE_OK(ehm_dir_make(dir, &err), &err);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 32 * 32 * 3; k++) px[13 + k] = (uint8_t)(k * (i + 3) + i * 11);
        REQUIRE_OK(ehm_file_write(ehm_arena_printf(&f->a, "%s/p%02d.ppm", dir, i), px, sizeof px - (i == 17 ? 1000 : 0), &err), &err);
    }
    REQUIRE_OK(ehm_file_write(ehm_arena_printf(&f->a, "%s/notes.txt", dir), "x", 1, &err), &err);
}

TEST(train, bad_files_are_listed_and_limited) {
    fixture f;
    char *dir;
    fx_begin(&f, "r");
    write_pictures(&f, dir = fx_dir(&f, "pictures"));
    f.c.data = (ehm_strs){0};
    fx_set(&f, "data", dir), fx_set(&f, "max_bad", "0.2"), fx_set(&f, "steps", "12");
    REQUIRE_OK(fx_run(&f, 0, NULL), &f.err);
    char *text = (char *)fx_read(&f, "r", "bad_files.tsv").data;
    CHECK_HAS(text, "p17.ppm");
    CHECK(!strstr(text, "notes.txt"));
    int lines = 0;
    for (char *p = text; (p = strchr(p, '\n')); p++) lines++;
    CHECK_INT(lines, 2); /* heading and one */
    fx_set(&f, "out", fx_dir(&f, "s")), fx_set(&f, "max_bad", "0.001");
    CHECK_FAILS(fx_run(&f, 0, NULL), &f.err, EHM_E_FORMAT, "p17.ppm");
    fx_end(&f);
}
