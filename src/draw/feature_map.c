#include "draw/feature_map.h"
#include "draw/sheet.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_BYTES = 256 << 20 };

static ehm_code no_memory(ehm_err *err) { return EHM_FAIL(err, EHM_E_MEMORY, "no memory for features of patches"); }

/* ---- tokens of one picture ---- */

static void to_mean_0_deviation_1(float *out, const float *x, int32_t dim) {
    double mean = 0, var = 0;
    for (int32_t k = 0; k < dim; k++) mean += (double)x[k] / dim;
    for (int32_t k = 0; k < dim; k++) var += ((double)x[k] - mean) * ((double)x[k] - mean) / dim;
    for (int32_t k = 0; k < dim; k++) out[k] = (float)(((double)x[k] - mean) / sqrt(var + 1e-6));
}

/* out [L,D] */
static ehm_code tokens_of(float *out, ehm_model *m, int32_t layer, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(m);
    int64_t D = v->embed_dim;
    if (!layer) return ehm_model_features(m, s->pixels, s->type, 1, EHM_POOL_PATCHES, out, err);
    float *all = EHM_NEW_N(scratch, float, (1 + (int64_t)v->n_patches) * D);
    if (!all) return no_memory(err);
    EHM_TRY(ehm_model_hidden(m, s->pixels, s->type, 1, layer, all, err));
    for (int64_t i = 0; i < v->n_patches; i++) to_mean_0_deviation_1(out + i * D, all + (i + 1) * D, v->embed_dim);
    return EHM_OK;
}

/* ---- the basis ---- */

typedef struct {
    ehm_feature_basis *b;
    const ehm_study_source *src;
    ehm_scatter scatter;
    float *kept, *one, *scores; /* kept [n,L,D] or NULL; one [L,D]; scores [n,L,3] */
    int64_t n, at, L, D;
    ehm_arena work;
} learning;

static ehm_code learn_one(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    learning *l = ctx;
    float *x = l->kept ? l->kept + l->at * l->L * l->D : l->one;
    ehm_code rc = tokens_of(x, l->src->model, l->b->layer, s, scratch, err);
    if (!rc) rc = ehm_scatter_add(&l->scatter, x, l->L, &l->work, err);
    if (rc) EHM_WHILE(err, "looking at %s", s->name);
    l->at++;
    return rc;
}

static ehm_code score_one(void *ctx, const ehm_study *s, ehm_arena *scratch, ehm_err *err) {
    learning *l = ctx;
    if (l->at == l->n) return EHM_OK;
    EHM_TRY(tokens_of(l->one, l->src->model, l->b->layer, s, scratch, err));
    ehm_pca_project(l->scores + l->at++ * l->L * EHM_PCA_AXES, &l->b->pca, l->one, l->L);
    return EHM_OK;
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static ehm_code ranges(learning *l, ehm_arena *a, ehm_err *err) {
    int64_t n = l->n * l->L;
    float *v = EHM_NEW_N(a, float, n);
    if (!v) return no_memory(err);
    for (int32_t j = 0; j < EHM_PCA_AXES; j++) {
        for (int64_t i = 0; i < n; i++) v[i] = l->scores[i * EHM_PCA_AXES + j];
        qsort(v, (size_t)n, sizeof *v, by_value);
        l->b->lo[j] = ehm_sorted_quantile(v, n, 0.02), l->b->hi[j] = ehm_sorted_quantile(v, n, 0.98);
    }
    return EHM_OK;
}

static ehm_code learn(learning *l, int64_t n, bool spread, ehm_arena *hold, ehm_arena *a, ehm_err *err) {
    int64_t count = ehm_dataset_count(l->src->pictures);
    if (n > count) n = count;
    size_t bytes = 0;
    bool keep = ehm_mul_size(&bytes, (size_t)n, (size_t)(l->L * l->D) * sizeof(float)) && bytes <= KEPT_BYTES;
    l->kept = keep ? EHM_NEW_N(hold, float, bytes / sizeof(float)) : NULL;
    l->one = EHM_NEW_N(hold, float, l->L *l->D);
    if ((keep && !l->kept) || !l->one) return no_memory(err);
    EHM_TRY(ehm_scatter_new(&l->scatter, (int32_t)l->D, hold, err));
    EHM_TRY(ehm_study_each(&l->n, l->src, n, spread, learn_one, l, err));
    EHM_TRY(ehm_pca_of(&l->b->pca, &l->scatter, a, err));
    l->b->n_pictures = l->n, l->b->n_patches = l->n * l->L;
    if (!(l->scores = EHM_NEW_N(hold, float, l->b->n_patches * EHM_PCA_AXES))) return no_memory(err);
    if (l->kept)
        ehm_pca_project(l->scores, &l->b->pca, l->kept, l->b->n_patches);
    else {
        ehm_study_source again = *l->src;
        again.quiet = true, l->at = 0;
        EHM_TRY(ehm_study_each(&(int64_t){0}, &again, n, spread, score_one, l, err));
    }
    return ranges(l, hold, err);
}

ehm_code ehm_feature_basis_learn(ehm_feature_basis *out, int32_t layer, const ehm_study_source *src, int64_t n, bool spread, ehm_arena *a, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(src->model);
    learning l = {.b = out, .src = src, .L = v->n_patches, .D = v->embed_dim};
    ehm_arena hold = {0};
    *out = (ehm_feature_basis){.layer = layer};
    if (layer < 0 || layer > v->depth || n < 1)
        return EHM_FAIL(err, EHM_E_ARG, "features of %lld pictures after block %d of %d", (long long)n, layer, v->depth);
    ehm_code rc = learn(&l, n, spread, &hold, a, err);
    ehm_arena_free(&hold), ehm_arena_free(&l.work);
    return rc;
}

/* ---- pictures ---- */

static uint8_t stretched(const ehm_feature_basis *b, int32_t j, float v) {
    double t = b->hi[j] > b->lo[j] ? ((double)v - b->lo[j]) / (b->hi[j] - b->lo[j]) : 0.5;
    return (uint8_t)(t <= 0 ? 0 : t >= 1 ? 255 : t * 255 + 0.5);
}

ehm_code ehm_feature_map_of(ehm_feature_map *out, const ehm_feature_basis *b, ehm_model *m, const ehm_study *s, ehm_arena *a, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(m);
    ehm_arena scratch = {0};
    *out = (ehm_feature_map){.name = s->name, .picture = &s->picture, .scores = EHM_NEW_N(a, float, v->n_patches *EHM_PCA_AXES)};
    float *x = EHM_NEW_N(&scratch, float, (int64_t)v->n_patches *v->embed_dim);
    ehm_code rc = out->scores && x ? tokens_of(x, m, b->layer, s, &scratch, err) : no_memory(err);
    if (!rc) rc = ehm_image_new(&out->colours, v->img_w, v->img_h, 3, EHM_U8, a, err);
    if (!rc) ehm_pca_project(out->scores, &b->pca, x, v->n_patches);
    ehm_arena_free(&scratch);
    if (rc) return rc;
    uint8_t *px = out->colours.px;
    for (int32_t y = 0; y < v->img_h; y++)
        for (int32_t col = 0; col < v->img_w; col++)
            for (int32_t j = 0; j < EHM_PCA_AXES; j++) {
                int32_t patch = y / v->patch_size * v->grid_w + col / v->patch_size;
                *px++ = stretched(b, j, out->scores[patch * EHM_PCA_AXES + j]);
            }
    return EHM_OK;
}

ehm_code ehm_feature_sheet(ehm_image *sheet, const ehm_feature_map *maps, int32_t n, const ehm_feature_basis *b, const ehm_model *m, const char *whose,
                           const char *foot, ehm_arena *a, ehm_err *err) {
    const ehm_vit_shape *v = ehm_model_shape(m);
    int32_t pairs = n < 4 ? n : 4, n_cols = 2 * pairs, n_rows = (n + pairs - 1) / pairs;
    ehm_sheet_cell *cells = EHM_NEW_N(a, ehm_sheet_cell, (int64_t)n_rows * n_cols);
    const char **heads = EHM_NEW_N(a, const char *, n_cols);
    if (!cells || !heads) return no_memory(err);
    for (int32_t i = 0; i < n_cols; i++) heads[i] = i % 2 ? "features" : "picture";
    for (int32_t i = 0; i < n; i++) {
        ehm_sheet_cell *c = cells + (int64_t)(i / pairs) * n_cols + i % pairs * 2;
        c[0] = (ehm_sheet_cell){.image = maps[i].picture, .caption = maps[i].name};
        c[1] = (ehm_sheet_cell){.image = &maps[i].colours};
    }
    char *title = ehm_arena_printf(a, "Patch features by %s", ehm_model_spec(m));
    char *where = b->layer ? ehm_arena_printf(a, "after block %d of %d, each token brought to mean 0 and deviation 1", b->layer, v->depth)
                           : ehm_arena_printf(a, "after the final norm");
    char *set = whose ? ehm_arena_printf(a, "%s", whose) : ehm_arena_printf(a, "%lld picture%s", (long long)b->n_pictures, b->n_pictures == 1 ? "" : "s");
    char *text = ehm_arena_printf(
        a,
        "Red, green, blue: first three principal components of the patch tokens %s, one basis for all (%s, %lld patches). They hold %.1f, %.1f and %.1f %% of the "
        "variance. Each is stretched from its 2nd to its 98th percentile over that set.%s%s%s",
        where ? where : "", set ? set : "", (long long)b->n_patches, 100 * b->pca.share[0], 100 * b->pca.share[1], 100 * b->pca.share[2],
        b->pca.separated ? "" : " The third is one of several of about the same variance.", foot ? " " : "", foot ? foot : "");
    if (!title || !where || !set || !text) return no_memory(err);
    return ehm_sheet_draw(sheet,
                          &(ehm_sheet){.title = title,
                                       .footnote = text,
                                       .columns = heads,
                                       .cells = cells,
                                       .n_rows = n_rows,
                                       .n_cols = n_cols,
                                       .cell_px = pairs == 1 || v->img_w > 128 || v->img_h > 128 ? 224 : 128,
                                       .max_caption_lines = 2,
                                       .gap_px = 10},
                          a, err);
}
