#include "exchange/import.h"
#include "base/file.h"
#include "base/npy.h"
#include "harness.h"
#include "infer/infer.h"
#include "net/layer.h"

enum { N_PIC = 2, IMG = 16, PATCH = 4, D = 32, TOKENS = 16, CHANNELS = 3, P = PATCH * PATCH * CHANNELS };

/* What each tool wrote, and what is to be seen of it. heads: the configuration beside the weights names them. */
static const struct fixture { const char *name, *path, *container, *tool; ehm_dialect d; bool heads, decoder, head, norm_pix; int32_t unexpected;
} fixtures[] = {
    {"mae_full", "mae_full.pth", "pth (zip)", "official MAE", EHM_DIALECT_MAE, false, true, false, true, -1},
    {"mae_encoder", "mae_encoder.pth", "pth (pickle)", "official MAE", EHM_DIALECT_MAE, false, false, false, false, -1},
    {"timm_pth", "model.pth", "pth (zip)", "timm, or the encoder of MAE", EHM_DIALECT_TIMM, false, false, true, false, 0},
    {"timm_folder", "", "timm folder, safetensors", "timm (vit_tiny_patch16_224)", EHM_DIALECT_TIMM, true, false, true, false, 0},
    {"torchvision", "vit.pth", "pth (zip)", "torchvision", EHM_DIALECT_TORCHVISION, false, false, true, false, 0},
    {"mmpretrain", "epoch_2.pth", "pth (zip)", "mmpretrain", EHM_DIALECT_MMPRETRAIN, false, true, false, true, -1},
    {"solo_learn", "mae-cifar10-ep=1.ckpt", "pth (zip)", "solo-learn", EHM_DIALECT_MAE, false, true, true, true, -1},
    {"lightly", "model.pt", "pth (zip)", "lightly", EHM_DIALECT_MAE, false, true, false, false, -1},
    {"hf4_mae", "", "transformers folder, safetensors", "transformers 4.57.6", EHM_DIALECT_HF, true, true, false, true, 0},
    {"hf4_vit", "", "transformers folder, safetensors", "transformers 4.57.6", EHM_DIALECT_HF, true, false, true, false, 0},
    {"hf4_shards", "", "transformers folder, safetensors in 2 shards", "transformers 4.57.6", EHM_DIALECT_HF, true, false, true, false, 0},
    {"hf5_mae", "", "transformers folder, safetensors", "transformers 5.23.0", EHM_DIALECT_HF, true, true, false, true, 0},
    {"hf5_vit", "", "transformers folder, safetensors", "transformers 5.23.0", EHM_DIALECT_HF, true, false, true, false, 0},
    {"hf5_modules", "", "transformers folder, safetensors", "transformers 5.23.0", EHM_DIALECT_HF5, true, true, false, true, 0},
};
enum { N_FIXTURES = sizeof fixtures / sizeof *fixtures };

static const char *path_of(const char *name, const char *file, char out[400]) {
    char rel[200];
    snprintf(rel, sizeof rel, "tests/golden/exchange/%s%s%s", name, *file ? "/" : "", file);
    snprintf(out, 400, "%s", ehm_test_path(rel));
    return out;
}

static double *numbers(const char *name, const char *file, int64_t *count, ehm_arena *a) {
    char path[400];
    ehm_npy n;
    ehm_err err = {0};
    REQUIRE_OK(ehm_npy_read(&n, path_of(name, file, path), a, &err), &err);
    double *v = EHM_NEW_N(a, double, n.count);
    ehm_npy_f64(v, &n, 0, n.count);
    *count = n.count;
    return v;
}

/* The fixtures' pixels are normalised already: what the model normalises is undone first. */
static float *pixels(const ehm_model *m, ehm_arena *a) {
    int64_t n;
    double mean[256], std[256], *v = numbers("pixels.npy", "", &n, a);
    float *out = EHM_NEW_N(a, float, n);
    ehm_model_stats(m, mean, std);
    for (int32_t i = 0; i < N_PIC; i++)
        for (int32_t c = 0; c < CHANNELS; c++)
            for (int32_t k = 0; k < IMG * IMG; k++) out[(i * IMG * IMG + k) * CHANNELS + c] = (float)(v[(i * CHANNELS + c) * IMG * IMG + k] * std[c] + mean[c]);
    return out;
}

static double difference(const float *got, const double *want, int64_t n) {
    double worst = 0;
    for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs((double)got[i] - want[i]));
    return worst;
}

static const ehm_model_opt opt = {"ref", 1, "f32", N_PIC};

TEST(import, features_as_the_tools_compute_them) {
    for (int32_t i = 0; i < N_FIXTURES; i++) {
        const struct fixture *f = &fixtures[i];
        ehm_arena a = {0};
        ehm_err err = {0};
        ehm_import *im;
        ehm_model *m;
        char path[400], saved[700];
        int64_t n;
        ehm_import_opt o = {.num_heads = f->heads ? 0 : 2, .decoder_num_heads = f->heads ? 0 : 2};
        REQUIRE_OK(ehm_import_open(&im, path_of(f->name, f->path, path), &o, &err), &err);
        CHECK_STR(im->container, f->container);
        CHECK_STR(im->tool, f->tool);
        CHECK_INT(im->dialect, f->d);
        CHECK(!im->heads_guessed && im->encoder_only == !f->decoder && im->has_head == f->head);
        CHECK(im->info.norm_pix == f->norm_pix);
        CHECK_INT(im->info.shape.num_heads, 2);
        CHECK_INT(im->info.shape.mlp_dim, 48);
        CHECK_INT(im->n_of[EHM_IMPORT_MATCHED], 2 + 2 + 2 * 12 + 2 + (f->head ? 2 : 0) + (f->decoder ? 2 + 2 + 12 + 2 + 2 : 0));
        CHECK_INT(im->n_of[EHM_IMPORT_MISSING] + im->n_of[EHM_IMPORT_RESIZED], 0);
        if (f->unexpected >= 0) CHECK_INT(im->n_of[EHM_IMPORT_UNEXPECTED], f->unexpected);
        snprintf(saved, sizeof saved, "%s/%s.safetensors", ehm_test_tmp(), f->name);
        REQUIRE_OK(ehm_import_save(saved, im, &err), &err);
        ehm_import_close(im);
        for (int32_t direct = 0; direct <= (f->heads ? 1 : 0); direct++) { /* the written file, and the tool's own where it names its heads */
            float cls[N_PIC * D], mean[N_PIC * D], pred[N_PIC * TOKENS * P];
            int32_t all[N_PIC * TOKENS];
            REQUIRE_OK(ehm_model_open(&m, direct ? path : saved, &opt, &err), &err);
            const float *x = pixels(m, &a);
            REQUIRE_OK(ehm_model_cls_mean(m, x, EHM_F32, N_PIC, cls, mean, &err), &err);
            double worst = fmax(difference(cls, numbers(f->name, "cls.npy", &n, &a), N_PIC * D), difference(mean, numbers(f->name, "mean.npy", &n, &a), N_PIC * D));
            if (worst > 1e-4) ehm_test_fail(__FILE__, __LINE__, "%s: features differ by %g", f->name, worst);
            printf("     %-12s features differ by %.1e", f->name, worst);
            if (f->decoder && strcmp(f->name, "solo_learn")) {
                for (int32_t k = 0; k < N_PIC * TOKENS; k++) all[k] = k % TOKENS;
                if (!ehm_model_reconstruct(m, x, EHM_F32, N_PIC, all, all, TOKENS, pred, NULL, &err)) {
                    worst = difference(pred, numbers(f->name, "pred.npy", &n, &a), N_PIC * TOKENS * P);
                    printf(", predictions by %.1e", worst);
                    if (worst > 1e-4) ehm_test_fail(__FILE__, __LINE__, "%s: predictions differ by %g", f->name, worst);
                }
            }
            printf("\n");
            ehm_model_close(m);
        }
        ehm_arena_free(&a);
    }
}

/* ---- sets of tensors of our own making ---- */

enum { SET_MAX = 64 };
typedef struct { ehm_arena a; ehm_st_tensor t[SET_MAX]; int32_t n; ehm_st_meta meta[4]; int32_t n_meta; } set;

/* The encoder of timm_folder, whose numbers are known, as a set to spoil. */
static void load(set *s, const char *name, const char *file) {
    char path[400];
    ehm_err err = {0};
    ehm_st *f;
    memset(s, 0, sizeof *s);
    REQUIRE_OK(ehm_st_open(&f, path_of(name, file, path), &err), &err);
    for (int32_t i = 0; i < ehm_st_count(f); i++) {
        ehm_st_tensor *t = &s->t[s->n++];
        *t = *ehm_st_at(f, i);
        t->name = ehm_arena_strdup(&s->a, t->name);
        float *v = EHM_NEW_N(&s->a, float, t->count);
        REQUIRE_OK(ehm_st_to_f32(ehm_st_at(f, i), v, &err), &err);
        t->data = v;
    }
    ehm_st_close(f);
}

static ehm_st_tensor *of(set *s, const char *name) {
    for (int32_t i = 0; i < s->n; i++)
        if (!strcmp(s->t[i].name, name)) return &s->t[i];
    ehm_test_fail(__FILE__, __LINE__, "no tensor %s", name);
    ehm_test_leave();
}

static void drop(set *s, const char *part) {
    int32_t n = 0;
    for (int32_t i = 0; i < s->n; i++)
        if (!strstr(s->t[i].name, part)) s->t[n++] = s->t[i];
    CHECK(n < s->n);
    s->n = n;
}

static void add(set *s, const char *name, int32_t rank, int64_t d0, int64_t d1, float value) {
    ehm_st_tensor *t = &s->t[s->n++];
    *t = (ehm_st_tensor){.name = name, .dtype = EHM_F32, .rank = rank, .dim = {d0, d1}, .count = d0 * (rank > 1 ? d1 : 1)};
    float *v = EHM_NEW_N(&s->a, float, t->count);
    for (int64_t i = 0; i < t->count; i++) v[i] = value;
    t->data = v, t->bytes = (size_t)t->count * sizeof *v;
}

static const char *write_set(const set *s) {
    static char path[500];
    ehm_err err = {0};
    snprintf(path, sizeof path, "%s/set.safetensors", ehm_test_tmp());
    REQUIRE_OK(ehm_st_write(path, s->t, s->n, s->meta, s->n_meta, &err), &err);
    return path;
}

static const ehm_import_row *row_of(const ehm_import *im, ehm_import_kind kind, const char *name) {
    for (int32_t i = 0; i < im->n_row; i++) {
        const char *own = im->row[i].name ? im->row[i].name : im->row[i].theirs;
        if (im->row[i].kind == kind && !strcmp(own, name)) return &im->row[i];
    }
    return NULL;
}

TEST(import, missing_tensors_are_refused) {
    set s;
    ehm_err err = {0};
    ehm_import *im;
    ehm_import_opt two = {.num_heads = 2};
    load(&s, "timm_folder", "model.safetensors");
    drop(&s, "blocks.0.");
    CHECK_FAILS(ehm_import_open(&im, write_set(&s), &two, &err), &err, EHM_E_MISMATCH, "12 of the encoder's 30 tensors are missing, first \"blocks.0.norm1.weight\"");
    CHECK(!im);
    two.partial = true, ehm_err_clear(&err);
    REQUIRE_OK(ehm_import_open(&im, write_set(&s), &two, &err), &err);
    CHECK_INT(im->n_of[EHM_IMPORT_MISSING], 12);
    CHECK_INT(ehm_st_count(im->weights), 32);
    const ehm_import_row *r = row_of(im, EHM_IMPORT_MISSING, "blocks.0.attn.qkv.weight");
    CHECK(r && !r->theirs && r->note);
    /* As a run of seed 0 draws them. */
    ehm_params ps = {0};
    const ehm_st_tensor *t = ehm_st_find(im->weights, "blocks.0.attn.qkv.weight");
    int32_t k = ehm_params_add(&ps, "blocks.0.attn.qkv.weight", EHM_DECAY, 2, (int64_t[]){3 * D, D}, EHM_INIT_XAVIER, 0, D, 3 * D, NULL);
    float want[3 * D * D];
    REQUIRE(t && k == 0);
    ehm_param_start(&ps.item[0], 0, want);
    CHECK(!memcmp(t->data, want, sizeof want));
    ehm_params_free(&ps);
    ehm_import_close(im);
    ehm_arena_free(&s.a);

    static const char *const one[] = {"blocks.1.mlp.fc2.bias", "cls_token", "patch_embed.proj.bias", "norm.weight"};
    for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
        load(&s, "timm_folder", "model.safetensors");
        drop(&s, one[i]);
        CHECK_FAILS(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){0}, &err), &err, EHM_E_MISMATCH, one[i]);
        ehm_arena_free(&s.a);
    }
    load(&s, "timm_folder", "model.safetensors");
    drop(&s, "pos_embed");
    CHECK_FAILS(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){.partial = true}, &err), &err, EHM_E_MISMATCH, "pos_embed");
    ehm_arena_free(&s.a);
    /* A key without its queries. */
    load(&s, "hf4_vit", "model.safetensors");
    drop(&s, "layer.1.attention.attention.query.weight");
    CHECK_FAILS(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){0}, &err), &err, EHM_E_MISMATCH, "first \"blocks.1.attn.qkv.weight\"");
    ehm_arena_free(&s.a);
}

TEST(import, other_functions_are_refused) {
    static const char *const name[] = {"reg_token", "blocks.0.ls1.gamma", "blocks.1.attn.q_norm.weight", "norm_pre.weight", "dist_token", "blocks.0.attn.relative_position_bias_table"};
    set s;
    ehm_err err = {0};
    ehm_import *im;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        load(&s, "timm_folder", "model.safetensors");
        add(&s, name[i], 1, D, 1, 1);
        CHECK_FAILS(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){0}, &err), &err, EHM_E_UNSUPPORTED, name[i]);
        ehm_arena_free(&s.a);
    }
}

TEST(import, shapes_and_types_are_checked) {
    set s;
    ehm_err err = {0};
    ehm_import *im;
    static const struct { const char *name, *part; int64_t d0, d1; int32_t rank;
    } bad[] = {{"blocks.1.attn.qkv.weight", "is 32x32 in the file, but 96x32", 32, 32, 2}, {"norm.bias", "is 31 in the file", 31, 1, 1}, {"cls_token", "cls_token", 1, 32, 2},
               {"pos_embed", "pos_embed", 16, 32, 2},                                      {"patch_embed.proj.weight", "patch_embed.proj.weight", 32, 48, 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        load(&s, "timm_folder", "model.safetensors");
        drop(&s, bad[i].name);
        add(&s, bad[i].name, bad[i].rank, bad[i].d0, bad[i].d1, 0);
        CHECK_FAILS(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){0}, &err), &err, EHM_E_MISMATCH, bad[i].part);
        ehm_arena_free(&s.a);
    }
    load(&s, "timm_folder", "model.safetensors");
    of(&s, "norm.bias")->dtype = EHM_I32;
    CHECK_FAILS(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){0}, &err), &err, EHM_E_UNSUPPORTED, "norm.bias");
    ehm_arena_free(&s.a);
    /* A depth far beyond any network: refused before anything of that size is made. */
    load(&s, "timm_folder", "model.safetensors");
    add(&s, "blocks.99999.norm1.weight", 1, D, 1, 0);
    CHECK_FAILS(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){0}, &err), &err, EHM_E_MISMATCH, "depth 100000");
    CHECK_FAILS(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){.resample = "best"}, &err), &err, EHM_E_CONFIG, "best");
    ehm_arena_free(&s.a);
}

TEST(import, what_has_no_place_is_listed) {
    set s;
    ehm_err err = {0};
    ehm_import *im;
    load(&s, "hf4_vit", "model.safetensors");
    add(&s, "vit.pooler.dense.weight", 2, D, D, 0), add(&s, "optimizer.state.0.exp_avg", 1, 7, 1, 0), add(&s, "queue", 1, 3, 1, 0);
    drop(&s, "classifier.weight"), add(&s, "classifier.weight", 2, 3, D + 1, 0);
    REQUIRE_OK(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){0}, &err), &err);
    CHECK_INT(im->n_of[EHM_IMPORT_UNEXPECTED], 5); /* the head's two too */
    CHECK(!im->has_head && !ehm_st_find(im->weights, "head.bias"));
    CHECK(row_of(im, EHM_IMPORT_UNEXPECTED, "queue") && row_of(im, EHM_IMPORT_UNEXPECTED, "classifier.weight"));
    CHECK_STR(row_of(im, EHM_IMPORT_UNEXPECTED, "vit.pooler.dense.weight")->note, "acts on the class token after the encoder");
    CHECK_STR(row_of(im, EHM_IMPORT_UNEXPECTED, "optimizer.state.0.exp_avg")->note, "state of an optimiser");
    CHECK(im->heads_guessed); /* no config.json here */
    ehm_import_close(im);
    ehm_arena_free(&s.a);
    /* A decoder that is not whole is left out, and said to be. */
    load(&s, "hf4_mae", "model.safetensors");
    drop(&s, "decoder.decoder_norm.weight");
    REQUIRE_OK(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){0}, &err), &err);
    CHECK(im->encoder_only && im->info.shape.decoder_depth == 0 && !ehm_st_find(im->weights, "mask_token"));
    CHECK_INT(im->n_notes, 1);
    CHECK_HAS(im->note[0], "lacks 1 tensors (decoder_norm.weight, ...) and is left out");
    ehm_import_close(im);
    ehm_arena_free(&s.a);
}

/* Two ways of writing what computes the same. */
TEST(import, other_spellings_of_the_same_function) {
    set s;
    ehm_err err = {0};
    ehm_import *im;
    load(&s, "timm_folder", "model.safetensors");
    drop(&s, "attn.qkv.bias");
    ehm_st_tensor *pos = of(&s, "pos_embed"); /* timm's no_embed_class: no row for the class token */
    const float *table = pos->data;
    pos->dim[1] = TOKENS, pos->count = TOKENS * D, pos->bytes = sizeof(float) * TOKENS * D, pos->data = table + D;
    REQUIRE_OK(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){.num_heads = 2}, &err), &err);
    const ehm_st_tensor *t = ehm_st_find(im->weights, "pos_embed"), *bias = ehm_st_find(im->weights, "blocks.1.attn.qkv.bias");
    REQUIRE(t && bias && t->dim[1] == 1 + TOKENS && bias->count == 3 * D);
    for (int32_t i = 0; i < D; i++) CHECK(((const float *)t->data)[i] == 0);
    CHECK(!memcmp((const float *)t->data + D, table + D, sizeof(float) * TOKENS * D));
    for (int32_t i = 0; i < 3 * D; i++) CHECK(((const float *)bias->data)[i] == 0);
    ehm_import_close(im);
    ehm_arena_free(&s.a);
}

/* timm's average pooling: fc_norm after the mean, no norm of tokens. */
TEST(import, mean_pooled_classifier) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_import *im;
    ehm_model *m;
    char path[400], saved[700];
    int64_t n;
    REQUIRE_OK(ehm_import_open(&im, path_of("timm_avg", "model.pth", path), &(ehm_import_opt){.num_heads = 2}, &err), &err);
    CHECK(im->has_head && ehm_st_find(im->weights, "fc_norm.weight") && !ehm_st_find(im->weights, "norm.weight"));
    CHECK_INT(im->n_of[EHM_IMPORT_MISSING], 2);
    CHECK_INT(im->n_notes, 1);
    snprintf(saved, sizeof saved, "%s/avg.safetensors", ehm_test_tmp());
    REQUIRE_OK(ehm_import_save(saved, im, &err), &err);
    REQUIRE_OK(ehm_model_open(&m, saved, &opt, &err), &err);
    float hidden[N_PIC * (1 + TOKENS) * D], mean[N_PIC * D];
    const float *x = pixels(m, &a), *w = ehm_st_find(im->weights, "fc_norm.weight")->data, *b = ehm_st_find(im->weights, "fc_norm.bias")->data;
    REQUIRE_OK(ehm_model_hidden(m, x, EHM_F32, N_PIC, -1, hidden, &err), &err);
    for (int32_t i = 0; i < N_PIC; i++) {
        double v[D] = {0}, mu = 0, var = 0;
        for (int32_t k = 0; k < TOKENS; k++)
            for (int32_t d = 0; d < D; d++) v[d] += (double)hidden[((i * (1 + TOKENS)) + 1 + k) * D + d] / TOKENS;
        for (int32_t d = 0; d < D; d++) mu += v[d] / D;
        for (int32_t d = 0; d < D; d++) var += (v[d] - mu) * (v[d] - mu) / D;
        for (int32_t d = 0; d < D; d++) mean[i * D + d] = (float)((v[d] - mu) / sqrt(var + 1e-6) * (double)w[d] + (double)b[d]);
    }
    CHECK(difference(mean, numbers("timm_avg", "mean.npy", &n, &a), N_PIC * D) < 1e-4);
    ehm_model_close(m);
    ehm_import_close(im);
    ehm_arena_free(&a);
}

TEST(import, other_sizes_are_named) {
    ehm_err err = {0};
    ehm_import *im;
    ehm_model *m;
    char path[400], saved[700];
    ehm_import_opt o = {.num_heads = 2, .decoder_num_heads = 2, .img_h = 24, .img_w = 16, .patch_size = 8, .channels = 1};
    REQUIRE_OK(ehm_import_open(&im, path_of("mae_full", "mae_full.pth", path), &o, &err), &err);
    CHECK_INT(im->n_of[EHM_IMPORT_RESIZED], 5);
    CHECK_STR(row_of(im, EHM_IMPORT_RESIZED, "pos_embed")->note, "4x4 to 3x2 patches, bicubic with antialias (timm)");
    CHECK_STR(row_of(im, EHM_IMPORT_RESIZED, "patch_embed.proj.weight")->note,
              "patches of 4 to 8 px, pseudo-inverse of the resize (FlexiViT, as timm); 3 channels summed to 1 (timm)");
    CHECK(row_of(im, EHM_IMPORT_RESIZED, "decoder_pos_embed") && row_of(im, EHM_IMPORT_RESIZED, "decoder_pred.bias"));
    CHECK_INT(ehm_st_find(im->weights, "decoder_pred.weight")->dim[0], 64);
    CHECK_STR(ehm_st_meta_get(im->weights, "position_table"), "4x4 to 3x2 patches, bicubic with antialias (timm)");
    snprintf(saved, sizeof saved, "%s/small.safetensors", ehm_test_tmp());
    REQUIRE_OK(ehm_import_save(saved, im, &err), &err);
    ehm_import_close(im);
    REQUIRE_OK(ehm_model_open(&m, saved, &opt, &err), &err);
    CHECK(ehm_model_has_decoder(m) && ehm_model_shape(m)->img_h == 24 && ehm_model_shape(m)->img_w == 16 && ehm_model_shape(m)->channels == 1);
    ehm_model_close(m);
    /* The same again, and once more from what was written: nothing is left to change. */
    REQUIRE_OK(ehm_import_open(&im, saved, &(ehm_import_opt){0}, &err), &err);
    CHECK_INT(im->n_of[EHM_IMPORT_RESIZED], 0);
    CHECK_HAS(im->tool, "ehm");
    snprintf(path, sizeof path, "%s/again.safetensors", ehm_test_tmp());
    REQUIRE_OK(ehm_import_save(path, im, &err), &err);
    ehm_arena a = {0};
    ehm_bytes x, y;
    REQUIRE_OK(ehm_file_read(&x, saved, &a, &err), &err);
    REQUIRE_OK(ehm_file_read(&y, path, &a, &err), &err);
    CHECK(x.len == y.len && !memcmp(x.data, y.data, x.len));
    ehm_arena_free(&a);
    ehm_import_close(im);
    /* The other ways. */
    o = (ehm_import_opt){.num_heads = 2, .img_h = 32, .img_w = 32, .channels = 5, .resample = "mae", .adapt = "mae"};
    REQUIRE_OK(ehm_import_open(&im, path_of("mae_encoder", "mae_encoder.pth", path), &o, &err), &err);
    CHECK_STR(row_of(im, EHM_IMPORT_RESIZED, "pos_embed")->note, "4x4 to 8x8 patches, bicubic without antialias (mae)");
    CHECK_STR(row_of(im, EHM_IMPORT_RESIZED, "patch_embed.proj.weight")->note, "3 to 5 channels, drawn anew (mae)");
    CHECK_INT(ehm_st_find(im->weights, "patch_embed.proj.weight")->dim[1], 5);
    ehm_import_close(im);
    o = (ehm_import_opt){.num_heads = 2, .img_h = 18, .img_w = 18};
    CHECK_FAILS(ehm_import_open(&im, path, &o, &err), &err, EHM_E_CONFIG, "img_size 18x18 is not a multiple of patch_size 4");
}

/* What this program wrote is handed on as it stands: no number is copied, nothing dropped. */
TEST(import, own_files_stay_as_they_are) {
    set s;
    ehm_err err = {0};
    ehm_import *im;
    ehm_st *f;
    load(&s, "timm_folder", "model.safetensors");
    add(&s, "probe.weight", 2, 3, D, 1);
    s.meta[s.n_meta++] = (ehm_st_meta){"ehm_version", "0.1"}, s.meta[s.n_meta++] = (ehm_st_meta){"task", "{}"};
    REQUIRE_OK(ehm_st_open(&f, write_set(&s), &err), &err);
    REQUIRE_OK(ehm_import_open(&im, write_set(&s), &(ehm_import_opt){.num_heads = 2}, &err), &err);
    CHECK_INT(ehm_st_count(im->weights), ehm_st_count(f));
    for (int32_t i = 0; i < ehm_st_count(f); i++) {
        const ehm_st_tensor *t = ehm_st_at(f, i), *u = ehm_st_find(im->weights, t->name);
        CHECK(u && u->bytes == t->bytes && !memcmp(u->data, t->data, t->bytes));
    }
    CHECK_STR(ehm_st_meta_get(im->weights, "task"), "{}");
    CHECK_STR(im->tool, "ehm 0.1");
    ehm_import_close(im);
    ehm_st_close(f);
    ehm_arena_free(&s.a);
}

TEST(import, for_a_network_that_is_there) {
    ehm_err err = {0};
    ehm_import *im;
    char path[400];
    path_of("hf4_mae", "", path);
    ehm_vit_shape s = {.img_h = 32, .img_w = 32, .channels = 3, .patch_size = 4, .embed_dim = D, .depth = 2, .num_heads = 2, .mlp_dim = 48, .decoder_embed_dim = 8, .decoder_depth = 1,
                       .decoder_num_heads = 2, .decoder_mlp_dim = 16};
    REQUIRE_OK(ehm_vit_shape_check(&s, &err), &err);
    REQUIRE_OK(ehm_import_open_for(&im, path, &s, &err), &err);
    CHECK(im->info.has_decoder && ehm_vit_shape_equal(&im->info.shape, &s));
    ehm_import_close(im);
    s.decoder_depth = 2;
    REQUIRE_OK(ehm_import_open_for(&im, path, &s, &err), &err);
    CHECK(im->encoder_only && !ehm_st_find(im->weights, "decoder_embed.weight"));
    CHECK_HAS(im->note[im->n_notes - 1], "its decoder (width 8 and 16, depth 1, heads 2) is left out");
    ehm_import_close(im);
    s.depth = 1;
    CHECK_FAILS(ehm_import_open_for(&im, path, &s, &err), &err, EHM_E_MISMATCH, "holds blocks.1.attn.proj.bias, and the encoder asked for has 1 blocks");
    s.depth = 2, s.num_heads = 4;
    CHECK_FAILS(ehm_import_open_for(&im, path, &s, &err), &err, EHM_E_MISMATCH, "has 2 attention heads, and the encoder asked for has 4");
}

/* ---- hostile files and folders ---- */

/* Without the care of ehm_file_write, whose syncing takes long where thousands of files are cut. */
static void plain_file(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    REQUIRE(f && fwrite(data, 1, n, f) == n && !fclose(f));
}

static const char *text_file(const char *folder, const char *name, const char *text) {
    static char path[700];
    ehm_err err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    REQUIRE_OK(ehm_file_write(path, text, strlen(text), &err), &err);
    return path;
}

TEST(import, hostile_folders) {
    ehm_err err = {0};
    ehm_import *im;
    ehm_arena a = {0};
    char dir[400], source[400];
    snprintf(dir, sizeof dir, "%s", ehm_test_tmp());
    ehm_import_opt o = {0};
    CHECK(!ehm_import_claims(dir));
    CHECK_FAILS(ehm_import_open(&im, dir, &o, &err), &err, EHM_E_MISMATCH, "there is no model.safetensors");
    CHECK_FAILS(ehm_import_open(&im, "no/such", &o, &err), &err, EHM_E_CONFIG, "no such file or folder");
    text_file(dir, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../../etc/passwd\"}}");
    CHECK(ehm_import_claims(dir));
    CHECK_FAILS(ehm_import_open(&im, dir, &o, &err), &err, EHM_E_FORMAT, "does not lie in this folder");
    text_file(dir, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"gone.safetensors\"}}");
    CHECK_FAILS(ehm_import_open(&im, dir, &o, &err), &err, EHM_E_MISMATCH, "the shard gone.safetensors is not there");
    text_file(dir, "model.safetensors.index.json", "{\"weight_map\":{\"a\":7}}");
    CHECK_FAILS(ehm_import_open(&im, dir, &o, &err), &err, EHM_E_FORMAT, "\"a\" has no file");
    text_file(dir, "model.safetensors.index.json", "{\"weight_map\":[]}");
    CHECK_FAILS(ehm_import_open(&im, dir, &o, &err), &err, EHM_E_FORMAT, "no weight_map");
    text_file(dir, "model.safetensors.index.json", "{\"weight_map\":{}}");
    CHECK_FAILS(ehm_import_open(&im, dir, &o, &err), &err, EHM_E_FORMAT, "names no tensor");
    ehm_bytes b;
    REQUIRE_OK(ehm_file_read(&b, path_of("hf4_vit", "model.safetensors", source), &a, &err), &err);
    char model[700];
    snprintf(model, sizeof model, "%s/model.safetensors", dir);
    REQUIRE_OK(ehm_file_write(model, b.data, b.len, &err), &err);
    static const struct { const char *json, *part; ehm_code rc;
    } config[] = {{"{\"model_type\":\"vit\",\"num_attention_heads\":0}", "num_attention_heads of the configuration is not a size", EHM_E_FORMAT},
                  {"{\"model_type\":\"vit\",\"num_attention_heads\":\"2\"}", "is not a size", EHM_E_FORMAT},
                  {"{\"model_type\":\"vit\",\"image_size\":[1]}", "image_size", EHM_E_FORMAT},
                  {"{\"model_type\":\"vit\",\"num_attention_heads\":5}", "is not a multiple of num_heads 5", EHM_E_MISMATCH},
                  {"{\"model_type\":\"vit\",\"num_hidden_layers\":3}", "first \"blocks.2.norm1.weight\"", EHM_E_MISMATCH},
                  {"{\"model_type\":\"vit\",\"hidden_act\":\"relu\"}", "its activation is \"relu\"", EHM_E_UNSUPPORTED},
                  {"{\"model_type\":", "config.json", EHM_E_FORMAT}};
    for (size_t i = 0; i < sizeof config / sizeof *config; i++) {
        text_file(dir, "config.json", config[i].json);
        CHECK_FAILS(ehm_import_open(&im, dir, &o, &err), &err, config[i].rc, config[i].part);
    }
    text_file(dir, "config.json", "{\"model_type\":\"vit\",\"num_attention_heads\":2,\"image_size\":9999,\"layer_norm_eps\":1e-5}");
    ehm_err_clear(&err);
    REQUIRE_OK(ehm_import_open(&im, dir, &o, &err), &err); /* a size that does not go with the table is passed over */
    CHECK_INT(im->info.shape.img_h, IMG);
    CHECK_HAS(im->note[0], "epsilon 1e-05");
    ehm_import_close(im);
    /* Cut short at every 97th byte: an error each time, or a set that is not whole. */
    for (size_t n = 0; n < b.len; n += 97) {
        plain_file(model, b.data, n);
        ehm_err why = {0};
        if (!ehm_import_open(&im, model, &o, &why)) ehm_test_fail(__FILE__, __LINE__, "opened with %zu of %zu bytes", n, b.len), ehm_import_close(im);
        else CHECK(*why.what);
    }
    ehm_arena_free(&a);
}

TEST(import, pth_cut_short) {
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_import *im;
    ehm_bytes b;
    char source[400], path[500];
    snprintf(path, sizeof path, "%s/cut.pth", ehm_test_tmp());
    REQUIRE_OK(ehm_file_read(&b, path_of("mae_encoder", "mae_encoder.pth", source), &a, &err), &err);
    for (size_t n = 64; n < b.len; n += 1009) {
        ehm_err why = {0};
        plain_file(path, b.data, n);
        if (!ehm_import_open(&im, path, &(ehm_import_opt){0}, &why)) ehm_test_fail(__FILE__, __LINE__, "opened with %zu of %zu bytes", n, b.len), ehm_import_close(im);
    }
    ehm_arena_free(&a);
}
