/* Training: settles every choice, walks batch -> method -> gradients -> clip -> AdamW -> average, keeps the run folder, resumes bit for bit.
 *
 *     ehm_train *t; ehm_train_result res;
 *     ehm_train_open(&t, &cfg, EHM_TRAIN_RUN, &err);       // settings resolved and checked; nothing on disk is touched yet
 *     ehm_train_run(t, hooks, n_hooks, &res, &err);        // until done, stopped or failed
 *     ehm_train_close(t);
 *
 * Nothing here knows which method is trained: recipe/method.h is walked. Live pictures and evaluations come in as hooks.
 */
#ifndef EHM_TRAIN_TRAIN_H
#define EHM_TRAIN_TRAIN_H
#include "base/settings.h"
#include "optim/schedule.h"
#include "recipe/method.h"
#include "runs/run.h"

typedef struct ehm_train ehm_train;
typedef enum {
    EHM_TRAIN_RUN,  /* to be followed by ehm_train_run */
    EHM_TRAIN_DRY,  /* all checks, no run; the run folder is looked at only */
    EHM_TRAIN_PLAN  /* sizes only: no run folder, no measuring of mean and std; data may be absent */
} ehm_train_purpose;
/* Groups of settings that training reads. */
#define EHM_TRAIN_GROUPS "common,data,channels,read,loading,size,fit,crop,transform,model,patch,heads,recipe,mask,tree,linkage,progress,live,batch,train,output,run,folder,overwrite"

/* What was settled. Valid from ehm_train_open until close (not for a finished run). */
typedef struct {
    ehm_vit_shape shape;
    int64_t n_pictures;               /* -1: not known (plan without data) */
    int64_t batch_size, accum_iter, batches_per_epoch, total_steps; /* the last two -1 when n_pictures is */
    double warmup_steps, lr;
    ehm_dtype dtype;
    int32_t n_threads, n_workers, n_visible;
    int64_t n_params;                 /* numbers, frozen position tables included */
    double flops_per_picture;         /* of a training step */
    size_t plan_bytes[EHM_MEM_KINDS], loader_bytes, cache_bytes, mask_bytes; /* mask_bytes: similarities and trees on the host */
    int64_t memory_available;
    int64_t checkpoint_bytes, disk_needed, disk_free; /* disk_free -1: not known */
    double mean[256], std[256];
    bool has_stats;
    uint32_t mask_needs;              /* EHM_MASK_NEEDS_ of the whole run */
} ehm_train_facts;

/* given is copied; its strings must live until close. EHM_E_CONFIG, EHM_E_MISMATCH (resume: the first setting, shape or data that differs,
 * with both values), EHM_E_MEMORY (names what fits), EHM_E_IO (disk). */
ehm_code ehm_train_open(ehm_train **out, const ehm_config *given, ehm_train_purpose purpose, ehm_err *err);
void ehm_train_close(ehm_train *t); /* NULL is fine */
bool ehm_train_finished(const ehm_train *t);          /* --resume of a run that is done: there is nothing to do */
const ehm_config *ehm_train_config(const ehm_train *t); /* resolved */
const ehm_train_facts *ehm_train_facts_of(const ehm_train *t);
const char *ehm_train_why(const ehm_train *t, int32_t i_setting); /* why a value was chosen, "" when there is nothing to say */
void ehm_train_show(ehm_train *t);                    /* every choice with its origin, to the log */

/* Where training stands, as a hook sees it. Borrowed for the call. */
typedef struct {
    ehm_train *train;
    int64_t step, total_steps;        /* step: finished ones */
    double epoch, loss, lr, grad_norm, progress; /* of the last step */
    bool line, last;                  /* a line was written to metrics.jsonl; this was the last step */
} ehm_train_at;
/* Called on the stepping thread. A hook must leave weights, gradients and metrics as they are; an error ends the run like any other. NULL
 * members are passed over. */
typedef struct {
    void *user;
    ehm_code (*begun)(void *user, const ehm_train_at *at, ehm_err *err);   /* weights are set, before the first step */
    ehm_code (*stepped)(void *user, const ehm_train_at *at, ehm_err *err); /* after each step */
    ehm_code (*ended)(void *user, const ehm_train_at *at, ehm_err *err);   /* model files are written, before DONE */
} ehm_train_hook;
/* For hooks, while the run goes on. */
ehm_method *ehm_train_method(ehm_train *t);
ehm_dev *ehm_train_device(ehm_train *t);
ehm_run *ehm_train_run_folder(ehm_train *t);
ehm_dataset *ehm_train_dataset(ehm_train *t);
const ehm_weights *ehm_train_average(const ehm_train *t); /* NULL without --ema */

/* model.safetensors (and attention_mean.safetensors where there is one) of now into dir, for a hook that draws or evaluates: ehm_model_open reads it. */
ehm_code ehm_train_snapshot(ehm_train *t, const char *dir, ehm_err *err);

/* Histograms of now for the event file, for a hook: weights/ and gradients/ of each block's attention and MLP and of the embeddings. Reads all weights twice. */
ehm_code ehm_train_histograms(ehm_train *t, ehm_err *err);

typedef struct {
    int64_t steps, steps_here;        /* of the run, of this call */
    double loss, seconds, images_per_s;
    bool already_done;
} ehm_train_result;
/* EHM_E_STOPPED: a signal asked to stop, the checkpoint is written. EHM_E_NUMERIC: loss or gradient is not finite, nonfinite.json says
 * where; the last checkpoint stands. */
ehm_code ehm_train_run(ehm_train *t, const ehm_train_hook *hooks, int32_t n_hooks, ehm_train_result *res, ehm_err *err);
#endif
