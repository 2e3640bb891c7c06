/* Speed of a training step alone: random pixels that are in memory already, the real method, clipping and AdamW. For `ehm bench step`. */
#ifndef EHM_TRAIN_BENCH_STEP_H
#define EHM_TRAIN_BENCH_STEP_H
#include "base/settings.h"

typedef struct {
    char model[96], device[160], dtype[8];
    int32_t batch, threads, n_stretches;
    double images_per_s, lo, hi;        /* median, least and most over the stretches */
    double gflop_per_image, gflops;     /* products of a step by count; rate at the median */
    char mask[48];
    bool has_parts;                     /* the masks follow the model: milliseconds a step of each part, at the end of the curriculum */
    double step_ms, teacher_ms, similarity_ms, tree_ms, selection_ms;
    int64_t plan_bytes, peak_bytes;     /* device memory planned; peak resident memory of the process, or what was taken of the device's own memory */
    bool peak_of_device;
} ehm_bench_result;
/* Sizes from the model and transform settings (no data is read; --img-size or the preset's own, --channels or 3); --batch-size or 64. */
ehm_code ehm_bench_step(ehm_bench_result *out, const ehm_config *cfg, ehm_err *err);
#endif
