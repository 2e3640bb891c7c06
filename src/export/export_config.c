/* What stands beside the weights: the settings that timm and transformers read, a page for people, and the lines that load it all. */
#include "base/file.h"
#include "export/export_int.h"
#include "net/shape.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#ifndef EHM_VERSION
#define EHM_VERSION "0"
#endif

const char *ehm_export_hf_name(ehm_export_hf_class c) {
    static const char *const name[] = {"ViTMAEForPreTraining", "ViTModel", "ViTForImageClassification"};
    return name[c];
}

/* The nearest published model by width; every size is overridden anyway. */
const char *ehm_export_timm_name(const ehm_vit_shape *s) {
    if (s->embed_dim <= 192) return "vit_tiny_patch16_224";
    if (s->embed_dim <= 384) return "vit_small_patch16_224";
    if (s->embed_dim <= 768) return "vit_base_patch16_224";
    return s->embed_dim <= 1024 ? "vit_large_patch16_224" : "vit_huge_patch14_224";
}

/* The others take a ratio and truncate the product: one that gives this width again. */
double ehm_export_mlp_ratio(const ehm_vit_shape *s) {
    double ratio = (double)s->mlp_dim / s->embed_dim;
    while ((int32_t)((double)s->embed_dim * ratio) < s->mlp_dim) ratio = nextafter(ratio, INFINITY);
    return ratio;
}

static bool has_head(const ehm_exporting *x) { return x->head != EHM_EXPORT_NO_HEAD && ehm_export_keeps(x, "head.weight"); }
static const char *timm_pool(const ehm_exporting *x) {
    return x->head == EHM_EXPORT_MEAN || x->head == EHM_EXPORT_MEAN_OF_NORM || (x->head == EHM_EXPORT_NO_HEAD && x->pool_avg) ? "avg" : "token";
}
/* timm's mean goes through fc_norm instead of norm, unless told not to. */
static bool timm_no_fc_norm(const ehm_exporting *x) { return !strcmp(timm_pool(x), "avg") && x->head != EHM_EXPORT_MEAN; }

static const char *class_name(const ehm_exporting *x, int32_t i) { return x->classes ? x->classes[i] : ehm_arena_printf(x->a, "LABEL_%d", (int)i); }

/* ---- JSON ---- */

static void add_i64(ehm_json_w *w, const char *key, int64_t v) { ehm_json_key(w, key), ehm_json_i64(w, v); }
static void add_f64(ehm_json_w *w, const char *key, double v) { ehm_json_key(w, key), ehm_json_f64(w, v); }
static void add_str(ehm_json_w *w, const char *key, const char *v) { ehm_json_key(w, key), ehm_json_str(w, v); }
static void add_bool(ehm_json_w *w, const char *key, bool v) { ehm_json_key(w, key), ehm_json_bool(w, v); }
static void add_array(ehm_json_w *w, const char *key, const double *v, int32_t n) {
    ehm_json_key(w, key), ehm_json_arr(w);
    for (int32_t i = 0; i < n; i++) ehm_json_f64(w, v[i]);
    ehm_json_end(w);
}
static void add_sizes(ehm_json_w *w, const char *key, const int32_t *v, int32_t n) {
    ehm_json_key(w, key), ehm_json_arr(w);
    for (int32_t i = 0; i < n; i++) ehm_json_i64(w, v[i]);
    ehm_json_end(w);
}

/* timm's words for how a picture is fitted. Above 96 px evaluation here takes the middle 0.875 of the short side. */
static void add_crop(ehm_json_w *w, const ehm_exporting *x) {
    const ehm_vit_shape *s = &x->info.shape;
    bool stretch = !strcmp(x->info.fit, "stretch"), pad = !strcmp(x->info.fit, "pad");
    int32_t side = s->img_h < s->img_w ? s->img_h : s->img_w;
    add_f64(w, "crop_pct", !stretch && !pad && side > 96 ? 0.875 : 1.0);
    add_str(w, "crop_mode", stretch ? "squash" : pad ? "border" : "center");
}

static void timm_args(ehm_json_w *w, const ehm_exporting *x) {
    const ehm_vit_shape *s = &x->info.shape;
    ehm_json_key(w, "model_args"), ehm_json_obj(w);
    add_sizes(w, "img_size", (int32_t[]){s->img_h, s->img_w}, 2);
    add_i64(w, "patch_size", s->patch_size), add_i64(w, "in_chans", s->channels);
    add_i64(w, "embed_dim", s->embed_dim), add_i64(w, "depth", s->depth), add_i64(w, "num_heads", s->num_heads);
    add_f64(w, "mlp_ratio", ehm_export_mlp_ratio(s));
    add_str(w, "global_pool", timm_pool(x));
    if (timm_no_fc_norm(x)) add_bool(w, "fc_norm", false);
    ehm_json_end(w);
}

static void timm_config(ehm_json_w *w, const ehm_exporting *x) {
    const ehm_vit_shape *s = &x->info.shape;
    int32_t n_classes = has_head(x) ? x->n_classes : 0;
    ehm_json_obj(w);
    add_str(w, "architecture", ehm_export_timm_name(s));
    add_i64(w, "num_classes", n_classes), add_i64(w, "num_features", s->embed_dim);
    add_str(w, "global_pool", timm_pool(x));
    if (has_head(x) && x->classes) {
        ehm_json_key(w, "label_names"), ehm_json_arr(w);
        for (int32_t i = 0; i < n_classes; i++) ehm_json_str(w, x->classes[i]);
        ehm_json_end(w);
    }
    timm_args(w, x);
    ehm_json_key(w, "pretrained_cfg"), ehm_json_obj(w);
    add_str(w, "tag", "ehm"), add_bool(w, "custom_load", false);
    add_sizes(w, "input_size", (int32_t[]){s->channels, s->img_h, s->img_w}, 3);
    add_bool(w, "fixed_input_size", true);
    add_str(w, "interpolation", "bicubic");
    add_crop(w, x);
    add_array(w, "mean", x->info.mean, s->channels), add_array(w, "std", x->info.std, s->channels); /* timm's own default is 0.5 */
    add_i64(w, "num_classes", n_classes);
    ehm_json_key(w, "pool_size"), ehm_json_null(w);
    add_str(w, "first_conv", "patch_embed.proj"), add_str(w, "classifier", "head");
    ehm_json_end(w);
    ehm_json_end(w);
}

static void hf_config(ehm_json_w *w, const ehm_exporting *x) {
    const ehm_vit_shape *s = &x->info.shape;
    bool mae = x->hf == EHM_EXPORT_VIT_MAE;
    ehm_json_obj(w);
    ehm_json_key(w, "architectures"), ehm_json_arr(w), ehm_json_str(w, ehm_export_hf_name(x->hf)), ehm_json_end(w);
    add_str(w, "model_type", mae ? "vit_mae" : "vit");
    add_i64(w, "hidden_size", s->embed_dim), add_i64(w, "num_hidden_layers", s->depth), add_i64(w, "num_attention_heads", s->num_heads);
    add_i64(w, "intermediate_size", s->mlp_dim);
    add_str(w, "hidden_act", "gelu");
    add_f64(w, "hidden_dropout_prob", 0.0), add_f64(w, "attention_probs_dropout_prob", 0.0);
    add_f64(w, "initializer_range", 0.02);
    add_f64(w, "layer_norm_eps", 1e-6); /* the default there is 1e-12 */
    if (s->img_h == s->img_w) add_i64(w, "image_size", s->img_h);
    else add_sizes(w, "image_size", (int32_t[]){s->img_h, s->img_w}, 2);
    add_i64(w, "patch_size", s->patch_size), add_i64(w, "num_channels", s->channels);
    add_bool(w, "qkv_bias", true);
    if (mae) {
        add_i64(w, "decoder_hidden_size", s->decoder_embed_dim), add_i64(w, "decoder_num_hidden_layers", s->decoder_depth);
        add_i64(w, "decoder_num_attention_heads", s->decoder_num_heads), add_i64(w, "decoder_intermediate_size", s->decoder_mlp_dim);
        add_f64(w, "mask_ratio", x->mask_ratio), add_bool(w, "norm_pix_loss", x->info.norm_pix);
    } else {
        add_i64(w, "encoder_stride", s->patch_size);
    }
    if (x->hf == EHM_EXPORT_VIT_CLASSIFIER) {
        ehm_json_key(w, "id2label"), ehm_json_obj(w);
        for (int32_t i = 0; i < x->n_classes; i++) add_str(w, ehm_arena_printf(x->a, "%d", (int)i), class_name(x, i));
        ehm_json_end(w);
        ehm_json_key(w, "label2id"), ehm_json_obj(w);
        for (int32_t i = 0; i < x->n_classes; i++) add_i64(w, class_name(x, i), i);
        ehm_json_end(w);
        add_str(w, "problem_type", "single_label_classification");
    }
    ehm_json_key(w, "torch_dtype"), ehm_json_str(w, "float32");
    ehm_json_end(w);
}

/* Pictures are resized to the exact size there, whatever their shape: there is no crop in this processor. */
static void hf_processor(ehm_json_w *w, const ehm_exporting *x) {
    enum { BICUBIC = 3 };
    const ehm_vit_shape *s = &x->info.shape;
    ehm_json_obj(w);
    add_str(w, "image_processor_type", "ViTImageProcessor");
    add_bool(w, "do_resize", true);
    ehm_json_key(w, "size"), ehm_json_obj(w), add_i64(w, "height", s->img_h), add_i64(w, "width", s->img_w), ehm_json_end(w);
    add_i64(w, "resample", BICUBIC);
    add_bool(w, "do_rescale", true), add_f64(w, "rescale_factor", 1.0 / 255);
    add_bool(w, "do_normalize", true);
    add_array(w, "image_mean", x->info.mean, s->channels), add_array(w, "image_std", x->info.std, s->channels);
    if (s->channels == 3) add_bool(w, "do_convert_rgb", true);
    ehm_json_end(w);
}

static ehm_code write_json(const ehm_exporting *x, const char *dir, const char *name, void (*fill)(ehm_json_w *, const ehm_exporting *), ehm_err *err) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s, .indent = 2};
    const char *path = ehm_path_join(x->a, dir, name);
    fill(&w, x);
    ehm_str_addc(&s, '\n');
    ehm_code rc = s.failed || !path ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for %s", name) : ehm_file_write(path, s.s, s.len, err);
    ehm_str_free(&s);
    return rc;
}

/* ---- lines of Python ---- */

static void add_quoted(ehm_str *s, const char *text) {
    ehm_json_w w = {.out = s};
    ehm_json_str(&w, text); /* a string of JSON is one of Python */
}

static void timm_lines(ehm_str *s, const ehm_exporting *x, const char *where) {
    const ehm_vit_shape *v = &x->info.shape;
    ehm_str_add(s, "import timm\n");
    if (x->folder) {
        ehm_str_add(s, "model = timm.create_model(");
        add_quoted(s, ehm_arena_printf(x->a, "local-dir:%s", where));
        ehm_str_add(s, ", pretrained=True).eval()\n# or, strictly:\n");
    }
    ehm_str_addf(s, "model = timm.create_model(\"%s\", num_classes=%d, global_pool=\"%s\",%s img_size=(%d, %d), patch_size=%d, in_chans=%d, embed_dim=%d, depth=%d, num_heads=%d, mlp_ratio=",
                 ehm_export_timm_name(v), has_head(x) ? (int)x->n_classes : 0, timm_pool(x), timm_no_fc_norm(x) ? " fc_norm=False," : "", (int)v->img_h, (int)v->img_w,
                 (int)v->patch_size, (int)v->channels, (int)v->embed_dim, (int)v->depth, (int)v->num_heads);
    ehm_json_w w = {.out = s};
    ehm_json_f64(&w, ehm_export_mlp_ratio(v));
    ehm_str_add(s, ", checkpoint_path=");
    add_quoted(s, x->folder ? ehm_path_join(x->a, where, "model.safetensors") : where);
    ehm_str_add(s, ").eval()\n");
}

static void hf_lines(ehm_str *s, const ehm_exporting *x, const char *where) {
    const char *name = ehm_export_hf_name(x->hf);
    ehm_str_addf(s, "from transformers import ViTImageProcessor, %s\nmodel = %s.from_pretrained(", name, name);
    add_quoted(s, where);
    ehm_str_addf(s, "%s).eval()\nprocessor = ViTImageProcessor.from_pretrained(", x->hf == EHM_EXPORT_VIT ? ", add_pooling_layer=False" : "");
    add_quoted(s, where);
    ehm_str_add(s, ")\n");
}

static void torchvision_lines(ehm_str *s, const ehm_exporting *x, const char *where) {
    const ehm_vit_shape *v = &x->info.shape;
    ehm_str_add(s, "import torch\nfrom safetensors.torch import load_file\nfrom torchvision.models import VisionTransformer\n");
    ehm_str_addf(s, "model = VisionTransformer(image_size=%d, patch_size=%d, num_layers=%d, num_heads=%d, hidden_dim=%d, mlp_dim=%d", (int)v->img_h, (int)v->patch_size,
                 (int)v->depth, (int)v->num_heads, (int)v->embed_dim, (int)v->mlp_dim);
    if (has_head(x)) ehm_str_addf(s, ", num_classes=%d)\n", (int)x->n_classes);
    else ehm_str_add(s, ")\nmodel.heads = torch.nn.Identity()\n");
    if (v->channels != 3)
        ehm_str_addf(s, "model.conv_proj = torch.nn.Conv2d(%d, %d, %d, %d)\n", (int)v->channels, (int)v->embed_dim, (int)v->patch_size, (int)v->patch_size);
    ehm_str_add(s, "model.load_state_dict(load_file(");
    add_quoted(s, where);
    ehm_str_add(s, "), strict=True)\nmodel.eval()\n");
}

/* The published code knows square pictures alone, and its MaskedAutoencoderViT needs a decoder. */
static void mae_lines(ehm_str *s, const ehm_exporting *x, const char *where) {
    const ehm_vit_shape *v = &x->info.shape;
    bool full = x->info.has_decoder && v->img_h == v->img_w;
    ehm_json_w w = {.out = s};
    ehm_str_add(s, full ? "from functools import partial\nimport torch\nfrom safetensors.torch import load_file\nfrom models_mae import MaskedAutoencoderViT  # facebookresearch/mae\n"
                        : "from safetensors.torch import load_file\n");
    if (full) {
        ehm_str_addf(s, "model = MaskedAutoencoderViT(img_size=%d, patch_size=%d, in_chans=%d, embed_dim=%d, depth=%d, num_heads=%d, decoder_embed_dim=%d, decoder_depth=%d, decoder_num_heads=%d, mlp_ratio=",
                     (int)v->img_h, (int)v->patch_size, (int)v->channels, (int)v->embed_dim, (int)v->depth, (int)v->num_heads, (int)v->decoder_embed_dim,
                     (int)v->decoder_depth, (int)v->decoder_num_heads);
        ehm_json_f64(&w, ehm_export_mlp_ratio(v));
        ehm_str_addf(s, ", norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), norm_pix_loss=%s)\nmodel.load_state_dict(load_file(", x->info.norm_pix ? "True" : "False");
    } else {
        ehm_str_add(s, "weights = load_file(");
    }
    add_quoted(s, where);
    ehm_str_add(s, full ? "), strict=True)\n" : ")\n");
}

static void onnx_lines(ehm_str *s, const ehm_exporting *x, const char *where) {
    const ehm_vit_shape *v = &x->info.shape;
    ehm_str_add(s, "import onnxruntime\nsession = onnxruntime.InferenceSession(");
    add_quoted(s, where);
    ehm_str_addf(s, ")\n# pixels: float32 [%s, %d, %d, %d], from 0 to 1, minus mean ", x->opt->dynamic_batch ? "any number" : "1", (int)v->channels, (int)v->img_h, (int)v->img_w);
    for (int32_t c = 0; c < v->channels; c++) ehm_str_addf(s, "%s%.6g", c ? ", " : "", x->info.mean[c]);
    ehm_str_add(s, ", divided by std ");
    for (int32_t c = 0; c < v->channels; c++) ehm_str_addf(s, "%s%.6g", c ? ", " : "", x->info.std[c]);
    ehm_str_addf(s, "\noutput = session.run([\"%s\"], {\"pixel_values\": pixels})[0]  # or last_hidden_state, pooled_mean%s\n", has_head(x) ? "logits" : "pooled_cls",
                 has_head(x) ? ", pooled_cls" : "");
}

char *ehm_export_load_lines(const ehm_exporting *x, const char *where) {
    static void (*const lines[])(ehm_str *, const ehm_exporting *, const char *) = {mae_lines, timm_lines, hf_lines, torchvision_lines, onnx_lines};
    ehm_str s = {0};
    lines[x->kind](&s, x, where);
    char *text = s.failed ? NULL : ehm_arena_strdup(x->a, ehm_str_c(&s));
    ehm_str_free(&s);
    return text;
}

/* ---- the page for people ---- */

static void add_numbers(ehm_str *s, const char *name, const double *v, int32_t n) {
    ehm_str_addf(s, "| %s | ", name);
    for (int32_t i = 0; i < n; i++) ehm_str_addf(s, "%s%.6g", i ? ", " : "", v[i]);
    ehm_str_add(s, " |\n");
}

static void add_notes(ehm_str *s, const ehm_exporting *x) {
    const ehm_vit_shape *v = &x->info.shape;
    if (x->kind == EHM_EXPORT_TIMM && !has_head(x))
        ehm_str_addf(s, "- `model(pixels)` is %s; `model.forward_features(pixels)` gives all tokens, class token first.\n",
                     x->pool_avg ? "the mean of the patch tokens after the final norm" : "the class token after the final norm");
    if (x->kind == EHM_EXPORT_HF && x->hf == EHM_EXPORT_VIT_MAE)
        ehm_str_add(s, "- The model hides and shuffles patches whenever it runs, also when it is only asked for features. For those load this folder's kind as ViTModel (`ehm export "
                       "--format hf --class ViTModel`), or set `model.config.mask_ratio = 0` and undo the order with `ids_restore`.\n");
    if (x->kind == EHM_EXPORT_HF && x->hf == EHM_EXPORT_VIT)
        ehm_str_add(s, "- There is no pooler: pass `add_pooling_layer=False`, or a pooler of random numbers is made. Features are `last_hidden_state`: class token first.\n");
    if (x->kind == EHM_EXPORT_HF) ehm_str_add(s, "- The processor resizes to the exact size without keeping a picture's shape.\n");
    if (x->kind == EHM_EXPORT_HF && v->channels != 1 && v->channels != 3) ehm_str_addf(s, "- Pictures of %d channels are given as arrays; the processor reads none from files.\n", (int)v->channels);
}

static ehm_code write_readme(const ehm_exporting *x, const char *dir, ehm_err *err) {
    const ehm_vit_shape *v = &x->info.shape;
    ehm_str s = {0};
    char *name = ehm_arena_strdup(x->a, x->path), *path = ehm_path_join(x->a, dir, "README.md");
    if (!name || !path) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for README.md");
    for (size_t n = strlen(name); n > 1 && name[n - 1] == '/'; n--) name[n - 1] = 0;
    const char *base = ehm_path_base(name);
    if (!*base || !strcmp(base, ".") || !strcmp(base, "..")) base = "model";
    ehm_str_addf(&s, "# %s\n\nA vision transformer %s, exported by ehm %s.\n\n| | |\n|---|---|\n", base,
                 has_head(x) ? "that tells classes of pictures apart" : *x->info.recipe ? "pre-trained by masked image modelling" : "for features of pictures", EHM_VERSION);
    ehm_str_addf(&s, "| input | %d x %d px (height x width), %d channels, patches of %d px |\n", (int)v->img_h, (int)v->img_w, (int)v->channels, (int)v->patch_size);
    ehm_str_addf(&s, "| encoder | width %d, depth %d, heads %d, MLP %d |\n", (int)v->embed_dim, (int)v->depth, (int)v->num_heads, (int)v->mlp_dim);
    if (x->kind == EHM_EXPORT_HF && x->hf == EHM_EXPORT_VIT_MAE)
        ehm_str_addf(&s, "| decoder | width %d, depth %d, heads %d; predicts %s |\n", (int)v->decoder_embed_dim, (int)v->decoder_depth, (int)v->decoder_num_heads,
                     x->info.norm_pix ? "pixels normalised by their patch" : "pixels");
    add_numbers(&s, "mean, of pixels from 0 to 1", x->info.mean, v->channels);
    add_numbers(&s, "standard deviation", x->info.std, v->channels);
    ehm_str_add(&s, "| epsilon of layer norm | 1e-6 |\n");
    if (x->src.untrained) ehm_str_add(&s, "| training | none: random weights |\n");
    else if (*x->info.recipe) ehm_str_addf(&s, "| training | recipe %s%s%s |\n", x->info.recipe, *x->info.mask ? ", mask " : "", x->info.mask);
    if (x->data) ehm_str_addf(&s, "| pictures | %s |\n", x->data);
    if (has_head(x)) ehm_str_addf(&s, "| classes | %d; reads the %s |\n", (int)x->n_classes, x->head == EHM_EXPORT_CLS ? "class token" : "mean of the patch tokens");
    const char *lines = ehm_export_load_lines(x, base);
    ehm_str_addf(&s, "\n## Loading it\n\n```python\n%s```\n\nFrom the folder that holds this one. Pixels go in from 0 to 1, mean subtracted and divided by the standard deviation.\n\n", lines ? lines : "");
    add_notes(&s, x);
    ehm_str_add(&s, "\n## Licence\n\nehm claims no right in these weights. What may be done with them depends on the pictures they were learned from, and is for whoever passes them on to say here.\n");
    ehm_code rc = s.failed || !lines ? EHM_FAIL(err, EHM_E_MEMORY, "no memory for README.md") : ehm_file_write(path, s.s, s.len, err);
    ehm_str_free(&s);
    return rc;
}

ehm_code ehm_export_write_configs(const ehm_exporting *x, const char *dir, ehm_err *err) {
    EHM_TRY(write_json(x, dir, "config.json", x->kind == EHM_EXPORT_TIMM ? timm_config : hf_config, err));
    if (x->kind == EHM_EXPORT_HF) EHM_TRY(write_json(x, dir, "preprocessor_config.json", hf_processor, err));
    return write_readme(x, dir, err);
}
