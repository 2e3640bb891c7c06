#include "draw/neighbours.h"
#include "base/file.h"
#include "base/log.h"
#include "draw/sheet.h"
#include "draw/study.h"
#include <math.h>
#include <string.h>

enum { CELL_PX = 128 };
#define COPY_FROM 0.9999 /* a copy's features may differ by rounding; below this pixels need no look */

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory to look for neighbours"); }

/* ---- features ---- */

static ehm_code unit_length(float *out, const float *x, int32_t dim, const char *name, ehm_err *err) {
    double norm = 0;
    for (int32_t k = 0; k < dim; k++) norm += (double)x[k] * (double)x[k];
    if (!isfinite(norm)) return EHM_FAIL(err, EHM_E_NUMERIC, "%s: its features are not finite", name);
    norm = sqrt(norm);
    for (int32_t k = 0; k < dim; k++) out[k] = norm > 0 ? (float)((double)x[k] / norm) : 0;
    return EHM_OK;
}

static ehm_code on_batch(void *ctx, const ehm_batch *b, const float *cls, const float *mean, const float *patches, ehm_err *err) {
    ehm_vectors *v = ctx;
    const float *from = v->pool == EHM_POOL_CLS ? cls : mean;
    (void)patches;
    for (int32_t i = 0; i < b->n; i++) {
        const char *name = ehm_dataset_name(v->set, b->slots[i]);
        if (b->ids[i] != b->slots[i]) {
            ehm_log(EHM_LOG_WARN, "left out, cannot be read: %s", name);
            v->n_bad++;
            continue;
        }
        EHM_TRY(unit_length(v->x + v->n * v->dim, from + (size_t)i * (size_t)v->dim, v->dim, name, err));
        v->id[v->n++] = b->ids[i];
    }
    return EHM_OK;
}

static ehm_code vectors_new(ehm_vectors *out, ehm_dataset *ds, ehm_pooling pool, int32_t dim, int64_t n, ehm_arena *a, ehm_err *err) {
    size_t count;
    *out = (ehm_vectors){.set = ds, .pool = pool, .dim = dim};
    if (pool != EHM_POOL_CLS && pool != EHM_POOL_MEAN) return EHM_FAIL(err, EHM_E_ARG, "neighbours by neither class token nor mean of patch tokens");
    if (!ehm_mul_size(&count, (size_t)n, (size_t)dim)) return no_memory(err);
    out->id = EHM_NEW_N(a, int64_t, n), out->x = EHM_NEW_N(a, float, count);
    return out->id && out->x ? EHM_OK : no_memory(err);
}

ehm_code ehm_vectors_of(ehm_vectors *out, ehm_model *m, ehm_dataset *ds, ehm_pooling pool, int32_t n_workers, ehm_arena *a, ehm_err *err) {
    EHM_TRY(vectors_new(out, ds, pool, ehm_model_shape(m)->embed_dim, ehm_dataset_count(ds), a, err));
    EHM_TRY(ehm_model_run_dataset(m, ds, n_workers, false, on_batch, out, err));
    return out->n ? EHM_OK : EHM_FAIL(err, EHM_E_FORMAT, "%s: no picture could be read", ehm_dataset_spec(ds));
}

typedef struct {
    ehm_vectors *v;
    ehm_model *m;
    float *x; /* [dim] as the model gives it */
} some;

static ehm_code one_vector(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    some *o = ctx;
    ehm_vectors *v = o->v;
    (void)scratch;
    EHM_TRY(ehm_model_features(o->m, s->pixels, s->type, 1, v->pool, o->x, err));
    EHM_TRY(unit_length(v->x + v->n * v->dim, o->x, v->dim, s->name, err));
    v->id[v->n++] = s->i_picture;
    return EHM_OK;
}

ehm_code ehm_vectors_of_some(ehm_vectors *out, ehm_model *m, ehm_dataset *ds, ehm_pooling pool, int64_t n, bool spread, ehm_arena *a, ehm_err *err) {
    some o = {.v = out, .m = m};
    int64_t n_done;
    EHM_TRY(vectors_new(out, ds, pool, ehm_model_shape(m)->embed_dim, n < ehm_dataset_count(ds) ? n : ehm_dataset_count(ds), a, err));
    if (!(o.x = EHM_NEW_N(a, float, out->dim))) return no_memory(err);
    return ehm_study_each(&n_done, &(ehm_study_source){.model = m, .pictures = ds}, n, spread, one_vector, &o, err);
}

ehm_code ehm_vectors_pick(ehm_vectors *out, const ehm_vectors *from, int64_t n, bool spread, ehm_arena *a, ehm_err *err) {
    if (n > from->n) n = from->n;
    EHM_TRY(vectors_new(out, from->set, from->pool, from->dim, n, a, err));
    for (; out->n < n; out->n++) {
        int64_t i = spread ? (int64_t)((double)out->n * (double)from->n / (double)n) : out->n;
        out->id[out->n] = from->id[i];
        memcpy(out->x + out->n * out->dim, from->x + i * from->dim, sizeof *out->x * (size_t)out->dim);
    }
    return EHM_OK;
}

/* ---- search ---- */

static double dot(const float *a, const float *b, int32_t n) {
    double part[4] = {0};
    int32_t k = 0;
    for (; k + 4 <= n; k += 4)
        for (int32_t u = 0; u < 4; u++) part[u] += (double)a[k + u] * (double)b[k + u];
    for (; k < n; k++) part[0] += (double)a[k] * (double)b[k];
    return (part[0] + part[1]) + (part[2] + part[3]);
}

static bool near_enough(const ehm_neighbours *r, int32_t k, double similarity) { return r->n < k || similarity > r->near[k - 1].similarity; }

static void insert(ehm_neighbours *r, int32_t k, int64_t id, double similarity) {
    int32_t at = r->n < k ? r->n++ : k - 1;
    for (; at > 0 && similarity > r->near[at - 1].similarity; at--) r->near[at] = r->near[at - 1];
    r->near[at] = (ehm_neighbour){.id = id, .similarity = similarity};
}

static int32_t same_label(const ehm_dataset *a, int64_t i, const ehm_dataset *b, int64_t k) {
    int32_t x = ehm_dataset_label(a, i), y = ehm_dataset_label(b, k);
    return x < 0 || y < 0 ? -1 : !strcmp(ehm_dataset_class(a, x), ehm_dataset_class(b, y));
}

static ehm_code is_copy(bool *out, ehm_dataset *a, int64_t i, ehm_dataset *b, int64_t k, ehm_arena *scratch, ehm_err *err) {
    ehm_sample x, y;
    ehm_arena_reset(scratch);
    EHM_TRY(ehm_dataset_read(a, i, &x, 0, NULL, scratch, err));
    EHM_TRY(ehm_dataset_read(b, k, &y, 0, NULL, scratch, err));
    const ehm_image *p = &x.image, *q = &y.image;
    *out = p->w == q->w && p->h == q->h && p->c == q->c && p->type == q->type && !memcmp(p->px, q->px, ehm_image_bytes(p));
    return EHM_OK;
}

static void consider(ehm_neighbours *r, int32_t k, const ehm_vectors *q, int64_t i, const ehm_vectors *g, int64_t j) {
    if (q->set == g->set && q->id[i] == g->id[j]) return;
    double similarity = dot(q->x + i * q->dim, g->x + j * g->dim, q->dim);
    if (!near_enough(r, k, similarity)) return;
    /* the query's own file by another way: asked only where it can be, for it looks at the disk */
    if (similarity > COPY_FROM && ehm_dataset_same_picture(q->set, q->id[i], g->set, g->id[j])) {
        r->left_out = true;
        return;
    }
    insert(r, k, g->id[j], similarity);
}

ehm_code ehm_neighbours_find(ehm_neighbours *out, const ehm_vectors *q, int64_t n_queries, const ehm_vectors *g, int32_t k, ehm_arena *a, ehm_err *err) {
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    if (n_queries > q->n || k < 1 || q->dim != g->dim)
        return EHM_FAIL(err, EHM_E_ARG, "%d neighbours of %lld of %lld pictures", k, (long long)n_queries, (long long)q->n);
    if (q->set == g->set && g->n < 2) {
        EHM_FAIL(err, EHM_E_CONFIG, "%s: there is one picture only, which has no neighbour", ehm_dataset_spec(g->set));
        EHM_HINT(err, "--data names the pictures to look for neighbours among");
        return EHM_E_CONFIG;
    }
    if (k > g->n) k = (int32_t)g->n;
    for (int64_t i = 0; i < n_queries && !rc; i++) {
        ehm_neighbours *r = &out[i];
        *r = (ehm_neighbours){.id = q->id[i], .near = EHM_NEW_N(a, ehm_neighbour, k)};
        if (!r->near) rc = no_memory(err);
        for (int64_t j = 0; j < g->n && !rc; j++)
            consider(r, k, q, i, g, j);
        for (int32_t j = 0; j < r->n && !rc; j++) {
            r->near[j].same_label = same_label(q->set, r->id, g->set, r->near[j].id);
            if (r->near[j].similarity > COPY_FROM) rc = is_copy(&r->near[j].copy, q->set, r->id, g->set, r->near[j].id, &scratch, err);
        }
        if (ehm_stop_asked() && !rc) rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped after %lld of %lld queries", (long long)i, (long long)n_queries);
    }
    ehm_arena_free(&scratch);
    return rc;
}

/* ---- the sheet ---- */

typedef struct {
    const ehm_model *m;
    const ehm_shown *shown;
    bool stretched;
    ehm_arena *a, scratch;
} showing;

/* As the model saw it. */
static ehm_code view_of(ehm_image *out, showing *w, ehm_dataset *ds, int64_t id, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(w->m);
    ehm_dtype type = ehm_dataset_is_u8(ds) ? EHM_U8 : EHM_F32;
    ehm_sample s;
    ehm_arena_reset(&w->scratch);
    uint8_t *px = EHM_NEW_N(&w->scratch, uint8_t, (size_t)v->img_h *(size_t)v->img_w *(size_t)v->channels *ehm_dtype_size(type));
    if (!px) return no_memory(err);
    EHM_TRY(ehm_dataset_read(ds, id, &s, 0, NULL, &w->scratch, err));
    EHM_TRY(ehm_data_fit(px, type, v->img_h, v->img_w, &s.image, ehm_model_fit(w->m), &w->scratch, err));
    ehm_shown_range r = ehm_shown_range_of(w->shown, px, type, (int64_t)v->img_h * v->img_w, v->channels);
    w->stretched |= r.stretched;
    return ehm_shown_image(out, w->shown, &r, px, type, v->img_h, v->img_w, v->channels, w->a, err);
}

static const char *label_of(const ehm_dataset *ds, int64_t id) {
    int32_t l = ehm_dataset_label(ds, id);
    return l < 0 ? NULL : ehm_dataset_class(ds, l);
}

static const char *short_name(const ehm_dataset *ds, int64_t id) {
    const char *name = ehm_dataset_name(ds, id), *base = ehm_path_base(name);
    return *base ? base : name;
}

static ehm_code row_of(ehm_sheet_cell *cell, ehm_image *im, const ehm_neighbours *r, ehm_dataset *q, ehm_dataset *g, showing *w, ehm_err *err) {
    const char *label = label_of(q, r->id);
    EHM_TRY(view_of(&im[0], w, q, r->id, err));
    cell[0].image = &im[0];
    cell[0].caption = ehm_arena_printf(w->a, "%s%s%s", label ? label : "", label ? "\n" : "", short_name(q, r->id));
    for (int32_t j = 0; j < r->n; j++) {
        const ehm_neighbour *n = &r->near[j];
        label = label_of(g, n->id);
        EHM_TRY(view_of(&im[1 + j], w, g, n->id, err));
        cell[1 + j].image = &im[1 + j];
        cell[1 + j].caption = ehm_arena_printf(w->a, "%.3f%s%s%s\n%s", n->similarity, n->copy ? ", exact copy" : "", label ? "  " : "", label ? label : "",
                                               short_name(g, n->id));
        cell[1 + j].marked = n->same_label >= 0;
        cell[1 + j].mark = n->same_label ? EHM_RGB(0x1a7f37) : EHM_RGB(0xcf222e);
    }
    return EHM_OK;
}

ehm_code ehm_neighbours_sheet(ehm_image *sheet, const ehm_neighbours *near, int32_t n, const ehm_vectors *q, const ehm_vectors *g, const ehm_model *m,
                              const ehm_neighbours_opt *opt, ehm_arena *a, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(m);
    int32_t most = 0, labelled = 0;
    for (int32_t i = 0; i < n; i++) {
        most = near[i].n > most ? near[i].n : most;
        for (int32_t j = 0; j < near[i].n; j++) labelled += near[i].near[j].same_label >= 0;
    }
    bool left_out = q->set == g->set;
    for (int32_t i = 0; i < n; i++) left_out |= near[i].left_out;
    int32_t n_cols = 1 + most;
    ehm_sheet_cell *cells = EHM_NEW_N(a, ehm_sheet_cell, (int64_t)n * n_cols);
    ehm_image *images = EHM_NEW_N(a, ehm_image, (int64_t)n * n_cols);
    const char **heads = EHM_NEW_N(a, const char *, n_cols);
    showing w = {.m = m, .shown = opt ? opt->shown : NULL, .a = a};
    ehm_code rc = cells && images && heads ? EHM_OK : no_memory(err);
    for (int32_t i = 0; !rc && i < n_cols; i++)
        if (!(heads[i] = i ? ehm_arena_printf(a, "%d", i) : "query")) rc = no_memory(err);
    for (int32_t i = 0; !rc && i < n; i++) rc = row_of(cells + (int64_t)i * n_cols, images + (int64_t)i * n_cols, &near[i], q->set, g->set, &w, err);
    ehm_arena_free(&w.scratch);
    if (rc) return rc;
    const char *fit = ehm_shown_fit_text(ehm_model_fit(m), v->img_h, v->img_w, a), *channels = ehm_shown_channels_text(w.shown, v->channels, a);
    char *title = ehm_arena_printf(a, "Nearest pictures by %s", ehm_model_spec(m));
    char *foot = ehm_arena_printf(a, "Cosine similarity of %s after the final norm, among %lld pictures of %s%s.%s %s%s%s",
                                  q->pool == EHM_POOL_CLS ? "the class token" : "the mean of patch tokens", (long long)g->n,
                                  opt && opt->whose ? opt->whose : ehm_dataset_spec(g->set), left_out ? ", the query itself left out" : "",
                                  labelled ? " Green: the query's label, red: another." : "", fit ? fit : "", channels ? channels : "",
                                  w.stretched ? EHM_SHOWN_STRETCHED : "");
    if (!fit || !channels || !title || !foot) return no_memory(err);
    return ehm_sheet_draw(sheet,
                          &(ehm_sheet){.title = title,
                                       .footnote = foot,
                                       .columns = heads,
                                       .cells = cells,
                                       .n_rows = n,
                                       .n_cols = n_cols,
                                       .cell_px = v->img_w > CELL_PX || v->img_h > CELL_PX ? 160 : CELL_PX,
                                       .max_caption_lines = 3},
                          a, err);
}
