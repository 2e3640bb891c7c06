/* Metrics of retrieval and segmentation.
 */
#ifndef EHM_EVAL_RANKING_H
#define EHM_EVAL_RANKING_H
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

/* Average precision of one query as the Oxford and Paris benchmarks compute it (trapezoids, Philbin et al. 2007; revisitop's compute_ap): rank[n_found]
 * 0-based positions of the positives in the ranked list (junk already taken out), ascending; n_positive of them exist. */
double ehm_ap_oxford(const int64_t *rank, int64_t n_found, int64_t n_positive);
/* The usual one (sum of precision at each positive / n_positive; scikit-learn's average_precision_score without ties). */
double ehm_ap_plain(const int64_t *rank, int64_t n_found, int64_t n_positive);
/* Micro average precision over all queries' candidates together (Douze et al. 2021, image similarity challenge): score and truth [n], n_positive in all; ties in
 * score count as one step, as scikit-learn. NaN when there is no memory to sort. */
double ehm_ap_micro(const float *score, const bool *right, int64_t n, int64_t n_positive);
/* Intersection over union per class from a confusion matrix counts[truth * n + predicted]; iou [n]: NaN where a class is neither there nor predicted. Returns the
 * mean over classes that are in the truth, NaN where no class is. */
double ehm_mean_iou(double *iou, const int64_t *counts, int32_t n_classes);
#endif
