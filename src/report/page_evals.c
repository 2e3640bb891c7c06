/* Tables of the evaluations that were recorded in the run folder. */
#include <math.h>
#include <string.h>
#include "report/markup.h"
#include "report/report_int.h"

static const char *unit_of(const ehm_json *eval, const char *metric) { return ehm_json_str_or(ehm_json_get(eval, "units"), metric, ""); }

static void number(ehm_str *out, double v, bool percent, bool sign) {
    char t[32];
    if (percent && isfinite(v)) {
        ehm_str s = {0};
        ehm_str_addf(&s, sign ? "%+.2f" : "%.2f", 100 * v);
        for (size_t i = 0; i < s.len; i++)
            if (s.s[i] == ',') s.s[i] = '.';
        ehm_str_add(out, ehm_str_c(&s));
        ehm_str_free(&s);
        return;
    }
    if (sign && v > 0) ehm_str_addc(out, '+');
    ehm_html_text(out, ehm_html_number(v, t));
}

static void interval(ehm_str *out, double lo, double hi, bool percent, bool sign) {
    number(out, lo, percent, sign), ehm_str_add(out, " .. "), number(out, hi, percent, sign);
}

static void rows(ehm_str *out, const ehm_json *eval) {
    int64_t best = ehm_json_i64_or(eval, "best", -1), at = 0;
    bool diffs = false, models = false;
    const ehm_json *list = ehm_json_get(eval, "rows");
    const char *first = ehm_json_str_or(list->first, "model", "");
    for (const ehm_json *j = list->first; j; j = j->next) diffs |= ehm_json_get(j, "difference") != NULL, models |= strcmp(ehm_json_str_or(j, "model", ""), first) != 0;
    ehm_str_add(out, "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
    if (models) ehm_str_add(out, "<th scope=\"col\">model</th>");
    ehm_str_add(out, "<th scope=\"col\">what</th><th scope=\"col\">metric</th><th scope=\"col\">value</th><th scope=\"col\">95 % interval</th>");
    if (diffs) ehm_str_add(out, "<th scope=\"col\">difference</th><th scope=\"col\">95 % interval, paired</th>");
    ehm_str_add(out, "</tr></thead><tbody>\n");
    for (const ehm_json *j = list->kind == EHM_JSON_ARR ? list->first : NULL; j; j = j->next, at++) {
        const char *metric = ehm_json_str_or(j, "metric", ""), *unit = unit_of(eval, metric);
        bool percent = !strcmp(unit, "%");
        ehm_str_add(out, at == best ? "<tr class=\"best\">" : "<tr>");
        if (models) ehm_str_add(out, "<td class=\"wrap\">"), ehm_html_text(out, ehm_json_str_or(j, "model", "")), ehm_str_add(out, "</td>");
        ehm_str_add(out, "<td class=\"wrap\">"), ehm_html_text(out, ehm_json_str_or(j, "features", "")), ehm_str_add(out, "</td><td>");
        ehm_html_textf(out, *unit ? "%s, %s" : "%s", metric, unit);
        ehm_str_add(out, "</td><td class=\"n\">"), number(out, ehm_json_num_or(j, "value", NAN), percent, false);
        ehm_str_add(out, "</td><td class=\"n\">"), interval(out, ehm_json_num_or(j, "lo", NAN), ehm_json_num_or(j, "hi", NAN), percent, false);
        ehm_str_add(out, "</td>");
        if (diffs && ehm_json_get(j, "difference")) {
            double lo = ehm_json_num_or(j, "difference_lo", NAN), hi = ehm_json_num_or(j, "difference_hi", NAN);
            ehm_str_add(out, "<td class=\"n\">"), number(out, ehm_json_num_or(j, "difference", NAN), percent, true);
            ehm_str_add(out, "</td><td class=\"n\">"), interval(out, lo, hi, percent, true);
            ehm_str_add(out, lo > 0 || hi < 0 ? "</td>" : " (not distinguishable)</td>");
        } else if (diffs) ehm_str_add(out, "<td></td><td></td>");
        ehm_str_add(out, "</tr>\n");
    }
    ehm_str_add(out, "</tbody></table></div>\n");
}

static void one(ehm_str *out, const ehm_report_run *run, const ehm_report_eval *e) {
    char count[32];
    const ehm_json *j = e->json, *notes = ehm_json_get(j, "notes");
    int64_t steps = ehm_json_i64_or(j, "steps", -1);
    ehm_str_add(out, "<h4>"), ehm_html_text(out, ehm_json_str_or(j, "task", "")), ehm_str_add(out, "</h4>\n<p class=\"soft\">");
    ehm_str_addf(out, "%s test pictures", ehm_format_count(ehm_json_i64_or(j, "n_test", 0), count));
    if (ehm_json_i64_or(j, "n_train", 0) > 0) ehm_str_addf(out, ", %s to learn from", ehm_format_count(ehm_json_i64_or(j, "n_train", 0), count));
    if (steps >= 0) ehm_str_addf(out, ", model after %s steps", ehm_format_count(steps, count));
    if (ehm_json_str_or(j, "time", NULL)) ehm_str_add(out, ", "), ehm_html_text(out, ehm_json_str_or(j, "time", ""));
    ehm_str_add(out, "</p>\n");
    if (steps >= 0 && steps < run->step)
        ehm_str_addf(out, "<p class=\"soft\">The run has gone on since then, to step %s.</p>\n", ehm_format_count(run->step, count));
    rows(out, j);
    ehm_str_add(out, "<p class=\"soft\">"), ehm_html_text(out, ehm_json_str_or(j, "protocol", "")), ehm_str_add(out, "</p>\n");
    if (notes && notes->kind == EHM_JSON_ARR && notes->n) {
        ehm_str_add(out, "<ul class=\"soft\">");
        for (const ehm_json *n = notes->first; n; n = n->next)
            if (n->kind == EHM_JSON_STR) ehm_str_add(out, "<li>"), ehm_html_text(out, n->str), ehm_str_add(out, "</li>");
        ehm_str_add(out, "</ul>\n");
    }
    if (ehm_json_str_or(j, "command", NULL)) ehm_str_add(out, "<pre>"), ehm_html_text(out, ehm_json_str_or(j, "command", "")), ehm_str_add(out, "</pre>\n");
    if (e->n_older) ehm_str_addf(out, "<p class=\"soft\">Done before as well: %d times; evaluations.jsonl has all of them.</p>\n", (int)e->n_older);
}

/* Of each task the latest quoted row of each run, side by side. */
static void side_by_side(ehm_str *out, const ehm_report *r) {
    const char *done[64];
    int32_t n_done = 0;
    bool any = false;
    for (int32_t i = 0; i < r->n; i++)
        for (int32_t k = 0; k < r->runs[i].n_evals; k++) {
            const ehm_json *eval = r->runs[i].evals[k].json;
            const char *task = ehm_json_str_or(eval, "task", "");
            bool known = false;
            for (int32_t d = 0; d < n_done; d++) known |= !strcmp(done[d], task);
            if (known || n_done == 64) continue;
            done[n_done++] = task;
            if (!any) ehm_str_add(out, "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">task</th><th scope=\"col\">run</th><th scope=\"col\">what</th>"
                                       "<th scope=\"col\">metric</th><th scope=\"col\">value</th><th scope=\"col\">95 % interval</th></tr></thead><tbody>\n");
            any = true;
            for (int32_t m = 0; m < r->n; m++)
                for (int32_t q = 0; q < r->runs[m].n_evals; q++) {
                    const ehm_json *e = r->runs[m].evals[q].json, *row = ehm_json_get(e, "rows")->first;
                    if (strcmp(ehm_json_str_or(e, "task", ""), task)) continue;
                    for (int64_t b = ehm_json_i64_or(e, "best", 0); row && b > 0; b--) row = row->next;
                    if (row) {
                        const char *metric = ehm_json_str_or(row, "metric", ""), *unit = unit_of(e, metric);
                        bool percent = !strcmp(unit, "%");
                        ehm_str_add(out, "<tr><th scope=\"row\">"), ehm_html_text(out, task), ehm_str_add(out, "</th><td>"), ehm_html_text(out, r->runs[m].name);
                        ehm_str_add(out, "</td><td class=\"wrap\">"), ehm_html_text(out, ehm_json_str_or(row, "features", "")), ehm_str_add(out, "</td><td>");
                        ehm_html_textf(out, *unit ? "%s, %s" : "%s", metric, unit);
                        ehm_str_add(out, "</td><td class=\"n\">"), number(out, ehm_json_num_or(row, "value", NAN), percent, false);
                        ehm_str_add(out, "</td><td class=\"n\">"), interval(out, ehm_json_num_or(row, "lo", NAN), ehm_json_num_or(row, "hi", NAN), percent, false);
                        ehm_str_add(out, "</td></tr>\n");
                    }
                    break;
                }
        }
    if (any)
        ehm_str_add(out, "</tbody></table></div>\n<p class=\"soft\">The latest of each task and run. Where test sets or protocols differ, the figures do not compare; "
                         "<code>ehm compare</code> gives paired intervals of the differences.</p>\n");
}

void ehm_report_evals(ehm_str *out, const ehm_report *r) {
    if (r->n > 1) side_by_side(out, r);
    for (int32_t i = 0; i < r->n; i++) {
        const ehm_report_run *run = &r->runs[i];
        if (!run->n_evals) continue;
        if (r->n > 1) ehm_str_add(out, "<details><summary>"), ehm_html_text(out, run->name), ehm_str_add(out, ": all evaluations</summary>\n");
        for (int32_t k = 0; k < run->n_evals; k++) one(out, run, &run->evals[k]);
        if (r->n > 1) ehm_str_add(out, "</details>\n");
    }
}
