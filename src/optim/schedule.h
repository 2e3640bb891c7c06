/* The learning rate as a pure function of the step: MAE's linear warm-up and half cosine, set for each iteration (lr_sched.py).
 *
 *     ehm_schedule s; ehm_schedule_init(&s, total_steps, warmup_steps, lr, min_lr);
 *     double lr = ehm_schedule_lr(&s, step);       // step counts from 0; the first update has lr 0
 *
 * A schedule may be replaced under way: when a time limit has been measured, or when a finished run is extended. It is then a list of
 * segments, each in force from its first step, so that what was done stays on record and a resumed run computes the same numbers.
 */
#ifndef EHM_OPTIM_SCHEDULE_H
#define EHM_OPTIM_SCHEDULE_H
#include "base/err.h"
#include <stdint.h>

enum { EHM_SCHEDULE_SEGMENTS = 32 };
typedef struct {
    int64_t first_step;   /* in force from here */
    int64_t origin_step;  /* position 0 of this segment's warm-up and cosine */
    int64_t total_steps;  /* length counted from origin_step */
    double warmup_steps;  /* may have a fraction: epochs times steps an epoch */
    double lr, min_lr;
} ehm_schedule_segment;
typedef struct { ehm_schedule_segment seg[EHM_SCHEDULE_SEGMENTS]; int32_t n; } ehm_schedule;

void ehm_schedule_init(ehm_schedule *s, int64_t total_steps, double warmup_steps, double lr, double min_lr);
/* From first_step on, seg holds. EHM_E_CONFIG when there are too many; EHM_E_ARG when first_step lies before the last segment's. */
ehm_code ehm_schedule_add(ehm_schedule *s, const ehm_schedule_segment *seg, ehm_err *err);
int64_t ehm_schedule_total(const ehm_schedule *s);           /* steps of the whole run */
/* Steps at and beyond the end give min_lr. */
double ehm_schedule_lr(const ehm_schedule *s, int64_t step);
/* Sum of the rates of steps from <= i < to, added in order: the same number however the run was cut. */
double ehm_schedule_lr_sum(const ehm_schedule *s, int64_t from, int64_t to);
/* Progress 0..1: the share of the whole run's summed learning rate that lies before step, given the sums (total 0: share of steps). */
double ehm_schedule_progress(const ehm_schedule *s, int64_t step, double lr_sum_before, double lr_sum_total);
#endif
