/* Between the files of report/: what was read of a run, and the parts of the page. */
#ifndef EHM_REPORT_REPORT_INT_H
#define EHM_REPORT_REPORT_INT_H
#include "base/json.h"
#include "report/report.h"

enum { EHM_REPORT_BAD_SHOWN = 50, EHM_REPORT_LOG_SHOWN = 400 };

typedef enum { EHM_SERIES_METRIC, EHM_SERIES_WATCH, EHM_SERIES_EVAL, EHM_SERIES_TIMING } ehm_series_kind;
/* The values of one key; x is what curves are drawn over. */
typedef struct {
    char name[64];
    ehm_series_kind kind;
    double *step, *x, *y, *lo, *hi;  /* [n]; lo and hi NaN where there is no interval */
    int64_t n, cap;
    bool has_interval;
} ehm_series;

typedef struct { const char *key, *value, *origin; int32_t i; bool differs; const ehm_json *json; } ehm_report_setting; /* i: in ehm_settings, -1 unknown; value as text; differs from the default */
typedef struct { const char *kind, *path, *name; int64_t step, bytes; bool kept; } ehm_report_picture; /* step -1: of the whole run */
typedef struct { const ehm_json *json; const char *key; int32_t n_older; } ehm_report_eval; /* key: the same for the same evaluation */

typedef struct { const char *cell[3]; } ehm_report_bad; /* index, file, reason */

typedef struct {
    const char *dir, *name;              /* as given; a short one, different for each run */
    const ehm_json *config;              /* NULL: unreadable */
    ehm_report_setting *settings; int32_t n_settings;
    ehm_series *series; int32_t n_series, cap_series;
    int64_t n_lines, n_damaged;          /* of metrics.jsonl and timing.jsonl */
    double x_per_step;                   /* epochs a step; 0: not known */
    int64_t step, total_steps;           /* last line's; 0: not known */
    double epoch, total_epochs, seconds, images_per_s, wait_share, peak_bytes; /* NaN: not known */
    double loss_first, loss_final, loss_least, loss_last; int64_t loss_least_step, n_final; /* final: mean of the last n_final lines */
    double mean_loss;                    /* loss of predicting the mean, NaN where that is not known */
    bool done;
    const char *begun, *ended;           /* times in train.log, NULL: not known */
    int64_t n_bad;
    ehm_report_bad *bad; int32_t n_bad_shown;
    ehm_report_eval *evals; int32_t n_evals;    /* newest first, older ones of the same kind left out */
    ehm_report_picture *pictures; int32_t n_pictures;
    const char *nonfinite;               /* text of nonfinite.json; NULL: none */
    const char *const *log; int32_t n_log;     /* lines of train.log */
    const char *notes[32]; int32_t n_notes;    /* what is wrong or worth knowing */
} ehm_report_run;

typedef struct {
    ehm_report_run *runs; int32_t n;
    bool epochs;                         /* curves are drawn over epochs, else steps */
    const ehm_report_opt *opt;
    ehm_arena arena;
} ehm_report;

/* Reads all; free with ehm_report_close also after an error. */
ehm_code ehm_report_open(ehm_report *r, const char *const *runs, int32_t n, const ehm_report_opt *opt, ehm_err *err);
void ehm_report_close(ehm_report *r);
const ehm_series *ehm_report_series(const ehm_report_run *r, ehm_series_kind kind, const char *name); /* NULL: none */
const ehm_report_setting *ehm_report_setting_of(const ehm_report_run *r, const char *key);           /* NULL: none */
const char *ehm_report_value(const ehm_report_run *r, const char *key, const char *otherwise);       /* text of a setting */
void ehm_report_note(ehm_report *r, ehm_report_run *run, const char *fmt, ...) EHM_PRINTF(3, 4);
/* Lines of the curve over which it is smoothed. */
int64_t ehm_report_smoothing(int64_t n);
/* "finished", "not finished: step 468 of 4680", ... in a; */
const char *ehm_report_state(const ehm_report_run *r, ehm_arena *a);
/* The command of a run: what was given by hand; with all, also what was chosen from data, machine and recipe. */
void ehm_report_command(ehm_str *out, const ehm_report_run *r, bool all);

/* ---- parts of the page; each adds whole elements ---- */
ehm_code ehm_report_curves(ehm_str *out, ehm_report *r, ehm_err *err);
ehm_code ehm_report_pictures(ehm_str *out, ehm_report *r, ehm_err *err);
void ehm_report_evals(ehm_str *out, const ehm_report *r);
extern const char ehm_report_css[], ehm_report_js[];
#endif
