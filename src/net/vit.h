/* The encoder and the decoder of masked autoencoders (He et al. 2022), under the names of the published state
 * dict.
 *
 *     ehm_vit_encoder_roots(&enc, &params, &shape);            // cls_token, pos_embed
 *     ehm_vit_encoder_modules(&enc, &params, &arena);          // patch_embed, blocks, norm
 *     ehm_vit_encoder_pass_open(&pass, &enc, batch, n_patches, 1 + n_patches, false, EHM_F32, &arena);
 *     ehm_vit_encoder_pass_plan(&pass, plan);
 *     ehm_vit_encoder_fwd(d, &pass, &weights, patches, &route, b, n_embed, n_tokens, NULL);
 *     ehm_view z = ehm_vit_encoder_out(&pass, b, n_tokens);    // after the final norm
 *
 * Which patches are embedded and where each token comes from is told by three index arrays (a route), so that
 * dropping patches, seeing all of them, or changing their order need no other code. A forward-only pass takes
 * any weight set: the online one or an averaged copy.
 */
#ifndef EHM_NET_VIT_H
#define EHM_NET_VIT_H
#include "net/layer.h"
#include "net/shape.h"

typedef struct ehm_vit_encoder {
    ehm_vit_shape shape;
    int32_t cls_token, pos_embed;
    ehm_linear patch_embed;
    ehm_stack blocks;
    ehm_norm norm;
} ehm_vit_encoder;
void ehm_vit_encoder_roots(ehm_vit_encoder *e, ehm_params *ps, const ehm_vit_shape *s);
void ehm_vit_encoder_modules(ehm_vit_encoder *e, ehm_params *ps, ehm_arena *a); /* no memory: ps->failed */

typedef struct {
    ehm_view embed_idx; /* [b, n_embed] i32: the patch of each embedded row */
    ehm_view src;       /* [b, n_tokens] i32: embedded row of a token, or -1 the class token */
    ehm_view pos_idx;   /* [b, n_tokens] i32: row of the position table (0 the class token's, 1 + patch) */
} ehm_vit_route;

typedef struct {
    const ehm_vit_encoder *enc;
    ehm_stack_pass blocks;
    int32_t batch, n_embed, n_tokens; /* the largest */
    bool train;
    bool stream_only; /* set before the plan: a head reads the residual stream and norms it itself, so there is no output z; the
                         stream's last state stays taken in forward-only passes too */
    ehm_dtype act;
    ehm_view embed_in, embedded, z, dx, dembedded;
    ehm_norm_cache norm;
} ehm_vit_encoder_pass;
bool ehm_vit_encoder_pass_open(ehm_vit_encoder_pass *p, const ehm_vit_encoder *e, int32_t batch,
                               int32_t n_embed, int32_t n_tokens, bool train, ehm_dtype act, ehm_arena *a);
/* z_type: of the output, act (to feed products) or the device's real. Train: caches, and scratch that is free
 * again after this. Else: scratch for the output, which stays taken, and for all the rest, which is free
 * again. */
void ehm_vit_encoder_pass_plan(ehm_vit_encoder_pass *p, ehm_plan *plan, ehm_dtype z_type);
/* Scratch, free again after this. */
void ehm_vit_encoder_pass_plan_bwd(ehm_vit_encoder_pass *p, ehm_plan *plan);
/* patches [b,L,P] f32 as patchify writes them. taps may be NULL; with fewer blocks than all the output is not
 * written: ehm_vit_encoder_tokens holds them. */
void ehm_vit_encoder_fwd(ehm_dev *d, ehm_vit_encoder_pass *p, const ehm_weights *w, ehm_view patches,
                         const ehm_vit_route *route, int64_t b, int64_t n_embed, int64_t n_tokens,
                         const ehm_taps *taps);
/* [b,n,D] z_type, after the final norm. */
ehm_view ehm_vit_encoder_out(const ehm_vit_encoder_pass *p, int64_t b, int64_t n_tokens);
ehm_view ehm_vit_encoder_tokens(
    const ehm_vit_encoder_pass *p, int64_t b,
    int64_t n_tokens); /* [b,n,D] f32: the residual stream where a forward-only pass stopped */
/* dz [b,n_tokens,D] act. Adds to the gradients; there is none for pixels. */
void ehm_vit_encoder_bwd(ehm_dev *d, ehm_vit_encoder_pass *p, ehm_view dz, const ehm_weights *w,
                         const ehm_grads *g, const ehm_vit_route *route, int64_t b, int64_t n_embed,
                         int64_t n_tokens);
/* The residual stream after block i_block, [b,n,D] f32: what heads read as a level. A forward-only pass has the last block's alone
 * (others: ehm_tap.hidden). */
ehm_view ehm_vit_encoder_level(const ehm_vit_encoder_pass *p, int32_t i_block, int64_t b, int64_t n_tokens);
/* As ehm_vit_encoder_bwd, but from the residual stream, before the final norm, which is left alone. dx [b,n,D] f32: the gradient of the
 * last block's output on entry, overwritten; it must be taken when the backward pass is planned. Gradients of earlier levels join by
 * opt->join. With opt->first_block above 0 the embedding stays as it is too. opt NULL: all blocks and the embedding. */
void ehm_vit_encoder_bwd_stream(ehm_dev *d, ehm_vit_encoder_pass *p, ehm_view dx, const ehm_weights *w,
                                const ehm_grads *g, const ehm_vit_route *route, int64_t b, int64_t n_embed,
                                int64_t n_tokens, const ehm_stack_bwd_opt *opt);

typedef struct {
    ehm_vit_shape shape;
    int32_t mask_token, pos_embed;
    int64_t width;
    ehm_linear embed, pred;
    ehm_stack blocks;
    ehm_norm norm;
} ehm_vit_decoder;
void ehm_vit_decoder_roots(ehm_vit_decoder *e, ehm_params *ps, const ehm_vit_shape *s);
/* Width: of the prediction. */
void ehm_vit_decoder_modules(ehm_vit_decoder *e, ehm_params *ps, int64_t width, ehm_arena *a);

typedef struct {
    const ehm_vit_decoder *dec;
    ehm_stack_pass blocks;
    int32_t batch, n_in, n_pred; /* the largest */
    bool train;
    ehm_dtype act;
    ehm_view embedded, picked, h, pred, dpred, dh, dpicked, dx, dembedded;
    ehm_norm_cache norm;
} ehm_vit_decoder_pass;
/* n_in: encoder tokens; n_pred: rows that are predicted. */
bool ehm_vit_decoder_pass_open(ehm_vit_decoder_pass *p, const ehm_vit_decoder *e, int32_t batch, int32_t n_in,
                               int32_t n_pred, bool train, ehm_dtype act, ehm_arena *a);
/* Forward only: the prediction stays taken in scratch. */
void ehm_vit_decoder_pass_plan(ehm_vit_decoder_pass *p, ehm_plan *plan);
void ehm_vit_decoder_pass_plan_bwd(ehm_vit_decoder_pass *p, ehm_plan *plan);
/* z [b,n_in,D] act; src [b,1+L] i32: row of z, or -1 the mask token; pred_idx [b,n_pred] i32: rows that are
 * predicted (1 + patch). Since the final norm and the prediction work on rows, only these are computed. Out:
 * ehm_vit_decoder_pred. */
void ehm_vit_decoder_fwd(ehm_dev *d, ehm_vit_decoder_pass *p, const ehm_weights *w, ehm_view z, ehm_view src,
                         ehm_view pred_idx, int64_t b, int64_t n_in, int64_t n_pred);
ehm_view ehm_vit_decoder_pred(const ehm_vit_decoder_pass *p, int64_t b, int64_t n_pred); /* [b,n,width] f32 */
/* [b,n,width] act: filled by the loss before bwd. */
ehm_view ehm_vit_decoder_dpred(const ehm_vit_decoder_pass *p, int64_t b, int64_t n_pred);
/* dz [b,n_in,D] act written. z and the indices are those of the forward pass. */
void ehm_vit_decoder_bwd(ehm_dev *d, ehm_vit_decoder_pass *p, ehm_view dz, const ehm_weights *w,
                         const ehm_grads *g, ehm_view z, ehm_view src, ehm_view pred_idx, int64_t b,
                         int64_t n_in, int64_t n_pred);
#endif
