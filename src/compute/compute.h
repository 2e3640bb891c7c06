/* Compute: a device holds buffers; views name parts of them; ops work on views. Nothing above this knows where memory lives.
 *
 *     ehm_dev *d; ehm_dev_open(&d, "cpu", 2, &err);
 *     ehm_view x = ehm_view_2d(buf, EHM_F32, 128, 192);
 *     ehm_upload(d, x, host, bytes);
 *     ehm_norm_fwd(d, &(ehm_norm_fwd_args){...});
 *     if (ehm_dev_check(d, &err)) ...            // asked once a step
 *
 * Ops return void: the first failure (a shape, a type, an overlap, a device error) stays on the device, later ops do nothing.
 * Ops allocate nothing after the first call with the same shapes. One thread at a time uses a device. To add an op: a row in
 * ops.def, its args struct below, ops.c (the check), ref/, cpu/, and a case in tests/property/ops_cases.h; the tests ask for it.
 *
 * Types: "act" is the activation type of the run, f32 or bf16. Parameters, gradients, statistics and losses are f32.
 * The device "ref64" is the reference in double, for gradient checks: there every view called f32 or act below is f64 (indices
 * stay i32, pixels may be u8, f32 or f64; cast goes between f32, bf16 and f64). ehm_dev_real says which of the two f32 stands for.
 * Shapes: no dim is 0. Where rows [R,D] or [M,N] stand, a view of any rank is taken, its leading dims multiplied; where [n] or
 * no shape stands, any rank of that count; other ranks are exact. Outputs must not overlap any other argument unless it is said.
 * Index values are checked against the rows there are, on devices whose memory the host can read.
 * Letters: B batch, N tokens, D width, H heads, K head width, R rows.
 */
#ifndef EHM_COMPUTE_COMPUTE_H
#define EHM_COMPUTE_COMPUTE_H
#include "base/dtype.h"
#include "base/err.h"
#include "base/pool.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct ehm_dev ehm_dev;
typedef struct ehm_buf ehm_buf;
typedef struct {
    ehm_buf *buf;
    int64_t offset; /* in elements of dtype, from the buffer's start */
    int64_t dim[4];
    int32_t rank;   /* 0: the empty view (an absent optional argument) */
    ehm_dtype dtype;
} ehm_view; /* row-major, contiguous */

static inline int64_t ehm_view_count(ehm_view v) {
    int64_t n = v.rank ? 1 : 0;
    for (int32_t i = 0; i < v.rank; i++) n *= v.dim[i];
    return n;
}
static inline size_t ehm_view_bytes(ehm_view v) { return (size_t)ehm_view_count(v) * ehm_dtype_size(v.dtype); }
/* Makers of views. What does not fit (a count that differs, rows that are not there) gives a view of negative dims, which every
 * op refuses by name. ehm_view_1d and ehm_view_2d start at offset 0. */
ehm_view ehm_view_of(ehm_buf *buf, int64_t offset, ehm_dtype t, int32_t rank, const int64_t *dim);
ehm_view ehm_view_1d(ehm_buf *buf, ehm_dtype t, int64_t n);
ehm_view ehm_view_2d(ehm_buf *buf, ehm_dtype t, int64_t r, int64_t c);
ehm_view ehm_view_reshape(ehm_view v, int32_t rank, const int64_t *dim);  /* same count */
ehm_view ehm_view_rows(ehm_view v, int64_t first, int64_t n);             /* along dim[0] */
static inline ehm_view ehm_view_none(void) { return (ehm_view){0}; }

/* ---- devices ---- */
/* name: "ref", "cpu", "cuda" (the first GPU) or "cuda:N"; "ref64" for tests; "auto" is cuda where there is a GPU, else cpu where that can run, else
 * ref. n_threads, of the host, 0: as many as the process may use. EHM_E_CONFIG for a name that is not known (the message lists those that are) or a
 * GPU that is not there, EHM_E_UNSUPPORTED names what is missing. Free all buffers before ehm_dev_close; closing NULL is fine. */
ehm_code ehm_dev_open(ehm_dev **out, const char *name, int32_t n_threads, ehm_err *err);
void ehm_dev_close(ehm_dev *d);
const char *ehm_dev_name(const ehm_dev *d);        /* "cpu" */
const char *ehm_dev_describe(const ehm_dev *d);    /* processor, vector width, libraries: one line */
ehm_pool *ehm_dev_pool(const ehm_dev *d);          /* host threads; may be NULL */
ehm_dtype ehm_dev_real(const ehm_dev *d);          /* type of parameters, gradients, statistics: EHM_F32; EHM_F64 on "ref64" */
bool ehm_dev_fast_bf16(const ehm_dev *d);          /* does the hardware multiply bf16 */
bool ehm_dev_same_bits_any_threads(const ehm_dev *d);
/* Memory that is free for buffers, in bytes; -1: not known. own: is it the device's, not the host's. */
int64_t ehm_dev_available(const ehm_dev *d, bool *own);
/* Waits for all work; the first failure's op, label and shapes. Clears nothing: a failed device stays failed. */
ehm_code ehm_dev_check(ehm_dev *d, ehm_err *err);
void ehm_dev_reset_error(ehm_dev *d);
/* While on, each op's outputs are scanned; ehm_dev_check then reports the first op with a value that is not finite as EHM_E_NUMERIC. */
void ehm_dev_watch_finite(ehm_dev *d, bool on);
/* A label that messages name, such as "blocks.3.attn"; borrowed until the next call. */
void ehm_dev_label(ehm_dev *d, const char *label);
/* Floating point operations of products since the last reset, counted by shape (2 a multiply-add): matmul 2MNK, attention
 * 4BHNNK forward, 8BHNNK backward (what the mathematics needs; scores computed a second time are not counted), probs 2BHNNK. */
double ehm_dev_flops(const ehm_dev *d);
void ehm_dev_flops_reset(ehm_dev *d);

/* ---- buffers ---- */
ehm_code ehm_buf_new(ehm_buf **out, ehm_dev *d, size_t bytes, ehm_err *err); /* zeroed */
void ehm_buf_free(ehm_buf *b);
size_t ehm_buf_bytes(const ehm_buf *b);
void ehm_upload(ehm_dev *d, ehm_view dst, const void *src, size_t n_bytes);   /* n_bytes must equal the view's */
void ehm_download(ehm_dev *d, void *dst, ehm_view src, size_t n_bytes);       /* waits; on a failed device dst becomes zeros */

/* Tell the device that parameters changed (after the optimiser or an upload): packed copies are made anew on next use. */
void ehm_dev_weights_changed(ehm_dev *d);

/* ---- devices that run ahead: their ops return before they are done ---- */
bool ehm_dev_runs_ahead(const ehm_dev *d);
/* ehm_upload beside what was already started, which goes on while it travels: none of that may use dst. What is started later sees it. On
 * devices that do not run ahead it is ehm_upload. */
void ehm_upload_ahead(ehm_dev *d, ehm_view dst, const void *src, size_t n_bytes);
/* A section is a row of ops that is the same each time: under one key always the same ops, views and numbers.
 *
 *     while (ehm_dev_section(d, key)) { ...ops, and nothing else of the device...; ehm_dev_section_end(d); }
 *
 * Where the device can, they are recorded the second time and from then on started as one: the body does not run, so it may leave nothing behind but
 * what its ops write. It may run twice where a recording comes to nothing. Sections do not nest. */
bool ehm_dev_section(ehm_dev *d, uint64_t key);
void ehm_dev_section_end(ehm_dev *d);

/* ---- ops: args structs; sizes in comments ---- */
/* x = value */
typedef struct { ehm_view x; float value; } ehm_fill_args;
/* out = x, converting f32 <-> bf16; same count */
typedef struct { ehm_view out, x; } ehm_cast_args;
/* out = a*x + b*out (f32; b may be 0, then out is not read). */
typedef struct { ehm_view out, x; float a, b; } ehm_axpby_args;
/* out[M,N] = op(a) op(b) (+ bias[N]) (+ add[M,N]) (+ out when accumulate). a is [M,K], or [K,M] when trans_a; b is [K,N], or [N,K] when trans_b.
 * a, b act type (both the same); out act or f32; bias f32; add f32 or the type of out, may be out itself (then accumulate must
 * be off: it would count out twice). Sums in f32 or wider.
 * weight_b: b is a parameter that stays the same until ehm_dev_weights_changed, so a back end may keep it packed. */
typedef struct { ehm_view out, a, b, bias, add; bool trans_a, trans_b, accumulate, weight_b; } ehm_matmul_args;
/* out[C] (+)= sum over rows of x[R,C]; x act or f32, out f32; a fixed order of sums. */
typedef struct { ehm_view out, x; bool accumulate; } ehm_colsum_args;
/* Layer norm over the last dim (Ba et al. 2016). x [R,D] f32, out [R,D] act or f32, mean, rstd [R] f32, weight, bias [D] f32. Biased variance. */
typedef struct { ehm_view out, mean, rstd, x, weight, bias; float eps; } ehm_norm_fwd_args;
/* dx [R,D] f32 (accumulate_dx: added to, else written), dweight, dbias [D] f32 added to (both may be absent), dout [R,D] act or f32. */
typedef struct { ehm_view dx, dweight, dbias, dout, x, mean, rstd, weight; bool accumulate_dx; } ehm_norm_bwd_args;
/* out = x * Phi(x), exact erf form (Hendrycks and Gimpel 2016). act types. */
typedef struct { ehm_view out, x; } ehm_gelu_fwd_args;
typedef struct { ehm_view dx, dout, x; } ehm_gelu_bwd_args; /* dx may be dout */
/* Self-attention. qkv [B,N,3*H*K] act (q, k, v thirds; in each, head h owns columns h*K..), out [B,N,H*K] act, lse [B,H,N] f32: log-sum-exp of the
 * scaled scores, read by the backward pass. Softmax in f32, scale on q.kT. */
typedef struct { ehm_view out, lse, qkv; int32_t n_heads; float scale; } ehm_attn_fwd_args;
typedef struct { ehm_view dqkv, dout, qkv, out, lse; int32_t n_heads; float scale; } ehm_attn_bwd_args;
/* Post-softmax probabilities in f32: probs [B,N,N] mean over heads (per_head false) or [B,H,N,N]. Never rounded to bf16. */
typedef struct { ehm_view probs, qkv; int32_t n_heads; float scale; bool per_head; } ehm_attn_probs_args;
/* Attention among patches: out[x,i,j] (+)= weight * probs[x,1+i,1+j] over what is left of the row (renormalise: divided by the row's sum without the
 * class token's column; a row whose sum is 0 gives 1/L). probs [X,1+L,1+L] f32, out [X,L,L] f32; X any leading dims. cls (may be absent)
 * [X,L] f32 (+)= weight * probs[x,0,1+j]. accumulate: added to, else written. */
typedef struct { ehm_view out, cls, probs; float weight; bool renormalise, accumulate; } ehm_attn_patches_args;
/* Running mean over pictures, corrected for its start: count[0] += 1; w = (1 - decay) / (1 - decay^count); mean += w * (average of x over dim 0 - mean);
 * decay 1: w = 1 / count. mean [M] f32 any rank, count [1] f32, x [B,M] f32 (dim 0 the pictures). Sums in picture order. */
typedef struct { ehm_view mean, count, x; float decay; } ehm_running_mean_args;
/* Profiles: s[b] (+)= weight * sum over the C slices a[b,c] of (correlation of rows + correlation of columns) / C, of a - mean. s [B,L,L] f32
 * symmetric to the bit; a [B,C,L,L] or [B,L,L] f32, is overwritten by a - mean with the diagonal set; mean [C,L,L] or [L,L] f32, or absent. The
 * diagonal of each slice is first set to its row's off-diagonal mean (after mean was subtracted). Pearson's correlation over all L entries; a
 * constant row or column correlates 0: one that is nowhere further from its mean than 1e-6 of its largest value, or than 1e-30. */
typedef struct { ehm_view s, a, mean; float weight; bool accumulate; } ehm_attn_profile_args;
/* s[b] (+)= weight * mean over slices of (a[b,c] + a[b,c]^T) / 2, symmetric to the bit; standardise: each slice is divided by its off-diagonal standard
 * deviation (over L(L-1); 1 where it is constant). Shapes as attn_profile; a is read only. */
typedef struct { ehm_view s, a; float weight; bool standardise, accumulate; } ehm_attn_direct_args;
/* pixels [B,H,W,C] u8 or f32 -> patches [B,L,p*p*C] f32, raster order of patches, inside a patch (row, column, channel fastest):
 * (v - shift[c]) * scale[c]. shift and scale [C] f32; u8 values count 0..255. */
typedef struct { ehm_view patches, pixels, shift, scale; int32_t patch; } ehm_patchify_args;
/* out[b,i,f'] = x[b, idx[b,i], f]; x [B,N,F], idx [B,M] i32, out [B,M,F] f32 or act. channel_first: features are permuted from (y,x,c) to (c,y,x)
 * with patch*patch*C = F, which is the order of a convolution's weights. */
typedef struct { ehm_view out, x, idx; int32_t channel_first_patch; } ehm_gather_rows_args; /* channel_first_patch 0: plain copy */
/* dx [B,N,F] (written: rows not named become 0) from dout [B,M,F]; idx names each row at most once. Same or different float types. */
typedef struct { ehm_view dx, dout, idx; } ehm_scatter_rows_args;
/* Token routing: out[b,i,:] = (src[b,i] >= 0 ? x[b,src[b,i],:] : tokens[-1-src[b,i],:]) + pos[pos_idx[b,i],:].
 * x [B,Nx,D] f32 or act, tokens [T,D] f32, pos [P,D] f32 (may be absent), src [B,N] i32, pos_idx [B,N] i32 (absent: i), out [B,N,D] f32. */
typedef struct { ehm_view out, x, tokens, pos, src, pos_idx; } ehm_route_fwd_args;
/* dx [B,Nx,D] f32 or act written (unnamed rows 0; each row named at most once); dtokens [T,D] f32 and dpos [P,D] f32 added to, either may be absent. dout f32. */
typedef struct { ehm_view dx, dtokens, dpos, dout, src, pos_idx; } ehm_route_bwd_args;
/* target[b,m,:] from patches [B,L,P] f32 at idx [B,M]; norm_pix: (t - mean) / sqrt(var + 1e-6), var unbiased over P (P > 1). target f32. */
typedef struct { ehm_view target, patches, idx; bool norm_pix; } ehm_pixel_target_args;
/* Mean squared error. row_loss [R] f32 = mean over F of (pred - target)^2; dpred (may be absent) = 2 (pred - target) / F * scale. pred act or f32 [R,F], target f32. */
typedef struct { ehm_view row_loss, dpred, pred, target; float scale; } ehm_mse_args;
/* Where out[0] stands, the view may be longer; only its first element is written.
 * out[0] (+)= scale * sum x; x f32 any count; sums in double over fixed blocks. */
typedef struct { ehm_view out, x; float scale; bool accumulate; } ehm_sum_args;
/* out[0] (+)= sum x^2, in double over fixed blocks, stored f32. */
typedef struct { ehm_view out, x; bool accumulate; } ehm_sumsq_args;
/* factor[0] = max_norm / (norm + 1e-6) clipped to 1 (torch clip_grad_norm_), norm = sqrt(sumsq) * grad_scale, times grad_scale; max_norm 0: grad_scale.
 * Not finite norm: factor is NaN, and adamw then changes nothing. norm[0] is written. */
typedef struct { ehm_view factor, norm, sumsq; float max_norm, grad_scale; } ehm_clip_factor_args;
/* AdamW, decoupled (Loshchilov and Hutter 2019), torch's order: p *= 1 - lr*wd; m, v; p -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps). All f32 [n];
 * g is multiplied by factor[0] first; factor NaN: nothing changes. p_act (may be absent): bf16 copy of the new p. t counts from 1. */
typedef struct { ehm_view p, g, m, v, factor, p_act; float lr, beta1, beta2, eps, weight_decay; int64_t t; } ehm_adamw_args;
/* avg = decay*avg + (1-decay)*p, f32 */
typedef struct { ehm_view avg, p; float decay; } ehm_ema_args;

/* Weighted sums of rows: out[b,r,:] = sum over k of weight[.,r,k] * x[b,idx[.,r,k],:]. x [B,N,C] f32 or act, out [B,R,C] f32 or act; idx i32 and weight f32
 * (absent: all 1) are [R,K], the same for every b, or [B,R,K]; an index below 0 adds nothing. Bilinear resizing, RoIAlign (He et al. 2017), the
 * neighbourhoods of a convolution and the mean of tokens are such sums. */
typedef struct { ehm_view out, x, idx, weight; } ehm_mix_rows_fwd_args;
/* dx [B,N,C] f32 (accumulate: added to, else written: rows not named become 0) from dout [B,R,C] f32 or act. A row may be named often; sums in the order
 * of r, then k, whatever the threads. */
typedef struct { ehm_view dx, dout, idx, weight; bool accumulate; } ehm_mix_rows_bwd_args;
/* Residual branches of which each picture keeps or drops its own (stochastic depth, Huang et al. 2016): out[b,n,:] = x[b,n,:] + s[b] * y[b,n,:]. out, x
 * [B,N,D] f32 (out may be x), y [B,N,D] f32 or act, s [B] f32. */
typedef struct { ehm_view out, x, y, s; } ehm_add_scaled_args;
/* out[b,n,:] = s[b] * x[b,n,:]: its gradient to the branch. out [B,N,D] f32 or act, x f32, s [B] f32. */
typedef struct { ehm_view out, x, s; } ehm_scale_samples_args;
/* Softmax cross-entropy. logits [R,C] f32 or act; the truth is target [R,C] f32 (shares of classes, for smoothed or mixed labels) or labels [R] i32 (below
 * 0: the row does not count), the other one absent. row_loss [R] f32 = -sum target log softmax; dlogits (may be absent; f32 or act, may be logits where the
 * type is the same) = scale * (sum of target * softmax - target). class_weight (may be absent, only with labels) [C] f32 multiplies loss and gradient of
 * a row by that of its class. */
typedef struct { ehm_view row_loss, dlogits, logits, target, labels, class_weight; float scale; } ehm_xent_args;
/* Sigmoid focal loss (Lin et al. 2017) as torchvision.ops.sigmoid_focal_loss: ce = -t log p - (1-t) log(1-p), p = sigmoid(x), pt = p t + (1-p)(1-t),
 * loss = ce (1-pt)^gamma * (alpha < 0 ? 1 : alpha t + (1-alpha)(1-t)); gamma 0 and alpha -1: binary cross-entropy. x [R,C] f32 or act, target [R,C] f32
 * in 0..1, weight (may be absent) [R] f32. row_loss [R] f32 = weight * sum over C; dx (may be absent; f32 or act) = scale * its gradient; a row of weight 0
 * gives exactly 0. */
typedef struct { ehm_view row_loss, dx, x, target, weight; float gamma, alpha, scale; } ehm_focal_args;
/* Generalised IoU loss (Rezatofighi et al. 2019) of boxes that share a point: x [R,4] f32 or act are logarithms of the distances to left, top, right and
 * bottom (distance = exp(min(x, 8)); FCOS, Tian et al. 2019), target [R,4] f32 the true distances, 0 or more with an area above 0 where weight [R] f32 is
 * not 0. row_loss [R] f32 = weight * (1 - giou); dx (may be absent; f32 or act) = scale * its gradient; rows of weight 0 give exactly 0. */
typedef struct { ehm_view row_loss, dx, x, target, weight; float scale; } ehm_giou_args;

#define OP(name, what, tol_f32, tol_bf16, bwd) void ehm_##name(ehm_dev *d, const ehm_##name##_args *a);
#include "compute/ops.def"
#undef OP
typedef enum {
#define OP(name, what, tol_f32, tol_bf16, bwd) EHM_OP_##name,
#include "compute/ops.def"
#undef OP
    EHM_OPS_N
} ehm_op;
typedef struct { const char *name, *what; double tol_f32, tol_bf16; const char *bwd; } ehm_op_info;
extern const ehm_op_info ehm_op_table[EHM_OPS_N];
#endif
