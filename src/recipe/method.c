#include "recipe/method_int.h"
#include <stdlib.h>

static ehm_code bind_parts(ehm_method *m, const ehm_config *cfg, ehm_err *err) {
    if (!(m->recipe = ehm_recipe_find(cfg->recipe, err))) return EHM_E_CONFIG;
    if (!(m->corrupt = ehm_corrupt_find(m->recipe->corrupt, err)) ||
        !(m->target_kind = ehm_target_find(m->recipe->target, err)) ||
        !(m->head = ehm_head_find(m->recipe->head, err)) ||
        !(m->loss_kind = ehm_loss_find(m->recipe->loss, err)))
        return EHM_E_CONFIG;
    EHM_TRY(ehm_parts_fit(m->recipe->name, m->corrupt, m->target_kind, m->head, m->loss_kind, err));
    if (m->head->needs_decoder && m->shape.decoder_depth < 1)
        return EHM_FAIL(err, EHM_E_CONFIG, "recipe %s: head \"%s\" needs a decoder, and the model has none",
                        m->recipe->name, m->head->name);
    const char *why = m->target_kind->refuse(m);
    if (why)
        return EHM_FAIL(err, EHM_E_CONFIG, "recipe %s: target \"%s\": %s", m->recipe->name,
                        m->target_kind->name, why);
    return EHM_OK;
}

/* Training plans for exactly its masks; a forward-only method may be given any. */
static ehm_code size_masks(ehm_method *m, ehm_err *err) {
    int32_t L = m->shape.n_patches;
    m->n_visible = ehm_mask_n_visible(L, m->mask_ratio), m->n_masked = L - m->n_visible;
    if (m->train && (m->n_visible < 1 || m->n_masked < 1)) {
        EHM_HINT(err, L > 1 ? "give --mask-ratio a value that leaves at least one patch on each side"
                            : "lower --patch-size or raise --img-size");
        return EHM_FAIL(
            err, EHM_E_CONFIG,
            "mask_ratio %g hides %d of %d patches; training needs at least one hidden and one visible",
            m->mask_ratio, (int)m->n_masked, (int)L);
    }
    int32_t n_visible = m->train ? m->n_visible : L;
    m->cap_embed = m->corrupt->n_embed(L, n_visible), m->cap_tokens = m->corrupt->n_tokens(L, n_visible);
    m->cap_masked = m->train ? m->n_masked : L;
    return EHM_OK;
}

static bool host_arrays(ehm_method *m) {
    size_t B = (size_t)m->batch, L = (size_t)m->shape.n_patches;
    m->visible = EHM_NEW_N(&m->arena, int32_t, B * L), m->masked = EHM_NEW_N(&m->arena, int32_t, B * L);
    m->host_embed = EHM_NEW_N(&m->arena, int32_t, B * (size_t)m->cap_embed);
    m->host_src = EHM_NEW_N(&m->arena, int32_t, B * (size_t)m->cap_tokens),
    m->host_pos = EHM_NEW_N(&m->arena, int32_t, B * (size_t)m->cap_tokens);
    return m->visible && m->masked && m->host_embed && m->host_src && m->host_pos;
}

ehm_code ehm_method_open(ehm_method **out, const ehm_config *cfg, const ehm_vit_shape *shape, int32_t batch,
                         ehm_dtype act, bool train, ehm_err *err) {
    *out = NULL;
    if (batch < 1) return EHM_FAIL(err, EHM_E_ARG, "a batch of %d pictures", (int)batch);
    if (act != EHM_F32 && act != EHM_BF16 && act != EHM_F64)
        return EHM_FAIL(err, EHM_E_ARG, "activations of type %s", ehm_dtype_name(act));
    /* All rows of a batch are counted in 32 bits on the way to the products. */
    if ((int64_t)batch * (1 + (int64_t)shape->n_patches) > INT32_MAX / 4) {
        EHM_HINT(err, "lower --batch-size");
        return EHM_FAIL(err, EHM_E_CONFIG, "batch_size %d of %d patches each is too large", (int)batch,
                        (int)shape->n_patches);
    }
    ehm_method *m = calloc(1, sizeof *m);
    if (!m) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the method");
    m->shape = *shape, m->batch = batch, m->act = act, m->train = train, m->norm_pix = cfg->norm_pix_loss,
    m->mask_ratio = cfg->mask_ratio, m->ahead = -1;
    m->views = train ? (int32_t)cfg->masks_per_crop : 1;
    ehm_code rc = batch % m->views ? EHM_FAIL(err, EHM_E_CONFIG, "--batch-size %d is no multiple of --masks-per-crop %d", (int)batch, (int)m->views)
                                   : bind_parts(m, cfg, err);
    if (!rc) rc = size_masks(m, err);
    if (rc) goto done;
    m->width = m->target_kind->width(&m->shape);
    bool ok = m->head->open(m) && host_arrays(m);
    if (ok) {
        ehm_vit_encoder_roots(&m->enc, &m->params, &m->shape);
        m->head->roots(m);
        ehm_vit_encoder_modules(&m->enc, &m->params, &m->arena);
        m->head->modules(m, m->width);
        ok = !m->params.failed &&
             ehm_vit_encoder_pass_open(&m->enc_pass, &m->enc, batch, m->cap_embed, m->cap_tokens, train, act,
                                       &m->arena) &&
             m->head->open_pass(m);
    }
    if (!ok)
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the method's tables (batch %d, %d patches)",
                      (int)batch, (int)shape->n_patches);
    if (!rc) rc = ehm_method_masks_open(m, cfg, err);
done:
    if (rc) ehm_method_close(m);
    else *out = m;
    return rc;
}

void ehm_method_close(ehm_method *m) {
    if (!m) return;
    ehm_method_masks_close(m);
    ehm_params_free(&m->params);
    ehm_arena_free(&m->arena);
    ehm_arena_free(&m->scratch);
    free(m);
}

static void plan_inputs(ehm_method *m, ehm_plan *plan) {
    ehm_pixels_plan(&m->pixels, plan, &m->shape, ehm_method_crops(m));
    if (m->train) ehm_pixels_plan_ahead(&m->pixels, plan);
    m->embed_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, m->batch, m->cap_embed);
    m->src = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, m->batch, m->cap_tokens);
    m->pos_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, m->batch, m->cap_tokens);
    m->target_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, m->batch, m->cap_masked);
}

void ehm_method_plan(ehm_method *m, ehm_plan *plan) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t B = m->batch, L = m->shape.n_patches, rows = B * m->cap_masked;
    ehm_mem_kind kind = m->train ? EHM_MEM_CACHE : EHM_MEM_SCRATCH;
    ehm_weights_plan(&m->weights, &m->params, plan, EHM_MEM_PARAM, "", m->act);
    if (m->train) ehm_grads_plan(&m->grads, &m->params, plan);
    plan_inputs(m, plan);
    ehm_method_masks_plan(m, plan);
    m->loss = ehm_plan_1d(plan, EHM_MEM_CACHE, NULL, real, 1);
    m->loss_kind->plan(&m->loss_cache, plan, rows, m->width);
    size_t mark = ehm_plan_mark(plan);
    m->target = ehm_plan_2d(plan, kind, NULL, real, rows, m->width);
    if (!m->train) m->pred_masked = ehm_plan_2d(plan, kind, NULL, real, rows, m->width);
    m->patches = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, real, B, L, m->shape.patch_pixels);
    ehm_vit_encoder_pass_plan(&m->enc_pass, plan, m->act);
    /* Forward only: the encoder's output and then the prediction lie above the patches in scratch. Training
     * keeps both, and the patches are done with. */
    if (m->train) ehm_plan_release(plan, mark);
    m->head->plan(m, plan);
    if (m->train) {
        m->dz = ehm_plan_2d(plan, EHM_MEM_SCRATCH, NULL, m->act, B * m->cap_tokens, m->shape.embed_dim);
        m->head->plan_bwd(m, plan);
        ehm_vit_encoder_pass_plan_bwd(&m->enc_pass, plan);
    }
    ehm_plan_release(plan, mark);
}

void ehm_method_init(ehm_method *m, ehm_dev *d, uint64_t seed) {
    enum { CHANNELS_MAX = 256 };
    double zero[CHANNELS_MAX] = {0}, one[CHANNELS_MAX];
    for (int32_t c = 0; c < CHANNELS_MAX; c++) one[c] = 1;
    ehm_weights_init(&m->weights, d, seed);
    if (!m->has_stats)
        ehm_pixels_stats(&m->pixels, d, zero, one, m->shape.channels, NULL); /* as they are, until told */
}

ehm_code ehm_method_set_stats(ehm_method *m, ehm_dev *d, const double *mean, const double *std, int32_t n,
                              ehm_err *err) {
    EHM_TRY(ehm_pixels_stats(&m->pixels, d, mean, std, n, err));
    m->has_stats = true;
    return EHM_OK;
}

static ehm_vit_route route_of(const ehm_method *m) {
    return (ehm_vit_route){ehm_fit2(m->embed_idx, m->n, m->n_embed), ehm_fit2(m->src, m->n, m->n_tokens),
                           ehm_fit2(m->pos_idx, m->n, m->n_tokens)};
}

static ehm_view pred_of(const ehm_method *m) {
    return m->train ? m->head->pred(m) : ehm_fit3(m->pred_masked, m->n, m->n_masked, m->width);
}

void ehm_method_fwd(ehm_method *m, ehm_dev *d) {
    const ehm_vit_shape *s = &m->shape;
    ehm_view patches = ehm_fit3(m->patches, m->n, s->n_patches, s->patch_pixels);
    ehm_vit_route route = route_of(m);
    ehm_dev_label(d, "target");
    int64_t crops = m->n / m->views;
    ehm_pixels_patchify(&m->pixels, d, ehm_view_rows(patches, 0, crops));
    for (int64_t v = 1; v < m->views; v++) /* each crop once for every mask of it */
        ehm_axpby(d, &(ehm_axpby_args){.out = ehm_view_rows(patches, v * crops, crops), .x = ehm_view_rows(patches, 0, crops), .a = 1, .b = 0});
    if (m->n_masked) m->target_kind->fwd(m, d);
    ehm_vit_encoder_fwd(d, &m->enc_pass, &m->weights, patches, &route, m->n, m->n_embed, m->n_tokens, NULL);
    m->head->fwd(m, d, ehm_vit_encoder_out(&m->enc_pass, m->n, m->n_tokens));
    ehm_dev_label(d, "loss");
    if (!m->n_masked) {
        ehm_fill(d, &(ehm_fill_args){.x = m->loss, .value = 0});
    } else {
        if (!m->train)
            ehm_gather_rows(d, &(ehm_gather_rows_args){.out = pred_of(m),
                                                       .x = m->head->pred(m),
                                                       .idx = ehm_fit2(m->target_idx, m->n, m->n_masked)});
        m->loss_kind->fwd(d, m->loss, &m->loss_cache, pred_of(m), ehm_method_target(m));
    }
    ehm_dev_label(d, "");
}

void ehm_method_bwd(ehm_method *m, ehm_dev *d, float loss_scale) {
    EHM_ASSERT(m->train);
    ehm_vit_route route = route_of(m);
    ehm_view dz = ehm_fit3(m->dz, m->n, m->n_tokens, m->shape.embed_dim);
    ehm_dev_label(d, "loss");
    m->loss_kind->bwd(d, m->head->dpred(m), &m->loss_cache, pred_of(m), ehm_method_target(m), loss_scale);
    m->head->bwd(m, d, dz, ehm_vit_encoder_out(&m->enc_pass, m->n, m->n_tokens));
    ehm_vit_encoder_bwd(d, &m->enc_pass, dz, &m->weights, &m->grads, &route, m->n, m->n_embed, m->n_tokens);
}

const ehm_params *ehm_method_params(const ehm_method *m) { return &m->params; }
ehm_weights *ehm_method_weights(ehm_method *m) { return &m->weights; }
const ehm_vit_encoder *ehm_method_encoder(const ehm_method *m) { return &m->enc; }
ehm_view ehm_method_grad(const ehm_method *m, int32_t group) { return m->grads.flat[group]; }
ehm_view ehm_method_loss(const ehm_method *m) { return m->loss; }
ehm_view ehm_method_prediction(const ehm_method *m) { return m->train ? ehm_view_none() : m->head->pred(m); }
const int32_t *ehm_method_visible(const ehm_method *m) { return m->visible; }
const int32_t *ehm_method_masked(const ehm_method *m) { return m->masked; }
int32_t ehm_method_n_visible(const ehm_method *m) { return m->n_visible; }
int32_t ehm_method_n_pred(const ehm_method *m) { return m->train ? m->n_masked : m->shape.n_patches; }
ehm_view ehm_method_target(const ehm_method *m) { return ehm_fit3(m->target, m->n, m->n_masked, m->width); }
const char *ehm_method_loss_baseline(const ehm_method *m) {
    return m->target_kind->baseline ? m->target_kind->baseline(m) : "";
}

/* Backward is twice forward, but for the patch embedding, whose input needs no gradient. */
double ehm_method_flops(const ehm_method *m) {
    double embed = 2.0 * m->n_visible * (double)m->shape.patch_pixels * m->shape.embed_dim;
    double teacher = m->masks.affinity ? ehm_affinity_flops(m->masks.affinity) / m->views : 0;
    return 3 * ehm_vit_flops_fwd(&m->shape, m->n_visible, true) - embed + teacher;
}
