/* For report/run_files.c alone. */
#ifndef EHM_REPORT_RUN_LINES_H
#define EHM_REPORT_RUN_LINES_H
#include "report/report_int.h"
/* Lines of metrics.jsonl, or with timing of timing.jsonl, into r->series; x holds epochs or NaN. Lines that are no JSON of ours are counted. */
ehm_code ehm_report_read_lines(ehm_report_run *r, const char *path, bool timing, ehm_arena *a, ehm_err *err);
#endif
