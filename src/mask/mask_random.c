/* Uniform random masks as masked autoencoders draw them: one number a patch, those with the smallest are kept (He et al. 2022, section 3). */
#include "mask/mask_int.h"
#include <stdlib.h>

typedef struct { float noise; int32_t i; } draw;

/* Ties (a float has 2^24 levels) go to the lower patch, where the published code leaves them open. */
static int by_noise(const void *a, const void *b) {
    const draw *x = a, *y = b;
    if (x->noise != y->noise) return x->noise < y->noise ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

ehm_code ehm_mask_from_noise(ehm_mask *out, const float *noise, int32_t n, int32_t n_masked, ehm_arena *scratch, ehm_err *err) {
    draw *order = EHM_NEW_N(scratch, draw, n);
    uint8_t *removed = EHM_NEW_N(scratch, uint8_t, n);
    if (!order || !removed) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
    for (int32_t i = 0; i < n; i++) order[i] = (draw){noise[i], i};
    qsort(order, (size_t)n, sizeof *order, by_noise);
    for (int32_t k = n - n_masked; k < n; k++) removed[order[k].i] = 1;
    ehm_mask_of_flags(out, removed, n);
    return EHM_OK;
}

static ehm_code random_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w;
    ehm_rng rng = in->rng;
    float *noise = EHM_NEW_N(scratch, float, n);
    if (!noise) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
    for (int32_t v = 0; v < in->n_views; v++) {
        for (int32_t i = 0; i < n; i++) noise[i] = ehm_rng_f32(&rng);
        EHM_TRY(ehm_mask_from_noise(&out[v], noise, n, in->n_masked, scratch, err));
    }
    return EHM_OK;
}

const ehm_mask_rule ehm_mask_rule_random = {
    .name = "random",
    .summary = "patches drawn uniformly at random",
    .source = "He et al. 2022, section 3, and its published code",
    .draw = random_draw,
};
