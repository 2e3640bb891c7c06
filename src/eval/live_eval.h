/* Evaluations while a model is being pre-trained: k-NN and the fast linear probe of the class token and of the mean of patch tokens (never the class token
 * alone: masked image modelling does not train it to sum up a picture).
 *
 *     ehm_live_eval *e; ehm_live_eval_open(&e, &cfg, channels, &err);          // sets opened and checked once
 *     ehm_live_number v[EHM_LIVE_NUMBERS]; int32_t n;
 *     ehm_live_eval_run(v, &n, e, model, &cfg, &arena, &err);                  // a function of weights, sets and seed
 *     ehm_live_eval_close(e);
 *
 * Protocols are those of `ehm eval knn` (k 20, T 0.07) and `ehm eval linear` with their defaults; features are computed once for both.
 */
#ifndef EHM_EVAL_LIVE_EVAL_H
#define EHM_EVAL_LIVE_EVAL_H
#include "infer/infer.h"

enum { EHM_LIVE_NUMBERS = 12 };
typedef struct {
    char name[40];         /* "knn_mean", "linear_cls", "linear_cls_log_loss", ...: knn_* and linear_* without more are top-1, 0 to 1 */
    double value, lo, hi;  /* 95 % interval over test pictures */
    bool quoted;           /* one of the few to show: top-1 of both poolings, k-NN standardised */
} ehm_live_number;
typedef struct ehm_live_eval ehm_live_eval;
/* Opens --eval-train and --eval-test of c for pictures of so many channels. *out is NULL without --eval-train. EHM_E_CONFIG: --eval-test or --eval-every
 * without it; EHM_E_MISMATCH: a set has no labels, or test has a class that train has not, or there is but one class. */
ehm_code ehm_live_eval_open(ehm_live_eval **out, const ehm_config *c, int32_t channels, ehm_err *err);
void ehm_live_eval_close(ehm_live_eval *e); /* NULL is fine */
/* EHM_E_STOPPED when a stop was asked for on the way. */
ehm_code ehm_live_eval_run(ehm_live_number out[EHM_LIVE_NUMBERS], int32_t *n, ehm_live_eval *e, ehm_model *m, const ehm_config *c, ehm_arena *a,
                           ehm_err *err);
#endif
