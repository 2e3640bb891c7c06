/* Evaluations that a run remembers: one line of JSON each in RUN/evaluations.jsonl, which its report shows.
 *
 *     char *run; int64_t steps;
 *     if (ehm_record_run_of(&run, &steps, "runs/r/checkpoints/00000120", &arena)) ehm_record_add(run, line, &err);
 */
#ifndef EHM_REPORT_RECORD_H
#define EHM_REPORT_RECORD_H
#include "base/str.h"

/* The run folder whose model that is: the folder itself or one of its checkpoints; *steps: how far it was trained, -1 not known. False: no run's. */
bool ehm_record_run_of(char **run, int64_t *steps, const char *model, ehm_arena *a);
/* Appends the line whole, or not at all. EHM_E_IO: the folder cannot be written to. */
ehm_code ehm_record_add(const char *run, const char *line, ehm_err *err);
#endif
