/* Checkpoints of training with labels: all PARAM and STATE of the plan, and tune.json with what must agree before a run goes on. It holds no time, path of
 * ours or thread count, so equal runs write equal checkpoints. */
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "tune/tune_int.h"

static const char part_name[] = "tune.json";

/* Settings that the loop itself reads: what a run had is taken over where nothing else is asked for. */
static bool ours(int32_t i) { return i == EHM_SETI_dtype || i == EHM_SETI_log_every || (i != EHM_SETI_frozen && i != EHM_SETI_save && ehm_in_groups("batch,train,tune", ehm_settings[i].group)); }

/* Settings that the task or its data follow: they must be given again. */
static bool theirs(const ehm_tune *t, int32_t i) {
    static const int32_t some[] = {EHM_SETI_seed, EHM_SETI_model, EHM_SETI_frozen, EHM_SETI_channels, EHM_SETI_alpha, EHM_SETI_limit, EHM_SETI_max_pixels, EHM_SETI_split};
    for (size_t k = 0; k < sizeof some / sizeof some[0]; k++)
        if (some[k] == i) return true;
    return t->setup.groups && ehm_in_groups(t->setup.groups, ehm_settings[i].group);
}

static ehm_code broken(const ehm_tune *t, const char *what, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_FORMAT, "%s: the checkpoint of step %lld lacks %s", t->cfg.out, (long long)t->resume_step, what);
}

static ehm_code adopt(ehm_tune *t, ehm_err *err) {
    const ehm_json *stored = ehm_json_get(t->saved, "settings");
    ehm_str text = {0};
    ehm_code rc = stored ? EHM_OK : broken(t, "the settings", err);
    for (const ehm_json *v = stored ? stored->first : NULL; v && !rc; v = v->next) {
        int32_t i = ehm_setting_find(v->key);
        if (i < 0 || !v->str) continue; /* a setting of a later program */
        const char *mine = ehm_config_text(&t->cfg, i, &text);
        bool given = t->cfg.origin[i] >= EHM_FROM_FILE && strcmp(mine, "auto");
        if (strcmp(mine, v->str) && (given || !ours(i))) {
            rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: the run has %s %s, here it is %s", t->cfg.out, v->key, *v->str ? v->str : "(none)", *mine ? mine : "(none)");
            EHM_HINT(err, "the same command with --resume goes on; another --out starts another run");
        } else if (ours(i) && *v->str) rc = ehm_config_set(&t->cfg, v->key, v->str, EHM_FROM_RESUME, &t->arena, err);
    }
    ehm_str_free(&text);
    return rc;
}

ehm_code ehm_tune_peek(ehm_tune *t, ehm_err *err) {
    ehm_bytes text;
    ehm_err why = {0};
    t->resume_step = ehm_run_is_folder(t->cfg.out) ? ehm_ckpt_newest(t->cfg.out, &why) : -1;
    if (why.code) {
        if (err && !err->code) *err = why;
        return why.code;
    }
    if (t->resume_step < 0) return EHM_OK;
    if (ehm_ckpt_read(&text, t->cfg.out, t->resume_step, part_name, &t->arena, &why)) {
        EHM_FAIL(err, EHM_E_MISMATCH, "%s: its checkpoint is of another kind of run, not of training with labels", t->cfg.out);
        EHM_HINT(err, "--out names another folder");
        return EHM_E_MISMATCH;
    }
    EHM_TRY(ehm_json_parse(&t->saved, (const char *)text.data, text.len, part_name, &t->arena, err));
    EHM_TRY(adopt(t, err));
    t->step = t->resume_step;
    t->batches = ehm_json_i64_or(t->saved, "batches", -1);
    t->schedule.n = 0;
    const ehm_json *list = ehm_json_get(t->saved, "schedule"), *pending = ehm_json_get(t->saved, "fit_pending");
    for (const ehm_json *s = list ? list->first : NULL; s; s = s->next) {
        ehm_schedule_segment g = {ehm_json_i64_or(s, "first_step", 0), ehm_json_i64_or(s, "origin_step", 0), ehm_json_i64_or(s, "total_steps", 0),
                                  ehm_json_num_or(s, "warmup_steps", 0), ehm_json_num_or(s, "lr", 0), ehm_json_num_or(s, "min_lr", 0)};
        EHM_TRY(ehm_schedule_add(&t->schedule, &g, err));
    }
    t->fit.pending = pending && pending->num != 0;
    if (t->batches < t->step || !t->schedule.n) return broken(t, "the schedule", err);
    return EHM_OK;
}

/* The task, its network and its data in one text: what a continuation must have again. */
static void put_identity(const ehm_tune *t, ehm_json_w *w) {
    const ehm_vit_shape *s = &t->info.shape;
    ehm_json_key(w, "task");
    ehm_json_obj(w);
    ehm_json_key(w, "name"), ehm_json_str(w, t->task->name);
    t->task->describe(t->user, w);
    ehm_json_end(w);
    ehm_json_key(w, "shape");
    ehm_json_arr(w);
    const int32_t size[] = {s->img_h, s->img_w, s->channels, s->patch_size, s->embed_dim, s->depth, s->num_heads, s->mlp_dim};
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) ehm_json_i64(w, size[i]);
    ehm_json_end(w);
    ehm_json_key(w, "values");
    ehm_json_arr(w);
    for (int32_t i = 0; i < s->channels; i++) ehm_json_f64(w, t->info.mean[i]), ehm_json_f64(w, t->info.std[i]);
    ehm_json_end(w);
}

static uint64_t kept_hash(const ehm_tune *t) { /* FNV-1a */
    uint64_t h = 0xcbf29ce484222325u;
    for (int64_t i = 0; t->setup.keep && i < t->n_pictures; i++) h = (h ^ (uint64_t)t->setup.keep[i]) * 0x100000001b3u;
    return h;
}

static bool same(const ehm_json *a, const ehm_json *b) {
    if (!a || !b || a->kind != b->kind || a->n != b->n || (a->key && b->key && strcmp(a->key, b->key))) return false;
    if (a->kind == EHM_JSON_STR || a->kind == EHM_JSON_NUM) return !strcmp(a->str, b->str);
    if (a->kind == EHM_JSON_BOOL && a->num != b->num) return false;
    for (a = a->first, b = b->first; a && b; a = a->next, b = b->next)
        if (!same(a, b)) return false;
    return true;
}

ehm_code ehm_tune_check_saved(ehm_tune *t, ehm_err *err) {
    static const struct { const char *key, *what; } part[] = {{"task", "the task, its classes or its head"}, {"shape", "the network's sizes"},
                                                              {"values", "mean and deviation of the pictures"}};
    const ehm_json *data = ehm_json_get(t->saved, "data");
    const char *hash = ehm_json_str_or(data, "hash", ""), *mine = ehm_dataset_hash(t->setup.train);
    ehm_str text = {0};
    ehm_json *root;
    char kept[24];
    snprintf(kept, sizeof kept, "%016llx", (unsigned long long)kept_hash(t));
    if (strcmp(hash, mine) || strcmp(kept, ehm_json_str_or(data, "kept", ""))) {
        int64_t n = ehm_json_i64_or(data, "count", -1);
        if (n != t->n_pictures) EHM_FAIL(err, EHM_E_MISMATCH, "%s: the run was trained on %lld pictures, %s has %lld", t->cfg.out, (long long)n, ehm_dataset_spec(t->setup.train), (long long)t->n_pictures);
        else EHM_FAIL(err, EHM_E_MISMATCH, "%s: the run's pictures are not those of %s: names, labels, sizes or the part held out differ", t->cfg.out, ehm_dataset_spec(t->setup.train));
        EHM_HINT(err, "give the pictures that the run began with, or another --out");
        return EHM_E_MISMATCH;
    }
    ehm_json_w w = {.out = &text};
    ehm_json_obj(&w);
    put_identity(t, &w);
    ehm_json_end(&w);
    ehm_code rc = text.failed ? EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to resume", t->cfg.out) : ehm_json_parse(&root, text.s, text.len, "task", &t->arena, err);
    for (size_t i = 0; !rc && i < sizeof part / sizeof part[0]; i++)
        if (!same(ehm_json_get(root, part[i].key), ehm_json_get(t->saved, part[i].key)))
            rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: %s differ from what the run has", t->cfg.out, part[i].what);
    ehm_str_free(&text);
    return rc;
}

ehm_code ehm_tune_restore(ehm_tune *t, ehm_err *err) {
    EHM_TRY(ehm_plan_state_compare(&t->plan, ehm_json_get(t->saved, "state"), t->cfg.out, err));
    EHM_TRY(ehm_plan_state_load(t->cfg.out, t->resume_step, &t->plan, t->dev, t->chunk, err));
    ehm_meters_get(&t->meters, t->saved);
    ehm_weights_refresh(&t->weights, t->dev);
    t->average_stale = true;
    return ehm_dev_check(t->dev, err);
}

/* ---- saving ---- */

static void put_i64(ehm_json_w *w, const char *key, int64_t v) { ehm_json_key(w, key), ehm_json_i64(w, v); }
static void put_f64(ehm_json_w *w, const char *key, double v) { ehm_json_key(w, key), ehm_json_f64(w, v); }

static void put_schedule(const ehm_tune *t, ehm_json_w *w) {
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
}

static void write_text(ehm_tune *t) {
    char kept[24];
    ehm_str_clear(&t->state_text);
    ehm_json_w writer = {.out = &t->state_text}, *w = &writer;
    snprintf(kept, sizeof kept, "%016llx", (unsigned long long)kept_hash(t));
    ehm_json_obj(w);
    put_i64(w, "format", EHM_RUN_FORMAT);
    put_i64(w, "step", t->step), put_i64(w, "batches", t->batches);
    ehm_json_key(w, "fit_pending"), ehm_json_bool(w, t->fit.pending);
    put_schedule(t, w);
    ehm_json_key(w, "settings");
    ehm_json_obj(w);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
        if (ours(i) || theirs(t, i)) ehm_json_key(w, ehm_settings[i].key), ehm_json_str(w, ehm_config_text(&t->cfg, i, &t->text));
    ehm_json_end(w);
    put_identity(t, w);
    ehm_json_key(w, "data");
    ehm_json_obj(w);
    ehm_json_key(w, "hash"), ehm_json_str(w, ehm_dataset_hash(t->setup.train));
    put_i64(w, "count", t->n_pictures);
    ehm_json_key(w, "kept"), ehm_json_str(w, kept);
    ehm_json_end(w);
    ehm_json_key(w, "state");
    ehm_plan_state_list(&t->plan, w);
    ehm_meters_put(&t->meters, w);
    ehm_json_end(w);
    ehm_str_addc(&t->state_text, '\n');
}

ehm_code ehm_tune_checkpoint(ehm_tune *t, ehm_err *err) {
    double t0 = ehm_clock_s();
    EHM_TRY(ehm_run_flush(t->run, err)); /* lines up to this step are on the disk before the checkpoint that counts on them */
    write_text(t);
    if (t->state_text.failed || t->text.failed) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory for a checkpoint's text", t->cfg.out);
    ehm_ckpt_begin(t->run, t->step);
    ehm_ckpt_part_begin(t->run, part_name);
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

ehm_code ehm_tune_write_config(ehm_tune *t, ehm_err *err) {
    ehm_str text = {0};
    ehm_arena a = {0};
    ehm_json_w writer = {.out = &text, .indent = 1}, *w = &writer;
    char *groups = ehm_arena_printf(&a, "common,use,eval,channels,read," EHM_TUNE_GROUPS "%s%s", t->setup.groups ? "," : "", t->setup.groups ? t->setup.groups : "");
    const ehm_vit_shape *s = &t->info.shape;
    ehm_json_obj(w);
    put_i64(w, "format", EHM_RUN_FORMAT);
    ehm_json_key(w, "version"), ehm_json_str(w, EHM_VERSION);
    ehm_json_key(w, "settings");
    ehm_json_obj(w);
    if (groups) ehm_config_write(&t->cfg, groups, true, w);
    ehm_json_end(w);
    ehm_json_key(w, "task");
    ehm_json_obj(w);
    ehm_json_key(w, "name"), ehm_json_str(w, t->task->name);
    t->task->describe(t->user, w);
    ehm_json_end(w);
    ehm_json_key(w, "shape");
    ehm_json_obj(w);
    put_i64(w, "img_h", s->img_h), put_i64(w, "img_w", s->img_w), put_i64(w, "channels", s->channels), put_i64(w, "patch_size", s->patch_size);
    put_i64(w, "embed_dim", s->embed_dim), put_i64(w, "depth", s->depth), put_i64(w, "num_heads", s->num_heads), put_i64(w, "mlp_dim", s->mlp_dim);
    put_i64(w, "decoder_embed_dim", 0), put_i64(w, "decoder_depth", 0), put_i64(w, "decoder_num_heads", 0), put_i64(w, "decoder_mlp_dim", 0);
    ehm_json_end(w);
    ehm_json_key(w, "data");
    ehm_json_obj(w);
    ehm_json_key(w, "hash"), ehm_json_str(w, ehm_dataset_hash(t->setup.train));
    put_i64(w, "count", t->n_kept);
    put_i64(w, "classes", ehm_dataset_n_classes(t->setup.train));
    ehm_json_key(w, "mean");
    ehm_json_arr(w);
    for (int32_t i = 0; i < s->channels; i++) ehm_json_f64(w, t->info.mean[i]);
    ehm_json_end(w);
    ehm_json_key(w, "std");
    ehm_json_arr(w);
    for (int32_t i = 0; i < s->channels; i++) ehm_json_f64(w, t->info.std[i]);
    ehm_json_end(w);
    ehm_json_end(w);
    put_schedule(t, w);
    ehm_json_key(w, "machine");
    ehm_json_obj(w);
    ehm_json_key(w, "device"), ehm_json_str(w, ehm_dev_name(t->dev));
    ehm_json_key(w, "describe"), ehm_json_str(w, ehm_dev_describe(t->dev));
    put_i64(w, "threads", t->n_threads), put_i64(w, "processors", ehm_cpu_count()), put_i64(w, "memory_bytes", ehm_memory_limit());
    ehm_json_end(w);
    ehm_json_end(w);
    ehm_str_addc(&text, '\n');
    char *path = ehm_run_path(t->run, "config.json", &a);
    ehm_code rc = text.failed || !path || !groups ? EHM_FAIL(err, EHM_E_MEMORY, "%s/config.json: no memory", t->cfg.out) : ehm_file_write(path, text.s, text.len, err);
    ehm_str_free(&text);
    ehm_arena_free(&a);
    return rc;
}
