/* Axes: limits, ticks, labels. */
#include "report/chart.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The least of 1, 2, 5 times a power of ten that is at least v. */
static double nice_step(double v) {
    double ten = pow(10, floor(log10(v))), m = v / ten;
    double slack = 1e-9; /* what dividing loses must not lift a step */
    return (m <= 1 + slack ? 1 : m <= 2 + slack ? 2 : m <= 5 + slack ? 5 : 10) * ten;
}

/* Limits that can be divided; a single value gets some room around it. */
static void sane(double *lo, double *hi) {
    if (!isfinite(*lo) || !isfinite(*hi) || *lo > *hi) *lo = 0, *hi = 1;
    double size = fmax(fabs(*lo), fabs(*hi));
    if (*hi - *lo > 1e-9 * size) return;
    double room = size > 0 ? 0.1 * size : 1;
    if (*lo >= 0 && *lo < room) *lo = 0;
    else *lo -= room;
    *hi += room;
}

void ehm_axis_nice(ehm_axis *a, double lo, double hi, int32_t n_max) {
    sane(&lo, &hi);
    if (n_max < 2) n_max = 2;
    if (n_max > EHM_CHART_TICKS) n_max = EHM_CHART_TICKS;
    double step = nice_step((hi - lo) / n_max);
    for (int i = 0; i < 8; i++) {
        double from = floor(lo / step + 1e-9), to = ceil(hi / step - 1e-9);
        if (to - from <= n_max - 1 || i == 7) {
            *a = (ehm_axis){from * step, to * step, step, false};
            return;
        }
        step = nice_step(step * 1.5);
    }
}

void ehm_axis_exact(ehm_axis *a, double lo, double hi, int32_t n_max) {
    sane(&lo, &hi);
    if (n_max < 2) n_max = 2;
    if (n_max > EHM_CHART_TICKS) n_max = EHM_CHART_TICKS;
    *a = (ehm_axis){lo, hi, nice_step((hi - lo) / (n_max - 1)), false};
}

void ehm_axis_log(ehm_axis *a, double lo, double hi) {
    if (!(lo > 0) || !isfinite(hi) || lo > hi) lo = 1, hi = 10;
    double from = floor(log10(lo) + 1e-9), to = ceil(log10(hi) - 1e-9);
    if (to <= from) to = from + 1;
    *a = (ehm_axis){pow(10, from), pow(10, to), 0, true};
}

int32_t ehm_axis_ticks(const ehm_axis *a, double out[EHM_CHART_TICKS]) {
    int32_t n = 0;
    if (a->log) {
        int from = (int)lround(log10(a->lo)), to = (int)lround(log10(a->hi)), every = 1 + (to - from) / 6;
        for (int e = from; e <= to && n < EHM_CHART_TICKS; e += every) {
            out[n++] = pow(10, e);
            for (int m = 2; to - from <= 2 && e < to && m <= 5 && n < EHM_CHART_TICKS; m += 3) out[n++] = m * pow(10, e);
        }
        return n;
    }
    double slack = 1e-6 * a->step, first = ceil((a->lo - slack) / a->step);
    for (; n < EHM_CHART_TICKS; n++) {
        double v = (first + n) * a->step; /* by multiplying: sums would drift */
        if (v > a->hi + slack) break;
        out[n] = fabs(v) < slack ? 0 : v;
    }
    return n;
}

char *ehm_axis_label(const ehm_axis *a, double v, char *buf) {
    double size = fmax(fabs(a->lo), fabs(a->hi)), step = a->log ? v : a->step;
    int digits = step > 0 ? (int)fmax(0, -floor(log10(step) + 1e-9)) : 0;
    if (v == 0) snprintf(buf, 32, "0");
    else if (!a->log && size >= 1e4 && step >= 100 && size < 1e7) snprintf(buf, 32, step >= 1000 ? "%.0fk" : "%.1fk", v / 1e3);
    else if (!a->log && size >= 1e7 && size < 1e10 && step >= 1e5) snprintf(buf, 32, step >= 1e6 ? "%.0fM" : "%.1fM", v / 1e6);
    else if (digits > 5 || size >= 1e7) {
        int e = (int)floor(log10(fabs(v)) + 1e-9);
        snprintf(buf, 32, "%.6ge%d", v / pow(10, e), e);
    } else snprintf(buf, 32, "%.*f", digits, v);
    for (char *p = buf; *p; p++)
        if (*p == ',') *p = '.';
    return buf;
}

double ehm_axis_share(const ehm_axis *a, double v) {
    if (a->log) return v > 0 ? log(v / a->lo) / log(a->hi / a->lo) : NAN;
    return (v - a->lo) / (a->hi - a->lo);
}
