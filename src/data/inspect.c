/* Every file decoded once over the pool; near-duplicates by perceptual hash. */
#include "data/inspect.h"
#include "base/clock.h"
#include "base/log.h"
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIDE = 32,
    LOW = 8,
    MAX_KEPT = 10000,
    BAND_BITS = 16,
    N_BANDS = 4,
    MAX_DIFFERENT_BITS = 8,
    MAX_GREY_DIFFERENCE = 5,
    NEIGHBOURS = 256
};

/* ---- prints ---- */

static ehm_code small_grey(float *out, int32_t side, const ehm_image *im, ehm_arena *scratch, ehm_err *err) {
    ehm_image grey = *im, small;
    if (im->c == 2 || im->c == 3 || im->c == 4)
        EHM_TRY(ehm_image_channels(&grey, im, 1, "drop", scratch, err));
    EHM_TRY(ehm_image_new(&small, side, side, grey.c, grey.type, scratch, err));
    EHM_TRY(ehm_resize(&small, &grey, NULL, EHM_RESIZE_BILINEAR, scratch, err));
    float *all = EHM_NEW_N(scratch, float, side * side * grey.c);
    if (!all) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a small copy");
    ehm_image_to_f32(all, &small);
    for (int32_t i = 0; i < side * side; i++) { /* more than four channels: their mean */
        float sum = 0;
        for (int32_t c = 0; c < grey.c; c++) sum += all[i * grey.c + c];
        out[i] = sum / (float)grey.c;
    }
    return EHM_OK;
}

/* The 8x8 lowest cosines of a 32x32 grey copy, without the mean; each sign is against their median (Zauner
 * 2010, 3.2.1). */
static uint64_t low_signs(const float *px) {
    double cosine[LOW][SIDE], rows[LOW][SIDE], v[LOW * LOW], sorted[LOW * LOW];
    for (int32_t u = 0; u < LOW; u++) {
        for (int32_t x = 0; x < SIDE; x++) cosine[u][x] = cos(M_PI * (2 * x + 1) * u / (2.0 * SIDE));
    }
    for (int32_t u = 0; u < LOW; u++) {
        for (int32_t x = 0; x < SIDE; x++) {
            rows[u][x] = 0;
            for (int32_t y = 0; y < SIDE; y++) rows[u][x] += cosine[u][y] * (double)px[y * SIDE + x];
        }
    }
    for (int32_t u = 0; u < LOW; u++) {
        for (int32_t w = 0; w < LOW; w++) {
            double sum = 0;
            for (int32_t x = 0; x < SIDE; x++) sum += rows[u][x] * cosine[w][x];
            v[u * LOW + w] = sum;
        }
    }
    v[0] = 0;
    memcpy(sorted, v, sizeof v);
    for (int32_t i = 1; i < LOW * LOW; i++) { /* insertion: 64 numbers */
        double x = sorted[i];
        int32_t k = i;
        for (; k > 0 && sorted[k - 1] > x; k--) sorted[k] = sorted[k - 1];
        sorted[k] = x;
    }
    double median = 0.5 * (sorted[31] + sorted[32]);
    uint64_t bits = 0;
    for (int32_t i = 0; i < LOW * LOW; i++) bits |= (uint64_t)(v[i] > median) << i;
    return bits;
}

ehm_code ehm_print_of(ehm_print *out, const ehm_image *im, ehm_arena *scratch, ehm_err *err) {
    float px[SIDE * SIDE], least = INFINITY, most = -INFINITY;
    *out = (ehm_print){0};
    EHM_TRY(small_grey(px, SIDE, im, scratch, err));
    for (int32_t i = 0; i < SIDE * SIDE; i++) {
        if (!isfinite(px[i])) px[i] = 0;
        if (px[i] < least) least = px[i];
        if (px[i] > most) most = px[i];
    }
    bool unit = im->type != EHM_F32 ||
                (least >= 0 && most <= 1); /* other floats are compared within their own range */
    float from = unit ? 0 : least, range = unit ? 1 : most - least;
    out->flat = !(most - least > (unit ? 0.03f : 0.0f));
    for (int32_t y = 0; y < LOW && !out->flat; y++) {
        for (int32_t x = 0; x < LOW; x++) {
            float sum = 0;
            for (int32_t k = 0; k < 16; k++) sum += px[(4 * y + k / 4) * SIDE + 4 * x + k % 4];
            out->grey[y * LOW + x] = (uint8_t)((sum / 16 - from) / range * 255.0f + 0.5f);
        }
    }
    out->signs = low_signs(px);
    out->there = true;
    return EHM_OK;
}

/* ---- one pass over all files ---- */

typedef struct {
    ehm_dataset *ds;
    ehm_print *prints;
    ehm_arena *arenas;        /* one a thread */
    char **reason;            /* [n] heap, NULL: good */
    _Atomic int64_t n_done, n_bad;
    uint32_t want;
    double said_s;
    const char *doing;
} pass;

static ehm_code look(pass *p, int64_t i, ehm_arena *a, ehm_err *err) {
    ehm_sample s;
    ehm_decode_opt small = {.min_w = 2 * SIDE, .min_h = 2 * SIDE}; /* prints alone need no full size */
    EHM_TRY(ehm_dataset_read(p->ds, i, &s, p->want, p->reason ? NULL : &small, a, err));
    const ehm_image *maps[] = {&s.label_map, &s.object_map, &s.part_map};
    for (int32_t k = 0; p->reason && k < 3; k++) {
        if (maps[k]->px && (maps[k]->w != s.image.w || maps[k]->h != s.image.h)) {
            return EHM_FAIL(err, EHM_E_MISMATCH, "%s is %dx%d, its label map %dx%d",
                            ehm_dataset_name(p->ds, i), s.image.w, s.image.h, maps[k]->w, maps[k]->h);
        }
    }
    return p->prints ? ehm_print_of(&p->prints[i], &s.image, a, err) : EHM_OK;
}

static void some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    pass *p = ctx;
    for (int64_t i = begin; i < end && !ehm_stop_asked(); i++) {
        ehm_err err = {0};
        ehm_arena_reset(&p->arenas[i_thread]);
        if (p->prints) p->prints[i] = (ehm_print){0};
        if (look(p, i, &p->arenas[i_thread], &err)) {
            atomic_fetch_add(&p->n_bad, 1);
            if (p->reason && asprintf(&p->reason[i], "%s%s%s", err.what, *err.hint ? "; " : "", err.hint) < 0)
                p->reason[i] = NULL;
        }
        atomic_fetch_add(&p->n_done, 1);
    }
    double now = ehm_clock_s();
    if (i_thread == 0 && now - p->said_s > 0.25) {
        p->said_s = now;
        ehm_progress(false, "%s: %lld of %lld, %lld bad", p->doing, (long long)p->n_done,
                     (long long)ehm_dataset_count(p->ds), (long long)p->n_bad);
    }
}

static ehm_code run_pass(pass *p, ehm_pool *pool, ehm_err *err) {
    int32_t n_threads = ehm_pool_threads(pool);
    p->arenas = calloc((size_t)n_threads, sizeof *p->arenas);
    if (!p->arenas) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d threads", n_threads);
    p->said_s = ehm_clock_s();
    ehm_pool_for(pool, ehm_dataset_count(p->ds), 16, some, p);
    for (int32_t i = 0; i < n_threads; i++) ehm_arena_free(&p->arenas[i]);
    free(p->arenas);
    if (ehm_stop_asked()) return EHM_FAIL(err, EHM_E_STOPPED, "stopped while %s", p->doing);
    ehm_progress(true, "%s: %lld pictures, %lld bad", p->doing, (long long)p->n_done, (long long)p->n_bad);
    return EHM_OK;
}

ehm_code ehm_data_prints(ehm_print *prints, ehm_dataset *ds, ehm_pool *pool, ehm_err *err) {
    pass p = {.ds = ds, .prints = prints, .doing = "looking for near-duplicates"};
    return run_pass(&p, pool, err);
}

ehm_code ehm_data_check(ehm_data_checked *out, ehm_dataset *ds, ehm_print *prints, ehm_pool *pool,
                        ehm_arena *a, ehm_err *err) {
    int64_t n = ehm_dataset_count(ds);
    double begin_s = ehm_clock_s();
    *out = (ehm_data_checked){.n = n};
    pass p = {.ds = ds,
              .prints = prints,
              .want = EHM_WANT_LABEL_MAPS | EHM_WANT_OBJECT_MAPS | EHM_WANT_BOXES | EHM_WANT_CAPTION,
              .doing = "checking"};
    p.reason = calloc((size_t)n, sizeof *p.reason);
    if (!p.reason) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to check %lld pictures", (long long)n);
    ehm_code rc = run_pass(&p, pool, err);
    out->n_bad = p.n_bad;
    out->seconds = ehm_clock_s() - begin_s;
    ehm_bad_file *bad = EHM_NEW_N(a, ehm_bad_file, p.n_bad < MAX_KEPT ? p.n_bad + 1 : MAX_KEPT);
    if (!bad && !rc) rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the list of bad files");
    for (int64_t i = 0; i < n; i++) {
        if (!rc && p.reason[i] && out->n_kept < MAX_KEPT) {
            bad[out->n_kept] = (ehm_bad_file){i, ehm_arena_strdup(a, p.reason[i])};
            if (bad[out->n_kept].reason) out->n_kept++;
        }
        free(p.reason[i]);
    }
    free(p.reason);
    out->bad = bad;
    return rc;
}

/* ---- matching ---- */

typedef struct { uint64_t key, signs; int64_t id; bool second; } entry;

static int by_key(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    if (x->signs != y->signs) return x->signs < y->signs ? -1 : 1;
    if (x->second != y->second) return x->second ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_pair(const void *a, const void *b) {
    const ehm_twin *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

typedef struct { ehm_twin *v; int64_t n, cap; } twin_list;

static bool keep(twin_list *l, int64_t a, int64_t b) {
    if (l->n == l->cap) {
        int64_t cap = l->cap ? l->cap * 2 : 1024;
        ehm_twin *v = realloc(l->v, (size_t)cap * sizeof *v);
        if (!v) return false;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = (ehm_twin){a, b};
    return true;
}

static bool alike(const ehm_print *x, const ehm_print *y) {
    if (__builtin_popcountll(x->signs ^ y->signs) > MAX_DIFFERENT_BITS) return false;
    int32_t sum = 0;
    for (int32_t i = 0; i < LOW * LOW; i++) sum += abs((int)x->grey[i] - (int)y->grey[i]);
    return sum <= MAX_GREY_DIFFERENCE * LOW * LOW;
}

/* Two prints that differ in few signs agree in one of four bands of 16: sorted by a band, twins are
 * neighbours. Where a band holds very many, each is compared with the nearest in order only, so that the time
 * stays about linear. */
static bool match_band(twin_list *l, entry *v, int64_t n, int32_t band, const ehm_print *a,
                       const ehm_print *b) {
    for (int64_t i = 0; i < n; i++) v[i].key = v[i].signs >> (band * BAND_BITS) & 0xffff;
    qsort(v, (size_t)n, sizeof *v, by_key);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = i + 1; k < n && k <= i + NEIGHBOURS && v[k].key == v[i].key; k++) {
            if (b && v[i].second == v[k].second) continue;
            const ehm_print *x = v[i].second ? &b[v[i].id] : &a[v[i].id],
                            *y = v[k].second ? &b[v[k].id] : &a[v[k].id];
            if (!alike(x, y)) continue;
            bool swap = b ? v[i].second : v[i].id > v[k].id;
            if (!keep(l, swap ? v[k].id : v[i].id, swap ? v[i].id : v[k].id)) return false;
        }
    }
    return true;
}

ehm_code ehm_prints_match(ehm_twins *out, const ehm_print *a, int64_t n_a, const ehm_print *b, int64_t n_b,
                          ehm_arena *arena, ehm_err *err) {
    *out = (ehm_twins){0};
    int64_t n = 0, n_all = n_a + (b ? n_b : 0), n_marks = b ? n_b : n_a;
    entry *v = malloc((size_t)(n_all + 1) * sizeof *v);
    uint8_t *mark = calloc((size_t)n_marks + 1, 1);
    twin_list l = {0};
    bool ok = v && mark;
    for (int64_t i = 0; i < n_all && ok; i++) {
        const ehm_print *p = i < n_a ? &a[i] : &b[i - n_a];
        if (p->there && !p->flat) v[n++] = (entry){0, p->signs, i < n_a ? i : i - n_a, i >= n_a};
    }
    for (int32_t band = 0; band < N_BANDS && ok; band++) ok = match_band(&l, v, n, band, a, b);
    if (ok && l.n) {
        qsort(l.v, (size_t)l.n, sizeof *l.v, by_pair);
        int64_t k = 0;
        for (int64_t i = 0; i < l.n; i++) { /* a pair that agrees in several bands was found several times */
            if (!k || by_pair(&l.v[k - 1], &l.v[i])) l.v[k++] = l.v[i];
        }
        out->n_pairs = k;
        out->n_kept = k < MAX_KEPT ? k : MAX_KEPT;
        ehm_twin *kept = EHM_NEW_N(arena, ehm_twin, out->n_kept);
        ok = kept != NULL;
        if (ok) memcpy(kept, l.v, (size_t)out->n_kept * sizeof *kept);
        out->pairs = kept;
        for (int64_t i = 0; i < k; i++) {
            mark[l.v[i].b] = 1;
            if (!b) mark[l.v[i].a] = 1;
        }
        for (int64_t i = 0; i < n_marks; i++) out->n_b += mark[i];
    }
    free(v);
    free(mark);
    free(l.v);
    return ok ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory to compare %lld pictures", (long long)n_all);
}
