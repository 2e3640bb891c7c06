/* Checkpoints of training: what is written, and what must agree before a run goes on. A checkpoint is all PARAM and STATE of the plan
 * (state.bin, each entry padded to 64 bytes) and train.json: step, schedule, settings that decide the result, data, shape, meters. It
 * holds no time, path or thread count, so equal runs write equal checkpoints. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "train/train_int.h"

/* Does setting i decide the numbers of a run? The rest may differ between a run and its continuation. */
static bool decides(int32_t i) {
    static const int32_t common[] = {EHM_SETI_seed, EHM_SETI_dtype, EHM_SETI_channels, EHM_SETI_alpha, EHM_SETI_limit, EHM_SETI_max_pixels, EHM_SETI_log_every};
    for (size_t k = 0; k < sizeof common / sizeof common[0]; k++)
        if (common[k] == i) return true;
    return ehm_in_groups("size,fit,crop,transform,model,patch,heads,recipe,mask,tree,linkage,progress,live,batch,train", ehm_settings[i].group);
}

static const struct { const char *name; size_t offset; } shape_fields[] = {
#define FIELD(f) {#f, offsetof(ehm_vit_shape, f)}
    FIELD(img_h), FIELD(img_w), FIELD(channels), FIELD(patch_size), FIELD(embed_dim), FIELD(depth), FIELD(num_heads), FIELD(mlp_dim),
    FIELD(decoder_embed_dim), FIELD(decoder_depth), FIELD(decoder_num_heads), FIELD(decoder_mlp_dim)
#undef FIELD
};
enum { SHAPE_FIELDS = sizeof shape_fields / sizeof shape_fields[0] };

static int32_t shape_field(const ehm_vit_shape *s, int i) {
    int32_t v;
    memcpy(&v, (const char *)s + shape_fields[i].offset, sizeof v);
    return v;
}

/* ---- adopting ---- */

static ehm_code broken(const ehm_train *t, const char *what, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_FORMAT, "%s: the checkpoint of step %lld lacks %s", t->cfg.out, (long long)t->resume_step, what);
}

static bool same_value(int32_t i, const char *stored, const char *given) {
    int32_t h, w, h2, w2;
    if (i == EHM_SETI_img_size && ehm_parse_size(stored, &h, &w) && ehm_parse_size(given, &h2, &w2)) return h == h2 && w == w2;
    return !strcmp(stored, given);
}

static ehm_code adopt_settings(ehm_train *t, ehm_err *err) {
    const ehm_json *stored = ehm_json_get(t->saved, "settings");
    ehm_str given = {0};
    ehm_code rc = stored ? EHM_OK : broken(t, "the settings", err);
    for (const ehm_json *v = stored ? stored->first : NULL; v && !rc; v = v->next) {
        int32_t i = ehm_setting_find(v->key);
        if (i < 0 || !v->str) continue; /* a setting of a later program */
        const char *mine = ehm_config_text(&t->cfg, i, &given);
        ehm_origin from = (ehm_origin)t->cfg.origin[i];
        if ((from == EHM_FROM_FILE || from == EHM_FROM_FLAG) && strcmp(mine, "auto") && !same_value(i, v->str, mine)) {
            rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: the run has %s %s, but %s is given", t->cfg.out, v->key, v->str, mine);
            EHM_HINT(err, "%s", i == EHM_SETI_epochs || i == EHM_SETI_steps ? "leave it out to go on as planned; --extend N adds epochs to a finished run"
                                                                            : "leave it out to go on as the run was, or use another --out");
        } else if (*v->str) rc = ehm_config_set(&t->cfg, v->key, v->str, EHM_FROM_RESUME, &t->arena, err);
    }
    ehm_str_free(&given);
    return rc;
}

/* The settings of the run's config.json, NULL when there are none. */
static const ehm_json *stored_config(ehm_train *t) {
    ehm_json *root;
    ehm_err ignored = {0};
    char *path = ehm_path_join(&t->arena, t->cfg.out, "config.json");
    if (!path || ehm_json_read_file(&root, path, &t->arena, &ignored)) return NULL;
    return ehm_json_get(root, "settings");
}

static const ehm_json *config_value(ehm_train *t, const char *key) { return ehm_json_get(ehm_json_get(stored_config(t), key), "value"); }

void ehm_train_adopt_origins(ehm_train *t) {
    const ehm_json *settings = stored_config(t);
    for (const ehm_json *v = settings ? settings->first : NULL; v; v = v->next) {
        int32_t i = ehm_setting_find(v->key);
        if (i < 0 || t->cfg.origin[i] != EHM_FROM_RESUME) continue;
        for (int o = EHM_FROM_DEFAULT; o <= EHM_FROM_RESUME; o++)
            if (!strcmp(ehm_origin_name((ehm_origin)o), ehm_json_str_or(v, "origin", ""))) t->cfg.origin[i] = (uint8_t)o;
    }
}

ehm_code ehm_train_peek(ehm_train *t, ehm_err *err) {
    ehm_bytes text;
    ehm_err why = {0};
    bool extend = !ehm_is_auto_f64(t->cfg.extend);
    t->resume_step = ehm_run_is_folder(t->cfg.out) ? ehm_ckpt_newest(t->cfg.out, &why) : -1;
    if (why.code) {
        if (err && !err->code) *err = why;
        return why.code;
    }
    if (t->resume_step < 0) {
        if (!extend) return EHM_OK;
        EHM_FAIL(err, EHM_E_CONFIG, "%s: holds no finished run, so there is nothing to extend", t->cfg.out);
        EHM_HINT(err, "--epochs sets the length of a new run");
        return EHM_E_CONFIG;
    }
    EHM_TRY(ehm_ckpt_read(&text, t->cfg.out, t->resume_step, "train.json", &t->arena, err));
    EHM_TRY(ehm_json_parse(&t->saved, (const char *)text.data, text.len, "train.json", &t->arena, err));
    EHM_TRY(adopt_settings(t, err));
    int64_t total = -1;
    const ehm_json *segs = ehm_json_get(t->saved, "schedule");
    for (const ehm_json *s = segs ? segs->first : NULL; s; s = s->next) total = ehm_json_i64_or(s, "origin_step", 0) + ehm_json_i64_or(s, "total_steps", 0);
    if (total < 1) return broken(t, "the schedule", err);
    bool at_end = t->resume_step >= total;
    if (extend && !at_end) {
        EHM_FAIL(err, EHM_E_CONFIG, "%s: the run is at step %lld of %lld; only a finished one is extended", t->cfg.out, (long long)t->resume_step, (long long)total);
        EHM_HINT(err, "--resume goes on with it");
        return EHM_E_CONFIG;
    }
    t->step = t->resume_step;
    t->facts.total_steps = total;
    t->finished = at_end && !extend && ehm_run_is_done(t->cfg.out);
    if (!t->cfg.data.n) {
        const ehm_json *data = config_value(t, "data");
        for (const ehm_json *d = data ? data->first : NULL; d; d = d->next)
            if (d->str) EHM_TRY(ehm_config_set(&t->cfg, "data", d->str, EHM_FROM_RESUME, &t->arena, err));
    }
    return EHM_OK;
}

ehm_code ehm_train_check_saved(ehm_train *t, ehm_err *err) {
    const ehm_json *data = ehm_json_get(t->saved, "data"), *shape = ehm_json_get(t->saved, "shape");
    const char *hash = ehm_json_str_or(data, "hash", ""), *mine = ehm_dataset_hash(t->ds);
    if (strcmp(hash, mine)) {
        int64_t n = ehm_json_i64_or(data, "count", -1);
        if (n != t->facts.n_pictures) EHM_FAIL(err, EHM_E_MISMATCH, "%s: the run was trained on %lld pictures, %s has %lld", t->cfg.out, (long long)n, ehm_dataset_spec(t->ds), (long long)t->facts.n_pictures);
        else EHM_FAIL(err, EHM_E_MISMATCH, "%s: the run's pictures have index hash %.16s, those of %s have %.16s: names, labels or sizes differ", t->cfg.out, hash, ehm_dataset_spec(t->ds), mine);
        EHM_HINT(err, "give the data that the run began with, or start another run with --init %s", t->cfg.out);
        return EHM_E_MISMATCH;
    }
    for (int i = 0; i < SHAPE_FIELDS; i++) {
        int64_t want = ehm_json_i64_or(shape, shape_fields[i].name, -1), have = shape_field(&t->facts.shape, i);
        if (want != have) return EHM_FAIL(err, EHM_E_MISMATCH, "%s: the run has %s %lld, here it would be %lld", t->cfg.out, shape_fields[i].name, (long long)want, (long long)have);
    }
    const ehm_json *threads = config_value(t, "threads"), *device = config_value(t, "device");
    if (device && device->str && strcmp(device->str, ehm_dev_name(t->dev)))
        ehm_train_say(t, EHM_LOG_WARN, "the run was computed on device %s, it goes on on %s; the last digits will differ", device->str, ehm_dev_name(t->dev));
    else if (threads && threads->is_int && threads->i64 != t->cfg.threads && !ehm_dev_same_bits_any_threads(t->dev))
        ehm_train_say(t, EHM_LOG_WARN, "the run was computed by %lld threads, it goes on with %lld; the last digits may differ", (long long)threads->i64, (long long)t->cfg.threads);
    return EHM_OK;
}

ehm_code ehm_train_resume_schedule(ehm_train *t, ehm_err *err) {
    const ehm_json *segs = ehm_json_get(t->saved, "schedule");
    t->schedule.n = 0;
    for (const ehm_json *s = segs ? segs->first : NULL; s; s = s->next) {
        ehm_schedule_segment g = {ehm_json_i64_or(s, "first_step", 0), ehm_json_i64_or(s, "origin_step", 0), ehm_json_i64_or(s, "total_steps", 0),
                                  ehm_json_num_or(s, "warmup_steps", 0), ehm_json_num_or(s, "lr", 0), ehm_json_num_or(s, "min_lr", 0)};
        EHM_TRY(ehm_schedule_add(&t->schedule, &g, err));
    }
    const ehm_json *pending = ehm_json_get(t->saved, "fit_pending");
    t->fit.pending = pending && pending->num != 0;
    if (ehm_is_auto_f64(t->cfg.extend)) return EHM_OK;
    double steps_per_epoch = (double)t->facts.batches_per_epoch / (double)t->cfg.accum_iter, n = floor(t->cfg.extend * steps_per_epoch + 1e-9);
    if (n < 1 || n > 9e15) {
        EHM_FAIL(err, EHM_E_CONFIG, "--extend %g: not a single step; an epoch has %g", t->cfg.extend, steps_per_epoch);
        return EHM_E_CONFIG;
    }
    double warmup = 0.05 * n < 40 * steps_per_epoch ? 0.05 * n : 40 * steps_per_epoch;
    ehm_schedule_segment g = {t->resume_step, t->resume_step, (int64_t)n, warmup, t->cfg.lr, t->cfg.min_lr};
    t->extended = true;
    t->fit.pending = false;
    ehm_train_say(t, EHM_LOG_NOTE, "extending from step %lld by %lld steps (%g epochs) with a new warm-up of %.0f steps and a new cosine", (long long)t->resume_step, (long long)n, t->cfg.extend, warmup);
    return ehm_schedule_add(&t->schedule, &g, err);
}

/* ---- restoring ---- */

ehm_code ehm_train_restore(ehm_train *t, ehm_err *err) {
    EHM_TRY(ehm_plan_state_compare(&t->plan, ehm_json_get(t->saved, "state"), t->cfg.out, err));
    EHM_TRY(ehm_plan_state_load(t->cfg.out, t->resume_step, &t->plan, t->dev, t->chunk, err));
    ehm_method_restored(t->method, t->dev);
    int32_t n = 0, i = 0;
    double *meters = ehm_method_meters(t->method, &n);
    const ehm_json *kept = ehm_json_get(t->saved, "method_meters");
    for (const ehm_json *v = kept ? kept->first : NULL; v && i < n; v = v->next) meters[i++] = v->num;
    ehm_meters_get(&t->meters, t->saved);
    return ehm_dev_check(t->dev, err);
}

/* ---- saving ---- */

static void put_i64(ehm_json_w *w, const char *key, int64_t v) { ehm_json_key(w, key), ehm_json_i64(w, v); }
static void put_f64(ehm_json_w *w, const char *key, double v) { ehm_json_key(w, key), ehm_json_f64(w, v); }

static void write_state_text(ehm_train *t) {
    ehm_str_clear(&t->state_text);
    ehm_json_w writer = {.out = &t->state_text}, *w = &writer;
    ehm_json_obj(w);
    put_i64(w, "format", EHM_RUN_FORMAT);
    put_i64(w, "step", t->step);
    ehm_json_key(w, "fit_pending"), ehm_json_bool(w, t->fit.pending);
    ehm_json_key(w, "schedule");
    ehm_json_arr(w);
    for (int32_t i = 0; i < t->schedule.n; i++) {
        const ehm_schedule_segment *g = &t->schedule.seg[i];
        ehm_json_obj(w);
        put_i64(w, "first_step", g->first_step), put_i64(w, "origin_step", g->origin_step), put_i64(w, "total_steps", g->total_steps);
        put_f64(w, "warmup_steps", g->warmup_steps), put_f64(w, "lr", g->lr), put_f64(w, "min_lr", g->min_lr);
        ehm_json_end(w);
    }
    ehm_json_end(w);
    ehm_json_key(w, "settings");
    ehm_json_obj(w);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
        if (decides(i)) ehm_json_key(w, ehm_settings[i].key), ehm_json_str(w, ehm_config_text(&t->cfg, i, &t->text));
    ehm_json_end(w);
    ehm_json_key(w, "data");
    ehm_json_obj(w);
    ehm_json_key(w, "hash"), ehm_json_str(w, ehm_dataset_hash(t->ds));
    put_i64(w, "count", t->facts.n_pictures);
    ehm_json_end(w);
    ehm_json_key(w, "shape");
    ehm_json_obj(w);
    for (int i = 0; i < SHAPE_FIELDS; i++) put_i64(w, shape_fields[i].name, shape_field(&t->facts.shape, i));
    ehm_json_end(w);
    ehm_json_key(w, "state");
    ehm_plan_state_list(&t->plan, w);
    ehm_meters_put(&t->meters, w);
    int32_t n_meters;
    const double *meters = ehm_method_meters(t->method, &n_meters);
    ehm_json_key(w, "method_meters");
    ehm_json_arr(w);
    for (int32_t i = 0; i < n_meters; i++) ehm_json_f64(w, meters[i]);
    ehm_json_end(w);
    ehm_json_end(w);
    ehm_str_addc(&t->state_text, '\n');
}

ehm_code ehm_train_save(ehm_train *t, ehm_err *err) {
    double t0 = ehm_clock_s();
    EHM_TRY(ehm_run_flush(t->run, err)); /* lines up to this step are on the disk before the checkpoint that counts on them */
    write_state_text(t);
    if (t->state_text.failed || t->text.failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for a checkpoint's text", t->cfg.out);
    ehm_ckpt_begin(t->run, t->step);
    ehm_ckpt_part_begin(t->run, "train.json");
    ehm_ckpt_part_add(t->run, t->state_text.s, t->state_text.len);
    ehm_plan_state_save(t->run, &t->plan, t->dev, t->chunk);
    ehm_code rc = ehm_dev_check(t->dev, err);
    if (rc) {
        ehm_ckpt_abort(t->run); /* what a failed device gave is not the state */
        return rc;
    }
    EHM_TRY(ehm_ckpt_commit(t->run, t->cfg.keep, err));
    t->saved_at_step = t->step;
    t->saved_at_s = ehm_clock_s();
    t->save_cost_s = t->saved_at_s - t0;
    return EHM_OK;
}
