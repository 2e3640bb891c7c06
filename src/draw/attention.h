/* What a token attends to: of one block, head by head, and through all blocks by attention rollout.
 *
 *     ehm_look look;
 *     EHM_TRY(ehm_look_at(&look, &s, m, &(ehm_look_opt){.i_block = -1, .i_patch = -1}, a, err));
 *     EHM_TRY(ehm_look_sheet(&sheet, &look, &s, a, err));
 */
#ifndef EHM_DRAW_ATTENTION_H
#define EHM_DRAW_ATTENTION_H
#include "draw/study.h"

typedef struct {
    int32_t i_block; /* 0 to depth - 1; -1: the last */
    int32_t i_patch; /* whose attention: this patch's; -1: the class token's */
} ehm_look_opt;

typedef struct {
    ehm_look_opt opt; /* with the block as a number */
    int32_t depth, num_heads;
    /* [n_maps,grid_h,grid_w] what the token attends to: mean of heads, each head, then rollout up to the block */
    float *maps; const char **names; int32_t n_maps;
    /* The class token: what patches receive from all patches (mean of heads) in the first, the middle (or the one asked for) and the last block, and on
     * average over all. A patch: how much each patch attends to it, mean of heads and each head. */
    float *other; const char **other_names; int32_t n_other;
} ehm_look;
/* s: of ehm_study_read with this model. EHM_E_ARG: no such block or patch. */
ehm_code ehm_look_at(ehm_look *out, const ehm_study *s, ehm_model *m, const ehm_look_opt *opt, ehm_arena *a, ehm_err *err);
/* Two rows of maps over the picture; the patch that was asked for is marked. Rows of attention add up to 1. */
ehm_code ehm_look_sheet(ehm_image *sheet, const ehm_look *l, const ehm_study *s, ehm_arena *a, ehm_err *err);

/* Attention rollout (Abnar and Zuidema 2020): the product of (A + 1) / 2 over blocks, A being the mean of heads, each row made to sum to 1 again. One row of it
 * needs no product of matrices: begin with row [n], 1 at the token and 0 elsewhere, and give the blocks from the last to the first.
 *   A [n,n]; scratch [n] */
void ehm_rollout_step(double *row, const float *A, int32_t n, double *scratch);
#endif
