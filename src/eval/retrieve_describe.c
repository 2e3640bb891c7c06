/* Pictures, and copies made of them on the way, through a model. */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "data/copies.h"
#include "eval/knn.h"
#include "eval/retrieve_int.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A copy's host stands in for the picture that someone pasted it into: drawn by (seed, picture), never one of those searched. */
static ehm_code host_of(ehm_image *out, const ehm_shown *s, const ehm_retrieval *r, ehm_arena *a, ehm_err *err) {
    int64_t n = ehm_dataset_count(r->hosts);
    ehm_rng rng = ehm_rng_of(r->seed, EHM_RNG_copies, (uint32_t)(256 + s->kind * 16 + s->severity), (uint64_t)s->id);
    ehm_sample sample;
    for (int32_t tries = 0;; tries++) {
        ehm_err e = {0};
        ehm_code rc = ehm_dataset_read(r->hosts, (int64_t)ehm_rng_below64(&rng, (uint64_t)n), &sample, 0, NULL, a, &e);
        if (!rc) break;
        if (tries == 20 || rc == EHM_E_MEMORY) { /* a set with bad files has good ones too */
            if (err && !err->code) *err = e;
            return rc;
        }
    }
    *out = sample.image;
    return EHM_OK;
}

static ehm_code changed(ehm_image *out, const ehm_image *in, const ehm_shown *s, const ehm_retrieval *r, ehm_arena *a, ehm_err *err) {
    ehm_image host;
    if (s->kind < 0) return *out = *in, EHM_OK;
    bool needs = ehm_copy_needs_host(s->kind);
    if (needs) EHM_TRY(host_of(&host, s, r, a, err));
    return ehm_copy_make(out, in, s->kind, s->severity, needs ? &host : NULL, r->seed, s->id, a, err);
}

ehm_code ehm_shown_picture(ehm_image *out, const ehm_shown *s, const ehm_retrieval *r, ehm_arena *a, ehm_err *err) {
    ehm_sample sample;
    EHM_TRY(ehm_dataset_read(s->ds, s->id, &sample, 0, NULL, a, err));
    return changed(out, &sample.image, s, r, a, err);
}

/* ---- a batch's pictures by many threads ---- */

typedef struct {
    ehm_arena hold, scratch;
    const ehm_dataset *ds; /* whose picture is held */
    int64_t id;
    ehm_image image;
    ehm_err bad;           /* why it cannot be read */
} reader;
typedef struct {
    const ehm_retrieval *r;
    const ehm_shown *v;
    const ehm_vit_shape *shape;
    const char *fit;
    ehm_dtype type;
    uint8_t *pixels;
    size_t each;
    char (*why)[EHM_ERR_WHAT]; /* [batch] empty: fine */
    ehm_code *fatal;           /* [batch] not the picture's fault */
    reader *readers;           /* one a thread */
} batch_job;

static bool picture_fault(ehm_code rc) { return rc == EHM_E_FORMAT || rc == EHM_E_IO || rc == EHM_E_UNSUPPORTED; }

static void read_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    batch_job *j = ctx;
    reader *t = &j->readers[i_thread];
    for (int64_t i = begin; i < end; i++) {
        const ehm_shown *s = &j->v[i];
        ehm_image im;
        ehm_err e = {0};
        ehm_code rc = EHM_OK;
        if (t->ds != s->ds || t->id != s->id) { /* the copies of a picture follow each other: it is read once */
            ehm_sample sample;
            ehm_arena_reset(&t->hold);
            t->ds = s->ds, t->id = s->id;
            ehm_err_clear(&t->bad);
            if (!ehm_dataset_read(s->ds, s->id, &sample, 0, NULL, &t->hold, &t->bad)) t->image = sample.image;
        }
        ehm_arena_reset(&t->scratch);
        if (t->bad.code) rc = t->bad.code, e = t->bad;
        else if (!(rc = changed(&im, &t->image, s, j->r, &t->scratch, &e)))
            rc = ehm_data_fit(j->pixels + (size_t)i * j->each, j->type, j->shape->img_h, j->shape->img_w, &im, j->fit, &t->scratch, &e);
        j->why[i][0] = 0;
        j->fatal[i] = EHM_OK;
        if (!rc) continue;
        const char *name = ehm_dataset_name(s->ds, s->id);
        bool named = strstr(e.what, name) || strlen(name) > EHM_ERR_WHAT / 2;
        snprintf(j->why[i], sizeof j->why[i], "%s%s%.300s", named ? "" : name, named ? "" : ": ", e.what);
        if (!picture_fault(rc)) j->fatal[i] = rc;
        memset(j->pixels + (size_t)i * j->each, 0, j->each);
    }
}

ehm_code ehm_shown_run(ehm_model *m, const ehm_retrieval *r, const ehm_shown *v, int64_t n, int32_t n_workers, const char *doing, ehm_shown_fn fn, void *ctx,
                       ehm_err *err) {
    const ehm_vit_shape *s = ehm_model_shape(m);
    int64_t B = ehm_model_batch(m), D = s->embed_dim, L = s->n_patches;
    ehm_dtype type = r->is_u8 ? EHM_U8 : EHM_F32;
    size_t each = (size_t)s->img_h * (size_t)s->img_w * (size_t)s->channels * ehm_dtype_size(type);
    ehm_pool *pool = NULL;
    double begin = ehm_clock_s();
    char done[32], all[32];
    batch_job j = {.r = r, .shape = s, .fit = ehm_model_fit(m), .type = type, .each = each};
    ehm_code rc = ehm_pool_open(&pool, n_workers < 1 ? 1 : n_workers, err);
    if (rc) return rc;
    float *cls = malloc(sizeof *cls * (size_t)(B * D)), *mean = malloc(sizeof *mean * (size_t)(B * D)), *patches = malloc(sizeof *patches * (size_t)(B * L * D));
    j.pixels = malloc(each * (size_t)B);
    j.why = malloc(sizeof *j.why * (size_t)B);
    j.fatal = malloc(sizeof *j.fatal * (size_t)B);
    j.readers = calloc((size_t)ehm_pool_threads(pool), sizeof *j.readers);
    if (!cls || !mean || !patches || !j.pixels || !j.why || !j.fatal || !j.readers) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld pictures at once", (long long)B);
        goto done;
    }
    for (int64_t first = 0; first < n; first += B) {
        int32_t k = (int32_t)(n - first < B ? n - first : B);
        if (ehm_stop_asked()) {
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld of %lld pictures", (long long)first, (long long)n);
            goto done;
        }
        j.v = v + first;
        ehm_pool_for(pool, k, 8, read_some, &j);
        for (int32_t i = 0; i < k; i++)
            if (j.fatal[i]) {
                rc = EHM_FAIL(err, j.fatal[i], "%s", j.why[i]);
                goto done;
            }
        if ((rc = ehm_model_tokens(m, j.pixels, type, k, cls, mean, patches, err))) goto done;
        for (int32_t i = 0; i < k; i++) {
            bool bad = j.why[i][0] != 0;
            ehm_shown_one one = {.i = first + i,
                                 .pixels = bad ? NULL : j.pixels + (size_t)i * each,
                                 .type = type,
                                 .cls = cls + i * D,
                                 .mean = mean + i * D,
                                 .patches = patches + i * L * D,
                                 .why = bad ? j.why[i] : NULL};
            if ((rc = fn(ctx, &one, err))) goto done;
        }
        ehm_progress(false, "%s: %s of %s pictures, %.0f a second", doing, ehm_format_count(first + k, done), ehm_format_count(n, all),
                     (double)(first + k) / (ehm_clock_s() - begin + 1e-9));
    }
    ehm_progress(true, "%s: %s pictures", doing, ehm_format_count(n, done));
done:
    for (int32_t i = 0; j.readers && i < ehm_pool_threads(pool); i++) ehm_arena_free(&j.readers[i].hold), ehm_arena_free(&j.readers[i].scratch);
    free(cls), free(mean), free(patches), free(j.pixels), free(j.why), free(j.fatal), free(j.readers);
    ehm_pool_close(pool);
    return rc;
}

/* ---- descriptors ---- */

int32_t ehm_raw_dim(int32_t c) { return EHM_RAW_SIDE * EHM_RAW_SIDE * c; }
int32_t ehm_colour_dim(int32_t c) { return c == 3 ? EHM_COLOUR_STEPS * EHM_COLOUR_STEPS * EHM_COLOUR_STEPS : EHM_GREY_STEPS * c; }

ehm_code ehm_raw_row(float *out, const ehm_image *im, ehm_arena *scratch, ehm_err *err) {
    ehm_image small = {.px = out, .w = EHM_RAW_SIDE, .h = EHM_RAW_SIDE, .c = im->c, .type = EHM_F32}, wide = *im;
    double sum = 0;
    int32_t n = ehm_raw_dim(im->c);
    if (im->type != EHM_F32) {
        EHM_TRY(ehm_image_new(&wide, im->w, im->h, im->c, EHM_F32, scratch, err));
        ehm_image_to_f32(wide.px, im);
    }
    EHM_TRY(ehm_resize(&small, &wide, NULL, EHM_RESIZE_BILINEAR, scratch, err));
    for (int32_t k = 0; k < n; k++) sum += (double)out[k];
    for (int32_t k = 0; k < n; k++) out[k] -= (float)(sum / n);
    return EHM_OK;
}

void ehm_colour_row(float *out, const ehm_image *im) {
    int64_t n = (int64_t)im->w * im->h;
    int32_t dim = ehm_colour_dim(im->c), steps = im->c == 3 ? EHM_COLOUR_STEPS : EHM_GREY_STEPS;
    for (int32_t k = 0; k < dim; k++) out[k] = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bin = 0;
        for (int32_t k = 0; k < im->c; k++) {
            int64_t at = i * im->c + k;
            float v = im->type == EHM_U8 ? (float)((const uint8_t *)im->px)[at] / 255.0f : ((const float *)im->px)[at];
            int32_t step = !(v > 0) ? 0 : v >= 1 ? steps - 1 : (int32_t)(v * (float)steps);
            if (im->c == 3) bin = bin * steps + step;
            else out[k * steps + step] += 1;
        }
        if (im->c == 3) out[bin] += 1;
    }
    for (int32_t k = 0; k < dim; k++) out[k] = sqrtf(out[k] / (float)n);
}

typedef struct {
    ehm_descriptors *d;
    const ehm_vit_shape *s;
    int64_t n_prints;
    ehm_arena scratch, *a;
} gather_ctx;

static bool finite_row(const float *x, int32_t n) {
    for (int32_t k = 0; k < n; k++)
        if (!isfinite(x[k])) return false;
    return true;
}

static ehm_code gather(void *ctx, const ehm_shown_one *one, ehm_err *err) {
    gather_ctx *c = ctx;
    ehm_descriptors *d = c->d;
    int64_t i = one->i;
    if (!one->pixels) {
        d->bad[i] = 1;
        if (!d->first_bad) d->first_bad = ehm_arena_strdup(c->a, one->why);
        return EHM_OK;
    }
    memcpy(d->cls + i * d->dim, one->cls, sizeof(float) * (size_t)d->dim);
    memcpy(d->mean + i * d->dim, one->mean, sizeof(float) * (size_t)d->dim);
    ehm_gem(d->gem + i * d->dim, one->patches, c->s->n_patches, d->dim, 3);
    if (!finite_row(one->cls, d->dim) || !finite_row(one->mean, d->dim))
        return EHM_FAIL(err, EHM_E_NUMERIC, "the model's features of picture %lld are not finite", (long long)i);
    ehm_image im = {(void *)(uintptr_t)one->pixels, c->s->img_w, c->s->img_h, c->s->channels, one->type};
    ehm_arena_reset(&c->scratch);
    if (d->raw) {
        EHM_TRY(ehm_raw_row(d->raw + i * d->raw_dim, &im, &c->scratch, err));
        ehm_colour_row(d->colour + i * d->colour_dim, &im);
    }
    if (i < c->n_prints) EHM_TRY(ehm_print_of(&d->prints[i], &im, &c->scratch, err));
    return EHM_OK;
}

ehm_code ehm_descriptors_of(ehm_descriptors *out, ehm_model *m, const ehm_retrieval *r, const ehm_shown *v, int64_t n, int64_t n_prints, bool want_raw,
                            int32_t n_workers, const char *doing, ehm_arena *a, ehm_err *err) {
    const ehm_vit_shape *s = ehm_model_shape(m);
    gather_ctx c = {.d = out, .s = s, .n_prints = n_prints, .a = a};
    *out = (ehm_descriptors){.n = n, .dim = s->embed_dim, .raw_dim = ehm_raw_dim(s->channels), .colour_dim = ehm_colour_dim(s->channels)};
    size_t each = (size_t)n * (size_t)out->dim;
    out->cls = calloc(each + 1, sizeof(float)), out->mean = calloc(each + 1, sizeof(float)), out->gem = calloc(each + 1, sizeof(float));
    out->bad = calloc((size_t)n + 1, 1);
    if (want_raw) {
        out->raw = calloc((size_t)n * (size_t)out->raw_dim + 1, sizeof(float));
        out->colour = calloc((size_t)n * (size_t)out->colour_dim + 1, sizeof(float));
    }
    if (n_prints) out->prints = calloc((size_t)n_prints, sizeof *out->prints);
    if (!out->cls || !out->mean || !out->gem || !out->bad || (want_raw && (!out->raw || !out->colour)) || (n_prints && !out->prints))
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the descriptors of %lld pictures", (long long)n);
    ehm_code rc = ehm_shown_run(m, r, v, n, n_workers, doing, gather, &c, err);
    ehm_arena_free(&c.scratch);
    if (rc) return rc;
    ehm_pool *pool = ehm_dev_pool(ehm_model_device(m));
    ehm_knn_unit_rows(out->cls, n, out->dim, pool), ehm_knn_unit_rows(out->mean, n, out->dim, pool), ehm_knn_unit_rows(out->gem, n, out->dim, pool);
    if (want_raw) ehm_knn_unit_rows(out->raw, n, out->raw_dim, pool), ehm_knn_unit_rows(out->colour, n, out->colour_dim, pool);
    return EHM_OK;
}

static void keep_rows(float *x, int32_t dim, const int64_t *kept, int64_t n) {
    for (int64_t i = 0; x && i < n; i++) memmove(x + i * dim, x + kept[i] * dim, sizeof *x * (size_t)dim);
}
void ehm_descriptors_keep(ehm_descriptors *d, const int64_t *kept, int64_t n) {
    keep_rows(d->cls, d->dim, kept, n), keep_rows(d->mean, d->dim, kept, n), keep_rows(d->gem, d->dim, kept, n);
    keep_rows(d->raw, d->raw_dim, kept, n), keep_rows(d->colour, d->colour_dim, kept, n);
    for (int64_t i = 0; i < n; i++) d->bad[i] = d->bad[kept[i]];
    d->n = n;
}
void ehm_descriptors_free(ehm_descriptors *d) {
    free(d->cls), free(d->mean), free(d->gem), free(d->raw), free(d->colour), free(d->prints), free(d->bad);
    memset(d, 0, sizeof *d);
}
