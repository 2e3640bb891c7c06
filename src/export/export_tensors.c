/* Tensors under another tool's names, with what a reader must know in the metadata: no times, no paths. */
#include "export/export_int.h"
#include <stdio.h>
#include <string.h>

#ifndef EHM_VERSION
#define EHM_VERSION "0"
#endif

ehm_dialect ehm_export_dialect(const ehm_exporting *x) {
    switch (x->kind) {
    case EHM_EXPORT_TIMM: return EHM_DIALECT_TIMM;
    case EHM_EXPORT_HF: return EHM_DIALECT_HF; /* names of 4.x with the full prefix: 5.x maps them, 4.x knows no others */
    case EHM_EXPORT_TORCHVISION: return EHM_DIALECT_TORCHVISION;
    default: return EHM_DIALECT_MAE;
    }
}

bool ehm_export_keeps(const ehm_exporting *x, const char *name) {
    if (ehm_export_is_decoder(name)) return x->kind == EHM_EXPORT_MAE || (x->kind == EHM_EXPORT_HF && x->hf == EHM_EXPORT_VIT_MAE);
    if (ehm_export_is_head(name)) return x->kind != EHM_EXPORT_HF || x->hf == EHM_EXPORT_VIT_CLASSIFIER;
    return true;
}

/* ---- metadata ---- */

const char *ehm_export_classes(const ehm_exporting *x) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    ehm_json_arr(&w);
    for (int32_t i = 0; i < x->n_classes; i++) ehm_json_str(&w, x->classes[i]);
    ehm_json_end(&w);
    const char *text = s.failed ? NULL : ehm_arena_strdup(x->a, ehm_str_c(&s));
    ehm_str_free(&s);
    return text;
}

/* So that ehm predict can use the file. It knows no mean of normed tokens. */
static const char *task_text(const ehm_exporting *x) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    ehm_json_obj(&w);
    ehm_json_key(&w, "name"), ehm_json_str(&w, "finetune");
    ehm_json_key(&w, "pool"), ehm_json_str(&w, x->head == EHM_EXPORT_CLS ? "cls" : "mean");
    ehm_json_key(&w, "classes"), ehm_json_arr(&w);
    for (int32_t i = 0; i < x->n_classes; i++) ehm_json_str(&w, x->classes[i]);
    ehm_json_end(&w);
    ehm_json_end(&w);
    const char *text = s.failed ? NULL : ehm_arena_strdup(x->a, ehm_str_c(&s));
    ehm_str_free(&s);
    return text;
}

int32_t ehm_export_meta(ehm_st_meta *m, const ehm_exporting *x, bool decoder) {
    const ehm_vit_shape *s = &x->info.shape;
    const struct { const char *key; int32_t v; } size[] = {{"img_h", s->img_h}, {"img_w", s->img_w}, {"channels", s->channels}, {"patch_size", s->patch_size},
        {"embed_dim", s->embed_dim}, {"depth", s->depth}, {"num_heads", s->num_heads}, {"mlp_dim", s->mlp_dim}, {"decoder_embed_dim", s->decoder_embed_dim},
        {"decoder_depth", s->decoder_depth}, {"decoder_num_heads", s->decoder_num_heads}, {"decoder_mlp_dim", s->decoder_mlp_dim}};
    int32_t n = 0;
    /* In a folder of transformers config.json has the sizes; elsewhere they stand here, and a file that has them is one of ours. */
    bool own = x->kind != EHM_EXPORT_HF;
    m[n++] = (ehm_st_meta){own ? "ehm_version" : "exported_by", own ? EHM_VERSION : "ehm " EHM_VERSION};
    for (size_t i = 0; own && i < (decoder ? 12 : 8); i++) m[n++] = (ehm_st_meta){size[i].key, ehm_arena_printf(x->a, "%d", (int)size[i].v)};
    m[n++] = (ehm_st_meta){"layer_norm_eps", "1e-06"};
    m[n++] = (ehm_st_meta){"norm_pix_loss", x->info.norm_pix ? "true" : "false"};
    m[n++] = (ehm_st_meta){"mean", ehm_numbers_text(x->info.mean, s->channels, x->a)};
    m[n++] = (ehm_st_meta){"std", ehm_numbers_text(x->info.std, s->channels, x->a)};
    if (*x->info.fit) m[n++] = (ehm_st_meta){"fit", x->info.fit};
    if (*x->info.recipe) m[n++] = (ehm_st_meta){"recipe", x->info.recipe};
    if (*x->info.mask) m[n++] = (ehm_st_meta){"mask", x->info.mask};
    if (x->data) m[n++] = (ehm_st_meta){"data", x->data};
    if (own && x->classes && ehm_export_keeps(x, "head.weight") && x->head != EHM_EXPORT_MEAN_OF_NORM) m[n++] = (ehm_st_meta){"task", task_text(x)};
    return n;
}

/* ---- tensors ---- */

/* The one or three tensors that this one is stored as: thirds of its rows. */
static int32_t rename_tensor(ehm_st_tensor *out, const ehm_exporting *x, const ehm_st_tensor *t) {
    char names[3][EHM_DIALECT_NAME_CAP];
    int32_t n = ehm_dialect_from_mae(names, ehm_export_dialect(x), t->name);
    for (int32_t i = 0; i < n; i++) {
        out[i] = *t;
        if (!(out[i].name = ehm_arena_strdup(x->a, names[i]))) return -1;
        if (n == 1) continue;
        out[i].dim[0] = t->dim[0] / n, out[i].count = t->count / n, out[i].bytes = t->bytes / (size_t)n;
        out[i].data = (const char *)t->data + (size_t)i * out[i].bytes;
    }
    return n;
}

ehm_code ehm_export_write_weights(const ehm_exporting *x, const char *path, ehm_err *err) {
    ehm_st_meta meta[EHM_EXPORT_META_MAX];
    ehm_st_tensor *t = EHM_NEW_N(x->a, ehm_st_tensor, 3 * (x->n + 1));
    int32_t n = 0, n_meta;
    bool decoder = false;
    if (!t) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
    for (int32_t i = 0; i < x->n; i++) {
        if (!ehm_export_keeps(x, x->t[i].name)) continue;
        int32_t k = rename_tensor(t + n, x, &x->t[i]);
        if (k < 0) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
        if (k == 0) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s has no place for \"%s\"", ehm_export_formats[x->kind].name, x->t[i].name);
        decoder |= ehm_export_is_decoder(x->t[i].name);
        n += k;
    }
    n_meta = ehm_export_meta(meta, x, decoder);
    for (int32_t i = 0; i < n_meta; i++)
        if (!meta[i].value) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
    return ehm_st_write(path, t, n, meta, n_meta, err);
}
