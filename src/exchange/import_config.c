/* config.json of transformers and timm, preprocessor_config.json: what they say that tensors do not. */
#include "exchange/import_files.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static ehm_code wrong(const ehm_import_files *f, const char *key, const char *want, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_FORMAT, "%s: %s of the configuration is not %s", f->path, key, want);
}

/* A size, left alone where the key is absent or null. */
static ehm_code size(int32_t *out, const ehm_json *obj, const char *key, int64_t most, const ehm_import_files *f, ehm_err *err) {
    const ehm_json *j = ehm_json_get(obj, key);
    if (!j || j->kind == EHM_JSON_NULL) return EHM_OK;
    if (j->kind != EHM_JSON_NUM || !j->is_int || j->i64 < 1 || j->i64 > most) return wrong(f, key, "a size", err);
    *out = (int32_t)j->i64;
    return EHM_OK;
}

/* A side, or a pair of height and width (timm's input_size has the channels in front). */
static ehm_code sides(int32_t *h, int32_t *w, const ehm_json *j, const char *key, const ehm_import_files *f, ehm_err *err) {
    const ehm_json *v = j;
    if (!j || j->kind == EHM_JSON_NULL) return EHM_OK;
    if (j->kind == EHM_JSON_ARR && (j->n == 2 || j->n == 3)) v = j->n == 3 ? j->first->next : j->first;
    else if (j->kind == EHM_JSON_ARR) return wrong(f, key, "a size", err);
    const ehm_json *u = j->kind == EHM_JSON_ARR ? v->next : v;
    for (int k = 0; k < 2; k++) {
        const ehm_json *x = k ? u : v;
        if (x->kind != EHM_JSON_NUM || !x->is_int || x->i64 < 1 || x->i64 > 16384) return wrong(f, key, "a size", err);
    }
    *h = (int32_t)v->i64, *w = (int32_t)u->i64;
    return EHM_OK;
}

/* Both as numbers of the same count, or neither. */
static bool stats(ehm_import_config *c, const ehm_json *mean, const ehm_json *std) {
    int32_t n = 0;
    if (!mean || !std || mean->kind != EHM_JSON_ARR || std->kind != EHM_JSON_ARR || mean->n != std->n || mean->n < 1 || mean->n > 256) return false;
    for (const ehm_json *m = mean->first, *s = std->first; m; m = m->next, s = s->next, n++) {
        if (m->kind != EHM_JSON_NUM || s->kind != EHM_JSON_NUM || !isfinite(m->num) || !isfinite(s->num) || !(s->num > 0)) return false;
        c->mean[n] = m->num, c->std[n] = s->num;
    }
    c->n_stats = n;
    return c->has_stats = true;
}

static bool is_false(const ehm_json *obj, const char *key) {
    const ehm_json *j = ehm_json_get(obj, key);
    return j && j->kind == EHM_JSON_BOOL && j->num == 0;
}

static ehm_code transformers(ehm_import_config *c, ehm_import_files *f, ehm_err *err) {
    const ehm_json *j = f->config, *norm = ehm_json_get(j, "norm_pix_loss");
    EHM_TRY(size(&c->num_heads, j, "num_attention_heads", 1024, f, err));
    EHM_TRY(size(&c->decoder_num_heads, j, "decoder_num_attention_heads", 1024, f, err));
    EHM_TRY(size(&c->depth, j, "num_hidden_layers", 1024, f, err));
    EHM_TRY(sides(&c->img_h, &c->img_w, ehm_json_get(j, "image_size"), "image_size", f, err));
    c->eps = ehm_json_num_or(j, "layer_norm_eps", 0);
    if (norm && norm->kind == EHM_JSON_BOOL) c->norm_pix = norm->num != 0;
    c->no_qkv_bias = is_false(j, "qkv_bias");
    c->activation = ehm_json_str_or(j, "hidden_act", NULL);
    const char *version = ehm_json_str_or(j, "transformers_version", NULL);
    c->tool = version ? ehm_arena_printf(&f->arena, "transformers %.20s", version) : "transformers";
    const ehm_json *p = f->preprocessor;
    if (is_false(p, "do_normalize")) { /* pixels of 0 to 1 as they are, if they are scaled at all */
        for (int32_t i = 0; i < 3; i++) c->mean[i] = 0, c->std[i] = 1;
        c->n_stats = 3, c->has_stats = true;
    } else if (p) stats(c, ehm_json_get(p, "image_mean"), ehm_json_get(p, "image_std"));
    return c->tool ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", f->path);
}

/* Heads of timm's architectures, by the word after the family. */
static int32_t timm_heads(const char *architecture) {
    static const struct { const char *word; int32_t heads;
    } size_of[] = {{"_tiny_", 3}, {"_small_", 6}, {"_medium_", 8}, {"_base_", 12}, {"_large_", 16}, {"_huge_", 16}, {"_giant_", 16}, {"_gigantic_", 16}};
    for (size_t i = 0; architecture && i < sizeof size_of / sizeof *size_of; i++)
        if (strstr(architecture, size_of[i].word)) return size_of[i].heads;
    return 0;
}

static ehm_code timm(ehm_import_config *c, ehm_import_files *f, ehm_err *err) {
    const ehm_json *j = f->config, *args = ehm_json_get(j, "model_args"), *cfg = ehm_json_get(j, "pretrained_cfg");
    const char *architecture = ehm_json_str_or(j, "architecture", NULL);
    c->num_heads = timm_heads(architecture);
    EHM_TRY(size(&c->num_heads, args, "num_heads", 1024, f, err));
    EHM_TRY(size(&c->depth, args, "depth", 1024, f, err));
    EHM_TRY(sides(&c->img_h, &c->img_w, ehm_json_get(cfg, "input_size"), "input_size", f, err));
    EHM_TRY(sides(&c->img_h, &c->img_w, ehm_json_get(args, "img_size"), "img_size", f, err));
    stats(c, ehm_json_get(cfg, "mean"), ehm_json_get(cfg, "std"));
    c->tool = architecture ? ehm_arena_printf(&f->arena, "timm (%.60s)", architecture) : "timm";
    return c->tool ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", f->path);
}

ehm_code ehm_import_config_read(ehm_import_config *out, ehm_import_files *f, ehm_err *err) {
    memset(out, 0, sizeof *out);
    out->norm_pix = -1;
    if (!f->config) return EHM_OK;
    bool is_timm = ehm_json_get(f->config, "architecture") || ehm_json_get(f->config, "pretrained_cfg");
    return is_timm ? timm(out, f, err) : transformers(out, f, err);
}
