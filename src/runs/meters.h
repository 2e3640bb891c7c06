/* What a run says of its loss between two lines of metrics.jsonl; part of its checkpoints, so that a resumed run writes the same lines.
 *
 *     ehm_meters_add(&m, loss, norm);            // each step
 *     ehm_meters_put(&m, &json); ehm_meters_get(&m, obj);
 */
#ifndef EHM_RUNS_METERS_H
#define EHM_RUNS_METERS_H
#include "base/json.h"

enum { EHM_Z_WINDOW = 100, EHM_Z_LEAST = 20 };
/* The last values of a curve, to say how unusual the next one is. */
typedef struct { double v[EHM_Z_WINDOW]; int64_t n; } ehm_z_window;
double ehm_z_push(ehm_z_window *w, double x); /* deviations of x from the values before it, 0 while there are few; then x is added */

typedef struct {
    ehm_z_window loss_window, norm_window;
    double loss_sum, norm_sum, loss_z, norm_z; int64_t n; /* since the last line: sums, the largest deviations, steps */
} ehm_meters;
void ehm_meters_add(ehm_meters *m, double loss, double norm);
void ehm_meters_line_done(ehm_meters *m); /* a line was written: sums begin anew */
/* Keys "loss_window", "norm_window" and "meters" of the object being written, and back. */
void ehm_meters_put(const ehm_meters *m, ehm_json_w *w);
void ehm_meters_get(ehm_meters *m, const ehm_json *obj);
#endif
