/* Uniform random masks as masked autoencoders draw them: one number a patch, those with the smallest are kept
 * (He et al. 2022, section 3). */
#include "mask/mask_int.h"
#include <string.h>

/* A number that sorts as (noise, patch) does. Ties (a float has 2^24 levels) go to the lower patch, where the
 * published code leaves them open. */
static uint64_t key_of(float noise, int32_t i) {
    uint32_t u;
    noise += 0.0f; /* -0 and 0 are equal */
    memcpy(&u, &noise, sizeof u);
    u = u & 0x80000000u ? ~u : u | 0x80000000u;
    return (uint64_t)u << 32 | (uint32_t)i;
}

/* The k-th smallest of distinct keys, which are reordered (Hoare's selection). The C library's sort may
 * allocate, and masks are drawn in every step. */
static uint64_t select_key(uint64_t *key, int32_t n, int32_t k) {
    int32_t lo = 0, hi = n - 1;
    while (lo < hi) {
        uint64_t pivot = key[lo + (hi - lo) / 2];
        int32_t i = lo, j = hi;
        while (i <= j) {
            while (key[i] < pivot) i++;
            while (key[j] > pivot) j--;
            if (i > j) break;
            uint64_t t = key[i];
            key[i++] = key[j], key[j--] = t;
        }
        if (k <= j) hi = j;
        else if (k >= i) lo = i;
        else break;
    }
    return key[k];
}

ehm_code ehm_mask_from_noise(ehm_mask *out, const float *noise, int32_t n, int32_t n_masked,
                             ehm_arena *scratch, ehm_err *err) {
    uint64_t *key = EHM_NEW_N(scratch, uint64_t, n);
    uint8_t *removed = EHM_NEW_N(scratch, uint8_t, n);
    if (!key || !removed) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
    for (int32_t i = 0; i < n; i++) key[i] = key_of(noise[i], i);
    uint64_t first_removed = n_masked ? select_key(key, n, n - n_masked) : UINT64_MAX;
    for (int32_t i = 0; i < n; i++) removed[i] = n_masked && key_of(noise[i], i) >= first_removed;
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
