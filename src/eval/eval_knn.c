/* k-NN on frozen features: all poolings side by side, lists of k and temperature, raw pixels as a reference
 * row. */
#include "base/log.h"
#include "eval/knn.h"
#include "eval/task_int.h"
#include <stdlib.h>
#include <string.h>

static const ehm_metric metrics[] = {{"top-1", "%", true}};

typedef struct {
    const ehm_config *c;
    ehm_eval_out *out;
    ehm_arena *a;
    double k[EHM_EVAL_LIST_MAX], t[EHM_EVAL_LIST_MAX];
    int32_t n_k, n_t, k_max, n_classes;
    int32_t *predicted; /* of the row to quote so far */
    double best;
} knn_job;

/* Rows of one kind of feature for all k and T. train and test are changed in place (unit rows). */
static ehm_code knn_rows(knn_job *j, ehm_dev *d, const char *model, const char *what, float *train,
                         const ehm_features *ftrain, float *test, const ehm_features *ftest, int32_t dim,
                         bool quote, ehm_err *err) {
    int64_t n = ftest->n;
    int32_t *idx = malloc(sizeof(int32_t) * (size_t)n * (size_t)j->k_max);
    float *sim = malloc(sizeof(float) * (size_t)n * (size_t)j->k_max);
    double *votes = malloc(sizeof(double) * (size_t)j->n_classes);
    int32_t *guess = malloc(sizeof(int32_t) * (size_t)n);
    ehm_code rc = EHM_OK;
    if (!idx || !sim || !votes || !guess) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d neighbours of %lld pictures", j->k_max,
                      (long long)n);
        goto done;
    }
    ehm_knn_unit_rows(train, ftrain->n, dim, ehm_dev_pool(d));
    ehm_knn_unit_rows(test, n, dim, ehm_dev_pool(d));
    if ((rc = ehm_knn_search(idx, sim, d, train, ftrain->n, test, n, dim, j->k_max, err))) goto done;
    for (int32_t ik = 0; ik < j->n_k; ik++)
        for (int32_t it = 0; it < j->n_t; it++) {
            ehm_eval_row *r = ehm_eval_add_row(j->out, j->a);
            float *items = EHM_NEW_N(j->a, float, n);
            char *label = ehm_arena_printf(j->a, "%s, k %d, T %g", what, (int)j->k[ik], j->t[it]);
            double right = 0;
            if (!r || !items || !label) {
                rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table");
                goto done;
            }
            for (int64_t i = 0; i < n; i++) {
                guess[i] = ehm_knn_vote(idx + i * j->k_max, sim + i * j->k_max, (int32_t)j->k[ik], j->t[it],
                                        ftrain->labels, j->n_classes, votes);
                items[i] = guess[i] == ftest->labels[i];
                right += (double)items[i];
            }
            *r = (ehm_eval_row){.model = model, .what = label, .items = items};
            if (quote && (j->out->i_best < 0 || right > j->best)) {
                j->out->i_best = j->out->n_rows - 1;
                j->best = right;
                memcpy(j->predicted, guess, sizeof(int32_t) * (size_t)n);
            }
        }
done:
    free(idx), free(sim), free(votes), free(guess);
    return rc;
}

/* All rows of one model but raw pixels. */
static ehm_code knn_pools(knn_job *j, ehm_dev *d, const char *name, const char *spec, ehm_features *ftrain,
                          ehm_features *ftest, ehm_err *err) {
    double *mean = malloc(sizeof(double) * (size_t)ftrain->dim), *std = malloc(sizeof(double) * (size_t)ftrain->dim);
    ehm_code rc = EHM_OK;
    if (j->k_max > ftrain->n) {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "--k %d, but %s has %lld labelled pictures", j->k_max, spec,
                      (long long)ftrain->n);
        goto done;
    }
    j->out->n_train = ftrain->n, j->out->n_items = ftest->n;
    if (!j->predicted) j->predicted = EHM_NEW_N(j->a, int32_t, ftest->n);
    if (!mean || !std || !j->predicted) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table");
        goto done;
    }
    for (const char *p = j->c->pools; *p && !rc;) {
        size_t len = strcspn(p, ",");
        bool cls = len == 3;
        float *ft = cls ? ftrain->cls : ftrain->mean, *fe = cls ? ftest->cls : ftest->mean;
        const char *plain = ehm_eval_pool_name(cls ? "cls" : "mean", j->c, j->a),
                   *standard = ehm_eval_pool_name(cls ? "cls standardised" : "mean standardised", j->c, j->a);
        if (!plain || !standard) {
            rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table");
            break;
        }
        rc = knn_rows(j, d, name, plain, ft, ftrain, fe, ftest, ftrain->dim, true, err);
        if (rc) break;
        /* unit rows first, then each feature to mean 0 and deviation 1 over the training set, then unit rows
         * again */
        ehm_knn_moments(mean, std, ft, ftrain->n, ftrain->dim);
        ehm_knn_standardise(ft, ftrain->n, ftrain->dim, mean, std, ehm_dev_pool(d));
        ehm_knn_standardise(fe, ftest->n, ftrain->dim, mean, std, ehm_dev_pool(d));
        rc = knn_rows(j, d, name, standard, ft, ftrain, fe, ftest, ftrain->dim, true, err);
        p += len + (p[len] == ',');
    }
done:
    free(mean), free(std);
    return rc;
}

/* All rows of one model; the raw-pixel rows follow when raw is asked for. */
static ehm_code knn_model(knn_job *j, ehm_model *m, const char *name, ehm_dataset *train, ehm_dataset *test,
                          ehm_features *ftest, bool raw, ehm_err *err) {
    ehm_features ftrain = {0};
    ehm_dev *d = ehm_model_device(m);
    char raw_name[64];
    ehm_code rc = ehm_eval_features(&ftrain, ftest, m, train, test, j->c, raw, err);
    if (!rc && raw) rc = ehm_eval_note_twins(j->out, &ftrain, ftest, j->a, err);
    if (!rc) rc = knn_pools(j, d, name, ehm_dataset_spec(train), &ftrain, ftest, err);
    if (!rc && raw) {
        const char *what = ehm_arena_strdup(j->a, ehm_features_raw_name(m, raw_name));
        rc = what ? knn_rows(j, d, "(pixels)", what, ftrain.raw, &ftrain, ftest->raw, ftest, ftrain.raw_dim,
                             false, err)
                  : EHM_FAIL(err, EHM_E_MEMORY, "no memory");
    }
    ehm_features_free(&ftrain);
    return rc;
}

static ehm_code intervals(ehm_eval_out *out, int32_t n_own, ehm_arena *a, ehm_err *err) {
    int32_t n = out->n_rows, n_pair = 0;
    const float **items = EHM_NEW_N(a, const float *, 2 * n);
    double *v = EHM_NEW_N(a, double, 6 * n);
    if (!items || !v) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for intervals");
    for (int32_t i = 0; i < n; i++) items[i] = out->rows[i].items;
    /* own row against the best other row of each kind: the same features of the second model, and the best
     * raw-pixel row */
    int32_t *partner = EHM_NEW_N(a, int32_t, n);
    if (!partner) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for intervals");
    for (int32_t i = 0; i < n; i++) partner[i] = -1;
    for (int32_t i = 0; i < n_own; i++)
        for (int32_t k = n_own; k < n; k++)
            if (!strcmp(out->rows[k].what, out->rows[i].what)) partner[i] = k;
    for (int32_t i = 0; i < n_own; i++) {
        if (partner[i] < 0) continue;
        float *diff = EHM_NEW_N(a, float, out->n_items);
        if (!diff) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for intervals");
        for (int64_t k = 0; k < out->n_items; k++)
            diff[k] = out->rows[i].items[k] - out->rows[partner[i]].items[k];
        items[n + n_pair++] = diff;
    }
    EHM_TRY(ehm_bootstrap(v, v + 2 * n, v + 4 * n, items, n + n_pair, out->n_items, 0, err));
    for (int32_t i = 0, p = n; i < n; i++) {
        ehm_eval_row *r = &out->rows[i];
        r->value = v[i], r->lo = v[2 * n + i], r->hi = v[4 * n + i];
        if (partner[i] >= 0)
            r->has_diff = true, r->diff = v[p], r->diff_lo = v[2 * n + p], r->diff_hi = v[4 * n + p], p++;
    }
    return EHM_OK;
}

static ehm_code read_lists(knn_job *j, ehm_err *err) {
    EHM_TRY(ehm_eval_check_pools(j->c->pools, err));
    if ((j->n_k = ehm_eval_parse_list(j->k, j->c->k, "k", true, err)) < 0) return err->code;
    if ((j->n_t = ehm_eval_parse_list(j->t, j->c->temperature, "temperature", false, err)) < 0) return err->code;
    for (int32_t i = 0; i < j->n_k; i++)
        if ((int32_t)j->k[i] > j->k_max) j->k_max = (int32_t)j->k[i];
    return EHM_OK;
}

ehm_code ehm_eval_knn_rows(ehm_eval_out *out, const ehm_config *c, ehm_dev *d, const char *model, ehm_dataset *classes,
                           ehm_features *ftrain, ehm_features *ftest, ehm_arena *a, ehm_err *err) {
    knn_job j = {.c = c, .out = out, .a = a, .n_classes = ehm_dataset_n_classes(classes)};
    out->task = "knn", out->metrics = metrics, out->n_metrics = 1, out->i_best = -1;
    EHM_TRY(read_lists(&j, err));
    EHM_TRY(knn_pools(&j, d, model, ehm_dataset_spec(classes), ftrain, ftest, err));
    return intervals(out, out->n_rows, a, err);
}

static ehm_code run_knn(ehm_eval_out *out, const ehm_eval_in *in, ehm_arena *a, ehm_err *err) {
    const ehm_config *c = in->config;
    knn_job j = {.c = c, .out = out, .a = a};
    ehm_model_opt opt = {.device = c->device,
                         .threads = EHM_IS_AUTO(c->threads) ? 0 : (int32_t)c->threads,
                         .dtype = c->dtype,
                         .batch = EHM_IS_AUTO(c->eval_batch_size) ? 0 : (int32_t)c->eval_batch_size};
    ehm_model *m = NULL;
    ehm_dataset *train = NULL, *test = NULL;
    ehm_features ftest = {0}, fother = {0};
    int32_t n_own = 0;
    ehm_code rc;
    out->task = "knn", out->metrics = metrics, out->n_metrics = 1, out->i_best = -1;
    out->protocol = "protocol: frozen encoder, evaluation transform, unit features, weighted vote (DINO "
                    "eval_knn); standardised: each feature to "
                    "mean 0 and deviation 1 over the training set; intervals: bootstrap over test pictures, "
                    "2,000 draws (training seeds are not covered)";
    EHM_TRY(read_lists(&j, err));
    if (!c->model) {
        rc = EHM_FAIL(err, EHM_E_CONFIG,
                      "--model is missing: a run folder, a safetensors file or untrained:PRESET");
        goto done;
    }
    if ((rc = ehm_model_open(&m, c->model, &opt, err))) goto done;
    if ((rc = ehm_model_takes_channels(m, c->channels, err))) goto done;
    if ((rc = ehm_eval_check_depths(m, c, err))) goto done;
    if ((rc = ehm_eval_open_pair(&train, &test, c, ehm_model_shape(m)->channels, err))) goto done;
    j.n_classes = ehm_dataset_n_classes(train);
    /* Asked again below: not all of them may have a label and be readable. */
    if (j.k_max > ehm_dataset_count(train)) {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "--k %d, but %s has %lld pictures", j.k_max, ehm_dataset_spec(train),
                      (long long)ehm_dataset_count(train));
        goto done;
    }
    if ((rc = knn_model(&j, m, c->model, train, test, &ftest, true, err))) goto done;
    n_own = out->n_rows;
    if (c->predictions &&
        (rc = ehm_eval_write_predictions(j.predicted, c->predictions, train, test ? test : train, &ftest, err)))
        goto done;
    if (c->confusion &&
        (rc = ehm_eval_write_confusion(out, ftest.labels, j.predicted, ftest.n, 1, c->confusion, train, a, err)))
        goto done;
    if (c->against) {
        ehm_model_close(m);
        m = NULL;
        if ((rc = ehm_model_open(&m, c->against, &opt, err))) goto done;
        int32_t best = out->i_best;
        double right = j.best;
        rc = knn_model(&j, m, c->against, train, test, &fother, false, err);
        out->i_best = best, j.best = right;
        if (rc) goto done;
        if (fother.n != ftest.n) {
            rc = EHM_FAIL(err, EHM_E_MISMATCH,
                          "%s read %lld test pictures and %s read %lld: they cannot be paired", c->model,
                          (long long)ftest.n, c->against, (long long)fother.n);
            goto done;
        }
    }
    if (!test)
        ehm_eval_note(out, a, "no --test given: a share of %g of %s was held out and tested on", c->split,
                      ehm_dataset_spec(train));
    if ((rc = intervals(out, n_own, a, err))) goto done;
    ehm_progress(true, "neighbours found");
    ehm_eval_note(out, a,
                  "masked image modelling gives weak k-NN features by nature; a linear probe or fine-tuning "
                  "shows more");
done:
    ehm_features_free(&ftest);
    ehm_features_free(&fother);
    ehm_dataset_close(train);
    ehm_dataset_close(test);
    ehm_model_close(m);
    return rc;
}

const ehm_eval_task ehm_eval_task_knn = {
    .name = "knn",
    .summary = "nearest neighbours on frozen features, all poolings side by side, raw pixels as a reference",
    .source = "DINO eval_knn: unit features, inner product, vote exp(similarity / T)",
    .metrics = metrics,
    .n_metrics = 1,
    .groups = "knn,pools,depths,confusion",
    .run = run_knn,
};
