/* The flat interface: its results are those of the library underneath, and no misuse of it does more than fail in words. */
#include "api/api.h"
#include "base/log.h"
#include "base/settings.h"
#include "data/loader.h"
#include "harness.h"
#include "hierarchy/tree.h"
#include "image/image.h"
#include "infer/infer.h"
#include "mask/tree_mask.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = 64, N = 3, C = 3, D = 128, L = 64, G = 8, PX = SIDE * SIDE * C };
static char why[EHM_API_MESSAGE];
#define WHY why, sizeof why
#define OK(call)                                                                                              \
    do {                                                                                                      \
        int32_t rc_ = (call);                                                                                 \
        if (rc_) ehm_test_fail(__FILE__, __LINE__, "%s gave %s: %s", #call, ehm_api_code_name(rc_), why);     \
        else CHECK_STR(why, "");                                                                              \
    } while (0)
#define FAILS(call, code, part)                                                                               \
    do {                                                                                                      \
        why[0] = 0;                                                                                           \
        CHECK_INT(call, code);                                                                                \
        CHECK_HAS(why, part);                                                                                 \
    } while (0)

static void paint(uint8_t *px, int32_t n, int32_t h, int32_t w, int32_t c) { /* a bright disc that differs by picture */
    for (int32_t i = 0; i < n; i++)
        for (int32_t y = 0; y < h; y++)
            for (int32_t x = 0; x < w; x++)
                for (int32_t k = 0; k < c; k++) {
                    double r = hypot(y - h * 0.4, x - w * (0.3 + 0.2 * i)) / h;
                    px[((i * h + y) * w + x) * c + k] = (uint8_t)(r < 0.3 ? 220 - 30 * k : 40 + 15 * k + (x * 7 + y * 3) % 23);
                }
}

static ehm_api_model *pico(void) {
    ehm_api_model *m = NULL;
    OK(ehm_api_open(&m, "untrained:pico", "cpu", 2, WHY));
    REQUIRE(m);
    return m;
}

TEST(api, words) {
    CHECK_INT(ehm_api_version(), EHM_API_VERSION);
    CHECK(ehm_api_library_version()[0]);
    CHECK(ehm_api_features());
    CHECK_STR(ehm_api_code_name(0), "ok");
    CHECK_STR(ehm_api_code_name(EHM_E_CONFIG), "config");
    CHECK_STR(ehm_api_code_name(99), "unknown");
    CHECK_STR(ehm_api_code_name(-1), "unknown");
}

TEST(api, features_are_the_models) {
    static uint8_t px[N * PX];
    static float got[N * D], want[N * D], f32[N * PX], tokens[N * L * D];
    ehm_api_model *m = pico();
    ehm_model *own = NULL;
    ehm_err err = {0};
    paint(px, N, SIDE, SIDE, C);
    for (int32_t i = 0; i < N * PX; i++) f32[i] = (float)px[i] / 255;
    REQUIRE_OK(ehm_model_open(&own, "untrained:pico", &(ehm_model_opt){"cpu", 2, NULL, 0}, &err), &err);
    REQUIRE_OK(ehm_model_features(own, px, EHM_U8, N, EHM_POOL_CLS, want, &err), &err);
    OK(ehm_api_embed(m, px, N, SIDE, SIDE, C, EHM_API_U8, "cls", got, WHY));
    CHECK(!memcmp(got, want, sizeof got));
    REQUIRE_OK(ehm_model_features(own, px, EHM_U8, N, EHM_POOL_MEAN, want, &err), &err);
    OK(ehm_api_embed(m, px, N, SIDE, SIDE, C, EHM_API_U8, "mean", got, WHY));
    CHECK(!memcmp(got, want, sizeof got));
    OK(ehm_api_embed(m, f32, N, SIDE, SIDE, C, EHM_API_F32, "mean", got, WHY));
    CHECK_CLOSE_F32(got, want, N * D, 1e-4);
    OK(ehm_api_embed(m, px, N, SIDE, SIDE, C, EHM_API_U8, "patches", tokens, WHY));
    for (int32_t i = 0; i < N; i++)
        for (int32_t d = 0; d < D; d++) {
            double sum = 0;
            for (int32_t p = 0; p < L; p++) sum += (double)tokens[(i * L + p) * D + d];
            CHECK_NEAR(want[i * D + d], sum / L, 1e-5);
        }
    ehm_model_close(own);
    ehm_api_close(m);
}

/* More pictures than a batch holds, one by one and all at once. */
TEST(api, parts_of_a_batch) {
    static uint8_t px[N * PX];
    static float all[N * D], one[D];
    static const char *const two[] = {"device=ref", "batch_size=2"};
    ehm_api_model *m = NULL;
    int64_t v;
    paint(px, N, SIDE, SIDE, C);
    OK(ehm_api_open_with(&m, "untrained:pico", two, 2, WHY));
    REQUIRE(m);
    OK(ehm_api_number(m, "batch_size", &v, WHY));
    CHECK_INT(v, 2);
    OK(ehm_api_embed(m, px, N, SIDE, SIDE, C, EHM_API_U8, "cls", all, WHY));
    for (int32_t i = 0; i < N; i++) {
        OK(ehm_api_embed(m, px + i * PX, 1, SIDE, SIDE, C, EHM_API_U8, "cls", one, WHY));
        CHECK(!memcmp(one, all + i * D, sizeof one));
    }
    ehm_api_close(m);
}

TEST(api, facts) {
    ehm_api_model *m = pico();
    static const struct { const char *name; int64_t value; } want[] = {
        {"img_h", 64}, {"img_w", 64}, {"channels", 3}, {"patch_size", 8}, {"grid_h", 8}, {"grid_w", 8}, {"n_patches", 64},
        {"embed_dim", 128}, {"depth", 4}, {"num_heads", 4}, {"decoder_embed_dim", 64}, {"decoder_depth", 2}, {"decoder_num_heads", 2},
        {"patch_pixels", 192}, {"has_decoder", 1}, {"norm_pix", 1}, {"batch_size", 64},
    };
    int64_t v;
    double mean[3], std[3];
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        OK(ehm_api_number(m, want[i].name, &v, WHY));
        if (v != want[i].value) ehm_test_fail(__FILE__, __LINE__, "%s is %lld", want[i].name, (long long)v);
    }
    OK(ehm_api_number(m, "n_parameters", &v, WHY));
    CHECK(v > 500000 && v < 1500000);
    FAILS(ehm_api_number(m, "patchsize", &v, WHY), EHM_E_ARG, "did you mean patch_size");
    CHECK_STR(ehm_api_text(m, "spec"), "untrained:pico");
    CHECK(ehm_api_text(m, "dtype") && ehm_api_text(m, "fit"));
    CHECK(!ehm_api_text(m, "nothing") && !ehm_api_text(NULL, "spec") && !ehm_api_text(m, NULL));
    OK(ehm_api_stats(m, mean, std, WHY));
    CHECK(mean[0] > 0 && mean[0] < 1 && std[2] > 0);
    ehm_api_close(m);
}

/* Another size is fitted as ehm_data_fit does, the model's own size is left alone, other channels are converted. */
TEST(api, other_sizes_are_fitted) {
    enum { H = 90, W = 120 };
    static uint8_t big[2 * H * W * C], grey[PX / C], four[SIDE * SIDE * 4], px[PX], got[2 * PX], want[PX];
    static float a[2 * D], b[2 * D];
    ehm_api_model *m = pico();
    ehm_err err = {0};
    ehm_arena s = {0};
    paint(big, 2, H, W, C);
    for (int32_t k = 0; k < 3; k++) {
        const char *fit = (const char *[]){"crop", "stretch", "pad"}[k];
        OK(ehm_api_fit(m, fit, big, 2, H, W, C, EHM_API_U8, got, WHY));
        ehm_image img = {.px = big + H * W * C, .w = W, .h = H, .c = C, .type = EHM_U8};
        REQUIRE_OK(ehm_data_fit(want, EHM_U8, SIDE, SIDE, &img, fit, &s, &err), &err);
        CHECK(!memcmp(got + PX, want, PX));
    }
    OK(ehm_api_fit(m, NULL, big, 2, H, W, C, EHM_API_U8, got, WHY));
    OK(ehm_api_embed(m, got, 2, SIDE, SIDE, C, EHM_API_U8, "mean", a, WHY));
    OK(ehm_api_embed(m, big, 2, H, W, C, EHM_API_U8, "mean", b, WHY));
    CHECK(!memcmp(a, b, sizeof a));
    paint(grey, 1, SIDE, SIDE, 1);
    for (int32_t i = 0; i < SIDE * SIDE; i++)
        for (int32_t k = 0; k < 4; k++) {
            four[i * 4 + k] = k < 3 ? grey[i] : 9;
            if (k < 3) px[i * 3 + k] = grey[i];
        }
    OK(ehm_api_embed(m, px, 1, SIDE, SIDE, 3, EHM_API_U8, "mean", a, WHY));
    OK(ehm_api_embed(m, grey, 1, SIDE, SIDE, 1, EHM_API_U8, "mean", b, WHY));
    CHECK(!memcmp(a, b, D * sizeof *a));
    OK(ehm_api_embed(m, four, 1, SIDE, SIDE, 4, EHM_API_U8, "mean", b, WHY));
    CHECK(!memcmp(a, b, D * sizeof *a));
    ehm_arena_free(&s);
    ehm_api_close(m);
}

TEST(api, attention_and_similarity) {
    static uint8_t px[N * PX];
    static float A[N * 65 * 65], H[N * 4 * 65 * 65], S[N * L * L], R[N * L * L], cls[N * L];
    static const char *const direct[] = {"similarity=direct", "tree_layers=last"};
    ehm_api_model *m = pico();
    int32_t fell_back = -1;
    paint(px, N, SIDE, SIDE, C);
    OK(ehm_api_attention(m, px, N, SIDE, SIDE, C, EHM_API_U8, -1, 0, A, WHY));
    OK(ehm_api_attention(m, px, N, SIDE, SIDE, C, EHM_API_U8, 3, 1, H, WHY));
    for (int32_t i = 0; i < N * 65; i++) {
        double sum = 0;
        for (int32_t j = 0; j < 65; j++) sum += (double)A[i * 65 + j];
        CHECK_NEAR(sum, 1, 1e-4);
    }
    for (int32_t i = 0; i < 65 * 65; i++)
        CHECK_NEAR(A[65 * 65 + i], (H[4 * 65 * 65 + i] + H[5 * 65 * 65 + i] + H[6 * 65 * 65 + i] + H[7 * 65 * 65 + i]) / 4, 1e-5);
    OK(ehm_api_affinity(m, NULL, 0, px, N, SIDE, SIDE, C, EHM_API_U8, S, NULL, NULL, &fell_back, WHY));
    CHECK_INT(fell_back, 1); /* untrained: no mean is stored */
    for (int32_t i = 0; i < L; i++)
        for (int32_t j = 0; j < i; j++) CHECK(S[L * L + i * L + j] == S[L * L + j * L + i]);
    OK(ehm_api_affinity(m, direct, 2, px, N, SIDE, SIDE, C, EHM_API_U8, R, NULL, cls, &fell_back, WHY));
    CHECK_INT(fell_back, 0);
    CHECK(memcmp(S, R, sizeof S));
    /* (A + A^T) / 2 of the last block, rows of patches made to sum to 1 */
    for (int32_t i = 1; i < 5; i++)
        for (int32_t j = 1; j < i; j++) {
            double si = 0, sj = 0;
            for (int32_t k = 1; k < 65; k++) si += (double)A[i * 65 + k], sj += (double)A[j * 65 + k];
            CHECK_NEAR(R[(i - 1) * L + j - 1], (A[i * 65 + j] / si + A[j * 65 + i] / sj) / 2, 1e-5);
        }
    FAILS(ehm_api_attention(m, px, N, SIDE, SIDE, C, EHM_API_U8, 4, 0, A, WHY), EHM_E_ARG, "blocks are 0 to 3");
    FAILS(ehm_api_affinity(m, NULL, 0, px, N, SIDE, SIDE, C, EHM_API_U8, NULL, NULL, NULL, NULL, WHY), EHM_E_ARG, "nothing is asked for");
    FAILS(ehm_api_affinity(m, (const char *[]){"linkage=ward"}, 1, px, N, SIDE, SIDE, C, EHM_API_U8, S, NULL, NULL, NULL, WHY), EHM_E_CONFIG,
          "linkage has no meaning here");
    ehm_api_close(m);
}

TEST(api, reconstruction) {
    static uint8_t px[N * PX], masks[N * L];
    static float pred[N * L * 192], alone[L * 192], loss[N], mean;
    static int32_t visible[N * 16], masked[N * 48];
    ehm_api_model *m = pico();
    ehm_model *own = NULL;
    ehm_err err = {0};
    paint(px, N, SIDE, SIDE, C);
    OK(ehm_api_masks("random", G, G, NULL, 0, 0, N, 7, NULL, 0, masks, WHY));
    OK(ehm_api_reconstruct(m, px, N, SIDE, SIDE, C, EHM_API_U8, masks, pred, loss, WHY));
    for (int32_t i = 0; i < N; i++)
        for (int32_t p = 0, v = 0, k = 0; p < L; p++) {
            if (masks[i * L + p]) masked[i * 48 + k++] = p;
            else visible[i * 16 + v++] = p;
        }
    REQUIRE_OK(ehm_model_open(&own, "untrained:pico", &(ehm_model_opt){"cpu", 2, NULL, 0}, &err), &err);
    REQUIRE_OK(ehm_model_reconstruct(own, px, EHM_U8, N, visible, masked, 16, NULL, &mean, &err), &err);
    CHECK_NEAR((loss[0] + loss[1] + loss[2]) / 3, mean, 1e-5);
    REQUIRE_OK(ehm_model_reconstruct(own, px + PX, EHM_U8, 1, visible + 16, masked + 48, 16, alone, NULL, &err), &err);
    CHECK_CLOSE_F32(pred + L * 192, alone, L * 192, 1e-5);
    masks[L] ^= 1;
    FAILS(ehm_api_reconstruct(m, px, N, SIDE, SIDE, C, EHM_API_U8, masks, pred, loss, WHY), EHM_E_ARG, "mask 1 hides");
    memset(masks, 1, sizeof masks);
    FAILS(ehm_api_reconstruct(m, px, N, SIDE, SIDE, C, EHM_API_U8, masks, pred, loss, WHY), EHM_E_ARG, "hides 64 of 64");
    FAILS(ehm_api_reconstruct(m, px, N, SIDE, SIDE, C, EHM_API_U8, masks, NULL, NULL, WHY), EHM_E_ARG, "nothing is asked for");
    ehm_model_close(own);
    ehm_api_close(m);
}

TEST(api, pictures_from_paths) {
    static const char *const paths[] = {"scenes:5:3"};
    static uint8_t px[3 * PX];
    static float a[3 * D], b[3 * D];
    ehm_api_model *m = pico();
    ehm_api_data *d = NULL;
    OK(ehm_api_data_open(&d, paths, 1, 3, WHY));
    REQUIRE(d);
    CHECK_INT(ehm_api_data_count(d), 3);
    CHECK_INT(ehm_api_data_channels(d), 3);
    CHECK_INT(ehm_api_data_type(d), EHM_API_U8);
    CHECK(ehm_api_data_name(d, 2) && !ehm_api_data_name(d, 3) && !ehm_api_data_name(d, -1) && !ehm_api_data_name(NULL, 0));
    CHECK(ehm_api_data_label(d, 0) && !ehm_api_data_label(d, 3));
    OK(ehm_api_data_read(d, m, 1, 2, px + PX, WHY));
    OK(ehm_api_data_read(d, m, 0, 1, px, WHY));
    OK(ehm_api_embed(m, px, 3, SIDE, SIDE, C, EHM_API_U8, "mean", a, WHY));
    OK(ehm_api_embed_data(m, d, "mean", b, WHY));
    CHECK(!memcmp(a, b, sizeof a));
    FAILS(ehm_api_data_read(d, m, 2, 2, px, WHY), EHM_E_ARG, "there are 3");
    FAILS(ehm_api_data_read(d, m, -1, 1, px, WHY), EHM_E_ARG, "there are 3");
    ehm_api_data_close(d);
    OK(ehm_api_data_open(&d, paths, 1, 1, WHY));
    FAILS(ehm_api_embed_data(m, d, "mean", b, WHY), EHM_E_MISMATCH, "pictures of 1 channels, but the model takes 3");
    ehm_api_data_close(d);
    FAILS(ehm_api_data_open(&d, (const char *[]){"/no/such/folder"}, 1, 3, WHY), EHM_E_CONFIG, "/no/such/folder");
    CHECK(!d);
    FAILS(ehm_api_data_open(&d, (const char *[]){NULL}, 1, 3, WHY), EHM_E_ARG, "path 0 is NULL");
    ehm_api_close(m);
}

/* A row of the result belongs to each picture: one that is broken is an error that names it, not a gap. */
TEST(api, a_broken_picture_is_named) {
    char path[3][512];
    const char *paths[3], *folder = ehm_test_tmp();
    static uint8_t px[PX];
    static float out[3 * D];
    ehm_api_model *m = pico();
    ehm_api_data *d = NULL;
    ehm_err err = {0};
    paint(px, 1, SIDE, SIDE, C);
    for (int32_t i = 0; i < 3; i++) {
        snprintf(path[i], sizeof path[i], "%s/p%d.ppm", folder, (int)i);
        paths[i] = path[i];
        REQUIRE_OK(ehm_ppm_write(path[i], &(ehm_image){.px = px, .w = SIDE, .h = SIDE, .c = C, .type = EHM_U8}, &err), &err);
    }
    REQUIRE(!truncate(path[1], 1000));
    OK(ehm_api_data_open(&d, paths, 3, 3, WHY));
    REQUIRE(d);
    FAILS(ehm_api_embed_data(m, d, "mean", out, WHY), EHM_E_FORMAT, "p1.ppm");
    FAILS(ehm_api_data_read(d, m, 0, 3, px, WHY), EHM_E_FORMAT, "p1.ppm");
    ehm_api_data_close(d);
    ehm_api_close(m);
}

/* ---- trees ---- */

static void similar(double *S, int32_t n, uint32_t seed) {
    uint32_t s = seed;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j <= i; j++) S[i * n + j] = S[j * n + i] = (double)((s = s * 1664525u + 1013904223u) >> 8) / 16777216.0;
}

TEST(api, trees_are_the_librarys) {
    enum { ITEMS = 20, TREES = 5 };
    static double S[TREES * ITEMS * ITEMS], z[TREES * 4 * (ITEMS - 1)], one[4 * (ITEMS - 1)];
    static float F[ITEMS * ITEMS];
    ehm_err err = {0};
    ehm_arena a = {0};
    ehm_tree t;
    for (int32_t i = 0; i < TREES; i++) similar(S + i * ITEMS * ITEMS, ITEMS, (uint32_t)i + 1);
    REQUIRE_OK(ehm_tree_new(&t, ITEMS, &a, &err), &err);
    void *work = ehm_arena_alloc(&a, 1, ehm_tree_work_bytes(ITEMS, EHM_LINK_WARD, EHM_F64));
    OK(ehm_api_tree(z, S, EHM_API_F64, TREES, ITEMS, "ward", 0, 2, WHY));
    for (int32_t i = 0; i < TREES; i++) {
        REQUIRE_OK(ehm_tree_build(&t, S + i * ITEMS * ITEMS, EHM_F64, ITEMS, EHM_LINK_WARD, 0, work, &err), &err);
        ehm_tree_z(one, &t);
        CHECK(!memcmp(one, z + i * 4 * (ITEMS - 1), sizeof one));
    }
    for (int32_t i = 0; i < ITEMS * ITEMS; i++) F[i] = (float)S[i];
    OK(ehm_api_tree(one, S, EHM_API_F64, 1, ITEMS, NULL, 0, 0, WHY));
    OK(ehm_api_tree(z, F, EHM_API_F32, 1, ITEMS, "average", 0, 0, WHY));
    for (int32_t i = 0; i < 4 * (ITEMS - 1); i++) CHECK_NEAR(z[i], one[i], 1e-6);
    S[1] += 0.5;
    FAILS(ehm_api_tree(z, S, EHM_API_F64, 1, ITEMS, NULL, 0, 0, WHY), EHM_E_ARG, "hint:  symmetrise takes the mean");
    OK(ehm_api_tree(z, S, EHM_API_F64, 1, ITEMS, NULL, 1, 0, WHY));
    S[2 * ITEMS * ITEMS + 1] = NAN;
    FAILS(ehm_api_tree(z, S, EHM_API_F64, TREES, ITEMS, NULL, 1, 2, WHY), EHM_E_ARG, "nan");
    FAILS(ehm_api_tree(z, S, EHM_API_F64, 1, ITEMS, "avrage", 0, 0, WHY), EHM_E_CONFIG, "average");
    FAILS(ehm_api_tree(z, S, EHM_API_U8, 1, ITEMS, NULL, 0, 0, WHY), EHM_E_ARG, "type 0");
    FAILS(ehm_api_tree(z, S, EHM_API_F64, 1, 5000, NULL, 0, 0, WHY), EHM_E_ARG, "1 to 4096");
    FAILS(ehm_api_tree(z, S, EHM_API_F64, 0, ITEMS, NULL, 0, 0, WHY), EHM_E_ARG, "0 matrices");
    FAILS(ehm_api_tree(NULL, S, EHM_API_F64, 1, ITEMS, NULL, 0, 0, WHY), EHM_E_ARG, "z is NULL");
    OK(ehm_api_tree(z, S, EHM_API_F64, 1, 1, NULL, 0, 0, WHY)); /* one item: no merge */
    ehm_arena_free(&a);
}

/* ---- masks ---- */

TEST(api, rules) {
    int32_t n = ehm_api_rule_count();
    bool has_ehm = false;
    CHECK(n >= 10);
    for (int32_t i = 0; i < n; i++) {
        const char *name = ehm_api_rule_text(i, "name");
        REQUIRE(name && ehm_api_rule_text(i, "summary") && ehm_api_rule_text(i, "source"));
        if (!ehm_api_rule_text(i, "needs")) ehm_test_fail(__FILE__, __LINE__, "what %s needs has no text: see needs_text", name);
        if (!strcmp(name, "ehm")) {
            has_ehm = true;
            CHECK_STR(ehm_api_rule_text(i, "needs"), "similarity");
        }
        if (!strcmp(name, "color")) CHECK_HAS(ehm_api_rule_text(i, "args"), "green");
    }
    CHECK(has_ehm);
    CHECK(!ehm_api_rule_text(n, "name") && !ehm_api_rule_text(-1, "name") && !ehm_api_rule_text(0, "colour") && !ehm_api_rule_text(0, NULL));
}

/* Each option of masks and trees is either taken here or one of those that only a training has. */
TEST(api, every_mask_option_is_known) {
    static const char training[] = "mask,tree_teacher,tree_half_life,warmup_random,progress_end,tree_log,tree_labels";
    ehm_api_masker *k = NULL;
    OK(ehm_api_masker_open(&k, "random", G, G, NULL, 0, WHY));
    REQUIRE(k);
    for (int32_t i = 0; i < EHM_SETTINGS_N; i++) {
        const ehm_setting *s = &ehm_settings[i];
        char text[128];
        if (!ehm_in_groups("mask,tree,linkage", s->group)) continue;
        snprintf(text, sizeof text, "%s=?", s->key); /* no value is right: the complaint is about the value, or about the key */
        why[0] = 0;
        int32_t rc = ehm_api_masker_set(k, text, WHY);
        bool refused = strstr(why, "has no meaning here");
        if (refused != ehm_in_groups(training, s->key))
            ehm_test_fail(__FILE__, __LINE__, "%s: is it of training or of masks? see ehm_api_mask_keys (%s)", s->key, why);
        else if (!rc && s->kind != EHM_SET_STR) ehm_test_fail(__FILE__, __LINE__, "%s was taken", text);
    }
    ehm_api_masker_close(k);
}

static void draw_own(uint8_t *out, const char *rule, double u, int32_t n, uint64_t seed, uint32_t epoch, const int64_t *sample, const float *S,
                     const ehm_mask_settings *set) {
    ehm_err err = {0};
    ehm_arena a = {0};
    const char *arg;
    const ehm_mask_rule *r = ehm_mask_rule_find(rule, &arg, &err);
    memset(out, 0, (size_t)n * L);
    REQUIRE(r);
    for (int32_t i = 0; i < n; i++) {
        int32_t v[L], k[L];
        ehm_mask m = {.visible = v, .masked = k};
        uint64_t id = (uint64_t)(sample ? sample[i] : i);
        ehm_mask_in in = {.grid_h = G, .grid_w = G, .n_masked = L - ehm_mask_n_visible(L, set ? set->mask_ratio : 0.75), .n_views = 1,
                          .progress_frac = (float)u, .rng = ehm_rng_of(seed, EHM_RNG_mask, epoch, id), .seed = seed, .sample = id,
                          .epoch = epoch, .arg = arg, .settings = set, .similarity = S ? S + i * L * L : NULL};
        REQUIRE_OK(ehm_mask_draw(r, &m, &in, &a, &err), &err);
        for (int32_t p = 0; p < m.n_masked; p++) out[i * L + m.masked[p]] = 1;
    }
    ehm_arena_free(&a);
}

TEST(api, masks_are_the_librarys) {
    enum { MASKS = 20 };
    static uint8_t got[MASKS * L], want[MASKS * L];
    static double S[MASKS * L * L];
    static float F[MASKS * L * L];
    static const char *const rules[] = {"random", "block", "color:purple", "multiblock", "cell", "grid"};
    static const char *const ratio[] = {"mask-ratio=0.5", "linkage=complete"};
    int64_t sample[MASKS];
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
        OK(ehm_api_masks(rules[r], G, G, NULL, 0, 0.25, MASKS, 11, NULL, 0, got, WHY));
        draw_own(want, rules[r], 0.25, MASKS, 11, 0, NULL, NULL, NULL);
        CHECK(!memcmp(got, want, sizeof got));
    }
    for (int32_t i = 0; i < MASKS; i++) similar(S + i * L * L, L, (uint32_t)i + 9), sample[i] = 100 - i;
    for (int32_t i = 0; i < MASKS * L * L; i++) F[i] = (float)S[i];
    OK(ehm_api_masks("ehm", G, G, ratio, 2, 0.9, MASKS, 3, F, MASKS, got, WHY));
    ehm_mask_settings set = {.linkage = EHM_LINK_COMPLETE, .k_start = EHM_AUTO_I64, .k_end = EHM_AUTO_I64, .k_jitter = 0.1, .mask_ratio = 0.5};
    draw_own(want, "ehm", 0.9, MASKS, 3, 0, NULL, F, &set);
    CHECK(!memcmp(got, want, sizeof got));
    /* keys of one's own, any number of threads, one similarity for all */
    ehm_api_masker *k = NULL;
    OK(ehm_api_masker_open(&k, "ehm", G, G, ratio, 2, WHY));
    REQUIRE(k);
    CHECK_INT(ehm_api_masker_n_masked(k), 32);
    CHECK_STR(ehm_api_masker_needs(k, 0), "");
    CHECK_STR(ehm_api_masker_needs(k, 0.9), "similarity");
    OK(ehm_api_masker_give(k, "similarity", F, MASKS, 0, WHY));
    draw_own(want, "ehm", 0.9, MASKS, 3, 2, sample, F, &set);
    for (int32_t threads = 1; threads <= 3; threads++) {
        OK(ehm_api_masker_draw(k, 0.9, MASKS, 3, 2, sample, threads, got, WHY));
        CHECK(!memcmp(got, want, sizeof got));
    }
    FAILS(ehm_api_masker_draw(k, 0.9, 2, 3, 2, sample, 1, got, WHY), EHM_E_MISMATCH, "given for 20 pictures, and 2");
    OK(ehm_api_masker_give(k, "similarity", F, 1, 0, WHY));
    OK(ehm_api_masker_draw(k, 0.9, 2, 3, 0, NULL, 1, got, WHY));
    OK(ehm_api_masker_set(k, "mask_ratio=0.75", WHY));
    CHECK_INT(ehm_api_masker_n_masked(k), 48);
    OK(ehm_api_masker_give(k, "similarity", NULL, 0, 0, WHY));
    FAILS(ehm_api_masker_draw(k, 0.9, 2, 3, 0, NULL, 1, got, WHY), EHM_E_ARG, "needs the similarity of its patches");
    OK(ehm_api_masker_draw(k, 0, 2, 3, 0, NULL, 1, got, WHY)); /* at the start every patch is its own */
    ehm_api_masker_close(k);
}

TEST(api, masks_of_a_model) {
    static uint8_t px[N * PX], got[N * L], want[N * L];
    static float S[N * L * L];
    static double z[N * 4 * (L - 1)], own[N * 4 * (L - 1)];
    ehm_api_model *m = pico();
    ehm_api_masker *k = NULL;
    paint(px, N, SIDE, SIDE, C);
    OK(ehm_api_affinity(m, NULL, 0, px, N, SIDE, SIDE, C, EHM_API_U8, S, NULL, NULL, NULL, WHY));
    OK(ehm_api_masks("ehm", G, G, NULL, 0, 1, N, 5, S, N, want, WHY));
    OK(ehm_api_masks_model(m, "ehm", NULL, 0, 1, 5, px, N, SIDE, SIDE, C, EHM_API_U8, got, WHY));
    CHECK(!memcmp(got, want, sizeof got));
    OK(ehm_api_masker_open_for(&k, m, "ehm", NULL, 0, WHY));
    REQUIRE(k);
    OK(ehm_api_masker_look(k, m, px, N, SIDE, SIDE, C, EHM_API_U8, 0, 1, WHY));
    OK(ehm_api_masker_trees(k, N, 0, 2, z, WHY));
    OK(ehm_api_tree(own, S, EHM_API_F32, N, L, "average", 0, 1, WHY));
    CHECK(!memcmp(z, own, sizeof z));
    ehm_api_masker_close(k);
    /* Every rule draws from a model, each at the rule's own count. */
    for (int32_t i = 0; i < ehm_api_rule_count(); i++) {
        const char *rule = ehm_api_rule_text(i, "name");
        int32_t rc = ehm_api_masks_model(m, rule, NULL, 0, 0.7, 5, px, N, SIDE, SIDE, C, EHM_API_U8, got, WHY);
        if (!strcmp(rule, "file") || !strcmp(rule, "scores")) CHECK_INT(rc, EHM_E_ARG); /* of a file alone */
        else if (rc) ehm_test_fail(__FILE__, __LINE__, "%s: %s", rule, why);
    }
    static const char *const pixels[] = {"tree_source=pixels"}, *const swapped[] = {"tree_source=swapped"};
    OK(ehm_api_masks_model(m, "ehm", pixels, 1, 1, 5, px, N, SIDE, SIDE, C, EHM_API_U8, got, WHY));
    OK(ehm_api_masks_model(m, "ehm", swapped, 1, 1, 5, px, N, SIDE, SIDE, C, EHM_API_U8, got, WHY));
    FAILS(ehm_api_masks_model(m, "ehm", swapped, 1, 1, 5, px, 1, SIDE, SIDE, C, EHM_API_U8, got, WHY), EHM_E_ARG, "only one");
    OK(ehm_api_masker_open(&k, "ehm", 4, 4, NULL, 0, WHY));
    FAILS(ehm_api_masker_look(k, m, px, N, SIDE, SIDE, C, EHM_API_U8, 1, 0, WHY), EHM_E_MISMATCH, "4 x 4 and the model's 8 x 8");
    ehm_api_masker_close(k);
    ehm_api_close(m);
}

TEST(api, numbers_that_are_none) {
    static float S[L * L], row[L];
    static int32_t labels[2 * L];
    static uint8_t out[L];
    static const char *const by_labels[] = {"tree_source=labels"};
    ehm_api_masker *k = NULL;
    OK(ehm_api_masker_open(&k, "ehm", G, G, by_labels, 1, WHY));
    REQUIRE(k);
    S[1] = 1;
    FAILS(ehm_api_masker_give(k, "similarity", S, 1, 0, WHY), EHM_E_ARG, "taking similarity of picture 0");
    CHECK_HAS(why, "its transpose");
    S[L] = NAN;
    FAILS(ehm_api_masker_give(k, "similarity", S, 1, 0, WHY), EHM_E_ARG, "nan");
    row[3] = INFINITY;
    FAILS(ehm_api_masker_give(k, "score", row, 1, 0, WHY), EHM_E_NUMERIC, "score: number 3 of picture 0 is inf");
    FAILS(ehm_api_masker_give(k, "scores", row, 1, 0, WHY), EHM_E_ARG, "did you mean score");
    FAILS(ehm_api_masker_give(k, "labels", row, 1, 0, WHY), EHM_E_ARG, "no rule takes \"labels\"");
    FAILS(ehm_api_masker_give(k, "colour", row, 1, 0, WHY), EHM_E_ARG, "width 0");
    FAILS(ehm_api_masker_give(k, "loss", row, 0, 0, WHY), EHM_E_ARG, "0 pictures");
    FAILS(ehm_api_masker_draw(k, 1, 1, 0, 0, NULL, 1, out, WHY), EHM_E_ARG, "labels of the patches");
    for (int32_t i = 0; i < 2 * L; i++) labels[i] = i / 16;
    OK(ehm_api_masker_give_labels(k, labels, 1, 2, WHY));
    OK(ehm_api_masker_draw(k, 1, 1, 0, 0, NULL, 1, out, WHY));
    FAILS(ehm_api_masker_give_labels(k, labels, 1, 0, WHY), EHM_E_ARG, "0 levels");
    ehm_api_masker_close(k);
}

TEST(api, settings_have_the_commands_checks) {
    static uint8_t out[L];
    ehm_api_masker *k = NULL;
    ehm_api_model *m = NULL;
    FAILS(ehm_api_masker_open(&k, "radnom", G, G, NULL, 0, WHY), EHM_E_CONFIG, "did you mean \"random\"");
    CHECK(!k);
    FAILS(ehm_api_masker_open(&k, "color:pink", G, G, NULL, 0, WHY), EHM_E_CONFIG, "green|red");
    FAILS(ehm_api_masker_open(&k, "random", G, G, (const char *[]){"mask_ratio=1.5"}, 1, WHY), EHM_E_CONFIG, "1.5");
    FAILS(ehm_api_masker_open(&k, "random", G, G, (const char *[]){"mask_ration=0.5"}, 1, WHY), EHM_E_CONFIG, "mask");
    FAILS(ehm_api_masker_open(&k, "random", G, G, (const char *[]){"progress_end=0.5"}, 1, WHY), EHM_E_CONFIG, "has no meaning here");
    FAILS(ehm_api_masker_open(&k, "random", G, G, (const char *[]){"mask_ratio"}, 1, WHY), EHM_E_CONFIG, "must be key=value");
    FAILS(ehm_api_masker_open(&k, "ehm", G, G, (const char *[]){"k_start=4", "k_end=9"}, 2, WHY), EHM_E_CONFIG, "k_end 9 is more than k_start 4");
    FAILS(ehm_api_masker_open(&k, "random", 0, G, NULL, 0, WHY), EHM_E_ARG, "0 x 8");
    FAILS(ehm_api_masker_open(&k, "random", G, 5000, NULL, 0, WHY), EHM_E_ARG, "1 to 1024");
    FAILS(ehm_api_masks("random", G, G, NULL, 0, 1.1, 1, 0, NULL, 0, out, WHY), EHM_E_ARG, "progress 1.1");
    FAILS(ehm_api_masks("random", G, G, NULL, 0, NAN, 1, 0, NULL, 0, out, WHY), EHM_E_ARG, "progress");
    FAILS(ehm_api_masks("random", G, G, NULL, 0, 0, 0, 0, NULL, 0, out, WHY), EHM_E_ARG, "0 masks");
    FAILS(ehm_api_masks("file", G, G, (const char *[]){"mask_file=/no/such.npy"}, 1, 0, 1, 0, NULL, 0, out, WHY), EHM_E_IO, "/no/such.npy");
    /* what was there stays where a new value is refused */
    OK(ehm_api_masker_open(&k, "random", G, G, (const char *[]){"mask_ratio=0.5"}, 1, WHY));
    FAILS(ehm_api_masker_set(k, "mask_ratio=7", WHY), EHM_E_CONFIG, "7");
    CHECK_INT(ehm_api_masker_n_masked(k), 32);
    ehm_api_masker_close(k);
    FAILS(ehm_api_open(&m, "no/such/run", NULL, 0, WHY), EHM_E_CONFIG, "no/such/run");
    CHECK(!m);
    FAILS(ehm_api_open(&m, "untrained:pico", "tpu", 0, WHY), EHM_E_CONFIG, "tpu");
    FAILS(ehm_api_open(&m, "untrained:pico", NULL, -3, WHY), EHM_E_CONFIG, "threads");
    FAILS(ehm_api_open_with(&m, "untrained:pico", (const char *[]){"epochs=3"}, 1, WHY), EHM_E_CONFIG, "epochs has no meaning here");
}

/* ---- misuse ---- */

TEST(api, null_and_nonsense) {
    static uint8_t px[PX], masks[L];
    static float out[65 * 65 * 4];
    ehm_api_model *m = pico(), *none = NULL;
    ehm_api_data *d = NULL;
    ehm_api_masker *k = NULL;
    int64_t v;
    double s[3];
    ehm_api_close(NULL), ehm_api_data_close(NULL), ehm_api_masker_close(NULL);
    FAILS(ehm_api_open(NULL, "untrained:pico", NULL, 0, WHY), EHM_E_ARG, "out is NULL");
    FAILS(ehm_api_open(&none, NULL, NULL, 0, WHY), EHM_E_ARG, "name is NULL");
    FAILS(ehm_api_open_with(&none, "untrained:pico", NULL, 1, WHY), EHM_E_ARG, "settings is NULL");
    FAILS(ehm_api_number(NULL, "depth", &v, WHY), EHM_E_ARG, "the model is NULL");
    FAILS(ehm_api_number(m, NULL, &v, WHY), EHM_E_ARG, "name is NULL");
    FAILS(ehm_api_stats(m, s, NULL, WHY), EHM_E_ARG, "std is NULL");
    FAILS(ehm_api_embed(NULL, px, 1, SIDE, SIDE, C, 0, "cls", out, WHY), EHM_E_ARG, "the model is NULL");
    FAILS(ehm_api_embed(m, NULL, 1, SIDE, SIDE, C, 0, "cls", out, WHY), EHM_E_ARG, "pixels is NULL");
    FAILS(ehm_api_embed(m, px, 1, SIDE, SIDE, C, 0, "cls", NULL, WHY), EHM_E_ARG, "out is NULL");
    FAILS(ehm_api_embed(m, px, 1, SIDE, SIDE, C, 0, NULL, out, WHY), EHM_E_ARG, "pool is NULL");
    FAILS(ehm_api_embed(m, px, 1, SIDE, SIDE, C, 0, "max", out, WHY), EHM_E_CONFIG, "cls, mean and patches");
    FAILS(ehm_api_embed(m, px, 0, SIDE, SIDE, C, 0, "cls", out, WHY), EHM_E_ARG, "[0,64,64,3]");
    FAILS(ehm_api_embed(m, px, 1, SIDE, -1, C, 0, "cls", out, WHY), EHM_E_ARG, "[1,64,-1,3]");
    FAILS(ehm_api_embed(m, px, 1, SIDE, SIDE, C, 7, "cls", out, WHY), EHM_E_ARG, "type 7");
    FAILS(ehm_api_embed(m, px, 1, SIDE / 2, SIDE, 5, 0, "cls", out, WHY), EHM_E_ARG, "5");
    FAILS(ehm_api_embed(m, px, INT64_MAX, SIDE, SIDE, C, 0, "cls", out, WHY), EHM_E_ARG, "memory");
    FAILS(ehm_api_fit(m, "squash", px, 1, SIDE, SIDE, C, 0, masks, WHY), EHM_E_CONFIG, "crop, stretch and pad");
    FAILS(ehm_api_fit(NULL, "crop", px, 1, SIDE, SIDE, C, 0, masks, WHY), EHM_E_ARG, "the model is NULL");
    FAILS(ehm_api_attention(m, px, 1, SIDE, SIDE, C, 0, 0, 0, NULL, WHY), EHM_E_ARG, "out is NULL");
    FAILS(ehm_api_reconstruct(m, px, 1, SIDE, SIDE, C, 0, NULL, out, NULL, WHY), EHM_E_ARG, "masks is NULL");
    FAILS(ehm_api_data_open(&d, NULL, 1, 3, WHY), EHM_E_ARG, "paths is NULL");
    FAILS(ehm_api_data_open(NULL, NULL, 1, 3, WHY), EHM_E_ARG, "out is NULL");
    FAILS(ehm_api_data_read(NULL, m, 0, 1, px, WHY), EHM_E_ARG, "the data is NULL");
    FAILS(ehm_api_embed_data(m, NULL, "cls", out, WHY), EHM_E_ARG, "the data is NULL");
    FAILS(ehm_api_masker_open(&k, NULL, G, G, NULL, 0, WHY), EHM_E_ARG, "the rule is NULL");
    FAILS(ehm_api_masker_open_for(&k, NULL, NULL, NULL, 0, WHY), EHM_E_ARG, "the model is NULL");
    FAILS(ehm_api_masker_draw(NULL, 0, 1, 0, 0, NULL, 0, masks, WHY), EHM_E_ARG, "the masker is NULL");
    FAILS(ehm_api_masker_look(NULL, m, px, 1, SIDE, SIDE, C, 0, 0, 0, WHY), EHM_E_ARG, "the masker is NULL");
    FAILS(ehm_api_masker_give(NULL, "score", out, 1, 0, WHY), EHM_E_ARG, "the masker is NULL");
    FAILS(ehm_api_masker_set(NULL, "mask_ratio=1", WHY), EHM_E_ARG, "the masker is NULL");
    FAILS(ehm_api_masker_trees(NULL, 1, 0, 0, s, WHY), EHM_E_ARG, "the masker is NULL");
    FAILS(ehm_api_masks(NULL, G, G, NULL, 0, 0, 1, 0, NULL, 0, masks, WHY), EHM_E_ARG, "the rule is NULL");
    CHECK_INT(ehm_api_masker_n_masked(NULL), 0);
    CHECK_STR(ehm_api_masker_needs(NULL, 0), "");
    CHECK_INT(ehm_api_data_count(NULL), 0);
    static float f32[PX];
    f32[5] = NAN;
    FAILS(ehm_api_embed(m, f32, 1, SIDE, SIDE, C, 1, "cls", out, WHY), EHM_E_NUMERIC, "pixel 5 of picture 0");
    ehm_api_close(m);
}

/* No room for the words, or little: the code is the same, the text is cut and ended. */
TEST(api, messages_fit_the_room) {
    char small[9] = "xxxxxxxx";
    ehm_api_model *m = NULL;
    CHECK_INT(ehm_api_open(&m, NULL, NULL, 0, NULL, 0), EHM_E_ARG);
    CHECK_INT(ehm_api_open(&m, NULL, NULL, 0, small, 0), EHM_E_ARG);
    CHECK_STR(small, "xxxxxxxx");
    CHECK_INT(ehm_api_open(&m, NULL, NULL, 0, small, 8), EHM_E_ARG);
    CHECK_STR(small, "the mod");
    CHECK_INT(ehm_api_open(&m, "\xc3\xa4\xc3\xa4\xc3\xa4", NULL, 0, small, 2), EHM_E_CONFIG);
    CHECK(strlen(small) < 2);
}

typedef struct {
    uint8_t px[PX];
    float out[D], want[D];
    uint8_t mask[L], want_mask[L];
    int bad;
} work;

static void *one_thread(void *p) {
    work *w = p;
    ehm_api_model *m = NULL;
    char text[256];
    for (int i = 0; i < 3; i++) {
        if (ehm_api_open(&m, "untrained:pico", "ref", 1, text, sizeof text)) w->bad++;
        else if (ehm_api_embed(m, w->px, 1, SIDE, SIDE, C, 0, "mean", w->out, text, sizeof text) || memcmp(w->out, w->want, sizeof w->out)) w->bad++;
        ehm_api_close(m);
        if (ehm_api_masks("ehm", G, G, (const char *[]){"tree_source=spatial"}, 1, 1, 1, 4, NULL, 0, w->mask, text, sizeof text) ||
            memcmp(w->mask, w->want_mask, sizeof w->mask))
            w->bad++;
        if (ehm_api_masks("nothing", G, G, NULL, 0, 1, 1, 4, NULL, 0, w->mask, text, sizeof text) != EHM_E_CONFIG || !strstr(text, "nothing")) w->bad++;
    }
    return NULL;
}

TEST(api, handles_of_their_own_in_threads) {
    enum { THREADS = 3 };
    static work w[THREADS];
    pthread_t t[THREADS];
    ehm_api_model *m = NULL;
    OK(ehm_api_open(&m, "untrained:pico", "ref", 1, WHY));
    REQUIRE(m);
    for (int i = 0; i < THREADS; i++) {
        paint(w[i].px, 1, SIDE, SIDE, C);
        OK(ehm_api_embed(m, w[i].px, 1, SIDE, SIDE, C, 0, "mean", w[i].want, WHY));
        OK(ehm_api_masks("ehm", G, G, (const char *[]){"tree_source=spatial"}, 1, 1, 1, 4, NULL, 0, w[i].want_mask, WHY));
    }
    ehm_api_close(m);
    for (int i = 0; i < THREADS; i++) REQUIRE(!pthread_create(&t[i], NULL, one_thread, &w[i]));
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        CHECK_INT(w[i].bad, 0);
    }
}

/* In a child: a model says what is the matter instead of waiting for threads that are not there; masks are drawn as before. */
TEST(api, a_forked_child) {
    static uint8_t px[PX], mask[L], want[L];
    static float out[D];
    ehm_api_model *m = pico();
    ehm_api_masker *k = NULL;
    OK(ehm_api_embed(m, px, 1, SIDE, SIDE, C, 0, "mean", out, WHY));
    OK(ehm_api_masker_open(&k, "ehm", G, G, (const char *[]){"tree_source=spatial"}, 1, WHY));
    OK(ehm_api_masker_draw(k, 1, 1, 2, 0, NULL, 0, want, WHY));
    fflush(NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (!child) {
        int bad = ehm_api_embed(m, px, 1, SIDE, SIDE, C, 0, "mean", out, WHY) != EHM_E_UNSUPPORTED || !strstr(why, "open it again in this process");
        bad |= (ehm_api_masker_draw(k, 1, 1, 2, 0, NULL, 2, mask, WHY) || memcmp(mask, want, sizeof mask)) << 1;
        ehm_api_close(m);
        ehm_api_masker_close(k);
        _exit(bad);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    OK(ehm_api_embed(m, px, 1, SIDE, SIDE, C, 0, "mean", out, WHY));
    ehm_api_masker_close(k);
    ehm_api_close(m);
}

TEST(api, the_log_goes_where_it_is_sent) {
    int pipe_of[2], kept = dup(STDERR_FILENO);
    char text[256] = "";
    REQUIRE(!pipe(pipe_of) && kept >= 0);
    fflush(stderr);
    dup2(pipe_of[1], STDERR_FILENO);
    ehm_api_log_level(EHM_LOG_NOTE);
    ehm_log(EHM_LOG_INFO, "not told");
    ehm_log(EHM_LOG_NOTE, "a choice");
    ehm_api_log_level(-1);
    ehm_log(EHM_LOG_WARN, "not told either");
    ehm_api_log_level(4);
    ehm_log(EHM_LOG_WARN, "nor this");
    dup2(kept, STDERR_FILENO);
    close(kept), close(pipe_of[1]);
    CHECK(read(pipe_of[0], text, sizeof text - 1) > 0);
    close(pipe_of[0]);
    CHECK_STR(text, "ehm: a choice\n");
}
