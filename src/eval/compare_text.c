/* A comparison as a table for people, and as JSON. */
#include "eval/compare.h"
#include <stdlib.h>
#include <string.h>

enum { TASK, MODEL, SEEDS, FEATURES, METRIC, VALUE, INTERVAL, SPREAD, DIFFERENCE, N_COLUMNS };
typedef struct { ehm_str cell[N_COLUMNS]; } text_row;

static bool is_percent(const ehm_metric *m) { return !strcmp(m->unit, "%"); }

/* Values of 0 to 1 need a digit more than percents. */
static void number(ehm_str *s, const ehm_metric *m, double v, bool sign) {
    double f = is_percent(m) ? 100 : 1;
    int d = is_percent(m) ? 2 : 3;
    if (!isfinite(v)) ehm_str_add(s, "-");
    else ehm_str_addf(s, sign ? "%+.*f" : "%.*f", d, f * v);
}

static void fill(text_row *t, const ehm_compare_out *o, const ehm_compare_row *r) {
    const ehm_compare_figure *f = &r->figure;
    bool member = r->i_group >= 0 && r->i_model >= 0 && o->models.group[r->i_group].n > 1;
    ehm_str_add(&t->cell[TASK], o->tasks[r->i_task].name);
    ehm_str_addf(&t->cell[MODEL], "%s%s", member ? "  " : "", r->model);
    if (member) ehm_str_addf(&t->cell[SEEDS], "(%lld)", (long long)o->models.model[r->i_model].seed);
    else if (r->i_group >= 0) ehm_str_addf(&t->cell[SEEDS], "%d", (int)o->models.group[r->i_group].n);
    ehm_str_add(&t->cell[FEATURES], r->what);
    ehm_str_addf(&t->cell[METRIC], is_percent(r->metric) ? "%s, %%" : "%s", r->metric->name);
    number(&t->cell[VALUE], r->metric, f->value, false);
    if (isfinite(f->lo)) {
        number(&t->cell[INTERVAL], r->metric, f->lo, false);
        ehm_str_add(&t->cell[INTERVAL], " .. ");
        number(&t->cell[INTERVAL], r->metric, f->hi, false);
    }
    if (r->i_model < 0 && r->i_group >= 0) number(&t->cell[SPREAD], r->metric, f->spread, false);
    if (r->has_diff) {
        ehm_str *s = &t->cell[DIFFERENCE];
        number(s, r->metric, r->diff.value, true);
        ehm_str_add(s, " ("), number(s, r->metric, r->diff.lo, true), ehm_str_add(s, " .. "), number(s, r->metric, r->diff.hi, true), ehm_str_add(s, ")");
        if (ehm_compare_is_noise(r)) ehm_str_add(s, "  ~");
    } else if (r->i_group == o->baseline && !member) ehm_str_add(&t->cell[DIFFERENCE], "(baseline)");
}

/* Characters, not bytes: names may be in any language. */
static size_t width_of(const char *s) {
    size_t n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void add_cells(ehm_str *text, const text_row *t, const size_t *width) {
    for (int32_t c = 0; c < N_COLUMNS; c++) {
        const char *s = ehm_str_c(&t->cell[c]);
        if (!width[c]) continue;
        if (c == VALUE)
            for (size_t n = width_of(s); n < width[c]; n++) ehm_str_addc(text, ' ');
        ehm_str_add(text, s);
        if (c != VALUE)
            for (size_t n = width_of(s); n < width[c]; n++) ehm_str_addc(text, ' ');
        ehm_str_add(text, "  ");
    }
    while (text->len && text->s[text->len - 1] == ' ') text->s[--text->len] = 0;
    ehm_str_addc(text, '\n');
}

static void add_table(const ehm_compare_out *o, ehm_str *text) {
    static const char *const heads[N_COLUMNS] = {"task", "model", "seeds", "features", "metric", "value", "95 % interval", "spread", NULL};
    text_row *t = calloc((size_t)o->n_rows + 1, sizeof *t);
    size_t width[N_COLUMNS] = {0};
    bool spread = false;
    if (!t) {
        text->failed = true;
        return;
    }
    for (int32_t c = 0; c < DIFFERENCE; c++) ehm_str_add(&t[0].cell[c], heads[c]);
    ehm_str_addf(&t[0].cell[DIFFERENCE], "difference to %s", o->baseline_label);
    for (int32_t i = 0; i < o->n_rows; i++) fill(&t[i + 1], o, &o->rows[i]), spread |= o->rows[i].i_model < 0 && o->rows[i].i_group >= 0;
    for (int32_t i = 0; i <= o->n_rows; i++)
        for (int32_t c = 0; c < N_COLUMNS; c++) {
            size_t n = width_of(ehm_str_c(&t[i].cell[c]));
            if (n > width[c] && (c != SPREAD || spread)) width[c] = n;
        }
    for (int32_t i = 0; i <= o->n_rows; i++) add_cells(text, &t[i], width);
    for (int32_t i = 0; i <= o->n_rows; i++)
        for (int32_t c = 0; c < N_COLUMNS; c++) text->failed |= t[i].cell[c].failed, ehm_str_free(&t[i].cell[c]);
    free(t);
}

static void add_legend(const ehm_compare_out *o, ehm_str *text) {
    bool one = false, two = false, more = false, noise = false, apart = false, bounded = false;
    for (int32_t k = 0; k < o->models.n_groups; k++) {
        int32_t n = o->models.group[k].n;
        one |= n == 1, two |= n > 1 && n < EHM_COMPARE_SEEDS, more |= n >= EHM_COMPARE_SEEDS;
    }
    for (int32_t i = 0; i < o->n_rows; i++) {
        const ehm_compare_row *r = &o->rows[i];
        noise |= ehm_compare_is_noise(r);
        apart |= r->has_diff && !r->diff.by_seed;
    }
    for (int32_t i = 0; i < o->n_tasks; i++) bounded |= o->tasks[i].bounded && (two || more);
    if (noise) ehm_str_add(text, "~ the interval of the difference holds 0: noise, as far as these test items tell\n");
    if (one) ehm_str_addf(text, "one seed: covers test items alone; a claim about a method needs at least %d\n", EHM_COMPARE_SEEDS);
    if (two) ehm_str_addf(text, "two seeds: their mean; intervals cover test items alone, for seeds are drawn from %d on\n", EHM_COMPARE_SEEDS);
    if (more) ehm_str_addf(text, "%d or more seeds: mean and standard deviation (spread) over them; intervals draw test items and seeds\n", EHM_COMPARE_SEEDS);
    if ((two || more) && !apart) ehm_str_add(text, "groups are paired seed by seed\n");
    if (apart) ehm_str_add(text, "groups that do not share their seeds are compared by their means, seeds of each drawn apart\n");
    if (bounded) ehm_str_add(text, "of tasks whose measure is no mean over items, intervals of a group are the means of those of its models, and cover test items alone\n");
    ehm_str_add(text, "differences are paired: every model saw the same items in the same bootstrap draws\n");
}

void ehm_compare_print(const ehm_compare_out *o, ehm_str *text) {
    add_table(o, text);
    add_legend(o, text);
    for (int32_t i = 0; i < o->n_tasks; i++) {
        const ehm_compare_task *t = &o->tasks[i];
        ehm_str_addf(text, "%s: %lld test items", t->name, (long long)t->n_items);
        if (t->n_train) ehm_str_addf(text, ", %lld to learn from", (long long)t->n_train);
        ehm_str_addf(text, "; %s\n", t->protocol);
        for (int32_t k = 0; k < t->n_notes; k++) ehm_str_addf(text, "%s: note: %s\n", t->name, t->notes[k]);
    }
}

/* ---- JSON ---- */

static void field(ehm_json_w *w, const char *key, double v) {
    ehm_json_key(w, key);
    if (isfinite(v)) ehm_json_f64(w, v);
    else ehm_json_null(w);
}

static void json_models(const ehm_compare_out *o, ehm_json_w *w) {
    ehm_json_key(w, "groups"), ehm_json_arr(w);
    for (int32_t k = 0; k < o->models.n_groups; k++) {
        const ehm_compare_group *g = &o->models.group[k];
        ehm_json_obj(w);
        ehm_json_key(w, "name"), ehm_json_str(w, g->label);
        ehm_json_key(w, "models"), ehm_json_arr(w);
        for (int32_t i = 0; i < g->n; i++) ehm_json_str(w, o->models.model[g->model[i]].spec);
        ehm_json_end(w);
        ehm_json_key(w, "seeds"), ehm_json_arr(w);
        for (int32_t i = 0; i < g->n; i++) {
            if (o->models.model[g->model[i]].settings) ehm_json_i64(w, o->models.model[g->model[i]].seed);
            else ehm_json_null(w);
        }
        ehm_json_end(w);
        ehm_json_end(w);
    }
    ehm_json_end(w);
}

static void json_row(const ehm_compare_out *o, const ehm_compare_row *r, ehm_json_w *w) {
    ehm_json_obj(w);
    ehm_json_key(w, "task"), ehm_json_str(w, o->tasks[r->i_task].name);
    ehm_json_key(w, "model"), ehm_json_str(w, r->model);
    ehm_json_key(w, "group");
    if (r->i_group >= 0) ehm_json_str(w, o->models.group[r->i_group].label);
    else ehm_json_null(w);
    ehm_json_key(w, "features"), ehm_json_str(w, r->what);
    ehm_json_key(w, "metric"), ehm_json_str(w, r->metric->name);
    ehm_json_key(w, "n_seeds"), ehm_json_i64(w, r->figure.n);
    field(w, "value", r->figure.value), field(w, "lo", r->figure.lo), field(w, "hi", r->figure.hi);
    if (r->figure.n > 1) field(w, "spread", r->figure.spread);
    ehm_json_key(w, "covers"), ehm_json_str(w, r->figure.over_seeds ? "items and seeds" : "items");
    if (r->has_diff) {
        field(w, "difference", r->diff.value), field(w, "difference_lo", r->diff.lo), field(w, "difference_hi", r->diff.hi);
        if (r->diff.n > 1) field(w, "difference_spread", r->diff.spread);
        ehm_json_key(w, "difference_covers"), ehm_json_str(w, r->diff.over_seeds ? "items and seeds" : "items");
        ehm_json_key(w, "paired_by_seed"), ehm_json_bool(w, r->diff.by_seed);
        ehm_json_key(w, "noise"), ehm_json_bool(w, ehm_compare_is_noise(r));
    }
    ehm_json_end(w);
}

void ehm_compare_json(const ehm_compare_out *o, ehm_json_w *w) {
    ehm_json_obj(w);
    ehm_json_key(w, "baseline"), ehm_json_str(w, o->baseline_label);
    json_models(o, w);
    ehm_json_key(w, "tasks"), ehm_json_arr(w);
    for (int32_t i = 0; i < o->n_tasks; i++) {
        const ehm_compare_task *t = &o->tasks[i];
        ehm_json_obj(w);
        ehm_json_key(w, "task"), ehm_json_str(w, t->name);
        ehm_json_key(w, "protocol"), ehm_json_str(w, t->protocol);
        ehm_json_key(w, "n_test"), ehm_json_i64(w, t->n_items);
        ehm_json_key(w, "n_train"), ehm_json_i64(w, t->n_train);
        ehm_json_key(w, "notes"), ehm_json_arr(w);
        for (int32_t k = 0; k < t->n_notes; k++) ehm_json_str(w, t->notes[k]);
        ehm_json_end(w);
        ehm_json_end(w);
    }
    ehm_json_end(w);
    ehm_json_key(w, "rows"), ehm_json_arr(w);
    for (int32_t i = 0; i < o->n_rows; i++) json_row(o, &o->rows[i], w);
    ehm_json_end(w);
    ehm_json_end(w);
}
