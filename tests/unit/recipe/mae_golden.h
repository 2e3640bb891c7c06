/* A method opened on the golden files of tests/golden/mae (HOW beside them), for tests of the model as a
 * whole. */
#ifndef EHM_TESTS_MAE_GOLDEN_H
#define EHM_TESTS_MAE_GOLDEN_H
#include "exchange/weights_file.h"
#include "harness.h"
#include "recipe/method.h"

typedef struct {
    const char *name;
    int32_t h, w, c, dim, depth, heads, ddim, ddepth, dheads;
    bool norm_pix;
    double ratio;
    float lr;
} golden_case;
static const golden_case golden_cases[] = {
    {"rect", 16, 24, 3, 16, 2, 2, 12, 2, 3, true, 0.75, 2e-3f},
    {"grey", 12, 12, 1, 24, 2, 3, 16, 1, 2, false, 0.6, 2e-3f},
};
typedef struct {
    const golden_case *gc;
    ehm_st *weights, *grads, *data;
    ehm_vit_shape shape;
    ehm_dev *d; ehm_plan plan; ehm_method *m;
    int32_t n; /* pictures */
    int32_t *visible, *masked; int32_t n_visible;
    ehm_batch batch;
    ehm_arena arena;
} golden;

static inline const ehm_st_tensor *golden_get(golden *g, const char *name) {
    const ehm_st_tensor *t = ehm_st_find(g->data, name);
    if (!t) ehm_test_fail(__FILE__, __LINE__, "golden tensor %s is missing", name), ehm_test_leave();
    return t;
}

static inline void golden_config(ehm_config *c, const golden_case *gc) {
    ehm_config_init(c);
    c->preset = "pico", c->patch_size = 4, c->embed_dim = gc->dim, c->depth = gc->depth,
    c->num_heads = gc->heads;
    c->decoder_embed_dim = gc->ddim, c->decoder_depth = gc->ddepth, c->decoder_num_heads = gc->dheads;
    c->norm_pix_loss = gc->norm_pix, c->mask_ratio = gc->ratio;
}

/* Weights of the file into w, in the device's parameter type; bf16 copies made. */
static inline void golden_put(const ehm_weights *w, ehm_dev *d, const ehm_st *f) {
    ehm_err err = {0};
    ehm_weights_report rep;
    REQUIRE_OK(ehm_weights_load(w, d, f, false, &rep, &err), &err);
}

static inline void golden_masks(golden *g, int32_t i_noise) {
    ehm_err err = {0};
    ehm_arena scratch = {0};
    const float *noise =
        (const float *)golden_get(g, "noise")->data + (int64_t)i_noise * g->n * g->shape.n_patches;
    int32_t L = g->shape.n_patches;
    for (int32_t i = 0; i < g->n; i++) {
        ehm_mask mask = {.visible = g->visible + i * g->n_visible,
                         .masked = g->masked + i * (L - g->n_visible)};
        REQUIRE_OK(ehm_mask_from_noise(&mask, noise + i * L, L, L - g->n_visible, &scratch, &err), &err);
    }
    ehm_arena_free(&scratch);
}

static inline void golden_open(golden *g, int32_t i_case, const char *device, ehm_dtype act, bool train) {
    const golden_case *gc = &golden_cases[i_case];
    ehm_err err = {0};
    ehm_config cfg;
    char path[128];
    memset(g, 0, sizeof *g);
    g->gc = gc;
    snprintf(path, sizeof path, "tests/golden/mae/%s_weights.safetensors", gc->name);
    REQUIRE_OK(ehm_st_open(&g->weights, ehm_test_path(path), &err), &err);
    snprintf(path, sizeof path, "tests/golden/mae/%s_grads.safetensors", gc->name);
    REQUIRE_OK(ehm_st_open(&g->grads, ehm_test_path(path), &err), &err);
    snprintf(path, sizeof path, "tests/golden/mae/%s_data.safetensors", gc->name);
    REQUIRE_OK(ehm_st_open(&g->data, ehm_test_path(path), &err), &err);
    golden_config(&cfg, gc);
    REQUIRE_OK(ehm_vit_shape_of(&g->shape, &cfg, gc->h, gc->w, gc->c, &err), &err);
    g->n = (int32_t)golden_get(g, "pixels")->dim[0];
    g->n_visible = ehm_mask_n_visible(g->shape.n_patches, gc->ratio);
    g->visible = EHM_NEW_N(&g->arena, int32_t, g->n * g->shape.n_patches),
    g->masked = EHM_NEW_N(&g->arena, int32_t, g->n * g->shape.n_patches);
    g->batch = (ehm_batch){.n = g->n, .pixels = golden_get(g, "pixels")->data, .type = EHM_U8};
    REQUIRE_OK(ehm_dev_open(&g->d, device, 2, &err), &err);
    REQUIRE_OK(ehm_method_open(&g->m, &cfg, &g->shape, g->n, act, train, &err), &err);
    ehm_plan_begin(&g->plan, g->d);
    ehm_method_plan(g->m, &g->plan);
    REQUIRE_OK(ehm_plan_commit(&g->plan, &err), &err);
    ehm_method_plan(g->m, &g->plan);
    REQUIRE_OK(ehm_plan_end(&g->plan, &err), &err);
    ehm_method_init(g->m, g->d, 1);
    REQUIRE_OK(ehm_method_set_stats(g->m, g->d, golden_get(g, "mean")->data, golden_get(g, "std")->data,
                                    gc->c, &err),
               &err);
    golden_put(ehm_method_weights(g->m), g->d, g->weights);
}

static inline void golden_close(golden *g) {
    ehm_method_close(g->m);
    ehm_plan_free(&g->plan);
    ehm_dev_close(g->d);
    ehm_st_close(g->weights), ehm_st_close(g->grads), ehm_st_close(g->data);
    ehm_arena_free(&g->arena);
}

/* A real view's numbers as doubles, n of them. */
static inline void golden_down(ehm_dev *d, double *out, ehm_view v) {
    int64_t n = ehm_view_count(v);
    if (v.dtype == EHM_F64) {
        ehm_download(d, out, v, (size_t)n * sizeof *out);
        return;
    }
    float *f = malloc((size_t)n * sizeof *f);
    ehm_download(d, f, v, (size_t)n * sizeof *f);
    for (int64_t i = 0; i < n; i++) out[i] = f[i];
    free(f);
}

static inline double golden_loss(golden *g) {
    double v;
    golden_down(g->d, &v, ehm_method_loss(g->m));
    return v;
}
#endif
