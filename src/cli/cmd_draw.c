/* ehm draw WHAT: pictures of what a model does. */
#include "base/file.h"
#include "cli/cli.h"
#include "draw/reconstruct.h"
#include <stdlib.h>
#include <string.h>

/* The example runs in every build, and shows what this one can write. */
#ifdef EHM_WITH_PNG
#define SHEET "reconstruct.png"
#else
#define SHEET "reconstruct.ppm"
#endif

static const ehm_word draw_words[] = {
    {"reconstruct", "original, masked, reconstruction, and reconstruction with the visible patches pasted in",
     "reconstruct,mask"},
    {NULL, NULL, NULL},
};
static const ehm_word *words(ehm_arena *a) {
    (void)a;
    return draw_words;
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_model_opt opt = {c->device, EHM_IS_AUTO(c->threads) ? 0 : (int32_t)c->threads, c->dtype, 1};
    ehm_dataset_opt data = {.alpha = c->alpha,
                            .max_pixels = c->max_pixels,
                            .cache_dir = c->cache,
                            .ignore_label = -1,
                            .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
    ehm_model *m = NULL;
    ehm_dataset *ds = NULL;
    ehm_unnorm how;
    ehm_image sheet;
    int32_t n = 0;
    ehm_code rc;
    if (!c->model)
        return EHM_FAIL(err, EHM_E_CONFIG, "--model is missing: a run folder or a model.safetensors");
    if (!c->image.n)
        return EHM_FAIL(err, EHM_E_CONFIG, "--image is missing: a picture, a folder, a list or a set");
    if (!c->out) return EHM_FAIL(err, EHM_E_CONFIG, "--out is missing: the picture to write");
    if (!ehm_ends_nocase(c->out, ".png") && !ehm_ends_nocase(c->out, ".ppm") &&
        !ehm_ends_nocase(c->out, ".pgm"))
        return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: the name of a drawing ends in .png, .ppm or .pgm",
                        c->out);
    EHM_TRY(ehm_unnorm_of(&how, c->unnorm, err));
    if ((rc = ehm_model_open(&m, c->model, &opt, err))) goto done;
    if ((rc = ehm_model_takes_channels(m, c->channels, err))) goto done;
    data.channels = ehm_model_shape(m)->channels;
    if ((rc = ehm_dataset_open(&ds, &c->image, &data, err))) goto done;
    ehm_reconstruction *r = EHM_NEW_N(out->arena, ehm_reconstruction, c->count);
    if (!r) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld pictures", (long long)c->count);
        goto done;
    }
    if ((rc = ehm_reconstruct(r, &n, m, ds, 0, (int32_t)c->count, c->mask, c->mask_ratio, how,
                              (uint64_t)c->seed, out->arena, err)))
        goto done;
    if ((rc = ehm_reconstruct_sheet(&sheet, r, n, m, c->mask, c->mask_ratio, how, out->arena, err)))
        goto done;
    if ((rc = ehm_dir_make_for(c->out, err))) goto done;
    if ((rc = ehm_image_write(c->out, &sheet, err))) goto done;
    double loss = 0;
    for (int32_t i = 0; i < n; i++) loss += r[i].loss / n;
    if (out->json) {
        ehm_str s = {0};
        ehm_json_w w = {.out = &s};
        ehm_json_obj(&w);
        ehm_json_key(&w, "out"), ehm_json_str(&w, c->out);
        ehm_json_key(&w, "n"), ehm_json_i64(&w, n);
        ehm_json_key(&w, "mean_loss"), ehm_json_f64(&w, loss);
        ehm_json_key(&w, "pictures"), ehm_json_arr(&w);
        for (int32_t i = 0; i < n; i++) {
            ehm_json_obj(&w);
            ehm_json_key(&w, "file"), ehm_json_str(&w, r[i].name);
            ehm_json_key(&w, "loss"), ehm_json_f64(&w, r[i].loss);
            ehm_json_end(&w);
        }
        ehm_json_end(&w);
        ehm_json_end(&w);
        ehm_out_json(out, &s);
        ehm_str_free(&s);
    } else
        ehm_out_addf(out, "%s: %d pictures, %d x %d px; mean loss on hidden patches %.4f\n", c->out, n,
                     sheet.w, sheet.h, loss);
done:
    ehm_dataset_close(ds);
    ehm_model_close(m);
    return rc;
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
    .details = "With norm-pix the model predicts each patch up to its mean and contrast. --unnorm patch puts "
               "back the hidden patch's own (which the model never "
               "saw), visible takes them from the nearest visible patches, none leaves them out.",
    .example =
        "ehm draw reconstruct --model untrained:pico --image scenes:1:4 --count 4 --out " SHEET,
    .run = run,
};
