#include "optim/clip.h"

void ehm_clip_plan(ehm_clip *c, ehm_plan *plan) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    c->sumsq = ehm_plan_1d(plan, EHM_MEM_CACHE, "clip.sumsq", real, 1);
    c->factor = ehm_plan_1d(plan, EHM_MEM_CACHE, "clip.factor", real, 1);
    c->norm = ehm_plan_1d(plan, EHM_MEM_CACHE, "clip.norm", real, 1);
}

void ehm_clip_run(const ehm_clip *c, ehm_dev *d, const ehm_view *grad, int32_t n, ehm_view loss, float max_norm, float grad_scale) {
    bool any = false;
    for (int32_t i = 0; i < n; i++) {
        if (!grad[i].rank) continue;
        ehm_sumsq(d, &(ehm_sumsq_args){.out = c->sumsq, .x = grad[i], .accumulate = any});
        any = true;
    }
    if (!any) ehm_fill(d, &(ehm_fill_args){.x = c->sumsq, .value = 0});
    /* 0 * loss is 0 for every finite loss and NaN for the others. */
    if (loss.rank) ehm_axpby(d, &(ehm_axpby_args){.out = c->sumsq, .x = loss, .a = 0, .b = 1});
    ehm_clip_factor(d, &(ehm_clip_factor_args){.factor = c->factor, .norm = c->norm, .sumsq = c->sumsq, .max_norm = max_norm,
                                               .grad_scale = grad_scale});
}
