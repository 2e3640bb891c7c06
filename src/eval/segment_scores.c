/* How right label maps are: counts of each picture, measures of sums of them, intervals by drawing runs of
 * pictures. */
#include "base/rng.h"
#include "eval/eval.h"
#include "eval/ranking.h"
#include "eval/segment.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

ehm_code ehm_seg_scores_new(ehm_seg_scores *s, int64_t n, int32_t n_classes, ehm_arena *a, ehm_err *err) {
    size_t count, cells;
    *s = (ehm_seg_scores){.n = n, .n_classes = n_classes};
    if (ehm_mul_size(&count, (size_t)n, (size_t)n_classes) &&
        ehm_mul_size(&cells, (size_t)n_classes, (size_t)n_classes)) {
        s->count = EHM_NEW_N(a, ehm_seg_count, count);
        s->confusion = EHM_NEW_N(a, int64_t, cells);
    }
    if (s->count && s->confusion) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the counts of %lld pictures and %d classes",
                    (long long)n, n_classes);
}

void ehm_seg_scores_add(ehm_seg_scores *s, int64_t i, const int32_t *truth, const int32_t *predicted,
                        int64_t n_pixels) {
    ehm_seg_count *c = s->count + i * s->n_classes;
    for (int64_t k = 0; k < n_pixels; k++) {
        int32_t t = truth[k], p = predicted[k];
        if (t < 0) continue;
        c[t].truth++, c[p].predicted++, c[t].both += t == p;
        s->confusion[(int64_t)t * s->n_classes + p]++;
    }
}

/* ---- measures ---- */

typedef struct {
    int64_t truth, predicted, both;
} sums;

static void measure(double *out, const sums *v, int32_t n_classes) {
    double iou_sum = 0, right_sum = 0;
    int64_t n_there = 0, truth = 0, both = 0;
    for (int32_t k = 0; k < n_classes; k++) {
        int64_t either = v[k].truth + v[k].predicted - v[k].both;
        double iou = either ? (double)v[k].both / (double)either : NAN;
        out[EHM_SEG_IOU + k] = iou;
        truth += v[k].truth, both += v[k].both;
        if (v[k].truth) n_there++, iou_sum += iou, right_sum += (double)v[k].both / (double)v[k].truth;
    }
    out[EHM_SEG_MIOU] = n_there ? iou_sum / (double)n_there : NAN;
    out[EHM_SEG_PIXELS] = truth ? (double)both / (double)truth : NAN;
    out[EHM_SEG_CLASSES] = n_there ? right_sum / (double)n_there : NAN;
}

static void add_counts(sums *v, const ehm_seg_count *c, int32_t n_classes) {
    for (int32_t k = 0; k < n_classes; k++)
        v[k].truth += c[k].truth, v[k].predicted += c[k].predicted, v[k].both += c[k].both;
}

void ehm_seg_measures_of(double *out, const ehm_seg_scores *s, int64_t i) {
    int32_t c = s->n_classes, n_there = 0;
    int64_t truth = 0, both = 0;
    double right_sum = 0;
    if (i >= 0) {
        const ehm_seg_count *v = s->count + i * c;
        double iou_sum = 0;
        for (int32_t k = 0; k < c; k++) {
            int64_t either = (int64_t)v[k].truth + v[k].predicted - v[k].both;
            out[EHM_SEG_IOU + k] = either ? (double)v[k].both / (double)either : NAN;
            truth += v[k].truth, both += v[k].both;
            if (v[k].truth)
                n_there++, iou_sum += out[EHM_SEG_IOU + k], right_sum += (double)v[k].both / v[k].truth;
        }
        out[EHM_SEG_MIOU] = n_there ? iou_sum / n_there : NAN;
    } else {
        out[EHM_SEG_MIOU] = ehm_mean_iou(out + EHM_SEG_IOU, s->confusion, c);
        for (int32_t k = 0; k < c; k++) {
            int64_t of_class = 0, right = s->confusion[(int64_t)k * c + k];
            for (int32_t j = 0; j < c; j++) of_class += s->confusion[(int64_t)k * c + j];
            truth += of_class, both += right;
            if (of_class) n_there++, right_sum += (double)right / (double)of_class;
        }
    }
    out[EHM_SEG_PIXELS] = truth ? (double)both / (double)truth : NAN;
    out[EHM_SEG_CLASSES] = n_there ? right_sum / n_there : NAN;
}

/* ---- intervals ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* 2.5 % and 97.5 % of the numbers that are there, by linear interpolation as numpy.percentile; v is sorted.
 */
static void ends(double *lo, double *hi, double *v, int32_t n) {
    int32_t there = 0;
    double q[2] = {0.025, 0.975}, *to[2] = {lo, hi};
    for (int32_t i = 0; i < n; i++)
        if (!isnan(v[i])) v[there++] = v[i];
    qsort(v, (size_t)there, sizeof *v, by_value);
    for (int32_t k = 0; k < 2; k++) {
        double at = q[k] * (there - 1);
        int32_t i = (int32_t)at;
        *to[k] = !there ? NAN : i + 1 < there ? v[i] + (at - i) * (v[i + 1] - v[i]) : v[there - 1];
    }
}

static void sum_runs(sums *of_run, const ehm_seg_scores *s, const int32_t *run_of) {
    for (int64_t i = 0; i < s->n; i++)
        add_counts(of_run + (int64_t)run_of[i] * s->n_classes, s->count + i * s->n_classes, s->n_classes);
}

ehm_code ehm_seg_bootstrap(double *lo, double *hi, double *dlo, double *dhi, double *kept,
                           const ehm_seg_scores *const *models, const int32_t *partner, int32_t n_models,
                           const int32_t *run_of, int32_t n_runs, uint64_t seed, ehm_err *err) {
    int32_t c = models[0]->n_classes, width = EHM_SEG_IOU + c;
    ehm_arena a = {0};
    ehm_code rc = EHM_OK;
    if (n_runs < 1) return EHM_FAIL(err, EHM_E_ARG, "an interval needs at least one test picture");
    sums *of_run = EHM_NEW_N(&a, sums, (int64_t)n_models * n_runs * c), *drawn = EHM_NEW_N(&a, sums, c);
    double *draws = EHM_NEW_N(&a, double, (int64_t)n_models *width *EHM_BOOT_DRAWS),
           *one = EHM_NEW_N(&a, double, width);
    double *diff = EHM_NEW_N(&a, double, EHM_BOOT_DRAWS);
    uint32_t *times = EHM_NEW_N(&a, uint32_t, n_runs);
    if (!of_run || !drawn || !draws || !one || !diff || !times) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d bootstrap draws of %d measures",
                      (int)EHM_BOOT_DRAWS, n_models * width);
        goto done;
    }
    for (int32_t m = 0; m < n_models; m++) sum_runs(of_run + (int64_t)m * n_runs * c, models[m], run_of);
    for (int32_t d = 0; d < EHM_BOOT_DRAWS; d++) {
        ehm_rng r = ehm_rng_of(seed, EHM_RNG_bootstrap, 0, (uint64_t)d);
        memset(times, 0, sizeof *times * (size_t)n_runs);
        for (int32_t i = 0; i < n_runs; i++) times[ehm_rng_below(&r, (uint32_t)n_runs)]++;
        for (int32_t m = 0; m < n_models; m++) {
            const sums *v = of_run + (int64_t)m * n_runs * c;
            memset(drawn, 0, sizeof *drawn * (size_t)c);
            for (int32_t i = 0; i < n_runs; i++, v += c)
                for (int32_t k = 0; k < c && times[i]; k++)
                    drawn[k].truth += times[i] * v[k].truth, drawn[k].predicted += times[i] * v[k].predicted,
                        drawn[k].both += times[i] * v[k].both;
            measure(one, drawn, c);
            for (int32_t k = 0; k < width; k++) draws[((int64_t)m * width + k) * EHM_BOOT_DRAWS + d] = one[k];
        }
    }
    if (kept) memcpy(kept, draws, sizeof *draws * (size_t)n_models * (size_t)width * EHM_BOOT_DRAWS);
    for (int32_t m = 0; m < n_models && partner; m++) /* before the draws are sorted */
        for (int32_t k = 0; k < width; k++) {
            const double *x = draws + ((int64_t)m * width + k) * EHM_BOOT_DRAWS;
            const double *y = partner[m] < 0 ? NULL
                                             : draws + ((int64_t)partner[m] * width + k) * EHM_BOOT_DRAWS;
            if (!y) continue;
            for (int32_t d = 0; d < EHM_BOOT_DRAWS; d++) diff[d] = x[d] - y[d];
            ends(&dlo[m * width + k], &dhi[m * width + k], diff, EHM_BOOT_DRAWS);
        }
    for (int32_t i = 0; i < n_models * width; i++)
        ends(&lo[i], &hi[i], draws + (int64_t)i * EHM_BOOT_DRAWS, EHM_BOOT_DRAWS);
done:
    ehm_arena_free(&a);
    return rc;
}

/* ---- runs of frames ---- */

/* The number at the end of a name's stem, and how much of the name stands before it. */
static bool numbered(const char *name, size_t *n_before, int64_t *number) {
    const char *base = strrchr(name, '/'), *dot;
    base = base ? base + 1 : name;
    dot = strrchr(base, '.');
    const char *end = dot && dot > base ? dot : base + strlen(base), *p = end;
    while (p > base && isdigit((unsigned char)p[-1])) p--;
    if (p == end || end - p > 15) return false;
    *n_before = (size_t)(p - name), *number = 0;
    for (; p < end; p++) *number = *number * 10 + (*p - '0');
    return true;
}

typedef struct {
    bool there;
    size_t n_before;
    int64_t number;
} frame;

static bool goes_on(const char *a, const frame *x, const char *b, const frame *y) {
    return x->there && y->there && x->n_before == y->n_before && !strncmp(a, b, x->n_before) &&
           y->number > x->number;
}

static bool says_frame(const char *name) {
    const char *base = strrchr(name, '/');
    for (base = base ? base + 1 : name; *base; base++)
        if (!strncasecmp(base, "frame", 5)) return true;
    return false;
}

/* The step that most pairs of neighbours go on by (the vote of Boyer and Moore finds it if there is one); 0:
 * there is none, or these are no frames. */
static int64_t step_of(const char *const *names, int64_t n) {
    int64_t vote = 0, step = 0, n_step = 0, n_frame = 0;
    for (int pass = 0; pass < 2; pass++) {
        frame last = {0};
        for (int64_t i = 0; i < n; i++) {
            frame f = {0};
            f.there = numbered(names[i], &f.n_before, &f.number);
            if (i && goes_on(names[i - 1], &last, names[i], &f)) {
                int64_t s = f.number - last.number;
                if (pass)
                    n_step += s == step;
                else if (!vote)
                    step = s, vote = 1;
                else
                    vote += s == step ? 1 : -1;
            }
            if (pass) n_frame += says_frame(names[i]);
            last = f;
        }
    }
    return n >= 4 && 2 * n_step > n && (step > 1 || 2 * n_frame > n) ? step : 0;
}

int32_t ehm_seg_runs(int32_t *run_of, const char *const *names, int64_t n, int32_t length, int32_t *used) {
    enum { FRAMES = 10, GAP = 4 };
    int64_t step = step_of(names, n);
    int32_t run = -1, in_run = 0;
    frame last = {0};
    if (!length) length = step ? FRAMES : 1;
    for (int64_t i = 0; i < n; i++) {
        frame f = {0};
        f.there = numbered(names[i], &f.n_before, &f.number);
        bool same = i && (step ? goes_on(names[i - 1], &last, names[i], &f) &&
                                     f.number - last.number <= (GAP + 1) * step
                               : true);
        if (!same || in_run == length) run++, in_run = 0;
        run_of[i] = run, in_run++;
        last = f;
    }
    if (used) *used = length;
    return run + 1;
}
