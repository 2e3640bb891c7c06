/* Where tokens come from and go: patches of pixels, rows picked and put back, routing with position embeddings. */
#include "compute/ref/ref_int.h"

enum { STRIP = 16 }; /* columns at once where many rows add into one */

typedef struct {
    const void *args;
    double *scratch;
    int64_t stride;
} token_job;

/* ---- patchify ---- */

static void patchify_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_patchify_args *a = j->args;
    int64_t h = a->pixels.dim[1], w = a->pixels.dim[2], c = a->pixels.dim[3], p = a->patch, across = w / p;
    int64_t per_picture = h / p * across;
    double *row = j->scratch + i_thread * j->stride, *shift = row + p * c, *scale = shift + c;
    ehm_ref_load(shift, a->shift, 0, c);
    ehm_ref_load(scale, a->scale, 0, c);
    for (int64_t i = begin; i < end; i++) {
        int64_t b = i / per_picture, y = i % per_picture / across * p, x = i % across * p;
        for (int64_t k = 0; k < p; k++) {
            ehm_ref_load(row, a->pixels, ((b * h + y + k) * w + x) * c, p * c);
            for (int64_t q = 0; q < p * c; q++) row[q] = (row[q] - shift[q % c]) * scale[q % c];
            ehm_ref_store(a->patches, (i * p + k) * p * c, row, p * c);
        }
    }
}

void ehm_ref_patchify(void *self, const ehm_patchify_args *a) {
    ehm_ref *r = self;
    token_job j = {.args = a};
    j.scratch = ehm_ref_scratch(r, (a->patch + 2) * a->pixels.dim[3], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->patches.dim[0] * a->patches.dim[1], 8, patchify_rows, &j);
}

/* ---- gather and scatter ---- */

static void gather_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_gather_rows_args *a = j->args;
    const int32_t *idx = ehm_ptr(a->idx);
    int64_t n = a->x.dim[1], f = a->x.dim[2], m = a->idx.dim[1], p = a->channel_first_patch, area = p * p;
    double *row = j->scratch + i_thread * j->stride, *turned = row + f;
    for (int64_t i = begin; i < end; i++) {
        ehm_ref_load(row, a->x, (i / m * n + idx[i]) * f, f);
        if (p)
            for (int64_t c = 0; c < f / area; c++)
                for (int64_t q = 0; q < area; q++) turned[c * area + q] = row[q * (f / area) + c];
        ehm_ref_store(a->out, i * f, p ? turned : row, f);
    }
}

void ehm_ref_gather_rows(void *self, const ehm_gather_rows_args *a) {
    ehm_ref *r = self;
    token_job j = {.args = a};
    j.scratch = ehm_ref_scratch(r, 2 * a->x.dim[2], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->idx.dim[0] * a->idx.dim[1], 16, gather_rows, &j);
}

/* Pictures are independent; inside one, rows are cleared first and then written where named. */
static void scatter_pictures(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_scatter_rows_args *a = j->args;
    const int32_t *idx = ehm_ptr(a->idx);
    int64_t n = a->dx.dim[1], f = a->dx.dim[2], m = a->idx.dim[1];
    double *row = j->scratch + i_thread * j->stride;
    for (int64_t b = begin; b < end; b++) {
        memset(row, 0, (size_t)f * sizeof *row);
        for (int64_t i = 0; i < n; i++) ehm_ref_store(a->dx, (b * n + i) * f, row, f);
        for (int64_t i = 0; i < m; i++) {
            ehm_ref_load(row, a->dout, (b * m + i) * f, f);
            ehm_ref_store(a->dx, (b * n + idx[b * m + i]) * f, row, f);
        }
    }
}

void ehm_ref_scatter_rows(void *self, const ehm_scatter_rows_args *a) {
    ehm_ref *r = self;
    token_job j = {.args = a};
    j.scratch = ehm_ref_scratch(r, a->dx.dim[2], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->dx.dim[0], 1, scatter_pictures, &j);
}

/* ---- routing ---- */

/* pos_idx may be absent: token i then has position i. */
static int64_t position_of(const int32_t *pos_idx, int64_t i, int64_t n) { return pos_idx ? pos_idx[i] : i % n; }

static void route_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_route_fwd_args *a = j->args;
    const int32_t *src = ehm_ptr(a->src), *pos_idx = ehm_ptr(a->pos_idx);
    int64_t n = a->out.dim[1], d = a->out.dim[2], nx = a->x.dim[1];
    double *row = j->scratch + i_thread * j->stride, *pos = row + d;
    for (int64_t i = begin; i < end; i++) {
        if (src[i] >= 0) ehm_ref_load(row, a->x, (i / n * nx + src[i]) * d, d);
        else ehm_ref_load(row, a->tokens, (-1 - (int64_t)src[i]) * d, d);
        if (a->pos.rank) {
            ehm_ref_load(pos, a->pos, position_of(pos_idx, i, n) * d, d);
            for (int64_t c = 0; c < d; c++) row[c] += pos[c];
        }
        ehm_ref_store(a->out, i * d, row, d);
    }
}

void ehm_ref_route_fwd(void *self, const ehm_route_fwd_args *a) {
    ehm_ref *r = self;
    token_job j = {.args = a};
    j.scratch = ehm_ref_scratch(r, 2 * a->out.dim[2], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->out.dim[0] * a->out.dim[1], 16, route_rows, &j);
}

static void route_dx_pictures(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_route_bwd_args *a = j->args;
    const int32_t *src = ehm_ptr(a->src);
    int64_t n = a->dout.dim[1], d = a->dout.dim[2], nx = a->dx.dim[1];
    double *row = j->scratch + i_thread * j->stride;
    for (int64_t b = begin; b < end; b++) {
        memset(row, 0, (size_t)d * sizeof *row);
        for (int64_t i = 0; i < nx; i++) ehm_ref_store(a->dx, (b * nx + i) * d, row, d);
        for (int64_t i = b * n; i < (b + 1) * n; i++) {
            if (src[i] < 0) continue;
            ehm_ref_load(row, a->dout, i * d, d);
            ehm_ref_store(a->dx, (b * nx + src[i]) * d, row, d);
        }
    }
}

/* to[rows,d] += sum, for columns [c, c + m); sum has rows of STRIP. */
static void add_strip(ehm_view to, const double *sum, int64_t c, int64_t m) {
    double row[STRIP];
    for (int64_t t = 0; t < to.dim[0]; t++) {
        ehm_ref_load(row, to, t * to.dim[1] + c, m);
        for (int64_t q = 0; q < m; q++) row[q] += sum[t * STRIP + q];
        ehm_ref_store(to, t * to.dim[1] + c, row, m);
    }
}

/* dtokens and dpos: a strip of columns at a time, all rows of all pictures in order. */
static void route_sum_strips(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const token_job *j = ctx;
    const ehm_route_bwd_args *a = j->args;
    const int32_t *src = ehm_ptr(a->src), *pos_idx = ehm_ptr(a->pos_idx);
    int64_t n = a->dout.dim[1], d = a->dout.dim[2], rows = a->dout.dim[0] * n;
    int64_t n_tokens = a->dtokens.rank ? a->dtokens.dim[0] : 0, n_pos = a->dpos.rank ? a->dpos.dim[0] : 0;
    double *tokens = j->scratch + i_thread * j->stride, *pos = tokens + n_tokens * STRIP, row[STRIP];
    for (int64_t s = begin; s < end; s++) {
        int64_t c = s * STRIP, m = ehm_ref_min(STRIP, d - c);
        memset(tokens, 0, (size_t)((n_tokens + n_pos) * STRIP) * sizeof *tokens);
        for (int64_t i = 0; i < rows; i++) {
            ehm_ref_load(row, a->dout, i * d + c, m);
            if (src[i] < 0 && n_tokens)
                for (int64_t q = 0; q < m; q++) tokens[(-1 - (int64_t)src[i]) * STRIP + q] += row[q];
            if (n_pos)
                for (int64_t q = 0; q < m; q++) pos[position_of(pos_idx, i, n) * STRIP + q] += row[q];
        }
        if (n_tokens) add_strip(a->dtokens, tokens, c, m);
        if (n_pos) add_strip(a->dpos, pos, c, m);
    }
}

void ehm_ref_route_bwd(void *self, const ehm_route_bwd_args *a) {
    ehm_ref *r = self;
    token_job j = {.args = a};
    int64_t d = a->dout.dim[2], n_sums = (a->dtokens.rank ? a->dtokens.dim[0] : 0) + (a->dpos.rank ? a->dpos.dim[0] : 0);
    j.scratch = ehm_ref_scratch(r, d > n_sums * STRIP ? d : n_sums * STRIP, &j.stride);
    if (!j.scratch) return;
    ehm_pool_for(r->pool, a->dx.dim[0], 1, route_dx_pictures, &j);
    if (n_sums) ehm_pool_for(r->pool, (d + STRIP - 1) / STRIP, 1, route_sum_strips, &j);
}
