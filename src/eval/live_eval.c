#include "eval/live_eval.h"
#include "eval/task_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEIGHBOURS = 20 };

struct ehm_live_eval {
    ehm_dataset *train, *test; /* test NULL: a share of train */
    const char *paths[2];
};

void ehm_live_eval_close(ehm_live_eval *e) {
    if (!e) return;
    ehm_dataset_close(e->train), ehm_dataset_close(e->test);
    free(e);
}

/* The settings that `ehm eval` would have: what --limit and the flags of training say is of the pictures that are trained on. */
static void settings_of(ehm_config *out, const ehm_config *c) {
    ehm_config_init(out);
    out->seed = c->seed, out->threads = c->threads, out->workers = c->workers, out->alpha = c->alpha, out->max_pixels = c->max_pixels, out->cache = c->cache;
    out->model = "the model in training", out->raw = false;
}

static ehm_code check_flags(const ehm_config *c, ehm_err *err) {
    if (c->eval_train) return EHM_OK;
    const char *key = c->eval_test ? "--eval-test" : !ehm_is_auto_f64(c->eval_every) ? "--eval-every" : NULL;
    if (!key) return EHM_OK;
    EHM_FAIL(err, EHM_E_CONFIG, "%s needs --eval-train: the labelled pictures that evaluations on the way learn from", key);
    return EHM_HINT(err, "for example --eval-train scenes:1:2000 --eval-test scenes:2:1000"), EHM_E_CONFIG;
}

ehm_code ehm_live_eval_open(ehm_live_eval **out, const ehm_config *c, int32_t channels, ehm_err *err) {
    ehm_config own;
    *out = NULL;
    EHM_TRY(check_flags(c, err));
    if (!c->eval_train) return EHM_OK;
    ehm_live_eval *e = calloc(1, sizeof *e);
    if (!e) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for evaluations");
    settings_of(&own, c);
    e->paths[0] = c->eval_train, e->paths[1] = c->eval_test;
    own.train = (ehm_strs){&e->paths[0], 1}, own.test = (ehm_strs){&e->paths[1], c->eval_test != NULL};
    ehm_code rc = ehm_eval_open_pair(&e->train, &e->test, &own, channels, err);
    if (!rc && ehm_dataset_n_classes(e->train) < 2)
        rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s has one class alone, and evaluations tell classes apart", ehm_dataset_spec(e->train));
    if (rc) {
        EHM_WHILE(err, "opening the pictures of --eval-train and --eval-test");
        ehm_live_eval_close(e);
        return rc;
    }
    *out = e;
    return EHM_OK;
}

static ehm_code copy_of(ehm_features *out, const ehm_features *f, ehm_err *err) {
    size_t bytes = sizeof(float) * (size_t)f->n * (size_t)f->dim;
    *out = *f;
    out->cls = malloc(bytes), out->mean = malloc(bytes);
    if (!out->cls || !out->mean) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for features of %lld pictures", (long long)f->n);
    memcpy(out->cls, f->cls, bytes), memcpy(out->mean, f->mean, bytes);
    return EHM_OK;
}

static void add(ehm_live_number *out, int32_t *n, const ehm_eval_out *t) {
    for (int32_t i = 0; i < t->n_rows && *n < EHM_LIVE_NUMBERS; i++) {
        const ehm_eval_row *r = &t->rows[i];
        const char *metric = t->metrics[r->i_metric].name;
        bool standardised = strstr(r->what, "standardised") != NULL, top_1 = !strcmp(metric, "top-1");
        ehm_live_number *v = &out[(*n)++];
        *v = (ehm_live_number){.value = r->value, .lo = r->lo, .hi = r->hi, .quoted = top_1 && (standardised || strcmp(t->task, "knn"))};
        snprintf(v->name, sizeof v->name, "%s_%s%s%s", t->task, ehm_starts(r->what, "cls") ? "cls" : "mean", standardised ? "_standardised" : "",
                 top_1 ? "" : !strcmp(metric, "top-5") ? "_top_5" : "_log_loss");
    }
}

ehm_code ehm_live_eval_run(ehm_live_number out[EHM_LIVE_NUMBERS], int32_t *n, ehm_live_eval *e, ehm_model *m, const ehm_config *c, ehm_arena *a,
                           ehm_err *err) {
    ehm_config own;
    ehm_features f = {0}, g = {0}, f2 = {0}, g2 = {0};
    ehm_eval_out knn = {0}, linear = {0};
    ehm_dev *d = ehm_model_device(m);
    int32_t workers = EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers;
    settings_of(&own, c);
    ehm_split learn = {e->test ? EHM_PART_ALL : EHM_PART_LEARN, own.split, (uint64_t)own.seed}, held_out = learn;
    if (!e->test) held_out.part = EHM_PART_HELD_OUT;
    *n = 0;
    ehm_code rc = ehm_features_quiet(&f, m, e->train, &learn, workers, err);
    if (!rc) rc = ehm_features_quiet(&g, m, e->test ? e->test : e->train, &held_out, workers, err);
    if (!rc && (!f.n || !g.n))
        rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: %lld labelled pictures to learn from and %lld to be tested on can be read", ehm_dataset_spec(e->train),
                      (long long)f.n, (long long)g.n);
    if (rc) goto done;
    own.k = ehm_arena_printf(a, "%d", f.n < NEIGHBOURS ? (int)f.n : NEIGHBOURS);
    if (!own.k) rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for evaluations");
    if (!rc) rc = copy_of(&f2, &f, err);
    if (!rc) rc = copy_of(&g2, &g, err);
    if (!rc) rc = ehm_eval_knn_rows(&knn, &own, d, own.model, e->train, &f2, &g2, a, err);
    if (!rc) rc = ehm_eval_linear_rows(&linear, &own, d, own.model, e->train, &f, &g, a, err);
    if (!rc) add(out, n, &knn), add(out, n, &linear);
done:
    free(f2.cls), free(f2.mean), free(g2.cls), free(g2.mean); /* labels and ids are those of f and g */
    ehm_features_free(&f), ehm_features_free(&g);
    return rc;
}
