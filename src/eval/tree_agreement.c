/* A cheaper teacher keeps the trees where they are as near to those of all layers as halves of the layers are to each other: nearer than 0.9 of that nobody
 * should ask for, because all layers do not agree better with themselves. */
#include "eval/tree_agreement_int.h"
#include "eval/tree_measures.h"
#include <math.h>
#include <string.h>

const char ehm_agreement_protocol[] =
    "protocol: random crops as in training; ARI: adjusted Rand index of the cuts of two trees of a picture, cut with the model's own --cut at the K that its --schedule "
    "gives at progress u = 0.25, 0.5, 1 (without jitter), the tree of these layers against that of all layers, and in the row of odd and even layers these against "
    "each other; own - swapped: dendrogram purity (Heller and Ghahramani 2005) of the own tree less that of the next picture's; keeps: each of the three mean ARIs is at "
    "least 0.9 of odd and even layers' mean at the same u and, where there are pixel labels, the mean own - swapped at least 0.95 of the lower end of all layers' interval; "
    "trade: otherwise; intervals: bootstrap over pictures, 2,000 draws (training seeds are not covered)";

static const double AGREE_SHARE = 0.9, OWN_SHARE = 0.95; /* fixed before any was measured */

/* ---- which layers ---- */

static bool same_layers(const ehm_affinity_opt *a, const ehm_affinity_opt *b) {
    return a->n_layers == b->n_layers && !memcmp(a->layer, b->layer, sizeof *a->layer * (size_t)a->n_layers);
}

static bool is_there(const ehm_tree_kind *v, int32_t n, const ehm_affinity_opt *o) {
    for (int32_t i = 0; i < n; i++)
        if (same_layers(&v[i].o, o)) return true;
    return false;
}

static ehm_code layers(ehm_affinity_opt *o, const char *text, const ehm_config *cfg, const ehm_vit_shape *s, ehm_err *err) {
    ehm_config c = *cfg;
    c.tree_layers = text;
    return ehm_affinity_opt_of(o, &c, s, err);
}

static void add_kind(ehm_tree_kind *v, int32_t *n, const ehm_affinity_opt *o, const char *name, const ehm_tree_kind *partner) {
    v[(*n)++] = (ehm_tree_kind){.name = name, .o = *o, .partner = partner};
}

ehm_code ehm_agreement_kinds(ehm_tree_kind *v, int32_t *n, const ehm_config *cfg, const ehm_vit_shape *s, ehm_arena *a, ehm_err *err) {
    static const struct { const char *layers, *name; } row[] = {{"first:1/6", "first 1/6 (%d)"}, {"first:1/3", "first 1/3 (%d)"}, {"first:1/2", "first 1/2 (%d)"},
                                                                {"last", "last"}};
    ehm_affinity_opt all, third, o, even;
    bool named = true;
    *n = 0;
    EHM_TRY(layers(&all, "all", cfg, s, err));
    EHM_TRY(layers(&third, "first:1/3", cfg, s, err));
    add_kind(v, n, &all, "all layers", v);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        EHM_TRY(layers(&o, row[i].layers, cfg, s, err));
        if (is_there(v, *n, &o) || (!i && same_layers(&o, &third))) continue; /* a few blocks: the default's name for what both are */
        char *name = ehm_arena_printf(a, row[i].name, (int)o.n_layers);
        named &= name != NULL;
        add_kind(v, n, &o, name, v);
    }
    EHM_TRY(ehm_affinity_opt_of(&o, cfg, s, err));
    if (!is_there(v, *n, &o)) {
        char *name = ehm_arena_printf(a, "%s (own)", cfg->tree_layers);
        named &= name != NULL;
        add_kind(v, n, &o, name, v);
    }
    if (ehm_affinity_halves(&o, &even, &all)) {
        add_kind(v, n, &o, "odd and even layers", v + *n + 1);
        add_kind(v, n, &even, "even layers", NULL);
    }
    return named ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for the table");
}

bool ehm_agreement_is_row(const ehm_tree_pass *p, int32_t i_kind) { return p->kinds[i_kind].partner != NULL; }

/* ---- verdicts ---- */

ehm_agreement_need ehm_agreement_need_of(const double halves[EHM_TREE_LEVELS], double all_lo) {
    ehm_agreement_need need = {.own = OWN_SHARE * all_lo};
    for (int32_t l = 0; l < EHM_TREE_LEVELS; l++) need.agree[l] = AGREE_SHARE * halves[l];
    return need;
}

static bool short_of(double value, double need) { return isfinite(need) && !(value >= need); }

bool ehm_agreement_keeps(const double agree[EHM_TREE_LEVELS], double own, const ehm_agreement_need *need) {
    for (int32_t l = 0; l < EHM_TREE_LEVELS; l++)
        if (short_of(agree[l], need->agree[l])) return false;
    return !short_of(own, need->own);
}

/* The numbers of a kind in the table; NAN where it has none. */
typedef struct {
    int32_t first, end;
    double agree[EHM_TREE_LEVELS], own, own_lo;
} line;

static line line_of(const ehm_eval_out *out, int32_t begin, int32_t end, const char *name, const ehm_agreement_columns *c) {
    line r = {.first = begin, .agree = {NAN, NAN, NAN}, .own = NAN, .own_lo = NAN};
    while (r.first < end && strcmp(out->rows[r.first].what, name)) r.first++;
    for (r.end = r.first; r.end < end && !strcmp(out->rows[r.end].what, name); r.end++) {
        const ehm_eval_row *row = &out->rows[r.end];
        int32_t l = row->i_metric - c->agree;
        if (row->i_metric == c->own) r.own = row->value, r.own_lo = row->lo;
        else if (l >= 0 && l < EHM_TREE_LEVELS) r.agree[l] = row->value;
    }
    return r;
}

static void say_trade(ehm_eval_out *out, const line *r, const ehm_agreement_need *need, ehm_arena *a) {
    const ehm_eval_row *row = &out->rows[r->first];
    ehm_str s = {0};
    for (int32_t l = 0; l < EHM_TREE_LEVELS; l++)
        if (short_of(r->agree[l], need->agree[l]))
            ehm_str_addf(&s, "%sARI at u %g is %.3f of %.3f needed", s.len ? ", " : "", (double)ehm_tree_levels[l], r->agree[l], need->agree[l]);
    if (short_of(r->own, need->own)) ehm_str_addf(&s, "%sown - swapped is %.3f of %.3f needed", s.len ? ", " : "", r->own, need->own);
    ehm_eval_note(out, a, "%s, %s: %s", row->model, row->what, ehm_str_c(&s));
    ehm_str_free(&s);
}

static bool cheaper(const ehm_affinity_opt *a, const ehm_affinity_opt *b) {
    int32_t x = a->layer[a->n_layers - 1], y = b->layer[b->n_layers - 1]; /* blocks behind the last are not run */
    return x != y ? x < y : a->n_layers < b->n_layers;
}

int32_t ehm_agreement_verdicts(ehm_eval_out *out, int32_t begin, int32_t end, const ehm_agreement_columns *c, const ehm_tree_pass *p, ehm_arena *a) {
    const ehm_tree_kind *halves = &p->kinds[p->n_kinds - 1], *best = &p->kinds[0];
    line all = line_of(out, begin, end, best->name, c);
    int32_t i_best = all.first;
    if (halves->partner) return i_best; /* no even layers at the end: one layer has no halves */
    line reference = line_of(out, begin, end, (halves - 1)->name, c);
    ehm_agreement_need need = ehm_agreement_need_of(reference.agree, all.own_lo);
    for (int32_t k = 1; k < p->n_kinds - 2; k++) {
        const ehm_tree_kind *kind = &p->kinds[k];
        line r = line_of(out, begin, end, kind->name, c);
        bool keeps = ehm_agreement_keeps(r.agree, r.own, &need);
        if (!keeps) say_trade(out, &r, &need, a);
        char *what = ehm_arena_printf(a, "%s: %s", kind->name, keeps ? "keeps" : "trade");
        for (int32_t i = r.first; what && i < r.end; i++) out->rows[i].what = what;
        if (keeps && cheaper(&kind->o, &best->o)) best = kind, i_best = r.first;
    }
    return i_best;
}
