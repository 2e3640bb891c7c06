#include "cli/live.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/draw_int.h"
#include "draw/reconstruct.h"
#include "eval/tree_watch.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRAWN = 4, MASKS = 8, MODEL_BATCH = 16, LOOKS = 10 };

#ifdef EHM_WITH_PNG
#define END ".png"
#else
#define END ".ppm"
#endif

/* ---- when ---- */

/* every: epochs; auto: so many looks a run, at least an epoch apart. Step 0 is nobody's turn but the first's. */
static bool turn(const ehm_train_at *at, const ehm_config *c, double every_epochs) {
    const ehm_train_facts *f = ehm_train_facts_of(at->train);
    double epoch_steps = (double)f->batches_per_epoch / (double)c->accum_iter, every = every_epochs * epoch_steps;
    if (ehm_is_auto_f64(every_epochs)) every = fmax((double)at->total_steps / LOOKS, epoch_steps);
    int64_t n = every < 1 ? 1 : (int64_t)llround(every);
    return at->step % n == 0;
}

static bool due(const ehm_train_at *at, const ehm_config *c) { return c->watch_every != 0 && (at->last || turn(at, c, c->watch_every)); }

static bool eval_due(const ehm_train_at *at, const ehm_config *c, const ehm_live *l) {
    return l->eval && at->step > 0 && (at->last || (c->eval_every != 0 && turn(at, c, c->eval_every)));
}

/* ---- one look ---- */

typedef struct {
    const ehm_train_at *at;
    const ehm_config *c;
    ehm_arena arena;
    char *dir, *model_dir; /* pictures/, and what of the model is put aside for the look */
    ehm_model *m;
    double u;
} look;

static char *numbered(look *l, const char *what) {
    return ehm_arena_printf(&l->arena, "%s/%08lld_%s" END, l->dir, (long long)l->at->step, what);
}

/* Into pictures/, and for TensorBoard, which takes PNG alone. */
static ehm_code write_sheet(look *l, const char *what, const ehm_image *sheet, ehm_err *err) {
    char *path = numbered(l, what), *tag = ehm_arena_printf(&l->arena, "pictures/%s", what);
    if (!path || !tag) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a file name");
    if (!ehm_image_can_write_png()) return ehm_image_write(path, sheet, err);
    ehm_bytes png;
    EHM_TRY(ehm_png_encode(&png, sheet, &l->arena, err));
    EHM_TRY(ehm_file_write(path, png.data, png.len, err));
    return ehm_run_image(ehm_train_run_folder(l->at->train), l->at->step, tag, png.data, png.len, sheet->w, sheet->h, err);
}

/* How many patches the nodes have that masks are made of. */
static ehm_code node_sizes(look *l, const ehm_study_masks *m, int32_t n_patches, ehm_err *err) {
    ehm_histogram h = {0};
    if (!m->frontier) return EHM_OK;
    int32_t n_all = m->n_values * m->n_each * n_patches, top = 0, n = 0;
    for (int32_t i = 0; i < n_all; i++) top = m->frontier[i] > top ? m->frontier[i] : top;
    int32_t *count = EHM_NEW_N(&l->arena, int32_t, top + 1);
    float *size = EHM_NEW_N(&l->arena, float, n_all);
    if (!count || !size) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a histogram");
    for (int32_t i = 0; i < n_all; i += n_patches) {
        memset(count, 0, sizeof *count * (size_t)(top + 1));
        for (int32_t k = 0; k < n_patches; k++)
            if (m->frontier[i + k] >= 0) count[m->frontier[i + k]]++;
        for (int32_t k = 0; k <= top; k++)
            if (count[k]) size[n++] = (float)count[k];
    }
    ehm_histogram_range(&h, size, n);
    ehm_histogram_count(&h, size, n);
    return ehm_run_histogram(ehm_train_run_folder(l->at->train), l->at->step, "mask/node_patches", &h, err);
}

static ehm_code draw(look *l, ehm_err *err) {
    ehm_draw_mask_rule rule;
    ehm_image sheet, rows[DRAWN];
    ehm_study s[DRAWN];
    ehm_reconstruction r[DRAWN];
    ehm_unnorm how;
    int32_t n = 0;
    ehm_arena *a = &l->arena;
    uint64_t seed = (uint64_t)l->c->seed;
    EHM_TRY(ehm_unnorm_of(&how, "patch", err));
    EHM_TRY(ehm_draw_rule(&rule, l->c, l->m, &l->u, 1, 0, 0, err));
    bool trees = ehm_train_facts_of(l->at->train)->mask_needs & EHM_MASK_NEEDS_SIMILARITY;
    rule.source.pictures = ehm_train_dataset(l->at->train), rule.source.quiet = true; /* training tells of what cannot be read itself */
    if (trees) rule.source.needs |= ehm_study_needs_tree(&rule.settings);
    if (rule.source.needs & EHM_MASK_NEEDS_OTHER && ehm_dataset_count(rule.source.pictures) < 2) return EHM_OK;
    rule.source.n_places = DRAWN + (rule.source.needs & EHM_MASK_NEEDS_OTHER ? 1 : 0); /* the first ones are of one class */
    EHM_TRY(ehm_study_read(s, &n, &rule.source, DRAWN, a, err));
    if (!n) return EHM_OK;
    const char *when = ehm_arena_printf(a, "step %lld, epoch %.1f", (long long)l->at->step, l->at->epoch);
    if (!when) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a title");
    ehm_study_masks m;
    EHM_TRY(ehm_study_draw_masks(&m, &s[0], rule.rule, rule.arg, &rule.settings, &l->u, 1, MASKS, seed, a, err));
    EHM_TRY(ehm_study_masks_sheet(&sheet, &s[0], &m, when, a, err));
    EHM_TRY(write_sheet(l, "masks", &sheet, err));
    EHM_TRY(node_sizes(l, &m, s[0].grid_h * s[0].grid_w, err));
    if (!ehm_reconstruct_check(l->m, l->c->mask_ratio, NULL)) {
        EHM_TRY(ehm_reconstruct(r, l->m, s, n, rule.rule, rule.arg, &rule.settings, how, seed, a, err));
        EHM_TRY(ehm_reconstruct_sheet(&sheet, r, n, l->m, when, l->c->mask, l->c->mask_ratio, how, a, err));
        EHM_TRY(write_sheet(l, "reconstruct", &sheet, err));
    }
    if (!trees) return EHM_OK;
    const char *note = ehm_arena_printf(a, "step %lld, epoch %.1f, u %.2f", (long long)l->at->step, l->at->epoch, l->u);
    for (int32_t i = 0; i < n; i++) EHM_TRY(ehm_study_tree(&rows[i], NULL, &s[i], &rule.settings, seed, note, a, err));
    EHM_TRY(ehm_draw_stack(&sheet, rows, n, a, err));
    return write_sheet(l, "tree", &sheet, err);
}

static ehm_code numbers(look *l, ehm_live *live, ehm_err *err) {
    ehm_watch_number v[EHM_WATCH_MAX];
    ehm_run *run = ehm_train_run_folder(l->at->train);
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    int32_t n = 0;
    double split = 1, share = 1;
    EHM_TRY(ehm_tree_watch(v, &n, l->m, ehm_train_dataset(l->at->train), l->c, l->u, &l->arena, err));
    ehm_json_obj(&w);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, l->at->step);
    ehm_json_key(&w, "epoch"), ehm_json_f64(&w, l->at->epoch);
    ehm_json_key(&w, "u"), ehm_json_f64(&w, l->u);
    ehm_json_key(&w, "watch");
    ehm_json_obj(&w);
    for (int32_t i = 0; i < n; i++) {
        ehm_json_key(&w, v[i].name), ehm_json_f64(&w, v[i].value);
        if (!strcmp(v[i].name, "tree_split_half")) split = v[i].value;
        if (!strcmp(v[i].name, "tree_k_end_share")) share = v[i].value;
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
    ehm_code rc = text.failed ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for a line of metrics.jsonl") : ehm_run_metric(run, text.s, err);
    for (int32_t i = 0; i < n && !rc; i++) {
        char tag[64];
        snprintf(tag, sizeof tag, "watch/%s", v[i].name);
        rc = ehm_run_scalar(run, l->at->step, tag, v[i].value, err);
    }
    ehm_str_free(&text);
    if (!rc && l->u > 0.2 && !live->warned && (split < 0.1 || share < 0.3)) {
        live->warned = true;
        ehm_log(EHM_LOG_WARN, "trees look poor at step %lld: %s; see docs/hierarchy.md", (long long)l->at->step,
                split < 0.1 ? "those of odd and of even layers do not agree" : "most nodes are single patches beside a giant");
        ehm_log(EHM_LOG_INFO, "  split half %.2f (poor below 0.1), K_eff / K at the end of the curriculum %.2f (poor below 0.3)", split, share);
    }
    return rc;
}

static ehm_code open_model(look *l, int32_t batch, ehm_err *err) {
    const ehm_config *c = l->c;
    ehm_model_opt opt = {c->device, (int32_t)c->threads, c->dtype, batch};
    EHM_TRY(ehm_dir_make(l->dir, err));
    EHM_TRY(ehm_dir_make(l->model_dir, err));
    EHM_TRY(ehm_train_snapshot(l->at->train, l->model_dir, err));
    return ehm_model_open(&l->m, l->model_dir, &opt, err);
}

static void put_away(look *l) {
    static const char *const files[] = {"model.safetensors", "attention_mean.safetensors"};
    ehm_err ignored = {0};
    ehm_model_close(l->m);
    for (int i = 0; i < 2; i++) {
        char *path = ehm_path_join(&l->arena, l->model_dir, files[i]);
        if (path) ehm_file_remove(path, &ignored);
    }
    rmdir(l->model_dir);
}

static ehm_code watch(ehm_live *user, const ehm_train_at *at, ehm_err *err) {
    const ehm_config *c = ehm_train_config(at->train);
    look l = {.at = at, .c = c, .u = at->progress};
    ehm_run *run = ehm_train_run_folder(at->train);
    l.dir = ehm_run_path(run, "pictures", &l.arena), l.model_dir = ehm_run_path(run, "pictures/.model", &l.arena);
    ehm_code rc = l.dir && l.model_dir ? open_model(&l, MODEL_BATCH, err) : EHM_FAIL(err, EHM_E_MEMORY, "no memory for file names");
    if (!rc) rc = draw(&l, err);
    if (!rc && ehm_train_facts_of(at->train)->mask_needs & EHM_MASK_NEEDS_SIMILARITY) rc = numbers(&l, user, err);
    if (!rc) rc = ehm_train_histograms(at->train, err);
    if (rc) EHM_WHILE(err, "looking at the fixed pictures after step %lld (--watch-every 0 turns this off)", (long long)at->step);
    put_away(&l);
    ehm_arena_free(&l.arena);
    return rc;
}

/* ---- evaluations ---- */

static ehm_code eval_lines(const look *l, const ehm_live_number *v, int32_t n, ehm_err *err) {
    ehm_run *run = ehm_train_run_folder(l->at->train);
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    ehm_json_obj(&w);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, l->at->step);
    ehm_json_key(&w, "epoch"), ehm_json_f64(&w, l->at->epoch);
    ehm_json_key(&w, "eval");
    ehm_json_obj(&w);
    for (int32_t i = 0; i < n; i++) {
        ehm_json_key(&w, v[i].name);
        ehm_json_obj(&w);
        ehm_json_key(&w, "value"), ehm_json_f64(&w, v[i].value);
        ehm_json_key(&w, "lo"), ehm_json_f64(&w, v[i].lo);
        ehm_json_key(&w, "hi"), ehm_json_f64(&w, v[i].hi);
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_json_end(&w);
    ehm_code rc = text.failed ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for a line of metrics.jsonl") : ehm_run_metric(run, text.s, err);
    for (int32_t i = 0; i < n && !rc; i++) {
        char tag[64];
        snprintf(tag, sizeof tag, "eval/%.39s", v[i].name);
        rc = ehm_run_scalar(run, l->at->step, tag, v[i].value, err);
    }
    ehm_str_free(&text);
    return rc;
}

/* What it took, which is no part of the result. */
static ehm_code eval_cost(const look *l, const ehm_live_number *v, int32_t n, double seconds, const ehm_live *live, ehm_err *err) {
    ehm_run *run = ehm_train_run_folder(l->at->train);
    ehm_str text = {0};
    ehm_json_w w = {.out = &text};
    char took[32];
    double share = live->eval_s / fmax(ehm_clock_s() - live->begun_s, 1e-9);
    ehm_json_obj(&w);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, l->at->step);
    ehm_json_key(&w, "eval_seconds"), ehm_json_f64(&w, seconds);
    ehm_json_key(&w, "eval_share"), ehm_json_f64(&w, share);
    ehm_json_end(&w);
    ehm_code rc = text.failed ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for a line of timing.jsonl") : ehm_run_timing(run, text.s, err);
    ehm_str_clear(&text);
    ehm_str_addf(&text, "evaluation at step %lld:", (long long)l->at->step);
    for (int32_t i = 0, shown = 0; i < n; i++)
        if (v[i].quoted) ehm_str_addf(&text, "%s %s %.1f %% (%.1f .. %.1f)", shown++ ? "," : "", v[i].name, 100 * v[i].value, 100 * v[i].lo, 100 * v[i].hi);
    ehm_str_addf(&text, "; took %s, evaluations %.0f %% of the time so far", ehm_format_seconds(seconds, took), 100 * share);
    ehm_log(EHM_LOG_INFO, "%s", ehm_str_c(&text));
    ehm_run_note(run, ehm_str_c(&text));
    ehm_str_free(&text);
    return rc;
}

static ehm_code evaluate(ehm_live *live, const ehm_train_at *at, ehm_err *err) {
    const ehm_config *c = ehm_train_config(at->train);
    look l = {.at = at, .c = c};
    ehm_live_number v[EHM_LIVE_NUMBERS];
    int32_t n = 0;
    double began = ehm_clock_s();
    ehm_run *run = ehm_train_run_folder(at->train);
    l.dir = ehm_run_path(run, "pictures", &l.arena), l.model_dir = ehm_run_path(run, "pictures/.model", &l.arena);
    ehm_code rc = l.dir && l.model_dir ? open_model(&l, 0, err) : EHM_FAIL(err, EHM_E_MEMORY, "no memory for file names");
    if (!rc) rc = ehm_live_eval_run(v, &n, live->eval, l.m, c, &l.arena, err);
    double seconds = ehm_clock_s() - began;
    if (!rc) live->eval_s += seconds;
    if (!rc) rc = eval_lines(&l, v, n, err);
    if (!rc) rc = eval_cost(&l, v, n, seconds, live, err);
    if (rc) EHM_WHILE(err, "evaluating after step %lld (--eval-train)", (long long)at->step);
    put_away(&l);
    if (l.dir) rmdir(l.dir); /* only where nothing was drawn */
    ehm_arena_free(&l.arena);
    return rc;
}

/* A line of this step's evaluation in metrics.jsonl, which was cut after the step already. */
static ehm_code has_line(bool *found, const ehm_train_at *at, ehm_err *err) {
    ehm_arena a = {0}, scratch = {0};
    ehm_bytes text = {0};
    char *path = ehm_run_path(ehm_train_run_folder(at->train), "metrics.jsonl", &a);
    ehm_code rc = !path ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for a file name") : ehm_file_exists(path) ? ehm_file_read(&text, path, &a, err) : EHM_OK;
    *found = false;
    for (char *p = (char *)text.data; !rc && p && *p && !*found;) {
        size_t n = strcspn(p, "\n");
        ehm_json *line;
        ehm_err ignored = {0};
        ehm_arena_reset(&scratch);
        if (memmem(p, n, "\"eval\"", 6) && !ehm_json_parse(&line, p, n, path, &scratch, &ignored))
            *found = ehm_json_i64_or(line, "step", -1) == at->step && ehm_json_get(line, "eval");
        p += n + (p[n] == '\n');
    }
    ehm_arena_free(&a), ehm_arena_free(&scratch);
    return rc;
}

/* A stop in the middle of an evaluation leaves it out, so that the checkpoint is written; it is made up for when the run goes on. */
static ehm_code begun(void *user, const ehm_train_at *at, ehm_err *err) {
    ehm_live *live = user;
    bool found = true;
    live->begun_s = ehm_clock_s();
    if (!eval_due(at, ehm_train_config(at->train), live)) return EHM_OK;
    EHM_TRY(has_line(&found, at, err));
    return found ? EHM_OK : evaluate(live, at, err);
}

static ehm_code stepped(void *user, const ehm_train_at *at, ehm_err *err) {
    ehm_live *live = user;
    const ehm_config *c = ehm_train_config(at->train);
    ehm_err why = {0};
    if (due(at, c)) EHM_TRY(watch(live, at, err));
    if (!eval_due(at, c, live)) return EHM_OK;
    ehm_code rc = evaluate(live, at, &why);
    if (rc == EHM_E_STOPPED && ehm_stop_asked() && !at->last) return EHM_OK;
    if (rc && err && !err->code) *err = why;
    return rc;
}

/* ---- at the end: what was drawn on the way, one under the other ---- */

static ehm_code read_sheet(ehm_image *out, const char *path, ehm_arena *a, ehm_err *err) {
    ehm_bytes bytes;
    EHM_TRY(ehm_file_read(&bytes, path, a, err));
    return ehm_image_decode(out, bytes.data, bytes.len, NULL, a, err);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static ehm_code stack(const char *dir, const char *what, ehm_arena *a, ehm_err *err) {
    ehm_strs names = {0};
    enum { ROWS_MAX = 24 };
    char *found[1024];
    int32_t n = 0;
    EHM_TRY(ehm_dir_list(&names, dir, a, err));
    char *ending = ehm_arena_printf(a, "_%s" END, what);
    for (int32_t i = 0; i < names.n && n < 1024; i++)
        if (ending && ehm_ends_nocase(names.v[i], ending) && names.v[i][0] >= '0' && names.v[i][0] <= '9') found[n++] = (char *)names.v[i];
    if (n < 2) return EHM_OK;
    qsort(found, (size_t)n, sizeof *found, by_name);
    int32_t rows = n < ROWS_MAX ? n : ROWS_MAX;
    ehm_image *sheet = EHM_NEW_N(a, ehm_image, rows), all;
    if (!sheet) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a sheet");
    for (int32_t i = 0; i < rows; i++) {
        char *path = ehm_path_join(a, dir, found[rows > 1 ? (int64_t)i * (n - 1) / (rows - 1) : 0]);
        if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a file name");
        EHM_TRY(read_sheet(&sheet[i], path, a, err));
    }
    EHM_TRY(ehm_draw_stack(&all, sheet, rows, a, err));
    char *path = ehm_arena_printf(a, "%s/%s_over_training" END, dir, what);
    return path ? ehm_image_write(path, &all, err) : EHM_FAIL(err, EHM_E_MEMORY, "no memory for a file name");
}

static ehm_code ended(void *user, const ehm_train_at *at, ehm_err *err) {
    ehm_arena a = {0};
    (void)user;
    char *dir = ehm_run_path(ehm_train_run_folder(at->train), "pictures", &a);
    ehm_code rc = EHM_OK;
    if (dir && ehm_dir_exists(dir)) rc = stack(dir, "masks", &a, err);
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_live_open(ehm_live *l, const ehm_train *t, ehm_err *err) {
    *l = (ehm_live){0};
    return ehm_live_eval_open(&l->eval, ehm_train_config(t), ehm_train_facts_of(t)->shape.channels, err);
}

void ehm_live_close(ehm_live *l) {
    ehm_live_eval_close(l->eval);
    *l = (ehm_live){0};
}

ehm_train_hook ehm_live_hook(ehm_live *l) { return (ehm_train_hook){.user = l, .begun = begun, .stepped = stepped, .ended = ended}; }
