#include "export/export.h"
#include "base/file.h"
#include "base/log.h"
#include "export/export_int.h"
#include "export/onnx.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In the order of ehm_export_kind. */
const ehm_export_format ehm_export_formats[] = {
    {"mae", "a file: encoder and decoder under the names of the published masked autoencoders", "load_state_dict(load_file(F), strict=True)"},
    {"timm", "a folder, or a file: encoder or classifier", "timm.create_model(\"local-dir:DIR\", pretrained=True)"},
    {"hf", "a folder for transformers: ViTMAEForPreTraining, ViTModel or ViTForImageClassification", "ViTModel.from_pretrained(DIR)"},
    {"torchvision", "a file: encoder or classifier for torchvision.models.VisionTransformer", "load_state_dict(load_file(F), strict=True)"},
    {"onnx", "a file: encoder or classifier as a graph", "onnxruntime.InferenceSession(F)"},
    {0},
};

static const char *const folder_files[] = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", NULL};

/* ---- what is asked for ---- */

static ehm_code find_format(ehm_export_kind *out, const char *name, ehm_err *err) {
    const char *v[16];
    char list[128] = "";
    int32_t n = 0;
    for (const ehm_export_format *f = ehm_export_formats; f->name; f++) {
        if (name && !strcmp(f->name, name)) return *out = (ehm_export_kind)(f - ehm_export_formats), EHM_OK;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", n ? ", " : "", f->name);
        v[n++] = f->name;
    }
    if (!name) return EHM_FAIL(err, EHM_E_CONFIG, "--format is missing: one of %s", list);
    const char *near = ehm_nearest(name, v, n);
    if (near) EHM_HINT(err, "did you mean %s?", near);
    return EHM_FAIL(err, EHM_E_CONFIG, "--format %.60s: must be one of %s", name, list);
}

static ehm_code only_for(bool given, const char *flag, ehm_export_kind kind, const char *format, ehm_err *err) {
    if (!given || !strcmp(ehm_export_formats[kind].name, format)) return EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "%s is for --format %s, not for %s", flag, format, ehm_export_formats[kind].name);
}

static ehm_code check_options(const ehm_exporting *x, ehm_err *err) {
    const ehm_export_opt *o = x->opt;
    EHM_TRY(only_for(o->hf_class != NULL, "--class", x->kind, "hf", err));
    EHM_TRY(only_for(o->pool != NULL, "--global-pool", x->kind, "timm", err));
    EHM_TRY(only_for(o->opset != 0, "--opset", x->kind, "onnx", err));
    EHM_TRY(only_for(o->dynamic_batch, "--dynamic-batch", x->kind, "onnx", err));
    if (o->pool && strcmp(o->pool, "token") && strcmp(o->pool, "avg")) return EHM_FAIL(err, EHM_E_CONFIG, "--global-pool %.40s: must be token or avg", o->pool);
    return EHM_OK;
}

/* timm takes both, by the ending. */
static ehm_code check_path(ehm_exporting *x, ehm_err *err) {
    const char *ending = x->kind == EHM_EXPORT_ONNX ? ".onnx" : ".safetensors", *format = ehm_export_formats[x->kind].name;
    bool is_file = ehm_ends(x->path, ending);
    x->folder = x->kind == EHM_EXPORT_HF || (x->kind == EHM_EXPORT_TIMM && !is_file);
    if (x->folder && ehm_ends(x->path, ".safetensors")) return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: format %s is a folder", x->path, format);
    if (x->folder || is_file) return EHM_OK;
    EHM_HINT(err, "--out %.200s%s", x->path, ending);
    return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: format %s is a file whose name ends in %s", x->path, format, ending);
}

/* Somebody's folder is never ours to delete: only what an export writes may be in it. */
static ehm_code check_existing_folder(const ehm_exporting *x, ehm_err *err) {
    ehm_strs names;
    if (ehm_file_exists(x->path)) return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: is a file, and a folder is to be written", x->path);
    if (!ehm_dir_exists(x->path)) return EHM_OK;
    EHM_TRY(ehm_dir_list(&names, x->path, x->a, err));
    for (int32_t i = 0; i < names.n; i++) {
        bool ours = false;
        for (const char *const *f = folder_files; *f; f++) ours |= !strcmp(names.v[i], *f);
        if (!ours) {
            EHM_HINT(err, "name a folder that does not exist yet");
            return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: the folder holds \"%.100s\", which no export wrote", x->path, names.v[i]);
        }
    }
    if (!names.n || x->opt->overwrite) return EHM_OK;
    EHM_HINT(err, "--overwrite puts the new export in its place");
    return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: the folder holds an export already", x->path);
}

static ehm_code check_existing(const ehm_exporting *x, ehm_err *err) {
    if (x->folder) return check_existing_folder(x, err);
    if (ehm_dir_exists(x->path)) return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: is a folder, and a file is to be written", x->path);
    if (!ehm_file_exists(x->path) || x->opt->overwrite) return EHM_OK;
    EHM_HINT(err, "--overwrite puts the new export in its place");
    return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: the file exists", x->path);
}

/* ---- what the format can hold ---- */

static ehm_code no_final_norm(const ehm_exporting *x, const char *what, ehm_err *err) {
    EHM_HINT(err, "--format timm, mae or onnx holds it; a network fine-tuned with --pool cls fits all formats");
    return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: the classifier reads the mean of the patch tokens, and %s reads the class token", x->spec, what);
}

/* A file or folder that no run made can be square and have a decoder, and still have no head of use. */
static ehm_code choose_hf(ehm_exporting *x, ehm_err *err) {
    static const char *const names[] = {"ViTMAEForPreTraining", "ViTModel", "ViTForImageClassification"};
    const ehm_vit_shape *s = &x->info.shape;
    bool square = s->img_h == s->img_w;
    if (!x->opt->hf_class) {
        x->hf = x->head ? EHM_EXPORT_VIT_CLASSIFIER : x->info.has_decoder && square ? EHM_EXPORT_VIT_MAE : EHM_EXPORT_VIT;
        if (x->info.has_decoder && !square && !x->head)
            ehm_log(EHM_LOG_NOTE, "ViTMAEForPreTraining takes square pictures alone, and the model's are %dx%d: the encoder is exported as ViTModel", (int)s->img_h, (int)s->img_w);
    } else {
        int32_t k = 0;
        while (k < 3 && strcmp(names[k], x->opt->hf_class)) k++;
        if (k == 3) {
            const char *near = ehm_nearest(x->opt->hf_class, names, 3);
            if (near) EHM_HINT(err, "did you mean %s?", near);
            return EHM_FAIL(err, EHM_E_CONFIG, "--class %.60s: must be one of %s, %s, %s", x->opt->hf_class, names[0], names[1], names[2]);
        }
        x->hf = (ehm_export_hf_class)k;
    }
    if (x->hf == EHM_EXPORT_VIT_MAE && !x->info.has_decoder) {
        EHM_HINT(err, "--class ViTModel holds the encoder");
        return EHM_FAIL(err, EHM_E_CONFIG, "--class ViTMAEForPreTraining has a decoder, and %s has none", x->spec);
    }
    if (x->hf == EHM_EXPORT_VIT_MAE && !square) {
        EHM_HINT(err, "--class ViTModel takes any shape");
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "ViTMAEForPreTraining takes square pictures alone, and the model's are %dx%d", (int)s->img_h, (int)s->img_w);
    }
    if (x->hf == EHM_EXPORT_VIT_CLASSIFIER && !x->head) {
        EHM_HINT(err, "ehm eval finetune --save makes a classifier; --class ViTModel holds the encoder");
        return EHM_FAIL(err, EHM_E_CONFIG, "--class ViTForImageClassification is a classifier, and %s has no head", x->spec);
    }
    if (x->hf == EHM_EXPORT_VIT_CLASSIFIER && x->head != EHM_EXPORT_CLS) return no_final_norm(x, "ViTForImageClassification", err);
    if (!x->has_norm) return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: has no norm after its last block, and %s ends in one", x->spec, names[x->hf]);
    return EHM_OK;
}

static ehm_code fit_torchvision(const ehm_exporting *x, ehm_err *err) {
    const ehm_vit_shape *s = &x->info.shape;
    if (s->img_h != s->img_w) {
        EHM_HINT(err, "--format timm takes any shape");
        return EHM_FAIL(err, EHM_E_UNSUPPORTED, "torchvision's VisionTransformer takes square pictures alone, and the model's are %dx%d", (int)s->img_h, (int)s->img_w);
    }
    if (x->head > EHM_EXPORT_CLS) return no_final_norm(x, "torchvision's VisionTransformer", err);
    return EHM_OK;
}

static ehm_code fit_timm(ehm_exporting *x, ehm_err *err) {
    const char *pool = x->opt->pool;
    bool avg = pool && !strcmp(pool, "avg");
    if (!x->head) return x->pool_avg = avg, EHM_OK;
    if (!pool || avg == (x->head != EHM_EXPORT_CLS)) return EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "--global-pool %s: the classifier of %s was trained on the %s", pool, x->spec, avg ? "class token" : "mean of the patch tokens");
}

static ehm_code fit_format(ehm_exporting *x, ehm_err *err) {
    switch (x->kind) {
    case EHM_EXPORT_HF: return choose_hf(x, err);
    case EHM_EXPORT_TORCHVISION: return fit_torchvision(x, err);
    case EHM_EXPORT_TIMM: return fit_timm(x, err);
    case EHM_EXPORT_MAE:
        if (x->head == EHM_EXPORT_MEAN_OF_NORM) {
            EHM_HINT(err, "--format timm or onnx holds it");
            return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: MAE's classifiers read the class token, or a mean through a norm of its own, and this one a mean after the final norm", x->spec);
        }
        if (!x->info.has_decoder) ehm_log(EHM_LOG_NOTE, "%s: has no decoder; %s is exported", x->spec, x->head ? "the classifier" : "the encoder alone");
        return EHM_OK;
    default: return EHM_OK;
    }
}

/* ---- writing ---- */

static ehm_code write_onnx(const ehm_exporting *x, const char *path, ehm_err *err) {
    ehm_st *st = NULL;
    ehm_st_meta meta[2];
    int32_t n = 0;
    if (x->classes) meta[n++] = (ehm_st_meta){"classes", ehm_export_classes(x)};
    if (x->data) meta[n++] = (ehm_st_meta){"data", x->data};
    if (x->classes && !meta[0].value) return EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to write it", path);
    EHM_TRY(ehm_st_from(&st, x->t, x->n, meta, n, NULL, NULL, err));
    ehm_onnx_opt o = {x->opt->opset, x->opt->dynamic_batch, x->head > EHM_EXPORT_CLS ? "mean" : "cls"};
    ehm_code rc = ehm_onnx_write(path, st, &x->info, &o, err);
    ehm_st_close(st);
    return rc;
}

static ehm_code write_all(const ehm_exporting *x, ehm_err *err) {
    if (x->kind == EHM_EXPORT_ONNX) return write_onnx(x, x->temp, err);
    if (!x->folder) return ehm_export_write_weights(x, x->temp, err);
    EHM_TRY(ehm_dir_make(x->temp, err));
    EHM_TRY(ehm_export_write_weights(x, ehm_path_join(x->a, x->temp, "model.safetensors"), err));
    EHM_TRY(ehm_export_write_configs(x, x->temp, err));
    return ehm_dir_sync(x->temp, err);
}

/* An older export steps aside until the new one stands in its place. */
static ehm_code put_in_place(const ehm_exporting *x, ehm_err *err) {
    char *old = x->folder && ehm_dir_exists(x->path) ? ehm_arena_printf(x->a, "%s.old", x->temp) : NULL;
    if (old && rename(x->path, old)) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be moved aside: %s", x->path, strerror(errno));
    if (rename(x->temp, x->path)) {
        EHM_FAIL(err, EHM_E_IO, "%s: cannot be put in its place: %s", x->path, strerror(errno));
        if (old) (void)rename(old, x->path);
        return EHM_E_IO;
    }
    return old ? ehm_dir_remove(old, err) : EHM_OK;
}

static ehm_code stop_asked(ehm_err *err) { return ehm_stop_asked() ? EHM_FAIL(err, EHM_E_STOPPED, "stopped before the export was finished; nothing was kept") : EHM_OK; }

static ehm_code describe(ehm_export_result *out, const ehm_exporting *x, ehm_err *err) {
    int32_t n = 0;
    if (!x->folder) out->files[n++] = ehm_arena_strdup(x->a, ehm_path_base(x->path));
    for (const char *const *f = folder_files; x->folder && *f; f++)
        if (x->kind == EHM_EXPORT_HF || strcmp(*f, "preprocessor_config.json")) out->files[n++] = *f;
    out->n_checked = ehm_export_n_checked(x);
    out->load_with = ehm_export_load_lines(x, x->path);
    return out->load_with && out->files[0] ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for the export");
}

static ehm_code run(ehm_export_result *out, ehm_exporting *x, ehm_err *err) {
    ehm_export_features want;
    ehm_progress(false, "opening %s", x->spec);
    EHM_TRY(ehm_exporting_open(x, err));
    EHM_TRY(fit_format(x, err));
    EHM_TRY(stop_asked(err));
    ehm_progress(false, "looking at %d pictures", (int)EHM_EXPORT_PICTURES);
    EHM_TRY(ehm_dir_make_for(x->path, err));
    EHM_TRY(ehm_export_look(&want, x, err));
    EHM_TRY(stop_asked(err));
    ehm_progress(false, "writing %s", x->path);
    EHM_TRY(write_all(x, err));
    ehm_progress(false, "checking %s", x->path);
    EHM_TRY(ehm_export_check(&out->max_difference, x, x->temp, &want, err));
    EHM_TRY(stop_asked(err));
    EHM_TRY(describe(out, x, err));
    return put_in_place(x, err);
}

ehm_code ehm_export(ehm_export_result *out, const char *model, const char *format, const char *path, const ehm_export_opt *opt, ehm_arena *a, ehm_err *err) {
    ehm_exporting x = {.a = a, .spec = model, .opt = opt};
    memset(out, 0, sizeof *out);
    EHM_TRY(find_format(&x.kind, format, err));
    EHM_TRY(check_options(&x, err));
    if (!model || !*model) return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder, one of its checkpoints, a safetensors file or untrained:PRESET");
    if (!path || !*path) return EHM_FAIL(err, EHM_E_CONFIG, "--out is missing: the folder or file to write");
    char *own = ehm_arena_strdup(a, path);
    for (size_t n = own ? strlen(own) : 0; n > 1 && own[n - 1] == '/'; n--) own[n - 1] = 0;
    x.temp = own ? ehm_arena_printf(a, "%s.part.%ld", own, (long)getpid()) : NULL;
    if (!x.temp) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the export");
    x.path = own;
    EHM_TRY(check_path(&x, err));
    EHM_TRY(check_existing(&x, err));
    ehm_code rc = run(out, &x, err);
    ehm_exporting_close(&x);
    if (rc) (void)(x.folder ? ehm_dir_remove(x.temp, NULL) : ehm_file_remove(x.temp, NULL));
    ehm_progress(true, "%s %s", rc ? "no export:" : "exported:", x.path);
    return rc;
}
