#include "eval/linear_mae.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "eval/knn.h"
#include "eval/softmax_regression.h"
#include "optim/schedule.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MOST = 16384 };
static const double bn_eps = 1e-6, bn_momentum = 0.1, lars_momentum = 0.9, lars_trust = 0.001, init_std = 0.01;
static const double crop_least = 0.08, flip_p = 0.5;

struct ehm_linear_mae {
    ehm_dev *d;
    ehm_softreg *s;
    int32_t dim, n_classes;
    int64_t n_weights, count;
    double weight_decay;
    double *w, *grad, *velocity; /* [count] */
    double *running;             /* [2 dim] means, variances */
    double *batch;               /* [2 dim] moments, then deviations */
};

void ehm_linear_mae_close(ehm_linear_mae *l) {
    if (!l) return;
    ehm_softreg_close(l->s);
    free(l->w), free(l->grad), free(l->velocity), free(l->running), free(l->batch);
    free(l);
}
double *ehm_linear_mae_weights(ehm_linear_mae *l) { return l->w; }
const double *ehm_linear_mae_moments(const ehm_linear_mae *l) { return l->running; }

ehm_code ehm_linear_mae_open(ehm_linear_mae **out, ehm_dev *d, int32_t dim, int32_t n_classes, double weight_decay, uint64_t seed, ehm_err *err) {
    ehm_linear_mae *l = calloc(1, sizeof *l);
    ehm_rng r = ehm_rng_of(seed, EHM_RNG_head_init, 0, 0);
    *out = NULL;
    if (!l) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a linear classifier");
    l->d = d, l->dim = dim, l->n_classes = n_classes, l->weight_decay = weight_decay;
    ehm_code rc = ehm_softreg_open(&l->s, d, dim, n_classes, err);
    if (rc) goto done;
    l->count = ehm_softreg_count(l->s), l->n_weights = (int64_t)dim * n_classes;
    size_t n = (size_t)l->count, k = 2 * (size_t)dim;
    l->w = calloc(n, sizeof *l->w), l->grad = calloc(n, sizeof *l->w), l->velocity = calloc(n, sizeof *l->w);
    l->running = calloc(k, sizeof *l->w), l->batch = calloc(k, sizeof *l->w);
    if (!l->w || !l->grad || !l->velocity || !l->running || !l->batch) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for a linear classifier of %d features and %d classes", dim, n_classes);
        goto done;
    }
    for (int64_t i = 0; i < l->n_weights; i++) {
        do l->w[i] = init_std * ehm_rng_normal(&r);
        while (fabs(l->w[i]) > 2);
    }
    for (int32_t i = 0; i < dim; i++) l->running[dim + i] = 1;
done:
    if (rc) ehm_linear_mae_close(l);
    else *out = l;
    return rc;
}

/* Moments of the batch into l->batch (biased variance), and into the running ones (unbiased), as torch does. */
static void take_moments(ehm_linear_mae *l, const float *x, int64_t n) {
    int32_t dim = l->dim;
    double *mean = l->batch, *var = l->batch + dim;
    memset(l->batch, 0, 2 * sizeof *mean * (size_t)dim);
    for (int64_t i = 0; i < n; i++)
        for (int32_t k = 0; k < dim; k++) mean[k] += (double)x[i * dim + k];
    for (int32_t k = 0; k < dim; k++) mean[k] /= (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int32_t k = 0; k < dim; k++) {
            double e = (double)x[i * dim + k] - mean[k];
            var[k] += e * e;
        }
    for (int32_t k = 0; k < dim; k++) {
        l->running[k] += bn_momentum * (mean[k] - l->running[k]);
        l->running[dim + k] += bn_momentum * (var[k] / (double)(n - 1) - l->running[dim + k]);
        var[k] /= (double)n;
    }
}

static void normalise(ehm_linear_mae *l, float *x, int64_t n) {
    for (int32_t k = 0; k < l->dim; k++) l->batch[l->dim + k] = sqrt(l->batch[l->dim + k] + bn_eps);
    ehm_knn_standardise(x, n, l->dim, l->batch, l->batch + l->dim, ehm_dev_pool(l->d));
}

static double norm_of(const double *v, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += v[i] * v[i];
    return sqrt(s);
}

static void lars(ehm_linear_mae *l, double lr) {
    double *g = l->grad;
    for (int64_t i = 0; i < l->n_weights; i++) g[i] += l->weight_decay * l->w[i];
    double of_w = norm_of(l->w, l->n_weights), of_g = norm_of(g, l->n_weights);
    double trust = of_w > 0 && of_g > 0 ? lars_trust * of_w / of_g : 1;
    for (int64_t i = 0; i < l->count; i++) {
        l->velocity[i] = lars_momentum * l->velocity[i] + (i < l->n_weights ? trust : 1) * g[i];
        l->w[i] -= lr * l->velocity[i];
    }
}

ehm_code ehm_linear_mae_step(double *loss, ehm_linear_mae *l, float *x, const int32_t *labels, int64_t n, double lr, ehm_err *err) {
    if (n < 2) return EHM_FAIL(err, EHM_E_ARG, "a batch of %lld pictures: batch norm needs two", (long long)n);
    take_moments(l, x, n);
    normalise(l, x, n);
    EHM_TRY(ehm_softreg_mean_loss(loss, l->grad, l->s, l->w, &(ehm_softreg_set){.x = x, .labels = labels, .n = n}, err));
    lars(l, lr);
    return EHM_OK;
}

ehm_code ehm_linear_mae_score(int32_t *guess, int32_t *rank, double *loss, ehm_linear_mae *l, float *x, const int32_t *labels, int64_t n, ehm_err *err) {
    memcpy(l->batch, l->running, 2 * sizeof *l->batch * (size_t)l->dim);
    normalise(l, x, n);
    return ehm_softreg_score(guess, rank, loss, l->s, l->w, &(ehm_softreg_set){.x = x, .labels = labels, .n = n}, err);
}

/* ---- a whole training ---- */

int64_t ehm_linear_mae_batch(int64_t n_train) {
    int64_t b = 2;
    while (b < BATCH_MOST && 2 * b <= n_train / 4) b *= 2;
    return b;
}

typedef struct {
    ehm_linear_mae_probe *probes;
    int32_t n_probes, dim;
    ehm_model *m;
    const ehm_split *split;
    const ehm_depths *depths;
    const int32_t *in_model;
    const ehm_linear_mae_plan *plan;
    ehm_schedule schedule;
    float *cls, *mean;          /* [model's batch, dim] */
    float *x[2];                /* [batch, dim] for each probe */
    int32_t *y;                 /* [batch] */
    int64_t n_filled, n_steps, epoch, epoch_steps, n_seen;
    double loss_sum[2], begin_s;
} walk;

static void tell(const walk *w) {
    char left[32];
    const ehm_linear_mae_plan *p = w->plan;
    double spent = ehm_clock_s() - w->begin_s, done = ((double)w->n_steps + (double)w->n_filled / (double)p->batch) / (double)p->n_steps;
    ehm_progress(false, "linear probe (mae): epoch %lld of %g, step %lld of %lld, loss %.4f, %.0f pictures a second, features anew each epoch, %s left",
                 (long long)w->epoch + 1, p->epochs, (long long)w->n_steps, (long long)p->n_steps,
                 w->epoch_steps ? w->loss_sum[0] / (double)w->epoch_steps : w->probes[0].loss, (double)w->n_seen / (spent + 1e-9),
                 ehm_format_seconds(done > 0 ? spent / done * (1 - done) : 0, left));
}

static ehm_code step(walk *w, ehm_err *err) {
    double lr = ehm_schedule_lr(&w->schedule, w->n_steps);
    for (int32_t i = 0; i < w->n_probes; i++) {
        double loss;
        EHM_TRY(ehm_linear_mae_step(&loss, w->probes[i].l, w->x[i], w->y, w->n_filled, lr, err));
        w->loss_sum[i] += loss;
    }
    w->n_steps++, w->epoch_steps++, w->n_filled = 0;
    for (int32_t i = 0; i < w->n_probes; i++) w->probes[i].loss = w->loss_sum[i] / (double)w->epoch_steps;
    return EHM_OK;
}

/* What did not fill a batch is left out, as a loader that drops its last batch does. */
static ehm_code next_epoch(walk *w, int64_t epoch, ehm_err *err) {
    if (!w->epoch_steps) {
        EHM_FAIL(err, EHM_E_CONFIG, "an epoch gave %lld readable labelled pictures, and a batch has %lld", (long long)w->n_filled, (long long)w->plan->batch);
        return EHM_HINT(err, "a smaller --batch-size can be filled"), EHM_E_CONFIG;
    }
    ehm_log(EHM_LOG_DEBUG, "linear probe (mae): epoch %lld: loss %.6g", (long long)w->epoch + 1, w->probes[0].loss);
    w->epoch = epoch, w->epoch_steps = 0, w->n_filled = 0;
    memset(w->loss_sum, 0, sizeof w->loss_sum);
    return EHM_OK;
}

static ehm_code batch(walk *w, const ehm_batch *b, ehm_err *err) {
    size_t row = sizeof(float) * (size_t)w->dim;
    if (b->epoch != w->epoch) EHM_TRY(next_epoch(w, b->epoch, err));
    if (w->epoch_steps >= w->plan->steps_per_epoch) return EHM_OK; /* what is left of the epoch fills no batch */
    if (w->depths->n) EHM_TRY(ehm_model_depths(w->m, b->pixels, b->type, b->n, w->depths->depth, w->depths->n, w->cls, w->mean, err));
    else EHM_TRY(ehm_model_cls_mean(w->m, b->pixels, b->type, b->n, w->cls, w->mean, err));
    w->n_seen += b->n;
    for (int32_t i = 0; i < b->n && w->n_steps < w->plan->n_steps; i++) {
        /* Unlabelled, a stand-in for a bad file (which has its own turn), or held out to be tested on. */
        if (b->labels[i] < 0 || b->ids[i] != b->slots[i] || !ehm_in_part(w->split, b->ids[i])) continue;
        for (int32_t k = 0; k < w->n_probes; k++)
            memcpy(w->x[k] + w->n_filled * w->dim, (w->probes[k].of_cls ? w->cls : w->mean) + (int64_t)i * w->dim, row);
        w->y[w->n_filled++] = w->in_model[b->labels[i]];
        if (w->n_filled == w->plan->batch) EHM_TRY(step(w, err));
    }
    return EHM_OK;
}

static ehm_code all_batches(walk *w, ehm_loader *l, ehm_err *err) {
    while (w->n_steps < w->plan->n_steps) {
        ehm_batch b = {0};
        if (ehm_stop_asked())
            return EHM_FAIL(err, EHM_E_STOPPED, "stopped at step %lld of %lld of the linear probe", (long long)w->n_steps, (long long)w->plan->n_steps);
        EHM_TRY(ehm_loader_next(l, &b, err));
        EHM_TRY(batch(w, &b, err));
        tell(w);
    }
    ehm_progress(true, "linear probe (mae): %lld steps", (long long)w->n_steps);
    return EHM_OK;
}

ehm_code ehm_linear_mae_train(ehm_linear_mae_probe *probes, int32_t n_probes, ehm_model *m, ehm_dataset *ds, const ehm_split *split,
                              const ehm_depths *depths, const int32_t *in_model, const ehm_linear_mae_plan *plan, ehm_err *err) {
    const ehm_vit_shape *s = ehm_model_shape(m);
    walk w = {.probes = probes, .n_probes = n_probes, .dim = s->embed_dim * (depths->n ? depths->n : 1), .m = m, .split = split, .depths = depths,
              .in_model = in_model, .plan = plan, .begin_s = ehm_clock_s()};
    ehm_loader_opt opt = {.batch_size = ehm_model_batch(m), .h = s->img_h, .w = s->img_w, .augment = true, .crop_min = crop_least, .crop_max = 1,
                          .flip = flip_p, .shuffle = true, .repeat = true, .seed = plan->seed, .n_workers = plan->n_workers, .max_bad = 1};
    ehm_loader *l = NULL;
    size_t cells;
    EHM_ASSERT(n_probes >= 1 && n_probes <= 2 && plan->steps_per_epoch >= 1 && plan->n_steps >= 1);
    ehm_schedule_init(&w.schedule, plan->n_steps, plan->warmup_epochs * (double)plan->steps_per_epoch, plan->lr, plan->min_lr);
    bool ok = ehm_mul_size(&cells, (size_t)plan->batch, (size_t)w.dim) && ehm_mul_size(&cells, cells, sizeof(float));
    size_t look = sizeof(float) * (size_t)ehm_model_batch(m) * (size_t)w.dim;
    w.cls = malloc(look), w.mean = malloc(look), w.y = malloc(sizeof *w.y * (size_t)plan->batch);
    ok = ok && w.cls && w.mean && w.y;
    for (int32_t i = 0; i < n_probes && ok; i++) ok = (w.x[i] = malloc(cells)) != NULL;
    ehm_code rc = ok ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for a batch of %lld pictures with %d features", (long long)plan->batch, w.dim);
    if (!ok) EHM_HINT(err, "a smaller --batch-size needs less");
    if (!rc) rc = ehm_loader_open(&l, ds, &opt, 0, err);
    if (!rc) rc = all_batches(&w, l, err);
    ehm_loader_close(l);
    free(w.cls), free(w.mean), free(w.y), free(w.x[0]), free(w.x[1]);
    return rc;
}
