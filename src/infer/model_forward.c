#include "infer/model_int.h"
#include <string.h>

ehm_code ehm_model_fetch(ehm_model *m, float *out, ehm_view v, ehm_err *err) {
    if (v.dtype == EHM_F32) {
        ehm_download(m->d, out, v, ehm_view_bytes(v));
        return ehm_dev_check(m->d, err);
    }
    /* The double device: row by row through a buffer that holds a batch's tokens. */
    int64_t n = ehm_view_count(v), chunk = m->info.shape.embed_dim;
    double *wide = m->host_wide;
    for (int64_t at = 0; at < n; at += chunk) {
        int64_t k = n - at < chunk ? n - at : chunk;
        ehm_view part = ehm_view_of(v.buf, v.offset + at, v.dtype, 1, &k);
        ehm_download(m->d, wide, part, ehm_view_bytes(part));
        for (int64_t i = 0; i < k; i++) out[at + i] = (float)wide[i];
    }
    return ehm_dev_check(m->d, err);
}

static ehm_code check_input(const ehm_model *m, ehm_dtype type, int32_t n, ehm_err *err) {
    if (n < 1 || n > m->batch)
        return EHM_FAIL(err, EHM_E_ARG, "%d pictures, but the model was opened for 1 to %d at once", (int)n,
                        (int)m->batch);
    if (type != EHM_U8 && type != EHM_F32)
        return EHM_FAIL(err, EHM_E_ARG, "pixels of type %s", ehm_dtype_name(type));
    return EHM_OK;
}

static ehm_code run(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, const ehm_taps *taps,
                    ehm_err *err) {
    EHM_TRY(check_input(m, type, n, err));
    const ehm_vit_shape *s = &m->info.shape;
    int64_t L = s->n_patches;
    ehm_view patches = ehm_fit3(m->patches, n, L, s->patch_pixels);
    ehm_vit_route route = {ehm_fit2(m->route.embed_idx, n, L), ehm_fit2(m->route.src, n, 1 + L),
                           ehm_fit2(m->route.pos_idx, n, 1 + L)};
    ehm_pixels_load(&m->pixels, m->d, pixels, type, n);
    ehm_pixels_patchify(&m->pixels, m->d, patches);
    ehm_vit_encoder_fwd(m->d, &m->pass, m->weights, patches, &route, n, L, 1 + L, taps);
    return EHM_OK;
}

/* Sums in double: the mean of a thousand tokens should not depend on how they were added. */
static void mean_of(float *out, const float *tokens, int64_t n_tokens, int64_t D) {
    for (int64_t k = 0; k < D; k++) {
        double sum = 0;
        for (int64_t i = 1; i < n_tokens; i++) sum += tokens[i * D + k];
        out[k] = (float)(sum / (double)(n_tokens - 1));
    }
}

static ehm_code run_tokens(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, ehm_err *err) {
    EHM_TRY(run(m, pixels, type, n, NULL, err));
    return ehm_model_fetch(m, m->host_tokens,
                           ehm_vit_encoder_out(&m->pass, n, 1 + (int64_t)m->info.shape.n_patches), err);
}

ehm_code ehm_model_tokens(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, float *cls,
                          float *mean, float *patches, ehm_err *err) {
    int64_t N = 1 + (int64_t)m->info.shape.n_patches, D = m->info.shape.embed_dim;
    EHM_TRY(run_tokens(m, pixels, type, n, err));
    for (int64_t i = 0; i < n; i++) {
        const float *t = m->host_tokens + i * N * D;
        if (cls) memcpy(cls + i * D, t, (size_t)D * sizeof *cls);
        if (mean) mean_of(mean + i * D, t, N, D);
        if (patches) memcpy(patches + i * (N - 1) * D, t + D, (size_t)((N - 1) * D) * sizeof *patches);
    }
    return EHM_OK;
}

ehm_code ehm_model_features(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, ehm_pooling pool,
                            float *out, ehm_err *err) {
    return ehm_model_tokens(m, pixels, type, n, pool == EHM_POOL_CLS ? out : NULL,
                            pool == EHM_POOL_MEAN ? out : NULL, pool == EHM_POOL_PATCHES ? out : NULL, err);
}

ehm_code ehm_model_cls_mean(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, float *cls,
                            float *mean, ehm_err *err) {
    return ehm_model_tokens(m, pixels, type, n, cls, mean, NULL, err);
}

/* One picture's at a time: a batch's attention of every head would be the largest thing in memory. */
static ehm_code probs_buffer(ehm_model *m, ehm_view *out, bool per_head, ehm_err *err) {
    int64_t N = 1 + (int64_t)m->info.shape.n_patches, H = m->info.shape.num_heads;
    ehm_dtype real = ehm_dev_real(m->d);
    if (!m->probs || (per_head && !m->probs_per_head)) {
        ehm_buf_free(m->probs);
        m->probs = NULL;
        EHM_TRY(ehm_buf_new(&m->probs, m->d,
                            (size_t)(per_head ? H : 1) * (size_t)(N * N) * ehm_dtype_size(real), err));
        m->probs_per_head = per_head;
    }
    *out = ehm_view_of(m->probs, 0, real, per_head ? 4 : 3,
                       per_head ? (int64_t[]){1, H, N, N} : (int64_t[]){1, N, N});
    return EHM_OK;
}

ehm_code ehm_model_attention(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, int32_t i_block,
                             bool per_head, float *out, ehm_err *err) {
    int32_t depth = m->info.shape.depth;
    ehm_view probs;
    if (i_block == -1) i_block = depth - 1;
    if (i_block < 0 || i_block >= depth)
        return EHM_FAIL(err, EHM_E_ARG, "attention of block %d, but blocks are 0 to %d", (int)i_block,
                        (int)depth - 1);
    EHM_TRY(probs_buffer(m, &probs, per_head, err));
    EHM_TRY(run(m, pixels, type, n, &(ehm_taps){.n_blocks = i_block + 1, .only_qkv = true}, err));
    ehm_view qkv = ehm_stack_qkv(&m->pass.blocks, n, 1 + (int64_t)m->info.shape.n_patches, i_block);
    int64_t each = ehm_view_count(probs);
    for (int64_t i = 0; i < n; i++) {
        ehm_attn_probs(m->d, &(ehm_attn_probs_args){.probs = probs,
                                                    .qkv = ehm_view_rows(qkv, i, 1),
                                                    .n_heads = m->info.shape.num_heads,
                                                    .scale = ehm_stack_scale(&m->enc->blocks),
                                                    .per_head = per_head});
        EHM_TRY(ehm_model_fetch(m, out + i * each, probs, err));
    }
    return EHM_OK;
}

ehm_code ehm_model_hidden(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, int32_t i_block,
                          float *out, ehm_err *err) {
    int32_t depth = m->info.shape.depth;
    if (i_block == -1) i_block = depth;
    if (i_block < 0 || i_block > depth)
        return EHM_FAIL(err, EHM_E_ARG, "tokens after block %d, but 0 (embeddings) to %d are there",
                        (int)i_block, (int)depth);
    EHM_TRY(run(m, pixels, type, n, &(ehm_taps){.n_blocks = i_block}, err));
    return ehm_model_fetch(m, out, ehm_vit_encoder_tokens(&m->pass, n, 1 + (int64_t)m->info.shape.n_patches),
                           err);
}

ehm_code ehm_model_reconstruct(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n,
                               const int32_t *visible, const int32_t *masked, int32_t n_visible, float *pred,
                               float *loss, ehm_err *err) {
    EHM_TRY(check_input(m, type, n, err));
    if (!m->method) {
        EHM_HINT(err,
                 "use the run folder or its model.safetensors; encoder.safetensors is the encoder alone");
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s holds no decoder, so it cannot reconstruct", m->spec);
    }
    ehm_batch b = {.n = n, .pixels = pixels, .type = type};
    EHM_TRY(ehm_method_load_masks(m->method, m->d, &b, visible, masked, n_visible, err));
    ehm_method_fwd(m->method, m->d);
    if (pred) EHM_TRY(ehm_model_fetch(m, pred, ehm_method_prediction(m->method), err));
    if (loss) EHM_TRY(ehm_model_fetch(m, loss, ehm_method_loss(m->method), err));
    return ehm_dev_check(m->d, err);
}
