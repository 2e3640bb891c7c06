/* Similarity of patches from a finished model, and the settings that its run drew trees with. */
#include "base/file.h"
#include "infer/model_int.h"
#include <stdio.h>
#include <string.h>

enum { AFFINITY_BATCH = 16 }; /* pictures at once: attention of every head is the largest thing here */

/* ---- files beside the model ---- */

/* NAME in the run folder that the model is or lies in; NULL when there is none. */
static char *beside(const ehm_model *m, const char *name, ehm_arena *a) {
    const char *spec = m->ckpt_run ? m->ckpt_run : m->spec;
    if (ehm_starts(spec, "untrained:")) spec += strlen("untrained:");
    const char *slash = strrchr(spec, '/');
    char *dir = ehm_dir_exists(spec) ? ehm_arena_strdup(a, spec) : slash ? ehm_arena_strndup(a, spec, (size_t)(slash - spec)) : ehm_arena_strdup(a, ".");
    char *path = dir ? ehm_path_join(a, dir, name) : NULL;
    return path && ehm_file_exists(path) ? path : NULL;
}

static bool holds_layer(const char *list, int32_t layer, int32_t *at) {
    *at = 0;
    for (const char *p = list; p && *p; ++*at) {
        char one[16];
        int64_t v;
        size_t len = strcspn(p, ",");
        snprintf(one, sizeof one, "%.*s", (int)(len < 15 ? len : 15), p);
        if (ehm_parse_i64(one, &v) && v == layer) return true;
        p += len + (p[len] == ',');
    }
    return false;
}

/* The same from the state of a run that goes on, whose settings say which layers it holds. */
static bool mean_in_checkpoint(const ehm_model *m, const ehm_affinity_opt *o, float **out, ehm_arena *a) {
    ehm_config c;
    ehm_affinity_opt had;
    ehm_err ignored = {0};
    float *all;
    ehm_config_init(&c);
    if (ehm_model_settings(m, &c, "tree", a, &ignored) || ehm_affinity_opt_of(&had, &c, &m->info.shape, &ignored)) return false;
    if (had.kind != EHM_SIM_RESIDUAL || had.per_head != o->per_head || had.raw_rows != o->raw_rows) return false;
    int64_t L = m->info.shape.n_patches, C = o->per_head ? m->info.shape.num_heads : 1, each = C * L * L;
    if (ehm_model_checkpoint_mean(&all, m, had.n_layers * each, a, &ignored) || !all) return false;
    if (!(*out = EHM_NEW_N(a, float, (size_t)o->n_layers * (size_t)each))) return false;
    for (int32_t i = 0; i < o->n_layers; i++) {
        int32_t at = 0;
        while (at < had.n_layers && had.layer[at] != o->layer[i]) at++;
        if (at == had.n_layers) return false;
        memcpy(*out + i * each, all + at * each, sizeof(float) * (size_t)each);
    }
    return true;
}

/* The stored mean of the layers asked for, in their order; false when the file does not have them in this way. */
static bool stored_mean(const ehm_model *m, const ehm_affinity_opt *o, float **out, ehm_arena *a) {
    ehm_err ignored = {0};
    ehm_st *f = NULL;
    bool ok = false;
    if (m->ckpt_run) return mean_in_checkpoint(m, o, out, a);
    if (ehm_starts(m->spec, "untrained:")) return false;
    char *path = beside(m, "attention_mean.safetensors", a);
    if (!path || ehm_st_open(&f, path, &ignored)) return false;
    const ehm_st_tensor *t = ehm_st_find(f, "attention_mean");
    const char *layers = ehm_st_meta_get(f, "layers"), *per = ehm_st_meta_get(f, "profile_per"), *rows = ehm_st_meta_get(f, "attention_rows");
    int64_t L = m->info.shape.n_patches, C = o->per_head ? m->info.shape.num_heads : 1, each = C * L * L;
    if (!t || t->rank != 4 || t->dim[1] != C || t->dim[2] != L || t->dim[3] != L || !layers || !per || !rows) goto done;
    if (strcmp(per, o->per_head ? "head" : "layer") || strcmp(rows, o->raw_rows ? "raw" : "renormalise")) goto done;
    if (!(*out = EHM_NEW_N(a, float, (size_t)o->n_layers * (size_t)each))) goto done;
    for (int32_t i = 0; i < o->n_layers; i++) {
        int32_t at;
        if (!holds_layer(layers, o->layer[i], &at) || at >= t->dim[0]) goto done;
        if (ehm_st_to_f32_part(t, at * each, each, *out + i * each, &ignored)) goto done;
    }
    ok = true;
done:
    ehm_st_close(f);
    return ok;
}

/* ---- similarity ---- */

struct ehm_learned_mean {
    struct ehm_learned_mean *next;
    ehm_affinity_opt o;
    float *mean; /* [n_layers(,H),L,L] */
};

void ehm_model_affinity_close(ehm_model *m) {
    if (m->affinity_planned) ehm_plan_free(&m->affinity_plan);
    ehm_affinity_close(m->affinity);
    m->affinity = NULL, m->affinity_planned = false;
}

static bool same_opt(const ehm_affinity_opt *a, const ehm_affinity_opt *b) {
    return a->kind == b->kind && a->per_head == b->per_head && a->raw_rows == b->raw_rows && a->standardise == b->standardise &&
           a->n_layers == b->n_layers && !memcmp(a->layer, b->layer, (size_t)a->n_layers * sizeof *a->layer);
}

/* Learned for these layers or for more; in a. */
static bool learned_mean(const ehm_model *m, const ehm_affinity_opt *o, float **out, ehm_arena *a) {
    int64_t L = m->info.shape.n_patches, each = (o->per_head ? m->info.shape.num_heads : 1) * L * L;
    for (const struct ehm_learned_mean *l = m->learned; l; l = l->next) {
        int32_t i = 0, at = 0;
        if (l->o.per_head != o->per_head || l->o.raw_rows != o->raw_rows) continue;
        if (!(*out = EHM_NEW_N(a, float, (size_t)o->n_layers * (size_t)each))) return false;
        for (; i < o->n_layers && at < l->o.n_layers; at++)
            if (l->o.layer[at] == o->layer[i]) memcpy(*out + i++ * each, l->mean + at * each, sizeof(float) * (size_t)each);
        if (i == o->n_layers) return true;
    }
    return false;
}

/* learns: for gathering the mean, not for using it. */
static ehm_code affinity_open(ehm_model *m, const ehm_affinity_opt *o, bool learns, ehm_err *err) {
    ehm_arena a = {0};
    float *mean = NULL;
    ehm_affinity_opt used = *o;
    if (m->affinity && same_opt(&m->affinity_opt, o) && m->affinity_learns == learns) return EHM_OK;
    ehm_model_affinity_close(m);
    bool has_mean = o->kind == EHM_SIM_RESIDUAL && !learns && (learned_mean(m, o, &mean, &a) || stored_mean(m, o, &mean, &a));
    m->affinity_fell_back = o->kind == EHM_SIM_RESIDUAL && !has_mean && !learns;
    if (m->affinity_fell_back) used.kind = EHM_SIM_PROFILE;
    m->affinity_learns = learns;
    m->affinity_opt = *o, m->affinity_batch = m->batch < AFFINITY_BATCH ? m->batch : AFFINITY_BATCH;
    ehm_code rc = ehm_affinity_open(&m->affinity, &used, &m->info.shape, m->affinity_batch, EHM_WANT_SIMILARITY | EHM_WANT_ATTENTION | EHM_WANT_CLS, learns, err);
    if (rc) goto done;
    ehm_plan_begin(&m->affinity_plan, m->d);
    m->affinity_planned = true;
    ehm_affinity_plan(m->affinity, &m->affinity_plan);
    if ((rc = ehm_plan_commit(&m->affinity_plan, err))) goto done;
    ehm_affinity_plan(m->affinity, &m->affinity_plan);
    if ((rc = ehm_plan_end(&m->affinity_plan, err))) goto done;
    if (has_mean) rc = ehm_affinity_set_mean(m->affinity, m->d, mean, err);
done:
    ehm_arena_free(&a);
    if (rc) ehm_model_affinity_close(m);
    return rc;
}

static void run_affinity(ehm_model *m, const void *pixels, ehm_dtype type, int32_t b, uint32_t want, bool update_mean) {
    const ehm_vit_shape *s = &m->info.shape;
    int64_t L = s->n_patches;
    ehm_view patches = ehm_fit3(m->patches, b, L, s->patch_pixels);
    ehm_vit_route route = {ehm_fit2(m->route.embed_idx, b, L), ehm_fit2(m->route.src, b, 1 + L), ehm_fit2(m->route.pos_idx, b, 1 + L)};
    ehm_pixels_load(&m->pixels, m->d, pixels, type, b);
    ehm_pixels_patchify(&m->pixels, m->d, patches);
    ehm_affinity_run(m->affinity, m->d, &m->pass, m->weights, patches, &route, b, want, update_mean);
}

ehm_code ehm_model_affinity(ehm_model *m, const ehm_affinity_opt *o, const void *pixels, ehm_dtype type, int32_t n, float *similarity,
                            float *attention, float *cls, bool *fell_back, ehm_err *err) {
    const ehm_vit_shape *s = &m->info.shape;
    int64_t L = s->n_patches, each = (int64_t)s->img_h * s->img_w * s->channels * (type == EHM_U8 ? 1 : 4);
    uint32_t want = (similarity ? EHM_WANT_SIMILARITY : 0) | (attention ? EHM_WANT_ATTENTION : 0) | (cls ? EHM_WANT_CLS : 0);
    if (n < 1 || n > m->batch || !want || (type != EHM_U8 && type != EHM_F32))
        return EHM_FAIL(err, EHM_E_ARG, "similarity of %d pictures of type %s, but the model was opened for 1 to %d of u8 or f32", (int)n, ehm_dtype_name(type), (int)m->batch);
    EHM_TRY(affinity_open(m, o, false, err));
    if (fell_back) *fell_back = m->affinity_fell_back;
    for (int32_t at = 0; at < n; at += m->affinity_batch) {
        int32_t b = n - at < m->affinity_batch ? n - at : m->affinity_batch;
        run_affinity(m, (const char *)pixels + at * each, type, b, want, false);
        EHM_TRY(ehm_affinity_fetch(m->affinity, m->d, similarity ? similarity + at * L * L : NULL, attention ? attention + at * L * L : NULL,
                                   cls ? cls + at * L : NULL, b, err));
    }
    return EHM_OK;
}

static ehm_code keep_mean(ehm_model *m, ehm_err *err) {
    ehm_view v = ehm_affinity_mean(m->affinity);
    struct ehm_learned_mean *l = EHM_NEW(&m->arena, struct ehm_learned_mean);
    if (!l || !(l->mean = EHM_NEW_N(&m->arena, float, ehm_view_count(v)))) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the mean attention");
    EHM_TRY(ehm_model_fetch(m, l->mean, v, err));
    l->o = m->affinity_opt, l->next = m->learned;
    m->learned = l;
    ehm_model_affinity_close(m);
    return EHM_OK;
}

ehm_code ehm_model_learn_mean(ehm_model *m, const ehm_affinity_opt *o, const void *pixels, ehm_dtype type, int32_t n, ehm_err *err) {
    const ehm_vit_shape *s = &m->info.shape;
    int64_t each = (int64_t)s->img_h * s->img_w * s->channels * (type == EHM_U8 ? 1 : 4);
    if (o->kind != EHM_SIM_RESIDUAL || n < 0 || n > m->batch || (type != EHM_U8 && type != EHM_F32))
        return EHM_FAIL(err, EHM_E_ARG, "mean attention of %d pictures of type %s: it is residual's, of at most %d pictures of u8 or f32", (int)n, ehm_dtype_name(type), (int)m->batch);
    if (!n) return m->affinity && m->affinity_learns && same_opt(&m->affinity_opt, o) ? keep_mean(m, err) : EHM_OK;
    EHM_TRY(affinity_open(m, o, true, err));
    for (int32_t at = 0; at < n; at += m->affinity_batch)
        run_affinity(m, (const char *)pixels + at * each, type, n - at < m->affinity_batch ? n - at : m->affinity_batch, EHM_WANT_SIMILARITY, true);
    return ehm_dev_check(m->d, err);
}

/* ---- settings of the run ---- */

static const char *text_of(const ehm_json *v, char buf[64]) {
    if (v->kind == EHM_JSON_STR) return v->str;
    if (v->kind == EHM_JSON_BOOL) return v->num != 0 ? "true" : "false";
    if (v->kind != EHM_JSON_NUM) return NULL;
    if (v->is_int) snprintf(buf, 64, "%lld", (long long)v->i64);
    else snprintf(buf, 64, "%.17g", v->num);
    return buf;
}

ehm_code ehm_model_settings(const ehm_model *m, ehm_config *c, const char *groups, ehm_arena *a, ehm_err *err) {
    ehm_json *root;
    char *path = beside(m, "config.json", a);
    if (!path) return EHM_OK;
    EHM_TRY(ehm_json_read_file(&root, path, a, err));
    const ehm_json *settings = ehm_json_get(root, "settings");
    for (const ehm_json *s = settings ? settings->first : NULL; s; s = s->next) {
        char buf[64];
        int32_t i = ehm_setting_find(s->key);
        const ehm_json *v = s->kind == EHM_JSON_OBJ ? ehm_json_get(s, "value") : s;
        const char *text = v ? text_of(v, buf) : NULL;
        if (i < 0 || !text || !ehm_in_groups(groups, ehm_settings[i].group)) continue;
        if (c->origin[i] == EHM_FROM_DEFAULT) EHM_TRY(ehm_config_set(c, s->key, text, EHM_FROM_RESUME, a, err));
    }
    return EHM_OK;
}
