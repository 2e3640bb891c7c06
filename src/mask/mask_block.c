/* Rectangles of random area and shape until enough is removed, as BEiT draws them (Bao et al. 2022, algorithm
 * 1, and its published code). */
#include "mask/pick_int.h"
#include <math.h>

enum {
    TRIES = 10,
    AREA_MIN = 16,
    AREA_MIN_OF = 196
}; /* the published run asks for 16 patches of 14 x 14 at least */
#define ASPECT_MIN 0.3

typedef struct {
    int32_t gh, gw, area_min;
    bool exact;
} grid_opt;

/* One rectangle that removes 1..most more patches; returns how many, 0 when no try fits. */
static int32_t place(uint8_t *removed, const grid_opt *g, int32_t most, ehm_rng *rng) {
    double log_aspect = log(ASPECT_MIN);
    /* The published bounds may be upside down (fewer patches left than the least area): areas are then too
     * large, tries fail, and that is where its count stays short. With the lower bound lowered the last
     * rectangles are small ones. */
    double lo = g->exact || g->area_min < most ? g->area_min : most;
    for (int32_t k = 0; k < TRIES; k++) {
        double area = ehm_rng_uniform(rng, lo, most),
               aspect = exp(ehm_rng_uniform(rng, log_aspect, -log_aspect));
        int32_t h = (int32_t)rint(sqrt(area * aspect)), w = (int32_t)rint(sqrt(area / aspect)), fresh = 0;
        if (g->exact ? h >= g->gh || w >= g->gw : h > g->gh || w > g->gw) continue;
        if (h < 1 || w < 1) continue;
        int32_t top = (int32_t)ehm_rng_below(rng, (uint32_t)(g->gh - h) + 1),
                left = (int32_t)ehm_rng_below(rng, (uint32_t)(g->gw - w) + 1);
        for (int32_t y = top; y < top + h; y++)
            for (int32_t x = left; x < left + w; x++) fresh += !removed[y * g->gw + x];
        if (!fresh || fresh > most) continue;
        for (int32_t y = top; y < top + h; y++)
            for (int32_t x = left; x < left + w; x++) removed[y * g->gw + x] = 1;
        return fresh;
    }
    return 0;
}

static ehm_code blocks_draw(bool exact, ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch,
                            ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w;
    int32_t area_min = exact ? AREA_MIN : (int32_t)((int64_t)n * AREA_MIN / AREA_MIN_OF);
    grid_opt g = {in->grid_h, in->grid_w, area_min < 1 ? 1 : area_min, exact};
    ehm_rng rng = in->rng;
    uint8_t *removed;
    EHM_TRY(ehm_mask_flags_new(&removed, n, scratch, err));
    for (int32_t v = 0; v < in->n_views; v++) {
        for (int32_t i = 0; i < n; i++) removed[i] = 0;
        for (int32_t count = 0, fresh = 1; count < in->n_masked && fresh; count += fresh)
            fresh = place(removed, &g, in->n_masked - count, &rng);
        if (!exact) EHM_TRY(ehm_mask_fit(removed, n, in->n_masked, &rng, scratch, err));
        ehm_mask_of_flags(&out[v], removed, n);
    }
    return EHM_OK;
}

static ehm_code block_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    return blocks_draw(false, out, in, scratch, err);
}

static ehm_code block_exact_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    return blocks_draw(true, out, in, scratch, err);
}

const ehm_mask_rule ehm_mask_rule_block = {
    .name = "block",
    .summary = "rectangles until enough is removed",
    .source = "BEiT, Bao et al. 2022, algorithm 1; the exact count is ours",
    .details = "Areas from 16 patches of 14 x 14 (in proportion on other grids) to what is left to remove, "
               "height over width from 0.3 to 1/0.3. After ten tries that do not fit, the few that are "
               "missing are drawn at random. BEiT removes 40 %.",
    .draw = block_draw,
};

const ehm_mask_rule ehm_mask_rule_block_exact = {
    .name = "block-exact",
    .summary = "rectangles as BEiT's code draws them, which may stop short",
    .source = "BEiT, Bao et al. 2022, published code",
    .details = "At least 16 patches each whatever the grid, none as high or as wide as the grid. Stops "
               "after ten tries that do not fit, so that pictures lose different numbers of patches.",
    .inexact = true,
    .draw = block_exact_draw,
};
