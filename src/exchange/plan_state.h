/* All PARAM and STATE of a plan as a checkpoint's part state.bin, each entry padded to 64 bytes: streamed between device and disk through one buffer.
 *
 *     ehm_plan_state_save(run, &plan, dev, chunk);                       // between ehm_ckpt_begin and ehm_ckpt_commit; then ehm_dev_check
 *     ehm_plan_state_compare(&plan, list, "runs/r", &err);               // list: what ehm_plan_state_list wrote then
 *     ehm_plan_state_load("runs/r", step, &plan, dev, chunk, &err);
 */
#ifndef EHM_EXCHANGE_PLAN_STATE_H
#define EHM_EXCHANGE_PLAN_STATE_H
#include "compute/plan.h"
#include "runs/run.h"

enum { EHM_STATE_CHUNK = 4 << 20, EHM_STATE_ALIGN = 64 }; /* chunk: a buffer of EHM_STATE_CHUNK bytes */
/* An array: name, type and count of each entry. */
void ehm_plan_state_list(const ehm_plan *p, ehm_json_w *w);
/* EHM_E_MISMATCH names the first entry that differs from list. run is for messages. */
ehm_code ehm_plan_state_compare(const ehm_plan *p, const ehm_json *list, const char *run, ehm_err *err);
void ehm_plan_state_save(ehm_run *r, const ehm_plan *p, ehm_dev *d, void *chunk);
ehm_code ehm_plan_state_load(const char *run, int64_t step, const ehm_plan *p, ehm_dev *d, void *chunk, ehm_err *err);
#endif
