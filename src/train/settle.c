/* Every choice before step 1: settings that say "auto" are resolved from recipe, data and machine, each with its reason; what cannot work
 * is refused here, not after an hour. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "exchange/weights_file.h"
#include "train/train_int.h"

enum { STATS_PICTURES = 1000 };

void ehm_train_say(ehm_train *t, ehm_log_level level, const char *fmt, ...) {
    char text[3072];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ehm_log(level, "%s", text);
    if (t->run) ehm_run_note(t->run, text);
    else {
        ehm_str_add(&t->early, text);
        ehm_str_addc(&t->early, '\n');
    }
}

static bool is_auto(const char *s) { return !s || !strcmp(s, "auto"); }

/* ---- machine ---- */

static ehm_code settle_machine(ehm_train *t, ehm_err *err) {
    int32_t allowed = ehm_cpu_count();
    if (EHM_IS_AUTO(t->cfg.threads)) {
        ehm_config_put_i64(&t->cfg, EHM_SETI_threads, allowed, EHM_FROM_MACHINE);
        t->why[EHM_SETI_threads] = "processors this process may use";
    } else if (t->cfg.threads > allowed)
        ehm_train_say(t, EHM_LOG_WARN, "--threads %lld: this process may use %d processors, so threads will wait for each other", (long long)t->cfg.threads, (int)allowed);
    EHM_TRY(ehm_dev_open(&t->dev, t->cfg.device, (int32_t)t->cfg.threads, err));
    if (ehm_dev_real(t->dev) != EHM_F32) {
        EHM_FAIL(err, EHM_E_CONFIG, "--device %s is for checks of gradients, it does not train", t->cfg.device);
        EHM_HINT(err, "--device auto");
        return EHM_E_CONFIG;
    }
    if (is_auto(t->cfg.device)) ehm_config_put_str(&t->cfg, EHM_SETI_device, ehm_dev_name(t->dev), EHM_FROM_MACHINE);
    t->why[EHM_SETI_device] = ehm_dev_describe(t->dev);
    if (is_auto(t->cfg.dtype)) {
        bool fast = ehm_dev_fast_bf16(t->dev);
        ehm_config_put_str(&t->cfg, EHM_SETI_dtype, fast ? "bf16" : "f32", EHM_FROM_MACHINE);
        t->why[EHM_SETI_dtype] = fast ? "this processor multiplies bf16" : "this processor does not multiply bf16";
    }
    t->facts.dtype = !strcmp(t->cfg.dtype, "bf16") ? EHM_BF16 : EHM_F32;
    if (EHM_IS_AUTO(t->cfg.workers)) {
        ehm_config_put_i64(&t->cfg, EHM_SETI_workers, t->cfg.threads, EHM_FROM_MACHINE);
        t->why[EHM_SETI_workers] = "as many as compute threads";
    }
    t->facts.n_threads = (int32_t)t->cfg.threads;
    t->facts.n_workers = (int32_t)t->cfg.workers;
    return EHM_OK;
}

/* ---- data ---- */

static ehm_code settle_data(ehm_train *t, ehm_err *err) {
    if (!t->cfg.data.n) {
        if (t->purpose == EHM_TRAIN_PLAN) {
            t->facts.n_pictures = EHM_IS_AUTO(t->cfg.limit) ? -1 : t->cfg.limit;
            return EHM_OK;
        }
        EHM_FAIL(err, EHM_E_CONFIG, "no pictures are given");
        if (t->mode == EHM_RUN_RESUME && ehm_run_is_folder(t->cfg.out)) /* which stopped before its first checkpoint */
            EHM_HINT(err, "--config %s/config.json begins that run again as it was", t->cfg.out);
        else EHM_HINT(err, "--data PATH: a folder, a tar, an array, or scenes:0:5000 for built-in pictures");
        return EHM_E_CONFIG;
    }
    ehm_dataset_opt opt = {.channels = EHM_IS_AUTO(t->cfg.channels) ? 0 : (int32_t)t->cfg.channels, .alpha = t->cfg.alpha,
                           .limit = EHM_IS_AUTO(t->cfg.limit) ? 0 : t->cfg.limit, .max_pixels = t->cfg.max_pixels,
                           .cache_dir = t->cfg.cache, .ignore_label = -1};
    EHM_TRY(ehm_dataset_open(&t->ds, &t->cfg.data, &opt, err));
    if (!ehm_dataset_count(t->ds)) return EHM_FAIL(err, EHM_E_CONFIG, "%s: there are no pictures", ehm_dataset_spec(t->ds));
    EHM_TRY(ehm_dataset_summary(t->ds, &t->summary, err));
    t->facts.n_pictures = ehm_dataset_count(t->ds);
    ehm_train_say(t, EHM_LOG_INFO, "%s", t->summary.text);
    if (t->summary.n_turned)
        ehm_train_say(t, EHM_LOG_WARN, "%lld of %lld pictures looked at are trained on lying on their side or mirrored: EXIF orientation is ignored (exiftran -ai or mogrify -auto-orient turns the files)",
                      (long long)t->summary.n_turned, (long long)t->summary.n_sampled);
    return EHM_OK;
}

static ehm_code settle_shape(ehm_train *t, ehm_err *err) {
    ehm_config *c = &t->cfg;
    int32_t h = 0, w = 0, channels = t->ds ? ehm_dataset_channels(t->ds) : 3;
    int32_t median = t->ds ? t->summary.median_short_side : 0;
    bool size_given = !is_auto(c->img_size);
    if (EHM_IS_AUTO(c->channels)) {
        ehm_config_put_i64(c, EHM_SETI_channels, channels, t->ds ? EHM_FROM_DATA : EHM_FROM_DEFAULT);
        t->why[EHM_SETI_channels] = t->ds ? "the majority of the pictures" : "no data given";
    } else channels = (int32_t)c->channels;
    if (size_given && !ehm_parse_size(c->img_size, &h, &w)) {
        EHM_FAIL(err, EHM_E_CONFIG, "--img-size %s: must be a number of pixels or HxW", c->img_size);
        EHM_HINT(err, "--img-size 64, or --img-size 64x96");
        return EHM_E_CONFIG;
    }
    const ehm_vit_preset *p = is_auto(c->preset) ? NULL : ehm_vit_preset_find(c->preset);
    int32_t side = median ? median : p ? p->img_size : 224;
    if (!p) {
        char why[160] = "";
        p = ehm_vit_preset_auto(size_given ? h : side, size_given ? w : side, t->facts.n_pictures, why);
        ehm_config_put_str(c, EHM_SETI_preset, p->name, t->ds ? EHM_FROM_DATA : EHM_FROM_DEFAULT);
        t->why[EHM_SETI_preset] = ehm_arena_strdup(&t->arena, why);
    }
    if (!size_given) {
        h = w = ehm_vit_img_size_auto(p, c->patch_size, side);
        ehm_config_put_str(c, EHM_SETI_img_size, ehm_arena_printf(&t->arena, "%d", (int)h), t->ds ? EHM_FROM_DATA : EHM_FROM_PRESET);
        if (t->ds) t->why[EHM_SETI_img_size] = ehm_arena_printf(&t->arena, "median short side %d, a multiple of the patch, 32 to 224", (int)median);
    }
    EHM_TRY(ehm_vit_shape_of(&t->facts.shape, c, h, w, channels, err));
    const ehm_vit_shape *s = &t->facts.shape;
    if (EHM_IS_AUTO(c->patch_size)) {
        ehm_config_put_i64(c, EHM_SETI_patch_size, s->patch_size, s->patch_size == p->patch_size ? EHM_FROM_PRESET : EHM_FROM_DATA);
        if (s->patch_size != p->patch_size)
            t->why[EHM_SETI_patch_size] = ehm_arena_printf(&t->arena, "%s has %d at %d px; here the pictures have %d", p->name, (int)p->patch_size, (int)p->img_size, (int)(h < w ? h : w));
    }
    const struct { int32_t i; int64_t v; } put[] = {{EHM_SETI_embed_dim, s->embed_dim}, {EHM_SETI_depth, s->depth}, {EHM_SETI_num_heads, s->num_heads},
        {EHM_SETI_decoder_embed_dim, s->decoder_embed_dim}, {EHM_SETI_decoder_depth, s->decoder_depth}, {EHM_SETI_decoder_num_heads, s->decoder_num_heads}};
    for (size_t i = 0; i < sizeof put / sizeof put[0]; i++) ehm_config_put_i64(c, put[i].i, put[i].v, EHM_FROM_PRESET);
    t->facts.n_params = ehm_vit_param_count(s, true);
    if (is_auto(c->fit)) {
        ehm_config_put_str(c, EHM_SETI_fit, "crop", EHM_FROM_DEFAULT);
        t->why[EHM_SETI_fit] = "for evaluations; training crops at random";
    }
    if (c->crop_min > c->crop_max) return EHM_FAIL(err, EHM_E_CONFIG, "--crop-min %g is more than --crop-max %g", c->crop_min, c->crop_max);
    return EHM_OK;
}

static ehm_code settle_cache(ehm_train *t, ehm_err *err) {
    int64_t free_bytes = ehm_memory_available(), bytes = 0;
    if (is_auto(t->cfg.cache_memory)) {
        double each = t->ds ? (double)t->summary.max_w * t->summary.max_h * t->facts.shape.channels * (ehm_dataset_is_u8(t->ds) ? 1 : 4) : 0;
        double all = each * (double)t->facts.n_pictures;
        bool fits = t->ds && free_bytes > 0 && all <= (double)free_bytes / 4;
        bytes = fits ? (int64_t)all + (1 << 20) : 0;
        char b[32];
        ehm_format_bytes(all, b);
        ehm_config_put_str(&t->cfg, EHM_SETI_cache_memory, fits ? ehm_arena_printf(&t->arena, "%lld", (long long)bytes) : "0", EHM_FROM_MACHINE);
        if (t->ds) t->why[EHM_SETI_cache_memory] = ehm_arena_printf(&t->arena, "decoded, the set takes at most %s, %s a quarter of what is free", b, fits ? "less than" : "more than");
    } else if (!ehm_parse_bytes(t->cfg.cache_memory, &bytes) || bytes < 0) {
        EHM_FAIL(err, EHM_E_CONFIG, "--cache-memory %s: must be auto, 0 or a size such as 2G", t->cfg.cache_memory);
        return EHM_E_CONFIG;
    } else if (free_bytes > 0 && bytes > free_bytes) {
        char b[32], f[32];
        EHM_FAIL(err, EHM_E_MEMORY, "--cache-memory %s: %s are more than the %s that are free", t->cfg.cache_memory, ehm_format_bytes((double)bytes, b), ehm_format_bytes((double)free_bytes, f));
        EHM_HINT(err, "--cache-memory auto");
        return EHM_E_MEMORY;
    }
    t->facts.cache_bytes = (size_t)bytes;
    return EHM_OK;
}

/* "0.5,0.4,0.3" into v; one number a channel. */
static ehm_code parse_numbers(double *v, int32_t n, const char *key, const char *text, ehm_err *err) {
    int32_t have = 0;
    for (const char *p = text; *p;) {
        char one[64];
        size_t len = strcspn(p, ",");
        snprintf(one, sizeof one, "%.*s", (int)(len < 63 ? len : 63), p);
        if (have == 256 || !ehm_parse_f64(one, &v[have]) || !isfinite(v[have])) return EHM_FAIL(err, EHM_E_CONFIG, "--%s %s: \"%s\" is not a number", key, text, one);
        have++;
        p += len + (p[len] == ',');
    }
    if (have != n) return EHM_FAIL(err, EHM_E_CONFIG, "--%s %s: %d numbers, the pictures have %d channels", key, text, (int)have, (int)n);
    return EHM_OK;
}

/* Rounded to six places: what is printed is then what is used. */
static double six(double v) { return round(v * 1e6) / 1e6; }

static ehm_code settle_stats(ehm_train *t, ehm_err *err) {
    double mean[256], std[256];
    int32_t n = t->facts.shape.channels;
    if (t->purpose == EHM_TRAIN_PLAN) return EHM_OK;
    if (is_auto(t->cfg.mean) || is_auto(t->cfg.std)) {
        EHM_TRY(ehm_data_stats(t->ds, STATS_PICTURES, (uint64_t)t->cfg.seed, mean, std, ehm_dev_pool(t->dev), err));
        for (int32_t i = 0; i < n; i++) {
            mean[i] = six(mean[i]), std[i] = six(std[i]);
            if (std[i] > 0) continue;
            std[i] = 1;
            ehm_train_say(t, EHM_LOG_WARN, "channel %d has the same value everywhere in the sample; its deviation is taken as 1", (int)i);
        }
        const char *why = ehm_arena_printf(&t->arena, "measured on %lld pictures", (long long)(t->facts.n_pictures < STATS_PICTURES ? t->facts.n_pictures : STATS_PICTURES));
        const char *m = ehm_numbers_text(mean, n, &t->arena), *s = ehm_numbers_text(std, n, &t->arena);
        if (!why || !m || !s) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the pictures' mean and deviation");
        if (is_auto(t->cfg.mean)) ehm_config_put_str(&t->cfg, EHM_SETI_mean, m, EHM_FROM_DATA), t->why[EHM_SETI_mean] = why;
        if (is_auto(t->cfg.std)) ehm_config_put_str(&t->cfg, EHM_SETI_std, s, EHM_FROM_DATA), t->why[EHM_SETI_std] = why;
    }
    EHM_TRY(parse_numbers(t->facts.mean, n, "mean", t->cfg.mean, err));
    EHM_TRY(parse_numbers(t->facts.std, n, "std", t->cfg.std, err));
    for (int32_t i = 0; i < n; i++)
        if (!(t->facts.std[i] > 0)) return EHM_FAIL(err, EHM_E_CONFIG, "--std %s: must be above 0", t->cfg.std);
    t->facts.has_stats = true;
    return EHM_OK;
}

/* ---- length ---- */

double ehm_train_epoch_of(const ehm_train *t, int64_t step) {
    return (double)(step * t->cfg.accum_iter) / (double)t->facts.batches_per_epoch;
}

/* Micro-batches of a step go on across the end of an epoch, so no picture is thrown away where MAE drops the remainder; with accum_iter
 * dividing the batches of an epoch the two are the same. */
static ehm_code settle_length(ehm_train *t, ehm_err *err) {
    ehm_config *c = &t->cfg;
    t->facts.total_steps = t->facts.batches_per_epoch = -1;
    if (ehm_is_auto_f64(c->lr)) {
        ehm_config_put_f64(c, EHM_SETI_lr, c->blr * (double)(c->batch_size * c->accum_iter) / 256.0, EHM_FROM_DATA);
        t->why[EHM_SETI_lr] = ehm_arena_printf(&t->arena, "blr %g * %lld / 256", c->blr, (long long)(c->batch_size * c->accum_iter));
    }
    t->facts.lr = c->lr;
    if (c->min_lr > c->lr) ehm_train_say(t, EHM_LOG_WARN, "--min-lr %g is more than the rate %g it ends from", c->min_lr, c->lr);
    if (EHM_IS_AUTO(c->log_every)) ehm_config_put_i64(c, EHM_SETI_log_every, 10, EHM_FROM_DEFAULT);
    if (t->facts.n_pictures < 0) return EHM_OK;
    int64_t bpe = t->facts.n_pictures / (c->batch_size / c->masks_per_crop);
    double steps_per_epoch = (double)bpe / (double)c->accum_iter, total;
    t->facts.batches_per_epoch = bpe;
    if (!EHM_IS_AUTO(c->steps) && t->resume_step < 0) {
        if (c->origin[EHM_SETI_epochs] == EHM_FROM_FLAG && c->origin[EHM_SETI_steps] == EHM_FROM_FLAG) {
            EHM_FAIL(err, EHM_E_CONFIG, "--epochs %g and --steps %lld are two lengths", c->epochs, (long long)c->steps);
            EHM_HINT(err, "give one of them");
            return EHM_E_CONFIG;
        }
        c->epochs = (double)c->steps / steps_per_epoch;
        c->origin[EHM_SETI_epochs] = EHM_FROM_DATA;
        t->why[EHM_SETI_epochs] = "from the steps";
    } else if (EHM_IS_AUTO(c->steps)) {
        total = floor(c->epochs * steps_per_epoch + 1e-9);
        if (total > 9e15) return EHM_FAIL(err, EHM_E_CONFIG, "--epochs %g: more steps than can be counted", c->epochs);
        ehm_config_put_i64(c, EHM_SETI_steps, total < 1 ? 1 : (int64_t)total, EHM_FROM_DATA);
        t->why[EHM_SETI_steps] = c->masks_per_crop > 1 ? ehm_arena_printf(&t->arena, "%g epoch%s of %lld pictures, %lld masks each", c->epochs, c->epochs == 1 ? "" : "s", (long long)t->facts.n_pictures,
                                                                           (long long)c->masks_per_crop)
                                                        : ehm_arena_printf(&t->arena, "%g epoch%s of %lld pictures", c->epochs, c->epochs == 1 ? "" : "s", (long long)t->facts.n_pictures);
    }
    if (ehm_is_auto_f64(c->warmup_epochs)) {
        double w = 0.05 * (double)c->steps;
        bool forty = 40 * steps_per_epoch < w;
        ehm_config_put_f64(c, EHM_SETI_warmup_epochs, forty ? 40 : w / steps_per_epoch, EHM_FROM_DATA);
        t->why[EHM_SETI_warmup_epochs] = forty ? "40 epochs" : "5 % of the steps";
        t->facts.warmup_steps = forty ? 40 * steps_per_epoch : w;
    } else {
        t->facts.warmup_steps = c->warmup_epochs * steps_per_epoch;
        if (t->facts.warmup_steps > (double)c->steps && t->resume_step < 0)
            ehm_train_say(t, EHM_LOG_WARN, "the warm-up of %g epochs is longer than the training of %g; the rate stays under its top", c->warmup_epochs, c->epochs);
    }
    if (t->resume_step < 0) ehm_schedule_init(&t->schedule, c->steps, t->facts.warmup_steps, c->lr, c->min_lr);
    else EHM_TRY(ehm_train_resume_schedule(t, err));
    t->facts.total_steps = ehm_schedule_total(&t->schedule);
    if (!ehm_is_auto_f64(c->max_minutes) && t->resume_step < 0) {
        t->fit.pending = true;
        t->why[EHM_SETI_steps] = "provisional: fitted to --max-minutes once the speed is measured";
    }
    if (!ehm_is_auto_f64(c->save_every) && !EHM_IS_AUTO(c->save_steps))
        return EHM_FAIL(err, EHM_E_CONFIG, "--save-every %g (minutes) and --save-steps %lld are two intervals; give one", c->save_every, (long long)c->save_steps);
    if (ehm_is_auto_f64(c->save_every)) t->why[EHM_SETI_save_every] = EHM_IS_AUTO(c->save_steps) ? "10 minutes or one epoch, whichever comes first" : "by steps";
    return EHM_OK;
}

static ehm_code settle_disk(ehm_train *t, ehm_err *err) {
    int64_t model = t->facts.n_params * 4 * 2; /* model and encoder, at most */
    if (t->cfg.ema > 0) model *= 2;
    t->facts.checkpoint_bytes = (int64_t)(t->facts.plan_bytes[EHM_MEM_PARAM] + t->facts.plan_bytes[EHM_MEM_STATE]) + 65536;
    t->facts.disk_needed = t->facts.checkpoint_bytes * (t->cfg.keep + 1) + model + (8 << 20); /* one more while it is written */
    t->facts.disk_free = t->cfg.out ? ehm_disk_free(t->cfg.out) : -1;
    if (t->purpose == EHM_TRAIN_PLAN || t->facts.disk_free < 0 || t->facts.disk_free >= t->facts.disk_needed) return EHM_OK;
    char need[32], have[32], one[32];
    EHM_FAIL(err, EHM_E_IO, "%s: the run needs %s (%lld checkpoints of %s and one being written), %s are free", t->cfg.out,
             ehm_format_bytes((double)t->facts.disk_needed, need), (long long)t->cfg.keep, ehm_format_bytes((double)t->facts.checkpoint_bytes, one),
             ehm_format_bytes((double)t->facts.disk_free, have));
    EHM_HINT(err, t->cfg.keep > 1 ? "--keep 1, or --out on another disk" : "--out on another disk");
    return EHM_E_IO;
}

/* ---- masks ---- */

static ehm_code settle_masks(ehm_train *t, ehm_err *err) {
    ehm_config *c = &t->cfg;
    if (is_auto(c->progress)) ehm_config_put_str(c, EHM_SETI_progress, "lr", EHM_FROM_DEFAULT);
    if (strcmp(c->progress, "lr") && strcmp(c->progress, "step") && strcmp(c->progress, "epoch")) {
        EHM_FAIL(err, EHM_E_CONFIG, "--progress %s: must be lr, step or epoch", c->progress);
        EHM_HINT(err, "lr counts the share of the summed learning rate, the default");
        return EHM_E_CONFIG;
    }
    bool maps = t->ds && ehm_dataset_n_map_classes(t->ds) > 0;
    if (t->ds && !maps && (t->facts.mask_needs & EHM_MASK_NEEDS_LABELS || c->tree_labels)) {
        EHM_FAIL(err, EHM_E_CONFIG, "%s needs pixel labels, and %s has none", c->tree_labels ? "--tree-labels" : "--tree-source labels", ehm_dataset_spec(t->ds));
        EHM_HINT(err, "a set with images/ and labels/ side by side, or scenes:0:5000");
        return EHM_E_CONFIG;
    }
    return EHM_OK;
}

/* ---- all of it ---- */

static ehm_code settle(ehm_train *t, ehm_err *err) {
    const ehm_recipe *recipe = ehm_recipe_find(t->cfg.recipe, err);
    if (!recipe) return err && err->code ? err->code : EHM_E_CONFIG;
    EHM_TRY(ehm_recipe_apply(recipe, &t->cfg, &t->arena, err));
    t->why[EHM_SETI_recipe] = recipe->summary;
    EHM_TRY(ehm_recipe_check(&t->cfg, err));
    EHM_TRY(settle_machine(t, err));
    EHM_TRY(settle_data(t, err));
    EHM_TRY(settle_shape(t, err));
    if (t->resume_step >= 0) EHM_TRY(ehm_train_check_saved(t, err));
    EHM_TRY(settle_cache(t, err));
    EHM_TRY(ehm_train_choose_batch(t, err));
    EHM_TRY(settle_masks(t, err));
    EHM_TRY(settle_length(t, err));
    EHM_TRY(settle_disk(t, err));
    return settle_stats(t, err);
}

static ehm_code look_at_folder(ehm_train *t, ehm_err *err) {
    ehm_config *c = &t->cfg;
    bool extend = !ehm_is_auto_f64(c->extend);
    if (!c->out) {
        EHM_FAIL(err, EHM_E_CONFIG, "no run folder is given");
        EHM_HINT(err, "--out DIR");
        return EHM_E_CONFIG;
    }
    if (c->overwrite && (c->resume || extend)) return EHM_FAIL(err, EHM_E_CONFIG, "--overwrite deletes the run that --%s would go on with; give one", extend ? "extend" : "resume");
    t->mode = c->overwrite ? EHM_RUN_OVERWRITE : c->resume || extend ? EHM_RUN_RESUME : EHM_RUN_CREATE;
    if (t->mode == EHM_RUN_RESUME && t->purpose == EHM_TRAIN_RUN && ehm_run_is_folder(c->out)) EHM_TRY(ehm_run_open(&t->run, c->out, t->mode, err));
    else EHM_TRY(ehm_run_check(c->out, t->mode, err));
    if (t->mode == EHM_RUN_RESUME) {
        EHM_TRY(ehm_train_peek(t, err));
        if (t->resume_step < 0 && !extend) ehm_train_say(t, EHM_LOG_NOTE, "%s: no checkpoint to go on from, so the run starts afresh", c->out);
    }
    return EHM_OK;
}

ehm_code ehm_train_open(ehm_train **out, const ehm_config *given, ehm_train_purpose purpose, ehm_err *err) {
    *out = NULL;
    ehm_train *t = calloc(1, sizeof *t);
    if (!t) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to begin");
    t->cfg = *given;
    t->purpose = purpose;
    t->resume_step = -1;
    t->opened_s = ehm_clock_s();
    t->facts.disk_free = -1;
    for (int i = 0; i < EHM_SETTINGS_N; i++) t->why[i] = "";
    ehm_code rc = purpose == EHM_TRAIN_PLAN ? EHM_OK : look_at_folder(t, err);
    if (!rc && !t->finished) rc = settle(t, err);
    for (int i = 0; i < EHM_SETTINGS_N; i++)
        if (!t->why[i]) t->why[i] = ""; /* a reason that found no memory is no reason to stop */
    if (rc) ehm_train_close(t);
    else *out = t;
    return rc;
}

void ehm_train_close(ehm_train *t) {
    if (!t) return;
    ehm_loader_close(t->loader);
    if (t->planned) ehm_plan_free(&t->plan);
    ehm_method_close(t->method);
    ehm_dataset_close(t->ds);
    ehm_dev_close(t->dev);
    ehm_run_close(t->run);
    free(t->chunk);
    ehm_str_free(&t->early);
    ehm_str_free(&t->text);
    ehm_str_free(&t->state_text);
    ehm_arena_free(&t->arena);
    free(t);
}

bool ehm_train_finished(const ehm_train *t) { return t->finished; }
const ehm_config *ehm_train_config(const ehm_train *t) { return &t->cfg; }
const ehm_train_facts *ehm_train_facts_of(const ehm_train *t) { return &t->facts; }
const char *ehm_train_why(const ehm_train *t, int32_t i) { return i >= 0 && i < EHM_SETTINGS_N ? t->why[i] : ""; }
ehm_method *ehm_train_method(ehm_train *t) { return t->method; }
ehm_dev *ehm_train_device(ehm_train *t) { return t->dev; }
ehm_run *ehm_train_run_folder(ehm_train *t) { return t->run; }
ehm_dataset *ehm_train_dataset(ehm_train *t) { return t->ds; }
const ehm_weights *ehm_train_average(const ehm_train *t) { return t->cfg.ema > 0 ? &t->average : NULL; }

ehm_code ehm_train_open_loader(ehm_train *t, ehm_err *err) {
    ehm_loader_opt opt = {.batch_size = (int32_t)(t->cfg.batch_size / t->cfg.masks_per_crop), .h = t->facts.shape.img_h, .w = t->facts.shape.img_w, .augment = true,
                          .crop_min = t->cfg.crop_min, .crop_max = t->cfg.crop_max, .flip = t->cfg.flip, .fit = t->cfg.fit, .shuffle = true,
                          .drop_last = true, .repeat = true, .seed = (uint64_t)t->cfg.seed, .n_workers = t->facts.n_workers,
                          .cache_bytes = (int64_t)t->facts.cache_bytes, .max_bad = t->cfg.max_bad};
    if (t->facts.mask_needs & EHM_MASK_NEEDS_LABELS) opt.label_grid_h = t->facts.shape.grid_h, opt.label_grid_w = t->facts.shape.grid_w;
    ehm_loader_close(t->loader);
    t->loader = NULL, t->has_next = false;
    return ehm_loader_open(&t->loader, t->ds, &opt, t->step * t->cfg.accum_iter, err);
}

/* ---- printed ---- */

static bool shown(const ehm_config *c, int32_t i, bool trees) {
    static const char groups[] = "data,channels,read,loading,size,fit,crop,transform,model,patch,heads,recipe,mask,live,batch,train,output,run,folder,overwrite";
    const ehm_setting *s = &ehm_settings[i];
    if (i == EHM_SETI_seed || i == EHM_SETI_threads || i == EHM_SETI_device || i == EHM_SETI_dtype) return true;
    if (!ehm_in_groups(groups, s->group) && !(trees && ehm_in_groups("tree,linkage,progress", s->group))) return false;
    const void *p = (const char *)c + s->offset;
    if (s->kind == EHM_SET_STR) return *(const char *const *)p != NULL;
    if (s->kind == EHM_SET_BOOL && ehm_in_groups("run,folder,overwrite", s->group)) return *(const bool *)p;
    if (s->kind == EHM_SET_LIST) return ((const ehm_strs *)p)->n > 0;
    if (s->kind == EHM_SET_I64 && EHM_IS_AUTO(*(const int64_t *)p)) return false;
    if (s->kind == EHM_SET_F64 && ehm_is_auto_f64(*(const double *)p)) return i == EHM_SETI_save_every;
    return true;
}

void ehm_train_show(ehm_train *t) {
    char params[32], mem[32], have[32], disk[32], ckpt[32];
    ehm_str value = {0};
    size_t all = t->facts.loader_bytes + t->facts.cache_bytes + t->facts.mask_bytes;
    for (int i = 0; i < EHM_MEM_KINDS; i++) all += t->facts.plan_bytes[i];
    ehm_train_say(t, EHM_LOG_INFO, "%-18s %-24s from", "setting", "value");
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        if (!shown(&t->cfg, i, t->facts.mask_needs & EHM_MASK_NEEDS_SIMILARITY)) continue;
        const char *why = t->why[i], *text = ehm_config_show(&t->cfg, i, &value);
        ehm_train_say(t, EHM_LOG_INFO, "%-18s %-24s %s%s%s", ehm_settings[i].key, text, ehm_origin_name((ehm_origin)t->cfg.origin[i]), *why ? ": " : "", why);
    }
    const ehm_vit_shape *s = &t->facts.shape;
    ehm_train_say(t, EHM_LOG_INFO, "model: %s numbers; %d x %d patches of %d px, %d seen and %d hidden; %.3g Gflop a picture and step",
                  ehm_format_count(t->facts.n_params, params), (int)s->grid_h, (int)s->grid_w, (int)s->patch_size, (int)t->facts.n_visible,
                  (int)(s->n_patches - t->facts.n_visible), t->facts.flops_per_picture / 1e9);
    ehm_train_say(t, EHM_LOG_INFO, "memory: %s planned, %s free", ehm_format_bytes((double)all, mem),
                  t->facts.memory_available > 0 ? ehm_format_bytes((double)t->facts.memory_available, have) : "unknown");
    if (t->purpose != EHM_TRAIN_PLAN)
        ehm_train_say(t, EHM_LOG_INFO, "disk: checkpoints of %s, %s free", ehm_format_bytes((double)t->facts.checkpoint_bytes, ckpt),
                      t->facts.disk_free >= 0 ? ehm_format_bytes((double)t->facts.disk_free, disk) : "unknown");
    ehm_str_free(&value);
}
