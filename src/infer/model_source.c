/* From what a user names as a model to sizes, weights and seed. */
#include "base/file.h"
#include "base/log.h"
#include "infer/model_int.h"
#include "runs/run.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char untrained_prefix[] = "untrained:";

static void default_stats(ehm_weights_info *info, const char *spec) {
    static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    bool rgb = info->shape.channels == 3;
    for (int32_t c = 0; c < info->shape.channels; c++)
        info->mean[c] = rgb ? mean[c] : 0.5, info->std[c] = rgb ? std[c] : 0.5;
    info->has_stats = true;
    ehm_log(EHM_LOG_NOTE, "%s: no mean and std in the file; %s", spec,
            rgb ? "those of ImageNet are used" : "0.5 and 0.5 are used");
}

/* A file of ours, or anything that the import reads (a file or a folder of another tool). */
static ehm_code from_file(ehm_model_source *s, const char *path, const char *spec, ehm_err *err) {
    ehm_code rc = ehm_import_open(&s->import, path, &(ehm_import_opt){0}, err);
    if (rc) {
        /* What is no file of weights at all says so itself. */
        if (rc == EHM_E_MISMATCH || rc == EHM_E_UNSUPPORTED) EHM_WHILE(err, "opening the model %s", path);
        return rc;
    }
    s->file = s->import->weights, s->info = s->import->info;
    if (s->import->heads_guessed)
        ehm_log(EHM_LOG_NOTE,
                "%s: sizes deduced from its tensors; %d attention heads are a guess from the width", path,
                (int)s->info.shape.num_heads);
    for (int32_t i = 0; i < s->import->n_notes; i++) ehm_log(EHM_LOG_NOTE, "%s: %s", path, s->import->note[i]);
    if (!s->info.has_stats) default_stats(&s->info, spec);
    return EHM_OK;
}

/* ---- a run's config.json ---- */

/* A setting of a run: {"value": v, "origin": ...} or the value itself. */
static const ehm_json *setting(const ehm_json *settings, const char *key) {
    const ehm_json *j = ehm_json_get(settings, key),
                   *v = j && j->kind == EHM_JSON_OBJ ? ehm_json_get(j, "value") : j;
    return v && v->kind != EHM_JSON_NULL ? v : NULL;
}

static const char *setting_str(const ehm_json *settings, const char *key) {
    const ehm_json *j = setting(settings, key);
    return j && j->kind == EHM_JSON_STR ? j->str : NULL;
}

static ehm_code read_sizes(ehm_vit_shape *s, const ehm_json *shape, const char *path, ehm_err *err) {
    const struct { const char *key; int32_t *v;
    } field[] = {
        {"img_h", &s->img_h},
        {"img_w", &s->img_w},
        {"channels", &s->channels},
        {"patch_size", &s->patch_size},
        {"embed_dim", &s->embed_dim},
        {"depth", &s->depth},
        {"num_heads", &s->num_heads},
        {"mlp_dim", &s->mlp_dim},
        {"decoder_embed_dim", &s->decoder_embed_dim},
        {"decoder_depth", &s->decoder_depth},
        {"decoder_num_heads", &s->decoder_num_heads},
        {"decoder_mlp_dim", &s->decoder_mlp_dim},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        int64_t v = ehm_json_i64_or(shape, field[i].key, -1);
        if (v < 0 || v > INT32_MAX)
            return EHM_FAIL(err, EHM_E_FORMAT, "%s: shape has no size \"%s\"", path, field[i].key);
        *field[i].v = (int32_t)v;
    }
    return ehm_vit_shape_check(s, err);
}

static bool read_numbers(double *out, int32_t n, const ehm_json *arr) {
    int32_t i = 0;
    if (!arr || arr->kind != EHM_JSON_ARR || arr->n != n) return false;
    for (const ehm_json *j = arr->first; j; j = j->next, i++) {
        if (j->kind != EHM_JSON_NUM || !isfinite(j->num)) return false;
        out[i] = j->num;
    }
    return true;
}

static void word(char *out, size_t cap, const char *text) {
    if (text) snprintf(out, cap, "%s", text);
}

/* Weights that the run itself started from, brought to its sizes as it did (train/loop.c). */
static ehm_code open_init(ehm_model_source *s, const char *init, ehm_err *err) {
    ehm_code rc = ehm_import_open_for(&s->import, init, &s->info.shape, err);
    if (rc) EHM_WHILE(err, "opening the weights that the run started from (--init)");
    else s->file = s->import->weights;
    return rc;
}

/* with_init: the weights that it started from too; a checkpoint needs them no more. */
static ehm_code untrained_run(ehm_model_source *s, const char *dir, bool with_init, ehm_err *err) {
    ehm_arena a = {0};
    ehm_json *root;
    ehm_weights_info *info = &s->info;
    char *path = ehm_path_join(&a, dir, "config.json");
    ehm_code rc = path ? ehm_json_read_file(&root, path, &a, err) : EHM_FAIL(err, EHM_E_MEMORY, "no memory");
    if (rc) goto done;
    const ehm_json *settings = ehm_json_get(root, "settings"), *data = ehm_json_get(root, "data"),
                   *seed = setting(settings, "seed"), *norm = setting(settings, "norm_pix_loss");
    if ((rc = read_sizes(&info->shape, ehm_json_get(root, "shape"), path, err))) goto done;
    if (!seed || seed->kind != EHM_JSON_NUM || !seed->is_int) {
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: settings have no seed", path);
        goto done;
    }
    if (!read_numbers(info->mean, info->shape.channels, ehm_json_get(data, "mean")) ||
        !read_numbers(info->std, info->shape.channels, ehm_json_get(data, "std"))) {
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: data has no mean and std of %d channels", path,
                      (int)info->shape.channels);
        goto done;
    }
    info->has_stats = true, info->has_decoder = info->shape.decoder_depth > 0;
    info->norm_pix = norm && norm->kind == EHM_JSON_BOOL && norm->num != 0;
    word(info->fit, sizeof info->fit, setting_str(settings, "fit"));
    word(info->recipe, sizeof info->recipe, setting_str(settings, "recipe"));
    word(info->mask, sizeof info->mask, setting_str(settings, "mask"));
    s->seed = (uint64_t)seed->i64;
    if (with_init && setting_str(settings, "init")) rc = open_init(s, setting_str(settings, "init"), err);
done:
    ehm_arena_free(&a);
    return rc;
}

static ehm_code untrained_preset(ehm_model_source *s, const char *name, ehm_err *err) {
    const ehm_vit_preset *p = ehm_vit_preset_find(name);
    ehm_config c;
    if (!p) {
        EHM_HINT(err, "presets: pico, tiny, small, base, large, huge");
        return EHM_FAIL(err, EHM_E_CONFIG, "%s%s: \"%s\" is neither a run folder nor a preset",
                        untrained_prefix, name, name);
    }
    ehm_config_init(&c);
    c.preset = p->name;
    EHM_TRY(ehm_vit_shape_of(&s->info.shape, &c, p->img_size, p->img_size, 3, err));
    s->info.has_decoder = s->info.norm_pix = s->info.has_stats = true;
    for (int32_t i = 0; i < 3; i++) s->info.mean[i] = s->info.std[i] = 0.5;
    word(s->info.fit, sizeof s->info.fit, "crop");
    word(s->info.recipe, sizeof s->info.recipe, "mae");
    return EHM_OK;
}

/* A run that has not finished is what its newest checkpoint holds; a folder under checkpoints/ is that one. */
static ehm_code from_checkpoint(ehm_model_source *s, const char *run, int64_t step, ehm_err *err) {
    size_t n = strlen(run) + 1;
    EHM_TRY(untrained_run(s, run, false, err));
    if (!(s->ckpt_run = malloc(n))) return EHM_FAIL(err, EHM_E_MEMORY, "no memory");
    memcpy(s->ckpt_run, run, n);
    s->ckpt_step = step;
    return EHM_OK;
}

/* RUN/checkpoints/00000120 of a run: its step, -1 for any other folder. */
static int64_t step_of_folder(const char *dir, char **run, ehm_arena *a) {
    size_t n = strlen(dir);
    while (n && dir[n - 1] == '/') n--;
    size_t name = n, up;
    while (name && dir[name - 1] != '/') name--;
    for (up = name; up && dir[up - 1] == '/'; up--) continue;
    static const char parent[] = "checkpoints";
    size_t m = sizeof parent - 1;
    int64_t step;
    char *text = ehm_arena_strndup(a, dir + name, n - name);
    if (!text || up < m || memcmp(dir + up - m, parent, m) || !ehm_parse_i64(text, &step) || step < 0) return -1;
    for (up -= m; up > 1 && dir[up - 1] == '/'; up--) continue;
    *run = up ? ehm_arena_strndup(a, dir, up) : ehm_arena_strdup(a, ".");
    return *run && ehm_run_is_folder(*run) ? step : -1;
}

static ehm_code run_folder(ehm_model_source *s, const char *dir, ehm_err *err) {
    ehm_arena a = {0};
    char *path = ehm_path_join(&a, dir, "model.safetensors"), *run = NULL;
    ehm_code rc;
    int64_t step;
    if (!path) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory");
    } else if (ehm_file_exists(path) && ehm_run_is_folder(dir)) {
        rc = from_file(s, path, dir, err);
    } else if ((step = step_of_folder(dir, &run, &a)) >= 0) {
        rc = from_checkpoint(s, run, step, err);
    } else if (ehm_import_claims(dir)) {
        rc = from_file(s, dir, dir, err);
    } else if (!ehm_run_is_folder(dir)) {
        rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: no model.safetensors in this folder, so it is no run folder", dir);
        EHM_HINT(err, "a model is a run folder, one of its checkpoints, a safetensors file, untrained:RUN or untrained:PRESET");
    } else if ((step = ehm_ckpt_newest(dir, err)) >= 0) {
        ehm_log(EHM_LOG_NOTE, "%s: the run has not finished; the model is its checkpoint of step %lld", dir, (long long)step);
        rc = from_checkpoint(s, dir, step, err);
    } else if (err && err->code) {
        rc = err->code;
    } else {
        rc = EHM_FAIL(err, EHM_E_MISMATCH, "%s: the run has not finished, and has no checkpoint yet", dir);
        EHM_HINT(err, "ehm pretrain --resume --out %s finishes it; untrained:%s is the model before its first step", dir, dir);
    }
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_model_source_open(ehm_model_source *out, const char *spec, ehm_err *err) {
    ehm_code rc;
    memset(out, 0, sizeof *out);
    if (!spec || !*spec)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "no model given; --model takes a run folder, a safetensors file, untrained:RUN or "
                        "untrained:PRESET");
    if (ehm_starts(spec, untrained_prefix)) {
        const char *rest = spec + strlen(untrained_prefix);
        out->untrained = true;
        rc = ehm_run_is_folder(rest) ? untrained_run(out, rest, true, err) : untrained_preset(out, rest, err);
    } else if (ehm_dir_exists(spec)) {
        rc = run_folder(out, spec, err);
    } else if (ehm_file_exists(spec)) {
        rc = from_file(out, spec, spec, err);
    } else {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "%s: no such file or folder", spec);
        if (ehm_vit_preset_find(spec)) EHM_HINT(err, "untrained:%s is the preset with random weights", spec);
        ehm_path_hint_near(err, spec);
    }
    if (rc) ehm_model_source_close(out);
    return rc;
}

void ehm_model_source_close(ehm_model_source *s) {
    if (s->import) ehm_import_close(s->import);
    else ehm_st_close(s->file);
    free(s->ckpt_run);
    s->file = NULL, s->import = NULL, s->ckpt_run = NULL;
}
