#include "base/file.h"
#include "base/log.h"
#include "eval/task_int.h"
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

ehm_code ehm_eval_features(ehm_features *ftrain, ehm_features *ftest, ehm_model *m, ehm_dataset *train, ehm_dataset *test,
                           const ehm_config *c, bool want_raw, ehm_err *err) {
    int32_t workers = EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers;
    ehm_split learn = {test ? EHM_PART_ALL : EHM_PART_LEARN, c->split, (uint64_t)c->seed}, held_out = learn;
    if (!test) test = train, held_out.part = EHM_PART_HELD_OUT;
    EHM_TRY(ehm_features_of(ftrain, m, train, &learn, workers, want_raw, err));
    EHM_TRY(ehm_features_of(ftest, m, test, &held_out, workers, want_raw, err));
    if (ftrain->n && ftest->n) return EHM_OK;
    if (test == train) {
        EHM_FAIL(err, EHM_E_CONFIG,
                 "--split %g: of the labelled pictures of %s, %lld are left to learn from and %lld to be tested on", c->split,
                 ehm_dataset_spec(train), (long long)ftrain->n, (long long)ftest->n);
        return EHM_HINT(err, "give more pictures, another --split, or a set of its own as --test"), EHM_E_CONFIG;
    }
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s has no readable labelled picture", ehm_dataset_spec(ftrain->n ? test : train));
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
