/* What the op tests share: for each op, arguments in many shapes; a way to run them on a device; and what came out, as doubles.
 *
 *     op_case c; case_make(&c, EHM_OP_matmul, 3, EHM_F32);       // shape 3; false when there are no more
 *     case_run(&c, dev, EHM_F32);                               // c.t[k].got
 *     case_free(&c);
 *
 * A new op: a make_x and a call_x below, a row in op_makers, and if it has a gradient a row in test_ops_grad.c. */
#ifndef EHM_TESTS_OPS_CASES_H
#define EHM_TESTS_OPS_CASES_H
#include "base/mem.h"
#include "base/rng.h"
#include "compute/compute.h"
#include "harness.h"

enum { IN = 1, OUT = 2, INOUT = 3 };
enum { T_REAL, T_ACT, T_I32, T_U8 };
enum { MAY_MISS = 1, ANY_COUNT = 2, MAY_BE_FIRST = 4, ANY_ROWS = 8 }; /* optional; any count will do; may be argument 0 itself */

typedef struct {
    const char *name;
    int role, type, how;
    int32_t rank;
    int64_t dim[4], n;
    double *v;   /* what is uploaded, rounded to the type */
    double *got; /* what came back, for OUT and INOUT */
    bool is_first; /* shares the place of argument 0 */
} op_arg_case;

typedef struct op_case op_case;
struct op_case {
    ehm_op op;
    int i_shape;
    ehm_dtype act;
    op_arg_case t[10];
    int n;
    double f[6]; /* scalar options */
    int32_t i[3];
    bool b[4];
    void (*call)(ehm_dev *d, const op_case *c, const ehm_view *v);
    ehm_rng rng;
    ehm_arena a;
};

typedef bool (*op_maker)(op_case *c, int i); /* false: no shape i */

/* ---- building ---- */

static inline op_arg_case *add_arg(op_case *c, const char *name, int role, int type, int how, int32_t rank, int64_t d0, int64_t d1,
                                   int64_t d2, int64_t d3) {
    op_arg_case *t = &c->t[c->n++];
    *t = (op_arg_case){.name = name, .role = role, .type = type, .how = how, .rank = rank, .dim = {d0, d1, d2, d3}};
    t->n = rank ? 1 : 0;
    for (int32_t i = 0; i < rank; i++) t->n *= t->dim[i];
    t->v = EHM_NEW_N(&c->a, double, t->n + 1);
    t->got = EHM_NEW_N(&c->a, double, t->n + 1);
    /* Whatever is only written starts as something that would be noticed. */
    for (int64_t i = 0; i < t->n; i++)
        t->v[i] = type == T_I32 ? 0 : type == T_U8 ? (double)ehm_rng_below(&c->rng, 256) : role == OUT ? 77 : ehm_rng_normal(&c->rng);
    return t;
}
static inline op_arg_case *arg1(op_case *c, const char *name, int role, int type, int how, int64_t n) {
    return add_arg(c, name, role, type, how, 1, n, 0, 0, 0);
}
static inline op_arg_case *arg2(op_case *c, const char *name, int role, int type, int how, int64_t a, int64_t b) {
    return add_arg(c, name, role, type, how, 2, a, b, 0, 0);
}
static inline op_arg_case *arg3(op_case *c, const char *name, int role, int type, int how, int64_t x, int64_t y, int64_t z) {
    return add_arg(c, name, role, type, how, 3, x, y, z, 0);
}
static inline op_arg_case *arg0(op_case *c, const char *name) { return add_arg(c, name, IN, T_REAL, MAY_MISS, 0, 0, 0, 0, 0); }

static inline ehm_dtype type_of(const op_arg_case *t, ehm_dtype real, ehm_dtype act) {
    return t->type == T_REAL ? real : t->type == T_ACT ? act : t->type == T_I32 ? EHM_I32 : EHM_U8;
}
static inline double round_to(double x, ehm_dtype t) {
    if (t == EHM_F32) return (double)(float)x;
    if (t == EHM_BF16) return (double)ehm_f32_of(ehm_bf16_of((float)x));
    return x;
}
static inline void put(void *p, ehm_dtype t, int64_t i, double x) {
    if (t == EHM_F32) ((float *)p)[i] = (float)x;
    else if (t == EHM_BF16) ((uint16_t *)p)[i] = ehm_bf16_of((float)x);
    else if (t == EHM_F64) ((double *)p)[i] = x;
    else if (t == EHM_I32) ((int32_t *)p)[i] = (int32_t)x;
    else ((uint8_t *)p)[i] = (uint8_t)x;
}
static inline double get(const void *p, ehm_dtype t, int64_t i) {
    if (t == EHM_F32) return (double)((const float *)p)[i];
    if (t == EHM_BF16) return (double)ehm_f32_of(((const uint16_t *)p)[i]);
    if (t == EHM_F64) return ((const double *)p)[i];
    if (t == EHM_I32) return (double)((const int32_t *)p)[i];
    return (double)((const uint8_t *)p)[i];
}

/* ---- the ops ---- */

#define SHAPES(...)                                           \
    static const int64_t shapes[][6] = {__VA_ARGS__};         \
    if (i >= (int)(sizeof shapes / sizeof shapes[0])) return false; \
    const int64_t *s = shapes[i];                             \
    (void)s

static inline void call_fill(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_fill(d, &(ehm_fill_args){v[0], (float)c->f[0]});
}
static inline bool make_fill(op_case *c, int i) {
    SHAPES({1}, {7}, {64}, {1001});
    c->call = call_fill;
    c->f[0] = 0.4375;
    arg1(c, "x", OUT, i & 1 ? T_ACT : T_REAL, ANY_COUNT, s[0]);
    return true;
}

static inline void call_cast(ehm_dev *d, const op_case *c, const ehm_view *v) {
    (void)c;
    ehm_cast(d, &(ehm_cast_args){v[0], v[1]});
}
static inline bool make_cast(op_case *c, int i) {
    SHAPES({1, 0}, {7, 1}, {1001, 0}, {333, 1}, {64, 2});
    c->call = call_cast;
    arg1(c, "out", OUT, s[1] == 1 ? T_REAL : T_ACT, 0, s[0]);
    arg1(c, "x", IN, s[1] == 0 ? T_REAL : T_ACT, 0, s[0]);
    return true;
}

static inline void call_axpby(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_axpby(d, &(ehm_axpby_args){v[0], v[1], (float)c->f[0], (float)c->f[1]});
}
static inline bool make_axpby(op_case *c, int i) {
    SHAPES({1}, {7}, {1001}, {20000});
    c->call = call_axpby;
    c->f[0] = -0.75, c->f[1] = i == 1 ? 0 : 0.3;
    arg1(c, "out", i == 1 ? OUT : INOUT, T_REAL, 0, s[0]);
    if (i == 1) c->t[0].v[0] = NAN; /* b = 0: out is not read */
    arg1(c, "x", IN, T_REAL, 0, s[0]);
    return true;
}

static inline void call_matmul(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_matmul(d, &(ehm_matmul_args){.out = v[0], .a = v[1], .b = v[2], .bias = v[3], .add = v[4], .trans_a = c->b[0],
                                     .trans_b = c->b[1], .accumulate = c->b[2], .weight_b = c->b[3]});
}
/* M, N, K, flags: 1 trans_a, 2 trans_b, 4 accumulate, 8 weight_b, 16 bias, 32 add, 64 add is out, 128 out f32, 256 add f32 */
static inline bool make_matmul(op_case *c, int i) {
    SHAPES({1, 1, 1, 0}, {1, 5, 3, 2 | 8}, {5, 1, 7, 16}, {17, 13, 11, 1}, {31, 37, 29, 3}, {8, 16, 32, 2 | 8 | 16},
           {33, 65, 64, 2 | 8 | 16 | 32}, {65, 96, 130, 2 | 8 | 16 | 64}, {50, 48, 257, 1 | 4 | 128}, {7, 192, 64, 4},
           {64, 64, 64, 1 | 2 | 4}, {129, 67, 80, 128 | 2 | 8 | 16 | 32 | 256}, {100, 20, 300, 128 | 1}, {3, 130, 20, 8},
           {49, 8, 127, 8 | 16 | 32 | 256}, {6, 6, 512, 2 | 64 | 128}, {197, 64, 48, 2 | 8 | 16});
    int64_t m = s[0], n = s[1], k = s[2], how = s[3];
    int out = how & 128 ? T_REAL : T_ACT;
    c->call = call_matmul;
    for (int q = 0; q < 4; q++) c->b[q] = (how >> q & 1) != 0;
    bool reads = (how & 4) || (how & 64);
    arg2(c, "out", reads ? INOUT : OUT, out, 0, m, n);
    if (how & 1) arg2(c, "a", IN, T_ACT, 0, k, m);
    else arg2(c, "a", IN, T_ACT, 0, m, k);
    if (how & 2) arg2(c, "b", IN, T_ACT, 0, n, k);
    else arg2(c, "b", IN, T_ACT, 0, k, n);
    if (how & 16) arg1(c, "bias", IN, T_REAL, MAY_MISS, n);
    else arg0(c, "bias");
    if (how & (32 | 64)) arg2(c, "add", IN, how & 256 ? T_REAL : out, MAY_MISS | MAY_BE_FIRST, m, n);
    else arg0(c, "add");
    if (how & 64) c->t[4].is_first = true;
    return true;
}

static inline void call_colsum(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_colsum(d, &(ehm_colsum_args){v[0], v[1], c->b[0]});
}
static inline bool make_colsum(op_case *c, int i) {
    SHAPES({1, 1}, {1, 65}, {13, 1}, {130, 67}, {1000, 200}, {37, 64});
    c->call = call_colsum;
    c->b[0] = i & 1;
    arg1(c, "out", i & 1 ? INOUT : OUT, T_REAL, 0, s[1]);
    arg2(c, "x", IN, i == 5 ? T_REAL : T_ACT, ANY_ROWS, s[0], s[1]);
    return true;
}

static inline void call_norm_fwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_norm_fwd(d, &(ehm_norm_fwd_args){v[0], v[1], v[2], v[3], v[4], v[5], (float)c->f[0]});
}
static inline bool make_norm_fwd(op_case *c, int i) {
    SHAPES({1, 2}, {1, 64}, {7, 13}, {33, 192}, {5, 768}, {3, 1031}, {20, 128}, {4, 1});
    c->call = call_norm_fwd;
    c->f[0] = 1e-6f;
    arg2(c, "out", OUT, i == 6 ? T_REAL : T_ACT, 0, s[0], s[1]);
    arg1(c, "mean", OUT, T_REAL, 0, s[0]);
    arg1(c, "rstd", OUT, T_REAL, 0, s[0]);
    op_arg_case *x = arg2(c, "x", IN, T_REAL, 0, s[0], s[1]);
    /* A row far from 0: one-pass variance would lose it. */
    if (s[1] > 1)
        for (int64_t k = 0; k < s[1]; k++) x->v[k] += 300;
    arg1(c, "weight", IN, T_REAL, 0, s[1]);
    arg1(c, "bias", IN, T_REAL, 0, s[1]);
    return true;
}

static inline void row_stats(const double *x, int64_t n, double eps, double *mean, double *rstd) {
    double sum = 0, square = 0;
    for (int64_t k = 0; k < n; k++) sum += x[k];
    *mean = sum / (double)n;
    for (int64_t k = 0; k < n; k++) square += (x[k] - *mean) * (x[k] - *mean);
    *rstd = 1 / sqrt(square / (double)n + eps);
}
static inline void call_norm_bwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_norm_bwd(d, &(ehm_norm_bwd_args){v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], c->b[0]});
}
static inline bool make_norm_bwd(op_case *c, int i) {
    SHAPES({1, 2, 0}, {1, 64, 1}, {7, 13, 0}, {33, 192, 1}, {130, 96, 3}, {3, 1031, 0}, {257, 128, 0});
    c->call = call_norm_bwd;
    c->b[0] = s[2] & 1;
    arg2(c, "dx", c->b[0] ? INOUT : OUT, T_REAL, 0, s[0], s[1]);
    if (s[2] & 2) arg0(c, "dweight"), arg0(c, "dbias");
    else arg1(c, "dweight", INOUT, T_REAL, MAY_MISS, s[1]), arg1(c, "dbias", INOUT, T_REAL, MAY_MISS, s[1]);
    arg2(c, "dout", IN, i == 2 ? T_REAL : T_ACT, 0, s[0], s[1]);
    op_arg_case *x = arg2(c, "x", IN, T_REAL, 0, s[0], s[1]);
    op_arg_case *mean = arg1(c, "mean", IN, T_REAL, 0, s[0]), *rstd = arg1(c, "rstd", IN, T_REAL, 0, s[0]);
    for (int64_t r = 0; r < s[0]; r++) row_stats(x->v + r * s[1], s[1], 1e-6, &mean->v[r], &rstd->v[r]);
    arg1(c, "weight", IN, T_REAL, 0, s[1]);
    return true;
}

static inline void call_gelu_fwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    (void)c;
    ehm_gelu_fwd(d, &(ehm_gelu_fwd_args){v[0], v[1]});
}
static inline void wide(op_arg_case *t) { /* tails and zero too */
    static const double ends[] = {0, -0.0, -12, 12, -5.5, 5.5, -3.7, 1e-20, -100, 100};
    for (int64_t k = 0; k < t->n; k++) t->v[k] = k < 10 ? ends[k] : t->v[k] * 2.5;
}
static inline bool make_gelu_fwd(op_case *c, int i) {
    SHAPES({1}, {7}, {64}, {1001}, {9000});
    c->call = call_gelu_fwd;
    arg1(c, "out", OUT, T_ACT, 0, s[0]);
    wide(arg1(c, "x", IN, T_ACT, 0, s[0]));
    return true;
}

static inline void call_gelu_bwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    (void)c;
    ehm_gelu_bwd(d, &(ehm_gelu_bwd_args){v[0], v[1], v[2]});
}
static inline bool make_gelu_bwd(op_case *c, int i) {
    SHAPES({1}, {7}, {64}, {1001}, {9000});
    c->call = call_gelu_bwd;
    arg1(c, "dx", i & 1 ? INOUT : OUT, T_ACT, 0, s[0]);
    arg1(c, "dout", IN, T_ACT, MAY_BE_FIRST, s[0])->is_first = i & 1;
    wide(arg1(c, "x", IN, T_ACT, 0, s[0]));
    return true;
}

/* Attention written as its definition: what attn_bwd is given as forward results. */
static inline void attention(const double *qkv, int64_t nb, int64_t n, int64_t h, int64_t k, double scale, double *out, double *lse) {
    int64_t w = h * k;
    for (int64_t b = 0; b < nb; b++)
        for (int64_t g = 0; g < h; g++)
            for (int64_t r = 0; r < n; r++) {
                const double *q = qkv + (b * n + r) * 3 * w + g * k;
                double top = -INFINITY, sum = 0, p[1024];
                for (int64_t j = 0; j < n; j++) {
                    const double *key = qkv + (b * n + j) * 3 * w + w + g * k;
                    p[j] = 0;
                    for (int64_t x = 0; x < k; x++) p[j] += q[x] * key[x];
                    p[j] *= scale;
                    top = fmax(top, p[j]);
                }
                for (int64_t j = 0; j < n; j++) sum += p[j] = exp(p[j] - top);
                if (lse) lse[(b * h + g) * n + r] = top + log(sum);
                for (int64_t x = 0; x < k; x++) {
                    double o = 0;
                    for (int64_t j = 0; j < n; j++) o += p[j] / sum * qkv[(b * n + j) * 3 * w + 2 * w + g * k + x];
                    if (out) out[((b * n + r) * h + g) * k + x] = o;
                }
            }
}

#define ATTN_SHAPES                                                                                                   \
    SHAPES({1, 1, 1, 1}, {2, 5, 1, 8}, {1, 17, 3, 20}, {3, 16, 2, 32}, {2, 65, 3, 64}, {1, 33, 2, 80}, {1, 197, 2, 16}, \
           {2, 31, 1, 7}, {1, 13, 5, 12}, {1, 130, 2, 64}, {2, 66, 2, 32})
static inline void call_attn_fwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_attn_fwd(d, &(ehm_attn_fwd_args){v[0], v[1], v[2], c->i[0], (float)c->f[0]});
}
static inline bool make_attn_fwd(op_case *c, int i) {
    ATTN_SHAPES;
    c->call = call_attn_fwd;
    c->i[0] = (int32_t)s[2];
    c->f[0] = (double)(float)(1 / sqrt((double)s[3]));
    arg3(c, "out", OUT, T_ACT, 0, s[0], s[1], s[2] * s[3]);
    arg3(c, "lse", OUT, T_REAL, 0, s[0], s[2], s[1]);
    op_arg_case *x = arg3(c, "qkv", IN, T_ACT, 0, s[0], s[1], 3 * s[2] * s[3]);
    if (i == 3) /* scores near 100: the maximum must come off before exp */
        for (int64_t k = 0; k < x->n; k++) x->v[k] *= 4;
    return true;
}

static inline void call_attn_bwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_attn_bwd(d, &(ehm_attn_bwd_args){v[0], v[1], v[2], v[3], v[4], c->i[0], (float)c->f[0]});
}
static inline bool make_attn_bwd(op_case *c, int i) {
    ATTN_SHAPES;
    int64_t w = s[2] * s[3];
    c->call = call_attn_bwd;
    c->i[0] = (int32_t)s[2];
    c->f[0] = (double)(float)(1 / sqrt((double)s[3]));
    arg3(c, "dqkv", OUT, T_ACT, 0, s[0], s[1], 3 * w);
    arg3(c, "dout", IN, T_ACT, 0, s[0], s[1], w);
    op_arg_case *qkv = arg3(c, "qkv", IN, T_ACT, 0, s[0], s[1], 3 * w);
    op_arg_case *out = arg3(c, "out", IN, T_ACT, 0, s[0], s[1], w), *lse = arg3(c, "lse", IN, T_REAL, 0, s[0], s[2], s[1]);
    for (int64_t k = 0; k < qkv->n; k++) qkv->v[k] = round_to(qkv->v[k], c->act);
    attention(qkv->v, s[0], s[1], s[2], s[3], c->f[0], out->v, lse->v);
    return true;
}

static inline void call_attn_probs(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_attn_probs(d, &(ehm_attn_probs_args){v[0], v[1], c->i[0], (float)c->f[0], c->b[0]});
}
static inline bool make_attn_probs(op_case *c, int i) {
    ATTN_SHAPES;
    c->call = call_attn_probs;
    c->i[0] = (int32_t)s[2];
    c->f[0] = (double)(float)(1 / sqrt((double)s[3]));
    c->b[0] = i & 1;
    if (c->b[0]) add_arg(c, "probs", OUT, T_REAL, 0, 4, s[0], s[2], s[1], s[1]);
    else arg3(c, "probs", OUT, T_REAL, 0, s[0], s[1], s[1]);
    arg3(c, "qkv", IN, T_ACT, 0, s[0], s[1], 3 * s[2] * s[3]);
    return true;
}

/* Values become rows of probabilities. */
static inline void rows_sum_to_1(op_arg_case *t) {
    int64_t n = t->dim[t->rank - 1];
    for (int64_t r = 0; r < t->n; r += n) {
        double sum = 0;
        for (int64_t k = 0; k < n; k++) sum += t->v[r + k] = exp(t->v[r + k]);
        for (int64_t k = 0; k < n; k++) t->v[r + k] /= sum;
    }
}
/* X, L; flags: 1 cls, 2 renormalise, 4 accumulate, 8 X is two dims, 16 X is none */
static inline void call_attn_patches(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_attn_patches(d, &(ehm_attn_patches_args){v[0], v[1], v[2], (float)c->f[0], c->b[0], c->b[1]});
}
static inline bool make_attn_patches(op_case *c, int i) {
    SHAPES({1, 1, 3}, {2, 5, 2}, {3, 17, 1 | 2 | 4}, {4, 16, 1 | 2 | 8}, {1, 64, 1 | 4 | 16}, {2, 196, 2});
    int64_t x = s[0], l = s[1];
    int role = s[2] & 4 ? INOUT : OUT, two = s[2] & 8 ? 2 : 1;
    c->call = call_attn_patches;
    c->f[0] = 0.375;
    c->b[0] = (s[2] & 2) != 0, c->b[1] = (s[2] & 4) != 0;
    if (s[2] & 16) arg2(c, "out", role, T_REAL, 0, l, l);
    else if (two > 1) add_arg(c, "out", role, T_REAL, 0, 4, x / two, two, l, l);
    else arg3(c, "out", role, T_REAL, 0, x, l, l);
    if (s[2] & 1) arg2(c, "cls", role, T_REAL, MAY_MISS, x, l);
    else arg0(c, "cls");
    op_arg_case *p = arg3(c, "probs", IN, T_REAL, 0, x, 1 + l, 1 + l);
    for (int64_t k = 0; k < p->n && i == 2; k++) p->v[k] *= 30; /* rows that look at one token, some at the class token */
    rows_sum_to_1(p);
    if (i == 2)
        for (int64_t k = 0; k <= l; k++) p->v[2 * (1 + l) + k] = k == 0, p->v[3 * (1 + l) + k] = k == 0 ? 1 : 1e-34 * (double)k;
    return true;
}

static inline void call_running_mean(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_running_mean(d, &(ehm_running_mean_args){v[0], v[1], v[2], (float)c->f[0]});
}
static inline bool make_running_mean(op_case *c, int i) {
    SHAPES({1, 1, 1, 0}, {5, 3, 7, 1}, {2, 9, 9, 20}, {16, 40, 40, 3}, {3, 64, 64, 1000});
    c->call = call_running_mean;
    c->f[0] = i == 3 ? 1 : i == 1 ? 0 : (double)0.99f;
    arg2(c, "mean", INOUT, T_REAL, 0, s[1], s[2]);
    arg1(c, "count", INOUT, T_REAL, 0, 1)->v[0] = (double)s[3];
    arg3(c, "x", IN, T_REAL, ANY_ROWS, s[0], s[1], s[2]);
    return true;
}

/* B, C, L; flags: 1 a has no dim C, 2 mean, 4 accumulate, 8 standardise */
#define STACK_SHAPES                                                                                                       \
    SHAPES({1, 1, 1, 1}, {2, 1, 5, 1 | 2}, {3, 3, 17, 2 | 4 | 8}, {2, 2, 64, 0 | 8}, {1, 1, 33, 1 | 2 | 4}, {2, 1, 2, 4 | 8}, \
           {1, 2, 100, 2 | 8})
static inline op_arg_case *stack(op_case *c, const int64_t *s, int role) {
    op_arg_case *a;
    c->f[0] = 0.75;
    c->b[1] = (s[3] & 4) != 0, c->b[0] = (s[3] & 8) != 0;
    arg3(c, "s", c->b[1] ? INOUT : OUT, T_REAL, 0, s[0], s[2], s[2]);
    if (s[3] & 1) a = arg3(c, "a", role, T_REAL, 0, s[0], s[2], s[2]);
    else a = add_arg(c, "a", role, T_REAL, 0, 4, s[0], s[1], s[2], s[2]);
    for (int64_t k = 0; k < a->n; k++) a->v[k] = ehm_rng_normal(&c->rng);
    rows_sum_to_1(a);
    /* One slice with a row and a column that do not vary, one that does not vary at all. */
    int64_t l = s[2], ll = l * l;
    for (int64_t k = 0; k < l && a->n > ll && l > 2; k++) a->v[l + k] = 0.3, a->v[k * l + 2] = 0.3;
    for (int64_t k = a->n - ll; k < a->n && a->n > 2 * ll; k++) a->v[k] = 1 / (double)l;
    return a;
}
static inline void call_attn_profile(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_attn_profile(d, &(ehm_attn_profile_args){v[0], v[1], v[2], (float)c->f[0], c->b[1]});
}
static inline bool make_attn_profile(op_case *c, int i) {
    STACK_SHAPES;
    c->call = call_attn_profile;
    stack(c, s, INOUT);
    if (!(s[3] & 2)) arg0(c, "mean");
    else if (s[3] & 1) rows_sum_to_1(arg2(c, "mean", IN, T_REAL, MAY_MISS, s[2], s[2]));
    else rows_sum_to_1(arg3(c, "mean", IN, T_REAL, MAY_MISS, s[1], s[2], s[2]));
    return true;
}

static inline void call_attn_direct(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_attn_direct(d, &(ehm_attn_direct_args){v[0], v[1], (float)c->f[0], c->b[0], c->b[1]});
}
static inline bool make_attn_direct(op_case *c, int i) {
    STACK_SHAPES;
    c->call = call_attn_direct;
    stack(c, s, IN);
    return true;
}

static inline void call_patchify(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_patchify(d, &(ehm_patchify_args){v[0], v[1], v[2], v[3], c->i[0]});
}
static inline bool make_patchify(op_case *c, int i) {
    SHAPES({1, 1, 1, 1, 1}, {2, 2, 3, 4, 3}, {1, 4, 4, 8, 3}, {3, 1, 5, 3, 1}, {2, 2, 2, 16, 4}, {1, 3, 2, 14, 3});
    int64_t b = s[0], gh = s[1], gw = s[2], p = s[3], ch = s[4];
    c->call = call_patchify;
    c->i[0] = (int32_t)p;
    arg3(c, "patches", OUT, T_REAL, 0, b, gh * gw, p * p * ch);
    add_arg(c, "pixels", IN, i & 1 ? T_U8 : T_REAL, 0, 4, b, gh * p, gw * p, ch);
    op_arg_case *shift = arg1(c, "shift", IN, T_REAL, 0, ch), *scale = arg1(c, "scale", IN, T_REAL, 0, ch);
    for (int64_t k = 0; k < ch && (i & 1); k++) shift->v[k] = 120 + 5 * (double)k, scale->v[k] = 1 / (58.0 + (double)k);
    return true;
}

/* m different rows of 0..n-1 for each picture */
static inline void some_rows(op_case *c, op_arg_case *t, int64_t n) {
    int32_t order[4096];
    for (int64_t b = 0; b < t->dim[0]; b++) {
        for (int64_t k = 0; k < n; k++) order[k] = (int32_t)k;
        ehm_rng_shuffle_i32(&c->rng, order, (int32_t)n);
        for (int64_t k = 0; k < t->dim[1]; k++) t->v[b * t->dim[1] + k] = order[k];
    }
}

#define ROW_SHAPES SHAPES({1, 1, 1, 1}, {2, 9, 4, 12}, {3, 16, 16, 48}, {1, 65, 17, 192}, {4, 7, 3, 27}, {2, 196, 49, 108})
static inline void call_gather_rows(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_gather_rows(d, &(ehm_gather_rows_args){v[0], v[1], v[2], c->i[0]});
}
static inline bool make_gather_rows(op_case *c, int i) {
    ROW_SHAPES;
    c->call = call_gather_rows;
    c->i[0] = i == 1 ? 2 : i == 2 ? 4 : i == 4 ? 3 : i == 5 ? 6 : 0;
    arg3(c, "out", OUT, i == 3 ? T_REAL : T_ACT, 0, s[0], s[2], s[3]);
    arg3(c, "x", IN, i == 5 ? T_ACT : T_REAL, 0, s[0], s[1], s[3]);
    some_rows(c, arg2(c, "idx", IN, T_I32, 0, s[0], s[2]), s[1]);
    return true;
}

static inline void call_scatter_rows(ehm_dev *d, const op_case *c, const ehm_view *v) {
    (void)c;
    ehm_scatter_rows(d, &(ehm_scatter_rows_args){v[0], v[1], v[2]});
}
static inline bool make_scatter_rows(op_case *c, int i) {
    ROW_SHAPES;
    c->call = call_scatter_rows;
    arg3(c, "dx", OUT, i & 1 ? T_REAL : T_ACT, 0, s[0], s[1], s[3]);
    arg3(c, "dout", IN, i & 2 ? T_REAL : T_ACT, 0, s[0], s[2], s[3]);
    some_rows(c, arg2(c, "idx", IN, T_I32, 0, s[0], s[2]), s[1]);
    return true;
}

/* B, Nx, N, D, T, flags: 1 pos, 2 pos_idx. Each row of x at most once, the rest tokens. */
#define ROUTE_SHAPES \
    SHAPES({1, 1, 1, 1, 1, 0}, {2, 4, 9, 16, 1, 1}, {3, 5, 17, 20, 2, 3}, {2, 17, 65, 96, 1, 3}, {1, 6, 4, 33, 3, 1}, {5, 3, 8, 7, 2, 0})
static inline void route_src(op_case *c, op_arg_case *t, int64_t nx, int64_t n_tokens) {
    int32_t order[4096];
    for (int64_t b = 0; b < t->dim[0]; b++) {
        for (int64_t k = 0; k < nx; k++) order[k] = (int32_t)k;
        ehm_rng_shuffle_i32(&c->rng, order, (int32_t)nx);
        int64_t used = 0;
        for (int64_t k = 0; k < t->dim[1]; k++)
            t->v[b * t->dim[1] + k] = used < nx && ehm_rng_below(&c->rng, 2) ? order[used++]
                                                                           : -1 - (double)ehm_rng_below(&c->rng, (uint32_t)n_tokens);
    }
}
static inline void positions(op_case *c, op_arg_case *t, int64_t n) {
    for (int64_t k = 0; k < t->n; k++) t->v[k] = (double)ehm_rng_below(&c->rng, (uint32_t)n);
}
static inline void call_route_fwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    (void)c;
    ehm_route_fwd(d, &(ehm_route_fwd_args){v[0], v[1], v[2], v[3], v[4], v[5]});
}
static inline bool make_route_fwd(op_case *c, int i) {
    ROUTE_SHAPES;
    c->call = call_route_fwd;
    arg3(c, "out", OUT, T_REAL, 0, s[0], s[2], s[3]);
    arg3(c, "x", IN, i & 1 ? T_ACT : T_REAL, 0, s[0], s[1], s[3]);
    arg2(c, "tokens", IN, T_REAL, ANY_ROWS, s[4], s[3]);
    if (s[5] & 1) arg2(c, "pos", IN, T_REAL, MAY_MISS | ANY_ROWS, s[2] + 3, s[3]);
    else arg0(c, "pos");
    route_src(c, arg2(c, "src", IN, T_I32, 0, s[0], s[2]), s[1], s[4]);
    if (s[5] & 2) positions(c, arg2(c, "pos_idx", IN, T_I32, MAY_MISS, s[0], s[2]), s[2] + 3);
    else arg0(c, "pos_idx");
    return true;
}

static inline void call_route_bwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    (void)c;
    ehm_route_bwd(d, &(ehm_route_bwd_args){v[0], v[1], v[2], v[3], v[4], v[5]});
}
static inline bool make_route_bwd(op_case *c, int i) {
    ROUTE_SHAPES;
    c->call = call_route_bwd;
    arg3(c, "dx", OUT, i & 1 ? T_ACT : T_REAL, 0, s[0], s[1], s[3]);
    if (i == 3) arg0(c, "dtokens");
    else arg2(c, "dtokens", INOUT, T_REAL, MAY_MISS | ANY_ROWS, s[4], s[3]);
    if (s[5] & 1) arg2(c, "dpos", INOUT, T_REAL, MAY_MISS | ANY_ROWS, s[2] + 3, s[3]);
    else arg0(c, "dpos");
    arg3(c, "dout", IN, T_REAL, 0, s[0], s[2], s[3]);
    route_src(c, arg2(c, "src", IN, T_I32, 0, s[0], s[2]), s[1], s[4]);
    if (s[5] & 2) positions(c, arg2(c, "pos_idx", IN, T_I32, MAY_MISS, s[0], s[2]), s[2] + 3);
    else arg0(c, "pos_idx");
    return true;
}

static inline void call_pixel_target(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_pixel_target(d, &(ehm_pixel_target_args){v[0], v[1], v[2], c->b[0]});
}
static inline bool make_pixel_target(op_case *c, int i) {
    SHAPES({1, 1, 1, 2}, {2, 9, 4, 12}, {3, 16, 12, 48}, {1, 65, 49, 192}, {4, 7, 3, 27}, {2, 16, 12, 768});
    c->call = call_pixel_target;
    c->b[0] = i != 1;
    arg3(c, "target", OUT, T_REAL, 0, s[0], s[2], s[3]);
    op_arg_case *x = arg3(c, "patches", IN, T_REAL, 0, s[0], s[1], s[3]);
    if (i == 2) /* a patch of one colour: variance 0 */
        for (int64_t k = 0; k < 48 * 16; k++) x->v[k] = 0.5;
    some_rows(c, arg2(c, "idx", IN, T_I32, 0, s[0], s[2]), s[1]);
    return true;
}

static inline void call_mse(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_mse(d, &(ehm_mse_args){v[0], v[1], v[2], v[3], (float)c->f[0]});
}
static inline bool make_mse(op_case *c, int i) {
    SHAPES({1, 1}, {7, 13}, {48, 192}, {5, 48}, {147, 27}, {2, 768});
    c->call = call_mse;
    c->f[0] = (double)(float)(1.0 / (double)s[0]);
    arg1(c, "row_loss", OUT, T_REAL, 0, s[0]);
    if (i == 3) arg0(c, "dpred");
    else arg2(c, "dpred", OUT, i == 1 ? T_REAL : T_ACT, MAY_MISS, s[0], s[1]);
    arg2(c, "pred", IN, i == 4 ? T_REAL : T_ACT, 0, s[0], s[1]);
    arg2(c, "target", IN, T_REAL, 0, s[0], s[1]);
    return true;
}

static inline void call_sum(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_sum(d, &(ehm_sum_args){v[0], v[1], (float)c->f[0], c->b[0]});
}
static inline bool make_sum(op_case *c, int i) {
    SHAPES({1}, {7}, {1001}, {70001});
    c->call = call_sum;
    c->f[0] = 0.25;
    c->b[0] = i & 1;
    arg1(c, "out", c->b[0] ? INOUT : OUT, T_REAL, ANY_COUNT, 1);
    op_arg_case *x = arg1(c, "x", IN, T_REAL, ANY_COUNT, s[0]);
    for (int64_t k = 0; k < x->n; k++) x->v[k] = fabs(x->v[k]);
    return true;
}

static inline void call_sumsq(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_sumsq(d, &(ehm_sumsq_args){v[0], v[1], c->b[0]});
}
static inline bool make_sumsq(op_case *c, int i) {
    SHAPES({1}, {7}, {1001}, {70001});
    c->call = call_sumsq;
    c->b[0] = i & 1;
    arg1(c, "out", c->b[0] ? INOUT : OUT, T_REAL, ANY_COUNT, 1);
    arg1(c, "x", IN, T_REAL, ANY_COUNT, s[0]);
    return true;
}

static inline void call_clip_factor(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_clip_factor(d, &(ehm_clip_factor_args){v[0], v[1], v[2], (float)c->f[0], (float)c->f[1]});
}
static inline bool make_clip_factor(op_case *c, int i) {
    SHAPES({4, 3, 1}, {400, 3, 1}, {400, 0, 1}, {400, 3, 4}, {0, 3, 1});
    c->call = call_clip_factor;
    c->f[0] = (double)s[1], c->f[1] = 1 / (double)s[2];
    arg1(c, "factor", OUT, T_REAL, ANY_COUNT, 1);
    arg1(c, "norm", OUT, T_REAL, ANY_COUNT, 1);
    arg1(c, "sumsq", IN, T_REAL, ANY_COUNT, 1)->v[0] = (double)s[0];
    return true;
}

static inline void call_adamw(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_adamw(d, &(ehm_adamw_args){.p = v[0], .g = v[1], .m = v[2], .v = v[3], .factor = v[4], .p_act = v[5], .lr = (float)c->f[0],
                                   .beta1 = (float)c->f[1], .beta2 = (float)c->f[2], .eps = (float)c->f[3],
                                   .weight_decay = (float)c->f[4], .t = c->i[0]});
}
static inline bool make_adamw(op_case *c, int i) {
    SHAPES({1, 1}, {7, 2}, {1001, 1}, {20000, 1000}, {33, 5});
    /* A large epsilon once: where it is added shows in no other way. */
    const double f[6] = {1e-2, 0.9, 0.95, i == 1 ? 0.25 : 1e-8, 0.05};
    c->call = call_adamw;
    memcpy(c->f, f, sizeof f);
    c->i[0] = (int32_t)s[1];
    arg1(c, "p", INOUT, T_REAL, 0, s[0]);
    arg1(c, "g", IN, T_REAL, 0, s[0]);
    op_arg_case *m = arg1(c, "m", INOUT, T_REAL, 0, s[0]), *v = arg1(c, "v", INOUT, T_REAL, 0, s[0]);
    for (int64_t k = 0; k < s[0]; k++) m->v[k] = s[1] > 1 ? m->v[k] * 0.1 : 0, v->v[k] = s[1] > 1 ? v->v[k] * v->v[k] : 0;
    arg1(c, "factor", IN, T_REAL, ANY_COUNT, 1)->v[0] = i == 4 ? NAN : 0.5;
    if (c->act == EHM_BF16) arg1(c, "p_act", i == 4 ? INOUT : OUT, T_ACT, MAY_MISS, s[0]);
    else arg0(c, "p_act");
    return true;
}

static inline void call_ema(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_ema(d, &(ehm_ema_args){v[0], v[1], (float)c->f[0]});
}
static inline bool make_ema(op_case *c, int i) {
    SHAPES({1}, {7}, {1001}, {20000});
    c->call = call_ema;
    c->f[0] = (double)0.99f;
    arg1(c, "avg", INOUT, T_REAL, 0, s[0]);
    arg1(c, "p", IN, T_REAL, 0, s[0]);
    return true;
}

/* ---- sums of rows ---- */

/* B, N, R, C, K, flags: 1 idx per picture, 2 weight, 4 weight per picture, 8 out or dx's counterpart in f32, 16 accumulate */
#define MIX_SHAPES                                                                                                       \
    SHAPES({1, 1, 1, 1, 1, 0}, {2, 9, 4, 12, 3, 2}, {3, 16, 20, 37, 4, 1 | 2 | 4}, {1, 65, 17, 192, 9, 1 | 2 | 16},       \
           {4, 7, 3, 27, 7, 2 | 4 | 8 | 16}, {2, 196, 49, 108, 4, 8}, {16, 5, 30, 70, 2, 1 | 2}, {1, 40, 300, 33, 6, 2 | 16})
/* idx, rows often named twice, some of nothing; and weight */
static inline void mix_args(op_case *c, const int64_t *s) {
    int how = s[5] & 2 ? 0 : ANY_COUNT; /* without weight nothing says what K is */
    op_arg_case *idx = s[5] & 1 ? arg3(c, "idx", IN, T_I32, how, s[0], s[2], s[4]) : arg2(c, "idx", IN, T_I32, how, s[2], s[4]);
    for (int64_t k = 0; k < idx->n; k++)
        idx->v[k] = idx->n > 1 && ehm_rng_below(&c->rng, 6) == 0 ? -1 - (double)ehm_rng_below(&c->rng, 9)
                                                                 : (double)ehm_rng_below(&c->rng, (uint32_t)s[1]);
    if (!(s[5] & 2)) arg0(c, "weight");
    else if (s[5] & 4) arg3(c, "weight", IN, T_REAL, MAY_MISS, s[0], s[2], s[4]);
    else arg2(c, "weight", IN, T_REAL, MAY_MISS, s[2], s[4]);
}
static inline void call_mix_rows_fwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    (void)c;
    ehm_mix_rows_fwd(d, &(ehm_mix_rows_fwd_args){v[0], v[1], v[2], v[3]});
}
static inline bool make_mix_rows_fwd(op_case *c, int i) {
    MIX_SHAPES;
    c->call = call_mix_rows_fwd;
    arg3(c, "out", OUT, s[5] & 8 ? T_REAL : T_ACT, 0, s[0], s[2], s[3]);
    arg3(c, "x", IN, i == 2 || i == 4 ? T_REAL : T_ACT, 0, s[0], s[1], s[3]);
    mix_args(c, s);
    return true;
}

static inline void call_mix_rows_bwd(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_mix_rows_bwd(d, &(ehm_mix_rows_bwd_args){v[0], v[1], v[2], v[3], c->b[0]});
}
static inline bool make_mix_rows_bwd(op_case *c, int i) {
    MIX_SHAPES;
    c->call = call_mix_rows_bwd;
    c->b[0] = (s[5] & 16) != 0;
    arg3(c, "dx", c->b[0] ? INOUT : OUT, T_REAL, 0, s[0], s[1], s[3]);
    arg3(c, "dout", IN, s[5] & 8 ? T_REAL : T_ACT, 0, s[0], s[2], s[3]);
    mix_args(c, s);
    return true;
}

/* ---- pictures times their numbers ---- */

#define SAMPLE_SHAPES SHAPES({1, 1, 1}, {2, 3, 17}, {3, 5, 64}, {4, 7, 33}, {2, 197, 192}, {40, 2, 8})
/* Numbers of stochastic depth: dropped, or more than kept. */
static inline void sample_numbers(op_case *c, int64_t n) {
    op_arg_case *t = arg1(c, "s", IN, T_REAL, 0, n);
    for (int64_t k = 0; k < n; k++) t->v[k] = n > 1 && k % 3 == 1 ? 0 : 1 / 0.9 + 0.1 * t->v[k];
}
static inline void call_add_scaled(ehm_dev *d, const op_case *c, const ehm_view *v) {
    (void)c;
    ehm_add_scaled(d, &(ehm_add_scaled_args){v[0], v[1], v[2], v[3]});
}
static inline bool make_add_scaled(op_case *c, int i) {
    SAMPLE_SHAPES;
    c->call = call_add_scaled;
    arg3(c, "out", i & 1 ? INOUT : OUT, T_REAL, 0, s[0], s[1], s[2]);
    arg3(c, "x", IN, T_REAL, MAY_BE_FIRST, s[0], s[1], s[2])->is_first = i & 1;
    arg3(c, "y", IN, i == 2 ? T_REAL : T_ACT, 0, s[0], s[1], s[2]);
    sample_numbers(c, s[0]);
    return true;
}

static inline void call_scale_samples(ehm_dev *d, const op_case *c, const ehm_view *v) {
    (void)c;
    ehm_scale_samples(d, &(ehm_scale_samples_args){v[0], v[1], v[2]});
}
static inline bool make_scale_samples(op_case *c, int i) {
    SAMPLE_SHAPES;
    c->call = call_scale_samples;
    arg3(c, "out", OUT, i == 2 ? T_REAL : T_ACT, 0, s[0], s[1], s[2]);
    arg3(c, "x", IN, T_REAL, 0, s[0], s[1], s[2]);
    sample_numbers(c, s[0]);
    return true;
}

/* ---- losses of tasks ---- */

/* R, C, flags: 1 labels, 2 class_weight, 4 no dlogits, 8 dlogits is logits, 16 dlogits f32, 32 logits f32, 64 logits near 300 */
static inline void call_xent(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_xent(d, &(ehm_xent_args){.dlogits = v[0], .row_loss = v[1], .logits = v[2], .target = v[3], .labels = v[4], .class_weight = v[5],
                                 .scale = (float)c->f[0]});
}
static inline bool make_xent(op_case *c, int i) {
    SHAPES({1, 1, 0}, {7, 13, 0}, {48, 100, 1 | 2}, {5, 1000, 1 | 64}, {147, 5, 16}, {2, 37, 1 | 4}, {9, 20, 8}, {16, 33, 1 | 2 | 8},
           {33, 64, 32 | 64}, {3, 150, 4 | 32}, {200, 2, 1 | 16 | 32});
    int64_t r = s[0], n = s[1], how = s[2];
    c->call = call_xent;
    c->f[0] = (double)(float)(1.0 / (double)r);
    if (how & 4) arg0(c, "dlogits");
    else arg2(c, "dlogits", how & 8 ? INOUT : OUT, how & 16 ? T_REAL : T_ACT, MAY_MISS, r, n);
    arg1(c, "row_loss", OUT, T_REAL, 0, r);
    /* With labels alone nothing else says how many classes there are. */
    op_arg_case *x = arg2(c, "logits", IN, how & 32 ? T_REAL : T_ACT, MAY_BE_FIRST | ((how & 7) == 5 ? ANY_COUNT : 0), r, n);
    x->is_first = (how & 8) != 0;
    for (int64_t k = 0; k < x->n && (how & 64); k++) x->v[k] = 300 + 8 * x->v[k]; /* exp alone would be infinite */
    op_arg_case *t = how & 1 ? arg0(c, "target") : arg2(c, "target", IN, T_REAL, MAY_MISS, r, n);
    for (int64_t k = 0; k < t->n; k++) t->v[k] = ehm_rng_below(&c->rng, 3) ? 0 : fabs(t->v[k]) / (double)n;
    if (!(how & 1)) {
        arg0(c, "labels"), arg0(c, "class_weight");
        return true;
    }
    op_arg_case *l = arg1(c, "labels", IN, T_I32, MAY_MISS, r);
    for (int64_t k = 0; k < r; k++) l->v[k] = k % 5 == 3 ? -1 - 99.0 * (double)(k & 1) : (double)ehm_rng_below(&c->rng, (uint32_t)n);
    for (int64_t k = 0; k < r && r > 8 && !x->is_first; k++) /* a row that does not count may hold anything */
        if (k % 5 == 3) x->v[k * n] = NAN;
    op_arg_case *w = how & 2 ? arg1(c, "class_weight", IN, T_REAL, MAY_MISS, n) : arg0(c, "class_weight");
    for (int64_t k = 0; k < w->n; k++) w->v[k] = fabs(w->v[k]);
    return true;
}

/* Weights of rows, some 0; where they are, x is not looked at. */
static inline void row_weights(op_case *c, int64_t r, int64_t n, op_arg_case *x, int how) {
    op_arg_case *w = arg1(c, "weight", IN, T_REAL, how, r);
    for (int64_t k = 0; k < r; k++) {
        w->v[k] = k % 4 == 2 ? 0 : fabs(w->v[k]);
        if (k % 4 == 2) x->v[k * n] = NAN, x->v[k * n + n - 1] = INFINITY;
    }
}
/* R, C, flags: 1 weight, 2 no dx, 4 soft targets, 8 dx f32, 16 x f32, 32 x far out; gamma and alpha in hundredths */
static inline void call_focal(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_focal(d, &(ehm_focal_args){v[0], v[1], v[2], v[3], v[4], (float)c->f[1], (float)c->f[2], (float)c->f[0]});
}
static inline bool make_focal(op_case *c, int i) {
    SHAPES({1, 1, 0, 200, 25}, {7, 13, 1, 200, 25}, {48, 20, 1 | 4, 0, -100}, {5, 100, 16, 150, 50}, {64, 3, 4, 100, -100},
           {9, 37, 1 | 2, 200, 25}, {16, 33, 4 | 8, 50, 75}, {3, 64, 1 | 16 | 32, 300, 25}, {5, 41, 4 | 32, 0, -100}, {6, 8, 32, 500, 0},
           {4, 24, 32, 250, 25});
    int64_t r = s[0], n = s[1], how = s[2];
    c->call = call_focal;
    c->f[0] = (double)(float)(1.0 / (double)r), c->f[1] = (double)s[3] / 100, c->f[2] = (double)s[4] / 100;
    arg1(c, "row_loss", OUT, T_REAL, 0, r);
    if (how & 2) arg0(c, "dx");
    else arg2(c, "dx", OUT, how & 8 ? T_REAL : T_ACT, MAY_MISS, r, n);
    op_arg_case *x = arg2(c, "x", IN, how & 16 ? T_REAL : T_ACT, 0, r, n), *t = arg2(c, "target", IN, T_REAL, 0, r, n);
    for (int64_t k = 0; k < x->n; k++) x->v[k] *= how & 32 ? 20 : 3;
    for (int64_t k = 0; k < t->n; k++) t->v[k] = how & 4 ? ehm_rng_f64(&c->rng) : ehm_rng_below(&c->rng, 3) == 0;
    if (how & 1) row_weights(c, r, n, x, MAY_MISS);
    else arg0(c, "weight");
    return true;
}

/* R, flags: 1 no dx, 2 dx f32, 4 x f32 */
static inline void call_giou(ehm_dev *d, const op_case *c, const ehm_view *v) {
    ehm_giou(d, &(ehm_giou_args){v[0], v[1], v[2], v[3], v[4], (float)c->f[0]});
}
static inline bool make_giou(op_case *c, int i) {
    SHAPES({1, 0}, {7, 0}, {130, 2}, {64, 1}, {1001, 4});
    int64_t r = s[0];
    c->call = call_giou;
    c->f[0] = (double)(float)(1.0 / (double)r);
    arg1(c, "row_loss", OUT, T_REAL, 0, r);
    if (s[1] & 1) arg0(c, "dx");
    else arg2(c, "dx", OUT, s[1] & 2 ? T_REAL : T_ACT, MAY_MISS, r, 4);
    op_arg_case *x = arg2(c, "x", IN, s[1] & 4 ? T_REAL : T_ACT, 0, r, 4), *t = arg2(c, "target", IN, T_REAL, 0, r, 4);
    for (int64_t k = 0; k < x->n; k++) x->v[k] = 1 + x->v[k], t->v[k] = exp(1 + t->v[k]);
    if (r > 6) x->v[1] = 9, x->v[5] = -40, t->v[2] = 0; /* clipped, nothing at all, a box that ends at its point */
    row_weights(c, r, 4, x, 0);
    return true;
}

static const op_maker op_makers[EHM_OPS_N] = {
    [EHM_OP_fill] = make_fill,
    [EHM_OP_cast] = make_cast,
    [EHM_OP_axpby] = make_axpby,
    [EHM_OP_matmul] = make_matmul,
    [EHM_OP_colsum] = make_colsum,
    [EHM_OP_norm_fwd] = make_norm_fwd,
    [EHM_OP_norm_bwd] = make_norm_bwd,
    [EHM_OP_gelu_fwd] = make_gelu_fwd,
    [EHM_OP_gelu_bwd] = make_gelu_bwd,
    [EHM_OP_attn_fwd] = make_attn_fwd,
    [EHM_OP_attn_bwd] = make_attn_bwd,
    [EHM_OP_attn_probs] = make_attn_probs,
    [EHM_OP_attn_patches] = make_attn_patches,
    [EHM_OP_running_mean] = make_running_mean,
    [EHM_OP_attn_profile] = make_attn_profile,
    [EHM_OP_attn_direct] = make_attn_direct,
    [EHM_OP_patchify] = make_patchify,
    [EHM_OP_gather_rows] = make_gather_rows,
    [EHM_OP_scatter_rows] = make_scatter_rows,
    [EHM_OP_route_fwd] = make_route_fwd,
    [EHM_OP_route_bwd] = make_route_bwd,
    [EHM_OP_pixel_target] = make_pixel_target,
    [EHM_OP_mse] = make_mse,
    [EHM_OP_sum] = make_sum,
    [EHM_OP_sumsq] = make_sumsq,
    [EHM_OP_clip_factor] = make_clip_factor,
    [EHM_OP_adamw] = make_adamw,
    [EHM_OP_ema] = make_ema,
    [EHM_OP_mix_rows_fwd] = make_mix_rows_fwd,
    [EHM_OP_mix_rows_bwd] = make_mix_rows_bwd,
    [EHM_OP_add_scaled] = make_add_scaled,
    [EHM_OP_scale_samples] = make_scale_samples,
    [EHM_OP_xent] = make_xent,
    [EHM_OP_focal] = make_focal,
    [EHM_OP_giou] = make_giou,
};

/* Shape i of the op; its values are those of the seed, the op and the shape. false: there is no shape i (or no case at all). */
static inline bool case_make(op_case *c, ehm_op op, int i, ehm_dtype act) {
    memset(c, 0, sizeof *c);
    c->op = op;
    c->i_shape = i;
    c->act = act;
    c->rng = ehm_rng_of(ehm_test_seed(), EHM_RNG_test, (uint32_t)op, (uint64_t)i);
    return op_makers[op] && op_makers[op](c, i);
}
static inline void case_free(op_case *c) { ehm_arena_free(&c->a); }
static inline bool case_has_act(const op_case *c) {
    for (int k = 0; k < c->n; k++)
        if (c->t[k].rank && c->t[k].type == T_ACT) return true;
    return false;
}

/* ---- running ---- */

enum { EDGE = 24 }; /* elements before and after each place that must stay as they are */
typedef struct { ehm_buf *buf[10]; ehm_view v[10]; ehm_dtype type[10]; } op_places;

/* Buffers with the values in them. Views start 0 to 3 elements off, so that back ends meet every alignment. */
static inline void places_make(op_places *p, const op_case *c, ehm_dev *d) {
    ehm_err err = {0};
    memset(p, 0, sizeof *p);
    for (int k = 0; k < c->n; k++) {
        const op_arg_case *t = &c->t[k];
        if (!t->rank) continue;
        if (t->is_first) {
            p->v[k] = p->v[0], p->type[k] = p->type[0];
            continue;
        }
        ehm_dtype type = p->type[k] = type_of(t, ehm_dev_real(d), c->act);
        /* odd shapes begin at 16 bytes, as what the plan hands out does; the others where no vector fits */
        int64_t lead = EDGE + (c->i_shape % 2 ? 0 : (c->i_shape + k) % 4), all = lead + t->n + EDGE;
        size_t bytes = (size_t)all * ehm_dtype_size(type);
        REQUIRE_OK(ehm_buf_new(&p->buf[k], d, bytes, &err), &err);
        char *host = malloc(bytes);
        for (int64_t i = 0; i < all; i++)
            put(host, type, i, i < lead || i >= lead + t->n ? 55 : t->v[i - lead]);
        ehm_upload(d, ehm_view_1d(p->buf[k], type, all), host, bytes);
        free(host);
        p->v[k] = ehm_view_of(p->buf[k], lead, type, t->rank, t->dim);
    }
}
static inline void places_free(op_places *p) {
    for (int k = 0; k < 10; k++) ehm_buf_free(p->buf[k]);
}
static inline const char *case_name(const op_case *c, const ehm_dev *d) {
    static char text[160];
    snprintf(text, sizeof text, "%s shape %d %s on %s", ehm_op_table[c->op].name, c->i_shape, ehm_dtype_name(c->act), ehm_dev_name(d));
    return text;
}
/* Fetches the outputs; edges and inputs must be as they were. */
static inline void places_read(op_places *p, op_case *c, ehm_dev *d) {
    for (int k = 0; k < c->n; k++) {
        op_arg_case *t = &c->t[k];
        if (!t->rank || t->is_first) continue;
        int64_t lead = p->v[k].offset, all = lead + t->n + EDGE;
        size_t bytes = (size_t)all * ehm_dtype_size(p->type[k]);
        char *host = malloc(bytes);
        ehm_download(d, host, ehm_view_1d(p->buf[k], p->type[k], all), bytes);
        for (int64_t i = 0; i < all; i++) {
            double x = get(host, p->type[k], i);
            bool inside = i >= lead && i < lead + t->n;
            if (inside) t->got[i - lead] = x;
            double was = inside ? t->v[i - lead] : 55;
            if ((!inside || t->role == IN) && !isnan(was)) {
                if (p->type[k] == EHM_I32 || p->type[k] == EHM_U8) was = (double)(int64_t)was;
                if (x != round_to(was, p->type[k])) {
                    ehm_test_fail(__FILE__, __LINE__, "%s: element %lld of %s (%lld of them, from %lld on) became %g, must stay %g",
                                  case_name(c, d), (long long)(i - lead), t->name, (long long)t->n, (long long)lead, x, was);
                    break;
                }
            }
        }
        free(host);
    }
}
/* false: the op failed, and the test with it. */
static inline bool case_run(op_case *c, ehm_dev *d) {
    ehm_err err = {0};
    op_places p;
    places_make(&p, c, d);
    c->call(d, c, p.v);
    ehm_code rc = ehm_dev_check(d, &err);
    if (rc) {
        char text[EHM_ERR_TEXT];
        ehm_test_fail(__FILE__, __LINE__, "%s: %s", case_name(c, d), ehm_err_text(&err, text));
        ehm_dev_reset_error(d);
    } else {
        places_read(&p, c, d);
    }
    places_free(&p);
    return !rc;
}
static inline ehm_dev *device(const char *name, int32_t n_threads) {
    ehm_err err = {0};
    ehm_dev *d = NULL;
    ehm_code rc = ehm_dev_open(&d, name, n_threads, &err);
    if (rc == EHM_E_UNSUPPORTED) ehm_test_skip(err.what);
    REQUIRE_OK(rc, &err);
    return d;
}
#endif
