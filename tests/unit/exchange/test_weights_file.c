#include "../recipe/mae_golden.h"
#include "base/file.h"

static void make_info(ehm_weights_info *info, const golden *g) {
    memset(info, 0, sizeof *info);
    info->shape = g->shape, info->has_decoder = true, info->norm_pix = g->gc->norm_pix,
    info->has_stats = true;
    for (int32_t c = 0; c < g->gc->c; c++) info->mean[c] = 0.1 * (c + 1) + 1e-17, info->std[c] = 1.0 / 3 + c;
    strcpy(info->fit, "crop"), strcpy(info->recipe, "mae"), strcpy(info->mask, "random");
}

TEST(weights_file, round_trip_and_metadata) {
    for (int32_t i_case = 0; i_case < 2; i_case++) {
        golden g;
        ehm_err err = {0};
        ehm_weights_info info, back;
        ehm_weights_report rep;
        ehm_st *f;
        bool guessed = true;
        char path[600];
        golden_open(&g, i_case, "ref", EHM_F32, false);
        make_info(&info, &g);
        snprintf(path, sizeof path, "%s/m.safetensors", ehm_test_tmp());
        REQUIRE_OK(ehm_weights_save(path, ehm_method_weights(g.m), g.d, &info, false, &err), &err);
        REQUIRE_OK(ehm_st_open(&f, path, &err), &err);
        CHECK_INT(ehm_st_count(f), ehm_st_count(g.weights));
        for (int32_t i = 0; i < ehm_st_count(f); i++) {
            const ehm_st_tensor *t = ehm_st_at(f, i), *want = ehm_st_find(g.weights, t->name);
            REQUIRE(want && want->rank == t->rank && want->bytes == t->bytes);
            CHECK(!memcmp(t->dim, want->dim, (size_t)t->rank * sizeof *t->dim));
            CHECK(!memcmp(t->data, want->data, t->bytes));
        }
        REQUIRE_OK(ehm_weights_describe(&back, f, &guessed, &err), &err);
        CHECK(!guessed);
        CHECK(ehm_vit_shape_equal(&back.shape, &g.shape));
        CHECK(back.has_decoder && back.has_stats && back.norm_pix == g.gc->norm_pix);
        for (int32_t c = 0; c < g.gc->c; c++)
            CHECK(back.mean[c] == info.mean[c] && back.std[c] == info.std[c]); /* to the last bit */
        CHECK_STR(back.fit, "crop");
        CHECK_STR(back.recipe, "mae");
        CHECK_STR(back.mask, "random");
        ehm_weights_init(ehm_method_weights(g.m), g.d, 99);
        REQUIRE_OK(ehm_weights_load(ehm_method_weights(g.m), g.d, f, false, &rep, &err), &err);
        CHECK_INT(rep.n_matched, ehm_st_count(f));
        CHECK_INT(rep.n_missing + rep.n_unexpected, 0);
        ehm_st_close(f);
        golden_close(&g);
    }
}

TEST(weights_file, encoder_only) {
    golden g;
    ehm_err err = {0};
    ehm_weights_info info, back;
    ehm_weights_report rep;
    ehm_st *f;
    bool guessed;
    char path[600];
    golden_open(&g, 0, "ref", EHM_F32, false);
    make_info(&info, &g);
    snprintf(path, sizeof path, "%s/e.safetensors", ehm_test_tmp());
    REQUIRE_OK(ehm_weights_save(path, ehm_method_weights(g.m), g.d, &info, true, &err), &err);
    REQUIRE_OK(ehm_st_open(&f, path, &err), &err);
    CHECK(!ehm_st_find(f, "mask_token"));
    for (int32_t i = 0; i < ehm_st_count(f); i++) CHECK(strncmp(ehm_st_at(f, i)->name, "decoder", 7));
    CHECK_INT(ehm_st_count(f), 2 + 2 + 2 * 12 + 2);
    REQUIRE_OK(ehm_weights_describe(&back, f, &guessed, &err), &err);
    CHECK(!back.has_decoder && !guessed);
    CHECK_INT(back.shape.decoder_depth, 0);
    CHECK_INT(back.shape.img_w, 24);
    CHECK_FAILS(ehm_weights_load(ehm_method_weights(g.m), g.d, f, false, &rep, &err), &err, EHM_E_MISMATCH,
                "first \"mask_token\"");
    ehm_err_clear(&err);
    CHECK_OK(ehm_weights_load(ehm_method_weights(g.m), g.d, f, true, &rep, &err), &err);
    CHECK_INT(rep.n_matched, ehm_st_count(f));
    CHECK(rep.n_missing > 0);
    ehm_st_close(f);
    golden_close(&g);
}

/* Files of others carry no sizes: shapes tell all but heads; a grid that is no square cannot be told. */
TEST(weights_file, deduced_sizes) {
    golden g;
    ehm_err err = {0};
    ehm_weights_info info;
    bool guessed = false;
    golden_open(&g, 1, "ref", EHM_F32, false);
    REQUIRE_OK(ehm_weights_describe(&info, g.weights, &guessed, &err), &err);
    CHECK(guessed);
    CHECK_INT(info.shape.img_h, 12);
    CHECK_INT(info.shape.channels, 1);
    CHECK_INT(info.shape.patch_size, 4);
    CHECK_INT(info.shape.embed_dim, 24);
    CHECK_INT(info.shape.depth, 2);
    CHECK_INT(info.shape.mlp_dim, 96);
    CHECK_INT(info.shape.decoder_embed_dim, 16);
    CHECK_INT(info.shape.decoder_depth, 1);
    CHECK_INT(info.shape.n_patches, 9);
    CHECK(!info.has_stats);
    golden_close(&g);
    golden_open(&g, 0, "ref", EHM_F32, false);
    CHECK_FAILS(ehm_weights_describe(&info, g.weights, &guessed, &err), &err, EHM_E_MISMATCH, "square grid");
    CHECK_FAILS(ehm_weights_describe(&info, g.data, &guessed, &err), &err, EHM_E_MISMATCH,
                "no tensor \"patch_embed.proj.weight\"");
    golden_close(&g);
}

TEST(weights_file, another_shape_is_refused_and_nothing_moves) {
    golden g, other;
    ehm_err err = {0};
    ehm_weights_report rep;
    golden_open(&g, 0, "ref", EHM_F32, false);
    golden_open(&other, 1, "ref", EHM_F32, false);
    const ehm_weights *w = ehm_method_weights(g.m);
    int64_t n = ehm_view_count(w->flat[0]);
    float *before = malloc((size_t)n * sizeof *before), *after = malloc((size_t)n * sizeof *after);
    ehm_download(g.d, before, w->flat[0], (size_t)n * sizeof *before);
    CHECK_FAILS(ehm_weights_load(w, g.d, other.weights, false, &rep, &err), &err, EHM_E_MISMATCH,
                "tensor \"cls_token\" is 1x1x24 in the file, but 1x1x16 in the model");
    ehm_download(g.d, after, w->flat[0], (size_t)n * sizeof *after);
    CHECK(!memcmp(before, after, (size_t)n * sizeof *before));
    free(before), free(after);
    golden_close(&g), golden_close(&other);
}
