/* ehm info FILE: what a run folder, or a file or folder of weights, holds. */
#include "cli/cli.h"
#include "infer/describe.h"

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_str text = {0}, json = {0};
    ehm_json_w w = {.out = &json};
    ehm_code rc = ehm_describe(out->args.v[0], c->verbose, &text, out->json ? &w : NULL, err);
    if (!rc && out->json) ehm_out_json(out, &json);
    else if (!rc) ehm_out_add(out, ehm_str_c(&text));
    ehm_str_free(&text);
    ehm_str_free(&json);
    return rc;
}

const ehm_command ehm_cmd_info = {
    .name = "info",
    .summary = "tells what a run folder or a file of weights holds",
    .groups = "",
    .args = "FILE",
    .n_args_min = 1,
    .n_args_max = 1,
    .details = "Sizes, what the file can be used for, whose names its tensors bear; with --verbose every tensor. Read are run folders, safetensors and .pth files, and "
               "folders of transformers and timm, as ehm import reads them; nothing is written.",
    .example = "ehm pretrain --data scenes:1:64 --preset pico --batch-size 16 --steps 2 --out run --quiet\nehm info run",
    .run = run,
};
