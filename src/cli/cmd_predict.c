/* ehm predict: labels, maps or boxes of new pictures. */
#include "base/clock.h"
#include "cli/cli.h"
#include "eval/predict.h"
#include <string.h>

static void add_json(ehm_out *out, const ehm_predicted *r, double seconds) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    ehm_json_obj(&w);
    ehm_json_key(&w, "task"), ehm_json_str(&w, r->task);
    ehm_json_key(&w, "files"), ehm_json_arr(&w);
    for (int32_t i = 0; i < r->n_files; i++) ehm_json_str(&w, r->files[i]);
    ehm_json_end(&w);
    ehm_json_key(&w, "n"), ehm_json_i64(&w, r->n);
    ehm_json_key(&w, "n_bad"), ehm_json_i64(&w, r->n_bad);
    ehm_json_key(&w, "bad"), ehm_json_arr(&w);
    for (int64_t i = 0; i < r->n_bad; i++) ehm_json_str(&w, r->bad[i]);
    ehm_json_end(&w);
    ehm_json_key(&w, "n_classes"), ehm_json_i64(&w, r->n_classes);
    if (!strcmp(r->task, "detect") || !strcmp(r->task, "instances")) ehm_json_key(&w, "n_boxes"), ehm_json_i64(&w, r->n_boxes);
    ehm_json_key(&w, "seconds"), ehm_json_f64(&w, seconds);
    ehm_json_end(&w);
    ehm_out_json(out, &s);
    ehm_str_free(&s);
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_predicted r;
    double t0 = ehm_clock_s();
    EHM_TRY(ehm_predict(&r, c, out->arena, err));
    double seconds = ehm_clock_s() - t0;
    if (out->json) return add_json(out, &r, seconds), EHM_OK;
    bool maps = !strcmp(r.task, "segment"), boxes = r.n_files > 1;
    for (int32_t i = 0; i < r.n_files; i++)
        ehm_out_addf(out, "%s: %s\n", r.files[i], maps ? "a label map for each picture, names in classes.tsv" : !boxes ? "a line for each picture" : i ? "the same in COCO's form" : "a line for each box");
    ehm_out_addf(out, "%s: %lld pictures, %d classes", r.task, (long long)r.n, (int)r.n_classes);
    if (boxes) ehm_out_addf(out, ", %lld boxes", (long long)r.n_boxes);
    ehm_out_addf(out, ", %.1f s (%.0f images/s)\n", seconds, (double)r.n / seconds);
    if (r.n_bad) ehm_out_addf(out, "%lld pictures could not be read and are left out; the first: %s\n", (long long)r.n_bad, r.bad[0]);
    return EHM_OK;
}

const ehm_command ehm_cmd_predict = {
    .name = "predict",
    .summary = "labels, maps or boxes of new pictures, by a network that an evaluation saved",
    .groups = "use,predict,data,channels,read,batch,output",
    .usage = "--model M --data D --out F",
    .details = "M is what ehm eval finetune, linear, segment, detect or instances wrote with --save, or the run folder of such a training. Classifiers write a table: "
               "file, class, probability, then the next likely classes. Segmentation writes a folder: a PNG for each picture, as large as it, whose values are "
               "classes, and classes.tsv. Detection writes a table, a line for each box, and beside it a file in COCO's form, with masks for instances.",
    .example = "ehm eval linear --model untrained:pico --train scenes:1:200 --save p.safetensors\n"
               "ehm predict --model p.safetensors --data scenes:3:20 --out labels.tsv",
    .run = run,
};
