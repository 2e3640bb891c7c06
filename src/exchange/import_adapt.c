/* Tensors brought to other picture sizes, patches and channel counts. */
#include "exchange/import_int.h"
#include "exchange/patch_resample.h"
#include "net/table_resize.h"
#include <string.h>

static bool is_mae(const char *word) { return word && !strcmp(word, "mae"); }

/* New numbers for t: dims and room. */
static float *room(ehm_import_job *j, ehm_st_tensor *t, int32_t rank, const int64_t *dim) {
    t->count = 1, t->rank = rank;
    for (int32_t i = 0; i < rank; i++) t->count *= t->dim[i] = dim[i];
    t->bytes = (size_t)t->count * sizeof(float);
    return EHM_NEW_N(&j->arena, float, t->count);
}

static ehm_code set(ehm_import_job *j, ehm_import_tensor *x, const float *v, const char *note, ehm_err *err) {
    if (!note) return ehm_import_no_memory(j, err);
    x->t.data = v, x->kind = EHM_IMPORT_RESIZED;
    x->note = x->note ? ehm_arena_printf(&j->arena, "%s; %s", x->note, note) : note;
    return x->note ? EHM_OK : ehm_import_no_memory(j, err);
}

/* Numbers may begin at any byte of a file; arithmetic wants them aligned. */
static const float *aligned(ehm_import_job *j, const ehm_st_tensor *t) {
    if ((uintptr_t)t->data % sizeof(float) == 0) return t->data;
    float *v = EHM_NEW_N(&j->arena, float, t->count ? t->count : 1);
    if (v) memcpy(v, t->data, t->bytes);
    return v;
}

static ehm_code table(ehm_import_job *j, ehm_import_tensor *x, ehm_err *err) {
    const ehm_vit_shape *a = &j->pub.info.shape, *b = &j->to;
    if (a->grid_h == b->grid_h && a->grid_w == b->grid_w) return EHM_OK;
    bool mae = is_mae(j->opt.resample);
    int64_t D = x->t.dim[2];
    const float *in = aligned(j, &x->t);
    float *out = room(j, &x->t, 3, (int64_t[]){1, 1 + (int64_t)b->n_patches, D});
    if (!in || !out) return ehm_import_no_memory(j, err);
    EHM_TRY((mae ? ehm_table_resize_mae : ehm_table_resize)(out, in, (int32_t)D, a->grid_h, a->grid_w, b->grid_h, b->grid_w, 1, err));
    return set(j, x, out,
               ehm_arena_printf(&j->arena, "%dx%d to %dx%d patches, bicubic %s", a->grid_h, a->grid_w, b->grid_h, b->grid_w, mae ? "without antialias (mae)" : "with antialias (timm)"), err);
}

/* A matrix of n_out rows as a run draws it. */
static ehm_code drawn(ehm_import_job *j, ehm_import_tensor *x, int32_t rank, const int64_t *dim, int64_t fan_in, int64_t fan_out, ehm_init_kind kind, ehm_err *err) {
    ehm_params ps = {0};
    float *out = room(j, &x->t, rank, dim);
    if (out && ehm_params_add(&ps, x->t.name, EHM_DECAY, rank, dim, kind, 0, fan_in, fan_out, NULL) >= 0) ehm_param_start(&ps.item[0], 0, out);
    else out = NULL;
    ehm_params_free(&ps);
    if (!out) return ehm_import_no_memory(j, err);
    return set(j, x, out, ehm_arena_printf(&j->arena, "%d to %d channels, drawn anew (mae)", j->pub.info.shape.channels, j->to.channels), err);
}

static ehm_code patch_kernel(ehm_import_job *j, ehm_import_tensor *x, ehm_err *err) {
    const ehm_vit_shape *a = &j->pub.info.shape, *b = &j->to;
    int32_t p = a->patch_size, q = b->patch_size;
    int64_t D = a->embed_dim, C = a->channels, n = b->channels;
    if (p == q && C == n) return EHM_OK;
    if (C != n && is_mae(j->opt.adapt)) return drawn(j, x, 4, (int64_t[]){D, n, q, q}, n * q * q, D, EHM_INIT_XAVIER, err);
    if (p != q) {
        const float *in = aligned(j, &x->t);
        float *out = room(j, &x->t, 4, (int64_t[]){D, C, q, q});
        if (!in || !out) return ehm_import_no_memory(j, err);
        EHM_TRY(ehm_patch_resample(out, in, D, C, p, q, err));
        EHM_TRY(set(j, x, out, ehm_arena_printf(&j->arena, "patches of %d to %d px, pseudo-inverse of the resize (FlexiViT, as timm)", p, q), err));
    }
    if (C != n) {
        const float *in = aligned(j, &x->t);
        float *out = room(j, &x->t, 4, (int64_t[]){D, n, q, q});
        if (!in || !out) return ehm_import_no_memory(j, err);
        ehm_patch_channels(out, in, D, C, n, (int64_t)q * q);
        EHM_TRY(set(j, x, out, n == 1 ? ehm_arena_printf(&j->arena, "%d channels summed to 1 (timm)", (int)C)
                                      : ehm_arena_printf(&j->arena, "%d to %d channels, repeated and scaled by %d/%d (timm)", (int)C, (int)n, (int)C, (int)n), err));
    }
    return EHM_OK;
}

/* Rows of the prediction are pixels (y, x, channel): each column is a small picture, resized as pictures are; channels are averaged to one or repeated, unscaled, since each is
 * predicted for itself. */
static ehm_code prediction(ehm_import_job *j, ehm_import_tensor *x, ehm_err *err) {
    const ehm_vit_shape *a = &j->pub.info.shape, *b = &j->to;
    int32_t p = a->patch_size, q = b->patch_size;
    int64_t C = a->channels, n = b->channels, D = x->t.rank == 2 ? x->t.dim[1] : 1, dim[2] = {b->patch_pixels, D};
    if ((p == q && C == n) || x->t.dim[0] != a->patch_pixels) return EHM_OK; /* predicts something else than pixels */
    if (C != n && is_mae(j->opt.adapt))
        return drawn(j, x, x->t.rank, dim, D, b->patch_pixels, x->t.rank == 2 ? EHM_INIT_XAVIER : EHM_INIT_ZERO, err);
    int32_t rank = x->t.rank;
    const float *in = aligned(j, &x->t);
    float *mid = EHM_NEW_N(&j->arena, float, (int64_t)q * q * C * D), *out = room(j, &x->t, rank, dim);
    if (!in || !mid || !out) return ehm_import_no_memory(j, err);
    EHM_TRY(ehm_table_resize(mid, in, (int32_t)(C * D), p, p, q, q, 0, err));
    for (int64_t y = 0; y < (int64_t)q * q; y++)
        for (int64_t c = 0; c < n; c++)
            for (int64_t d = 0; d < D; d++) {
                double sum = 0;
                for (int64_t k = 0; k < C; k++) sum += (double)mid[(y * C + k) * D + d];
                out[(y * n + c) * D + d] = n == 1 ? (float)(sum / (double)C) : mid[(y * C + c % C) * D + d];
            }
    return set(j, x, out, ehm_arena_printf(&j->arena, "patches of %d px and %d channels to %d px and %d", p, (int)C, q, (int)n), err);
}

static void channel_stats(ehm_weights_info *info, int32_t n) {
    int32_t C = info->shape.channels;
    double mean = 0, std = 0;
    if (!info->has_stats || C == n) return;
    for (int32_t c = 0; c < C; c++) mean += info->mean[c] / C, std += info->std[c] / C;
    if (n == 1) info->mean[0] = mean, info->std[0] = std;
    for (int32_t c = C; n > 1 && c < n; c++) info->mean[c] = info->mean[c % C], info->std[c] = info->std[c % C];
}

ehm_code ehm_import_adapt(ehm_import_job *j, ehm_err *err) {
    for (int32_t i = 0; i < j->n_tensors; i++) {
        ehm_import_tensor *x = &j->tensor[i];
        const char *name = x->t.name;
        if (!strcmp(name, "pos_embed") || !strcmp(name, "decoder_pos_embed")) EHM_TRY(table(j, x, err));
        else if (!strcmp(name, "patch_embed.proj.weight")) EHM_TRY(patch_kernel(j, x, err));
        else if (!strcmp(name, "decoder_pred.weight") || !strcmp(name, "decoder_pred.bias")) EHM_TRY(prediction(j, x, err));
    }
    channel_stats(&j->pub.info, j->to.channels);
    j->pub.info.shape = j->to;
    return EHM_OK;
}
