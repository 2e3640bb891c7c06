#include "harness.h"
#include "tune/task_segment.h"

/* The formulas of tools/golden/segment.py. */
static int32_t whole(int64_t i, int64_t a, int64_t m) { return (int32_t)((i * a + i * i % 31 + i / 7) % m); }
static double next(FILE *f) {
    double v;
    REQUIRE(fscanf(f, "%lf", &v) == 1);
    return v;
}

/* A head with the task around it and nothing beneath: tokens are given. */
typedef struct {
    ehm_arena arena;
    ehm_segment *task;
    const ehm_tune_task *ops;
    ehm_dev *d;
    ehm_params params;
    ehm_norm norm;
    ehm_weights weights;
    ehm_grads grads;
    ehm_plan plan;
    ehm_vit_shape shape;
    int32_t batch;
    ehm_view tokens, dtokens, loss;
} rig;

static void plan_rig(rig *r) {
    int64_t N = 1 + r->shape.n_patches, D = r->shape.embed_dim;
    ehm_weights_plan(&r->weights, &r->params, &r->plan, EHM_MEM_PARAM, "", EHM_F32);
    ehm_grads_plan(&r->grads, &r->params, &r->plan);
    r->tokens = ehm_plan_3d(&r->plan, EHM_MEM_CACHE, NULL, EHM_F32, r->batch, N, D);
    r->dtokens = ehm_plan_3d(&r->plan, EHM_MEM_CACHE, NULL, EHM_F32, r->batch, N, D);
    r->loss = ehm_plan_1d(&r->plan, EHM_MEM_CACHE, NULL, EHM_F32, 1);
    r->ops->plan(r->task, &r->plan, true);
    r->ops->plan(r->task, &r->plan, false);
    size_t mark = ehm_plan_mark(&r->plan);
    r->ops->plan_bwd(r->task, &r->plan);
    ehm_plan_release(&r->plan, mark);
}

static void open_rig(rig *r, const char *device, const ehm_segment_opt *o, int32_t batch, int32_t gh,
                     int32_t gw, int32_t patch, int32_t dim) {
    ehm_err err = {0};
    *r = (rig){.batch = batch,
               .shape = {.img_h = gh * patch,
                         .img_w = gw * patch,
                         .channels = 3,
                         .patch_size = patch,
                         .grid_h = gh,
                         .grid_w = gw,
                         .n_patches = gh * gw,
                         .embed_dim = dim,
                         .depth = 1,
                         .num_heads = 1,
                         .mlp_dim = 4,
                         .patch_pixels = patch * patch * 3}};
    REQUIRE_OK(ehm_dev_open(&r->d, device, 2, &err), &err);
    REQUIRE_OK(ehm_segment_new(&r->task, o, &err), &err);
    r->ops = ehm_segment_task(r->task);
    ehm_norm_add(&r->norm, &r->params, "norm", dim);
    ehm_tune_place p = {.arena = &r->arena,
                        .params = &r->params,
                        .shape = &r->shape,
                        .encoder_norm = &r->norm,
                        .batch = batch,
                        .train = true,
                        .act = EHM_F32};
    REQUIRE_OK(r->ops->add(r->task, &p, &err), &err);
    REQUIRE_OK(r->ops->pass_open(r->task, &p, &err), &err);
    p.train = false;
    REQUIRE_OK(r->ops->pass_open(r->task, &p, &err), &err);
    ehm_plan_begin(&r->plan, r->d);
    plan_rig(r);
    REQUIRE_OK(ehm_plan_commit(&r->plan, &err), &err);
    plan_rig(r);
    REQUIRE_OK(ehm_plan_end(&r->plan, &err), &err);
    REQUIRE_OK(r->ops->placed(r->task, r->d, &err), &err);
    ehm_weights_init(&r->weights, r->d, 1);
    ehm_weights_refresh(&r->weights, r->d);
}

static void close_rig(rig *r) {
    ehm_plan_free(&r->plan);
    r->ops->close(r->task);
    ehm_params_free(&r->params);
    ehm_arena_free(&r->arena);
    ehm_dev_close(r->d);
}

static void put_wave(rig *r, ehm_view v, double plus, double times, double a, double b) {
    int64_t n = ehm_view_count(v);
    float *x = malloc((size_t)n * sizeof *x);
    REQUIRE(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(plus + times * (sin(a * (double)i + b) + 0.4 * cos(0.37 * (double)i * (double)i)));
    ehm_upload(r->d, v, x, ehm_view_bytes(v));
    free(x);
}
static float *fetch(rig *r, ehm_view v) {
    float *x = malloc(ehm_view_bytes(v));
    REQUIRE(x);
    ehm_download(r->d, x, v, ehm_view_bytes(v));
    return x;
}

/* Gradients are of half the loss, to see that the share counts. */
static double run_rig(rig *r, const int32_t *maps, int32_t n, float share) {
    ehm_err err = {0};
    int64_t ids[64] = {0};
    const float *mixed = NULL;
    float loss = 0;
    ehm_view tokens = ehm_view_rows(r->tokens, 0, n), dtokens = ehm_view_rows(r->dtokens, 0, n);
    for (int32_t g = 0; g < 2; g++)
        if (r->grads.flat[g].rank) ehm_fill(r->d, &(ehm_fill_args){.x = r->grads.flat[g]});
    REQUIRE_OK(r->ops->load(r->task, r->d, &(ehm_batch){.n = n, .maps = maps, .ids = ids}, &mixed, &err),
               &err);
    CHECK(!mixed);
    r->ops->fwd_loss(r->task, r->d, &r->weights, &tokens, n, r->loss);
    r->ops->bwd(r->task, r->d, &r->weights, &r->grads, &tokens, &dtokens, n, share);
    REQUIRE_OK(ehm_dev_check(r->d, &err), &err);
    ehm_download(r->d, &loss, r->loss, sizeof loss);
    return (double)loss;
}

static void check_part(FILE *f, rig *r, ehm_view v, double share, const char *what) {
    int64_t n = ehm_view_count(v);
    float *got = fetch(r, v), *want = malloc((size_t)n * sizeof *want);
    REQUIRE(want);
    for (int64_t i = 0; i < n; i++) want[i] = (float)(share * next(f));
    ehm_test_close_f32(__FILE__, __LINE__, what, got, want, n, 2e-5);
    free(got), free(want);
}

static void against_torch(const char *device) {
    enum { B = 3, GH = 3, GW = 4, D = 6, C = 5, S = 4 };
    static const float weight[C] = {0.5f, 1, 2, 0.25f, 3};
    static const int32_t class_of[C + 1] = {4, 3, -1, 2, 1, 0}; /* the maps say it otherwise */
    FILE *f = fopen(ehm_test_path("tests/golden/segment/loss.txt"), "r");
    int32_t maps[B * GH * S * GW * S];
    REQUIRE(f);
    for (int weighted = 0; weighted < 2; weighted++) {
        rig r;
        open_rig(&r, device,
                 &(ehm_segment_opt){.head = EHM_HEAD_SEG_LINEAR,
                                    .n_classes = C,
                                    .class_weight = weighted ? weight : NULL,
                                    .class_of = weighted ? class_of : NULL,
                                    .n_values = weighted ? C + 1 : 0},
                 B, GH, GW, S, D);
        for (int64_t i = 0; i < (int64_t)(sizeof maps / sizeof *maps); i++) {
            int32_t k = whole(i, 13, C + 1) - 1;
            for (int32_t v = 0; weighted && v < C + 1; v++)
                if (class_of[v] == k) maps[i] = v;
            if (!weighted) maps[i] = k;
        }
        int32_t lw = ehm_params_find(&r.params, "head.weight"), lb = ehm_params_find(&r.params, "head.bias");
        REQUIRE(lw >= 0 && lb >= 0);
        put_wave(&r, ehm_weight(&r.weights, r.norm.weight), 1, 0.1, 1.1, 0.2),
            put_wave(&r, ehm_weight(&r.weights, r.norm.bias), 0, 0.1, 1.3, 0.3);
        put_wave(&r, ehm_weight(&r.weights, lw), 0, 1, 0.9, 0.4),
            put_wave(&r, ehm_weight(&r.weights, lb), 0, 0.1, 1.7, 0.5);
        ehm_weights_refresh(&r.weights, r.d);
        put_wave(&r, r.tokens, 0, 1, 0.7, 0.1);
        for (int again = 0; again < 2; again++) { /* the second time on used memory */
            double loss = run_rig(&r, maps, B, 0.5f);
            if (!again) continue;
            CHECK_NEAR(loss, next(f), 2e-6);
            check_part(f, &r, ehm_grad(&r.grads, r.norm.weight), 0.5, "d norm.weight"),
                check_part(f, &r, ehm_grad(&r.grads, r.norm.bias), 0.5, "d norm.bias");
            check_part(f, &r, ehm_grad(&r.grads, lw), 0.5, "d head.weight"),
                check_part(f, &r, ehm_grad(&r.grads, lb), 0.5, "d head.bias");
            check_part(f, &r, r.dtokens, 0.5, "d tokens");
        }
        close_rig(&r);
    }
    fclose(f);
}
TEST(task_segment, loss_and_gradient_as_torch) { against_torch("ref"); }
TEST(task_segment, loss_and_gradient_as_torch_cpu) { against_torch("auto"); }

/* Six pictures whose enlarged logits fit no single piece of memory are as two batches of three. */
TEST(task_segment, in_pieces) {
    enum { B = 6, G = 8, S = 8, D = 8, C = 700, PX = G * S * G * S };
    rig r;
    ehm_segment_opt o = {.head = EHM_HEAD_SEG_LINEAR, .n_classes = C};
    open_rig(&r, "auto", &o, B, G, G, S, D);
    int32_t *maps = malloc(sizeof *maps * B * PX), lw = ehm_params_find(&r.params, "head.weight");
    REQUIRE(maps && lw >= 0);
    for (int64_t i = 0; i < (int64_t)B * PX; i++)
        maps[i] = whole(i % (3 * PX), 7, C); /* labelled pixels: as many in both halves */
    put_wave(&r, ehm_weight(&r.weights, lw), 0, 1, 0.9, 0.4);
    put_wave(&r, r.tokens, 0, 1, 0.7, 0.1);
    double all = run_rig(&r, maps, B, 1);
    float *g = fetch(&r, ehm_grad(&r.grads, lw)), *x = fetch(&r, r.tokens), *dx = fetch(&r, r.dtokens);
    double first = run_rig(&r, maps, 3, 0.5f);
    float *g1 = fetch(&r, ehm_grad(&r.grads, lw)), *dx1 = fetch(&r, r.dtokens);
    int64_t half = 3 * (1 + G * G) * D;
    ehm_upload(r.d, ehm_view_rows(r.tokens, 0, 3), x + half, (size_t)half * sizeof *x);
    double second = run_rig(&r, maps + 3 * PX, 3, 0.5f);
    float *g2 = fetch(&r, ehm_grad(&r.grads, lw)), *dx2 = fetch(&r, r.dtokens);
    CHECK(fabs(first - second) > 1e-4);
    CHECK_NEAR(all, (first + second) / 2, 1e-5);
    for (int64_t i = 0; i < (int64_t)C * D; i++) g1[i] += g2[i];
    CHECK_CLOSE_F32(g, g1, C * D, 1e-4);
    CHECK_CLOSE_F32(dx, dx1, half, 1e-4);
    CHECK_CLOSE_F32(dx + half, dx2, half, 1e-4);
    free(g), free(g1), free(g2), free(x), free(dx), free(dx1), free(dx2), free(maps);
    close_rig(&r);
}

TEST(task_segment, nothing_labelled) {
    rig r;
    int32_t maps[2 * 64];
    for (int i = 0; i < 128; i++) maps[i] = -1;
    open_rig(&r, "ref", &(ehm_segment_opt){.head = EHM_HEAD_SEG_LINEAR, .n_classes = 3}, 2, 2, 2, 4, 8);
    put_wave(&r, r.tokens, 0, 1, 0.7, 0.1);
    CHECK_NEAR(run_rig(&r, maps, 2, 1), 0, 0);
    float *dx = fetch(&r, r.dtokens);
    for (int64_t i = 0; i < ehm_view_count(r.dtokens); i++) CHECK(dx[i] == 0);
    free(dx);
    maps[5] = 3;
    ehm_err err = {0};
    const float *mixed = NULL;
    int64_t ids[2] = {4, 9};
    CHECK_FAILS(r.ops->load(r.task, r.d, &(ehm_batch){.n = 2, .maps = maps, .ids = ids}, &mixed, &err), &err,
                EHM_E_MISMATCH, "picture 4 of the set has a pixel of value 3");
    CHECK_FAILS(r.ops->load(r.task, r.d, &(ehm_batch){.n = 2, .ids = ids}, &mixed, &err), &err, EHM_E_ARG,
                "without label maps");
    close_rig(&r);
}

TEST(task_segment, logits_of_inference) {
    enum { B = 2, GH = 2, GW = 3, D = 8, C = 3 };
    rig r;
    ehm_err err = {0};
    int32_t gh, gw;
    open_rig(&r, "ref", &(ehm_segment_opt){.head = EHM_HEAD_SEG_LINEAR, .n_classes = C}, B, GH, GW, 4, D);
    int32_t lb = ehm_params_find(&r.params, "head.bias"), lw = ehm_params_find(&r.params, "head.weight");
    ehm_segment_grid(r.task, &gh, &gw);
    CHECK_INT(gh, GH);
    CHECK_INT(gw, GW);
    float bias[C] = {1, -2, 5}, out[B * GH * GW * C];
    ehm_fill(r.d, &(ehm_fill_args){.x = ehm_weight(&r.weights, lw)});
    ehm_upload(r.d, ehm_weight(&r.weights, lb), bias, sizeof bias);
    ehm_weights_refresh(&r.weights, r.d);
    put_wave(&r, r.tokens, 0, 1, 0.7, 0.1);
    r.ops->infer(r.task, r.d, &r.weights, &r.tokens, B);
    ehm_segment_logits(r.task, r.d, out, B);
    REQUIRE_OK(ehm_dev_check(r.d, &err), &err);
    for (int i = 0; i < B * GH * GW * C; i++) CHECK_NEAR((double)out[i], (double)bias[i % C], 1e-6);
    close_rig(&r);
}

TEST(task_segment, kept_in_the_model) {
    static const char *const names[] = {"sky", "tree \"old\"", "road"};
    ehm_err err = {0};
    ehm_segment *s = NULL, *t = NULL;
    ehm_str text = {0};
    ehm_arena a = {0};
    ehm_json *root;
    ehm_json_w w = {.out = &text};
    ehm_segment_opt o = {.head = EHM_HEAD_SEG_MLP,
                         .n_classes = 3,
                         .width = 64,
                         .depth = 2,
                         .classes = names,
                         .slide = true,
                         .size_factor = 3.75};
    REQUIRE_OK(ehm_segment_new(&s, &o, &err), &err);
    CHECK_STR(ehm_segment_task(s)->name, "segment");
    CHECK_INT(ehm_segment_task(s)->n_levels, 2);
    ehm_json_obj(&w);
    ehm_json_key(&w, "name"), ehm_json_str(&w, "segment");
    ehm_segment_task(s)->describe(s, &w);
    ehm_json_end(&w);
    REQUIRE_OK(ehm_json_parse(&root, text.s, text.len, "text", &a, &err), &err);
    REQUIRE_OK(ehm_segment_from_json(&t, root, &err), &err);
    const ehm_segment_opt *got = ehm_segment_options(t);
    CHECK(got->head == EHM_HEAD_SEG_MLP && got->slide && got->size_factor == 3.75);
    CHECK_INT(got->width, 64);
    CHECK_INT(got->depth, 2);
    CHECK_INT(got->n_classes, 3);
    for (int i = 0; i < 3; i++) CHECK_STR(got->classes[i], names[i]);
    ehm_segment_free(s), ehm_segment_free(t), ehm_segment_free(NULL);
    static const struct {
        const char *json, *part;
    } bad[] = {{"{\"name\": \"finetune\"}", "made for the task \"finetune\""},
               {"{\"classes\": [\"a\"]}", "\"head\" is missing"},
               {"{\"head\": \"deep\"}", "\"head\" is deep"},
               {"{\"head\": \"mlp\"}", "\"classes\""},
               {"{\"head\": \"mlp\", \"classes\": [\"a\", 3]}", "class 1 has no name"},
               {"{\"head\": \"mlp\", \"classes\": [\"a\"], \"width\": 30}", "\"width\" is 30"},
               {"{\"head\": \"mlp\", \"classes\": [\"a\"], \"size_factor\": -1}", "\"size_factor\" is -1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        REQUIRE_OK(ehm_json_parse(&root, bad[i].json, strlen(bad[i].json), "text", &a, &err), &err);
        CHECK_FAILS(ehm_segment_from_json(&t, root, &err), &err, EHM_E_FORMAT, bad[i].part);
        CHECK(!t);
        ehm_err_clear(&err);
    }
    ehm_str_free(&text);
    ehm_arena_free(&a);
}

TEST(task_segment, options_out_of_range) {
    ehm_err err = {0};
    ehm_segment *s;
    static const float negative[2] = {1, -0.5f};
    CHECK_FAILS(ehm_segment_new(&s, &(ehm_segment_opt){.head = EHM_HEAD_DETECT, .n_classes = 2}, &err), &err,
                EHM_E_ARG, "does not segment");
    CHECK_FAILS(ehm_segment_new(&s, &(ehm_segment_opt){.head = EHM_HEAD_SEG_MLP}, &err), &err, EHM_E_ARG,
                "0 classes");
    CHECK_FAILS(
        ehm_segment_new(&s, &(ehm_segment_opt){.head = EHM_HEAD_SEG_MLP, .n_classes = 2, .width = 30}, &err),
        &err, EHM_E_ARG, "30 features");
    CHECK_FAILS(
        ehm_segment_new(
            &s, &(ehm_segment_opt){.head = EHM_HEAD_SEG_MLP, .n_classes = 2, .class_weight = negative}, &err),
        &err, EHM_E_ARG, "class 1 is -0.5");
    CHECK(!s);
}

TEST(task_segment, enlargement_by_hand) {
    int32_t idx[5 * 4];
    float weight[5 * 4], x[2] = {10, 20}, want[5] = {10, 11, 15, 19, 20};
    ehm_segment_enlarge_table(idx, weight, 1, 5, 1, 2); /* centres at -0.3, 0.1, 0.5, 0.9, 1.3 */
    for (int i = 0; i < 5; i++) {
        double v = 0;
        for (int k = 0; k < 4; k++) v += (double)weight[4 * i + k] * (double)x[idx[4 * i + k]];
        CHECK_NEAR(v, (double)want[i], 1e-5);
    }
}

/* Trained for some steps on pictures, saved, opened again: the same logits; and the loss has come down. */
TEST(task_segment, learns_and_is_opened_again) {
    const char *paths[] = {"scenes:5:16:32"};
    ehm_strs set = {paths, 1};
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_dataset *ds = NULL;
    ehm_config c;
    ehm_tune *t = NULL, *again = NULL;
    ehm_segment *s = NULL, *saved = NULL;
    ehm_tune_result r;
    ehm_sample one;
    const ehm_json *meta;
    char path[512];
    float got[16 * 16 * 64], want[16 * 16 * 64];
    int32_t gh, gw;
    REQUIRE_OK(ehm_dataset_open(&ds, &set, NULL, &err), &err);
    int32_t n = ehm_dataset_n_map_classes(ds);
    REQUIRE(n <= 64);
    ehm_config_init(&c);
    c.model = "untrained:pico", c.threads = 2, c.workers = 1, c.device = "ref";
    c.steps = 30, c.batch_size = 4, c.lr = 2e-3;
    c.origin[EHM_SETI_steps] = c.origin[EHM_SETI_batch_size] = c.origin[EHM_SETI_lr] = EHM_FROM_FLAG;
    ehm_segment_opt o = {.head = EHM_HEAD_SEG_MLP, .n_classes = n, .width = 32, .depth = 4};
    REQUIRE_OK(ehm_segment_new(&s, &o, &err), &err);
    ehm_tune_setup setup = {
        .task = ehm_segment_task(s), .user = s, .train = ds, .img_h = 32, .img_w = 32, .frozen = true};
    setup.loader = (ehm_loader_opt){
        .augment = true, .flip = 0.5, .scale_min = 0.8, .scale_max = 1.25, .want_maps = true};
    REQUIRE_OK(ehm_tune_open(&t, &setup, &c, &err), &err);
    REQUIRE_OK(ehm_tune_run(t, &r, &err), &err);
    CHECK_INT(r.steps, 30);
    CHECK(r.loss < 0.95 * log(n)); /* below the loss of knowing nothing */
    REQUIRE_OK(ehm_dataset_read(ds, 3, &one, 0, NULL, &a, &err), &err);
    REQUIRE_OK(ehm_tune_infer(t, one.image.px, EHM_U8, 1, &err), &err);
    ehm_segment_grid(s, &gh, &gw);
    CHECK(gh == 8 && gw == 8);
    ehm_segment_logits(s, ehm_tune_device(t), want, 1);
    snprintf(path, sizeof path, "%s/net.safetensors", ehm_test_tmp());
    REQUIRE_OK(ehm_tune_save(t, path, &err), &err);
    ehm_tune_close(t);
    REQUIRE_OK(ehm_tuned_meta(&meta, path, &a, &err), &err);
    REQUIRE_OK(ehm_segment_from_json(&saved, meta, &err), &err);
    CHECK_INT(ehm_segment_options(saved)->n_classes, n);
    REQUIRE_OK(ehm_tuned_open(&again, path, ehm_segment_task(saved), saved, &c, &err), &err);
    REQUIRE_OK(ehm_tune_infer(again, one.image.px, EHM_U8, 1, &err), &err);
    ehm_segment_logits(saved, ehm_tune_device(again), got, 1);
    CHECK(!memcmp(got, want, sizeof *got * (size_t)(gh * gw * n)));
    ehm_tune_close(again);
    ehm_dataset_close(ds);
    ehm_arena_free(&a);
}
