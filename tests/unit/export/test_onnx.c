/* ONNX: the bytes beside those of the protocol buffer's own library, the evaluator beside onnxruntime, written models beside the model that they came from, and files that are
 * broken. That onnxruntime runs what we write is tools/peers/check_onnx.py. */
#include "base/file.h"
#include "base/rng.h"
#include "export/export_int.h"
#include "export/onnx_int.h"
#include "harness.h"
#include "infer/infer.h"
#include "infer/save.h"

typedef struct { int32_t h, w, c, p, dim, depth, heads, mlp; } sizes;
typedef struct { ehm_arena a; ehm_st_tensor t[64]; int32_t n; ehm_weights_info info; } bag;
static const sizes wide = {12, 24, 4, 4, 16, 3, 2, 40}, least = {4, 8, 1, 4, 4, 1, 2, 4}, plain = {16, 16, 3, 4, 24, 2, 3, 96};

/* ---- models ---- */

static void put(bag *b, const char *name, int32_t rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3) {
    int64_t dim[4] = {d0, d1, d2, d3}, count = 1;
    for (int32_t i = 0; i < rank; i++) count *= dim[i];
    float *v = EHM_NEW_N(&b->a, float, count);
    ehm_rng r = ehm_rng_of(ehm_test_seed() + (uint64_t)b->n, EHM_RNG_init, 0, 0);
    bool norm = strstr(name, "norm") && ehm_ends(name, "weight");
    for (int64_t i = 0; i < count; i++) v[i] = (norm ? 1.0f : 0.0f) + 0.2f * (float)ehm_rng_normal(&r);
    ehm_st_tensor *t = &b->t[b->n++];
    *t = (ehm_st_tensor){.name = ehm_arena_strdup(&b->a, name), .dtype = EHM_F32, .rank = rank, .count = count, .data = v, .bytes = (size_t)count * sizeof *v};
    memcpy(t->dim, dim, sizeof dim);
}

static void put_layer(bag *b, const char *name, int64_t out, int64_t in) {
    put(b, ehm_arena_printf(&b->a, "%s.weight", name), in ? 2 : 1, out, in, 0, 0);
    put(b, ehm_arena_printf(&b->a, "%s.bias", name), 1, out, 0, 0, 0);
}

static void put_model(bag *b, const sizes *s) {
    static const char *const part[] = {"norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"};
    int64_t L = (s->h / s->p) * (s->w / s->p), D = s->dim, M = s->mlp;
    const int64_t out[] = {D, 3 * D, D, D, M, D}, in[] = {0, D, D, 0, D, M};
    b->info = (ehm_weights_info){.shape = {.img_h = s->h, .img_w = s->w, .channels = s->c, .patch_size = s->p, .grid_h = s->h / s->p, .grid_w = s->w / s->p, .n_patches = (int32_t)L,
        .embed_dim = s->dim, .depth = s->depth, .num_heads = s->heads, .mlp_dim = s->mlp}, .has_stats = true, .mean = {0.5, 0.25, 0.125, 0.5}, .std = {0.5, 0.25, 0.2, 1}, .fit = "crop"};
    put(b, "cls_token", 3, 1, 1, D, 0), put(b, "pos_embed", 3, 1, 1 + L, D, 0);
    put(b, "patch_embed.proj.weight", 4, D, s->c, s->p, s->p), put(b, "patch_embed.proj.bias", 1, D, 0, 0, 0);
    for (int32_t i = 0; i < s->depth; i++)
        for (int32_t k = 0; k < 6; k++) put_layer(b, ehm_arena_printf(&b->a, "blocks.%d.%s", (int)i, part[k]), out[k], in[k]);
    put_layer(b, "norm", D, 0);
}

static const char *in_tmp(bag *b, const char *name) { return ehm_arena_printf(&b->a, "%s/%s", ehm_test_tmp(), name); }

static ehm_st *st_of(bag *b, const char *task) {
    ehm_st *st;
    ehm_err err = {0};
    ehm_st_meta meta = {"task", task};
    REQUIRE_OK(ehm_st_from(&st, b->t, b->n, &meta, task != NULL, NULL, NULL, &err), &err);
    return st;
}

static void write_it(bag *b, const char *path, const ehm_onnx_opt *o, const char *task) {
    ehm_err err = {0};
    ehm_st *st = st_of(b, task);
    REQUIRE_OK(ehm_onnx_write(path, st, &b->info, o, &err), &err);
    ehm_st_close(st);
}

static ehm_bytes bytes_of(bag *b, const char *path) {
    ehm_bytes v;
    ehm_err err = {0};
    REQUIRE_OK(ehm_file_read(&v, path, &b->a, &err), &err);
    return v;
}

static bool holds(ehm_bytes v, const char *text) { return memmem(v.data, v.len, text, strlen(text)) != NULL; }

/* ---- beside the model ---- */

/* Pictures from 0 to 1 [n,H,W,C] and the same normalised [n,C,H,W]. */
static void pictures(bag *b, int32_t n, float **plain_out, float **normal_out, const double *mean, const double *std) {
    const ehm_vit_shape *s = &b->info.shape;
    int64_t area = (int64_t)s->img_h * s->img_w, C = s->channels;
    float *px = EHM_NEW_N(&b->a, float, n * area * C), *nx = EHM_NEW_N(&b->a, float, n * area * C);
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_augment, 0, 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < area; k++)
            for (int64_t c = 0; c < C; c++) {
                float v = px[(i * area + k) * C + c] = (float)ehm_rng_below(&r, 1000) / 1000;
                nx[(i * C + c) * area + k] = (float)(((double)v - mean[c]) / std[c]);
            }
    *plain_out = px, *normal_out = nx;
}

/* The graph of this file says of pictures what the model says; n: how many. */
static void check_features(bag *b, const char *path, ehm_model *m, int32_t n) {
    ehm_err err = {0};
    double mean[256], std[256];
    float *px, *nx;
    b->info.shape = *ehm_model_shape(m);
    ehm_model_stats(m, mean, std);
    pictures(b, n, &px, &nx, mean, std);
    int64_t D = b->info.shape.embed_dim, L = b->info.shape.n_patches, count = (int64_t)n * b->info.shape.channels * b->info.shape.img_h * b->info.shape.img_w;
    float *cls = EHM_NEW_N(&b->a, float, n * D), *avg = EHM_NEW_N(&b->a, float, n * D), *patches = EHM_NEW_N(&b->a, float, n * L * D);
    float *got_cls = EHM_NEW_N(&b->a, float, n * D), *got_avg = EHM_NEW_N(&b->a, float, n * D), *got = EHM_NEW_N(&b->a, float, n * (1 + L) * D);
    REQUIRE_OK(ehm_model_tokens(m, px, EHM_F32, n, cls, avg, patches, &err), &err);
    const ehm_onnx_want want[] = {{"last_hidden_state", got, n * (1 + L) * D}, {"pooled_cls", got_cls, n * D}, {"pooled_mean", got_avg, n * D}};
    REQUIRE_OK(ehm_onnx_run_wants(want, 3, path, nx, count, n, &err), &err);
    CHECK_CLOSE_F32(got_cls, cls, n * D, 2e-5);
    CHECK_CLOSE_F32(got_avg, avg, n * D, 2e-5);
    for (int32_t i = 0; i < n; i++) {
        CHECK_CLOSE_F32(got + i * (1 + L) * D, cls + i * D, D, 2e-5);
        CHECK_CLOSE_F32(got + (i * (1 + L) + 1) * D, patches + i * L * D, L * D, 2e-5);
    }
    float *one = EHM_NEW_N(&b->a, float, n * D);
    REQUIRE_OK(ehm_onnx_run(one, n * D, path, "pooled_mean", nx, count, n, &err), &err);
    CHECK(!memcmp(one, got_avg, (size_t)(n * D) * sizeof *one));
}

static ehm_model *open_model(bag *b, const char *spec) {
    ehm_model *m;
    ehm_err err = {0};
    ehm_model_opt o = {.device = "ref", .dtype = "f32", .batch = 8};
    (void)b;
    REQUIRE_OK(ehm_model_open(&m, spec, &o, &err), &err);
    return m;
}

/* As a file of ours, so that the model's own code can open it. */
static const char *save(bag *b) {
    ehm_err err = {0};
    const char *path = in_tmp(b, "m.safetensors");
    ehm_st_meta meta[EHM_WEIGHTS_META_MAX];
    int32_t n = ehm_weights_meta(meta, &b->info, true, &b->a);
    REQUIRE(n > 0);
    REQUIRE_OK(ehm_st_write(path, b->t, b->n, meta, n, &err), &err);
    return path;
}

TEST(onnx, untrained_pico) {
    bag b = {.n = 0};
    ehm_err err = {0};
    ehm_st *st;
    ehm_weights_info info;
    bool guessed;
    const char *weights = in_tmp(&b, "p.safetensors"), *path = in_tmp(&b, "p.onnx");
    ehm_model *m = open_model(&b, "untrained:pico");
    REQUIRE_OK(ehm_model_save_full(m, weights, &err), &err); /* the decoder stays behind */
    REQUIRE_OK(ehm_st_open(&st, weights, &err), &err);
    REQUIRE_OK(ehm_weights_describe(&info, st, &guessed, &err), &err);
    for (int32_t any = 0; any < 2; any++) {
        REQUIRE_OK(ehm_onnx_write(path, st, &info, &(ehm_onnx_opt){.dynamic_batch = any}, &err), &err);
        check_features(&b, path, m, 3);
    }
    CHECK(!holds(bytes_of(&b, path), "decoder"));
    ehm_st_close(st), ehm_model_close(m);
    ehm_arena_free(&b.a);
}

TEST(onnx, wide_pictures_of_four_channels_in_every_opset) {
    bag b = {.n = 0};
    put_model(&b, &wide);
    ehm_model *m = open_model(&b, save(&b));
    for (int64_t opset = EHM_ONNX_OPSET_MIN; opset <= EHM_ONNX_OPSET_MAX; opset++) {
        const char *path = in_tmp(&b, ehm_arena_printf(&b.a, "%d.onnx", (int)opset));
        write_it(&b, path, &(ehm_onnx_opt){.opset = opset, .dynamic_batch = opset % 2}, NULL);
        check_features(&b, path, m, 5);
        CHECK(holds(bytes_of(&b, path), "Gelu") == (opset >= 20));
    }
    ehm_model_close(m);
    ehm_arena_free(&b.a);
}

/* Weights of any float type are written as f32. */
TEST(onnx, other_types_of_weights) {
    bag b = {.n = 0};
    put_model(&b, &plain);
    write_it(&b, in_tmp(&b, "a.onnx"), &(ehm_onnx_opt){.dynamic_batch = true}, NULL);
    for (int32_t i = 0; i < b.n; i++) {
        double *v = EHM_NEW_N(&b.a, double, b.t[i].count);
        for (int64_t k = 0; k < b.t[i].count; k++) v[k] = (double)((const float *)b.t[i].data)[k];
        b.t[i].data = v, b.t[i].dtype = EHM_F64, b.t[i].bytes *= 2;
    }
    write_it(&b, in_tmp(&b, "b.onnx"), &(ehm_onnx_opt){.dynamic_batch = true}, NULL);
    ehm_bytes one = bytes_of(&b, in_tmp(&b, "a.onnx")), two = bytes_of(&b, in_tmp(&b, "b.onnx"));
    CHECK(one.len == two.len && !memcmp(one.data, two.data, one.len)); /* and the same bytes twice */
    ehm_arena_free(&b.a);
}

/* ---- classifiers ---- */

static double dot(const ehm_st_tensor *w, int64_t row, const double *v) {
    double sum = 0;
    for (int64_t k = 0; k < w->dim[1]; k++) sum += (double)((const float *)w->data)[row * w->dim[1] + k] * v[k];
    return sum;
}

static const ehm_st_tensor *made(const bag *b, const char *name) {
    for (int32_t i = 0; i < b->n; i++)
        if (!strcmp(b->t[i].name, name)) return &b->t[i];
    return NULL;
}

static float number(const bag *b, const char *name, int64_t i) { return ((const float *)made(b, name)->data)[i]; }

/* mean: through fc_norm, without a final norm of the encoder. */
static void check_classifier(bool mean) {
    enum { K = 3, N = 4 };
    bag b = {.n = 0};
    ehm_err err = {0};
    float *px, *nx, got[N * K];
    put_model(&b, &wide);
    ehm_model *m = open_model(&b, save(&b));
    int64_t D = wide.dim, T = 1 + (int64_t)b.info.shape.n_patches, count = (int64_t)N * wide.c * wide.h * wide.w;
    float *tokens = EHM_NEW_N(&b.a, float, N * T * D), *cls = EHM_NEW_N(&b.a, float, N * D);
    if (mean) b.n -= 2, put_layer(&b, "fc_norm", D, 0);
    put_layer(&b, "head", K, D);
    const char *path = in_tmp(&b, "c.onnx");
    write_it(&b, path, &(ehm_onnx_opt){.dynamic_batch = true, .pool = mean ? "mean" : NULL}, "{\"name\": \"finetune\", \"classes\": [\"cat\", \"a \\\"b\\\"\", \"\xc3\xa9lan\"]}");
    ehm_bytes bytes = bytes_of(&b, path);
    CHECK(holds(bytes, "[\"cat\",\"a \\\"b\\\"\",\"\xc3\xa9lan\"]") || holds(bytes, "[\"cat\", \"a \\\"b\\\"\", \"\xc3\xa9lan\"]"));
    CHECK(holds(bytes, "head/Gemm"));
    pictures(&b, N, &px, &nx, b.info.mean, b.info.std);
    REQUIRE_OK(ehm_model_hidden(m, px, EHM_F32, N, -1, tokens, &err), &err); /* before the norm */
    REQUIRE_OK(ehm_model_features(m, px, EHM_F32, N, EHM_POOL_CLS, cls, &err), &err);
    REQUIRE_OK(ehm_onnx_run(got, N * K, path, "logits", nx, count, N, &err), &err);
    for (int64_t i = 0; i < N; i++) {
        double f[64], mu = 0, var = 0;
        for (int64_t c = 0; c < D; c++) {
            f[c] = 0;
            for (int64_t t = 1; t < T; t++) f[c] += (double)tokens[(i * T + t) * D + c] / (double)(T - 1);
            mu += f[c] / (double)D;
        }
        for (int64_t c = 0; c < D; c++) var += (f[c] - mu) * (f[c] - mu) / (double)D;
        for (int64_t c = 0; c < D; c++)
            f[c] = mean ? (f[c] - mu) / sqrt(var + 1e-6) * (double)number(&b, "fc_norm.weight", c) + (double)number(&b, "fc_norm.bias", c) : (double)cls[i * D + c];
        for (int64_t k = 0; k < K; k++) CHECK_NEAR(got[i * K + k], dot(made(&b, "head.weight"), k, f) + (double)number(&b, "head.bias", k), 2e-5);
    }
    ehm_model_close(m);
    ehm_arena_free(&b.a);
}

TEST(onnx, classifier_of_the_class_token) { check_classifier(false); }
TEST(onnx, classifier_of_the_mean) { check_classifier(true); }

/* ---- beside the tools of others ---- */

/* The version of the program is no part of the comparison. */
static ehm_bytes without_version(ehm_bytes v) {
    static const uint8_t head[] = {0x08, 8, 0x12, 3, 'e', 'h', 'm', 0x1a};
    REQUIRE(v.len > 64 && !memcmp(v.data, head, sizeof head));
    size_t skip = sizeof head + 1 + v.data[sizeof head];
    return (ehm_bytes){v.data + skip, v.len - skip};
}

TEST(onnx, bytes_as_the_protocol_buffer_library_has_them) {
    bag b = {.n = 0};
    ehm_err err = {0};
    ehm_onnx_build g;
    const float w[] = {0, 0.25f, 0.5f, 0.75f, 1, 1.25f}, scale[] = {1, -2}, shift[] = {0.25f, 300};
    const ehm_st_tensor tw = {.name = "w", .dtype = EHM_F32, .rank = 2, .dim = {2, 3}, .count = 6, .data = w, .bytes = sizeof w};
    const ehm_st_tensor tg = {.name = "g", .dtype = EHM_F32, .rank = 1, .dim = {2}, .count = 2, .data = scale, .bytes = sizeof scale};
    const ehm_st_tensor tb = {.name = "b", .dtype = EHM_F32, .rank = 1, .dim = {2}, .count = 2, .data = shift, .bytes = sizeof shift};
    char longer[201];
    memset(longer, 'x', 200), longer[200] = 0;
    REQUIRE_OK(ehm_onnx_build_start(&g, &(ehm_onnx_opt){.dynamic_batch = true}, 8, &err), &err);
    ehm_onnx_value(&g, true, "pixel_values", 4, (const int64_t[]){1, 3, 2, 2});
    ehm_onnx_node(&g, "turned", "Transpose", (const char *const[]){"pixel_values", NULL}, NULL, (const ehm_onnx_attr[]){{.name = "perm", .type = ATTR_TYPE_INTS, .n = 4, .ints = {0, 2, 3, 1}}, {0}});
    ehm_onnx_node(&g, "a/Reshape", "Reshape", (const char *const[]){"turned", ehm_onnx_ints(&g, "shape", 3, (const int64_t[]){0, -1, 3}), NULL}, NULL, NULL);
    ehm_onnx_node(&g, "a/MatMul", "MatMul", (const char *const[]){"a/Reshape", ehm_onnx_weight(&g, "w.T", &tw, true), NULL}, NULL, NULL);
    ehm_onnx_node(&g, "a/Mul", "Mul", (const char *const[]){"a/MatMul", ehm_onnx_number(&g, "scale", 0.5f), NULL}, NULL, NULL);
    const char *weight = ehm_onnx_weight(&g, "g", &tg, false), *bias = ehm_onnx_weight(&g, "b", &tb, false);
    ehm_onnx_node(&g, "n/LayerNormalization", "LayerNormalization", (const char *const[]){"a/Mul", weight, bias, NULL}, (const char *const[]){"out", NULL},
                  (const ehm_onnx_attr[]){{.name = "axis", .type = ATTR_TYPE_INT, .i = -1}, {.name = "epsilon", .type = ATTR_TYPE_FLOAT, .f = 1e-6f}, {0}});
    ehm_onnx_int(&g, "index", INT64_MAX);
    ehm_onnx_value(&g, false, "out", 3, (const int64_t[]){1, 4, 2});
    ehm_onnx_prop(&g, "patch_size", "4"), ehm_onnx_prop(&g, "edge", longer + 72), ehm_onnx_prop(&g, "long", longer); /* 127 is the last length of one byte */
    REQUIRE_OK(ehm_onnx_build_write(in_tmp(&b, "b.onnx"), &g, &err), &err);
    ehm_onnx_build_free(&g);
    ehm_bytes got = without_version(bytes_of(&b, in_tmp(&b, "b.onnx"))), want = without_version(bytes_of(&b, ehm_test_path("tests/golden/onnx/bytes.onnx")));
    CHECK_INT(got.len, want.len);
    for (size_t i = 0; i < got.len && i < want.len; i++)
        if (got.data[i] != want.data[i]) {
            ehm_test_fail(__FILE__, __LINE__, "byte %zu is %02x, expected %02x", i, got.data[i], want.data[i]);
            break;
        }
    ehm_arena_free(&b.a);
}

static const float *check_golden(bag *b, const char *name, const float *x, const float *want, const ehm_onnx_want *outs, int32_t n) {
    ehm_err err = {0};
    ehm_onnx_want w[EHM_ONNX_ARGS];
    for (int32_t i = 0; i < n; i++) w[i] = outs[i], w[i].out = EHM_NEW_N(&b->a, float, outs[i].count);
    REQUIRE_OK(ehm_onnx_run_wants(w, n, ehm_test_path(name), x, 2 * 3 * 4 * 6, 2, &err), &err);
    for (int32_t i = 0; i < n; want += w[i++].count)
        if (!ehm_test_close_f32(__FILE__, __LINE__, w[i].name, w[i].out, want, w[i].count, 2e-6)) printf("  in %s\n", name);
    return want;
}

TEST(onnx, operators_as_onnxruntime_has_them) {
    static const ehm_onnx_want first[] = {{"conv_over", NULL, 2 * 9 * 3 * 3}, {"mean", NULL, 2 * 16}, {"mean_kept", NULL, 2 * 4}, {"batched", NULL, 3 * 2 * 4 * 3},
        {"softmax", NULL, 3 * 2 * 4 * 4}, {"norm", NULL, 3 * 2 * 4 * 11}, {"split1", NULL, 2 * 4 * 9}, {"same", NULL, 2 * 7}};
    static const ehm_onnx_want second[] = {{"erf", NULL, 3 * 2 * 4 * 16}, {"slice", NULL, 2 * 3 * 16}, {"slice_end", NULL, 2 * 4 * 7}, {"mean", NULL, 2 * 16}, {"mean_kept", NULL, 2 * 4},
        {"gelu", NULL, 3 * 2 * 4 * 16}};
    bag b = {.n = 0};
    ehm_bytes v = bytes_of(&b, ehm_test_path("tests/golden/onnx/ops.f32"));
    const float *x = (const float *)(const void *)v.data, *at = x + 2 * 3 * 4 * 6;
    at = check_golden(&b, "tests/golden/onnx/ops_17.onnx", x, at, first, 8);
    at = check_golden(&b, "tests/golden/onnx/ops_20.onnx", x, at, second, 6);
    CHECK_INT((const uint8_t *)at - v.data, v.len);
    ehm_arena_free(&b.a);
}

/* ---- what is refused ---- */

TEST(onnx, models_that_cannot_be_written) {
    bag b = {.n = 0};
    ehm_err err = {0};
    put_model(&b, &least);
    const char *path = in_tmp(&b, "x.onnx");
    ehm_st *st = st_of(&b, NULL);
    CHECK_FAILS(ehm_onnx_write(path, st, &b.info, &(ehm_onnx_opt){.opset = 16}, &err), &err, EHM_E_CONFIG, "--opset 16: must be 17 to 21");
    CHECK_FAILS(ehm_onnx_write(path, st, &b.info, &(ehm_onnx_opt){.opset = 22}, &err), &err, EHM_E_CONFIG, "17 to 21");
    CHECK_FAILS(ehm_onnx_write(path, st, &b.info, &(ehm_onnx_opt){.pool = "max"}, &err), &err, EHM_E_CONFIG, "pool max");
    b.info.shape.mlp_dim++;
    CHECK_FAILS(ehm_onnx_write(path, st, &b.info, &(ehm_onnx_opt){0}, &err), &err, EHM_E_MISMATCH, "blocks.0.mlp.fc1.weight");
    b.info.shape.mlp_dim--, b.info.shape.depth++;
    CHECK_FAILS(ehm_onnx_write(path, st, &b.info, &(ehm_onnx_opt){0}, &err), &err, EHM_E_MISMATCH, "\"blocks.1.norm1.weight\" is missing");
    ehm_st_close(st);
    b.info.shape.depth--, put_layer(&b, "head", 3, least.dim);
    st = st_of(&b, "{\"classes\": [\"a\", \"b\"]}");
    CHECK_FAILS(ehm_onnx_write(path, st, &b.info, &(ehm_onnx_opt){0}, &err), &err, EHM_E_FORMAT, "names 2 classes, the head has 3");
    ehm_st_close(st);
    CHECK(!ehm_file_exists(path));
    ehm_arena_free(&b.a);
}

/* All weights share one stretch of memory that is never touched. */
TEST(onnx, two_gigabytes_are_the_end) {
    static const sizes huge = {224, 224, 3, 14, 1280, 32, 16, 5120};
    bag b = {.n = 0};
    ehm_err err = {0};
    ehm_st_tensor t[400];
    int32_t n = 0;
    put_model(&b, &least);
    float *v = calloc(1280 * 5120, sizeof *v);
    REQUIRE(v != NULL);
    for (int32_t i = -1; i < huge.depth; i++)
        for (int32_t k = 0; k < b.n; k++) {
            bool of_block = ehm_starts(b.t[k].name, "blocks.0.");
            if (of_block == (i < 0)) continue;
            t[n] = b.t[k], t[n].count = 1, t[n].data = v;
            if (of_block) t[n].name = ehm_arena_printf(&b.a, "blocks.%d.%s", (int)i, b.t[k].name + strlen("blocks.0."));
            for (int32_t d = 0; d < t[n].rank; d++) {
                int64_t *dim = &t[n].dim[d];
                bool mlp = (strstr(t[n].name, "fc1") && d == 0) || (strstr(t[n].name, "fc2") && d == 1);
                if (strstr(t[n].name, "patch_embed.proj.weight") && d) *dim = d == 1 ? 3 : 14;
                else if (ehm_ends(t[n].name, "pos_embed") && d == 1) *dim = 257;
                else *dim = mlp ? 5120 : *dim == 1 ? 1 : *dim == 3 * least.dim ? 3 * 1280 : 1280;
                t[n].count *= *dim;
            }
            t[n].bytes = (size_t)t[n].count * sizeof *v;
            n++;
        }
    b.info.shape = (ehm_vit_shape){.img_h = 224, .img_w = 224, .channels = 3, .patch_size = 14, .grid_h = 16, .grid_w = 16, .n_patches = 256, .embed_dim = 1280, .depth = 32, .num_heads = 16,
                                   .mlp_dim = 5120};
    ehm_st *st;
    REQUIRE_OK(ehm_st_from(&st, t, n, NULL, 0, NULL, NULL, &err), &err);
    CHECK_FAILS(ehm_onnx_write(in_tmp(&b, "x.onnx"), st, &b.info, &(ehm_onnx_opt){0}, &err), &err, EHM_E_UNSUPPORTED, "2.35 GiB");
    CHECK(!ehm_file_exists(in_tmp(&b, "x.onnx")));
    ehm_st_close(st);
    free(v);
    ehm_arena_free(&b.a);
}

static void patch(bag *b, const char *from, const char *to, const char *old, const char *new) {
    ehm_err err = {0};
    ehm_bytes v = bytes_of(b, from);
    uint8_t *p = memmem(v.data, v.len, old, strlen(old));
    REQUIRE(p && strlen(old) == strlen(new));
    memcpy(p, new, strlen(new));
    REQUIRE_OK(ehm_file_write(to, v.data, v.len, &err), &err);
}

TEST(onnx, files_that_are_not_run) {
    bag b = {.n = 0};
    ehm_err err = {0};
    float out[64], px[32] = {0};
    put_model(&b, &least);
    const char *good = in_tmp(&b, "m.onnx"), *bad = in_tmp(&b, "x.onnx");
    write_it(&b, good, &(ehm_onnx_opt){0}, NULL);
    CHECK_OK(ehm_onnx_run(out, 4, good, "pooled_cls", px, 32, 1, &err), &err);
    CHECK_FAILS(ehm_onnx_run(out, 4, good, "pooled", px, 32, 1, &err), &err, EHM_E_MISMATCH, "no output \"pooled\"");
    CHECK_FAILS(ehm_onnx_run(out, 5, good, "pooled_cls", px, 32, 1, &err), &err, EHM_E_MISMATCH, "4 numbers for 1 pictures, 5");
    CHECK_FAILS(ehm_onnx_run(out, 4, good, "pooled_cls", px, 31, 1, &err), &err, EHM_E_MISMATCH, "1x4x8");
    CHECK_FAILS(ehm_onnx_run(out, 4, good, "pooled_cls", px, 32, 0, &err), &err, EHM_E_ARG, "0 pictures");
    CHECK_FAILS(ehm_onnx_run(out, 4, in_tmp(&b, "none"), "pooled_cls", px, 32, 1, &err), &err, EHM_E_IO, "none");
    patch(&b, good, bad, "\"\x07Softmax", "\"\x07Softmix");
    CHECK_FAILS(ehm_onnx_run(out, 4, bad, "pooled_cls", px, 32, 1, &err), &err, EHM_E_UNSUPPORTED, "\"blocks.0.attn/Softmax\" is the operator \"Softmix\"");
    patch(&b, good, bad, "epsilon", "epsilom");
    CHECK_FAILS(ehm_onnx_run(out, 4, bad, "pooled_cls", px, 32, 1, &err), &err, EHM_E_UNSUPPORTED, "\"epsilom\"");
    patch(&b, good, bad, "blocks.0.attn.qkv/MatMul", "blocks.0.attn.qkv/MatMat");
    CHECK_FAILS(ehm_onnx_run(out, 4, bad, "pooled_cls", px, 32, 1, &err), &err, EHM_E_FORMAT, "which nothing before it makes");
    CHECK_OK(ehm_file_write(bad, "GIF89a", 6, &err), &err);
    CHECK_FAILS(ehm_onnx_run(out, 4, bad, "pooled_cls", px, 32, 1, &err), &err, EHM_E_FORMAT, "not a good ONNX file");
    ehm_arena_free(&b.a);
}

/* A tensor's shape and its bytes have to agree, both ways. */
TEST(onnx, hostile_sizes) {
    static const struct { const char *to, *what; } bad[] = {
        {"\x08\x02\x10\x01\x42\x09norm.bias", "\"norm.bias\" has 16 bytes for 2 numbers"},
        {"\x08\x05\x10\x01\x42\x09norm.bias", "\"norm.bias\" has 16 bytes for 5 numbers"},
        {"\x08\x04\x10\x07\x42\x09norm.bias", "\"norm.bias\" has 16 bytes for 4 numbers"},
        {"\x08\x04\x10\x0b\x42\x09norm.bias", "\"norm.bias\" has type 11"},
        {"\x08\x04\x10\x01\x42\x7fnorm.bias", "not a good ONNX file"},
    };
    bag b = {.n = 0};
    ehm_err err = {0};
    float out[8], px[32] = {0};
    put_model(&b, &least);
    const char *good = in_tmp(&b, "m.onnx"), *path = in_tmp(&b, "x.onnx");
    write_it(&b, good, &(ehm_onnx_opt){0}, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        patch(&b, good, path, "\x08\x04\x10\x01\x42\x09norm.bias", bad[i].to);
        ehm_err_clear(&err);
        CHECK(ehm_onnx_run(out, 4, path, "pooled_cls", px, 32, 1, &err));
        CHECK_HAS(err.what, bad[i].what);
    }
    ehm_arena_free(&b.a);
}

/* Whatever the bytes are, there is an answer. */
static ehm_code run_bytes(bag *b, const char *path, const uint8_t *v, size_t n, float *out) {
    ehm_err err = {0};
    float px[2 * 32] = {0};
    FILE *f = fopen(path, "wb"); /* thousands of times: not synced */
    (void)b;
    REQUIRE(f && fwrite(v, 1, n, f) == n && !fclose(f));
    ehm_code rc = ehm_onnx_run(out, 8, path, "pooled_mean", px, 64, 2, &err);
    if (rc && rc != EHM_E_FORMAT && rc != EHM_E_UNSUPPORTED && rc != EHM_E_MISMATCH) ehm_test_fail(__FILE__, __LINE__, "%zu bytes gave %s: %s", n, ehm_code_name(rc), err.what);
    if (rc && !*err.what) ehm_test_fail(__FILE__, __LINE__, "an error without words");
    return rc;
}

TEST(onnx, hostile_bytes) {
    bag b = {.n = 0};
    float out[8];
    int32_t n_bad = 0, n_flips = 600;
    ehm_rng r = ehm_rng_of(ehm_test_seed(), EHM_RNG_mask, 0, 0);
    put_model(&b, &least);
    write_it(&b, in_tmp(&b, "m.onnx"), &(ehm_onnx_opt){.dynamic_batch = true}, NULL);
    const char *path = in_tmp(&b, "x.onnx");
    ehm_bytes v = bytes_of(&b, in_tmp(&b, "m.onnx"));
    CHECK_INT(run_bytes(&b, path, v.data, v.len, out), EHM_OK);
    for (size_t n = 0; n + 400 < v.len; n += 1 + n / 60) CHECK(run_bytes(&b, path, v.data, n, out) != EHM_OK); /* the graph itself is cut */
    for (size_t n = v.len - 400; n < v.len; n += 7) run_bytes(&b, path, v.data, n, out);
    for (int32_t i = 0; i < n_flips; i++) {
        size_t at = ehm_rng_below(&r, (uint32_t)v.len), many = 1 + ehm_rng_below(&r, 3);
        uint8_t keep[4];
        if (at + many > v.len) continue;
        memcpy(keep, v.data + at, many);
        for (size_t k = 0; k < many; k++) v.data[at + k] ^= (uint8_t)(1u << ehm_rng_below(&r, 8));
        n_bad += run_bytes(&b, path, v.data, v.len, out) != EHM_OK;
        memcpy(v.data + at, keep, many);
    }
    CHECK(n_bad > n_flips / 4);
    ehm_arena_free(&b.a);
}

/* ---- ehm export ---- */

/* The check after writing sees a weight that is off. */
TEST(onnx, the_check_bites) {
    bag b = {.n = 0};
    ehm_err err = {0};
    ehm_export_result res;
    ehm_export_features want;
    ehm_export_opt o = {.device = "ref"};
    double worst;
    put_model(&b, &plain);
    const char *m = save(&b), *path = in_tmp(&b, "m.onnx"), *bad = in_tmp(&b, "x.onnx");
    REQUIRE_OK(ehm_export(&res, m, "onnx", path, &o, &b.a, &err), &err);
    CHECK(res.max_difference <= 1e-5);
    CHECK_INT(res.n_checked, 8);
    CHECK_HAS(res.load_with, "[1, 3, 16, 16]");
    ehm_exporting x = {.a = &b.a, .spec = m, .path = path, .opt = &o, .temp = ehm_arena_printf(&b.a, "%s.part", path), .kind = EHM_EXPORT_ONNX};
    REQUIRE_OK(ehm_exporting_open(&x, &err), &err);
    REQUIRE_OK(ehm_export_look(&want, &x, &err), &err);
    REQUIRE_OK(ehm_export_check(&worst, &x, path, &want, &err), &err);
    ehm_bytes v = bytes_of(&b, path);
    const ehm_st_tensor *bias = made(&b, "blocks.1.attn.proj.bias");
    uint8_t *at = memmem(v.data, v.len, bias->data, bias->bytes);
    REQUIRE(at != NULL);
    float first;
    memcpy(&first, at, sizeof first), first += 0.01f, memcpy(at, &first, sizeof first);
    REQUIRE_OK(ehm_file_write(bad, v.data, v.len, &err), &err);
    CHECK_FAILS(ehm_export_check(&worst, &x, bad, &want, &err), &err, EHM_E_MISMATCH, "differ from the model's");
    ehm_exporting_close(&x);
    ehm_arena_free(&b.a);
}
