#include "report/chart.h"
#include "report/markup.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHAR_W = 8, TOP = 30, BOTTOM = 44, RIGHT = 12, MARKED = 40, TIPS = 10 };

/* ---- points ---- */

int64_t ehm_chart_thin(int64_t *keep, const double *x, const double *y, int64_t n, double x0, double x1, int32_t columns) {
    int64_t n_keep = 0;
    if (n <= 4 * (int64_t)columns) {
        for (; n_keep < n; n_keep++) keep[n_keep] = n_keep;
        return n_keep;
    }
    double per = x1 > x0 ? columns / (x1 - x0) : 0;
    for (int64_t i = 0; i < n;) {
        double at = floor((x[i] - x0) * per);
        int32_t column = at < 0 ? 0 : at >= columns ? columns - 1 : (int32_t)at;
        int64_t pick[5] = {i, -1, -1, -1, -1}; /* first, least, greatest, none, last */
        for (; i < n; i++) {
            at = floor((x[i] - x0) * per);
            if ((at < 0 ? 0 : at >= columns ? columns - 1 : (int32_t)at) != column) break;
            if (!isfinite(y[i])) pick[3] = i;
            else {
                if (pick[1] < 0 || y[i] < y[pick[1]]) pick[1] = i;
                if (pick[2] < 0 || y[i] > y[pick[2]]) pick[2] = i;
            }
            pick[4] = i;
        }
        for (int k = 1; k < 5; k++) /* five at most: put in order by inserting */
            for (int j = k; j && pick[j - 1] > pick[j]; j--) {
                int64_t t = pick[j];
                pick[j] = pick[j - 1], pick[j - 1] = t;
            }
        for (int k = 0; k < 5; k++)
            if (pick[k] >= 0 && (!n_keep || keep[n_keep - 1] != pick[k])) keep[n_keep++] = pick[k];
    }
    return n_keep;
}

void ehm_chart_smooth(double *out, const double *y, int64_t n, int64_t width) {
    int64_t half = width / 2, from = 0, to = 0, count = 0; /* [from, to) is in the sum */
    double sum = 0, lost = 0; /* Kahan: thousands of values come and go */
    for (int64_t i = 0; i < n; i++) {
        int64_t begin = i - half < 0 ? 0 : i - half, end = i + half + 1 > n ? n : i + half + 1;
        while (to < end || from < begin) {
            bool add = to < end;
            double v = add ? y[to++] : y[from++];
            if (!isfinite(v)) continue;
            double term = (add ? v : -v) - lost, next = sum + term;
            lost = (next - sum) - term, sum = next;
            count += add ? 1 : -1;
        }
        out[i] = isfinite(y[i]) && count ? sum / (double)count : NAN;
    }
}

/* ---- the picture ---- */

typedef struct { ehm_axis x, y; double left, right, top, bottom; const ehm_chart *c; ehm_str *out; } plot;

static double px(const plot *p, double v) { return p->left + (p->right - p->left) * ehm_axis_share(&p->x, v); }
static double py(const plot *p, double v) { return p->bottom - (p->bottom - p->top) * ehm_axis_share(&p->y, v); }

static bool drawable(const plot *p, double v) { return isfinite(v) && (!p->y.log || v > 0); }

static void point(plot *p, double x, double y) {
    ehm_html_coord(p->out, px(p, x));
    ehm_str_addc(p->out, ' ');
    ehm_html_coord(p->out, py(p, y));
}

static void path(plot *p, const char *class_name, const ehm_curve *v, const double *y, const int64_t *keep, int64_t n) {
    bool open = false;
    ehm_str_addf(p->out, "<path class=\"%s\" d=\"", class_name);
    for (int64_t i = 0; i < n; i++) {
        bool ok = drawable(p, y[keep[i]]);
        if (ok) {
            ehm_str_addc(p->out, open ? 'L' : 'M');
            point(p, v->x[keep[i]], y[keep[i]]);
        }
        open = ok;
    }
    ehm_str_add(p->out, "\"/>\n");
}

static void band(plot *p, const ehm_curve *v, const int64_t *keep, int64_t n) {
    for (int64_t i = 0, end; i < n; i = end + 1) { /* one area for each stretch without a gap */
        for (end = i; end < n && drawable(p, v->lo[keep[end]]) && drawable(p, v->hi[keep[end]]);) end++;
        if (end == i) continue;
        ehm_str_add(p->out, "<path class=\"band\" d=\"");
        for (int64_t k = i; k < end; k++) ehm_str_addc(p->out, k == i ? 'M' : 'L'), point(p, v->x[keep[k]], v->hi[keep[k]]);
        for (int64_t k = end; k-- > i;) ehm_str_addc(p->out, 'L'), point(p, v->x[keep[k]], v->lo[keep[k]]);
        ehm_str_add(p->out, "Z\"/>\n");
    }
}

static void say_point(plot *p, const ehm_curve *v, int64_t i) {
    char t[32];
    double per = p->c->steps_per_x;
    ehm_html_textf(p->out, "%s: %s at ", v->label, ehm_html_number(v->y[i], t));
    if (per > 0) ehm_html_textf(p->out, "%s %s, step %.0f", p->c->x_title, ehm_html_number(v->x[i], t), v->x[i] * per);
    else ehm_html_textf(p->out, "step %.0f", v->x[i]);
    if (v->lo) {
        ehm_html_textf(p->out, " (%s", ehm_html_number(v->lo[i], t));
        ehm_html_textf(p->out, " .. %s)", ehm_html_number(v->hi[i], t));
    }
}

/* Places to point at where no script runs. */
static void tips(plot *p, const ehm_curve *v, const int64_t *keep, int64_t n) {
    int64_t last = -1;
    for (int32_t k = 0; k < TIPS; k++) {
        int64_t i = n > 1 ? keep[k * (n - 1) / (TIPS - 1)] : keep[0];
        if (i == last || !drawable(p, v->y[i])) continue;
        last = i;
        ehm_str_add(p->out, "<circle class=\"tip\" r=\"8\" cx=\"");
        ehm_html_coord(p->out, px(p, v->x[i]));
        ehm_str_add(p->out, "\" cy=\"");
        ehm_html_coord(p->out, py(p, v->smooth && isfinite(v->smooth[i]) ? v->smooth[i] : v->y[i]));
        ehm_str_add(p->out, "\"><title>");
        say_point(p, v, i);
        ehm_str_add(p->out, "</title></circle>\n");
    }
}

static ehm_code curve(plot *p, const ehm_curve *v, ehm_err *err) {
    int32_t columns = (int32_t)(p->right - p->left);
    int64_t most = v->n < 5 * (int64_t)columns + 5 ? v->n : 5 * (int64_t)columns + 5, n_ok = 0;
    int64_t *keep = malloc((size_t)(most > 0 ? most : 1) * sizeof *keep);
    if (!keep) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a curve of %lld points", (long long)v->n);
    int64_t n = ehm_chart_thin(keep, v->x, v->y, v->n, p->x.lo, p->x.hi, columns);
    for (int64_t i = 0; i < n; i++) n_ok += drawable(p, v->y[keep[i]]);
    ehm_str_addf(p->out, "<g class=\"curve c%d d%d\" data-label=\"", (int)(v->colour % 6), (int)(v->dash % 6));
    ehm_html_text(p->out, v->label);
    ehm_str_add(p->out, "\" data-v=\"");
    for (int64_t i = 0; i < n; i++) {
        if (!drawable(p, v->y[keep[i]])) continue;
        ehm_html_g(p->out, v->x[keep[i]], 7), ehm_str_addc(p->out, ',');
        ehm_html_g(p->out, v->y[keep[i]], 5);
        if (v->lo && v->hi) ehm_str_addc(p->out, ','), ehm_html_g(p->out, v->lo[keep[i]], 5), ehm_str_addc(p->out, ','), ehm_html_g(p->out, v->hi[keep[i]], 5);
        ehm_str_addc(p->out, ' ');
    }
    ehm_str_add(p->out, "\">\n");
    if (v->lo && v->hi) band(p, v, keep, n);
    path(p, v->smooth ? "raw" : "line", v, v->y, keep, n);
    if (v->smooth) path(p, "line", v, v->smooth, keep, n);
    for (int64_t i = 0; i < n && n_ok <= MARKED; i++) {
        if (!drawable(p, v->y[keep[i]])) continue;
        ehm_str_add(p->out, "<circle class=\"dot\" r=\"2.5\" cx=\"");
        ehm_html_coord(p->out, px(p, v->x[keep[i]]));
        ehm_str_add(p->out, "\" cy=\"");
        ehm_html_coord(p->out, py(p, v->y[keep[i]]));
        ehm_str_add(p->out, "\"/>\n");
    }
    if (n) tips(p, v, keep, n);
    ehm_str_add(p->out, "</g>\n");
    free(keep);
    return EHM_OK;
}

static void text_at(plot *p, const char *class_name, double x, double y, const char *anchor, const char *text) {
    ehm_str_addf(p->out, "<text class=\"%s\" text-anchor=\"%s\" x=\"", class_name, anchor);
    ehm_html_coord(p->out, x);
    ehm_str_add(p->out, "\" y=\"");
    ehm_html_coord(p->out, y);
    ehm_str_add(p->out, "\">");
    ehm_html_text(p->out, text);
    ehm_str_add(p->out, "</text>\n");
}

static void rule(plot *p, const char *class_name, double x1, double y1, double x2, double y2) {
    ehm_str_addf(p->out, "<path class=\"%s\" d=\"M", class_name);
    ehm_html_coord(p->out, x1), ehm_str_addc(p->out, ' '), ehm_html_coord(p->out, y1), ehm_str_addc(p->out, 'L');
    ehm_html_coord(p->out, x2), ehm_str_addc(p->out, ' '), ehm_html_coord(p->out, y2);
    ehm_str_add(p->out, "\"/>\n");
}

/* Limits of what is drawn. */
static void limits(const ehm_chart *c, double *x0, double *x1, double *y0, double *y1, double *least) {
    *x0 = *y0 = *least = INFINITY, *x1 = *y1 = -INFINITY;
    for (int32_t k = 0; k < c->n_curves; k++) {
        const ehm_curve *v = &c->curves[k];
        for (int64_t i = 0; i < v->n; i++) {
            *x0 = fmin(*x0, v->x[i]), *x1 = fmax(*x1, v->x[i]);
            double s[3] = {v->y[i], v->lo ? v->lo[i] : NAN, v->hi ? v->hi[i] : NAN};
            for (int j = 0; j < 3; j++) {
                if (!isfinite(s[j])) continue;
                *y0 = fmin(*y0, s[j]), *y1 = fmax(*y1, s[j]);
                if (s[j] > 0) *least = fmin(*least, s[j]);
            }
        }
    }
    if (!isfinite(*x0)) *x0 = 0, *x1 = 1;
    if (!isfinite(*y0)) *y0 = 0, *y1 = 1;
    if (*x0 > 0 && *x0 < 0.1 * *x1) *x0 = 0; /* training begins at 0, its first line a little later */
    if (c->from_zero && *y0 > 0) *y0 = 0;
    if (c->ref_label) *y0 = fmin(*y0, c->ref), *y1 = fmax(*y1, c->ref);
}

static void grid(plot *p) {
    double tick[EHM_CHART_TICKS];
    char t[32];
    int32_t n = ehm_axis_ticks(&p->y, tick);
    for (int32_t i = 0; i < n; i++) {
        double y = py(p, tick[i]);
        rule(p, "grid", p->left, y, p->right, y);
        text_at(p, "tick", p->left - 6, y + 4.5, "end", ehm_axis_label(&p->y, tick[i], t));
    }
    n = ehm_axis_ticks(&p->x, tick);
    double before = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        double x = px(p, tick[i]), half = 0.5 * CHAR_W * (double)strlen(ehm_axis_label(&p->x, tick[i], t));
        rule(p, "stub", x, p->bottom, x, p->bottom + 4);
        if (x - half < before || x + half > p->c->w) continue;
        text_at(p, "tick", x, p->bottom + 19, "middle", t);
        before = x + half + 4;
    }
    rule(p, "axis", p->left, p->bottom, p->right, p->bottom);
    text_at(p, "name", 2, 14, "start", p->c->y_title);
    text_at(p, "name", p->right, p->bottom + 38, "end", p->c->x_title);
}

ehm_code ehm_chart_svg(ehm_str *out, const ehm_chart *c, ehm_err *err) {
    double x0, x1, y0, y1, least, tick[EHM_CHART_TICKS], widest = 0;
    char t[32];
    plot p = {.c = c, .out = out, .top = TOP, .bottom = c->h - BOTTOM, .right = c->w - RIGHT};
    limits(c, &x0, &x1, &y0, &y1, &least);
    if (c->log_y && isfinite(least)) ehm_axis_log(&p.y, least, y1);
    else ehm_axis_nice(&p.y, y0, y1, (int32_t)fmax(3, (p.bottom - p.top) / 30));
    ehm_axis_exact(&p.x, x0, x1, (int32_t)fmax(3, c->w / 62));
    int32_t n = ehm_axis_ticks(&p.y, tick);
    for (int32_t i = 0; i < n; i++) widest = fmax(widest, (double)strlen(ehm_axis_label(&p.y, tick[i], t)));
    p.left = 12 + CHAR_W * widest;
    ehm_str_addf(out, "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", (int)c->w, (int)c->h);
    ehm_html_textf(out, "%s over %s", c->title, c->x_title);
    ehm_str_add(out, "\" data-x=\"");
    double numbers[] = {p.x.lo, p.x.hi, p.left, p.right, p.y.lo, p.y.hi, p.bottom, p.top};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) ehm_html_g(out, numbers[i], 9), ehm_str_addc(out, ' ');
    ehm_str_addf(out, "%d ", p.y.log);
    ehm_html_g(out, c->steps_per_x, 9);
    ehm_str_add(out, "\">\n");
    grid(&p);
    if (c->ref_label) {
        double y = py(&p, c->ref);
        rule(&p, "ref", p.left, y, p.right, y);
        text_at(&p, "reflabel", p.right - 2, y - 5 < p.top + 8 ? y + 15 : y - 5, "end", c->ref_label);
    }
    ehm_code rc = EHM_OK;
    for (int32_t k = 0; k < c->n_curves && !rc; k++) rc = curve(&p, &c->curves[k], err);
    ehm_str_add(out, "</svg>\n");
    if (!rc && out->failed) rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for a chart");
    return rc;
}
