/* The linear probe of masked autoencoders (He et al. 2022, A.1; main_linprobe.py): features are batch-normalised without an affine part, a linear layer
 * on top is trained by LARS on augmented pictures, whose features the frozen encoder computes anew in each epoch.
 *
 *     ehm_linear_mae *l; ehm_linear_mae_open(&l, dev, dim, n_classes, 0, seed, &err);
 *     ehm_linear_mae_step(&loss, l, x, labels, n, lr, &err);                         // x is normalised in place
 *     ehm_linear_mae_score(guess, rank, loss, l, x_test, y_test, n_test, &err);      // by the running moments
 *
 * Batch norm: eps 1e-6, running moments with momentum 0.1 and the unbiased variance, as torch. LARS (You et al. 2017) as in MAE's util/lars.py: the
 * weight matrix' gradient, decay included, is scaled by 0.001 * ||w|| / ||g||, the bias' is not; v = 0.9 v + g; w -= lr v. Products in f32 on the
 * device, all else in double in a fixed order: the same bits for any number of threads.
 */
#ifndef EHM_EVAL_LINEAR_MAE_H
#define EHM_EVAL_LINEAR_MAE_H
#include "eval/features_int.h"

typedef struct ehm_linear_mae ehm_linear_mae;
/* Weights start from a normal distribution of deviation 0.01 cut off at 2, intercepts at 0. */
ehm_code ehm_linear_mae_open(ehm_linear_mae **out, ehm_dev *d, int32_t dim, int32_t n_classes, double weight_decay, uint64_t seed, ehm_err *err);
void ehm_linear_mae_close(ehm_linear_mae *l); /* NULL is fine */
/* n_classes * dim weights, a row a class, then n_classes intercepts; moments [2 * dim]: running means, running variances. Borrowed. */
double *ehm_linear_mae_weights(ehm_linear_mae *l);
const double *ehm_linear_mae_moments(const ehm_linear_mae *l);
/* A step on x [n,dim], n >= 2, labels 0 to n_classes - 1; loss: mean over the batch, before the step. EHM_E_NUMERIC, EHM_E_STOPPED. */
ehm_code ehm_linear_mae_step(double *loss, ehm_linear_mae *l, float *x, const int32_t *labels, int64_t n, double lr, ehm_err *err);
/* As ehm_softreg_score, x normalised in place by the running moments. */
ehm_code ehm_linear_mae_score(int32_t *guess, int32_t *rank, double *loss, ehm_linear_mae *l, float *x, const int32_t *labels, int64_t n, ehm_err *err);

/* ---- a whole training ---- */
typedef struct {
    int64_t n_train, batch, steps_per_epoch, n_steps; /* batches that are not full are left out of an epoch */
    double epochs, warmup_epochs, lr, min_lr;
    uint64_t seed;
    int32_t n_workers;
} ehm_linear_mae_plan;
/* min(16384, the largest power of two up to n / 4), at least 2. */
int64_t ehm_linear_mae_batch(int64_t n_train);
typedef struct { ehm_linear_mae *l; bool of_cls; double loss; } ehm_linear_mae_probe; /* of_cls: else the mean of patches; loss: mean of the last epoch, found */
/* Trains all probes on the same augmented crops (area 0.08 to 1, flip) of the labelled pictures of ds in this part: one forward pass serves them all.
 * in_model: class of the set -> label. Says its progress. EHM_E_STOPPED: nothing is kept. EHM_E_CONFIG when no batch can be filled. */
ehm_code ehm_linear_mae_train(ehm_linear_mae_probe *probes, int32_t n_probes, ehm_model *m, ehm_dataset *ds, const ehm_split *split,
                              const ehm_depths *depths, const int32_t *in_model, const ehm_linear_mae_plan *plan, ehm_err *err);
#endif
