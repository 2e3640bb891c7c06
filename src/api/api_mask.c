/* Masks over the flat interface: a rule with its settings, the numbers of the pictures at hand, and what is drawn of them. */
#include "api/api_int.h"
#include "base/str.h"
#include "draw/study.h"
#include "mask/mask_file.h"
#include "mask/tree_mask.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- rules ---- */

/* Names of what a rule may need, by bit; labels have a function of their own. */
enum { SIMILARITY, OTHER, ATTENTION, CLS, SCORE, LOSS, COLOUR, LABELS, KINDS };
static const struct { const char *name; uint32_t bit; } kind[KINDS] = {
    [SIMILARITY] = {"similarity", EHM_MASK_NEEDS_SIMILARITY}, [OTHER] = {"similarity_other", EHM_MASK_NEEDS_OTHER},
    [ATTENTION] = {"attention", EHM_MASK_NEEDS_ATTENTION},    [CLS] = {"cls_attention", EHM_MASK_NEEDS_CLS},
    [SCORE] = {"score", EHM_MASK_NEEDS_SCORE},                [LOSS] = {"loss", EHM_MASK_NEEDS_LOSS},
    [COLOUR] = {"colour", EHM_MASK_NEEDS_COLOUR},             [LABELS] = {"labels", EHM_MASK_NEEDS_LABELS},
};
enum { NAMES = 128 };

static const char *names_of(char out[NAMES], uint32_t needs) {
    size_t at = 0;
    out[0] = 0;
    for (int32_t i = 0; i < KINDS; i++) {
        if (!(needs & kind[i].bit)) continue;
        if (at) out[at++] = ',';
        size_t n = strlen(kind[i].name);
        memcpy(out + at, kind[i].name, n + 1);
        at += n;
    }
    return out;
}

int32_t ehm_api_rule_count(void) {
    int32_t n = 0;
    while (ehm_mask_rules[n]) n++;
    return n;
}

/* Which names a rule's default settings may need, as one static text: there are few such sets. */
static const char *needs_text(const ehm_mask_rule *r) {
    static const struct { uint32_t needs; const char *text; } known[] = {
        {0, ""},
        {EHM_MASK_NEEDS_SIMILARITY, "similarity"},
        {EHM_MASK_NEEDS_ATTENTION, "attention"},
        {EHM_MASK_NEEDS_CLS, "cls_attention"},
        {EHM_MASK_NEEDS_SCORE, "score"},
        {EHM_MASK_NEEDS_LOSS, "loss"},
        {EHM_MASK_NEEDS_COLOUR, "colour"},
        {EHM_MASK_NEEDS_LABELS, "labels"},
        {EHM_MASK_NEEDS_ATTENTION | EHM_MASK_NEEDS_CLS, "attention,cls_attention"},
    };
    uint32_t needs = ehm_mask_needs_ever(r, NULL, NULL, 196);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].needs == needs) return known[i].text;
    return NULL;
}

const char *ehm_api_rule_text(int32_t i, const char *name) {
    if (!name || i < 0 || i >= ehm_api_rule_count()) return NULL;
    const ehm_mask_rule *r = ehm_mask_rules[i];
    if (!strcmp(name, "name")) return r->name;
    if (!strcmp(name, "summary")) return r->summary;
    if (!strcmp(name, "source")) return r->source;
    if (!strcmp(name, "args")) return r->args;
    if (!strcmp(name, "details")) return r->details;
    return strcmp(name, "needs") ? NULL : needs_text(r);
}

/* ---- maskers ---- */

typedef struct {
    float *v;           /* [n_pictures, each]; NULL: not given */
    int64_t n_pictures;
    size_t each;
    int32_t width;
} numbers;

struct ehm_api_masker {
    ehm_arena texts;            /* of settings; grows with each string that is set */
    ehm_config cfg;
    ehm_mask_settings set;
    const ehm_mask_rule *rule;
    const char *arg;
    int32_t grid_h, grid_w, n;
    numbers given[KINDS];       /* LABELS: its numbers are int32_t of the same size */
    ehm_mask_file *file;        /* scores, or similarities for --tree-source file */
    bool file_pairs;
    char names[NAMES];
};

void ehm_api_masker_close(ehm_api_masker *k) {
    if (!k) return;
    for (int32_t i = 0; i < KINDS; i++) free(k->given[i].v);
    ehm_mask_file_close(k->file);
    ehm_arena_free(&k->texts);
    free(k);
}

/* What the settings say, once they have changed; k is only changed where all is well. */
static ehm_code apply(ehm_api_masker *k, const ehm_config *c, ehm_err *err) {
    ehm_mask_settings set;
    ehm_mask_file *file = NULL;
    EHM_TRY(ehm_mask_settings_of(&set, c, err));
    bool pairs = set.tree_source == EHM_SOURCE_FILE;
    if (c->mask_file)
        EHM_TRY(ehm_mask_file_open(&file, c->mask_file, pairs ? EHM_FILE_PAIRS : EHM_FILE_PATCHES, k->grid_h, k->grid_w, 0, err));
    ehm_mask_file_close(k->file);
    k->file = file, k->file_pairs = pairs, k->set = set, k->cfg = *c;
    return EHM_OK;
}

/* m NULL: of a grid. */
static ehm_code make(ehm_api_masker *k, const ehm_api_model *m, const char *rule, const char *const *settings, int32_t n_settings, ehm_err *err) {
    ehm_config c;
    ehm_config_init(&c);
    EHM_TRY(ehm_api_settings(&c, ehm_api_mask_keys, settings, n_settings, &k->texts, err));
    if (m) EHM_TRY(ehm_model_settings(m->m, &c, "mask,tree,linkage", &k->texts, err));
    const char *spec = ehm_arena_strdup(&k->texts, rule ? rule : c.mask);
    if (!spec) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a masker");
    if (!(k->rule = ehm_mask_rule_find(spec, &k->arg, err))) return EHM_E_CONFIG;
    return apply(k, &c, err);
}

static ehm_code masker_open(ehm_api_masker **out, const ehm_api_model *m, const char *rule, int32_t grid_h, int32_t grid_w,
                            const char *const *settings, int32_t n_settings, ehm_err *err) {
    enum { GRID_SIDE_MAX = 1024 };
    EHM_TRY(ehm_api_given(out, "out", err));
    *out = NULL;
    if (grid_h < 1 || grid_w < 1 || grid_h > GRID_SIDE_MAX || grid_w > GRID_SIDE_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "a grid of %d x %d patches: each side is 1 to %d", (int)grid_h, (int)grid_w, (int)GRID_SIDE_MAX);
    ehm_api_masker *k = calloc(1, sizeof *k);
    if (!k) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a masker");
    k->grid_h = grid_h, k->grid_w = grid_w, k->n = grid_h * grid_w;
    ehm_code rc = make(k, m, rule, settings, n_settings, err);
    if (rc) ehm_api_masker_close(k);
    else *out = k;
    return rc;
}

int32_t ehm_api_masker_open(ehm_api_masker **out, const char *rule, int32_t grid_h, int32_t grid_w, const char *const *settings,
                            int32_t n_settings, char *message, size_t message_cap) {
    ehm_err err = {0};
    if (out) *out = NULL;
    ehm_code rc = ehm_api_given(rule, "the rule", &err);
    if (!rc) rc = masker_open(out, NULL, rule, grid_h, grid_w, settings, n_settings, &err);
    return ehm_api_say(rc, &err, message, message_cap);
}

static ehm_code open_for(ehm_api_masker **out, const ehm_api_model *m, const char *rule, const char *const *settings, int32_t n_settings,
                         ehm_err *err) {
    if (out) *out = NULL;
    EHM_TRY(ehm_api_given(m, "the model", err));
    const ehm_vit_shape *s = ehm_model_shape(m->m);
    return masker_open(out, m, rule, s->grid_h, s->grid_w, settings, n_settings, err);
}

int32_t ehm_api_masker_open_for(ehm_api_masker **out, const ehm_api_model *m, const char *rule, const char *const *settings,
                                int32_t n_settings, char *message, size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(open_for(out, m, rule, settings, n_settings, &err), &err, message, message_cap);
}

int32_t ehm_api_masker_set(ehm_api_masker *k, const char *setting, char *message, size_t message_cap) {
    ehm_err err = {0};
    ehm_code rc = ehm_api_given(k, "the masker", &err);
    if (!rc) rc = ehm_api_given(setting, "setting", &err);
    if (!rc) {
        ehm_config c = k->cfg;
        rc = ehm_api_settings(&c, ehm_api_mask_keys, &setting, 1, &k->texts, &err);
        if (!rc) rc = apply(k, &c, &err);
    }
    return ehm_api_say(rc, &err, message, message_cap);
}

static int32_t n_masked(const ehm_api_masker *k) { return k->n - ehm_mask_n_visible(k->n, k->set.mask_ratio); }
int32_t ehm_api_masker_n_masked(const ehm_api_masker *k) { return k ? n_masked(k) : 0; }

static uint32_t needs_at(const ehm_api_masker *k, double progress) { return ehm_mask_needs(k->rule, &k->set, k->arg, k->n, progress); }
/* What the file gives is not asked of anyone else. */
static uint32_t of_file(const ehm_api_masker *k) { return !k->file ? 0 : k->file_pairs ? EHM_MASK_NEEDS_SIMILARITY : EHM_MASK_NEEDS_SCORE; }

const char *ehm_api_masker_needs(ehm_api_masker *k, double progress) {
    return k ? names_of(k->names, needs_at(k, progress) & ~of_file(k)) : "";
}

/* ---- numbers of pictures ---- */

static void forget(numbers *g) {
    free(g->v);
    *g = (numbers){0};
}

/* Room for n_pictures; what was there goes. */
static ehm_code room(ehm_api_masker *k, int32_t what, int64_t n_pictures, int32_t width, ehm_err *err) {
    size_t n = (size_t)k->n, count, bytes;
    numbers *g = &k->given[what];
    forget(g);
    g->each = what == SIMILARITY || what == OTHER || what == ATTENTION ? n * n : what == COLOUR || what == LABELS ? n * (size_t)width : n;
    if (!ehm_mul_size(&count, g->each, (size_t)n_pictures) || !ehm_mul_size(&bytes, count, sizeof *g->v) || !(g->v = malloc(bytes)))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %s of %lld pictures", kind[what].name, (long long)n_pictures);
    g->n_pictures = n_pictures, g->width = width;
    return EHM_OK;
}

static ehm_code check_finite(const numbers *g, int32_t what, ehm_err *err) {
    for (size_t i = 0; i < g->each * (size_t)g->n_pictures; i++)
        if (!isfinite(g->v[i]) && (what != SIMILARITY && what != OTHER)) /* a diagonal may be anything */
            return EHM_FAIL(err, EHM_E_NUMERIC, "%s: number %zu of picture %zu is %g", kind[what].name, i % g->each, i / g->each,
                            (double)g->v[i]);
    return EHM_OK;
}

/* Rules take it that both halves are equal to the bit. */
static ehm_code make_symmetric(numbers *g, int32_t what, int32_t n, ehm_err *err) {
    for (int64_t p = 0; p < g->n_pictures; p++) {
        float *S = g->v + (size_t)p * g->each;
        ehm_similarity_range range;
        ehm_err why = {0};
        if (ehm_similarity_check(&range, S, EHM_F32, n, 0, &why)) {
            if (strstr(why.hint, "--symmetrise")) EHM_HINT(err, "take the mean of it and its transpose");
            EHM_FAIL(err, why.code, "%s", why.what);
            EHM_WHILE(err, "taking %s of picture %lld", kind[what].name, (long long)p);
            return why.code;
        }
        for (int32_t i = 0; i < n; i++) {
            S[(size_t)i * (size_t)n + (size_t)i] = 0;
            for (int32_t j = 0; j < i; j++) {
                float *a = &S[(size_t)i * (size_t)n + (size_t)j], *b = &S[(size_t)j * (size_t)n + (size_t)i];
                *a = *b = (float)(((double)*a + (double)*b) / 2);
            }
        }
    }
    return EHM_OK;
}

static ehm_code kind_of(int32_t *out, const char *what, ehm_err *err) {
    const char *names[KINDS];
    EHM_TRY(ehm_api_given(what, "what", err));
    for (*out = 0; *out < LABELS; ++*out) {
        if (!strcmp(kind[*out].name, what)) return EHM_OK;
        names[*out] = kind[*out].name;
    }
    const char *near = ehm_nearest(what, names, LABELS);
    EHM_HINT(err, "%s%s%sthere are similarity, similarity_other, attention, cls_attention, score, loss, colour", near ? "did you mean " : "",
             near ? near : "", near ? "? " : "");
    return EHM_FAIL(err, EHM_E_ARG, "no rule takes \"%.100s\"", what);
}

static ehm_code give(ehm_api_masker *k, const char *name, const float *values, int64_t n_pictures, int32_t width, ehm_err *err) {
    int32_t what;
    EHM_TRY(ehm_api_given(k, "the masker", err));
    EHM_TRY(kind_of(&what, name, err));
    if (!values) return forget(&k->given[what]), EHM_OK;
    if (n_pictures < 1) return EHM_FAIL(err, EHM_E_ARG, "%s of %lld pictures", name, (long long)n_pictures);
    if (width < 0 || (what == COLOUR && width < 1)) return EHM_FAIL(err, EHM_E_ARG, "%s of width %d", name, (int)width);
    EHM_TRY(room(k, what, n_pictures, width, err));
    numbers *g = &k->given[what];
    memcpy(g->v, values, g->each * (size_t)n_pictures * sizeof *values);
    ehm_code rc = check_finite(g, what, err);
    if (!rc && (what == SIMILARITY || what == OTHER)) rc = make_symmetric(g, what, k->n, err);
    if (rc) forget(g);
    return rc;
}

int32_t ehm_api_masker_give(ehm_api_masker *k, const char *what, const float *values, int64_t n_pictures, int32_t width, char *message,
                            size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(give(k, what, values, n_pictures, width, &err), &err, message, message_cap);
}

static ehm_code give_labels(ehm_api_masker *k, const int32_t *labels, int64_t n_pictures, int32_t n_levels, ehm_err *err) {
    EHM_TRY(ehm_api_given(k, "the masker", err));
    if (!labels) return forget(&k->given[LABELS]), EHM_OK;
    if (n_pictures < 1 || n_levels < 1)
        return EHM_FAIL(err, EHM_E_ARG, "labels of %lld pictures with %d levels", (long long)n_pictures, (int)n_levels);
    EHM_TRY(room(k, LABELS, n_pictures, n_levels, err));
    memcpy(k->given[LABELS].v, labels, k->given[LABELS].each * (size_t)n_pictures * sizeof *labels);
    return EHM_OK;
}

int32_t ehm_api_masker_give_labels(ehm_api_masker *k, const int32_t *labels, int64_t n_pictures, int32_t n_levels, char *message,
                                   size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(give_labels(k, labels, n_pictures, n_levels, &err), &err, message, message_cap);
}

/* ---- numbers from a model ---- */

static float *part(const ehm_api_masker *k, int32_t what, int64_t at) {
    const numbers *g = &k->given[what];
    return g->v ? g->v + (size_t)at * g->each : NULL;
}

static ehm_code look_at(ehm_api_masker *k, ehm_api_model *m, ehm_api_feed *f, uint32_t needs, ehm_err *err) {
    bool sim = needs & (EHM_MASK_NEEDS_SIMILARITY | EHM_MASK_NEEDS_OTHER), att = needs & EHM_MASK_NEEDS_ATTENTION,
         cls = needs & EHM_MASK_NEEDS_CLS, colour = needs & EHM_MASK_NEEDS_COLOUR;
    const ehm_vit_shape *s = f->shape;
    ehm_affinity_opt o;
    if (needs & EHM_MASK_NEEDS_OTHER && f->n < 2)
        return EHM_FAIL(err, EHM_E_ARG, "tree_source swapped takes another picture's tree, and there is only one");
    EHM_TRY(ehm_affinity_opt_of(&o, &k->cfg, s, err));
    if (sim) EHM_TRY(room(k, SIMILARITY, f->n, 0, err));
    if (att) EHM_TRY(room(k, ATTENTION, f->n, s->depth * s->num_heads, err));
    if (cls) EHM_TRY(room(k, CLS, f->n, 0, err));
    if (colour) EHM_TRY(room(k, COLOUR, f->n, s->channels, err));
    for (int64_t at = 0, count; at < f->n; at += count) {
        const void *px;
        count = ehm_api_feed_part(f, at);
        EHM_TRY(ehm_api_feed_get(f, &px, at, (int32_t)count, err));
        if (sim || att || cls)
            EHM_TRY(ehm_model_affinity(m->m, &o, px, f->type, (int32_t)count, sim ? part(k, SIMILARITY, at) : NULL,
                                       att ? part(k, ATTENTION, at) : NULL, cls ? part(k, CLS, at) : NULL, NULL, err));
        for (int64_t i = 0; colour && i < count; i++)
            ehm_mask_patch_colours(part(k, COLOUR, at + i), (const uint8_t *)px + (size_t)i * f->each_out, f->type, s->img_h, s->img_w,
                                   s->channels, s->grid_h, s->grid_w);
    }
    if (!(needs & EHM_MASK_NEEDS_OTHER)) return EHM_OK;
    EHM_TRY(room(k, OTHER, f->n, 0, err));
    for (int64_t i = 0; i < f->n; i++)
        memcpy(part(k, OTHER, i), part(k, SIMILARITY, (i + 1) % f->n), k->given[OTHER].each * sizeof(float));
    return EHM_OK;
}

static ehm_code check_progress(double u, ehm_err *err) {
    return u >= 0 && u <= 1 ? EHM_OK : EHM_FAIL(err, EHM_E_ARG, "progress %g: must be 0 to 1", u);
}

static ehm_code look(ehm_api_masker *k, ehm_api_model *m, ehm_api_feed *f, double progress, bool trees, ehm_err *err) {
    EHM_TRY(check_progress(progress, err));
    if (f->shape->grid_h != k->grid_h || f->shape->grid_w != k->grid_w)
        return EHM_FAIL(err, EHM_E_MISMATCH, "the masker's grid is %d x %d and the model's %d x %d", (int)k->grid_h, (int)k->grid_w,
                        (int)f->shape->grid_h, (int)f->shape->grid_w);
    uint32_t needs = (needs_at(k, progress) | (trees ? ehm_study_needs_tree(&k->set) : 0)) & ~of_file(k);
    /* Given from outside: stays. */
    needs &= ~(uint32_t)(EHM_MASK_NEEDS_LABELS | EHM_MASK_NEEDS_LOSS | EHM_MASK_NEEDS_SCORE);
    return needs ? look_at(k, m, f, needs, err) : EHM_OK;
}

int32_t ehm_api_masker_look(ehm_api_masker *k, ehm_api_model *m, const void *pixels, int64_t n_pictures, int32_t h, int32_t w, int32_t c,
                            int32_t type, double progress, int32_t trees, char *message, size_t message_cap) {
    ehm_err err = {0};
    ehm_api_feed f = {0};
    ehm_code rc = ehm_api_given(k, "the masker", &err);
    if (!rc) rc = ehm_api_feed_open(&f, m, NULL, pixels, n_pictures, h, w, c, type, &err);
    if (!rc) rc = look(k, m, &f, progress, trees != 0, &err);
    ehm_api_feed_close(&f);
    return ehm_api_say(rc, &err, message, message_cap);
}

/* ---- drawing ---- */

typedef struct {
    const ehm_api_masker *k;
    double progress;
    uint64_t seed;
    uint32_t epoch;
    const int64_t *sample;
    uint8_t *masks;     /* for masks */
    double *z;          /* for trees */
    struct worker { ehm_arena a; ehm_err err; int64_t failed; } *worker; /* failed: the first that did */
} drawing;

static const float *of_picture(const ehm_api_masker *k, int32_t what, int64_t i) {
    const numbers *g = &k->given[what];
    return g->v ? g->v + (g->n_pictures == 1 ? 0 : (size_t)i * g->each) : NULL;
}

static ehm_code input_of(ehm_mask_in *in, const drawing *d, int64_t i, ehm_err *err) {
    const ehm_api_masker *k = d->k;
    uint64_t sample = (uint64_t)(d->sample ? d->sample[i] : i);
    *in = (ehm_mask_in){.grid_h = k->grid_h, .grid_w = k->grid_w, .n_masked = n_masked(k), .n_views = 1, .progress_frac = (float)d->progress,
                        .rng = ehm_rng_of(d->seed, EHM_RNG_mask, d->epoch, sample), .seed = d->seed, .sample = sample, .epoch = d->epoch,
                        .settings = &k->set, .arg = k->arg, .similarity = of_picture(k, SIMILARITY, i),
                        .similarity_other = of_picture(k, OTHER, i), .attention = of_picture(k, ATTENTION, i),
                        .n_attention_maps = k->given[ATTENTION].width, .cls_attention = of_picture(k, CLS, i),
                        .score = of_picture(k, SCORE, i), .loss = of_picture(k, LOSS, i), .colour = of_picture(k, COLOUR, i),
                        .n_colour = k->given[COLOUR].width, .labels = (const int32_t *)(const void *)of_picture(k, LABELS, i),
                        .n_levels = k->given[LABELS].width};
    if (!k->file) return EHM_OK;
    const float *from = ehm_mask_file_of(k->file, (int64_t)sample);
    if (!from) return EHM_FAIL(err, EHM_E_MISMATCH, "%s: holds nothing for picture %lld", k->cfg.mask_file, (long long)sample);
    if (k->file_pairs) in->similarity = from;
    else in->score = from;
    return EHM_OK;
}

static ehm_code draw_one(const drawing *d, int64_t i, ehm_arena *a, ehm_err *err) {
    int32_t n = d->k->n;
    ehm_mask_in in;
    ehm_mask mask = {.visible = EHM_NEW_N(a, int32_t, n), .masked = EHM_NEW_N(a, int32_t, n)};
    if (!mask.visible || !mask.masked) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a mask of %d patches", (int)n);
    EHM_TRY(input_of(&in, d, i, err));
    EHM_TRY(ehm_mask_draw(d->k->rule, &mask, &in, a, err));
    uint8_t *out = d->masks + (size_t)i * (size_t)n;
    memset(out, 0, (size_t)n);
    for (int32_t p = 0; p < mask.n_masked; p++) out[mask.masked[p]] = 1;
    return EHM_OK;
}

static ehm_code tree_one(const drawing *d, int64_t i, ehm_arena *a, ehm_err *err) {
    ehm_mask_in in;
    ehm_tree tree;
    EHM_TRY(input_of(&in, d, i, err));
    EHM_TRY(ehm_tree_new(&tree, d->k->n, a, err));
    EHM_TRY(ehm_mask_tree(&tree, NULL, &in, a, err));
    ehm_tree_z(d->z + (size_t)i * 4 * (size_t)(d->k->n - 1), &tree);
    return EHM_OK;
}

static void some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    drawing *d = ctx;
    struct worker *w = &d->worker[i_thread];
    for (int64_t i = begin; i < end && !w->err.code; i++) {
        ehm_arena_reset(&w->a);
        if (!(d->masks ? draw_one(d, i, &w->a, &w->err) : tree_one(d, i, &w->a, &w->err))) continue;
        EHM_WHILE(&w->err, d->masks ? "drawing mask %lld" : "growing tree %lld", (long long)i);
        w->failed = i;
    }
}

static ehm_code draw_all(drawing *d, int64_t n, int32_t threads, ehm_err *err) {
    enum { SMALL = 1 << 16 }; /* patches that are drawn sooner than threads are started */
    bool heavy = d->z || needs_at(d->k, d->progress) || n * d->k->n > SMALL;
    int32_t n_threads = heavy ? ehm_api_threads(threads, n) : 1;
    ehm_pool *pool = NULL;
    ehm_code rc = EHM_OK;
    if (!(d->worker = calloc((size_t)n_threads, sizeof *d->worker))) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d threads", (int)n_threads);
    if (n_threads > 1) rc = ehm_pool_open(&pool, n_threads, err);
    if (!rc) ehm_pool_for(pool, n, d->z ? 1 : 8, some, d);
    ehm_pool_close(pool);
    const struct worker *first = NULL; /* the same failure is told for any number of threads */
    for (int32_t t = 0; t < n_threads; t++) {
        const struct worker *w = &d->worker[t];
        if (w->err.code && (!first || w->failed < first->failed)) first = w;
    }
    if (first && !rc) *err = first->err, rc = first->err.code;
    for (int32_t t = 0; t < n_threads; t++) ehm_arena_free(&d->worker[t].a);
    free(d->worker);
    return rc;
}

/* All that is needed is there, for as many pictures as masks are drawn, or for one. */
static ehm_code check_given(const ehm_api_masker *k, uint32_t needs, int64_t n, ehm_err *err) {
    needs &= ~of_file(k);
    for (int32_t i = 0; i < KINDS; i++) {
        const numbers *g = &k->given[i];
        if (!(needs & kind[i].bit)) continue;
        if (!g->v) {
            EHM_HINT(err, "give %s, or look at the pictures with a model", kind[i].name);
            return EHM_FAIL(err, EHM_E_ARG, "mask rule %s needs %s, and none was given", k->rule->name, ehm_mask_need_name(kind[i].bit));
        }
        if (g->n_pictures != 1 && g->n_pictures != n)
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s was given for %lld pictures, and %lld are asked for: as many, or one for all", kind[i].name,
                            (long long)g->n_pictures, (long long)n);
    }
    return EHM_OK;
}

static ehm_code draw(ehm_api_masker *k, double progress, int64_t n, uint64_t seed, uint32_t epoch, const int64_t *sample, int32_t threads,
                     uint8_t *out, ehm_err *err) {
    EHM_TRY(ehm_api_given(k, "the masker", err));
    EHM_TRY(ehm_api_given(out, "out", err));
    EHM_TRY(check_progress(progress, err));
    if (n < 1) return EHM_FAIL(err, EHM_E_ARG, "%lld masks: at least one", (long long)n);
    EHM_TRY(check_given(k, needs_at(k, progress), n, err));
    drawing d = {.k = k, .progress = progress, .seed = seed, .epoch = epoch, .sample = sample, .masks = out};
    return draw_all(&d, n, threads, err);
}

int32_t ehm_api_masker_draw(ehm_api_masker *k, double progress, int64_t n_masks, uint64_t seed, uint32_t epoch, const int64_t *sample,
                            int32_t threads, uint8_t *out, char *message, size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(draw(k, progress, n_masks, seed, epoch, sample, threads, out, &err), &err, message, message_cap);
}

static ehm_code grow(ehm_api_masker *k, int64_t n, uint64_t seed, int32_t threads, double *z, ehm_err *err) {
    EHM_TRY(ehm_api_given(k, "the masker", err));
    EHM_TRY(ehm_api_given(z, "z", err));
    if (n < 1) return EHM_FAIL(err, EHM_E_ARG, "%lld trees: at least one", (long long)n);
    EHM_TRY(check_given(k, ehm_study_needs_tree(&k->set), n, err));
    drawing d = {.k = k, .progress = 1, .seed = seed, .z = z};
    return draw_all(&d, n, threads, err);
}

int32_t ehm_api_masker_trees(ehm_api_masker *k, int64_t n_trees, uint64_t seed, int32_t threads, double *z, char *message, size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(grow(k, n_trees, seed, threads, z, &err), &err, message, message_cap);
}

/* ---- in one call ---- */

int32_t ehm_api_masks(const char *rule, int32_t grid_h, int32_t grid_w, const char *const *settings, int32_t n_settings, double progress,
                      int64_t n_masks, uint64_t seed, const float *similarity, int64_t n_pictures, uint8_t *out, char *message,
                      size_t message_cap) {
    ehm_err err = {0};
    ehm_api_masker *k = NULL;
    ehm_code rc = ehm_api_given(rule, "the rule", &err);
    if (!rc) rc = masker_open(&k, NULL, rule, grid_h, grid_w, settings, n_settings, &err);
    if (!rc && similarity) rc = give(k, "similarity", similarity, n_pictures, 0, &err);
    if (!rc) rc = draw(k, progress, n_masks, seed, 0, NULL, 0, out, &err);
    ehm_api_masker_close(k);
    return ehm_api_say(rc, &err, message, message_cap);
}

int32_t ehm_api_masks_model(ehm_api_model *m, const char *rule, const char *const *settings, int32_t n_settings, double progress, uint64_t seed,
                            const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type, uint8_t *out, char *message,
                            size_t message_cap) {
    ehm_err err = {0};
    ehm_api_masker *k = NULL;
    ehm_api_feed f = {0};
    ehm_code rc = ehm_api_usable(m, &err);
    if (!rc) rc = open_for(&k, m, rule, settings, n_settings, &err);
    if (!rc) rc = ehm_api_feed_open(&f, m, NULL, pixels, n, h, w, c, type, &err);
    if (!rc) rc = look(k, m, &f, progress, false, &err);
    if (!rc) rc = draw(k, progress, n, seed, 0, NULL, 0, out, &err);
    ehm_api_feed_close(&f);
    ehm_api_masker_close(k);
    return ehm_api_say(rc, &err, message, message_cap);
}
