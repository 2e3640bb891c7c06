#include "eval/eval.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TASK(x) extern const ehm_eval_task ehm_eval_task_##x;
#include "eval/tasks.def"
#undef TASK
const ehm_eval_task *const ehm_eval_tasks[] = {
#define TASK(x) &ehm_eval_task_##x,
#include "eval/tasks.def"
#undef TASK
    NULL,
};

const ehm_eval_task *ehm_eval_find(const char *name, ehm_err *err) {
    const char *names[32];
    ehm_str all = {0};
    int32_t n = 0;
    for (; ehm_eval_tasks[n]; n++) {
        if (!strcmp(ehm_eval_tasks[n]->name, name)) {
            ehm_str_free(&all);
            return ehm_eval_tasks[n];
        }
        names[n] = ehm_eval_tasks[n]->name;
        ehm_str_addf(&all, "%s%s", n ? ", " : "", names[n]);
    }
    const char *near = ehm_nearest(name, names, n);
    EHM_FAIL(err, EHM_E_CONFIG, "there is no evaluation task '%s'; there are: %s", name, ehm_str_c(&all));
    if (near) EHM_HINT(err, "did you mean '%s'?", near);
    ehm_str_free(&all);
    return NULL;
}

ehm_eval_row *ehm_eval_add_row(ehm_eval_out *out, ehm_arena *a) {
    if (out->n_rows == out->cap_rows) {
        int32_t cap = out->cap_rows ? 2 * out->cap_rows : 32;
        ehm_eval_row *v = EHM_NEW_N(a, ehm_eval_row, cap);
        if (!v) return NULL;
        if (out->n_rows) memcpy(v, out->rows, (size_t)out->n_rows * sizeof *v);
        out->rows = v, out->cap_rows = cap;
    }
    return &out->rows[out->n_rows++];
}

void ehm_eval_note(ehm_eval_out *out, ehm_arena *a, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    if (out->n_notes == (int32_t)(sizeof out->notes / sizeof out->notes[0])) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *s = ehm_arena_strdup(a, text);
    if (s) out->notes[out->n_notes++] = s;
}

static void pad_to(ehm_str *t, size_t from, size_t width) {
    while (t->len - from < width && !t->failed) ehm_str_addc(t, ' ');
}

/* Values of 0 to 1 need a digit more than percents. */
static int digits_of(const ehm_metric *m) { return strcmp(m->unit, "%") ? 3 : 2; }

static void print_interval(ehm_str *text, const ehm_metric *m, double value, double lo, double hi, bool sign) {
    double f = strcmp(m->unit, "%") ? 1 : 100;
    int d = digits_of(m);
    ehm_str_addf(text, sign ? "%+.*f (%+.*f .. %+.*f)" : "%.*f (%.*f .. %.*f)", d, f * value, d, f * lo, d, f * hi);
}

/* A line for each (model, what), with a column for each metric; differences on a line of their own. */
static void print_wide(const ehm_eval_out *out, ehm_str *text, size_t w_model, size_t w_what) {
    enum { COLUMN = 25 };
    bool used[64] = {false};
    int32_t n = out->n_metrics < 64 ? out->n_metrics : 64;
    for (int32_t i = 0; i < out->n_rows; i++)
        if (out->rows[i].i_metric < n) used[out->rows[i].i_metric] = true;
    ehm_str_addf(text, "%-*s  %-*s", (int)w_model, "model", (int)w_what, out->what_title ? out->what_title : "features");
    for (int32_t m = 0; m < n; m++)
        if (used[m]) ehm_str_addf(text, "  %-*s", COLUMN, out->metrics[m].name);
    while (text->len && text->s[text->len - 1] == ' ') text->s[--text->len] = 0;
    ehm_str_addc(text, '\n');
    for (int32_t i = 0, end; i < out->n_rows; i = end) {
        bool diffs = false, best = false;
        for (end = i; end < out->n_rows && !strcmp(out->rows[end].what, out->rows[i].what) && !strcmp(out->rows[end].model, out->rows[i].model); end++)
            diffs |= out->rows[end].has_diff, best |= end == out->i_best;
        for (int line = 0; line < 1 + diffs; line++) {
            ehm_str_addf(text, "%-*s  %-*s", (int)w_model, line ? "" : out->rows[i].model, (int)w_what, line ? "  difference" : out->rows[i].what);
            for (int32_t m = 0; m < n; m++) {
                size_t from = text->len;
                for (int32_t k = i; used[m] && k < end; k++) {
                    const ehm_eval_row *r = &out->rows[k];
                    if (r->i_metric != m || (line && !r->has_diff)) continue;
                    ehm_str_add(text, "  ");
                    if (line) print_interval(text, &out->metrics[m], r->diff, r->diff_lo, r->diff_hi, true);
                    else print_interval(text, &out->metrics[m], r->value, r->lo, r->hi, false);
                }
                if (used[m]) pad_to(text, from, COLUMN + 2);
            }
            while (text->len && text->s[text->len - 1] == ' ') text->s[--text->len] = 0;
            ehm_str_add(text, best && !line ? "  <\n" : "\n");
        }
    }
}

void ehm_eval_print(const ehm_eval_out *out, ehm_str *text) {
    size_t w_model = 5, w_what = 8;
    bool diffs = false;
    for (int32_t i = 0; i < out->n_rows; i++) {
        const ehm_eval_row *r = &out->rows[i];
        if (strlen(r->model) > w_model) w_model = strlen(r->model);
        if (strlen(r->what) > w_what) w_what = strlen(r->what);
        diffs |= r->has_diff;
    }
    ehm_str_addf(text, "%s: %lld test pictures", out->task, (long long)out->n_items);
    if (out->n_train) ehm_str_addf(text, ", %lld to learn from", (long long)out->n_train);
    ehm_str_addc(text, '\n');
    if (out->wide) print_wide(out, text, w_model, w_what);
    else
        ehm_str_addf(text, "%-*s  %-*s  %-14s  value   95 %% interval%s\n", (int)w_model, "model", (int)w_what, out->what_title ? out->what_title : "features",
                     "metric", diffs ? "    difference (paired interval)" : "");
    for (int32_t i = 0; i < out->n_rows && !out->wide; i++) {
        const ehm_eval_row *r = &out->rows[i];
        const ehm_metric *m = &out->metrics[r->i_metric];
        bool percent = !strcmp(m->unit, "%");
        double f = percent ? 100 : 1;
        size_t from = text->len;
        int d = digits_of(m);
        ehm_str_addf(text, "%-*s  %-*s  %-14s  %6.*f  %6.*f .. %-6.*f", (int)w_model, r->model, (int)w_what, r->what, m->name, d, f * r->value, d, f * r->lo, d, f * r->hi);
        if (r->has_diff) {
            pad_to(text, from, w_model + w_what + 46);
            ehm_str_addc(text, ' ');
            print_interval(text, m, r->diff, r->diff_lo, r->diff_hi, true);
            ehm_str_add(text, r->diff_lo > 0 || r->diff_hi < 0 ? "" : "  not distinguishable");
        }
        ehm_str_addf(text, "%s\n", i == out->i_best ? "  <" : "");
    }
    ehm_str_addf(text, "%s\n", out->protocol);
    for (int32_t i = 0; i < out->n_notes; i++) ehm_str_addf(text, "note: %s\n", out->notes[i]);
}

void ehm_eval_json(const ehm_eval_out *out, ehm_json_w *w) {
    ehm_json_obj(w);
    ehm_json_key(w, "task"), ehm_json_str(w, out->task);
    ehm_json_key(w, "protocol"), ehm_json_str(w, out->protocol);
    ehm_json_key(w, "n_test"), ehm_json_i64(w, out->n_items);
    ehm_json_key(w, "n_train"), ehm_json_i64(w, out->n_train);
    ehm_json_key(w, "best"), ehm_json_i64(w, out->i_best);
    ehm_json_key(w, "rows"), ehm_json_arr(w);
    for (int32_t i = 0; i < out->n_rows; i++) {
        const ehm_eval_row *r = &out->rows[i];
        ehm_json_obj(w);
        ehm_json_key(w, "model"), ehm_json_str(w, r->model);
        ehm_json_key(w, "features"), ehm_json_str(w, r->what);
        ehm_json_key(w, "metric"), ehm_json_str(w, out->metrics[r->i_metric].name);
        ehm_json_key(w, "value"), ehm_json_f64(w, r->value);
        ehm_json_key(w, "lo"), ehm_json_f64(w, r->lo);
        ehm_json_key(w, "hi"), ehm_json_f64(w, r->hi);
        if (r->has_diff) {
            ehm_json_key(w, "difference"), ehm_json_f64(w, r->diff);
            ehm_json_key(w, "difference_lo"), ehm_json_f64(w, r->diff_lo);
            ehm_json_key(w, "difference_hi"), ehm_json_f64(w, r->diff_hi);
        }
        ehm_json_end(w);
    }
    ehm_json_end(w);
    ehm_json_key(w, "notes"), ehm_json_arr(w);
    for (int32_t i = 0; i < out->n_notes; i++) ehm_json_str(w, out->notes[i]);
    ehm_json_end(w);
    ehm_json_end(w);
}
