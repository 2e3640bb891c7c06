#include "exchange/weights_file.h"
#include "base/json.h"
#include "base/str.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef EHM_VERSION
#define EHM_VERSION "0"
#endif

enum { CHUNK = 8192, CHANNELS_MAX = 256 };

static bool is_decoder(const char *name) {
    return !strcmp(name, "mask_token") || ehm_starts(name, "decoder_");
}

/* ---- metadata ---- */

/* The sizes, under the names that the metadata gives them. */
static int32_t *size_field(ehm_vit_shape *s, int32_t i, const char **name) {
    switch (i) {
    case 0: return *name = "img_h", &s->img_h;
    case 1: return *name = "img_w", &s->img_w;
    case 2: return *name = "channels", &s->channels;
    case 3: return *name = "patch_size", &s->patch_size;
    case 4: return *name = "embed_dim", &s->embed_dim;
    case 5: return *name = "depth", &s->depth;
    case 6: return *name = "num_heads", &s->num_heads;
    case 7: return *name = "mlp_dim", &s->mlp_dim;
    case 8: return *name = "decoder_embed_dim", &s->decoder_embed_dim;
    case 9: return *name = "decoder_depth", &s->decoder_depth;
    case 10: return *name = "decoder_num_heads", &s->decoder_num_heads;
    case 11: return *name = "decoder_mlp_dim", &s->decoder_mlp_dim;
    default: return NULL;
    }
}
enum { N_SIZES = 12, N_ENCODER_SIZES = 8 };

const char *ehm_numbers_text(const double *v, int32_t n, ehm_arena *a) {
    ehm_str s = {0};
    for (int32_t i = 0; i < n; i++) {
        ehm_json_w w = {.out = &s};
        if (i) ehm_str_addc(&s, ',');
        ehm_json_f64(&w, v[i]); /* the shortest text that reads back equal */
    }
    const char *text = s.failed ? NULL : ehm_arena_strdup(a, ehm_str_c(&s));
    ehm_str_free(&s);
    return text;
}

static bool numbers_read(const char *text, double *v, int32_t n) {
    char one[64];
    for (int32_t i = 0; i < n; i++) {
        size_t len = strcspn(text, ",");
        if (len >= sizeof one) return false;
        memcpy(one, text, len), one[len] = 0;
        if (!ehm_parse_f64(one, &v[i]) || !isfinite(v[i])) return false;
        text += len;
        if (i + 1 < n && *text++ != ',') return false;
    }
    return !*text;
}

int32_t ehm_weights_meta(ehm_st_meta *meta, const ehm_weights_info *info, bool encoder_only, ehm_arena *a) {
    ehm_vit_shape s = info->shape;
    int32_t n = 0, n_sizes = encoder_only || !info->has_decoder ? N_ENCODER_SIZES : N_SIZES;
    meta[n++] = (ehm_st_meta){"ehm_version", EHM_VERSION};
    for (int32_t i = 0; i < n_sizes; i++) {
        const char *name;
        int32_t *v = size_field(&s, i, &name);
        meta[n++] = (ehm_st_meta){name, ehm_arena_printf(a, "%d", (int)*v)};
    }
    meta[n++] = (ehm_st_meta){"layer_norm_eps", "1e-06"};
    meta[n++] = (ehm_st_meta){"norm_pix_loss", info->norm_pix ? "true" : "false"};
    if (info->has_stats) {
        meta[n++] = (ehm_st_meta){"mean", ehm_numbers_text(info->mean, s.channels, a)};
        meta[n++] = (ehm_st_meta){"std", ehm_numbers_text(info->std, s.channels, a)};
    }
    if (*info->fit) meta[n++] = (ehm_st_meta){"fit", info->fit};
    if (*info->recipe) meta[n++] = (ehm_st_meta){"recipe", info->recipe};
    if (*info->mask) meta[n++] = (ehm_st_meta){"mask", info->mask};
    for (int32_t i = 0; i < n; i++)
        if (!meta[i].value) return -1;
    return n;
}

/* ---- save ---- */

/* Whole groups come down at once; tensors then point into them. */
static ehm_code download(float **out, const ehm_weights *w, int32_t group, ehm_dev *d, const char *path,
                         ehm_err *err) {
    ehm_view v = w->flat[group];
    size_t n = (size_t)ehm_view_count(v), size = ehm_dtype_size(v.dtype);
    *out = NULL;
    if (!n) return EHM_OK;
    float *host = malloc(n * size);
    if (!host) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for %zu weights", path, n);
    ehm_download(d, host, v, n * size);
    if (v.dtype == EHM_F64) { /* in place: a float never lies behind the double it comes from */
        const char *wide = (const char *)host;
        for (size_t i = 0; i < n; i++) {
            double x;
            memcpy(&x, wide + i * sizeof x, sizeof x);
            host[i] = (float)x;
        }
    }
    *out = host;
    return EHM_OK;
}

ehm_code ehm_weights_save(const char *path, const ehm_weights *w, ehm_dev *d, const ehm_weights_info *info,
                          bool encoder_only, ehm_err *err) {
    const ehm_params *ps = w->params;
    float *host[EHM_PARAM_GROUPS] = {0};
    ehm_st_meta meta[EHM_WEIGHTS_META_MAX];
    ehm_arena a = {0};
    ehm_code rc = EHM_OK;
    int32_t n = 0, n_meta = 0;
    ehm_st_tensor *t = EHM_NEW_N(&a, ehm_st_tensor, ps->n ? ps->n : 1);
    if (t) n_meta = ehm_weights_meta(meta, info, encoder_only, &a);
    if (!t || n_meta < 0) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
    for (int32_t g = 0; !rc && g < EHM_PARAM_GROUPS; g++) rc = download(&host[g], w, g, d, path, err);
    if (!rc) rc = ehm_dev_check(d, err);
    if (rc) goto done;
    for (int32_t i = 0; i < ps->n; i++) {
        const ehm_param *p = &ps->item[i];
        if (encoder_only && is_decoder(p->name)) continue;
        t[n] = (ehm_st_tensor){.name = p->name,
                               .dtype = EHM_F32,
                               .rank = p->rank,
                               .count = p->count,
                               .data = host[p->group] + p->offset,
                               .bytes = (size_t)p->count * sizeof(float)};
        memcpy(t[n++].dim, p->dim, sizeof p->dim);
    }
    rc = ehm_st_write(path, t, n, meta, n_meta, err);
done:
    for (int32_t g = 0; g < EHM_PARAM_GROUPS; g++) free(host[g]);
    ehm_arena_free(&a);
    return rc;
}

/* ---- describe ---- */

static ehm_code want(const ehm_st_tensor **out, const ehm_st *f, const char *name, int32_t rank,
                     ehm_err *err) {
    const ehm_st_tensor *t = *out = ehm_st_find(f, name);
    if (!t) {
        EHM_HINT(
            err,
            "files with the names of masked autoencoders or timm are read; ehm info shows what a file holds");
        return EHM_FAIL(
            err, EHM_E_MISMATCH,
            "the file has no tensor \"%s\", so it is no vision transformer under the expected names", name);
    }
    if (t->rank != rank)
        return EHM_FAIL(err, EHM_E_MISMATCH, "tensor \"%s\" has %d dims, expected %d", name, (int)t->rank,
                        (int)rank);
    for (int32_t i = 0; i < rank; i++)
        if (t->dim[i] < 1 || t->dim[i] > INT32_MAX)
            return EHM_FAIL(err, EHM_E_MISMATCH, "tensor \"%s\" has a dim of %lld", name,
                            (long long)t->dim[i]);
    return EHM_OK;
}

/* One more than the highest number of a block, so that a gap shows as missing tensors and not as a shallower
 * network. */
static int32_t count_blocks(const ehm_st *f, const char *prefix) {
    int64_t depth = 0, n_prefix = (int64_t)strlen(prefix);
    for (int32_t i = 0; i < ehm_st_count(f); i++) {
        const char *s = ehm_st_at(f, i)->name;
        int64_t v = 0, digits = 0;
        if (!ehm_starts(s, prefix)) continue;
        for (s += n_prefix; *s >= '0' && *s <= '9' && digits < 6; s++, digits++) v = 10 * v + (*s - '0');
        if (digits && *s == '.' && v >= depth) depth = v + 1;
    }
    return (int32_t)depth;
}

/* The first layer of any block's MLP, which tells its width. */
static ehm_code want_fc1(const ehm_st_tensor **out, const ehm_st *f, const char *prefix, int32_t depth,
                         ehm_err *err) {
    char name[64];
    for (int32_t i = 0; i < depth; i++) {
        snprintf(name, sizeof name, "%s%d.mlp.fc1.weight", prefix, (int)i);
        if (ehm_st_find(f, name)) return want(out, f, name, 2, err);
    }
    snprintf(name, sizeof name, "%s0.mlp.fc1.weight", prefix);
    return want(out, f, name, 2, err);
}

/* Heads leave no trace in shapes: those of the published model of this size, else 64 (decoder: 32) features a
 * head. */
static int32_t guess_heads(int32_t dim, int32_t depth, bool decoder) {
    for (const ehm_vit_preset *p = ehm_vit_presets; p->name; p++) {
        if (!decoder && p->embed_dim == dim && p->depth == depth) return p->num_heads;
        if (decoder && p->decoder_embed_dim == dim && p->decoder_depth == depth) return p->decoder_num_heads;
    }
    int32_t each = decoder ? 32 : 64;
    return dim % each ? 1 : dim / each;
}

static ehm_code deduce_encoder(ehm_vit_shape *s, const ehm_st *f, const ehm_weights_known *known, ehm_err *err) {
    const ehm_st_tensor *pos, *patch, *fc1;
    EHM_TRY(want(&patch, f, "patch_embed.proj.weight", 4, err));
    EHM_TRY(want(&pos, f, "pos_embed", 3, err));
    s->depth = count_blocks(f, "blocks.");
    EHM_TRY(want_fc1(&fc1, f, "blocks.", s->depth, err));
    if (patch->dim[2] != patch->dim[3])
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "patches of %lldx%lld px; only square ones are known",
                        (long long)patch->dim[2], (long long)patch->dim[3]);
    s->embed_dim = (int32_t)patch->dim[0], s->channels = (int32_t)patch->dim[1],
    s->patch_size = (int32_t)patch->dim[2];
    s->mlp_dim = (int32_t)fc1->dim[0];
    s->num_heads = known->num_heads ? known->num_heads : guess_heads(s->embed_dim, s->depth, false);
    if (known->img_h && known->img_h % s->patch_size == 0 && known->img_w % s->patch_size == 0 &&
        (int64_t)(known->img_h / s->patch_size) * (known->img_w / s->patch_size) == pos->dim[1] - 1) {
        s->img_h = known->img_h, s->img_w = known->img_w;
        return EHM_OK;
    }
    int32_t side = (int32_t)lround(sqrt((double)(pos->dim[1] - 1)));
    if (side < 1 || (int64_t)side * side != pos->dim[1] - 1 || side > 16384 / s->patch_size)
        return EHM_FAIL(
            err, EHM_E_MISMATCH,
            "pos_embed has %lld rows: one and a square grid of patches were expected, and the metadata names no size",
            (long long)pos->dim[1]);
    s->img_h = s->img_w = side * s->patch_size;
    return EHM_OK;
}

static ehm_code deduce_decoder(ehm_vit_shape *s, const ehm_st *f, const ehm_weights_known *known, ehm_err *err) {
    const ehm_st_tensor *embed, *fc1;
    EHM_TRY(want(&embed, f, "decoder_embed.weight", 2, err));
    s->decoder_depth = count_blocks(f, "decoder_blocks.");
    EHM_TRY(want_fc1(&fc1, f, "decoder_blocks.", s->decoder_depth, err));
    s->decoder_embed_dim = (int32_t)embed->dim[0], s->decoder_mlp_dim = (int32_t)fc1->dim[0];
    s->decoder_num_heads = known->decoder_num_heads ? known->decoder_num_heads
                                                    : guess_heads(s->decoder_embed_dim, s->decoder_depth, true);
    return EHM_OK;
}

/* All sizes from first to n, or none of them (false). */
static ehm_code sizes_from_meta(bool *there, ehm_vit_shape *s, const ehm_st *f, int32_t first, int32_t n,
                                ehm_err *err) {
    int32_t found = 0;
    const char *name, *missing = NULL;
    for (int32_t i = first; i < n; i++) {
        int32_t *field = size_field(s, i, &name);
        const char *text = ehm_st_meta_get(f, name);
        int64_t v;
        if (!text) {
            missing = name;
            continue;
        }
        if (!ehm_parse_i64(text, &v) || v < 0 || v > INT32_MAX)
            return EHM_FAIL(err, EHM_E_FORMAT, "metadata %s is \"%.40s\", expected a size", name, text);
        *field = (int32_t)v, found++;
    }
    if (found && missing)
        return EHM_FAIL(err, EHM_E_FORMAT, "metadata names some sizes of the model, but not %s", missing);
    *there = found > 0;
    return EHM_OK;
}

static void copy_word(char *out, size_t cap, const char *text) {
    if (text) snprintf(out, cap, "%s", text);
}

ehm_code ehm_weights_describe(ehm_weights_info *out, const ehm_st *f, bool *guessed, ehm_err *err) {
    return ehm_weights_describe_with(out, f, &(ehm_weights_known){0}, guessed, err);
}

ehm_code ehm_weights_describe_with(ehm_weights_info *out, const ehm_st *f, const ehm_weights_known *known,
                                   bool *guessed, ehm_err *err) {
    bool meta, meta_decoder = false;
    const char *text;
    memset(out, 0, sizeof *out);
    EHM_TRY(sizes_from_meta(&meta, &out->shape, f, 0, N_ENCODER_SIZES, err));
    if (!meta) EHM_TRY(deduce_encoder(&out->shape, f, known, err));
    out->has_decoder = ehm_st_find(f, "decoder_embed.weight") != NULL;
    if (out->has_decoder) {
        EHM_TRY(sizes_from_meta(&meta_decoder, &out->shape, f, N_ENCODER_SIZES, N_SIZES, err));
        if (!meta_decoder) EHM_TRY(deduce_decoder(&out->shape, f, known, err));
    }
    if (ehm_vit_shape_check(&out->shape, err)) {
        if (err) err->code = EHM_E_MISMATCH; /* the file's fault, not a setting's */
        EHM_WHILE(err, "reading the sizes of a weights file");
        return EHM_E_MISMATCH;
    }
    *guessed = (!meta && !known->num_heads) ||
               (out->has_decoder && !meta_decoder && !known->decoder_num_heads);
    text = ehm_st_meta_get(f, "norm_pix_loss");
    out->norm_pix = text && !strcmp(text, "true");
    const char *mean = ehm_st_meta_get(f, "mean"), *std = ehm_st_meta_get(f, "std");
    if (mean && std) {
        int32_t C = out->shape.channels;
        out->has_stats = numbers_read(mean, out->mean, C) && numbers_read(std, out->std, C);
        for (int32_t c = 0; out->has_stats && c < C; c++) out->has_stats = out->std[c] > 0;
        if (!out->has_stats)
            return EHM_FAIL(err, EHM_E_FORMAT,
                            "metadata mean \"%.60s\" and std \"%.60s\" are not %d numbers each, std over 0",
                            mean, std, (int)C);
    }
    copy_word(out->fit, sizeof out->fit, ehm_st_meta_get(f, "fit"));
    copy_word(out->recipe, sizeof out->recipe, ehm_st_meta_get(f, "recipe"));
    copy_word(out->mask, sizeof out->mask, ehm_st_meta_get(f, "mask"));
    return EHM_OK;
}

/* ---- load ---- */

static const char *shape_text(char text[96], const int64_t *dim, int32_t rank) {
    size_t at = 0;
    text[0] = 0;
    for (int32_t i = 0; i < rank && at < 80; i++)
        at += (size_t)snprintf(text + at, 96 - at, "%s%lld", i ? "x" : "", (long long)dim[i]);
    return text;
}

static ehm_code check_shape(const ehm_param *p, const ehm_st_tensor *t, ehm_err *err) {
    char a[96], b[96];
    if (t->rank == p->rank && !memcmp(t->dim, p->dim, (size_t)p->rank * sizeof *p->dim)) return EHM_OK;
    if (ehm_ends(p->name, "pos_embed"))
        EHM_HINT(err, "the position table goes with --img-size and --patch-size");
    return EHM_FAIL(err, EHM_E_MISMATCH, "tensor \"%s\" is %s in the file, but %s in the model", p->name,
                    shape_text(a, t->dim, t->rank), shape_text(b, p->dim, p->rank));
}

static ehm_code upload(const ehm_weights *w, const ehm_param *p, ehm_dev *d, const ehm_st_tensor *t,
                       ehm_err *err) {
    ehm_view flat = w->flat[p->group];
    float v[CHUNK];
    double wide[CHUNK];
    for (int64_t at = 0; at < p->count; at += CHUNK) {
        int64_t n = p->count - at < CHUNK ? p->count - at : CHUNK;
        ehm_view dst = ehm_view_of(flat.buf, flat.offset + p->offset + at, flat.dtype, 1, &n);
        EHM_TRY(ehm_st_to_f32_part(t, at, n, v, err));
        for (int64_t i = 0; i < n; i++) wide[i] = v[i];
        ehm_upload(d, dst, flat.dtype == EHM_F64 ? (const void *)wide : v,
                   (size_t)n * ehm_dtype_size(flat.dtype));
    }
    return EHM_OK;
}

static void note(char out[128], const char *name, int32_t n) {
    if (n == 1) snprintf(out, 128, "%s", name);
}

ehm_code ehm_weights_load(const ehm_weights *w, ehm_dev *d, const ehm_st *f, bool decoder_optional,
                          ehm_weights_report *rep, ehm_err *err) {
    const ehm_params *ps = w->params;
    int32_t decoder_missing = 0, decoder_found = 0;
    bool pooled = ehm_st_find(f, "fc_norm.weight") && !ehm_st_find(f, "norm.weight");
    memset(rep, 0, sizeof *rep);
    /* Everything is judged before the first number moves: a refused file leaves the weights as they were. */
    for (int32_t i = 0; i < ps->n; i++) {
        const ehm_param *p = &ps->item[i];
        const ehm_st_tensor *t = ehm_st_find(f, p->name);
        if (t) {
            EHM_TRY(check_shape(p, t, err));
            EHM_TRY(ehm_st_to_f32_part(t, 0, 0, NULL, err)); /* its type can be read */
            rep->n_matched++;
        } else if (pooled && ehm_starts(p->name, "norm.")) {
            continue;
        } else {
            note(rep->first_missing, p->name, ++rep->n_missing);
        }
        if (is_decoder(p->name)) *(t ? &decoder_found : &decoder_missing) += 1;
    }
    for (int32_t i = 0; i < ehm_st_count(f); i++)
        if (ehm_params_find(ps, ehm_st_at(f, i)->name) < 0)
            note(rep->first_unexpected, ehm_st_at(f, i)->name, ++rep->n_unexpected);
    bool excused = decoder_optional && !decoder_found && rep->n_missing == decoder_missing;
    if (rep->n_missing && !excused)
        return EHM_FAIL(err, EHM_E_MISMATCH,
                        "%d of the model's %d tensors are missing from the file, first \"%s\"",
                        (int)rep->n_missing, (int)ps->n, rep->first_missing);
    for (int32_t i = 0; i < ps->n; i++) {
        const ehm_st_tensor *t = ehm_st_find(f, ps->item[i].name);
        if (t) EHM_TRY(upload(w, &ps->item[i], d, t, err));
    }
    ehm_weights_refresh(w, d);
    return EHM_OK;
}
