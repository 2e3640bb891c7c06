/* Before hours of training: every picture and every map once. */
#include "base/log.h"
#include "eval/segment_int.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- classes ---- */

static ehm_code no_memory(ehm_err *err) {
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the classes of label maps");
}

ehm_code ehm_seg_classes(const char *const **names, int32_t *n, int32_t **class_of, const ehm_dataset *ds,
                         ehm_arena *a, ehm_err *err) {
    int32_t n_values = ehm_dataset_n_map_classes(ds), ignore = ehm_dataset_ignore_label(ds);
    const char **v = EHM_NEW_N(a, const char *, n_values + 1);
    *class_of = EHM_NEW_N(a, int32_t, n_values + 1);
    *n = 0;
    if (!v || !*class_of) return no_memory(err);
    for (int32_t i = 0; i < n_values; i++) {
        (*class_of)[i] = i == ignore ? -1 : *n;
        if (i != ignore) v[(*n)++] = ehm_dataset_map_class(ds, i);
    }
    *names = v;
    return EHM_OK;
}

ehm_code ehm_seg_match(int32_t **class_of, const ehm_dataset *ds, const char *const *names, int32_t n,
                       ehm_arena *a, ehm_err *err) {
    int32_t n_values = ehm_dataset_n_map_classes(ds), ignore = ehm_dataset_ignore_label(ds);
    *class_of = EHM_NEW_N(a, int32_t, n_values + 1);
    if (!*class_of) return no_memory(err);
    for (int32_t i = 0; i < n_values; i++) {
        const char *name = ehm_dataset_map_class(ds, i);
        (*class_of)[i] = i == ignore ? -1 : -2;
        for (int32_t k = 0; k < n && i != ignore; k++)
            if (!strcmp(names[k], name)) (*class_of)[i] = k;
    }
    return EHM_OK;
}

static int32_t value_at(const ehm_image *m, int64_t i) {
    return m->type == EHM_U16 ? ((const uint16_t *)m->px)[i] : ((const uint8_t *)m->px)[i];
}

void ehm_seg_truth(int32_t *truth, const ehm_image *map, const int32_t *class_of, int32_t n_values) {
    int64_t n = (int64_t)map->w * map->h;
    for (int64_t i = 0; i < n; i++) {
        int32_t v = value_at(map, i);
        truth[i] = v < n_values ? class_of[v] : -1;
    }
}

static int by_weight(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

void ehm_seg_median_weights(float *weight, const ehm_seg_scan *s, int32_t n_classes) {
    double *f = calloc((size_t)n_classes, sizeof *f), median = 0;
    int32_t n = 0;
    for (int32_t k = 0; k < n_classes; k++) weight[k] = 1;
    if (!f) return;
    for (int32_t k = 0; k < n_classes; k++)
        if (s->pixels[k]) f[n++] = (double)s->pixels[k] / (double)s->beside[k];
    qsort(f, (size_t)n, sizeof *f, by_weight);
    if (n) median = n % 2 ? f[n / 2] : (f[n / 2 - 1] + f[n / 2]) / 2;
    for (int32_t k = 0; k < n_classes; k++)
        weight[k] = s->pixels[k] ? (float)(median * (double)s->beside[k] / (double)s->pixels[k]) : 0;
    free(f);
}

/* ---- the walk ---- */

typedef enum { BAD = 1, NONE, VOID, USED } verdict;
typedef struct {
    ehm_arena arena;
    int64_t *pixels, *beside, *here, n_pixels;
    ehm_err err;
    int64_t err_at; /* the first picture that is wrong */
} lane;
typedef struct {
    ehm_dataset *ds;
    const bool *only;
    const int32_t *class_of;
    int32_t n_values, n_classes;
    int64_t first;
    lane *lanes;
    uint8_t *verdict;
    int32_t *sizes; /* [n,2] */
    ehm_print *prints;
} walk;

static ehm_code wrong_size(const walk *w, int64_t i, const ehm_sample *s, ehm_err *err) {
    EHM_HINT(err, "label maps have a pixel for each of the picture's; resize them with nearest neighbours");
    return EHM_FAIL(err, EHM_E_FORMAT, "%s: the picture is %dx%d, but its label map is %dx%d",
                    ehm_dataset_name(w->ds, i), s->image.w, s->image.h, s->label_map.w, s->label_map.h);
}

static ehm_code look_at(const walk *w, lane *l, int64_t i, ehm_err *err) {
    ehm_sample s;
    ehm_err ignored = {0}, first = {0};
    ehm_arena_reset(&l->arena);
    if (ehm_dataset_read(w->ds, i, &s, EHM_WANT_LABEL_MAPS, NULL, &l->arena, &first)) {
        if (first.code == EHM_E_MEMORY || first.code == EHM_E_STOPPED ||
            !ehm_dataset_read(w->ds, i, &s, 0, NULL, &l->arena, &ignored)) {
            *err = first; /* the picture can be read: its map is wrong */
            return first.code;
        }
        w->verdict[i] = BAD;
        return EHM_OK;
    }
    w->sizes[2 * i] = s.image.w, w->sizes[2 * i + 1] = s.image.h;
    EHM_TRY(ehm_print_of(&w->prints[i], &s.image, &l->arena, err));
    if (!s.label_map.px) {
        w->verdict[i] = NONE;
        return EHM_OK;
    }
    if (s.label_map.w != s.image.w || s.label_map.h != s.image.h) return wrong_size(w, i, &s, err);
    int64_t n = (int64_t)s.label_map.w * s.label_map.h, labelled = 0;
    memset(l->here, 0, sizeof *l->here * (size_t)w->n_classes);
    for (int64_t k = 0; k < n; k++) {
        int32_t v = value_at(&s.label_map, k), c = v < w->n_values ? w->class_of[v] : -1;
        if (c == -2)
            return EHM_FAIL(
                err, EHM_E_MISMATCH,
                "%s: the label map shows \"%s\" (value %d), which is no class of the training set",
                ehm_dataset_name(w->ds, i), ehm_dataset_map_class(w->ds, v), v);
        if (c >= 0) l->here[c]++, labelled++;
    }
    for (int32_t c = 0; c < w->n_classes; c++)
        if (l->here[c]) l->pixels[c] += l->here[c], l->beside[c] += labelled;
    l->n_pixels += labelled;
    w->verdict[i] = labelled ? USED : VOID;
    return EHM_OK;
}

static void some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const walk *w = ctx;
    lane *l = &w->lanes[i_thread];
    for (int64_t i = w->first + begin; i < w->first + end && !ehm_stop_asked(); i++) {
        ehm_err err = {0};
        if (w->only && !w->only[i]) continue;
        if (look_at(w, l, i, &err) && (!l->err.code || i < l->err_at)) l->err = err, l->err_at = i;
    }
}

static int by_side(const void *x, const void *y) {
    int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;
    return (a > b) - (a < b);
}
static double median_side(const walk *w, int64_t n, int32_t which, ehm_arena *a) {
    int32_t *v = EHM_NEW_N(a, int32_t, n);
    int64_t m = 0;
    for (int64_t i = 0; i < n && v; i++)
        if (w->verdict[i] > NONE) v[m++] = w->sizes[2 * i + which];
    if (m) qsort(v, (size_t)m, sizeof *v, by_side);
    return m ? v[m / 2] : 0;
}

ehm_code ehm_seg_scan_set(ehm_seg_scan *out, ehm_dataset *ds, const bool *only, const int32_t *class_of,
                          int32_t n_values, int32_t n_classes, ehm_pool *pool, ehm_arena *a, ehm_err *err) {
    enum { STRETCH = 256 };
    int64_t n = ehm_dataset_count(ds);
    int32_t n_lanes = ehm_pool_threads(pool);
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    char done[32], all[32];
    *out = (ehm_seg_scan){.pixels = EHM_NEW_N(a, int64_t, n_classes),
                          .beside = EHM_NEW_N(a, int64_t, n_classes),
                          .use = EHM_NEW_N(a, bool, n),
                          .prints = EHM_NEW_N(a, ehm_print, n)};
    walk w = {.ds = ds,
              .only = only,
              .class_of = class_of,
              .n_values = n_values,
              .n_classes = n_classes,
              .lanes = EHM_NEW_N(&scratch, lane, n_lanes),
              .verdict = EHM_NEW_N(&scratch, uint8_t, n),
              .sizes = EHM_NEW_N(&scratch, int32_t, 2 * n),
              .prints = out->prints};
    if (!out->pixels || !out->beside || !out->use || !out->prints || !w.lanes || !w.verdict || !w.sizes)
        rc = no_memory(err);
    for (int32_t t = 0; t < n_lanes && !rc; t++) {
        lane *l = &w.lanes[t];
        l->pixels = EHM_NEW_N(&scratch, int64_t, n_classes),
        l->beside = EHM_NEW_N(&scratch, int64_t, n_classes);
        l->here = EHM_NEW_N(&scratch, int64_t, n_classes);
        if (!l->pixels || !l->beside || !l->here) rc = no_memory(err);
    }
    for (; w.first < n && !rc; w.first += STRETCH) {
        int64_t m = n - w.first < STRETCH ? n - w.first : STRETCH;
        const lane *bad = NULL;
        ehm_pool_for(pool, m, 1, some, &w);
        if (ehm_stop_asked())
            rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while looking at the label maps of %s",
                          ehm_dataset_spec(ds));
        for (int32_t t = 0; t < n_lanes; t++)
            if (w.lanes[t].err.code && (!bad || w.lanes[t].err_at < bad->err_at)) bad = &w.lanes[t];
        if (!rc && bad) {
            rc = bad->err.code;
            if (err && !err->code) *err = bad->err;
        }
        ehm_progress(false, "looked at %s of %s label maps", ehm_format_count(w.first + m, done),
                     ehm_format_count(n, all));
    }
    if (!rc)
        ehm_progress(true, "looked at %s label maps of %s", ehm_format_count(n, all), ehm_dataset_spec(ds));
    for (int64_t i = 0; i < n && !rc; i++) {
        out->n_bad += w.verdict[i] == BAD, out->n_none += w.verdict[i] == NONE,
            out->n_void += w.verdict[i] == VOID;
        out->n_pictures += out->use[i] = w.verdict[i] == USED;
    }
    for (int32_t t = 0; t < n_lanes && w.lanes; t++) {
        const lane *l = &w.lanes[t];
        for (int32_t c = 0; c < n_classes && !rc; c++)
            out->pixels[c] += l->pixels[c], out->beside[c] += l->beside[c];
        out->n_pixels += l->n_pixels;
        ehm_arena_free(&w.lanes[t].arena);
    }
    if (!rc) out->wide = median_side(&w, n, 0, &scratch), out->high = median_side(&w, n, 1, &scratch);
    ehm_arena_free(&scratch);
    return rc;
}
