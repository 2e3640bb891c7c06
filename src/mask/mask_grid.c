/* Regular lattices: at ratio 0.75 one patch of every 2 x 2 is visible, always at the same place of the four
 * (grid-wise sampling in He et al. 2022, table 1f). Any other ratio is as even as an ordered dither can be.
 */
#include "mask/pick_int.h"

enum { LEVELS = 16 }; /* places of the grid modulo 2^16 */

/* order[l][y][x]: which of the four places of level l comes first, second, ... The second lies diagonally
 * from the first, so that half of the patches make a checkerboard. */
static void draw_orders(uint8_t order[LEVELS][2][2], ehm_rng *rng) {
    for (int32_t l = 0; l < LEVELS; l++) {
        uint32_t r = ehm_rng_below(rng, 8), y = r & 1, x = r >> 1 & 1, swap = r >> 2;
        order[l][y][x] = 0, order[l][!y][!x] = 1;
        order[l][y][!x] = (uint8_t)(2 + swap), order[l][!y][x] = (uint8_t)(3 - swap);
    }
}

/* The finest level decides first: with a quarter of the patches visible, all have the same place in their 2
 * x 2. */
static uint32_t rank_of(uint8_t (*order)[2][2], int32_t y, int32_t x) {
    uint32_t rank = 0;
    for (int32_t l = 0; l < LEVELS; l++) rank = rank << 2 | order[l][y >> l & 1][x >> l & 1];
    return rank;
}

static ehm_code grid_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    int32_t n = in->grid_h * in->grid_w, n_visible = n - in->n_masked;
    ehm_rng rng = in->rng;
    uint8_t *removed, order[LEVELS][2][2];
    uint32_t *rank = EHM_NEW_N(scratch, uint32_t, n);
    if (!rank) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)n);
    EHM_TRY(ehm_mask_flags_new(&removed, n, scratch, err));
    for (int32_t v = 0; v < in->n_views; v++) {
        draw_orders(order, &rng);
        for (int32_t i = 0; i < n; i++) rank[i] = rank_of(order, i / in->grid_w, i % in->grid_w);
        /* The bound that n_visible ranks are below, bit by bit. Ranks differ unless a side exceeds 2^16. */
        uint64_t limit = 0;
        for (int32_t bit = 2 * LEVELS; bit >= 0; bit--) {
            uint64_t more = limit | (uint64_t)1 << bit;
            int32_t below = 0;
            for (int32_t i = 0; i < n; i++) below += rank[i] < more;
            if (below <= n_visible) limit = more;
        }
        for (int32_t i = 0; i < n; i++) removed[i] = rank[i] >= limit;
        EHM_TRY(ehm_mask_fit(removed, n, in->n_masked, &rng, scratch, err));
        ehm_mask_of_flags(&out[v], removed, n);
    }
    return EHM_OK;
}

const ehm_mask_rule ehm_mask_rule_grid = {
    .name = "grid",
    .summary = "a regular lattice stays visible",
    .source = "He et al. 2022, table 1f (ratio 0.75); other ratios and the random place are ours",
    .details = "At ratio 0.75 one patch of each 2 x 2, at 0.5 a checkerboard, at 0.9375 one of each 4 x 4; "
               "between those the next lattice is filled evenly. Which place of the four is drawn for each "
               "picture.",
    .draw = grid_draw,
};
