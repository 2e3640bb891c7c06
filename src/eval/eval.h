/* Evaluations: what downstream tasks say of a model. A task declares its metrics, so that tables, JSON and `ehm list tasks` need no further code.
 *
 *     const ehm_eval_task *t = ehm_eval_find("knn", &err);
 *     ehm_eval_out out = {0};
 *     t->run(&out, &(ehm_eval_in){.config = &cfg}, &arena, &err);
 *     ehm_eval_print(&out, &text);                                // a table for people
 *     ehm_eval_json(&out, &json);
 *
 * To add a task: eval_x.c with an ehm_eval_task, a row in tasks.def, a golden on a small set.
 */
#ifndef EHM_EVAL_EVAL_H
#define EHM_EVAL_EVAL_H
#include "base/json.h"
#include "base/settings.h"

typedef struct { const char *name, *unit; bool more_is_better; } ehm_metric;
typedef struct {
    const char *model;          /* "runs/r", "untrained:runs/r", "raw pixels" */
    const char *what;           /* pooling and parameters: "mean, k 20, T 0.07" */
    int32_t i_metric;           /* into the task's metrics */
    double value, lo, hi;       /* 95 % percentile bootstrap over test items */
    const float *items;         /* [n_items] the score of each test item, for paired intervals */
    bool has_diff;              /* against the row's partner of the second model */
    double diff, diff_lo, diff_hi;
    const double *draws;        /* [EHM_BOOT_DRAWS] for a value that is no mean of items: what it is in each draw, the same items drawn for every model; NaN
                                 * where it does not exist there. NULL: not given */
} ehm_eval_row;
typedef struct {
    const char *task, *protocol;    /* how it was measured, a sentence or two */
    const ehm_metric *metrics; int32_t n_metrics;
    ehm_eval_row *rows; int32_t n_rows, cap_rows;
    int64_t n_items, n_train;
    int32_t i_best;                 /* the row to quote: highest of the model's own rows, -1 none */
    const char *notes[16]; int32_t n_notes; /* warnings and facts for the reader */
    const char *what_title;         /* of the column of what; NULL: "features" */
    bool wide;                      /* printed with a line for each what and a column for each metric */
} ehm_eval_out;
typedef struct { const ehm_config *config; } ehm_eval_in;
typedef struct {
    const char *name, *summary, *source;
    const ehm_metric *metrics; int32_t n_metrics;
    const char *groups;             /* settings groups that are its flags */
    const ehm_own_setting *own;     /* how it takes some of them; NULL: all as everywhere */
    ehm_code (*run)(ehm_eval_out *out, const ehm_eval_in *in, ehm_arena *a, ehm_err *err);
} ehm_eval_task;
extern const ehm_eval_task *const ehm_eval_tasks[]; /* ends with NULL */
const ehm_eval_task *ehm_eval_find(const char *name, ehm_err *err);

ehm_eval_row *ehm_eval_add_row(ehm_eval_out *out, ehm_arena *a); /* NULL when there is no memory */
void ehm_eval_note(ehm_eval_out *out, ehm_arena *a, const char *fmt, ...) EHM_PRINTF(3, 4);
void ehm_eval_print(const ehm_eval_out *out, ehm_str *text);
void ehm_eval_json(const ehm_eval_out *out, ehm_json_w *w);

enum { EHM_BOOT_DRAWS = 2000 };
/* 95 % percentile bootstrap of the mean of item scores, EHM_BOOT_DRAWS resamples of the n items (Philox, purpose bootstrap): item scores
 * items[r] [n] for r < n_rows; mean, lo, hi [n_rows]. All rows see the same draws, so a difference of rows is paired. Percentiles by linear
 * interpolation, as numpy.percentile. */
ehm_code ehm_bootstrap(double *mean, double *lo, double *hi, const float *const *items, int32_t n_rows, int64_t n, uint64_t seed, ehm_err *err);
/* The same where each item was scored in n_draws draws of what was learned from, items[r] [n_draws,n]: draws and items are both resampled. */
ehm_code ehm_bootstrap_draws(double *mean, double *lo, double *hi, const float *const *items, int32_t n_rows, int32_t n_draws, int64_t n, uint64_t seed,
                             ehm_err *err);
/* The means themselves, of the same draws: out[r] [EHM_BOOT_DRAWS]. */
ehm_code ehm_bootstrap_values(double *const *out, const float *const *items, int32_t n_rows, int32_t n_draws, int64_t n, uint64_t seed, ehm_err *err);
#endif
