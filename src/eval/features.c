#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "eval/features_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAW_MAX = 3072 };

/* The whole factor by which pictures are reduced so that a raw-pixel row stays short. */
static int32_t raw_factor(const ehm_vit_shape *s) {
    int32_t f = 1;
    while ((int64_t)((s->img_h + f - 1) / f) * ((s->img_w + f - 1) / f) * s->channels > RAW_MAX) f++;
    return f;
}
static int32_t raw_dim(const ehm_vit_shape *s) {
    int32_t f = raw_factor(s);
    return (s->img_h / f) * (s->img_w / f) * s->channels;
}
const char *ehm_features_raw_name(const ehm_model *m, char *buf) {
    const ehm_vit_shape *s = ehm_model_shape(m);
    int32_t f = raw_factor(s);
    snprintf(buf, 64, "raw pixels %dx%dx%d", s->img_h / f, s->img_w / f, s->channels);
    return buf;
}

typedef struct {
    ehm_features *f;
    const ehm_vit_shape *s;
    const ehm_split *split;
    const ehm_depths *depths;
    bool quiet;
    int64_t cap;
    double mean[256], std[256];
    ehm_arena scratch;
} gather_ctx;

static void raw_row(float *out, const void *pixels, ehm_dtype type, int64_t i, const gather_ctx *c) {
    const ehm_vit_shape *s = c->s;
    int32_t f = raw_factor(s), h = s->img_h / f, w = s->img_w / f, ch = s->channels;
    int64_t base = i * s->img_h * s->img_w * ch;
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++)
            for (int32_t k = 0; k < ch; k++) {
                double sum = 0;
                for (int32_t dy = 0; dy < f; dy++)
                    for (int32_t dx = 0; dx < f; dx++) {
                        int64_t at = base + ((int64_t)(y * f + dy) * s->img_w + x * f + dx) * ch + k;
                        sum += type == EHM_U8 ? ((const uint8_t *)pixels)[at] / 255.0
                                              : (double)((const float *)pixels)[at];
                    }
                *out++ = (float)((sum / (f * f) - c->mean[k]) / c->std[k]);
            }
}

bool ehm_in_part(const ehm_split *s, int64_t id) {
    if (s->part == EHM_PART_ALL) return true;
    ehm_rng r = ehm_rng_of(s->seed, EHM_RNG_eval_split, 0, (uint64_t)id);
    return (ehm_rng_f64(&r) < s->held_out_frac) == (s->part == EHM_PART_HELD_OUT);
}

static ehm_code gather(void *ctx, const ehm_batch *b, const float *cls, const float *mean,
                       const float *patches, ehm_err *err) {
    gather_ctx *c = ctx;
    ehm_features *f = c->f;
    size_t pixel_bytes = (size_t)c->s->img_h * (size_t)c->s->img_w * (size_t)c->s->channels *
                         ehm_dtype_size(b->type);
    (void)patches;
    for (int32_t i = 0; i < b->n; i++) {
        if (b->labels[i] < 0 || b->ids[i] != b->slots[i] || !ehm_in_part(c->split, b->ids[i]))
            continue; /* unlabelled, or a stand-in for a bad file */
        if (f->n == c->cap)
            return EHM_FAIL(err, EHM_E_MISMATCH, "the set gave more pictures than it counts (%lld)",
                            (long long)c->cap);
        if (f->cls) memcpy(f->cls + f->n * f->dim, cls + (int64_t)i * f->dim, sizeof(float) * (size_t)f->dim);
        if (f->mean) memcpy(f->mean + f->n * f->dim, mean + (int64_t)i * f->dim, sizeof(float) * (size_t)f->dim);
        if (f->raw) raw_row(f->raw + f->n * f->raw_dim, b->pixels, b->type, i, c);
        if (f->prints) {
            ehm_image im = {(uint8_t *)b->pixels + (size_t)i * pixel_bytes, c->s->img_w, c->s->img_h,
                            c->s->channels, b->type};
            ehm_arena_reset(&c->scratch);
            EHM_TRY(ehm_print_of(&f->prints[f->n], &im, &c->scratch, err));
        }
        f->labels[f->n] = b->labels[i];
        f->ids[f->n++] = b->ids[i];
    }
    return EHM_OK;
}

/* The model's own walk computes the last depth alone; here several come of one pass, or none for labels and prints. */
static ehm_code walk_set(gather_ctx *c, ehm_model *m, ehm_dataset *ds, int32_t n_workers, ehm_err *err) {
    const ehm_vit_shape *s = c->s;
    ehm_loader_opt opt = {.batch_size = ehm_model_batch(m),
                          .h = s->img_h,
                          .w = s->img_w,
                          .fit = ehm_model_fit(m),
                          .n_workers = n_workers < 1 ? 1 : n_workers,
                          .max_bad = 1};
    size_t wide = (size_t)ehm_model_batch(m) * (size_t)(c->depths ? c->f->dim : 1);
    double begin = ehm_clock_s();
    int64_t n_done = 0;
    char done[32], all[32];
    ehm_loader *l = NULL;
    float *cls = malloc(wide * sizeof *cls), *mean = malloc(wide * sizeof *mean);
    ehm_code rc = cls && mean ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for the features of %d pictures", ehm_model_batch(m));
    if (!rc) rc = ehm_loader_open(&l, ds, &opt, 0, err);
    while (!rc) {
        ehm_batch b = {0};
        ehm_err why = {0};
        rc = ehm_loader_next(l, &b, &why);
        if (rc == EHM_E_STOPPED && !b.n && !ehm_stop_asked()) {
            rc = EHM_OK;
            break;
        }
        if (rc) {
            if (err && !err->code) *err = why;
        } else if (ehm_stop_asked())
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld of %lld pictures", (long long)n_done, (long long)c->cap);
        if (!rc && c->depths) rc = ehm_model_depths(m, b.pixels, b.type, b.n, c->depths->depth, c->depths->n, cls, mean, err);
        if (!rc) rc = gather(c, &b, cls, mean, NULL, err);
        n_done += b.n;
        if (!rc && !c->quiet)
            ehm_progress(false, "%s of %s pictures, %.0f a second", ehm_format_count(n_done, done), ehm_format_count(c->cap, all),
                         (double)n_done / (ehm_clock_s() - begin + 1e-9));
    }
    if (!rc && !c->quiet) ehm_progress(true, "%s pictures", ehm_format_count(n_done, done));
    ehm_loader_close(l);
    free(cls), free(mean);
    return rc;
}

static ehm_code features_at(ehm_features *out, ehm_model *m, ehm_dataset *ds, const ehm_split *split, const ehm_depths *depths, int32_t n_workers,
                            bool want_raw, bool quiet, ehm_err *err) {
    gather_ctx c = {.f = out, .s = ehm_model_shape(m), .split = split, .depths = depths, .quiet = quiet, .cap = ehm_dataset_count(ds)};
    size_t n = (size_t)c.cap;
    memset(out, 0, sizeof *out);
    ehm_model_stats(m, c.mean, c.std);
    out->dim = c.s->embed_dim * (depths->n ? depths->n : 1);
    out->raw_dim = raw_dim(c.s);
    out->cls = malloc(n * (size_t)out->dim * sizeof(float));
    out->mean = malloc(n * (size_t)out->dim * sizeof(float));
    out->raw = want_raw ? malloc(n * (size_t)out->raw_dim * sizeof(float)) : NULL;
    out->labels = malloc(n * sizeof(int32_t));
    out->ids = malloc(n * sizeof(int64_t));
    out->prints = want_raw ? calloc(n, sizeof(ehm_print)) : NULL;
    if (!out->cls || !out->mean || (want_raw && !out->raw) || !out->labels || !out->ids ||
        (want_raw && !out->prints))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the features of %lld pictures", (long long)c.cap);
    ehm_code rc = depths->n ? walk_set(&c, m, ds, n_workers, err) : ehm_model_run_dataset(m, ds, n_workers, false, gather, &c, err);
    ehm_arena_free(&c.scratch);
    return rc;
}

ehm_code ehm_features_at(ehm_features *out, ehm_model *m, ehm_dataset *ds, const ehm_split *split, const ehm_depths *depths, int32_t n_workers,
                         bool want_raw, ehm_err *err) {
    return features_at(out, m, ds, split, depths, n_workers, want_raw, false, err);
}

ehm_code ehm_features_quiet(ehm_features *out, ehm_model *m, ehm_dataset *ds, const ehm_split *split, int32_t n_workers, ehm_err *err) {
    ehm_depths last = {.depth = {ehm_model_shape(m)->depth}, .n = 1}; /* what the whole encoder gives, to the bit */
    return features_at(out, m, ds, split, &last, n_workers, false, true, err);
}

ehm_code ehm_features_of(ehm_features *out, ehm_model *m, ehm_dataset *ds, const ehm_split *split, int32_t n_workers, bool want_raw, ehm_err *err) {
    static const ehm_depths whole = {.n = 0};
    return ehm_features_at(out, m, ds, split, &whole, n_workers, want_raw, err);
}

ehm_code ehm_labels_of(ehm_features *out, ehm_model *m, ehm_dataset *ds, const ehm_split *split, int32_t n_workers, bool want_prints, ehm_err *err) {
    gather_ctx c = {.f = out, .s = ehm_model_shape(m), .split = split, .cap = ehm_dataset_count(ds)};
    size_t n = (size_t)c.cap;
    ehm_code rc = EHM_OK;
    memset(out, 0, sizeof *out);
    out->labels = malloc(n * sizeof(int32_t)), out->ids = malloc(n * sizeof(int64_t));
    out->prints = want_prints ? calloc(n, sizeof(ehm_print)) : NULL;
    if (!out->labels || !out->ids || (want_prints && !out->prints))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the labels of %lld pictures", (long long)c.cap);
    if (want_prints) rc = walk_set(&c, m, ds, n_workers, err);
    for (int64_t i = 0; i < c.cap && !want_prints; i++) {
        if (ehm_dataset_label(ds, i) < 0 || !ehm_in_part(split, i)) continue;
        out->labels[out->n] = ehm_dataset_label(ds, i), out->ids[out->n++] = i;
    }
    ehm_arena_free(&c.scratch);
    return rc;
}

void ehm_features_free(ehm_features *f) {
    free(f->cls), free(f->mean), free(f->raw), free(f->labels), free(f->ids), free(f->prints);
    memset(f, 0, sizeof *f);
}

static ehm_code needs_labels(const ehm_dataset *ds, ehm_err *err) {
    if (ehm_dataset_n_classes(ds)) return EHM_OK;
    EHM_HINT(err, "labels are class folders, WebDataset cls members, or IDX, CIFAR and .npy label files");
    return EHM_FAIL(err, EHM_E_MISMATCH, "%s has no labels, and this evaluation needs them",
                    ehm_dataset_spec(ds));
}

ehm_code ehm_eval_open_pair(ehm_dataset **train, ehm_dataset **test, const ehm_config *c, int32_t channels,
                            ehm_err *err) {
    ehm_dataset_opt opt = {.channels = channels,
                           .alpha = c->alpha,
                           .max_pixels = c->max_pixels,
                           .cache_dir = c->cache,
                           .ignore_label = -1,
                           .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
    if (!c->train.n) {
        EHM_FAIL(err, EHM_E_CONFIG, "--train is missing: the labelled pictures to learn from");
        return EHM_HINT(err, "for example --train scenes:1:5000 --test scenes:2:1000"), EHM_E_CONFIG;
    }
    EHM_TRY(ehm_dataset_open(train, &c->train, &opt, err));
    EHM_TRY(needs_labels(*train, err));
    if (!c->test.n) return EHM_OK;
    EHM_TRY(ehm_dataset_open(test, &c->test, &opt, err));
    EHM_TRY(needs_labels(*test, err));
    return ehm_dataset_adopt_classes(*test, *train, err);
}
