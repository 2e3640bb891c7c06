/* Small runs for the tests of train/: a tiny model on built-in pictures, settings as text. */
#ifndef EHM_TESTS_TRAIN_FIXTURE_H
#define EHM_TESTS_TRAIN_FIXTURE_H
#include "harness.h"
#include "base/file.h"
#include "base/clock.h"
#include "base/log.h"
#include "train/train.h"

typedef struct { ehm_arena a; ehm_config c; ehm_err err; } fixture;
typedef struct { int64_t stop_at; int64_t n_stepped, n_begun, n_ended; } fixture_stop;

static inline void fx_set(fixture *f, const char *key, const char *value) { REQUIRE_OK(ehm_config_set(&f->c, key, value, EHM_FROM_FLAG, &f->a, &f->err), &f->err); }

static inline char *fx_dir(fixture *f, const char *name) { return ehm_arena_printf(&f->a, "%s/%s", ehm_test_tmp(), name); }

/* 40 pictures of 32 px in batches of 8: 5 steps an epoch. */
static inline void fx_begin(fixture *f, const char *run) {
    static const char *const keys[][2] = {{"data", "scenes:3:40:32"}, {"device", "ref"}, {"threads", "1"}, {"workers", "2"}, {"dtype", "f32"}, {"preset", "pico"}, {"img_size", "32"},
        {"patch_size", "8"}, {"embed_dim", "16"}, {"depth", "2"}, {"num_heads", "2"}, {"decoder_embed_dim", "16"}, {"decoder_depth", "1"}, {"decoder_num_heads", "2"},
        {"batch_size", "8"}, {"lr", "1e-3"}, {"log_every", "3"}, {"seed", "5"}};
    *f = (fixture){0};
    ehm_config_init(&f->c);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) fx_set(f, keys[i][0], keys[i][1]);
    if (run) fx_set(f, "out", fx_dir(f, run));
}
static inline void fx_end(fixture *f) { ehm_arena_free(&f->a); }

static inline ehm_code fx_on_begun(void *user, const ehm_train_at *at, ehm_err *err) {
    (void)at, (void)err;
    ((fixture_stop *)user)->n_begun++;
    return EHM_OK;
}
static inline ehm_code fx_on_stepped(void *user, const ehm_train_at *at, ehm_err *err) {
    fixture_stop *s = user;
    (void)err;
    s->n_stepped++;
    if (s->stop_at && at->step >= s->stop_at) ehm_stop_request(2);
    return EHM_OK;
}
static inline ehm_code fx_on_ended(void *user, const ehm_train_at *at, ehm_err *err) {
    (void)at, (void)err;
    ((fixture_stop *)user)->n_ended++;
    return EHM_OK;
}

/* Opens and runs; stop_at 0: to the end. */
static inline ehm_code fx_run(fixture *f, int64_t stop_at, ehm_train_result *res) {
    ehm_train *t;
    ehm_train_result own;
    fixture_stop stop = {.stop_at = stop_at};
    ehm_train_hook hook = {&stop, fx_on_begun, fx_on_stepped, fx_on_ended};
    ehm_err_clear(&f->err);
    ehm_code rc = ehm_train_open(&t, &f->c, EHM_TRAIN_RUN, &f->err);
    if (rc) return rc;
    rc = ehm_train_run(t, &hook, 1, res ? res : &own, &f->err);
    ehm_stop_request(0);
    ehm_train_close(t);
    return rc;
}

static inline ehm_bytes fx_read(fixture *f, const char *run, const char *file) {
    ehm_bytes b = {0};
    ehm_err err = {0};
    char *path = ehm_arena_printf(&f->a, "%s/%s/%s", ehm_test_tmp(), run, file);
    REQUIRE_OK(ehm_file_read(&b, path, &f->a, &err), &err);
    return b;
}
static inline void fx_same(fixture *f, const char *run_a, const char *run_b, const char *file) {
    ehm_bytes x = fx_read(f, run_a, file), y = fx_read(f, run_b, file);
    if (x.len != y.len || memcmp(x.data, y.data, x.len)) {
        size_t at = 0;
        while (at < x.len && at < y.len && x.data[at] == y.data[at]) at++;
        ehm_test_fail(__FILE__, __LINE__, "%s of %s (%zu bytes) and %s (%zu bytes) differ at byte %zu", file, run_a, x.len, run_b, y.len, at);
        if (ehm_ends(file, ".jsonl") || ehm_ends(file, ".json")) printf("--- %s\n%s\n--- %s\n%s\n", run_a, x.data, run_b, y.data);
    }
}
static inline bool fx_has(fixture *f, const char *run, const char *file) {
    return ehm_file_exists(ehm_arena_printf(&f->a, "%s/%s/%s", ehm_test_tmp(), run, file));
}
#endif
