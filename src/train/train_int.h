/* What the files of train/ share. */
#ifndef EHM_TRAIN_TRAIN_INT_H
#define EHM_TRAIN_TRAIN_INT_H
#include "base/clock.h"
#include "base/log.h"
#include "exchange/plan_state.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "optim/ema.h"
#include "runs/meters.h"
#include "train/train.h"

#ifndef EHM_VERSION
#define EHM_VERSION "unversioned"
#endif

/* Length being fitted to a time limit. */
typedef struct { bool pending, started; double t0_s, seconds; int64_t first_step, n_warm; } ehm_fit;

struct ehm_train {
    ehm_arena arena;
    ehm_config cfg;
    ehm_train_purpose purpose;
    ehm_train_facts facts;
    const char *why[EHM_SETTINGS_N];
    double opened_s;                    /* ehm_clock_s at open: a time limit counts from here */
    ehm_str early;                      /* talk before there is a train.log */

    ehm_dev *dev;
    ehm_dataset *ds;
    ehm_data_summary summary;
    ehm_run_mode mode;
    ehm_run *run;

    ehm_method *method;
    ehm_plan plan;
    bool planned;
    ehm_weights average;                /* --ema */
    ehm_adamw_state adamw;
    ehm_clip clip;
    ehm_view loss_mean;                 /* [1]: over the micro-batches of a step */
    ehm_loader *loader;
    ehm_batch next; bool has_next;      /* taken from the loader before its step, so that its pixels travel during the one before */

    ehm_schedule schedule;
    int64_t step;                       /* finished ones */
    double lr_sum, lr_sum_total, lr_sum_warm; /* before this step, of all, of the first warm-up */
    ehm_meters meters;
    ehm_fit fit;

    int64_t resume_step;                /* -1: a fresh start */
    ehm_json *saved;                    /* train.json of that checkpoint */
    bool finished, extended;

    void *chunk;                        /* EHM_STATE_CHUNK bytes between device and disk */
    ehm_str text, state_text;           /* lines; the checkpoint's train.json */
    double saved_at_s, save_cost_s;
    int64_t saved_at_step;
};

/* To the log, and to train.log where there is one (else kept for it). */
void ehm_train_say(ehm_train *t, ehm_log_level level, const char *fmt, ...) EHM_PRINTF(3, 4);

/* plan_device.c */
void ehm_train_plan_all(ehm_train *t, ehm_plan *p, ehm_method *m);
ehm_code ehm_train_choose_batch(ehm_train *t, ehm_err *err);
ehm_code ehm_train_place(ehm_train *t, ehm_err *err); /* all memory of the run */

/* resume.c */
ehm_code ehm_train_peek(ehm_train *t, ehm_err *err);        /* the newest checkpoint's train.json: compare and adopt settings */
void ehm_train_adopt_origins(ehm_train *t);                 /* of settings that the checkpoint gave: as config.json has them */
ehm_code ehm_train_check_saved(ehm_train *t, ehm_err *err); /* data and shape against it */
ehm_code ehm_train_resume_schedule(ehm_train *t, ehm_err *err); /* the stored one; with --extend a segment more */
ehm_code ehm_train_restore(ehm_train *t, ehm_err *err);     /* weights and moments */
ehm_code ehm_train_save(ehm_train *t, ehm_err *err);        /* a checkpoint of now */

/* step.c */
typedef struct { double loss, norm, lr, progress; } ehm_step_out;
ehm_code ehm_train_step(ehm_train *t, ehm_step_out *out, ehm_err *err);
int64_t ehm_train_warm_steps(const ehm_train *t);
double ehm_train_u(const ehm_train *t);            /* progress of the curriculum at t->step, 0..1 */

/* train_export.c */
ehm_code ehm_train_write_config(ehm_train *t, ehm_err *err);
ehm_code ehm_train_export(ehm_train *t, ehm_err *err);

/* settle.c */
ehm_code ehm_train_open_loader(ehm_train *t, ehm_err *err); /* at t->step */
double ehm_train_epoch_of(const ehm_train *t, int64_t step);
#endif
