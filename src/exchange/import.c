#include "exchange/import_int.h"
#include "base/file.h"
#include "base/str.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ehm_code ehm_import_no_memory(const ehm_import_job *j, ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to import it", j->files.path); }

static bool is_decoder(const char *name) { return !strcmp(name, "mask_token") || ehm_starts(name, "decoder_"); }

static ehm_code say(ehm_import_job *j, const char *text, ehm_err *err) {
    if (!text) return ehm_import_no_memory(j, err);
    if (j->pub.n_notes < (int32_t)(sizeof j->pub.note / sizeof *j->pub.note)) j->pub.note[j->pub.n_notes++] = text;
    return EHM_OK;
}

static ehm_import_tensor *find(const ehm_import_job *j, const char *name) {
    for (int32_t i = 0; i < j->n_tensors; i++)
        if (!strcmp(j->tensor[i].t.name, name)) return &j->tensor[i];
    return NULL;
}

/* ---- numbers ---- */

ehm_code ehm_import_f32(ehm_import_job *j, ehm_st_tensor *t, ehm_err *err) {
    if (t->dtype == EHM_F32) return EHM_OK;
    EHM_TRY(ehm_st_to_f32_part(t, 0, 0, NULL, err)); /* is its type one of numbers? */
    float *v = EHM_NEW_N(&j->arena, float, t->count ? t->count : 1);
    if (!v) return ehm_import_no_memory(j, err);
    EHM_TRY(ehm_st_to_f32(t, v, err));
    t->data = v, t->dtype = EHM_F32, t->bytes = (size_t)t->count * sizeof *v;
    return EHM_OK;
}

static bool same_dims(const ehm_st_tensor *a, const ehm_st_tensor *b) { return a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim); }

/* q, k and v below each other. */
static ehm_code join(ehm_import_job *j, ehm_st_tensor *out, const ehm_st_tensor *const part[3], ehm_err *err) {
    *out = *part[0];
    if (out->rank < 1 || out->rank > 2 || !same_dims(part[0], part[1]) || !same_dims(part[0], part[2]))
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: \"%.80s\" and its keys and values are not matrices of one shape", j->files.path, part[0]->name);
    float *v = EHM_NEW_N(&j->arena, float, 3 * out->count + 1);
    if (!v) return ehm_import_no_memory(j, err);
    for (int32_t k = 0; k < 3; k++) EHM_TRY(ehm_st_to_f32(part[k], v + k * out->count, err));
    out->dim[0] *= 3, out->count *= 3;
    out->data = v, out->dtype = EHM_F32, out->bytes = (size_t)out->count * sizeof *v;
    return EHM_OK;
}

/* ---- names ---- */

/* A tensor of the file that has a place. */
typedef struct { const char *name; int32_t part, n_parts, order; const ehm_st_tensor *t; } place;

static int by_place(const void *a, const void *b) {
    const place *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    if (c) return c;
    if (x->part != y->part) return x->part < y->part ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static ehm_code leave(ehm_import_job *j, const char *theirs, const char *note) {
    j->left[j->n_left++] = (ehm_import_row){EHM_IMPORT_UNEXPECTED, NULL, theirs, note};
    return EHM_OK;
}

static const char *why_left(const char *rest) {
    static const struct { const char *word, *why;
    } known[] = {{"pooler.", "acts on the class token after the encoder"}, {"optimizer", "state of an optimiser"}, {"exp_avg", "state of an optimiser"},
                 {"momentum", "a second network"}, {"teacher", "a second network"}, {"ema", "averaged weights"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(rest, known[i].word)) return known[i].why;
    return NULL;
}

/* Tensors outside the blocks that make another function of an encoder. */
static bool changes_function(const char *rest) {
    static const char *const word[] = {"reg_token", "register_token", "dist_token", "distillation_token", "norm_pre.", "pre_norm.", "pre_layernorm", "rel_pos",
                                       "relative_position", "rope", "patch_embed.norm", "embeddings.norm"};
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        if (strstr(rest, word[i])) return true;
    return false;
}

static ehm_code refuse(const ehm_import_job *j, const char *theirs, ehm_err *err) {
    EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: the tensor \"%.100s\" belongs to another kind of vision transformer: without it the encoder would compute something else", j->files.path, theirs);
    EHM_HINT(err, "encoders as MAE's and timm's plain vit_* are read: one class token, no registers, layer scales, relative positions or norms of queries and keys");
    return EHM_E_UNSUPPORTED;
}

static ehm_code add_tensor(ehm_import_job *j, const place *p, int32_t n, ehm_err *err) {
    ehm_import_tensor *x = &j->tensor[j->n_tensors];
    x->theirs = p->t->name, x->kind = EHM_IMPORT_MATCHED;
    if (n == 1) x->t = *p->t;
    else EHM_TRY(join(j, &x->t, (const ehm_st_tensor *const[]){p[0].t, p[1].t, p[2].t}, err));
    x->t.name = p->name;
    EHM_TRY(ehm_import_f32(j, &x->t, err));
    j->n_tensors++;
    return EHM_OK;
}

/* Of n tensors that say they are one and the same: its parts once each, the first of each. */
static ehm_code add_group(ehm_import_job *j, place *p, int32_t n, ehm_err *err) {
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (kept && (p[kept - 1].part == p[i].part || p[kept - 1].n_parts != p[i].n_parts)) leave(j, p[i].t->name, "stands for a tensor that the file holds twice");
        else p[kept++] = p[i];
    if (kept == p->n_parts) return add_tensor(j, p, kept, err);
    for (int32_t i = 0; i < kept; i++) leave(j, p[i].t->name, "its queries, keys or values are missing");
    return EHM_OK;
}

static ehm_code map_names(ehm_import_job *j, ehm_err *err) {
    const ehm_import_files *f = &j->files;
    size_t n_prefix = strlen(j->prefix), cap = (size_t)f->n_tensors + 1;
    place *p = EHM_NEW_N(&j->arena, place, cap);
    /* Room for tensors that are filled in: a network has fewer than 24 beside 12 for each block. */
    j->tensor = EHM_NEW_N(&j->arena, ehm_import_tensor, cap + 24 + 12 * (128 + 64));
    j->left = EHM_NEW_N(&j->arena, ehm_import_row, cap);
    int32_t n = 0;
    if (!p || !j->tensor || !j->left) return ehm_import_no_memory(j, err);
    for (int32_t i = 0; i < f->n_tensors; i++) {
        const ehm_st_tensor *t = f->tensor[i];
        ehm_dialect_name x;
        bool inside = !strncmp(t->name, j->prefix, n_prefix);
        const char *rest = t->name + (inside ? n_prefix : 0);
        if (inside && ehm_dialect_to_mae(&x, j->pub.dialect, rest)) {
            p[n] = (place){ehm_arena_strdup(&j->arena, x.name), x.part, x.n_parts, i, t};
            if (!p[n++].name) return ehm_import_no_memory(j, err);
        } else if (j->ours) {
            j->tensor[j->n_tensors++] = (ehm_import_tensor){.t = *t, .theirs = t->name, .kind = EHM_IMPORT_UNEXPECTED};
        } else if (inside && !why_left(rest) && (ehm_dialect_in_block(j->pub.dialect, rest) || changes_function(rest))) {
            return refuse(j, t->name, err);
        } else leave(j, t->name, why_left(t->name));
    }
    qsort(p, (size_t)n, sizeof *p, by_place);
    for (int32_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && !strcmp(p[k].name, p[i].name); k++) continue;
        EHM_TRY(add_group(j, p + i, k - i, err));
    }
    return EHM_OK;
}

static ehm_code detect(ehm_import_job *j, ehm_err *err) {
    const ehm_import_files *f = &j->files;
    const char **names = EHM_NEW_N(&j->arena, const char *, f->n_tensors + 1);
    if (!names) return ehm_import_no_memory(j, err);
    for (int32_t i = 0; i < f->n_tensors; i++) names[i] = f->tensor[i]->name;
    j->pub.dialect = ehm_dialect_detect(j->prefix, names, f->n_tensors);
    if (j->pub.dialect != EHM_DIALECT_UNKNOWN) return EHM_OK;
    EHM_FAIL(err, EHM_E_MISMATCH, "the file has no tensor \"patch_embed.proj.weight\", so it is no vision transformer under the expected names");
    EHM_HINT(err, "files with the names of MAE, timm, transformers, torchvision, mmpretrain, solo-learn and lightly are read; ehm info shows what a file holds");
    return EHM_E_MISMATCH;
}

static bool any_name(const ehm_import_job *j, const char *part) {
    for (int32_t i = 0; i < j->files.n_tensors; i++)
        if (strstr(j->files.tensor[i]->name, part)) return true;
    return false;
}

/* Whose file it is, as far as it shows. */
static const char *tool_of(ehm_import_job *j) {
    const char *version = j->ours ? ehm_st_meta_get(j->files.file[0], "ehm_version") : NULL;
    const char *from = j->ours ? ehm_st_meta_get(j->files.file[0], "imported_from") : NULL;
    if (j->ours) return ehm_arena_printf(&j->arena, "ehm%s%.40s%s%.100s", version ? " " : "", version ? version : "", from ? ", imported from " : "", from ? from : "");
    if (j->config.tool) return j->config.tool;
    switch (j->pub.dialect) {
    case EHM_DIALECT_HF: return "transformers (names of 4.x)";
    case EHM_DIALECT_HF5: return "transformers (names of 5.x)";
    case EHM_DIALECT_TORCHVISION: return "torchvision";
    case EHM_DIALECT_MMPRETRAIN: return "mmpretrain";
    case EHM_DIALECT_TIMM: return "timm, or the encoder of MAE";
    default: break;
    }
    if (any_name(j, ".vit.patch_embed.")) return "lightly";
    if (any_name(j, "backbone.patch_embed.")) return "solo-learn";
    return ehm_starts(j->prefix, "model.") || find(j, "decoder_embed.weight") ? "official MAE" : "timm, or the encoder of MAE";
}

/* ---- what is not written as MAE writes it, yet computes the same ---- */

static int64_t root_of(int64_t n) {
    int64_t r = n > 0 ? (int64_t)llround(sqrt((double)n)) : 0;
    return r > 0 && r * r == n ? r : 0;
}

/* timm's no_embed_class: no row for the class token, which is a row of zeros. */
static ehm_code pad_positions(ehm_import_job *j, ehm_err *err) {
    ehm_import_tensor *x = find(j, "pos_embed");
    const ehm_import_tensor *patch = find(j, "patch_embed.proj.weight");
    if (!x || x->t.rank != 3 || x->t.dim[0] != 1 || !patch || patch->t.rank != 4 || patch->t.dim[2] < 1) return EHM_OK;
    int64_t n = x->t.dim[1], p = patch->t.dim[2], D = x->t.dim[2], grid = (j->config.img_h / p) * (j->config.img_w / p);
    bool bare = grid > 0 && (n == grid || n == grid + 1) ? n == grid : root_of(n) && !root_of(n - 1);
    if (!bare) return EHM_OK;
    float *v = EHM_NEW_N(&j->arena, float, (n + 1) * D);
    if (!v) return ehm_import_no_memory(j, err);
    memcpy(v + D, x->t.data, x->t.bytes);
    x->t.dim[1]++, x->t.count += D, x->t.bytes += (size_t)D * sizeof *v, x->t.data = v;
    x->note = "a row of zeros for the class token in front, which had none";
    return EHM_OK;
}

static ehm_code fill(ehm_import_job *j, const ehm_param *p, float *v, const char *note, ehm_err *err) {
    ehm_import_tensor *x = &j->tensor[j->n_tensors];
    if (!v) return ehm_import_no_memory(j, err);
    *x = (ehm_import_tensor){.t = {.name = p->name, .dtype = EHM_F32, .rank = p->rank, .count = p->count, .data = v, .bytes = (size_t)p->count * sizeof *v},
                             .kind = EHM_IMPORT_MISSING, .note = note};
    memcpy(x->t.dim, p->dim, sizeof p->dim);
    j->n_tensors++;
    return EHM_OK;
}

/* Without biases of queries, keys and values anywhere they are zeros. */
static bool lacks_qkv_bias(const ehm_import_job *j) {
    for (int32_t i = 0; i < j->n_tensors; i++)
        if (ehm_ends(j->tensor[i].t.name, "attn.qkv.bias")) return false;
    return true;
}

/* ---- against the network of these sizes ---- */

static ehm_code list_params(ehm_import_job *j, ehm_err *err) {
    const ehm_vit_shape *s = &j->pub.info.shape;
    const ehm_import_tensor *pred = find(j, "decoder_pred.weight");
    int64_t width = pred && pred->t.rank == 2 ? pred->t.dim[0] : s->patch_pixels;
    ehm_vit_encoder e;
    ehm_vit_decoder d;
    ehm_vit_encoder_roots(&e, &j->params, s);
    if (j->pub.info.has_decoder) ehm_vit_decoder_roots(&d, &j->params, s);
    ehm_vit_encoder_modules(&e, &j->params, &j->arena);
    if (j->pub.info.has_decoder) ehm_vit_decoder_modules(&d, &j->params, width, &j->arena);
    return j->params.failed ? ehm_import_no_memory(j, err) : EHM_OK;
}

static const char *dims_text(char text[96], const int64_t *dim, int32_t rank) {
    size_t at = 0;
    text[0] = 0;
    for (int32_t i = 0; i < rank && at < 80; i++) at += (size_t)snprintf(text + at, 96 - at, "%s%lld", i ? "x" : "", (long long)dim[i]);
    return text;
}

static ehm_code check_dims(const ehm_import_job *j, const char *name, int32_t rank, const int64_t *dim, ehm_err *err) {
    const ehm_import_tensor *x = find(j, name);
    char a[96], b[96];
    if (!x || (x->t.rank == rank && !memcmp(x->t.dim, dim, (size_t)rank * sizeof *dim))) return EHM_OK;
    return EHM_FAIL(err, EHM_E_MISMATCH, "tensor \"%.100s\" is %s in the file, but %s in a network of its sizes", x->theirs, dims_text(a, x->t.dim, x->t.rank), dims_text(b, dim, rank));
}

static void drop_decoder(ehm_import_job *j, const char *note) {
    int32_t n = 0;
    for (int32_t i = 0; i < j->n_tensors; i++)
        if (is_decoder(j->tensor[i].t.name)) leave(j, j->tensor[i].theirs, note);
        else j->tensor[n++] = j->tensor[i];
    j->n_tensors = n;
    ehm_vit_shape *s = &j->pub.info.shape;
    j->pub.info.has_decoder = false;
    s->decoder_embed_dim = s->decoder_depth = s->decoder_num_heads = s->decoder_mlp_dim = 0;
}

static ehm_code check_missing(ehm_import_job *j, ehm_err *err) {
    int32_t n = 0, n_encoder = 0, n_decoder = 0;
    const char *first = NULL, *first_decoder = NULL;
    bool pooled = find(j, "fc_norm.weight") && !find(j, "norm.weight"), no_bias = lacks_qkv_bias(j);
    for (int32_t i = 0; i < j->params.n; i++) {
        const ehm_param *p = &j->params.item[i];
        EHM_TRY(check_dims(j, p->name, p->rank, p->dim, err));
        bool decoder = is_decoder(p->name);
        n_encoder += !decoder;
        if (find(j, p->name) || (pooled && ehm_starts(p->name, "norm.")) || (no_bias && ehm_ends(p->name, "attn.qkv.bias"))) continue;
        if (decoder) n_decoder++, first_decoder = first_decoder ? first_decoder : p->name;
        else n++, first = first ? first : p->name;
    }
    if (n && !j->opt.partial && !j->ours) {
        EHM_FAIL(err, EHM_E_MISMATCH, "%s: %d of the encoder's %d tensors are missing, first \"%s\"", j->files.path, (int)n, (int)n_encoder, first);
        EHM_HINT(err, "the file is incomplete; ehm import --partial --out F.safetensors draws what is missing, as at the start of a run");
        return EHM_E_MISMATCH;
    }
    if (n_decoder && !j->opt.partial && !j->ours) {
        EHM_TRY(say(j, ehm_arena_printf(&j->arena, "the decoder lacks %d tensors (%s, ...) and is left out", (int)n_decoder, first_decoder), err));
        drop_decoder(j, "of a decoder that is not whole");
    }
    bool said = false;
    for (int32_t i = 0; i < j->params.n; i++) {
        const ehm_param *p = &j->params.item[i];
        if (find(j, p->name) || (pooled && ehm_starts(p->name, "norm.")) || (is_decoder(p->name) && !j->pub.info.has_decoder)) continue;
        bool zeros = no_bias && ehm_ends(p->name, "attn.qkv.bias");
        if (!zeros && (j->ours || !j->opt.partial)) continue;
        float *v = EHM_NEW_N(&j->arena, float, p->count);
        if (v && !zeros) ehm_param_start(p, 0, v);
        EHM_TRY(fill(j, p, v, zeros ? "zeros: the network was made without it" : "drawn anew", err));
        if (zeros && !said) EHM_TRY(say(j, "queries, keys and values have no bias; zeros do the same", err));
        said |= zeros;
    }
    if (pooled)
        EHM_TRY(say(j, "a classifier on the mean of its tokens: it has fc_norm after pooling and no norm of single tokens, so features are normalised without weights of its own", err));
    return EHM_OK;
}

/* The head comes along where it is one linear layer on the encoder's width. */
static ehm_code check_head(ehm_import_job *j, ehm_err *err) {
    const ehm_import_tensor *w = find(j, "head.weight"), *b = find(j, "head.bias");
    int64_t D = j->pub.info.shape.embed_dim;
    bool good = w && w->t.rank == 2 && w->t.dim[1] == D && w->t.dim[0] > 0 && b && b->t.rank == 1 && b->t.dim[0] == w->t.dim[0];
    j->pub.has_head = good;
    for (int32_t k = 0; k < 2; k++) EHM_TRY(check_dims(j, k ? "fc_norm.bias" : "fc_norm.weight", 1, &D, err));
    if (good || j->ours) return EHM_OK;
    int32_t n = 0;
    for (int32_t i = 0; i < j->n_tensors; i++)
        if (ehm_starts(j->tensor[i].t.name, "head.")) leave(j, j->tensor[i].theirs, "a head that is not one linear layer with a bias");
        else j->tensor[n++] = j->tensor[i];
    j->n_tensors = n;
    return EHM_OK;
}

/* ---- sizes and settings ---- */

static ehm_code describe(ehm_import_job *j, ehm_err *err) {
    ehm_st_tensor *t = EHM_NEW_N(&j->arena, ehm_st_tensor, j->n_tensors + 1);
    const ehm_st *raw = j->files.file[0];
    const ehm_import_config *c = &j->config;
    ehm_st_meta *meta = EHM_NEW_N(&j->arena, ehm_st_meta, ehm_st_n_meta(raw) + 1);
    ehm_weights_known known = {c->img_h, c->img_w, j->opt.num_heads ? j->opt.num_heads : c->num_heads, j->opt.decoder_num_heads ? j->opt.decoder_num_heads : c->decoder_num_heads};
    ehm_st *view = NULL;
    if (!t || !meta) return ehm_import_no_memory(j, err);
    for (int32_t i = 0; i < j->n_tensors; i++) t[i] = j->tensor[i].t;
    for (int32_t i = 0; i < ehm_st_n_meta(raw); i++) meta[i] = *ehm_st_meta_at(raw, i);
    ehm_code rc = ehm_st_from(&view, t, j->n_tensors, meta, j->ours ? ehm_st_n_meta(raw) : 0, NULL, NULL, err);
    if (!rc) rc = ehm_weights_describe_with(&j->pub.info, view, &known, &j->pub.heads_guessed, err);
    ehm_st_close(view);
    if (!rc && c->depth > j->pub.info.shape.depth && !j->ours) { /* the last blocks may be what is missing */
        j->pub.info.shape.depth = c->depth;
        rc = ehm_vit_shape_check(&j->pub.info.shape, err);
    }
    return rc;
}

/* mmpretrain keeps mean and deviation as tensors, in values of 0 to 255. */
static void preprocessor_stats(ehm_import_job *j) {
    ehm_weights_info *info = &j->pub.info;
    int32_t C = info->shape.channels;
    float v[2][256];
    bool there[2] = {false, false};
    for (int32_t i = 0; i < j->n_left && !info->has_stats; i++)
        for (int32_t k = 0; k < 2; k++) {
            if (!ehm_ends(j->left[i].theirs, k ? "data_preprocessor.std" : "data_preprocessor.mean")) continue;
            for (int32_t n = 0; n < j->files.n_tensors; n++) {
                const ehm_st_tensor *t = j->files.tensor[n];
                if (!strcmp(t->name, j->left[i].theirs) && t->count == C && !ehm_st_to_f32(t, v[k], NULL)) there[k] = true, j->left[i].note = "taken for the pictures, not a weight";
            }
        }
    for (int32_t c = 0; there[0] && c < C; c++) there[1] = there[1] && isfinite(v[0][c]) && isfinite(v[1][c]) && v[1][c] > 0;
    if (!there[0] || !there[1]) return;
    for (int32_t c = 0; c < C; c++) info->mean[c] = (double)v[0][c] / 255, info->std[c] = (double)v[1][c] / 255;
    info->has_stats = true;
}

/* What tensors do not tell. */
static ehm_code read_settings(ehm_import_job *j, ehm_err *err) {
    const ehm_import_config *c = &j->config;
    ehm_weights_info *info = &j->pub.info;
    if (j->ours) return EHM_OK;
    if (c->activation && strcmp(c->activation, "gelu")) {
        EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: its activation is \"%.40s\", and only gelu (the exact one) is known", j->files.path, c->activation);
        return EHM_E_UNSUPPORTED;
    }
    if (c->has_stats && c->n_stats == info->shape.channels) {
        memcpy(info->mean, c->mean, sizeof info->mean), memcpy(info->std, c->std, sizeof info->std);
        info->has_stats = true;
    }
    if (c->eps > 0 && fabs(c->eps - 1e-6) > 1e-9)
        EHM_TRY(say(j, ehm_arena_printf(&j->arena, "its layer norms say epsilon %g, and 1e-06 is used here%s", c->eps, c->eps < 1e-6 ? ": features differ by less than 1e-4 as a rule" : ""), err));
    preprocessor_stats(j);
    if (!info->has_decoder) return EHM_OK;
    if (!strcmp(j->pub.tool, "solo-learn"))
        EHM_TRY(say(j, "the norms of solo-learn's decoder have epsilon 1e-05, and 1e-06 is used here: predictions differ a little, features do not", err));
    info->norm_pix = c->norm_pix > 0;
    if (c->norm_pix >= 0) return EHM_OK;
    /* The released files with a decoder predict normalised pixels, but for those for pictures; lightly's recipe predicts plain ones. */
    info->norm_pix = !strstr(ehm_path_base(j->files.path), "visualize") && strcmp(j->pub.tool, "lightly");
    if (j->want) return EHM_OK; /* the run says what it predicts */
    return say(j, info->norm_pix ? "it does not say what its decoder predicts; normalised pixels (norm_pix_loss) are assumed" : "it does not say what its decoder predicts; plain pixels are assumed", err);
}

static ehm_code settle_target(ehm_import_job *j, ehm_err *err) {
    const ehm_import_opt *o = &j->opt;
    j->to = j->pub.info.shape;
    if (o->img_h) j->to.img_h = o->img_h, j->to.img_w = o->img_w;
    if (o->channels) j->to.channels = o->channels;
    if (o->patch_size) j->to.patch_size = o->patch_size;
    return ehm_vit_shape_check(&j->to, err);
}

/* ---- the result ---- */

static int by_model(const void *a, const void *b) {
    const ehm_import_tensor *x = a, *y = b;
    return x->rank != y->rank ? (x->rank < y->rank ? -1 : 1) : strcmp(y->t.name, x->t.name); /* weight before bias */
}

static void order_tensors(ehm_import_job *j) {
    for (int32_t i = 0; i < j->n_tensors; i++) {
        ehm_import_tensor *x = &j->tensor[i];
        int32_t k = x->kind == EHM_IMPORT_UNEXPECTED ? -1 : ehm_params_find(&j->params, x->t.name);
        x->rank = k >= 0 ? k : j->params.n + (ehm_starts(x->t.name, "fc_norm.") ? 0 : 1);
    }
    qsort(j->tensor, (size_t)j->n_tensors, sizeof *j->tensor, by_model);
}

static ehm_code make_rows(ehm_import_job *j, ehm_err *err) {
    static const ehm_import_kind order[] = {EHM_IMPORT_MATCHED, EHM_IMPORT_RESIZED, EHM_IMPORT_MISSING, EHM_IMPORT_UNEXPECTED};
    ehm_import_row *row = EHM_NEW_N(&j->arena, ehm_import_row, j->n_tensors + j->n_left + j->params.n + 1);
    int32_t n = 0;
    if (!row) return ehm_import_no_memory(j, err);
    order_tensors(j);
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) {
        for (int32_t i = 0; i < j->n_tensors; i++) {
            const ehm_import_tensor *x = &j->tensor[i];
            if (x->kind == order[k]) row[n++] = (ehm_import_row){order[k], x->kind == EHM_IMPORT_UNEXPECTED ? NULL : x->t.name, x->theirs, x->note};
        }
        for (int32_t i = 0; order[k] == EHM_IMPORT_MISSING && i < j->params.n; i++) {
            const char *name = j->params.item[i].name;
            if (!find(j, name) && (j->pub.info.has_decoder || !is_decoder(name)))
                row[n++] = (ehm_import_row){EHM_IMPORT_MISSING, name, NULL, ehm_starts(name, "norm.") ? "fc_norm stands after pooling instead" : NULL};
        }
        for (int32_t i = 0; order[k] == EHM_IMPORT_UNEXPECTED && i < j->n_left; i++) row[n++] = j->left[i];
    }
    j->pub.row = row, j->pub.n_row = n;
    for (int32_t i = 0; i < n; i++) j->pub.n_of[row[i].kind]++;
    return EHM_OK;
}

static bool has_key(const ehm_st_meta *meta, int32_t n, const char *key) {
    for (int32_t i = 0; i < n; i++)
        if (!strcmp(meta[i].key, key)) return true;
    return false;
}

static ehm_code make_weights(ehm_import_job *j, ehm_err *err) {
    const ehm_st *raw = j->files.file[0];
    ehm_st_tensor *t = EHM_NEW_N(&j->arena, ehm_st_tensor, j->n_tensors + 1);
    ehm_st_meta *meta = EHM_NEW_N(&j->arena, ehm_st_meta, EHM_WEIGHTS_META_MAX + 2 + ehm_st_n_meta(raw));
    int32_t n = t && meta ? ehm_weights_meta(meta, &j->pub.info, !j->pub.info.has_decoder, &j->arena) : -1;
    if (n < 0) return ehm_import_no_memory(j, err);
    const ehm_import_tensor *pos = find(j, "pos_embed");
    for (int32_t i = 0; i < j->n_tensors; i++) t[i] = j->tensor[i].t;
    if (j->ours) {
        for (int32_t i = 0; i < ehm_st_n_meta(raw); i++) {
            const ehm_st_meta *m = ehm_st_meta_at(raw, i);
            if (strcmp(m->key, "format") && !has_key(meta, n, m->key)) meta[n++] = *m;
        }
    } else {
        meta[n++] = (ehm_st_meta){"imported_from", j->pub.tool};
    }
    if (pos && pos->kind == EHM_IMPORT_RESIZED && !has_key(meta, n, "position_table")) meta[n++] = (ehm_st_meta){"position_table", pos->note};
    return ehm_st_from(&j->pub.weights, t, j->n_tensors, meta, n, NULL, NULL, err);
}

static ehm_code check_words(const ehm_import_opt *o, ehm_err *err) {
    const char *const word[] = {o->resample, o->adapt}, *const name[] = {"resample", "adapt"};
    for (int32_t i = 0; i < 2; i++)
        if (word[i] && strcmp(word[i], "timm") && strcmp(word[i], "mae"))
            return EHM_FAIL(err, EHM_E_CONFIG, "%s \"%.40s\" is not one of timm, mae", name[i], word[i]);
    return EHM_OK;
}

/* ---- for a network that is there already ---- */

static ehm_code check_depth(const ehm_import_job *j, const ehm_vit_shape *want, ehm_err *err) {
    const char *first = NULL, *digits;
    for (int32_t i = 0; i < j->n_tensors; i++) { /* a deeper encoder cut short is another network, not these weights */
        const char *name = j->tensor[i].t.name;
        if (!ehm_starts(name, "blocks.")) continue;
        digits = name + strlen("blocks.");
        if (strtol(digits, NULL, 10) >= want->depth && (!first || strcmp(name, first) < 0)) first = name;
    }
    if (!first) return EHM_OK;
    EHM_FAIL(err, EHM_E_MISMATCH, "%s holds %s, and the encoder asked for has %d blocks", j->files.path, first, (int)want->depth);
    EHM_HINT(err, "give the sizes of that file's network: ehm info %s", j->files.path);
    return EHM_E_MISMATCH;
}

static ehm_code fit_to(ehm_import_job *j, const ehm_vit_shape *want, ehm_err *err) {
    const ehm_vit_shape *s = &j->pub.info.shape;
    bool known = !j->pub.heads_guessed;
    EHM_TRY(check_depth(j, want, err));
    if (known && s->embed_dim == want->embed_dim && s->num_heads != want->num_heads) {
        EHM_FAIL(err, EHM_E_MISMATCH, "%s has %d attention heads, and the encoder asked for has %d", j->files.path, (int)s->num_heads, (int)want->num_heads);
        EHM_HINT(err, "--num-heads %d", (int)s->num_heads);
        return EHM_E_MISMATCH;
    }
    if (!j->pub.info.has_decoder || want->decoder_depth <= 0) return EHM_OK;
    if (s->decoder_embed_dim == want->decoder_embed_dim && s->decoder_depth == want->decoder_depth && s->decoder_mlp_dim == want->decoder_mlp_dim &&
        (!known || s->decoder_num_heads == want->decoder_num_heads))
        return EHM_OK;
    EHM_TRY(say(j,
                ehm_arena_printf(&j->arena, "its decoder (width %d and %d, depth %d, heads %d) is left out: the one asked for is of width %d and %d, depth %d, heads %d",
                                 s->decoder_embed_dim, s->decoder_mlp_dim, s->decoder_depth, s->decoder_num_heads, want->decoder_embed_dim, want->decoder_mlp_dim, want->decoder_depth,
                                 want->decoder_num_heads),
                err));
    drop_decoder(j, "of a decoder of other sizes");
    return EHM_OK;
}

static ehm_code open_job(ehm_import_job *j, const char *path, ehm_err *err) {
    EHM_TRY(check_words(&j->opt, err));
    EHM_TRY(ehm_import_files_open(&j->files, path, err));
    EHM_TRY(ehm_import_config_read(&j->config, &j->files, err));
    j->pub.container = j->files.container;
    EHM_TRY(detect(j, err));
    const ehm_st *raw = j->files.file[0];
    j->ours = j->files.n_files == 1 && !*j->prefix && (ehm_st_meta_get(raw, "ehm_version") || ehm_st_meta_get(raw, "img_h"));
    if (j->ours && any_name(j, "decoder_embed.")) j->pub.dialect = EHM_DIALECT_MAE;
    EHM_TRY(map_names(j, err));
    if (!(j->pub.tool = tool_of(j))) return ehm_import_no_memory(j, err);
    if (!j->ours) EHM_TRY(pad_positions(j, err));
    EHM_TRY(describe(j, err));
    const ehm_vit_shape *s = &j->pub.info.shape;
    EHM_TRY(check_dims(j, "pos_embed", 3, (int64_t[]){1, 1 + (int64_t)s->n_patches, s->embed_dim}, err)); /* before a table of that size is made */
    EHM_TRY(list_params(j, err));
    EHM_TRY(check_missing(j, err));
    EHM_TRY(check_head(j, err));
    EHM_TRY(read_settings(j, err));
    if (j->want) EHM_TRY(fit_to(j, j->want, err));
    EHM_TRY(settle_target(j, err));
    EHM_TRY(ehm_import_adapt(j, err));
    j->pub.encoder_only = !j->pub.info.has_decoder;
    EHM_TRY(make_rows(j, err));
    return make_weights(j, err);
}

static ehm_code open_with(ehm_import **out, const char *path, const ehm_import_opt *opt, const ehm_vit_shape *want, ehm_err *err) {
    *out = NULL;
    ehm_import_job *j = calloc(1, sizeof *j);
    if (!j) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to import it", path);
    j->opt = *opt, j->want = want;
    ehm_code rc = open_job(j, path, err);
    if (rc) ehm_import_close(&j->pub);
    else *out = &j->pub;
    return rc;
}

ehm_code ehm_import_open(ehm_import **out, const char *path, const ehm_import_opt *opt, ehm_err *err) { return open_with(out, path, opt, NULL, err); }

ehm_code ehm_import_open_for(ehm_import **out, const char *path, const ehm_vit_shape *shape, ehm_err *err) {
    ehm_import_opt o = {.img_h = shape->img_h, .img_w = shape->img_w, .channels = shape->channels, .patch_size = shape->patch_size};
    return open_with(out, path, &o, shape, err);
}

void ehm_import_close(ehm_import *im) {
    ehm_import_job *j = (ehm_import_job *)im;
    if (!j) return;
    ehm_st_close(j->pub.weights);
    ehm_import_files_close(&j->files);
    ehm_params_free(&j->params);
    ehm_arena_free(&j->arena);
    free(j);
}

ehm_code ehm_import_save(const char *path, const ehm_import *im, ehm_err *err) {
    ehm_arena a = {0};
    int32_t n = ehm_st_count(im->weights), n_meta = 0;
    ehm_st_tensor *t = EHM_NEW_N(&a, ehm_st_tensor, n + 1);
    ehm_st_meta *meta = EHM_NEW_N(&a, ehm_st_meta, ehm_st_n_meta(im->weights) + 1);
    ehm_code rc = t && meta ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
    for (int32_t i = 0; !rc && i < n; i++) t[i] = *ehm_st_at(im->weights, i);
    for (int32_t i = 0; !rc && i < ehm_st_n_meta(im->weights); i++)
        if (strcmp(ehm_st_meta_at(im->weights, i)->key, "format")) meta[n_meta++] = *ehm_st_meta_at(im->weights, i);
    if (!rc) rc = ehm_st_write(path, t, n, meta, n_meta, err);
    ehm_arena_free(&a);
    return rc;
}
