/* The run folder on disk: names, lock, metrics.jsonl and timing.jsonl, event file, checkpoints, DONE. Contract 5.
 *
 *     ehm_run *r; ehm_run_open(&r, "runs/r", EHM_RUN_CREATE, &err);      // takes the lock
 *     ehm_run_metric(r, json_line); ...
 *     ehm_ckpt_write(r, step, parts, n, &err);                            // checkpoints/00000120/ with DONE last
 */
#ifndef EHM_RUNS_RUN_H
#define EHM_RUNS_RUN_H
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum { EHM_RUN_FORMAT = 1 }; /* number of the folder's layout, in config.json */
typedef struct ehm_run ehm_run;
typedef enum { EHM_RUN_CREATE, EHM_RUN_OVERWRITE, EHM_RUN_RESUME } ehm_run_mode;
/* CREATE refuses a folder that holds a run (hint: --resume, --overwrite); RESUME on an absent one creates. In use: EHM_E_MISMATCH with the process id. */
ehm_code ehm_run_open(ehm_run **out, const char *dir, ehm_run_mode mode, ehm_err *err);
void ehm_run_close(ehm_run *r);
const char *ehm_run_dir(const ehm_run *r);
char *ehm_run_path(const ehm_run *r, const char *name, ehm_arena *a);
bool ehm_run_is_folder(const char *path); /* does path hold a run (config.json of ours) */
/* Would ehm_run_open go through? Changes nothing on disk; the same errors. */
ehm_code ehm_run_check(const char *dir, ehm_run_mode mode, ehm_err *err);

/* Lines are appended whole; flushed. step is for cutting on resume. */
ehm_code ehm_run_metric(ehm_run *r, const char *json_line, ehm_err *err);
ehm_code ehm_run_timing(ehm_run *r, const char *json_line, ehm_err *err);
void ehm_run_note(ehm_run *r, const char *text); /* train.log; each line gets the time in front; what cannot be written is dropped */
/* A line of bad_files.tsv: index, name, reason; an index that is listed already is passed over. */
ehm_code ehm_run_bad_file(ehm_run *r, int64_t id, const char *name, const char *reason, ehm_err *err);
ehm_code ehm_run_scalar(ehm_run *r, int64_t step, const char *tag, double value, ehm_err *err); /* TensorBoard */
ehm_code ehm_run_image(ehm_run *r, int64_t step, const char *tag, const void *png, size_t n, int32_t w, int32_t h, ehm_err *err);
/* How numbers are spread: counts in equal parts of their range, TensorBoard's histogram. Zeroed, then first the range of all numbers, in any number of
 * pieces, then their counts in the same pieces; what is not finite is left out. limit: upper edges, the last included; one bucket where all are equal. */
enum { EHM_HISTOGRAM_BUCKETS = 30 };
typedef struct { double min, max, num, sum, sum_squares; int32_t n; double limit[EHM_HISTOGRAM_BUCKETS], count[EHM_HISTOGRAM_BUCKETS]; } ehm_histogram;
void ehm_histogram_range(ehm_histogram *h, const float *v, int64_t n);
void ehm_histogram_count(ehm_histogram *h, const float *v, int64_t n);
ehm_code ehm_run_histogram(ehm_run *r, int64_t step, const char *tag, const ehm_histogram *h, ehm_err *err); /* one without numbers is left out */
ehm_code ehm_run_flush(ehm_run *r, ehm_err *err);
/* Cut metrics.jsonl, timing.jsonl and events after step, and remove later checkpoints (resume). */
ehm_code ehm_run_cut_after(ehm_run *r, int64_t step, ehm_err *err);
/* The DONE mark of a finished run. */
ehm_code ehm_run_set_done(ehm_run *r, bool done, ehm_err *err);
bool ehm_run_is_done(const char *dir);

typedef struct { const char *name; const void *data; size_t bytes; } ehm_ckpt_part;
/* Written into checkpoints/NNNNNNNN.tmp, synced, hashed, renamed; then older than `keep` are removed. */
ehm_code ehm_ckpt_write(ehm_run *r, int64_t step, const ehm_ckpt_part *parts, int32_t n, int64_t keep, ehm_err *err);
/* The same in pieces, for state that is larger than what one wants to hold twice; allocates nothing. One at a time a run.
 * Any failure is kept: later calls do nothing, commit reports it, and what was written aside is removed. */
void ehm_ckpt_begin(ehm_run *r, int64_t step);
void ehm_ckpt_part_begin(ehm_run *r, const char *name);
void ehm_ckpt_part_add(ehm_run *r, const void *data, size_t n);
ehm_code ehm_ckpt_commit(ehm_run *r, int64_t keep, ehm_err *err);
void ehm_ckpt_abort(ehm_run *r); /* instead of commit: what was written aside goes */
/* Newest finished checkpoint: its step, -1 when none. Damaged ones (hash) are passed over with a note; when there are only such, err is set too. */
int64_t ehm_ckpt_newest(const char *run_dir, ehm_err *err);
/* Part `name` of checkpoint `step` into a. */
ehm_code ehm_ckpt_read(ehm_bytes *out, const char *run_dir, int64_t step, const char *name, ehm_arena *a, ehm_err *err);
/* The same in pieces of at most cap bytes of chunk, in order; sink's error ends it. */
typedef ehm_code (*ehm_ckpt_sink)(void *ctx, const void *data, size_t n, ehm_err *err);
ehm_code ehm_ckpt_read_chunks(const char *run_dir, int64_t step, const char *name, void *chunk, size_t cap, ehm_ckpt_sink sink, void *ctx, ehm_err *err);
#endif
