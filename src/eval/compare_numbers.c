/* Means and differences of groups of models, with intervals by bootstrap over test items and seeds. */
#include "base/rng.h"
#include "eval/compare.h"
#include <stdlib.h>
#include <string.h>

enum { OF_SEEDS = 1 }; /* items are drawn by 0, as ehm_bootstrap draws them */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
/* Linear interpolation between draws, as numpy.percentile. */
static double percentile(const double *sorted, int32_t n, double q) {
    double at = q * (n - 1);
    int32_t i = (int32_t)at;
    return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}
static void interval(ehm_compare_figure *f, double *v) {
    int32_t n = 0;
    for (int32_t d = 0; d < EHM_BOOT_DRAWS; d++)
        if (isfinite(v[d])) v[n++] = v[d];
    f->lo = f->hi = NAN;
    if (!n) return;
    qsort(v, (size_t)n, sizeof *v, by_value);
    f->lo = percentile(v, n, 0.025), f->hi = percentile(v, n, 0.975);
}

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d bootstrap draws", EHM_BOOT_DRAWS); }

/* Which models a draw takes: all once below EHM_COMPARE_SEEDS, else as many with replacement. */
static void draw_seeds(int32_t *times, int32_t n, int32_t d, uint32_t which) {
    ehm_rng r = ehm_rng_of(0, EHM_RNG_bootstrap, OF_SEEDS + which, (uint64_t)d);
    memset(times, 0, (size_t)n * sizeof *times);
    for (int32_t i = 0; i < n; i++) times[n < EHM_COMPARE_SEEDS ? (uint32_t)i : ehm_rng_below(&r, (uint32_t)n)]++;
}

/* Adds sign times the mean of the draws taken of n rows to v. */
static ehm_code add_mean(double *v, const double *const *rows, int32_t n, double sign, uint32_t which, ehm_err *err) {
    int32_t *times = malloc((size_t)n * sizeof *times);
    if (!times) return no_memory(err);
    for (int32_t d = 0; d < EHM_BOOT_DRAWS; d++) {
        double s = 0;
        draw_seeds(times, n, d, which);
        for (int32_t i = 0; i < n; i++)
            if (times[i]) s += times[i] * rows[i][d];
        v[d] += sign * s / n;
    }
    free(times);
    return EHM_OK;
}

static void describe(ehm_compare_figure *f, const double *value, int32_t n) {
    double sum = 0, squares = 0;
    for (int32_t i = 0; i < n; i++) sum += value[i];
    f->value = sum / n, f->n = n, f->over_seeds = n >= EHM_COMPARE_SEEDS;
    for (int32_t i = 0; i < n; i++) squares += (value[i] - f->value) * (value[i] - f->value);
    f->spread = n > 1 ? sqrt(squares / (n - 1)) : 0;
}

/* The mean over models whose draws are known. */
static ehm_code figure_of(ehm_compare_figure *out, const double *value, const double *const *rows, int32_t n, ehm_err *err) {
    double *v = calloc(EHM_BOOT_DRAWS, sizeof *v);
    ehm_code rc = v ? add_mean(v, rows, n, 1, 0, err) : no_memory(err);
    describe(out, value, n);
    if (!rc) interval(out, v);
    free(v);
    return rc;
}

typedef struct { double *value, *own; const double **rows; } room; /* own [n,EHM_BOOT_DRAWS] */
static void room_free(room *r) { free(r->value), free(r->own), free(r->rows); }
static ehm_code room_open(room *r, int32_t n, bool own, ehm_err *err) {
    *r = (room){malloc((size_t)n * sizeof *r->value), own ? malloc((size_t)n * EHM_BOOT_DRAWS * sizeof *r->own) : NULL, malloc((size_t)n * sizeof *r->rows)};
    if (r->value && r->rows && (r->own || !own)) return EHM_OK;
    room_free(r);
    return no_memory(err);
}

ehm_code ehm_compare_mean(ehm_compare_figure *out, const ehm_compare_score *s, int32_t n, ehm_err *err) {
    room r;
    bool known = true;
    *out = (ehm_compare_figure){.lo = NAN, .hi = NAN};
    EHM_TRY(room_open(&r, n, false, err));
    for (int32_t i = 0; i < n; i++) r.value[i] = s[i].value, r.rows[i] = s[i].draws, known = known && s[i].draws;
    ehm_code rc = EHM_OK;
    if (known) rc = figure_of(out, r.value, r.rows, n, err);
    else describe(out, r.value, n);
    room_free(&r);
    return rc;
}

/* Of one pair. Items that one of the two lacks are no part of the difference. */
static ehm_code pair(double *value, double *draws, const ehm_compare_score *a, const ehm_compare_score *b, ehm_err *err) {
    if (!a->items && !b->items) {
        *value = a->value - b->value;
        for (int32_t d = 0; d < EHM_BOOT_DRAWS; d++) draws[d] = a->draws[d] - b->draws[d];
        return EHM_OK;
    }
    EHM_ASSERT(a->items && b->items && a->n == b->n);
    float *diff = malloc((size_t)a->n * sizeof *diff);
    const float *rows = diff;
    int64_t n = 0;
    double sum = 0;
    ehm_code rc = EHM_OK;
    if (!diff) return no_memory(err);
    for (int64_t i = 0; i < a->n; i++) {
        float x = a->items[i] - b->items[i];
        if (isfinite(x)) diff[n++] = x, sum += (double)x;
    }
    *value = n ? sum / (double)n : NAN;
    if (n) rc = ehm_bootstrap_values(&draws, &rows, 1, 1, n, 0, err);
    for (int32_t d = 0; d < EHM_BOOT_DRAWS && !n; d++) draws[d] = NAN;
    free(diff);
    return rc;
}

/* Means of groups without a seed in common. */
static ehm_code unpaired(ehm_compare_figure *out, const ehm_compare_score *a, int32_t n_a, const ehm_compare_score *b, int32_t n_b, ehm_err *err) {
    ehm_compare_figure fa, fb;
    double *v = calloc(EHM_BOOT_DRAWS, sizeof *v);
    room r = {0};
    ehm_code rc = v ? room_open(&r, n_a > n_b ? n_a : n_b, false, err) : no_memory(err);
    for (int32_t side = 0; side < 2 && !rc; side++) {
        const ehm_compare_score *s = side ? b : a;
        int32_t n = side ? n_b : n_a;
        for (int32_t i = 0; i < n; i++) r.value[i] = s[i].value, r.rows[i] = s[i].draws;
        describe(side ? &fb : &fa, r.value, n);
        rc = add_mean(v, r.rows, n, side ? -1 : 1, (uint32_t)side, err);
    }
    if (!rc) {
        *out = (ehm_compare_figure){.value = fa.value - fb.value, .n = n_a < n_b ? n_a : n_b, .over_seeds = fa.over_seeds && fb.over_seeds};
        interval(out, v);
    }
    room_free(&r);
    free(v);
    return rc;
}

/* The model of b with a's seed; one against one is a pair in any case. -1: none. */
static int32_t partner(const ehm_compare_score *a, int32_t n_a, const ehm_compare_score *b, int32_t n_b) {
    for (int32_t k = 0; k < n_b; k++)
        if (a->seed == b[k].seed || (n_a == 1 && n_b == 1)) return k;
    return -1;
}

ehm_code ehm_compare_difference(ehm_compare_figure *out, const ehm_compare_score *a, int32_t n_a, const ehm_compare_score *b, int32_t n_b, ehm_err *err) {
    room r;
    int32_t n = 0, least = n_a < n_b ? n_a : n_b;
    ehm_code rc = EHM_OK;
    *out = (ehm_compare_figure){.lo = NAN, .hi = NAN};
    EHM_TRY(room_open(&r, n_a, true, err));
    for (int32_t i = 0; i < n_a && !rc; i++) {
        int32_t k = partner(&a[i], n_a, b, n_b);
        if (k < 0) continue;
        rc = pair(&r.value[n], r.own + (int64_t)n * EHM_BOOT_DRAWS, &a[i], &b[k], err);
        r.rows[n] = r.own + (int64_t)n * EHM_BOOT_DRAWS, n++;
    }
    if (!rc && n == least && (n > 1 || n_a == n_b)) {
        rc = figure_of(out, r.value, r.rows, n, err);
        out->by_seed = true;
    } else if (!rc)
        rc = unpaired(out, a, n_a, b, n_b, err);
    room_free(&r);
    return rc;
}
