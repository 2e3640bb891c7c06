/* ehm draw WHAT: pictures of what a model does. The words are a table; each has a file of its own. */
#include "base/file.h"
#include "cli/draw_int.h"
#include "image/image.h"
#include <stdio.h>
#include <string.h>

/* The example runs in every build, and shows what this one can write. */
#ifdef EHM_WITH_PNG
#define END ".png"
#else
#define END ".ppm"
#endif

enum { N_WORDS = 4 };
static const ehm_word draw_words[N_WORDS + 1] = {
    {"reconstruct", "original, masked, reconstruction, and reconstruction with the visible patches pasted in",
     "reconstruct,mask,tree,linkage", NULL},
    {"tree", "the tree of a picture's patches, cut at several levels", "tree,linkage,mask", NULL},
    {"masks", "masks over the course of a training, as a strip of pictures or as .npy",
     "mask,tree,linkage,progress,grid", NULL},
    {"attention", "what the class token attends to, each head, and what patches receive", NULL, NULL},
    {NULL, NULL, NULL, NULL},
};
static ehm_code (*const draw_run[N_WORDS])(const ehm_config *, ehm_out *, ehm_err *) = {
    ehm_draw_run_reconstruct, ehm_draw_run_tree, ehm_draw_run_masks, ehm_draw_run_attention};

static const ehm_word *words(ehm_arena *a) {
    (void)a;
    return draw_words;
}

ehm_code ehm_draw_check_out(const ehm_config *c, bool npy_too, ehm_err *err) {
    if (!c->out) return EHM_FAIL(err, EHM_E_CONFIG, "--out is missing: the picture to write");
    if (ehm_ends_nocase(c->out, ".png") || ehm_ends_nocase(c->out, ".ppm") ||
        ehm_ends_nocase(c->out, ".pgm") || (npy_too && ehm_ends_nocase(c->out, ".npy")))
        return EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: the name of a drawing ends in .png, .ppm or .pgm%s", c->out,
                    npy_too ? ", that of numbers in .npy" : "");
}

ehm_code ehm_draw_open(ehm_draw_input *in, const ehm_config *c, bool need_both, ehm_err *err) {
    ehm_model_opt opt = {c->device, EHM_IS_AUTO(c->threads) ? 0 : (int32_t)c->threads, c->dtype, 1};
    ehm_dataset_opt data = {.channels = EHM_IS_AUTO(c->channels) ? 0 : (int32_t)c->channels,
                            .alpha = c->alpha,
                            .max_pixels = c->max_pixels,
                            .cache_dir = c->cache,
                            .ignore_label = -1,
                            .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
    if (need_both && !c->model)
        return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder or a model.safetensors");
    if (need_both && !c->image.n)
        return EHM_FAIL(err, EHM_E_CONFIG, "--image is missing: a picture, a folder, a list or a set");
    if (c->model) {
        EHM_TRY(ehm_model_open(&in->model, c->model, &opt, err));
        EHM_TRY(ehm_model_takes_channels(in->model, c->channels, err));
        data.channels = ehm_model_shape(in->model)->channels;
    }
    return c->image.n ? ehm_dataset_open(&in->pictures, &c->image, &data, err) : EHM_OK;
}

void ehm_draw_close(ehm_draw_input *in) {
    ehm_dataset_close(in->pictures);
    ehm_model_close(in->model);
}

ehm_code ehm_draw_write(const ehm_config *c, const ehm_image *sheet, ehm_err *err) {
    EHM_TRY(ehm_dir_make_for(c->out, err));
    return ehm_image_write(c->out, sheet, err);
}

ehm_code ehm_draw_rule(ehm_draw_mask_rule *out, const ehm_config *c, ehm_model *m, const double *progress,
                       int32_t n_progress, int32_t grid_h, int32_t grid_w, ehm_err *err) {
    const ehm_vit_shape *v = m ? ehm_model_shape(m) : NULL;
    memset(out, 0, sizeof *out);
    EHM_TRY(ehm_mask_settings_of(&out->settings, c, err));
    if (!(out->rule = ehm_mask_rule_find(c->mask, &out->arg, err))) return EHM_E_CONFIG;
    snprintf(out->whose, sizeof out->whose, "mask rule %s", c->mask);
    out->source = (ehm_study_source){.model = m,
                                     .grid_h = v ? v->grid_h : grid_h,
                                     .grid_w = v ? v->grid_w : grid_w,
                                     .settings = &out->settings,
                                     .affinity = &out->affinity,
                                     .mask_file = c->mask_file,
                                     .whose = out->whose};
    for (int32_t i = 0; i < n_progress; i++)
        out->source.needs |= ehm_mask_needs(out->rule, &out->settings, out->arg,
                                            out->source.grid_h * out->source.grid_w, progress[i]);
    return v ? ehm_affinity_opt_of(&out->affinity, c, v, err) : EHM_OK;
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    for (int32_t i = 0; i < N_WORDS; i++)
        if (!strcmp(out->args.v[0], draw_words[i].name)) return draw_run[i](c, out, err);
    return EHM_FAIL(err, EHM_E_CONFIG, "ehm draw %s: there is no such drawing", out->args.v[0]);
}

const ehm_command ehm_cmd_draw = {
    .name = "draw",
    .summary = "draws what a model does",
    .groups = "use,draw,read,output",
    .usage = "--model M --image I --out F.png",
    .args = "WHAT",
    .n_args_min = 1,
    .n_args_max = 1,
    .words = words,
    .details = "masks: rules that look at no picture need neither --model nor --image, only --grid. With a "
               "model the "
               "rule and its options are those of the model's run unless given. --count is how many masks a "
               "value of "
               "--progress gets, for all other words how many pictures are drawn.\n\n"
               "With norm-pix the model predicts each patch up to its mean and contrast. --unnorm patch puts "
               "back the hidden patch's own (which the model never "
               "saw), visible takes them from the nearest visible patches, none leaves them out.",
    .example = "ehm draw reconstruct --model untrained:pico --image scenes:1:4 --count 4 --out r" END "\n"
               "ehm draw tree --model untrained:pico --image scenes:1:4 --count 2 --out tree" END "\n"
               "ehm draw masks --mask random --grid 14x14 --progress 0,1 --count 4 --out masks" END "\n"
               "ehm draw attention --model untrained:pico --image scenes:1:4 --count 1 --out a" END,
    .run = run,
};
