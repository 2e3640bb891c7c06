/* Runs every task with every model, and puts what they scored into one table. */
#include "base/log.h"
#include "data/data.h"
#include "eval/compare.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS_MAX = 16 };

/* One task with one model. */
typedef struct { ehm_eval_out out; bool done; } result;
/* Numbers of one row of the table: every model's row of its result, -1 none, and the score of that. */
typedef struct { const char *what; int32_t i_metric, *row; ehm_compare_score *score; } line;

typedef struct {
    const ehm_config *c;
    ehm_compare_out *out;
    ehm_arena *a;
    const ehm_eval_task *tasks[TASKS_MAX];
    result *results;            /* [n_models] of the task at hand */
    bool unpaired;              /* the task at hand is compared by its own --against */
    int32_t *order;             /* models, those of the baseline first */
    int32_t i_task;
} job;

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the comparison"); }

bool ehm_compare_is_noise(const ehm_compare_row *r) { return r->has_diff && isfinite(r->diff.lo) && r->diff.lo <= 0 && r->diff.hi >= 0; }

/* ---- settings ---- */

static ehm_code check_flags(const ehm_config *c, ehm_err *err) {
    static const int32_t of_one[] = {EHM_SETI_predictions, EHM_SETI_against, EHM_SETI_expect_better, EHM_SETI_confusion, EHM_SETI_save, EHM_SETI_sheet, EHM_SETI_overlays,
                                     EHM_SETI_overlay_count, EHM_SETI_box_sheet, EHM_SETI_box_sheet_count};
    for (size_t i = 0; i < sizeof of_one / sizeof *of_one; i++) {
        char name[64];
        if (c->origin[of_one[i]] == EHM_FROM_DEFAULT) continue;
        snprintf(name, sizeof name, "%s", ehm_settings[of_one[i]].key);
        for (char *p = name; *p; p++) *p = *p == '_' ? '-' : *p;
        if (of_one[i] == EHM_SETI_against) EHM_HINT(err, "--baseline M is the model that the others are compared with");
        else EHM_HINT(err, "ehm eval TASK --model M --%s does it for one", name);
        return EHM_FAIL(err, EHM_E_CONFIG, "--%s: is for a single model, and ehm compare has several", name);
    }
    return EHM_OK;
}

/* A flag that no task of the list takes would do nothing. */
static ehm_code check_taken(const job *j, ehm_err *err) {
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        bool taken = ehm_in_groups("common,compare,eval,channels,read", ehm_settings[i].group);
        ehm_str name = {0};
        if (j->c->origin[i] != EHM_FROM_FLAG) continue;
        for (int32_t k = 0; k < j->out->n_tasks && !taken; k++) taken = ehm_in_groups(j->tasks[k]->groups, ehm_settings[i].group);
        if (taken) continue;
        for (const char *p = ehm_settings[i].key; *p; p++) ehm_str_addc(&name, *p == '_' ? '-' : *p);
        EHM_FAIL(err, EHM_E_CONFIG, "--%s: none of the tasks %s has a use for it", ehm_str_c(&name), j->c->tasks);
        ehm_str_free(&name);
        return EHM_E_CONFIG;
    }
    return EHM_OK;
}

static ehm_code parse_tasks(job *j, ehm_err *err) {
    ehm_compare_out *out = j->out;
    const char *text = j->c->tasks;
    if (!text) {
        EHM_HINT(err, "for example --tasks knn,linear; ehm list tasks shows them");
        return EHM_FAIL(err, EHM_E_CONFIG, "--tasks is missing: what the models are compared on");
    }
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        char name[32];
        if (!n) return EHM_FAIL(err, EHM_E_CONFIG, "--tasks %s: a name is missing", text);
        if (out->n_tasks == TASKS_MAX) return EHM_FAIL(err, EHM_E_CONFIG, "--tasks %s: more than %d", text, TASKS_MAX);
        snprintf(name, sizeof name, "%.*s", (int)(n < 31 ? n : 31), p);
        const ehm_eval_task *t = ehm_eval_find(name, err);
        if (!t) return EHM_WHILE(err, "reading --tasks %s", text), EHM_E_CONFIG;
        for (int32_t i = 0; i < out->n_tasks; i++)
            if (j->tasks[i] == t) return EHM_FAIL(err, EHM_E_CONFIG, "--tasks %s: %s stands there twice", text, t->name);
        j->tasks[out->n_tasks++] = t;
        p += n;
        if (!*p) return EHM_OK;
    }
}

static ehm_code find_baseline(job *j, ehm_err *err) {
    ehm_compare_models *ms = &j->out->models;
    const char *want = j->c->baseline, **all = EHM_NEW_N(j->a, const char *, ms->n_models);
    size_t n = want ? strlen(want) : 0;
    if (!all) return no_memory(err);
    for (int32_t i = 0; i < ms->n_models; i++) {
        all[i] = ms->model[i].spec;
        size_t len = strlen(all[i]);
        while (len && all[i][len - 1] == '/') len--;
        while (n && want[n - 1] == '/') n--;
        if (want && (len != n || strncmp(all[i], want, n))) continue;
        j->out->baseline = ms->model[i].group;
        j->out->baseline_label = ms->group[j->out->baseline].label;
        return EHM_OK;
    }
    const char *near = ehm_nearest(want, all, ms->n_models);
    if (near) EHM_HINT(err, "did you mean %s?", near);
    return EHM_FAIL(err, EHM_E_CONFIG, "--baseline %s: is none of the models that are compared", want);
}

/* ---- what the tasks learn from ---- */

typedef enum { LABELS = 1, MAPS = 2, BOXES = 4, LEARNS = 8 } need;
static const struct { const char *task; int needs; } needs[] = {{"knn", LABELS | LEARNS}, {"linear", LABELS | LEARNS}, {"finetune", LABELS | LEARNS},
    {"segment", MAPS | LEARNS}, {"detect", BOXES | LEARNS}, {"instances", BOXES | LEARNS}};

static int needs_of(const ehm_eval_task *t) {
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (!strcmp(needs[i].task, t->name)) return needs[i].needs;
    return 0;
}

static ehm_code check_set(const job *j, const ehm_strs *paths, ehm_err *err) {
    const ehm_config *c = j->c;
    ehm_dataset_opt opt = {.channels = j->out->models.model[0].channels, .alpha = c->alpha, .max_pixels = c->max_pixels, .cache_dir = c->cache, .ignore_label = -1,
                           .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
    ehm_dataset *ds = NULL;
    ehm_code rc = ehm_dataset_open(&ds, paths, &opt, err);
    for (int32_t i = 0; i < j->out->n_tasks && !rc; i++) {
        int what = needs_of(j->tasks[i]);
        const char *lacks = (what & LABELS) && !ehm_dataset_n_classes(ds)      ? "labels"
                            : (what & MAPS) && !ehm_dataset_n_map_classes(ds)  ? "label maps"
                            : (what & BOXES) && !ehm_dataset_n_box_classes(ds) ? "boxes"
                                                                               : NULL;
        if (lacks) rc = EHM_FAIL(err, EHM_E_MISMATCH, "the task %s needs %s, and %s has none", j->tasks[i]->name, lacks, ehm_dataset_spec(ds));
    }
    ehm_dataset_close(ds);
    return rc;
}

/* Before hours are spent on the first task. */
static ehm_code check_data(const job *j, ehm_err *err) {
    for (int32_t i = 0; i < j->out->n_tasks; i++)
        if ((needs_of(j->tasks[i]) & LEARNS) && !j->c->train.n)
            return EHM_FAIL(err, EHM_E_CONFIG, "--train is missing: the pictures that %s learns from", j->tasks[i]->name);
    for (int32_t i = 0; i < j->out->n_tasks; i++)
        if (!needs_of(j->tasks[i]) && !j->c->test.n && !(ehm_in_groups(j->tasks[i]->groups, "retrieve") && j->c->gallery.n))
            return EHM_FAIL(err, EHM_E_CONFIG, "--test is missing: the pictures that %s looks at", j->tasks[i]->name);
    if (j->c->train.n) EHM_TRY(check_set(j, &j->c->train, err));
    return j->c->test.n ? check_set(j, &j->c->test, err) : EHM_OK;
}

/* ---- running ---- */

/* What a task is given: the flags that are its own, and nothing that writes. References and the search for near-duplicates look at no model: once is enough. */
static ehm_config settings_for(const job *j, const ehm_eval_task *t, int32_t i_model, bool first) {
    ehm_config c = *j->c;
    c.model = j->out->models.model[i_model].spec;
    c.out = c.against = c.save = c.predictions = c.confusion = c.sheet = c.overlays = c.box_sheet = NULL;
    c.resume = c.overwrite = false;
    c.raw = c.raw && first, c.reference = c.reference && first && j->c->all_rows;
    if (!strcmp(t->name, "tree")) c.train = (ehm_strs){NULL, 0};
    /* Flags for another task of the list are no mistake. */
    for (int32_t i = 0; i < EHM_SETTINGS_N && j->out->n_tasks > 1; i++)
        if (c.origin[i] == EHM_FROM_FLAG) c.origin[i] = EHM_FROM_FILE;
    return c;
}

static ehm_code run_one(job *j, const ehm_eval_task *t, int32_t i_model, const char *against, bool first, ehm_err *err) {
    result *r = &j->results[i_model];
    const char *spec = j->out->models.model[i_model].spec;
    ehm_config c = settings_for(j, t, i_model, first);
    c.against = against;
    *r = (result){.done = true};
    ehm_log(EHM_LOG_INFO, "%s: %s%s%s", t->name, spec, against ? " and " : "", against ? against : "");
    ehm_code rc = t->run(&r->out, &(ehm_eval_in){.config = &c}, j->a, err);
    if (rc) EHM_WHILE(err, "comparing %s by the task %s", spec, t->name);
    if (rc == EHM_E_STOPPED && err) err->hint[0] = 0; /* a training's own: there is no run folder to go on with here */
    return rc;
}

static bool is_own(const job *j, int32_t i_model, int32_t row) {
    const ehm_eval_out *o = &j->results[i_model].out;
    return row < o->n_rows && !strcmp(o->rows[row].model, j->out->models.model[i_model].spec);
}

/* The value is the mean of the items that have one. */
static bool is_mean(const ehm_eval_row *r, int64_t n, bool *gaps) {
    double sum = 0;
    int64_t k = 0;
    if (!r->items) return false;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(r->items[i])) sum += (double)r->items[i], k++;
    *gaps = k < n;
    return k && fabs(sum / (double)k - r->value) <= 1e-6 * fmax(1, fabs(r->value));
}

/* Are all figures of a result known draw by draw? */
static bool has_draws(const ehm_eval_out *o) {
    bool gaps;
    for (int32_t i = 0; i < o->n_rows; i++)
        if (!o->rows[i].draws && !is_mean(&o->rows[i], o->n_items, &gaps) && isfinite(o->rows[i].value)) return false;
    return true;
}

static ehm_code draw_scores(job *j, line *l, const int32_t *models, int32_t n, ehm_err *err) {
    const float **items = EHM_NEW_N(j->a, const float *, n);
    double **draws = EHM_NEW_N(j->a, double *, n);
    int32_t n_whole = 0;
    int64_t n_items = 0;
    bool any_gaps = false;
    if (!items || !draws) return no_memory(err);
    for (int32_t i = 0; i < n; i++) {
        const ehm_eval_out *o = &j->results[models[i]].out;
        const ehm_eval_row *r = &o->rows[l->row[models[i]]];
        ehm_compare_score *s = &l->score[models[i]];
        bool gaps = false;
        *s = (ehm_compare_score){.value = r->value, .seed = j->out->models.model[models[i]].seed, .draws = r->draws, .n = n_items = o->n_items};
        if (j->unpaired || r->draws || !is_mean(r, o->n_items, &gaps)) continue;
        double *v = EHM_NEW_N(j->a, double, EHM_BOOT_DRAWS);
        if (!v) return no_memory(err);
        s->draws = v;
        if (!gaps) {
            items[n_whole] = r->items, draws[n_whole++] = v;
            continue;
        }
        float *there = EHM_NEW_N(j->a, float, o->n_items);
        const float *row = there;
        int64_t k = 0;
        if (!there) return no_memory(err);
        for (int64_t x = 0; x < o->n_items; x++)
            if (isfinite(r->items[x])) there[k++] = r->items[x];
        any_gaps = true;
        EHM_TRY(ehm_bootstrap_values(&v, &row, 1, 1, k, 0, err));
    }
    /* Where one has gaps, pairs are made of items. */
    for (int32_t i = 0; i < n && any_gaps; i++) l->score[models[i]].items = j->results[models[i]].out.rows[l->row[models[i]]].items;
    return n_whole ? ehm_bootstrap_values(draws, items, n_whole, 1, n_items, 0, err) : EHM_OK;
}

/* ---- rows ---- */

static ehm_compare_row *add_row(job *j) {
    ehm_compare_out *o = j->out;
    if (o->n_rows == o->cap_rows) {
        int32_t cap = o->cap_rows ? 2 * o->cap_rows : 32;
        ehm_compare_row *v = EHM_NEW_N(j->a, ehm_compare_row, cap);
        if (!v) return NULL;
        if (o->n_rows) memcpy(v, o->rows, (size_t)o->n_rows * sizeof *v);
        o->rows = v, o->cap_rows = cap;
    }
    return &o->rows[o->n_rows++];
}

/* Of a result: the row of that name and metric; in the whole table, where names say what was chosen for the model (a strength), the one in the same place. */
static int32_t row_like(const job *j, int32_t i_model, const ehm_eval_out *like, int32_t i_like, int32_t place) {
    const ehm_eval_out *o = &j->results[i_model].out;
    const ehm_eval_row *want = &like->rows[i_like];
    const char *what = j->c->all_rows || o->i_best < 0 ? want->what : o->rows[o->i_best].what;
    int32_t k = 0, at = -1;
    for (int32_t i = 0; i < o->n_rows; i++) {
        if (!is_own(j, i_model, i)) continue;
        if (o->rows[i].i_metric == want->i_metric && !strcmp(o->rows[i].what, what)) return i;
        if (k++ == place && o->rows[i].i_metric == want->i_metric) at = i;
    }
    return j->c->all_rows ? at : -1;
}

static void copy_figure(ehm_compare_figure *f, const ehm_eval_row *r) { *f = (ehm_compare_figure){.value = r->value, .lo = r->lo, .hi = r->hi, .n = 1}; }

/* The mean of the models' intervals, where nothing more is known. */
static void mean_of_intervals(ehm_compare_figure *f, const job *j, const line *l, const ehm_compare_group *g) {
    f->lo = f->hi = 0, f->over_seeds = false;
    for (int32_t i = 0; i < g->n; i++) {
        const ehm_eval_row *r = &j->results[g->model[i]].out.rows[l->row[g->model[i]]];
        f->lo += r->lo / g->n, f->hi += r->hi / g->n;
    }
}

/* The mean of what the task said of each pair. */
static void mean_of_pairs(ehm_compare_figure *f, const job *j, const line *l, const ehm_compare_group *g, bool *any) {
    *f = (ehm_compare_figure){.by_seed = true};
    for (int32_t i = 0; i < g->n; i++) {
        const ehm_eval_row *r = &j->results[g->model[i]].out.rows[l->row[g->model[i]]];
        if (!r->has_diff) continue;
        f->value += r->diff, f->lo += r->diff_lo, f->hi += r->diff_hi, f->n++;
    }
    *any = f->n > 0;
    if (f->n) f->value /= f->n, f->lo /= f->n, f->hi /= f->n;
}

static ehm_code group_row(job *j, const line *l, int32_t k, ehm_err *err) {
    const ehm_compare_models *ms = &j->out->models;
    const ehm_compare_group *g = &ms->group[k], *base = &ms->group[j->out->baseline];
    ehm_compare_score *own = EHM_NEW_N(j->a, ehm_compare_score, g->n), *other = EHM_NEW_N(j->a, ehm_compare_score, base->n);
    const char *what = j->results[g->model[0]].out.rows[l->row[g->model[0]]].what;
    ehm_compare_row row = {.model = g->label, .i_task = j->i_task, .i_group = k, .i_model = g->n > 1 ? -1 : g->model[0], .metric = &j->tasks[j->i_task]->metrics[l->i_metric]};
    if (!own || !other) return no_memory(err);
    for (int32_t i = 0; i < g->n; i++) {
        own[i] = l->score[g->model[i]];
        if (strcmp(what, j->results[g->model[i]].out.rows[l->row[g->model[i]]].what)) what = "(each its own)";
    }
    for (int32_t i = 0; i < base->n; i++) other[i] = l->score[base->model[i]];
    row.what = what;
    EHM_TRY(ehm_compare_mean(&row.figure, own, g->n, err));
    if (j->unpaired) mean_of_intervals(&row.figure, j, l, g);
    if (g->n == 1) copy_figure(&row.figure, &j->results[g->model[0]].out.rows[l->row[g->model[0]]]);
    if (k != j->out->baseline) {
        if (j->unpaired) mean_of_pairs(&row.diff, j, l, g, &row.has_diff);
        else {
            row.has_diff = true;
            EHM_TRY(ehm_compare_difference(&row.diff, own, g->n, other, base->n, err));
        }
    }
    ehm_compare_row *r = add_row(j);
    if (!r) return no_memory(err);
    *r = row;
    for (int32_t i = 0; i < g->n && g->n > 1; i++) {
        const ehm_eval_row *from = &j->results[g->model[i]].out.rows[l->row[g->model[i]]];
        if (!(r = add_row(j))) return no_memory(err);
        *r = (ehm_compare_row){.model = ms->model[g->model[i]].spec, .what = from->what, .i_task = j->i_task, .i_group = k, .i_model = g->model[i], .metric = row.metric};
        copy_figure(&r->figure, from);
    }
    return EHM_OK;
}

static bool has_rows(const line *l, const ehm_compare_group *g) {
    for (int32_t i = 0; i < g->n; i++)
        if (l->row[g->model[i]] < 0) return false;
    return true;
}

static ehm_code add_line(job *j, const ehm_eval_out *like, int32_t i_like, int32_t place, ehm_err *err) {
    const ehm_compare_models *ms = &j->out->models;
    line l = {.i_metric = like->rows[i_like].i_metric, .row = EHM_NEW_N(j->a, int32_t, ms->n_models), .score = EHM_NEW_N(j->a, ehm_compare_score, ms->n_models)};
    int32_t *there = EHM_NEW_N(j->a, int32_t, ms->n_models), n = 0;
    if (!l.row || !l.score || !there) return no_memory(err);
    for (int32_t i = 0; i < ms->n_models; i++) {
        l.row[i] = row_like(j, i, like, i_like, place);
        if (l.row[i] >= 0) there[n++] = i;
    }
    EHM_TRY(draw_scores(j, &l, there, n, err));
    for (int32_t x = 0; x < ms->n_groups; x++) { /* the baseline first */
        int32_t k = x == 0 ? j->out->baseline : x <= j->out->baseline ? x - 1 : x;
        if (has_rows(&l, &ms->group[k])) EHM_TRY(group_row(j, &l, k, err));
    }
    return EHM_OK;
}

/* Rows of the table that are none of a model's. */
static ehm_code add_references(job *j, const ehm_eval_out *o, int32_t i_model, ehm_err *err) {
    for (int32_t i = 0; i < o->n_rows; i++) {
        if (is_own(j, i_model, i)) continue;
        ehm_compare_row *r = add_row(j);
        if (!r) return no_memory(err);
        *r = (ehm_compare_row){.model = o->rows[i].model, .what = o->rows[i].what, .i_task = j->i_task, .i_group = -1, .i_model = -1, .metric = &o->metrics[o->rows[i].i_metric]};
        copy_figure(&r->figure, &o->rows[i]);
    }
    return EHM_OK;
}

/* ---- a task ---- */

/* The run of the baseline that a model is held against by --against: that of its own seed, else the first. */
static const char *rival_of(const job *j, int32_t i_model) {
    const ehm_compare_models *ms = &j->out->models;
    const ehm_compare_group *base = &ms->group[j->out->baseline];
    for (int32_t i = 0; i < base->n; i++)
        if (ms->model[base->model[i]].seed == ms->model[i_model].seed) return ms->model[base->model[i]].spec;
    return ms->model[base->model[0]].spec;
}

/* Every model, or only those that are compared with the baseline. */
static ehm_code run_models(job *j, const ehm_eval_task *t, bool again, ehm_err *err) {
    const ehm_compare_models *ms = &j->out->models;
    for (int32_t i = 0; i < ms->n_models; i++) {
        int32_t m = j->order[i];
        bool base = ms->model[m].group == j->out->baseline;
        if (again && base) continue;
        EHM_TRY(run_one(j, t, m, !base && j->unpaired ? rival_of(j, m) : NULL, i == 0, err));
        if (i == 0) j->unpaired = !has_draws(&j->results[m].out);
    }
    return EHM_OK;
}

static const ehm_compare_model *odd_one(const job *j) {
    const ehm_compare_models *ms = &j->out->models;
    for (int32_t i = 0; i < ms->n_models; i++)
        if (j->results[i].out.n_items != j->results[j->order[0]].out.n_items) return &ms->model[i];
    return NULL;
}

static ehm_code run_task(job *j, const ehm_eval_task *t, ehm_err *err) {
    ehm_compare_task *about = &j->out->tasks[j->i_task];
    int32_t first = j->order[0];
    const ehm_eval_out *o = &j->results[first].out;
    j->unpaired = false;
    EHM_TRY(run_models(j, t, false, err));
    const ehm_compare_model *odd = odd_one(j);
    if (odd && !j->unpaired && (t->groups && ehm_in_groups(t->groups, "treeval"))) {
        j->unpaired = true; /* which pictures count follows from the grid of patches; the task itself finds those that count for both */
        EHM_TRY(run_models(j, t, true, err));
    } else if (odd)
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: %s was tested on %lld items and %s on %lld: they cannot be paired", t->name, j->out->models.model[first].spec,
                        (long long)o->n_items, odd->spec, (long long)j->results[odd - j->out->models.model].out.n_items);
    *about = (ehm_compare_task){.name = t->name, .protocol = o->protocol, .n_notes = o->n_notes, .n_items = o->n_items, .n_train = o->n_train, .bounded = j->unpaired};
    if (!(about->notes = EHM_NEW_N(j->a, const char *, o->n_notes + 1))) return no_memory(err);
    memcpy(about->notes, o->notes, (size_t)o->n_notes * sizeof *about->notes);
    for (int32_t i = 0, place = 0; i < o->n_rows; i++) {
        if (!is_own(j, first, i)) continue;
        if (j->c->all_rows || o->i_best < 0 || !strcmp(o->rows[i].what, o->rows[o->i_best].what)) EHM_TRY(add_line(j, o, i, place, err));
        place++;
    }
    return j->c->all_rows ? add_references(j, o, first, err) : EHM_OK;
}

ehm_code ehm_compare(ehm_compare_out *out, const ehm_config *c, const ehm_strs *specs, ehm_arena *a, ehm_err *err) {
    job j = {.c = c, .out = out, .a = a};
    *out = (ehm_compare_out){.n_tasks = 0};
    EHM_TRY(check_flags(c, err));
    EHM_TRY(parse_tasks(&j, err));
    EHM_TRY(check_taken(&j, err));
    EHM_TRY(ehm_compare_models_of(&out->models, specs, a, err));
    EHM_TRY(find_baseline(&j, err));
    EHM_TRY(check_data(&j, err));
    int32_t n = out->models.n_models, k = 0;
    j.results = EHM_NEW_N(a, result, n), j.order = EHM_NEW_N(a, int32_t, n), out->tasks = EHM_NEW_N(a, ehm_compare_task, out->n_tasks);
    if (!j.results || !j.order || !out->tasks) return no_memory(err);
    for (int32_t base = 1; base >= 0; base--)
        for (int32_t g = 0; g < out->models.n_groups; g++)
            for (int32_t i = 0; i < out->models.group[g].n && (g == out->baseline) == (base != 0); i++) j.order[k++] = out->models.group[g].model[i];
    for (j.i_task = 0; j.i_task < out->n_tasks; j.i_task++) EHM_TRY(run_task(&j, j.tasks[j.i_task], err));
    return EHM_OK;
}
