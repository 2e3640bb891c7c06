/* Losses: what a prediction costs against its target, and the gradient of that. One row a masked patch; the
 * cost is the mean over rows.
 *
 *     const ehm_loss *l = ehm_loss_find("mse", &err);
 *     l->plan(&cache, plan, rows, width);
 *     l->fwd(d, loss, &cache, pred, target);              // loss [1] f32
 *     l->bwd(d, dpred, &cache, pred, target, scale);      // dpred act: gradient of scale * loss
 *
 * Since every picture of a batch hides equally many patches, the mean over rows is the published sum over
 * masked patches by their count.
 */
#ifndef EHM_LOSS_LOSS_H
#define EHM_LOSS_LOSS_H
#include "compute/plan.h"

typedef enum {
    EHM_TARGET_VALUES,
    EHM_TARGET_CLASSES
} ehm_target_kind; /* real values to be met; indices of classes to be named */
const char *ehm_target_kind_name(ehm_target_kind k);                        /* "values", "classes" */
typedef struct { ehm_view row_loss; } ehm_loss_cache; /* [rows] f32 */
typedef struct {
    const char *name, *summary, *source;
    ehm_target_kind wants;
    void (*plan)(ehm_loss_cache *c, ehm_plan *plan, int64_t rows, int64_t width);
    void (*fwd)(ehm_dev *d, ehm_view loss, const ehm_loss_cache *c, ehm_view pred,
                ehm_view target); /* pred [..,F] f32 or act, target f32 */
    void (*bwd)(ehm_dev *d, ehm_view dpred, const ehm_loss_cache *c, ehm_view pred, ehm_view target,
                float scale);
} ehm_loss;
extern const ehm_loss *const ehm_losses[]; /* ends with NULL */
const ehm_loss *ehm_loss_find(const char *name, ehm_err *err); /* NULL and EHM_E_CONFIG */
#endif
