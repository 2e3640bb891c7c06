#include "recipe/method_int.h"
#include <string.h>

typedef struct {
    ehm_vit_decoder dec;
    ehm_vit_decoder_pass pass;
    ehm_view src, pred_idx;           /* INPUT, i32 */
    int32_t *host_src, *host_pred;
} state;

static state *of(const ehm_method *m) { return m->head_state; }

static bool decoder_open(ehm_method *m) {
    state *s = EHM_NEW(&m->arena, state);
    if (!s) return false;
    size_t L = (size_t)m->shape.n_patches;
    m->head_state = s;
    s->host_src = EHM_NEW_N(&m->arena, int32_t, (size_t)m->batch * (1 + L));
    s->host_pred = EHM_NEW_N(&m->arena, int32_t, (size_t)m->batch * L);
    return s->host_src && s->host_pred;
}

static void decoder_roots(ehm_method *m) { ehm_vit_decoder_roots(&of(m)->dec, &m->params, &m->shape); }
static void decoder_modules(ehm_method *m, int64_t width) {
    ehm_vit_decoder_modules(&of(m)->dec, &m->params, width, &m->arena);
}

static int32_t cap_pred(const ehm_method *m) { return m->train ? m->cap_masked : m->shape.n_patches; }

static bool decoder_open_pass(ehm_method *m) {
    return ehm_vit_decoder_pass_open(&of(m)->pass, &of(m)->dec, m->batch, m->cap_tokens, cap_pred(m),
                                     m->train, m->act, &m->arena);
}

static void decoder_plan(ehm_method *m, ehm_plan *plan) {
    state *s = of(m);
    s->src = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, m->batch, 1 + (int64_t)m->shape.n_patches);
    s->pred_idx = ehm_plan_2d(plan, EHM_MEM_INPUT, NULL, EHM_I32, m->batch, cap_pred(m));
    ehm_vit_decoder_pass_plan(&s->pass, plan);
}

static void decoder_plan_bwd(ehm_method *m, ehm_plan *plan) {
    ehm_vit_decoder_pass_plan_bwd(&of(m)->pass, plan);
}

/* Raster order: the class token, then each patch's own encoder token or the mask token. */
static void decoder_load(ehm_method *m, ehm_dev *d) {
    state *s = of(m);
    int32_t L = m->shape.n_patches, n_pred = ehm_method_n_pred(m);
    for (int32_t b = 0; b < m->n; b++) {
        int32_t *src = s->host_src + (int64_t)b * (1 + L), *pred = s->host_pred + (int64_t)b * n_pred;
        src[0] = 0;
        for (int32_t i = 0; i < L; i++) src[1 + i] = -1;
        for (int32_t i = 0; i < m->n_visible; i++) src[1 + m->visible[(int64_t)b * m->n_visible + i]] = 1 + i;
        for (int32_t i = 0; i < n_pred; i++)
            pred[i] = 1 + (m->train ? m->masked[(int64_t)b * m->n_masked + i] : i);
    }
    ehm_upload(d, ehm_fit2(s->src, m->n, 1 + L), s->host_src,
               (size_t)m->n * (size_t)(1 + L) * sizeof *s->host_src);
    ehm_upload(d, ehm_fit2(s->pred_idx, m->n, n_pred), s->host_pred,
               (size_t)m->n * (size_t)n_pred * sizeof *s->host_pred);
}

static void decoder_lists(const ehm_method *m, ehm_view *back, ehm_view *pred) {
    *back = ehm_fit2(of(m)->src, m->batch, 1 + (int64_t)m->shape.n_patches), *pred = ehm_fit2(of(m)->pred_idx, m->batch, ehm_method_n_pred(m));
}

static ehm_view src_of(const ehm_method *m) {
    return ehm_fit2(of(m)->src, m->n, 1 + (int64_t)m->shape.n_patches);
}
static ehm_view pred_idx_of(const ehm_method *m) {
    return ehm_fit2(of(m)->pred_idx, m->n, ehm_method_n_pred(m));
}

static void decoder_fwd(ehm_method *m, ehm_dev *d, ehm_view z) {
    ehm_vit_decoder_fwd(d, &of(m)->pass, &m->weights, z, src_of(m), pred_idx_of(m), m->n, m->n_tokens,
                        ehm_method_n_pred(m));
}

static ehm_view decoder_pred(const ehm_method *m) {
    return ehm_vit_decoder_pred(&of(m)->pass, m->n, ehm_method_n_pred(m));
}
static ehm_view decoder_dpred(const ehm_method *m) {
    return ehm_vit_decoder_dpred(&of(m)->pass, m->n, ehm_method_n_pred(m));
}

static void decoder_bwd(ehm_method *m, ehm_dev *d, ehm_view dz, ehm_view z) {
    ehm_vit_decoder_bwd(d, &of(m)->pass, dz, &m->weights, &m->grads, z, src_of(m), pred_idx_of(m), m->n,
                        m->n_tokens, ehm_method_n_pred(m));
}

const ehm_head ehm_head_decoder = {
    .name = "decoder",
    .summary = "a smaller transformer over the encoder's tokens and mask tokens",
    .gives = EHM_TARGET_VALUES,
    .speaks_of_dropped = true,
    .needs_decoder = true,
    .open = decoder_open,
    .roots = decoder_roots,
    .modules = decoder_modules,
    .open_pass = decoder_open_pass,
    .plan = decoder_plan,
    .plan_bwd = decoder_plan_bwd,
    .load = decoder_load,
    .lists = decoder_lists,
    .fwd = decoder_fwd,
    .pred = decoder_pred,
    .dpred = decoder_dpred,
    .bwd = decoder_bwd,
};
