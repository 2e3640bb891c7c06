#include "optim/schedule.h"
#include <math.h>

void ehm_schedule_init(ehm_schedule *s, int64_t total_steps, double warmup_steps, double lr, double min_lr) {
    *s = (ehm_schedule){.n = 1};
    s->seg[0] = (ehm_schedule_segment){.total_steps = total_steps, .warmup_steps = warmup_steps, .lr = lr, .min_lr = min_lr};
}

ehm_code ehm_schedule_add(ehm_schedule *s, const ehm_schedule_segment *seg, ehm_err *err) {
    if (s->n >= EHM_SCHEDULE_SEGMENTS)
        return EHM_FAIL(err, EHM_E_CONFIG, "the schedule was replaced %d times already, which is as often as it can be", (int)s->n - 1);
    if (s->n && seg->first_step < s->seg[s->n - 1].first_step)
        return EHM_FAIL(err, EHM_E_ARG, "a schedule from step %lld cannot follow one from step %lld", (long long)seg->first_step,
                        (long long)s->seg[s->n - 1].first_step);
    s->seg[s->n++] = *seg;
    return EHM_OK;
}

int64_t ehm_schedule_total(const ehm_schedule *s) {
    const ehm_schedule_segment *last = &s->seg[s->n - 1];
    return last->origin_step + last->total_steps;
}

double ehm_schedule_lr(const ehm_schedule *s, int64_t step) {
    int32_t i = s->n - 1;
    while (i > 0 && step < s->seg[i].first_step) i--;
    const ehm_schedule_segment *g = &s->seg[i];
    double at = (double)(step - g->origin_step), total = (double)g->total_steps, w = g->warmup_steps;
    if (at < w) return g->lr * at / w;
    if (at >= total || total <= w) return at >= total ? g->min_lr : g->lr;
    return g->min_lr + (g->lr - g->min_lr) * 0.5 * (1.0 + cos(M_PI * (at - w) / (total - w)));
}

double ehm_schedule_lr_sum(const ehm_schedule *s, int64_t from, int64_t to) {
    double sum = 0;
    for (int64_t i = from; i < to; i++) sum += ehm_schedule_lr(s, i);
    return sum;
}

double ehm_schedule_progress(const ehm_schedule *s, int64_t step, double lr_sum_before, double lr_sum_total) {
    double p = lr_sum_total > 0 ? lr_sum_before / lr_sum_total : (double)step / (double)ehm_schedule_total(s);
    return p < 0 ? 0 : p > 1 ? 1 : p;
}
