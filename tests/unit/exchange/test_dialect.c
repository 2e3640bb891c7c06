#include "exchange/dialect.h"
#include "base/str.h"
#include "harness.h"

/* Every tensor of a model of MAE with two blocks and one decoder block. */
static const char *const model[] = {
    "cls_token", "pos_embed", "mask_token", "decoder_pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias", "norm.weight", "norm.bias",
    "decoder_embed.weight", "decoder_embed.bias", "decoder_norm.weight", "decoder_norm.bias", "decoder_pred.weight", "decoder_pred.bias",
#define BLOCK(b)                                                                                                                             \
    b ".norm1.weight", b ".norm1.bias", b ".attn.qkv.weight", b ".attn.qkv.bias", b ".attn.proj.weight", b ".attn.proj.bias", b ".norm2.weight", \
        b ".norm2.bias", b ".mlp.fc1.weight", b ".mlp.fc1.bias", b ".mlp.fc2.weight", b ".mlp.fc2.bias"
    BLOCK("blocks.0"), BLOCK("blocks.11"), BLOCK("decoder_blocks.0"), BLOCK("decoder_blocks.7"), "head.weight", "head.bias", "fc_norm.weight", "fc_norm.bias"};
enum { N = sizeof model / sizeof *model };

static bool is_decoder(const char *s) { return !strcmp(s, "mask_token") || ehm_starts(s, "decoder_"); }

static bool has_place(ehm_dialect d, const char *s) {
    bool decoder = d == EHM_DIALECT_MAE || d == EHM_DIALECT_HF || d == EHM_DIALECT_HF5 || d == EHM_DIALECT_MMPRETRAIN;
    bool fc_norm = d == EHM_DIALECT_MAE || d == EHM_DIALECT_TIMM || d == EHM_DIALECT_MMPRETRAIN;
    return (decoder || !is_decoder(s)) && (fc_norm || !ehm_starts(s, "fc_norm."));
}

TEST(dialect, there_and_back_for_every_tensor) {
    for (int32_t d = 0; d < EHM_DIALECT_COUNT; d++) {
        char all[3 * N][EHM_DIALECT_NAME_CAP];
        int32_t n_all = 0;
        for (int32_t i = 0; i < N; i++) {
            char out[3][EHM_DIALECT_NAME_CAP];
            int32_t n = ehm_dialect_from_mae(out, (ehm_dialect)d, model[i]);
            bool apart = (d == EHM_DIALECT_HF || d == EHM_DIALECT_HF5) && strstr(model[i], "qkv");
            CHECK_INT(n, !has_place((ehm_dialect)d, model[i]) ? 0 : apart ? 3 : 1);
            for (int32_t k = 0; k < n; k++) {
                ehm_dialect_name back;
                CHECK(ehm_dialect_to_mae(&back, (ehm_dialect)d, out[k]));
                CHECK_STR(back.name, model[i]);
                CHECK_INT(back.part, k); CHECK_INT(back.n_parts, n);
                for (int32_t j = 0; j < n_all; j++) CHECK(strcmp(all[j], out[k]));
                memcpy(all[n_all++], out[k], sizeof out[k]);
            }
        }
        /* The whole set is recognised as what it was written for, in any container. */
        const char *plain[3 * N];
        char inside[3 * N][EHM_DIALECT_NAME_CAP + 32], prefix[EHM_DIALECT_NAME_CAP];
        const char *wrapped[3 * N];
        for (int32_t j = 0; j < n_all; j++) {
            plain[j] = all[j], wrapped[j] = inside[j];
            snprintf(inside[j], sizeof inside[j], "state_dict.module.%.159s", all[j]);
        }
        CHECK_INT(ehm_dialect_detect(prefix, plain, n_all), d);
        CHECK_STR(prefix, "");
        CHECK_INT(ehm_dialect_detect(prefix, wrapped, n_all), d);
        CHECK_STR(prefix, "state_dict.module.");
    }
}

/* Names as the tools' own code gives them; from_mae and to_mae could be wrong in the same way. */
TEST(dialect, names_as_published) {
    static const struct { ehm_dialect d; const char *theirs, *mae; int32_t part, n_parts;
    } row[] = {
        {EHM_DIALECT_HF, "vit.encoder.layer.3.attention.attention.query.weight", "blocks.3.attn.qkv.weight", 0, 3},
        {EHM_DIALECT_HF, "encoder.layer.3.attention.attention.key.bias", "blocks.3.attn.qkv.bias", 1, 3},
        {EHM_DIALECT_HF, "vit.encoder.layer.0.attention.output.dense.weight", "blocks.0.attn.proj.weight", 0, 1},
        {EHM_DIALECT_HF, "vit.encoder.layer.0.intermediate.dense.bias", "blocks.0.mlp.fc1.bias", 0, 1},
        {EHM_DIALECT_HF, "embeddings.position_embeddings", "pos_embed", 0, 1},
        {EHM_DIALECT_HF, "decoder.decoder_layers.7.output.dense.weight", "decoder_blocks.7.mlp.fc2.weight", 0, 1},
        {EHM_DIALECT_HF, "decoder.decoder_encoder.layer.1.layernorm_after.bias", "decoder_blocks.1.norm2.bias", 0, 1},
        {EHM_DIALECT_HF, "classifier.weight", "head.weight", 0, 1},
        {EHM_DIALECT_HF5, "vit.layers.2.attention.v_proj.weight", "blocks.2.attn.qkv.weight", 2, 3},
        {EHM_DIALECT_HF5, "layers.2.attention.o_proj.bias", "blocks.2.attn.proj.bias", 0, 1},
        {EHM_DIALECT_TORCHVISION, "encoder.layers.encoder_layer_5.self_attention.in_proj_weight", "blocks.5.attn.qkv.weight", 0, 1},
        {EHM_DIALECT_TORCHVISION, "encoder.layers.encoder_layer_5.mlp.linear_2.bias", "blocks.5.mlp.fc2.bias", 0, 1},
        {EHM_DIALECT_TORCHVISION, "encoder.layers.encoder_layer_5.mlp.3.bias", "blocks.5.mlp.fc2.bias", 0, 1},
        {EHM_DIALECT_TORCHVISION, "class_token", "cls_token", 0, 1},
        {EHM_DIALECT_MMPRETRAIN, "backbone.layers.1.ffn.layers.0.0.weight", "blocks.1.mlp.fc1.weight", 0, 1},
        {EHM_DIALECT_MMPRETRAIN, "layers.1.ffn.layers.1.weight", "blocks.1.mlp.fc2.weight", 0, 1},
        {EHM_DIALECT_MMPRETRAIN, "backbone.ln1.weight", "norm.weight", 0, 1},
        {EHM_DIALECT_MMPRETRAIN, "neck.ln1.bias", "decoder_norm.bias", 0, 1},
        {EHM_DIALECT_MMPRETRAIN, "neck.decoder_blocks.0.ln2.bias", "decoder_blocks.0.norm2.bias", 0, 1},
        {EHM_DIALECT_MAE, "backbone.blocks.0.norm1.weight", "blocks.0.norm1.weight", 0, 1},
        {EHM_DIALECT_MAE, "decoder.decoder_pred.weight", "decoder_pred.weight", 0, 1},
        {EHM_DIALECT_MAE, "decoder.mask_token", "mask_token", 0, 1},
        {EHM_DIALECT_MAE, "classifier.bias", "head.bias", 0, 1},
        {EHM_DIALECT_MAE, "backbone.vit.pos_embed", "pos_embed", 0, 1},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        ehm_dialect_name x;
        CHECK(ehm_dialect_to_mae(&x, row[i].d, row[i].theirs));
        CHECK_STR(x.name, row[i].mae);
        CHECK_INT(x.part, row[i].part); CHECK_INT(x.n_parts, row[i].n_parts);
    }
}

TEST(dialect, what_has_no_place) {
    static const struct { ehm_dialect d; const char *name;
    } row[] = {{EHM_DIALECT_HF, "pooler.dense.weight"},      {EHM_DIALECT_HF, "vit.encoder.layer.x.layernorm_before.weight"},
               {EHM_DIALECT_TIMM, "blocks.0.ls1.gamma"},     {EHM_DIALECT_TIMM, "blocks.0.attn.q_norm.weight"},
               {EHM_DIALECT_TIMM, "decoder_embed.weight"},   {EHM_DIALECT_TIMM, "blocks.00.norm1.weight"},
               {EHM_DIALECT_MAE, "backbone.mask_token"},     {EHM_DIALECT_MAE, "momentum_backbone.cls_token"},
               {EHM_DIALECT_MAE, "decoder.cls_token"},       {EHM_DIALECT_MAE, "optimizer.state.0.exp_avg"},
               {EHM_DIALECT_MAE, ""},                        {EHM_DIALECT_UNKNOWN, "cls_token"},
               {EHM_DIALECT_TORCHVISION, "encoder.layers.encoder_layer_5.self_attention.in_proj.weight"},
               {EHM_DIALECT_MAE, "blocks.123456.norm1.bias"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        ehm_dialect_name x;
        if (ehm_dialect_to_mae(&x, row[i].d, row[i].name)) ehm_test_fail(__FILE__, __LINE__, "%s became %s", row[i].name, x.name);
    }
    CHECK(ehm_dialect_in_block(EHM_DIALECT_TIMM, "blocks.0.ls1.gamma"));
    CHECK(ehm_dialect_in_block(EHM_DIALECT_MAE, "backbone.vit.blocks.11.attn.q_norm.weight"));
    CHECK(ehm_dialect_in_block(EHM_DIALECT_HF, "encoder.layer.3.attention.scale"));
    CHECK(!ehm_dialect_in_block(EHM_DIALECT_HF, "pooler.dense.weight"));
    CHECK(!ehm_dialect_in_block(EHM_DIALECT_MAE, "optimizer.blocks.0.x"));
    char out[3][EHM_DIALECT_NAME_CAP], longest[2 * EHM_DIALECT_NAME_CAP];
    memset(longest, 'a', sizeof longest - 1), longest[sizeof longest - 1] = 0;
    ehm_dialect_name x;
    CHECK_INT(ehm_dialect_from_mae(out, EHM_DIALECT_HF, "blocks.0.ls1.gamma"), 0);
    CHECK(!ehm_dialect_to_mae(&x, EHM_DIALECT_HF, longest));
}

static ehm_dialect detect(char prefix[EHM_DIALECT_NAME_CAP], const char *a, const char *b, const char *c) {
    return ehm_dialect_detect(prefix, (const char *const[]){a, b, c}, 3);
}

TEST(dialect, wrappers_and_containers) {
    char p[EHM_DIALECT_NAME_CAP];
    CHECK_INT(detect(p, "model.patch_embed.proj.weight", "optimizer.state.0.exp_avg", "model.decoder_embed.weight"), EHM_DIALECT_MAE);
    CHECK_STR(p, "model.");
    /* The averaged weights before the plain ones, whatever their order in the file. */
    CHECK_INT(detect(p, "state_dict.patch_embed.proj.weight", "state_dict_ema.patch_embed.proj.weight", "state_dict_ema.head.weight"), EHM_DIALECT_TIMM);
    CHECK_STR(p, "state_dict_ema.");
    /* solo-learn and lightly: encoder and decoder in modules of their own. */
    CHECK_INT(detect(p, "state_dict.backbone.patch_embed.proj.weight", "state_dict.decoder.decoder_embed.weight", "state_dict.x"), EHM_DIALECT_MAE);
    CHECK_STR(p, "state_dict.");
    CHECK_INT(detect(p, "backbone.vit.patch_embed.proj.weight", "backbone.mask_token", "decoder.decoder_embed.weight"), EHM_DIALECT_MAE);
    CHECK_STR(p, "");
    CHECK_INT(detect(p, "momentum_backbone.patch_embed.proj.weight", "backbone.patch_embed.proj.weight", "x"), EHM_DIALECT_MAE);
    CHECK_STR(p, "backbone.");
    CHECK_INT(detect(p, "patch_embed.proj.weight", "head.weight", "x"), EHM_DIALECT_TIMM);
    CHECK_INT(detect(p, "my_own.trunk.patch_embed.proj.weight", "x", "y"), EHM_DIALECT_MAE);
    CHECK_STR(p, "my_own.trunk.");
    CHECK_INT(detect(p, "notpatch_embed.proj.weight", "conv1.weight", "y"), EHM_DIALECT_UNKNOWN);
    CHECK_STR(p, "");
    CHECK_INT(ehm_dialect_detect(p, NULL, 0), EHM_DIALECT_UNKNOWN);
    CHECK_STR(ehm_dialect_word(EHM_DIALECT_HF5), "hf5");
    CHECK_STR(ehm_dialect_word(EHM_DIALECT_UNKNOWN), "unknown");
}
