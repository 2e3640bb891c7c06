/* The operators that our graphs are made of, as the standard describes them (operator sets 17 to 21), in plain C. What a file asks of them beyond that is refused by name:
 * a wrong answer would be worse than none. */
#include "export/onnx_int.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef float quad __attribute__((vector_size(16)));

static const char *name_of(const ehm_onnx_call *c) { return *c->op->name ? c->op->name : c->op->op; }

static ehm_code unsupported(const ehm_onnx_call *c, const char *what, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: node \"%.80s\" (%.40s) %s, which is not evaluated here", c->g->path, name_of(c), c->op->op, what);
}

static ehm_code wrong(const ehm_onnx_call *c, const char *what, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_FORMAT, "%s: not a good ONNX file: node \"%.80s\" (%.40s) %s", c->g->path, name_of(c), c->op->op, what);
}

/* ---- tensors ---- */

ehm_code ehm_onnx_tensor_new(ehm_onnx_tensor *t, int32_t type, int32_t rank, const int64_t *dim, ehm_err *err) {
    int64_t n = 1;
    *t = (ehm_onnx_tensor){.type = type, .rank = rank};
    for (int32_t i = 0; i < rank; i++) {
        t->dim[i] = dim[i];
        if (dim[i] < 1 || dim[i] > EHM_ONNX_COUNT_MAX || (n *= dim[i]) > EHM_ONNX_COUNT_MAX)
            return EHM_FAIL(err, EHM_E_UNSUPPORTED, "a value of the graph would hold no numbers, or more than %lld", (long long)EHM_ONNX_COUNT_MAX);
    }
    t->count = n;
    if (type == EHM_ONNX_FLOAT) t->f = malloc((size_t)n * sizeof *t->f);
    else t->i = malloc((size_t)n * sizeof *t->i);
    return t->f || t->i ? EHM_OK : EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld numbers of the graph", (long long)n);
}

void ehm_onnx_tensor_free(ehm_onnx_tensor *t) {
    free(t->f), free(t->i);
    *t = (ehm_onnx_tensor){0};
}

static ehm_code make(const ehm_onnx_call *c, int32_t k, int32_t type, int32_t rank, const int64_t *dim, ehm_err *err) {
    if (rank > EHM_ONNX_RANK) return unsupported(c, "has more than six dimensions", err);
    ehm_code rc = ehm_onnx_tensor_new(&c->out[k], type, rank, dim, err);
    if (rc) EHM_WHILE(err, "running node \"%.80s\" of %s", name_of(c), c->g->path);
    return rc;
}

static ehm_code make_like(const ehm_onnx_call *c, const ehm_onnx_tensor *x, ehm_err *err) { return make(c, 0, x->type, x->rank, x->dim, err); }
static size_t size_of(const ehm_onnx_tensor *t) { return t->type == EHM_ONNX_FLOAT ? sizeof *t->f : sizeof *t->i; }
static char *bytes_of(const ehm_onnx_tensor *t) { return t->type == EHM_ONNX_FLOAT ? (char *)t->f : (char *)t->i; }

static int64_t product(const int64_t *dim, int32_t from, int32_t to) {
    int64_t n = 1;
    for (int32_t i = from; i < to; i++) n *= dim[i];
    return n;
}

/* ---- attributes ---- */

static const ehm_onnx_attr *attr(const ehm_onnx_call *c, const char *name) {
    for (int32_t i = 0; i < c->op->n_attr; i++)
        if (!strcmp(c->op->attr[i].name, name)) return &c->op->attr[i];
    return NULL;
}

static int64_t int_or(const ehm_onnx_call *c, const char *name, int64_t otherwise) {
    const ehm_onnx_attr *a = attr(c, name);
    return a && a->type == ATTR_TYPE_INT ? a->i : otherwise;
}

static float float_or(const ehm_onnx_call *c, const char *name, float otherwise) {
    const ehm_onnx_attr *a = attr(c, name);
    return a && a->type == ATTR_TYPE_FLOAT ? a->f : otherwise;
}

/* Counted from the end where negative; -1: out of range. */
static int32_t axis_of(int64_t axis, int32_t rank) { return axis < -rank || axis >= rank ? -1 : (int32_t)(axis < 0 ? axis + rank : axis); }

/* ---- products ---- */

enum { TILE_M = 4, TILE_N = 8 };

/* Four rows of a with eight columns of b, which lie packed. */
static void tile(float *out, int64_t ld, const float *a, int64_t lda, const float *b, int64_t K) {
    quad sum[TILE_M][2] = {{{0}}};
    for (int64_t k = 0; k < K; k++) {
        quad b0, b1;
        memcpy(&b0, b + k * TILE_N, sizeof b0);
        memcpy(&b1, b + k * TILE_N + 4, sizeof b1);
        for (int32_t m = 0; m < TILE_M; m++) {
            float v = a[m * lda + k];
            sum[m][0] += b0 * v, sum[m][1] += b1 * v;
        }
    }
    for (int32_t m = 0; m < TILE_M; m++) memcpy(out + m * ld, sum[m], sizeof sum[m]);
}

static void edge(float *out, int64_t ld, const float *a, int64_t lda, const float *b, int64_t K, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            float sum = 0;
            for (int64_t k = 0; k < K; k++) sum += a[m * lda + k] * b[k * TILE_N + n];
            out[m * ld + n] = sum;
        }
}

/* out [M,N] = a [M,K] b [K,N]; pack holds K * TILE_N. */
static void matmul(float *out, const float *a, const float *b, int64_t M, int64_t K, int64_t N, float *pack) {
    for (int64_t n0 = 0; n0 < N; n0 += TILE_N) {
        int64_t n = N - n0 < TILE_N ? N - n0 : TILE_N, m = 0;
        for (int64_t k = 0; k < K; k++) memcpy(pack + k * TILE_N, b + k * N + n0, (size_t)n * sizeof *b);
        for (; n == TILE_N && m + TILE_M <= M; m += TILE_M) tile(out + m * N + n0, N, a + m * K, K, pack, K);
        edge(out + m * N + n0, N, a + m * K, K, pack, K, M - m, n);
    }
}

static float *new_floats(int64_t n, ehm_err *err) {
    float *v = malloc((size_t)n * sizeof *v);
    if (!v) EHM_FAIL(err, EHM_E_MEMORY, "no memory for %lld numbers of the graph", (long long)n);
    return v;
}

/* ---- broadcasting ---- */

typedef struct { int32_t rank; int64_t dim[EHM_ONNX_RANK], step[2][EHM_ONNX_RANK]; } spread;

/* Shapes aligned at their ends; a 1 is repeated. step: in numbers, 0 where repeated. */
static bool broadcast(spread *s, const ehm_onnx_tensor *a, const ehm_onnx_tensor *b) {
    const ehm_onnx_tensor *t[2] = {a, b};
    *s = (spread){.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int32_t i = 0; i < s->rank; i++) s->dim[i] = 1;
    for (int32_t k = 0; k < 2; k++) {
        int64_t step = 1;
        for (int32_t i = t[k]->rank - 1; i >= 0; i--) {
            int32_t at = s->rank - t[k]->rank + i;
            int64_t d = t[k]->dim[i];
            if (d != 1 && s->dim[at] != 1 && s->dim[at] != d) return false;
            if (d != 1) s->dim[at] = d, s->step[k][at] = step;
            step *= d;
        }
    }
    return true;
}

/* The next index in rank dimensions; p: where both operands are. */
static void advance(int64_t *index, int64_t *p, const spread *s, int32_t rank) {
    for (int32_t i = rank - 1; i >= 0; i--) {
        p[0] += s->step[0][i], p[1] += s->step[1][i];
        if (++index[i] < s->dim[i]) return;
        p[0] -= s->dim[i] * s->step[0][i], p[1] -= s->dim[i] * s->step[1][i], index[i] = 0;
    }
}

typedef enum { ADD, MUL, DIV } arithmetic_op;

static void arithmetic_row(float *out, const float *a, int64_t sa, const float *b, int64_t sb, int64_t n, arithmetic_op op) {
    switch (op) {
    case ADD:
        for (int64_t i = 0; i < n; i++) out[i] = a[i * sa] + b[i * sb];
        break;
    case MUL:
        for (int64_t i = 0; i < n; i++) out[i] = a[i * sa] * b[i * sb];
        break;
    case DIV:
        for (int64_t i = 0; i < n; i++) out[i] = a[i * sa] / b[i * sb];
        break;
    }
}

static ehm_code arithmetic(const ehm_onnx_call *c, arithmetic_op op, ehm_err *err) {
    const ehm_onnx_tensor *a = c->in[0], *b = c->in[1];
    spread s;
    int64_t index[EHM_ONNX_RANK] = {0}, p[2] = {0};
    if (!broadcast(&s, a, b)) return wrong(c, "takes shapes that do not go together", err);
    EHM_TRY(make(c, 0, EHM_ONNX_FLOAT, s.rank, s.dim, err));
    int32_t last = s.rank - 1;
    int64_t n = s.rank ? s.dim[last] : 1, sa = s.rank ? s.step[0][last] : 0, sb = s.rank ? s.step[1][last] : 0;
    for (int64_t at = 0; at < c->out->count; at += n) {
        arithmetic_row(c->out->f + at, a->f + p[0], sa, b->f + p[1], sb, n, op);
        advance(index, p, &s, last);
    }
    return EHM_OK;
}

static ehm_code op_add(const ehm_onnx_call *c, ehm_err *err) { return arithmetic(c, ADD, err); }
static ehm_code op_mul(const ehm_onnx_call *c, ehm_err *err) { return arithmetic(c, MUL, err); }
static ehm_code op_div(const ehm_onnx_call *c, ehm_err *err) { return arithmetic(c, DIV, err); }

static ehm_code op_matmul(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *a = c->in[0], *b = c->in[1];
    if (a->rank < 2 || b->rank < 2) return unsupported(c, "takes a vector", err);
    int64_t M = a->dim[a->rank - 2], K = a->dim[a->rank - 1], N = b->dim[b->rank - 1], index[EHM_ONNX_RANK] = {0}, p[2] = {0};
    ehm_onnx_tensor x = *a, y = *b;
    spread s;
    x.rank -= 2, y.rank -= 2;
    if (K != b->dim[b->rank - 2] || !broadcast(&s, &x, &y)) return wrong(c, "takes shapes that do not go together", err);
    s.dim[s.rank] = M, s.dim[s.rank + 1] = N; /* at most six: either operand has as many */
    EHM_TRY(make(c, 0, EHM_ONNX_FLOAT, s.rank + 2, s.dim, err));
    if (!y.rank) M *= product(x.dim, 0, x.rank); /* one weight for all */
    float *pack = new_floats(K * TILE_N, err);
    if (!pack) return EHM_E_MEMORY;
    for (int64_t at = 0; at < c->out->count; at += M * N) {
        matmul(c->out->f + at, a->f + p[0] * M * K, b->f + p[1] * K * N, M, K, N, pack);
        advance(index, p, &s, s.rank);
    }
    free(pack);
    return EHM_OK;
}

static ehm_code op_gemm(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *a = c->in[0], *w = c->in[1], *bias = c->in[2];
    if (float_or(c, "alpha", 1) != 1 || float_or(c, "beta", 1) != 1 || int_or(c, "transA", 0) || int_or(c, "transB", 0) != 1)
        return unsupported(c, "scales, or does not transpose its second input alone", err);
    if (a->rank != 2 || w->rank != 2 || a->dim[1] != w->dim[1] || (bias && (bias->rank != 1 || bias->dim[0] != w->dim[0]))) return wrong(c, "takes shapes that do not go together", err);
    int64_t M = a->dim[0], N = w->dim[0], K = a->dim[1];
    EHM_TRY(make(c, 0, EHM_ONNX_FLOAT, 2, (const int64_t[]){M, N}, err));
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            double sum = bias ? (double)bias->f[n] : 0;
            for (int64_t k = 0; k < K; k++) sum += (double)a->f[m * K + k] * (double)w->f[n * K + k];
            c->out->f[m * N + n] = (float)sum;
        }
    return EHM_OK;
}

/* Patches of one picture as columns: [C*kh*kw, oh*ow]. */
static void unfold(float *col, const float *x, int64_t C, int64_t H, int64_t W, const int64_t *kernel, const int64_t *stride, int64_t oh, int64_t ow) {
    for (int64_t ch = 0; ch < C; ch++)
        for (int64_t ky = 0; ky < kernel[0]; ky++)
            for (int64_t kx = 0; kx < kernel[1]; kx++)
                for (int64_t y = 0; y < oh; y++)
                    for (int64_t z = 0; z < ow; z++) *col++ = x[(ch * H + y * stride[0] + ky) * W + z * stride[1] + kx];
}

static ehm_code op_conv(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0], *w = c->in[1], *bias = c->in[2];
    const ehm_onnx_attr *strides = attr(c, "strides"), *kernel = attr(c, "kernel_shape");
    if (x->rank != 4 || w->rank != 4) return unsupported(c, "is not over pictures", err);
    if (int_or(c, "group", 1) != 1) return unsupported(c, "has groups", err);
    int64_t D = w->dim[0], C = w->dim[1], H = x->dim[2], W = x->dim[3], step[2] = {1, 1};
    if (strides && strides->n == 2) memcpy(step, strides->ints, sizeof step);
    if (step[0] < 1 || step[1] < 1 || x->dim[1] != C || H < w->dim[2] || W < w->dim[3] || (bias && (bias->rank != 1 || bias->dim[0] != D)) ||
        (kernel && (kernel->n != 2 || kernel->ints[0] != w->dim[2] || kernel->ints[1] != w->dim[3])))
        return wrong(c, "takes shapes that do not go together", err);
    int64_t oh = (H - w->dim[2]) / step[0] + 1, ow = (W - w->dim[3]) / step[1] + 1, L = oh * ow, K = C * w->dim[2] * w->dim[3];
    ehm_onnx_tensor col;
    EHM_TRY(make(c, 0, EHM_ONNX_FLOAT, 4, (const int64_t[]){x->dim[0], D, oh, ow}, err));
    EHM_TRY(ehm_onnx_tensor_new(&col, EHM_ONNX_FLOAT, 2, (const int64_t[]){K, L}, err));
    float *pack = new_floats(K * TILE_N, err);
    for (int64_t i = 0; pack && i < x->dim[0]; i++) {
        float *out = c->out->f + i * D * L;
        unfold(col.f, x->f + i * C * H * W, C, H, W, w->dim + 2, step, oh, ow);
        matmul(out, w->f, col.f, D, K, L, pack);
        for (int64_t d = 0; bias && d < D; d++)
            for (int64_t l = 0; l < L; l++) out[d * L + l] += bias->f[d];
    }
    ehm_code rc = pack ? EHM_OK : EHM_E_MEMORY;
    free(pack);
    ehm_onnx_tensor_free(&col);
    return rc;
}

/* ---- number by number, row by row ---- */

static ehm_code op_erf(const ehm_onnx_call *c, ehm_err *err) {
    EHM_TRY(make_like(c, c->in[0], err));
    for (int64_t i = 0; i < c->out->count; i++) c->out->f[i] = erff(c->in[0]->f[i]);
    return EHM_OK;
}

static ehm_code op_gelu(const ehm_onnx_call *c, ehm_err *err) {
    if (c->g->opset < 20) return unsupported(c, "is an operator from opset 20 on", err);
    EHM_TRY(make_like(c, c->in[0], err));
    for (int64_t i = 0; i < c->out->count; i++) {
        float x = c->in[0]->f[i];
        c->out->f[i] = 0.5f * x * (1 + erff(x * 0.70710678f));
    }
    return EHM_OK;
}

static ehm_code op_identity(const ehm_onnx_call *c, ehm_err *err) {
    EHM_TRY(make_like(c, c->in[0], err));
    memcpy(bytes_of(c->out), bytes_of(c->in[0]), (size_t)c->out->count * size_of(c->out));
    return EHM_OK;
}

static ehm_code op_softmax(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0];
    if (!x->rank || axis_of(int_or(c, "axis", -1), x->rank) != x->rank - 1) return unsupported(c, "is not over the last axis", err);
    int64_t n = x->dim[x->rank - 1];
    EHM_TRY(make_like(c, x, err));
    for (int64_t at = 0; at < x->count; at += n) {
        const float *v = x->f + at;
        float *out = c->out->f + at, most = v[0];
        double sum = 0;
        for (int64_t i = 1; i < n; i++) most = v[i] > most ? v[i] : most;
        for (int64_t i = 0; i < n; i++) sum += (double)(out[i] = expf(v[i] - most));
        for (int64_t i = 0; i < n; i++) out[i] = (float)((double)out[i] / sum);
    }
    return EHM_OK;
}

static ehm_code op_layer_norm(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0], *scale = c->in[1], *bias = c->in[2];
    if (!x->rank || axis_of(int_or(c, "axis", -1), x->rank) != x->rank - 1) return unsupported(c, "is not over the last axis", err);
    int64_t n = x->dim[x->rank - 1];
    double epsilon = (double)float_or(c, "epsilon", 1e-5f);
    if (scale->rank != 1 || scale->dim[0] != n || (bias && (bias->rank != 1 || bias->dim[0] != n))) return wrong(c, "takes shapes that do not go together", err);
    EHM_TRY(make_like(c, x, err));
    for (int64_t at = 0; at < x->count; at += n) {
        const float *v = x->f + at;
        double mean = 0, var = 0;
        for (int64_t i = 0; i < n; i++) mean += (double)v[i];
        mean /= (double)n;
        for (int64_t i = 0; i < n; i++) var += ((double)v[i] - mean) * ((double)v[i] - mean);
        double rstd = 1 / sqrt(var / (double)n + epsilon);
        for (int64_t i = 0; i < n; i++) c->out->f[at + i] = (float)(((double)v[i] - mean) * rstd * (double)scale->f[i] + (bias ? (double)bias->f[i] : 0));
    }
    return EHM_OK;
}

/* The axis is an attribute up to 17 and an input from 18 on. */
static ehm_code op_reduce_mean(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0], *axes = c->in[1];
    const ehm_onnx_attr *given = attr(c, "axes");
    int64_t dim[EHM_ONNX_RANK];
    int32_t rank = 0, axis;
    bool input = c->g->opset >= 18;
    if (input ? given || !axes || axes->count != 1 : axes || !given || given->n != 1) return unsupported(c, "is not over one axis", err);
    if ((axis = axis_of(input ? axes->i[0] : given->ints[0], x->rank)) < 0) return wrong(c, "has an axis that is not there", err);
    for (int32_t i = 0; i < x->rank; i++)
        if (i != axis) dim[rank++] = x->dim[i];
        else if (int_or(c, "keepdims", 1)) dim[rank++] = 1;
    EHM_TRY(make(c, 0, EHM_ONNX_FLOAT, rank, dim, err));
    int64_t outer = product(x->dim, 0, axis), n = x->dim[axis], inner = product(x->dim, axis + 1, x->rank);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < inner; k++) {
            double sum = 0;
            for (int64_t i = 0; i < n; i++) sum += (double)x->f[(o * n + i) * inner + k];
            c->out->f[o * inner + k] = (float)(sum / (double)n);
        }
    return EHM_OK;
}

/* ---- shapes ---- */

static ehm_code op_shape(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0];
    int64_t from = int_or(c, "start", 0), to = int_or(c, "end", x->rank);
    from = from < 0 ? from + x->rank : from, to = to < 0 ? to + x->rank : to;
    to = to > x->rank ? x->rank : to;
    if (from < 0 || from >= to) return unsupported(c, "asks for no dimension", err);
    EHM_TRY(make(c, 0, EHM_ONNX_INT64, 1, (const int64_t[]){to - from}, err));
    memcpy(c->out->i, x->dim + from, (size_t)(to - from) * sizeof *x->dim);
    return EHM_OK;
}

/* 0: as it was; one -1: what is left. */
static ehm_code op_reshape(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0], *shape = c->in[1];
    int64_t dim[EHM_ONNX_RANK], known = 1;
    int32_t free_at = -1;
    if (shape->rank != 1 || shape->count > EHM_ONNX_RANK || int_or(c, "allowzero", 0)) return unsupported(c, "asks for a shape", err);
    for (int32_t i = 0; i < shape->count; i++) {
        dim[i] = shape->i[i] ? shape->i[i] : i < x->rank ? x->dim[i] : -2;
        if (dim[i] == -1 && free_at < 0) free_at = i;
        else if (dim[i] < 1 || __builtin_mul_overflow(known, dim[i], &known)) return wrong(c, "asks for a shape that cannot be", err);
    }
    if (free_at >= 0) dim[free_at] = x->count / known;
    if (free_at >= 0 ? x->count % known || !dim[free_at] : known != x->count) return wrong(c, "asks for a shape of another size", err);
    EHM_TRY(make(c, 0, x->type, (int32_t)shape->count, dim, err));
    memcpy(bytes_of(c->out), bytes_of(x), (size_t)x->count * size_of(x));
    return EHM_OK;
}

static ehm_code op_transpose(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0];
    const ehm_onnx_attr *perm = attr(c, "perm");
    spread s = {.rank = x->rank};
    int64_t step[EHM_ONNX_RANK], index[EHM_ONNX_RANK] = {0}, p[2] = {0}, one = 1;
    uint32_t seen = 0;
    if (!perm || perm->n != x->rank || !x->rank) return unsupported(c, "has no order of its axes", err);
    for (int32_t i = x->rank - 1; i >= 0; i--) step[i] = one, one *= x->dim[i];
    for (int32_t i = 0; i < x->rank; i++) {
        int64_t from = perm->ints[i];
        if (from < 0 || from >= x->rank || seen & 1u << from) return wrong(c, "has an order that names an axis twice or one that is not there", err);
        seen |= 1u << from;
        s.dim[i] = x->dim[from], s.step[0][i] = step[from];
    }
    EHM_TRY(make(c, 0, x->type, x->rank, s.dim, err));
    size_t size = size_of(x);
    for (int64_t at = 0; at < x->count; at++) {
        memcpy(bytes_of(c->out) + (size_t)at * size, bytes_of(x) + (size_t)p[0] * size, size);
        advance(index, p, &s, s.rank);
    }
    return EHM_OK;
}

static ehm_code op_expand(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0], *shape = c->in[1];
    ehm_onnx_tensor wanted = {.rank = (int32_t)shape->count, .count = 1};
    int64_t index[EHM_ONNX_RANK] = {0}, p[2] = {0};
    spread s;
    if (shape->rank != 1 || shape->count > EHM_ONNX_RANK) return unsupported(c, "asks for more than six dimensions", err);
    for (int32_t i = 0; i < wanted.rank; i++) {
        wanted.dim[i] = shape->i[i];
        if (wanted.dim[i] < 1 || wanted.dim[i] > EHM_ONNX_COUNT_MAX || (wanted.count *= wanted.dim[i]) > EHM_ONNX_COUNT_MAX) return wrong(c, "asks for a shape that cannot be", err);
    }
    if (x->type != EHM_ONNX_FLOAT) return unsupported(c, "is not over floats", err);
    if (!broadcast(&s, x, &wanted)) return wrong(c, "takes shapes that do not go together", err);
    EHM_TRY(make(c, 0, EHM_ONNX_FLOAT, s.rank, s.dim, err));
    memset(s.step[1], 0, sizeof s.step[1]);
    for (int64_t at = 0; at < c->out->count; at++) {
        c->out->f[at] = x->f[p[0]];
        advance(index, p, &s, s.rank);
    }
    return EHM_OK;
}

/* Rows along an axis, from one tensor into another: n of them, [outer, from_n, inner] -> [outer, to_n, inner]. */
static void copy_rows(const ehm_onnx_tensor *to, int64_t to_at, const ehm_onnx_tensor *from, int64_t from_at, int64_t n, int32_t axis) {
    int64_t outer = product(from->dim, 0, axis), inner = product(from->dim, axis + 1, from->rank);
    size_t row = (size_t)inner * size_of(from);
    for (int64_t o = 0; o < outer; o++)
        memcpy(bytes_of(to) + (size_t)(o * to->dim[axis] + to_at) * row, bytes_of(from) + (size_t)(o * from->dim[axis] + from_at) * row, (size_t)n * row);
}

static ehm_code op_concat(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0];
    int32_t axis = attr(c, "axis") ? axis_of(int_or(c, "axis", 0), x->rank) : -1;
    int64_t dim[EHM_ONNX_RANK], at = 0;
    if (axis < 0) return wrong(c, "has no axis, or one that is not there", err);
    memcpy(dim, x->dim, sizeof dim);
    for (int32_t k = 1; k < c->op->n_in; k++) {
        const ehm_onnx_tensor *y = c->in[k];
        bool fits = y && y->type == x->type && y->rank == x->rank;
        for (int32_t i = 0; fits && i < x->rank; i++) fits = i == axis || y->dim[i] == x->dim[i];
        if (!fits) return wrong(c, "takes shapes that do not go together", err);
        dim[axis] += y->dim[axis];
    }
    EHM_TRY(make(c, 0, x->type, x->rank, dim, err));
    for (int32_t k = 0; k < c->op->n_in; at += c->in[k++]->dim[axis]) copy_rows(c->out, at, c->in[k], 0, c->in[k]->dim[axis], axis);
    return EHM_OK;
}

static ehm_code op_split(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0], *sizes = c->in[1];
    int32_t axis = axis_of(int_or(c, "axis", 0), x->rank);
    int64_t dim[EHM_ONNX_RANK], at = 0;
    if (!sizes || sizes->count != c->op->n_out) return unsupported(c, "does not say how many rows each output has", err);
    if (axis < 0) return wrong(c, "has an axis that is not there", err);
    memcpy(dim, x->dim, sizeof dim);
    for (int32_t k = 0; k < c->op->n_out; k++) {
        int64_t n = sizes->i[k];
        if (n < 1 || n > x->dim[axis] - at) return wrong(c, "has parts that are not all of its input", err);
        dim[axis] = n;
        EHM_TRY(make(c, k, x->type, x->rank, dim, err));
        copy_rows(&c->out[k], 0, x, at, n, axis);
        at += n;
    }
    return at == x->dim[axis] ? EHM_OK : wrong(c, "has parts that are not all of its input", err);
}

static ehm_code op_gather(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0], *index = c->in[1];
    int32_t axis = axis_of(int_or(c, "axis", 0), x->rank), rank = 0;
    int64_t dim[EHM_ONNX_RANK];
    if (axis < 0) return wrong(c, "has an axis that is not there", err);
    if (index->rank) return unsupported(c, "takes more than one row", err);
    int64_t i = index->i[0] < 0 ? index->i[0] + x->dim[axis] : index->i[0];
    if (i < 0 || i >= x->dim[axis]) return wrong(c, "takes a row that is not there", err);
    for (int32_t k = 0; k < x->rank; k++)
        if (k != axis) dim[rank++] = x->dim[k];
    EHM_TRY(make(c, 0, x->type, rank, dim, err));
    ehm_onnx_tensor flat = *c->out; /* with the axis, as one row */
    flat.rank = x->rank;
    memcpy(flat.dim, x->dim, sizeof flat.dim), flat.dim[axis] = 1;
    copy_rows(&flat, 0, x, i, 1, axis);
    return EHM_OK;
}

static ehm_code op_slice(const ehm_onnx_call *c, ehm_err *err) {
    const ehm_onnx_tensor *x = c->in[0], *starts = c->in[1], *ends = c->in[2], *axes = c->in[3], *steps = c->in[4];
    if (!axes || starts->count != 1 || ends->count != 1 || axes->count != 1 || (steps && (steps->count != 1 || steps->i[0] != 1)))
        return unsupported(c, "is not of one axis without steps", err);
    int32_t axis = axis_of(axes->i[0], x->rank);
    int64_t dim[EHM_ONNX_RANK], n, from = starts->i[0], to = ends->i[0];
    if (axis < 0) return wrong(c, "has an axis that is not there", err);
    n = x->dim[axis];
    from = from < -n ? 0 : from < 0 ? from + n : from;
    to = to < -n ? 0 : to < 0 ? to + n : to > n ? n : to;
    if (from >= to) return unsupported(c, "takes no rows", err);
    memcpy(dim, x->dim, sizeof dim), dim[axis] = to - from;
    EHM_TRY(make(c, 0, x->type, x->rank, dim, err));
    copy_rows(c->out, 0, x, from, to - from, axis);
    return EHM_OK;
}

/* ---- the table ---- */

/* in: a letter for each input, f floats, i integers, * either; after | they may be left out; + repeats the last. */
static const struct { const char *op, *in, *attrs; int32_t n_out; ehm_code (*run)(const ehm_onnx_call *, ehm_err *); } ops[] = {
    {"Add", "ff", "", 1, op_add},
    {"Concat", "*+", "axis", 1, op_concat},
    {"Conv", "ff|f", "kernel_shape strides group", 1, op_conv},
    {"Div", "ff", "", 1, op_div},
    {"Erf", "f", "", 1, op_erf},
    {"Expand", "fi", "", 1, op_expand},
    {"Gather", "*i", "axis", 1, op_gather},
    {"Gelu", "f", "", 1, op_gelu},
    {"Gemm", "ff|f", "alpha beta transA transB", 1, op_gemm},
    {"Identity", "*", "", 1, op_identity},
    {"LayerNormalization", "ff|f", "axis epsilon", 1, op_layer_norm},
    {"MatMul", "ff", "", 1, op_matmul},
    {"Mul", "ff", "", 1, op_mul},
    {"ReduceMean", "f|i", "axes keepdims", 1, op_reduce_mean},
    {"Reshape", "*i", "allowzero", 1, op_reshape},
    {"Shape", "*", "start end", 1, op_shape},
    {"Slice", "*ii|ii", "", 1, op_slice},
    {"Softmax", "f", "axis", 1, op_softmax},
    {"Split", "*|i", "axis", EHM_ONNX_ARGS, op_split},
    {"Transpose", "*", "perm", 1, op_transpose},
};

static bool is_word_of(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *p = list; *p; p += strcspn(p, " "), p += *p == ' ')
        if (strcspn(p, " ") == n && !memcmp(p, word, n)) return true;
    return false;
}

static ehm_code check_inputs(const ehm_onnx_call *c, const char *want, ehm_err *err) {
    bool optional = false, repeats = strchr(want, '+') != NULL;
    int32_t k = 0;
    for (const char *p = want; *p && *p != '+'; p++) {
        if (*p == '|') optional = true;
        else {
            const ehm_onnx_tensor *t = k < c->op->n_in ? c->in[k] : NULL;
            if (!t && !optional) return wrong(c, "lacks an input", err);
            if (t && *p != '*' && t->type != (*p == 'f' ? EHM_ONNX_FLOAT : EHM_ONNX_INT64)) return wrong(c, "takes an input of another type", err);
            k++;
        }
    }
    return repeats || c->op->n_in <= k ? EHM_OK : unsupported(c, "has further inputs", err);
}

ehm_code ehm_onnx_call_op(const ehm_onnx_call *c, ehm_err *err) {
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(ops[i].op, c->op->op)) continue;
        for (int32_t k = 0; k < c->op->n_attr; k++)
            if (!is_word_of(ops[i].attrs, c->op->attr[k].name)) {
                char what[96];
                snprintf(what, sizeof what, "has the attribute \"%.60s\"", c->op->attr[k].name);
                return unsupported(c, what, err);
            }
        if (c->op->n_out < 1 || c->op->n_out > ops[i].n_out) return unsupported(c, "has further outputs, or none", err);
        EHM_TRY(check_inputs(c, ops[i].in, err));
        return ops[i].run(c, err);
    }
    return EHM_FAIL(err, EHM_E_UNSUPPORTED, "%s: node \"%.80s\" is the operator \"%.40s\", which is not evaluated here", c->g->path, name_of(c), c->op->op);
}
