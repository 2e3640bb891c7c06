/* Several models side by side on several tasks: one table, with differences to one of them.
 *
 *     ehm_compare_out out; ehm_compare(&out, &config, &specs, &arena, &err);   // config: tasks, baseline, all_rows and the tasks' own settings
 *     ehm_compare_print(&out, &text); ehm_compare_json(&out, &json);
 *
 * Models are grouped by seed: runs whose settings are equal but for the seed are one group, shown by their mean. Every model sees the same pictures and the
 * same bootstrap draws, so that differences are paired; groups are paired seed by seed where they share seeds. From three seeds on, intervals draw seeds
 * as well as test items (no distribution is assumed); below, they cover test items alone, and the table says so.
 */
#ifndef EHM_EVAL_COMPARE_H
#define EHM_EVAL_COMPARE_H
#include "eval/eval.h"

enum { EHM_COMPARE_SEEDS = 3 }; /* so many seeds are drawn from */

/* ---- numbers ---- */
/* What one model scored in one row of a task. */
typedef struct {
    double value;
    int64_t seed;
    const double *draws; /* [EHM_BOOT_DRAWS] the value in each bootstrap draw, NaN where it does not exist; NULL: it is not known */
    const float *items;  /* [n], for rows with NaN (items that have no such number): pairs are made before they are drawn; else NULL */
    int64_t n;
} ehm_compare_score;
typedef struct {
    double value, lo, hi; /* the mean over models, its interval */
    double spread;        /* standard deviation over models (n - 1); 0 for one */
    int32_t n;            /* models, or pairs of them */
    bool by_seed;         /* of a difference: pairs share their seeds */
    bool over_seeds;      /* the interval draws seeds too */
} ehm_compare_figure;
/* Models of one group. lo and hi are NaN where draws are not known. */
ehm_code ehm_compare_mean(ehm_compare_figure *out, const ehm_compare_score *s, int32_t n, ehm_err *err);
/* Group a minus group b: by pairs of the same seed where the smaller group's seeds are all in the other (more than one of them, or each group is one model),
 * whose further seeds are left out; else of their means, with the seeds of each drawn apart. */
ehm_code ehm_compare_difference(ehm_compare_figure *out, const ehm_compare_score *a, int32_t n_a, const ehm_compare_score *b, int32_t n_b, ehm_err *err);

/* ---- models ---- */
typedef struct {
    const char *spec, *same_as; /* same_as: one spelling for one model, whatever way it was given */
    const char *settings;       /* of its run, but for the seed and what does not change results; NULL: no run is known */
    int64_t seed;
    int32_t group, channels;
} ehm_compare_model;
typedef struct {
    const char *label;          /* "runs/a", "runs/a_s{0,1,2}" */
    int32_t *model, n;          /* by seed */
} ehm_compare_group;
typedef struct { ehm_compare_model *model; ehm_compare_group *group; int32_t n_models, n_groups; } ehm_compare_models;
/* Errors: fewer than two models, one given twice, models of different channels (EHM_E_MISMATCH), and those of opening them. */
ehm_code ehm_compare_models_of(ehm_compare_models *out, const ehm_strs *specs, ehm_arena *a, ehm_err *err);

/* ---- the table ---- */
typedef struct {
    const char *model, *what;
    int32_t i_task, i_group, i_model; /* i_model -1: the whole group; i_group -1: a reference that is no model */
    const ehm_metric *metric;
    ehm_compare_figure figure;
    bool has_diff; ehm_compare_figure diff;
} ehm_compare_row;
typedef struct {
    const char *name, *protocol, **notes; int32_t n_notes;
    int64_t n_items, n_train;
    bool bounded;                     /* its measures are no means over items: the interval of a difference of groups is the mean of those of their pairs */
} ehm_compare_task;
typedef struct {
    ehm_compare_models models;
    int32_t baseline;                 /* group that differences are taken to */
    const char *baseline_label;
    ehm_compare_task *tasks; int32_t n_tasks;
    ehm_compare_row *rows; int32_t n_rows, cap_rows;
} ehm_compare_out;
/* Errors: those of the tasks, with the task and the model as the place; settings that have no meaning here; data that a task has no use for, before anything
 * is run; EHM_E_STOPPED. */
ehm_code ehm_compare(ehm_compare_out *out, const ehm_config *c, const ehm_strs *specs, ehm_arena *a, ehm_err *err);
void ehm_compare_print(const ehm_compare_out *out, ehm_str *text);
void ehm_compare_json(const ehm_compare_out *out, ehm_json_w *w);
/* The interval of the difference holds 0. */
bool ehm_compare_is_noise(const ehm_compare_row *r);
#endif
