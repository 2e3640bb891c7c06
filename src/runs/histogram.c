/* Distributions for the event file: equal parts of the range, their edges placed as numpy.histogram places them, so that the same numbers give the same
 * counts wherever they are made. */
#include <math.h>
#include "runs/run.h"

void ehm_histogram_range(ehm_histogram *h, const float *v, int64_t n) {
    double lo = h->num > 0 ? h->min : INFINITY, hi = h->num > 0 ? h->max : -INFINITY, sum = 0, squares = 0;
    int64_t counted = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = v[i];
        if (!isfinite(x)) continue;
        lo = x < lo ? x : lo, hi = x > hi ? x : hi;
        sum += x, squares += x * x;
        counted++;
    }
    if (!counted) return;
    h->min = lo, h->max = hi;
    h->num += (double)counted, h->sum += sum, h->sum_squares += squares;
}

static void cut(ehm_histogram *h) {
    double step = (h->max - h->min) / EHM_HISTOGRAM_BUCKETS;
    h->n = h->max > h->min ? EHM_HISTOGRAM_BUCKETS : 1;
    for (int32_t i = 0; i < h->n - 1; i++) h->limit[i] = (i + 1) * step + h->min;
    h->limit[h->n - 1] = h->max;
}

void ehm_histogram_count(ehm_histogram *h, const float *v, int64_t n) {
    if (!h->n && h->num > 0) cut(h);
    double per = h->n > 1 ? EHM_HISTOGRAM_BUCKETS / (h->max - h->min) : 0;
    for (int64_t i = 0; i < n && h->n; i++) {
        double x = v[i];
        if (!isfinite(x)) continue;
        int32_t k = (int32_t)((x - h->min) * per);
        k = k < 0 ? 0 : k > h->n - 1 ? h->n - 1 : k;
        while (k > 0 && x < h->limit[k - 1]) k--; /* rounding may have missed by one */
        while (k < h->n - 1 && x >= h->limit[k]) k++;
        h->count[k]++;
    }
}
