/* The worst and the best queries with their first results, so that figures can be believed. */
#include "draw/sheet.h"
#include "base/file.h"
#include "data/copies.h"
#include "eval/retrieve_int.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_EACH = 5, N_RESULTS = 5, CELL_PX = 128 };

/* Better before worse, or the other way round; at equal precision the first asked. */
static bool better(const ehm_ranked *k, int64_t a, int64_t b, int sign) {
    return (double)sign * (double)(k->ap[a] - k->ap[b]) > 0;
}

/* At most N_EACH queries, each of another original and, while there are some, of another kind. */
static int32_t choose(int64_t *out, const ehm_ranked *k, const ehm_retrieval *r, int sign, const uint8_t *used) {
    int32_t n = 0;
    for (int32_t strict = 1; strict >= 0 && n < N_EACH; strict--)
        while (n < N_EACH) {
            int64_t best = -1;
            for (int64_t q = 0; q < r->n_q; q++) {
                bool taken = isnan(k->ap[q]) || used[q] || (best >= 0 && !better(k, q, best, sign));
                for (int32_t i = 0; i < n && !taken; i++)
                    taken = out[i] == q || r->group[out[i]] == r->group[q] || (strict && r->kind[out[i]] == r->kind[q]);
                if (!taken) best = q;
            }
            if (best < 0) break;
            out[n++] = best;
        }
    return n;
}

/* As shown, and small: a sheet needs no more, and thousands of pixels a cell would only cost memory. */
static ehm_code thumbnail(ehm_image *out, const ehm_shown *s, const ehm_retrieval *r, ehm_arena *scratch, ehm_arena *a, ehm_err *err) {
    ehm_image im, wide;
    ehm_arena_reset(scratch);
    EHM_TRY(ehm_shown_picture(&im, s, r, scratch, err));
    double f = (double)CELL_PX / (im.w > im.h ? im.w : im.h);
    int32_t w = (int32_t)fmax(1, im.w * f + 0.5), h = (int32_t)fmax(1, im.h * f + 0.5);
    EHM_TRY(ehm_canvas_new(out, w, h, EHM_PAPER, a, err));
    wide = im;
    return ehm_draw_image(out, 0, 0, w, h, &wide, EHM_RESIZE_BICUBIC, scratch, err);
}

static const char *short_name(const char *name) {
    const char *base = ehm_path_base(name);
    return *base ? base : name;
}

typedef struct {
    ehm_sheet_cell *cells;
    ehm_image *images;
    const char **rows;
    int32_t n_rows, n_cols;
} grid;

static ehm_code add_query(grid *g, int64_t q, const char *row, const ehm_ranked *k, const ehm_retrieval *r, ehm_arena *scratch, ehm_arena *a, ehm_err *err) {
    ehm_sheet_cell *cell = g->cells + g->n_rows * g->n_cols;
    ehm_image *im = g->images + g->n_rows * g->n_cols;
    const ehm_shown *s = &r->shown[r->n_db + q];
    EHM_TRY(thumbnail(&im[0], s, r, scratch, a, err));
    cell[0].image = &im[0];
    cell[0].caption = ehm_arena_printf(a, "%s\n%s, AP %.2f", ehm_retrieval_kind(r, q), short_name(ehm_dataset_name(s->ds, s->id)), (double)k->ap[q]);
    /* What should have been found, when it was not the first: beside the query. */
    int64_t right = r->positive[r->start[q]], rank = k->got.rank[r->start[q]];
    EHM_TRY(thumbnail(&im[1], &r->shown[right], r, scratch, a, err));
    cell[1].image = &im[1];
    cell[1].caption = ehm_arena_printf(a, "first right one: place %lld", (long long)rank + 1);
    for (int32_t i = 0; i < N_RESULTS && i < k->got.n_top; i++) {
        int32_t t = k->got.top[q * k->got.n_top + i];
        if (t < 0) break;
        bool hit = false;
        for (int64_t p = r->start[q]; p < r->start[q + 1]; p++) hit |= r->positive[p] == t;
        EHM_TRY(thumbnail(&im[2 + i], &r->shown[t], r, scratch, a, err));
        cell[2 + i].image = &im[2 + i];
        cell[2 + i].caption = ehm_arena_printf(a, "%s\n%.3f", short_name(ehm_dataset_name(r->shown[t].ds, r->shown[t].id)), (double)k->got.top_score[q * k->got.n_top + i]);
        cell[2 + i].marked = true;
        cell[2 + i].mark = hit ? EHM_RGB(0x1a7f37) : EHM_RGB(0xcf222e);
    }
    g->rows[g->n_rows++] = row;
    return EHM_OK;
}

ehm_code ehm_retrieve_sheet(const char *path, const ehm_ranked *best, const ehm_retrieval *r, const char *model, ehm_arena *a, ehm_err *err) {
    static const char *const columns[2 + N_RESULTS] = {"query", "to be found", "1", "2", "3", "4", "5"};
    int64_t low[N_EACH], high[N_EACH];
    grid g = {.n_cols = 2 + N_RESULTS};
    ehm_arena scratch = {0};
    ehm_image out;
    ehm_code rc = EHM_OK;
    uint8_t *used = EHM_NEW_N(a, uint8_t, r->n_q);
    g.cells = EHM_NEW_N(a, ehm_sheet_cell, 2 * N_EACH * g.n_cols), g.images = EHM_NEW_N(a, ehm_image, 2 * N_EACH * g.n_cols);
    g.rows = EHM_NEW_N(a, const char *, 2 * N_EACH);
    if (!used || !g.cells || !g.images || !g.rows) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for %s", path);
    int32_t n_low = choose(low, best, r, -1, used);
    for (int32_t i = 0; i < n_low; i++) used[low[i]] = 1;
    int32_t n_high = choose(high, best, r, 1, used);
    for (int32_t i = 0; i < n_low && !rc; i++) rc = add_query(&g, low[i], i ? NULL : "worst", best, r, &scratch, a, err);
    for (int32_t i = 0; i < n_high && !rc; i++) rc = add_query(&g, high[i], i ? NULL : "best", best, r, &scratch, a, err);
    ehm_sheet s = {.title = ehm_arena_printf(a, "Queries and their first results: %s, %s", model, best->what),
                   .footnote = "Green: right, red: wrong; each query of another original and, as far as there are enough, of another kind.",
                   .columns = columns,
                   .rows = g.rows,
                   .cells = g.cells,
                   .n_rows = g.n_rows,
                   .n_cols = g.n_cols,
                   .cell_px = CELL_PX};
    if (!rc) rc = ehm_sheet_draw(&out, &s, a, err);
    if (!rc) rc = ehm_dir_make_for(path, err);
    if (!rc) rc = ehm_image_write(path, &out, err);
    ehm_arena_free(&scratch);
    return rc;
}
