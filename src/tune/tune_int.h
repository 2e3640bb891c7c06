/* What the files of tune/ share. */
#ifndef EHM_TUNE_TUNE_INT_H
#define EHM_TUNE_TUNE_INT_H
#include "base/clock.h"
#include "base/log.h"
#include "exchange/plan_state.h"
#include "infer/source.h"
#include "net/pixels.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "optim/ema.h"
#include "optim/schedule.h"
#include "runs/meters.h"
#include "tune/tune.h"

#ifndef EHM_VERSION
#define EHM_VERSION "unversioned"
#endif

/* The encoder in one use: training (blocks keep what backward needs) or forward alone. */
typedef struct {
    ehm_vit_encoder_pass pass;
    bool train, backward;                /* train: the task learns; backward: the encoder does too */
    int32_t batch;
    ehm_view patches;
    ehm_view level[EHM_HEAD_LEVELS];     /* forward alone: copies of what the stream was on the way; the last is the stream itself */
    ehm_view dlevel[EHM_HEAD_LEVELS];
} ehm_tune_walk;

/* A stretch of a group that has one learning rate. */
typedef struct { int32_t group; int64_t first, n; double scale; } ehm_tune_rate;

/* Length being fitted to a time limit. */
typedef struct { bool pending, started; double t0_s; int64_t first_step, n_warm; } ehm_tune_length;

struct ehm_tune {
    ehm_arena arena;
    ehm_config cfg;
    const char *why[EHM_SETTINGS_N];
    ehm_tune_setup setup;
    const ehm_tune_task *task; void *user;
    bool learns;                          /* false: opened for prediction */
    double opened_s;

    ehm_dev *dev; ehm_dtype act;
    int32_t n_threads, n_workers;
    ehm_weights_info info;                /* shape: at the size that is trained */
    ehm_model_source source; bool source_open;
    ehm_params params; ehm_vit_encoder enc; int32_t n_encoder; /* parameters of the encoder: the first so many */
    ehm_weights weights, average; bool average_stale;
    ehm_grads grads;
    int64_t first_learned[EHM_ADAMW_GROUPS]; /* where the learned part of each group begins: 0, or the head where the encoder is frozen */
    ehm_tune_rate *rate; int32_t n_rates;
    ehm_adamw_state adamw;
    ehm_clip clip;
    ehm_view loss, loss_mean;
    ehm_pixels pixels;
    ehm_vit_route route;                  /* every patch, in raster order */
    ehm_tune_walk learn, look;
    float *host_keep;                     /* drop path, [n_blocks,2,batch] */
    ehm_plan plan; bool planned;
    size_t bytes[EHM_MEM_KINDS], loader_bytes, cache_bytes;
    int64_t memory_available;

    ehm_loader *loader;
    struct ehm_tune_kept *kept;           /* batches without the pictures that are left out */
    int64_t n_pictures, n_kept, batches_per_epoch, total_steps;
    ehm_schedule schedule;
    int64_t step, batches;                /* finished steps; batches taken from the loader */
    ehm_meters meters;
    ehm_tune_length fit;

    ehm_run_mode mode; ehm_run *run;
    int64_t resume_step; ehm_json *saved; /* -1: a fresh start; its tune.json */
    bool finished, started;
    ehm_str early, text, state_text;
    void *chunk;
    double saved_at_s, save_cost_s; int64_t saved_at_step;
};

void ehm_tune_say(ehm_tune *t, ehm_log_level level, const char *fmt, ...) EHM_PRINTF(3, 4);

/* tune_net.c: parameters, memory, the encoder's way there and back */
ehm_code ehm_tune_net_open(ehm_tune *t, ehm_err *err);                   /* parameters of encoder and task */
ehm_code ehm_tune_net_passes(ehm_tune *t, int32_t batch, int32_t look_batch, ehm_err *err);
ehm_code ehm_tune_net_estimate(ehm_tune *t, int32_t batch, size_t bytes[EHM_MEM_KINDS], ehm_err *err); /* the encoder's part of a batch's memory */
ehm_code ehm_tune_net_count(ehm_tune *t, ehm_err *err);                  /* t->bytes */
ehm_code ehm_tune_net_place(ehm_tune *t, ehm_err *err);
void ehm_tune_net_fwd(ehm_tune *t, ehm_tune_walk *k, const ehm_weights *w, const ehm_batch *b, const void *pixels, ehm_dtype type, int32_t n,
                      ehm_view levels[EHM_HEAD_LEVELS]);                 /* b: of a training batch, for drop path; NULL without */
void ehm_tune_net_bwd(ehm_tune *t, ehm_tune_walk *k, int32_t n);         /* from k->dlevel */
ehm_view ehm_tune_net_dlevel(const ehm_tune_walk *k, const ehm_tune *t, int32_t i, int32_t n);
double ehm_tune_lr_scale(const ehm_tune *t, const char *name);           /* of a parameter: layer-wise decay */
ehm_code ehm_tune_load_encoder(ehm_tune *t, const ehm_st *f, ehm_err *err);
ehm_code ehm_tune_load_all(ehm_tune *t, const ehm_st *f, const char *path, ehm_err *err); /* a network that ehm_tune_save wrote */

/* tune_kept.c */
ehm_code ehm_tune_kept_open(struct ehm_tune_kept **out, const ehm_loader_opt *o, int32_t channels, ehm_arena *a, ehm_err *err);
/* b->n may become 0; patch_labels are not carried over. */
ehm_code ehm_tune_kept_filter(struct ehm_tune_kept *k, ehm_batch *b, const bool *keep, ehm_err *err);
void ehm_tune_kept_close(struct ehm_tune_kept *k);

/* tune_step.c */
typedef struct { double loss, norm, lr; } ehm_tune_out;
ehm_code ehm_tune_step(ehm_tune *t, ehm_tune_out *out, ehm_err *err);
ehm_code ehm_tune_open_loader(ehm_tune *t, ehm_err *err);                /* at t->batches */

/* tune_state.c */
ehm_code ehm_tune_peek(ehm_tune *t, ehm_err *err);
ehm_code ehm_tune_check_saved(ehm_tune *t, ehm_err *err);
ehm_code ehm_tune_restore(ehm_tune *t, ehm_err *err);
ehm_code ehm_tune_checkpoint(ehm_tune *t, ehm_err *err);
ehm_code ehm_tune_write_config(ehm_tune *t, ehm_err *err);

/* tune_settle.c */
double ehm_tune_epoch_of(const ehm_tune *t, int64_t step);
void ehm_tune_show(ehm_tune *t);
ehm_code ehm_tune_open_device(ehm_tune *t, ehm_err *err);
#endif
