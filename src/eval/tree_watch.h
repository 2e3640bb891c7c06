/* What a training looks at on a fixed set of pictures: is the tree about the picture, and is a mask along it harder than one that is not?
 *
 *     ehm_watch_number v[EHM_WATCH_MAX]; int32_t n;
 *     ehm_tree_watch(v, &n, model, dataset, &cfg, u, &arena, &err);
 *
 * Names: loss_ehm, loss_moved, loss_random (mean squared error under masks of equal size along the own tree, the same tree moved, and random
 * ones; the tree matters only if the first is above the second); tree_split_half, tree_flip, tree_flip_minus_next, tree_position, tree_popularity,
 * attention_sink, attention_entropy_first, _middle, _last (tree_measures.h); with cfg->tree_labels purity_own, _swapped, _moved, _spatial, _pixels,
 * _noise. Means over the pictures; what has no value is left out. The same for any thread count.
 */
#ifndef EHM_EVAL_TREE_WATCH_H
#define EHM_EVAL_TREE_WATCH_H
#include "infer/infer.h"

enum { EHM_WATCH_MAX = 32 };
typedef struct { const char *name; double value; } ehm_watch_number; /* names are static */
/* cfg: the run's settings; watch_pictures of ds are looked at. m was opened for at least one picture. */
ehm_code ehm_tree_watch(ehm_watch_number out[EHM_WATCH_MAX], int32_t *n_out, ehm_model *m, ehm_dataset *ds, const ehm_config *cfg, double u,
                        ehm_arena *a, ehm_err *err);
#endif
