/* The names that other tools give the tensors of a vision transformer, to MAE's names and back. MAE's names (and timm's, which
 * are the same for the encoder) are what the rest of this program uses: docs/exchange.md has the table.
 *
 *     ehm_dialect d = ehm_dialect_detect(names, n, prefix, &conf);     // from the names alone
 *     ehm_dialect_name x;
 *     if (ehm_dialect_to_mae(&x, d, "encoder.layer.3.attention.attention.query.weight"))   // x.name "blocks.3.attn.qkv.weight", x.part 0, x.n_parts 3
 *     int32_t n = ehm_dialect_from_mae(out, EHM_DIALECT_HF, "blocks.3.attn.qkv.weight");   // 3 names: q, k, v
 *
 * Pure text: no tensor is looked at.
 */
#ifndef EHM_EXCHANGE_DIALECT_H
#define EHM_EXCHANGE_DIALECT_H
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    EHM_DIALECT_MAE,         /* cls_token, blocks.i.attn.qkv, decoder_blocks.j...: official MAE; solo-learn and lightly after their prefixes */
    EHM_DIALECT_TIMM,        /* the same encoder; head.*, fc_norm.*; no decoder */
    EHM_DIALECT_HF,          /* transformers 4.x: vit.encoder.layer.i..., decoder.decoder_layers.j... */
    EHM_DIALECT_HF5,         /* module names of transformers 5.x: vit.layers.i.attention.q_proj... */
    EHM_DIALECT_TORCHVISION, /* class_token, conv_proj, encoder.layers.encoder_layer_i... */
    EHM_DIALECT_MMPRETRAIN,  /* backbone.layers.i.ln1, ffn.layers.0.0, neck.decoder_blocks.j... */
    EHM_DIALECT_COUNT,
    EHM_DIALECT_UNKNOWN = -1
} ehm_dialect;
const char *ehm_dialect_word(ehm_dialect d); /* "mae", "timm", "hf", ... */

enum { EHM_DIALECT_NAME_CAP = 160 };
typedef struct {
    char name[EHM_DIALECT_NAME_CAP];
    int32_t part, n_parts; /* rows part*D to (part+1)*D - 1 of the tensor `name`; n_parts 1: the whole tensor */
} ehm_dialect_name;
/* Which dialect these names speak, and the prefix that has to be taken off every one of them first ("module.backbone.", may be empty;
 * nested wrappers and containers such as "state_dict." or "model." are looked through). EHM_DIALECT_UNKNOWN: none. */
ehm_dialect ehm_dialect_detect(char prefix[EHM_DIALECT_NAME_CAP], const char *const *names, int32_t n);
/* name after the prefix. false: the dialect has no such tensor (an optimiser's, a pooler, ...). */
bool ehm_dialect_to_mae(ehm_dialect_name *out, ehm_dialect d, const char *name);
/* The names under which d stores MAE's tensor: 1, or 3 for q, k, v in that order; 0: d has no place for it (a decoder in timm). */
int32_t ehm_dialect_from_mae(char out[3][EHM_DIALECT_NAME_CAP], ehm_dialect d, const char *mae_name);
/* Does name, after the prefix, lie in a block of the encoder or decoder as d numbers them? One that does and has no place in MAE (a layer scale, norms of queries)
 * changes what the block computes. */
bool ehm_dialect_in_block(ehm_dialect d, const char *name);
#endif
