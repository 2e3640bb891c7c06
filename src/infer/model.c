#include "infer/model_int.h"
#include "base/log.h"
#include <stdlib.h>
#include <string.h>

enum { BATCH_DEFAULT = 64 };

static ehm_code choose_type(ehm_model *m, const char *dtype, ehm_err *err) {
    if (!dtype || !strcmp(dtype, "auto")) m->act = ehm_dev_fast_bf16(m->d) ? EHM_BF16 : EHM_F32;
    else if (!strcmp(dtype, "f32")) m->act = EHM_F32;
    else if (!strcmp(dtype, "bf16")) m->act = EHM_BF16;
    else return EHM_FAIL(err, EHM_E_CONFIG, "dtype \"%s\" is not one of auto, f32, bf16", dtype);
    if (ehm_dev_real(m->d) == EHM_F64) m->act = EHM_F64;
    return EHM_OK;
}

static void plan_all(ehm_model *m, ehm_plan *plan) {
    const ehm_vit_shape *s = &m->info.shape;
    int64_t B = m->batch, L = s->n_patches;
    if (m->method) ehm_method_plan(m->method, plan);
    else ehm_weights_plan(&m->own_weights, &m->params, plan, EHM_MEM_PARAM, "", m->act);
    ehm_pixels_plan(&m->pixels, plan, s, m->batch);
    m->route.embed_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, B, L);
    m->route.src = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, B, 1 + L);
    m->route.pos_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, B, 1 + L);
    size_t mark = ehm_plan_mark(plan);
    m->patches = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, ehm_dev_real(plan->dev), B, L, s->patch_pixels);
    ehm_vit_encoder_pass_plan(&m->pass, plan, ehm_dev_real(plan->dev));
    ehm_plan_release(plan, mark);
}

/* The network's tables for m->batch pictures. */
static ehm_code make_tables(ehm_model *m, ehm_err *err) {
    const ehm_vit_shape *s = &m->info.shape;
    if (m->info.has_decoder) {
        ehm_config c;
        ehm_config_init(&c);
        c.recipe = *m->info.recipe ? m->info.recipe : "mae";
        c.norm_pix_loss = m->info.norm_pix;
        EHM_TRY(ehm_method_open(&m->method, &c, s, m->batch, m->act, false, err));
        m->enc = ehm_method_encoder(m->method), m->weights = ehm_method_weights(m->method);
    } else {
        ehm_vit_encoder_roots(&m->own_enc, &m->params, s);
        ehm_vit_encoder_modules(&m->own_enc, &m->params, &m->arena);
        m->enc = &m->own_enc, m->weights = &m->own_weights;
        if (m->params.failed) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the model's tables");
    }
    if (!ehm_vit_encoder_pass_open(&m->pass, m->enc, m->batch, s->n_patches, 1 + s->n_patches, false, m->act,
                                   &m->arena))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the model's tables");
    return EHM_OK;
}

static void drop_tables(ehm_model *m) {
    ehm_method_close(m->method);
    m->method = NULL;
    ehm_params_free(&m->params);
    if (m->planned) ehm_plan_free(&m->plan);
    m->planned = false;
}

static ehm_code make_plan(ehm_model *m, ehm_err *err) {
    EHM_TRY(make_tables(m, err));
    ehm_plan_begin(&m->plan, m->d);
    m->planned = true;
    plan_all(m, &m->plan);
    EHM_TRY(ehm_plan_commit(&m->plan, err));
    plan_all(m, &m->plan);
    return ehm_plan_end(&m->plan, err);
}

/* A batch that nobody asked for shrinks until it fits. */
static ehm_code fit_plan(ehm_model *m, int32_t batch, ehm_err *err) {
    m->batch = batch > 0 ? batch : BATCH_DEFAULT;
    for (;;) {
        ehm_err why = {0};
        ehm_code rc = make_plan(m, &why);
        if (!rc) return EHM_OK;
        drop_tables(m);
        if (rc != EHM_E_MEMORY || batch > 0 || m->batch == 1) {
            if (err && !err->code) *err = why;
            return rc;
        }
        m->batch /= 2;
    }
}

/* Every patch is embedded, and each token is its own patch's. */
static ehm_code put_route(ehm_model *m, ehm_err *err) {
    int32_t L = m->info.shape.n_patches, B = m->batch;
    size_t n = (size_t)B * (size_t)(1 + L);
    int32_t *v = malloc(n * sizeof *v);
    if (!v) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the model's tables");
    for (int32_t b = 0; b < B; b++)
        for (int32_t i = 0; i < L; i++) v[(int64_t)b * L + i] = i;
    ehm_upload(m->d, m->route.embed_idx, v, (size_t)B * (size_t)L * sizeof *v);
    for (int32_t b = 0; b < B; b++)
        for (int32_t i = 0; i <= L; i++) v[(int64_t)b * (1 + L) + i] = i - 1; /* -1: the class token */
    ehm_upload(m->d, m->route.src, v, n * sizeof *v);
    for (int32_t b = 0; b < B; b++)
        for (int32_t i = 0; i <= L; i++) v[(int64_t)b * (1 + L) + i] = i;
    ehm_upload(m->d, m->route.pos_idx, v, n * sizeof *v);
    free(v);
    return EHM_OK;
}

static ehm_code put_weights(ehm_model *m, const ehm_model_source *src, ehm_err *err) {
    const ehm_vit_shape *s = &m->info.shape;
    ehm_weights_report rep;
    if (m->method) ehm_method_init(m->method, m->d, src->seed);
    else ehm_weights_init(m->weights, m->d, src->seed);
    if (m->ckpt_run) EHM_TRY(ehm_model_checkpoint_load(m, err));
    if (src->file) EHM_TRY(ehm_weights_load(m->weights, m->d, src->file, src->untrained, &rep, err));
    if (m->method)
        EHM_TRY(ehm_method_set_stats(m->method, m->d, m->info.mean, m->info.std, s->channels, err));
    EHM_TRY(ehm_pixels_stats(&m->pixels, m->d, m->info.mean, m->info.std, s->channels, err));
    EHM_TRY(put_route(m, err));
    return ehm_dev_check(m->d, err);
}

static ehm_code host_buffers(ehm_model *m, ehm_err *err) {
    const ehm_vit_shape *s = &m->info.shape;
    size_t n;
    if (!ehm_mul_size(&n, (size_t)m->batch * (size_t)(1 + s->n_patches), (size_t)s->embed_dim))
        return EHM_FAIL(err, EHM_E_MEMORY, "features of a batch of %d do not fit", (int)m->batch);
    m->host_tokens = EHM_NEW_N(&m->arena, float, n);
    m->host_wide = ehm_dev_real(m->d) == EHM_F64 ? EHM_NEW_N(&m->arena, double, n) : NULL;
    if (!m->host_tokens || (ehm_dev_real(m->d) == EHM_F64 && !m->host_wide))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the features of a batch of %d", (int)m->batch);
    return EHM_OK;
}

/* src is closed, whatever comes. */
static ehm_code open_source(ehm_model **out, ehm_model_source src, const char *spec, const ehm_model_opt *opt, ehm_err *err) {
    ehm_code rc = EHM_OK;
    *out = NULL;
    ehm_model *m = calloc(1, sizeof *m);
    if (!m || !(m->spec = ehm_arena_strdup(&m->arena, spec))) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the model");
        goto done;
    }
    m->info = src.info;
    if (src.ckpt_run) {
        m->ckpt_step = src.ckpt_step;
        if (!(m->ckpt_run = ehm_arena_strdup(&m->arena, src.ckpt_run))) {
            rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the model");
            goto done;
        }
    }
    if ((rc = ehm_dev_open(&m->d, opt->device ? opt->device : "auto", opt->threads, err))) goto done;
    if ((rc = choose_type(m, opt->dtype, err))) goto done;
    if ((rc = fit_plan(m, opt->batch, err))) goto done;
    if ((rc = host_buffers(m, err))) goto done;
    rc = put_weights(m, &src, err);
done:
    ehm_model_source_close(&src);
    if (rc) {
        EHM_WHILE(err, "opening the model %s", spec);
        ehm_model_close(m);
    } else {
        *out = m;
    }
    return rc;
}

ehm_code ehm_model_open(ehm_model **out, const char *spec, const ehm_model_opt *opt, ehm_err *err) {
    ehm_model_source src;
    *out = NULL;
    EHM_TRY(ehm_model_source_open(&src, spec, err));
    return open_source(out, src, spec, opt, err);
}

ehm_code ehm_model_open_shape(ehm_model **out, const ehm_vit_shape *shape, const ehm_model_opt *opt, ehm_err *err) {
    ehm_model_source src = {.untrained = true};
    src.info.shape = *shape, src.info.has_stats = true;
    for (int32_t i = 0; i < shape->channels; i++) src.info.mean[i] = src.info.std[i] = 0.5;
    return open_source(out, src, "untrained", opt, err);
}

void ehm_model_close(ehm_model *m) {
    if (!m) return;
    ehm_model_affinity_close(m);
    drop_tables(m);
    ehm_buf_free(m->probs);
    ehm_dev_close(m->d);
    ehm_arena_free(&m->arena);
    free(m);
}

const ehm_vit_shape *ehm_model_shape(const ehm_model *m) { return &m->info.shape; }
ehm_code ehm_model_takes_channels(const ehm_model *m, int64_t channels, ehm_err *err) {
    int32_t own = m->info.shape.channels;
    if (EHM_IS_AUTO(channels) || channels == own) return EHM_OK;
    EHM_HINT(err, "leave out --channels: pictures are brought to what the model takes");
    return EHM_FAIL(err, EHM_E_MISMATCH, "--channels %lld, but the model %s takes %d", (long long)channels,
                    m->spec, (int)own);
}
const char *ehm_model_spec(const ehm_model *m) { return m->spec; }
bool ehm_model_has_decoder(const ehm_model *m) { return m->info.has_decoder; }
bool ehm_model_norm_pix(const ehm_model *m) { return m->info.norm_pix; }
const char *ehm_model_fit(const ehm_model *m) { return *m->info.fit ? m->info.fit : "auto"; }
ehm_dev *ehm_model_device(const ehm_model *m) { return m->d; }
const char *ehm_model_dtype(const ehm_model *m) { return ehm_dtype_name(m->act); }
int32_t ehm_model_batch(const ehm_model *m) { return m->batch; }

int32_t ehm_model_stats(const ehm_model *m, double *mean, double *std) {
    int32_t n = m->info.shape.channels;
    memcpy(mean, m->info.mean, (size_t)n * sizeof *mean);
    memcpy(std, m->info.std, (size_t)n * sizeof *std);
    return n;
}
