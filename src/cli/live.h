/* Looks during a training: every few epochs drawings of a fixed set of pictures go into the run folder's pictures/, and numbers about trees and
 * masks into metrics.jsonl and the event file; with --eval-train also what k-NN and a linear probe make of the features. A hook of train/train.h.
 *
 *     ehm_live live; ehm_live_open(&live, t, &err);                 // sets of --eval-train and --eval-test are opened and checked
 *     ehm_train_hook hook = ehm_live_hook(&live);
 *     ehm_train_run(t, &hook, 1, &result, &err);
 *     ehm_live_close(&live);
 */
#ifndef EHM_CLI_LIVE_H
#define EHM_CLI_LIVE_H
#include "eval/live_eval.h"
#include "train/train.h"

typedef struct {
    bool warned;       /* that trees look poor: once a call */
    ehm_live_eval *eval; /* NULL without --eval-train */
    double begun_s, eval_s; /* when this call's training began; what its evaluations took */
} ehm_live;
/* For a training that is not finished; nothing on disk is touched. Errors: those of ehm_live_eval_open. */
ehm_code ehm_live_open(ehm_live *l, const ehm_train *t, ehm_err *err);
void ehm_live_close(ehm_live *l); /* a zeroed one is fine */
/* Borrows l until the run is over. */
ehm_train_hook ehm_live_hook(ehm_live *l);
#endif
