/* A run folder as a report sees it. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/settings.h"
#include "report/markup.h"
#include "report/run_lines.h"
#include "runs/run.h"

void ehm_report_note(ehm_report *r, ehm_report_run *run, const char *fmt, ...) {
    char text[768];
    va_list ap;
    if (run->n_notes == (int32_t)(sizeof run->notes / sizeof *run->notes)) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *s = ehm_arena_strdup(&r->arena, text);
    if (s) run->notes[run->n_notes++] = s;
}

const ehm_series *ehm_report_series(const ehm_report_run *r, ehm_series_kind kind, const char *name) {
    for (int32_t i = 0; i < r->n_series; i++)
        if (r->series[i].kind == kind && !strcmp(r->series[i].name, name)) return &r->series[i];
    return NULL;
}

int64_t ehm_report_smoothing(int64_t n) {
    int64_t w = n / 40;
    return n < 20 ? 1 : (w < 5 ? 5 : w) | 1;
}

/* ---- config.json ---- */

static const char *text_of(const ehm_json *v, ehm_arena *a) {
    ehm_str t = {0};
    if (!v || v->kind == EHM_JSON_NULL) return "";
    if (v->kind == EHM_JSON_STR || v->kind == EHM_JSON_NUM) return v->str;
    if (v->kind == EHM_JSON_BOOL) return v->num != 0 ? "true" : "false";
    for (const ehm_json *e = v->first; e; e = e->next) {
        if (e != v->first) ehm_str_add(&t, ", ");
        ehm_str_add(&t, e->kind == EHM_JSON_STR || e->kind == EHM_JSON_NUM ? e->str : "...");
    }
    const char *s = ehm_arena_strdup(a, ehm_str_c(&t));
    ehm_str_free(&t);
    return s ? s : "";
}

/* Numbers are compared as numbers: 1 and 1.0 are one value. */
static bool same_value(const char *a, const char *b) {
    double x, y;
    return !strcmp(a, b) || (ehm_parse_f64(a, &x) && ehm_parse_f64(b, &y) && x == y);
}

static void read_settings(ehm_report_run *r, ehm_arena *a) {
    const ehm_json *all = ehm_json_get(r->config, "settings");
    ehm_config defaults;
    ehm_str text = {0};
    ehm_config_init(&defaults);
    r->settings = all && all->kind == EHM_JSON_OBJ ? EHM_NEW_N(a, ehm_report_setting, all->n + 1) : NULL;
    for (const ehm_json *j = r->settings ? all->first : NULL; j; j = j->next) {
        const ehm_json *v = j->kind == EHM_JSON_OBJ ? ehm_json_get(j, "value") : j;
        ehm_report_setting *s = &r->settings[r->n_settings++];
        *s = (ehm_report_setting){.key = j->key, .value = text_of(v, a), .origin = j->kind == EHM_JSON_OBJ ? ehm_json_str_or(j, "origin", "") : "",
                                  .i = ehm_setting_find(j->key), .json = v};
        const char *def = s->i >= 0 ? ehm_config_text(&defaults, s->i, &text) : NULL;
        s->differs = def ? !same_value(s->value, def) : strcmp(s->origin, "default") != 0;
    }
    ehm_str_free(&text);
}

const ehm_report_setting *ehm_report_setting_of(const ehm_report_run *r, const char *key) {
    for (int32_t i = 0; i < r->n_settings; i++)
        if (!strcmp(r->settings[i].key, key)) return &r->settings[i];
    return NULL;
}

const char *ehm_report_value(const ehm_report_run *r, const char *key, const char *otherwise) {
    const ehm_report_setting *s = ehm_report_setting_of(r, key);
    return s && *s->value ? s->value : otherwise;
}

static bool of_this_machine_or_call(const char *key) {
    static const char *const keys[] = {"resume", "overwrite", "json", "quiet", "verbose", "color", "print_config", "dry_run", "config", "expect_better"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(keys[i], key)) return true;
    return false;
}

static void add_flag(ehm_str *out, const char *key, const char *value) {
    ehm_str_add(out, " --");
    for (const char *p = key; *p; p++) ehm_str_addc(out, *p == '_' ? '-' : *p);
    if (value) ehm_str_addc(out, ' '), ehm_shell_word(out, value);
}

void ehm_report_command(ehm_str *out, const ehm_report_run *r, bool all) {
    const char *task = ehm_json_str_or(ehm_json_get(r->config, "task"), "name", NULL);
    if (task) ehm_str_add(out, "ehm eval "), ehm_shell_word(out, task);
    else ehm_str_add(out, "ehm pretrain");
    const ehm_report_setting *steps = ehm_report_setting_of(r, "steps");
    for (int32_t i = 0; i < r->n_settings; i++) {
        const ehm_report_setting *s = &r->settings[i];
        bool given = !strcmp(s->origin, "flag") || !strcmp(s->origin, "config file") || !strcmp(s->origin, "resume");
        if (of_this_machine_or_call(s->key) || !s->json || s->json->kind == EHM_JSON_NULL || (!given && (!all || !strcmp(s->origin, "default")))) continue;
        if (!strcmp(s->value, "auto") || !strcmp(s->key, "extend")) continue;
        if (all && !strcmp(s->key, "epochs") && steps && strcmp(steps->value, "auto")) continue; /* steps say it exactly */
        if (all && !strcmp(s->key, "max_minutes")) continue;                                      /* and were fitted to it */
        if (s->json->kind == EHM_JSON_BOOL) {
            ehm_str no = {0};
            ehm_str_addf(&no, "%s%s", s->json->num != 0 ? "" : "no-", s->key);
            add_flag(out, ehm_str_c(&no), NULL);
            ehm_str_free(&no);
        } else if (s->json->kind == EHM_JSON_ARR) {
            for (const ehm_json *e = s->json->first; e; e = e->next)
                if (e->kind == EHM_JSON_STR || e->kind == EHM_JSON_NUM) add_flag(out, s->key, e->str);
        } else add_flag(out, s->key, s->value);
    }
}

/* ---- lines of text ---- */

static ehm_code read_text(ehm_bytes *out, const char *dir, const char *name, ehm_report *r, ehm_report_run *run, ehm_err *err) {
    *out = (ehm_bytes){0};
    ehm_err why = {0};
    char *path = ehm_path_join(&r->arena, dir, name);
    if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", dir);
    if (!ehm_file_exists(path)) return EHM_OK;
    ehm_code rc = ehm_file_read(out, path, &r->arena, &why);
    if (rc == EHM_E_MEMORY) {
        if (err && !err->code) *err = why;
        return rc;
    }
    if (rc) ehm_report_note(r, run, "%s could not be read: %s", name, why.what), *out = (ehm_bytes){0};
    return EHM_OK;
}

/* Cuts text at its line ends, in place; *lines [*n] with room for at most `most`, n counts all. */
static int64_t cut_lines(char ***lines, ehm_bytes text, int64_t most, ehm_arena *a) {
    int64_t n = 0, at = 0;
    for (size_t i = 0; i < text.len; i++) n += text.data[i] == '\n' || i + 1 == text.len;
    *lines = EHM_NEW_N(a, char *, (n < most ? n : most) + 1);
    if (!*lines) return 0;
    for (size_t i = 0, from = 0; i < text.len && at < most; i++) {
        if (!text.data[i]) text.data[i] = 1; /* would end the line here; shown as a mark */
        if (text.data[i] != '\n' && i + 1 < text.len) continue;
        if (text.data[i] == '\n') text.data[i] = 0; /* the last byte without one is followed by the file's own NUL */
        (*lines)[at++] = (char *)text.data + from;
        from = i + 1;
    }
    return n;
}

static ehm_code read_bad(ehm_report *r, ehm_report_run *run, ehm_err *err) {
    ehm_bytes text;
    char **line;
    EHM_TRY(read_text(&text, run->dir, "bad_files.tsv", r, run, err));
    int64_t n = cut_lines(&line, text, EHM_REPORT_BAD_SHOWN + 1, &r->arena);
    run->bad = EHM_NEW_N(&r->arena, ehm_report_bad, EHM_REPORT_BAD_SHOWN);
    if (!line || !run->bad) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run->dir);
    bool head = n && ehm_starts(line[0], "index\t");
    run->n_bad = n - head;
    for (int64_t i = head; i < n && run->n_bad_shown < EHM_REPORT_BAD_SHOWN; i++) {
        const char **cell = run->bad[run->n_bad_shown++].cell;
        cell[0] = line[i];
        for (int c = 1; c < 3; c++) {
            char *tab = strchr(cell[c - 1], '\t');
            if (tab) *tab = 0;
            cell[c] = tab ? tab + 1 : "";
        }
    }
    return EHM_OK;
}

/* What stands before a line of train.log; NULL: another line. */
static const char *time_of(const char *line, ehm_arena *a) {
    bool is = strlen(line) >= 20 && line[4] == '-' && line[10] == 'T' && line[19] == 'Z';
    return is ? ehm_arena_strndup(a, line, 20) : NULL;
}

static ehm_code read_log(ehm_report *r, ehm_report_run *run, ehm_err *err) {
    ehm_bytes text;
    char **line;
    EHM_TRY(read_text(&text, run->dir, "train.log", r, run, err));
    int64_t n = cut_lines(&line, text, INT32_MAX / 2, &r->arena);
    if (!line) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run->dir);
    run->log = (const char *const *)line, run->n_log = (int32_t)n;
    for (int64_t i = 0; i < n && i < 10 && !run->begun; i++) run->begun = time_of(line[i], &r->arena);
    for (int64_t i = n - 1; i >= 0 && i > n - 10 && !run->ended; i--) run->ended = time_of(line[i], &r->arena);
    return EHM_OK;
}

/* ---- evaluations.jsonl ---- */

static ehm_code read_evals(ehm_report *r, ehm_report_run *run, ehm_err *err) {
    ehm_bytes text;
    char **line;
    int64_t n_damaged = 0;
    EHM_TRY(read_text(&text, run->dir, "evaluations.jsonl", r, run, err));
    int64_t n = cut_lines(&line, text, 100000, &r->arena);
    if (n > 100000) n = 100000;
    run->evals = EHM_NEW_N(&r->arena, ehm_report_eval, n + 1);
    if (!line || !run->evals) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run->dir);
    for (int64_t i = n - 1; i >= 0; i--) {
        ehm_json *j = NULL;
        ehm_err ignored = {0};
        if (!*line[i]) continue;
        if (ehm_json_parse(&j, line[i], strlen(line[i]), "evaluations.jsonl", &r->arena, &ignored) || j->kind != EHM_JSON_OBJ || !ehm_json_get(j, "rows") ||
            !ehm_json_str_or(j, "task", NULL)) {
            n_damaged++;
            continue;
        }
        const char *key = ehm_json_str_or(j, "command", ehm_json_str_or(j, "task", ""));
        int32_t k = 0;
        while (k < run->n_evals && strcmp(run->evals[k].key, key)) k++;
        if (k < run->n_evals) run->evals[k].n_older++;
        else run->evals[run->n_evals++] = (ehm_report_eval){j, key, 0};
    }
    if (n_damaged) ehm_report_note(r, run, "evaluations.jsonl: %lld damaged lines were passed over", (long long)n_damaged);
    return EHM_OK;
}

/* ---- pictures/ ---- */

static bool shows(const char *name) {
    static const char *const end[] = {".png", ".ppm", ".jpg", ".jpeg", ".webp", ".gif"};
    for (size_t i = 0; i < sizeof end / sizeof *end; i++)
        if (ehm_ends_nocase(name, end[i])) return true;
    return false;
}

static ehm_code read_pictures(ehm_report *r, ehm_report_run *run, ehm_err *err) {
    ehm_strs names = {0};
    ehm_err why = {0};
    char *dir = ehm_path_join(&r->arena, run->dir, "pictures");
    if (!dir) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run->dir);
    if (!ehm_dir_exists(dir)) return EHM_OK;
    if (ehm_dir_list(&names, dir, &r->arena, &why)) {
        ehm_report_note(r, run, "pictures/ could not be read: %s", why.what);
        return EHM_OK;
    }
    run->pictures = EHM_NEW_N(&r->arena, ehm_report_picture, names.n + 1);
    if (!run->pictures) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run->dir);
    for (int32_t i = 0; i < names.n; i++) {
        const char *name = names.v[i], *path = ehm_path_join(&r->arena, dir, name);
        if (name[0] == '.' || !shows(name) || !path || ehm_file_size(path) <= 0) continue;
        size_t digits = strspn(name, "0123456789");
        bool numbered = digits >= 4 && digits < 19 && name[digits] == '_';
        const char *kind = numbered ? name + digits + 1 : name;
        run->pictures[run->n_pictures++] = (ehm_report_picture){.kind = ehm_arena_strndup(&r->arena, kind, strcspn(kind, ".")), .path = path, .name = name,
                                                                .step = numbered ? strtoll(name, NULL, 10) : -1, .bytes = ehm_file_size(path), .kept = true};
        if (!run->pictures[run->n_pictures - 1].kind) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run->dir);
    }
    return EHM_OK;
}

/* ---- numbers ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const ehm_series *s, ehm_arena *a) {
    int64_t n = 0;
    double *v = s && s->n ? EHM_NEW_N(a, double, s->n) : NULL;
    for (int64_t i = 0; v && i < s->n; i++)
        if (isfinite(s->y[i])) v[n++] = s->y[i];
    if (!n) return NAN;
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}

/* The clock of timing.jsonl begins anew with each start of the program. */
static double total_seconds(const ehm_series *s) {
    double sum = 0, last = 0;
    if (!s) return NAN;
    for (int64_t i = 0; i < s->n; i++) {
        if (!isfinite(s->y[i])) continue;
        if (s->y[i] < last) sum += last;
        last = s->y[i];
    }
    return sum + last;
}

static double greatest(const ehm_series *s) {
    double v = NAN;
    for (int64_t i = 0; s && i < s->n; i++) v = fmax(v, s->y[i]); /* fmax passes NaN over */
    return v;
}

static void loss_numbers(ehm_report_run *run) {
    const ehm_series *s = ehm_report_series(run, EHM_SERIES_METRIC, "loss");
    double sum = 0;
    int64_t n = 0;
    run->loss_first = run->loss_final = run->loss_least = run->loss_last = NAN;
    for (int64_t i = 0; s && i < s->n; i++) {
        double v = s->y[i];
        if (!isfinite(v)) continue;
        if (isnan(run->loss_first)) run->loss_first = v;
        run->loss_last = v;
        if (!(v >= run->loss_least)) run->loss_least = v, run->loss_least_step = (int64_t)s->step[i];
    }
    int64_t want = s ? (s->n + 19) / 20 : 0;
    for (int64_t i = s ? s->n - 1 : -1; i >= 0 && n < want; i--)
        if (isfinite(s->y[i])) sum += s->y[i], n++;
    if (n) run->loss_final = sum / (double)n;
    run->n_final = n;
}

static void numbers(ehm_report *r, ehm_report_run *run) {
    double v;
    const ehm_json *schedule = ehm_json_get(run->config, "schedule"), *last = NULL;
    for (const ehm_json *j = schedule && schedule->kind == EHM_JSON_ARR ? schedule->first : NULL; j; j = j->next) last = j;
    run->total_steps = ehm_json_i64_or(last, "total_steps", 0);
    if (!run->total_steps && ehm_parse_f64(ehm_report_value(run, "steps", ""), &v) && v < 9e15) run->total_steps = (int64_t)v;
    run->total_epochs = run->x_per_step > 0 && run->total_steps ? (double)run->total_steps * run->x_per_step : NAN;
    loss_numbers(run);
    run->seconds = total_seconds(ehm_report_series(run, EHM_SERIES_TIMING, "seconds"));
    run->images_per_s = median(ehm_report_series(run, EHM_SERIES_TIMING, "images_per_s"), &r->arena);
    run->wait_share = median(ehm_report_series(run, EHM_SERIES_TIMING, "wait_frac"), &r->arena);
    run->peak_bytes = greatest(ehm_report_series(run, EHM_SERIES_TIMING, "rss"));
    bool pretrain = run->config && !ehm_json_get(run->config, "task");
    run->mean_loss = pretrain && !strcmp(ehm_report_value(run, "norm_pix_loss", ""), "true") ? 1 : NAN;
}

const char *ehm_report_state(const ehm_report_run *r, ehm_arena *a) {
    char step[32], total[32];
    const char *s = NULL;
    ehm_format_count(r->step, step), ehm_format_count(r->total_steps, total);
    if (r->done) return "finished";
    if (r->nonfinite) s = ehm_arena_printf(a, "ended at step %s: loss or gradient was not finite", step);
    else if (r->total_steps) s = ehm_arena_printf(a, "not finished: step %s of %s (%.0f %%)", step, total, 100.0 * (double)r->step / (double)r->total_steps);
    return s ? s : "not finished";
}

/* ---- opening ---- */

static ehm_code read_run(ehm_report *r, ehm_report_run *run, ehm_err *err) {
    static const char *const lines[] = {"metrics.jsonl", "timing.jsonl"};
    ehm_err why = {0};
    ehm_json *root = NULL;
    ehm_bytes text;
    char *config = ehm_path_join(&r->arena, run->dir, "config.json");
    if (!config) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run->dir);
    if (!ehm_dir_exists(run->dir)) {
        if (ehm_file_exists(run->dir)) EHM_FAIL(err, EHM_E_FORMAT, "%s: is a file, and a report is made of run folders", run->dir);
        else EHM_FAIL(err, EHM_E_IO, "%s: there is no such folder", run->dir), ehm_path_hint_near(err, run->dir);
        return err ? err->code : EHM_E_IO;
    }
    char *metrics = ehm_path_join(&r->arena, run->dir, lines[0]);
    if (!ehm_file_exists(config) && !(metrics && ehm_file_exists(metrics))) {
        EHM_HINT(err, "a run folder is what ehm pretrain --out or ehm eval finetune --out wrote; it holds config.json and metrics.jsonl");
        return EHM_FAIL(err, EHM_E_FORMAT, "%s: holds no run (neither config.json nor metrics.jsonl)", run->dir);
    }
    if (!ehm_file_exists(config)) ehm_report_note(r, run, "config.json is missing: settings and environment are not known");
    else if (ehm_json_read_file(&root, config, &r->arena, &why)) ehm_report_note(r, run, "config.json is damaged: %s", why.what);
    else if (root->kind != EHM_JSON_OBJ) ehm_report_note(r, run, "config.json is damaged: it holds no object");
    else run->config = root;
    if (run->config && ehm_json_i64_or(root, "format", 0) > EHM_RUN_FORMAT)
        ehm_report_note(r, run, "the folder's format is %lld, newer than this program's %d: something may be missing here", (long long)ehm_json_i64_or(root, "format", 0), EHM_RUN_FORMAT);
    if (run->config) read_settings(run, &r->arena);
    for (int i = 0; i < 2; i++) {
        char *path = ehm_path_join(&r->arena, run->dir, lines[i]);
        int64_t before = run->n_damaged;
        ehm_err_clear(&why);
        if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", run->dir);
        if (!ehm_file_exists(path)) {
            ehm_report_note(r, run, "%s is missing: %s", lines[i], i ? "speed and times are not known" : "there are no curves");
            continue;
        }
        ehm_code rc = ehm_report_read_lines(run, path, i, &r->arena, &why);
        if (rc == EHM_E_MEMORY) return EHM_FAIL(err, rc, "%s", why.what);
        if (rc) ehm_report_note(r, run, "%s could not be read: %s", lines[i], why.what);
        if (run->n_damaged > before) ehm_report_note(r, run, "%s: damaged lines were passed over: %lld", lines[i], (long long)(run->n_damaged - before));
    }
    run->done = ehm_run_is_done(run->dir);
    EHM_TRY(read_bad(r, run, err));
    EHM_TRY(read_log(r, run, err));
    EHM_TRY(read_evals(r, run, err));
    EHM_TRY(read_pictures(r, run, err));
    EHM_TRY(read_text(&text, run->dir, "nonfinite.json", r, run, err));
    run->nonfinite = text.len ? (const char *)text.data : NULL;
    numbers(r, run);
    if (!run->done) {
        char when[32] = "";
        if (metrics && ehm_file_mtime(metrics) > 0) ehm_clock_iso(ehm_file_mtime(metrics), when);
        ehm_report_note(r, run, "The run is %s%s%s.", ehm_report_state(run, &r->arena), *when ? "; its last line was written at " : "", when);
    } else if (run->total_steps && run->step < run->total_steps && run->n_lines)
        ehm_report_note(r, run, "marked as finished, but metrics.jsonl ends at step %lld of %lld", (long long)run->step, (long long)run->total_steps);
    if (!run->n_lines) ehm_report_note(r, run, "metrics.jsonl holds no line yet.");
    if (run->nonfinite) ehm_report_note(r, run, "Loss or gradient was not finite; nonfinite.json says where.");
    return EHM_OK;
}

/* The last part of each path; where two are the same, whole paths, and numbers where even those are. */
static ehm_code name_runs(ehm_report *r, ehm_err *err) {
    for (int32_t i = 0; i < r->n; i++) {
        char *s = ehm_arena_strdup(&r->arena, r->runs[i].dir);
        size_t n = s ? strlen(s) : 0;
        while (n > 1 && s[n - 1] == '/') s[--n] = 0;
        const char *base = s ? ehm_path_base(s) : NULL;
        if (base && (!strcmp(base, ".") || !strcmp(base, "..") || !*base)) {
            char *full = realpath(s, NULL);
            base = full ? ehm_arena_strdup(&r->arena, ehm_path_base(full)) : base;
            free(full);
        }
        if (!base) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for names of runs");
        r->runs[i].name = *base ? base : "/";
    }
    for (int pass = 0; pass < 2; pass++) {
        bool twice[1024] = {false};
        for (int32_t i = 0; i < r->n && i < 1024; i++)
            for (int32_t k = 0; k < r->n; k++) twice[i] |= k != i && !strcmp(r->runs[i].name, r->runs[k].name);
        for (int32_t i = 0; i < r->n && i < 1024; i++) {
            if (!twice[i]) continue;
            const char *s = pass ? ehm_arena_printf(&r->arena, "%s (%d)", r->runs[i].dir, (int)i + 1) : r->runs[i].dir;
            if (s) r->runs[i].name = s;
        }
    }
    return EHM_OK;
}

/* Epochs where every run with lines has them, else steps. */
static void choose_x(ehm_report *r) {
    r->epochs = true;
    for (int32_t i = 0; i < r->n; i++)
        if (r->runs[i].n_lines && !(r->runs[i].x_per_step > 0)) r->epochs = false;
    for (int32_t i = 0; i < r->n; i++)
        for (int32_t k = 0; k < r->runs[i].n_series; k++) {
            ehm_series *s = &r->runs[i].series[k];
            for (int64_t j = 0; j < s->n; j++)
                if (!r->epochs) s->x[j] = s->step[j];
                else if (!isfinite(s->x[j])) s->x[j] = s->step[j] * r->runs[i].x_per_step;
        }
}

ehm_code ehm_report_open(ehm_report *r, const char *const *runs, int32_t n, const ehm_report_opt *opt, ehm_err *err) {
    static const ehm_report_opt plain;
    *r = (ehm_report){.opt = opt ? opt : &plain, .n = n};
    if (n < 1 || n > 1000) return EHM_FAIL(err, EHM_E_ARG, "a report is made of 1 to 1000 runs, not of %d", (int)n);
    r->runs = EHM_NEW_N(&r->arena, ehm_report_run, n);
    if (!r->runs) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d runs", (int)n);
    for (int32_t i = 0; i < n; i++) {
        r->runs[i].dir = runs[i];
        r->runs[i].epoch = r->runs[i].seconds = NAN;
        EHM_TRY(read_run(r, &r->runs[i], err));
    }
    EHM_TRY(name_runs(r, err));
    choose_x(r);
    return EHM_OK;
}

void ehm_report_close(ehm_report *r) { ehm_arena_free(&r->arena); }
