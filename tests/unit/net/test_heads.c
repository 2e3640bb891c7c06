/* Heads and the mask branch against torch (tests/golden/heads): outputs, gradients of every parameter and of
 * what they read. */
#include "exchange/safetensors.h"
#include "harness.h"
#include "net/heads.h"
#include "net/layer_grid.h"

enum { BATCH = 3, B = 2, D = 12, GH = 2, GW = 3, L = GH * GW, DEPTH = 5, ROIS = 2, IN_MAX = EHM_HEAD_LEVELS };
static const int32_t picture_of[B * ROIS] = {0, 0, 1, 1};

static const struct {
    const char *name;
    ehm_head_kind kind;
    int32_t width, n_out;
} kinds[] = {
    {"class_cls", EHM_HEAD_CLASS_CLS, 0, 3},   {"class_mean", EHM_HEAD_CLASS_MEAN, 0, 3},
    {"seg_linear", EHM_HEAD_SEG_LINEAR, 0, 3}, {"seg_mlp", EHM_HEAD_SEG_MLP, 8, 3},
    {"detect", EHM_HEAD_DETECT, 8, 3},         {"mask_branch", EHM_HEAD_DETECT, 4, 2},
};
static const struct {
    const char *device;
    ehm_dtype act;
    double tol;
} places[] = {
    {"ref64", EHM_F64, 1e-6}, {"ref", EHM_F32, 2e-5}, {"cpu", EHM_F32, 2e-5}, {"cpu", EHM_BF16, 6e-2}};

typedef struct {
    const char *name;
    bool masks, train;
    ehm_dtype act;
    ehm_st *file;
    ehm_dev *d;
    ehm_arena a;
    ehm_plan plan;
    ehm_params ps;
    ehm_weights w;
    ehm_grads g;
    ehm_norm encoder_norm;
    ehm_head *head;
    ehm_head_pass *pass;
    ehm_mask_branch *branch;
    ehm_mask_pass *mask;
    int32_t n_in, n_out;
    ehm_view in[IN_MAX], din[IN_MAX];
} fixture;

static const ehm_st_tensor *get(fixture *f, const char *kind, const char *name, int32_t i) {
    char full[96];
    if (name) snprintf(full, sizeof full, "%s.%s", kind, name);
    else snprintf(full, sizeof full, "%s.%d", kind, (int)i);
    const ehm_st_tensor *t = ehm_st_find(f->file, full);
    if (!t) ehm_test_fail(__FILE__, __LINE__, "%s has no tensor %s", f->name, full), ehm_test_leave();
    return t;
}

static void put(fixture *f, ehm_view v, const ehm_st_tensor *t) {
    float *x = malloc((size_t)t->count * sizeof *x); /* a file's numbers may begin at any byte */
    REQUIRE(ehm_view_count(v) == t->count);
    memcpy(x, t->data, (size_t)t->count * sizeof *x);
    ehm_put_reals(f->d, v, x, t->count);
    free(x);
}

static float *down(fixture *f, ehm_view v) {
    int64_t n = ehm_view_count(v);
    float *x = malloc((size_t)n * sizeof *x);
    if (v.dtype == EHM_F64) {
        double *wide = malloc((size_t)n * sizeof *wide);
        ehm_download(f->d, wide, v, (size_t)n * sizeof *wide);
        for (int64_t i = 0; i < n; i++) x[i] = (float)wide[i];
        free(wide);
    } else {
        ehm_download(f->d, x, v, (size_t)n * sizeof *x);
    }
    return x;
}

/* times: how often the gradient was added. */
static void check(fixture *f, ehm_view v, const ehm_st_tensor *t, float times, double tol) {
    REQUIRE(ehm_view_count(v) == t->count);
    float *got = down(f, v), *want = malloc((size_t)t->count * sizeof *want);
    memcpy(want, t->data, (size_t)t->count * sizeof *want);
    for (int64_t i = 0; i < t->count; i++) want[i] *= times;
    if (!ehm_test_close_f32(__FILE__, __LINE__, t->name, got, want, t->count, tol))
        fprintf(stderr, "    in %s on %s, %s\n", f->name, ehm_dev_name(f->d), ehm_dtype_name(f->act));
    free(got), free(want);
}

static void plan_all(fixture *f, ehm_plan *plan) {
    ehm_dtype real = ehm_dev_real(plan->dev);
    int64_t rows = f->masks ? 4 * L : 1 + L, width = f->masks ? 4 : D;
    ehm_weights_plan(&f->w, &f->ps, plan, EHM_MEM_PARAM, "", f->act);
    ehm_grads_plan(&f->g, &f->ps, plan);
    for (int32_t i = 0; i < f->n_in; i++) {
        f->in[i] = ehm_plan_3d(plan, EHM_MEM_INPUT, NULL, real, BATCH, rows, width);
        f->din[i] = ehm_plan_3d(plan, EHM_MEM_SCRATCH, NULL, real, BATCH, rows, width);
    }
    if (f->masks) {
        ehm_mask_pass_plan(f->mask, plan);
        if (f->train) ehm_mask_pass_plan_bwd(f->mask, plan);
    } else {
        ehm_head_pass_plan(f->pass, plan);
        if (f->train) ehm_head_pass_plan_bwd(f->pass, plan);
    }
}

static void fixture_open(fixture *f, int32_t i_kind, int32_t i_place, bool train) {
    ehm_err err = {0};
    char path[96];
    memset(f, 0, sizeof *f);
    f->name = kinds[i_kind].name, f->act = places[i_place].act, f->train = train;
    f->masks = !strcmp(f->name, "mask_branch");
    snprintf(path, sizeof path, "tests/golden/heads/%s.safetensors", f->name);
    REQUIRE_OK(ehm_st_open(&f->file, ehm_test_path(path), &err), &err);
    REQUIRE_OK(ehm_dev_open(&f->d, places[i_place].device, 2, &err), &err);
    if (f->masks) {
        REQUIRE(f->branch = ehm_mask_branch_add(&f->ps, &f->a, kinds[i_kind].width, kinds[i_kind].n_out));
        REQUIRE(f->mask = ehm_mask_pass_open(f->branch, BATCH * ROIS, 2 * GH, 2 * GW, train, f->act, &f->a));
        f->n_in = f->n_out = 1;
    } else {
        ehm_vit_shape s = {.embed_dim = D, .depth = DEPTH, .grid_h = GH, .grid_w = GW, .n_patches = L};
        ehm_head_opt o = {.kind = kinds[i_kind].kind,
                          .width = kinds[i_kind].width,
                          .n_out = kinds[i_kind].n_out,
                          .with_features = true};
        REQUIRE_OK(ehm_head_check(&o, &err), &err);
        /* The encoder's norm where it is lent, one of the head's own else: the same names. */
        bool lent = o.kind == EHM_HEAD_SEG_LINEAR;
        if (lent) ehm_norm_add(&f->encoder_norm, &f->ps, "norm", D);
        REQUIRE(f->head = ehm_head_add(&f->ps, &f->a, &s, lent ? &f->encoder_norm : NULL, &o));
        REQUIRE(f->pass = ehm_head_pass_open(f->head, BATCH, train, f->act, &f->a));
        f->n_in = ehm_head_n_levels(f->head), f->n_out = ehm_head_n_outs(f->head);
    }
    REQUIRE(!f->ps.failed);
    ehm_plan_begin(&f->plan, f->d);
    plan_all(f, &f->plan);
    REQUIRE_OK(ehm_plan_commit(&f->plan, &err), &err);
    plan_all(f, &f->plan);
    REQUIRE_OK(ehm_plan_end(&f->plan, &err), &err);
    int32_t n_params = 0;
    for (int32_t i = 0; i < ehm_st_count(f->file); i++)
        n_params += !strncmp(ehm_st_at(f->file, i)->name, "p.", 2);
    CHECK_INT(f->ps.n, n_params);
    for (int32_t i = 0; i < f->ps.n; i++) put(f, ehm_weight(&f->w, i), get(f, "p", f->ps.item[i].name, 0));
    ehm_weights_refresh(&f->w, f->d);
    for (int32_t i = 0; i < f->n_in; i++) {
        f->in[i].dim[0] = f->din[i].dim[0] = B; /* fewer than planned */
        put(f, f->in[i], get(f, "in", NULL, i));
    }
    if (!f->masks) REQUIRE_OK(ehm_head_pass_load(f->pass, f->d, &err), &err);
}

static void fixture_close(fixture *f) {
    ehm_plan_free(&f->plan);
    ehm_params_free(&f->ps);
    ehm_dev_close(f->d);
    ehm_st_close(f->file);
    ehm_arena_free(&f->a);
}

static ehm_view out_of(fixture *f, int32_t i) {
    return f->masks ? ehm_mask_out(f->mask) : ehm_head_out(f->pass, i, B);
}

static void forward(fixture *f) {
    ehm_err err = {0};
    if (f->masks) {
        float boxes[B * ROIS * 4];
        memcpy(boxes, ehm_st_find(f->file, "boxes")->data, sizeof boxes);
        REQUIRE_OK(ehm_mask_pass_load(f->mask, f->d, boxes, picture_of, B * ROIS, &err), &err);
        ehm_mask_fwd(f->d, f->mask, &f->w, f->in[0]);
    } else {
        ehm_head_fwd(f->d, f->pass, &f->w, f->in, B);
    }
    REQUIRE_OK(ehm_dev_check(f->d, &err), &err);
}

static void backward(fixture *f, bool to_levels) {
    ehm_err err = {0};
    for (int32_t i = 0; i < f->n_out; i++)
        put(f, f->masks ? ehm_mask_dout(f->mask) : ehm_head_dout(f->pass, i, B), get(f, "dout", NULL, i));
    /* A head writes what it did not find; the mask branch adds to what is there. */
    for (int32_t i = 0; i < f->n_in; i++)
        ehm_fill(f->d, &(ehm_fill_args){.x = f->din[i], .value = f->masks ? 1 : 77});
    if (f->masks) ehm_mask_bwd(f->d, f->mask, f->din[0], &f->w, &f->g);
    else ehm_head_bwd(f->d, f->pass, to_levels ? f->din : NULL, f->in, &f->w, &f->g, B);
    REQUIRE_OK(ehm_dev_check(f->d, &err), &err);
}

/* The mask branch was given ones. */
static void take_ones(fixture *f) {
    int64_t n = ehm_view_count(f->din[0]);
    float *x = down(f, f->din[0]);
    for (int64_t i = 0; i < n; i++) x[i] -= 1;
    ehm_put_reals(f->d, f->din[0], x, n);
    free(x);
}

static void check_place(int32_t i_place) {
    for (int32_t k = 0; k < (int32_t)(sizeof kinds / sizeof *kinds); k++) {
        fixture f;
        double tol = places[i_place].tol;
        fixture_open(&f, k, i_place, true);
        if (f.masks && f.act == EHM_BF16) tol *= 3; /* norms over 4 numbers, some nearly equal */
        forward(&f);
        for (int32_t i = 0; i < f.n_out; i++) check(&f, out_of(&f, i), get(&f, "out", NULL, i), 1, tol);
        backward(&f, true);
        if (f.masks) take_ones(&f);
        for (int32_t i = 0; i < f.n_in; i++) check(&f, f.din[i], get(&f, "din", NULL, i), 1, tol);
        for (int32_t i = 0; i < f.ps.n; i++)
            check(&f, ehm_grad(&f.g, i), get(&f, "g", f.ps.item[i].name, 0), 1, tol);
        /* Once more, with a frozen encoder: added to the parameters' gradients. */
        backward(&f, false);
        for (int32_t i = 0; i < f.ps.n; i++)
            check(&f, ehm_grad(&f.g, i), get(&f, "g", f.ps.item[i].name, 0), 2, tol);
        fixture_close(&f);
    }
}

TEST(heads, golden_ref64) { check_place(0); }
TEST(heads, golden_ref) { check_place(1); }
TEST(heads, golden_cpu) { check_place(2); }
TEST(heads, golden_bf16) { check_place(3); }

/* Forward alone, in memory that is used again, is the forward of training to the bit; twice as well. */
TEST(heads, forward_only) {
    for (int32_t k = 0; k < (int32_t)(sizeof kinds / sizeof *kinds); k++) {
        fixture f, g;
        fixture_open(&f, k, 2, true), fixture_open(&g, k, 2, false);
        forward(&f), forward(&g), forward(&g);
        CHECK_INT(ehm_plan_bytes(&g.plan, EHM_MEM_CACHE), 0);
        for (int32_t i = 0; i < f.n_out; i++) {
            float *x = down(&f, out_of(&f, i)), *y = down(&g, out_of(&g, i));
            CHECK(!memcmp(x, y, (size_t)ehm_view_count(out_of(&f, i)) * sizeof *x));
            free(x), free(y);
        }
        fixture_close(&f), fixture_close(&g);
    }
}

static void levels_of(int32_t depth, ehm_head_kind kind, const int32_t *want, int32_t n) {
    ehm_params ps = {0};
    ehm_arena a = {0};
    ehm_vit_shape s = {.embed_dim = D, .depth = depth, .grid_h = GH, .grid_w = GW, .n_patches = L};
    ehm_head *h = ehm_head_add(&ps, &a, &s, NULL, &(ehm_head_opt){.kind = kind, .n_out = 5});
    int32_t gh, gw, twice = kind == EHM_HEAD_CLASS_MEAN ? 0 : kind == EHM_HEAD_SEG_LINEAR ? 1 : 2;
    REQUIRE(h);
    CHECK_INT(ehm_head_n_levels(h), n);
    for (int32_t i = 0; i < n; i++) CHECK_INT(ehm_head_level(h, i), want[i]);
    ehm_head_grid(h, &gh, &gw);
    CHECK_INT(gh, twice ? twice * GH : 1);
    CHECK_INT(gw, twice ? twice * GW : 1);
    ehm_params_free(&ps);
    ehm_arena_free(&a);
}

TEST(heads, levels_and_grids) {
    levels_of(12, EHM_HEAD_SEG_MLP, (int32_t[]){2, 5, 8, 11}, 4);
    levels_of(6, EHM_HEAD_SEG_MLP, (int32_t[]){1, 2, 4, 5}, 4);
    levels_of(4, EHM_HEAD_SEG_MLP, (int32_t[]){0, 1, 2, 3}, 4);
    levels_of(3, EHM_HEAD_SEG_MLP, (int32_t[]){0, 1, 2}, 3);
    levels_of(1, EHM_HEAD_SEG_MLP, (int32_t[]){0}, 1);
    levels_of(12, EHM_HEAD_DETECT, (int32_t[]){11}, 1);
    levels_of(12, EHM_HEAD_SEG_LINEAR, (int32_t[]){11}, 1);
    levels_of(4, EHM_HEAD_CLASS_MEAN, (int32_t[]){3}, 1);
}

TEST(heads, published_start) {
    fixture f;
    ehm_err err = {0};
    fixture_open(&f, 4, 1, false);
    ehm_weights_init(&f.w, f.d, 3);
    float *bias = down(&f, ehm_weight(&f.w, ehm_params_find(&f.ps, "head.cls_pred.bias")));
    for (int i = 0; i < 3; i++) CHECK_NEAR(1 / (1 + exp(-(double)bias[i])), 0.01, 1e-6);
    free(bias);
    ehm_view v = ehm_weight(&f.w, ehm_params_find(&f.ps, "head.cls_pred.weight"));
    int64_t n = ehm_view_count(v);
    float *x = down(&f, v);
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i], square += (double)x[i] * x[i];
    CHECK_NEAR(sqrt(square / (double)n), 0.01, 0.002); /* 216 draws */
    CHECK_NEAR(sum / (double)n, 0, 0.003);
    free(x);
    REQUIRE_OK(ehm_dev_check(f.d, &err), &err);
    fixture_close(&f);
}

TEST(heads, refusals) {
    ehm_err err = {0};
    CHECK_FAILS(ehm_head_check(&(ehm_head_opt){.kind = EHM_HEAD_CLASS_CLS}, &err), &err, EHM_E_CONFIG,
                "0 classes");
    CHECK_FAILS(ehm_head_check(&(ehm_head_opt){.kind = EHM_HEAD_DETECT, .n_out = 3, .width = 30}, &err), &err,
                EHM_E_CONFIG, "width 30");
    CHECK_FAILS(ehm_head_check(&(ehm_head_opt){.n_out = 3, .head_std = NAN}, &err), &err, EHM_E_CONFIG,
                "deviation nan");
    CHECK_FAILS(ehm_head_check(&(ehm_head_opt){.kind = (ehm_head_kind)9, .n_out = 3}, &err), &err, EHM_E_ARG,
                "kind 9");
    fixture f;
    fixture_open(&f, 5, 1, false);
    float boxes[B * ROIS * 4] = {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 2, 0, 1, 1};
    CHECK_FAILS(ehm_mask_pass_load(f.mask, f.d, boxes, picture_of, B * ROIS, &err), &err, EHM_E_ARG,
                "box 3, of picture 1, is 2, 0 to 1, 1");
    boxes[12] = 0, boxes[1] = NAN;
    CHECK_FAILS(ehm_mask_pass_load(f.mask, f.d, boxes, picture_of, B * ROIS, &err), &err, EHM_E_ARG, "box 0, of picture 0");
    boxes[1] = 0, boxes[6] = INFINITY;
    CHECK_FAILS(ehm_mask_pass_load(f.mask, f.d, boxes, picture_of, B * ROIS, &err), &err, EHM_E_ARG, "box 1, of picture 0");
    boxes[6] = 1e30f, boxes[4] = -1e30f; /* far outside reads nothing, and nothing breaks */
    CHECK_OK(ehm_mask_pass_load(f.mask, f.d, boxes, picture_of, B * ROIS, &err), &err);
    fixture_close(&f);
}
