/* The page's numbers for programs. */
#include <math.h>
#include <string.h>
#include "report/report_int.h"

static void f64(ehm_json_w *w, const char *key, double v) {
    ehm_json_key(w, key);
    if (isfinite(v)) ehm_json_f64(w, v);
    else ehm_json_null(w);
}

static void i64(ehm_json_w *w, const char *key, int64_t v) { ehm_json_key(w, key), ehm_json_i64(w, v); }
static void str(ehm_json_w *w, const char *key, const char *v) { ehm_json_key(w, key), ehm_json_str(w, v); }

static void evaluations(ehm_json_w *w, const ehm_report_run *r) {
    ehm_json_key(w, "evaluations"), ehm_json_arr(w);
    for (int32_t i = 0; i < r->n_evals; i++) {
        const ehm_json *e = r->evals[i].json, *row = ehm_json_get(e, "rows")->first;
        for (int64_t b = ehm_json_i64_or(e, "best", 0); row && b > 0; b--) row = row->next;
        ehm_json_obj(w);
        str(w, "task", ehm_json_str_or(e, "task", NULL)), str(w, "command", ehm_json_str_or(e, "command", NULL));
        str(w, "metric", ehm_json_str_or(row, "metric", NULL)), str(w, "features", ehm_json_str_or(row, "features", NULL));
        f64(w, "value", ehm_json_num_or(row, "value", NAN)), f64(w, "lo", ehm_json_num_or(row, "lo", NAN)), f64(w, "hi", ehm_json_num_or(row, "hi", NAN));
        ehm_json_end(w);
    }
    ehm_json_end(w);
}

static void of_run(ehm_json_w *w, const ehm_report_run *r, ehm_arena *a) {
    ehm_str command = {0};
    ehm_json_obj(w);
    str(w, "run", r->dir), str(w, "name", r->name);
    ehm_json_key(w, "finished"), ehm_json_bool(w, r->done);
    str(w, "state", ehm_report_state(r, a));
    i64(w, "steps", r->step), i64(w, "steps_total", r->total_steps), f64(w, "epochs", r->epoch);
    f64(w, "loss_first", r->loss_first), f64(w, "loss_final", r->loss_final), i64(w, "loss_final_lines", r->n_final);
    f64(w, "loss_last", r->loss_last), f64(w, "loss_least", r->loss_least), i64(w, "loss_least_step", r->loss_least_step);
    f64(w, "loss_of_the_mean", r->mean_loss), f64(w, "images_per_s", r->images_per_s), f64(w, "wait_share", r->wait_share);
    f64(w, "seconds", r->seconds), f64(w, "memory_bytes", r->peak_bytes);
    i64(w, "lines", r->n_lines), i64(w, "lines_damaged", r->n_damaged), i64(w, "bad_files", r->n_bad), i64(w, "pictures", r->n_pictures);
    ehm_json_key(w, "live"), ehm_json_obj(w); /* the last of each */
    for (int32_t i = 0; i < r->n_series; i++) {
        const ehm_series *s = &r->series[i];
        if (s->kind == EHM_SERIES_EVAL && s->n) f64(w, s->name, s->y[s->n - 1]);
    }
    ehm_json_end(w);
    evaluations(w, r);
    ehm_json_key(w, "settings_not_default"), ehm_json_obj(w);
    for (int32_t i = 0; i < r->n_settings; i++)
        if (r->settings[i].differs) str(w, r->settings[i].key, r->settings[i].value);
    ehm_json_end(w);
    if (r->n_settings) ehm_report_command(&command, r, false), str(w, "command", ehm_str_c(&command));
    ehm_str_free(&command);
    ehm_json_key(w, "notes"), ehm_json_arr(w);
    for (int32_t i = 0; i < r->n_notes; i++) ehm_json_str(w, r->notes[i]);
    ehm_json_end(w), ehm_json_end(w);
}

ehm_code ehm_report_json(ehm_str *out, const char *const *runs, int32_t n, ehm_err *err) {
    ehm_report r;
    ehm_json_w w = {.out = out};
    ehm_code rc = ehm_report_open(&r, runs, n, NULL, err);
    if (!rc) {
        ehm_json_obj(&w);
        ehm_json_key(&w, "runs"), ehm_json_arr(&w);
        for (int32_t i = 0; i < n; i++) of_run(&w, &r.runs[i], &r.arena);
        ehm_json_end(&w), ehm_json_end(&w);
        if (out->failed) rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the numbers");
    }
    ehm_report_close(&r);
    return rc;
}
