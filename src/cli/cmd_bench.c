/* ehm bench: speed of training and of feature extraction on this machine, data left out. */
#include "cli/cli.h"
#include "infer/bench_features.h"
#include "train/bench_step.h"
#include <string.h>

static const ehm_word bench_words[] = {
    {"step", "images/s of a training step on pictures that are in memory already", "mask,tree,linkage,recipe", NULL, NULL},
    {"features", "images/s of feature extraction: the encoder over all patches, class token and mean of patch tokens", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static const ehm_word *words(ehm_arena *a) {
    (void)a;
    return bench_words;
}

/* What both kinds tell. */
typedef struct {
    const char *model, *device, *dtype;
    int32_t batch, threads, n_stretches;
    double images_per_s, lo, hi, gflop_per_image, gflops;
} speed;
static void put_speed(ehm_json_w *w, const speed *r) {
    ehm_json_key(w, "model"), ehm_json_str(w, r->model);
    ehm_json_key(w, "device"), ehm_json_str(w, r->device);
    ehm_json_key(w, "dtype"), ehm_json_str(w, r->dtype);
    ehm_json_key(w, "batch_size"), ehm_json_i64(w, r->batch);
    ehm_json_key(w, "threads"), ehm_json_i64(w, r->threads);
    ehm_json_key(w, "images_per_s"), ehm_json_f64(w, r->images_per_s);
    ehm_json_key(w, "lo"), ehm_json_f64(w, r->lo);
    ehm_json_key(w, "hi"), ehm_json_f64(w, r->hi);
    ehm_json_key(w, "stretches"), ehm_json_i64(w, r->n_stretches);
    ehm_json_key(w, "gflop_per_image"), ehm_json_f64(w, r->gflop_per_image);
    ehm_json_key(w, "gflop_per_s"), ehm_json_f64(w, r->gflops);
}

static ehm_code run_features(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_bench_features_result r;
    char peak[32];
    EHM_TRY(ehm_bench_features(&r, c, err));
    if (out->json) {
        ehm_str s = {0};
        ehm_json_w w = {.out = &s};
        ehm_json_obj(&w);
        put_speed(&w, &(speed){r.model, r.device, r.dtype, r.batch, r.threads, r.n_stretches, r.images_per_s, r.lo, r.hi, r.gflop_per_image, r.gflops});
        ehm_json_key(&w, "peak_mib"), ehm_json_f64(&w, (double)r.peak_bytes / 1048576);
        ehm_json_end(&w);
        ehm_out_json(out, &s);
        ehm_str_free(&s);
        return EHM_OK;
    }
    ehm_out_addf(out, "%s\n%s, %s, batch %d\n", r.model, r.device, r.dtype, r.batch);
    ehm_out_addf(out, "%.2f images/s [%.2f .. %.2f], median of %d stretches; data is left out\n", r.images_per_s, r.lo, r.hi, r.n_stretches);
    ehm_out_addf(out, "%.3f GFLOP a picture (products, by count), %.1f GFLOP/s; memory: %s peak of the process\n", r.gflop_per_image, r.gflops,
                 ehm_format_bytes((double)r.peak_bytes, peak));
    return EHM_OK;
}

static ehm_code run_step(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_bench_result r;
    char planned[32], peak[32];
    EHM_TRY(ehm_bench_step(&r, c, err));
    if (out->json) {
        ehm_str s = {0};
        ehm_json_w w = {.out = &s};
        ehm_json_obj(&w);
        put_speed(&w, &(speed){r.model, r.device, r.dtype, r.batch, r.threads, r.n_stretches, r.images_per_s, r.lo, r.hi, r.gflop_per_image, r.gflops});
        ehm_json_key(&w, "mask"), ehm_json_str(&w, r.mask);
        ehm_json_key(&w, "step_ms"), ehm_json_f64(&w, r.step_ms);
        if (r.has_parts) {
            ehm_json_key(&w, "teacher_ms"), ehm_json_f64(&w, r.teacher_ms);
            ehm_json_key(&w, "similarity_ms"), ehm_json_f64(&w, r.similarity_ms);
            ehm_json_key(&w, "tree_ms"), ehm_json_f64(&w, r.tree_ms);
            ehm_json_key(&w, "selection_ms"), ehm_json_f64(&w, r.selection_ms);
        }
        ehm_json_key(&w, "planned_mib"), ehm_json_f64(&w, (double)r.plan_bytes / 1048576);
        ehm_json_key(&w, "peak_mib"), ehm_json_f64(&w, (double)r.peak_bytes / 1048576);
        ehm_json_end(&w);
        ehm_out_json(out, &s);
        ehm_str_free(&s);
        return EHM_OK;
    }
    ehm_out_addf(out, "%s\n%s, %s, batch %d\n", r.model, r.device, r.dtype, r.batch);
    ehm_out_addf(out, "%.2f images/s [%.2f .. %.2f], median of %d stretches; data is left out\n", r.images_per_s, r.lo, r.hi, r.n_stretches);
    ehm_out_addf(out, "%.3f GFLOP a picture (products of a step, by count), %.1f GFLOP/s\n", r.gflop_per_image, r.gflops);
    if (r.has_parts)
        ehm_out_addf(out, "masks by %s at the end of the curriculum, of a step of %.1f ms: teacher %.1f %%, similarity %.1f %%, tree %.2f %%, selection %.2f %%\n",
                     r.mask, r.step_ms, 100 * r.teacher_ms / r.step_ms, 100 * r.similarity_ms / r.step_ms, 100 * r.tree_ms / r.step_ms,
                     100 * r.selection_ms / r.step_ms);
    ehm_out_addf(out, "memory: %s planned, %s %s\n", ehm_format_bytes((double)r.plan_bytes, planned), ehm_format_bytes((double)r.peak_bytes, peak),
                 r.peak_of_device ? "taken of the device's" : "peak of the process");
    return EHM_OK;
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    return !strcmp(out->args.v[0], "features") ? run_features(c, out, err) : run_step(c, out, err);
}

const ehm_command ehm_cmd_bench = {
    .name = "bench",
    .summary = "measures the speed of training and of feature extraction on this machine",
    .groups = "bench,model,patch,heads,size,batch",
    .usage = "--preset P --batch-size N",
    .args = "WHAT",
    .n_args_min = 1,
    .n_args_max = 1,
    .words = words,
    .details = "step: random masks unless --mask says otherwise. Masks that follow the model's attention are measured at the end of the curriculum, where a step costs "
               "most, and the share of each part is shown.",
    .example = "ehm bench step --preset pico --batch-size 8 --seconds 1\nehm bench step --preset pico --batch-size 8 --seconds 1 --mask ehm\n"
               "ehm bench features --preset pico --batch-size 8 --seconds 1",
    .run = run,
};
