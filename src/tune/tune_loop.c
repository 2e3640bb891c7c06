/* The run from its first step to its last: weights set, steps walked, lines and checkpoints written, the network saved; and forward alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "tune/tune_int.h"

static const double SAVE_AUTO_S = 600, SAVE_SHARE = 20, PROGRESS_S = 0.25;

/* What only this call of the program knows: times and rates. None of it is in a checkpoint. */
typedef struct {
    double started_s, line_s, line_wait_s, shown_s, step_s; /* step_s: smoothed */
    int64_t first_step, line_step, n_bad;
    ehm_tune_out out;
} walk;

static void put_f64(ehm_json_w *w, const char *key, double v) { ehm_json_key(w, key), ehm_json_f64(w, v); }

/* ---- lines ---- */

/* Only what the seed, the data and the settings decide. */
static ehm_code metrics_line(ehm_tune *t, const walk *k, ehm_err *err) {
    ehm_meters *m = &t->meters;
    double n = (double)m->n, loss = m->loss_sum / n, norm = m->norm_sum / n;
    ehm_str_clear(&t->text);
    ehm_json_w w = {.out = &t->text};
    ehm_json_obj(&w);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, t->step);
    put_f64(&w, "epoch", ehm_tune_epoch_of(t, t->step));
    put_f64(&w, "loss", loss), put_f64(&w, "lr", k->out.lr), put_f64(&w, "grad_norm", norm);
    put_f64(&w, "loss_z", m->loss_z), put_f64(&w, "grad_norm_z", m->norm_z);
    ehm_json_end(&w);
    ehm_meters_line_done(m);
    if (!t->run) return EHM_OK;
    if (t->text.failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for a line", t->cfg.out);
    EHM_TRY(ehm_run_metric(t->run, t->text.s, err));
    EHM_TRY(ehm_run_scalar(t->run, t->step, "tune/loss", loss, err));
    EHM_TRY(ehm_run_scalar(t->run, t->step, "tune/lr", k->out.lr, err));
    return ehm_run_scalar(t->run, t->step, "tune/grad_norm", norm, err);
}

static ehm_code timing_line(ehm_tune *t, walk *k, ehm_err *err) {
    double now = ehm_clock_s(), wait = ehm_loader_wait_s(t->loader), span = now - k->line_s;
    double pictures = (double)((t->step - k->line_step) * t->cfg.batch_size * t->cfg.accum_iter), rate = span > 0 ? pictures / span : 0;
    if (!t->run) return EHM_OK;
    ehm_str_clear(&t->text);
    ehm_json_w w = {.out = &t->text};
    ehm_json_obj(&w);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, t->step);
    put_f64(&w, "images_per_s", rate);
    put_f64(&w, "wait_frac", span > 0 ? (wait - k->line_wait_s) / span : 0);
    put_f64(&w, "seconds", now - k->started_s);
    ehm_json_end(&w);
    k->line_s = now, k->line_wait_s = wait, k->line_step = t->step;
    if (t->text.failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for a line", t->cfg.out);
    EHM_TRY(ehm_run_timing(t->run, t->text.s, err));
    return ehm_run_scalar(t->run, t->step, "time/images_per_s", rate, err);
}

static ehm_code list_bad(ehm_tune *t, walk *k, ehm_err *err) {
    int64_t id, n = ehm_loader_bad_count(t->loader);
    const char *reason;
    for (; k->n_bad < n && ehm_loader_bad(t->loader, k->n_bad, &id, &reason); k->n_bad++) {
        if (!k->n_bad) ehm_tune_say(t, EHM_LOG_WARN, "%s: %s; bad files are replaced%s", ehm_dataset_name(t->setup.train, id), reason, t->run ? " and listed in bad_files.tsv" : "");
        if (t->run) EHM_TRY(ehm_run_bad_file(t->run, id, ehm_dataset_name(t->setup.train, id), reason, err));
    }
    return EHM_OK;
}

static void show_progress(ehm_tune *t, walk *k, bool done) {
    double now = ehm_clock_s();
    char eta[32];
    if (!done && now - k->shown_s < PROGRESS_S) return;
    k->shown_s = now;
    double left = t->fit.pending ? t->cfg.max_minutes * 60 - (now - t->opened_s) : (double)(t->total_steps - t->step) * k->step_s;
    double rate = k->step_s > 0 ? (double)(t->cfg.batch_size * t->cfg.accum_iter) / k->step_s : 0;
    ehm_progress(done, "epoch %.2f  step %lld/%lld%s  loss %.4f  lr %.2e  %.0f images/s  %s left", ehm_tune_epoch_of(t, t->step), (long long)t->step,
                 (long long)t->total_steps, t->fit.pending ? "?" : "", k->out.loss, k->out.lr, rate, left > 0 ? ehm_format_seconds(left, eta) : "nothing");
}

/* ---- beginning ---- */

static ehm_code set_weights(ehm_tune *t, ehm_err *err) {
    if (t->resume_step >= 0) return ehm_tune_restore(t, err);
    /* An untrained run's network is what that run began with; all else that starts at random does so by our seed. */
    ehm_weights_init(&t->weights, t->dev, t->source.untrained && t->source.seed ? t->source.seed : (uint64_t)t->cfg.seed);
    if (t->source.file) EHM_TRY(ehm_tune_load_encoder(t, t->source.file, err));
    if (t->cfg.ema > 0) ehm_ema_start(t->dev, t->average.flat, t->weights.flat, EHM_PARAM_GROUPS), t->average_stale = true;
    return ehm_dev_check(t->dev, err);
}

static ehm_code open_folder(ehm_tune *t, ehm_err *err) {
    ehm_arena a = {0};
    ehm_code rc = EHM_OK;
    if (!t->cfg.out) return EHM_OK;
    if (!t->run) EHM_TRY(ehm_run_open(&t->run, t->cfg.out, t->mode, err));
    char *old = ehm_run_path(t->run, "nonfinite.json", &a);
    if (old) rc = ehm_file_remove(old, err);
    ehm_arena_free(&a);
    if (rc) return rc;
    t->saved_at_step = t->resume_step;
    if (t->mode == EHM_RUN_RESUME && t->resume_step >= 0) EHM_TRY(ehm_run_cut_after(t->run, t->resume_step, err));
    if (t->resume_step < 0) EHM_TRY(ehm_tune_write_config(t, err));
    if (t->step < t->total_steps) EHM_TRY(ehm_run_set_done(t->run, false, err));
    ehm_run_note(t->run, ehm_str_c(&t->early));
    return EHM_OK;
}

static ehm_code begin(ehm_tune *t, walk *k, ehm_err *err) {
    t->chunk = malloc(EHM_STATE_CHUNK);
    if (!t->chunk) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the checkpoint's buffer of %d bytes", EHM_STATE_CHUNK);
    EHM_TRY(ehm_tune_net_place(t, err));
    EHM_TRY(set_weights(t, err));
    if (t->source_open) ehm_model_source_close(&t->source), t->source_open = false;
    if (!t->finished) ehm_tune_show(t);
    EHM_TRY(open_folder(t, err));
    if (t->finished) return EHM_OK;
    EHM_TRY(ehm_tune_open_loader(t, err));
    if (t->step) ehm_tune_say(t, EHM_LOG_INFO, "going on from step %lld of %lld", (long long)t->step, (long long)t->total_steps);
    k->started_s = k->line_s = t->saved_at_s = ehm_clock_s();
    k->first_step = k->line_step = t->step;
    return EHM_OK;
}

/* ---- time limit ---- */

/* Called after each step while the length is open: a few steps to warm up, then at most 20 or a twentieth of the time are measured. */
static ehm_code fit_length(ehm_tune *t, const walk *k, ehm_err *err) {
    double now = ehm_clock_s(), limit = t->cfg.max_minutes * 60;
    if (!t->fit.started) {
        if (++t->fit.n_warm < 3 && now - k->started_s < 0.025 * limit) return EHM_OK;
        t->fit.started = true, t->fit.t0_s = now, t->fit.first_step = t->step;
        return EHM_OK;
    }
    int64_t n = t->step - t->fit.first_step;
    double span = now - t->fit.t0_s;
    if (n < 20 && span < 0.05 * limit) return EHM_OK;
    double step_s = span / (double)n, left = (limit - (now - t->opened_s)) * 0.97; /* checkpoints take their part */
    int64_t total = t->step + (left > step_s && step_s > 0 ? (int64_t)fmin(left / step_s, 9e15) : 1);
    bool asked = t->cfg.origin[EHM_SETI_steps] >= EHM_FROM_FILE || t->cfg.origin[EHM_SETI_epochs] >= EHM_FROM_FILE;
    if (asked && t->cfg.steps < total) total = t->cfg.steps > t->step ? t->cfg.steps : t->step + 1;
    double per_epoch = (double)t->batches_per_epoch / (double)t->cfg.accum_iter;
    double warmup = t->cfg.origin[EHM_SETI_warmup_epochs] >= EHM_FROM_FILE ? t->cfg.warmup_epochs * per_epoch : 0.05 * (double)total;
    ehm_schedule_segment g = {t->step, 0, total, warmup, t->cfg.lr, t->schedule.seg[0].min_lr};
    EHM_TRY(ehm_schedule_add(&t->schedule, &g, err));
    t->fit.pending = false;
    t->total_steps = total;
    if (!asked) {
        ehm_config_put_i64(&t->cfg, EHM_SETI_steps, total, EHM_FROM_MACHINE);
        ehm_config_put_f64(&t->cfg, EHM_SETI_epochs, ehm_tune_epoch_of(t, total), EHM_FROM_MACHINE);
    }
    ehm_tune_say(t, EHM_LOG_NOTE, "a step takes %.3g s (measured over %lld): %lld steps, %.2f epochs, %.0f of them warm-up", step_s, (long long)n, (long long)total,
                 ehm_tune_epoch_of(t, total), warmup);
    return t->run ? ehm_tune_write_config(t, err) : EHM_OK;
}

/* ---- walking ---- */

static bool save_due(const ehm_tune *t) {
    double since = ehm_clock_s() - t->saved_at_s;
    if (!t->run) return false;
    if (!EHM_IS_AUTO(t->cfg.save_steps)) return t->step % t->cfg.save_steps == 0;
    if (!ehm_is_auto_f64(t->cfg.save_every)) return since >= t->cfg.save_every * 60;
    if (t->fit.pending) return false; /* the few steps being measured */
    /* Short epochs: saving never takes more than a twentieth of the time. */
    bool epoch_ended = floor(ehm_tune_epoch_of(t, t->step)) > floor(ehm_tune_epoch_of(t, t->step - 1));
    return since >= SAVE_AUTO_S || (epoch_ended && since >= SAVE_SHARE * t->save_cost_s);
}

static ehm_code after_step(ehm_tune *t, walk *k, ehm_err *err) {
    ehm_meters_add(&t->meters, k->out.loss, k->out.norm);
    if (t->fit.pending) EHM_TRY(fit_length(t, k, err));
    if (t->step % t->cfg.log_every == 0 || t->step == 1 || t->step >= t->total_steps) {
        EHM_TRY(metrics_line(t, k, err));
        EHM_TRY(timing_line(t, k, err));
        EHM_TRY(list_bad(t, k, err));
    }
    return t->step < t->total_steps && save_due(t) ? ehm_tune_checkpoint(t, err) : EHM_OK;
}

static ehm_code stopped(ehm_tune *t, walk *k, ehm_err *err) {
    show_progress(t, k, true);
    EHM_TRY(list_bad(t, k, err));
    if (!t->run) {
        EHM_FAIL(err, EHM_E_STOPPED, "stopped at step %lld of %lld", (long long)t->step, (long long)t->total_steps);
        EHM_HINT(err, "with --out DIR a run can be stopped and gone on with");
        return EHM_E_STOPPED;
    }
    if (t->saved_at_step != t->step) EHM_TRY(ehm_tune_checkpoint(t, err));
    ehm_tune_say(t, EHM_LOG_INFO, "stopped by signal %d at step %lld of %lld; checkpoint written", ehm_stop_asked(), (long long)t->step, (long long)t->total_steps);
    EHM_FAIL(err, EHM_E_STOPPED, "%s: stopped at step %lld of %lld, checkpoint written", t->cfg.out, (long long)t->step, (long long)t->total_steps);
    EHM_HINT(err, "the same command with --resume goes on");
    return EHM_E_STOPPED;
}

static ehm_code finish(ehm_tune *t, walk *k, ehm_tune_result *res, ehm_err *err) {
    char took[32];
    show_progress(t, k, true);
    EHM_TRY(list_bad(t, k, err));
    if (t->run) {
        ehm_arena a = {0};
        if (t->saved_at_step != t->step) EHM_TRY(ehm_tune_checkpoint(t, err));
        char *path = ehm_run_path(t->run, "model.safetensors", &a);
        ehm_code rc = path ? ehm_tune_save(t, path, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", t->cfg.out);
        ehm_arena_free(&a);
        if (rc) return rc;
        EHM_TRY(ehm_run_flush(t->run, err));
        EHM_TRY(ehm_run_set_done(t->run, true, err));
    }
    ehm_tune_say(t, EHM_LOG_INFO, "trained: %lld steps in %s, %.0f images/s", (long long)res->steps_here, ehm_format_seconds(res->seconds, took), res->images_per_s);
    return EHM_OK;
}

ehm_code ehm_tune_run(ehm_tune *t, ehm_tune_result *res, ehm_err *err) {
    walk k = {0};
    EHM_ASSERT(t->learns && !t->started);
    t->started = true;
    *res = (ehm_tune_result){.steps = t->step, .already_done = t->finished};
    ehm_code rc = begin(t, &k, err);
    if (t->finished && !rc) return ehm_run_is_done(t->cfg.out) ? EHM_OK : ehm_run_set_done(t->run, true, err);
    while (!rc && t->step < t->total_steps) {
        if (ehm_stop_asked()) {
            rc = stopped(t, &k, err);
            break;
        }
        double t0 = ehm_clock_s();
        rc = ehm_tune_step(t, &k.out, err);
        if (rc) break;
        double took = ehm_clock_s() - t0;
        /* The first step packs weights and builds kernels; it says nothing about the speed. */
        k.step_s = t->step - k.first_step <= 2 ? took : 0.9 * k.step_s + 0.1 * took;
        rc = after_step(t, &k, err);
        show_progress(t, &k, false);
    }
    res->steps = t->step;
    res->steps_here = t->step - k.first_step;
    res->loss = k.out.loss;
    res->seconds = ehm_clock_s() - k.started_s;
    res->images_per_s = res->seconds > 0 ? (double)(res->steps_here * t->cfg.batch_size * t->cfg.accum_iter) / res->seconds : 0;
    if (!rc) rc = finish(t, &k, res, err);
    if (rc && rc != EHM_E_STOPPED && t->run && err) {
        char text[EHM_ERR_TEXT];
        if (t->loader) show_progress(t, &k, true);
        ehm_run_note(t->run, ehm_err_text(err, text));
    }
    ehm_loader_close(t->loader); /* its threads and its memory are not needed to predict */
    t->loader = NULL;
    return rc;
}

/* ---- forward alone ---- */

ehm_code ehm_tune_infer(ehm_tune *t, const void *pixels, ehm_dtype type, int32_t n, ehm_err *err) {
    ehm_view level[EHM_HEAD_LEVELS];
    const ehm_weights *w = t->learns && t->cfg.ema > 0 ? &t->average : &t->weights;
    if (n < 1 || n > t->look.batch) return EHM_FAIL(err, EHM_E_ARG, "%d pictures at once, the network was made for 1 to %d", (int)n, (int)t->look.batch);
    if (w == &t->average && t->average_stale) ehm_weights_refresh(w, t->dev), t->average_stale = false;
    ehm_tune_net_fwd(t, &t->look, w, NULL, pixels, type, n, level);
    ehm_dev_label(t->dev, t->task->name);
    t->task->infer(t->user, t->dev, w, level, n);
    ehm_dev_label(t->dev, NULL);
    return ehm_dev_check(t->dev, err);
}
