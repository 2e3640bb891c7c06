/* The run from its first step to its last: weights set, steps walked, lines and checkpoints written, model files at the end. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "exchange/import.h"
#include "exchange/weights_file.h"
#include "train/train_int.h"

static const double SAVE_AUTO_S = 600, SAVE_SHARE = 20, PROGRESS_S = 0.25;

/* What only this call of the program knows: times and rates. None of it is in a checkpoint. */
typedef struct {
    double started_s, line_s, line_wait_s, shown_s, step_s; /* step_s: smoothed */
    int64_t first_step, line_step, n_bad;
    ehm_step_out out;
    const ehm_train_hook *hooks;
    int32_t n_hooks;
} walk;

static int64_t resident_bytes(void) {
    char text[96];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) return ehm_memory_peak();
    text[n] = 0;
    char *second = strchr(text, ' ');
    return second ? strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE) : ehm_memory_peak();
}

/* ---- hooks ---- */

static ehm_train_at at_of(ehm_train *t, const walk *k, bool line) {
    int64_t total = ehm_schedule_total(&t->schedule);
    return (ehm_train_at){.train = t, .step = t->step, .total_steps = total, .epoch = ehm_train_epoch_of(t, t->step), .loss = k->out.loss, .lr = k->out.lr,
                          .grad_norm = k->out.norm, .progress = k->out.progress, .line = line, .last = t->step >= total};
}

enum hook { BEGUN, STEPPED, ENDED };
static ehm_code call_hooks(ehm_train *t, const walk *k, enum hook which, bool line, ehm_err *err) {
    if (!k->n_hooks) return EHM_OK;
    ehm_train_at at = at_of(t, k, line);
    for (int32_t i = 0; i < k->n_hooks; i++) {
        const ehm_train_hook *h = &k->hooks[i];
        ehm_code (*fn)(void *, const ehm_train_at *, ehm_err *) = which == BEGUN ? h->begun : which == STEPPED ? h->stepped : h->ended;
        if (fn) EHM_TRY(fn(h->user, &at, err));
    }
    return EHM_OK;
}

/* ---- lines ---- */

static void put_f64(ehm_json_w *w, const char *key, double v) { ehm_json_key(w, key), ehm_json_f64(w, v); }

/* Only what the seed, the data and the settings decide. */
static ehm_code metrics_line(ehm_train *t, const walk *k, ehm_err *err) {
    ehm_meters *m = &t->meters;
    double n = (double)m->n, loss = m->loss_sum / n, norm = m->norm_sum / n;
    ehm_str_clear(&t->text);
    ehm_json_w w = {.out = &t->text};
    ehm_json_obj(&w);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, t->step);
    put_f64(&w, "epoch", ehm_train_epoch_of(t, t->step));
    put_f64(&w, "loss", loss);
    put_f64(&w, "lr", k->out.lr);
    put_f64(&w, "grad_norm", norm);
    put_f64(&w, "loss_z", m->loss_z);
    put_f64(&w, "grad_norm_z", m->norm_z);
    ehm_method_metric extra[EHM_METHOD_METRICS_MAX];
    int32_t n_extra = ehm_method_metrics(t->method, extra);
    for (int32_t i = 0; i < n_extra; i++) put_f64(&w, extra[i].name, extra[i].value);
    ehm_json_end(&w);
    if (t->text.failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for a line", t->cfg.out);
    EHM_TRY(ehm_run_metric(t->run, t->text.s, err));
    EHM_TRY(ehm_run_scalar(t->run, t->step, "train/loss", loss, err));
    EHM_TRY(ehm_run_scalar(t->run, t->step, "train/lr", k->out.lr, err));
    EHM_TRY(ehm_run_scalar(t->run, t->step, "train/grad_norm", norm, err));
    for (int32_t i = 0; i < n_extra; i++) {
        char tag[64];
        snprintf(tag, sizeof tag, "mask/%s", extra[i].name);
        EHM_TRY(ehm_run_scalar(t->run, t->step, tag, extra[i].value, err));
    }
    ehm_meters_line_done(m);
    return EHM_OK;
}

static ehm_code timing_line(ehm_train *t, walk *k, ehm_err *err) {
    double now = ehm_clock_s(), wait = ehm_loader_wait_s(t->loader), span = now - k->line_s;
    double pictures = (double)((t->step - k->line_step) * t->cfg.batch_size * t->cfg.accum_iter), rate = span > 0 ? pictures / span : 0;
    ehm_str_clear(&t->text);
    ehm_json_w w = {.out = &t->text};
    ehm_json_obj(&w);
    ehm_json_key(&w, "step"), ehm_json_i64(&w, t->step);
    put_f64(&w, "images_per_s", rate);
    put_f64(&w, "wait_frac", span > 0 ? (wait - k->line_wait_s) / span : 0);
    put_f64(&w, "seconds", now - k->started_s);
    ehm_method_metric parts[EHM_METHOD_METRICS_MAX];
    int32_t n_parts = ehm_method_timings(t->method, parts);
    for (int32_t i = 0; i < n_parts; i++) put_f64(&w, parts[i].name, parts[i].value);
    ehm_json_key(&w, "rss"), ehm_json_i64(&w, resident_bytes());
    ehm_json_end(&w);
    k->line_s = now, k->line_wait_s = wait, k->line_step = t->step;
    if (t->text.failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for a line", t->cfg.out);
    EHM_TRY(ehm_run_timing(t->run, t->text.s, err));
    return ehm_run_scalar(t->run, t->step, "time/images_per_s", rate, err);
}

static ehm_code list_bad(ehm_train *t, walk *k, ehm_err *err) {
    int64_t id, n = ehm_loader_bad_count(t->loader);
    const char *reason;
    for (; k->n_bad < n && ehm_loader_bad(t->loader, k->n_bad, &id, &reason); k->n_bad++) {
        if (!k->n_bad) ehm_train_say(t, EHM_LOG_WARN, "%s: %s; bad files are replaced and listed in bad_files.tsv", ehm_dataset_name(t->ds, id), reason);
        EHM_TRY(ehm_run_bad_file(t->run, id, ehm_dataset_name(t->ds, id), reason, err));
    }
    return EHM_OK;
}

static void show_progress(ehm_train *t, walk *k, bool done) {
    double now = ehm_clock_s();
    char eta[32];
    if (!done && now - k->shown_s < PROGRESS_S) return;
    k->shown_s = now;
    int64_t total = ehm_schedule_total(&t->schedule);
    double left = t->fit.pending ? t->cfg.max_minutes * 60 - (now - t->opened_s) : (double)(total - t->step) * k->step_s;
    double rate = k->step_s > 0 ? (double)(t->cfg.batch_size * t->cfg.accum_iter) / k->step_s : 0;
    double here = now - k->started_s, wait = here > 0 ? ehm_loader_wait_s(t->loader) / here : 0;
    ehm_progress(done, "epoch %.2f  step %lld/%lld%s  loss %.4f  lr %.2e  %.0f images/s  waiting %.0f %%  %s left", ehm_train_epoch_of(t, t->step), (long long)t->step,
                 (long long)total, t->fit.pending ? "?" : "", k->out.loss, k->out.lr, rate, 100 * wait, left > 0 ? ehm_format_seconds(left, eta) : "nothing");
}

/* ---- beginning ---- */

/* What the file did not have as this run needs it. */
static void say_import(ehm_train *t, const ehm_import *im, const char *path) {
    for (int32_t i = 0; i < im->n_row; i++)
        if (im->row[i].kind == EHM_IMPORT_RESIZED) ehm_train_say(t, EHM_LOG_NOTE, "%s: %s: %s", path, im->row[i].name, im->row[i].note);
    for (int32_t i = 0; i < im->n_notes; i++) ehm_train_say(t, EHM_LOG_NOTE, "%s: %s", path, im->note[i]);
}

static ehm_code load_init(ehm_train *t, ehm_err *err) {
    ehm_import *im = NULL;
    ehm_weights_report rep = {0};
    const char *path = t->cfg.init;
    if (ehm_dir_exists(path) && !ehm_import_claims(path)) {
        path = ehm_path_join(&t->arena, path, "model.safetensors");
        if (!path) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for --init %s", t->cfg.init);
        if (!ehm_file_exists(path)) {
            EHM_FAIL(err, EHM_E_CONFIG, "--init %s: there is no model.safetensors in this folder", t->cfg.init);
            EHM_HINT(err, "a run folder has one when the run is finished");
            return EHM_E_CONFIG;
        }
    }
    ehm_weights *w = ehm_method_weights(t->method);
    ehm_code rc = ehm_import_open_for(&im, path, &t->facts.shape, err), opened = rc;
    if (!rc) rc = ehm_weights_load(w, t->dev, im->weights, true, &rep, err);
    if (!rc) {
        ehm_weights_refresh(w, t->dev);
        say_import(t, im, path);
        if (rep.n_missing) ehm_train_say(t, EHM_LOG_NOTE, "weights from %s: %d taken, %d start at random (%s, ...)", path, (int)rep.n_matched, (int)rep.n_missing, rep.first_missing);
        else ehm_train_say(t, EHM_LOG_NOTE, "weights from %s: all %d taken", path, (int)rep.n_matched);
        if (rep.n_unexpected) ehm_train_say(t, EHM_LOG_NOTE, "%d tensors of %s have no place here and are left (%s, ...)", (int)rep.n_unexpected, path, rep.first_unexpected);
    } else if (!opened || rc == EHM_E_MISMATCH || rc == EHM_E_UNSUPPORTED) {
        EHM_WHILE(err, "starting from --init %s", t->cfg.init);
    }
    ehm_import_close(im);
    return rc;
}

static ehm_code set_weights(ehm_train *t, ehm_err *err) {
    EHM_TRY(ehm_method_set_stats(t->method, t->dev, t->facts.mean, t->facts.std, t->facts.shape.channels, err));
    ehm_method_init(t->method, t->dev, (uint64_t)t->cfg.seed);
    if (t->resume_step >= 0) {
        if (t->cfg.init && t->cfg.origin[EHM_SETI_init] == EHM_FROM_FLAG)
            ehm_train_say(t, EHM_LOG_WARN, "--init %s is not read: the run goes on from its own checkpoint", t->cfg.init);
        EHM_TRY(ehm_train_restore(t, err));
        return EHM_OK;
    }
    if (t->cfg.init) EHM_TRY(load_init(t, err));
    ehm_method_started(t->method, t->dev);
    if (t->cfg.ema > 0) ehm_ema_start(t->dev, t->average.flat, ehm_method_weights(t->method)->flat, EHM_PARAM_GROUPS);
    return ehm_dev_check(t->dev, err);
}

static ehm_code open_folder(ehm_train *t, ehm_err *err) {
    ehm_arena a = {0};
    ehm_code rc = EHM_OK;
    if (!t->run) EHM_TRY(ehm_run_open(&t->run, t->cfg.out, t->mode, err));
    char *old = ehm_run_path(t->run, "nonfinite.json", &a);
    if (old) rc = ehm_file_remove(old, err);
    ehm_arena_free(&a);
    if (rc) return rc;
    t->saved_at_step = t->resume_step;
    if (t->mode == EHM_RUN_RESUME) EHM_TRY(ehm_run_cut_after(t->run, t->resume_step, err));
    if (t->resume_step < 0) EHM_TRY(ehm_train_write_config(t, err));
    if (t->extended) { /* the new length is safe before the old mark goes */
        EHM_TRY(ehm_train_save(t, err));
        EHM_TRY(ehm_train_write_config(t, err));
    }
    if (t->step < ehm_schedule_total(&t->schedule)) EHM_TRY(ehm_run_set_done(t->run, false, err));
    ehm_run_note(t->run, ehm_str_c(&t->early));
    ehm_str_free(&t->early);
    t->early = (ehm_str){0};
    return EHM_OK;
}

static ehm_code begin(ehm_train *t, walk *k, ehm_err *err) {
    EHM_TRY(ehm_train_place(t, err));
    EHM_TRY(set_weights(t, err));
    /* Lines are written into text that is long enough from the start. */
    for (int i = 0; i < 1024; i++) ehm_str_add(&t->text, "        "), ehm_str_add(&t->state_text, "                                ");
    if (t->text.failed || t->state_text.failed) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the lines of the run");
    EHM_TRY(open_folder(t, err));
    EHM_TRY(ehm_train_open_loader(t, err));
    t->lr_sum = ehm_schedule_lr_sum(&t->schedule, 0, t->step);
    t->lr_sum_total = ehm_schedule_lr_sum(&t->schedule, 0, ehm_schedule_total(&t->schedule));
    t->lr_sum_warm = ehm_schedule_lr_sum(&t->schedule, 0, ehm_train_warm_steps(t));
    k->started_s = k->line_s = t->saved_at_s = ehm_clock_s();
    k->first_step = k->line_step = t->step;
    const char *baseline = ehm_method_loss_baseline(t->method);
    if (t->step) ehm_train_say(t, EHM_LOG_INFO, "going on from step %lld of %lld", (long long)t->step, (long long)ehm_schedule_total(&t->schedule));
    if (*ehm_method_note(t->method)) ehm_train_say(t, EHM_LOG_NOTE, "%s", ehm_method_note(t->method));
    if (*baseline) ehm_train_say(t, EHM_LOG_INFO, "loss: %s", baseline);
    return call_hooks(t, k, BEGUN, false, err);
}

/* ---- time limit ---- */

/* Called after each step while the length is open: a few steps to warm up, then at most 20 or a twentieth of the time are measured. */
static ehm_code fit_length(ehm_train *t, const walk *k, ehm_err *err) {
    double now = ehm_clock_s(), limit = t->cfg.max_minutes * 60;
    char one[32], all[32];
    if (!t->fit.started) {
        if (++t->fit.n_warm < 3 && now - k->started_s < 0.025 * limit) return EHM_OK;
        t->fit.started = true, t->fit.t0_s = now, t->fit.first_step = t->step;
        return EHM_OK;
    }
    int64_t n = t->step - t->fit.first_step;
    double span = now - t->fit.t0_s;
    if (n < 20 && span < 0.05 * limit) return EHM_OK;
    double step_s = span / (double)n, steps_per_epoch = (double)t->facts.batches_per_epoch / (double)t->cfg.accum_iter;
    double left = (limit - (now - t->opened_s)) * 0.97; /* checkpoints and model files take their part */
    /* Steps cost more once masks follow the model; 5 % of warm-up do not yet. */
    double measured_s = step_s;
    step_s += 0.95 * (double)t->cfg.accum_iter * ehm_method_teacher_s(t->method, k->out.progress);
    int64_t total = t->step + (left > step_s && step_s > 0 ? (int64_t)fmin(left / step_s, 9e15) : 1);
    bool asked = t->cfg.origin[EHM_SETI_steps] >= EHM_FROM_FILE || t->cfg.origin[EHM_SETI_epochs] >= EHM_FROM_FILE;
    bool enough = asked && t->cfg.steps < total;
    if (enough) total = t->cfg.steps > t->step ? t->cfg.steps : t->step + 1;
    double warmup = t->cfg.origin[EHM_SETI_warmup_epochs] >= EHM_FROM_FILE ? t->cfg.warmup_epochs * steps_per_epoch : fmin(40 * steps_per_epoch, 0.05 * (double)total);
    ehm_schedule_segment g = {t->step, 0, total, warmup, t->cfg.lr, t->cfg.min_lr};
    EHM_TRY(ehm_schedule_add(&t->schedule, &g, err));
    t->fit.pending = false;
    t->facts.total_steps = total, t->facts.warmup_steps = warmup;
    t->lr_sum_total = ehm_schedule_lr_sum(&t->schedule, 0, total);
    t->lr_sum_warm = ehm_schedule_lr_sum(&t->schedule, 0, ehm_train_warm_steps(t));
    if (!asked) {
        ehm_config_put_i64(&t->cfg, EHM_SETI_steps, total, EHM_FROM_MACHINE);
        ehm_config_put_f64(&t->cfg, EHM_SETI_epochs, ehm_train_epoch_of(t, total), EHM_FROM_MACHINE);
    }
    if (t->cfg.origin[EHM_SETI_warmup_epochs] < EHM_FROM_FILE) ehm_config_put_f64(&t->cfg, EHM_SETI_warmup_epochs, warmup / steps_per_epoch, EHM_FROM_MACHINE);
    ehm_format_seconds(step_s, one);
    ehm_format_seconds(limit, all);
    ehm_train_say(t, EHM_LOG_NOTE, "a step takes %.3g s (measured over %lld)%s; %s: %lld steps, %.2f epochs, %.0f of them warm-up", measured_s, (long long)n,
                  step_s > measured_s ? ehm_arena_printf(&t->arena, ", and %.3g s on average once masks follow the model", step_s) : "",
                  enough ? "the length asked for fits the time" : ehm_arena_printf(&t->arena, "%s are enough for", all), (long long)total, ehm_train_epoch_of(t, total), warmup);
    return ehm_train_write_config(t, err);
}

/* ---- walking ---- */

static bool save_due(const ehm_train *t) {
    double since = ehm_clock_s() - t->saved_at_s;
    if (!EHM_IS_AUTO(t->cfg.save_steps)) return t->step % t->cfg.save_steps == 0;
    if (!ehm_is_auto_f64(t->cfg.save_every)) return since >= t->cfg.save_every * 60;
    if (t->fit.pending) return false; /* the few steps being measured */
    /* Short epochs: saving never takes more than a twentieth of the time. */
    bool epoch_ended = floor(ehm_train_epoch_of(t, t->step)) > floor(ehm_train_epoch_of(t, t->step - 1));
    return since >= SAVE_AUTO_S || (epoch_ended && since >= SAVE_SHARE * t->save_cost_s);
}

static ehm_code after_step(ehm_train *t, walk *k, ehm_err *err) {
    ehm_meters_add(&t->meters, k->out.loss, k->out.norm);
    if (t->fit.pending) EHM_TRY(fit_length(t, k, err));
    int64_t total = ehm_schedule_total(&t->schedule);
    bool line = t->step % t->cfg.log_every == 0 || t->step == 1 || t->step >= total;
    if (line) {
        EHM_TRY(metrics_line(t, k, err));
        EHM_TRY(timing_line(t, k, err));
        EHM_TRY(list_bad(t, k, err));
    }
    EHM_TRY(call_hooks(t, k, STEPPED, line, err));
    return t->step < total && save_due(t) ? ehm_train_save(t, err) : EHM_OK;
}

static ehm_code stopped(ehm_train *t, walk *k, ehm_err *err) {
    show_progress(t, k, true);
    if (t->saved_at_step != t->step) EHM_TRY(ehm_train_save(t, err));
    EHM_TRY(list_bad(t, k, err));
    ehm_train_say(t, EHM_LOG_INFO, "stopped by signal %d at step %lld of %lld; checkpoint written", ehm_stop_asked(), (long long)t->step, (long long)ehm_schedule_total(&t->schedule));
    EHM_FAIL(err, EHM_E_STOPPED, "%s: stopped at step %lld of %lld, checkpoint written", t->cfg.out, (long long)t->step, (long long)ehm_schedule_total(&t->schedule));
    EHM_HINT(err, "the same command with --resume goes on");
    return EHM_E_STOPPED;
}

static ehm_code finish(ehm_train *t, walk *k, ehm_train_result *res, ehm_err *err) {
    char took[32];
    show_progress(t, k, true);
    if (t->saved_at_step != t->step) EHM_TRY(ehm_train_save(t, err));
    EHM_TRY(list_bad(t, k, err));
    EHM_TRY(ehm_train_export(t, err));
    EHM_TRY(call_hooks(t, k, ENDED, false, err));
    EHM_TRY(ehm_run_flush(t->run, err));
    EHM_TRY(ehm_run_set_done(t->run, true, err));
    ehm_train_say(t, EHM_LOG_INFO, "done: %lld steps in %s, %.0f images/s; model.safetensors and encoder.safetensors are in %s", (long long)res->steps_here,
                  ehm_format_seconds(res->seconds, took), res->images_per_s, t->cfg.out);
    return EHM_OK;
}

ehm_code ehm_train_run(ehm_train *t, const ehm_train_hook *hooks, int32_t n_hooks, ehm_train_result *res, ehm_err *err) {
    walk k = {.hooks = hooks, .n_hooks = n_hooks};
    *res = (ehm_train_result){.steps = t->step, .already_done = t->finished};
    if (t->finished) return EHM_OK;
    EHM_ASSERT(t->purpose == EHM_TRAIN_RUN && !t->planned);
    ehm_code rc = begin(t, &k, err);
    while (!rc && t->step < ehm_schedule_total(&t->schedule)) {
        if (ehm_stop_asked()) {
            rc = stopped(t, &k, err);
            break;
        }
        double t0 = ehm_clock_s();
        rc = ehm_train_step(t, &k.out, err);
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
    return rc;
}
