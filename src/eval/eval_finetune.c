/* Fine-tuning: the whole network (or with --frozen its head alone) is trained on labelled pictures as MAE's fine-tuning trains it, and tested once. */
#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "data/inspect.h"
#include "eval/classify.h"
#include "eval/task_int.h"
#include "infer/source.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOP_1, TOP_5, LOG_LOSS, N_METRICS };
static const ehm_metric metrics[N_METRICS] = {{"top-1", "%", true}, {"top-5", "%", true}, {"log loss", "nats", false}};
static const char groups[] = "embed,finetune,crop,size"; /* settings of ours that decide the result */

typedef struct { int32_t n, *of, *in_model; } class_map; /* classes of the network to those of the set, and back (-1: not there) */
typedef struct { int32_t n; double m, std; } rand_augment;
typedef struct { const char *model; float *items[N_METRICS]; int32_t *guess, first_row; } scores;

typedef struct {
    const ehm_config *c;
    ehm_eval_out *out;
    ehm_arena *a;
    ehm_dataset *train, *test;               /* test NULL: a part of train */
    class_map classes;
    bool *keep; int64_t n_learn;             /* [pictures of train] */
    ehm_features f;                          /* the test pictures: labels, ids, prints */
    int32_t img_h, img_w;
    rand_augment augment;
    const char *augment_text; /* what "auto" has become; NULL: it was given */
} job;

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for fine-tuning"); }

/* ---- settings ---- */

/* "m9-mstd0.5", with or without timm's "rand-" in front and "-n2" and "-inc1" behind. */
static ehm_code parse_augment(rand_augment *out, const char *text, ehm_err *err) {
    *out = (rand_augment){.n = 2};
    if (!strcmp(text, "off")) return out->n = 0, EHM_OK;
    bool has_m = false, ok = true;
    for (const char *p = text; *p && ok;) {
        char part[32];
        double v = 0;
        size_t len = strcspn(p, "-"), word = strspn(p, "abcdefghijklmnopqrstuvwxyz");
        ok = len < sizeof part && word <= len;
        if (!ok) break;
        memcpy(part, p + word, len - word), part[len - word] = 0;
        bool number = ehm_parse_f64(part, &v) && isfinite(v);
        if (word == 4 && len == 4 && !strncmp(p, "rand", 4)) ok = p == text;
        else if (word == 1 && *p == 'm') ok = number && v >= 0 && v <= 10, out->m = v, has_m = true;
        else if (word == 4 && !strncmp(p, "mstd", 4)) ok = number && v >= 0 && v <= 100, out->std = v;
        else if (word == 1 && *p == 'n') ok = number && v >= 1 && v <= 16 && v == floor(v), out->n = ok ? (int32_t)v : 2;
        else if (word == 3 && !strncmp(p, "inc", 3)) ok = number && v == 1;
        else ok = false;
        p += len + (p[len] == '-');
    }
    if (ok && has_m) return EHM_OK;
    EHM_FAIL(err, EHM_E_CONFIG, "--rand-augment %s: must be auto, off or a policy such as m9-mstd0.5", text);
    EHM_HINT(err, "m: magnitude 0 to 10; mstd: its deviation; n: operations a picture, 2");
    return EHM_E_CONFIG;
}

static ehm_code check(job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    if (!c->model) return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder, a safetensors file, untrained:RUN or untrained:PRESET");
    if (strcmp(c->pool, "mean") && strcmp(c->pool, "cls")) {
        EHM_FAIL(err, EHM_E_CONFIG, "--pool %s: a classifier reads mean or cls", c->pool);
        return EHM_E_CONFIG;
    }
    if (c->crop_min > c->crop_max) return EHM_FAIL(err, EHM_E_CONFIG, "--crop-min %g is more than --crop-max %g", c->crop_min, c->crop_max);
    EHM_TRY(ehm_eval_parse_size(&j->img_h, &j->img_w, j->c, err));
    if (strcmp(c->rand_augment, "auto")) return parse_augment(&j->augment, c->rand_augment, err);
    return EHM_OK;
}

static ehm_code settle_augment(job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    bool can = ehm_dataset_is_u8(j->train) && ehm_dataset_channels(j->train) == 3;
    if (!strcmp(c->rand_augment, "auto")) {
        j->augment_text = can ? "m9-mstd0.5" : "off";
        if (can) return parse_augment(&j->augment, j->augment_text, err);
        ehm_log(EHM_LOG_NOTE, "RandAugment is off: %s has %s", ehm_dataset_spec(j->train), ehm_dataset_is_u8(j->train) ? "no RGB pictures" : "pictures of more than 8 bits");
    } else if (j->augment.n && !can) {
        EHM_FAIL(err, EHM_E_CONFIG, "--rand-augment %s is for RGB pictures of 8 bits, and %s has others", c->rand_augment, ehm_dataset_spec(j->train));
        EHM_HINT(err, "--rand-augment off");
        return EHM_E_CONFIG;
    }
    return EHM_OK;
}

/* Pictures are brought to what the model takes. */
static ehm_code model_channels(int32_t *out, const job *j, ehm_err *err) {
    ehm_model_source s;
    EHM_TRY(ehm_model_source_open(&s, j->c->model, err));
    *out = s.info.shape.channels;
    ehm_model_source_close(&s);
    if (EHM_IS_AUTO(j->c->channels) || j->c->channels == *out) return EHM_OK;
    EHM_FAIL(err, EHM_E_MISMATCH, "--channels %lld, but the model %s takes %d", (long long)j->c->channels, j->c->model, (int)*out);
    EHM_HINT(err, "leave out --channels: pictures are brought to what the model takes");
    return EHM_E_MISMATCH;
}

/* ---- classes and parts ---- */

/* Without a test set, as all tasks on labelled pictures split one: by (seed, picture). */
static bool held_out(const job *j, int64_t id) {
    ehm_rng r = ehm_rng_of((uint64_t)j->c->seed, EHM_RNG_eval_split, 0, (uint64_t)id);
    return !j->test && ehm_rng_f64(&r) < j->c->split;
}

/* Classes without a picture to learn from are no part of the network. */
static ehm_code find_classes(job *j, ehm_err *err) {
    int64_t n = ehm_dataset_count(j->train), n_plain = 0;
    int32_t n_all = ehm_dataset_n_classes(j->train);
    class_map *k = &j->classes;
    j->keep = EHM_NEW_N(j->a, bool, n);
    k->of = EHM_NEW_N(j->a, int32_t, n_all), k->in_model = EHM_NEW_N(j->a, int32_t, n_all);
    if (!j->keep || !k->of || !k->in_model) return no_memory(err);
    for (int64_t i = 0; i < n; i++) {
        int32_t label = ehm_dataset_label(j->train, i);
        j->keep[i] = label >= 0 && !held_out(j, i);
        j->n_learn += j->keep[i], n_plain += label < 0;
        if (j->keep[i]) k->in_model[label] = 1;
    }
    for (int32_t i = 0; i < n_all; i++) {
        bool there = k->in_model[i];
        k->in_model[i] = there ? k->n : -1;
        if (there) k->of[k->n++] = i;
    }
    if (k->n < 2) {
        if (!j->n_learn) return EHM_FAIL(err, EHM_E_CONFIG, "%s: no labelled picture is left to learn from", ehm_dataset_spec(j->train));
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: all %lld pictures to learn from are of the class \"%s\", and a classifier tells classes apart",
                        ehm_dataset_spec(j->train), (long long)j->n_learn, ehm_dataset_class(j->train, k->of[0]));
    }
    if (n_plain) ehm_eval_note(j->out, j->a, "%lld pictures without a label were left out", (long long)n_plain);
    if (k->n < n_all) ehm_eval_note(j->out, j->a, "%d of %d classes have no picture to learn from", (int)(n_all - k->n), (int)n_all);
    return EHM_OK;
}

/* ---- the test ---- */

typedef struct { job *j; scores *s; ehm_tune *t; ehm_classify *task; float *logits; } testing;

static void score(const testing *x, int64_t at, const float *logit, int32_t truth) {
    int32_t best = 0, before = 0, K = x->j->classes.n;
    double top = -INFINITY, sum = 0, most = -log(2.220446049250313e-16); /* scikit-learn's smallest probability */
    for (int32_t k = 0; k < K; k++)
        if ((double)logit[k] > top) top = (double)logit[k], best = k;
    for (int32_t k = 0; k < K; k++) {
        sum += exp((double)logit[k] - top);
        if (truth >= 0) before += logit[k] > logit[truth] || (!(logit[k] < logit[truth]) && k < truth);
    }
    double loss = truth < 0 ? most : fmin(most, top - (double)logit[truth] + log(sum));
    x->s->items[TOP_1][at] = truth >= 0 && before == 0;
    x->s->items[TOP_5][at] = truth >= 0 && before < 5;
    x->s->items[LOG_LOSS][at] = (float)loss;
    x->s->guess[at] = x->j->classes.of[best];
}

static ehm_code test_batch(testing *x, const ehm_batch *b, int64_t *at, bool first, ehm_err *err) {
    job *j = x->j;
    int32_t K = j->classes.n;
    EHM_TRY(ehm_tune_infer(x->t, b->pixels, b->type, b->n, err));
    ehm_download(ehm_tune_device(x->t), x->logits, ehm_classify_logits(x->task, b->n), (size_t)b->n * (size_t)K * sizeof *x->logits);
    for (int32_t i = 0; i < b->n; i++) {
        if (b->labels[i] < 0 || b->ids[i] != b->slots[i] || (!j->test && !held_out(j, b->ids[i]))) continue; /* unlabelled, a stand-in for a bad file, learned from */
        if (first) j->f.labels[*at] = b->labels[i], j->f.ids[*at] = b->ids[i], j->f.n = *at + 1;
        else if (*at >= j->f.n || j->f.ids[*at] != b->ids[i]) return EHM_FAIL(err, EHM_E_MISMATCH, "the two models were not tested on the same pictures");
        score(x, (*at)++, x->logits + (int64_t)i * K, j->classes.in_model[b->labels[i]]);
    }
    return EHM_OK;
}

static ehm_code run_test(job *j, scores *s, ehm_tune *t, ehm_classify *task, bool first, ehm_err *err) {
    ehm_dataset *ds = j->test ? j->test : j->train;
    const ehm_config *c = ehm_tune_config(t);
    const ehm_vit_shape *shape = ehm_tune_shape(t);
    ehm_loader_opt o = {.batch_size = ehm_tune_batch(t), .h = shape->img_h, .w = shape->img_w, .fit = ehm_tune_fit(t), .n_workers = (int32_t)c->workers, .max_bad = 1};
    size_t n = (size_t)ehm_dataset_count(ds);
    testing x = {j, s, t, task, malloc(sizeof(float) * (size_t)o.batch_size * (size_t)j->classes.n)};
    ehm_loader *l = NULL;
    int64_t at = 0;
    bool ok = x.logits && (s->guess = EHM_NEW_N(j->a, int32_t, n));
    for (int32_t m = 0; m < N_METRICS; m++) ok = (s->items[m] = EHM_NEW_N(j->a, float, n)) && ok;
    if (first) ok = (j->f.labels = malloc(n * sizeof *j->f.labels)) && (j->f.ids = malloc(n * sizeof *j->f.ids)) && ok;
    ehm_code rc = ok ? ehm_loader_open(&l, ds, &o, 0, err) : no_memory(err);
    while (!rc) {
        ehm_batch b = {0};
        ehm_err why = {0};
        rc = ehm_loader_next(l, &b, &why);
        if (rc == EHM_E_STOPPED && !b.n && !ehm_stop_asked()) {
            rc = EHM_OK;
            break;
        }
        if (rc && err && !err->code) *err = why;
        if (!rc && ehm_stop_asked()) rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld test pictures", (long long)at);
        if (!rc) rc = test_batch(&x, &b, &at, first, err);
        ehm_progress(false, "tested on %lld pictures", (long long)at);
    }
    ehm_progress(true, "tested on %lld pictures", (long long)at);
    ehm_loader_close(l);
    free(x.logits);
    if (!rc && (at < 1 || at != j->f.n)) {
        rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: there is no labelled picture to be tested on", ehm_dataset_spec(ds));
        if (!j->test) EHM_HINT(err, "give more pictures, another --split, or a set of its own as --test");
    }
    return rc;
}

/* ---- a model ---- */

static ehm_code add_rows(job *j, scores *s, const ehm_config *used, ehm_err *err) {
    char *what = ehm_arena_printf(j->a, "%s, %s, %g epochs", j->c->frozen ? "head alone" : "whole network", j->c->pool, round(used->epochs * 100) / 100);
    s->first_row = j->out->n_rows;
    for (int32_t m = 0; m < N_METRICS; m++) {
        if (m == TOP_5 && j->classes.n <= 10) continue;
        ehm_eval_row *row = ehm_eval_add_row(j->out, j->a);
        if (!row || !what) return no_memory(err);
        *row = (ehm_eval_row){.model = s->model, .what = what, .i_metric = m, .items = s->items[m]};
    }
    return EHM_OK;
}

static ehm_code run_model(job *j, scores *s, const ehm_config *c, bool first, ehm_err *err) {
    ehm_tune *t = NULL;
    ehm_tune_result res;
    ehm_classify *task;
    ehm_classify_opt opt = {.n_classes = j->classes.n, .pool_cls = !strcmp(c->pool, "cls"), .smoothing = c->smoothing, .seed = (uint64_t)c->seed,
                            .mix = {c->mixup, c->cutmix, c->mix_prob, c->switch_prob}, .in_model = j->classes.in_model};
    const char **names = EHM_NEW_N(j->a, const char *, j->classes.n);
    opt.names = names;
    if (!names) return no_memory(err);
    for (int32_t i = 0; i < j->classes.n; i++) names[i] = ehm_dataset_class(j->train, j->classes.of[i]);
    EHM_TRY(ehm_classify_new(&task, &opt, err));
    ehm_tune_setup setup = {.task = &ehm_classify_task, .user = task, .train = j->train, .img_h = j->img_h, .img_w = j->img_w, .frozen = c->frozen,
                            .keep = j->n_learn < ehm_dataset_count(j->train) ? j->keep : NULL, .groups = groups};
    setup.loader = (ehm_loader_opt){.augment = true, .crop_min = c->crop_min, .crop_max = c->crop_max, .flip = c->flip, .as_f32 = ehm_classify_mixes(task),
                                    .rand_augment_n = j->augment.n, .rand_augment_m = j->augment.m, .rand_augment_std = j->augment.std,
                                    .color_jitter = c->color_jitter, .erase = c->erase};
    ehm_config settled = *c; /* a run is stored, and found again, with what is done */
    if (j->augment_text) ehm_config_put_str(&settled, EHM_SETI_rand_augment, j->augment_text, EHM_FROM_DATA);
    EHM_TRY(ehm_tune_open(&t, &setup, &settled, err));
    ehm_code rc = ehm_tune_run(t, &res, err);
    if (!rc && c->save) {
        rc = ehm_dir_make_for(c->save, err);
        if (!rc) rc = ehm_tune_save(t, c->save, err);
    }
    s->model = first || strcmp(c->model, j->c->model) ? c->model : ehm_arena_printf(j->a, "%s (again)", c->model);
    if (!rc && !s->model) rc = no_memory(err);
    if (!rc) rc = run_test(j, s, t, task, first, err);
    if (!rc) rc = add_rows(j, s, ehm_tune_config(t), err);
    if (!rc && first) {
        const ehm_config *u = ehm_tune_config(t);
        ehm_eval_note(j->out, j->a, "trained for %lld steps of %lld pictures, rate %g, layer decay %g, drop path %g; last loss %.4f", (long long)res.steps,
                      (long long)(u->batch_size * u->accum_iter), u->lr, u->layer_decay, u->drop_path, res.loss);
    }
    ehm_tune_close(t);
    return rc;
}

/* ---- what is said of the rows ---- */

static ehm_code intervals(job *j, const scores *b, ehm_err *err) {
    ehm_eval_out *out = j->out;
    int64_t n = out->n_items;
    int32_t n_own = b ? b->first_row : out->n_rows, n_all = out->n_rows + (b ? n_own : 0);
    const float **items = EHM_NEW_N(j->a, const float *, n_all);
    double *v = EHM_NEW_N(j->a, double, 3 * (size_t)n_all);
    if (!items || !v) return no_memory(err);
    for (int32_t i = 0; i < out->n_rows; i++) items[i] = out->rows[i].items;
    for (int32_t i = 0; i < n_all - out->n_rows; i++) {
        float *diff = EHM_NEW_N(j->a, float, n);
        if (!diff) return no_memory(err);
        for (int64_t x = 0; x < n; x++) diff[x] = items[i][x] - items[n_own + i][x];
        items[out->n_rows + i] = diff;
    }
    EHM_TRY(ehm_bootstrap(v, v + n_all, v + 2 * n_all, items, n_all, n, 0, err));
    for (int32_t i = 0; i < n_all; i++) {
        ehm_eval_row *r = &out->rows[i < out->n_rows ? i : i - out->n_rows];
        if (i < out->n_rows) r->value = v[i], r->lo = v[n_all + i], r->hi = v[2 * n_all + i];
        else r->has_diff = true, r->diff = v[i], r->diff_lo = v[n_all + i], r->diff_hi = v[2 * n_all + i];
    }
    return EHM_OK;
}

/* By the pictures as they are stored, in the sets' own order. */
static ehm_code note_twins(job *j, ehm_err *err) {
    int64_t n_train = ehm_dataset_count(j->train);
    ehm_dataset *test = j->test ? j->test : j->train;
    ehm_features learn = {0};
    ehm_pool *pool = NULL;
    ehm_code rc = ehm_pool_open(&pool, EHM_IS_AUTO(j->c->threads) ? ehm_cpu_count() : (int32_t)j->c->threads, err);
    ehm_print *train_prints = calloc((size_t)n_train, sizeof *train_prints), *test_prints = j->test ? calloc((size_t)ehm_dataset_count(test), sizeof *test_prints) : train_prints;
    learn.prints = calloc((size_t)j->n_learn, sizeof *learn.prints);
    j->f.prints = calloc((size_t)j->f.n, sizeof *j->f.prints);
    if (!rc && (!train_prints || !test_prints || !learn.prints || !j->f.prints)) rc = no_memory(err);
    if (!rc) rc = ehm_data_prints(train_prints, j->train, pool, err);
    if (!rc && j->test) rc = ehm_data_prints(test_prints, j->test, pool, err);
    for (int64_t i = 0; i < n_train && !rc; i++)
        if (j->keep[i]) learn.prints[learn.n++] = train_prints[i];
    for (int64_t i = 0; i < j->f.n && !rc; i++) j->f.prints[i] = test_prints[j->f.ids[i]];
    if (!rc) rc = ehm_eval_note_twins(j->out, &learn, &j->f, j->a, err);
    ehm_pool_close(pool);
    if (j->test) free(test_prints);
    free(train_prints), free(learn.prints);
    return rc;
}

static ehm_code finish(job *j, const scores *own, const scores *other, ehm_err *err) {
    const ehm_config *c = j->c;
    int64_t n_lost = 0;
    j->out->n_items = j->f.n, j->out->n_train = j->n_learn, j->out->i_best = own->first_row;
    for (int64_t i = 0; i < j->f.n; i++) n_lost += j->classes.in_model[j->f.labels[i]] < 0;
    if (n_lost) ehm_eval_note(j->out, j->a, "%lld test pictures are of classes without a picture to learn from and count as wrong", (long long)n_lost);
    if (!j->test) ehm_eval_note(j->out, j->a, "no --test given: a share of %g of %s was held out and tested on", c->split, ehm_dataset_spec(j->train));
    EHM_TRY(note_twins(j, err));
    if (c->predictions) EHM_TRY(ehm_eval_write_predictions(own->guess, c->predictions, j->train, j->test ? j->test : j->train, &j->f, err));
    if (c->confusion) EHM_TRY(ehm_eval_write_confusion(j->out, j->f.labels, own->guess, j->f.n, 1, c->confusion, j->train, j->a, err));
    return intervals(j, other, err);
}

/* The second model under the same settings, in a run folder inside the first one's. */
static ehm_code second(ehm_config *c, const job *j, ehm_err *err) {
    *c = *j->c;
    c->model = c->against, c->save = NULL;
    if (!c->out) return EHM_OK;
    c->out = ehm_path_join(j->a, c->out, "against");
    return c->out ? EHM_OK : no_memory(err);
}

static ehm_code run_finetune(ehm_eval_out *out, const ehm_eval_in *in, ehm_arena *a, ehm_err *err) {
    job j = {.c = in->config, .out = out, .a = a};
    scores own = {0}, other = {0};
    ehm_config c2;
    int32_t channels;
    ehm_code rc;
    out->task = "finetune", out->metrics = metrics, out->n_metrics = N_METRICS, out->i_best = -1, out->wide = true, out->what_title = "training";
    out->protocol = in->config->frozen
                        ? "protocol: a linear classifier is trained on a frozen encoder with augmented pictures (AdamW, warm-up and half cosine); tested once, on the "
                          "evaluation transform; intervals: bootstrap over test pictures, 2,000 draws (training seeds are not covered)"
                        : "protocol: the whole network is trained on augmented pictures as in MAE's fine-tuning (He et al. 2022, A.1: AdamW, layer-wise decay of the "
                          "rate, stochastic depth, mixing, smoothing); tested once, on the evaluation transform; intervals: bootstrap over test pictures, 2,000 "
                          "draws (training seeds are not covered)";
    EHM_TRY(check(&j, err));
    EHM_TRY(model_channels(&channels, &j, err));
    if ((rc = ehm_eval_open_pair(&j.train, &j.test, in->config, channels, err))) goto done;
    if ((rc = settle_augment(&j, err)) || (rc = find_classes(&j, err))) goto done;
    if ((rc = run_model(&j, &own, in->config, true, err))) goto done;
    if (in->config->against && ((rc = second(&c2, &j, err)) || (rc = run_model(&j, &other, &c2, false, err)))) goto done;
    rc = finish(&j, &own, in->config->against ? &other : NULL, err);
done:
    ehm_features_free(&j.f);
    ehm_dataset_close(j.train);
    ehm_dataset_close(j.test);
    return rc;
}

const ehm_eval_task ehm_eval_task_finetune = {
    .name = "finetune",
    .summary = "fine-tuning for classification: the whole network or its head is trained on labelled pictures, in a run folder that can be resumed",
    .source = "He et al. 2022, A.1",
    .metrics = metrics,
    .n_metrics = N_METRICS,
    .groups = EHM_TUNE_GROUPS ",embed,finetune,crop,size,confusion",
    .own = (const ehm_own_setting[]){EHM_TUNE_OWN, {.i = EHM_SETTINGS_N}},
    .run = run_finetune,
};
