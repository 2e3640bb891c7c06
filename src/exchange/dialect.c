#include "exchange/dialect.h"
#include "base/str.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const char *ehm_dialect_word(ehm_dialect d) {
    static const char *const word[EHM_DIALECT_COUNT] = {"mae", "timm", "hf", "hf5", "torchvision", "mmpretrain"};
    return d >= 0 && d < EHM_DIALECT_COUNT ? word[d] : "unknown";
}

/* ---- tables ---- */

/* A tensor, or a layer's weight and bias, under MAE's name and theirs. WHOLE: the name is complete. JOIN: theirs has "_weight" where others have ".weight". ALSO: read
 * under this name too, but never written. part: 1, 2, 3 are the rows of q, k, v; 0 the whole. */
enum { WHOLE = 1, JOIN = 2, ALSO = 4 };
typedef struct { const char *mae, *theirs; int32_t flags, part; } pair;
typedef struct {
    const char *blocks, *decoder_blocks; /* before the block's number; NULL: there are none */
    const char *also;                    /* another beginning of decoder blocks that is read */
    const pair *root, *block;
    const char *optional;                /* a beginning of the encoder's names that some files lack; NULL: none */
} table;

static const pair mae_block[] = {{"norm1", "norm1", 0, 0},     {"attn.qkv", "attn.qkv", 0, 0}, {"attn.proj", "attn.proj", 0, 0}, {"norm2", "norm2", 0, 0},
                                 {"mlp.fc1", "mlp.fc1", 0, 0}, {"mlp.fc2", "mlp.fc2", 0, 0},   {0}};
#define MAE_ENCODER                                                                                                                  \
    {"cls_token", "cls_token", WHOLE, 0}, {"pos_embed", "pos_embed", WHOLE, 0}, {"patch_embed.proj", "patch_embed.proj", 0, 0},       \
        {"norm", "norm", 0, 0}, {"fc_norm", "fc_norm", 0, 0}, {"head", "head", 0, 0}
static const pair mae_root[] = {MAE_ENCODER,
                                {"mask_token", "mask_token", WHOLE, 0},
                                {"decoder_pos_embed", "decoder_pos_embed", WHOLE, 0},
                                {"decoder_embed", "decoder_embed", 0, 0},
                                {"decoder_norm", "decoder_norm", 0, 0},
                                {"decoder_pred", "decoder_pred", 0, 0},
                                {"head", "classifier", ALSO, 0}, /* solo-learn */
                                {0}};
static const pair timm_root[] = {MAE_ENCODER, {0}};

static const pair hf_block[] = {{"norm1", "layernorm_before", 0, 0},
                                {"attn.qkv", "attention.attention.query", 0, 1},
                                {"attn.qkv", "attention.attention.key", 0, 2},
                                {"attn.qkv", "attention.attention.value", 0, 3},
                                {"attn.proj", "attention.output.dense", 0, 0},
                                {"norm2", "layernorm_after", 0, 0},
                                {"mlp.fc1", "intermediate.dense", 0, 0},
                                {"mlp.fc2", "output.dense", 0, 0},
                                {0}};
static const pair hf5_block[] = {{"norm1", "layernorm_before", 0, 0},
                                 {"attn.qkv", "attention.q_proj", 0, 1},
                                 {"attn.qkv", "attention.k_proj", 0, 2},
                                 {"attn.qkv", "attention.v_proj", 0, 3},
                                 {"attn.proj", "attention.o_proj", 0, 0},
                                 {"norm2", "layernorm_after", 0, 0},
                                 {"mlp.fc1", "mlp.fc1", 0, 0},
                                 {"mlp.fc2", "mlp.fc2", 0, 0},
                                 {0}};
static const pair hf_root[] = {{"cls_token", "vit.embeddings.cls_token", WHOLE, 0},
                               {"pos_embed", "vit.embeddings.position_embeddings", WHOLE, 0},
                               {"patch_embed.proj", "vit.embeddings.patch_embeddings.projection", 0, 0},
                               {"norm", "vit.layernorm", 0, 0},
                               {"head", "classifier", 0, 0},
                               {"mask_token", "decoder.mask_token", WHOLE, 0},
                               {"decoder_pos_embed", "decoder.decoder_pos_embed", WHOLE, 0},
                               {"decoder_embed", "decoder.decoder_embed", 0, 0},
                               {"decoder_norm", "decoder.decoder_norm", 0, 0},
                               {"decoder_pred", "decoder.decoder_pred", 0, 0},
                               {0}};

static const pair torchvision_block[] = {{"norm1", "ln_1", 0, 0},
                                         {"attn.qkv", "self_attention.in_proj", JOIN, 0},
                                         {"attn.proj", "self_attention.out_proj", 0, 0},
                                         {"norm2", "ln_2", 0, 0},
                                         {"mlp.fc1", "mlp.0", 0, 0},
                                         {"mlp.fc2", "mlp.3", 0, 0},
                                         {"mlp.fc1", "mlp.linear_1", ALSO, 0},
                                         {"mlp.fc2", "mlp.linear_2", ALSO, 0},
                                         {0}};
static const pair torchvision_root[] = {{"cls_token", "class_token", WHOLE, 0},
                                        {"pos_embed", "encoder.pos_embedding", WHOLE, 0},
                                        {"patch_embed.proj", "conv_proj", 0, 0},
                                        {"norm", "encoder.ln", 0, 0},
                                        {"head", "heads.head", 0, 0},
                                        {0}};

static const pair mm_block[] = {{"norm1", "ln1", 0, 0},
                                {"attn.qkv", "attn.qkv", 0, 0},
                                {"attn.proj", "attn.proj", 0, 0},
                                {"norm2", "ln2", 0, 0},
                                {"mlp.fc1", "ffn.layers.0.0", 0, 0},
                                {"mlp.fc2", "ffn.layers.1", 0, 0},
                                {0}};
static const pair mm_root[] = {{"cls_token", "backbone.cls_token", WHOLE, 0},
                               {"pos_embed", "backbone.pos_embed", WHOLE, 0},
                               {"patch_embed.proj", "backbone.patch_embed.projection", 0, 0},
                               {"norm", "backbone.ln1", 0, 0},
                               {"fc_norm", "backbone.ln2", 0, 0},
                               {"head", "head.fc", 0, 0},
                               {"head", "head.layers.head", ALSO, 0},
                               {"mask_token", "neck.mask_token", WHOLE, 0},
                               {"decoder_pos_embed", "neck.decoder_pos_embed", WHOLE, 0},
                               {"decoder_embed", "neck.decoder_embed", 0, 0},
                               {"decoder_norm", "neck.ln1", 0, 0},
                               {"decoder_norm", "neck.decoder_norm", ALSO, 0},
                               {"decoder_pred", "neck.decoder_pred", 0, 0},
                               {0}};

/* Transformers 5.23 writes the decoder's blocks of its 4.x names as decoder.decoder_encoder.layer.j. */
static const table tables[EHM_DIALECT_COUNT] = {
    [EHM_DIALECT_MAE] = {"blocks.", "decoder_blocks.", NULL, mae_root, mae_block, NULL},
    [EHM_DIALECT_TIMM] = {"blocks.", NULL, NULL, timm_root, mae_block, NULL},
    [EHM_DIALECT_HF] = {"vit.encoder.layer.", "decoder.decoder_layers.", "decoder.decoder_encoder.layer.", hf_root, hf_block, "vit."},
    [EHM_DIALECT_HF5] = {"vit.layers.", "decoder.decoder_layers.", "decoder.decoder_encoder.layers.", hf_root, hf5_block, "vit."},
    [EHM_DIALECT_TORCHVISION] = {"encoder.layers.encoder_layer_", NULL, NULL, torchvision_root, torchvision_block, NULL},
    [EHM_DIALECT_MMPRETRAIN] = {"backbone.layers.", "neck.decoder_blocks.", NULL, mm_root, mm_block, "backbone."},
};

/* ---- one name ---- */

/* "12.norm1.weight" -> "norm1.weight" and the 12; NULL when no number and dot come first. Numbers as they are printed: no leading zeros. */
static const char *after_number(const char *s, int32_t *n) {
    int32_t v = 0, digits = 0;
    for (; *s >= '0' && *s <= '9' && digits < 5; s++, digits++) v = 10 * v + (*s - '0');
    if (!digits || *s != '.' || (digits > 1 && s[-digits] == '0')) return NULL;
    *n = v;
    return s + 1;
}

static bool is_leaf(const char *s) { return !strcmp(s, "weight") || !strcmp(s, "bias"); }

/* Does name say what the stem of p says, on the side asked for? *leaf: "weight", "bias" or "". */
static bool fits(const pair *p, bool theirs, const char *name, const char **leaf) {
    const char *stem = theirs ? p->theirs : p->mae;
    size_t n = strlen(stem);
    if (strncmp(name, stem, n)) return false;
    *leaf = "";
    if (p->flags & WHOLE) return !name[n];
    if (name[n] != (theirs && p->flags & JOIN ? '_' : '.') || !is_leaf(name + n + 1)) return false;
    *leaf = name + n + 1;
    return true;
}

static bool say(char out[EHM_DIALECT_NAME_CAP], const char *before, int32_t i_block, const pair *p, bool theirs, const char *leaf) {
    const char *joint = !*leaf ? "" : theirs && p->flags & JOIN ? "_" : ".", *stem = theirs ? p->theirs : p->mae;
    int n = i_block < 0 ? snprintf(out, EHM_DIALECT_NAME_CAP, "%s%s%s", stem, joint, leaf)
                        : snprintf(out, EHM_DIALECT_NAME_CAP, "%s%d.%s%s%s", before, (int)i_block, stem, joint, leaf);
    return n > 0 && n < EHM_DIALECT_NAME_CAP;
}

static bool found(ehm_dialect_name *out, const char *before, int32_t i_block, const pair *p, const char *leaf) {
    out->part = p->part ? p->part - 1 : 0, out->n_parts = p->part ? 3 : 1;
    return say(out->name, before, i_block, p, false, leaf);
}

static bool look_up(ehm_dialect_name *out, const table *t, const char *name) {
    const struct { const char *theirs, *mae;
    } stack[3] = {{t->blocks, "blocks."}, {t->decoder_blocks, "decoder_blocks."}, {t->also, "decoder_blocks."}};
    const char *leaf;
    int32_t i_block;
    for (const pair *p = t->root; p->mae; p++)
        if (fits(p, true, name, &leaf)) return found(out, NULL, -1, p, leaf);
    for (int32_t k = 0; k < 3; k++) {
        if (!stack[k].theirs || !ehm_starts(name, stack[k].theirs)) continue;
        const char *inner = after_number(name + strlen(stack[k].theirs), &i_block);
        for (const pair *p = t->block; inner && p->mae; p++)
            if (fits(p, true, inner, &leaf)) return found(out, stack[k].mae, i_block, p, leaf);
    }
    return false;
}

/* Modules that people wrap around a network: those of the first list hold an encoder, the second a decoder, the third anything. */
static const char *const encoder_wrap[] = {"backbone.", "vit.", "encoder.", NULL}, *const decoder_wrap[] = {"decoder.", NULL},
                  *const any_wrap[] = {"module.", "_orig_mod.", "model.", "net.", NULL};

static size_t wrap_of(const char *s, const char *const *list) {
    for (; *list; list++)
        if (ehm_starts(s, *list)) return strlen(*list);
    return 0;
}

static bool is_decoder(const char *mae_name) { return !strcmp(mae_name, "mask_token") || ehm_starts(mae_name, "decoder_"); }

/* MAE's own names after any wrappers, such as solo-learn's backbone. and decoder. A token of the same name in the wrong half is another thing: lightly's encoder has a
 * mask_token of its own, of the encoder's width. */
static bool look_through(ehm_dialect_name *out, const table *t, const char *name) {
    bool encoder = false, decoder = false;
    for (size_t n;;) {
        if (look_up(out, t, name)) return is_decoder(out->name) ? !encoder : !decoder;
        if ((n = wrap_of(name, encoder_wrap))) encoder = true;
        else if ((n = wrap_of(name, decoder_wrap))) decoder = true;
        else if (!(n = wrap_of(name, any_wrap))) return false;
        name += n;
    }
}

bool ehm_dialect_to_mae(ehm_dialect_name *out, ehm_dialect d, const char *name) {
    char full[EHM_DIALECT_NAME_CAP];
    *out = (ehm_dialect_name){.n_parts = 1};
    if (d < 0 || d >= EHM_DIALECT_COUNT) return false;
    const table *t = &tables[d];
    if (d == EHM_DIALECT_MAE || d == EHM_DIALECT_TIMM) return look_through(out, t, name);
    if (look_up(out, t, name)) return true;
    if (!t->optional || ehm_starts(name, t->optional)) return false;
    int n = snprintf(full, sizeof full, "%s%s", t->optional, name);
    return n > 0 && n < (int)sizeof full && look_up(out, t, full);
}

static bool numbered(const char *name, const char *before) {
    int32_t i;
    return before && ehm_starts(name, before) && after_number(name + strlen(before), &i);
}

static bool in_block(const table *t, const char *name) { return numbered(name, t->blocks) || numbered(name, t->decoder_blocks) || numbered(name, t->also); }

bool ehm_dialect_in_block(ehm_dialect d, const char *name) {
    char full[EHM_DIALECT_NAME_CAP];
    if (d < 0 || d >= EHM_DIALECT_COUNT) return false;
    const table *t = &tables[d];
    if (in_block(t, name)) return true;
    if (t->optional && !ehm_starts(name, t->optional)) {
        snprintf(full, sizeof full, "%s%.100s", t->optional, name);
        return in_block(t, full);
    }
    for (size_t n; d == EHM_DIALECT_MAE || d == EHM_DIALECT_TIMM; name += n) {
        if (in_block(t, name)) return true;
        if (!(n = wrap_of(name, encoder_wrap)) && !(n = wrap_of(name, decoder_wrap)) && !(n = wrap_of(name, any_wrap))) return false;
    }
    return false;
}

/* Of the pairs that say MAE's name, the one or three that are written. */
static int32_t write_names(char out[3][EHM_DIALECT_NAME_CAP], const pair *p, const char *before, int32_t i_block, const char *mae_name) {
    const char *leaf;
    int32_t n = 0;
    for (; p->mae && n < 3; p++)
        if (!(p->flags & ALSO) && fits(p, false, mae_name, &leaf) && !say(out[n++], before, i_block, p, true, leaf)) return 0;
    return n;
}

int32_t ehm_dialect_from_mae(char out[3][EHM_DIALECT_NAME_CAP], ehm_dialect d, const char *mae_name) {
    const char *inner;
    int32_t i_block;
    if (d < 0 || d >= EHM_DIALECT_COUNT) return 0;
    const table *t = &tables[d];
    if (ehm_starts(mae_name, "blocks.") && (inner = after_number(mae_name + strlen("blocks."), &i_block)))
        return write_names(out, t->block, t->blocks, i_block, inner);
    if (ehm_starts(mae_name, "decoder_blocks.") && (inner = after_number(mae_name + strlen("decoder_blocks."), &i_block)))
        return t->decoder_blocks ? write_names(out, t->block, t->decoder_blocks, i_block, inner) : 0;
    return write_names(out, t->root, NULL, -1, mae_name);
}

/* ---- which dialect ---- */

/* The patch embedding's name tells dialects apart; what stands before it is the prefix. Longest first: one may end as another does. */
static const struct { const char *end; ehm_dialect d;
} prints[] = {
    {"vit.embeddings.patch_embeddings.projection.weight", EHM_DIALECT_HF}, {"embeddings.patch_embeddings.projection.weight", EHM_DIALECT_HF},
    {"backbone.patch_embed.projection.weight", EHM_DIALECT_MMPRETRAIN},    {"patch_embed.projection.weight", EHM_DIALECT_MMPRETRAIN},
    {"patch_embed.proj.weight", EHM_DIALECT_MAE},                          {"conv_proj.weight", EHM_DIALECT_TORCHVISION},
};
enum { N_PRINTS = sizeof prints / sizeof *prints };

static int32_t print_of(const char *name, size_t *n_prefix) {
    for (int32_t i = 0; i < N_PRINTS; i++) {
        size_t n = strlen(name), m = strlen(prints[i].end);
        if (n < m || strcmp(name + n - m, prints[i].end) || (n > m && name[n - m - 1] != '.')) continue;
        *n_prefix = n - m;
        return i;
    }
    return -1;
}

/* Several networks in one file: averaged weights before the plain ones, as timm takes them; students, teachers and momentum copies last. Then the shorter prefix. */
static int32_t preference(const char *prefix, size_t n) {
    static const struct { const char *word; int32_t rank;
    } word[] = {{"state_dict_ema.", 0}, {"model_ema.", 1}, {"state_dict.", 2}, {"model.", 3}};
    static const char *const aside[] = {"momentum", "teacher", "student", "target", "optimizer"};
    char text[EHM_DIALECT_NAME_CAP];
    snprintf(text, sizeof text, "%.*s", (int)n, prefix);
    for (size_t i = 0; i < sizeof aside / sizeof *aside; i++)
        if (strstr(text, aside[i])) return 9;
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        if (ehm_starts(text, word[i].word)) return word[i].rank;
    return 4;
}

/* How much of prefix is left when wrappers at its end are given back to the names: what encoder and decoder have in common. */
static size_t without_wraps(const char *prefix, size_t n) {
    for (;;) {
        size_t from = n;
        while (from > 1 && prefix[from - 2] != '.') from--;
        from = from ? from - 1 : 0;
        if (!n || (!wrap_of(prefix + from, encoder_wrap) && !wrap_of(prefix + from, any_wrap))) return n;
        n = from;
    }
}

static bool has(const char *const *names, int32_t n, const char *prefix, size_t n_prefix, const char *rest) {
    for (int32_t i = 0; i < n; i++)
        if (!strncmp(names[i], prefix, n_prefix) && !strcmp(names[i] + n_prefix, rest)) return true;
    return false;
}

/* A name that ends so and begins with the part that the prefix shares with it, wrappers apart. */
static bool shares(const char *const *names, int32_t n, const char *prefix, size_t n_shared, const char *end) {
    for (int32_t i = 0; i < n; i++) {
        if (strncmp(names[i], prefix, n_shared)) continue;
        const char *s = names[i] + n_shared;
        for (size_t m; (m = wrap_of(s, decoder_wrap)) || (m = wrap_of(s, any_wrap));) s += m;
        if (!strcmp(s, end)) return true;
    }
    return false;
}

static bool any_part(const char *const *names, int32_t n, const char *part) {
    for (int32_t i = 0; i < n; i++)
        if (strstr(names[i], part)) return true;
    return false;
}

/* MAE's names: with a decoder or in a wrapper they are a pre-training's; bare ones are timm's. */
static ehm_dialect of_mae(const char *prefix, size_t *n_prefix, const char *const *names, int32_t n) {
    if (has(names, n, prefix, *n_prefix, "decoder_embed.weight")) return EHM_DIALECT_MAE;
    size_t shared = without_wraps(prefix, *n_prefix);
    if (shared < *n_prefix && (shares(names, n, prefix, shared, "decoder_embed.weight") || shares(names, n, prefix, shared, "classifier.weight"))) {
        *n_prefix = shared;
        return EHM_DIALECT_MAE;
    }
    if (has(names, n, prefix, *n_prefix, "head.weight")) return EHM_DIALECT_TIMM;
    return *n_prefix ? EHM_DIALECT_MAE : EHM_DIALECT_TIMM;
}

ehm_dialect ehm_dialect_detect(char prefix[EHM_DIALECT_NAME_CAP], const char *const *names, int32_t n) {
    const char *best = NULL;
    size_t n_best = 0, m;
    int32_t best_print = -1, best_rank = 99, k;
    prefix[0] = 0;
    for (int32_t i = 0; i < n; i++) {
        if ((k = print_of(names[i], &m)) < 0 || m >= EHM_DIALECT_NAME_CAP) continue;
        int32_t rank = preference(names[i], m);
        if (best && (rank > best_rank || (rank == best_rank && m >= n_best))) continue;
        best = names[i], n_best = m, best_print = k, best_rank = rank;
    }
    if (!best) return EHM_DIALECT_UNKNOWN;
    ehm_dialect d = prints[best_print].d;
    if (d == EHM_DIALECT_MAE) d = of_mae(best, &n_best, names, n);
    if (d == EHM_DIALECT_HF && any_part(names, n, ".attention.q_proj.")) d = EHM_DIALECT_HF5;
    memcpy(prefix, best, n_best);
    prefix[n_best] = 0;
    return d;
}
