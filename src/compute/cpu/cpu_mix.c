/* Weighted sums of rows, their gradient, and residual branches that a picture keeps or drops. Memory-bound:
 * the kernels read each value once where they can. Work is cut by size. */
#include "compute/cpu/cpu_int.h"
#include <string.h>

enum { ELEMENTS = 16384, STRIPS = 64, STRIP_LEAST = 32 };

typedef struct {
    ehm_cpu *c;
    const void *args;
    int64_t strip; /* columns a task */
} mix_job;
static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static bool is_bf16(ehm_view v) { return v.dtype == EHM_BF16; }
static void *at(ehm_view v, int64_t i) {
    return v.rank ? (char *)ehm_ptr(v) + i * (is_bf16(v) ? 2 : 4) : NULL;
}
/* Row r of picture b in idx or weight: [1,R,K], the same for all pictures, or [B,R,K]. */
static void *row_at(ehm_view v, int64_t b, int64_t r) {
    return v.rank ? (char *)ehm_ptr(v) + ((v.dim[0] > 1 ? b * v.dim[1] : 0) + r) * v.dim[2] * 4 : NULL;
}

static void mix_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const mix_job *j = ctx;
    const ehm_mix_rows_fwd_args *a = j->args;
    const int64_t rows = a->out.dim[1], c = a->out.dim[2];
    (void)i_thread;
    while (begin < end) { /* the rows of one picture at a time */
        const int64_t b = begin / rows, r = begin % rows, n = least(rows - r, end - begin);
        j->c->row->mix_rows(at(a->out, begin * c), is_bf16(a->out), at(a->x, b * a->x.dim[1] * c),
                            is_bf16(a->x), row_at(a->idx, b, r), row_at(a->weight, b, r), n,
                            a->idx.dim[2], c);
        begin += n;
    }
}
void ehm_cpu_op_mix_rows_fwd(void *self, const ehm_mix_rows_fwd_args *a) {
    ehm_cpu *c = self;
    mix_job j = {.c = c, .args = a};
    const int64_t rows = a->out.dim[0] * a->out.dim[1], work = a->idx.dim[2] * a->out.dim[2];
    if (!c->failed) ehm_pool_for(c->pool, rows, 1 + ELEMENTS / work, mix_some, &j);
}

/* One strip of columns of one picture a task: no two share an element, and each element's sum goes by r, then
 * k, so neither the strips nor the threads change bits. */
static void mix_back_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const mix_job *j = ctx;
    const ehm_mix_rows_bwd_args *a = j->args;
    const int64_t n = a->dx.dim[1], c = a->dx.dim[2], rows = a->dout.dim[1], strips = up(c, j->strip);
    (void)i_thread;
    for (int64_t s = begin; s < end; s++) {
        const int64_t b = s / strips, i = s % strips * j->strip, m = least(j->strip, c - i);
        float *dx = at(a->dx, b * n * c + i);
        for (int64_t r = 0; r < n && !a->accumulate; r++) memset(dx + r * c, 0, (size_t)m * 4);
        j->c->row->mix_back(dx, at(a->dout, b * rows * c + i), is_bf16(a->dout), row_at(a->idx, b, 0),
                            row_at(a->weight, b, 0), rows, a->idx.dim[2], m, c);
    }
}
void ehm_cpu_op_mix_rows_bwd(void *self, const ehm_mix_rows_bwd_args *a) {
    ehm_cpu *c = self;
    mix_job j = {.c = c, .args = a};
    const int64_t b = a->dx.dim[0], width = a->dx.dim[2];
    if (c->failed) return;
    j.strip = up(up(width, up(STRIPS, b)), STRIP_LEAST) * STRIP_LEAST;
    ehm_pool_for(c->pool, b * up(width, j.strip), 1, mix_back_some, &j);
}

/* ---- each picture times its number ---- */
typedef struct {
    ehm_cpu *c;
    ehm_view out, x, y; /* x may be absent */
    const float *s;
    int64_t count, chunk; /* elements a picture, and a task */
} scaled_job;
static void scaled_chunks(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const scaled_job *j = ctx;
    const int64_t chunks = up(j->count, j->chunk);
    (void)i_thread;
    for (int64_t k = begin; k < end; k++) {
        const int64_t b = k / chunks, q = k % chunks * j->chunk, i = b * j->count + q;
        j->c->row->add_scaled(at(j->out, i), is_bf16(j->out), at(j->x, i), at(j->y, i), is_bf16(j->y),
                              j->s[b], least(j->chunk, j->count - q));
    }
}
static void scaled(ehm_cpu *c, ehm_view out, ehm_view x, ehm_view y, ehm_view s) {
    scaled_job j = {.c = c, .out = out, .x = x, .y = y, .s = ehm_ptr(s)};
    if (c->failed) return;
    j.count = out.dim[1] * out.dim[2], j.chunk = least(j.count, ELEMENTS);
    ehm_pool_for(c->pool, out.dim[0] * up(j.count, j.chunk), up(ELEMENTS, j.chunk), scaled_chunks, &j);
}
void ehm_cpu_op_add_scaled(void *self, const ehm_add_scaled_args *a) {
    scaled(self, a->out, a->x, a->y, a->s);
}
void ehm_cpu_op_scale_samples(void *self, const ehm_scale_samples_args *a) {
    scaled(self, a->out, ehm_view_none(), a->x, a->s);
}
