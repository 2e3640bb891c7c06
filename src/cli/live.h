/* Looks during a training: every few epochs drawings of a fixed set of pictures go into the run folder's pictures/, and numbers about trees and
 * masks into metrics.jsonl and the event file. A hook of train/train.h.
 *
 *     ehm_live live; ehm_train_hook hook = ehm_live_hook(&live);
 *     ehm_train_run(t, &hook, 1, &result, &err);
 */
#ifndef EHM_CLI_LIVE_H
#define EHM_CLI_LIVE_H
#include "train/train.h"

typedef struct {
    bool warned;       /* that trees look poor: once a call */
    int64_t next_note; /* private */
} ehm_live;
ehm_train_hook ehm_live_hook(ehm_live *l);
#endif
