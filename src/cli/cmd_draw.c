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

enum { N_WORDS = 6, SHEET_PICTURES = 8, SHEET_PICTURES_MAX = 2000 };
static const ehm_word draw_words[N_WORDS + 1] = {
    {"reconstruct", "original, masked, reconstruction, and reconstruction with the visible patches pasted in",
     "reconstruct,mask,tree,linkage", NULL, NULL},
    {"attention", "what the class token or a patch attends to: each head, their mean, and rollout through the blocks", "block,point",
     "An --out that ends in .npy gets the numbers: [pictures, maps, rows, columns] in the order of the sheet's first row, mean of heads, each head, rollout.", NULL},
    {"features", "first three principal components of patch features as colour, one basis for all pictures", "block,basis",
     "An --out that ends in .npy gets the components instead: [pictures, rows, columns, 3].", NULL},
    {"tree", "the tree of a picture's patches, cut at several levels", "tree,linkage,mask", NULL, NULL},
    {"masks", "masks over the course of a training, as a strip of pictures or as .npy",
     "mask,tree,linkage,progress,grid",
     "One strip is of the first picture of --image; --each makes a strip of every picture.", NULL},
    {"neighbours", "each picture and those nearest to it in the features of the model", "nearest,data,embed",
     "--data names the pictures that are searched; without it they are those of --image themselves, and a picture is not its own neighbour.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static ehm_code (*const draw_run[N_WORDS])(const ehm_config *, ehm_out *, ehm_err *) = {
    ehm_draw_run_reconstruct, ehm_draw_run_attention, ehm_draw_run_features, ehm_draw_run_tree, ehm_draw_run_masks, ehm_draw_run_neighbours};

static const ehm_word *words(ehm_arena *a) {
    (void)a;
    return draw_words;
}

ehm_code ehm_draw_check_out(const ehm_config *c, bool npy_too, ehm_err *err) {
    ehm_series s;
    if (!c->out) return EHM_FAIL(err, EHM_E_CONFIG, "--out is missing: the %s to write", c->each ? "folder" : "picture");
    if (c->each) return ehm_series_open(&s, c->out, true, 0, NULL, err);
    if (ehm_ends_nocase(c->out, ".png") || ehm_ends_nocase(c->out, ".ppm") ||
        ehm_ends_nocase(c->out, ".pgm") || (npy_too && ehm_ends_nocase(c->out, ".npy")))
        return EHM_OK;
    EHM_FAIL(err, EHM_E_CONFIG, "--out %s: the name of a drawing ends in .png, .ppm or .pgm%s", c->out,
             npy_too ? ", that of numbers in .npy" : "");
    if (!strchr(ehm_path_base(c->out), '.')) EHM_HINT(err, "with --each it is a folder, for one file a picture");
    return EHM_E_CONFIG;
}

ehm_dataset_opt ehm_draw_reading(const ehm_config *c, int32_t channels) {
    return (ehm_dataset_opt){.channels = channels ? channels : EHM_IS_AUTO(c->channels) ? 0 : (int32_t)c->channels,
                             .alpha = c->alpha,
                             .max_pixels = c->max_pixels,
                             .cache_dir = c->cache,
                             .ignore_label = -1,
                             .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
}

/* How many pictures are drawn and which, and room for their names. */
static ehm_code want(ehm_draw_input *in, const ehm_config *c, ehm_arena *a, ehm_err *err) {
    int64_t all = ehm_dataset_count(in->pictures), n = EHM_IS_AUTO(c->count) ? (c->each ? all : SHEET_PICTURES) : c->count;
    in->n_wanted = n < all ? n : all;
    in->spread = !ehm_dataset_of_single(in->pictures);
    if (!c->each && in->n_wanted > SHEET_PICTURES_MAX) {
        EHM_FAIL(err, EHM_E_CONFIG, "--count %lld: a sheet of more than %d pictures cannot be read", (long long)n, SHEET_PICTURES_MAX);
        EHM_HINT(err, "--each writes one file a picture");
        return EHM_E_CONFIG;
    }
    in->names = EHM_NEW_N(a, const char *, in->n_wanted), in->files = EHM_NEW_N(a, const char *, in->n_wanted);
    return in->names && in->files ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for the names of %lld pictures", (long long)in->n_wanted);
}

ehm_code ehm_draw_open(ehm_draw_input *in, const ehm_config *c, bool need_both, int32_t batch, ehm_arena *a, ehm_err *err) {
    ehm_model_opt opt = {c->device, EHM_IS_AUTO(c->threads) ? 0 : (int32_t)c->threads, c->dtype, batch};
    if (need_both && !c->model)
        return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder or a model.safetensors");
    if (need_both && !c->image.n)
        return EHM_FAIL(err, EHM_E_CONFIG, "--image is missing: a picture, a folder, a list or a set");
    EHM_TRY(ehm_series_open(&in->series, c->out, c->each, 0, NULL, err));
    int32_t channels = 0;
    if (c->model) {
        EHM_TRY(ehm_model_open(&in->model, c->model, &opt, err));
        EHM_TRY(ehm_model_takes_channels(in->model, c->channels, err));
        channels = ehm_model_shape(in->model)->channels;
    }
    ehm_dataset_opt data = ehm_draw_reading(c, channels);
    if (c->image.n) {
        EHM_TRY(ehm_dataset_open(&in->pictures, &c->image, &data, err));
        EHM_TRY(ehm_shown_of(&in->shown, c->show_channels, ehm_dataset_channels(in->pictures), err));
    }
    return need_both ? want(in, c, a, err) : EHM_OK;
}

void ehm_draw_close(ehm_draw_input *in) {
    ehm_series_close(&in->series);
    ehm_dataset_close(in->pictures);
    ehm_model_close(in->model);
}

ehm_code ehm_draw_layer(int32_t *out, const ehm_config *c, const ehm_model *m, ehm_err *err) {
    int32_t depth = ehm_model_shape(m)->depth;
    *out = EHM_IS_AUTO(c->layer) ? -1 : (int32_t)c->layer - 1;
    if (*out < depth) return EHM_OK;
    return EHM_FAIL(err, EHM_E_CONFIG, "--layer %lld: the encoder has %d blocks, counted from 1", (long long)c->layer, depth);
}

/* ---- results ---- */

void ehm_draw_named(ehm_draw_input *in, const char *name) {
    if (!in->names || in->n_names == in->n_wanted) return;
    in->files[in->n_names] = in->series.file;
    in->names[in->n_names++] = name;
}

ehm_code ehm_draw_refused(ehm_code rc, ehm_err *err) {
    if (rc == EHM_E_ARG) EHM_HINT(err, "a smaller --count, or --each for one file a picture");
    return rc;
}

ehm_code ehm_draw_add(ehm_draw_input *in, const char *name, const ehm_image *drawing, ehm_err *err) {
    EHM_TRY(ehm_series_add(&in->series, name, drawing, err));
    ehm_draw_named(in, name);
    return EHM_OK;
}

ehm_code ehm_draw_sheet(ehm_draw_input *in, const ehm_image *sheet, ehm_err *err) {
    EHM_TRY(ehm_series_add(&in->series, "sheet", sheet, err));
    return ehm_series_end(&in->series, err);
}

typedef struct {
    ehm_draw_input *in;
    ehm_draw_row_fn fn;
    void *ctx;
    ehm_study last; /* how pictures were shown */
} rows;

static const char *note_of(const ehm_model *m, const ehm_study *s, ehm_arena *a) {
    const char *foot = ehm_study_foot(m, s, 1, a);
    return foot ? ehm_arena_printf(a, "Model: %s. %s", ehm_model_spec(m), foot) : NULL;
}

static ehm_code one_row(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    rows *r = ctx;
    ehm_image row;
    bool stretched = r->last.range.stretched || s->range.stretched;
    r->last = *s, r->last.range.stretched = stretched;
    if (r->in->series.each && !(r->in->series.note = note_of(r->in->model, s, scratch))) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a footnote");
    EHM_TRY(ehm_draw_refused(r->fn(r->ctx, &row, s, scratch, err), err));
    return ehm_draw_add(r->in, ehm_dataset_name(r->in->pictures, s->i_picture), &row, err);
}

ehm_code ehm_draw_rows(ehm_draw_input *in, const ehm_study_source *src, ehm_draw_row_fn fn, void *ctx, ehm_arena *a, ehm_err *err) {
    rows r = {.in = in, .fn = fn, .ctx = ctx};
    int64_t n;
    in->series.n_expected = in->n_wanted;
    EHM_TRY(ehm_study_each(&n, src, in->n_wanted, in->spread, one_row, &r, err));
    if (!in->series.each && !(in->series.note = note_of(in->model, &r.last, a))) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a footnote");
    return ehm_series_end(&in->series, err);
}

void ehm_draw_json_begin(ehm_json_w *w, const ehm_config *c, const ehm_draw_input *in) {
    ehm_json_obj(w);
    ehm_json_key(w, "out"), ehm_json_str(w, c->out);
    ehm_json_key(w, "n"), ehm_json_i64(w, in->n_names);
}

void ehm_draw_json_names(ehm_json_w *w, const ehm_draw_input *in) {
    ehm_json_key(w, "pictures"), ehm_json_arr(w);
    for (int64_t i = 0; i < in->n_names; i++) ehm_json_str(w, in->names[i]);
    ehm_json_end(w);
    if (!in->series.each) return;
    ehm_json_key(w, "files"), ehm_json_arr(w);
    for (int64_t i = 0; i < in->n_names; i++) ehm_json_str(w, in->files[i]);
    ehm_json_end(w);
}

void ehm_draw_say(ehm_out *out, const ehm_config *c, const ehm_draw_input *in) {
    const char *s = in->n_names == 1 ? "" : "s";
    if (in->series.each)
        ehm_out_addf(out, "%s: %lld drawing%s, %s%s", c->out, (long long)in->n_names, s, in->n_names ? in->files[0] : "", in->n_names > 1 ? " and so on" : "");
    else
        ehm_out_addf(out, "%s: %lld picture%s, %d x %d px", c->out, (long long)in->n_names, s, in->series.w, in->series.h);
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
    .groups = "use,draw,channels,read,output",
    .usage = "--model M --image I --out F.png",
    .args = "WHAT",
    .n_args_min = 1,
    .n_args_max = 1,
    .words = words,
    .details = "Pictures are shown as the model sees them: fitted to its input as its run did, whatever their size; each drawing says how. One channel is grey, "
               "two are red and cyan, of more the first three are red, green and blue; --show-channels picks others.\n\n"
               "--image takes a picture, a folder, a list of paths (.txt) or any other set, and may be repeated. Without --each --count pictures come on "
               "one sheet, spread evenly over the set in its order, or the first ones where --image names single pictures one by one; with --each every "
               "picture becomes a file of the folder --out, named after it.\n\n"
               "masks: rules that look at no picture need neither --model nor --image, only --grid. With a model the rule and its options are those of the model's "
               "run unless given. --count is how many masks a value of --progress gets.\n\n"
               "reconstruct: with norm-pix the model predicts each patch up to its mean and contrast. --unnorm patch puts back the hidden patch's own (which the "
               "model never saw), visible takes them from the nearest visible patches, none leaves them out.",
    .example = "ehm draw reconstruct --model untrained:pico --image scenes:1:4 --count 4 --out r" END "\n"
               "ehm draw attention --model untrained:pico --image scenes:1:4 --count 1 --point 4,5 --out a" END "\n"
               "ehm draw features --model untrained:pico --image scenes:1:4 --out f" END "\n"
               "ehm draw tree --model untrained:pico --image scenes:1:4 --each --out trees\n"
               "ehm draw masks --mask random --grid 14x14 --progress 0,1 --count 4 --out masks" END "\n"
               "ehm draw neighbours --model untrained:pico --image scenes:1:2 --data scenes:2:16 --out n" END,
    .run = run,
};
