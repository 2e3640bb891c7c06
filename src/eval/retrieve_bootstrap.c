/* Intervals over groups of queries: a draw takes so many groups, with all that belongs to them. */
#include "base/log.h"
#include "base/rng.h"
#include "eval/eval.h"
#include "eval/retrieve.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double percentile(const double *sorted, int32_t n, double q) {
    double at = q * (n - 1);
    int32_t i = (int32_t)at;
    return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

/* Candidates of a micro average precision, best first, with what a draw needs to know of each. */
typedef struct {
    float score;
    int32_t group;
    bool right, ends_step; /* the last of its score */
} candidate;
static int by_score(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

/* Sums of each group, or candidates: what is left of a line once its queries are forgotten. */
typedef struct {
    double *sum, *weight;   /* [n_groups] */
    candidate *v;
    int64_t n;
} line;

static ehm_code prepare(line *out, const ehm_group_line *l, const int32_t *group, int64_t n_queries, int64_t n_groups, ehm_err *err) {
    out->sum = calloc((size_t)n_groups, sizeof *out->sum), out->weight = calloc((size_t)n_groups, sizeof *out->weight);
    out->v = l->value ? NULL : malloc(sizeof *out->v * (size_t)(l->n + 1));
    if (!out->sum || !out->weight || (!l->value && !out->v)) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for intervals");
    for (int64_t q = 0; q < n_queries; q++) {
        float v = l->value ? l->value[q] : l->n_positive[q];
        if (isnan(v)) continue;
        out->sum[group[q]] += (double)v; /* of a micro line: the positives there are */
        out->weight[group[q]] += 1;
    }
    for (int64_t i = 0; !l->value && i < l->n; i++)
        if (!isnan(l->n_positive[l->query[i]])) out->v[out->n++] = (candidate){l->score[i], group[l->query[i]], l->right[i], false};
    if (out->n > 1) qsort(out->v, (size_t)out->n, sizeof *out->v, by_score);
    for (int64_t i = 0; i < out->n; i++) out->v[i].ends_step = i + 1 == out->n || out->v[i + 1].score != out->v[i].score;
    return EHM_OK;
}

/* times NULL: each group once. */
static double of_draw(const line *l, const uint32_t *times, int64_t n_groups) {
    double sum = 0, weight = 0;
    for (int64_t g = 0; g < n_groups; g++) {
        double t = times ? times[g] : 1;
        sum += t * l->sum[g], weight += t * l->weight[g];
    }
    if (!(weight > 0)) return NAN;
    if (!l->v) return sum / weight;
    if (!(sum > 0)) return NAN;
    double shown = 0, right = 0, gained = 0, area = 0;
    for (int64_t i = 0; i < l->n; i++) {
        double t = times ? times[l->v[i].group] : 1;
        shown += t;
        if (l->v[i].right) right += t, gained += t;
        if (l->v[i].ends_step && gained > 0) area += gained * right / shown, gained = 0;
    }
    return area / sum;
}

/* Draws without a single query of the line say nothing and are left out. */
static void interval(double *lo, double *hi, double *v, int32_t n) {
    int32_t m = 0;
    for (int32_t i = 0; i < n; i++)
        if (!isnan(v[i])) v[m++] = v[i];
    qsort(v, (size_t)m, sizeof *v, by_value);
    *lo = m ? percentile(v, m, 0.025) : NAN;
    *hi = m ? percentile(v, m, 0.975) : NAN;
}

ehm_code ehm_group_bootstrap(double *value, double *lo, double *hi, const ehm_group_line *lines, int32_t n_lines, const int32_t *minus,
                             const int32_t *group, int64_t n_queries, int64_t n_groups, uint64_t seed, ehm_err *err) {
    enum { N = EHM_BOOT_DRAWS };
    if (n_groups < 1) return EHM_FAIL(err, EHM_E_ARG, "an interval needs at least one test item");
    line *l = calloc((size_t)n_lines, sizeof *l);
    double *draws = malloc(sizeof *draws * N * (size_t)n_lines), *diff = malloc(sizeof *diff * N);
    uint32_t *times = malloc(sizeof *times * (size_t)n_groups);
    ehm_code rc = EHM_OK;
    if (!l || !draws || !diff || !times) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d bootstrap draws of %lld pictures", N, (long long)n_groups);
        goto done;
    }
    for (int32_t i = 0; i < n_lines; i++) {
        if ((rc = prepare(&l[i], &lines[i], group, n_queries, n_groups, err))) goto done;
        value[i] = of_draw(&l[i], NULL, n_groups);
    }
    for (int32_t d = 0; d < N; d++) {
        ehm_rng r = ehm_rng_of(seed, EHM_RNG_bootstrap, 0, (uint64_t)d);
        memset(times, 0, sizeof *times * (size_t)n_groups);
        for (int64_t i = 0; i < n_groups; i++) times[ehm_rng_below64(&r, (uint64_t)n_groups)]++;
        for (int32_t i = 0; i < n_lines; i++) draws[(size_t)i * N + (size_t)d] = of_draw(&l[i], times, n_groups);
        if (d % 16 == 0 && ehm_stop_asked()) {
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while drawing intervals");
            goto done;
        }
    }
    for (int32_t i = 0; minus && i < n_lines; i++) {
        if (minus[i] < 0) continue;
        for (int32_t d = 0; d < N; d++) diff[d] = draws[(size_t)i * N + (size_t)d] - draws[(size_t)minus[i] * N + (size_t)d];
        value[n_lines + i] = value[i] - value[minus[i]];
        interval(&lo[n_lines + i], &hi[n_lines + i], diff, N);
    }
    for (int32_t i = 0; i < n_lines; i++) {
        if (lines[i].draws) memcpy(lines[i].draws, draws + (size_t)i * N, sizeof *draws * N);
        interval(&lo[i], &hi[i], draws + (size_t)i * N, N); /* sorts them */
    }
done:
    for (int32_t i = 0; l && i < n_lines; i++) free(l[i].sum), free(l[i].weight), free(l[i].v);
    free(l), free(draws), free(diff), free(times);
    return rc;
}
