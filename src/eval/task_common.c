#include "base/file.h"
#include "base/log.h"
#include "eval/task_int.h"
#include <stdlib.h>
#include <string.h>

int32_t ehm_eval_parse_list(double *out, const char *text, const char *key, bool whole, ehm_err *err) {
    int32_t n = 0;
    char part[64];
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ",");
        if (len >= sizeof part || n == EHM_EVAL_LIST_MAX)
            return EHM_FAIL(err, EHM_E_CONFIG, "--%s %s: at most %d numbers, separated by commas", key, text,
                            EHM_EVAL_LIST_MAX),
                   -1;
        memcpy(part, p, len), part[len] = 0;
        if (!ehm_parse_f64(part, &out[n]) || !(out[n] > 0) || !isfinite(out[n]) ||
            (whole && (out[n] < 1 || out[n] > 100000 || out[n] != (double)(int32_t)out[n])))
            return EHM_FAIL(err, EHM_E_CONFIG, "--%s %s: '%s' is no %s above 0", key, text, part,
                            whole ? "whole number" : "number"),
                   -1;
        n++;
        p += len + (p[len] == ',');
    }
    if (!n) EHM_FAIL(err, EHM_E_CONFIG, "--%s is empty", key);
    return n ? n : -1;
}

ehm_code ehm_eval_parse_size(int32_t *h, int32_t *w, const ehm_config *c, ehm_err *err) {
    *h = *w = 0;
    if (!strcmp(c->img_size, "auto") || ehm_parse_size(c->img_size, h, w)) return EHM_OK;
    EHM_FAIL(err, EHM_E_CONFIG, "--img-size %s: must be a number of pixels or HxW", c->img_size);
    EHM_HINT(err, "auto is what the model was trained with; another size resizes its position table");
    return EHM_E_CONFIG;
}

/* A pooling that stood there twice would be standardised twice. */
ehm_code ehm_eval_check_pools(const char *text, ehm_err *err) {
    int32_t n_cls = 0, n_mean = 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ",");
        bool cls = len == 3 && !strncmp(p, "cls", 3), mean = len == 4 && !strncmp(p, "mean", 4);
        if ((!cls && !mean) || (n_cls += cls) > 1 || (n_mean += mean) > 1)
            return EHM_FAIL(err, EHM_E_CONFIG, "--pools %s: must be cls, mean or cls,mean", text);
        if (!p[len]) return EHM_OK;
        p += len;
    }
}

ehm_code ehm_eval_check_depths(ehm_model *m, const ehm_config *c, ehm_err *err) {
    ehm_depths d;
    return c->depths ? ehm_depths_parse(d.depth, &d.n, c->depths, ehm_model_shape(m)->depth, err) : EHM_OK;
}

const char *ehm_eval_pool_name(const char *pool, const ehm_config *c, ehm_arena *a) {
    return c->depths ? ehm_arena_printf(a, "%s of depths %s", pool, c->depths) : pool;
}

static ehm_code both_parts(const ehm_features *ftrain, const ehm_features *ftest, ehm_dataset *train, ehm_dataset *test, const ehm_config *c,
                           ehm_err *err) {
    if (ftrain->n && ftest->n) return EHM_OK;
    if (test == train) {
        EHM_FAIL(err, EHM_E_CONFIG,
                 "--split %g: of the labelled pictures of %s, %lld are left to learn from and %lld to be tested on", c->split,
                 ehm_dataset_spec(train), (long long)ftrain->n, (long long)ftest->n);
        return EHM_HINT(err, "give more pictures, another --split, or a set of its own as --test"), EHM_E_CONFIG;
    }
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s has no readable labelled picture", ehm_dataset_spec(ftrain->n ? test : train));
}

ehm_code ehm_eval_features(ehm_features *ftrain, ehm_features *ftest, ehm_model *m, ehm_dataset *train, ehm_dataset *test,
                           const ehm_config *c, bool want_raw, ehm_err *err) {
    int32_t workers = EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers;
    ehm_split learn = {test ? EHM_PART_ALL : EHM_PART_LEARN, c->split, (uint64_t)c->seed}, held_out = learn;
    ehm_depths depths = {.n = 0};
    if (!test) test = train, held_out.part = EHM_PART_HELD_OUT;
    if (c->depths) EHM_TRY(ehm_depths_parse(depths.depth, &depths.n, c->depths, ehm_model_shape(m)->depth, err));
    EHM_TRY(ehm_features_at(ftrain, m, train, &learn, &depths, workers, want_raw, err));
    EHM_TRY(ehm_features_at(ftest, m, test, &held_out, &depths, workers, want_raw, err));
    return both_parts(ftrain, ftest, train, test, c, err);
}

ehm_code ehm_eval_labels_and_test(ehm_features *labels, ehm_split *learn, ehm_features *ftest, ehm_model *m, ehm_dataset *train, ehm_dataset *test,
                                  const ehm_config *c, bool want_prints, ehm_err *err) {
    int32_t workers = EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers;
    ehm_depths depths = {.n = 0};
    *learn = (ehm_split){test ? EHM_PART_ALL : EHM_PART_LEARN, c->split, (uint64_t)c->seed};
    ehm_split held_out = *learn;
    if (!test) test = train, held_out.part = EHM_PART_HELD_OUT;
    if (c->depths) EHM_TRY(ehm_depths_parse(depths.depth, &depths.n, c->depths, ehm_model_shape(m)->depth, err));
    EHM_TRY(ehm_labels_of(labels, m, train, learn, workers, want_prints, err));
    EHM_TRY(ehm_features_at(ftest, m, test, &held_out, &depths, workers, want_prints, err));
    return both_parts(labels, ftest, train, test, c, err);
}

ehm_code ehm_eval_note_twins(ehm_eval_out *out, const ehm_features *ftrain, const ehm_features *ftest, ehm_arena *a, ehm_err *err) {
    ehm_twins twins;
    EHM_TRY(ehm_prints_match(&twins, ftrain->prints, ftrain->n, ftest->prints, ftest->n, a, err));
    if (!twins.n_b) return EHM_OK;
    ehm_eval_note(out, a, "%lld of %lld test pictures have a near-duplicate in the training set (ehm data TRAIN TEST --check names them)",
                  (long long)twins.n_b, (long long)ftest->n);
    ehm_log(EHM_LOG_WARN, "%lld of %lld test pictures have a near-duplicate in the training set", (long long)twins.n_b,
            (long long)ftest->n);
    return EHM_OK;
}

void ehm_eval_add_cell(ehm_str *s, const char *text) {
    for (; *text; text++) ehm_str_addc(s, (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text);
    ehm_str_addc(s, '\t');
}

ehm_code ehm_eval_write(ehm_str *s, const char *path, ehm_err *err) {
    ehm_code rc = s->failed ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for %s", path) : ehm_dir_make_for(path, err);
    if (!rc) rc = ehm_file_write(path, ehm_str_c(s), s->len, err);
    ehm_str_free(s);
    return rc;
}

ehm_code ehm_eval_write_predictions(const int32_t *predicted, const char *path, ehm_dataset *train, ehm_dataset *test,
                                    const ehm_features *f, ehm_err *err) {
    ehm_str s = {0};
    ehm_str_addf(&s, "file\tlabel\tpredicted\tright\n");
    for (int64_t i = 0; i < f->n; i++) {
        ehm_eval_add_cell(&s, ehm_dataset_name(test, f->ids[i]));
        ehm_eval_add_cell(&s, ehm_dataset_class(train, f->labels[i]));
        ehm_eval_add_cell(&s, ehm_dataset_class(train, predicted[i]));
        ehm_str_addf(&s, "%d\n", predicted[i] == f->labels[i]);
    }
    return ehm_eval_write(&s, path, err);
}

/* ---- confusion ---- */

typedef struct { int64_t count; int32_t truth, predicted; } confused;

/* Keeps the most frequent in order; ties stay in the order of their classes. */
static void keep_pair(confused top[EHM_EVAL_CONFUSED], confused x) {
    for (int32_t i = 0; i < EHM_EVAL_CONFUSED; i++) {
        if (x.count <= top[i].count) continue;
        confused pushed = top[i];
        top[i] = x, x = pushed;
    }
}

static void note_confused(ehm_eval_out *out, const int64_t *count, int32_t k, ehm_dataset *classes, ehm_arena *a) {
    confused top[EHM_EVAL_CONFUSED] = {{0}};
    ehm_str s = {0};
    for (int32_t t = 0; t < k; t++)
        for (int32_t p = 0; p < k; p++)
            if (t != p) keep_pair(top, (confused){count[(int64_t)t * k + p], t, p});
    for (int32_t i = 0; i < EHM_EVAL_CONFUSED && top[i].count; i++) {
        int64_t all = 0;
        for (int32_t p = 0; p < k; p++) all += count[(int64_t)top[i].truth * k + p];
        ehm_str_addf(&s, "%s%s taken for %s (%lld of %lld)", i ? ", " : "", ehm_dataset_class(classes, top[i].truth),
                     ehm_dataset_class(classes, top[i].predicted), (long long)top[i].count, (long long)all);
    }
    if (s.len) ehm_eval_note(out, a, "most confused: %s", ehm_str_c(&s));
    ehm_str_free(&s);
}

ehm_code ehm_eval_write_confusion(ehm_eval_out *out, const int32_t *labels, const int32_t *predicted, int64_t n, int32_t n_draws, const char *path,
                                  ehm_dataset *classes, ehm_arena *a, ehm_err *err) {
    int32_t k = ehm_dataset_n_classes(classes);
    size_t cells;
    int64_t *count = ehm_mul_size(&cells, (size_t)k, (size_t)k) ? calloc(cells, sizeof *count) : NULL;
    ehm_str s = {0};
    if (!count) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a confusion matrix of %d classes", k);
    for (int64_t i = 0; i < n * n_draws; i++) {
        EHM_ASSERT(labels[i % n] >= 0 && labels[i % n] < k && predicted[i] >= 0 && predicted[i] < k);
        count[(int64_t)labels[i % n] * k + predicted[i]]++;
    }
    ehm_str_add(&s, "true");
    for (int32_t c = 0; c < k; c++) {
        ehm_str_addc(&s, '\t'), ehm_eval_add_cell(&s, ehm_dataset_class(classes, c));
        if (s.len) s.s[--s.len] = 0; /* the tab after the name */
    }
    for (int32_t t = 0; t < k; t++) {
        ehm_str_addc(&s, '\n'), ehm_eval_add_cell(&s, ehm_dataset_class(classes, t));
        for (int32_t c = 0; c < k; c++) ehm_str_addf(&s, c ? "\t%lld" : "%lld", (long long)count[(int64_t)t * k + c]);
    }
    ehm_str_addc(&s, '\n');
    ehm_code rc = ehm_eval_write(&s, path, err);
    if (!rc) note_confused(out, count, k, classes, a);
    free(count);
    return rc;
}
