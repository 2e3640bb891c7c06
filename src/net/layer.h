/* Layers: a forward beside a backward, caches explicit. A layer is a set of indices into the parameter table;
 * what a pass needs in memory is a second struct, so that one network can run several passes (training on
 * kept patches, a teacher on all of them).
 *
 *     ehm_linear_add(&l, &params, "blocks.0.mlp.fc1", 768, 192);            // before the plan
 *     ehm_linear_fwd(d, out, x, &l, &weights, ehm_view_none());             // out = x W^T + bias
 *     ehm_linear_bwd(d, dx, dout, dout, x, &l, &weights, &grads);
 *
 * Forward writes. Backward writes gradients of activations and adds to gradients of parameters. The residual
 * stream and its gradient are f32
 * ("real": the device's parameter type), what feeds products is act. Letters as in compute.h; R = B*N rows.
 * Nothing here allocates on a device.
 */
#ifndef EHM_NET_LAYER_H
#define EHM_NET_LAYER_H
#include "net/params.h"

/* Everywhere in the encoder and the decoder; torch's own default is another (conventions of MAE). */
#define EHM_LAYER_NORM_EPS 1e-6f

/* Gradients of groups 0 and 1, laid out as the weights. */
typedef struct { const ehm_params *params; ehm_view flat[2]; } ehm_grads;
void ehm_grads_plan(ehm_grads *g, const ehm_params *ps, ehm_plan *plan);
ehm_view ehm_grad(const ehm_grads *g, int32_t i);        /* f32, the parameter's shape */
ehm_view ehm_grad_matrix(const ehm_grads *g, int32_t i); /* [dim0, rest] */

/* The first r*c elements of v as [r,c], or b*n*c as [b,n,c]: passes are planned for their largest size and
 * run at any smaller one. */
ehm_view ehm_fit2(ehm_view v, int64_t r, int64_t c);
ehm_view ehm_fit3(ehm_view v, int64_t b, int64_t n, int64_t c);
ehm_view ehm_rows(ehm_view v, int64_t c); /* all of v as [rows,c]: tables and tokens are [1,N,D] in files */

/* ---- linear: weight [out,in] decayed, bias [out] ---- */
typedef struct { int32_t weight, bias; } ehm_linear;
/* Xavier-uniform, bias 0. */
void ehm_linear_add(ehm_linear *l, ehm_params *ps, const char *name, int64_t n_out, int64_t n_in);
/* As heads start: weight normal of this deviation, every bias the same. */
void ehm_linear_add_normal(ehm_linear *l, ehm_params *ps, const char *name, int64_t n_out, int64_t n_in,
                           double std, double bias);
/* out [R,out] act or f32 = x [R,in] act times the transposed weight, plus bias, plus add (f32 or none; may be
 * out). */
void ehm_linear_fwd(ehm_dev *d, ehm_view out, ehm_view x, const ehm_linear *l, const ehm_weights *w,
                    ehm_view add);
/* dx [R,in] act or f32 written unless none; dout [R,out] act; dout_bias: the same numbers for the bias' sum,
 * in f32 where they exist so. */
void ehm_linear_bwd(ehm_dev *d, ehm_view dx, ehm_view dout, ehm_view dout_bias, ehm_view x,
                    const ehm_linear *l, const ehm_weights *w, const ehm_grads *g);

/* ---- layer norm: weight 1 and bias 0 [D], not decayed ---- */
typedef struct { int32_t weight, bias; } ehm_norm;
typedef struct { ehm_view mean, rstd; } ehm_norm_cache; /* [R] f32 */
void ehm_norm_add(ehm_norm *n, ehm_params *ps, const char *name, int64_t dim);
void ehm_norm_layer_fwd(ehm_dev *d, ehm_view out, const ehm_norm_cache *c, ehm_view x, const ehm_norm *n,
                        const ehm_weights *w);
/* dx [R,D] f32 written, or added to with accumulate. */
void ehm_norm_layer_bwd(ehm_dev *d, ehm_view dx, bool accumulate, ehm_view dout, ehm_view x,
                        const ehm_norm_cache *c, const ehm_norm *n, const ehm_weights *w, const ehm_grads *g);

/* ---- blocks: x += proj(attn(norm1(x))); x += fc2(gelu(fc1(norm2(x)))) ---- */
enum { EHM_LABEL_MAX = 40 };
typedef struct {
    ehm_norm norm1, norm2; ehm_linear qkv, proj, fc1, fc2;
    char label_attn[EHM_LABEL_MAX], label_mlp[EHM_LABEL_MAX]; /* "blocks.3.attn": what messages name */
} ehm_block;
typedef struct { ehm_block *block; int32_t n_blocks, num_heads; int64_t dim, mlp_dim; } ehm_stack;
/* Parameters "PREFIX.i.norm1.weight" ...; block i lives in a. False when there is no memory. */
bool ehm_stack_add(ehm_stack *s, ehm_params *ps, ehm_arena *a, const char *prefix, int32_t n_blocks,
                   int64_t dim, int32_t num_heads, int64_t mlp_dim);

/* What is looked at on the way. Blocks count from 0. */
typedef struct {
    int32_t i_block;
    ehm_view probs; /* post-softmax attention of this block, f32 [B,N,N] (mean over heads) or [B,H,N,N]; none:
                       not wanted */
    ehm_view hidden;   /* tokens after this block, f32 [B,N,D]; none: not wanted */
} ehm_tap;
typedef struct {
    const ehm_tap *tap; int32_t n_taps;
    int32_t n_blocks;  /* run so many blocks; negative: all */
    void (*look)(void *ctx, ehm_dev *d, int32_t i_block, ehm_view qkv); /* called when a block's queries, keys and values stand; NULL: nobody looks */
    void *ctx;
    bool only_qkv;     /* the last of them stops once its queries, keys and values stand in ehm_stack_qkv */
} ehm_taps;            /* NULL: all blocks, no taps */

typedef struct { ehm_view h1, qkv, att, lse, x_mid, h2, u, g; ehm_norm_cache norm1, norm2; } ehm_block_cache;
typedef struct {
    const ehm_stack *stack;
    int32_t batch, n_tokens; /* the largest */
    bool train;
    bool drop_path;  /* set before the plan: branches may be dropped */
    ehm_view keep;   /* [n_blocks,2,B] f32 INPUT, with drop_path: what the attention and the MLP branch of each picture are multiplied by, 0 or
                        1 / (1 - rate); filled by the caller (ehm_stack_draw_keep) before fwd: for b pictures ehm_fit3(keep, n_blocks, 2, b) */
    ehm_view branch; /* with drop_path: scratch of a branch, [batch*n_tokens,dim] f32 */
    ehm_view *x; /* train: n_blocks + 1 states of the residual stream; else one, updated in place */
    ehm_block_cache *cache;  /* train: of each block; else one, shared */
    ehm_view da, dwide, dnarrow, dbranch; /* backward scratch */
    ehm_dtype act;
} ehm_stack_pass;
bool ehm_stack_pass_open(ehm_stack_pass *p, const ehm_stack *s, int32_t batch, int32_t n_tokens, bool train,
                         ehm_dtype act, ehm_arena *a);
/* Train: caches. Else: x in scratch, which stays taken; the rest of the scratch is free again after this. */
void ehm_stack_pass_plan_fwd(ehm_stack_pass *p, ehm_plan *plan);
void ehm_stack_pass_plan_blocks(ehm_stack_pass *p, ehm_plan *plan);
void ehm_stack_pass_plan_bwd(ehm_stack_pass *p, ehm_plan *plan); /* scratch, free again after this */
/* [b,n,D] f32: to be filled before fwd. */
ehm_view ehm_stack_in(const ehm_stack_pass *p, int64_t b, int64_t n);
ehm_view ehm_stack_out(const ehm_stack_pass *p, int64_t b, int64_t n); /* [b,n,D] f32 */
ehm_view ehm_stack_qkv(const ehm_stack_pass *p, int64_t b, int64_t n, int32_t i_block); /* [b,n,3D] act */
float ehm_stack_scale(const ehm_stack *s); /* of q k^T: head_dim^-0.5 */
void ehm_stack_fwd(ehm_dev *d, ehm_stack_pass *p, const ehm_weights *w, int64_t b, int64_t n,
                   const ehm_taps *taps);
/* Stochastic depth for pictures slot[b] of an epoch: keep [n_blocks,2,b], rate rising linearly from 0 at the first block to rate at the last (timm). A
 * function of (seed, purpose drop_path, epoch, slot, block). */
void ehm_stack_draw_keep(float *keep, int32_t n_blocks, int64_t b, const int64_t *slot, double rate, uint64_t seed, int64_t epoch);
/* How far a backward pass goes and what joins it on the way. */
typedef struct {
    int32_t first_block;  /* blocks before this one are frozen: the pass ends above them, and their gradients stay as they are; 0: all */
    void (*join)(void *ctx, ehm_dev *d, int32_t i_block, ehm_view dx); /* may add to the gradient of block i_block's output [b*n,D] f32; called from the
                                                                        last block down, before its backward; NULL: nothing joins */
    void *ctx;
} ehm_stack_bwd_opt;      /* NULL: the whole stack, nothing joins */
void ehm_stack_bwd_with(ehm_dev *d, ehm_stack_pass *p, ehm_view dx, const ehm_weights *w, const ehm_grads *g, int64_t b, int64_t n,
                        const ehm_stack_bwd_opt *opt);
/* dx [b,n,D] f32: gradient of the output on entry, of the input on return. */
void ehm_stack_bwd(ehm_dev *d, ehm_stack_pass *p, ehm_view dx, const ehm_weights *w, const ehm_grads *g,
                   int64_t b, int64_t n);
#endif
