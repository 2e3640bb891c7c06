/* Mean and deviation a channel over a sample of pictures. Each picture counts the same, whatever its size;
 * partial results are kept a picture and added in order, so that the thread count does not matter. */
#include "base/rng.h"
#include "data/loader.h"
#include <math.h>
#include <string.h>

typedef struct {
    ehm_dataset *ds;
    int64_t n, m; /* set, sample */
    uint64_t seed;
    int32_t c;
    double *mean, *var; /* [m,c] */
    ehm_code *rc;       /* [m] */
    ehm_err *first;     /* [threads]: the lowest failure each thread saw */
    int64_t *i_first;
    ehm_arena *arena; /* [threads] */
} stats_work;

/* One picture of each of m equal stretches of the set. */
static int64_t pick(const stats_work *w, int64_t i) {
    int64_t lo = (int64_t)((__int128)i * w->n / w->m), hi = (int64_t)((__int128)(i + 1) * w->n / w->m);
    ehm_rng r = ehm_rng_of(w->seed, EHM_RNG_stats, 0, (uint64_t)i);
    return lo + (int64_t)ehm_rng_below64(&r, (uint64_t)(hi - lo));
}

static bool measure(const ehm_image *im, double *mean, double *var) {
    int64_t n = (int64_t)im->w * im->h;
    for (int32_t k = 0; k < im->c; k++) {
        double sum = 0, sq = 0;
        if (im->type == EHM_U8) {
            const uint8_t *p = (const uint8_t *)im->px + k;
            uint64_t s = 0, s2 = 0;
            for (int64_t i = 0; i < n; i++) s += p[i * im->c], s2 += (uint64_t)p[i * im->c] * p[i * im->c];
            mean[k] = (double)s / (double)n / 255;
            var[k] = (double)s2 / (double)n / (255.0 * 255.0) - mean[k] * mean[k];
            if (var[k] < 0) var[k] = 0;
            continue;
        }
        bool wide = im->type == EHM_U16;
        const float *f = im->px;
        const uint16_t *u = im->px;
        for (int64_t i = 0; i < n; i++) sum += wide ? u[i * im->c + k] / 65535.0 : (double)f[i * im->c + k];
        mean[k] = sum / (double)n;
        for (int64_t i = 0; i < n; i++) {
            double d = (wide ? u[i * im->c + k] / 65535.0 : (double)f[i * im->c + k]) - mean[k];
            sq += d * d;
        }
        var[k] = sq / (double)n;
        if (!isfinite(mean[k]) || !isfinite(var[k])) return false;
    }
    return true;
}

static void pictures(void *ctx, int64_t begin, int64_t end, int32_t t) {
    stats_work *w = ctx;
    for (int64_t i = begin; i < end; i++) {
        ehm_sample s;
        ehm_err e = {0};
        int64_t id = pick(w, i);
        w->rc[i] = ehm_dataset_read(w->ds, id, &s, 0, NULL, &w->arena[t], &e);
        if (!w->rc[i] && s.image.c != w->c)
            w->rc[i] = EHM_FAIL(&e, EHM_E_FORMAT, "%s: %d channels where the set has %d",
                                ehm_dataset_name(w->ds, id), s.image.c, w->c);
        if (!w->rc[i] && !measure(&s.image, w->mean + i * w->c, w->var + i * w->c))
            w->rc[i] = EHM_FAIL(&e, EHM_E_FORMAT, "%s: pixel values that are not finite",
                                ehm_dataset_name(w->ds, id));
        if (w->rc[i] && (w->i_first[t] < 0 || i < w->i_first[t])) w->first[t] = e, w->i_first[t] = i;
        ehm_arena_reset(&w->arena[t]);
    }
}

static void combine(const stats_work *w, double *mean, double *std, int64_t n_good) {
    for (int32_t k = 0; k < w->c; k++) {
        double m = 0, v = 0;
        for (int64_t i = 0; i < w->m; i++)
            if (!w->rc[i]) m += w->mean[i * w->c + k];
        m /= (double)n_good;
        for (int64_t i = 0; i < w->m; i++) {
            double d = w->mean[i * w->c + k] - m;
            if (!w->rc[i]) v += w->var[i * w->c + k] + d * d;
        }
        mean[k] = m, std[k] = sqrt(v / (double)n_good);
        if (!(std[k] > 0)) std[k] = 1; /* a constant channel: nothing to scale by */
    }
}

ehm_code ehm_data_stats(ehm_dataset *ds, int64_t n_max, uint64_t seed, double *mean, double *std,
                        ehm_pool *pool, ehm_err *err) {
    ehm_arena a = {0};
    int32_t threads = ehm_pool_threads(pool);
    stats_work w = {.ds = ds, .n = ehm_dataset_count(ds), .seed = seed, .c = ehm_dataset_channels(ds)};
    if (n_max < 1 || w.n < 1)
        return EHM_FAIL(err, EHM_E_ARG, "mean and deviation over %lld of %lld pictures", (long long)n_max,
                        (long long)w.n);
    w.m = w.n < n_max ? w.n : n_max;
    w.mean = EHM_NEW_N(&a, double, w.m *w.c), w.var = EHM_NEW_N(&a, double, w.m *w.c),
    w.rc = EHM_NEW_N(&a, ehm_code, w.m);
    w.first = EHM_NEW_N(&a, ehm_err, threads), w.i_first = EHM_NEW_N(&a, int64_t, threads),
    w.arena = EHM_NEW_N(&a, ehm_arena, threads);
    ehm_code rc = EHM_OK;
    if (!w.mean || !w.var || !w.rc || !w.first || !w.i_first || !w.arena) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory to measure %lld pictures", (long long)w.m);
        goto done;
    }
    for (int32_t t = 0; t < threads; t++) w.i_first[t] = -1;
    ehm_pool_for(pool, w.m, 1, pictures, &w);
    int64_t n_good = 0;
    for (int64_t i = 0; i < w.m; i++) n_good += !w.rc[i];
    /* Bad pictures are left out, as the loader replaces them; only when nothing is left, or memory ran out,
     * is it an error. */
    int32_t lowest = -1;
    for (int32_t t = 0; t < threads; t++)
        if (w.i_first[t] >= 0 && (lowest < 0 || w.i_first[t] < w.i_first[lowest])) lowest = t;
    for (int64_t i = 0; i < w.m && !rc; i++)
        if (w.rc[i] == EHM_E_MEMORY)
            rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory to decode %s", ehm_dataset_name(ds, pick(&w, i)));
    if (!rc && !n_good) {
        rc = w.first[lowest].code;
        if (err && !err->code) *err = w.first[lowest];
        EHM_WHILE(err, "measuring mean and deviation: none of the %lld pictures looked at can be read",
                  (long long)w.m);
    }
    if (!rc) combine(&w, mean, std, n_good);
done:
    for (int32_t t = 0; w.arena && t < threads; t++) ehm_arena_free(&w.arena[t]);
    ehm_arena_free(&a);
    return rc;
}
