/* Line charts as SVG: ticks at 1, 2 or 5 times a power of ten, gaps where there is no number, thousands of points thinned so that no spike is lost.
 *
 *     ehm_chart c = {.title = "Loss", .x_title = "epoch", .y_title = "loss", .curves = v, .n_curves = 2, .w = 400, .h = 250};
 *     ehm_chart_svg(&html, &c);
 *
 * Colours are CSS classes (c0 to c5 and dashes d0 to d5), so that the page's theme decides. Each curve is readable without a script: <title>
 * elements give its name and values at some points; with one, data-v holds the points themselves.
 */
#ifndef EHM_REPORT_CHART_H
#define EHM_REPORT_CHART_H
#include "base/str.h"

enum { EHM_CHART_TICKS = 24 };
typedef struct { double lo, hi, step; bool log; } ehm_axis; /* log: lo and hi are values, step is not used */
/* Limits rounded outwards to ticks, of which there are at most n_max (at least 2). lo > hi or not finite: 0 to 1. */
void ehm_axis_nice(ehm_axis *a, double lo, double hi, int32_t n_max);
/* Limits kept as they are, ticks inside. */
void ehm_axis_exact(ehm_axis *a, double lo, double hi, int32_t n_max);
/* Powers of ten around lo to hi, which are above 0. */
void ehm_axis_log(ehm_axis *a, double lo, double hi);
int32_t ehm_axis_ticks(const ehm_axis *a, double out[EHM_CHART_TICKS]);
/* "0.25", "1500", "2e-5": all ticks of an axis to the same place; buf has 32 bytes. */
char *ehm_axis_label(const ehm_axis *a, double v, char *buf);
/* 0 at lo, 1 at hi. */
double ehm_axis_share(const ehm_axis *a, double v);

/* Indexes to draw of n points with ascending x, ascending: of each of `columns` equal parts of x0 to x1 the first, least, greatest and last
 * point, and a point that is no number where one lies there. keep has room for min(n, 5 * columns + 5). Cost is linear in n. */
int64_t ehm_chart_thin(int64_t *keep, const double *x, const double *y, int64_t n, double x0, double x1, int32_t columns);
/* Mean of the finite values among the `width` around each point (fewer at the ends); NaN stays. Cost is linear in n. */
void ehm_chart_smooth(double *out, const double *y, int64_t n, int64_t width);

typedef struct {
    const char *label;
    const double *x, *y;           /* [n], x ascending; y may hold NaN */
    const double *lo, *hi;         /* [n] an interval drawn as a band; NULL: none */
    const double *smooth;          /* [n] drawn over the faint raw curve; NULL: none */
    int64_t n;
    int32_t colour, dash;          /* 0 to 5 each; more begin anew */
} ehm_curve;
typedef struct {
    const char *title;             /* for readers that do not see it */
    const char *x_title, *y_title;
    const ehm_curve *curves; int32_t n_curves;
    double steps_per_x;            /* for values by the step; 0: x is the step */
    bool log_y, from_zero;
    double ref; const char *ref_label; /* a level to compare with; NULL: none */
    int32_t w, h;
} ehm_chart;
ehm_code ehm_chart_svg(ehm_str *out, const ehm_chart *c, ehm_err *err);
#endif
