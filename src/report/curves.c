/* Which numbers of a run go into which chart. A key that no chart names gets one of its own, so that a new metric is seen without a change here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/chart.h"
#include "report/markup.h"
#include "report/report_int.h"

enum { NARROW_W = 400, NARROW_H = 262, WIDE_W = 1140, WIDE_H = 360, CURVES_MOST = 64 };
typedef enum { SMOOTH = 1, FROM_ZERO = 2, LOG_IF_WIDE = 4, HERO = 8, MEAN_LEVEL = 16, FOLDED = 32 } flag;

/* keys: "key:label,key:label"; a key that ends in * stands for all that begin so and are in no chart yet. */
typedef struct { ehm_series_kind kind; const char *title, *unit, *keys; double factor; uint32_t flags; const char *note; } spec;
static const spec specs[] = {
    {EHM_SERIES_METRIC, "Loss", "loss", "loss", 1, SMOOTH | HERO | MEAN_LEVEL, NULL},
    {EHM_SERIES_EVAL, "Live evaluations", "% right", "knn_mean:k-NN of patch means,linear_mean:linear probe of patch means,knn_cls:k-NN of the class token,linear_cls:linear probe of the class token",
     100, HERO, "Bands are 95 % intervals over test pictures."},
    {EHM_SERIES_METRIC, "Learning rate", "rate", "lr", 1, FROM_ZERO, NULL},
    {EHM_SERIES_METRIC, "Gradient norm", "norm", "grad_norm", 1, SMOOTH | LOG_IF_WIDE, "Before clipping, mean over the steps of a line."},
    {EHM_SERIES_TIMING, "Speed", "images/s", "images_per_s", 1, SMOOTH | FROM_ZERO, NULL},
    {EHM_SERIES_TIMING, "Waiting for data", "% of the time", "wait_frac", 100, FROM_ZERO, NULL},
    {EHM_SERIES_TIMING, "Memory", "GiB", "rss", 1.0 / 1073741824.0, FROM_ZERO, NULL},
    {EHM_SERIES_METRIC, "Nodes of the tree: K", "nodes", "tree_k:K aimed at,tree_k_effective:as if of equal size,tree_nodes:nodes of the cut", 1, FROM_ZERO,
     "How finely masks follow the tree; fewer nodes are larger ones."},
    {EHM_SERIES_METRIC, "Node size", "% of the picture", "tree_largest_share:largest node", 100, FROM_ZERO, NULL},
    {EHM_SERIES_METRIC, "Nodes of one patch", "% of the nodes", "tree_single_share:nodes of one patch", 100, FROM_ZERO, NULL},
    {EHM_SERIES_WATCH, "Purity of trees", "purity", "purity_*", 1, 0, "Dendrogram purity against pixel labels; all but own are controls."},
    {EHM_SERIES_WATCH, "Difficulty of masks", "loss on watched pictures", "loss_ehm:along the own tree,loss_moved:along the tree moved,loss_random:random", 1, 0,
     "Masks of the same size. Only where the first lies above the second does the tree matter."},
    {EHM_SERIES_WATCH, "Is the tree about the picture?", "agreement", "tree_split_half:halves of the layers,tree_flip_minus_next:mirror image less another picture,tree_flip:mirror image,tree_position:another picture", 1, 0, NULL},
    {EHM_SERIES_WATCH, "Attention", "entropy, share of uniform", "attention_entropy_first:first layer,attention_entropy_middle:middle layer,attention_entropy_last:last layer", 1, 0, NULL},
    {EHM_SERIES_METRIC, "Hidden by node size", "% hidden", "removed_*", 100, 0, "Share of the patches in nodes of so many patches that was hidden: all near the mask ratio."},
    {EHM_SERIES_METRIC, "Regions of a mask", "regions", "visible_regions:visible,masked_regions:hidden", 1, FROM_ZERO, NULL},
    {EHM_SERIES_METRIC, "Largest hidden region", "patches", "largest_masked_region", 1, SMOOTH, NULL},
    {EHM_SERIES_METRIC, "Outline of the mask", "patch edges", "mask_perimeter", 1, SMOOTH, NULL},
    {EHM_SERIES_TIMING, "Time for masks", "ms a batch", "teacher_ms:teacher,similarity_ms:similarity,tree_ms:trees,selection_ms:selection", 1, FROM_ZERO, NULL},
    {EHM_SERIES_METRIC, "Progress of masks", "share", "u", 1, FROM_ZERO | FOLDED, NULL},
    {EHM_SERIES_METRIC, "Unusual steps", "deviations", "loss_z:loss,grad_norm_z:gradient norm", 1, FOLDED, "The most unusual step of each line, in standard deviations of the 100 before it."},
    {EHM_SERIES_EVAL, "More live evaluations", "% right", "knn_*,linear_*", 100, FOLDED, NULL},
};

/* ---- which curves ---- */

typedef struct { const ehm_series *s; int32_t run, key; const char *label; double *x, *y, *lo, *hi, *smooth; } line;
typedef struct { line v[CURVES_MOST]; int32_t n, n_keys; } lines;

static bool drawn_already(const bool *used, const ehm_report *r, int32_t run, int32_t k) {
    int32_t at = k;
    for (int32_t i = 0; i < run; i++) at += r->runs[i].n_series;
    return used[at];
}

static void mark(bool *used, const ehm_report *r, int32_t run, int32_t k) {
    int32_t at = k;
    for (int32_t i = 0; i < run; i++) at += r->runs[i].n_series;
    used[at] = true;
}

static const char *label_of(const ehm_report *r, int32_t run, const char *key_label, bool several_keys, ehm_arena *a) {
    if (r->n == 1) return key_label;
    const char *s = several_keys ? ehm_arena_printf(a, "%s: %s", r->runs[run].name, key_label) : r->runs[run].name;
    return s ? s : key_label;
}

/* One key of one spec, in all runs. */
static void take_key(lines *l, ehm_report *r, ehm_series_kind kind, const char *name, const char *label, bool *used) {
    bool any = false;
    for (int32_t run = 0; run < r->n; run++) {
        const ehm_report_run *e = &r->runs[run];
        for (int32_t k = 0; k < e->n_series; k++) {
            if (e->series[k].kind != kind || strcmp(e->series[k].name, name) || drawn_already(used, r, run, k)) continue;
            if (l->n == CURVES_MOST) continue;
            mark(used, r, run, k);
            l->v[l->n++] = (line){.s = &e->series[k], .run = run, .key = l->n_keys, .label = label};
            any = true;
        }
    }
    l->n_keys += any;
}

/* Log losses are no shares of right answers. */
static bool fits_star(const spec *s, const char *name) { return s->kind != EHM_SERIES_EVAL || !strstr(name, "log_loss"); }

static void take_spec(lines *l, ehm_report *r, const spec *s, bool *used) {
    for (const char *p = s->keys; *p;) {
        size_t n = strcspn(p, ","), n_key = strcspn(p, ":,");
        char key[64], label[96];
        snprintf(key, sizeof key, "%.*s", (int)n_key, p);
        snprintf(label, sizeof label, "%.*s", n_key < n ? (int)(n - n_key - 1) : (int)n_key, n_key < n ? p + n_key + 1 : p);
        if (n_key && key[n_key - 1] == '*') {
            for (int32_t run = 0; run < r->n; run++)
                for (int32_t k = 0; k < r->runs[run].n_series; k++) {
                    const ehm_series *e = &r->runs[run].series[k];
                    if (e->kind == s->kind && !strncmp(e->name, key, n_key - 1) && fits_star(s, e->name) && !drawn_already(used, r, run, k))
                        take_key(l, r, s->kind, e->name, e->name, used);
                }
        } else take_key(l, r, s->kind, key, ehm_arena_strdup(&r->arena, label), used);
        p += n + (p[n] == ',');
    }
}

static bool smoothable(const line *v) { return ehm_report_smoothing(v->s->n) > 1; }

static ehm_code scale(line *v, double factor, bool smooth, ehm_arena *a, ehm_err *err) {
    const ehm_series *s = v->s;
    v->x = s->x, v->y = s->y;
    v->lo = s->has_interval ? s->lo : NULL, v->hi = s->has_interval ? s->hi : NULL;
    double **part[] = {&v->y, &v->lo, &v->hi};
    for (int i = 0; i < 3 && factor != 1; i++) {
        double *from = *part[i], *to = from ? EHM_NEW_N(a, double, s->n) : NULL;
        if (from && !to) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the curve %s", s->name);
        for (int64_t k = 0; to && k < s->n; k++) to[k] = factor * from[k];
        *part[i] = to;
    }
    if (smooth && smoothable(v)) {
        v->smooth = EHM_NEW_N(a, double, s->n);
        if (!v->smooth) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the curve %s", s->name);
        ehm_chart_smooth(v->smooth, v->y, s->n, ehm_report_smoothing(s->n));
    }
    return EHM_OK;
}

/* ---- one chart ---- */

static void legend(ehm_str *out, const ehm_curve *v, int32_t n) {
    ehm_str_add(out, "<ul class=\"legend\">");
    for (int32_t i = 0; i < n; i++) {
        ehm_str_addf(out, "<li><svg class=\"key\" viewBox=\"0 0 30 10\" aria-hidden=\"true\"><g class=\"c%d d%d\"><path class=\"line\" d=\"M1 5L29 5\"/></g></svg>",
                     (int)(v[i].colour % 6), (int)(v[i].dash % 6));
        ehm_html_text(out, v[i].label);
        ehm_str_add(out, "</li>");
    }
    ehm_str_add(out, "</ul>\n");
}

static bool wide_range(const ehm_curve *v, int32_t n) {
    double lo = INFINITY, hi = 0;
    for (int32_t k = 0; k < n; k++)
        for (int64_t i = 0; i < v[k].n; i++)
            if (isfinite(v[k].y[i]) && v[k].y[i] > 0) lo = fmin(lo, v[k].y[i]), hi = fmax(hi, v[k].y[i]);
    return hi > 30 * lo;
}

static ehm_code chart(ehm_str *out, ehm_report *r, const spec *s, lines *l, ehm_err *err) {
    ehm_curve v[CURVES_MOST];
    int64_t widths[2] = {0, 0};
    bool several = l->n_keys > 1, smooth = s->flags & SMOOTH;
    double ref = NAN, clip;
    ehm_chart c = {.title = s->title, .x_title = r->epochs ? "epoch" : "step", .y_title = s->unit, .curves = v, .n_curves = l->n,
                   .from_zero = s->flags & FROM_ZERO, .w = NARROW_W, .h = NARROW_H};
    bool one_run = true; /* colours tell runs apart, or where only one is here, keys; dashes do the other, or the same */
    for (int32_t i = 0; i < l->n; i++) one_run &= l->v[i].run == l->v[0].run;
    for (int32_t i = 0; i < l->n; i++) {
        line *e = &l->v[i];
        EHM_TRY(scale(e, s->factor, smooth, &r->arena, err));
        v[i] = (ehm_curve){.label = label_of(r, e->run, e->label, several, &r->arena), .x = e->x, .y = e->y, .lo = e->lo, .hi = e->hi, .smooth = e->smooth, .n = e->s->n,
                           .colour = one_run && several ? e->key : e->run, .dash = several ? e->key : e->run};
        int64_t w = ehm_report_smoothing(e->s->n);
        if (e->smooth && (!widths[0] || w < widths[0])) widths[0] = w;
        if (e->smooth && w > widths[1]) widths[1] = w;
    }
    double per = r->epochs && r->runs[l->v[0].run].x_per_step > 0 ? 1 / r->runs[l->v[0].run].x_per_step : 0;
    for (int32_t i = 0; i < r->n && per > 0; i++) /* steps of an epoch differ: they are not said */
        if (r->runs[i].n_lines && fabs(r->runs[i].x_per_step * per - 1) > 1e-6) per = -1;
    c.steps_per_x = per;
    if (s->flags & MEAN_LEVEL)
        for (int32_t i = 0; i < l->n; i++) ref = r->runs[l->v[i].run].mean_loss;
    if (isfinite(ref)) c.ref = ref, c.ref_label = "predicting each patch\xe2\x80\x99s mean";
    if (!strcmp(s->keys, "grad_norm") && r->n == 1 && ehm_parse_f64(ehm_report_value(&r->runs[0], "clip_grad", ""), &clip) && clip > 0) {
        double top = 0;
        for (int64_t i = 0; i < v[0].n; i++)
            if (isfinite(v[0].y[i])) top = fmax(top, v[0].y[i]);
        if (clip < 2 * top) c.ref = clip, c.ref_label = "clipped above"; /* far above all it would only flatten the curve */
    }
    c.log_y = s->flags & LOG_IF_WIDE && wide_range(v, l->n);
    ehm_str_addf(out, "<figure class=\"chart%s\"><h3>", s->flags & HERO ? " hero" : "");
    ehm_html_text(out, s->title);
    ehm_str_add(out, "</h3>\n");
    if (s->flags & HERO) {
        ehm_chart wide = c;
        wide.w = WIDE_W, wide.h = WIDE_H;
        ehm_str_add(out, "<div class=\"wide\">");
        EHM_TRY(ehm_chart_svg(out, &wide, err));
        ehm_str_add(out, "</div><div class=\"narrow\">");
        EHM_TRY(ehm_chart_svg(out, &c, err));
        ehm_str_add(out, "</div>\n");
    } else EHM_TRY(ehm_chart_svg(out, &c, err));
    if (l->n > 1 || r->n > 1) legend(out, v, l->n);
    if (s->note || widths[1] || c.log_y) {
        ehm_str_add(out, "<figcaption>");
        if (s->note) ehm_html_text(out, s->note);
        if (widths[1] && widths[0] == widths[1]) ehm_str_addf(out, "%sFaint: as logged; strong: mean of %lld lines around.", s->note ? " " : "", (long long)widths[0]);
        else if (widths[1]) ehm_str_addf(out, "%sFaint: as logged; strong: mean of %lld to %lld lines around.", s->note ? " " : "", (long long)widths[0], (long long)widths[1]);
        if (c.log_y) ehm_str_add(out, " Logarithmic scale.");
        ehm_str_add(out, "</figcaption>\n");
    }
    ehm_str_add(out, "</figure>\n");
    return EHM_OK;
}

/* ---- the numbers under them ---- */

static const char *const kind_names[] = {"", "watch.", "eval.", ""};

static void cell(ehm_str *out, double v) {
    char t[32];
    ehm_str_add(out, "<td>");
    ehm_html_text(out, ehm_html_number(v, t));
    ehm_str_add(out, "</td>");
}

static void table(ehm_str *out, const ehm_report *r) {
    ehm_str_add(out, "<details><summary>Numbers of the curves</summary>\n<div class=\"scroll\" tabindex=\"0\"><table class=\"num\"><thead><tr>");
    if (r->n > 1) ehm_str_add(out, "<th scope=\"col\">run</th>");
    ehm_str_add(out, "<th scope=\"col\">key</th><th scope=\"col\">first</th><th scope=\"col\">at 25 %</th><th scope=\"col\">at 50 %</th><th scope=\"col\">at 75 %</th>"
                     "<th scope=\"col\">last</th><th scope=\"col\">least</th><th scope=\"col\">at step</th><th scope=\"col\">greatest</th><th scope=\"col\">at step</th>"
                     "<th scope=\"col\">lines</th></tr></thead><tbody>\n");
    for (int32_t i = 0; i < r->n; i++)
        for (int32_t k = 0; k < r->runs[i].n_series; k++) {
            const ehm_series *s = &r->runs[i].series[k];
            int64_t least = -1, most = -1;
            char count[32];
            for (int64_t j = 0; j < s->n; j++) {
                if (!isfinite(s->y[j])) continue;
                if (least < 0 || s->y[j] < s->y[least]) least = j;
                if (most < 0 || s->y[j] > s->y[most]) most = j;
            }
            ehm_str_add(out, "<tr>");
            if (r->n > 1) ehm_str_add(out, "<td class=\"text\">"), ehm_html_text(out, r->runs[i].name), ehm_str_add(out, "</td>");
            ehm_str_add(out, "<th scope=\"row\"><code>");
            ehm_html_textf(out, "%s%s", kind_names[s->kind], s->name);
            ehm_str_add(out, "</code></th>");
            for (int q = 0; q < 5; q++) cell(out, s->y[q * (s->n - 1) / 4]);
            for (int q = 0; q < 2; q++) {
                int64_t at = q ? most : least;
                cell(out, at < 0 ? NAN : s->y[at]);
                ehm_str_addf(out, "<td>%s</td>", at < 0 ? "\xe2\x80\x93" : ehm_format_count((int64_t)s->step[at], count));
            }
            ehm_str_addf(out, "<td>%s</td></tr>\n", ehm_format_count(s->n, count));
        }
    ehm_str_add(out, "</tbody></table></div></details>\n");
}

static bool constant(const lines *l, double v) {
    for (int32_t i = 0; i < l->n; i++)
        for (int64_t k = 0; k < l->v[i].s->n; k++)
            if (!(l->v[i].s->y[k] == v)) return false;
    return true;
}

ehm_code ehm_report_curves(ehm_str *out, ehm_report *r, ehm_err *err) {
    int32_t n_all = 0, n_shown = 0;
    ehm_str folded = {0}, heroes = {0}, rest = {0};
    ehm_code rc = EHM_OK;
    for (int32_t i = 0; i < r->n; i++) n_all += r->runs[i].n_series;
    bool *used = EHM_NEW_N(&r->arena, bool, n_all + 1);
    lines *l = EHM_NEW(&r->arena, lines);
    if (!used || !l) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for curves");
    for (size_t i = 0; i < sizeof specs / sizeof *specs && !rc; i++) {
        *l = (lines){0};
        take_spec(l, r, &specs[i], used);
        if (!l->n) continue;
        n_shown++;
        rc = chart(specs[i].flags & HERO ? &heroes : specs[i].flags & FOLDED ? &folded : &rest, r, &specs[i], l, err);
    }
    for (int32_t i = 0; i < r->n && !rc; i++)
        for (int32_t k = 0; k < r->runs[i].n_series && !rc; k++) {
            const ehm_series *e = &r->runs[i].series[k];
            bool total = e->kind == EHM_SERIES_TIMING && !strcmp(e->name, "seconds");
            if (drawn_already(used, r, i, k) || total) continue;
            spec one = {e->kind, ehm_arena_printf(&r->arena, "%s%s", kind_names[e->kind], e->name), "value", e->name, 1, FOLDED, NULL};
            *l = (lines){0};
            take_key(l, r, e->kind, e->name, e->name, used);
            if (!one.title) rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for curves");
            else if (l->n && !constant(l, 0)) n_shown++, rc = chart(&folded, r, &one, l, err);
        }
    if (!rc && !n_shown) ehm_str_add(out, "<p>There are no curves: metrics.jsonl holds no line.</p>\n");
    if (!rc && n_shown) {
        if (heroes.len) ehm_str_add(out, heroes.s);
        if (rest.len) ehm_str_add(out, "<div class=\"charts\">\n"), ehm_str_addn(out, rest.s, rest.len), ehm_str_add(out, "</div>\n");
        if (folded.len) {
            ehm_str_add(out, "<details><summary>Further curves</summary>\n<div class=\"charts\">\n");
            ehm_str_addn(out, folded.s, folded.len);
            ehm_str_add(out, "</div></details>\n");
        }
        table(out, r);
        if (folded.failed || heroes.failed || rest.failed) rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for curves");
    }
    ehm_str_free(&folded), ehm_str_free(&heroes), ehm_str_free(&rest);
    return rc;
}
