/* Moving tokens: patches of pixels, rows picked and put back, routing with position embeddings. Memory-bound;
 * plain C. */
#include "compute/cpu/cpu_int.h"
#include <string.h>

typedef struct {
    ehm_cpu *c;
    const void *args;
} token_job;
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static bool is_bf16(ehm_view v) { return v.dtype == EHM_BF16; }
static void run(ehm_cpu *c, int64_t n, int64_t grain, ehm_pool_fn fn, const void *args) {
    token_job j = {c, args};
    if (!c->failed) ehm_pool_for(c->pool, n, grain, fn, &j);
}
/* Row i of x (n wide) to row o of out, widened or narrowed. */
static void copy_row(const ehm_row_kern *k, ehm_view out, int64_t o, ehm_view x, int64_t i, int64_t n) {
    const bool ob = is_bf16(out), xb = is_bf16(x);
    char *to = (char *)ehm_ptr(out) + o * n * (ob ? 2 : 4);
    const char *from = (const char *)ehm_ptr(x) + i * n * (xb ? 2 : 4);
    if (ob == xb) memcpy(to, from, (size_t)n * (ob ? 2 : 4));
    else if (ob) k->to_bf16((uint16_t *)(void *)to, (const float *)(const void *)from, n);
    else k->to_f32((float *)(void *)to, (const uint16_t *)(const void *)from, n);
}
static void clear_row(ehm_view out, int64_t o, int64_t n) {
    const size_t el = is_bf16(out) ? 2 : 4;
    memset((char *)ehm_ptr(out) + (size_t)(o * n) * el, 0, (size_t)n * el);
}

/* ---- patchify: rows of pixels inside a patch are contiguous in both ---- */
static void patch_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const ehm_patchify_args *a = ((token_job *)ctx)->args;
    const int64_t w = a->pixels.dim[2], c = a->pixels.dim[3], p = a->patch, across = w / p,
                  per_picture = a->pixels.dim[1] / p * across;
    const float *shift = ehm_ptr(a->shift), *scale = ehm_ptr(a->scale);
    float *out = ehm_ptr(a->patches);
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t b = i / per_picture, y = i % per_picture / across * p, x = i % across * p;
        for (int64_t r = 0; r < p; r++) {
            int64_t from = ((b * a->pixels.dim[1] + y + r) * w + x) * c;
            float *o = out + (i * p + r) * p * c;
            if (a->pixels.dtype == EHM_U8) {
                const uint8_t *v = (const uint8_t *)ehm_ptr(a->pixels) + from;
                for (int64_t q = 0; q < p; q++)
                    for (int64_t k = 0; k < c; k++)
                        o[q * c + k] = ((float)v[q * c + k] - shift[k]) * scale[k];
            } else {
                const float *v = (const float *)ehm_ptr(a->pixels) + from;
                for (int64_t q = 0; q < p; q++)
                    for (int64_t k = 0; k < c; k++) o[q * c + k] = (v[q * c + k] - shift[k]) * scale[k];
            }
        }
    }
}
void ehm_cpu_op_patchify(void *self, const ehm_patchify_args *a) {
    run(self, a->patches.dim[0] * a->patches.dim[1], 32, patch_rows, a);
}

/* ---- gather and scatter ---- */
static float value(ehm_view v, int64_t i) {
    const void *p = ehm_ptr(v);
    return is_bf16(v) ? ehm_f32_of(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}
static void gather_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_gather_rows_args *a = j->args;
    const int32_t *idx = ehm_ptr(a->idx);
    const int64_t n = a->x.dim[1], f = a->x.dim[2], m = a->idx.dim[1],
                  area = (int64_t)a->channel_first_patch * a->channel_first_patch;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t row = i / m * n + idx[i];
        if (!area) {
            copy_row(j->c->row, a->out, i, a->x, row, f);
            continue;
        }
        int64_t channels = f / area;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t q = 0; q < area; q++) {
                float v = value(a->x, row * f + q * channels + c);
                if (is_bf16(a->out)) ((uint16_t *)ehm_ptr(a->out))[i * f + c * area + q] = ehm_bf16_of(v);
                else ((float *)ehm_ptr(a->out))[i * f + c * area + q] = v;
            }
    }
}
void ehm_cpu_op_gather_rows(void *self, const ehm_gather_rows_args *a) {
    run(self, a->idx.dim[0] * a->idx.dim[1], 32, gather_some, a);
}

static void scatter_pictures(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_scatter_rows_args *a = j->args;
    const int32_t *idx = ehm_ptr(a->idx);
    const int64_t n = a->dx.dim[1], f = a->dx.dim[2], m = a->idx.dim[1];
    (void)i_thread;
    for (int64_t b = begin; b < end; b++) {
        for (int64_t i = 0; i < n; i++) clear_row(a->dx, b * n + i, f);
        for (int64_t i = b * m; i < (b + 1) * m; i++)
            copy_row(j->c->row, a->dx, b * n + idx[i], a->dout, i, f);
    }
}
void ehm_cpu_op_scatter_rows(void *self, const ehm_scatter_rows_args *a) {
    run(self, a->dx.dim[0], 1, scatter_pictures, a);
}

/* ---- routing ---- */
static int64_t position_of(const int32_t *pos_idx, int64_t i, int64_t n) {
    return pos_idx ? pos_idx[i] : i % n;
}
static void route_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_route_fwd_args *a = j->args;
    const int32_t *src = ehm_ptr(a->src), *pos_idx = ehm_ptr(a->pos_idx);
    const int64_t n = a->out.dim[1], d = a->out.dim[2], nx = a->x.dim[1];
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        float *o = (float *)ehm_ptr(a->out) + i * d;
        if (src[i] >= 0) copy_row(j->c->row, a->out, i, a->x, i / n * nx + src[i], d);
        else memcpy(o, (const float *)ehm_ptr(a->tokens) + (-1 - (int64_t)src[i]) * d, (size_t)d * 4);
        if (a->pos.rank) {
            const float *p = (const float *)ehm_ptr(a->pos) + position_of(pos_idx, i, n) * d;
            for (int64_t k = 0; k < d; k++) o[k] += p[k];
        }
    }
}
void ehm_cpu_op_route_fwd(void *self, const ehm_route_fwd_args *a) {
    run(self, a->out.dim[0] * a->out.dim[1], 32, route_some, a);
}

static void route_dx_pictures(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_route_bwd_args *a = j->args;
    const int32_t *src = ehm_ptr(a->src);
    const int64_t n = a->dout.dim[1], d = a->dout.dim[2], nx = a->dx.dim[1];
    (void)i_thread;
    for (int64_t b = begin; b < end; b++) {
        for (int64_t i = 0; i < nx; i++) clear_row(a->dx, b * nx + i, d);
        for (int64_t i = b * n; i < (b + 1) * n; i++)
            if (src[i] >= 0) copy_row(j->c->row, a->dx, b * nx + src[i], a->dout, i, d);
    }
}
/* dtokens and dpos: a strip of columns at a time, the rows of all pictures in order; strips share no element.
 */
enum { STRIP = 32 };
static void route_strips(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const ehm_route_bwd_args *a = ((token_job *)ctx)->args;
    const int32_t *src = ehm_ptr(a->src), *pos_idx = ehm_ptr(a->pos_idx);
    const int64_t n = a->dout.dim[1], d = a->dout.dim[2], rows = a->dout.dim[0] * n,
                  n_tokens = a->dtokens.rank ? a->dtokens.dim[0] : 0;
    const int64_t n_pos = a->dpos.rank ? a->dpos.dim[0] : 0;
    const token_job *j = ctx;
    for (int64_t s = begin; s < end; s++) {
        const int64_t c = s * STRIP, m = least(STRIP, d - c);
        float *tokens = j->c->own[i_thread].p, *pos = tokens + n_tokens * STRIP;
        memset(tokens, 0, (size_t)((n_tokens + n_pos) * STRIP) * 4);
        for (int64_t i = 0; i < rows; i++) {
            const float *g = (const float *)ehm_ptr(a->dout) + i * d + c;
            if (src[i] < 0 && n_tokens) {
                float *t = tokens + (-1 - (int64_t)src[i]) * STRIP;
                for (int64_t q = 0; q < m; q++) t[q] += g[q];
            }
            if (n_pos) {
                float *t = pos + position_of(pos_idx, i, n) * STRIP;
                for (int64_t q = 0; q < m; q++) t[q] += g[q];
            }
        }
        for (int64_t t = 0; t < n_tokens; t++)
            for (int64_t q = 0; q < m; q++)
                ((float *)ehm_ptr(a->dtokens))[t * d + c + q] += tokens[t * STRIP + q];
        for (int64_t t = 0; t < n_pos; t++)
            for (int64_t q = 0; q < m; q++) ((float *)ehm_ptr(a->dpos))[t * d + c + q] += pos[t * STRIP + q];
    }
}
void ehm_cpu_op_route_bwd(void *self, const ehm_route_bwd_args *a) {
    ehm_cpu *c = self;
    const int64_t d = a->dout.dim[2],
                  sums = (a->dtokens.rank ? a->dtokens.dim[0] : 0) + (a->dpos.rank ? a->dpos.dim[0] : 0);
    run(c, a->dx.dim[0], 1, route_dx_pictures, a);
    if (sums && ehm_cpu_own(c, (size_t)(sums * STRIP) * 4))
        run(c, (d + STRIP - 1) / STRIP, 1, route_strips, a);
}
