/* Small runs for the tests of tune/: a tiny classifier on built-in pictures, settings as text. */
#ifndef EHM_TESTS_TUNE_FIXTURE_H
#define EHM_TESTS_TUNE_FIXTURE_H
#include "harness.h"
#include "base/file.h"
#include "base/log.h"
#include "eval/classify.h"
#include "exchange/weights_file.h"
#include "tune/tune.h"

typedef struct {
    ehm_arena a; ehm_config c; ehm_err err;
    ehm_dataset *ds;
    ehm_tune_setup setup;
    ehm_classify_opt opt;
    ehm_tune_task task;   /* the classifier's, with a load that counts */
} fixture;

static int64_t fx_loads, fx_stop_at; /* batches loaded; a stop is asked for with this one */

static ehm_code fx_load(void *user, ehm_dev *d, const ehm_batch *b, const float **mixed, ehm_err *err) {
    if (++fx_loads == fx_stop_at) ehm_stop_request(2);
    return ehm_classify_task.load(user, d, b, mixed, err);
}

static inline void fx_set(fixture *f, const char *key, const char *value) { REQUIRE_OK(ehm_config_set(&f->c, key, value, EHM_FROM_FLAG, &f->a, &f->err), &f->err); }
static inline char *fx_path(fixture *f, const char *name) { return ehm_arena_printf(&f->a, "%s/%s", ehm_test_tmp(), name); }

/* An encoder of 2 blocks for pictures of 32 px, weights by seed 3. */
static inline void fx_encoder(fixture *f, const char *path) {
    ehm_dev *d;
    ehm_plan plan;
    ehm_params ps = {0};
    ehm_weights w;
    ehm_vit_encoder enc;
    ehm_weights_info info = {.shape = {.img_h = 32, .img_w = 32, .channels = 3, .patch_size = 8, .embed_dim = 16, .depth = 2, .num_heads = 2, .mlp_dim = 64},
                             .has_stats = true, .fit = "crop"};
    for (int i = 0; i < 3; i++) info.mean[i] = info.std[i] = 0.5;
    REQUIRE_OK(ehm_vit_shape_check(&info.shape, &f->err), &f->err);
    REQUIRE_OK(ehm_dev_open(&d, "ref", 1, &f->err), &f->err);
    ehm_vit_encoder_roots(&enc, &ps, &info.shape);
    ehm_vit_encoder_modules(&enc, &ps, &f->a);
    ehm_plan_begin(&plan, d);
    ehm_weights_plan(&w, &ps, &plan, EHM_MEM_PARAM, "", EHM_F32);
    REQUIRE_OK(ehm_plan_commit(&plan, &f->err), &f->err);
    ehm_weights_plan(&w, &ps, &plan, EHM_MEM_PARAM, "", EHM_F32);
    REQUIRE_OK(ehm_plan_end(&plan, &f->err), &f->err);
    ehm_weights_init(&w, d, 3);
    REQUIRE_OK(ehm_weights_save(path, &w, d, &info, true, &f->err), &f->err);
    ehm_plan_free(&plan);
    ehm_params_free(&ps);
    ehm_dev_close(d);
}

/* 40 pictures in batches of 8: 5 steps an epoch. */
static inline void fx_begin(fixture *f, const char *run) {
    static const char *const keys[][2] = {{"device", "ref"}, {"threads", "1"}, {"workers", "2"}, {"dtype", "f32"}, {"batch_size", "8"}, {"lr", "1e-3"},
        {"seed", "5"}, {"steps", "12"}, {"layer_decay", "0.75"}, {"drop_path", "0.3"}};
    *f = (fixture){0};
    ehm_config_init(&f->c);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) fx_set(f, keys[i][0], keys[i][1]);
    char *model = fx_path(f, "encoder.safetensors");
    if (!ehm_file_exists(model)) fx_encoder(f, model);
    fx_set(f, "model", model);
    if (run) fx_set(f, "out", fx_path(f, run)), fx_set(f, "log_every", "3");
    fx_set(f, "train", "scenes:3:40:32");
    REQUIRE_OK(ehm_dataset_open(&f->ds, &f->c.train, &(ehm_dataset_opt){.channels = 3, .ignore_label = -1}, &f->err), &f->err);
    int32_t n = ehm_dataset_n_classes(f->ds);
    const char **names = EHM_NEW_N(&f->a, const char *, n);
    for (int32_t i = 0; i < n; i++) names[i] = ehm_dataset_class(f->ds, i);
    f->opt = (ehm_classify_opt){.n_classes = n, .names = names, .smoothing = 0.1, .mix = {0.8, 1, 1, 0.5}, .seed = 5};
    f->task = ehm_classify_task;
    f->task.load = fx_load;
    f->setup = (ehm_tune_setup){.task = &f->task, .train = f->ds,
                                .loader = {.augment = true, .crop_min = 0.2, .crop_max = 1, .flip = 0.5, .as_f32 = true, .erase = 0.25}};
    fx_loads = fx_stop_at = 0;
}
static inline void fx_end(fixture *f) {
    ehm_dataset_close(f->ds);
    ehm_arena_free(&f->a);
}

static inline ehm_code fx_open(fixture *f, ehm_tune **t, ehm_classify **k) {
    ehm_err_clear(&f->err);
    REQUIRE_OK(ehm_classify_new(k, &f->opt, &f->err), &f->err);
    f->setup.user = *k;
    return ehm_tune_open(t, &f->setup, &f->c, &f->err);
}
/* Opens and runs; stop_at 0: to the end; save: where the network goes, or NULL. */
static inline ehm_code fx_run(fixture *f, int64_t stop_at, const char *save, ehm_tune_result *res) {
    ehm_tune *t;
    ehm_classify *k;
    ehm_tune_result own;
    fx_stop_at = stop_at;
    ehm_code rc = fx_open(f, &t, &k);
    if (rc) return rc;
    rc = ehm_tune_run(t, res ? res : &own, &f->err);
    ehm_stop_request(0);
    if (!rc && save) CHECK_OK(ehm_tune_save(t, fx_path(f, save), &f->err), &f->err);
    ehm_tune_close(t);
    return rc;
}

static inline void fx_same(fixture *f, const char *a, const char *b) {
    ehm_bytes x, y;
    REQUIRE_OK(ehm_file_read(&x, fx_path(f, a), &f->a, &f->err), &f->err);
    REQUIRE_OK(ehm_file_read(&y, fx_path(f, b), &f->a, &f->err), &f->err);
    size_t at = 0, n = x.len < y.len ? x.len : y.len;
    while (at < n && x.data[at] == y.data[at]) at++;
    if (at < n || x.len != y.len) {
        ehm_test_fail(__FILE__, __LINE__, "%s (%zu bytes) and %s (%zu bytes) differ at byte %zu", a, x.len, b, y.len, at);
        if (ehm_ends(a, ".json") || ehm_ends(a, ".jsonl")) printf("--- %s\n%s\n--- %s\n%s\n", a, x.data, b, y.data);
    }
}
#endif
