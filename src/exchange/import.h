/* Weights of other tools, brought to MAE's names and, on demand, to other sizes: one safetensors file, a .pth (exchange/pth.h), or a folder
 * of transformers or timm (config.json with model.safetensors, shards with their index, or pytorch_model.bin).
 *
 *     ehm_import *im; ehm_import_open(&im, "mae_pretrain_vit_base.pth", &(ehm_import_opt){0}, &err);
 *     ehm_weights_describe(&info, im->weights, &guessed, &err);             // or ehm_st_write-like: ehm_import_save
 *     ehm_import_close(im);
 */
#ifndef EHM_EXCHANGE_IMPORT_H
#define EHM_EXCHANGE_IMPORT_H
#include "exchange/dialect.h"
#include "exchange/safetensors.h"
#include "exchange/weights_file.h"

typedef struct {
    int32_t img_h, img_w, channels, patch_size; /* 0: as the file has it */
    int32_t num_heads, decoder_num_heads;       /* 0: what the file or its config says, else deduced */
    const char *resample;                       /* position tables: "timm" (bicubic, antialiased; NULL) or "mae" (bicubic, none); patch kernels always FlexiViT's
                                                   pseudo-inverse as timm does */
    const char *adapt;                          /* input channels: "timm" (sum to one, tile and scale by 3/n to others; NULL) or "mae" (the layer is left to its start, seed 0).
                                                   What the decoder predicts goes the same way: patches resized bicubic, channels averaged or tiled, or drawn anew */
    bool partial;                               /* tensors may be missing: they are drawn as at the start of a run of seed 0 */
} ehm_import_opt;

typedef enum { EHM_IMPORT_MATCHED, EHM_IMPORT_RESIZED, EHM_IMPORT_MISSING, EHM_IMPORT_UNEXPECTED } ehm_import_kind;
typedef struct {
    ehm_import_kind kind;
    const char *name;  /* MAE's; NULL for unexpected */
    const char *theirs; /* in the file; NULL for missing; the first of q, k, v */
    const char *note;  /* "14x14 to 8x8, bicubic with antialias (timm)"; may be NULL */
} ehm_import_row;
typedef struct {
    ehm_st *weights;         /* in memory, MAE's names, f32, with the metadata of our own files (exchange/weights_file.h) */
    ehm_weights_info info;
    bool heads_guessed, encoder_only, has_head; /* has_head: head.weight, head.bias, maybe fc_norm.*, are among weights */
    const char *container;   /* "safetensors", "pth (zip)", "transformers folder", ... */
    ehm_dialect dialect;
    const char *tool;        /* as far as it shows: "official MAE", "timm", "transformers 4.x", "solo-learn", "lightly", ... */
    const ehm_import_row *row;
    int32_t n_row, n_of[4];  /* by kind; matched rows first, in the model's order, then resized, missing, unexpected */
    const char *note[8];     /* what a user should know besides: another epsilon, a norm that is not there; sentences without a full stop */
    int32_t n_notes;
} ehm_import;
/* Files of ours keep all their tensors and metadata; nothing is copied that does not change. Of others, what MAE has no place for is left out; encoder only where the
 * decoder is incomplete. Errors: those of the readers; EHM_E_UNSUPPORTED for tensors that make another function (registers, layer scales, norms of queries, ...); EHM_E_MISMATCH when encoder tensors are missing (names the first and how many), unless partial. */
ehm_code ehm_import_open(ehm_import **out, const char *path, const ehm_import_opt *opt, ehm_err *err);
/* For a network of these sizes: brought to its pictures, patches and channels as timm does. A decoder of other sizes is left out, with a note. EHM_E_MISMATCH too
 * where the encoder of the file is deeper or has another number of heads; other widths show at loading. */
ehm_code ehm_import_open_for(ehm_import **out, const char *path, const ehm_vit_shape *shape, ehm_err *err);
void ehm_import_close(ehm_import *im);
/* As a file of ours. Atomic; equal input gives equal bytes. */
ehm_code ehm_import_save(const char *path, const ehm_import *im, ehm_err *err);
/* Could this path be one (by content: a weights file of any kind, or a folder that holds one and is no run folder)? */
bool ehm_import_claims(const char *path);
#endif
