/* ehm eval TASK: what a downstream task says of a model. */
#include "base/clock.h"
#include "base/file.h"
#include "cli/cli_int.h"
#include "eval/eval.h"
#include "report/markup.h"
#include "report/record.h"
#include "report/report.h"
#include "runs/run.h"
#include <string.h>

static const ehm_word *words(ehm_arena *a) {
    int32_t n = 0;
    while (ehm_eval_tasks[n]) n++;
    ehm_word *w = EHM_NEW_N(a, ehm_word, n + 1);
    for (int32_t i = 0; w && i < n; i++) {
        const ehm_eval_task *t = ehm_eval_tasks[i];
        const char *note = ehm_in_groups(t->groups, "tune") ? "It trains; what it has chosen is printed with its reasons before the first step." : NULL;
        w[i] = (ehm_word){t->name, t->summary, t->groups, note, t->own};
    }
    return w;
}

/* ---- what the run remembers of it ---- */

/* Decides the figures: not where files go, how many threads there are, and how it is told. */
static bool of_the_result(int32_t i) {
    static const char *const others[] = {"threads", "json", "quiet", "verbose", "color", "config", "print_config", "dry_run", "workers", "cache", "cache_memory", "out", "resume",
                                         "overwrite", "save", "predictions", "confusion", "overlays", "overlay_count", "sheet", "box_sheet", "box_sheet_count", "record", "keep",
                                         "save_every", "save_steps", "expect_better", "eval_batch_size"};
    for (size_t k = 0; k < sizeof others / sizeof *others; k++)
        if (!strcmp(others[k], ehm_settings[i].key)) return false;
    return true;
}

static void add_flag(ehm_str *s, const char *key, const char *no) {
    ehm_str_addf(s, " --%s", no);
    for (; *key; key++) ehm_str_addc(s, *key == '_' ? '-' : *key);
}

static void add_command(ehm_str *s, const ehm_config *c, const char *task, const char *groups) {
    ehm_str text = {0};
    ehm_str_addf(s, "ehm eval %s", task);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const ehm_setting *e = &ehm_settings[i];
        if (c->origin[i] < EHM_FROM_FILE || !ehm_in_groups(groups, e->group) || !of_the_result(i)) continue;
        const char *value = ehm_config_text(c, i, &text);
        if (e->kind == EHM_SET_LIST) {
            const ehm_strs *l = (const void *)((const char *)c + e->offset);
            for (int32_t k = 0; k < l->n; k++) add_flag(s, e->key, ""), ehm_str_addc(s, ' '), ehm_shell_word(s, l->v[k]);
        } else if (e->kind == EHM_SET_BOOL) add_flag(s, e->key, strcmp(value, "true") ? "no-" : "");
        else add_flag(s, e->key, ""), ehm_str_addc(s, ' '), ehm_shell_word(s, value);
    }
    ehm_str_free(&text);
}

/* The object that --json prints, with time, command and settings in front. */
static void add_line(ehm_str *line, const ehm_eval_out *r, const ehm_config *c, const char *groups, int64_t steps) {
    ehm_str command = {0}, body = {0}, text = {0};
    ehm_json_w w = {.out = line}, b = {.out = &body};
    char now[32];
    ehm_clock_iso(ehm_clock_unix_s(), now);
    add_command(&command, c, r->task, groups);
    ehm_eval_json(r, &b);
    ehm_json_obj(&w);
    ehm_json_key(&w, "time"), ehm_json_str(&w, now);
    ehm_json_key(&w, "version"), ehm_json_str(&w, ehm_version_text());
    ehm_json_key(&w, "command"), ehm_json_str(&w, ehm_str_c(&command));
    ehm_json_key(&w, "model"), ehm_json_str(&w, c->model);
    if (steps >= 0) ehm_json_key(&w, "steps"), ehm_json_i64(&w, steps);
    ehm_json_key(&w, "settings"), ehm_json_obj(&w);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
        if (c->origin[i] >= EHM_FROM_FILE && ehm_in_groups(groups, ehm_settings[i].group)) ehm_json_key(&w, ehm_settings[i].key), ehm_json_str(&w, ehm_config_text(c, i, &text));
    ehm_json_end(&w);
    ehm_json_key(&w, "units"), ehm_json_obj(&w);
    for (int32_t i = 0; i < r->n_metrics; i++) ehm_json_key(&w, r->metrics[i].name), ehm_json_str(&w, r->metrics[i].unit);
    ehm_json_end(&w);
    ehm_json_end(&w);
    if (!line->failed && body.len > 1) { /* {A} and {B} become {A, B} */
        line->s[--line->len] = 0;
        ehm_str_add(line, ", "), ehm_str_add(line, body.s + 1);
    }
    if (command.failed || body.failed || text.failed) line->failed = true;
    ehm_str_free(&command), ehm_str_free(&body), ehm_str_free(&text);
}

static void write_report(const char *dir) {
    ehm_arena a = {0};
    ehm_err why = {0};
    char *path = ehm_path_join(&a, dir, "report.html");
    if (path && ehm_report_write(path, &dir, 1, &(ehm_report_opt){.version = ehm_version_text()}, &why)) ehm_log(EHM_LOG_WARN, "%s was not written: %s", path, why.what);
    ehm_arena_free(&a);
}

/* In the run that the model is from, and in the run folder that the task itself left. What cannot be written is said; the figures stand. */
static void record(const ehm_eval_out *r, const ehm_config *c, ehm_out *out) {
    ehm_str line = {0};
    ehm_err why = {0};
    char *dir;
    int64_t steps;
    bool own = c->out && ehm_run_is_folder(c->out), from = ehm_record_run_of(&dir, &steps, c->model, out->arena);
    if (!c->record || !(own || from)) return;
    add_line(&line, r, c, out->groups, steps);
    if (line.failed) ehm_log(EHM_LOG_NOTE, "no memory to record the figures");
    else if (from && ehm_record_add(dir, line.s, &why)) ehm_log(EHM_LOG_NOTE, "the figures were not recorded in the run: %s", why.what);
    else if (from) {
        char *page = ehm_path_join(out->arena, dir, "report.html");
        if (page && ehm_file_exists(page)) write_report(dir); /* it goes on showing all */
    }
    ehm_err_clear(&why);
    if (own && !line.failed && ehm_record_add(c->out, line.s, &why)) ehm_log(EHM_LOG_NOTE, "the figures were not recorded in the run: %s", why.what);
    ehm_str_free(&line);
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    const ehm_eval_task *t = ehm_eval_find(out->args.v[0], err);
    ehm_eval_out r = {0};
    ehm_str s = {0};
    if (!t) return EHM_E_CONFIG;
    if (c->expect_better && !c->against) return EHM_FAIL(err, EHM_E_CONFIG, "--expect-better needs --against MODEL to be better than");
    ehm_code rc = t->run(&r, &(ehm_eval_in){.config = c}, out->arena, err);
    if (!rc) record(&r, c, out);
    bool trained = !rc || rc == EHM_E_STOPPED || rc == EHM_E_NUMERIC; /* what was stopped says how far it came */
    if (trained && c->out && ehm_in_groups(out->groups, "tune") && ehm_run_is_folder(c->out)) write_report(c->out);
    if (rc) return rc;
    if (out->json) {
        ehm_json_w w = {.out = &s};
        ehm_eval_json(&r, &w);
        ehm_out_json(out, &s);
    } else {
        ehm_eval_print(&r, &s);
        ehm_out_add(out, ehm_str_c(&s));
    }
    ehm_str_free(&s);
    if (c->expect_better && r.i_best >= 0) {
        const ehm_eval_row *b = &r.rows[r.i_best];
        if (!b->has_diff || !(b->diff_lo > 0))
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s is not better than %s: the interval of the difference is %+.4f .. %+.4f", c->model, c->against, b->diff_lo, b->diff_hi);
    }
    return EHM_OK;
}

const ehm_command ehm_cmd_eval = {
    .name = "eval",
    .summary = "measures a model on a downstream task",
    .groups = "use,eval,against,channels,read,record",
    .usage = "--model M --train D --test D",
    .args = "TASK",
    .n_args_min = 1,
    .n_args_max = 1,
    .words = words,
    .details = "Every figure comes with a 95 % interval: a percentile bootstrap over test pictures. With --against, a second model sees the same pictures and "
               "the paired interval of the difference is printed: when it holds 0, the models cannot be told apart on this test set.\n\n"
               "Where the model is a run folder, or a checkpoint of one, the figures are added to its evaluations.jsonl, and ehm report shows them.",
    .example = "ehm eval knn --model untrained:pico --train scenes:1:200 --test scenes:2:100",
    .run = run,
};
