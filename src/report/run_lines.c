/* metrics.jsonl and timing.jsonl as series of numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "report/run_lines.h"

static ehm_series *series_of(ehm_report_run *r, ehm_series_kind kind, const char *name, int32_t *hint, ehm_arena *a) {
    /* Lines hold the same keys in the same order nearly always: the one after the last found is tried first. */
    for (int32_t i = 0; i < r->n_series; i++) {
        int32_t k = (*hint + i) % r->n_series;
        if (r->series[k].kind == kind && !strcmp(r->series[k].name, name)) {
            *hint = k + 1;
            return &r->series[k];
        }
    }
    enum { MOST = 512 };
    if (strlen(name) >= sizeof r->series->name || r->n_series == MOST) return NULL; /* no file of ours */
    if (r->n_series == r->cap_series) {
        int32_t cap = r->cap_series ? 2 * r->cap_series : 64;
        ehm_series *v = EHM_NEW_N(a, ehm_series, cap);
        if (!v) return NULL;
        if (r->n_series) memcpy(v, r->series, (size_t)r->n_series * sizeof *v);
        r->series = v, r->cap_series = cap;
    }
    ehm_series *s = &r->series[r->n_series++];
    *s = (ehm_series){.kind = kind};
    memcpy(s->name, name, strlen(name) + 1); /* its length was looked at */
    *hint = r->n_series;
    return s;
}

static bool grow(double **v, int64_t n, int64_t cap, ehm_arena *a) {
    double *more = EHM_NEW_N(a, double, cap);
    if (!more) return false;
    if (n) memcpy(more, *v, (size_t)n * sizeof *more);
    *v = more;
    return true;
}

static ehm_code push(ehm_series *s, double step, double x, double y, double lo, double hi, ehm_arena *a, ehm_err *err) {
    if (s->n == s->cap) {
        int64_t cap = s->cap ? 2 * s->cap : 64;
        if (!grow(&s->step, s->n, cap, a) || !grow(&s->x, s->n, cap, a) || !grow(&s->y, s->n, cap, a) || !grow(&s->lo, s->n, cap, a) || !grow(&s->hi, s->n, cap, a))
            return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the curve %s", s->name);
        s->cap = cap;
    }
    s->step[s->n] = step, s->x[s->n] = x, s->y[s->n] = y, s->lo[s->n] = lo, s->hi[s->n] = hi;
    s->n++;
    s->has_interval |= isfinite(lo) && isfinite(hi);
    return EHM_OK;
}

/* "nan", "inf" and "-inf" are numbers too, as base/json.h writes them; a curve has a gap there. */
static bool number(const ehm_json *j, double *v) {
    if (j->kind == EHM_JSON_NUM) *v = j->num;
    else if (j->kind == EHM_JSON_STR && (!strcmp(j->str, "nan") || !strcmp(j->str, "inf") || !strcmp(j->str, "-inf"))) *v = NAN;
    else return false;
    return true;
}

static ehm_code add_group(ehm_report_run *r, ehm_series_kind kind, const ehm_json *obj, double step, double epoch, int32_t *hint, ehm_arena *a, ehm_err *err) {
    for (const ehm_json *j = obj->first; j; j = j->next) {
        double v, lo = NAN, hi = NAN;
        bool ok = number(j, &v);
        if (!ok && j->kind == EHM_JSON_OBJ && ehm_json_get(j, "value") && number(ehm_json_get(j, "value"), &v)) {
            ok = true;
            lo = ehm_json_num_or(j, "lo", NAN), hi = ehm_json_num_or(j, "hi", NAN);
        }
        if (!ok || !strcmp(j->key, "step") || !strcmp(j->key, "epoch")) continue;
        ehm_series *s = series_of(r, kind, j->key, hint, a);
        if (!s) continue;
        if (s->n && s->step[s->n - 1] > step) continue; /* a curve goes forward; a resumed run has cut its lines, damaged ones may not have */
        EHM_TRY(push(s, step, epoch, v, lo, hi, a, err));
    }
    return EHM_OK;
}

static ehm_code add_line(ehm_report_run *r, bool timing, const ehm_json *line, int32_t *hint, ehm_arena *a, ehm_err *err) {
    double step = ehm_json_num_or(line, "step", NAN), epoch = ehm_json_num_or(line, "epoch", NAN);
    if (!isfinite(step)) {
        r->n_damaged++;
        return EHM_OK;
    }
    r->n_lines++;
    const ehm_json *watch = timing ? NULL : ehm_json_get(line, "watch"), *eval = timing ? NULL : ehm_json_get(line, "eval");
    if (!timing && step > (double)r->step) {
        r->step = (int64_t)step;
        if (isfinite(epoch)) {
            r->epoch = epoch;
            if (step > 0) r->x_per_step = epoch / step;
        }
    }
    if (watch && watch->kind == EHM_JSON_OBJ) return add_group(r, EHM_SERIES_WATCH, watch, step, epoch, hint, a, err);
    if (eval && eval->kind == EHM_JSON_OBJ) return add_group(r, EHM_SERIES_EVAL, eval, step, epoch, hint, a, err);
    return add_group(r, timing ? EHM_SERIES_TIMING : EHM_SERIES_METRIC, line, step, epoch, hint, a, err);
}

ehm_code ehm_report_read_lines(ehm_report_run *r, const char *path, bool timing, ehm_arena *a, ehm_err *err) {
    ehm_arena text_arena = {0}, scratch = {0};
    ehm_bytes text = {0};
    ehm_err ignored = {0};
    int32_t hint = 0;
    ehm_code rc = ehm_file_read(&text, path, &text_arena, err);
    for (const char *p = (const char *)text.data, *end = p ? p + text.len : p; !rc && p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = stop ? (size_t)(stop - p) : (size_t)(end - p);
        ehm_json *line = NULL;
        ehm_arena_reset(&scratch);
        ehm_err_clear(&ignored);
        if (n && !ehm_json_parse(&line, p, n, path, &scratch, &ignored) && line->kind == EHM_JSON_OBJ) rc = add_line(r, timing, line, &hint, a, err);
        else if (n && ignored.code == EHM_E_MEMORY) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s", ignored.what);
        else if (n) r->n_damaged++;
        p += n + 1;
    }
    ehm_arena_free(&text_arena), ehm_arena_free(&scratch);
    return rc;
}
