#include "train_fixture.h"

/* "Same bits": model.safetensors, checkpoint state, metrics.jsonl (contract 4). */
static void same_runs(fixture *f, const char *a, const char *b, const char *step) {
    static const char *const files[] = {"model.safetensors", "encoder.safetensors", "metrics.jsonl"};
    static const char *const parts[] = {"state.bin", "train.json", "manifest.json", "DONE"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) fx_same(f, a, b, files[i]);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) fx_same(f, a, b, ehm_arena_printf(&f->a, "checkpoints/%s/%s", step, parts[i]));
}

static void whole(const char *run, const char *device, const char *threads, const char *more_key, const char *more) {
    fixture f;
    fx_begin(&f, run);
    fx_set(&f, "device", device), fx_set(&f, "threads", threads), fx_set(&f, "steps", "20");
    if (more_key) fx_set(&f, more_key, more);
    CHECK_OK(fx_run(&f, 0, NULL), &f.err);
    fx_end(&f);
}

static void in_two(const char *run, const char *device, const char *threads, const char *more_key, const char *more, int64_t cut) {
    fixture f;
    ehm_train_result res;
    fx_begin(&f, run);
    fx_set(&f, "device", device), fx_set(&f, "threads", threads), fx_set(&f, "steps", "20");
    if (more_key) fx_set(&f, more_key, more);
    CHECK_INT(fx_run(&f, cut, &res), EHM_E_STOPPED);
    CHECK_INT(res.steps, cut);
    CHECK(!fx_has(&f, run, "DONE"));
    fx_end(&f);
    fx_begin(&f, run);
    fx_set(&f, "device", device), fx_set(&f, "threads", threads), fx_set(&f, "resume", "true");
    CHECK_OK(fx_run(&f, 0, &res), &f.err);
    CHECK_INT(res.steps_here, 20 - cut);
    CHECK(fx_has(&f, run, "DONE"));
    fx_end(&f);
}

TEST(resume, ref_20_steps_equal_7_and_13) {
    fixture f;
    fx_begin(&f, NULL);
    whole("a", "ref", "1", NULL, NULL);
    in_two("b", "ref", "1", NULL, NULL, 7);
    same_runs(&f, "a", "b", "00000020");
    fx_end(&f);
}

TEST(resume, ref_any_thread_count) {
    fixture f;
    fx_begin(&f, NULL);
    whole("a", "ref", "1", NULL, NULL);
    whole("b", "ref", "3", NULL, NULL);
    in_two("c", "ref", "3", NULL, NULL, 11);
    same_runs(&f, "a", "b", "00000020");
    same_runs(&f, "a", "c", "00000020");
    fx_end(&f);
}

TEST(resume, cpu) {
    fixture f;
    ehm_dev *d = NULL;
    fx_begin(&f, NULL);
    if (ehm_dev_open(&d, "cpu", 2, &f.err)) SKIP("the cpu device does not run here");
    ehm_dev_close(d);
    whole("a", "cpu", "2", NULL, NULL);
    in_two("b", "cpu", "2", NULL, NULL, 7);
    same_runs(&f, "a", "b", "00000020");
    fx_end(&f);
}

TEST(resume, average_and_accumulation) {
    fixture f;
    fx_begin(&f, NULL);
    whole("a", "ref", "2", "ema", "0.9");
    in_two("b", "ref", "2", "ema", "0.9", 5);
    same_runs(&f, "a", "b", "00000020");
    fx_same(&f, "a", "b", "ema.safetensors");
    ehm_bytes m = fx_read(&f, "a", "model.safetensors"), e = fx_read(&f, "a", "ema.safetensors");
    CHECK(m.len == e.len && memcmp(m.data, e.data, m.len)); /* an average, not a copy */
    whole("c", "ref", "2", "accum_iter", "3");
    in_two("d", "ref", "2", "accum_iter", "3", 6);
    same_runs(&f, "c", "d", "00000020");
    fx_end(&f);
}

TEST(resume, bf16) {
    fixture f;
    fx_begin(&f, NULL);
    fx_set(&f, "dtype", "bf16");
    fx_set(&f, "out", fx_dir(&f, "a")), fx_set(&f, "steps", "8");
    CHECK_OK(fx_run(&f, 0, NULL), &f.err);
    fx_set(&f, "out", fx_dir(&f, "b"));
    CHECK_INT(fx_run(&f, 3, NULL), EHM_E_STOPPED);
    fx_set(&f, "resume", "true");
    CHECK_OK(fx_run(&f, 0, NULL), &f.err);
    same_runs(&f, "a", "b", "00000008");
    fx_end(&f);
}

TEST(resume, absent_folder_starts_afresh_and_finished_says_so) {
    fixture f;
    ehm_train_result res;
    fx_begin(&f, "r");
    fx_set(&f, "steps", "4"), fx_set(&f, "resume", "true");
    CHECK_OK(fx_run(&f, 0, &res), &f.err);
    CHECK_INT(res.steps_here, 4);
    CHECK_OK(fx_run(&f, 0, &res), &f.err);
    CHECK(res.already_done);
    CHECK_INT(res.steps_here, 0);
    fx_end(&f);
    fx_begin(&f, "r");
    CHECK_FAILS(fx_run(&f, 0, NULL), &f.err, EHM_E_CONFIG, "holds a run that is finished");
    fx_set(&f, "overwrite", "true"), fx_set(&f, "steps", "2");
    CHECK_OK(fx_run(&f, 0, &res), &f.err);
    CHECK_INT(res.steps_here, 2);
    CHECK(!fx_has(&f, "r", "checkpoints/00000004/DONE"));
    fx_end(&f);
}

/* Lost between two checkpoints: what was written after the older one is cut, and the end is the same. */
TEST(resume, lines_after_the_checkpoint_are_cut) {
    fixture f;
    fx_begin(&f, NULL);
    whole("a", "ref", "1", "save_steps", "6");
    whole("b", "ref", "1", "save_steps", "6");
    ehm_err err = {0};
    CHECK_OK(ehm_dir_remove(fx_dir(&f, "b/checkpoints/00000020"), &err), &err);
    CHECK_OK(ehm_file_remove(fx_dir(&f, "b/DONE"), &err), &err);
    CHECK_OK(ehm_file_remove(fx_dir(&f, "b/model.safetensors"), &err), &err);
    fixture g;
    fx_begin(&g, "b");
    fx_set(&g, "resume", "true"), fx_set(&g, "save_steps", "6");
    ehm_train_result res;
    CHECK_OK(fx_run(&g, 0, &res), &g.err);
    CHECK_INT(res.steps_here, 2); /* from 18 */
    same_runs(&f, "a", "b", "00000020");
    fx_end(&g);
    fx_end(&f);
}

TEST(resume, damaged_checkpoint_is_passed_over) {
    fixture f, g;
    fx_begin(&f, NULL);
    whole("a", "ref", "1", "save_steps", "6");
    whole("b", "ref", "1", "save_steps", "6");
    ehm_err err = {0};
    ehm_bytes s = fx_read(&f, "b", "checkpoints/00000020/state.bin");
    s.data[100] ^= 1;
    CHECK_OK(ehm_file_write(fx_dir(&f, "b/checkpoints/00000020/state.bin"), s.data, s.len, &err), &err);
    CHECK_OK(ehm_file_remove(fx_dir(&f, "b/DONE"), &err), &err);
    fx_begin(&g, "b");
    fx_set(&g, "resume", "true"), fx_set(&g, "keep", "1");
    ehm_train_result res;
    CHECK_OK(fx_run(&g, 0, &res), &g.err);
    CHECK_INT(res.steps_here, 2);
    same_runs(&f, "a", "b", "00000020");
    /* nothing but damage: never thrown away silently */
    s = fx_read(&g, "b", "checkpoints/00000020/state.bin");
    CHECK_OK(ehm_file_write(fx_dir(&f, "b/checkpoints/00000020/state.bin"), s.data, s.len - 64, &err), &err);
    CHECK_FAILS(fx_run(&g, 0, NULL), &g.err, EHM_E_FORMAT, "the only checkpoint is damaged");
    fx_end(&g);
    fx_end(&f);
}

TEST(resume, mismatch_names_the_first_difference) {
    fixture f;
    fx_begin(&f, "r");
    fx_set(&f, "steps", "6");
    CHECK_INT(fx_run(&f, 3, NULL), EHM_E_STOPPED);
    fx_end(&f);
    static const struct { const char *key, *value, *part; } bad[] = {
        {"mask_ratio", "0.5", "mask_ratio 0.75, but 0.5 is given"}, {"steps", "9", "steps 6, but 9 is given"}, {"embed_dim", "32", "embed_dim 16, but 32"},
        {"batch_size", "4", "batch_size 8, but 4"}, {"seed", "6", "seed 5, but 6"}, {"img_size", "64", "img_size 32, but 64"}, {"min_lr", "1e-4", "min_lr 0"},
        {"log_every", "2", "log_every 3, but 2"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fx_begin(&f, "r");
        fx_set(&f, "resume", "true"), fx_set(&f, bad[i].key, bad[i].value);
        CHECK_FAILS(fx_run(&f, 0, NULL), &f.err, EHM_E_MISMATCH, bad[i].part);
        fx_end(&f);
    }
    static const char *const data[][2] = {{"scenes:3:41:32", "trained on 40 pictures"}, {"scenes:4:40:32", "index hash"}};
    for (int i = 0; i < 2; i++) {
        fx_begin(&f, "r");
        f.c.data = (ehm_strs){0};
        fx_set(&f, "resume", "true"), fx_set(&f, "data", data[i][0]);
        CHECK_FAILS(fx_run(&f, 0, NULL), &f.err, EHM_E_MISMATCH, data[i][1]);
        fx_end(&f);
    }
    /* The same size spelled otherwise is the same; and after all those refusals the run still goes on. */
    fx_begin(&f, "r");
    fx_set(&f, "resume", "true"), fx_set(&f, "img_size", "32x32"), fx_set(&f, "threads", "2"), fx_set(&f, "keep", "1");
    CHECK_OK(fx_run(&f, 0, NULL), &f.err);
    fx_end(&f);
}

TEST(resume, settings_and_data_are_remembered) {
    fixture f, g;
    fx_begin(&f, "r");
    fx_set(&f, "steps", "6");
    CHECK_INT(fx_run(&f, 3, NULL), EHM_E_STOPPED);
    g = (fixture){0};
    ehm_config_init(&g.c);
    fx_set(&g, "out", fx_dir(&f, "r")), fx_set(&g, "resume", "true"), fx_set(&g, "device", "ref");
    ehm_train_result res;
    CHECK_OK(fx_run(&g, 0, &res), &g.err);
    CHECK_INT(res.steps_here, 3);
    whole("a", "ref", "1", NULL, NULL);
    fx_end(&g);
    fx_end(&f);
}

TEST(resume, extend) {
    fixture f;
    ehm_train_result res;
    fx_begin(&f, "r");
    fx_set(&f, "steps", "10");
    CHECK_INT(fx_run(&f, 4, NULL), EHM_E_STOPPED);
    fx_set(&f, "extend", "2");
    CHECK_FAILS(fx_run(&f, 0, NULL), &f.err, EHM_E_CONFIG, "only a finished one is extended");
    fx_set(&f, "extend", "auto"), fx_set(&f, "resume", "true");
    CHECK_OK(fx_run(&f, 0, NULL), &f.err);
    fx_set(&f, "extend", "2");
    CHECK_INT(fx_run(&f, 15, &res), EHM_E_STOPPED);
    CHECK_INT(res.steps_here, 5);
    CHECK(!fx_has(&f, "r", "DONE"));
    fx_set(&f, "extend", "auto");
    CHECK_OK(fx_run(&f, 0, &res), &f.err);
    CHECK_INT(res.steps, 20);
    ehm_json *c;
    ehm_bytes text = fx_read(&f, "r", "config.json");
    REQUIRE_OK(ehm_json_parse(&c, (char *)text.data, text.len, "config.json", &f.a, &f.err), &f.err);
    CHECK_INT(ehm_json_i64_or(ehm_json_get(c, "schedule")->first->next, "origin_step", 0), 10);
    CHECK_STR(ehm_json_str_or(ehm_json_get(ehm_json_get(c, "settings"), "beta2"), "origin", ""), "default");
    CHECK_STR(ehm_json_str_or(ehm_json_get(ehm_json_get(c, "settings"), "lr"), "origin", ""), "flag");
    fx_end(&f);
    fx_begin(&f, "nothing");
    fx_set(&f, "extend", "2");
    CHECK_FAILS(fx_run(&f, 0, NULL), &f.err, EHM_E_CONFIG, "nothing to extend");
    CHECK(!ehm_dir_exists(fx_dir(&f, "nothing")));
    fx_end(&f);
}
