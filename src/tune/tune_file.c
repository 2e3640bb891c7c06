/* The finished network as safetensors, under timm's names: what predicts, and nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tune/tune_int.h"

enum { META_MAX = 20 };

/* A mean of patches has a norm of its own (fc_norm); the encoder's final one is then no part of the network. */
static bool is_part(const ehm_tune *t, const ehm_param *p) {
    return !ehm_starts(p->name, "norm.") || ehm_params_find(&t->params, "fc_norm.weight") < 0;
}

static char *numbers(const double *v, int32_t n, ehm_arena *a) {
    ehm_str s = {0};
    for (int32_t i = 0; i < n; i++) {
        ehm_json_w w = {.out = &s};
        if (i) ehm_str_addc(&s, ',');
        ehm_json_f64(&w, v[i]);
    }
    char *text = s.failed ? NULL : ehm_arena_strdup(a, ehm_str_c(&s));
    ehm_str_free(&s);
    return text;
}

static int32_t make_meta(ehm_st_meta *m, const ehm_tune *t, ehm_arena *a) {
    const ehm_vit_shape *s = &t->info.shape;
    const struct { const char *key; int32_t v; } size[] = {{"img_h", s->img_h}, {"img_w", s->img_w}, {"channels", s->channels}, {"patch_size", s->patch_size},
        {"embed_dim", s->embed_dim}, {"depth", s->depth}, {"num_heads", s->num_heads}, {"mlp_dim", s->mlp_dim}};
    int32_t n = 0;
    ehm_str task = {0};
    ehm_json_w w = {.out = &task};
    ehm_json_obj(&w);
    ehm_json_key(&w, "name"), ehm_json_str(&w, t->task->name);
    t->task->describe(t->user, &w);
    ehm_json_end(&w);
    m[n++] = (ehm_st_meta){"ehm_version", EHM_VERSION};
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) m[n++] = (ehm_st_meta){size[i].key, ehm_arena_printf(a, "%d", (int)size[i].v)};
    m[n++] = (ehm_st_meta){"layer_norm_eps", "1e-06"};
    m[n++] = (ehm_st_meta){"mean", numbers(t->info.mean, s->channels, a)};
    m[n++] = (ehm_st_meta){"std", numbers(t->info.std, s->channels, a)};
    m[n++] = (ehm_st_meta){"fit", *t->info.fit ? t->info.fit : "auto"};
    m[n++] = (ehm_st_meta){"task", task.failed ? NULL : ehm_arena_strdup(a, ehm_str_c(&task))};
    ehm_str_free(&task);
    for (int32_t i = 0; i < n; i++)
        if (!m[i].value) return -1;
    return n;
}

ehm_code ehm_tune_save(ehm_tune *t, const char *path, ehm_err *err) {
    const ehm_params *ps = &t->params;
    const ehm_weights *w = t->cfg.ema > 0 && t->learns ? &t->average : &t->weights;
    ehm_arena a = {0};
    ehm_st_meta meta[META_MAX];
    int32_t n = 0;
    ehm_st_tensor *s = EHM_NEW_N(&a, ehm_st_tensor, ps->n);
    int32_t n_meta = s ? make_meta(meta, t, &a) : -1;
    ehm_code rc = n_meta < 0 ? EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path) : EHM_OK;
    for (int32_t i = 0; i < ps->n && !rc; i++) {
        const ehm_param *p = &ps->item[i];
        if (!is_part(t, p)) continue;
        s[n] = (ehm_st_tensor){.name = p->name, .dtype = EHM_F32, .rank = p->rank, .count = p->count, .bytes = (size_t)p->count * sizeof(float)};
        void *v = s[n].bytes ? ehm_arena_alloc(&a, (size_t)p->count, sizeof(float)) : NULL;
        if (!v) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for \"%s\"", path, p->name);
        else ehm_download(t->dev, v, ehm_weight(w, i), s[n].bytes);
        memcpy(s[n].dim, p->dim, sizeof p->dim);
        s[n++].data = v;
    }
    if (!rc) rc = ehm_dev_check(t->dev, err);
    if (!rc) rc = ehm_st_write(path, s, n, meta, n_meta, err);
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_tune_load_all(ehm_tune *t, const ehm_st *f, const char *path, ehm_err *err) {
    const ehm_params *ps = &t->params;
    for (int32_t i = 0; i < ps->n; i++) {
        const ehm_param *p = &ps->item[i];
        const ehm_st_tensor *s = ehm_st_find(f, p->name);
        if (!is_part(t, p)) continue;
        if (!s) return EHM_FAIL(err, EHM_E_MISMATCH, "%s has no tensor \"%s\", which its task needs", path, p->name);
        if (s->rank != p->rank || memcmp(s->dim, p->dim, (size_t)p->rank * sizeof *p->dim))
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s: tensor \"%s\" has another shape than its task says", path, p->name);
        float *v = malloc((size_t)p->count * sizeof *v);
        ehm_code rc = v ? ehm_st_to_f32(s, v, err) : EHM_FAIL(err, EHM_E_MEMORY, "no memory for \"%s\"", p->name);
        if (!rc) ehm_upload(t->dev, ehm_weight(&t->weights, i), v, (size_t)p->count * sizeof *v);
        free(v);
        if (rc) return rc;
    }
    ehm_weights_refresh(&t->weights, t->dev);
    return ehm_dev_check(t->dev, err);
}
