#include "infer/bench_features.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "infer/infer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct { ehm_model *m; uint8_t *pixels; float *cls, *mean; double *rate; int32_t n; } bench;

static ehm_code one_batch(bench *b, ehm_err *err) { return ehm_model_cls_mean(b->m, b->pixels, EHM_U8, b->n, b->cls, b->mean, err); }

static ehm_code measure(ehm_bench_features_result *out, bench *b, const ehm_config *c, ehm_err *err) {
    for (int i = 0; i < 2; i++) EHM_TRY(one_batch(b, err)); /* packs weights, builds kernels */
    double t0 = ehm_clock_s();
    EHM_TRY(one_batch(b, err));
    double each = ehm_clock_s() - t0;
    int64_t batches = (int64_t)(c->seconds / out->n_stretches / (each > 0 ? each : 1e-6));
    if (batches < 1) batches = 1;
    for (int32_t i = 0; i < out->n_stretches; i++) {
        t0 = ehm_clock_s();
        for (int64_t k = 0; k < batches; k++) EHM_TRY(one_batch(b, err));
        b->rate[i] = (double)b->n * (double)batches / (ehm_clock_s() - t0);
        ehm_progress(false, "stretch %d of %d: %.2f images/s", i + 1, out->n_stretches, b->rate[i]);
        if (ehm_stop_asked()) return EHM_FAIL(err, EHM_E_STOPPED, "stopped while measuring");
    }
    qsort(b->rate, (size_t)out->n_stretches, sizeof *b->rate, by_value);
    return EHM_OK;
}

ehm_code ehm_bench_features(ehm_bench_features_result *out, const ehm_config *cfg, ehm_err *err) {
    ehm_config c = *cfg;
    ehm_vit_shape s;
    bench b = {.n = EHM_IS_AUTO(c.batch_size) ? 64 : (int32_t)c.batch_size};
    memset(out, 0, sizeof *out);
    EHM_TRY(ehm_vit_shape_alone(&s, &c, err));
    ehm_model_opt opt = {c.device, EHM_IS_AUTO(c.threads) ? 0 : (int32_t)c.threads, c.dtype, b.n};
    EHM_TRY(ehm_model_open_shape(&b.m, &s, &opt, err));
    size_t bytes = (size_t)b.n * (size_t)s.img_h * (size_t)s.img_w * (size_t)s.channels, values = (size_t)b.n * (size_t)s.embed_dim;
    int32_t n = out->n_stretches = (int32_t)c.stretches;
    ehm_rng r = ehm_rng_of(1, EHM_RNG_test, 0, 0);
    b.pixels = malloc(bytes), b.cls = malloc(values * sizeof(float)), b.mean = malloc(values * sizeof(float)), b.rate = malloc((size_t)n * sizeof(double));
    ehm_code rc = b.pixels && b.cls && b.mean && b.rate ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for a batch of %d pictures", (int)b.n);
    for (size_t i = 0; !rc && i < bytes; i++) b.pixels[i] = (uint8_t)ehm_rng_u32(&r);
    if (!rc) rc = measure(out, &b, &c, err);
    if (rc) goto done;
    out->lo = b.rate[0], out->hi = b.rate[n - 1];
    out->images_per_s = n % 2 ? b.rate[n / 2] : (b.rate[n / 2 - 1] + b.rate[n / 2]) / 2;
    out->gflop_per_image = ehm_vit_flops_fwd(&s, s.n_patches, false) * 1e-9, out->gflops = out->gflop_per_image * out->images_per_s;
    out->batch = b.n, out->threads = ehm_pool_threads(ehm_dev_pool(ehm_model_device(b.m))), out->peak_bytes = ehm_memory_peak();
    snprintf(out->dtype, sizeof out->dtype, "%s", ehm_model_dtype(b.m));
    snprintf(out->device, sizeof out->device, "%s", ehm_dev_describe(ehm_model_device(b.m)));
    snprintf(out->model, sizeof out->model, "%dx%d px, patch %d, encoder %d/%d/%d", s.img_w, s.img_h, s.patch_size, s.embed_dim, s.depth, s.num_heads);
done:
    free(b.pixels), free(b.cls), free(b.mean), free(b.rate);
    ehm_model_close(b.m);
    return rc;
}
