#include "loss/loss.h"

static int64_t rows_of(ehm_view v) { return ehm_view_count(v) / v.dim[v.rank - 1]; }

static ehm_view row_loss(const ehm_loss_cache *c, int64_t rows) {
    ehm_view v = c->row_loss;
    EHM_ASSERT(rows <= ehm_view_count(v));
    v.dim[0] = rows;
    return v;
}

static void mse_plan(ehm_loss_cache *c, ehm_plan *plan, int64_t rows, int64_t width) {
    (void)width;
    c->row_loss = ehm_plan_1d(plan, EHM_MEM_CACHE, NULL, ehm_dev_real(plan->dev), rows);
}

static void mse_fwd(ehm_dev *d, ehm_view loss, const ehm_loss_cache *c, ehm_view pred, ehm_view target) {
    ehm_view rows = row_loss(c, rows_of(pred));
    ehm_mse(d, &(ehm_mse_args){.row_loss = rows, .pred = pred, .target = target});
    ehm_sum(d, &(ehm_sum_args){.out = loss, .x = rows, .scale = 1.0f / (float)rows_of(pred)});
}

/* The op gives value and gradient together; computing the value again is cheaper than keeping the difference.
 */
static void mse_bwd(ehm_dev *d, ehm_view dpred, const ehm_loss_cache *c, ehm_view pred, ehm_view target,
                    float scale) {
    int64_t R = rows_of(pred);
    ehm_mse(d, &(ehm_mse_args){.row_loss = row_loss(c, R),
                               .dpred = dpred,
                               .pred = pred,
                               .target = target,
                               .scale = scale / (float)R});
}

const ehm_loss ehm_loss_mse = {
    .name = "mse",
    .summary = "mean squared error over a patch's values",
    .source = "He et al. 2022, section 3",
    .wants = EHM_TARGET_VALUES,
    .plan = mse_plan,
    .fwd = mse_fwd,
    .bwd = mse_bwd,
};
