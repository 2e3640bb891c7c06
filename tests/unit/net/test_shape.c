#include "exchange/safetensors.h"
#include "harness.h"
#include "net/shape.h"

static ehm_st *golden_net(void) {
    ehm_st *f;
    ehm_err err = {0};
    REQUIRE_OK(ehm_st_open(&f, ehm_test_path("tests/golden/net/net.safetensors"), &err), &err);
    return f;
}

TEST(shape, parameter_counts_of_presets) {
    ehm_st *f = golden_net();
    ehm_err err = {0};
    int32_t n = 0;
    for (const ehm_vit_preset *p = ehm_vit_presets; p->name; p++, n++) {
        char name[32];
        ehm_config c;
        ehm_vit_shape s;
        ehm_config_init(&c);
        c.preset = p->name;
        REQUIRE_OK(ehm_vit_shape_of(&s, &c, p->img_size, p->img_size, 3, &err), &err);
        CHECK_INT(s.patch_size, p->patch_size);
        snprintf(name, sizeof name, "count_%s", p->name);
        const ehm_st_tensor *t = ehm_st_find(f, name);
        REQUIRE(t);
        CHECK_INT(ehm_vit_param_count(&s, false), ((const int64_t *)t->data)[0]);
        CHECK_INT(ehm_vit_param_count(&s, true), ((const int64_t *)t->data)[1]);
        if (!strcmp(p->name, "base"))
            CHECK_INT(ehm_vit_param_count(&s, true), 111907840); /* as printed by others */
    }
    CHECK_INT(n, 6);
    ehm_st_close(f);
}

TEST(shape, given_values_win) {
    ehm_config c;
    ehm_vit_shape s;
    ehm_err err = {0};
    ehm_config_init(&c);
    c.preset = "tiny", c.embed_dim = 64, c.num_heads = 4, c.depth = 3, c.mlp_ratio = 2.5, c.decoder_depth = 1,
    c.patch_size = 16;
    REQUIRE_OK(ehm_vit_shape_of(&s, &c, 32, 64, 1, &err), &err);
    CHECK_INT(s.embed_dim, 64);
    CHECK_INT(s.depth, 3);
    CHECK_INT(s.mlp_dim, 160);
    CHECK_INT(s.decoder_embed_dim, 96);
    CHECK_INT(s.decoder_depth, 1);
    CHECK_INT(s.grid_h, 2);
    CHECK_INT(s.grid_w, 4);
    CHECK_INT(s.n_patches, 8);
    CHECK_INT(s.patch_pixels, 256);
}

TEST(shape, patch_follows_the_pictures) {
    const struct { const char *preset; int32_t h, w, patch;
    } want[] = {
        {"tiny", 32, 32, 4},    {"tiny", 64, 64, 8},  {"tiny", 28, 28, 4},    {"tiny", 96, 96, 12},
        {"tiny", 224, 224, 16}, {"pico", 32, 32, 4},  {"base", 224, 224, 16}, {"base", 384, 384, 16},
        {"huge", 224, 224, 14}, {"small", 96, 96, 6}, {"tiny", 64, 96, 8},    {"tiny", 61, 97, 0},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        CHECK_INT(ehm_vit_patch_auto(ehm_vit_preset_find(want[i].preset), want[i].h, want[i].w),
                  want[i].patch);
    const ehm_vit_preset *tiny = ehm_vit_preset_find("tiny"), *huge = ehm_vit_preset_find("huge");
    CHECK_INT(ehm_vit_img_size_auto(tiny, EHM_AUTO_I64, 28), 32);
    CHECK_INT(ehm_vit_img_size_auto(tiny, EHM_AUTO_I64, 61), 56);
    CHECK_INT(ehm_vit_img_size_auto(tiny, EHM_AUTO_I64, 64), 64);
    CHECK_INT(ehm_vit_img_size_auto(tiny, EHM_AUTO_I64, 1000), 224);
    CHECK_INT(ehm_vit_img_size_auto(tiny, 10, 96), 90);
    CHECK_INT(ehm_vit_img_size_auto(huge, EHM_AUTO_I64, 500), 224);
    /* What is proposed can be used. */
    for (const ehm_vit_preset *p = ehm_vit_presets; p->name; p++)
        for (int32_t side = 1; side < 400; side++) {
            int32_t size = ehm_vit_img_size_auto(p, EHM_AUTO_I64, side);
            if (!ehm_vit_patch_auto(p, size, size))
                ehm_test_fail(__FILE__, __LINE__, "%s: side %d gives size %d, which no patch divides",
                              p->name, (int)side, (int)size);
        }
}

TEST(shape, preset_auto) {
    char why[160];
    CHECK_STR(ehm_vit_preset_auto(32, 32, 1000, why)->name, "pico");
    CHECK_HAS(why, "1,000 pictures of 32 px");
    CHECK_STR(ehm_vit_preset_auto(64, 64, 100000, why)->name, "tiny");
    CHECK_STR(ehm_vit_preset_auto(224, 300, 1000, why)->name, "tiny");
    CHECK_STR(ehm_vit_preset_auto(224, 224, 50000, why)->name, "small");
    CHECK_STR(ehm_vit_preset_auto(224, 224, 1281167, why)->name, "base");
    CHECK(!ehm_vit_preset_find("giant"));
    CHECK(!ehm_vit_preset_find(NULL));
}

TEST(shape, refusals_name_setting_value_and_rule) {
    ehm_config c;
    ehm_vit_shape s;
    ehm_err err = {0};
    ehm_config_init(&c);
    c.preset = "tiny";
    CHECK_FAILS(ehm_vit_shape_of(&s, &c, 61, 97, 3, &err), &err, EHM_E_CONFIG,
                "no patch near 8 px divides img_size 61x97");
    c.patch_size = 8;
    CHECK_FAILS(ehm_vit_shape_of(&s, &c, 60, 64, 3, &err), &err, EHM_E_CONFIG,
                "img_size 60x64 is not a multiple of patch_size 8");
    c.num_heads = 5;
    CHECK_FAILS(ehm_vit_shape_of(&s, &c, 64, 64, 3, &err), &err, EHM_E_CONFIG,
                "embed_dim 192 is not a multiple of num_heads 5");
    c.num_heads = 3, c.embed_dim = 18;
    CHECK_FAILS(ehm_vit_shape_of(&s, &c, 64, 64, 3, &err), &err, EHM_E_CONFIG,
                "embed_dim 18 is not a multiple of 4");
    c.embed_dim = EHM_AUTO_I64, c.decoder_num_heads = 7;
    CHECK_FAILS(ehm_vit_shape_of(&s, &c, 64, 64, 3, &err), &err, EHM_E_CONFIG,
                "decoder_embed_dim 96 is not a multiple of decoder_num_heads 7");
    c.decoder_num_heads = EHM_AUTO_I64, c.patch_size = 1;
    CHECK_FAILS(ehm_vit_shape_of(&s, &c, 512, 512, 3, &err), &err, EHM_E_CONFIG, "more than 65536");
    c.patch_size = 8;
    CHECK_FAILS(ehm_vit_shape_of(&s, &c, 64, 64, 0, &err), &err, EHM_E_CONFIG, "channels 0");
    CHECK_FAILS(ehm_vit_shape_of(&s, &c, 0, 64, 3, &err), &err, EHM_E_CONFIG, "img_h 0");
    c.preset = "giant";
    CHECK_FAILS(ehm_vit_shape_of(&s, &c, 64, 64, 3, &err), &err, EHM_E_CONFIG, "giant");
}

/* The well-known 17.6 G multiply-adds of ViT-B/16 at 224 (with all patches, no decoder), and the
 * decoder's 5.3 with 50 tokens seen. */
TEST(shape, products_by_count) {
    ehm_config c;
    ehm_vit_shape s;
    ehm_err err = {0};
    ehm_config_init(&c);
    c.preset = "base";
    REQUIRE_OK(ehm_vit_shape_of(&s, &c, 224, 224, 3, &err), &err);
    CHECK_NEAR(ehm_vit_flops_fwd(&s, 196, false), 2 * 17.56e9, 2 * 0.05e9);
    CHECK_NEAR(ehm_vit_flops_fwd(&s, 49, true) - ehm_vit_flops_fwd(&s, 49, false), 2 * 5.4e9, 2 * 0.1e9);
    ehm_vit_shape other = s;
    CHECK(ehm_vit_shape_equal(&s, &other));
    other.decoder_depth--;
    CHECK(!ehm_vit_shape_equal(&s, &other));
}
