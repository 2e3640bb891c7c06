#include "infer/describe.h"
#include "base/file.h"
#include "exchange/import_files.h"
#include "net/shape.h"
#include "runs/run.h"
#include <stdio.h>
#include <string.h>

static void numbers(ehm_str *t, const double *v, int32_t n) {
    for (int32_t i = 0; i < n; i++) ehm_str_addf(t, "%s%.4g", i ? ", " : "", v[i]);
}

static int64_t n_classes(const ehm_import *im) {
    const ehm_st_tensor *head = im->has_head ? ehm_st_find(im->weights, "head.weight") : NULL;
    return head ? head->dim[0] : 0;
}

static void describe_words(const ehm_import *im, ehm_str *text) {
    const ehm_weights_info *info = &im->info;
    const ehm_vit_shape *s = &info->shape;
    int64_t classes = n_classes(im);
    ehm_str_addf(text, "  holds     %s\n", info->has_decoder ? "encoder and decoder: features and reconstructions" : "the encoder alone: features, no reconstructions");
    if (classes)
        ehm_str_addf(text, "  head      %lld classes%s\n", (long long)classes, ehm_st_find(im->weights, "fc_norm.weight") ? ", on the mean of the patch tokens (fc_norm)" : "");
    ehm_str_addf(text, "  from      %s, names of %s\n", im->tool, ehm_dialect_word(im->dialect));
    ehm_str_addf(text, "  input     %d x %d px, %d channels, patches of %d px (%d x %d = %d)\n", s->img_w, s->img_h, s->channels, s->patch_size, s->grid_w, s->grid_h, s->n_patches);
    ehm_str_addf(text, "  encoder   width %d, depth %d, heads %d%s\n", s->embed_dim, s->depth, s->num_heads,
                 im->heads_guessed ? " (heads are a guess: the file does not say)" : "");
    if (info->has_decoder) ehm_str_addf(text, "  decoder   width %d, depth %d, heads %d\n", s->decoder_embed_dim, s->decoder_depth, s->decoder_num_heads);
    if (info->recipe[0])
        ehm_str_addf(text, "  made by   recipe %s, mask %s, target %s\n", info->recipe, info->mask, info->norm_pix ? "normalised pixels" : "pixels");
    if (info->has_stats) {
        ehm_str_addf(text, "  mean      "), numbers(text, info->mean, s->channels);
        ehm_str_addf(text, "\n  std       "), numbers(text, info->std, s->channels);
        ehm_str_addf(text, "\n");
    } else ehm_str_addf(text, "  mean, std not in the file\n");
    for (int32_t i = 0; i < im->n_notes; i++) ehm_str_addf(text, "  note      %s\n", im->note[i]);
}

static void describe_keys(const ehm_import *im, ehm_json_w *w) {
    const ehm_vit_shape *s = &im->info.shape;
    const struct { const char *key; int32_t v;
    } n[] = {{"img_h", s->img_h},
             {"img_w", s->img_w},
             {"channels", s->channels},
             {"patch_size", s->patch_size},
             {"embed_dim", s->embed_dim},
             {"depth", s->depth},
             {"num_heads", s->num_heads},
             {"decoder_embed_dim", s->decoder_embed_dim},
             {"decoder_depth", s->decoder_depth},
             {"decoder_num_heads", s->decoder_num_heads}};
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++) ehm_json_key(w, n[i].key), ehm_json_i64(w, n[i].v);
    ehm_json_key(w, "has_decoder"), ehm_json_bool(w, im->info.has_decoder);
    ehm_json_key(w, "norm_pix_loss"), ehm_json_bool(w, im->info.norm_pix);
    ehm_json_key(w, "heads_guessed"), ehm_json_bool(w, im->heads_guessed);
    ehm_json_key(w, "n_classes"), ehm_json_i64(w, n_classes(im));
    ehm_json_key(w, "container"), ehm_json_str(w, im->container);
    ehm_json_key(w, "dialect"), ehm_json_str(w, ehm_dialect_word(im->dialect));
    ehm_json_key(w, "tool"), ehm_json_str(w, im->tool);
    ehm_json_key(w, "notes"), ehm_json_arr(w);
    for (int32_t i = 0; i < im->n_notes; i++) ehm_json_str(w, im->note[i]);
    ehm_json_end(w);
}

void ehm_describe_import(const ehm_import *im, ehm_str *text, ehm_json_w *w) {
    describe_words(im, text);
    if (w) describe_keys(im, w);
}

static void list_tensors(const ehm_import_files *f, ehm_str *text, ehm_json_w *w) {
    for (int32_t i = 0; i < f->n_tensors; i++) {
        const ehm_st_tensor *t = f->tensor[i];
        ehm_str_addf(text, "  %-40s %-5s [", t->name, ehm_dtype_name(t->dtype));
        for (int32_t k = 0; k < t->rank; k++) ehm_str_addf(text, "%s%lld", k ? ", " : "", (long long)t->dim[k]);
        ehm_str_addf(text, "]\n");
        if (!w) continue;
        ehm_json_obj(w);
        ehm_json_key(w, "name"), ehm_json_str(w, t->name);
        ehm_json_key(w, "dtype"), ehm_json_str(w, ehm_dtype_name(t->dtype));
        ehm_json_key(w, "shape"), ehm_json_arr(w);
        for (int32_t k = 0; k < t->rank; k++) ehm_json_i64(w, t->dim[k]);
        ehm_json_end(w);
        ehm_json_end(w);
    }
}

static ehm_code describe_file(const char *path, bool tensors, ehm_str *text, ehm_json_w *w, ehm_err *err) {
    ehm_import_files f;
    ehm_import *im = NULL;
    ehm_err why = {0};
    char count[32];
    int64_t total = 0;
    EHM_TRY(ehm_import_files_open(&f, path, err));
    for (int32_t i = 0; i < f.n_tensors; i++) total += f.tensor[i]->count;
    ehm_code rc = ehm_import_open(&im, path, &(ehm_import_opt){0}, &why);
    if (rc == EHM_E_MEMORY) {
        if (err && !err->code) *err = why;
        ehm_import_files_close(&f);
        return rc;
    }
    ehm_str_addf(text, "%s: %s, %d tensors, %s numbers\n", path, f.container, f.n_tensors, ehm_format_count(total, count));
    if (w) {
        ehm_json_key(w, "file"), ehm_json_str(w, path);
        ehm_json_key(w, "n_tensors"), ehm_json_i64(w, f.n_tensors);
        ehm_json_key(w, "n_numbers"), ehm_json_i64(w, total);
        ehm_json_key(w, "known"), ehm_json_bool(w, im != NULL);
    }
    if (im) ehm_describe_import(im, text, w);
    else ehm_str_addf(text, "  not a vision transformer that ehm knows: %s\n", why.what);
    if (w) {
        if (!im) ehm_json_key(w, "why"), ehm_json_str(w, why.what);
        ehm_json_key(w, "metadata"), ehm_json_obj(w);
        for (int32_t i = 0; f.n_files == 1 && i < ehm_st_n_meta(f.file[0]); i++)
            ehm_json_key(w, ehm_st_meta_at(f.file[0], i)->key), ehm_json_str(w, ehm_st_meta_at(f.file[0], i)->value);
        ehm_json_end(w);
        ehm_json_key(w, "tensors"), ehm_json_arr(w);
    }
    if (tensors) list_tensors(&f, text, w);
    if (w) ehm_json_end(w);
    ehm_import_close(im);
    ehm_import_files_close(&f);
    return EHM_OK;
}

static ehm_code describe_run(const char *path, bool tensors, ehm_str *text, ehm_json_w *w, ehm_err *err) {
    ehm_arena a = {0};
    ehm_json *c = NULL;
    ehm_err why = {0};
    ehm_code rc = ehm_json_read_file(&c, ehm_path_join(&a, path, "config.json"), &a, err);
    if (rc) goto done;
    bool finished = ehm_file_exists(ehm_path_join(&a, path, "DONE"));
    int64_t step = ehm_ckpt_newest(path, &why);
    const ehm_json *data = ehm_json_get(c, "data");
    ehm_str_addf(text, "%s: run folder, format %lld, %s", path, (long long)ehm_json_i64_or(c, "format", 0),
                 finished ? "finished" : "not finished");
    if (step >= 0) ehm_str_addf(text, ", newest checkpoint at step %lld", (long long)step);
    ehm_str_addf(text, "\n");
    if (data) ehm_str_addf(text, "  pictures  %lld\n", (long long)ehm_json_i64_or(data, "count", 0));
    if (!finished && step >= 0)
        ehm_str_addf(text, "  go on     ehm pretrain --out %s --resume with the same settings\n", path);
    if (w) {
        ehm_json_key(w, "run"), ehm_json_str(w, path);
        ehm_json_key(w, "finished"), ehm_json_bool(w, finished);
        ehm_json_key(w, "newest_checkpoint"), ehm_json_i64(w, step);
    }
    char *model = ehm_path_join(&a, path, "model.safetensors");
    if (model && ehm_file_exists(model)) rc = describe_file(model, tensors, text, w, err);
done:
    ehm_arena_free(&a);
    return rc;
}

ehm_code ehm_describe(const char *path, bool tensors, ehm_str *text, ehm_json_w *w, ehm_err *err) {
    ehm_code rc;
    if (w) ehm_json_obj(w);
    if (ehm_run_is_folder(path)) rc = describe_run(path, tensors, text, w, err);
    else if (ehm_dir_exists(path) && !ehm_import_claims(path)) {
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s is a folder, but no run (it has no config.json of ehm)", path);
        EHM_HINT(err, "for a folder of pictures: ehm data %s", path);
    } else if (!ehm_file_exists(path) && !ehm_dir_exists(path)) {
        rc = EHM_FAIL(err, EHM_E_CONFIG, "%s: there is no such file or folder", path);
        ehm_path_hint_near(err, path);
    } else rc = describe_file(path, tensors, text, w, err);
    if (w) ehm_json_end(w);
    return rc;
}
