/* The inside of the fast CPU back end: its state, and the tables of kernels that one instruction set gives.
 *
 * A kernel table (ehm_gemm_kern, ehm_row_kern, ehm_attn_kern) is made by compiling a template (*.inc) with
 * the flags of an instruction set; cpu.c picks the widest that the processor has. The drivers (gemm.c,
 * cpu_ops.c, cpu_attn.c) are plain C: they cut work by size, hand it to the pool and keep scratch memory.
 * Results do not depend on the number of threads.
 */
#ifndef EHM_COMPUTE_CPU_INT_H
#define EHM_COMPUTE_CPU_INT_H
#include "base/mem.h"
#include "compute/backend.h"

/* ---- products ---- */
enum {
    EHM_TILE_KC = 384,
    EHM_TILE_ROW = EHM_TILE_KC + 16
}; /* longest block of k in units; distance of rows, 25 cache lines */

/* One block of a product: out[m,n] (+)= a[m,kc] b[kc,n], both packed. Tiles start from 0 when first, else
 * from acc; the last block adds bias, add and the old out, in this order, and writes. */
typedef struct {
    int64_t m, n, kc;         /* kc in units */
    const float *a;           /* panels of mr rows: [mr][EHM_TILE_ROW] when a_row, else [kc][mr] */
    int64_t a_panel, b_panel; /* units from one panel to the next */
    const float *b;           /* panels of nr columns: [kc][nr] */
    float *acc;               /* [n panels][m panels][mr*nr]; not touched when first && last */
    void *out;
    const float *bias; /* NULL: none */
    const void *add;   /* NULL: none */
    int64_t ld_out, ld_add;
    bool a_row, first, last, out_bf16, add_bf16, accumulate;
} ehm_gemm_block;

typedef struct {
    const char *name;
    int32_t mr, nr, kc_max; /* kc_max in units, a multiple of 16, at most EHM_TILE_KC */
    bool pairs;             /* units are pairs of bf16; a and b are bf16 */
    void (*block)(const ehm_gemm_block *g);
    /* Rows r0.. of a into panels, k0..k0+kn (elements). trans: a is [K,M]. ld in elements. Missing rows and
     * the odd k become 0. */
    void (*pack_a)(float *dst, int64_t panel, const void *a, bool bf16, bool trans, int64_t ld, int64_t r0,
                   int64_t rn, int64_t k0, int64_t kn);
    void (*pack_b)(float *dst, int64_t panel, const void *b, bool bf16, bool trans, int64_t ld, int64_t c0,
                   int64_t cn, int64_t k0, int64_t kn);
} ehm_gemm_kern;
extern const ehm_gemm_kern ehm_gemm_generic, ehm_gemm_avx2, ehm_gemm_avx512, ehm_gemm_avx512bf16;

/* A product as the driver sees it; shapes are checked. */
typedef struct {
    int64_t m, n, k, lda, ldb;
    const void *a, *b, *add;
    void *out;
    const float *bias;
    bool a_bf16, b_bf16, out_bf16, add_bf16, trans_a, trans_b, accumulate, weight_b;
} ehm_gemm;

/* ---- rows and elements ---- */
typedef struct {
    void (*to_f32)(float *out, const uint16_t *x, int64_t n);
    void (*to_bf16)(uint16_t *out, const float *x, int64_t n);
    void (*axpby)(float *out, const float *x, float a, float b, int64_t n);
    void (*gelu_fwd)(void *out, bool out_bf16, const void *x, bool x_bf16, int64_t n);
    void (*gelu_bwd)(void *dx, bool dx_bf16, const void *dout, bool dout_bf16, const void *x, bool x_bf16,
                     int64_t n);
    void (*norm_fwd)(void *out, bool out_bf16, float *mean, float *rstd, const float *x, const float *weight,
                     const float *bias, float eps, int64_t rows, int64_t d);
    /* dw, db (may be NULL) are written: this block's sums */
    void (*norm_bwd)(float *dx, float *dw, float *db, const void *dout, bool dout_bf16, const float *x,
                     const float *mean, const float *rstd, const float *weight, bool accumulate, int64_t rows,
                     int64_t d);
    void (*colsum)(float *out, const void *x, bool bf16, int64_t rows, int64_t cols,
                   int64_t ld); /* out written */
    void (*mse)(float *row_loss, void *dpred, bool dpred_bf16, const void *pred, bool pred_bf16,
                const float *target, float scale, int64_t rows, int64_t f);
    void (*adamw)(float *p, const float *g, float *m, float *v, uint16_t *p_act, const float c[9], int64_t n);
    void (*ema)(float *avg, const float *p, float decay, int64_t n);
    /* Rows of out [rows,c] = weighted sums of rows of x: idx and weight (NULL: all 1) [rows,n_k], an index
     * below 0 adds nothing. */
    void (*mix_rows)(void *out, bool out_bf16, const void *x, bool x_bf16, const int32_t *idx,
                     const float *weight, int64_t rows, int64_t n_k, int64_t c);
    /* The gradient, columns 0..m of rows that are c apart: dx[idx[r,k]] += weight[r,k] * dout[r], r after r */
    void (*mix_back)(float *dx, const void *dout, bool dout_bf16, const int32_t *idx, const float *weight,
                     int64_t rows, int64_t n_k, int64_t m, int64_t c);
    /* out = x + s * y, or s * y where x is NULL; out may be x */
    void (*add_scaled)(void *out, bool out_bf16, const float *x, const void *y, bool y_bf16, float s,
                       int64_t n);
    /* The losses of ehm_xent_args and ehm_focal_args over some rows; dlogits, dx, target or labels, class_weight
     * and weight may be NULL as there. */
    void (*xent)(float *row_loss, void *dlogits, bool d_bf16, const void *logits, bool x_bf16,
                 const float *target, const int32_t *labels, const float *class_weight, float scale,
                 int64_t rows, int64_t c);
    void (*focal)(float *row_loss, void *dx, bool d_bf16, const void *x, bool x_bf16, const float *target,
                  const float *weight, const float c[3], int64_t rows, int64_t n);
    double (*sum)(const float *x, int64_t n);
    double (*sumsq)(const float *x, int64_t n);
    /* Profiles of x [l,l]. Rows: minus mean (may be NULL), the diagonal the mean of the row's others, back to
     * x; out (rows ld apart, a multiple of 16) gets each row with mean 0 and length 1, or 0 where it is
     * constant; live[i] += 1 where not. Columns: the same of x as it is. mirror: above the diagonal also below;
     * room for l rounded up to 8 both ways. */
    void (*unit_rows)(float *out, int64_t ld, float *x, const float *mean, float *live, int64_t l);
    void (*unit_cols)(float *out, int64_t ld, const float *x, float *live, int64_t l);
    void (*mirror)(float *g, int64_t ld, int64_t l);
} ehm_row_kern;
extern const ehm_row_kern ehm_row_generic, ehm_row_avx2, ehm_row_avx512;
/* c of adamw */
enum { ADAM_FACTOR, ADAM_KEEP, ADAM_B1, ADAM_1MB1, ADAM_B2, ADAM_1MB2, ADAM_STEP, ADAM_RSQRT_C2, ADAM_EPS };

/* c of focal */
enum { FOCAL_GAMMA, FOCAL_ALPHA, FOCAL_SCALE };

/* ---- attention: one head of one picture a call ---- */
typedef struct {
    int64_t n_tokens, width, head_dim; /* width = n_heads * head_dim */
    const void *qkv; /* this head's q of token 0; k and v lie width and 2*width further, tokens 3*width apart
                      */
    float scale;
    bool bf16;
    /* forward */
    void *out; /* [N] rows width apart; also read by backward */
    float *lse;
    /* backward */
    const void *dout;
    void *dqkv;
    /* probabilities of rows row0 .. row0+n_rows into probs (rows n_tokens apart): probs (+)= factor * p */
    float *probs, factor;
    int64_t row0, n_rows;
    bool add_probs;
    const void *next; /* qkv of the head that is worked on next, or NULL: a hint */
    float *scratch;
} ehm_attn_head;
typedef struct {
    size_t (*fwd_scratch)(int64_t n_tokens, int64_t head_dim); /* floats */
    size_t (*bwd_scratch)(int64_t n_tokens, int64_t head_dim);
    void (*fwd)(const ehm_attn_head *h);
    void (*bwd)(const ehm_attn_head *h);
    void (*probs)(const ehm_attn_head *h); /* scratch as forward */
    int32_t row_block;                     /* rows of scores held at a time */
} ehm_attn_kern;
extern const ehm_attn_kern ehm_attn_generic, ehm_attn_avx2, ehm_attn_avx512;

/* ---- state ---- */
typedef struct ehm_cpu_dnnl ehm_cpu_dnnl;
typedef struct {
    void *p;
    size_t bytes;
} ehm_cpu_scratch;
typedef struct ehm_packed_weight ehm_packed_weight;

typedef struct {
    ehm_pool *pool;
    int32_t n_threads;
    const ehm_gemm_kern *gemm_f32, *gemm_bf16; /* gemm_bf16 NULL: bf16 is widened to f32 while packing */
    const ehm_row_kern *row;
    const ehm_attn_kern *attn;
    ehm_cpu_dnnl *dnnl;       /* NULL: not there, or not wanted */
    bool dnnl_f32, dnnl_bf16; /* which types go to it */
    bool hw_bf16;
    ehm_cpu_scratch shared, *own; /* own: one a thread */
    ehm_packed_weight *weights;
    int32_t n_weights, cap_weights;
    size_t weight_bytes, weight_bytes_max;
    uint64_t weight_epoch;
    ehm_code failed; /* the first failure; later ops do nothing */
    size_t failed_bytes;
    char about[256];
} ehm_cpu;

/* Scratch of at least `bytes`, contents undefined, kept until the next call; grows only. NULL (and c->failed)
 * when there is no memory. */
void *ehm_cpu_shared(ehm_cpu *c, size_t bytes);
bool ehm_cpu_own(ehm_cpu *c, size_t bytes); /* for every thread: c->own[i].p */

/* cpu_gemm.c: our own product, with a given kernel; packed weights */
void ehm_cpu_gemm(ehm_cpu *c, const ehm_gemm_kern *kern, const ehm_gemm *g);
void ehm_cpu_weights_changed(ehm_cpu *c);
void ehm_cpu_weights_forget(ehm_cpu *c, const void *p,
                            size_t bytes); /* packed copies of this memory; bytes SIZE_MAX: all */

/* cpu_dnnl.c: present but empty without EHM_WITH_DNNL */
bool ehm_cpu_dnnl_open(ehm_cpu_dnnl **out, int32_t n_threads, char *about,
                       size_t about_size); /* false: not built in, or it refused */
void ehm_cpu_dnnl_close(ehm_cpu_dnnl *d);
bool ehm_cpu_dnnl_matmul(ehm_cpu_dnnl *d, const ehm_gemm *g); /* false: not done, use our own */
void ehm_cpu_dnnl_weights_changed(ehm_cpu_dnnl *d);
void ehm_cpu_dnnl_forget(ehm_cpu_dnnl *d, const void *p, size_t bytes);

#define OP(name, what, tol_f32, tol_bf16, bwd) void ehm_cpu_op_##name(void *self, const ehm_##name##_args *a);
#include "compute/ops.def"
#undef OP
#endif
