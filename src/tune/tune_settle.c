/* Every choice before step 1: what says "auto" is resolved from method, data and machine, each with its reason; what cannot work is refused here. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "tune/tune_int.h"

void ehm_tune_say(ehm_tune *t, ehm_log_level level, const char *fmt, ...) {
    char text[3072];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ehm_log(level, "%s", text);
    if (t->run) ehm_run_note(t->run, text);
    else ehm_str_add(&t->early, text), ehm_str_addc(&t->early, '\n');
}

static bool is_auto(const char *s) { return !s || !strcmp(s, "auto"); }
static bool chosen(const ehm_tune *t, int32_t i) { return t->cfg.origin[i] != EHM_FROM_DEFAULT; }

/* ---- machine ---- */

ehm_code ehm_tune_open_device(ehm_tune *t, ehm_err *err) {
    ehm_config *c = &t->cfg;
    int32_t allowed = ehm_cpu_count();
    if (EHM_IS_AUTO(c->threads)) {
        ehm_config_put_i64(c, EHM_SETI_threads, allowed, EHM_FROM_MACHINE);
        t->why[EHM_SETI_threads] = "processors this process may use";
    } else if (c->threads > allowed)
        ehm_tune_say(t, EHM_LOG_WARN, "--threads %lld: this process may use %d processors, so threads will wait for each other", (long long)c->threads, (int)allowed);
    EHM_TRY(ehm_dev_open(&t->dev, c->device, (int32_t)c->threads, err));
    if (ehm_dev_real(t->dev) != EHM_F32) {
        EHM_FAIL(err, EHM_E_CONFIG, "--device %s is for checks of gradients, it does not train", c->device);
        EHM_HINT(err, "--device auto");
        return EHM_E_CONFIG;
    }
    if (is_auto(c->device)) ehm_config_put_str(c, EHM_SETI_device, ehm_dev_name(t->dev), EHM_FROM_MACHINE);
    t->why[EHM_SETI_device] = ehm_dev_describe(t->dev);
    if (is_auto(c->dtype)) {
        bool fast = ehm_dev_fast_bf16(t->dev);
        ehm_config_put_str(c, EHM_SETI_dtype, fast ? "bf16" : "f32", EHM_FROM_MACHINE);
        t->why[EHM_SETI_dtype] = fast ? "this processor multiplies bf16" : "this processor does not multiply bf16";
    }
    if (strcmp(c->dtype, "bf16") && strcmp(c->dtype, "f32")) return EHM_FAIL(err, EHM_E_CONFIG, "--dtype %s: must be auto, f32 or bf16", c->dtype);
    t->act = !strcmp(c->dtype, "bf16") ? EHM_BF16 : EHM_F32;
    if (EHM_IS_AUTO(c->workers)) {
        ehm_config_put_i64(c, EHM_SETI_workers, c->threads, EHM_FROM_MACHINE);
        t->why[EHM_SETI_workers] = "as many as compute threads";
    }
    t->n_threads = (int32_t)c->threads, t->n_workers = (int32_t)c->workers;
    return EHM_OK;
}

/* ---- model ---- */

static ehm_code settle_model(ehm_tune *t, ehm_err *err) {
    if (!t->cfg.model) {
        EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder, a safetensors file, untrained:RUN or untrained:PRESET");
        return EHM_E_CONFIG;
    }
    EHM_TRY(ehm_model_source_open(&t->source, t->cfg.model, err));
    t->source_open = true;
    if (t->source.ckpt_run) {
        EHM_FAIL(err, EHM_E_CONFIG, "%s: a run that has not finished can be looked at, but not trained on with labels", t->cfg.model);
        EHM_HINT(err, "ehm pretrain --resume --out %s finishes it", t->source.ckpt_run);
        return EHM_E_CONFIG;
    }
    t->info = t->source.info;
    t->info.has_decoder = false;
    ehm_vit_shape *s = &t->info.shape;
    s->decoder_embed_dim = s->decoder_depth = s->decoder_num_heads = s->decoder_mlp_dim = 0;
    if (t->setup.img_h > 0) s->img_h = t->setup.img_h, s->img_w = t->setup.img_w;
    EHM_TRY(ehm_vit_shape_check(s, err));
    if (ehm_dataset_channels(t->setup.train) != s->channels)
        return EHM_FAIL(err, EHM_E_MISMATCH, "%s: pictures of %d channels, but the model takes %d", ehm_dataset_spec(t->setup.train),
                        (int)ehm_dataset_channels(t->setup.train), (int)s->channels);
    t->n_pictures = ehm_dataset_count(t->setup.train);
    for (int64_t i = 0; i < t->n_pictures; i++) t->n_kept += !t->setup.keep || t->setup.keep[i];
    if (!t->n_kept) return EHM_FAIL(err, EHM_E_CONFIG, "%s: there is no picture to learn from", ehm_dataset_spec(t->setup.train));
    return EHM_OK;
}

/* Of MAE's fine-tuning, where the table of settings has pre-training's. */
static void settle_method(ehm_tune *t) {
    static const ehm_own_setting own[] = {EHM_TUNE_OWN, {.i = EHM_SETTINGS_N}};
    static const char source[] = EHM_TUNE_SOURCE;
    ehm_config *c = &t->cfg;
    bool scratch = t->source.untrained && !t->source.file;
    ehm_config_put_own(c, own);
    for (const ehm_own_setting *o = own; o->i < EHM_SETTINGS_N; o++)
        if (o->source && !chosen(t, o->i)) t->why[o->i] = o->source;
    if (ehm_is_auto_f64(c->layer_decay)) {
        ehm_config_put_f64(c, EHM_SETI_layer_decay, scratch || t->setup.frozen ? 1 : 0.75, EHM_FROM_DEFAULT);
        t->why[EHM_SETI_layer_decay] = t->setup.frozen ? "the encoder is frozen" : scratch ? "all layers start from scratch" : source;
    }
    if (ehm_is_auto_f64(c->drop_path)) {
        ehm_config_put_f64(c, EHM_SETI_drop_path, t->setup.frozen ? 0 : 0.1, EHM_FROM_DEFAULT);
        t->why[EHM_SETI_drop_path] = t->setup.frozen ? "the encoder is frozen" : source;
    }
}

static ehm_code check_frozen(const ehm_tune *t, ehm_err *err) {
    const ehm_config *c = &t->cfg;
    if (!t->setup.frozen) return EHM_OK;
    if (c->drop_path > 0) return EHM_FAIL(err, EHM_E_CONFIG, "--drop-path %g needs an encoder that learns, and --frozen keeps it", c->drop_path);
    if (c->layer_decay < 1) return EHM_FAIL(err, EHM_E_CONFIG, "--layer-decay %g needs an encoder that learns, and --frozen keeps it", c->layer_decay);
    return EHM_OK;
}

/* ---- batch and memory ---- */

static size_t needed(const ehm_tune *t) {
    const ehm_vit_shape *s = &t->info.shape;
    size_t value = ehm_dataset_is_u8(t->setup.train) && !t->setup.loader.as_f32 && !(t->setup.loader.erase > 0) ? 1 : 4, n = 0;
    size_t loader = (size_t)t->cfg.batch_size * (size_t)s->img_h * (size_t)s->img_w * (size_t)s->channels * value * ((size_t)t->n_workers + 2);
    for (int32_t i = 0; i < EHM_MEM_KINDS; i++) n += t->bytes[i];
    n += loader;
    return n + n / 10; /* packed copies of weights, the pictures being decoded, the program */
}

static bool fits(const ehm_tune *t) { return t->memory_available <= 0 || needed(t) <= (size_t)t->memory_available; }

static ehm_code too_large(ehm_tune *t, ehm_err *err) {
    char need[32], have[32];
    EHM_FAIL(err, EHM_E_MEMORY, "a batch of %lld pictures needs %s, %s are free", (long long)t->cfg.batch_size, ehm_format_bytes((double)needed(t), need),
             ehm_format_bytes((double)t->memory_available, have));
    if (t->cfg.batch_size > 1)
        EHM_HINT(err, "--batch-size %lld with --accum-iter %lld keeps the step as large", (long long)(t->cfg.batch_size / 2), (long long)(2 * t->cfg.accum_iter));
    return EHM_E_MEMORY;
}

/* Small sets get small batches, so that an epoch has some steps: the largest power of two in a sixteenth of the set, 8 to 256. */
static int64_t batch_of(int64_t n) {
    int64_t b = 1;
    while (b * 2 <= n && (b < 8 || b * 2 <= n / 16) && b < 256) b *= 2;
    return b;
}

static ehm_code settle_batch(ehm_tune *t, ehm_err *err) {
    ehm_config *c = &t->cfg;
    char need[32], have[32];
    bool own; /* a GPU's memory holds no decoded pictures */
    t->memory_available = ehm_dev_available(t->dev, &own);
    if (!own) t->memory_available -= (int64_t)t->cache_bytes;
    bool automatic = EHM_IS_AUTO(c->batch_size), lower = false;
    if (automatic) c->batch_size = batch_of(t->n_kept < t->n_pictures ? t->n_kept : t->n_pictures);
    if (c->batch_size > t->n_pictures) {
        EHM_FAIL(err, EHM_E_CONFIG, "--batch-size %lld is more than the %lld pictures there are", (long long)c->batch_size, (long long)t->n_pictures);
        EHM_HINT(err, "a batch of at most %lld, or more pictures", (long long)t->n_pictures);
        return EHM_E_CONFIG;
    }
    if (c->batch_size * (1 + (int64_t)t->info.shape.n_patches) > INT32_MAX / 4)
        return EHM_FAIL(err, EHM_E_CONFIG, "--batch-size %lld of %d patches each is too large", (long long)c->batch_size, (int)t->info.shape.n_patches);
    EHM_TRY(ehm_tune_net_open(t, err));
    for (;; lower = true, c->batch_size /= 2) {
        EHM_TRY(ehm_tune_net_estimate(t, (int32_t)c->batch_size, t->bytes, err));
        if (fits(t) || !automatic || c->batch_size == 1) break;
    }
    int64_t look = EHM_IS_AUTO(c->eval_batch_size) ? (c->batch_size < 64 ? c->batch_size : 64) : c->eval_batch_size;
    EHM_TRY(ehm_tune_net_passes(t, (int32_t)c->batch_size, (int32_t)look, err));
    EHM_TRY(ehm_tune_net_count(t, err));
    if (!fits(t)) return too_large(t, err);
    if (automatic) {
        ehm_config_put_i64(c, EHM_SETI_batch_size, c->batch_size, lower ? EHM_FROM_MACHINE : EHM_FROM_DATA);
        t->why[EHM_SETI_batch_size] = ehm_arena_printf(&t->arena, "%s; needs %s of %s free", lower ? "the largest that fits memory" : "a sixteenth of the set, 8 to 256",
                                                       ehm_format_bytes((double)needed(t), need), ehm_format_bytes((double)t->memory_available, have));
    }
    return EHM_OK;
}

static ehm_code settle_cache(ehm_tune *t, ehm_err *err) {
    ehm_config *c = &t->cfg;
    int64_t free_bytes = ehm_memory_available(), bytes = 0;
    ehm_data_summary sum;
    if (is_auto(c->cache_memory)) {
        char b[32];
        EHM_TRY(ehm_dataset_summary(t->setup.train, &sum, err));
        double all = (double)sum.max_w * sum.max_h * t->info.shape.channels * (ehm_dataset_is_u8(t->setup.train) ? 1 : 4) * (double)t->n_pictures;
        bool fit = free_bytes > 0 && all <= (double)free_bytes / 4;
        bytes = fit ? (int64_t)all + (1 << 20) : 0;
        ehm_config_put_str(c, EHM_SETI_cache_memory, ehm_arena_printf(&t->arena, "%lld", (long long)bytes), EHM_FROM_MACHINE);
        t->why[EHM_SETI_cache_memory] = ehm_arena_printf(&t->arena, "decoded, the set takes at most %s, %s a quarter of what is free", ehm_format_bytes(all, b), fit ? "less than" : "more than");
        if (!c->cache_memory) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to begin");
    } else if (!ehm_parse_bytes(c->cache_memory, &bytes) || bytes < 0)
        return EHM_FAIL(err, EHM_E_CONFIG, "--cache-memory %s: must be auto, 0 or a size such as 2G", c->cache_memory);
    else if (free_bytes > 0 && bytes > free_bytes) {
        char b[32], f[32];
        EHM_FAIL(err, EHM_E_MEMORY, "--cache-memory %s: %s are more than the %s that are free", c->cache_memory, ehm_format_bytes((double)bytes, b), ehm_format_bytes((double)free_bytes, f));
        EHM_HINT(err, "--cache-memory auto");
        return EHM_E_MEMORY;
    }
    t->cache_bytes = (size_t)bytes;
    return EHM_OK;
}

/* ---- length ---- */

double ehm_tune_epoch_of(const ehm_tune *t, int64_t step) { return (double)(step * t->cfg.accum_iter) / (double)t->batches_per_epoch; }

static ehm_code settle_length(ehm_tune *t, ehm_err *err) {
    ehm_config *c = &t->cfg;
    if (ehm_is_auto_f64(c->lr)) {
        /* The linear rule is for large batches; the small ones of small sets would hardly move. For Adam the root is the better rule below 256. */
        double share = (double)(c->batch_size * c->accum_iter) / 256.0;
        bool root = !chosen(t, EHM_SETI_blr) && share < 1;
        ehm_config_put_f64(c, EHM_SETI_lr, c->blr * (root ? sqrt(share) : share), EHM_FROM_DATA);
        t->why[EHM_SETI_lr] = ehm_arena_printf(&t->arena, root ? "blr %g * sqrt(%lld / 256): small batch (Malladi et al. 2022); --blr scales linearly" : "blr %g * %lld / 256",
                                               c->blr, (long long)(c->batch_size * c->accum_iter));
    }
    if (c->min_lr > c->lr && chosen(t, EHM_SETI_min_lr)) ehm_tune_say(t, EHM_LOG_WARN, "--min-lr %g is more than the rate %g it ends from", c->min_lr, c->lr);
    if (EHM_IS_AUTO(c->log_every)) ehm_config_put_i64(c, EHM_SETI_log_every, 10, EHM_FROM_DEFAULT);
    t->batches_per_epoch = t->n_pictures / c->batch_size;
    double per_epoch = (double)t->batches_per_epoch / (double)c->accum_iter, warmup;
    if (t->resume_step < 0 && !EHM_IS_AUTO(c->steps)) {
        if (c->origin[EHM_SETI_epochs] == EHM_FROM_FLAG && c->origin[EHM_SETI_steps] == EHM_FROM_FLAG) {
            EHM_FAIL(err, EHM_E_CONFIG, "--epochs %g and --steps %lld are two lengths", c->epochs, (long long)c->steps);
            EHM_HINT(err, "give one of them");
            return EHM_E_CONFIG;
        }
        ehm_config_put_f64(c, EHM_SETI_epochs, (double)c->steps / per_epoch, EHM_FROM_DATA);
        c->epochs = (double)c->steps / per_epoch, c->origin[EHM_SETI_epochs] = EHM_FROM_DATA;
        t->why[EHM_SETI_epochs] = "from the steps";
    } else if (EHM_IS_AUTO(c->steps)) {
        double total = floor(c->epochs * per_epoch + 1e-9);
        if (total > 9e15) return EHM_FAIL(err, EHM_E_CONFIG, "--epochs %g: more steps than can be counted", c->epochs);
        ehm_config_put_i64(c, EHM_SETI_steps, total < 1 ? 1 : (int64_t)total, EHM_FROM_DATA);
        t->why[EHM_SETI_steps] = ehm_arena_printf(&t->arena, "%g epoch%s of %lld pictures", c->epochs, c->epochs == 1 ? "" : "s", (long long)t->n_pictures);
    }
    if (ehm_is_auto_f64(c->warmup_epochs)) {
        warmup = 0.05 * (double)c->steps;
        ehm_config_put_f64(c, EHM_SETI_warmup_epochs, warmup / per_epoch, EHM_FROM_DATA);
        t->why[EHM_SETI_warmup_epochs] = "5 % of the steps";
    } else
        warmup = c->warmup_epochs * per_epoch;
    if (t->resume_step < 0) {
        ehm_schedule_init(&t->schedule, c->steps, warmup, c->lr, c->min_lr < c->lr ? c->min_lr : c->lr);
        t->fit.pending = !ehm_is_auto_f64(c->max_minutes);
        if (t->fit.pending) t->why[EHM_SETI_steps] = "provisional: fitted to --max-minutes once the speed is measured";
    }
    t->total_steps = ehm_schedule_total(&t->schedule);
    if (!ehm_is_auto_f64(c->save_every) && !EHM_IS_AUTO(c->save_steps))
        return EHM_FAIL(err, EHM_E_CONFIG, "--save-every %g (minutes) and --save-steps %lld are two intervals; give one", c->save_every, (long long)c->save_steps);
    return EHM_OK;
}

static ehm_code settle_disk(ehm_tune *t, ehm_err *err) {
    int64_t ckpt = (int64_t)(t->bytes[EHM_MEM_PARAM] + t->bytes[EHM_MEM_STATE]) + 65536;
    int64_t need = ckpt * (t->cfg.keep + 1) + (int64_t)t->bytes[EHM_MEM_PARAM] + (8 << 20), have = t->cfg.out ? ehm_disk_free(t->cfg.out) : -1;
    char n[32], h[32], one[32];
    if (have < 0 || have >= need) return EHM_OK;
    EHM_FAIL(err, EHM_E_IO, "%s: the run needs %s (%lld checkpoints of %s and one being written), %s are free", t->cfg.out, ehm_format_bytes((double)need, n),
             (long long)t->cfg.keep, ehm_format_bytes((double)ckpt, one), ehm_format_bytes((double)have, h));
    EHM_HINT(err, t->cfg.keep > 1 ? "--keep 1, or --out on another disk" : "--out on another disk");
    return EHM_E_IO;
}

/* ---- the run folder ---- */

static ehm_code look_at_folder(ehm_tune *t, ehm_err *err) {
    ehm_config *c = &t->cfg;
    if (!c->out) {
        for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
            if (ehm_in_groups("folder,overwrite", ehm_settings[i].group) && t->cfg.origin[i] == EHM_FROM_FLAG) {
                char flag[64];
                snprintf(flag, sizeof flag, "%s", ehm_settings[i].key);
                for (char *p = flag; *p; p++) *p = *p == '_' ? '-' : *p;
                EHM_FAIL(err, EHM_E_CONFIG, "--%s needs a run folder", flag);
                EHM_HINT(err, "--out DIR");
                return EHM_E_CONFIG;
            }
        return EHM_OK;
    }
    if (c->overwrite && c->resume) return EHM_FAIL(err, EHM_E_CONFIG, "--overwrite deletes the run that --resume would go on with; give one");
    t->mode = c->overwrite ? EHM_RUN_OVERWRITE : c->resume ? EHM_RUN_RESUME : EHM_RUN_CREATE;
    if (t->mode == EHM_RUN_RESUME && ehm_run_is_folder(c->out)) EHM_TRY(ehm_run_open(&t->run, c->out, t->mode, err));
    else EHM_TRY(ehm_run_check(c->out, t->mode, err));
    if (t->mode != EHM_RUN_RESUME) return EHM_OK;
    EHM_TRY(ehm_tune_peek(t, err));
    if (t->resume_step < 0) ehm_tune_say(t, EHM_LOG_NOTE, "%s: no checkpoint to go on from, so the run starts afresh", c->out);
    return EHM_OK;
}

static ehm_code settle(ehm_tune *t, ehm_err *err) {
    EHM_TRY(look_at_folder(t, err));
    EHM_TRY(ehm_tune_open_device(t, err));
    EHM_TRY(settle_model(t, err));
    settle_method(t);
    EHM_TRY(check_frozen(t, err));
    EHM_TRY(settle_cache(t, err));
    EHM_TRY(settle_batch(t, err));
    if (t->resume_step >= 0) EHM_TRY(ehm_tune_check_saved(t, err));
    EHM_TRY(settle_length(t, err));
    EHM_TRY(settle_disk(t, err));
    t->finished = t->resume_step >= t->total_steps;
    return EHM_OK;
}

static ehm_tune *tune_new(const ehm_tune_task *task, void *user, const ehm_config *c, ehm_err *err) {
    ehm_tune *t = calloc(1, sizeof *t);
    if (!t) {
        if (task->close) task->close(user);
        EHM_FAIL(err, EHM_E_MEMORY, "no memory to begin");
        return NULL;
    }
    t->cfg = *c, t->task = task, t->user = user;
    t->resume_step = -1, t->saved_at_step = -1;
    t->opened_s = ehm_clock_s();
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) t->why[i] = "";
    return t;
}

ehm_code ehm_tune_open(ehm_tune **out, const ehm_tune_setup *s, const ehm_config *c, ehm_err *err) {
    *out = NULL;
    ehm_tune *t = tune_new(s->task, s->user, c, err);
    if (!t) return EHM_E_MEMORY;
    t->setup = *s, t->learns = true;
    ehm_code rc = settle(t, err);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++)
        if (!t->why[i]) t->why[i] = ""; /* a reason that found no memory is no reason to stop */
    if (rc) ehm_tune_close(t);
    else *out = t;
    return rc;
}

/* ---- for prediction ---- */

static const char *weights_path(const char *path, ehm_arena *a) { return ehm_dir_exists(path) ? ehm_path_join(a, path, "model.safetensors") : path; }

static ehm_code open_weights(ehm_st **f, const char *path, ehm_err *err) {
    ehm_arena a = {0};
    const char *file = weights_path(path, &a);
    ehm_code rc = file ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory");
    if (!rc && !ehm_file_exists(file)) {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "%s: no such file%s", file, file == path ? "" : "; the run has not finished, or is of another kind");
        ehm_path_hint_near(err, file);
    }
    if (!rc) rc = ehm_st_open(f, file, err);
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_tuned_meta(const ehm_json **meta, const char *path, ehm_arena *a, ehm_err *err) {
    ehm_st *f = NULL;
    ehm_json *root;
    EHM_TRY(open_weights(&f, path, err));
    const char *text = ehm_st_meta_get(f, "task");
    ehm_code rc = EHM_OK;
    if (!text) {
        rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: holds no task that was learned, so there is nothing to predict", path);
        EHM_HINT(err, "ehm eval finetune --save F.safetensors trains and writes one");
    } else
        rc = ehm_json_parse(&root, text, strlen(text), "the metadata \"task\"", a, err);
    if (!rc && (root->kind != EHM_JSON_OBJ || !*ehm_json_str_or(root, "name", ""))) rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: the metadata \"task\" names no task", path);
    if (!rc) *meta = root;
    ehm_st_close(f);
    return rc;
}

static ehm_code open_tuned(ehm_tune *t, const char *path, ehm_err *err) {
    bool guessed;
    ehm_config *c = &t->cfg;
    EHM_TRY(open_weights(&t->source.file, path, err));
    t->source_open = true;
    EHM_TRY(ehm_weights_describe(&t->source.info, t->source.file, &guessed, err));
    t->info = t->source.info;
    if (guessed || !t->info.has_stats) return EHM_FAIL(err, EHM_E_FORMAT, "%s: its metadata lacks sizes, mean or deviation", path);
    c->drop_path = 0;
    EHM_TRY(ehm_tune_open_device(t, err));
    EHM_TRY(ehm_tune_net_open(t, err));
    int64_t batch = EHM_IS_AUTO(c->eval_batch_size) ? 64 : c->eval_batch_size;
    EHM_TRY(ehm_tune_net_passes(t, 0, (int32_t)batch, err));
    EHM_TRY(ehm_tune_net_place(t, err));
    return ehm_tune_load_all(t, t->source.file, path, err);
}

ehm_code ehm_tuned_open(ehm_tune **out, const char *path, const ehm_tune_task *task, void *user, const ehm_config *c, ehm_err *err) {
    *out = NULL;
    ehm_tune *t = tune_new(task, user, c, err);
    if (!t) return EHM_E_MEMORY;
    ehm_code rc = open_tuned(t, path, err);
    if (rc) {
        EHM_WHILE(err, "opening %s", path);
        ehm_tune_close(t);
    } else
        *out = t;
    return rc;
}

void ehm_tune_close(ehm_tune *t) {
    if (!t) return;
    ehm_loader_close(t->loader);
    ehm_tune_kept_close(t->kept);
    if (t->task->close) t->task->close(t->user);
    if (t->planned) ehm_plan_free(&t->plan);
    ehm_params_free(&t->params);
    if (t->source_open) ehm_model_source_close(&t->source);
    ehm_dev_close(t->dev);
    ehm_run_close(t->run);
    free(t->chunk);
    ehm_str_free(&t->early), ehm_str_free(&t->text), ehm_str_free(&t->state_text);
    ehm_arena_free(&t->arena);
    free(t);
}

const ehm_config *ehm_tune_config(const ehm_tune *t) { return &t->cfg; }
ehm_dev *ehm_tune_device(const ehm_tune *t) { return t->dev; }
const ehm_vit_shape *ehm_tune_shape(const ehm_tune *t) { return &t->info.shape; }
int32_t ehm_tune_batch(const ehm_tune *t) { return t->look.batch; }
const char *ehm_tune_fit(const ehm_tune *t) { return *t->info.fit ? t->info.fit : "auto"; }

/* ---- printed ---- */

static bool shown(const ehm_tune *t, int32_t i) {
    const ehm_setting *s = &ehm_settings[i];
    if (i == EHM_SETI_seed || i == EHM_SETI_threads || i == EHM_SETI_device || i == EHM_SETI_dtype || i == EHM_SETI_model || i == EHM_SETI_workers) return true;
    if (!ehm_in_groups(EHM_TUNE_GROUPS, s->group) && !(t->setup.groups && ehm_in_groups(t->setup.groups, s->group))) return false;
    const void *p = (const char *)&t->cfg + s->offset;
    if (!t->cfg.out && ehm_in_groups("folder,overwrite,output", s->group)) return false;
    if (s->kind == EHM_SET_STR) return *(const char *const *)p != NULL;
    if (s->kind == EHM_SET_BOOL) return *(const bool *)p;
    if (s->kind == EHM_SET_LIST) return false;
    if (s->kind == EHM_SET_I64 && EHM_IS_AUTO(*(const int64_t *)p)) return false;
    return s->kind != EHM_SET_F64 || !ehm_is_auto_f64(*(const double *)p);
}

void ehm_tune_show(ehm_tune *t) {
    char params[32], mem[32], have[32];
    ehm_str value = {0};
    int64_t n = 0;
    const ehm_vit_shape *s = &t->info.shape;
    for (int32_t i = 0; i < t->params.n; i++) n += t->params.item[i].count;
    ehm_tune_say(t, EHM_LOG_INFO, "%-18s %-24s from", "setting", "value");
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        if (!shown(t, i)) continue;
        const char *why = t->why[i], *text = ehm_config_show(&t->cfg, i, &value);
        ehm_tune_say(t, EHM_LOG_INFO, "%-18s %-24s %s%s%s", ehm_settings[i].key, text, ehm_origin_name((ehm_origin)t->cfg.origin[i]), *why ? ": " : "", why);
    }
    ehm_tune_say(t, EHM_LOG_INFO, "model: %s numbers, %d x %d patches of %d px; memory: %s planned, %s free", ehm_format_count(n, params), (int)s->grid_h,
                 (int)s->grid_w, (int)s->patch_size, ehm_format_bytes((double)needed(t), mem),
                 t->memory_available > 0 ? ehm_format_bytes((double)t->memory_available, have) : "unknown");
    if (s->grid_h != t->source.info.shape.grid_h || s->grid_w != t->source.info.shape.grid_w)
        ehm_tune_say(t, EHM_LOG_NOTE, "the position table of %d x %d patches is brought to %d x %d (bicubic, antialiased)", (int)t->source.info.shape.grid_h,
                     (int)t->source.info.shape.grid_w, (int)s->grid_h, (int)s->grid_w);
    ehm_str_free(&value);
}
