/* Random masks over a coarse grid of square cells, as SimMIM draws them (Xie et al. 2022): there a cell is 32
 * px, which is two patches of 16 px; a rule counts in patches. */
#include "mask/pick_int.h"
#include <math.h>

#define CELL_SIDES "2|1|3|4|8"

/* The side is spelled by the argument itself. */
static ehm_code side_of(int32_t *side, const ehm_mask_rule *rule, const char *arg, ehm_err *err) {
    static const int32_t sides[] = {2, 1, 3, 4, 8};
    int32_t i;
    EHM_TRY(ehm_mask_arg(&i, rule, arg, err));
    *side = sides[i];
    return EHM_OK;
}

static ehm_code cells_draw(const ehm_mask_rule *rule, ehm_mask *out, const ehm_mask_in *in,
                           ehm_arena *scratch, ehm_err *err) {
    int32_t gh = in->grid_h, gw = in->grid_w, n = gh * gw, side;
    ehm_rng rng = in->rng;
    EHM_TRY(side_of(&side, rule, in->arg, err));
    int32_t cells_w = (gw - 1) / side + 1, n_cells = cells_w * ((gh - 1) / side + 1);
    int32_t *order = EHM_NEW_N(scratch, int32_t, n_cells);
    uint8_t *removed;
    if (!order) return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d cells", (int)n_cells);
    EHM_TRY(ehm_mask_flags_new(&removed, n, scratch, err));
    double ratio = in->settings ? in->settings->mask_ratio : (double)in->n_masked / n;
    int32_t n_whole = rule->inexact ? (int32_t)ceil(n_cells * ratio)
                                    : n_cells; /* the published count is of cells, and rounds up */
    for (int32_t v = 0; v < in->n_views; v++) {
        int32_t count = 0;
        for (int32_t i = 0; i < n; i++) removed[i] = 0;
        for (int32_t i = 0; i < n_cells; i++) order[i] = i;
        ehm_rng_shuffle_i32(&rng, order, n_cells);
        for (int32_t i = 0; i < n_whole && (rule->inexact || count < in->n_masked); i++) {
            int32_t y0 = order[i] / cells_w * side, x0 = order[i] % cells_w * side,
                    left = in->n_masked - count, size = 0;
            int32_t patch[64]; /* of the largest cell */
            for (int32_t y = y0; y < y0 + side && y < gh; y++)
                for (int32_t x = x0; x < x0 + side && x < gw; x++) patch[size++] = y * gw + x;
            if (!rule->inexact && size > left) /* the last cell: only so many of it, any */
                ehm_rng_shuffle_i32(&rng, patch, size), size = left;
            for (int32_t k = 0; k < size; k++) removed[patch[k]] = 1;
            count += size;
        }
        ehm_mask_of_flags(&out[v], removed, n);
    }
    return EHM_OK;
}

static ehm_code cell_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    return cells_draw(&ehm_mask_rule_cell, out, in, scratch, err);
}

static ehm_code cell_exact_draw(ehm_mask *out, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    return cells_draw(&ehm_mask_rule_cell_exact, out, in, scratch, err);
}

const ehm_mask_rule ehm_mask_rule_cell = {
    .name = "cell",
    .summary = "square cells of patches drawn uniformly at random",
    .source = "SimMIM, Xie et al. 2022; the exact count is ours",
    .args = CELL_SIDES,
    .details = "The argument is a cell's side in patches. SimMIM's cells are 32 px: side 2 with patches of "
               "16 px, 4 with 8 px. Of the last cell only as many patches are removed, at random, as are "
               "wanted; cell:1 is the rule random. Where the side does not divide the grid, the cells at "
               "its right and lower edge are smaller.",
    .draw = cell_draw,
};

const ehm_mask_rule ehm_mask_rule_cell_exact = {
    .name = "cell-exact",
    .summary = "cells as SimMIM counts them: whole ones, their number rounded up",
    .source = "SimMIM, Xie et al. 2022, published code",
    .args = CELL_SIDES,
    .details = "Removes whole cells, ceil(ratio x cells) of them: 30 of 49 at ratio 0.6, so 120 of 196 "
               "patches where the other rules remove 118. Every picture loses equally many if the side "
               "divides the grid.",
    .inexact = true,
    .draw = cell_exact_draw,
};
