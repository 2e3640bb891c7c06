/* Similarity of patches from attention, held against PyTorch and NumPy (tests/golden/mae/HOW). */
#include "mae_golden.h"
#include "net/pixels.h"
#include "recipe/affinity.h"

typedef struct {
    golden g;
    ehm_st *want;
    ehm_plan plan;
    ehm_affinity *t;
    ehm_vit_encoder_pass pass;
    ehm_pixels pixels;
    ehm_view embed_idx, src, pos_idx, patches;
    ehm_affinity_opt o;
} fix;

static void plan_all(fix *f, ehm_plan *p) {
    int64_t n = f->g.n, L = f->g.shape.n_patches;
    f->embed_idx = ehm_plan_2d(p, EHM_MEM_INPUT, NULL, EHM_I32, n, L);
    f->src = ehm_plan_2d(p, EHM_MEM_INPUT, NULL, EHM_I32, n, 1 + L), f->pos_idx = ehm_plan_2d(p, EHM_MEM_INPUT, NULL, EHM_I32, n, 1 + L);
    ehm_pixels_plan(&f->pixels, p, &f->g.shape, f->g.n);
    f->patches = ehm_plan_3d(p, EHM_MEM_SCRATCH, NULL, ehm_dev_real(f->g.d), n, L, f->g.shape.patch_pixels);
    ehm_affinity_plan(f->t, p);
    ehm_vit_encoder_pass_plan(&f->pass, p, ehm_dev_real(f->g.d));
}

static void begin(fix *f, const char *device, const char *similarity, const char *per, const char *rows, const char *weight, const char *layers, bool train) {
    ehm_err err = {0};
    ehm_config c;
    memset(f, 0, sizeof *f);
    golden_open(&f->g, 0, device, EHM_F32, false);
    REQUIRE_OK(ehm_st_open(&f->want, ehm_test_path("tests/golden/mae/rect_affinity.safetensors"), &err), &err);
    golden_config(&c, f->g.gc);
    c.similarity = similarity, c.profile_per = per, c.attention_rows = rows, c.head_weight = weight, c.tree_layers = layers;
    REQUIRE_OK(ehm_affinity_opt_of(&f->o, &c, &f->g.shape, &err), &err);
    int32_t n = f->g.n, L = f->g.shape.n_patches;
    REQUIRE_OK(ehm_affinity_open(&f->t, &f->o, &f->g.shape, n, 7, train, &err), &err);
    REQUIRE(ehm_vit_encoder_pass_open(&f->pass, ehm_method_encoder(f->g.m), n, L, 1 + L, false, EHM_F32, &f->g.arena));
    ehm_plan_begin(&f->plan, f->g.d);
    plan_all(f, &f->plan);
    REQUIRE_OK(ehm_plan_commit(&f->plan, &err), &err);
    plan_all(f, &f->plan);
    REQUIRE_OK(ehm_plan_end(&f->plan, &err), &err);
    int32_t idx[3 * 32];
    for (int32_t i = 0; i < n * L; i++) idx[i] = i % L;
    ehm_upload(f->g.d, f->embed_idx, idx, (size_t)(n * L) * 4);
    for (int32_t i = 0; i < n * (1 + L); i++) idx[i] = i % (1 + L) - 1;
    ehm_upload(f->g.d, f->src, idx, (size_t)(n * (1 + L)) * 4);
    for (int32_t i = 0; i < n * (1 + L); i++) idx[i] = i % (1 + L);
    ehm_upload(f->g.d, f->pos_idx, idx, (size_t)(n * (1 + L)) * 4);
    REQUIRE_OK(ehm_pixels_stats(&f->pixels, f->g.d, golden_get(&f->g, "mean")->data, golden_get(&f->g, "std")->data, 3, &err), &err);
}

static void run(fix *f, uint32_t want, bool update) {
    ehm_vit_route all = {f->embed_idx, f->src, f->pos_idx};
    ehm_pixels_load(&f->pixels, f->g.d, f->g.batch.pixels, EHM_U8, f->g.n);
    ehm_pixels_patchify(&f->pixels, f->g.d, f->patches);
    ehm_affinity_run(f->t, f->g.d, &f->pass, ehm_method_weights(f->g.m), f->patches, &all, f->g.n, want, update);
}

static void end(fix *f) {
    ehm_affinity_close(f->t);
    ehm_plan_free(&f->plan);
    ehm_st_close(f->want);
    golden_close(&f->g);
}

static int n_compared;
static void compare(fix *f, const char *key, const float *got) {
    const ehm_st_tensor *t = ehm_st_find(f->want, key);
    if (!t) return; /* the file holds single layers for three kinds only */
    n_compared++;
    float want[3 * 24 * 24];
    ehm_err err = {0};
    REQUIRE(t->count <= 3 * 24 * 24);
    REQUIRE_OK(ehm_st_to_f32(t, want, &err), &err);
    if (!ehm_test_close_f32(__FILE__, __LINE__, key, got, want, t->count, 2e-4)) printf("  (%s)\n", ehm_dev_name(f->g.d));
}

static void check_kinds(const char *device) {
    static const struct { const char *key, *similarity, *per, *rows, *weight; } kinds[] = {
        {"profile_layer", "profile", "layer", "renormalise", "equal"}, {"profile_head", "profile", "head", "renormalise", "equal"},
        {"profile_raw", "profile", "layer", "raw", "equal"}, {"residual_layer", "residual", "layer", "renormalise", "equal"},
        {"residual_head", "residual", "head", "renormalise", "equal"}, {"direct_layer", "direct", "layer", "renormalise", "equal"},
        {"direct_standardise", "direct", "layer", "renormalise", "standardise"}, {"direct_layer", "balanced", "layer", "renormalise", "equal"}};
    static const struct { const char *key, *layers; } parts[] = {{"all", "all"}, {"first", "first:1"}, {"last", "last"}, {"last", "1"}};
    n_compared = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            fix f;
            ehm_err err = {0};
            float S[3 * 24 * 24], A[3 * 24 * 24], cls[3 * 24];
            char key[64];
            snprintf(key, sizeof key, "%s_%s", kinds[i].key, parts[p].key);
            begin(&f, device, kinds[i].similarity, kinds[i].per, kinds[i].rows, kinds[i].weight, parts[p].layers, true);
            run(&f, EHM_WANT_SIMILARITY, true);
            REQUIRE_OK(ehm_affinity_fetch(f.t, f.g.d, S, NULL, NULL, f.g.n, &err), &err);
            compare(&f, key, S);
            for (int32_t b = 0, L = f.g.shape.n_patches; b < f.g.n; b++)
                for (int32_t k = 0; k < L * L; k++) CHECK(S[b * L * L + k] == S[b * L * L + k % L * L + k / L]);
            if (p == 1) { /* attention and class token run all layers, whatever the similarity needs */
                run(&f, 7, false);
                REQUIRE_OK(ehm_affinity_fetch(f.t, f.g.d, S, A, cls, f.g.n, &err), &err);
                compare(&f, key, S), compare(&f, "attention", A), compare(&f, "cls", cls);
            }
            end(&f);
        }
    CHECK_INT(n_compared, 38);
}
TEST(affinity, kinds_ref) { check_kinds("ref"); }
TEST(affinity, kinds_cpu) { check_kinds("cpu"); }

TEST(affinity, the_mean_is_state_and_comes_back) {
    fix f, g;
    ehm_err err = {0};
    float S[3 * 24 * 24], mean[2 * 24 * 24], count[2];
    begin(&f, "cpu", "residual", "layer", "renormalise", "equal", "all", true);
    CHECK_INT(f.plan.n_entries, 2);
    CHECK_STR(f.plan.entries[0].name, "teacher.attention_mean");
    run(&f, EHM_WANT_SIMILARITY, true), run(&f, EHM_WANT_SIMILARITY, true);
    ehm_download(f.g.d, count, ehm_affinity_mean_count(f.t), sizeof count);
    CHECK_NEAR(count[0], 2, 0), CHECK_NEAR(count[1], 2, 0);
    ehm_download(f.g.d, mean, ehm_affinity_mean(f.t), sizeof mean);
    begin(&g, "cpu", "residual", "layer", "renormalise", "equal", "all", false);
    CHECK_INT(g.plan.n_entries, 0);
    run(&g, EHM_WANT_SIMILARITY, false); /* no mean: profile */
    REQUIRE_OK(ehm_affinity_fetch(g.t, g.g.d, S, NULL, NULL, 3, &err), &err);
    compare(&g, "profile_layer_all", S);
    REQUIRE_OK(ehm_affinity_set_mean(g.t, g.g.d, mean, &err), &err);
    run(&g, EHM_WANT_SIMILARITY, false);
    REQUIRE_OK(ehm_affinity_fetch(g.t, g.g.d, S, NULL, NULL, 3, &err), &err);
    compare(&g, "residual_layer_all", S);
    end(&f), end(&g);
}

TEST(affinity, layers_by_name) {
    ehm_config c;
    ehm_affinity_opt o;
    ehm_vit_shape s = {.depth = 12, .n_patches = 64};
    ehm_err err = {0};
    ehm_config_init(&c);
    static const struct { const char *text; int32_t n, first, last; } good[] = {{"all", 12, 0, 11}, {"last", 1, 11, 11}, {"first:4", 4, 0, 3}, {"first:1/3", 4, 0, 3},
        {"first:1/100", 2, 0, 1}, {"first:1", 1, 0, 0}, {"3,1,3", 2, 1, 3}, {"first:1/2", 6, 0, 5}, {"11", 1, 11, 11}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        c.tree_layers = good[i].text;
        REQUIRE_OK(ehm_affinity_opt_of(&o, &c, &s, &err), &err);
        CHECK_INT(o.n_layers, good[i].n);
        CHECK_INT(o.layer[0], good[i].first);
        CHECK_INT(o.layer[o.n_layers - 1], good[i].last);
    }
    static const char *const bad[] = {"12", "-1", "first:0", "first:13", "first:4/3", "first:", "none", "1,x", "", "first:1/0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c.tree_layers = bad[i];
        err = (ehm_err){0};
        CHECK_INT(ehm_affinity_opt_of(&o, &c, &s, &err), EHM_E_CONFIG);
        CHECK_HAS(err.what, "the encoder has 12 blocks");
        CHECK_HAS(err.hint, "first:K");
    }
}
