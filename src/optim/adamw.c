#include "optim/adamw.h"
#include <stdio.h>

void ehm_adamw_plan(ehm_adamw_state *o, ehm_plan *plan, const int64_t *count, int32_t n_groups) {
    EHM_ASSERT(n_groups >= 1 && n_groups <= EHM_ADAMW_GROUPS);
    *o = (ehm_adamw_state){.n_groups = n_groups, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f};
    for (int32_t i = 0; i < n_groups; i++) {
        char name[32];
        if (!count[i]) continue;
        snprintf(name, sizeof name, "adamw.m.%d", (int)i);
        o->m[i] = ehm_plan_1d(plan, EHM_MEM_STATE, name, ehm_dev_real(plan->dev), count[i]);
        snprintf(name, sizeof name, "adamw.v.%d", (int)i);
        o->v[i] = ehm_plan_1d(plan, EHM_MEM_STATE, name, ehm_dev_real(plan->dev), count[i]);
    }
}

void ehm_adamw_step(const ehm_adamw_state *o, ehm_dev *d, const ehm_adamw_group *group, ehm_view factor, double lr, int64_t t) {
    for (int32_t i = 0; i < o->n_groups; i++) {
        if (!o->m[i].rank || !group[i].p.rank) continue;
        ehm_adamw(d, &(ehm_adamw_args){.p = group[i].p, .g = group[i].g, .m = o->m[i], .v = o->v[i], .factor = factor,
                                       .p_act = group[i].p_act, .lr = (float)lr, .beta1 = o->beta1, .beta2 = o->beta2,
                                       .eps = o->eps, .weight_decay = group[i].weight_decay, .t = t});
    }
    ehm_dev_weights_changed(d);
}
