/* The reference: the same head, trained in the same way, on bare patches. Each patch's normalised pixels
 * stand where the encoder's tokens would, so what the network has above this is what the encoder brings. */
#include "base/log.h"
#include "eval/segment_int.h"
#include "net/pixels.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "optim/schedule.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS = EHM_HEAD_LEVELS };

struct ehm_seg_bare {
    ehm_arena arena;
    ehm_segment *task;
    const ehm_tune_task *ops;
    ehm_dev *d;
    ehm_vit_shape shape; /* embed_dim: the numbers of a patch */
    int32_t batch;
    ehm_params params;
    ehm_norm norm;
    ehm_plan plan;
    bool planned;
    ehm_weights weights;
    ehm_grads grads;
    ehm_adamw_state adamw;
    ehm_clip clip;
    ehm_pixels pixels;
    int32_t *maps;                                  /* [batch,h,w], with pictures that are left out */
    ehm_view patches, tokens, idx, loss, loss_mean; /* [batch,L,P], [batch,1+L,P], [1+L,1] */
};

static void plan_all(ehm_seg_bare *b, ehm_plan *p) {
    int64_t L = b->shape.n_patches, P = b->shape.embed_dim;
    ehm_dtype real = ehm_dev_real(b->d);
    ehm_weights_plan(&b->weights, &b->params, p, EHM_MEM_PARAM, "", EHM_F32);
    ehm_grads_plan(&b->grads, &b->params, p);
    ehm_adamw_plan(&b->adamw, p, b->params.group_count, EHM_ADAMW_GROUPS);
    ehm_clip_plan(&b->clip, p);
    ehm_pixels_plan(&b->pixels, p, &b->shape, b->batch);
    b->idx = ehm_plan_2d(p, EHM_MEM_INPUT, NULL, EHM_I32, 1 + L, 1);
    b->patches = ehm_plan_3d(p, EHM_MEM_CACHE, NULL, real, b->batch, L, P);
    b->tokens = ehm_plan_3d(p, EHM_MEM_CACHE, NULL, real, b->batch, 1 + L, P);
    b->loss = ehm_plan_1d(p, EHM_MEM_CACHE, NULL, real, 1);
    b->loss_mean = ehm_plan_1d(p, EHM_MEM_CACHE, NULL, real, 1);
    for (int32_t train = 1; train >= 0; train--) b->ops->plan(b->task, p, train);
    size_t mark = ehm_plan_mark(p);
    b->ops->plan_bwd(b->task, p);
    ehm_plan_release(p, mark);
}

static ehm_code build(ehm_seg_bare *b, const ehm_seg_bare_opt *o, ehm_err *err) {
    ehm_tune_place place = {.arena = &b->arena,
                            .params = &b->params,
                            .shape = &b->shape,
                            .encoder_norm = &b->norm,
                            .batch = b->batch,
                            .act = EHM_F32};
    ehm_norm_add(&b->norm, &b->params, "norm", b->shape.embed_dim);
    EHM_TRY(b->ops->add(b->task, &place, err));
    for (int32_t train = 1; train >= 0; train--) {
        place.train = train;
        EHM_TRY(b->ops->pass_open(b->task, &place, err));
    }
    if (b->params.failed) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a head on bare patches");
    ehm_plan_begin(&b->plan, b->d);
    b->planned = true;
    plan_all(b, &b->plan);
    EHM_TRY(ehm_plan_commit(&b->plan, err));
    plan_all(b, &b->plan);
    EHM_TRY(ehm_plan_end(&b->plan, err));
    EHM_TRY(ehm_pixels_stats(&b->pixels, b->d, o->mean, o->std, b->shape.channels, err));
    int32_t *idx = EHM_NEW_N(&b->arena, int32_t, 1 + b->shape.n_patches);
    if (!idx) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a head on bare patches");
    for (int32_t i = 0; i <= b->shape.n_patches; i++) idx[i] = i - 1; /* the class token is 0 */
    ehm_upload(b->d, b->idx, idx, ehm_view_bytes(b->idx));
    EHM_TRY(b->ops->placed(b->task, b->d, err));
    ehm_weights_init(&b->weights, b->d, o->loader.seed);
    ehm_weights_refresh(&b->weights, b->d);
    return ehm_dev_check(b->d, err);
}

/* Patches of n pictures as levels, each the same. */
static void look(ehm_seg_bare *b, const void *pixels, ehm_dtype type, int32_t n, ehm_view levels[LEVELS]) {
    int64_t L = b->shape.n_patches, P = b->shape.embed_dim;
    ehm_view patches = ehm_fit3(b->patches, n, L, P), tokens = ehm_fit3(b->tokens, n, 1 + L, P);
    ehm_pixels_load(&b->pixels, b->d, pixels, type, n);
    ehm_pixels_patchify(&b->pixels, b->d, patches);
    ehm_mix_rows_fwd(b->d, &(ehm_mix_rows_fwd_args){.out = tokens, .x = patches, .idx = b->idx});
    for (int32_t i = 0; i < LEVELS; i++) levels[i] = tokens;
}

/* A picture that is left out has no label. */
static ehm_code leave_out(ehm_seg_bare *b, ehm_batch *batch, const bool *keep, ehm_err *err) {
    int64_t n = (int64_t)b->shape.img_h * b->shape.img_w;
    if (!b->maps && !(b->maps = EHM_NEW_N(&b->arena, int32_t, b->batch * n)))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for label maps of %d pictures", b->batch);
    for (int32_t i = 0; i < batch->n; i++)
        for (int64_t k = i * n; k < (i + 1) * n; k++) b->maps[k] = keep[batch->ids[i]] ? batch->maps[k] : -1;
    batch->maps = b->maps;
    return EHM_OK;
}

static ehm_code micro_batch(ehm_seg_bare *b, ehm_loader *l, const ehm_seg_bare_opt *o, bool first,
                            ehm_err *err) {
    ehm_view levels[LEVELS], none[LEVELS] = {0};
    float share = 1 / (float)o->accum_iter;
    const float *mixed = NULL;
    ehm_batch batch = {0};
    EHM_TRY(ehm_loader_next(l, &batch, err));
    if (o->keep) EHM_TRY(leave_out(b, &batch, o->keep, err));
    EHM_TRY(b->ops->load(b->task, b->d, &batch, &mixed, err));
    look(b, batch.pixels, batch.type, batch.n, levels);
    b->ops->fwd_loss(b->task, b->d, &b->weights, levels, batch.n, b->loss);
    b->ops->bwd(b->task, b->d, &b->weights, &b->grads, levels, none, batch.n, share);
    ehm_axpby(b->d, &(ehm_axpby_args){.out = b->loss_mean, .x = b->loss, .a = share, .b = first ? 0 : 1});
    return EHM_OK;
}

static ehm_code step(ehm_seg_bare *b, ehm_loader *l, const ehm_seg_bare_opt *o, double lr, int64_t i_step,
                     ehm_err *err) {
    ehm_view grad[EHM_ADAMW_GROUPS];
    ehm_adamw_group group[EHM_ADAMW_GROUPS];
    float loss = 0;
    for (int32_t g = 0; g < EHM_ADAMW_GROUPS; g++) {
        grad[g] = b->grads.flat[g];
        if (grad[g].rank) ehm_fill(b->d, &(ehm_fill_args){.x = grad[g]});
        group[g] = (ehm_adamw_group){.p = b->weights.flat[g],
                                     .g = grad[g],
                                     .weight_decay = g == EHM_DECAY ? (float)o->weight_decay : 0};
    }
    for (int64_t i = 0; i < o->accum_iter; i++) EHM_TRY(micro_batch(b, l, o, i == 0, err));
    ehm_clip_run(&b->clip, b->d, grad, EHM_ADAMW_GROUPS, b->loss_mean, (float)o->clip_grad, 1);
    ehm_adamw_step(&b->adamw, b->d, group, b->clip.factor, lr, i_step + 1);
    EHM_TRY(ehm_dev_check(b->d, err));
    ehm_download(b->d, &loss, b->loss_mean, sizeof loss);
    return isfinite(loss) ? EHM_OK : EHM_FAIL(err, EHM_E_NUMERIC, "the loss is not finite");
}

static ehm_code train(ehm_seg_bare *b, const ehm_seg_bare_opt *o, ehm_err *err) {
    ehm_loader *l = NULL;
    ehm_schedule schedule;
    char done[32], all[32];
    ehm_code rc = ehm_loader_open(&l, o->train, &o->loader, 0, err);
    ehm_schedule_init(&schedule, o->steps, o->warmup_steps, o->lr, o->min_lr);
    for (int64_t i = 0; i < o->steps && !rc; i++) {
        if (ehm_stop_asked())
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while training the reference on bare patches");
        else
            rc = step(b, l, o, ehm_schedule_lr(&schedule, i), i, err);
        if (rc) EHM_WHILE(err, "step %lld of the reference on bare patches", (long long)i + 1);
        ehm_progress(false, "reference on bare patches: step %s of %s", ehm_format_count(i + 1, done),
                     ehm_format_count(o->steps, all));
    }
    if (!rc) ehm_progress(true, "reference on bare patches: %s steps", ehm_format_count(o->steps, all));
    ehm_loader_close(l);
    return rc;
}

ehm_code ehm_seg_bare_train(ehm_seg_bare **out, const ehm_seg_bare_opt *o, ehm_err *err) {
    ehm_seg_bare *b = calloc(1, sizeof *b);
    *out = NULL;
    if (!b) {
        ehm_segment_free(o->task);
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a head on bare patches");
    }
    b->task = o->task, b->ops = ehm_segment_task(o->task), b->d = o->dev, b->shape = *o->shape,
    b->batch = o->loader.batch_size;
    b->shape.embed_dim = b->shape.patch_pixels, b->shape.depth = LEVELS;
    ehm_code rc = build(b, o, err);
    if (!rc) rc = train(b, o, err);
    if (rc)
        ehm_seg_bare_close(b);
    else
        *out = b;
    return rc;
}

ehm_code ehm_seg_bare_run(void *user, const void *pixels, ehm_dtype type, int32_t n, float *logits,
                          ehm_err *err) {
    ehm_seg_bare *b = user;
    ehm_view levels[LEVELS];
    look(b, pixels, type, n, levels);
    b->ops->infer(b->task, b->d, &b->weights, levels, n);
    ehm_segment_logits(b->task, b->d, logits, n);
    return ehm_dev_check(b->d, err);
}

void ehm_seg_bare_close(ehm_seg_bare *b) {
    if (!b) return;
    if (b->planned) ehm_plan_free(&b->plan);
    ehm_params_free(&b->params);
    b->ops->close(b->task);
    ehm_arena_free(&b->arena);
    free(b);
}
