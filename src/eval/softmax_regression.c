#include "eval/softmax_regression.h"
#include "base/log.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1024, HISTORY = 10, SEARCH_MAX = 30, PATIENCE = 10 };
/* Relative changes of the mean loss below `flat` may be the rounding of f32 products; PATIENCE steps in a row with less than
 * `progress` are an end. */
static const double flat = 1e-6, progress = 1e-10;

struct ehm_softreg {
    ehm_dev *d;
    int32_t dim, n_classes;
    int64_t count;
    ehm_buf *bx, *bw, *bz, *bg;
    float *stage, *w32, *z, *g32; /* [BLOCK,dim] [count] [BLOCK,n_classes] [n_classes,dim] */
    double *vec;                  /* the fit's vectors, obtained at the first fit */
    double loss[BLOCK];
};

int64_t ehm_softreg_count(const ehm_softreg *s) { return s->count; }

void ehm_softreg_close(ehm_softreg *s) {
    if (!s) return;
    ehm_buf_free(s->bx), ehm_buf_free(s->bw), ehm_buf_free(s->bz), ehm_buf_free(s->bg);
    free(s->stage), free(s->w32), free(s->z), free(s->g32), free(s->vec);
    free(s);
}

ehm_code ehm_softreg_open(ehm_softreg **out, ehm_dev *d, int32_t dim, int32_t n_classes, ehm_err *err) {
    *out = NULL;
    if (dim < 1 || n_classes < 2)
        return EHM_FAIL(err, EHM_E_ARG, "a linear classifier of %d features and %d classes", dim, n_classes);
    ehm_softreg *s = calloc(1, sizeof *s);
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a linear classifier");
    size_t f = sizeof(float), k = (size_t)n_classes, n = (size_t)dim;
    ehm_code rc = EHM_OK;
    s->d = d, s->dim = dim, s->n_classes = n_classes, s->count = (int64_t)n_classes * (dim + 1);
    s->stage = malloc(f * BLOCK * n), s->w32 = malloc(f * (size_t)s->count);
    s->z = malloc(f * BLOCK * k), s->g32 = malloc(f * k * n);
    if (!s->stage || !s->w32 || !s->z || !s->g32)
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for a linear classifier of %d features and %d classes", dim, n_classes);
    if (!rc) rc = ehm_buf_new(&s->bx, d, f * BLOCK * n, err);
    if (!rc) rc = ehm_buf_new(&s->bw, d, f * (size_t)s->count, err);
    if (!rc) rc = ehm_buf_new(&s->bz, d, f * BLOCK * k, err);
    if (!rc) rc = ehm_buf_new(&s->bg, d, f * k * n, err);
    if (rc) ehm_softreg_close(s), s = NULL;
    *out = s;
    return rc;
}

/* ---- one block of rows: logits, then what is wanted of them ---- */

static int64_t row_of(const ehm_softreg_set *set, int64_t i) { return set->rows ? set->rows[i] : i; }

static void put_weights(ehm_softreg *s, const double *w) {
    ehm_view v = ehm_view_1d(s->bw, EHM_F32, s->count);
    for (int64_t i = 0; i < s->count; i++) s->w32[i] = (float)w[i];
    ehm_upload(s->d, v, s->w32, ehm_view_bytes(v));
}

/* s->z = logits of rows first to first + n. The rows stay in bx. */
static void put_logits(ehm_softreg *s, const ehm_softreg_set *set, int64_t first, int64_t n) {
    int64_t k = s->n_classes, dim = s->dim;
    ehm_view x = ehm_view_2d(s->bx, EHM_F32, n, dim), z = ehm_view_2d(s->bz, EHM_F32, n, k);
    const float *from = set->x + first * dim;
    if (set->rows) {
        for (int64_t i = 0; i < n; i++)
            memcpy(s->stage + i * dim, set->x + set->rows[first + i] * dim, sizeof(float) * (size_t)dim);
        from = s->stage;
    }
    ehm_upload(s->d, x, from, ehm_view_bytes(x));
    ehm_matmul(s->d, &(ehm_matmul_args){.out = z,
                                        .a = x,
                                        .b = ehm_view_2d(s->bw, EHM_F32, k, dim),
                                        .bias = ehm_view_of(s->bw, k * dim, EHM_F32, 1, &k),
                                        .trans_b = true});
    ehm_download(s->d, s->z, z, ehm_view_bytes(z));
}

typedef struct {
    ehm_softreg *s;
    const ehm_softreg_set *set;
    int64_t first;
    int32_t *guess, *rank; /* of the block; NULL in a fit */
    double *loss;
} block_ctx;

/* The log loss of each row; its logits become probability - truth, the gradient by logits. */
static void losses(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    block_ctx *c = ctx;
    int32_t k = c->s->n_classes;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        float *z = c->s->z + i * k, top = z[0];
        int32_t y = c->set->labels[row_of(c->set, c->first + i)];
        double sum = 0, of_truth = (double)z[y];
        for (int32_t j = 1; j < k; j++) top = z[j] > top ? z[j] : top;
        for (int32_t j = 0; j < k; j++) z[j] = expf(z[j] - top), sum += (double)z[j];
        for (int32_t j = 0; j < k; j++) z[j] = (float)((double)z[j] / sum);
        /* cppcheck-suppress invalidFunctionArg ; the largest logit alone adds 1 to sum */
        c->loss[i] = (double)top - of_truth + log(sum);
        z[y] -= 1;
    }
}

static void scores(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    block_ctx *c = ctx;
    int32_t k = c->s->n_classes;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        const float *z = c->s->z + i * k;
        int32_t y = c->set->labels[row_of(c->set, c->first + i)], best = 0, before = 0;
        double sum = 0;
        for (int32_t j = 1; j < k; j++)
            if (z[j] > z[best]) best = j;
        for (int32_t j = 0; j < k; j++) {
            sum += exp((double)z[j] - (double)z[best]);
            if (y >= 0) before += z[j] > z[y] || (j < y && z[j] == z[y]);
        }
        double loss = y < 0 ? INFINITY : (double)z[best] - (double)z[y] + log(sum), most = -log(DBL_EPSILON);
        c->guess[i] = best, c->rank[i] = y < 0 ? k : before, c->loss[i] = loss < most ? loss : most;
    }
}

static ehm_code stopped(ehm_err *err) { return EHM_FAIL(err, EHM_E_STOPPED, "stopped while fitting a linear classifier"); }

ehm_code ehm_softreg_score(int32_t *guess, int32_t *rank, double *loss, ehm_softreg *s, const double *w,
                           const ehm_softreg_set *set, ehm_err *err) {
    put_weights(s, w);
    for (int64_t first = 0; first < set->n; first += BLOCK) {
        int64_t n = set->n - first < BLOCK ? set->n - first : BLOCK;
        block_ctx c = {s, set, first, guess + first, rank + first, loss + first};
        if (ehm_stop_asked()) return stopped(err);
        put_logits(s, set, first, n);
        ehm_pool_for(ehm_dev_pool(s->d), n, 32, scores, &c);
    }
    return ehm_dev_check(s->d, err);
}

/* ---- the objective, divided by C * n: mean log loss + ||W||^2 / 2 / (C n) ---- */

static ehm_code mean_objective(double *value, double *gradient, ehm_softreg *s, const double *w, const ehm_softreg_set *set,
                               double c, ehm_err *err) {
    int64_t k = s->n_classes, n_weights = k * s->dim;
    double sum = 0, squares = 0, share = 1 / (double)set->n;
    double weight = (k == 2 ? 2 : 1) / (c * (double)set->n); /* two classes: the penalty of w1 - w0, which is 2 w1 at the minimum */
    if (gradient) memset(gradient, 0, sizeof *gradient * (size_t)s->count);
    put_weights(s, w);
    for (int64_t first = 0; first < set->n; first += BLOCK) {
        int64_t n = set->n - first < BLOCK ? set->n - first : BLOCK;
        block_ctx b = {.s = s, .set = set, .first = first, .loss = s->loss};
        if (ehm_stop_asked()) return stopped(err);
        put_logits(s, set, first, n);
        ehm_pool_for(ehm_dev_pool(s->d), n, 32, losses, &b);
        for (int64_t i = 0; i < n; i++) sum += s->loss[i];
        if (!gradient) continue;
        ehm_view z = ehm_view_2d(s->bz, EHM_F32, n, k), g = ehm_view_2d(s->bg, EHM_F32, k, s->dim);
        ehm_upload(s->d, z, s->z, ehm_view_bytes(z));
        ehm_matmul(s->d, &(ehm_matmul_args){.out = g, .a = z, .b = ehm_view_2d(s->bx, EHM_F32, n, s->dim), .trans_a = true});
        ehm_download(s->d, s->g32, g, ehm_view_bytes(g));
        for (int64_t i = 0; i < n_weights; i++) gradient[i] += (double)s->g32[i];
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < k; j++) gradient[n_weights + j] += (double)s->z[i * k + j];
    }
    EHM_TRY(ehm_dev_check(s->d, err));
    for (int64_t i = 0; i < n_weights; i++) squares += w[i] * w[i];
    for (int64_t i = 0; i < s->count && gradient; i++)
        gradient[i] = gradient[i] * share + (i < n_weights ? weight * w[i] : 0);
    *value = sum * share + weight * squares / 2;
    return isfinite(*value) ? EHM_OK : EHM_FAIL(err, EHM_E_NUMERIC, "the loss of the linear classifier is %g: are all features finite?", *value);
}

static ehm_code check_set(const ehm_softreg *s, const ehm_softreg_set *set, double c, ehm_err *err) {
    if (set->n < 1 || !(c > 0) || !isfinite(c))
        return EHM_FAIL(err, EHM_E_ARG, "a linear classifier of %lld rows, C %g", (long long)set->n, c);
    for (int64_t i = 0; i < set->n; i++)
        if (set->labels[row_of(set, i)] < 0 || set->labels[row_of(set, i)] >= s->n_classes)
            return EHM_FAIL(err, EHM_E_ARG, "row %lld has label %d, and there are %d classes", (long long)i,
                            set->labels[row_of(set, i)], s->n_classes);
    return EHM_OK;
}

ehm_code ehm_softreg_objective(double *value, double *gradient, ehm_softreg *s, const double *w, const ehm_softreg_set *set,
                               double c, ehm_err *err) {
    EHM_TRY(check_set(s, set, c, err));
    EHM_TRY(mean_objective(value, gradient, s, w, set, c, err));
    double all = c * (double)set->n;
    *value *= all;
    for (int64_t i = 0; i < s->count && gradient; i++) gradient[i] *= all;
    return EHM_OK;
}

/* A C without bound leaves nothing of the penalty. */
ehm_code ehm_softreg_mean_loss(double *value, double *gradient, ehm_softreg *s, const double *w, const ehm_softreg_set *set, ehm_err *err) {
    EHM_TRY(check_set(s, set, 1, err));
    return mean_objective(value, gradient, s, w, set, INFINITY, err);
}

/* ---- L-BFGS (Nocedal and Wright 2006, 7.4) ---- */

typedef struct {
    ehm_softreg *s;
    const ehm_softreg_set *set;
    double c, f, f_new;
    double *w, *g, *w_new, *g_new, *dir;
    double *step[HISTORY], *turn[HISTORY], rho[HISTORY]; /* changes of w and of the gradient, newest at n_kept % HISTORY - 1 */
    int64_t n_kept;
    int32_t n_evals;
} fit;

static double dot(const double *a, const double *b, int64_t n) {
    double v = 0;
    for (int64_t i = 0; i < n; i++) v += a[i] * b[i];
    return v;
}
static void add_scaled(double *a, double by, const double *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) a[i] += by * b[i];
}
static double largest(const double *a, int64_t n) {
    double v = 0;
    for (int64_t i = 0; i < n; i++) v = fabs(a[i]) > v ? fabs(a[i]) : v;
    return v;
}

/* dir = - (approximate inverse Hessian) g, by the two loops. */
static void set_direction(fit *f) {
    int64_t n = f->s->count, oldest = f->n_kept < HISTORY ? 0 : f->n_kept - HISTORY;
    double alpha[HISTORY] = {0};
    for (int64_t i = 0; i < n; i++) f->dir[i] = -f->g[i];
    for (int64_t k = f->n_kept - 1; k >= oldest; k--) {
        int64_t h = k % HISTORY;
        alpha[h] = f->rho[h] * dot(f->step[h], f->dir, n);
        add_scaled(f->dir, -alpha[h], f->turn[h], n);
    }
    if (f->n_kept) {
        int64_t h = (f->n_kept - 1) % HISTORY;
        double scale = 1 / (f->rho[h] * dot(f->turn[h], f->turn[h], n));
        for (int64_t i = 0; i < n; i++) f->dir[i] *= scale;
    }
    for (int64_t k = oldest; k < f->n_kept; k++) {
        int64_t h = k % HISTORY;
        add_scaled(f->dir, alpha[h] - f->rho[h] * dot(f->turn[h], f->dir, n), f->step[h], n);
    }
}

/* A step that lowers f enough and leaves the slope less steep (weak Wolfe), by doubling and interpolating. At the minimum f is
 * flat to its rounding; there the slope alone decides (Hager and Zhang 2005, approximate Wolfe). *found false: no such step. */
static ehm_code search(fit *f, bool *found, ehm_err *err) {
    const double enough = 1e-4, flatter = 0.9;
    int64_t n = f->s->count;
    double slope = dot(f->g, f->dir, n), lo = 0, hi = INFINITY, f_lo = f->f, slope_lo = slope;
    double norm = sqrt(dot(f->g, f->g, n)), t = f->n_kept || norm <= 1 ? 1 : 1 / norm;
    *found = false;
    if (!(slope < 0)) return EHM_OK;
    for (int32_t i = 0; i < SEARCH_MAX; i++) {
        memcpy(f->w_new, f->w, sizeof *f->w * (size_t)n);
        add_scaled(f->w_new, t, f->dir, n);
        EHM_TRY(mean_objective(&f->f_new, f->g_new, f->s, f->w_new, f->set, f->c, err));
        f->n_evals++;
        double slope_new = dot(f->g_new, f->dir, n);
        bool level = f->f_new <= f->f + flat * fabs(f->f) && slope_new <= (2 * enough - 1) * slope;
        if (!level && !(f->f_new <= f->f + enough * t * slope)) {
            double width = t - lo, bend = f->f_new - f_lo - slope_lo * width; /* minimum of the parabola through lo and t */
            double at = bend > 0 ? -slope_lo * width * width / (2 * bend) : width / 2;
            hi = t;
            t = lo + (at < width / 10 ? width / 10 : at > width / 2 ? width / 2 : at);
        } else if (slope_new < flatter * slope) {
            lo = t, f_lo = f->f_new, slope_lo = slope_new;
            t = isfinite(hi) ? (lo + hi) / 2 : 2 * t;
        } else {
            *found = true;
            return EHM_OK;
        }
    }
    return EHM_OK;
}

static void keep_step(fit *f) {
    int64_t n = f->s->count, h = f->n_kept % HISTORY;
    for (int64_t i = 0; i < n; i++) f->step[h][i] = f->w_new[i] - f->w[i], f->turn[h][i] = f->g_new[i] - f->g[i];
    double curve = dot(f->step[h], f->turn[h], n);
    if (curve > 0) f->rho[h] = 1 / curve, f->n_kept++;
}

static ehm_code get_room(fit *f, ehm_err *err) {
    ehm_softreg *s = f->s;
    size_t n = (size_t)s->count;
    if (!s->vec) s->vec = malloc(sizeof(double) * n * (4 + 2 * HISTORY));
    if (!s->vec) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to fit %lld parameters", (long long)s->count);
    f->g = s->vec, f->w_new = f->g + n, f->g_new = f->w_new + n, f->dir = f->g_new + n;
    for (int32_t h = 0; h < HISTORY; h++) f->step[h] = f->dir + (size_t)(2 * h + 1) * n, f->turn[h] = f->dir + (size_t)(2 * h + 2) * n;
    return EHM_OK;
}

ehm_code ehm_softreg_fit(double *w, ehm_softreg_report *report, ehm_softreg *s, const ehm_softreg_set *set, double c,
                         const ehm_softreg_opt *opt, ehm_err *err) {
    ehm_softreg_opt o = opt ? *opt : (ehm_softreg_opt){2e-4, 1000};
    fit f = {.s = s, .set = set, .c = c, .w = w};
    ehm_softreg_report r = {0};
    EHM_TRY(check_set(s, set, c, err));
    EHM_TRY(get_room(&f, err));
    EHM_TRY(mean_objective(&f.f, f.g, s, w, set, c, err));
    f.n_evals = 1;
    int32_t n_idle = 0;
    for (; !(r.converged = largest(f.g, s->count) <= o.tol / s->n_classes) && r.n_iter < o.max_iter; r.n_iter++) {
        bool found;
        set_direction(&f);
        EHM_TRY(search(&f, &found, err));
        if (!found && f.n_kept) { /* a history spoilt by rounding: once more down the gradient */
            f.n_kept = 0;
            continue;
        }
        n_idle = found && f.f - f.f_new > progress * fabs(f.f) ? 0 : n_idle + 1;
        r.converged = !found || n_idle == PATIENCE;
        if (!found) break;
        keep_step(&f);
        memcpy(w, f.w_new, sizeof *w * (size_t)s->count);
        double *swap = f.g;
        f.g = f.g_new, f.g_new = swap, f.f = f.f_new;
        if (r.converged) break;
        if (r.n_iter % 10 == 9) ehm_progress(false, "linear probe: C %g, step %d, loss %.4f", c, r.n_iter + 1, f.f);
    }
    r.objective = f.f * c * (double)set->n, r.gradient_max = largest(f.g, s->count), r.n_evals = f.n_evals;
    *report = r;
    return EHM_OK;
}
