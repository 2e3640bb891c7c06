/* What others read of a run: config.json at the start, model files at the end. */
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "exchange/weights_file.h"
#include "recipe/affinity.h"
#include "train/train_int.h"

static void put_i64(ehm_json_w *w, const char *key, int64_t v) { ehm_json_key(w, key), ehm_json_i64(w, v); }

static void put_shape(ehm_json_w *w, const ehm_vit_shape *s) {
    ehm_json_obj(w);
    put_i64(w, "img_h", s->img_h), put_i64(w, "img_w", s->img_w), put_i64(w, "channels", s->channels), put_i64(w, "patch_size", s->patch_size);
    put_i64(w, "embed_dim", s->embed_dim), put_i64(w, "depth", s->depth), put_i64(w, "num_heads", s->num_heads), put_i64(w, "mlp_dim", s->mlp_dim);
    put_i64(w, "decoder_embed_dim", s->decoder_embed_dim), put_i64(w, "decoder_depth", s->decoder_depth);
    put_i64(w, "decoder_num_heads", s->decoder_num_heads), put_i64(w, "decoder_mlp_dim", s->decoder_mlp_dim);
    ehm_json_end(w);
}

static void put_numbers(ehm_json_w *w, const char *key, const double *v, int32_t n) {
    ehm_json_key(w, key);
    ehm_json_arr(w);
    for (int32_t i = 0; i < n; i++) ehm_json_f64(w, v[i]);
    ehm_json_end(w);
}

ehm_code ehm_train_write_config(ehm_train *t, ehm_err *err) {
    ehm_str text = {0};
    ehm_arena a = {0};
    ehm_json_w writer = {.out = &text, .indent = 1}, *w = &writer;
    int32_t channels = t->facts.shape.channels;
    if (t->saved) ehm_train_adopt_origins(t);
    ehm_json_obj(w);
    put_i64(w, "format", EHM_RUN_FORMAT);
    ehm_json_key(w, "version"), ehm_json_str(w, EHM_VERSION);
    ehm_json_key(w, "settings");
    ehm_json_obj(w);
    ehm_config_write(&t->cfg, EHM_TRAIN_GROUPS, true, w);
    ehm_json_end(w);
    ehm_json_key(w, "shape"), put_shape(w, &t->facts.shape);
    put_i64(w, "parameters", t->facts.n_params);
    ehm_json_key(w, "data");
    ehm_json_obj(w);
    ehm_json_key(w, "hash"), ehm_json_str(w, ehm_dataset_hash(t->ds));
    put_i64(w, "count", t->facts.n_pictures);
    put_i64(w, "classes", ehm_dataset_n_classes(t->ds));
    put_numbers(w, "mean", t->facts.mean, channels);
    put_numbers(w, "std", t->facts.std, channels);
    ehm_json_end(w);
    ehm_json_key(w, "schedule");
    ehm_json_arr(w);
    for (int32_t i = 0; i < t->schedule.n; i++) {
        const ehm_schedule_segment *g = &t->schedule.seg[i];
        ehm_json_obj(w);
        put_i64(w, "first_step", g->first_step), put_i64(w, "origin_step", g->origin_step), put_i64(w, "total_steps", g->total_steps);
        ehm_json_key(w, "warmup_steps"), ehm_json_f64(w, g->warmup_steps);
        ehm_json_key(w, "lr"), ehm_json_f64(w, g->lr);
        ehm_json_key(w, "min_lr"), ehm_json_f64(w, g->min_lr);
        ehm_json_end(w);
    }
    ehm_json_end(w);
    ehm_json_key(w, "machine");
    ehm_json_obj(w);
    ehm_json_key(w, "device"), ehm_json_str(w, ehm_dev_name(t->dev));
    ehm_json_key(w, "describe"), ehm_json_str(w, ehm_dev_describe(t->dev));
    put_i64(w, "threads", t->facts.n_threads), put_i64(w, "processors", ehm_cpu_count()), put_i64(w, "memory_bytes", ehm_memory_limit());
    ehm_json_end(w);
    ehm_json_end(w);
    ehm_str_addc(&text, '\n');
    char *path = ehm_run_path(t->run, "config.json", &a);
    ehm_code rc = text.failed || !path ? EHM_FAIL(err, EHM_E_MEMORY, "%s/config.json: no memory", t->cfg.out) : ehm_file_write(path, text.s, text.len, err);
    ehm_str_free(&text);
    ehm_arena_free(&a);
    return rc;
}

/* Into dir; encoder may be NULL. */
static ehm_code save_weights(ehm_train *t, const ehm_weights *w, const char *dir, const char *model, const char *encoder, ehm_err *err) {
    ehm_arena a = {0};
    const ehm_config *c = &t->cfg;
    ehm_weights_info info = {.shape = t->facts.shape, .has_decoder = true, .norm_pix = c->norm_pix_loss, .has_stats = true};
    memcpy(info.mean, t->facts.mean, sizeof info.mean);
    memcpy(info.std, t->facts.std, sizeof info.std);
    snprintf(info.fit, sizeof info.fit, "%s", c->fit);
    snprintf(info.recipe, sizeof info.recipe, "%s", c->recipe);
    snprintf(info.mask, sizeof info.mask, "%s", c->mask);
    char *m = ehm_path_join(&a, dir, model), *e = encoder ? ehm_path_join(&a, dir, encoder) : NULL;
    ehm_code rc = m && (e || !encoder) ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", c->out);
    if (!rc) rc = ehm_weights_save(m, w, t->dev, &info, false, err);
    if (!rc && e) rc = ehm_weights_save(e, w, t->dev, &info, true, err);
    ehm_arena_free(&a);
    return rc;
}

/* What residual similarity subtracts, for forward-only uses of the model. */
static ehm_code save_attention_mean(ehm_train *t, const char *path, ehm_err *err) {
    const ehm_affinity *a = ehm_method_affinity(t->method);
    ehm_view mean = a ? ehm_affinity_mean(a) : ehm_view_none();
    if (!mean.rank) return EHM_OK;
    const ehm_affinity_opt *o = ehm_affinity_options(a);
    ehm_arena arena = {0};
    ehm_str layers = {0};
    for (int32_t i = 0; i < o->n_layers; i++) ehm_str_addf(&layers, "%s%d", i ? "," : "", (int)o->layer[i]);
    float *v = EHM_NEW_N(&arena, float, (size_t)ehm_view_count(mean)), *count = EHM_NEW_N(&arena, float, o->n_layers);
    ehm_code rc = v && count && !layers.failed ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", path);
    if (rc) goto done;
    ehm_view counts = ehm_affinity_mean_count(a);
    ehm_download(t->dev, v, mean, ehm_view_bytes(mean));
    ehm_download(t->dev, count, counts, ehm_view_bytes(counts));
    if ((rc = ehm_dev_check(t->dev, err))) goto done;
    if (!(count[0] > 0)) goto done; /* no tree was drawn yet, so there is no mean */
    ehm_st_tensor tensor = {.name = "attention_mean", .dtype = EHM_F32, .rank = 4, .count = ehm_view_count(mean), .data = v, .bytes = ehm_view_bytes(mean)};
    for (int i = 0; i < 4; i++) tensor.dim[i] = mean.dim[i];
    ehm_st_meta meta[] = {{"layers", ehm_str_c(&layers)}, {"profile_per", o->per_head ? "head" : "layer"}, {"attention_rows", o->raw_rows ? "raw" : "renormalise"}};
    rc = ehm_st_write(path, &tensor, 1, meta, 3, err);
done:
    ehm_str_free(&layers);
    ehm_arena_free(&arena);
    return rc;
}

ehm_code ehm_train_snapshot(ehm_train *t, const char *dir, ehm_err *err) {
    ehm_arena a = {0};
    char *mean = ehm_path_join(&a, dir, "attention_mean.safetensors");
    ehm_code rc = mean ? save_weights(t, ehm_method_weights(t->method), dir, "model.safetensors", NULL, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", dir);
    if (!rc) rc = save_attention_mean(t, mean, err);
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_train_export(ehm_train *t, ehm_err *err) {
    ehm_arena a = {0};
    char *mean = ehm_run_path(t->run, "attention_mean.safetensors", &a);
    ehm_code rc = mean ? save_attention_mean(t, mean, err) : EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory", t->cfg.out);
    ehm_arena_free(&a);
    if (rc) return rc;
    EHM_TRY(save_weights(t, ehm_method_weights(t->method), t->cfg.out, "model.safetensors", "encoder.safetensors", err));
    if (t->cfg.ema > 0) EHM_TRY(save_weights(t, &t->average, t->cfg.out, "ema.safetensors", "ema_encoder.safetensors", err));
    return EHM_OK;
}
