/* Are the trees of a model's attention about the picture? Against pixel labels: their purity beside controls that keep location and shape but not
 * content. Without labels: how far halves of the layers, a mirror image and another picture agree, and trees of fewer layers with those of all. */
#include "base/file.h"
#include "base/log.h"
#include "eval/tree_agreement_int.h"
#include "eval/tree_measures.h"
#include "eval/tree_pass_int.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PURITY, BEST_NODE, BEST_CUT, LABEL_CUT, SWAPPED, MINUS_SWAPPED, MINUS_MOVED, SHARE, AGREEMENT, POPULARITY, SINK, ENTROPY, AT_LEVEL };
static const ehm_metric metrics[] = {
    [PURITY] = {"purity", "", true},           [BEST_NODE] = {"best node IoU", "", true}, [BEST_CUT] = {"best cut IoU", "", true},
    [LABEL_CUT] = {"label cut IoU", "", true},
    [SWAPPED] = {"swapped", "", false},     [MINUS_SWAPPED] = {"own - swapped", "", true},
    [MINUS_MOVED] = {"own - moved", "", true}, [SHARE] = {"K_eff / K", "", true},      [AGREEMENT] = {"agreement", "", true},
    [POPULARITY] = {"popularity", "", false},  [SINK] = {"sink index", "", false},     [ENTROPY] = {"entropy", "", true},
    [AT_LEVEL] = {"ARI at u 0.25", "", true}, {"ARI at u 0.5", "", true}, {"ARI at u 1", "", true}};
enum { KINDS_MAX = 3 * 128 + 2 };

/* ---- what is compared ---- */

static bool is_by(const ehm_config *c, const char *what) { return c->by && !strcmp(c->by, what); }

static void add_kind(ehm_tree_kind *v, int32_t *n, const char *name, const ehm_affinity_opt *o) { v[(*n)++] = (ehm_tree_kind){.name = name, .o = *o}; }

static void by_similarity(ehm_tree_kind *v, int32_t *n, const ehm_affinity_opt *base) {
    static const struct { const char *name; ehm_sim_kind kind; bool per_head, standardise; } row[] = {
        {"residual per layer", EHM_SIM_RESIDUAL, false, false}, {"residual per head", EHM_SIM_RESIDUAL, true, false},
        {"profile per layer", EHM_SIM_PROFILE, false, false},   {"profile per head", EHM_SIM_PROFILE, true, false},
        {"direct", EHM_SIM_DIRECT, false, false},               {"direct standardised", EHM_SIM_DIRECT, false, true},
        {"balanced", EHM_SIM_BALANCED, false, false}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        ehm_affinity_opt o = *base;
        o.kind = row[i].kind, o.per_head = row[i].per_head, o.standardise = row[i].standardise;
        add_kind(v, n, row[i].name, &o);
    }
}

static bool by_layers(ehm_tree_kind *v, int32_t *n, const ehm_affinity_opt *base, int32_t depth, ehm_arena *a) {
    ehm_affinity_opt o = *base;
    for (int32_t i = 0; i < depth; i++) {
        char *name = ehm_arena_printf(a, "layer %d", i);
        if (!name) return false;
        o.n_layers = 1, o.layer[0] = i;
        add_kind(v, n, name, &o);
    }
    for (int32_t i = 0; i < depth; i++) o.layer[i] = i;
    o.n_layers = depth;
    add_kind(v, n, "all layers", &o);
    o.n_layers = (2 * depth + 3) / 6; /* as --tree-layers first:1/3 */
    if (o.n_layers < 2) o.n_layers = depth < 2 ? 1 : 2;
    char *third = ehm_arena_printf(a, "first third (%d)", o.n_layers);
    if (third) add_kind(v, n, third, &o);
    return third != NULL;
}

/* What a tree may be made of: attention of each layer in two ways, hidden states after each. The sources that look at no model are the pass's own. */
static bool by_source(ehm_tree_kind *v, int32_t *n, const ehm_affinity_opt *base, int32_t depth, ehm_arena *a) {
    static const struct { const char *name; ehm_sim_kind kind; } way[] = {{"profile", EHM_SIM_PROFILE}, {"direct", EHM_SIM_DIRECT}};
    add_kind(v, n, "own", base);
    for (int w = 0; w < 2; w++)
        for (int32_t i = 0; i < depth; i++) {
            ehm_affinity_opt o = *base;
            char *name = ehm_arena_printf(a, "%s, layer %d", way[w].name, i);
            if (!name) return false;
            o.kind = way[w].kind, o.per_head = o.standardise = false, o.n_layers = 1, o.layer[0] = i;
            add_kind(v, n, name, &o);
        }
    for (int32_t i = 0; i <= depth; i++) {
        char *name = i < depth ? ehm_arena_printf(a, "hidden, layer %d", i) : ehm_arena_strdup(a, "hidden, final norm");
        if (!name) return false;
        add_kind(v, n, name, base);
        v[*n - 1].hidden = i < depth ? i + 1 : EHM_TREE_LAST_HIDDEN;
    }
    return true;
}

static ehm_code kinds_of(ehm_tree_kind *v, int32_t *n, const ehm_config *c, const ehm_vit_shape *s, ehm_arena *a, ehm_err *err) {
    ehm_affinity_opt o;
    if (is_by(c, "agreement")) return ehm_agreement_kinds(v, n, c, s, a, err);
    EHM_TRY(ehm_affinity_opt_of(&o, c, s, err));
    *n = 0;
    if (!c->by) add_kind(v, n, "own", &o);
    else if (!strcmp(c->by, "similarity")) by_similarity(v, n, &o);
    else if (!strcmp(c->by, "source") ? !by_source(v, n, &o, s->depth, a) : !by_layers(v, n, &o, s->depth, a)) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table");
    return EHM_OK;
}

/* ---- the table ---- */

typedef struct {
    ehm_eval_out *out;
    ehm_arena *a;
    const char *model;
    const ehm_tree_pass *p;
    const int64_t *keep; /* [n_keep] pictures that count */
    int64_t n_keep;
} table;

static ehm_code add(table *t, const char *what, int32_t metric, const float *x, const float *minus, ehm_err *err) {
    float *items = EHM_NEW_N(t->a, float, t->n_keep);
    ehm_eval_row *r = ehm_eval_add_row(t->out, t->a);
    if (!items || !r || !what) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table");
    for (int64_t i = 0; i < t->n_keep; i++) items[i] = x[t->keep[i]] - (minus ? minus[t->keep[i]] : 0);
    *r = (ehm_eval_row){.model = t->model, .what = what, .i_metric = metric, .items = items};
    return EHM_OK;
}

static ehm_code add_fits(table *t, bool own, ehm_err *err) {
    const ehm_tree_pass *p = t->p;
    const ehm_tree_kind *k = &p->kinds[0];
    for (int32_t i = 0; i < 3; i++) {
        EHM_TRY(add(t, "own", BEST_NODE + i, k->fit.of[i], NULL, err));
        EHM_TRY(add(t, "swapped", BEST_NODE + i, k->swapped_fit.of[i], NULL, err));
        if (!own) continue;
        EHM_TRY(add(t, "spatial", BEST_NODE + i, p->spatial_fit.of[i], NULL, err));
        EHM_TRY(add(t, "pixels", BEST_NODE + i, p->pixels_fit.of[i], NULL, err));
        EHM_TRY(add(t, "noise", BEST_NODE + i, p->noise_fit.of[i], NULL, err));
    }
    return EHM_OK;
}

static ehm_code one_kind(table *t, bool own, ehm_err *err) {
    const ehm_tree_pass *p = t->p;
    const ehm_tree_kind *k = &p->kinds[0];
    if (p->has_labels) {
        EHM_TRY(add(t, "own", PURITY, k->purity, NULL, err));
        EHM_TRY(add(t, "swapped", PURITY, k->swapped, NULL, err));
        EHM_TRY(add(t, "moved", PURITY, k->moved, NULL, err));
        if (own) { /* these look at no model */
            EHM_TRY(add(t, "spatial", PURITY, p->spatial, NULL, err));
            EHM_TRY(add(t, "pixels", PURITY, p->pixels, NULL, err));
            EHM_TRY(add(t, "noise", PURITY, p->noise, NULL, err));
            t->out->i_best = t->out->n_rows;
        }
        EHM_TRY(add(t, "own - swapped", PURITY, k->purity, k->swapped, err));
        EHM_TRY(add(t, "own - moved", PURITY, k->purity, k->moved, err));
        EHM_TRY(add_fits(t, own, err));
    }
    EHM_TRY(add(t, ehm_arena_printf(t->a, "at %d nodes", p->k_end), SHARE, k->share, NULL, err));
    if (p->has_halves) {
        if (own && !p->has_labels) t->out->i_best = t->out->n_rows;
        EHM_TRY(add(t, "odd and even layers", AGREEMENT, p->split, NULL, err));
    }
    EHM_TRY(add(t, "mirror image", AGREEMENT, p->flip, NULL, err));
    EHM_TRY(add(t, "next picture", AGREEMENT, k->position, NULL, err));
    EHM_TRY(add(t, "mirror - next", AGREEMENT, p->flip, k->position, err));
    EHM_TRY(add(t, "similarity", POPULARITY, k->popularity, NULL, err));
    EHM_TRY(add(t, "attention", SINK, p->sink, NULL, err));
    for (int32_t i = 0; i < p->depth; i++) EHM_TRY(add(t, ehm_arena_printf(t->a, "layer %d", i), ENTROPY, p->entropy + i * p->n, NULL, err));
    return EHM_OK;
}

static ehm_code many_kinds(table *t, ehm_err *err) {
    for (int32_t i = 0; i < t->p->n_kinds; i++) {
        const ehm_tree_kind *k = &t->p->kinds[i];
        if (t->p->has_labels) {
            EHM_TRY(add(t, k->name, PURITY, k->purity, NULL, err));
            EHM_TRY(add(t, k->name, SWAPPED, k->swapped, NULL, err));
            EHM_TRY(add(t, k->name, MINUS_SWAPPED, k->purity, k->swapped, err));
            EHM_TRY(add(t, k->name, MINUS_MOVED, k->purity, k->moved, err));
        }
        EHM_TRY(add(t, k->name, SHARE, k->share, NULL, err));
        if (t->p->has_labels) continue; /* as much as a line holds */
        EHM_TRY(add(t, k->name, AGREEMENT, k->position, NULL, err));
        EHM_TRY(add(t, k->name, POPULARITY, k->popularity, NULL, err));
    }
    return EHM_OK;
}

static ehm_code add_source(table *t, const char *what, const float *purity, const ehm_tree_fits *fit, ehm_err *err) {
    EHM_TRY(add(t, what, PURITY, purity, NULL, err));
    for (int32_t i = 0; i < 3; i++) EHM_TRY(add(t, what, BEST_NODE + i, fit->of[i], NULL, err));
    return EHM_OK;
}

/* --by source: every tree against the same labels. */
static ehm_code sources(table *t, bool own, ehm_err *err) {
    const ehm_tree_pass *p = t->p;
    for (int32_t i = 0; i < p->n_kinds; i++) EHM_TRY(add_source(t, p->kinds[i].name, p->kinds[i].purity, &p->kinds[i].fit, err));
    if (own) t->out->i_best = BEST_NODE - PURITY; /* of the first kind */
    EHM_TRY(add_source(t, "own, swapped", p->kinds[0].swapped, &p->kinds[0].swapped_fit, err));
    if (!own) return EHM_OK; /* the rest looks at no model */
    EHM_TRY(add_source(t, "pixels", p->pixels, &p->pixels_fit, err));
    EHM_TRY(add_source(t, "coordinates", p->spatial, &p->spatial_fit, err));
    return add_source(t, "noise", p->noise, &p->noise_fit, err);
}

/* --by agreement: what each set of layers keeps of all layers' trees. */
static ehm_code agreements(table *t, ehm_err *err) {
    const ehm_tree_pass *p = t->p;
    for (int32_t i = 0; i < p->n_kinds; i++) {
        const ehm_tree_kind *k = &p->kinds[i];
        if (!ehm_agreement_is_row(p, i)) continue;
        if (p->has_labels && k->partner == p->kinds) EHM_TRY(add(t, k->name, MINUS_SWAPPED, k->purity, k->swapped, err));
        for (int32_t l = 0; l < EHM_TREE_LEVELS; l++) EHM_TRY(add(t, k->name, AT_LEVEL + l, k->agree[l], NULL, err));
    }
    return EHM_OK;
}

static ehm_code add_table(table *t, const char *by, bool own, ehm_err *err) {
    return t->p->agreement ? agreements(t, err) : !by ? one_kind(t, own, err) : !strcmp(by, "source") ? sources(t, own, err) : many_kinds(t, err);
}

/* Mean and interval over the pictures that have the number. */
static ehm_code interval_of(double v[3], const float *items, int64_t n, float *room, ehm_err *err) {
    int64_t n_finite = 0;
    const float *all = room;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(items[i])) room[n_finite++] = items[i];
    v[0] = v[1] = v[2] = NAN;
    return n_finite ? ehm_bootstrap(v, v + 1, v + 2, &all, 1, n_finite, 0, err) : EHM_OK;
}

static ehm_code intervals(ehm_eval_out *out, int32_t n_own, ehm_err *err) {
    int64_t n = out->n_items;
    float *room = malloc(sizeof(float) * (size_t)n), *diff = malloc(sizeof(float) * (size_t)n);
    ehm_code rc = room && diff ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for intervals");
    for (int32_t i = 0; i < out->n_rows && !rc; i++) {
        ehm_eval_row *r = &out->rows[i];
        double v[3];
        if ((rc = interval_of(v, r->items, n, room, err))) break;
        r->value = v[0], r->lo = v[1], r->hi = v[2];
        for (int32_t k = n_own; k < out->n_rows && i < n_own && !rc; k++) {
            const ehm_eval_row *other = &out->rows[k];
            if (other->i_metric != r->i_metric || strcmp(other->what, r->what)) continue;
            for (int64_t x = 0; x < n; x++) diff[x] = r->items[x] - other->items[x];
            rc = interval_of(v, diff, n, room, err);
            r->has_diff = isfinite(v[0]), r->diff = v[0], r->diff_lo = v[1], r->diff_hi = v[2];
        }
    }
    free(room), free(diff);
    return rc;
}

/* The rule by which defaults are chosen: most own - swapped where the tree is no giant with singletons. */
static void choose(ehm_eval_out *out, int32_t n_own) {
    double best = -INFINITY;
    for (int32_t i = 0; i + 2 < n_own; i++) {
        if (out->rows[i].i_metric != MINUS_SWAPPED || out->rows[i + 2].i_metric != SHARE) continue;
        if (out->rows[i + 2].value >= 0.5 && out->rows[i].value > best) best = out->rows[i].value, out->i_best = i;
    }
}

/* ---- a line for each picture ---- */

static void add_cell(ehm_str *s, const char *text) { /* names come from outside: a tab in one would shift the columns */
    for (; *text; text++) ehm_str_addc(s, (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text);
}

static ehm_code write_lines(const table *t, int32_t n_own, ehm_dataset *ds, const char *path, ehm_err *err) {
    ehm_str s = {0};
    ehm_str_add(&s, "file");
    for (int32_t r = 0; r < n_own; r++) {
        ehm_str_addc(&s, '\t'), add_cell(&s, t->out->rows[r].what);
        ehm_str_addc(&s, ' '), add_cell(&s, metrics[t->out->rows[r].i_metric].name);
    }
    for (int64_t i = 0; i < t->n_keep; i++) {
        ehm_str_addc(&s, '\n');
        add_cell(&s, ehm_dataset_name(ds, t->p->ids[t->keep[i]]));
        for (int32_t r = 0; r < n_own; r++) {
            float v = t->out->rows[r].items[i];
            if (isfinite(v)) ehm_str_addf(&s, "\t%.6g", (double)v);
            else ehm_str_add(&s, "\tnan");
        }
    }
    ehm_str_addc(&s, '\n');
    ehm_code rc = s.failed ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for %s", path) : ehm_dir_make_for(path, err);
    if (!rc) rc = ehm_file_write(path, ehm_str_c(&s), s.len, err);
    ehm_str_free(&s);
    return rc;
}

/* ---- the task ---- */

static ehm_code check(const ehm_config *c, ehm_err *err) {
    if (!c->model) return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder, a safetensors file or untrained:PRESET");
    if (c->train.n) {
        EHM_HINT(err, "give the pictures as --test");
        return EHM_FAIL(err, EHM_E_CONFIG, "--train %s: nothing is learned from pictures here", c->train.v[0]);
    }
    if (!c->test.n) {
        EHM_FAIL(err, EHM_E_CONFIG, "--test is missing: the pictures whose trees are looked at");
        return EHM_HINT(err, "for example --test scenes:2:500; sets with label maps tell the purity too"), EHM_E_CONFIG;
    }
    return EHM_OK;
}

/* One model: its own settings, its own input size, the same pictures and crops. */
static ehm_code look(ehm_tree_pass *p, ehm_model **m, ehm_dataset **ds, const char *spec, const ehm_config *c, ehm_arena *a, ehm_err *err) {
    ehm_model_opt opt = {.device = c->device,
                         .threads = EHM_IS_AUTO(c->threads) ? 0 : (int32_t)c->threads,
                         .dtype = c->dtype,
                         .batch = EHM_IS_AUTO(c->eval_batch_size) ? 0 : (int32_t)c->eval_batch_size};
    ehm_config own = *c;
    EHM_TRY(ehm_model_open(m, spec, &opt, err));
    EHM_TRY(ehm_model_takes_channels(*m, c->channels, err));
    EHM_TRY(ehm_model_settings(*m, &own, "tree,linkage,mask,transform,crop,fit", a, err));
    int32_t channels = ehm_model_shape(*m)->channels;
    if (*ds && ehm_dataset_channels(*ds) != channels)
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s takes %d channels and %s takes %d: they cannot look at the same pictures", c->model,
                        ehm_dataset_channels(*ds), spec, channels);
    if (!*ds) {
        ehm_dataset_opt d = {.channels = channels,
                             .alpha = c->alpha,
                             .max_pixels = c->max_pixels,
                             .cache_dir = c->cache,
                             .ignore_label = -1,
                             .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
        EHM_TRY(ehm_dataset_open(ds, &c->test, &d, err));
    }
    p->kinds = EHM_NEW_N(a, ehm_tree_kind, KINDS_MAX);
    if (!p->kinds) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table");
    EHM_TRY(kinds_of(p->kinds, &p->n_kinds, &own, ehm_model_shape(*m), a, err));
    p->controls = !c->by, p->baselines = is_by(c, "source"), p->agreement = is_by(c, "agreement"), p->level = c->level;
    if (p->baselines && !ehm_dataset_n_map_classes(*ds)) {
        EHM_FAIL(err, EHM_E_MISMATCH, "%s has no label maps, and --by source compares trees with them", ehm_dataset_spec(*ds));
        return EHM_HINT(err, "--by layers, --by similarity and --by agreement have measures that need none"), EHM_E_MISMATCH;
    }
    return ehm_tree_pass_run(p, *m, *ds, &own, err);
}

static ehm_code same_pictures(const ehm_tree_pass *p, const ehm_tree_pass *q, const ehm_config *c, ehm_err *err) {
    if (p->n == q->n && !memcmp(p->ids, q->ids, sizeof *p->ids * (size_t)p->n)) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s saw %lld pictures and %s saw %lld, or others: they cannot be paired", c->model, (long long)p->n, c->against,
                    (long long)q->n);
}

/* Pictures that count: with labels, those where two patches share one (under both models' grids). */
static ehm_code keep_of(table *t, const ehm_tree_pass *p, const ehm_tree_pass *q, const char *spec, ehm_err *err) {
    int64_t *keep = EHM_NEW_N(t->a, int64_t, p->n);
    if (!keep) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table");
    for (int64_t i = 0; i < p->n; i++)
        if (!p->has_labels || (isfinite(p->kinds[0].purity[i]) && (!q || isfinite(q->kinds[0].purity[i])))) keep[t->n_keep++] = i;
    t->keep = keep;
    if (!t->n_keep) return EHM_FAIL(err, EHM_E_CONFIG, "%s: no picture of %lld has two patches with the same label", spec, (long long)p->n);
    return EHM_OK;
}

static void add_notes(ehm_eval_out *out, const table *t, const ehm_config *c, ehm_dataset *ds, ehm_arena *a) {
    const ehm_tree_pass *p = t->p;
    if (!p->has_labels) ehm_eval_note(out, a, "%s has no label maps: purity is left out, what needs no labels is shown", ehm_dataset_spec(ds));
    else if (t->n_keep < p->n) ehm_eval_note(out, a, "%lld of %lld pictures have no two patches with the same label and are left out", (long long)(p->n - t->n_keep), (long long)p->n);
    if (p->n_bad) ehm_eval_note(out, a, "%lld pictures cannot be read and are left out (ehm data --check names them)", (long long)p->n_bad);
    for (int32_t i = 0; i < p->n_kinds; i++) {
        if (!p->kinds[i].n_flat) continue;
        ehm_eval_note(out, a, "%lld of %lld similarities (%s) hold no information", (long long)p->kinds[i].n_flat, (long long)p->n, p->kinds[i].name);
        break;
    }
    ehm_str fell = {0};
    int32_t n_fell = 0;
    for (int32_t i = 0; i < p->n_kinds; i++)
        if (p->kinds[i].fell_back) ehm_str_addf(&fell, "%s%s", n_fell++ ? ", " : "", p->kinds[i].name);
    if (n_fell) ehm_eval_note(out, a, "%s has no mean attention of these layers beside it; profile stands for residual: %s", t->model, p->agreement ? "every row" : ehm_str_c(&fell));
    ehm_str_free(&fell);
    if (p->agreement) ehm_eval_note(out, a, "K at u = 0.25, 0.5, 1: %d, %d, %d of %d patches; < is the cheapest that keeps", (int)p->k_at[0], (int)p->k_at[1], (int)p->k_at[2], (int)p->n_patches);
    if (p->controls ? !p->has_halves : p->agreement && p->depth < 2) ehm_eval_note(out, a, "one layer has no halves to compare");
    if (p->controls && t->n_keep > EHM_TREE_ENTROPY_PICTURES) ehm_eval_note(out, a, "entropy is of the first %d pictures", EHM_TREE_ENTROPY_PICTURES);
    if (p->baselines && p->has_labels && p->n_patches <= EHM_TREE_CUT_MOST)
        ehm_eval_note(out, a, "best cut IoU is 1 for any tree of %d patches, for cuts of up to %d nodes come down to single ones: look at the other two",
                      p->n_patches, EHM_TREE_CUT_MOST);
    if (c->by && p->has_labels && !p->baselines && !p->agreement) ehm_eval_note(out, a, "< is the most own - swapped among those with K_eff / K of 0.5 or more");
}

static ehm_code run_tree(ehm_eval_out *out, const ehm_eval_in *in, ehm_arena *a, ehm_err *err) {
    const ehm_config *c = in->config;
    ehm_tree_pass p = {0}, q = {0};
    ehm_model *m = NULL;
    ehm_dataset *ds = NULL;
    ehm_code rc;
    out->task = "tree", out->metrics = metrics, out->n_metrics = sizeof metrics / sizeof *metrics, out->i_best = -1;
    out->what_title = c->by ? c->by : "what", out->wide = c->by != NULL;
    out->protocol = "protocol: random crops as in training; dendrogram purity (Heller and Ghahramani 2005) over all pairs of patches with the same label, a patch's "
                    "label being its pixels' majority; swapped: the next picture's tree, moved: the own tree shifted and turned, spatial: positions, pixels: colours and "
                    "positions, noise: nothing; best node IoU: mean over a picture's labels of the best intersection over union of any node; best cut IoU: the best mean "
                    "over labels of cuts into 2 to 64 nodes, each named by its majority; label cut IoU: the cut into as many nodes as labels; K_eff = N^2 / sum of squared node sizes; agreement: adjusted Rand index of the cuts at k_end; popularity: R^2 of "
                    "u_i + u_j in the similarity; sink index: largest column sum over the mean one; entropy: of mean attention, over log N; intervals: bootstrap "
                    "over pictures, 2,000 draws (training seeds are not covered)";
    if (is_by(c, "agreement")) out->protocol = ehm_agreement_protocol, out->what_title = "layers: verdict";
    EHM_TRY(check(c, err));
    table t = {.out = out, .a = a, .model = c->model, .p = &p};
    if ((rc = look(&p, &m, &ds, c->model, c, a, err))) goto done;
    if (c->against) {
        ehm_model_close(m);
        m = NULL;
        if ((rc = look(&q, &m, &ds, c->against, c, a, err)) || (rc = same_pictures(&p, &q, c, err))) goto done;
    }
    if ((rc = keep_of(&t, &p, c->against ? &q : NULL, ehm_dataset_spec(ds), err))) goto done;
    out->n_items = t.n_keep;
    if ((rc = add_table(&t, c->by, true, err))) goto done;
    int32_t n_own = out->n_rows;
    if (c->predictions && (rc = write_lines(&t, n_own, ds, c->predictions, err))) goto done;
    add_notes(out, &t, c, ds, a);
    if (c->against) {
        t.p = &q, t.model = c->against;
        if ((rc = add_table(&t, c->by, false, err))) goto done;
        for (int32_t i = 0; i < q.n_kinds; i++)
            if (q.kinds[i].fell_back) {
                ehm_eval_note(out, a, "%s has no mean attention of these layers beside it; profile stands for residual", c->against);
                break;
            }
    }
    if ((rc = intervals(out, n_own, err))) goto done;
    if (p.agreement) {
        static const ehm_agreement_columns columns = {MINUS_SWAPPED, AT_LEVEL};
        if (c->against) ehm_agreement_verdicts(out, n_own, out->n_rows, &columns, &q, a);
        out->i_best = ehm_agreement_verdicts(out, 0, n_own, &columns, &p, a);
    } else if (c->by && !p.baselines) choose(out, n_own);
done:
    ehm_tree_pass_free(&p);
    ehm_tree_pass_free(&q);
    ehm_dataset_close(ds);
    ehm_model_close(m);
    return rc;
}

const ehm_eval_task ehm_eval_task_tree = {
    .name = "tree",
    .summary = "trees of the model's attention: purity beside controls, and what needs no labels",
    .source = "ours; purity: Heller and Ghahramani 2005",
    .metrics = metrics,
    .n_metrics = sizeof metrics / sizeof *metrics,
    .groups = "treeval,tree,linkage,mask",
    .run = run_tree,
};
