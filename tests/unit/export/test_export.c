/* Exports of small models: names, rows, shapes and settings as the other tools' documentation has them, what is refused, and the check that looks at the result. That the
 * tools themselves load them is tools/test_peers.sh. */
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "export/export_int.h"
#include "harness.h"
#include <unistd.h>

enum { MAX_TENSORS = 128 };
typedef struct { int32_t h, w, c, p, dim, depth, heads, mlp, ddim, ddepth, dheads; } sizes;
static const sizes square = {16, 16, 3, 4, 24, 2, 3, 96, 12, 1, 3}, wide = {12, 24, 4, 4, 16, 3, 2, 40, 0, 0, 0}, wide_full = {12, 24, 3, 4, 16, 2, 2, 64, 8, 1, 2};
typedef struct { ehm_arena a; ehm_st_tensor t[MAX_TENSORS]; int32_t n; uint64_t seed; } bag;

/* rows x cols numbers of about the size that training leaves; norms' weights are around 1. */
static void put(bag *b, const char *name, int32_t rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3) {
    int64_t dim[4] = {d0, d1, d2, d3}, count = 1;
    for (int32_t i = 0; i < rank; i++) count *= dim[i];
    float *v = EHM_NEW_N(&b->a, float, count);
    ehm_rng r = ehm_rng_of(++b->seed, EHM_RNG_init, 0, 0);
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

static void put_blocks(bag *b, const char *prefix, int32_t depth, int64_t D, int64_t M) {
    static const char *const part[] = {"norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"};
    const int64_t out[] = {D, 3 * D, D, D, M, D}, in[] = {0, D, D, 0, D, M};
    for (int32_t i = 0; i < depth; i++)
        for (int32_t k = 0; k < 6; k++) put_layer(b, ehm_arena_printf(&b->a, "%s.%d.%s", prefix, (int)i, part[k]), out[k], in[k]);
}

static void put_model(bag *b, const sizes *s, bool norm) {
    int64_t N = 1 + (s->h / s->p) * (s->w / s->p), D = s->dim, E = s->ddim;
    put(b, "cls_token", 3, 1, 1, D, 0), put(b, "pos_embed", 3, 1, N, D, 0);
    put(b, "patch_embed.proj.weight", 4, D, s->c, s->p, s->p), put(b, "patch_embed.proj.bias", 1, D, 0, 0, 0);
    put_blocks(b, "blocks", s->depth, D, s->mlp);
    if (norm) put_layer(b, "norm", D, 0);
    if (!E) return;
    put(b, "mask_token", 3, 1, 1, E, 0), put(b, "decoder_pos_embed", 3, 1, N, E, 0);
    put_layer(b, "decoder_embed", E, D);
    put_blocks(b, "decoder_blocks", s->ddepth, E, 4 * E);
    put_layer(b, "decoder_norm", E, 0), put_layer(b, "decoder_pred", s->p * s->p * s->c, E);
}

static int32_t put_meta(ehm_st_meta *m, bag *b, const sizes *s, const char *task) {
    const struct { const char *key; int32_t v; } size[] = {{"img_h", s->h}, {"img_w", s->w}, {"channels", s->c}, {"patch_size", s->p}, {"embed_dim", s->dim}, {"depth", s->depth},
        {"num_heads", s->heads}, {"mlp_dim", s->mlp}, {"decoder_embed_dim", s->ddim}, {"decoder_depth", s->ddepth}, {"decoder_num_heads", s->dheads}, {"decoder_mlp_dim", 4 * s->ddim}};
    int32_t n = 0;
    for (int32_t i = 0; i < (s->ddim ? 12 : 8); i++) m[n++] = (ehm_st_meta){size[i].key, ehm_arena_printf(&b->a, "%d", (int)size[i].v)};
    m[n++] = (ehm_st_meta){"norm_pix_loss", "true"};
    m[n++] = (ehm_st_meta){"mean", s->c == 4 ? "0.5,0.4,0.3,0.2" : "0.5,0.4,0.3"};
    m[n++] = (ehm_st_meta){"std", s->c == 4 ? "0.25,0.2,0.3,0.35" : "0.25,0.2,0.3"};
    m[n++] = (ehm_st_meta){"fit", "crop"}, m[n++] = (ehm_st_meta){"recipe", "mae"}, m[n++] = (ehm_st_meta){"mask", "random"};
    if (task) m[n++] = (ehm_st_meta){"task", task};
    return n;
}

static const char *in_tmp(bag *b, const char *name) {
    static char top[512]; /* one folder for the case: ehm_test_tmp makes it once */
    snprintf(top, sizeof top, "%s", ehm_test_tmp());
    return ehm_arena_printf(&b->a, "%s/%s", top, name);
}

static const char *save(bag *b, const sizes *s, const char *name, const char *task) {
    ehm_st_meta meta[32];
    ehm_err err = {0};
    const char *path = in_tmp(b, name);
    int32_t n = put_meta(meta, b, s, task);
    REQUIRE_OK(ehm_st_write(path, b->t, b->n, meta, n, &err), &err);
    return path;
}

static const char *plain_model(bag *b, const sizes *s) {
    put_model(b, s, true);
    return save(b, s, "m.safetensors", NULL);
}

/* A fine-tuned network as ehm eval finetune --save leaves it. */
static const char *classifier(bag *b, const sizes *s, const char *pool) {
    bool cls = !strcmp(pool, "cls");
    put_model(b, s, cls);
    if (!cls) put_layer(b, "fc_norm", s->dim, 0);
    put_layer(b, "head", 3, s->dim);
    return save(b, s, "c.safetensors", ehm_arena_printf(&b->a, "{\"name\": \"finetune\", \"pool\": \"%s\", \"classes\": [\"cat\", \"dog \\\"x\\\"\", \"élan\"]}", pool));
}

static const ehm_st_tensor *made(const bag *b, const char *name) {
    for (int32_t i = 0; i < b->n; i++)
        if (!strcmp(b->t[i].name, name)) return &b->t[i];
    return NULL;
}

static ehm_export_result export_to(bag *b, const char *model, const char *format, const char *path, ehm_export_opt o) {
    ehm_err err = {0};
    ehm_export_result r;
    o.device = "ref";
    REQUIRE_OK(ehm_export(&r, model, format, path, &o, &b->a, &err), &err);
    CHECK_INT(r.n_checked, 8);
    CHECK(r.max_difference <= 1e-5);
    return r;
}

static ehm_st *open_st(const char *path) {
    ehm_st *f;
    ehm_err err = {0};
    REQUIRE_OK(ehm_st_open(&f, path, &err), &err);
    return f;
}

/* f's tensor has these dims and is rows of the tensor made, from first on. */
static void check_rows(const bag *b, const ehm_st *f, const char *theirs, const char *mae, int64_t first, int32_t rank, int64_t d0, int64_t d1) {
    const ehm_st_tensor *t = ehm_st_find(f, theirs), *own = made(b, mae);
    if (!t || !own) {
        ehm_test_fail(__FILE__, __LINE__, "%s is missing", t ? mae : theirs);
        return;
    }
    CHECK_INT(t->rank, rank);
    CHECK_INT(t->dim[0], d0);
    if (rank > 1) CHECK_INT(t->dim[1], d1);
    const char *from = (const char *)own->data + (size_t)first * (own->bytes / (size_t)own->dim[0]);
    if (memcmp(t->data, from, t->bytes)) ehm_test_fail(__FILE__, __LINE__, "%s has other numbers than %s from row %d", theirs, mae, (int)first);
}

static void check_whole(const bag *b, const ehm_st *f, const char *theirs, const char *mae) {
    const ehm_st_tensor *own = made(b, mae);
    REQUIRE(own != NULL);
    check_rows(b, f, theirs, mae, 0, own->rank, own->dim[0], own->dim[1]);
}

static const ehm_json *json_of(bag *b, const char *dir, const char *name) {
    ehm_json *j;
    ehm_err err = {0};
    REQUIRE_OK(ehm_json_read_file(&j, ehm_path_join(&b->a, dir, name), &b->a, &err), &err);
    return j;
}

static void check_i64(const ehm_json *obj, const char *key, int64_t want) {
    if (ehm_json_i64_or(obj, key, INT64_MIN) != want) ehm_test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", key, (long long)ehm_json_i64_or(obj, key, -1), (long long)want);
}

static void check_f64(const ehm_json *obj, const char *key, double want) { CHECK_NEAR(ehm_json_num_or(obj, key, NAN), want, 1e-12); }

static void check_list(const ehm_json *list, int32_t n, const double *want) {
    REQUIRE(list && list->kind == EHM_JSON_ARR && list->n == n);
    const ehm_json *j = list->first;
    for (int32_t i = 0; i < n; i++, j = j->next) CHECK_NEAR(j->num, want[i], 0);
}

static void no_host_paths(bag *b, const char *path) {
    ehm_bytes text;
    ehm_err err = {0};
    REQUIRE_OK(ehm_file_read(&text, path, &b->a, &err), &err);
    const char *tmp = ehm_test_tmp();
    CHECK(!memmem(text.data, text.len, tmp, strlen(tmp)));
}

/* ---- formats ---- */

TEST(export, mae_is_the_model_itself) {
    bag b = {.n = 0};
    const char *m = plain_model(&b, &square), *out = in_tmp(&b, "o/mae.safetensors");
    ehm_export_result r = export_to(&b, m, "mae", out, (ehm_export_opt){0});
    CHECK_STR(r.files[0], "mae.safetensors");
    CHECK(!r.files[1]);
    CHECK_HAS(r.load_with, "MaskedAutoencoderViT(img_size=16, patch_size=4, in_chans=3, embed_dim=24, depth=2, num_heads=3, decoder_embed_dim=12, decoder_depth=1, decoder_num_heads=3");
    CHECK_HAS(r.load_with, "eps=1e-6");
    ehm_st *f = open_st(out);
    CHECK_INT(ehm_st_count(f), b.n);
    for (int32_t i = 0; i < b.n; i++) check_whole(&b, f, b.t[i].name, b.t[i].name);
    CHECK_STR(ehm_st_meta_get(f, "format"), "pt");
    CHECK_STR(ehm_st_meta_get(f, "decoder_num_heads"), "3");
    CHECK_STR(ehm_st_meta_get(f, "mean"), "0.5,0.4,0.3");
    CHECK_STR(ehm_st_meta_get(f, "norm_pix_loss"), "true");
    ehm_st_close(f);
    ehm_arena_free(&b.a);
}

/* timm takes any file with a mask token for another model's: the encoder alone. */
TEST(export, timm_folder) {
    bag b = {.n = 0};
    const char *m = plain_model(&b, &square), *out = in_tmp(&b, "t");
    ehm_export_result r = export_to(&b, m, "timm", out, (ehm_export_opt){0});
    CHECK_STR(r.files[0], "README.md");
    CHECK_STR(r.files[2], "model.safetensors");
    CHECK(!r.files[3]);
    ehm_st *f = open_st(ehm_path_join(&b.a, out, "model.safetensors"));
    CHECK_INT(ehm_st_count(f), 4 + 2 * 12 + 2);
    CHECK(!ehm_st_find(f, "mask_token"));
    check_whole(&b, f, "blocks.1.attn.qkv.weight", "blocks.1.attn.qkv.weight");
    CHECK(!ehm_st_meta_get(f, "decoder_depth"));
    ehm_st_close(f);
    const ehm_json *c = json_of(&b, out, "config.json"), *args = ehm_json_get(c, "model_args"), *cfg = ehm_json_get(c, "pretrained_cfg");
    CHECK_STR(ehm_json_str_or(c, "architecture", ""), "vit_tiny_patch16_224");
    check_i64(c, "num_classes", 0), check_i64(c, "num_features", 24);
    check_list(ehm_json_get(args, "img_size"), 2, (double[]){16, 16});
    check_i64(args, "patch_size", 4), check_i64(args, "in_chans", 3), check_i64(args, "embed_dim", 24), check_i64(args, "depth", 2), check_i64(args, "num_heads", 3);
    check_f64(args, "mlp_ratio", 4);
    CHECK_STR(ehm_json_str_or(args, "global_pool", ""), "token");
    check_list(ehm_json_get(cfg, "input_size"), 3, (double[]){3, 16, 16});
    check_list(ehm_json_get(cfg, "mean"), 3, (double[]){0.5, 0.4, 0.3});
    check_list(ehm_json_get(cfg, "std"), 3, (double[]){0.25, 0.2, 0.3});
    check_i64(cfg, "num_classes", 0);
    no_host_paths(&b, ehm_path_join(&b.a, out, "README.md"));
    no_host_paths(&b, ehm_path_join(&b.a, out, "config.json"));
    no_host_paths(&b, ehm_path_join(&b.a, out, "model.safetensors"));
    ehm_arena_free(&b.a);
}

/* Other channels, shape, MLP; the mean as the pooled output keeps the final norm. One file by its ending. */
TEST(export, timm_of_any_shape) {
    bag b = {.n = 0};
    const char *m = plain_model(&b, &wide), *out = in_tmp(&b, "t");
    export_to(&b, m, "timm", out, (ehm_export_opt){.pool = "avg"});
    const ehm_json *c = json_of(&b, out, "config.json"), *args = ehm_json_get(c, "model_args");
    check_list(ehm_json_get(args, "img_size"), 2, (double[]){12, 24});
    check_i64(args, "in_chans", 4);
    CHECK_INT((int32_t)(16 * ehm_json_num_or(args, "mlp_ratio", 0)), 40);
    CHECK_STR(ehm_json_str_or(args, "global_pool", ""), "avg");
    const ehm_json *fc_norm = ehm_json_get(args, "fc_norm");
    CHECK(fc_norm && fc_norm->kind == EHM_JSON_BOOL && fc_norm->num == 0);
    ehm_export_result r = export_to(&b, m, "timm", in_tmp(&b, "one.safetensors"), (ehm_export_opt){0});
    CHECK_STR(r.files[0], "one.safetensors");
    CHECK(!strstr(r.load_with, "local-dir"));
    CHECK_HAS(r.load_with, "img_size=(12, 24), patch_size=4, in_chans=4");
    ehm_arena_free(&b.a);
}

/* A ratio that gives the width again after the product is truncated. */
TEST(export, mlp_ratio_survives_truncation) {
    for (int32_t D = 1; D < 400; D += 3)
        for (int32_t M = 1; M < 1700; M += 7) {
            ehm_vit_shape s = {.embed_dim = D, .mlp_dim = M};
            if ((int32_t)((double)D * ehm_export_mlp_ratio(&s)) != M) ehm_test_fail(__FILE__, __LINE__, "width %d, MLP %d: ratio %.17g", (int)D, (int)M, ehm_export_mlp_ratio(&s));
        }
}

TEST(export, hf_pretraining) {
    bag b = {.n = 0};
    const char *m = plain_model(&b, &square), *out = in_tmp(&b, "h");
    ehm_export_result r = export_to(&b, m, "hf", out, (ehm_export_opt){0});
    CHECK_STR(r.files[3], "preprocessor_config.json");
    CHECK(!r.files[4]);
    CHECK_HAS(r.load_with, "ViTMAEForPreTraining.from_pretrained(\"");
    ehm_st *f = open_st(ehm_path_join(&b.a, out, "model.safetensors"));
    const char *qkv = "blocks.1.attn.qkv.weight", *bias = "blocks.1.attn.qkv.bias";
    CHECK_INT(ehm_st_count(f), b.n + 4 * 3); /* two tensors of three blocks are six */
    check_rows(&b, f, "vit.encoder.layer.1.attention.attention.query.weight", qkv, 0, 2, 24, 24);
    check_rows(&b, f, "vit.encoder.layer.1.attention.attention.key.weight", qkv, 24, 2, 24, 24);
    check_rows(&b, f, "vit.encoder.layer.1.attention.attention.value.weight", qkv, 48, 2, 24, 24);
    check_rows(&b, f, "vit.encoder.layer.1.attention.attention.value.bias", bias, 48, 1, 24, 0);
    check_rows(&b, f, "decoder.decoder_layers.0.attention.attention.key.weight", "decoder_blocks.0.attn.qkv.weight", 12, 2, 12, 12);
    check_whole(&b, f, "vit.embeddings.position_embeddings", "pos_embed");
    check_whole(&b, f, "vit.encoder.layer.0.layernorm_after.weight", "blocks.0.norm2.weight");
    check_whole(&b, f, "vit.encoder.layer.0.output.dense.weight", "blocks.0.mlp.fc2.weight");
    check_whole(&b, f, "decoder.decoder_pred.bias", "decoder_pred.bias");
    check_whole(&b, f, "decoder.mask_token", "mask_token");
    ehm_st_close(f);
    const ehm_json *c = json_of(&b, out, "config.json"), *p = json_of(&b, out, "preprocessor_config.json");
    CHECK_STR(ehm_json_str_or(c, "model_type", ""), "vit_mae");
    CHECK_STR(ehm_json_get(c, "architectures")->first->str, "ViTMAEForPreTraining");
    check_f64(c, "layer_norm_eps", 1e-6);
    check_i64(c, "hidden_size", 24), check_i64(c, "intermediate_size", 96), check_i64(c, "image_size", 16), check_i64(c, "num_channels", 3);
    check_i64(c, "decoder_hidden_size", 12), check_i64(c, "decoder_intermediate_size", 48), check_i64(c, "decoder_num_attention_heads", 3), check_i64(c, "decoder_num_hidden_layers", 1);
    CHECK(ehm_json_get(c, "norm_pix_loss")->num == 1);
    check_i64(ehm_json_get(p, "size"), "height", 16), check_i64(p, "resample", 3);
    check_list(ehm_json_get(p, "image_mean"), 3, (double[]){0.5, 0.4, 0.3});
    check_list(ehm_json_get(p, "image_std"), 3, (double[]){0.25, 0.2, 0.3});
    ehm_arena_free(&b.a);
}

/* Wide pictures are no ViTMAE: the encoder goes without being asked, and a class that cannot hold them is refused. */
TEST(export, hf_of_wide_pictures) {
    bag b = {.n = 0};
    ehm_err err = {0};
    ehm_export_result r;
    const char *m = plain_model(&b, &wide_full), *out = in_tmp(&b, "h");
    export_to(&b, m, "hf", out, (ehm_export_opt){0});
    const ehm_json *c = json_of(&b, out, "config.json");
    CHECK_STR(ehm_json_str_or(c, "model_type", ""), "vit");
    check_list(ehm_json_get(c, "image_size"), 2, (double[]){12, 24});
    ehm_st *f = open_st(ehm_path_join(&b.a, out, "model.safetensors"));
    CHECK(!ehm_st_find(f, "decoder.mask_token"));
    CHECK(ehm_st_find(f, "vit.layernorm.weight") != NULL);
    ehm_st_close(f);
    CHECK_INT(ehm_export(&r, m, "hf", in_tmp(&b, "h2"), &(ehm_export_opt){.hf_class = "ViTMAEForPreTraining", .device = "ref"}, &b.a, &err), EHM_E_UNSUPPORTED);
    CHECK_HAS(err.what, "square");
    CHECK(!ehm_dir_exists(in_tmp(&b, "h2")));
    ehm_arena_free(&b.a);
}

TEST(export, torchvision_file) {
    bag b = {.n = 0};
    const char *m = plain_model(&b, &square), *out = in_tmp(&b, "tv.safetensors");
    ehm_export_result r = export_to(&b, m, "torchvision", out, (ehm_export_opt){0});
    CHECK_HAS(r.load_with, "VisionTransformer(image_size=16, patch_size=4, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=96)\nmodel.heads = torch.nn.Identity()");
    ehm_st *f = open_st(out);
    CHECK_INT(ehm_st_count(f), 4 + 2 * 12 + 2);
    check_whole(&b, f, "class_token", "cls_token");
    check_whole(&b, f, "encoder.pos_embedding", "pos_embed");
    check_whole(&b, f, "conv_proj.weight", "patch_embed.proj.weight");
    check_whole(&b, f, "encoder.layers.encoder_layer_1.self_attention.in_proj_weight", "blocks.1.attn.qkv.weight");
    check_whole(&b, f, "encoder.layers.encoder_layer_0.self_attention.in_proj_bias", "blocks.0.attn.qkv.bias");
    check_whole(&b, f, "encoder.layers.encoder_layer_0.mlp.3.weight", "blocks.0.mlp.fc2.weight");
    check_whole(&b, f, "encoder.ln.bias", "norm.bias");
    ehm_st_close(f);
    ehm_arena_free(&b.a);
}

/* ---- classifiers ---- */

TEST(export, classifier_of_the_class_token) {
    bag b = {.n = 0};
    sizes s = square;
    s.ddim = s.ddepth = s.dheads = 0;
    const char *m = classifier(&b, &s, "cls"), *out = in_tmp(&b, "h");
    export_to(&b, m, "hf", out, (ehm_export_opt){0});
    ehm_st *f = open_st(ehm_path_join(&b.a, out, "model.safetensors"));
    check_whole(&b, f, "classifier.weight", "head.weight");
    check_whole(&b, f, "classifier.bias", "head.bias");
    CHECK_HAS(ehm_st_meta_get(f, "exported_by"), "ehm ");
    ehm_st_close(f);
    const ehm_json *c = json_of(&b, out, "config.json");
    CHECK_STR(ehm_json_get(c, "architectures")->first->str, "ViTForImageClassification");
    CHECK_STR(ehm_json_str_or(ehm_json_get(c, "id2label"), "1", ""), "dog \"x\"");
    check_i64(ehm_json_get(c, "label2id"), "élan", 2);
    ehm_export_result r = export_to(&b, m, "torchvision", in_tmp(&b, "tv.safetensors"), (ehm_export_opt){0});
    CHECK_HAS(r.load_with, "num_classes=3");
    f = open_st(in_tmp(&b, "tv.safetensors"));
    check_whole(&b, f, "heads.head.weight", "head.weight");
    ehm_st_close(f);
    export_to(&b, m, "timm", in_tmp(&b, "t"), (ehm_export_opt){0});
    c = json_of(&b, in_tmp(&b, "t"), "config.json");
    check_i64(c, "num_classes", 3);
    CHECK_STR(ehm_json_get(c, "label_names")->first->str, "cat");
    CHECK_STR(ehm_json_str_or(ehm_json_get(c, "model_args"), "global_pool", ""), "token");
    export_to(&b, m, "hf", in_tmp(&b, "e"), (ehm_export_opt){.hf_class = "ViTModel"}); /* its encoder */
    f = open_st(ehm_path_join(&b.a, in_tmp(&b, "e"), "model.safetensors"));
    CHECK(!ehm_st_find(f, "classifier.weight"));
    CHECK(!ehm_st_meta_get(f, "task"));
    ehm_st_close(f);
    ehm_arena_free(&b.a);
}

/* The mean of patches has a norm of its own, and no final one: timm's avg; the others read the class token. */
TEST(export, classifier_of_the_mean) {
    bag b = {.n = 0};
    ehm_export_result r;
    sizes s = square;
    s.ddim = s.ddepth = s.dheads = 0;
    const char *m = classifier(&b, &s, "mean"), *out = in_tmp(&b, "t");
    export_to(&b, m, "timm", out, (ehm_export_opt){.pool = "avg"});
    const ehm_json *c = json_of(&b, out, "config.json");
    CHECK_STR(ehm_json_str_or(c, "global_pool", ""), "avg");
    CHECK(!ehm_json_get(ehm_json_get(c, "model_args"), "fc_norm"));
    ehm_st *f = open_st(ehm_path_join(&b.a, out, "model.safetensors"));
    check_whole(&b, f, "fc_norm.weight", "fc_norm.weight");
    CHECK_HAS(ehm_st_meta_get(f, "task"), "finetune"); /* ehm predict takes it */
    CHECK(!ehm_st_find(f, "norm.weight"));
    ehm_st_close(f);
    export_to(&b, m, "mae", in_tmp(&b, "c_mae.safetensors"), (ehm_export_opt){0});
    static const char *const refused[] = {"hf", "torchvision"};
    for (int32_t i = 0; i < 2; i++) {
        ehm_err err = {0};
        CHECK_INT(ehm_export(&r, m, refused[i], in_tmp(&b, i ? "x.safetensors" : "x"), &(ehm_export_opt){.device = "ref"}, &b.a, &err), EHM_E_UNSUPPORTED);
        CHECK_HAS(err.what, "mean of the patch tokens");
        CHECK_HAS(err.hint, "timm");
    }
    ehm_err err = {0};
    CHECK_INT(ehm_export(&r, m, "timm", in_tmp(&b, "t2"), &(ehm_export_opt){.pool = "token", .device = "ref"}, &b.a, &err), EHM_E_CONFIG);
    CHECK_HAS(err.what, "mean of the patch tokens");
    ehm_arena_free(&b.a);
}

static void put_doubles(bag *b, const char *name, int64_t rows, int64_t cols, double around, double spread) {
    int64_t count = rows * (cols ? cols : 1);
    double *v = EHM_NEW_N(&b->a, double, count);
    ehm_rng r = ehm_rng_of(++b->seed, EHM_RNG_init, 0, 0);
    for (int64_t i = 0; i < count; i++) v[i] = around + spread * ehm_rng_normal(&r);
    b->t[b->n++] = (ehm_st_tensor){.name = name, .dtype = EHM_F64, .rank = cols ? 2 : 1, .dim = {rows, cols}, .count = count, .data = v, .bytes = (size_t)count * sizeof *v};
}

/* What standardising a probe's features does goes into weight and bias: the same logits for any feature. */
TEST(export, probe_is_folded) {
    bag b = {.n = 0};
    const char *out;
    put_model(&b, &square, true);
    put_doubles(&b, "probe.weight", 2, 24, 0, 1), put_doubles(&b, "probe.bias", 2, 0, 0, 1), put_doubles(&b, "probe.mean", 24, 0, 1, 1), put_doubles(&b, "probe.std", 24, 0, 2, 0.1);
    const char *m = save(&b, &square, "p.safetensors", "{\"name\": \"linear\", \"pool\": \"mean\", \"depths\": [2], \"classes\": [\"a\", \"b\"]}");
    export_to(&b, m, "timm", out = in_tmp(&b, "t"), (ehm_export_opt){0});
    ehm_st *f = open_st(ehm_path_join(&b.a, out, "model.safetensors"));
    const float *w = ehm_st_find(f, "head.weight")->data, *bias = ehm_st_find(f, "head.bias")->data;
    const double *pw = made(&b, "probe.weight")->data, *pb = made(&b, "probe.bias")->data, *mean = made(&b, "probe.mean")->data, *std = made(&b, "probe.std")->data;
    for (int32_t k = 0; k < 2; k++) {
        double got = (double)bias[k], want = pb[k];
        for (int32_t c = 0; c < 24; c++) {
            double x = 0.3 * c - 2;
            got += (double)w[k * 24 + c] * x, want += pw[k * 24 + c] * (x - mean[c]) / std[c];
        }
        CHECK_NEAR(got, want, 1e-4);
    }
    ehm_st_close(f);
    const ehm_json *args = ehm_json_get(json_of(&b, out, "config.json"), "model_args"), *fc_norm = ehm_json_get(args, "fc_norm");
    CHECK_STR(ehm_json_str_or(args, "global_pool", ""), "avg");
    CHECK(fc_norm && fc_norm->num == 0);
    ehm_arena_free(&b.a);
}

/* Heads that no format has a place for stay behind, and so does a probe of several blocks. */
TEST(export, other_heads_stay_behind) {
    static const char *const task[] = {"{\"name\": \"linear\", \"pool\": \"cls\", \"depths\": [1, 2], \"classes\": [\"a\", \"b\"]}", "{\"name\": \"segment\", \"classes\": [\"a\", \"b\"]}"};
    for (int32_t i = 0; i < 2; i++) {
        bag b = {.n = 0};
        put_model(&b, &square, true);
        put_layer(&b, "head", 2, 24);
        const char *m = save(&b, &square, "p.safetensors", task[i]), *out = in_tmp(&b, "t");
        export_to(&b, m, "timm", out, (ehm_export_opt){0});
        check_i64(json_of(&b, out, "config.json"), "num_classes", 0);
        ehm_st *f = open_st(ehm_path_join(&b.a, out, "model.safetensors"));
        CHECK(!ehm_st_find(f, "head.weight"));
        ehm_st_close(f);
        ehm_err err = {0};
        CHECK_OK(ehm_dir_remove(out, &err), &err);
        ehm_arena_free(&b.a);
    }
}

/* ---- what is refused, and what stays as it was ---- */

TEST(export, options_that_do_not_fit) {
    bag b = {.n = 0};
    const char *m = plain_model(&b, &square);
    const struct { const char *format, *path; ehm_export_opt o; const char *what, *hint; } bad[] = {
        {"tim", "x", {0}, "--format tim: must be one of mae, timm, hf, torchvision, onnx", "did you mean timm?"},
        {NULL, "x", {0}, "--format is missing", ""},
        {"timm", "x", {.hf_class = "ViTModel"}, "--class is for --format hf, not for timm", ""},
        {"hf", "x", {.pool = "avg"}, "--global-pool is for --format timm", ""},
        {"hf", "x", {.opset = 18}, "--opset is for --format onnx", ""},
        {"mae", "x.safetensors", {.dynamic_batch = true}, "--dynamic-batch is for --format onnx", ""},
        {"hf", "x", {.hf_class = "ViTModle"}, "--class ViTModle: must be one of", "did you mean ViTModel?"},
        {"hf", "x", {.hf_class = "ViTForImageClassification"}, "has no head", "finetune"},
        {"timm", "x", {.pool = "max"}, "--global-pool max: must be token or avg", ""},
        {"hf", "x.safetensors", {0}, "is a folder", ""},
        {"mae", "x", {0}, "ends in .safetensors", "x.safetensors"},
        {"onnx", "x", {0}, "ends in .onnx", "x.onnx"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ehm_err err = {0};
        ehm_export_result r;
        ehm_export_opt o = bad[i].o;
        o.device = "ref";
        CHECK_INT(ehm_export(&r, m, bad[i].format, in_tmp(&b, bad[i].path), &o, &b.a, &err), EHM_E_CONFIG);
        CHECK_HAS(err.what, bad[i].what);
        CHECK_HAS(err.hint, bad[i].hint);
    }
    ehm_err err = {0};
    ehm_strs names;
    REQUIRE_OK(ehm_dir_list(&names, ehm_test_tmp(), &b.a, &err), &err);
    CHECK_INT(names.n, 1); /* the model: nothing was begun */
    ehm_arena_free(&b.a);
}

TEST(export, encoder_without_a_decoder) {
    bag b = {.n = 0};
    ehm_err err = {0};
    ehm_export_result r;
    const char *m = plain_model(&b, &wide);
    CHECK_INT(ehm_export(&r, m, "hf", in_tmp(&b, "x"), &(ehm_export_opt){.hf_class = "ViTMAEForPreTraining", .device = "ref"}, &b.a, &err), EHM_E_CONFIG);
    CHECK_HAS(err.what, "has a decoder");
    CHECK_HAS(err.hint, "ViTModel");
    ehm_err_clear(&err);
    CHECK_INT(ehm_export(&r, m, "torchvision", in_tmp(&b, "x.safetensors"), &(ehm_export_opt){.device = "ref"}, &b.a, &err), EHM_E_UNSUPPORTED);
    CHECK_HAS(err.what, "12x24");
    export_to(&b, m, "mae", in_tmp(&b, "e.safetensors"), (ehm_export_opt){0});
    ehm_arena_free(&b.a);
}

TEST(export, existing_things) {
    bag b = {.n = 0};
    ehm_err err = {0};
    ehm_export_result r;
    const char *m = plain_model(&b, &square), *dir = in_tmp(&b, "d"), *file = in_tmp(&b, "f.safetensors"), *mine = in_tmp(&b, "mine");
    REQUIRE_OK(ehm_dir_make(dir, &err), &err); /* an empty folder is fine */
    export_to(&b, m, "timm", dir, (ehm_export_opt){0});
    CHECK_INT(ehm_export(&r, m, "timm", dir, &(ehm_export_opt){.device = "ref"}, &b.a, &err), EHM_E_CONFIG);
    CHECK_HAS(err.hint, "--overwrite");
    export_to(&b, m, "hf", ehm_arena_printf(&b.a, "%s/", dir), (ehm_export_opt){.overwrite = true});
    CHECK(ehm_file_exists(ehm_path_join(&b.a, dir, "preprocessor_config.json")));
    export_to(&b, m, "mae", file, (ehm_export_opt){0});
    ehm_err_clear(&err);
    CHECK_INT(ehm_export(&r, m, "mae", file, &(ehm_export_opt){.device = "ref"}, &b.a, &err), EHM_E_CONFIG);
    export_to(&b, m, "mae", file, (ehm_export_opt){.overwrite = true});
    REQUIRE_OK(ehm_dir_make(mine, &err), &err);
    REQUIRE_OK(ehm_file_write(ehm_path_join(&b.a, mine, "thesis.txt"), "x", 1, &err), &err);
    ehm_err_clear(&err);
    CHECK_INT(ehm_export(&r, m, "timm", mine, &(ehm_export_opt){.overwrite = true, .device = "ref"}, &b.a, &err), EHM_E_CONFIG);
    CHECK_HAS(err.what, "thesis.txt");
    CHECK(ehm_file_exists(ehm_path_join(&b.a, mine, "thesis.txt")));
    ehm_strs names;
    REQUIRE_OK(ehm_dir_list(&names, ehm_test_tmp(), &b.a, &err), &err);
    CHECK_INT(names.n, 4); /* d, f, m, mine: nothing was left beside them */
    ehm_arena_free(&b.a);
}

TEST(export, same_bytes_twice) {
    bag b = {.n = 0};
    ehm_err err = {0};
    ehm_bytes one, two;
    const char *m = plain_model(&b, &square);
    export_to(&b, m, "hf", in_tmp(&b, "x/same"), (ehm_export_opt){0});
    export_to(&b, m, "hf", in_tmp(&b, "y/same"), (ehm_export_opt){0});
    static const char *const names[] = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json"};
    for (int32_t i = 0; i < 4; i++) {
        REQUIRE_OK(ehm_file_read(&one, in_tmp(&b, ehm_arena_printf(&b.a, "x/same/%s", names[i])), &b.a, &err), &err);
        REQUIRE_OK(ehm_file_read(&two, in_tmp(&b, ehm_arena_printf(&b.a, "y/same/%s", names[i])), &b.a, &err), &err);
        CHECK(one.len == two.len && !memcmp(one.data, two.data, one.len));
    }
    ehm_arena_free(&b.a);
}

/* A file whose numbers are not the model's is found out. */
TEST(export, the_check_bites) {
    bag b = {.n = 0};
    ehm_err err = {0};
    ehm_export_features want;
    ehm_export_opt o = {.device = "ref"};
    double worst;
    const char *m = plain_model(&b, &square), *out = in_tmp(&b, "o.safetensors");
    ehm_exporting x = {.a = &b.a, .spec = m, .path = out, .opt = &o, .temp = ehm_arena_printf(&b.a, "%s.part", out), .kind = EHM_EXPORT_MAE};
    REQUIRE_OK(ehm_exporting_open(&x, &err), &err);
    REQUIRE_OK(ehm_export_look(&want, &x, &err), &err);
    REQUIRE_OK(ehm_export_write_weights(&x, out, &err), &err);
    REQUIRE_OK(ehm_export_check(&worst, &x, out, &want, &err), &err);
    CHECK(worst <= 1e-5);
    want.mean[5] += 0.01f; /* features that differ */
    CHECK_INT(ehm_export_check(&worst, &x, out, &want, &err), EHM_E_MISMATCH);
    CHECK_HAS(err.what, "means of patch tokens of what was written differ from the model's by 0.01");
    ehm_err_clear(&err);
    want.mean[5] = NAN;
    CHECK_INT(ehm_export_check(&worst, &x, out, &want, &err), EHM_E_NUMERIC);
    ehm_err_clear(&err);
    ehm_st_tensor *pred = &x.t[0]; /* a decoder's weight, which no feature sees */
    while (strcmp(pred->name, "decoder_pred.weight")) pred++;
    float *other = EHM_NEW_N(&b.a, float, pred->count);
    memcpy(other, pred->data, pred->bytes), other[7] += 1e-6f, pred->data = other;
    CHECK_INT(ehm_export_check(&worst, &x, out, &want, &err), EHM_E_MISMATCH);
    CHECK_HAS(err.what, "decoder_pred.weight");
    ehm_exporting_close(&x);
    ehm_arena_free(&b.a);
}
