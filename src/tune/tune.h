/* Tune: learns a task with labels on top of an encoder: whole network or head alone, in a run folder of its own, with checkpoints and bit-exact resume as in
 * pre-training.
 *
 *     ehm_tune *t; ehm_tune_open(&t, &task, &given, &err);            // encoder from --model, head new; settings resolved and checked
 *     ehm_tune_run(t, &result, &err);                                 // until done, stopped (EHM_E_STOPPED: checkpoint written) or failed
 *     ehm_tune_infer(t, pixels, type, n, &err);                       // forward alone, with the weights to be judged (the average where --ema asks)
 *     ehm_tune_save(t, "runs/ft/model.safetensors", &err);            // what ehm_tuned_open reads
 *     ehm_tune_close(t);
 *
 * A task is a vtable: it adds its head, says which levels of the residual stream it reads, and turns predictions into a loss and its gradient. Nothing in
 * tune/ knows classes, maps or boxes. Batches come from a loader that the task sets up; the loop, schedule (warm-up and half cosine for each step), AdamW
 * with layer-wise decay of the learning rate (Clark et al. 2020; Bao et al. 2022: a parameter of block i has lr * decay^(depth - i), embedding decay^(depth
 * + 1), head 1), clipping, stochastic depth, weight average, checkpoints, metrics.jsonl and train.log are here.
 */
#ifndef EHM_TUNE_TUNE_H
#define EHM_TUNE_TUNE_H
#include "base/settings.h"
#include "data/loader.h"
#include "infer/infer.h"
#include "net/heads.h"
#include "net/vit.h"
#include "runs/run.h"

typedef struct ehm_tune ehm_tune;

/* What a task computes with. batch: the largest; act: type of what feeds products. */
typedef struct {
    ehm_arena *arena; ehm_params *params; const ehm_vit_shape *shape; const ehm_norm *encoder_norm;
    int32_t batch; bool train; ehm_dtype act;
} ehm_tune_place;
typedef struct {
    const char *name;       /* "finetune": stands in config.json and in the saved model */
    /* Before the plan: parameters, then what a pass needs (in arena). add is called once; pass_open once for training and once for inference (train false), in
     * that order, and later calls say which of the two they mean. */
    ehm_code (*add)(void *user, const ehm_tune_place *p, ehm_err *err);
    ehm_code (*pass_open)(void *user, const ehm_tune_place *p, ehm_err *err);
    int32_t n_levels;       /* 1 to EHM_HEAD_LEVELS */
    int32_t (*level)(void *user, int32_t i);                       /* block whose output is read, ascending; the last is depth - 1 */
    void (*plan)(void *user, ehm_plan *plan, bool train);          /* caches, inputs and outputs of the head and of the loss */
    void (*plan_bwd)(void *user, ehm_plan *plan);                  /* scratch, free again */
    ehm_code (*placed)(void *user, ehm_dev *d, ehm_err *err);      /* memory is there: tables may be uploaded */
    /* Training. load: the truth of a batch goes to the device (masked, mixed, padded as the task likes; pixels may be changed before they are uploaded: mixed
     * is [n,h,w,c] f32 or NULL for the batch's own). loss: forward of the head and the loss, a number on the device [1] f32. bwd: the gradient of
     * share * loss; writes dlevels (rank 0 where the encoder is frozen). */
    ehm_code (*load)(void *user, ehm_dev *d, const ehm_batch *b, const float **mixed, ehm_err *err);
    void (*fwd_loss)(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b, ehm_view loss);
    void (*bwd)(void *user, ehm_dev *d, const ehm_weights *w, const ehm_grads *g, const ehm_view *levels, const ehm_view *dlevels, int64_t b, float share);
    void (*infer)(void *user, ehm_dev *d, const ehm_weights *w, const ehm_view *levels, int64_t b); /* forward of the head; outputs stay where the task finds them */
    void (*describe)(void *user, ehm_json_w *w);                   /* keys of the saved model's "task" object: classes, head, sizes; enough to open it again */
    void (*close)(void *user);
} ehm_tune_task;

typedef struct {
    const ehm_tune_task *task; void *user;
    ehm_dataset *train;             /* borrowed until close */
    ehm_loader_opt loader;          /* augmentation and what comes with a batch; sizes, seed, threads and batch are filled in here */
    int32_t img_h, img_w;           /* model input, multiples of the patch; 0: the model's own. Another grid resizes the position table as timm does (bicubic,
                                     * antialias) */
    bool frozen;                    /* the encoder keeps its weights (and is run forward only) */
    const bool *keep;               /* [pictures of train] borrowed until close; those that are false are left out of each batch (held out, without a label),
                                     * which is then smaller. NULL: all */
    const char *groups;             /* settings of the task's own that decide its result: stored with the run, and compared when it is resumed. NULL: none */
} ehm_tune_setup;
/* c: groups EHM_TUNE_GROUPS. --model untrained:... trains from scratch; --out is a run folder, without it nothing is written and there is no resume.
 * What is not given and has no default of the method's is chosen here: batch, rates, length. Errors as ehm_train_open's. */
#define EHM_TUNE_GROUPS "batch,train,output,folder,overwrite,tune,loading,save"
/* How it takes those that pre-training takes otherwise: for a list of ehm_own_setting. */
#define EHM_TUNE_SOURCE "fine-tuning of He et al. 2022, A.1"
#define EHM_TUNE_OWN                                                                                                                              \
    {EHM_SETI_blr, "0.001", "base learning rate; lr = blr * effective batch / 256, or, where blr is not given and the batch is smaller than 256, " \
                            "blr * sqrt(effective batch / 256)", EHM_TUNE_SOURCE},                                                                \
    {EHM_SETI_beta2, "0.999", NULL, EHM_TUNE_SOURCE},                                                                                             \
    {EHM_SETI_min_lr, "1e-6", NULL, EHM_TUNE_SOURCE},                                                                                             \
    {EHM_SETI_warmup_epochs, "auto", "linear warm-up; auto: 5 % of the steps", NULL},                                                             \
    {EHM_SETI_batch_size, "auto", "pictures a micro-batch; auto: the largest power of two in a sixteenth of the set, 8 to 256, that fits memory", NULL}
/* user belongs to the tune from here on, and is closed by it even when opening fails: close must bear one to which nothing was done yet. */
ehm_code ehm_tune_open(ehm_tune **out, const ehm_tune_setup *s, const ehm_config *c, ehm_err *err);
void ehm_tune_close(ehm_tune *t);   /* closes the task too; NULL is fine */
typedef struct { int64_t steps, steps_here; double loss, seconds, images_per_s; bool already_done; } ehm_tune_result;
ehm_code ehm_tune_run(ehm_tune *t, ehm_tune_result *out, ehm_err *err);
const ehm_config *ehm_tune_config(const ehm_tune *t);  /* resolved */
ehm_dev *ehm_tune_device(const ehm_tune *t);
const ehm_vit_shape *ehm_tune_shape(const ehm_tune *t); /* at the size that is trained */
int32_t ehm_tune_batch(const ehm_tune *t);              /* the most pictures that ehm_tune_infer takes: --eval-batch-size */
const char *ehm_tune_fit(const ehm_tune *t);            /* how a picture is fitted to predict: "crop", ... */
/* pixels [n,h,w,c] as the model's input, n <= batch; then the task's outputs hold predictions. */
ehm_code ehm_tune_infer(ehm_tune *t, const void *pixels, ehm_dtype type, int32_t n, ehm_err *err);
ehm_code ehm_tune_save(ehm_tune *t, const char *path, ehm_err *err);

/* A saved network (the file, or the run folder that holds it), opened again for prediction. meta: its "task" object, with "name" first, in a. The task's
 * user is made by its owner from meta before this; its add and pass_open (train false) are called, plan, placed and infer follow. */
ehm_code ehm_tuned_meta(const ehm_json **meta, const char *path, ehm_arena *a, ehm_err *err);
ehm_code ehm_tuned_open(ehm_tune **out, const char *path, const ehm_tune_task *task, void *user, const ehm_config *c, ehm_err *err);
#endif
