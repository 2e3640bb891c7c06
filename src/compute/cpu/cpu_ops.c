/* Element-wise and row-wise ops: each cuts its work into pieces of a fixed size, so that results do not
 * depend on the threads. Sums over rows or over everything are made per fixed block and joined in order. */
#include "compute/cpu/cpu_int.h"
#include <math.h>
#include <string.h>

enum { ELEMENTS = 16384, SUM_BLOCK = 16384, MAX_ROW_BLOCKS = 128, LEAST_ROWS = 32 };
enum { PROBS_ROWS = 336, PROBS_HEADS = 12 }; /* of attention probabilities: most rows, and least heads, a task */

static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static bool is_bf16(ehm_view v) { return v.dtype == EHM_BF16; }
static void *at(void *p, bool bf16, int64_t i) { return (char *)p + i * (bf16 ? 2 : 4); }
static const void *at_const(const void *p, bool bf16, int64_t i) {
    return (const char *)p + i * (bf16 ? 2 : 4);
}

typedef struct {
    ehm_cpu *c;
    const void *args;
    float *partial;
    int64_t block;
    double *sums;
    float coef[9];
} ops_job;
static void each(ehm_cpu *c, int64_t n, int64_t grain, ehm_pool_fn fn, const void *args) {
    ops_job j = {.c = c, .args = args};
    if (!c->failed) ehm_pool_for(c->pool, n, grain, fn, &j);
}
#define EACH_FN(name) static void name(void *ctx, int64_t begin, int64_t end, int32_t i_thread)
#define OPEN_JOB(type)                 \
    const ops_job *j = ctx;            \
    const type *a = j->args;           \
    const ehm_row_kern *k = j->c->row; \
    (void)i_thread, (void)k

/* ---- elements ---- */
EACH_FN(fill_some) {
    OPEN_JOB(ehm_fill_args);
    if (is_bf16(a->x)) {
        uint16_t *x = ehm_ptr(a->x), v = ehm_bf16_of(a->value);
        for (int64_t i = begin; i < end; i++) x[i] = v;
    } else {
        float *x = ehm_ptr(a->x);
        for (int64_t i = begin; i < end; i++) x[i] = a->value;
    }
}
void ehm_cpu_op_fill(void *self, const ehm_fill_args *a) {
    each(self, ehm_view_count(a->x), 4 * ELEMENTS, fill_some, a);
}

EACH_FN(cast_some) {
    OPEN_JOB(ehm_cast_args);
    int64_t n = end - begin;
    bool ob = is_bf16(a->out), xb = is_bf16(a->x);
    void *out = at(ehm_ptr(a->out), ob, begin);
    const void *x = at_const(ehm_ptr(a->x), xb, begin);
    if (ob == xb) memcpy(out, x, (size_t)n * (ob ? 2 : 4));
    else if (ob) k->to_bf16(out, x, n);
    else k->to_f32(out, x, n);
}
void ehm_cpu_op_cast(void *self, const ehm_cast_args *a) {
    each(self, ehm_view_count(a->out), 4 * ELEMENTS, cast_some, a);
}

EACH_FN(axpby_some) {
    OPEN_JOB(ehm_axpby_args);
    k->axpby((float *)ehm_ptr(a->out) + begin, (const float *)ehm_ptr(a->x) + begin, a->a, a->b, end - begin);
}
void ehm_cpu_op_axpby(void *self, const ehm_axpby_args *a) {
    each(self, ehm_view_count(a->out), 4 * ELEMENTS, axpby_some, a);
}

EACH_FN(gelu_fwd_some) {
    OPEN_JOB(ehm_gelu_fwd_args);
    bool ob = is_bf16(a->out), xb = is_bf16(a->x);
    k->gelu_fwd(at(ehm_ptr(a->out), ob, begin), ob, at_const(ehm_ptr(a->x), xb, begin), xb, end - begin);
}
void ehm_cpu_op_gelu_fwd(void *self, const ehm_gelu_fwd_args *a) {
    each(self, ehm_view_count(a->out), ELEMENTS, gelu_fwd_some, a);
}

EACH_FN(gelu_bwd_some) {
    OPEN_JOB(ehm_gelu_bwd_args);
    bool db = is_bf16(a->dx), gb = is_bf16(a->dout), xb = is_bf16(a->x);
    k->gelu_bwd(at(ehm_ptr(a->dx), db, begin), db, at_const(ehm_ptr(a->dout), gb, begin), gb,
                at_const(ehm_ptr(a->x), xb, begin), xb, end - begin);
}
void ehm_cpu_op_gelu_bwd(void *self, const ehm_gelu_bwd_args *a) {
    each(self, ehm_view_count(a->dx), ELEMENTS, gelu_bwd_some, a);
}

EACH_FN(ema_some) {
    OPEN_JOB(ehm_ema_args);
    k->ema((float *)ehm_ptr(a->avg) + begin, (const float *)ehm_ptr(a->p) + begin, a->decay, end - begin);
}
void ehm_cpu_op_ema(void *self, const ehm_ema_args *a) {
    each(self, ehm_view_count(a->avg), ELEMENTS, ema_some, a);
}

/* ---- optimiser ---- */
EACH_FN(adamw_some) {
    OPEN_JOB(ehm_adamw_args);
    uint16_t *p_act = ehm_ptr(a->p_act);
    k->adamw((float *)ehm_ptr(a->p) + begin, (const float *)ehm_ptr(a->g) + begin,
             (float *)ehm_ptr(a->m) + begin, (float *)ehm_ptr(a->v) + begin, p_act ? p_act + begin : NULL,
             j->coef, end - begin);
}
void ehm_cpu_op_adamw(void *self, const ehm_adamw_args *a) {
    ehm_cpu *c = self;
    ops_job j = {.c = c, .args = a};
    float factor = *(const float *)ehm_ptr(a->factor);
    if (c->failed || isnan(factor)) return;
    j.coef[ADAM_FACTOR] = factor;
    j.coef[ADAM_KEEP] = (float)(1 - (double)a->lr * (double)a->weight_decay);
    j.coef[ADAM_B1] = a->beta1, j.coef[ADAM_1MB1] = (float)(1 - (double)a->beta1);
    j.coef[ADAM_B2] = a->beta2, j.coef[ADAM_1MB2] = (float)(1 - (double)a->beta2);
    j.coef[ADAM_STEP] = (float)((double)a->lr / (1 - pow((double)a->beta1, (double)a->t)));
    j.coef[ADAM_RSQRT_C2] = (float)(1 / sqrt(1 - pow((double)a->beta2, (double)a->t)));
    j.coef[ADAM_EPS] = a->eps;
    ehm_pool_for(c->pool, ehm_view_count(a->p), ELEMENTS, adamw_some, &j);
}
void ehm_cpu_op_clip_factor(void *self, const ehm_clip_factor_args *a) {
    ehm_cpu *c = self;
    if (c->failed) return;
    double norm = sqrt((double)*(const float *)ehm_ptr(a->sumsq)) * (double)a->grad_scale,
           factor = (double)a->grad_scale;
    if (!isfinite(norm)) factor = (double)NAN;
    else if (a->max_norm > 0) factor *= fmin(1, (double)a->max_norm / (norm + 1e-6));
    *(float *)ehm_ptr(a->norm) = (float)norm;
    *(float *)ehm_ptr(a->factor) = (float)factor;
}

/* ---- sums over everything ---- */
typedef struct {
    ehm_cpu *c;
    const float *x;
    int64_t n;
    double *sums;
    bool square;
} sum_job;
EACH_FN(sum_blocks) {
    const sum_job *j = ctx;
    (void)i_thread;
    for (int64_t b = begin; b < end; b++) {
        int64_t i = b * SUM_BLOCK, n = least(SUM_BLOCK, j->n - i);
        j->sums[b] = j->square ? j->c->row->sumsq(j->x + i, n) : j->c->row->sum(j->x + i, n);
    }
}
static void sum_all(ehm_cpu *c, ehm_view out, ehm_view x, bool square, double scale, bool accumulate) {
    sum_job j = {.c = c, .x = ehm_ptr(x), .n = ehm_view_count(x), .square = square};
    int64_t blocks = up(j.n, SUM_BLOCK);
    float *o = ehm_ptr(out);
    double total = 0;
    if (c->failed || !(j.sums = ehm_cpu_shared(c, (size_t)blocks * sizeof *j.sums))) return;
    ehm_pool_for(c->pool, blocks, 4, sum_blocks, &j);
    for (int64_t b = 0; b < blocks; b++) total += j.sums[b];
    *o = (float)(total * scale + (accumulate ? (double)*o : 0));
}
void ehm_cpu_op_sum(void *self, const ehm_sum_args *a) {
    sum_all(self, a->out, a->x, false, (double)a->scale, a->accumulate);
}
void ehm_cpu_op_sumsq(void *self, const ehm_sumsq_args *a) {
    sum_all(self, a->out, a->x, true, 1, a->accumulate);
}

/* ---- sums over rows ---- */
static int64_t rows_a_block(int64_t rows) { /* by size alone: it decides the order of sums */
    int64_t b = up(rows, MAX_ROW_BLOCKS);
    return b < LEAST_ROWS ? LEAST_ROWS : b;
}
/* out[c] (+)= partial[0][c] + partial[1][c] + ...; rows of partial are ld apart */
static void join_blocks(float *out, const float *partial, int64_t blocks, int64_t cols, int64_t ld,
                        bool add) {
    for (int64_t c = 0; c < cols; c += 64) {
        float s[64];
        int64_t n = least(64, cols - c);
        memcpy(s, partial + c, (size_t)n * 4);
        for (int64_t b = 1; b < blocks; b++)
            for (int64_t i = 0; i < n; i++) s[i] += partial[b * ld + c + i];
        for (int64_t i = 0; i < n; i++) out[c + i] = add ? out[c + i] + s[i] : s[i];
    }
}
typedef struct {
    ehm_cpu *c;
    ehm_view x;
    float *partial;
    int64_t rows, cols, block;
} colsum_job;
EACH_FN(colsum_blocks) {
    const colsum_job *j = ctx;
    (void)i_thread;
    for (int64_t b = begin; b < end; b++) {
        int64_t r = b * j->block;
        j->c->row->colsum(j->partial + b * j->cols, at_const(ehm_ptr(j->x), is_bf16(j->x), r * j->cols),
                          is_bf16(j->x), least(j->block, j->rows - r), j->cols, j->cols);
    }
}
void ehm_cpu_op_colsum(void *self, const ehm_colsum_args *a) {
    ehm_cpu *c = self;
    colsum_job j = {.c = c, .x = a->x, .cols = a->x.dim[a->x.rank - 1]};
    j.rows = ehm_view_count(a->x) / j.cols, j.block = rows_a_block(j.rows);
    int64_t blocks = up(j.rows, j.block);
    if (c->failed || !(j.partial = ehm_cpu_shared(c, (size_t)(blocks * j.cols) * 4))) return;
    ehm_pool_for(c->pool, blocks, 1, colsum_blocks, &j);
    join_blocks(ehm_ptr(a->out), j.partial, blocks, j.cols, j.cols, a->accumulate);
}

/* ---- layer norm ---- */
EACH_FN(norm_fwd_some) {
    OPEN_JOB(ehm_norm_fwd_args);
    int64_t d = a->x.dim[a->x.rank - 1];
    bool ob = is_bf16(a->out);
    k->norm_fwd(at(ehm_ptr(a->out), ob, begin * d), ob, (float *)ehm_ptr(a->mean) + begin,
                (float *)ehm_ptr(a->rstd) + begin, (const float *)ehm_ptr(a->x) + begin * d,
                ehm_ptr(a->weight), ehm_ptr(a->bias), a->eps, end - begin, d);
}
void ehm_cpu_op_norm_fwd(void *self, const ehm_norm_fwd_args *a) {
    int64_t d = a->x.dim[a->x.rank - 1];
    each(self, ehm_view_count(a->x) / d, 1 + ELEMENTS / d, norm_fwd_some, a);
}
EACH_FN(norm_bwd_blocks) {
    OPEN_JOB(ehm_norm_bwd_args);
    int64_t d = a->x.dim[a->x.rank - 1], rows = ehm_view_count(a->x) / d;
    bool gb = is_bf16(a->dout);
    for (int64_t b = begin; b < end; b++) {
        int64_t r = b * j->block;
        float *p = j->partial ? j->partial + b * 2 * d : NULL;
        k->norm_bwd((float *)ehm_ptr(a->dx) + r * d, p && a->dweight.rank ? p : NULL,
                    p && a->dbias.rank ? p + d : NULL, at_const(ehm_ptr(a->dout), gb, r * d), gb,
                    (const float *)ehm_ptr(a->x) + r * d, (const float *)ehm_ptr(a->mean) + r,
                    (const float *)ehm_ptr(a->rstd) + r, ehm_ptr(a->weight), a->accumulate_dx,
                    least(j->block, rows - r), d);
    }
}
void ehm_cpu_op_norm_bwd(void *self, const ehm_norm_bwd_args *a) {
    ehm_cpu *c = self;
    int64_t d = a->x.dim[a->x.rank - 1], rows = ehm_view_count(a->x) / d;
    ops_job j = {.c = c, .args = a, .block = rows_a_block(rows)};
    int64_t blocks = up(rows, j.block);
    if (c->failed) return;
    if ((a->dweight.rank || a->dbias.rank) && !(j.partial = ehm_cpu_shared(c, (size_t)(blocks * 2 * d) * 4)))
        return;
    ehm_pool_for(c->pool, blocks, 1, norm_bwd_blocks, &j);
    if (a->dweight.rank) join_blocks(ehm_ptr(a->dweight), j.partial, blocks, d, 2 * d, true);
    if (a->dbias.rank) join_blocks(ehm_ptr(a->dbias), j.partial + d, blocks, d, 2 * d, true);
}

/* ---- losses ---- */
EACH_FN(mse_some) {
    OPEN_JOB(ehm_mse_args);
    int64_t f = a->pred.dim[a->pred.rank - 1];
    bool db = is_bf16(a->dpred), pb = is_bf16(a->pred);
    k->mse((float *)ehm_ptr(a->row_loss) + begin, a->dpred.rank ? at(ehm_ptr(a->dpred), db, begin * f) : NULL,
           db, at_const(ehm_ptr(a->pred), pb, begin * f), pb, (const float *)ehm_ptr(a->target) + begin * f,
           a->scale, end - begin, f);
}
void ehm_cpu_op_mse(void *self, const ehm_mse_args *a) {
    int64_t f = a->pred.dim[a->pred.rank - 1];
    each(self, ehm_view_count(a->pred) / f, 1 + ELEMENTS / f, mse_some, a);
}
EACH_FN(target_rows) {
    OPEN_JOB(ehm_pixel_target_args);
    const int32_t *idx = ehm_ptr(a->idx);
    int64_t m = a->idx.dim[1], l = a->patches.dim[1], p = a->patches.dim[2];
    for (int64_t i = begin; i < end; i++) {
        const float *x = (const float *)ehm_ptr(a->patches) + (i / m * l + idx[i]) * p;
        float *t = (float *)ehm_ptr(a->target) + i * p;
        if (!a->norm_pix) {
            memcpy(t, x, (size_t)p * 4);
            continue;
        }
        /* Once a step and small: double costs nothing here and flat patches keep their digits. */
        double mean = k->sum(x, p) / (double)p, square = 0;
        for (int64_t q = 0; q < p; q++) square += ((double)x[q] - mean) * ((double)x[q] - mean);
        double rstd = 1 / sqrt(square / (double)(p - 1) + 1e-6); /* unbiased, as MAE's torch.var is */
        for (int64_t q = 0; q < p; q++) t[q] = (float)(((double)x[q] - mean) * rstd);
    }
}
void ehm_cpu_op_pixel_target(void *self, const ehm_pixel_target_args *a) {
    each(self, a->idx.dim[0] * a->idx.dim[1], 16, target_rows, a);
}

/* ---- attention ---- */
typedef struct {
    ehm_cpu *c;
    ehm_view qkv, out, lse, dout, dqkv, probs;
    int64_t b, n, h, k, width, block;
    float scale;
    bool per_head;
} attn_job;
static attn_job attn_of(ehm_cpu *c, ehm_view qkv, int32_t n_heads, float scale) {
    int64_t width = qkv.dim[2] / 3;
    return (attn_job){.c = c,
                      .qkv = qkv,
                      .b = qkv.dim[0],
                      .n = qkv.dim[1],
                      .h = n_heads,
                      .k = width / n_heads,
                      .width = width,
                      .scale = scale};
}
static ehm_attn_head head_of(const attn_job *j, int64_t i, int32_t i_thread) {
    int64_t b = i / j->h, h = i % j->h;
    bool bf = is_bf16(j->qkv);
    ehm_attn_head x = {.n_tokens = j->n,
                       .width = j->width,
                       .head_dim = j->k,
                       .scale = j->scale,
                       .bf16 = bf,
                       .scratch = j->c->own[i_thread].p};
    x.qkv = at_const(ehm_ptr(j->qkv), bf, b * j->n * 3 * j->width + h * j->k);
    if (j->out.rank) x.out = at(ehm_ptr(j->out), bf, b * j->n * j->width + h * j->k);
    if (j->lse.rank) x.lse = (float *)ehm_ptr(j->lse) + i * j->n;
    if (j->dout.rank) x.dout = at_const(ehm_ptr(j->dout), bf, b * j->n * j->width + h * j->k);
    if (j->dqkv.rank) x.dqkv = at(ehm_ptr(j->dqkv), bf, b * j->n * 3 * j->width + h * j->k);
    return x;
}
EACH_FN(attn_heads) {
    const attn_job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        ehm_attn_head h = head_of(j, i, i_thread);
        if (j->dqkv.rank) j->c->attn->bwd(&h);
        else j->c->attn->fwd(&h);
    }
}
void ehm_cpu_op_attn_fwd(void *self, const ehm_attn_fwd_args *a) {
    ehm_cpu *c = self;
    attn_job j = attn_of(c, a->qkv, a->n_heads, a->scale);
    j.out = a->out, j.lse = a->lse;
    if (c->failed || !ehm_cpu_own(c, c->attn->fwd_scratch(j.n, j.k) * 4)) return;
    ehm_pool_for(c->pool, j.b * j.h, 1, attn_heads, &j);
}
void ehm_cpu_op_attn_bwd(void *self, const ehm_attn_bwd_args *a) {
    ehm_cpu *c = self;
    attn_job j = attn_of(c, a->qkv, a->n_heads, a->scale);
    j.out = a->out, j.lse = a->lse, j.dout = a->dout, j.dqkv = a->dqkv;
    if (c->failed || !ehm_cpu_own(c, c->attn->bwd_scratch(j.n, j.k) * 4)) return;
    ehm_pool_for(c->pool, j.b * j.h, 1, attn_heads, &j);
}
/* Some rows of one picture, head after head, so that the mean has a fixed order. */
EACH_FN(probs_blocks) {
    const attn_job *j = ctx;
    int64_t blocks = up(j->n, j->block);
    for (int64_t i = begin; i < end; i++) {
        int64_t b = i / blocks, row0 = i % blocks * j->block;
        for (int64_t q = 0; q < j->h; q++) {
            ehm_attn_head h = head_of(j, b * j->h + q, i_thread);
            h.row0 = row0, h.n_rows = least(j->block, j->n - row0);
            h.probs = (float *)ehm_ptr(j->probs) + (j->per_head ? b * j->h + q : b) * j->n * j->n;
            h.factor = j->per_head ? 1.f : 1.f / (float)j->h;
            h.add_probs = !j->per_head && q;
            if (q + 1 < j->h) h.next = head_of(j, b * j->h + q + 1, i_thread).qkv;
            else if (i + 1 < end) h.next = head_of(j, (i + 1) / blocks * j->h, i_thread).qkv;
            j->c->attn->probs(&h);
        }
    }
}
void ehm_cpu_op_attn_probs(void *self, const ehm_attn_probs_args *a) {
    ehm_cpu *c = self;
    attn_job j = attn_of(c, a->qkv, a->n_heads, a->scale);
    j.probs = a->probs, j.per_head = a->per_head;
    /* Each block of rows turns all keys anew, so few blocks; and some heads a task, so that the next is known. */
    j.block = up(up(j.n, up(j.n, PROBS_ROWS)), c->attn->row_block) * c->attn->row_block;
    if (c->failed || !ehm_cpu_own(c, c->attn->fwd_scratch(j.n, j.k) * 4)) return;
    ehm_pool_for(c->pool, j.b * up(j.n, j.block), up(PROBS_HEADS, j.h), probs_blocks, &j);
}
