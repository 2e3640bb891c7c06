#include "train/bench_step.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "recipe/method.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    ehm_dev *dev;
    ehm_method *m;
    ehm_plan plan;
    bool planned;
    ehm_adamw_state adamw;
    ehm_clip clip;
    ehm_batch batch;
    uint8_t *pixels;
    int64_t *ids;
    int32_t *labels;
    int64_t t;
} bench;

static void plan_all(bench *b) {
    ehm_method_plan(b->m, &b->plan);
    ehm_adamw_plan(&b->adamw, &b->plan, ehm_method_params(b->m)->group_count, EHM_ADAMW_GROUPS);
    ehm_clip_plan(&b->clip, &b->plan);
}

static ehm_code one_step(bench *b, ehm_err *err) {
    ehm_view g[2] = {ehm_method_grad(b->m, EHM_DECAY), ehm_method_grad(b->m, EHM_NO_DECAY)};
    ehm_weights *w = ehm_method_weights(b->m);
    b->batch.index = b->batch.i_batch = b->t;
    EHM_TRY(ehm_method_load(b->m, b->dev, &b->batch, 1, 1, err));
    for (int32_t i = 0; i < 2; i++)
        if (g[i].rank) ehm_fill(b->dev, &(ehm_fill_args){.x = g[i]});
    while (ehm_dev_section(b->dev, ehm_method_section(b->m))) {
        ehm_method_fwd(b->m, b->dev);
        ehm_method_bwd(b->m, b->dev, 1);
        ehm_dev_section_end(b->dev);
    }
    ehm_clip_run(&b->clip, b->dev, g, 2, ehm_method_loss(b->m), 3, 1);
    ehm_adamw_group groups[2] = {{w->flat[EHM_DECAY], g[0], w->act[EHM_DECAY], 0.05f}, {w->flat[EHM_NO_DECAY], g[1], w->act[EHM_NO_DECAY], 0}};
    ehm_adamw_step(&b->adamw, b->dev, groups, b->clip.factor, 1e-4, ++b->t);
    b->batch.index = b->t;
    ehm_method_ahead(b->m, b->dev, &b->batch);
    EHM_TRY(ehm_dev_check(b->dev, err));
    return ehm_method_settled(b->m, b->dev, err);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static ehm_code random_batch(bench *b, const ehm_vit_shape *s, int32_t n, int32_t views, ehm_err *err) {
    size_t bytes = (size_t)n * (size_t)s->img_h * (size_t)s->img_w * (size_t)s->channels;
    ehm_rng r = ehm_rng_of(1, EHM_RNG_test, 0, 0);
    b->pixels = malloc(bytes), b->ids = calloc((size_t)n, sizeof *b->ids), b->labels = calloc((size_t)n, sizeof *b->labels);
    if (!b->pixels || !b->ids || !b->labels) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a batch of %d pictures", n);
    for (size_t i = 0; i < bytes; i++) b->pixels[i] = (uint8_t)ehm_rng_u32(&r);
    for (int32_t i = 0; i < n; i++) b->ids[i] = i;
    b->batch = (ehm_batch){.n = n / views, .pixels = b->pixels, .type = EHM_U8, .ids = b->ids, .slots = b->ids, .labels = b->labels};
    return EHM_OK;
}

ehm_code ehm_bench_step(ehm_bench_result *out, const ehm_config *cfg, ehm_err *err) {
    ehm_config c = *cfg;
    bench b = {0};
    ehm_vit_shape s;
    double stats[256], ones[256], *rate = NULL, t0, per_step;
    int32_t threads = EHM_IS_AUTO(c.threads) ? ehm_cpu_count() : (int32_t)c.threads, n = EHM_IS_AUTO(c.batch_size) ? 64 : (int32_t)c.batch_size;
    ehm_code rc;
    memset(out, 0, sizeof *out);
    EHM_TRY(ehm_vit_shape_alone(&s, &c, err));
    EHM_TRY(ehm_dev_open(&b.dev, c.device, threads, err));
    bool own; /* memory of the device's own: then that is what counts */
    int64_t free_before = ehm_dev_available(b.dev, &own);
    ehm_dtype act = !strcmp(c.dtype, "bf16") || (!strcmp(c.dtype, "auto") && ehm_dev_fast_bf16(b.dev)) ? EHM_BF16 : EHM_F32;
    if ((rc = ehm_method_open(&b.m, &c, &s, n, act, true, err))) goto done;
    ehm_plan_begin(&b.plan, b.dev);
    b.planned = true;
    plan_all(&b);
    if ((rc = ehm_plan_commit(&b.plan, err))) goto done;
    plan_all(&b);
    if ((rc = ehm_plan_end(&b.plan, err))) goto done;
    ehm_method_init(b.m, b.dev, 1);
    for (int32_t i = 0; i < s.channels; i++) stats[i] = 0.5, ones[i] = 0.25;
    if ((rc = ehm_method_set_stats(b.m, b.dev, stats, ones, s.channels, err))) goto done;
    if ((rc = random_batch(&b, &s, n, (int32_t)c.masks_per_crop, err))) goto done;
    /* Devices that run ahead have two places for pixels, and record what they do with either the second time. */
    for (int32_t i = 0, n_untimed = ehm_dev_runs_ahead(b.dev) ? 4 : 2; i < n_untimed; i++)
        if ((rc = one_step(&b, err))) goto done;
    t0 = ehm_clock_s();
    if ((rc = one_step(&b, err))) goto done;
    per_step = ehm_clock_s() - t0;
    ehm_method_metric part[EHM_METHOD_METRICS_MAX];
    (void)ehm_method_timings(b.m, part); /* of the steps that do not count */
    int64_t n_steps = 0;
    double all_s = 0;
    out->n_stretches = (int32_t)c.stretches;
    int32_t steps = (int32_t)(c.seconds / out->n_stretches / (per_step > 0 ? per_step : 1e-6));
    if (steps < 1) steps = 1;
    rate = malloc(sizeof(double) * (size_t)out->n_stretches);
    if (!rate) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d stretches", out->n_stretches);
        goto done;
    }
    for (int32_t i = 0; i < out->n_stretches; i++) {
        t0 = ehm_clock_s();
        for (int32_t k = 0; k < steps; k++)
            if ((rc = one_step(&b, err))) goto done;
        double took = ehm_clock_s() - t0;
        rate[i] = (double)n * steps / took;
        n_steps += steps, all_s += took;
        ehm_progress(false, "stretch %d of %d: %.2f images/s", i + 1, out->n_stretches, rate[i]);
        if (ehm_stop_asked()) {
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while measuring");
            goto done;
        }
    }
    int32_t n_parts = ehm_method_timings(b.m, part);
    out->has_parts = n_parts == 4, out->step_ms = 1e3 * all_s / (double)n_steps;
    if (out->has_parts)
        out->teacher_ms = part[0].value, out->similarity_ms = part[1].value, out->tree_ms = part[2].value, out->selection_ms = part[3].value;
    snprintf(out->mask, sizeof out->mask, "%s", c.mask);
    qsort(rate, (size_t)out->n_stretches, sizeof *rate, by_value);
    out->lo = rate[0], out->hi = rate[out->n_stretches - 1];
    out->images_per_s = out->n_stretches % 2 ? rate[out->n_stretches / 2] : (rate[out->n_stretches / 2 - 1] + rate[out->n_stretches / 2]) / 2;
    out->gflop_per_image = ehm_method_flops(b.m) * 1e-9;
    out->gflops = out->gflop_per_image * out->images_per_s;
    out->batch = n, out->threads = threads;
    out->plan_bytes = (int64_t)ehm_plan_bytes_all(&b.plan), out->peak_bytes = own ? free_before - ehm_dev_available(b.dev, &own) : ehm_memory_peak();
    out->peak_of_device = own;
    snprintf(out->dtype, sizeof out->dtype, "%s", ehm_dtype_name(act));
    snprintf(out->device, sizeof out->device, "%s", ehm_dev_describe(b.dev));
    snprintf(out->model, sizeof out->model, "%dx%d px, patch %d, encoder %d/%d/%d, decoder %d/%d/%d", s.img_w, s.img_h, s.patch_size, s.embed_dim, s.depth,
             s.num_heads, s.decoder_embed_dim, s.decoder_depth, s.decoder_num_heads);
done:
    free(rate);
    free(b.pixels), free(b.ids), free(b.labels);
    if (b.planned) ehm_plan_free(&b.plan);
    ehm_method_close(b.m);
    ehm_dev_close(b.dev);
    return rc;
}
