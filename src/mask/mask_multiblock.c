/* I-JEPA's multi-block masks (Assran et al. 2023): four target rectangles of one size, and all that lies
 * outside one large context rectangle. */
#include "mask/pick_int.h"
#include <math.h>

enum { TARGETS = 4 };
typedef struct {
    int32_t h, w;
} size_hw;

/* One uniform number drives area and shape alike, as in the published code: the larger, the taller. */
static size_hw size_of(double u, double share_lo, double share_hi, double aspect_lo, double aspect_hi,
                       int32_t gh, int32_t gw) {
    int32_t area = (int32_t)((double)gh * gw * (share_lo + u * (share_hi - share_lo)));
    double aspect = aspect_lo + u * (aspect_hi - aspect_lo);
    int32_t h = (int32_t)rint(sqrt(area * aspect)), w = (int32_t)rint(sqrt(area / aspect));
    return (size_hw){h < gh ? h : gh, w < gw ? w : gw};
}

/* Somewhere within the grid, all its patches set to value. */
static void paint(uint8_t *flag, uint8_t value, size_hw s, int32_t gh, int32_t gw, ehm_rng *rng) {
    int32_t top = (int32_t)ehm_rng_below(rng, (uint32_t)(gh - s.h) + 1),
            left = (int32_t)ehm_rng_below(rng, (uint32_t)(gw - s.w) + 1);
    for (int32_t y = top; y < top + s.h; y++)
        for (int32_t x = left; x < left + s.w; x++) flag[y * gw + x] = value;
}

static ehm_code multiblock_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    int32_t gh = in->grid_h, gw = in->grid_w, n = gh * gw;
    ehm_rng rng = in->rng;
    uint8_t *target, *outside;
    EHM_TRY(ehm_mask_flags_new(&target, n, scratch, err));
    EHM_TRY(ehm_mask_flags_new(&outside, n, scratch, err));
    for (int32_t v = 0; v < in->n_views; v++) {
        size_hw t = size_of(ehm_rng_f64(&rng), 0.15, 0.2, 0.75, 1.5, gh, gw),
                c = size_of(ehm_rng_f64(&rng), 0.85, 1, 1, 1, gh, gw);
        for (int32_t i = 0; i < n; i++) target[i] = 0, outside[i] = 1;
        for (int32_t k = 0; k < TARGETS; k++) paint(target, 1, t, gh, gw, &rng);
        paint(outside, 0, c, gh, gw, &rng);
        /* Too many: what is only outside the context comes back first, for the targets are the method. */
        for (int32_t i = 0; i < n; i++) outside[i] = outside[i] && !target[i];
        int32_t n_target = ehm_mask_count(target, n), n_outside = ehm_mask_count(outside, n),
                over = n_target + n_outside - in->n_masked;
        if (over > 0)
            EHM_TRY(ehm_mask_flip(outside, n, 1, over < n_outside ? over : n_outside, &rng, scratch, err));
        for (int32_t i = 0; i < n; i++) target[i] |= outside[i];
        EHM_TRY(ehm_mask_fit(target, n, in->n_masked, &rng, scratch, err));
        ehm_mask_of_flags(&out[v], target, n);
    }
    return EHM_OK;
}

const ehm_mask_rule ehm_mask_rule_multiblock = {
    .name = "multiblock",
    .summary = "four target rectangles, and what lies outside a large context rectangle",
    .source = "I-JEPA, Assran et al. 2023, its configuration for ViT-H/14; the exact count is ours",
    .details = "Targets: 0.15 to 0.2 of the grid each, height over width 0.75 to 1.5, overlapping; "
               "context: 0.85 to 1 of the grid, square. By itself that removes 0.54 of 14 x 14 patches, "
               "0.35 to 0.75. Where more are wanted, random ones are added; where fewer, what only lies "
               "outside the context comes back first, then any. Sizes are drawn for each picture, in "
               "I-JEPA for each batch.",
    .draw = multiblock_draw,
};
