/* The gradient's norm over all groups, and the factor that clips it (torch's clip_grad_norm_).
 *
 *     ehm_clip_plan(&clip, &plan);                                   // both passes
 *     ehm_clip_run(&clip, dev, grads, 2, loss, 3.0f, 1.0f);          // clip.factor goes to adamw, clip.norm to the log
 */
#ifndef EHM_OPTIM_CLIP_H
#define EHM_OPTIM_CLIP_H
#include "compute/plan.h"

typedef struct { ehm_view sumsq, factor, norm; } ehm_clip; /* each [1] f32 */
void ehm_clip_plan(ehm_clip *c, ehm_plan *plan);
/* norm = sqrt(sum of squares of all grads) * grad_scale; factor as in ehm_clip_factor_args. Absent grads are skipped. max_norm 0 only
 * measures. loss ([1] f32, may be absent): a loss that is not finite makes norm and factor NaN, so that adamw changes nothing even
 * where the gradient happens to be finite. */
void ehm_clip_run(const ehm_clip *c, ehm_dev *d, const ehm_view *grad, int32_t n, ehm_view loss, float max_norm, float grad_scale);
#endif
