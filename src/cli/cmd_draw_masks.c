/* ehm draw masks: masks over the course of a training, as a strip or as numbers. */
#include "base/file.h"
#include "base/npy.h"
#include "cli/draw_int.h"
#include <math.h>
#include <string.h>

enum { VALUES_MAX = 64, GRID_SIDE_MAX = 1024, CELLS_MAX = 1 << 26 };

static ehm_code parse_progress(double *out, int32_t *n, const char *text, ehm_err *err) {
    ehm_arena a = {0};
    ehm_code rc = EHM_OK;
    const char *list = strcmp(text, "auto") ? text : "0,0.25,0.5,0.75,1";
    for (const char *p = list; !rc; p++) {
        size_t len = strcspn(p, ",");
        char *one = ehm_arena_strndup(&a, p, len);
        double v;
        if (!one)
            rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for --progress");
        else if (!ehm_parse_f64(one, &v) || !(v >= 0 && v <= 1)) {
            rc = EHM_FAIL(err, EHM_E_CONFIG, "--progress %s: \"%s\" is no number from 0 to 1", text, one);
            EHM_HINT(err, "draw masks takes a list of values, such as 0,0.5,1");
        } else if (*n == VALUES_MAX)
            rc = EHM_FAIL(err, EHM_E_CONFIG, "--progress %s: more than %d values", text, VALUES_MAX);
        else
            out[(*n)++] = v + 0.0; /* no minus before a 0 */
        p += len;
        if (!*p) break;
    }
    ehm_arena_free(&a);
    return rc;
}

static ehm_code parse_grid(int32_t *h, int32_t *w, const char *text, ehm_err *err) {
    char one[2][16] = {"", ""};
    const char *x = strpbrk(text, "xX");
    int64_t v[2] = {0, 0};
    bool ok = x && (size_t)(x - text) < sizeof one[0] && strlen(x + 1) < sizeof one[1];
    if (ok) {
        memcpy(one[0], text, (size_t)(x - text));
        memcpy(one[1], x + 1, strlen(x + 1));
        ok = ehm_parse_i64(one[0], &v[0]) && ehm_parse_i64(one[1], &v[1]);
    }
    if (!ok || v[0] < 1 || v[1] < 1 || v[0] > GRID_SIDE_MAX || v[1] > GRID_SIDE_MAX)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "--grid %s: must be HEIGHTxWIDTH in patches, such as 14x14, each 1 to %d", text,
                        GRID_SIDE_MAX);
    *h = (int32_t)v[0], *w = (int32_t)v[1];
    return EHM_OK;
}

static ehm_code check_call(const ehm_config *c, int32_t *h, int32_t *w, ehm_err *err) {
    EHM_TRY(ehm_draw_check_out(c, true, err));
    if (c->each && !c->image.n) return EHM_FAIL(err, EHM_E_CONFIG, "--each makes a strip of masks for every picture: --image is missing");
    if (c->grid) EHM_TRY(parse_grid(h, w, c->grid, err));
    if (c->grid && c->model)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "--grid %s and --model cannot be had together: a model has a grid of its own",
                        c->grid);
    if (!c->grid && !c->model) {
        EHM_FAIL(err, EHM_E_CONFIG, "which patches? --model and --image, or --grid are missing");
        EHM_HINT(err, "--grid 14x14 is enough for rules that look at no picture");
        return EHM_E_CONFIG;
    }
    return EHM_OK;
}

static ehm_code write_numbers(const ehm_config *c, const ehm_study *s, const ehm_study_masks *m,
                              ehm_err *err) {
    EHM_TRY(ehm_dir_make_for(c->out, err));
    return ehm_npy_write(c->out, "|u1", 4, (int64_t[]){m->n_values, m->n_each, s->grid_h, s->grid_w},
                         m->masks, err);
}

/* Means over one row's masks. */
typedef struct {
    double removed, k_wanted, k_effective, n_nodes, largest;
    bool has_tree;
} row_facts;

static row_facts row_of(const ehm_study_masks *m, int32_t v) {
    row_facts r = {0};
    for (int32_t i = 0; i < m->n_each; i++) {
        const ehm_mask_facts *f = &m->facts[(int64_t)v * m->n_each + i];
        r.removed += (double)m->n_removed[(int64_t)v * m->n_each + i] / m->n_each;
        r.has_tree |= f->has_tree;
        r.k_wanted += (double)f->k_wanted / m->n_each, r.n_nodes += (double)f->n_nodes / m->n_each;
        r.k_effective += (double)f->k_effective / m->n_each, r.largest += (double)f->largest / m->n_each;
    }
    return r;
}

static void print_json(ehm_out *out, const ehm_config *c, const ehm_study *s, const ehm_study_masks *m,
                       const double *progress) {
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    ehm_json_obj(&w);
    ehm_json_key(&w, "out"), ehm_json_str(&w, c->out);
    ehm_json_key(&w, "mask"), ehm_json_str(&w, c->mask);
    ehm_json_key(&w, "grid_h"), ehm_json_i64(&w, s->grid_h);
    ehm_json_key(&w, "grid_w"), ehm_json_i64(&w, s->grid_w);
    ehm_json_key(&w, "n_each"), ehm_json_i64(&w, m->n_each);
    ehm_json_key(&w, "picture"), ehm_json_str(&w, s->name);
    ehm_json_key(&w, "rows"), ehm_json_arr(&w);
    for (int32_t v = 0; v < m->n_values; v++) {
        row_facts r = row_of(m, v);
        ehm_json_obj(&w);
        ehm_json_key(&w, "progress"), ehm_json_f64(&w, progress[v]);
        ehm_json_key(&w, "removed"), ehm_json_f64(&w, r.removed);
        if (r.has_tree) {
            ehm_json_key(&w, "k_wanted"), ehm_json_f64(&w, r.k_wanted);
            ehm_json_key(&w, "k_effective"), ehm_json_f64(&w, r.k_effective);
            ehm_json_key(&w, "n_nodes"), ehm_json_f64(&w, r.n_nodes);
            ehm_json_key(&w, "largest"), ehm_json_f64(&w, r.largest);
        }
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
    ehm_out_json(out, &text);
    ehm_str_free(&text);
}

static void print_text(ehm_out *out, const ehm_config *c, const ehm_study *s, const ehm_study_masks *m,
                       const double *progress) {
    int32_t n = s->grid_h * s->grid_w;
    ehm_out_addf(out, "%s: %d x %d masks by %s on %d x %d patches\n", c->out, m->n_values, m->n_each, c->mask,
                 s->grid_h, s->grid_w);
    for (int32_t v = 0; v < m->n_values; v++) {
        row_facts r = row_of(m, v);
        ehm_out_addf(out, "  u %.2f  removed %g of %d", progress[v], r.removed, n);
        if (r.has_tree)
            ehm_out_addf(out, ", K %.1f: %.1f nodes, effective %.1f, largest %.1f", r.k_wanted, r.n_nodes,
                         r.k_effective, r.largest);
        ehm_out_addf(out, "\n");
    }
}

/* A rule that does not ask how far training is draws the same rows again and again. */
static bool rows_equal(const ehm_study_masks *m, int32_t n) {
    size_t row = (size_t)m->n_each * (size_t)n;
    for (int32_t v = 1; v < m->n_values; v++)
        if (memcmp(m->masks, m->masks + (size_t)v * row, row)) return false;
    return true;
}

typedef struct {
    const ehm_config *c;
    ehm_draw_input *in;
    ehm_draw_mask_rule rule;
    double progress[VALUES_MAX];
    int32_t n_values;
} job;

static ehm_code check_cells(const job *j, int32_t n, ehm_err *err) {
    if ((double)j->n_values * (double)j->c->count * n <= CELLS_MAX) return EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "%d values of %lld masks of %d patches are too many to draw: a smaller --count", j->n_values, (long long)j->c->count, n);
}

static ehm_code masks_of(ehm_study_masks *m, const job *j, const ehm_study *s, ehm_arena *a, ehm_err *err) {
    EHM_TRY(check_cells(j, s->grid_h * s->grid_w, err));
    return ehm_study_draw_masks(m, s, j->rule.rule, j->rule.arg, &j->rule.settings, j->progress, j->n_values, (int32_t)j->c->count, (uint64_t)j->c->seed, a,
                                err);
}

static ehm_code strip_of(ehm_image *sheet, const job *j, const ehm_study *s, ehm_study_masks *m, ehm_arena *a, ehm_err *err) {
    int32_t n = s->grid_h * s->grid_w;
    if (!strcmp(j->c->progress, "auto") && rows_equal(m, n)) m->n_values = 1, m->labels[0] = "any u";
    row_facts r = row_of(m, 0);
    char *title = ehm_arena_printf(a, "Mask %s%s%s: %s%.0f of %d patches removed%s", j->c->mask, s->name ? ", " : "", s->name ? s->name : "",
                                   j->rule.rule->inexact ? "about " : "", r.removed, n, m->frontier && s->picture.px ? "; lines: nodes" : "");
    if (!title) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a title");
    return ehm_study_masks_sheet(sheet, s, m, title, a, err);
}

/* ---- one strip: of the first picture, or of none ---- */

static ehm_code note(ehm_draw_input *in, const ehm_study *s, ehm_arena *a, ehm_err *err) {
    in->series.note = in->model ? ehm_study_foot(in->model, s, 1, a) : s->picture.px ? ehm_shown_channels_text(&s->shown, ehm_dataset_channels(in->pictures), a) : "";
    return in->series.note ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for a footnote");
}

static ehm_code one_strip(job *j, ehm_out *out, ehm_err *err) {
    const ehm_config *c = j->c;
    ehm_study s;
    ehm_study_masks m;
    ehm_image sheet;
    int32_t n = 0;
    EHM_TRY(ehm_study_read(&s, &n, &j->rule.source, 1, out->arena, err));
    if (j->in->pictures && ehm_dataset_count(j->in->pictures) > 1)
        ehm_log(EHM_LOG_INFO, "masks of the first of %lld pictures, %s; --each makes a strip of every one", (long long)ehm_dataset_count(j->in->pictures),
                s.name);
    EHM_TRY(masks_of(&m, j, &s, out->arena, err));
    if (ehm_ends_nocase(c->out, ".npy"))
        EHM_TRY(write_numbers(c, &s, &m, err));
    else {
        EHM_TRY(strip_of(&sheet, j, &s, &m, out->arena, err));
        EHM_TRY(note(j->in, &s, out->arena, err));
        EHM_TRY(ehm_draw_sheet(j->in, &sheet, err));
    }
    if (out->json)
        print_json(out, c, &s, &m, j->progress);
    else
        print_text(out, c, &s, &m, j->progress);
    return EHM_OK;
}

/* ---- a strip for every picture ---- */

static ehm_code draw_one(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    job *j = ctx;
    ehm_study_masks m;
    ehm_image sheet;
    EHM_TRY(masks_of(&m, j, s, scratch, err));
    EHM_TRY(strip_of(&sheet, j, s, &m, scratch, err));
    EHM_TRY(note(j->in, s, scratch, err));
    return ehm_draw_add(j->in, ehm_dataset_name(j->in->pictures, s->i_picture), &sheet, err);
}

static ehm_code strips(job *j, ehm_out *out, ehm_err *err) {
    int64_t n, all = ehm_dataset_count(j->in->pictures);
    j->in->n_wanted = all;
    j->in->names = EHM_NEW_N(out->arena, const char *, all), j->in->files = EHM_NEW_N(out->arena, const char *, all);
    if (!j->in->names || !j->in->files) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the names of %lld pictures", (long long)all);
    EHM_TRY(ehm_study_each(&n, &j->rule.source, all, false, draw_one, j, err));
    if (!out->json) {
        ehm_draw_say(out, j->c, j->in);
        ehm_out_addf(out, "; %d x %lld masks by %s each\n", j->n_values, (long long)j->c->count, j->c->mask);
        return EHM_OK;
    }
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    ehm_draw_json_begin(&w, j->c, j->in);
    ehm_json_key(&w, "mask"), ehm_json_str(&w, j->c->mask);
    ehm_json_key(&w, "n_each"), ehm_json_i64(&w, j->c->count);
    ehm_draw_json_names(&w, j->in);
    ehm_json_end(&w);
    ehm_out_json(out, &text);
    ehm_str_free(&text);
    return EHM_OK;
}

ehm_code ehm_draw_run_masks(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_draw_input in = {0};
    ehm_config cfg = *c;
    job j = {.c = &cfg, .in = &in};
    int32_t h = 0, w = 0;
    if (EHM_IS_AUTO(cfg.count)) cfg.count = 8;
    EHM_TRY(check_call(c, &h, &w, err));
    EHM_TRY(parse_progress(j.progress, &j.n_values, c->progress, err));
    ehm_code rc = ehm_draw_open(&in, c, false, 1, out->arena, err);
    if (!rc && in.model) rc = ehm_model_settings(in.model, &cfg, "mask,tree,linkage", out->arena, err);
    if (!rc) rc = ehm_draw_rule(&j.rule, &cfg, in.model, j.progress, j.n_values, h, w, err);
    j.rule.source.pictures = in.pictures, j.rule.source.shown = &in.shown;
    if (!rc) rc = c->each ? strips(&j, out, err) : one_strip(&j, out, err);
    ehm_draw_close(&in);
    return rc;
}
