/* ehm export: a model in the formats of other tools. */
#include "base/clock.h"
#include "cli/cli.h"
#include "export/export.h"
#include <string.h>

static bool is_one_file(const ehm_export_result *r) { return !r->files[1]; }

static void add_json(ehm_out *out, const ehm_config *c, const ehm_export_result *r, double seconds) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    ehm_json_obj(&w);
    ehm_json_key(&w, "format"), ehm_json_str(&w, c->format);
    ehm_json_key(&w, "out"), ehm_json_str(&w, c->out);
    ehm_json_key(&w, "files"), ehm_json_arr(&w);
    for (const char *const *f = r->files; *f; f++) ehm_json_str(&w, *f);
    ehm_json_end(&w);
    ehm_json_key(&w, "max_difference"), ehm_json_f64(&w, r->max_difference);
    ehm_json_key(&w, "n_checked"), ehm_json_i64(&w, r->n_checked);
    ehm_json_key(&w, "load_with"), ehm_json_str(&w, r->load_with);
    ehm_json_key(&w, "seconds"), ehm_json_f64(&w, seconds);
    ehm_json_end(&w);
    ehm_out_json(out, &s);
    ehm_str_free(&s);
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_export_opt o = {.hf_class = c->class, .pool = c->global_pool, .opset = EHM_IS_AUTO(c->opset) ? 0 : c->opset, .dynamic_batch = c->dynamic_batch,
                        .overwrite = c->overwrite, .device = c->device, .threads = EHM_IS_AUTO(c->threads) ? 0 : (int32_t)c->threads};
    ehm_export_result r;
    double t0 = ehm_clock_s();
    EHM_TRY(ehm_export(&r, c->model, c->format, c->out, &o, out->arena, err));
    double seconds = ehm_clock_s() - t0;
    if (out->json) return add_json(out, c, &r, seconds), EHM_OK;
    ehm_out_addf(out, "%s:", c->out);
    if (is_one_file(&r)) ehm_out_add(out, " written");
    for (const char *const *f = r.files; *f && !is_one_file(&r); f++) ehm_out_addf(out, " %s", *f);
    ehm_out_addf(out, "\nread back: features of %d pictures differ from the model's by at most %.2g\nload it with\n\n", (int)r.n_checked, r.max_difference);
    for (const char *p = r.load_with; *p;) {
        size_t n = strcspn(p, "\n");
        ehm_out_addf(out, "    %.*s\n", (int)n, p);
        p += n + (p[n] == '\n');
    }
    return EHM_OK;
}

const ehm_command ehm_cmd_export = {
    .name = "export",
    .summary = "writes a model in the formats of timm, transformers, torchvision, MAE and ONNX",
    .groups = "use,export,output,overwrite",
    .usage = "--model M --format F --out PATH",
    .details = "The model is a run folder (unfinished: its newest checkpoint), one of its checkpoints, a file, or what ehm eval finetune or linear wrote with --save, which "
               "becomes a classifier with its class names.\n\n"
               "mae: one file, encoder and decoder under the published names. timm: a folder for its local-dir source, or, where --out ends in .safetensors, the file "
               "that checkpoint_path loads. hf: a folder for transformers 4 and 5. torchvision: one file. onnx: one file. Mean and standard deviation go with each.\n\n"
               "What was written is read back and its features are compared with the model's; the lines of Python that load it are printed.",
    .example = "ehm export --model untrained:pico --format timm --out pico_timm\n"
               "ehm export --model untrained:pico --format hf --class ViTModel --out pico_hf",
    .run = run,
};
