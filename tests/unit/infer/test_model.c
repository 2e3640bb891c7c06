/* Models opened from files, against the golden features; unnamed things refused. */
#include "../recipe/mae_golden.h"
#include "base/file.h"
#include "base/json.h"
#include "infer/infer.h"

/* The golden model as a file of ours in a fresh folder. */
static void write_model(char path[600], int32_t i_case, bool encoder_only) {
    golden g;
    ehm_err err = {0};
    ehm_weights_info info = {0};
    golden_open(&g, i_case, "ref", EHM_F32, false);
    info.shape = g.shape, info.has_decoder = true, info.norm_pix = g.gc->norm_pix, info.has_stats = true;
    memcpy(info.mean, golden_get(&g, "mean")->data, (size_t)g.gc->c * sizeof(double));
    memcpy(info.std, golden_get(&g, "std")->data, (size_t)g.gc->c * sizeof(double));
    strcpy(info.fit, "crop"), strcpy(info.recipe, "mae"), strcpy(info.mask, "random");
    snprintf(path, 600, "%s/model.safetensors", ehm_test_tmp());
    REQUIRE_OK(ehm_weights_save(path, ehm_method_weights(g.m), g.d, &info, encoder_only, &err), &err);
    golden_close(&g);
}

static ehm_st *golden_data(int32_t i_case) {
    char path[128];
    ehm_st *f;
    ehm_err err = {0};
    snprintf(path, sizeof path, "tests/golden/mae/%s_data.safetensors", golden_cases[i_case].name);
    REQUIRE_OK(ehm_st_open(&f, ehm_test_path(path), &err), &err);
    return f;
}

static void check_features(const char *device, int32_t i_case, bool encoder_only, double tol) {
    char path[600];
    ehm_model *m;
    ehm_err err = {0};
    write_model(path, i_case, encoder_only);
    ehm_st *data = golden_data(i_case);
    const ehm_st_tensor *px = ehm_st_find(data, "pixels"), *cls = ehm_st_find(data, "cls"),
                        *mean = ehm_st_find(data, "mean_tokens");
    const ehm_st_tensor *hidden = ehm_st_find(data, "hidden1"), *attn = ehm_st_find(data, "attention1");
    ehm_model_opt opt = {.device = device, .threads = 2, .dtype = "f32", .batch = 5};
    REQUIRE_OK(ehm_model_open(&m, path, &opt, &err), &err);
    const ehm_vit_shape *s = ehm_model_shape(m);
    CHECK_INT(ehm_model_has_decoder(m), !encoder_only);
    CHECK_INT(ehm_model_batch(m), 5);
    CHECK_STR(ehm_model_dtype(m),
              strcmp(device, "ref64") ? "f32" : "f64"); /* the double device knows nothing else */
    CHECK_STR(ehm_model_fit(m), "crop");
    CHECK_INT(s->img_w, golden_cases[i_case].w);
    int32_t n = (int32_t)px->dim[0];
    int64_t N = 1 + s->n_patches, D = s->embed_dim, H = s->num_heads;
    float *a = malloc((size_t)(n * N * (N * H + D)) * sizeof *a),
          *b = malloc((size_t)(n * N * D) * sizeof *b);
    REQUIRE_OK(ehm_model_features(m, px->data, EHM_U8, n, EHM_POOL_CLS, a, &err), &err);
    CHECK_CLOSE_F32(a, (const float *)cls->data, cls->count, tol);
    REQUIRE_OK(ehm_model_cls_mean(m, px->data, EHM_U8, n, a, b, &err), &err);
    CHECK_CLOSE_F32(a, (const float *)cls->data, cls->count, tol);
    CHECK_CLOSE_F32(b, (const float *)mean->data, mean->count, tol);
    REQUIRE_OK(ehm_model_hidden(m, px->data, EHM_U8, n, 1, a, &err), &err);
    CHECK_CLOSE_F32(a, (const float *)hidden->data, hidden->count, tol);
    REQUIRE_OK(ehm_model_attention(m, px->data, EHM_U8, n, -1, true, a, &err), &err);
    CHECK_CLOSE_F32(a, (const float *)attn->data, attn->count, tol);
    /* Mean over heads, then every head again: the one buffer serves both. */
    REQUIRE_OK(ehm_model_attention(m, px->data, EHM_U8, n, 1, false, a, &err), &err);
    double worst = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < N * N; k++) {
            double sum = 0;
            for (int64_t h = 0; h < H; h++) sum += ((const float *)attn->data)[(i * H + h) * N * N + k];
            worst = fmax(worst, fabs(sum / (double)H - a[i * N * N + k]));
        }
    CHECK(worst < tol);
    /* Patches pooled by hand are the mean. */
    REQUIRE_OK(ehm_model_features(m, px->data, EHM_U8, n, EHM_POOL_PATCHES, a, &err), &err);
    for (int64_t k = 0; k < D; k++) {
        double sum = 0;
        for (int64_t i = 0; i < N - 1; i++) sum += a[i * D + k];
        CHECK_NEAR(sum / (double)(N - 1), ((const float *)mean->data)[k], tol * 4);
    }
    free(a), free(b);
    ehm_st_close(data);
    ehm_model_close(m);
}

TEST(model, features_ref) {
    check_features("ref", 0, false, 1e-5);
    check_features("ref", 1, false, 1e-5);
}
TEST(model, features_cpu) {
    check_features("cpu", 0, false, 2e-5);
    check_features("cpu", 1, false, 2e-5);
}
TEST(model, features_of_encoder_only) { check_features("ref", 0, true, 1e-5); }
TEST(model, features_ref64) { check_features("ref64", 0, false, 1e-6); }

TEST(model, batch_size_changes_nothing) {
    char path[600];
    ehm_err err = {0};
    float one[3 * 16], all[3 * 16];
    write_model(path, 0, false);
    ehm_st *data = golden_data(0);
    const uint8_t *px = ehm_st_find(data, "pixels")->data;
    ehm_model *m;
    ehm_model_opt opt = {.device = "ref", .dtype = "f32", .batch = 3};
    REQUIRE_OK(ehm_model_open(&m, path, &opt, &err), &err);
    REQUIRE_OK(ehm_model_features(m, px, EHM_U8, 3, EHM_POOL_MEAN, all, &err), &err);
    for (int i = 0; i < 3; i++)
        REQUIRE_OK(ehm_model_features(m, px + i * 16 * 24 * 3, EHM_U8, 1, EHM_POOL_MEAN, one + i * 16, &err),
                   &err);
    CHECK_CLOSE_F32(one, all, 48, 1e-6);
    CHECK_FAILS(ehm_model_features(m, px, EHM_U8, 4, EHM_POOL_MEAN, all, &err), &err, EHM_E_ARG,
                "4 pictures");
    CHECK_FAILS(ehm_model_features(m, px, EHM_I32, 1, EHM_POOL_MEAN, all, &err), &err, EHM_E_ARG, "i32");
    CHECK_FAILS(ehm_model_attention(m, px, EHM_U8, 1, 2, false, all, &err), &err, EHM_E_ARG,
                "blocks are 0 to 1");
    CHECK_FAILS(ehm_model_hidden(m, px, EHM_U8, 1, 3, all, &err), &err, EHM_E_ARG, "to 2");
    ehm_model_close(m);
    ehm_st_close(data);
}

TEST(model, reconstruction) {
    for (int32_t i_case = 0; i_case < 2; i_case++) {
        char path[600];
        golden g;
        ehm_err err = {0};
        ehm_model *m;
        write_model(path, i_case, false);
        golden_open(&g, i_case, "ref", EHM_F32, false);
        golden_masks(&g, 0);
        ehm_model_opt opt = {.device = "ref", .dtype = "f32"};
        REQUIRE_OK(ehm_model_open(&m, path, &opt, &err), &err);
        const ehm_st_tensor *want = golden_get(&g, "pred");
        float *pred = malloc(want->bytes), loss, features[24];
        /* A feature pass in between uses the same scratch. */
        REQUIRE_OK(ehm_model_features(m, g.batch.pixels, EHM_U8, 1, EHM_POOL_CLS, features, &err), &err);
        REQUIRE_OK(ehm_model_reconstruct(m, g.batch.pixels, EHM_U8, g.n, g.visible, g.masked, g.n_visible,
                                         pred, &loss, &err),
                   &err);
        CHECK_CLOSE_F32(pred, (const float *)want->data, want->count, 1e-5);
        double l = *(const double *)golden_get(&g, "loss")->data;
        CHECK_NEAR(loss, l, 1e-5 * l);
        free(pred);
        ehm_model_close(m);
        golden_close(&g);
    }
}

TEST(model, encoder_only_cannot_reconstruct) {
    char path[600];
    ehm_err err = {0};
    ehm_model *m;
    int32_t list[24];
    uint8_t px[16 * 24 * 3] = {0};
    for (int i = 0; i < 24; i++) list[i] = i;
    write_model(path, 0, true);
    ehm_model_opt opt = {.device = "ref"};
    REQUIRE_OK(ehm_model_open(&m, path, &opt, &err), &err);
    CHECK_FAILS(ehm_model_reconstruct(m, px, EHM_U8, 1, list, list + 6, 6, NULL, NULL, &err), &err,
                EHM_E_MISMATCH, "no decoder");
    ehm_model_close(m);
}

TEST(model, names_that_open_nothing) {
    ehm_err err = {0};
    ehm_model *m;
    ehm_model_opt opt = {.device = "ref"};
    CHECK_FAILS(ehm_model_open(&m, "/no/such", &opt, &err), &err, EHM_E_CONFIG, "/no/such: no such file");
    CHECK_FAILS(ehm_model_open(&m, "tiny", &opt, &err), &err, EHM_E_CONFIG, "untrained:tiny");
    CHECK_FAILS(ehm_model_open(&m, "untrained:giant", &opt, &err), &err, EHM_E_CONFIG,
                "neither a run folder nor a preset");
    CHECK_FAILS(ehm_model_open(&m, ehm_test_tmp(), &opt, &err), &err, EHM_E_MISMATCH, "no model.safetensors");
    CHECK_FAILS(ehm_model_open(&m, ehm_test_path("tests/golden/mae/HOW"), &opt, &err), &err, EHM_E_FORMAT,
                "not a safetensors file");
    CHECK_FAILS(ehm_model_open(&m, NULL, &opt, &err), &err, EHM_E_CONFIG, "no model given");
    opt.dtype = "f8";
    CHECK_FAILS(ehm_model_open(&m, "untrained:pico", &opt, &err), &err, EHM_E_CONFIG, "f8");
    opt.dtype = NULL, opt.device = "abacus";
    CHECK_FAILS(ehm_model_open(&m, "untrained:pico", &opt, &err), &err, EHM_E_CONFIG, "abacus");
    CHECK(!m);
    ehm_model_close(NULL);
}

/* untrained:RUN is the weights before step 1: the configuration's sizes and seed, drawn as training draws
 * them. */
TEST(model, untrained_run_is_the_start) {
    ehm_err err = {0};
    ehm_config c;
    ehm_vit_shape s;
    char dir[512], spec[600], path[600];
    ehm_model *m;
    snprintf(dir, sizeof dir, "%s", ehm_test_tmp());
    snprintf(path, sizeof path, "%s/config.json", dir);
    const char *text =
        "{\"format\": 1, \"settings\": {\"seed\": {\"value\": 41, \"origin\": \"flag\"}, \"norm_pix_loss\": {\"value\": true, \"origin\": \"default\"},"
        " \"fit\": {\"value\": \"stretch\", \"origin\": \"flag\"}, \"recipe\": {\"value\": \"mae\", \"origin\": \"default\"}, \"init\": {\"value\": null, \"origin\": \"default\"}},"
        " \"shape\": {\"img_h\": 32, \"img_w\": 32, \"channels\": 3, \"patch_size\": 4, \"embed_dim\": 128, \"depth\": 1, \"num_heads\": 4, \"mlp_dim\": 512,"
        " \"decoder_embed_dim\": 64, \"decoder_depth\": 2, \"decoder_num_heads\": 2, \"decoder_mlp_dim\": 256},"
        " \"data\": {\"mean\": [0.25, 0.5, 0.75], \"std\": [0.5, 0.25, 0.125]}}";
    REQUIRE_OK(ehm_file_write(path, text, strlen(text), &err), &err);
    snprintf(spec, sizeof spec, "untrained:%s", dir);
    ehm_model_opt opt = {.device = "ref", .dtype = "f32", .batch = 1};
    REQUIRE_OK(ehm_model_open(&m, spec, &opt, &err), &err);
    CHECK_STR(ehm_model_fit(m), "stretch");
    CHECK(ehm_model_norm_pix(m) && ehm_model_has_decoder(m));
    double mean[256], std[256];
    CHECK_INT(ehm_model_stats(m, mean, std), 3);
    CHECK_NEAR(mean[2], 0.75, 0);
    CHECK_NEAR(std[2], 0.125, 0);
    /* The same weights by the method's own way. */
    golden g = {0};
    ehm_config_init(&c);
    c.preset = "pico", c.depth = 1;
    REQUIRE_OK(ehm_vit_shape_of(&s, &c, 32, 32, 3, &err), &err);
    CHECK(ehm_vit_shape_equal(&s, ehm_model_shape(m)));
    REQUIRE_OK(ehm_dev_open(&g.d, "ref", 1, &err), &err);
    REQUIRE_OK(ehm_method_open(&g.m, &c, &s, 1, EHM_F32, false, &err), &err);
    ehm_plan_begin(&g.plan, g.d);
    ehm_method_plan(g.m, &g.plan);
    REQUIRE_OK(ehm_plan_commit(&g.plan, &err), &err);
    ehm_method_plan(g.m, &g.plan);
    REQUIRE_OK(ehm_plan_end(&g.plan, &err), &err);
    ehm_method_init(g.m, g.d, 41);
    REQUIRE_OK(ehm_method_set_stats(g.m, g.d, mean, std, 3, &err), &err);
    uint8_t px[32 * 32 * 3];
    int32_t visible[16], masked[48];
    for (size_t i = 0; i < sizeof px; i++) px[i] = (uint8_t)(i * 31 % 253);
    for (int32_t i = 0; i < 16; i++) visible[i] = 4 * i;
    for (int32_t i = 0, k = 0; i < 64; i++)
        if (i % 4) masked[k++] = i;
    float *a = malloc(64 * 48 * sizeof *a), *b = malloc(64 * 48 * sizeof *b);
    ehm_batch batch = {.n = 1, .pixels = px, .type = EHM_U8};
    REQUIRE_OK(ehm_method_load_masks(g.m, g.d, &batch, visible, masked, 16, &err), &err);
    ehm_method_fwd(g.m, g.d);
    ehm_download(g.d, a, ehm_method_prediction(g.m), 64 * 48 * sizeof *a);
    REQUIRE_OK(ehm_model_reconstruct(m, px, EHM_U8, 1, visible, masked, 16, b, NULL, &err), &err);
    CHECK(!memcmp(a, b, 64 * 48 * sizeof *a));
    free(a), free(b);
    ehm_method_close(g.m);
    ehm_plan_free(&g.plan);
    ehm_dev_close(g.d);
    ehm_model_close(m);
}

/* A file under the published names and nothing else: sizes from its tensors. */
TEST(model, file_of_others) {
    ehm_err err = {0};
    ehm_model *m;
    ehm_model_opt opt = {.device = "ref", .batch = 2};
    REQUIRE_OK(ehm_model_open(&m, ehm_test_path("tests/golden/mae/grey_weights.safetensors"), &opt, &err),
               &err);
    CHECK_INT(ehm_model_shape(m)->embed_dim, 24);
    CHECK(ehm_model_has_decoder(m));
    ehm_model_close(m);
}

typedef struct { int64_t n; float *rows; int64_t dim; const ehm_batch *last; } collected;
static ehm_code collect(void *ctx, const ehm_batch *b, const float *cls, const float *mean,
                        const float *patches, ehm_err *err) {
    collected *c = ctx;
    (void)mean, (void)patches, (void)err;
    memcpy(c->rows + c->n * c->dim, cls, (size_t)b->n * (size_t)c->dim * sizeof *cls);
    c->n += b->n;
    return EHM_OK;
}
static ehm_code refuse(void *ctx, const ehm_batch *b, const float *cls, const float *mean,
                       const float *patches, ehm_err *err) {
    (void)ctx, (void)b, (void)cls, (void)mean, (void)patches;
    return EHM_FAIL(err, EHM_E_ARG, "enough");
}

TEST(model, run_dataset) {
    ehm_err err = {0};
    ehm_model *m;
    ehm_dataset *ds;
    const char *path = "scenes:3:21:64";
    ehm_model_opt opt = {.device = "cpu", .dtype = "f32", .batch = 8};
    REQUIRE_OK(ehm_model_open(&m, "untrained:pico", &opt, &err), &err);
    REQUIRE_OK(ehm_dataset_open(&ds, &(ehm_strs){&path, 1}, &(ehm_dataset_opt){.channels = 3}, &err), &err);
    int64_t D = ehm_model_shape(m)->embed_dim;
    collected a = {.rows = calloc(21, (size_t)D * sizeof(float)), .dim = D},
              b = {.rows = calloc(21, (size_t)D * sizeof(float)), .dim = D};
    REQUIRE_OK(ehm_model_run_dataset(m, ds, 2, false, collect, &a, &err), &err);
    CHECK_INT(a.n, 21);
    REQUIRE_OK(ehm_model_run_dataset(m, ds, 1, true, collect, &b, &err), &err);
    CHECK_INT(b.n, 21);
    CHECK(!memcmp(a.rows, b.rows, 21 * (size_t)D * sizeof(float))); /* any number of workers */
    CHECK(memcmp(a.rows, a.rows + D, (size_t)D * sizeof(float)));
    CHECK_FAILS(ehm_model_run_dataset(m, ds, 1, false, refuse, NULL, &err), &err, EHM_E_ARG, "enough");
    ehm_dataset_close(ds);
    ehm_err_clear(&err);
    REQUIRE_OK(ehm_dataset_open(&ds, &(ehm_strs){&path, 1}, &(ehm_dataset_opt){.channels = 1}, &err), &err);
    CHECK_FAILS(ehm_model_run_dataset(m, ds, 1, false, collect, &a, &err), &err, EHM_E_MISMATCH,
                "1 channels, but the model takes 3");
    ehm_dataset_close(ds);
    free(a.rows), free(b.rows);
    ehm_model_close(m);
}

/* What is learned from one picture leaves nothing of it: every row is constant then, and a constant correlates 0. */
TEST(model, learned_mean_of_one_picture) {
    enum { L = 64, PX = 64 * 64 * 3 };
    ehm_err err = {0};
    ehm_model *m;
    ehm_model_opt opt = {.device = "ref", .dtype = "f32", .batch = 2};
    ehm_affinity_opt all = {.kind = EHM_SIM_RESIDUAL, .n_layers = 4, .layer = {0, 1, 2, 3}}, some = {.kind = EHM_SIM_RESIDUAL, .n_layers = 2, .layer = {1, 3}};
    bool fell_back = false;
    float largest[3] = {0};
    uint8_t *px = malloc(PX);
    float *S = malloc(sizeof *S * L * L);
    for (int32_t i = 0; i < PX; i++) px[i] = (uint8_t)(i * 37 % 251);
    REQUIRE_OK(ehm_model_open(&m, "untrained:pico", &opt, &err), &err);
    for (int k = 0; k < 3; k++) {
        REQUIRE_OK(ehm_model_affinity(m, k < 2 ? &all : &some, px, EHM_U8, 1, S, NULL, NULL, &fell_back, &err), &err);
        CHECK_INT(fell_back, k == 0);
        for (int32_t i = 0; i < L * L; i++) largest[k] = fmaxf(largest[k], i % (L + 1) ? fabsf(S[i]) : 0);
        if (k) continue;
        REQUIRE_OK(ehm_model_learn_mean(m, &all, px, EHM_U8, 1, &err), &err);
        REQUIRE_OK(ehm_model_learn_mean(m, &all, NULL, EHM_U8, 0, &err), &err);
    }
    CHECK(largest[0] > 0.1);
    CHECK(largest[1] < 1e-6 && largest[2] < 1e-6); /* a part of the layers needs no learning of its own */
    all.kind = EHM_SIM_DIRECT;
    CHECK_FAILS(ehm_model_learn_mean(m, &all, px, EHM_U8, 1, &err), &err, EHM_E_ARG, "it is residual's");
    ehm_model_close(m);
    free(px), free(S);
}
