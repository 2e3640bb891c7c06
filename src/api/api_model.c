/* Models over the flat interface: pictures of any size and count in, numbers out. */
#include "api/api_int.h"
#include "base/str.h"
#include "net/pixels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- handles ---- */

ehm_code ehm_api_usable(const ehm_api_model *m, ehm_err *err) {
    EHM_TRY(ehm_api_given(m, "the model", err));
    if (m->process == getpid()) return EHM_OK;
    EHM_FAIL(err, EHM_E_UNSUPPORTED, "the model %s was opened in process %ld and this is %ld: its threads did not come along",
             ehm_model_spec(m->m), (long)m->process, (long)getpid());
    EHM_HINT(err, "open it again in this process, before any other model of it");
    return EHM_E_UNSUPPORTED;
}

static ehm_code open_with(ehm_api_model **out, const char *spec, const char *const *settings, int32_t n, ehm_err *err) {
    ehm_arena a = {0};
    ehm_config c;
    EHM_TRY(ehm_api_given(out, "out", err));
    *out = NULL;
    EHM_TRY(ehm_api_given(spec, "the model's name", err));
    ehm_config_init(&c);
    ehm_code rc = ehm_api_settings(&c, "device,threads,dtype,batch_size", settings, n, &a, err);
    ehm_api_model *m = rc ? NULL : calloc(1, sizeof *m);
    if (!rc && !m) rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for a model");
    if (!rc) {
        ehm_model_opt opt = {c.device, EHM_IS_AUTO(c.threads) ? 0 : (int32_t)c.threads, c.dtype,
                             EHM_IS_AUTO(c.batch_size) ? 0 : (int32_t)c.batch_size};
        m->process = getpid();
        rc = ehm_model_open(&m->m, spec, &opt, err);
    }
    ehm_arena_free(&a);
    if (rc) free(m);
    else *out = m;
    return rc;
}

int32_t ehm_api_open_with(ehm_api_model **out, const char *spec, const char *const *settings, int32_t n_settings, char *message,
                          size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(open_with(out, spec, settings, n_settings, &err), &err, message, message_cap);
}

int32_t ehm_api_open(ehm_api_model **out, const char *spec, const char *device, int32_t threads, char *message, size_t message_cap) {
    ehm_err err = {0};
    ehm_arena a = {0};
    const char *settings[2] = {ehm_arena_printf(&a, "device=%s", device ? device : "auto"), ehm_arena_printf(&a, "threads=%d", (int)threads)};
    ehm_code rc = open_with(out, spec, settings, threads ? 2 : 1, &err);
    ehm_arena_free(&a);
    return ehm_api_say(rc, &err, message, message_cap);
}

void ehm_api_close(ehm_api_model *m) {
    if (!m || m->process != getpid()) return; /* a forked child has the memory, but not the threads that closing waits for */
    ehm_model_close(m->m);
    free(m);
}

/* ---- facts ---- */

static ehm_code number(const ehm_api_model *m, const char *name, int64_t *out, ehm_err *err) {
    EHM_TRY(ehm_api_given(m, "the model", err));
    EHM_TRY(ehm_api_given(name, "name", err));
    EHM_TRY(ehm_api_given(out, "out", err));
    const ehm_vit_shape *s = ehm_model_shape(m->m);
    bool decoder = ehm_model_has_decoder(m->m);
    const struct { const char *name; int64_t value; } all[] = {
        {"img_h", s->img_h}, {"img_w", s->img_w}, {"channels", s->channels}, {"patch_size", s->patch_size},
        {"grid_h", s->grid_h}, {"grid_w", s->grid_w}, {"n_patches", s->n_patches}, {"embed_dim", s->embed_dim},
        {"depth", s->depth}, {"num_heads", s->num_heads}, {"mlp_dim", s->mlp_dim}, {"decoder_embed_dim", s->decoder_embed_dim},
        {"decoder_depth", s->decoder_depth}, {"decoder_num_heads", s->decoder_num_heads}, {"patch_pixels", s->patch_pixels},
        {"has_decoder", decoder}, {"norm_pix", ehm_model_norm_pix(m->m)}, {"batch_size", ehm_model_batch(m->m)},
        {"n_parameters", ehm_vit_param_count(s, decoder)},
    };
    const char *names[sizeof all / sizeof *all];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!strcmp(all[i].name, name)) return *out = all[i].value, EHM_OK;
        names[i] = all[i].name;
    }
    const char *near = ehm_nearest(name, names, (int32_t)(sizeof all / sizeof *all));
    if (near) EHM_HINT(err, "did you mean %s?", near);
    return EHM_FAIL(err, EHM_E_ARG, "a model has no number \"%.100s\"", name);
}

int32_t ehm_api_number(const ehm_api_model *m, const char *name, int64_t *out, char *message, size_t message_cap) {
    ehm_err err = {0};
    return ehm_api_say(number(m, name, out, &err), &err, message, message_cap);
}

const char *ehm_api_text(const ehm_api_model *m, const char *name) {
    if (!m || !name) return NULL;
    if (!strcmp(name, "spec")) return ehm_model_spec(m->m);
    if (!strcmp(name, "dtype")) return ehm_model_dtype(m->m);
    return strcmp(name, "fit") ? NULL : ehm_model_fit(m->m);
}

int32_t ehm_api_stats(const ehm_api_model *m, double *mean, double *std, char *message, size_t message_cap) {
    ehm_err err = {0};
    ehm_code rc = ehm_api_given(m, "the model", &err);
    if (!rc) rc = ehm_api_given(mean, "mean", &err);
    if (!rc) rc = ehm_api_given(std, "std", &err);
    if (!rc) ehm_model_stats(m->m, mean, std);
    return ehm_api_say(rc, &err, message, message_cap);
}

/* ---- pictures ---- */

enum { SIDE_MAX = 1 << 20 };

static bool is_fit(const char *fit) { return !strcmp(fit, "crop") || !strcmp(fit, "stretch") || !strcmp(fit, "pad") || !strcmp(fit, "auto"); }

ehm_code ehm_api_feed_open(ehm_api_feed *f, const ehm_api_model *m, const char *fit, const void *pixels, int64_t n, int32_t h, int32_t w,
                           int32_t c, int32_t type, ehm_err *err) {
    size_t all;
    memset(f, 0, sizeof *f);
    EHM_TRY(ehm_api_usable(m, err));
    EHM_TRY(ehm_api_given(pixels, "pixels", err));
    EHM_TRY(ehm_api_type_of(&f->type, type, true, err));
    if (n < 1 || h < 1 || w < 1 || c < 1 || h > SIDE_MAX || w > SIDE_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "pictures of shape [%lld,%d,%d,%d]: must be [n,height,width,channels], each at least 1", (long long)n,
                        (int)h, (int)w, (int)c);
    if (fit && !is_fit(fit)) return EHM_FAIL(err, EHM_E_CONFIG, "fit \"%.100s\": there are crop, stretch and pad", fit);
    const ehm_vit_shape *s = ehm_model_shape(m->m);
    f->shape = s, f->pixels = pixels, f->n = n, f->h = h, f->w = w, f->c = c;
    f->as_is = !fit && h == s->img_h && w == s->img_w && c == s->channels;
    /* A picture of the right size with other channels is converted and nothing else: no resampling happens at its own size. */
    f->fit = fit ? fit : h == s->img_h && w == s->img_w ? "stretch" : ehm_model_fit(m->m);
    f->batch = ehm_model_batch(m->m);
    f->each = (size_t)h * (size_t)w * ehm_dtype_size(f->type);
    if (!ehm_mul_size(&f->each, f->each, (size_t)c) || !ehm_mul_size(&all, f->each, (size_t)n))
        return EHM_FAIL(err, EHM_E_ARG, "pictures of shape [%lld,%d,%d,%d] are more than memory can hold", (long long)n, (int)h, (int)w, (int)c);
    f->each_out = (size_t)s->img_h * (size_t)s->img_w * (size_t)s->channels * ehm_dtype_size(f->type);
    if (f->as_is) return EHM_OK;
    f->room = ehm_arena_alloc(&f->arena, (size_t)(n < f->batch ? n : f->batch), f->each_out);
    return f->room ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d pictures", (int)f->batch);
}

static ehm_code all_finite(const ehm_api_feed *f, int64_t i, ehm_err *err) {
    const float *v = (const float *)(const void *)(f->pixels + (size_t)i * f->each);
    size_t n = f->each / sizeof *v;
    for (size_t k = 0; k < n; k++)
        if (!isfinite(v[k]))
            return EHM_FAIL(err, EHM_E_NUMERIC, "pixel %zu of picture %lld is %g", k, (long long)i, (double)v[k]);
    return EHM_OK;
}

static ehm_code fit_one(ehm_api_feed *f, void *out, int64_t i, ehm_err *err) {
    ehm_image whole = {.px = (void *)(uintptr_t)(f->pixels + (size_t)i * f->each), .w = f->w, .h = f->h, .c = f->c, .type = f->type}, img;
    ehm_arena_reset(&f->scratch);
    EHM_TRY(ehm_image_channels(&img, &whole, f->shape->channels, "drop", &f->scratch, err));
    return ehm_data_fit(out, f->type, f->shape->img_h, f->shape->img_w, &img, f->fit, &f->scratch, err);
}

ehm_code ehm_api_feed_get(ehm_api_feed *f, const void **out, int64_t at, int32_t count, ehm_err *err) {
    for (int64_t i = at; f->type == EHM_F32 && i < at + count; i++) EHM_TRY(all_finite(f, i, err));
    if (f->as_is) return *out = f->pixels + (size_t)at * f->each, EHM_OK;
    for (int32_t i = 0; i < count; i++) EHM_TRY(fit_one(f, f->room + (size_t)i * f->each_out, at + i, err));
    *out = f->room;
    return EHM_OK;
}

void ehm_api_feed_close(ehm_api_feed *f) {
    ehm_arena_free(&f->arena);
    ehm_arena_free(&f->scratch);
}

/* Pictures by the batch, each with what comes of them. */
#define FOR_PARTS(f, at, count) for (int64_t at = 0, count; at < (f)->n && (count = ehm_api_feed_part((f), at)); at += count)

static ehm_code fit_all(ehm_api_feed *f, uint8_t *out, ehm_err *err) {
    EHM_TRY(ehm_api_given(out, "out", err));
    FOR_PARTS(f, at, count) {
        const void *px;
        EHM_TRY(ehm_api_feed_get(f, &px, at, (int32_t)count, err));
        memcpy(out + (size_t)at * f->each_out, px, (size_t)count * f->each_out);
    }
    return EHM_OK;
}

int32_t ehm_api_fit(ehm_api_model *m, const char *fit, const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type, void *out,
                    char *message, size_t message_cap) {
    ehm_err err = {0};
    ehm_api_feed f = {0};
    ehm_code rc = ehm_api_usable(m, &err);
    if (!rc) rc = ehm_api_feed_open(&f, m, fit ? fit : ehm_model_fit(m->m), pixels, n, h, w, c, type, &err);
    if (!rc) rc = fit_all(&f, out, &err);
    ehm_api_feed_close(&f);
    return ehm_api_say(rc, &err, message, message_cap);
}

/* ---- features ---- */

ehm_code ehm_api_pool_of(ehm_pooling *out, const char *name, ehm_err *err) {
    static const char *const names[] = {"cls", "mean", "patches"};
    EHM_TRY(ehm_api_given(name, "pool", err));
    for (int32_t i = 0; i < 3; i++)
        if (!strcmp(name, names[i])) return *out = (ehm_pooling)i, EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "pool \"%.100s\": there are cls, mean and patches", name);
}

static ehm_code embed(ehm_api_model *m, ehm_api_feed *f, const char *pool, float *out, ehm_err *err) {
    ehm_pooling how;
    EHM_TRY(ehm_api_pool_of(&how, pool, err));
    EHM_TRY(ehm_api_given(out, "out", err));
    int64_t each = (int64_t)f->shape->embed_dim * (how == EHM_POOL_PATCHES ? f->shape->n_patches : 1);
    FOR_PARTS(f, at, count) {
        const void *px;
        EHM_TRY(ehm_api_feed_get(f, &px, at, (int32_t)count, err));
        EHM_TRY(ehm_model_features(m->m, px, f->type, (int32_t)count, how, out + at * each, err));
    }
    return EHM_OK;
}

int32_t ehm_api_embed(ehm_api_model *m, const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type, const char *pool,
                      float *out, char *message, size_t message_cap) {
    ehm_err err = {0};
    ehm_api_feed f;
    ehm_code rc = ehm_api_feed_open(&f, m, NULL, pixels, n, h, w, c, type, &err);
    if (!rc) rc = embed(m, &f, pool, out, &err);
    ehm_api_feed_close(&f);
    return ehm_api_say(rc, &err, message, message_cap);
}

static ehm_code attention(ehm_api_model *m, ehm_api_feed *f, int32_t block, bool per_head, float *out, ehm_err *err) {
    EHM_TRY(ehm_api_given(out, "out", err));
    int64_t N = 1 + (int64_t)f->shape->n_patches, each = (per_head ? f->shape->num_heads : 1) * N * N;
    FOR_PARTS(f, at, count) {
        const void *px;
        EHM_TRY(ehm_api_feed_get(f, &px, at, (int32_t)count, err));
        EHM_TRY(ehm_model_attention(m->m, px, f->type, (int32_t)count, block, per_head, out + at * each, err));
    }
    return EHM_OK;
}

int32_t ehm_api_attention(ehm_api_model *m, const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type, int32_t block,
                          int32_t per_head, float *out, char *message, size_t message_cap) {
    ehm_err err = {0};
    ehm_api_feed f;
    ehm_code rc = ehm_api_feed_open(&f, m, NULL, pixels, n, h, w, c, type, &err);
    if (!rc) rc = attention(m, &f, block, per_head != 0, out, &err);
    ehm_api_feed_close(&f);
    return ehm_api_say(rc, &err, message, message_cap);
}

typedef struct {
    float *similarity, *attention, *cls;
    int32_t *fell_back;
} affinity_out;

static ehm_code affinity(ehm_api_model *m, ehm_api_feed *f, const char *const *settings, int32_t n_settings, const affinity_out *to,
                         ehm_arena *a, ehm_err *err) {
    ehm_config c;
    ehm_affinity_opt o;
    bool fell_back = false;
    if (!to->similarity && !to->attention && !to->cls)
        return EHM_FAIL(err, EHM_E_ARG, "similarity, attention and cls are all NULL: nothing is asked for");
    ehm_config_init(&c);
    EHM_TRY(ehm_api_settings(&c, ehm_api_affinity_keys, settings, n_settings, a, err));
    EHM_TRY(ehm_model_settings(m->m, &c, "tree", a, err));
    EHM_TRY(ehm_affinity_opt_of(&o, &c, f->shape, err));
    int64_t L = f->shape->n_patches;
    FOR_PARTS(f, at, count) {
        const void *px;
        EHM_TRY(ehm_api_feed_get(f, &px, at, (int32_t)count, err));
        EHM_TRY(ehm_model_affinity(m->m, &o, px, f->type, (int32_t)count, to->similarity ? to->similarity + at * L * L : NULL,
                                   to->attention ? to->attention + at * L * L : NULL, to->cls ? to->cls + at * L : NULL, &fell_back, err));
    }
    if (to->fell_back) *to->fell_back = fell_back;
    return EHM_OK;
}

int32_t ehm_api_affinity(ehm_api_model *m, const char *const *settings, int32_t n_settings, const void *pixels, int64_t n, int32_t h, int32_t w,
                         int32_t c, int32_t type, float *similarity, float *attention_out, float *cls, int32_t *fell_back, char *message,
                         size_t message_cap) {
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_api_feed f;
    ehm_code rc = ehm_api_feed_open(&f, m, NULL, pixels, n, h, w, c, type, &err);
    if (!rc) rc = affinity(m, &f, settings, n_settings, &(affinity_out){similarity, attention_out, cls, fell_back}, &a, &err);
    ehm_api_feed_close(&f);
    ehm_arena_free(&a);
    return ehm_api_say(rc, &err, message, message_cap);
}

/* ---- reconstruction ---- */

/* visible [n,n_visible] and masked from one byte a patch. */
static ehm_code lists_of(int32_t **visible, int32_t **masked, int32_t *n_visible, const uint8_t *masks, int64_t n, int32_t L, ehm_arena *a,
                         ehm_err *err) {
    int32_t hidden = 0;
    for (int32_t i = 0; i < L; i++) hidden += masks[i] != 0;
    *n_visible = L - hidden;
    if (!hidden || hidden == L)
        return EHM_FAIL(err, EHM_E_ARG, "mask 0 hides %d of %d patches: at least one hidden and one visible are needed", (int)hidden, (int)L);
    int32_t *v = *visible = EHM_NEW_N(a, int32_t, n * *n_visible), *k = *masked = EHM_NEW_N(a, int32_t, n * hidden);
    if (!v || !k) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld masks", (long long)n);
    for (int64_t b = 0; b < n; b++) {
        int32_t here = 0;
        for (int32_t i = 0; i < L; i++) here += masks[b * L + i] != 0;
        if (here != hidden)
            return EHM_FAIL(err, EHM_E_ARG, "mask %lld hides %d patches and mask 0 hides %d: they must hide the same number", (long long)b,
                            (int)here, (int)hidden);
        for (int32_t i = 0; i < L; i++)
            if (masks[b * L + i]) *k++ = i;
            else *v++ = i;
    }
    return EHM_OK;
}

static ehm_code reconstruct(ehm_api_model *m, ehm_api_feed *f, const uint8_t *masks, float *pred, float *loss, ehm_arena *a, ehm_err *err) {
    int32_t L = f->shape->n_patches, P = f->shape->patch_pixels, *visible = NULL, *masked = NULL, n_visible;
    EHM_TRY(ehm_api_given(masks, "masks", err));
    if (!pred && !loss) return EHM_FAIL(err, EHM_E_ARG, "pred and loss are both NULL: nothing is asked for");
    EHM_TRY(lists_of(&visible, &masked, &n_visible, masks, f->n, L, a, err));
    if (loss) f->batch = 1; /* the loss of a pass is the mean over its pictures */
    FOR_PARTS(f, at, count) {
        const void *px;
        EHM_TRY(ehm_api_feed_get(f, &px, at, (int32_t)count, err));
        EHM_TRY(ehm_model_reconstruct(m->m, px, f->type, (int32_t)count, visible + at * n_visible, masked + at * (L - n_visible), n_visible,
                                      pred ? pred + at * L * P : NULL, loss ? loss + at : NULL, err));
    }
    return EHM_OK;
}

int32_t ehm_api_reconstruct(ehm_api_model *m, const void *pixels, int64_t n, int32_t h, int32_t w, int32_t c, int32_t type,
                            const uint8_t *masks, float *pred, float *loss, char *message, size_t message_cap) {
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_api_feed f;
    ehm_code rc = ehm_api_feed_open(&f, m, NULL, pixels, n, h, w, c, type, &err);
    if (!rc) rc = reconstruct(m, &f, masks, pred, loss, &a, &err);
    ehm_api_feed_close(&f);
    ehm_arena_free(&a);
    return ehm_api_say(rc, &err, message, message_cap);
}
