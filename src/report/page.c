/* The page: sections in the order in which a reader wants them. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/settings.h"
#include "report/markup.h"
#include "report/report_int.h"

/* ---- facts ---- */

typedef const char *(*fact_text)(const ehm_report_run *r, ehm_arena *a);

static const char *number(double v, const char *unit, ehm_arena *a) {
    char t[32];
    return isfinite(v) ? ehm_arena_printf(a, "%s%s", ehm_html_number(v, t), unit) : NULL;
}

static const char *f_data(const ehm_report_run *r, ehm_arena *a) {
    const ehm_json *data = ehm_json_get(r->config, "data");
    const char *spec = ehm_report_value(r, ehm_json_get(r->config, "task") ? "train" : "data", NULL);
    char count[32], classes[32];
    int64_t n = ehm_json_i64_or(data, "count", -1), k = ehm_json_i64_or(data, "classes", 0);
    if (n < 0) return spec;
    const char *s = ehm_arena_printf(a, "%s pictures", ehm_format_count(n, count));
    if (k > 0 && s) s = ehm_arena_printf(a, "%s of %s classes", s, ehm_format_count(k, classes));
    return spec && s ? ehm_arena_printf(a, "%s: %s", s, spec) : s;
}

static const char *f_model(const ehm_report_run *r, ehm_arena *a) {
    const ehm_json *s = ehm_json_get(r->config, "shape");
    char count[32];
    int64_t n = ehm_json_i64_or(r->config, "parameters", -1);
    if (!s) return NULL;
    const char *of = ehm_arena_printf(a, "%lld \xc3\x97 %lld px, patches of %lld; width %lld, depth %lld, %lld heads", (long long)ehm_json_i64_or(s, "img_h", 0),
                                      (long long)ehm_json_i64_or(s, "img_w", 0), (long long)ehm_json_i64_or(s, "patch_size", 0), (long long)ehm_json_i64_or(s, "embed_dim", 0),
                                      (long long)ehm_json_i64_or(s, "depth", 0), (long long)ehm_json_i64_or(s, "num_heads", 0));
    const char *name = ehm_report_value(r, "preset", NULL);
    if (n > 0 && of) of = ehm_arena_printf(a, "%s; %s numbers", of, ehm_format_count(n, count));
    return name && of && strcmp(name, "auto") ? ehm_arena_printf(a, "%s: %s", name, of) : of;
}

static const char *f_method(const ehm_report_run *r, ehm_arena *a) {
    const char *task = ehm_json_str_or(ehm_json_get(r->config, "task"), "name", NULL), *recipe = ehm_report_value(r, "recipe", NULL);
    if (task) return ehm_arena_printf(a, "%s, started from %s", task, ehm_report_value(r, "model", "?"));
    return recipe ? ehm_arena_printf(a, "%s: mask %s, %s of the patches hidden", recipe, ehm_report_value(r, "mask", "?"), ehm_report_value(r, "mask_ratio", "?")) : NULL;
}

static const char *f_state(const ehm_report_run *r, ehm_arena *a) { return ehm_report_state(r, a); }

static const char *f_length(const ehm_report_run *r, ehm_arena *a) {
    char step[32], t[32];
    if (!r->n_lines) return NULL;
    const char *s = ehm_format_count(r->step, step);
    const char *batch = ehm_report_value(r, "batch_size", NULL);
    const char *of = isfinite(r->epoch) ? ehm_arena_printf(a, "%s steps, %s epochs", s, ehm_html_number(r->epoch, t)) : ehm_arena_printf(a, "%s steps", s);
    return batch && of ? ehm_arena_printf(a, "%s, batch %s", of, batch) : of;
}

static const char *f_loss(const ehm_report_run *r, ehm_arena *a) {
    char first[32], last[32], least[32], count[32];
    if (!isfinite(r->loss_final)) return NULL;
    const char *of = r->n_final == 1 ? "the last line" : ehm_arena_printf(a, "mean of the last %lld lines", (long long)r->n_final);
    return ehm_arena_printf(a, "%s at the end (%s); first %s, least %s at step %s", ehm_html_number(r->loss_final, last), of ? of : "", ehm_html_number(r->loss_first, first), ehm_html_number(r->loss_least, least), ehm_format_count(r->loss_least_step, count));
}

static const char *f_speed(const ehm_report_run *r, ehm_arena *a) {
    const char *rate = number(r->images_per_s, " images/s (median of the lines)", a);
    return rate && isfinite(r->wait_share) ? ehm_arena_printf(a, "%s, waiting for data %.1f %% of the time", rate, 100 * r->wait_share) : rate;
}

static const char *f_time(const ehm_report_run *r, ehm_arena *a) {
    char t[32];
    if (!isfinite(r->seconds)) return NULL;
    const char *s = ehm_format_seconds(r->seconds, t);
    return r->begun && r->ended ? ehm_arena_printf(a, "%s of training; log from %s to %s", s, r->begun, r->ended) : ehm_arena_printf(a, "%s of training", s);
}

static const char *f_memory(const ehm_report_run *r, ehm_arena *a) {
    char t[32];
    return isfinite(r->peak_bytes) ? ehm_arena_printf(a, "%s at most", ehm_format_bytes(r->peak_bytes, t)) : NULL;
}

static const char *f_machine(const ehm_report_run *r, ehm_arena *a) {
    const ehm_json *m = ehm_json_get(r->config, "machine");
    const char *d = ehm_json_str_or(m, "describe", NULL), *version = ehm_json_str_or(r->config, "version", NULL);
    if (!d) return NULL;
    return version ? ehm_arena_printf(a, "%s; ehm %s", d, version) : d;
}

static const struct { const char *name; fact_text text; } facts[] = {
    {"Data", f_data}, {"Model", f_model}, {"Method", f_method}, {"State", f_state}, {"Length", f_length}, {"Loss", f_loss}, {"Speed", f_speed}, {"Time", f_time},
    {"Memory", f_memory}, {"Machine", f_machine},
};

static void fact_table(ehm_str *out, ehm_report *r) {
    ehm_str_add(out, "<div class=\"scroll\" tabindex=\"0\"><table>");
    if (r->n > 1) {
        ehm_str_add(out, "<thead><tr><th scope=\"col\"></th>");
        for (int32_t i = 0; i < r->n; i++) ehm_str_add(out, "<th scope=\"col\">"), ehm_html_text(out, r->runs[i].name), ehm_str_add(out, "</th>");
        ehm_str_add(out, "</tr></thead>");
    }
    ehm_str_add(out, "<tbody>\n");
    for (size_t f = 0; f < sizeof facts / sizeof *facts; f++) {
        bool any = false;
        for (int32_t i = 0; i < r->n; i++) any |= facts[f].text(&r->runs[i], &r->arena) != NULL;
        if (!any) continue;
        ehm_str_addf(out, "<tr><th scope=\"row\">%s</th>", facts[f].name);
        for (int32_t i = 0; i < r->n; i++) {
            const char *t = facts[f].text(&r->runs[i], &r->arena);
            ehm_str_add(out, "<td class=\"wrap\">"), ehm_html_text(out, t ? t : "\xe2\x80\x93"), ehm_str_add(out, "</td>");
        }
        ehm_str_add(out, "</tr>\n");
    }
    ehm_str_add(out, "</tbody></table></div>\n");
}

static void card(ehm_str *out, const char *value, const char *what) {
    if (!value) return;
    ehm_str_add(out, "<div class=\"card\"><b>"), ehm_html_text(out, value), ehm_str_add(out, "</b><span>"), ehm_html_text(out, what), ehm_str_add(out, "</span></div>\n");
}

static void cards(ehm_str *out, const ehm_report_run *r, ehm_arena *a) {
    char t[32];
    ehm_str_add(out, "<div class=\"cards\">\n");
    card(out, number(r->loss_final, "", a), isfinite(r->mean_loss) ? "loss at the end; 1.0 is predicting the mean" : "loss at the end");
    if (r->n_lines) card(out, ehm_format_count(r->step, t), "steps");
    card(out, number(r->epoch, "", a), "epochs");
    if (isfinite(r->seconds)) card(out, ehm_format_seconds(r->seconds, t), "of training");
    card(out, number(r->images_per_s, "", a), "images/s");
    if (isfinite(r->peak_bytes)) card(out, ehm_format_bytes(r->peak_bytes, t), "memory at most");
    ehm_str_add(out, "</div>\n");
}

/* What the numbers say, in words. */
static void verdict(ehm_str *out, const ehm_report_run *r, ehm_arena *a) {
    char t[32], m[32];
    const char *method = f_method(r, a), *data = f_data(r, a);
    if (method && data) ehm_html_textf(out, "%s. Trained on %s. ", method, data);
    if (!isfinite(r->loss_final)) {
        ehm_str_add(out, "No loss has been written yet.");
        return;
    }
    if (!isfinite(r->mean_loss)) {
        ehm_html_textf(out, "The loss went from %s", ehm_html_number(r->loss_first, t));
        ehm_html_textf(out, " to %s.", ehm_html_number(r->loss_final, t));
        return;
    }
    double less = 100 * (1 - r->loss_final / r->mean_loss);
    ehm_html_number(r->loss_final, t), ehm_html_number(r->mean_loss, m);
    if (less >= 1) ehm_html_textf(out, "The loss ended at %s, %.0f %% below predicting each patch\xe2\x80\x99s mean (%s.0).", t, less, m);
    else ehm_html_textf(out, "The loss ended at %s: no better than predicting each patch\xe2\x80\x99s mean (%s.0).", t, m);
}

static void badge(ehm_str *out, const ehm_report_run *r, ehm_arena *a) {
    ehm_str_addf(out, " <span class=\"badge%s\">", r->done ? "" : " open"), ehm_html_text(out, r->done ? "finished" : ehm_report_state(r, a)), ehm_str_add(out, "</span>");
}

static void top(ehm_str *out, ehm_report *r) {
    ehm_str_add(out, "<header class=\"top\">\n<h1>");
    if (r->opt->title) ehm_html_text(out, r->opt->title);
    else
        for (int32_t i = 0; i < r->n; i++) ehm_str_add(out, i ? ", " : ""), ehm_html_text(out, r->runs[i].name);
    if (r->n == 1) badge(out, &r->runs[0], &r->arena);
    ehm_str_add(out, "</h1>\n");
    if (r->n == 1) ehm_str_add(out, "<p class=\"verdict\">"), verdict(out, &r->runs[0], &r->arena), ehm_str_add(out, "</p>\n");
    for (int32_t i = 0; i < r->n && r->n > 1; i++) {
        ehm_str_add(out, "<p class=\"verdict\"><b>"), ehm_html_text(out, r->runs[i].name), ehm_str_add(out, "</b>");
        badge(out, &r->runs[i], &r->arena);
        ehm_str_add(out, " "), verdict(out, &r->runs[i], &r->arena), ehm_str_add(out, "</p>\n");
    }
    for (int32_t i = 0; i < r->n; i++) {
        if (!r->runs[i].n_notes) continue;
        ehm_str_add(out, "<div class=\"note\">");
        if (r->n > 1) ehm_str_add(out, "<b>"), ehm_html_text(out, r->runs[i].name), ehm_str_add(out, "</b>");
        ehm_str_add(out, "<ul>");
        for (int32_t k = 0; k < r->runs[i].n_notes; k++) ehm_str_add(out, "<li>"), ehm_html_text(out, r->runs[i].notes[k]), ehm_str_add(out, "</li>");
        ehm_str_add(out, "</ul></div>\n");
    }
    ehm_str_add(out, "</header>\n");
}

/* ---- differences between runs ---- */

static bool tells_apart(const char *key) {
    static const char *const not_of_the_result[] = {"out", "resume", "overwrite", "json", "quiet", "verbose", "color", "cache", "save_every", "save_steps", "keep"};
    for (size_t i = 0; i < sizeof not_of_the_result / sizeof *not_of_the_result; i++)
        if (!strcmp(not_of_the_result[i], key)) return false;
    return true;
}

/* A setting that a run does not know, being of another version, is as if it were the default. */
static bool differs(const ehm_report *r, const char *key) {
    const ehm_report_setting *first = NULL;
    bool moved = false, missing = false;
    for (int32_t i = 0; i < r->n; i++) {
        const ehm_report_setting *s = ehm_report_setting_of(&r->runs[i], key);
        if (!s) {
            missing = true;
            continue;
        }
        if (first && strcmp(s->value, first->value)) return true;
        first = first ? first : s;
        moved |= s->differs;
    }
    return missing && moved;
}

static void value_cells(ehm_str *out, const ehm_report *r, const char *key) {
    for (int32_t i = 0; i < r->n; i++) {
        const ehm_report_setting *s = ehm_report_setting_of(&r->runs[i], key);
        ehm_str_add(out, "<td class=\"wrap\">"), ehm_html_text(out, s ? *s->value ? s->value : "none" : "\xe2\x80\x93"), ehm_str_add(out, "</td>");
    }
}

typedef struct { const char *name; size_t at; } number_fact;
static const number_fact final_numbers[] = {
    {"loss at the end", offsetof(ehm_report_run, loss_final)}, {"least loss", offsetof(ehm_report_run, loss_least)}, {"epochs", offsetof(ehm_report_run, epoch)},
    {"images/s", offsetof(ehm_report_run, images_per_s)}, {"seconds of training", offsetof(ehm_report_run, seconds)},
};

static double number_of(const ehm_report_run *r, size_t at) {
    double v;
    memcpy(&v, (const char *)r + at, sizeof v);
    return v;
}

static void heads(ehm_str *out, const ehm_report *r, const char *first) {
    ehm_str_addf(out, "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">%s</th>", first);
    for (int32_t i = 0; i < r->n; i++) ehm_str_add(out, "<th scope=\"col\">"), ehm_html_text(out, r->runs[i].name), ehm_str_add(out, "</th>");
}

static void difference_table(ehm_str *out, const ehm_report *r) {
    char t[32];
    int32_t n = 0;
    heads(out, r, "at the end");
    if (r->n == 2) ehm_str_add(out, "<th scope=\"col\">difference</th>");
    ehm_str_add(out, "</tr></thead><tbody>\n");
    for (size_t k = 0; k < sizeof final_numbers / sizeof *final_numbers; k++) {
        ehm_str_addf(out, "<tr><th scope=\"row\">%s</th>", final_numbers[k].name);
        for (int32_t i = 0; i < r->n; i++) ehm_str_add(out, "<td class=\"n\">"), ehm_html_text(out, ehm_html_number(number_of(&r->runs[i], final_numbers[k].at), t)), ehm_str_add(out, "</td>");
        double d = r->n == 2 ? number_of(&r->runs[1], final_numbers[k].at) - number_of(&r->runs[0], final_numbers[k].at) : NAN;
        if (r->n == 2) ehm_str_addf(out, "<td class=\"n\">%s", d > 0 ? "+" : ""), ehm_html_text(out, ehm_html_number(d, t)), ehm_str_add(out, "</td>");
        ehm_str_add(out, "</tr>\n");
    }
    ehm_str_add(out, "</tbody></table></div>\n");
    int64_t lo = INT64_MAX, hi = 0;
    for (int32_t i = 0; i < r->n; i++) lo = r->runs[i].step < lo ? r->runs[i].step : lo, hi = r->runs[i].step > hi ? r->runs[i].step : hi;
    if (lo != hi) ehm_str_add(out, "<p class=\"soft\">The runs have not gone equally far, so their ends do not compare; the curves do.</p>\n");
    ehm_str_add(out, "<p class=\"soft\">Losses under different masks are losses of different tasks: a lower one is not a better model. Evaluations tell.</p>\n");
    heads(out, r, "setting that differs");
    ehm_str_add(out, "</tr></thead><tbody>\n");
    for (int32_t i = 0; i < r->n; i++)
        for (int32_t k = 0; k < r->runs[i].n_settings; k++) {
            const char *key = r->runs[i].settings[k].key;
            bool before = false;
            for (int32_t m = 0; m < i; m++) before |= ehm_report_setting_of(&r->runs[m], key) != NULL;
            if (before || !tells_apart(key) || !differs(r, key)) continue;
            n++;
            ehm_str_add(out, "<tr><th scope=\"row\"><code>"), ehm_html_text(out, key), ehm_str_add(out, "</code></th>");
            value_cells(out, r, key);
            ehm_str_add(out, "</tr>\n");
        }
    ehm_str_add(out, "</tbody></table></div>\n");
    if (!n) ehm_str_add(out, "<p>No setting that could change the result differs.</p>\n");
}

/* ---- data ---- */

static void numbers_list(ehm_str *out, const ehm_json *arr) {
    char t[32];
    for (const ehm_json *j = arr && arr->kind == EHM_JSON_ARR ? arr->first : NULL; j; j = j->next) ehm_str_add(out, j == arr->first ? "" : ", "), ehm_html_text(out, ehm_html_number(j->num, t));
}

static void data(ehm_str *out, ehm_report *r, const ehm_report_run *run) {
    const ehm_json *d = ehm_json_get(run->config, "data");
    const char *text = f_data(run, &r->arena);
    char count[32];
    if (r->n > 1) ehm_str_add(out, "<h3>"), ehm_html_text(out, run->name), ehm_str_add(out, "</h3>\n");
    if (text) ehm_str_add(out, "<p>"), ehm_html_text(out, text), ehm_str_add(out, "</p>\n");
    ehm_str_add(out, "<ul>\n");
    for (int32_t i = 0, shown = 0; i < run->n_log && shown < 12; i++) { /* what the run said of its pictures before its first setting */
        const char *line = run->log[i];
        if (strlen(line) < 22 || line[10] != 'T' || line[19] != 'Z') continue;
        line += 20 + strspn(line + 20, " ");
        if (ehm_starts(line, "setting ") || ehm_starts(line, "model:")) break;
        if (strstr(line, "no checkpoint to go on from")) continue;
        ehm_str_add(out, "<li>"), ehm_html_text(out, line), ehm_str_add(out, "</li>\n");
        shown++;
    }
    if (ehm_json_get(d, "mean")) {
        ehm_str_add(out, "<li>mean "), numbers_list(out, ehm_json_get(d, "mean"));
        ehm_str_add(out, "; standard deviation "), numbers_list(out, ehm_json_get(d, "std")), ehm_str_add(out, "</li>\n");
    }
    if (ehm_json_str_or(d, "hash", NULL)) ehm_str_add(out, "<li>names, labels and sizes hash to <code>"), ehm_html_text(out, ehm_json_str_or(d, "hash", "")), ehm_str_add(out, "</code></li>\n");
    ehm_str_addf(out, "<li>bad files: %s</li>\n</ul>\n", run->n_bad ? ehm_format_count(run->n_bad, count) : "none");
    if (!run->n_bad) return;
    ehm_str_add(out, "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">index</th><th scope=\"col\">file</th><th scope=\"col\">reason</th></tr></thead><tbody>\n");
    for (int32_t i = 0; i < run->n_bad_shown; i++) {
        ehm_str_add(out, "<tr>");
        for (int c = 0; c < 3; c++) ehm_str_add(out, c ? "<td class=\"wrap\">" : "<td>"), ehm_html_text(out, run->bad[i].cell[c]), ehm_str_add(out, "</td>");
        ehm_str_add(out, "</tr>\n");
    }
    ehm_str_add(out, "</tbody></table></div>\n");
    if (run->n_bad > run->n_bad_shown) ehm_str_addf(out, "<p class=\"soft\">The first %d; all are in bad_files.tsv.</p>\n", (int)run->n_bad_shown);
}

/* ---- settings ---- */

static void setting_row(ehm_str *out, const ehm_report_setting *s, bool with_default) {
    ehm_config defaults;
    ehm_str def = {0};
    ehm_str_add(out, "<tr><th scope=\"row\"><code>"), ehm_html_text(out, s->key), ehm_str_add(out, "</code></th><td class=\"wrap\">");
    ehm_html_text(out, *s->value ? s->value : "none");
    ehm_str_add(out, "</td><td>"), ehm_html_text(out, s->origin), ehm_str_add(out, "</td>");
    if (with_default && s->i >= 0) {
        ehm_config_init(&defaults);
        const char *d = ehm_config_text(&defaults, s->i, &def);
        ehm_str_add(out, "<td>"), ehm_html_text(out, *d ? d : "none"), ehm_str_add(out, "</td>");
    } else if (with_default) ehm_str_add(out, "<td>not known here</td>");
    ehm_str_add(out, "<td class=\"wrap\">"), ehm_html_text(out, s->i >= 0 ? ehm_settings[s->i].help : ""), ehm_str_add(out, "</td></tr>\n");
    ehm_str_free(&def);
}

static bool by_hand(const ehm_report_setting *s) { return !strcmp(s->origin, "flag") || !strcmp(s->origin, "config file"); }

static void settings(ehm_str *out, const ehm_report *r, const ehm_report_run *run) {
    static const char head[] = "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">setting</th><th scope=\"col\">value</th><th scope=\"col\">from</th>";
    if (r->n > 1) ehm_str_add(out, "<h3>"), ehm_html_text(out, run->name), ehm_str_add(out, "</h3>\n");
    if (!run->n_settings) {
        ehm_str_add(out, "<p>Not known: config.json has none.</p>\n");
        return;
    }
    ehm_str_add(out, head), ehm_str_add(out, "<th scope=\"col\">default</th><th scope=\"col\">what it is</th></tr></thead><tbody>\n");
    for (int pass = 0; pass < 2; pass++) /* given by hand first, then what was chosen */
        for (int32_t i = 0; i < run->n_settings; i++)
            if (run->settings[i].differs && by_hand(&run->settings[i]) == !pass) setting_row(out, &run->settings[i], true);
    ehm_str_add(out, "</tbody></table></div>\n<details><summary>All settings</summary>\n");
    ehm_str_add(out, head), ehm_str_add(out, "<th scope=\"col\">what it is</th></tr></thead><tbody>\n");
    for (int32_t i = 0; i < run->n_settings; i++) setting_row(out, &run->settings[i], false);
    ehm_str_add(out, "</tbody></table></div></details>\n");
}

/* ---- command and environment ---- */

static void flat(ehm_str *out, const ehm_json *j, const char *name) {
    if (!j || j->kind == EHM_JSON_OBJ || j->kind == EHM_JSON_ARR || j->kind == EHM_JSON_NULL) return;
    char t[32];
    ehm_str_add(out, "<tr><th scope=\"row\">"), ehm_html_text(out, name), ehm_str_add(out, "</th><td class=\"wrap\">");
    if (!strcmp(name, "memory bytes")) ehm_html_text(out, ehm_format_bytes(j->num, t));
    else ehm_html_text(out, j->kind == EHM_JSON_BOOL ? j->num != 0 ? "yes" : "no" : j->str);
    ehm_str_add(out, "</td></tr>\n");
}

static void environment(ehm_str *out, ehm_report *r, const ehm_report_run *run) {
    ehm_str command = {0}, all = {0};
    const ehm_json *m = ehm_json_get(run->config, "machine");
    if (r->n > 1) ehm_str_add(out, "<h3>"), ehm_html_text(out, run->name), ehm_str_add(out, "</h3>\n");
    if (run->n_settings) {
        ehm_report_command(&command, run, false), ehm_report_command(&all, run, true);
        ehm_str_add(out, "<p>What was asked for:</p>\n<pre>"), ehm_html_text(out, ehm_str_c(&command)), ehm_str_add(out, "</pre>\n");
        ehm_str_add(out, "<details><summary>The same with every choice that was made from data, machine and recipe written out</summary>\n<pre>");
        ehm_html_text(out, ehm_str_c(&all)), ehm_str_add(out, "</pre></details>\n");
    }
    ehm_str_free(&command), ehm_str_free(&all);
    ehm_str_add(out, "<div class=\"scroll\" tabindex=\"0\"><table><tbody>\n");
    flat(out, ehm_json_get(run->config, "version"), "ehm version");
    flat(out, ehm_json_get(run->config, "format"), "run folder format");
    for (const ehm_json *j = m && m->kind == EHM_JSON_OBJ ? m->first : NULL; j; j = j->next) {
        char *name = ehm_arena_strdup(&r->arena, !strcmp(j->key, "describe") ? "processor" : j->key);
        for (char *p = name; p && *p; p++)
            if (*p == '_') *p = ' ';
        if (name) flat(out, j, name);
    }
    ehm_str_add(out, "<tr><th scope=\"row\">folder</th><td class=\"wrap\">"), ehm_html_text(out, run->dir), ehm_str_add(out, "</td></tr>\n");
    ehm_str_add(out, "</tbody></table></div>\n");
    if (run->nonfinite) ehm_str_add(out, "<p>nonfinite.json:</p>\n<pre>"), ehm_html_text(out, run->nonfinite), ehm_str_add(out, "</pre>\n");
    if (!run->n_log) return;
    int32_t head = run->n_log, tail = run->n_log;
    if (run->n_log > EHM_REPORT_LOG_SHOWN) head = EHM_REPORT_LOG_SHOWN / 2, tail = run->n_log - EHM_REPORT_LOG_SHOWN / 2;
    ehm_str_add(out, "<details><summary>train.log</summary>\n<pre class=\"log\" tabindex=\"0\">");
    for (int32_t i = 0; i < run->n_log; i++) {
        if (i == head && i < tail) ehm_html_textf(out, "... %d lines, in train.log ...\n", (int)(tail - head)), i = tail;
        ehm_html_text(out, run->log[i]), ehm_str_addc(out, '\n');
    }
    ehm_str_add(out, "</pre></details>\n");
}

/* ---- all together ---- */

static void section(ehm_str *out, const char *id, const char *title) { ehm_str_addf(out, "<section id=\"%s\">\n<h2>%s</h2>\n", id, title); }

static ehm_code page(ehm_str *out, ehm_report *r, ehm_err *err) {
    char now[32];
    bool pictures = false, evals = false;
    for (int32_t i = 0; i < r->n; i++) pictures |= r->runs[i].n_pictures > 0, evals |= r->runs[i].n_evals > 0;
    ehm_str_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    ehm_str_addf(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'%s\">\n",
                 r->opt->live ? "; connect-src 'self'" : "");
    ehm_str_add(out, "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    if (r->opt->title) ehm_html_text(out, r->opt->title);
    else
        for (int32_t i = 0; i < r->n; i++) ehm_str_add(out, i ? ", " : ""), ehm_html_text(out, r->runs[i].name);
    ehm_str_add(out, " \xe2\x80\x93 ehm report</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n");
    ehm_str_add(out, ehm_report_css);
    ehm_str_add(out, "</style>\n");
    if (r->opt->extra_head) ehm_str_add(out, r->opt->extra_head), ehm_str_addc(out, '\n');
    ehm_str_add(out, "</head>\n<body>\n");
    top(out, r);
    ehm_str_add(out, "<nav aria-label=\"Sections\"><ul><li><a href=\"#summary\">Summary</a></li>");
    if (r->n > 1) ehm_str_add(out, "<li><a href=\"#differences\">Differences</a></li>");
    ehm_str_add(out, "<li><a href=\"#curves\">Curves</a></li>");
    if (pictures) ehm_str_add(out, "<li><a href=\"#pictures\">Pictures</a></li>");
    if (evals) ehm_str_add(out, "<li><a href=\"#evaluations\">Evaluations</a></li>");
    ehm_str_add(out, "<li><a href=\"#data\">Data</a></li><li><a href=\"#settings\">Settings</a></li><li><a href=\"#environment\">Command and environment</a></li></ul></nav>\n<main>\n");
    section(out, "summary", "Summary");
    if (r->n == 1) cards(out, &r->runs[0], &r->arena);
    fact_table(out, r);
    ehm_str_add(out, "</section>\n");
    if (r->n > 1) section(out, "differences", "Differences"), difference_table(out, r), ehm_str_add(out, "</section>\n");
    section(out, "curves", "Curves");
    EHM_TRY(ehm_report_curves(out, r, err));
    ehm_str_add(out, "</section>\n");
    if (pictures) {
        section(out, "pictures", "Pictures over time");
        EHM_TRY(ehm_report_pictures(out, r, err));
        ehm_str_add(out, "</section>\n");
    }
    if (evals) section(out, "evaluations", "Evaluations"), ehm_report_evals(out, r), ehm_str_add(out, "</section>\n");
    section(out, "data", "Data");
    for (int32_t i = 0; i < r->n; i++) data(out, r, &r->runs[i]);
    ehm_str_add(out, "</section>\n");
    section(out, "settings", "Settings that differ from the default");
    for (int32_t i = 0; i < r->n; i++) settings(out, r, &r->runs[i]);
    ehm_str_add(out, "</section>\n");
    section(out, "environment", "Command and environment");
    for (int32_t i = 0; i < r->n; i++) environment(out, r, &r->runs[i]);
    ehm_clock_iso(ehm_clock_unix_s(), now);
    ehm_str_addf(out, "</section>\n</main>\n<footer>Made by ehm%s%s on %s from the run folder alone. This page needs no network and no other file.</footer>\n", r->opt->version ? " " : "",
                 r->opt->version ? r->opt->version : "", now);
    ehm_str_add(out, "<script>\n"), ehm_str_add(out, ehm_report_js), ehm_str_add(out, "</script>\n</body>\n</html>\n");
    return out->failed ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for the page") : EHM_OK;
}

ehm_code ehm_report_html(ehm_str *out, const char *const *runs, int32_t n, const ehm_report_opt *opt, ehm_err *err) {
    ehm_report r;
    ehm_code rc = ehm_report_open(&r, runs, n, opt, err);
    if (!rc) rc = page(out, &r, err);
    ehm_report_close(&r);
    return rc;
}

ehm_code ehm_report_write(const char *path, const char *const *runs, int32_t n, const ehm_report_opt *opt, ehm_err *err) {
    ehm_str s = {0};
    ehm_code rc = ehm_report_html(&s, runs, n, opt, err);
    if (!rc) rc = ehm_dir_make_for(path, err);
    if (!rc) rc = ehm_file_write(path, s.s, s.len, err);
    ehm_str_free(&s);
    return rc;
}
