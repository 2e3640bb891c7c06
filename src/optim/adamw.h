/* AdamW over flat groups of parameters (Loshchilov and Hutter 2019; torch's order of operations, see ehm_adamw_args).
 *
 *     ehm_adamw_plan(&opt, &plan, count, 2);                      // both passes
 *     ehm_adamw_step(&opt, dev, group, factor, lr, step + 1);     // group: where parameters and gradients lie
 *
 * The moments are STATE of the plan, so a checkpoint holds them; the step count t is the caller's.
 */
#ifndef EHM_OPTIM_ADAMW_H
#define EHM_OPTIM_ADAMW_H
#include "compute/plan.h"

enum { EHM_ADAMW_GROUPS = 2 };
typedef struct {
    ehm_view m[EHM_ADAMW_GROUPS], v[EHM_ADAMW_GROUPS]; /* f32 [count]; absent where a group has no numbers */
    int32_t n_groups;
    float beta1, beta2, eps;
} ehm_adamw_state;
typedef struct {
    ehm_view p, g;      /* f32 [count]; absent: the group is skipped */
    ehm_view p_act;     /* bf16 copy that follows p; may be absent */
    float weight_decay;
} ehm_adamw_group;

/* Places for the moments, named "adamw.m.0", "adamw.v.0", ... count[i] may be 0. Sets the betas of He et al. 2022, A.1 and eps 1e-8. */
void ehm_adamw_plan(ehm_adamw_state *o, ehm_plan *plan, const int64_t *count, int32_t n_groups);
/* One update of all groups. g is multiplied by factor[0]; a factor that is NaN changes nothing. t counts from 1. Tells the device
 * that weights changed. Errors are recorded on d. */
void ehm_adamw_step(const ehm_adamw_state *o, ehm_dev *d, const ehm_adamw_group *group, ehm_view factor, double lr, int64_t t);
#endif
