#include "infer/depths.h"
#include "infer/model_int.h"
#include <stdio.h>
#include <string.h>

static ehm_code parse_failed(const char *text, int32_t depth, const char *why, ehm_err *err) {
    EHM_FAIL(err, EHM_E_CONFIG, "--depths %s: %s", text, why);
    EHM_HINT(err, "the encoder has %d blocks: numbers from 1 to %d in ascending order, separated by commas, or last:N", (int)depth, (int)depth);
    return EHM_E_CONFIG;
}

ehm_code ehm_depths_parse(int32_t *out, int32_t *n, const char *text, int32_t depth, ehm_err *err) {
    int64_t v;
    *n = 0;
    if (ehm_starts(text, "last:")) {
        if (!ehm_parse_i64(text + 5, &v) || v < 1 || v > depth || v > EHM_DEPTHS_MAX)
            return parse_failed(text, depth, "there are not so many blocks", err);
        for (int32_t i = depth - (int32_t)v + 1; i <= depth; i++) out[(*n)++] = i;
        return EHM_OK;
    }
    for (const char *p = text;; p++) {
        char one[16];
        size_t len = strcspn(p, ",");
        snprintf(one, sizeof one, "%.*s", (int)(len < 15 ? len : 15), p);
        if (!ehm_parse_i64(one, &v) || v < 1 || v > depth) return parse_failed(text, depth, len ? "there is no such block" : "a number is missing", err);
        if (*n && v <= out[*n - 1]) return parse_failed(text, depth, "blocks are not in ascending order", err);
        if (*n == EHM_DEPTHS_MAX) return parse_failed(text, depth, "more than 64 blocks", err);
        out[(*n)++] = (int32_t)v;
        p += len;
        if (!*p) return EHM_OK;
    }
}

typedef struct {
    ehm_model *m;
    const int32_t *depth;
    int32_t n_depths, n;
    float *cls, *mean;
    ehm_code rc;
    ehm_err *err;
} taking;

/* Column i of the features from the tokens in v, after the final norm. */
static ehm_code take(taking *t, int32_t i, ehm_view v) {
    int64_t N = 1 + (int64_t)t->m->info.shape.n_patches, D = t->m->info.shape.embed_dim, wide = D * t->n_depths;
    EHM_TRY(ehm_model_fetch(t->m, t->m->host_tokens, v, t->err));
    for (int64_t b = 0; b < t->n; b++) {
        const float *tokens = t->m->host_tokens + b * N * D;
        if (t->cls) memcpy(t->cls + b * wide + i * D, tokens, sizeof *tokens * (size_t)D);
        for (int64_t k = 0; k < D && t->mean; k++) { /* in double, as ehm_model_tokens does */
            double sum = 0;
            for (int64_t j = 1; j < N; j++) sum += tokens[j * D + k];
            t->mean[b * wide + i * D + k] = (float)(sum / (double)(N - 1));
        }
    }
    return EHM_OK;
}

/* The output's place is free while the blocks run, and so is the norm's: only the whole encoder writes there, at its end. */
static ehm_code take_stream(taking *t, int32_t i, ehm_dev *d) {
    ehm_model *m = t->m;
    int64_t N = 1 + (int64_t)m->info.shape.n_patches;
    ehm_view out = ehm_vit_encoder_out(&m->pass, t->n, N);
    ehm_norm_layer_fwd(d, out, &m->pass.norm, ehm_vit_encoder_tokens(&m->pass, t->n, N), &m->enc->norm, m->weights);
    return take(t, i, out);
}

/* When block i has its queries, the stream still holds what i blocks made. */
static void look(void *ctx, ehm_dev *d, int32_t i_block, ehm_view qkv) {
    taking *t = ctx;
    (void)qkv;
    for (int32_t i = 0; i + 1 < t->n_depths && !t->rc; i++)
        if (t->depth[i] == i_block) t->rc = take_stream(t, i, d);
}

ehm_code ehm_model_depths(ehm_model *m, const void *pixels, ehm_dtype type, int32_t n, const int32_t *depth, int32_t n_depths, float *cls,
                          float *mean, ehm_err *err) {
    const ehm_vit_shape *s = &m->info.shape;
    int64_t L = s->n_patches;
    taking t = {m, depth, n_depths, n, cls, mean, EHM_OK, err};
    if (n < 1 || n > m->batch || (type != EHM_U8 && type != EHM_F32))
        return EHM_FAIL(err, EHM_E_ARG, "features of %d pictures of type %s, but the model was opened for 1 to %d of u8 or f32", (int)n, ehm_dtype_name(type),
                        (int)m->batch);
    for (int32_t i = 0; i < n_depths || !i; i++)
        if (n_depths < 1 || depth[i] < 1 || depth[i] > s->depth || (i && depth[i] <= depth[i - 1]))
            return EHM_FAIL(err, EHM_E_ARG, "%d depths, ascending from 1 to %d, are needed", (int)n_depths, (int)s->depth);
    ehm_view patches = ehm_fit3(m->patches, n, L, s->patch_pixels);
    ehm_vit_route route = {ehm_fit2(m->route.embed_idx, n, L), ehm_fit2(m->route.src, n, 1 + L), ehm_fit2(m->route.pos_idx, n, 1 + L)};
    ehm_taps taps = {.n_blocks = depth[n_depths - 1], .look = look, .ctx = &t};
    ehm_pixels_load(&m->pixels, m->d, pixels, type, n);
    ehm_pixels_patchify(&m->pixels, m->d, patches);
    ehm_vit_encoder_fwd(m->d, &m->pass, m->weights, patches, &route, n, L, 1 + L, &taps);
    if (t.rc) return t.rc;
    if (depth[n_depths - 1] < s->depth) return take_stream(&t, n_depths - 1, m->d);
    return take(&t, n_depths - 1, ehm_vit_encoder_out(&m->pass, n, 1 + L));
}
