/* One step, read from top to bottom; and what is found out when its numbers are not finite. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "train/train_int.h"

/* Loads micro-batch i of the step and adds its gradient; b is what was loaded. */
static ehm_code micro_batch(ehm_train *t, ehm_batch *b, int64_t i, double progress, ehm_err *err) {
    float share = 1.0f / (float)t->cfg.accum_iter;
    if (t->has_next) *b = t->next, t->has_next = false;
    else EHM_TRY(ehm_loader_next(t->loader, b, err));
    EHM_TRY(ehm_method_load(t->method, t->dev, b, (float)progress, (uint64_t)t->cfg.seed, err));
    while (ehm_dev_section(t->dev, ehm_method_section(t->method) + (i > 0))) {
        ehm_method_fwd(t->method, t->dev);
        ehm_method_bwd(t->method, t->dev, share);
        ehm_axpby(t->dev, &(ehm_axpby_args){.out = t->loss_mean, .x = ehm_method_loss(t->method), .a = share, .b = i ? 1.0f : 0.0f});
        ehm_dev_section_end(t->dev);
    }
    return EHM_OK;
}

/* While the device works: the first pictures of the next step. */
static ehm_code send_ahead(ehm_train *t, ehm_err *err) {
    if (!ehm_dev_runs_ahead(t->dev) || t->step + 1 >= ehm_schedule_total(&t->schedule)) return EHM_OK;
    EHM_TRY(ehm_loader_next(t->loader, &t->next, err));
    t->has_next = true;
    ehm_method_ahead(t->method, t->dev, &t->next);
    return EHM_OK;
}

static void zero_gradients(ehm_train *t) {
    for (int32_t g = 0; g < EHM_ADAMW_GROUPS; g++) {
        ehm_view v = ehm_method_grad(t->method, g);
        if (v.rank) ehm_fill(t->dev, &(ehm_fill_args){.x = v, .value = 0});
    }
}

/* ---- not finite ---- */

/* The step once more with every op watched: which one gave the first value that is not finite. The weights are as they were, because a
 * factor that is NaN changes nothing. */
static ehm_code find_first_op(ehm_train *t, double progress, ehm_json_w *w, ehm_err *what) {
    ehm_batch b;
    ehm_code rc = ehm_train_open_loader(t, what);
    ehm_dev_reset_error(t->dev);
    ehm_dev_watch_finite(t->dev, true);
    zero_gradients(t);
    ehm_json_key(w, "samples");
    ehm_json_arr(w);
    for (int64_t i = 0; !rc && i < t->cfg.accum_iter; i++) {
        rc = micro_batch(t, &b, i, progress, what);
        for (int32_t k = 0; !rc && k < b.n; k++) {
            ehm_json_obj(w);
            ehm_json_key(w, "index"), ehm_json_i64(w, b.ids[k]);
            ehm_json_key(w, "name"), ehm_json_str(w, ehm_dataset_name(t->ds, b.ids[k]));
            ehm_json_key(w, "epoch"), ehm_json_i64(w, b.epoch);
            ehm_json_key(w, "micro_batch"), ehm_json_i64(w, i);
            ehm_json_end(w);
        }
    }
    ehm_json_end(w);
    if (!rc) rc = ehm_dev_check(t->dev, what);
    ehm_dev_watch_finite(t->dev, false);
    ehm_dev_reset_error(t->dev);
    return rc;
}

static ehm_code not_finite(ehm_train *t, const ehm_step_out *s, ehm_err *err) {
    ehm_str text = {0};
    ehm_arena a = {0};
    ehm_err op = {0}, ignored = {0};
    ehm_json_w w = {.out = &text, .indent = 1};
    bool loss = !isfinite(s->loss);
    ehm_json_obj(&w);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, t->step + 1);
    ehm_json_key(&w, "epoch"), ehm_json_f64(&w, ehm_train_epoch_of(t, t->step));
    ehm_json_key(&w, "seed"), ehm_json_i64(&w, t->cfg.seed);
    ehm_json_key(&w, "lr"), ehm_json_f64(&w, s->lr);
    ehm_json_key(&w, "loss"), ehm_json_f64(&w, s->loss);
    ehm_json_key(&w, "grad_norm"), ehm_json_f64(&w, s->norm);
    find_first_op(t, s->progress, &w, &op);
    const char *first = op.code ? op.what : "none: on the second run every op's output was finite";
    ehm_json_key(&w, "first_op"), ehm_json_str(&w, first);
    ehm_json_key(&w, "last_checkpoint"), ehm_json_i64(&w, t->saved_at_step);
    ehm_json_end(&w);
    ehm_str_addc(&text, '\n');
    char *path = ehm_run_path(t->run, "nonfinite.json", &a);
    if (path && !text.failed) (void)ehm_file_write(path, text.s, text.len, &ignored); /* the cause is worth more than its record */
    double v = loss ? s->loss : s->norm;
    EHM_FAIL(err, EHM_E_NUMERIC, "step %lld: the %s is not finite (%s); first: %.400s", (long long)t->step + 1, loss ? "loss" : "gradient's norm",
             isnan(v) ? "nan" : v > 0 ? "inf" : "-inf", first);
    if (t->saved_at_step > 0) EHM_HINT(err, "a lower --blr, or a smaller --clip-grad; nonfinite.json names the pictures; the checkpoint of step %lld stands", (long long)t->saved_at_step);
    else EHM_HINT(err, "a lower --blr, a smaller --clip-grad, or finite weights for --init; nonfinite.json names the pictures");
    ehm_str_free(&text);
    ehm_arena_free(&a);
    return EHM_E_NUMERIC;
}

/* ---- the step ---- */

/* Progress q as the setting counts it, of a step: the share of the summed learning rate, of the steps, or of whole epochs. */
static double progress_of(const ehm_train *t, int64_t step, double lr_sum) {
    double total = (double)ehm_schedule_total(&t->schedule);
    if (!strcmp(t->cfg.progress, "step")) return (double)step / total;
    if (!strcmp(t->cfg.progress, "epoch")) {
        double epochs = ehm_train_epoch_of(t, ehm_schedule_total(&t->schedule));
        return epochs > 0 ? fmin(1, floor(ehm_train_epoch_of(t, step)) / epochs) : 0;
    }
    return ehm_schedule_progress(&t->schedule, step, lr_sum, t->lr_sum_total);
}

/* Of the schedule in force: one that --max-minutes has fitted replaces the provisional one from step 0 on. */
int64_t ehm_train_warm_steps(const ehm_train *t) { return (int64_t)ceil(t->schedule.seg[t->schedule.n - 1].warmup_steps); }

/* u of the curriculum: 0 until the warm-up is over, 1 from progress_end on. */
double ehm_train_u(const ehm_train *t) {
    int64_t warm = ehm_train_warm_steps(t);
    if (t->schedule.seg[t->schedule.n - 1].origin_step > 0) return 1; /* an extended run: the curriculum is over */
    if (t->step <= warm) return 0;
    double a = progress_of(t, warm, t->lr_sum_warm), b = t->cfg.progress_end, q = progress_of(t, t->step, t->lr_sum);
    if (b <= a) return 1;
    double u = (q - a) / (b - a);
    return u < 0 ? 0 : u > 1 ? 1 : u;
}

/* The masks follow weights that blew up: the loss would show it next. */
static ehm_code masks_blew_up(ehm_train *t, ehm_step_out *out, ehm_err *err) {
    out->loss = out->norm = NAN;
    return not_finite(t, out, err);
}

static ehm_code failed(const ehm_train *t, const ehm_err *why, ehm_err *err) {
    if (err && !err->code) *err = *why;
    EHM_WHILE(err, "step %lld", (long long)t->step + 1);
    return why->code;
}

ehm_code ehm_train_step(ehm_train *t, ehm_step_out *out, ehm_err *err) {
    ehm_weights *w = ehm_method_weights(t->method);
    ehm_view grad[EHM_ADAMW_GROUPS];
    ehm_adamw_group group[EHM_ADAMW_GROUPS];
    ehm_batch batch;
    ehm_err why = {0};
    float loss = 0, norm = 0;

    out->lr = ehm_schedule_lr(&t->schedule, t->step);
    out->progress = ehm_train_u(t);
    zero_gradients(t);
    for (int64_t i = 0; i < t->cfg.accum_iter; i++) {
        ehm_code rc = micro_batch(t, &batch, i, out->progress, &why);
        if (rc == EHM_E_NUMERIC) return masks_blew_up(t, out, err);
        if (rc) return failed(t, &why, err);
    }
    for (int32_t g = 0; g < EHM_ADAMW_GROUPS; g++) {
        grad[g] = ehm_method_grad(t->method, g);
        group[g] = (ehm_adamw_group){.p = w->flat[g], .g = grad[g], .p_act = w->act[g], .weight_decay = g == EHM_DECAY ? (float)t->cfg.weight_decay : 0};
    }
    ehm_dev_label(t->dev, "optimiser");
    ehm_clip_run(&t->clip, t->dev, grad, EHM_ADAMW_GROUPS, t->loss_mean, (float)t->cfg.clip_grad, 1.0f);
    ehm_adamw_step(&t->adamw, t->dev, group, t->clip.factor, out->lr, t->step + 1);
    ehm_method_stepped(t->method, t->dev, t->step + 1, ehm_schedule_total(&t->schedule));
    if (t->cfg.ema > 0) ehm_ema_step(t->dev, t->average.flat, w->flat, EHM_PARAM_GROUPS, t->cfg.ema);
    ehm_dev_label(t->dev, NULL);
    ehm_code rc = send_ahead(t, &why);
    if (!rc) rc = ehm_dev_check(t->dev, &why);
    if (rc) return failed(t, &why, err);
    rc = ehm_method_settled(t->method, t->dev, &why);
    if (rc == EHM_E_NUMERIC) return masks_blew_up(t, out, err);
    if (rc) return failed(t, &why, err);
    ehm_download(t->dev, &loss, t->loss_mean, sizeof loss);
    ehm_download(t->dev, &norm, t->clip.norm, sizeof norm);
    out->loss = loss, out->norm = norm;
    if (!isfinite(loss) || !isfinite(norm)) return not_finite(t, out, err);
    t->lr_sum += out->lr;
    t->step++;
    return EHM_OK;
}
