#include "harness.h"
#include "recipe/method_int.h"

static void tiny(ehm_config *c, ehm_vit_shape *s) {
    ehm_err err = {0};
    ehm_config_init(c);
    c->preset = "pico", c->depth = 1;
    REQUIRE_OK(ehm_vit_shape_of(s, c, 32, 32, 3, &err), &err);
}

TEST(recipe, table_names_parts_that_exist_and_fit) {
    ehm_err err = {0};
    int32_t n = 0;
    for (const ehm_recipe *const *r = ehm_recipes; *r; r++, n++) {
        const ehm_mask_rule *rule = ehm_mask_rule_find((*r)->mask, NULL, &err);
        const ehm_corrupt *c = ehm_corrupt_find((*r)->corrupt, &err);
        const ehm_target *t = ehm_target_find((*r)->target, &err);
        const ehm_head *h = ehm_head_find((*r)->head, &err);
        const ehm_loss *l = ehm_loss_find((*r)->loss, &err);
        REQUIRE(rule && c && t && h && l);
        CHECK_OK(ehm_parts_fit((*r)->name, c, t, h, l, &err), &err);
        CHECK(ehm_recipe_find((*r)->name, &err) == *r);
        for (const ehm_override *o = (*r)->defaults; o->key; o++) CHECK(ehm_setting_find(o->key) >= 0);
    }
    CHECK(n >= 1);
    CHECK(!ehm_recipe_find("mea", &err));
    CHECK_HAS(err.hint, "mae");
}

TEST(recipe, pieces_that_do_not_fit_are_both_named) {
    ehm_err err = {0};
    const ehm_head linear = {.name = "linear", .gives = EHM_TARGET_VALUES},
                   classes = {.name = "classes", .gives = EHM_TARGET_CLASSES, .speaks_of_dropped = true};
    const ehm_loss ce = {.name = "ce", .wants = EHM_TARGET_CLASSES};
    CHECK_FAILS(ehm_parts_fit("r", &ehm_corrupt_drop, &ehm_target_pixels, &linear, &ce, &err), &err,
                EHM_E_CONFIG, "corruption \"drop\" drops patches, and head \"linear\"");
    CHECK_FAILS(ehm_parts_fit("r", &ehm_corrupt_drop, &ehm_target_pixels, &classes, &ce, &err), &err,
                EHM_E_CONFIG, "target \"pixels\" is values, but head \"classes\"");
    CHECK_FAILS(ehm_parts_fit("r", &ehm_corrupt_drop, &ehm_target_pixels, &ehm_head_decoder, &ce, &err),
                &err, EHM_E_CONFIG, "target \"pixels\" is values, but loss \"ce\"");
}

TEST(recipe, defaults_yield_to_flags) {
    ehm_config c;
    ehm_arena a = {0};
    ehm_err err = {0};
    ehm_config_init(&c);
    REQUIRE_OK(ehm_config_set(&c, "mask_ratio", "0.5", EHM_FROM_FLAG, &a, &err), &err);
    REQUIRE_OK(ehm_recipe_apply(ehm_recipe_find("mae", &err), &c, &a, &err), &err);
    CHECK_NEAR(c.mask_ratio, 0.5, 0);
    CHECK_INT(c.origin[EHM_SETI_mask_ratio], EHM_FROM_FLAG);
    CHECK_INT(c.origin[EHM_SETI_norm_pix_loss], EHM_FROM_RECIPE);
    CHECK_STR(c.mask, "random");
    ehm_arena_free(&a);
}

TEST(recipe, open_refuses) {
    ehm_config c;
    ehm_vit_shape s;
    ehm_err err = {0};
    ehm_method *m;
    tiny(&c, &s);
    c.mask_ratio = 0;
    CHECK_FAILS(ehm_method_open(&m, &c, &s, 2, EHM_F32, true, &err), &err, EHM_E_CONFIG,
                "mask_ratio 0 hides 0 of 64 patches");
    c.mask_ratio = 1;
    CHECK_FAILS(ehm_method_open(&m, &c, &s, 2, EHM_F32, true, &err), &err, EHM_E_CONFIG, "hides 64 of 64");
    c.mask_ratio = 0.75;
    CHECK_FAILS(ehm_method_open(&m, &c, &s, 0, EHM_F32, true, &err), &err, EHM_E_ARG, "0 pictures");
    CHECK_FAILS(ehm_method_open(&m, &c, &s, 2, EHM_U8, true, &err), &err, EHM_E_ARG, "u8");
    CHECK_FAILS(ehm_method_open(&m, &c, &s, INT32_MAX, EHM_F32, true, &err), &err, EHM_E_CONFIG,
                "batch_size");
    c.masks_per_crop = 2;
    CHECK_FAILS(ehm_method_open(&m, &c, &s, 3, EHM_F32, true, &err), &err, EHM_E_CONFIG, "--batch-size 3 is no multiple of --masks-per-crop 2");
    c.masks_per_crop = 1;
    s.decoder_depth = 0;
    CHECK_FAILS(ehm_method_open(&m, &c, &s, 2, EHM_F32, true, &err), &err, EHM_E_CONFIG, "needs a decoder");
    tiny(&c, &s);
    c.mask = "nothing";
    CHECK_FAILS(ehm_method_open(&m, &c, &s, 2, EHM_F32, true, &err), &err, EHM_E_CONFIG, "\"nothing\"");
    c.mask = "random", c.patch_size = 1, c.preset = "pico";
    REQUIRE_OK((ehm_err_clear(&err), ehm_vit_shape_of(&s, &c, 8, 8, 1, &err)), &err);
    CHECK_FAILS(ehm_method_open(&m, &c, &s, 2, EHM_F32, true, &err), &err, EHM_E_CONFIG,
                "norm_pix_loss needs at least 2 values");
    CHECK(!m);
    ehm_method_close(NULL);
}

typedef struct { ehm_dev *d; ehm_plan plan; ehm_method *m; ehm_vit_shape s; } method;

static void method_open_with(method *x, int32_t batch, bool train, const char *mask, int64_t masks_per_crop) {
    ehm_config c;
    ehm_err err = {0};
    tiny(&c, &x->s);
    c.mask = mask, c.masks_per_crop = masks_per_crop;
    REQUIRE_OK(ehm_dev_open(&x->d, "ref", 2, &err), &err);
    REQUIRE_OK(ehm_method_open(&x->m, &c, &x->s, batch, EHM_F32, train, &err), &err);
    ehm_plan_begin(&x->plan, x->d);
    ehm_method_plan(x->m, &x->plan);
    REQUIRE_OK(ehm_plan_commit(&x->plan, &err), &err);
    ehm_method_plan(x->m, &x->plan);
    REQUIRE_OK(ehm_plan_end(&x->plan, &err), &err);
    ehm_method_init(x->m, x->d, 3);
}

static void method_open(method *x, int32_t batch, bool train) { method_open_with(x, batch, train, "random", 1); }

static void method_close(method *x) {
    ehm_method_close(x->m);
    ehm_plan_free(&x->plan);
    ehm_dev_close(x->d);
}

/* A picture's mask depends on seed, epoch and slot: not on where in a batch it stands. */
TEST(recipe, masks_follow_the_sample) {
    method x;
    ehm_err err = {0};
    method_open(&x, 2, true);
    uint8_t *px = calloc(2, 32 * 32 * 3);
    int64_t slots[2] = {5, 9};
    ehm_batch b = {.n = 2, .pixels = px, .type = EHM_U8, .slots = slots, .epoch = 1};
    int32_t first[16], V = 16;
    CHECK_INT(ehm_method_n_visible(x.m), V);
    REQUIRE_OK(ehm_method_load(x.m, x.d, &b, 0, 1, &err), &err);
    memcpy(first, ehm_method_visible(x.m) + V, sizeof first); /* slot 9 */
    CHECK(memcmp(first, ehm_method_visible(x.m), sizeof first));
    slots[0] = 9, slots[1] = 2;
    REQUIRE_OK(ehm_method_load(x.m, x.d, &b, 0.5f, 1, &err), &err);
    CHECK(!memcmp(first, ehm_method_visible(x.m), sizeof first));
    b.epoch = 2;
    REQUIRE_OK(ehm_method_load(x.m, x.d, &b, 0.5f, 1, &err), &err);
    CHECK(memcmp(first, ehm_method_visible(x.m), sizeof first));
    b.epoch = 1;
    REQUIRE_OK(ehm_method_load(x.m, x.d, &b, 0.5f, 2, &err), &err);
    CHECK(memcmp(first, ehm_method_visible(x.m), sizeof first));
    free(px);
    method_close(&x);
}

static float *loss_and_gradient(method *x, float *loss) {
    int64_t n = ehm_method_params(x->m)->group_count[EHM_DECAY];
    float *g = calloc((size_t)n, sizeof *g);
    ehm_view v = ehm_method_grad(x->m, EHM_DECAY);
    ehm_fill(x->d, &(ehm_fill_args){.x = v});
    ehm_method_fwd(x->m, x->d);
    ehm_method_bwd(x->m, x->d, 1);
    ehm_download(x->d, loss, ehm_method_loss(x->m), sizeof *loss);
    ehm_download(x->d, g, v, (size_t)n * sizeof *g);
    return g;
}

/* Two masks a crop: the first are those of a run with one, the second are others along the same trees; loss and gradient are to the bit
 * those of a batch in which every picture stands twice under these masks. */
TEST(recipe, several_masks_of_a_crop) {
    enum { CROPS = 2, VIEWS = 2, V = 16, M = 48, PX = 32 * 32 * 3 };
    method several, once, plain;
    ehm_err err = {0};
    method_open_with(&several, CROPS * VIEWS, true, "ehm", VIEWS);
    method_open_with(&once, CROPS, true, "ehm", 1);
    method_open_with(&plain, CROPS * VIEWS, true, "ehm", 1);
    uint8_t *px = calloc(VIEWS, CROPS * PX);
    ehm_rng r = ehm_rng_of(4, EHM_RNG_test, 0, 0);
    for (int i = 0; i < CROPS * PX; i++) px[i] = px[CROPS * PX + i] = (uint8_t)ehm_rng_u32(&r);
    int64_t slots[CROPS] = {5, 9};
    ehm_batch b = {.n = CROPS, .pixels = px, .type = EHM_U8, .slots = slots, .epoch = 1};
    REQUIRE_OK(ehm_method_load(several.m, several.d, &b, 0.5f, 1, &err), &err);
    REQUIRE_OK(ehm_method_load(once.m, once.d, &b, 0.5f, 1, &err), &err);
    const int32_t *masked = ehm_method_masked(several.m);
    CHECK(!memcmp(masked, ehm_method_masked(once.m), sizeof(int32_t) * CROPS * M));
    for (int i = 0; i < CROPS; i++) CHECK(memcmp(masked + i * M, masked + (CROPS + i) * M, sizeof(int32_t) * M));

    float loss[2], *g[2];
    g[0] = loss_and_gradient(&several, &loss[0]);
    b.n = CROPS * VIEWS, b.slots = NULL;
    REQUIRE_OK(ehm_method_load_masks(plain.m, plain.d, &b, ehm_method_visible(several.m), masked, V, &err), &err);
    g[1] = loss_and_gradient(&plain, &loss[1]);
    CHECK(loss[0] > 0 && loss[0] == loss[1]);
    CHECK(!memcmp(g[0], g[1], sizeof(float) * (size_t)ehm_method_params(plain.m)->group_count[EHM_DECAY]));
    CHECK(ehm_method_flops(several.m) < ehm_method_flops(plain.m)); /* one teacher's pass for two */
    CHECK(ehm_method_host_bytes(several.m, 1) < ehm_method_host_bytes(plain.m, 1));
    free(px), free(g[0]), free(g[1]);
    method_close(&several), method_close(&once), method_close(&plain);
}

TEST(recipe, load_refuses) {
    method x;
    ehm_err err = {0};
    method_open(&x, 2, true);
    uint8_t *px = calloc(2, 32 * 32 * 3);
    int32_t visible[2 * 64], masked[2 * 64];
    ehm_batch b = {.n = 1, .pixels = px, .type = EHM_U8};
    CHECK_FAILS(ehm_method_load(x.m, x.d, &b, 0, 1, &err), &err, EHM_E_ARG,
                "1 pictures, but the method was opened for 2");
    b.n = 2, b.type = EHM_I32;
    CHECK_FAILS(ehm_method_load(x.m, x.d, &b, 0, 1, &err), &err, EHM_E_ARG, "i32");
    b.type = EHM_U8;
    for (int32_t i = 0; i < 2 * 16; i++) visible[i] = i % 16;
    for (int32_t i = 0; i < 2 * 48; i++) masked[i] = 16 + i % 48;
    ehm_err_clear(&err);
    CHECK_OK(ehm_method_load_masks(x.m, x.d, &b, visible, masked, 16, &err), &err);
    CHECK_FAILS(ehm_method_load_masks(x.m, x.d, &b, visible, masked, 15, &err), &err, EHM_E_ARG,
                "planned for 48");
    masked[50] = 3;
    CHECK_FAILS(ehm_method_load_masks(x.m, x.d, &b, visible, masked, 16, &err), &err, EHM_E_ARG,
                "mask of picture 1: patch 3 is named twice");
    masked[50] = 64;
    CHECK_FAILS(ehm_method_load_masks(x.m, x.d, &b, visible, masked, 16, &err), &err, EHM_E_ARG,
                "patch 64 is outside");
    double mean[3] = {0}, std[3] = {1, 0, 1};
    CHECK_FAILS(ehm_method_set_stats(x.m, x.d, mean, std, 3, &err), &err, EHM_E_CONFIG, "channel 1");
    CHECK_FAILS(ehm_method_set_stats(x.m, x.d, mean, std, 1, &err), &err, EHM_E_MISMATCH, "1 channels");
    free(px);
    method_close(&x);
}

/* A forward-only method takes smaller batches and any number of visible patches, and what it gives does not
 * depend on what ran before. */
TEST(recipe, forward_only_takes_any_size) {
    method x;
    ehm_err err = {0};
    method_open(&x, 3, false);
    size_t each = 32 * 32 * 3;
    uint8_t *px = malloc(3 * each);
    for (size_t i = 0; i < 3 * each; i++) px[i] = (uint8_t)(i * 37 % 251);
    int32_t visible[3 * 64], masked[3 * 64];
    float loss[2], *pred = malloc(3 * 64 * 48 * sizeof *pred), *again = malloc(64 * 48 * sizeof *again);
    for (int32_t i = 0; i < 3 * 64; i++) visible[i] = i % 64;
    ehm_batch b = {.n = 1, .pixels = px, .type = EHM_U8};
    for (int32_t i = 0; i < 40; i++) masked[i] = 24 + i;
    REQUIRE_OK(ehm_method_load_masks(x.m, x.d, &b, visible, masked, 24, &err), &err);
    ehm_method_fwd(x.m, x.d);
    ehm_download(x.d, pred, ehm_method_prediction(x.m), 64 * 48 * sizeof *pred);
    ehm_download(x.d, &loss[0], ehm_method_loss(x.m), sizeof *loss);
    b.n = 3; /* everything seen: nothing to predict */
    REQUIRE_OK(ehm_method_load_masks(x.m, x.d, &b, visible, NULL, 64, &err), &err);
    ehm_method_fwd(x.m, x.d);
    ehm_download(x.d, &loss[1], ehm_method_loss(x.m), sizeof *loss);
    CHECK(loss[1] == 0 && loss[0] > 0.5f);
    b.n = 1;
    REQUIRE_OK(ehm_method_load_masks(x.m, x.d, &b, visible, masked, 24, &err), &err);
    ehm_method_fwd(x.m, x.d);
    ehm_download(x.d, again, ehm_method_prediction(x.m), 64 * 48 * sizeof *again);
    CHECK(!memcmp(pred, again, 64 * 48 * sizeof *again));
    CHECK_FAILS(ehm_method_load_masks(x.m, x.d, &b, visible, masked, 0, &err), &err, EHM_E_ARG, "0 of 64");
    ehm_err_clear(&err);
    CHECK_OK(ehm_dev_check(x.d, &err), &err);
    free(px), free(pred), free(again);
    method_close(&x);
}

/* ViT-B/16 at 224, 16 pictures, in bf16 with AdamW's moments: below 4 GiB with room; in f32 as well. By
 * count, nothing is allocated. */
TEST(recipe, memory_of_a_base_step) {
    const struct { ehm_dtype act; double gib; } want[] = {{EHM_BF16, 3.0}, {EHM_F32, 3.6}};
    for (int i = 0; i < 2; i++) {
        ehm_config c;
        ehm_vit_shape s;
        ehm_err err = {0};
        ehm_dev *d;
        ehm_method *m;
        ehm_plan plan;
        ehm_config_init(&c);
        c.preset = "base";
        REQUIRE_OK(ehm_vit_shape_of(&s, &c, 224, 224, 3, &err), &err);
        REQUIRE_OK(ehm_dev_open(&d, "ref", 1, &err), &err);
        REQUIRE_OK(ehm_method_open(&m, &c, &s, 16, want[i].act, true, &err), &err);
        CHECK_NEAR(ehm_method_flops(m) / 3, ehm_vit_flops_fwd(&s, 49, true),
                   0.02 * ehm_vit_flops_fwd(&s, 49, true));
        CHECK(strlen(ehm_method_loss_baseline(m)) > 0);
        ehm_plan_begin(&plan, d);
        ehm_method_plan(m, &plan);
        double gib = ((double)ehm_plan_bytes_all(&plan) + 2.0 * (double)ehm_plan_bytes(&plan, EHM_MEM_GRAD)) /
                     (1 << 30);
        if (gib > want[i].gib || gib < 1.5)
            ehm_test_fail(__FILE__, __LINE__, "a step of %s needs %.2f GiB", ehm_dtype_name(want[i].act),
                          gib);
        ehm_plan_free(&plan);
        ehm_method_close(m);
        ehm_dev_close(d);
    }
}
