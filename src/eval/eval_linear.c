/* Linear probe on frozen features: softmax regression whose strength of penalty is chosen on a held-out part of the training
 * pictures, then fitted to all of them. The test set is looked at once a row. Or, with --protocol mae, as masked autoencoders are probed
 * (linear_mae.h). */
#include "base/log.h"
#include "base/rng.h"
#include "eval/knn.h"
#include "eval/linear_mae.h"
#include "eval/linear_probe.h"
#include "eval/softmax_regression.h"
#include "eval/task_int.h"
#include <stdlib.h>
#include <string.h>

#define MAE_SOURCE "He et al. 2022, A.1"
enum { TOP_1, TOP_5, LOG_LOSS, N_METRICS };
static const ehm_metric metrics[N_METRICS] = {{"top-1", "%", true}, {"top-5", "%", true}, {"log loss", "nats", false}};

typedef enum { CLS, MEAN, RAW, N_KINDS } kind;
static const char *const kind_name[N_KINDS] = {"cls", "mean", "raw pixels"};

/* Rows to learn from: all of them, or one draw of so many a class; divided in two to choose the strength. */
typedef struct { int64_t *all, *learn, *held, n_all, n_learn, n_held; } part;

typedef struct {
    kind of;
    bool own;                 /* of --model, not of --against or raw pixels */
    const char *model;
    int64_t held_right, n_held;
    double held_loss;         /* summed over held-out rows of all draws */
    double c_least, c_most;   /* chosen, over the draws */
    double train_loss;        /* protocol mae: of the last epoch */
    float *items[N_METRICS];  /* [draws,n_test] */
    int32_t *guess;           /* [draws,n_test] class of the set */
    int32_t first_row;
    double *weights, *moments; /* own, with --save: [classes * dim + classes] as ehm_softreg has them, [2 * dim] what features were normalised by */
    int32_t dim;
} probe;

typedef struct {
    const ehm_config *c;
    ehm_eval_out *out;
    ehm_arena *a;
    double c_list[EHM_EVAL_LIST_MAX];
    int32_t n_c, n_draws, n_fits, n_unfinished;
    bool mae, few;                           /* --protocol mae; --shots or --shots-share */
    int32_t n_classes, *class_of, *in_model; /* classes that have training pictures; model's to set's and back (-1: not there) */
    int32_t *y_train, *y_test;               /* classes of the model */
    part *parts;                             /* [n_draws] */
    probe probes[2 * N_KINDS];
    int32_t n_probes;
} job;

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the linear probe"); }

/* ---- what is learned from ---- */

typedef struct { int32_t label; double at; int64_t row; } drawn;

static int by_class_then_draw(const void *x, const void *y) {
    const drawn *a = x, *b = y;
    if (a->label != b->label) return a->label < b->label ? -1 : 1;
    if (a->at < b->at || a->at > b->at) return a->at < b->at ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}
static int by_number(const void *x, const void *y) {
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}
static int by_size(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* A picture's place in its class's order depends on seed, draw and picture alone. The first so many of each class are taken;
 * of these the first share is held out, at least one, and none where there is but one. */
static ehm_code draw_part(part *p, const job *j, const ehm_features *f, int32_t i_draw, ehm_err *err) {
    drawn *v = malloc(sizeof *v * (size_t)f->n);
    int64_t shots = EHM_IS_AUTO(j->c->shots) ? f->n : j->c->shots;
    double share = j->c->shots_share;
    p->all = EHM_NEW_N(j->a, int64_t, f->n), p->learn = EHM_NEW_N(j->a, int64_t, f->n), p->held = EHM_NEW_N(j->a, int64_t, f->n);
    if (!v || !p->all || !p->learn || !p->held) {
        free(v);
        return no_memory(err);
    }
    for (int64_t i = 0; i < f->n; i++) {
        ehm_rng r = ehm_rng_of((uint64_t)j->c->seed, EHM_RNG_eval_split, 1 + (uint32_t)i_draw, (uint64_t)f->ids[i]);
        v[i] = (drawn){j->y_train[i], ehm_rng_f64(&r), i};
    }
    qsort(v, (size_t)f->n, sizeof *v, by_class_then_draw);
    for (int64_t i = 0, end; i < f->n; i = end) {
        for (end = i; end < f->n && v[end].label == v[i].label; end++) continue;
        int64_t most = ehm_is_auto_f64(share) ? shots : (int64_t)fmax(1, floor((double)(end - i) * share + 0.5));
        int64_t n = end - i < most ? end - i : most, n_held = (int64_t)((double)n * j->c->held_out + 0.5);
        n_held = n < 2 ? 0 : n_held < 1 ? 1 : n_held >= n ? n - 1 : n_held;
        for (int64_t k = 0; k < n; k++) {
            p->all[p->n_all++] = v[i + k].row;
            if (k < n_held) p->held[p->n_held++] = v[i + k].row;
            else p->learn[p->n_learn++] = v[i + k].row;
        }
    }
    qsort(p->all, (size_t)p->n_all, sizeof *p->all, by_number);
    qsort(p->learn, (size_t)p->n_learn, sizeof *p->learn, by_number);
    qsort(p->held, (size_t)p->n_held, sizeof *p->held, by_number);
    free(v);
    return EHM_OK;
}

/* Classes without a training picture are no part of the model. */
static ehm_code find_classes(job *j, ehm_dataset *train, const ehm_features *ftrain, const ehm_features *ftest, ehm_err *err) {
    int32_t n_all = ehm_dataset_n_classes(train);
    int64_t *count = EHM_NEW_N(j->a, int64_t, n_all), n_lost = 0;
    j->class_of = EHM_NEW_N(j->a, int32_t, n_all), j->in_model = EHM_NEW_N(j->a, int32_t, n_all);
    j->y_train = EHM_NEW_N(j->a, int32_t, ftrain->n), j->y_test = EHM_NEW_N(j->a, int32_t, ftest->n);
    if (!count || !j->class_of || !j->in_model || !j->y_train || !j->y_test) return no_memory(err);
    for (int64_t i = 0; i < ftrain->n; i++) count[ftrain->labels[i]]++;
    for (int32_t k = 0; k < n_all; k++) {
        j->in_model[k] = count[k] ? j->n_classes : -1;
        if (!count[k]) continue;
        j->class_of[j->n_classes++] = k;
        if (!EHM_IS_AUTO(j->c->shots) && count[k] < j->c->shots)
            return EHM_FAIL(err, EHM_E_CONFIG, "--shots %lld, but the class \"%s\" of %s has %lld pictures to learn from",
                            (long long)j->c->shots, ehm_dataset_class(train, k), ehm_dataset_spec(train), (long long)count[k]);
    }
    if (j->n_classes < 2)
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: all %lld pictures to learn from are of the class \"%s\", and a probe tells classes apart",
                        ehm_dataset_spec(train), (long long)ftrain->n, ehm_dataset_class(train, j->class_of[0]));
    for (int64_t i = 0; i < ftrain->n; i++) j->y_train[i] = j->in_model[ftrain->labels[i]];
    for (int64_t i = 0; i < ftest->n; i++) j->y_test[i] = j->in_model[ftest->labels[i]], n_lost += j->y_test[i] < 0;
    if (n_lost)
        ehm_eval_note(j->out, j->a, "%lld test pictures are of classes without a picture to learn from and count as wrong", (long long)n_lost);
    return EHM_OK;
}

static ehm_code prepare(job *j, ehm_dataset *train, const ehm_features *ftrain, const ehm_features *ftest, ehm_err *err) {
    EHM_TRY(find_classes(j, train, ftrain, ftest, err));
    j->parts = EHM_NEW_N(j->a, part, j->n_draws);
    if (!j->parts) return no_memory(err);
    for (int32_t d = 0; d < j->n_draws; d++) EHM_TRY(draw_part(&j->parts[d], j, ftrain, d, err));
    j->out->n_train = j->parts[0].n_all, j->out->n_items = ftest->n;
    return EHM_OK;
}

/* ---- one probe ---- */

/* What --save writes: of the row to quote, once it is known which. moments NULL: features as they are. */
static ehm_code keep_weights(job *j, probe *p, const double *weights, const double *moments, int32_t dim, ehm_err *err) {
    int64_t n = (int64_t)j->n_classes * (dim + 1);
    if (!j->c->save || !p->own) return EHM_OK;
    p->dim = dim, p->weights = EHM_NEW_N(j->a, double, n), p->moments = EHM_NEW_N(j->a, double, 2 * (int64_t)dim);
    if (!p->weights || !p->moments) return no_memory(err);
    memcpy(p->weights, weights, sizeof *weights * (size_t)n);
    for (int32_t i = 0; i < 2 * dim; i++) p->moments[i] = moments ? moments[i] : i >= dim;
    return EHM_OK;
}

static ehm_code save_probe(const job *j, const probe *p, const ehm_model *m, ehm_dataset *train, ehm_err *err) {
    ehm_linear_probe out = {.of_cls = p->of == CLS, .dim = p->dim, .n_classes = j->n_classes, .mean = p->moments, .std = p->moments + p->dim,
                            .weight = p->weights, .bias = p->weights + (int64_t)j->n_classes * p->dim};
    const char **names = EHM_NEW_N(j->a, const char *, j->n_classes);
    if (!names) return no_memory(err);
    for (int32_t k = 0; k < j->n_classes; k++) names[k] = ehm_dataset_class(train, j->class_of[k]);
    out.classes = names;
    if (j->c->depths) EHM_TRY(ehm_depths_parse(out.depth, &out.n_depths, j->c->depths, ehm_model_shape(m)->depth, err));
    return ehm_linear_probe_save(j->c->save, m, &out, err);
}

typedef struct {
    ehm_softreg *s;
    double *w, *best, *loss; /* loss, rank, guess: of the longer of held-out and test rows */
    int32_t *guess, *rank;
} room;

static void room_free(room *r) {
    ehm_softreg_close(r->s);
    free(r->w), free(r->best), free(r->loss), free(r->guess), free(r->rank);
}
static ehm_code room_open(room *r, const job *j, ehm_dev *d, int32_t dim, ehm_err *err) {
    int64_t n = j->out->n_items;
    for (int32_t i = 0; i < j->n_draws; i++) n = j->parts[i].n_held > n ? j->parts[i].n_held : n;
    EHM_TRY(ehm_softreg_open(&r->s, d, dim, j->n_classes, err));
    size_t count = (size_t)ehm_softreg_count(r->s);
    r->w = malloc(sizeof *r->w * count), r->best = malloc(sizeof *r->best * count);
    r->loss = malloc(sizeof *r->loss * (size_t)n), r->guess = malloc(sizeof *r->guess * (size_t)n), r->rank = malloc(sizeof *r->rank * (size_t)n);
    return r->w && r->best && r->loss && r->guess && r->rank ? EHM_OK : no_memory(err);
}

/* To choose a strength, scikit-learn's tolerance at ten classes will do; the fit that is tested goes further. */
static ehm_code fit(job *j, room *r, double *w, const ehm_softreg_set *set, double c, bool to_choose, ehm_err *err) {
    ehm_softreg_report report;
    EHM_TRY(ehm_softreg_fit(w, &report, r->s, set, c, to_choose ? &(ehm_softreg_opt){1e-3, 1000} : NULL, err));
    j->n_fits++, j->n_unfinished += !report.converged;
    ehm_log(EHM_LOG_DEBUG, "linear probe: C %g, %lld pictures: %d steps, objective %.9g, gradient %.2g", c, (long long)set->n, report.n_iter,
            report.objective, report.gradient_max);
    return EHM_OK;
}

/* From the strongest penalty to the weakest, each from the solution before it, until two in a row have fewer right and more loss than the
 * best: the way from there to the weakest is the longest, and leads into overfitting. The most held-out pictures right, then the least log loss,
 * then the stronger penalty. Without held-out pictures the middle of the list. r->best is where the last fit starts. */
static ehm_code choose(double *chosen, job *j, room *r, probe *p, const float *x, const part *rows, ehm_err *err) {
    size_t bytes = sizeof *r->w * (size_t)ehm_softreg_count(r->s);
    ehm_softreg_set learn = {x, j->y_train, rows->learn, rows->n_learn}, held = {x, j->y_train, rows->held, rows->n_held};
    int64_t most = -1;
    int32_t n_worse = 0;
    double least = INFINITY;
    memset(r->w, 0, bytes), memset(r->best, 0, bytes);
    *chosen = j->c_list[(j->n_c - 1) / 2];
    for (int32_t i = 0; i < j->n_c && rows->n_held && n_worse < 2; i++) {
        int64_t right = 0;
        double loss = 0;
        EHM_TRY(fit(j, r, r->w, &learn, j->c_list[i], true, err));
        EHM_TRY(ehm_softreg_score(r->guess, r->rank, r->loss, r->s, r->w, &held, err));
        for (int64_t k = 0; k < rows->n_held; k++) right += r->rank[k] == 0, loss += r->loss[k];
        n_worse = right < most && loss > least ? n_worse + 1 : 0;
        if (right < most || (right == most && !(loss < least))) continue;
        most = right, least = loss, *chosen = j->c_list[i];
        memcpy(r->best, r->w, bytes);
    }
    if (rows->n_held) p->held_right += most, p->held_loss += least, p->n_held += rows->n_held;
    return EHM_OK;
}

static ehm_code run_draw(job *j, room *r, probe *p, const float *x, const float *x_test, int32_t i_draw, ehm_err *err) {
    const part *rows = &j->parts[i_draw];
    int64_t n = j->out->n_items, at = i_draw * n;
    double c;
    EHM_TRY(choose(&c, j, r, p, x, rows, err));
    EHM_TRY(fit(j, r, r->best, &(ehm_softreg_set){x, j->y_train, rows->all, rows->n_all}, c, false, err));
    EHM_TRY(ehm_softreg_score(r->guess, r->rank, r->loss, r->s, r->best, &(ehm_softreg_set){.x = x_test, .labels = j->y_test, .n = n}, err));
    p->c_least = i_draw && p->c_least < c ? p->c_least : c, p->c_most = i_draw && p->c_most > c ? p->c_most : c;
    for (int64_t i = 0; i < n; i++) {
        p->items[TOP_1][at + i] = r->rank[i] == 0, p->items[TOP_5][at + i] = r->rank[i] < 5 && j->y_test[i] >= 0;
        p->items[LOG_LOSS][at + i] = (float)r->loss[i];
        p->guess[at + i] = j->class_of[r->guess[i]];
    }
    return EHM_OK;
}

static bool has_metric(const job *j, int32_t m) { return m != TOP_5 || j->n_classes > 10; }

static char *row_name(const job *j, const probe *p, const char *name) {
    if (j->mae) return ehm_arena_strdup(j->a, name);
    if (!j->few) return ehm_arena_printf(j->a, "%s, C %g", name, p->c_least);
    if (EHM_IS_AUTO(j->c->shots)) return ehm_arena_printf(j->a, "%s, %g %% of a class", name, 100 * j->c->shots_share);
    return ehm_arena_printf(j->a, "%s, %lld a class", name, (long long)j->c->shots);
}

static ehm_code add_rows(job *j, probe *p, const char *name, ehm_err *err) {
    int64_t n = j->out->n_items;
    char *what = row_name(j, p, name);
    p->first_row = j->out->n_rows;
    for (int32_t m = 0; m < N_METRICS; m++) {
        if (!has_metric(j, m)) continue;
        ehm_eval_row *row = ehm_eval_add_row(j->out, j->a);
        float *mean = j->n_draws > 1 ? EHM_NEW_N(j->a, float, n) : p->items[m];
        if (!row || !mean || !what) return no_memory(err);
        for (int64_t i = 0; i < n && j->n_draws > 1; i++) {
            double sum = 0;
            for (int32_t d = 0; d < j->n_draws; d++) sum += (double)p->items[m][d * n + i];
            mean[i] = (float)(sum / j->n_draws);
        }
        *row = (ehm_eval_row){.model = p->of == RAW ? "(pixels)" : p->model, .what = what, .i_metric = m, .items = mean};
    }
    return EHM_OK;
}

/* Features are changed in place (standardised). */
static ehm_code run_probe(job *j, ehm_dev *d, const char *model, bool own, kind of, const char *name, float *x, int64_t n_train, float *x_test,
                          int32_t dim, ehm_err *err) {
    int64_t n = j->out->n_items;
    probe *p = &j->probes[j->n_probes++];
    room r = {0};
    double *moments = malloc(sizeof *moments * 2 * (size_t)dim);
    ehm_code rc = EHM_OK;
    *p = (probe){.of = of, .own = own && of != RAW, .model = model, .guess = EHM_NEW_N(j->a, int32_t, n * j->n_draws)};
    for (int32_t m = 0; m < N_METRICS; m++)
        if (!(p->items[m] = EHM_NEW_N(j->a, float, n * j->n_draws))) rc = no_memory(err);
    if (!rc && (!moments || !p->guess)) rc = no_memory(err);
    if (rc || (rc = room_open(&r, j, d, dim, err))) goto done;
    if (j->c->standardise) {
        ehm_knn_moments(moments, moments + dim, x, n_train, dim);
        ehm_knn_standardise(x, n_train, dim, moments, moments + dim, ehm_dev_pool(d));
        ehm_knn_standardise(x_test, n, dim, moments, moments + dim, ehm_dev_pool(d));
    }
    for (int32_t i = 0; i < j->n_draws && !rc; i++) rc = run_draw(j, &r, p, x, x_test, i, err);
    if (!rc) rc = keep_weights(j, p, r.best, j->c->standardise ? moments : NULL, dim, err);
    if (rc) {
        EHM_WHILE(err, "fitting a linear classifier to %s of %s", name, model);
        goto done;
    }
    rc = add_rows(j, p, name, err);
done:
    free(moments);
    room_free(&r);
    return rc;
}

static ehm_code unpaired(const job *j, const char *model, int64_t n, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s read %lld test pictures and %s read %lld: they cannot be paired", j->c->model, (long long)j->out->n_items,
                    model, (long long)n);
}

/* ---- protocol mae ---- */

static void take_scores(const job *j, probe *p, const int32_t *guess, const int32_t *rank, const double *loss) {
    for (int64_t i = 0; i < j->out->n_items; i++) {
        p->items[TOP_1][i] = rank[i] == 0, p->items[TOP_5][i] = rank[i] < 5 && j->y_test[i] >= 0;
        p->items[LOG_LOSS][i] = (float)loss[i];
        p->guess[i] = j->class_of[guess[i]];
    }
}

/* Of training, what --protocol mae takes, with its published settings; the rest, with value NULL, neither protocol does. */
static const ehm_own_setting own_settings[] = {
    {EHM_SETI_epochs, "90", "with --protocol mae: length of training", MAE_SOURCE},
    {EHM_SETI_batch_size, "auto", "with --protocol mae: pictures a step; auto: the largest power of two in a quarter of the set, 2 to 16384", NULL},
    {EHM_SETI_blr, "0.1", "with --protocol mae: base learning rate; lr = blr * batch / 256", MAE_SOURCE},
    {EHM_SETI_lr, "auto", "with --protocol mae: learning rate itself, instead of blr", MAE_SOURCE},
    {EHM_SETI_min_lr, "0", "with --protocol mae: learning rate at the end of the cosine", MAE_SOURCE},
    {EHM_SETI_warmup_epochs, "auto", "with --protocol mae: linear warm-up; auto: 10 epochs, at most a ninth of all", MAE_SOURCE},
    {EHM_SETI_weight_decay, "0", "with --protocol mae: weight decay of LARS", MAE_SOURCE},
    {.i = EHM_SETI_steps},
    {.i = EHM_SETI_max_minutes},
    {.i = EHM_SETI_accum_iter},
    {.i = EHM_SETI_beta1},
    {.i = EHM_SETI_beta2},
    {.i = EHM_SETI_clip_grad},
    {.i = EHM_SETI_ema},
    {.i = EHM_SETTINGS_N}};

/* Published settings, but for what the set is too small for and what is asked for. */
static ehm_code plan_mae(ehm_linear_mae_plan *p, double *weight_decay, job *j, int64_t n_train, ehm_err *err) {
    ehm_config own = *j->c;
    const ehm_config *c = &own;
    ehm_config_put_own(&own, own_settings);
    int64_t batch = EHM_IS_AUTO(c->batch_size) ? ehm_linear_mae_batch(n_train) : c->batch_size;
    if (n_train < 2 || batch < 2 || batch > n_train)
        return EHM_FAIL(err, EHM_E_CONFIG, "a batch of %lld of %lld labelled pictures: batch norm needs two pictures, and a batch has no picture twice",
                        (long long)batch, (long long)n_train);
    *p = (ehm_linear_mae_plan){.n_train = n_train, .batch = batch, .steps_per_epoch = n_train / batch, .seed = (uint64_t)c->seed};
    p->epochs = c->epochs;
    p->n_steps = (int64_t)fmax(1, floor(p->epochs * (double)p->steps_per_epoch + 1e-9));
    p->warmup_epochs = ehm_is_auto_f64(c->warmup_epochs) ? fmin(10, p->epochs / 9) : c->warmup_epochs;
    p->lr = ehm_is_auto_f64(c->lr) ? c->blr * (double)batch / 256 : c->lr, p->min_lr = c->min_lr;
    p->n_workers = EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers;
    *weight_decay = c->weight_decay;
    return EHM_OK;
}

static ehm_code score_mae(job *j, probe *p, ehm_linear_mae *l, float *x_test, ehm_err *err) {
    size_t n = (size_t)j->out->n_items;
    int32_t *guess = malloc(sizeof *guess * n), *rank = malloc(sizeof *rank * n);
    double *loss = malloc(sizeof *loss * n);
    ehm_code rc = guess && rank && loss ? EHM_OK : no_memory(err);
    if (!rc) rc = ehm_linear_mae_score(guess, rank, loss, l, x_test, j->y_test, j->out->n_items, err);
    if (!rc) take_scores(j, p, guess, rank, loss);
    free(guess), free(rank), free(loss);
    return rc;
}

static ehm_code keep_mae(job *j, probe *p, ehm_linear_mae *l, int32_t dim, ehm_err *err) {
    const double *running = ehm_linear_mae_moments(l);
    double *moments = EHM_NEW_N(j->a, double, 2 * (int64_t)dim);
    if (!moments) return no_memory(err);
    for (int32_t i = 0; i < dim; i++) moments[i] = running[i], moments[dim + i] = sqrt(running[dim + i] + 1e-6); /* the eps of its batch norm */
    return keep_weights(j, p, ehm_linear_mae_weights(l), moments, dim, err);
}

/* All poolings of one model are trained side by side, on features of one forward pass. */
static ehm_code run_probes_mae(job *j, ehm_model *m, const char *model, bool own, ehm_dataset *train, const ehm_split *learn, int64_t n_train,
                               ehm_features *ftest, ehm_err *err) {
    ehm_linear_mae_probe probes[2] = {{0}};
    ehm_linear_mae_plan plan;
    ehm_depths depths = {.n = 0};
    double weight_decay = 0;
    int32_t n = 0;
    EHM_TRY(plan_mae(&plan, &weight_decay, j, n_train, err));
    if (j->c->depths) EHM_TRY(ehm_depths_parse(depths.depth, &depths.n, j->c->depths, ehm_model_shape(m)->depth, err));
    if (own) {
        ehm_eval_note(j->out, j->a, "batch %lld (published: 16384), rate %g (0.1 * batch / 256 published), warm-up %.3g of %g epochs, %lld steps, weight decay %g",
                      (long long)plan.batch, plan.lr, plan.warmup_epochs, plan.epochs, (long long)plan.n_steps, weight_decay);
        ehm_log(EHM_LOG_NOTE, "protocol mae: the features of %lld pictures are computed anew in each of %g epochs; --epochs makes it shorter",
                (long long)n_train, plan.epochs);
    }
    ehm_code rc = EHM_OK;
    for (const char *p = j->c->pools; *p && !rc; n++) {
        size_t len = strcspn(p, ",");
        probes[n].of_cls = len == 3;
        rc = ehm_linear_mae_open(&probes[n].l, ehm_model_device(m), ftest->dim, j->n_classes, weight_decay, (uint64_t)j->c->seed, err);
        p += len + (p[len] == ',');
    }
    if (!rc) rc = ehm_linear_mae_train(probes, n, m, train, learn, &depths, j->in_model, &plan, err);
    for (int32_t i = 0; i < n && !rc; i++) {
        kind of = probes[i].of_cls ? CLS : MEAN;
        probe *p = &j->probes[j->n_probes++];
        const char *name = ehm_eval_pool_name(kind_name[of], j->c, j->a);
        *p = (probe){.of = of, .own = own, .model = model, .train_loss = probes[i].loss, .guess = EHM_NEW_N(j->a, int32_t, j->out->n_items)};
        for (int32_t k = 0; k < N_METRICS; k++)
            if (!(p->items[k] = EHM_NEW_N(j->a, float, j->out->n_items))) rc = no_memory(err);
        if (!rc && (!p->guess || !name)) rc = no_memory(err);
        if (!rc) rc = score_mae(j, p, probes[i].l, of == CLS ? ftest->cls : ftest->mean, err);
        if (!rc) rc = keep_mae(j, p, probes[i].l, ftest->dim, err);
        if (!rc) rc = add_rows(j, p, name, err);
    }
    for (int32_t i = 0; i < n; i++) ehm_linear_mae_close(probes[i].l);
    if (rc) EHM_WHILE(err, "training linear classifiers on features of %s", model);
    return rc;
}

static ehm_code run_model_mae(job *j, ehm_model *m, const char *model, ehm_dataset *train, ehm_dataset *test, ehm_features *ftest, bool own, ehm_err *err) {
    ehm_features f = {0};
    ehm_split learn;
    bool twins = own && j->c->raw;
    ehm_code rc = ehm_eval_labels_and_test(&f, &learn, ftest, m, train, test, j->c, twins, err);
    if (!rc && own) rc = find_classes(j, train, &f, ftest, err);
    if (!rc && own) j->out->n_train = f.n, j->out->n_items = ftest->n;
    if (!rc && twins) rc = ehm_eval_note_twins(j->out, &f, ftest, j->a, err);
    if (!rc && ftest->n != j->out->n_items) rc = unpaired(j, model, ftest->n, err);
    if (!rc) rc = run_probes_mae(j, m, model, own, train, &learn, f.n, ftest, err);
    ehm_features_free(&f);
    return rc;
}

/* ---- protocol fast ---- */

static ehm_code run_pools(job *j, ehm_dev *d, const char *model, bool own, ehm_features *f, ehm_features *ftest, ehm_err *err) {
    for (const char *p = j->c->pools; *p;) {
        size_t len = strcspn(p, ",");
        kind of = len == 3 ? CLS : MEAN;
        const char *name = ehm_eval_pool_name(kind_name[of], j->c, j->a);
        if (!name) return no_memory(err);
        EHM_TRY(run_probe(j, d, model, own, of, name, of == CLS ? f->cls : f->mean, f->n, of == CLS ? ftest->cls : ftest->mean, f->dim, err));
        p += len + (p[len] == ',');
    }
    return EHM_OK;
}

static ehm_code run_model(job *j, ehm_model *m, const char *model, ehm_dataset *train, ehm_dataset *test, ehm_features *ftest, bool own,
                          ehm_err *err) {
    ehm_features f = {0};
    ehm_dev *d = ehm_model_device(m);
    bool raw = own && j->c->raw;
    char raw_name[64];
    ehm_code rc = ehm_eval_features(&f, ftest, m, train, test, j->c, raw, err);
    if (!rc && own) rc = prepare(j, train, &f, ftest, err);
    if (!rc && raw) rc = ehm_eval_note_twins(j->out, &f, ftest, j->a, err);
    if (!rc && (f.n < j->parts[0].n_all || ftest->n != j->out->n_items)) rc = unpaired(j, model, ftest->n, err);
    if (!rc) rc = run_pools(j, d, model, own, &f, ftest, err);
    if (!rc && raw)
        rc = run_probe(j, d, model, own, RAW, ehm_features_raw_name(m, raw_name), f.raw, f.n, ftest->raw, f.raw_dim, err);
    ehm_features_free(&f);
    return rc;
}

/* ---- what is said of the rows ---- */

/* By the held-out part, never by the test set. Without one the mean of the patch tokens stands first: the class token of masked image
 * modelling is not trained to sum up a picture. Protocol mae holds nothing out: there the loss of the last epoch decides, on crops that were
 * never seen before. */
static const probe *to_quote(const job *j) {
    const probe *best = NULL;
    for (int32_t i = 0; i < j->n_probes; i++) {
        const probe *p = &j->probes[i];
        if (!p->own) continue;
        bool better = !best || (j->mae    ? p->train_loss < best->train_loss
                                : p->n_held ? p->held_right > best->held_right || (p->held_right == best->held_right && p->held_loss < best->held_loss)
                                            : p->of == MEAN);
        if (better) best = p;
    }
    return best;
}

/* Rows whose items are means over the pictures that were drawn to learn from: what both draws together make of them. */
static ehm_code keep_draws(job *j, const float *const *items, ehm_eval_row *const *of, ehm_err *err) {
    int32_t n = j->out->n_rows;
    double **rows = EHM_NEW_N(j->a, double *, n), *v = EHM_NEW_N(j->a, double, (int64_t)n * EHM_BOOT_DRAWS);
    if (!rows || !v) return no_memory(err);
    for (int32_t i = 0; i < n; i++) of[i]->draws = rows[i] = v + (int64_t)i * EHM_BOOT_DRAWS;
    return ehm_bootstrap_values(rows, items, n, j->n_draws, j->out->n_items, 0, err);
}

static ehm_code intervals(job *j, ehm_err *err) {
    ehm_eval_out *out = j->out;
    int64_t n = out->n_items * j->n_draws;
    int32_t n_rows = 0;
    const float **items = EHM_NEW_N(j->a, const float *, 2 * out->n_rows);
    double *v = EHM_NEW_N(j->a, double, 6 * out->n_rows);
    ehm_eval_row **of = EHM_NEW_N(j->a, ehm_eval_row *, 2 * out->n_rows);
    if (!items || !v || !of) return no_memory(err);
    for (int32_t pass = 0; pass < 2; pass++) /* rows, then differences */
        for (int32_t i = 0; i < j->n_probes; i++) {
            const probe *p = &j->probes[i], *q = NULL;
            for (int32_t k = 0; k < j->n_probes; k++)
                if (p->own && !j->probes[k].own && j->probes[k].of == p->of) q = &j->probes[k];
            for (int32_t m = 0, row = p->first_row; m < N_METRICS && (!pass || q); m++) {
                if (!has_metric(j, m)) continue;
                of[n_rows] = &out->rows[row++];
                items[n_rows] = p->items[m];
                if (pass) {
                    float *diff = EHM_NEW_N(j->a, float, n);
                    if (!diff) return no_memory(err);
                    for (int64_t x = 0; x < n; x++) diff[x] = p->items[m][x] - q->items[m][x];
                    of[n_rows]->has_diff = true, items[n_rows] = diff;
                }
                n_rows++;
            }
        }
    EHM_TRY(ehm_bootstrap_draws(v, v + n_rows, v + 2 * n_rows, items, n_rows, j->n_draws, out->n_items, 0, err));
    for (int32_t i = 0; i < n_rows; i++) {
        ehm_eval_row *r = of[i];
        if (i < out->n_rows) r->value = v[i], r->lo = v[n_rows + i], r->hi = v[2 * n_rows + i];
        else r->diff = v[i], r->diff_lo = v[n_rows + i], r->diff_hi = v[2 * n_rows + i];
    }
    return j->n_draws > 1 ? keep_draws(j, items, of, err) : EHM_OK;
}

static void add_notes(job *j, ehm_dataset *train, bool has_test) {
    const ehm_config *c = j->c;
    ehm_str s = {0};
    bool at_end = false;
    for (int32_t i = 0; i < j->n_probes && j->mae; i++)
        ehm_str_addf(&s, "%s%s %s %.4f", i ? "; " : "", j->probes[i].model, kind_name[j->probes[i].of], j->probes[i].train_loss);
    if (j->mae) ehm_eval_note(j->out, j->a, "loss on the training crops of the last epoch: %s", ehm_str_c(&s));
    for (int32_t i = 0; i < j->n_probes && !j->mae; i++) {
        const probe *p = &j->probes[i];
        ehm_str_addf(&s, "%s%s%s%s C %g", i ? "; " : "", p->of == RAW ? "" : p->model, p->of == RAW ? "" : " ", kind_name[p->of], p->c_least);
        if (p->c_most > p->c_least) ehm_str_addf(&s, " to %g", p->c_most);
        if (p->n_held) ehm_str_addf(&s, " (%.2f %%)", 100 * (double)p->held_right / (double)p->n_held);
        at_end |= p->n_held && j->n_c > 1 && (p->c_least <= j->c_list[0] || p->c_most >= j->c_list[j->n_c - 1]);
    }
    if (j->mae) (void)0;
    else if (j->parts[0].n_held)
        ehm_eval_note(j->out, j->a, "chosen on %lld held-out pictures: %s", (long long)j->parts[0].n_held, ehm_str_c(&s));
    else ehm_eval_note(j->out, j->a, "no class has a second picture that could be held out, so nothing was chosen: %s", ehm_str_c(&s));
    if (at_end) ehm_eval_note(j->out, j->a, "a strength is at the end of its list: --strengths with a wider one may do better");
    if (j->n_unfinished) ehm_eval_note(j->out, j->a, "%d of %d fits ended at their limit of steps before they had converged", j->n_unfinished, j->n_fits);
    if (!EHM_IS_AUTO(c->shots))
        ehm_eval_note(j->out, j->a, "pictures a class: %lld, drawn %d times; figures are means over the draws, intervals cover draws and test pictures",
                      (long long)c->shots, j->n_draws);
    else if (j->few)
        ehm_eval_note(j->out, j->a, "%g %% of each class's pictures, at least one (%lld in all), drawn %d times; figures are means over the draws, "
                      "intervals cover draws and test pictures", 100 * c->shots_share, (long long)j->parts[0].n_all, j->n_draws);
    if (!has_test)
        ehm_eval_note(j->out, j->a, "no --test given: a share of %g of %s was held out and tested on", c->split, ehm_dataset_spec(train));
    ehm_str_free(&s);
}

/* ---- the task ---- */

/* Flags of the group of training that a protocol has no use for, and of the other protocol. */
static ehm_code check_protocol(const job *j, ehm_err *err) {
    static const int32_t of_fast[] = {EHM_SETI_strengths, EHM_SETI_held_out, EHM_SETI_standardise, EHM_SETI_shots, EHM_SETI_shots_share, EHM_SETI_draws};
    const ehm_config *c = j->c;
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const ehm_own_setting *own = ehm_own_setting_find(own_settings, i);
        bool fast = false, mae = own && own->value;
        for (size_t k = 0; k < sizeof of_fast / sizeof *of_fast; k++) fast |= of_fast[k] == i;
        if (c->origin[i] != EHM_FROM_FLAG || !(fast || ehm_in_groups("train,batch", ehm_settings[i].group)) || (j->mae ? mae : fast)) continue;
        ehm_str name = {0};
        for (const char *k = ehm_settings[i].key; *k; k++) ehm_str_addc(&name, *k == '_' ? '-' : *k);
        EHM_FAIL(err, EHM_E_CONFIG, "--%s: not a setting of --protocol %s", ehm_str_c(&name), c->protocol);
        if (fast || mae) EHM_HINT(err, "it belongs to --protocol %s", fast ? "fast" : "mae");
        ehm_str_free(&name);
        return EHM_E_CONFIG;
    }
    return EHM_OK;
}

static ehm_code check(job *j, ehm_err *err) {
    const ehm_config *c = j->c;
    int32_t n = 0;
    j->mae = !strcmp(c->protocol, "mae");
    j->few = !EHM_IS_AUTO(c->shots) || !ehm_is_auto_f64(c->shots_share);
    EHM_TRY(check_protocol(j, err));
    if (!c->model) return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder, a safetensors file or untrained:PRESET");
    EHM_TRY(ehm_eval_check_pools(c->pools, err));
    if ((j->n_c = ehm_eval_parse_list(j->c_list, c->strengths, "strengths", false, err)) < 0) return err->code;
    qsort(j->c_list, (size_t)j->n_c, sizeof *j->c_list, by_size);
    for (int32_t i = 0; i < j->n_c; i++)
        if (!i || j->c_list[i] > j->c_list[n - 1]) j->c_list[n++] = j->c_list[i];
    j->n_c = n;
    if (!EHM_IS_AUTO(c->shots) && !ehm_is_auto_f64(c->shots_share))
        return EHM_FAIL(err, EHM_E_CONFIG, "--shots %lld and --shots-share %g: give one", (long long)c->shots, c->shots_share);
    if (!j->few && c->origin[EHM_SETI_draws] != EHM_FROM_DEFAULT)
        return EHM_FAIL(err, EHM_E_CONFIG, "--draws %lld needs --shots: without it all pictures are learned from, once", (long long)c->draws);
    j->n_draws = j->few ? (int32_t)c->draws : 1;
    if (c->save && j->n_draws > 1) {
        EHM_HINT(err, "--draws 1 fits one");
        return EHM_FAIL(err, EHM_E_CONFIG, "--save %s: one classifier is written, and --draws %d fits as many", c->save, (int)j->n_draws);
    }
    return EHM_OK;
}

static void begin_out(ehm_eval_out *out) {
    out->task = "linear", out->metrics = metrics, out->n_metrics = N_METRICS, out->i_best = -1, out->wide = true;
}

ehm_code ehm_eval_linear_rows(ehm_eval_out *out, const ehm_config *c, ehm_dev *d, const char *model, ehm_dataset *classes, ehm_features *ftrain,
                              ehm_features *ftest, ehm_arena *a, ehm_err *err) {
    job j = {.c = c, .out = out, .a = a};
    begin_out(out);
    EHM_TRY(check(&j, err));
    EHM_TRY(prepare(&j, classes, ftrain, ftest, err));
    EHM_TRY(run_pools(&j, d, model, true, ftrain, ftest, err));
    out->i_best = to_quote(&j)->first_row;
    return intervals(&j, err);
}

static ehm_code run_linear(ehm_eval_out *out, const ehm_eval_in *in, ehm_arena *a, ehm_err *err) {
    const ehm_config *c = in->config;
    job j = {.c = c, .out = out, .a = a};
    ehm_model_opt opt = {.device = c->device,
                         .threads = EHM_IS_AUTO(c->threads) ? 0 : (int32_t)c->threads,
                         .dtype = c->dtype,
                         .batch = EHM_IS_AUTO(c->eval_batch_size) ? 0 : (int32_t)c->eval_batch_size};
    ehm_model *m = NULL;
    ehm_dataset *train = NULL, *test = NULL;
    ehm_features ftest = {0}, fother = {0};
    ehm_code rc;
    begin_out(out);
    out->protocol = c->standardise ? "protocol: frozen encoder, evaluation transform, features to mean 0 and deviation 1 over the training set; softmax "
                                     "regression, C * sum of log losses + ||W||^2 / 2 (scikit-learn's LogisticRegression), L-BFGS; C and the row to quote (<) by "
                                     "held-out training pictures, then fitted to all; intervals: bootstrap, 2,000 draws (training seeds are not covered)"
                                   : "protocol: frozen encoder, evaluation transform, features as they are; softmax regression, C * sum of log losses + "
                                     "||W||^2 / 2 (scikit-learn's LogisticRegression), L-BFGS; C and the row to quote (<) by held-out training pictures, then "
                                     "fitted to all; intervals: bootstrap, 2,000 draws (training seeds are not covered)";
    EHM_TRY(check(&j, err));
    if (j.mae)
        out->protocol = "protocol: linear probing of masked autoencoders (He et al. 2022, A.1): frozen encoder, random resized crops (area 0.08 to 1) and "
                        "flips, features computed anew each epoch; batch norm without an affine part, linear layer, LARS (trust 0.001, momentum 0.9), half "
                        "cosine; test: evaluation transform, running moments; the row to quote (<) by training loss; intervals: bootstrap, 2,000 draws "
                        "(training seeds are not covered)";
    if ((rc = ehm_model_open(&m, c->model, &opt, err))) goto done;
    if ((rc = ehm_model_takes_channels(m, c->channels, err)) || (rc = ehm_eval_check_depths(m, c, err))) goto done;
    if ((rc = ehm_eval_open_pair(&train, &test, c, ehm_model_shape(m)->channels, err))) goto done;
    ehm_code (*run)(job *, ehm_model *, const char *, ehm_dataset *, ehm_dataset *, ehm_features *, bool, ehm_err *) = j.mae ? run_model_mae : run_model;
    if ((rc = run(&j, m, c->model, train, test, &ftest, true, err))) goto done;
    const probe *best = to_quote(&j);
    out->i_best = best->first_row;
    if (c->save && (rc = save_probe(&j, best, m, train, err))) goto done;
    if (c->predictions && (rc = ehm_eval_write_predictions(best->guess, c->predictions, train, test ? test : train, &ftest, err))) goto done;
    if (c->confusion &&
        (rc = ehm_eval_write_confusion(out, ftest.labels, best->guess, ftest.n, j.n_draws, c->confusion, train, a, err)))
        goto done;
    if (c->against) {
        ehm_model_close(m);
        m = NULL;
        if ((rc = ehm_model_open(&m, c->against, &opt, err)) || (rc = ehm_model_takes_channels(m, ehm_dataset_channels(train), err)) ||
            (rc = run(&j, m, c->against, train, test, &fother, false, err)))
            goto done;
    }
    add_notes(&j, train, test != NULL);
    if ((rc = intervals(&j, err))) goto done;
    ehm_progress(true, "linear probes fitted");
done:
    ehm_features_free(&ftest);
    ehm_features_free(&fother);
    ehm_dataset_close(train);
    ehm_dataset_close(test);
    ehm_model_close(m);
    return rc;
}

const ehm_eval_task ehm_eval_task_linear = {
    .name = "linear",
    .summary = "linear probe on frozen features: L2-regularised softmax regression, strength by held-out pictures, raw pixels as a reference; or MAE's protocol",
    .source = "Alain and Bengio 2016; objective as scikit-learn's LogisticRegression; protocol mae: He et al. 2022, A.1",
    .metrics = metrics,
    .n_metrics = N_METRICS,
    .groups = "linear,pools,depths,confusion,batch,train,save",
    .own = own_settings,
    .run = run_linear,
};
