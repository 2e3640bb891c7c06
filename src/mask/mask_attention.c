/* Masks by the class token's attention: what it attends to most is removed (AttMask, Kakogeorgiou et al.
 * 2022), or is likely to be kept (MaskAlign, Xue et al. 2023). */
#include "mask/pick_int.h"
#include <math.h>

enum { HIGH, LOW, HINT, KEEP };
#define HINT_SHARE                                                                                           \
    0.1 /* of the patches: where hints come from; of the removed ones: how many hints there are */

/* log a + Gumbel noise: the k largest are a sample of k without replacement, in proportion to a (Vieira
 * 2014). -infinity where a is 0. */
static float gumbel_key(float a, ehm_rng *rng) {
    double u = ((double)(ehm_rng_u64(rng) >> 12) + 0.5) * 0x1p-52; /* in (0, 1), both ends left out */
    return (float)(log((double)a) - log(-log(u)));
}

/* Some of the most attended are given back, and what is attended next is removed in their place. */
static ehm_code hint(uint8_t *removed, const ehm_mask_in *in, float *key, ehm_rng *rng, ehm_arena *scratch,
                     ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w, n_top = (int32_t)(HINT_SHARE * n),
            n_hints = (int32_t)(HINT_SHARE * in->n_masked);
    if (n_hints > n_top) n_hints = n_top;
    if (n_hints > n - in->n_masked) n_hints = n - in->n_masked;
    uint8_t *shown, *top;
    EHM_TRY(ehm_mask_flags_new(&top, n, scratch, err));
    EHM_TRY(ehm_mask_flags_new(&shown, n, scratch, err));
    EHM_TRY(ehm_mask_largest(top, in->cls_attention, n, n_top, rng, scratch, err));
    for (int32_t i = 0; i < n; i++) key[i] = top[i] ? ehm_rng_f32(rng) : -1;
    EHM_TRY(ehm_mask_largest(shown, key, n, n_hints, rng, scratch, err));
    for (int32_t i = 0; i < n; i++) key[i] = shown[i] ? -INFINITY : in->cls_attention[i];
    return ehm_mask_largest(removed, key, n, in->n_masked, rng, scratch, err);
}

static ehm_code attention_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w, kind;
    ehm_rng rng = in->rng;
    uint8_t *removed;
    float *key = EHM_NEW_N(scratch, float, n);
    EHM_TRY(ehm_mask_arg(&kind, &ehm_mask_rule_attention, in->arg, err));
    if (!in->cls_attention)
        return EHM_FAIL(err, EHM_E_ARG,
                        "mask rule attention needs the class token's attention, and none was given");
    EHM_TRY(ehm_mask_check_values(in->cls_attention, 1, n, true, "the class token's attention", err));
    EHM_TRY(ehm_mask_flags_new(&removed, n, scratch, err));
    if (!key) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
    for (int32_t v = 0; v < in->n_views; v++) {
        for (int32_t i = 0; i < n; i++) removed[i] = 0;
        for (int32_t i = 0; i < n; i++) {
            float a = in->cls_attention[i];
            key[i] = kind == HIGH ? a : kind == LOW ? -a : kind == KEEP ? -gumbel_key(a, &rng) : 0;
        }
        if (kind == HINT) EHM_TRY(hint(removed, in, key, &rng, scratch, err));
        else EHM_TRY(ehm_mask_largest(removed, key, n, in->n_masked, &rng, scratch, err));
        ehm_mask_of_flags(&out[v], removed, n);
        out[v].facts.flat = n > 1 && ehm_mask_is_flat(in->cls_attention, n);
    }
    return EHM_OK;
}

static uint32_t attention_needs(const ehm_mask_settings *s, const char *arg, int32_t n,
                                double progress_frac) {
    (void)s, (void)arg, (void)n, (void)progress_frac;
    return EHM_MASK_NEEDS_CLS;
}

const ehm_mask_rule ehm_mask_rule_attention = {
    .name = "attention",
    .summary = "by the class token's attention: the most or least attended go, or are kept",
    .source = "AttMask, Kakogeorgiou et al. 2022 (high, low, hint); MaskAlign, Xue et al. 2023 (keep)",
    .args = "high|low|hint|keep",
    .details = "high and low: the most and the least attended are removed. hint: as high, but a tenth as "
               "many hints as are removed, drawn among the most attended tenth, stay visible, and what "
               "comes next is removed instead. keep: the visible patches are drawn without replacement in "
               "proportion to attention. In training the attention is the model's own, of its last layer, "
               "heads averaged; AttMask takes an average of weights, MaskAlign a finished teacher.",
    .needs = attention_needs,
    .draw = attention_draw,
};
