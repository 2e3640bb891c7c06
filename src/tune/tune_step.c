/* One step, read from top to bottom; and what is found out when its numbers are not finite. */
#include <math.h>
#include "base/file.h"
#include "tune/tune_int.h"

ehm_code ehm_tune_open_loader(ehm_tune *t, ehm_err *err) {
    ehm_loader_opt o = t->setup.loader;
    o.batch_size = t->learn.batch, o.h = t->info.shape.img_h, o.w = t->info.shape.img_w;
    o.shuffle = o.drop_last = o.repeat = true;
    o.fit = ehm_tune_fit(t);
    o.seed = (uint64_t)t->cfg.seed, o.n_workers = t->n_workers, o.cache_bytes = (int64_t)t->cache_bytes, o.max_bad = t->cfg.max_bad;
    if (o.erase > 0) o.noise_mean = t->info.mean, o.noise_std = t->info.std;
    ehm_loader_close(t->loader);
    t->loader = NULL;
    if (t->setup.keep && !t->kept) EHM_TRY(ehm_tune_kept_open(&t->kept, &o, t->info.shape.channels, &t->arena, err));
    return ehm_loader_open(&t->loader, t->setup.train, &o, t->batches, err);
}

/* Batches of which nothing is kept are passed over. */
static ehm_code next_batch(ehm_tune *t, ehm_batch *b, ehm_err *err) {
    do {
        EHM_TRY(ehm_loader_next(t->loader, b, err));
        t->batches++;
        if (t->kept) EHM_TRY(ehm_tune_kept_filter(t->kept, b, t->setup.keep, err));
    } while (!b->n);
    return EHM_OK;
}

/* Loads micro-batch i of the step and adds its gradient. */
static ehm_code micro_batch(ehm_tune *t, ehm_batch *b, int64_t i, ehm_err *err) {
    float share = 1.0f / (float)t->cfg.accum_iter;
    const float *mixed = NULL;
    ehm_view level[EHM_HEAD_LEVELS], dlevel[EHM_HEAD_LEVELS];
    EHM_TRY(next_batch(t, b, err));
    EHM_TRY(t->task->load(t->user, t->dev, b, &mixed, err));
    ehm_tune_net_fwd(t, &t->learn, &t->weights, b, mixed ? (const void *)mixed : b->pixels, mixed ? EHM_F32 : b->type, b->n, level);
    for (int32_t k = 0; k < t->task->n_levels; k++) dlevel[k] = ehm_tune_net_dlevel(&t->learn, t, k, b->n);
    ehm_dev_label(t->dev, t->task->name);
    t->task->fwd_loss(t->user, t->dev, &t->weights, level, b->n, t->loss);
    t->task->bwd(t->user, t->dev, &t->weights, &t->grads, level, dlevel, b->n, share);
    ehm_dev_label(t->dev, NULL);
    if (t->learn.backward) ehm_tune_net_bwd(t, &t->learn, b->n);
    ehm_axpby(t->dev, &(ehm_axpby_args){.out = t->loss_mean, .x = t->loss, .a = share, .b = i ? 1.0f : 0.0f});
    return EHM_OK;
}

static ehm_view stretch(ehm_view flat, int64_t first, int64_t n) { return ehm_view_of(flat.buf, flat.offset + first, flat.dtype, 1, &n); }

/* Of what is learned; a frozen encoder's part of a group is none of it. */
static ehm_view learned(const ehm_tune *t, const ehm_view *flat, int32_t g) {
    int64_t n = t->params.group_count[g] - t->first_learned[g];
    return n ? stretch(flat[g], t->first_learned[g], n) : ehm_view_none();
}

static void zero_gradients(ehm_tune *t) {
    for (int32_t g = 0; g < EHM_ADAMW_GROUPS; g++)
        if (t->grads.flat[g].rank) ehm_fill(t->dev, &(ehm_fill_args){.x = t->grads.flat[g], .value = 0});
}

/* Each stretch with its own rate: lr * decay^(layers above it). */
static void update(ehm_tune *t, double lr) {
    for (int32_t i = 0; i < t->n_rates; i++) {
        const ehm_tune_rate *r = &t->rate[i];
        int64_t at = r->first - t->first_learned[r->group];
        ehm_view act = t->weights.act[r->group];
        ehm_adamw(t->dev, &(ehm_adamw_args){.p = stretch(t->weights.flat[r->group], r->first, r->n), .g = stretch(t->grads.flat[r->group], r->first, r->n),
                                            .m = stretch(t->adamw.m[r->group], at, r->n), .v = stretch(t->adamw.v[r->group], at, r->n),
                                            .factor = t->clip.factor, .p_act = act.rank ? stretch(act, r->first, r->n) : ehm_view_none(),
                                            .lr = (float)(lr * r->scale), .beta1 = t->adamw.beta1, .beta2 = t->adamw.beta2, .eps = t->adamw.eps,
                                            .weight_decay = r->group == EHM_DECAY ? (float)t->cfg.weight_decay : 0, .t = t->step + 1});
    }
    ehm_dev_weights_changed(t->dev);
}

/* ---- not finite ---- */

/* The step once more with every op watched: which one gave the first value that is not finite. The weights are as they were, because a factor that is
 * NaN changes nothing. */
static ehm_code find_first_op(ehm_tune *t, int64_t first_batch, ehm_json_w *w, ehm_err *what) {
    ehm_batch b;
    t->batches = first_batch;
    ehm_code rc = ehm_tune_open_loader(t, what);
    ehm_dev_reset_error(t->dev);
    ehm_dev_watch_finite(t->dev, true);
    zero_gradients(t);
    ehm_json_key(w, "samples");
    ehm_json_arr(w);
    for (int64_t i = 0; !rc && i < t->cfg.accum_iter; i++) {
        rc = micro_batch(t, &b, i, what);
        for (int32_t k = 0; !rc && k < b.n; k++) {
            ehm_json_obj(w);
            ehm_json_key(w, "index"), ehm_json_i64(w, b.ids[k]);
            ehm_json_key(w, "name"), ehm_json_str(w, ehm_dataset_name(t->setup.train, b.ids[k]));
            ehm_json_key(w, "epoch"), ehm_json_i64(w, b.epoch);
            ehm_json_end(w);
        }
    }
    ehm_json_end(w);
    if (!rc) rc = ehm_dev_check(t->dev, what);
    ehm_dev_watch_finite(t->dev, false);
    ehm_dev_reset_error(t->dev);
    return rc;
}

static ehm_code not_finite(ehm_tune *t, const ehm_tune_out *s, int64_t first_batch, ehm_err *err) {
    ehm_str text = {0};
    ehm_arena a = {0};
    ehm_err op = {0}, ignored = {0};
    ehm_json_w w = {.out = &text, .indent = 1};
    bool loss = !isfinite(s->loss);
    double v = loss ? s->loss : s->norm;
    ehm_json_obj(&w);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, t->step + 1);
    ehm_json_key(&w, "seed"), ehm_json_i64(&w, t->cfg.seed);
    ehm_json_key(&w, "lr"), ehm_json_f64(&w, s->lr);
    ehm_json_key(&w, "loss"), ehm_json_f64(&w, s->loss);
    ehm_json_key(&w, "grad_norm"), ehm_json_f64(&w, s->norm);
    find_first_op(t, first_batch, &w, &op);
    const char *first = op.code ? op.what : "none: on the second run every op's output was finite";
    ehm_json_key(&w, "first_op"), ehm_json_str(&w, first);
    ehm_json_key(&w, "last_checkpoint"), ehm_json_i64(&w, t->saved_at_step);
    ehm_json_end(&w);
    ehm_str_addc(&text, '\n');
    char *path = t->run ? ehm_run_path(t->run, "nonfinite.json", &a) : NULL;
    if (path && !text.failed) (void)ehm_file_write(path, text.s, text.len, &ignored); /* the cause is worth more than its record */
    EHM_FAIL(err, EHM_E_NUMERIC, "step %lld: the %s is not finite (%s); first: %.400s", (long long)t->step + 1, loss ? "loss" : "gradient's norm",
             isnan(v) ? "nan" : v > 0 ? "inf" : "-inf", first);
    if (t->run && t->saved_at_step > 0) EHM_HINT(err, "a lower --blr, or a smaller --clip-grad; nonfinite.json names the pictures; the checkpoint of step %lld stands", (long long)t->saved_at_step);
    else EHM_HINT(err, "a lower --blr, a smaller --clip-grad, or a --model with finite weights");
    ehm_str_free(&text);
    ehm_arena_free(&a);
    return EHM_E_NUMERIC;
}

/* ---- the step ---- */

ehm_code ehm_tune_step(ehm_tune *t, ehm_tune_out *out, ehm_err *err) {
    ehm_view grad[EHM_ADAMW_GROUPS];
    ehm_batch batch;
    float loss = 0, norm = 0;
    int64_t first_batch = t->batches;

    out->lr = ehm_schedule_lr(&t->schedule, t->step);
    zero_gradients(t);
    for (int64_t i = 0; i < t->cfg.accum_iter; i++) {
        ehm_code rc = micro_batch(t, &batch, i, err);
        if (!rc) continue;
        EHM_WHILE(err, "step %lld", (long long)t->step + 1);
        return rc;
    }
    for (int32_t g = 0; g < EHM_ADAMW_GROUPS; g++) grad[g] = learned(t, t->grads.flat, g);
    ehm_dev_label(t->dev, "optimiser");
    ehm_clip_run(&t->clip, t->dev, grad, EHM_ADAMW_GROUPS, t->loss_mean, (float)t->cfg.clip_grad, 1.0f);
    update(t, out->lr);
    if (t->cfg.ema > 0) ehm_ema_step(t->dev, t->average.flat, t->weights.flat, EHM_PARAM_GROUPS, t->cfg.ema), t->average_stale = true;
    ehm_dev_label(t->dev, NULL);
    ehm_code rc = ehm_dev_check(t->dev, err);
    if (rc) {
        EHM_WHILE(err, "step %lld", (long long)t->step + 1);
        return rc;
    }
    ehm_download(t->dev, &loss, t->loss_mean, sizeof loss);
    ehm_download(t->dev, &norm, t->clip.norm, sizeof norm);
    out->loss = loss, out->norm = norm;
    if (!isfinite(loss) || !isfinite(norm)) return not_finite(t, out, first_batch, err);
    t->step++;
    return EHM_OK;
}
