/* Weighted sums of rows and their gradient; residual branches that a picture keeps or drops. */
#include "compute/ref/ref_int.h"

enum { STRIP = 16 }; /* columns at once where many rows add into one */

typedef struct {
    const void *args;
    double *scratch;
    int64_t stride;
} mix_job;

/* Where row r of picture b starts in idx or weight, [1,R,K] or [B,R,K]. */
static int64_t row_of(ehm_view v, int64_t b, int64_t r) {
    return ((v.dim[0] > 1 ? b * v.dim[1] : 0) + r) * v.dim[2];
}

static double weight_at(ehm_view weight, int64_t b, int64_t r, int64_t k) {
    return weight.rank ? ehm_ref_get(weight, row_of(weight, b, r) + k) : 1;
}

static void mix_fwd_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const mix_job *j = ctx;
    const ehm_mix_rows_fwd_args *a = j->args;
    int64_t n = a->x.dim[1], width = a->x.dim[2], rows = a->out.dim[1], n_k = a->idx.dim[2];
    double *sum = j->scratch + i_thread * j->stride, *row = sum + width;
    for (int64_t i = begin; i < end; i++) {
        int64_t b = i / rows, r = i % rows;
        const int32_t *idx = (const int32_t *)ehm_ptr(a->idx) + row_of(a->idx, b, r);
        memset(sum, 0, (size_t)width * sizeof *sum);
        for (int64_t k = 0; k < n_k; k++) {
            if (idx[k] < 0) continue;
            double w = weight_at(a->weight, b, r, k);
            ehm_ref_load(row, a->x, (b * n + idx[k]) * width, width);
            for (int64_t q = 0; q < width; q++) sum[q] += w * row[q];
        }
        ehm_ref_store(a->out, i * width, sum, width);
    }
}

void ehm_ref_mix_rows_fwd(void *self, const ehm_mix_rows_fwd_args *a) {
    ehm_ref *r = self;
    mix_job j = {.args = a};
    j.scratch = ehm_ref_scratch(r, 2 * a->x.dim[2], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->out.dim[0] * a->out.dim[1], 16, mix_fwd_rows, &j);
}

/* One picture, one strip of columns at a time: no two of these share an element of dx, and each adds in the
 * order of r, then k. */
static void mix_bwd_strips(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const mix_job *j = ctx;
    const ehm_mix_rows_bwd_args *a = j->args;
    int64_t n = a->dx.dim[1], width = a->dx.dim[2], rows = a->dout.dim[1], n_k = a->idx.dim[2];
    int64_t strips = (width + STRIP - 1) / STRIP;
    double *sum = j->scratch + i_thread * j->stride, row[STRIP];
    for (int64_t s = begin; s < end; s++) {
        int64_t b = s / strips, c = s % strips * STRIP, m = ehm_ref_min(STRIP, width - c);
        memset(sum, 0, (size_t)(n * STRIP) * sizeof *sum);
        for (int64_t i = 0; i < n && a->accumulate; i++)
            ehm_ref_load(sum + i * STRIP, a->dx, (b * n + i) * width + c, m);
        for (int64_t r = 0; r < rows; r++) {
            const int32_t *idx = (const int32_t *)ehm_ptr(a->idx) + row_of(a->idx, b, r);
            ehm_ref_load(row, a->dout, (b * rows + r) * width + c, m);
            for (int64_t k = 0; k < n_k; k++) {
                if (idx[k] < 0) continue;
                double w = weight_at(a->weight, b, r, k);
                for (int64_t q = 0; q < m; q++) sum[(int64_t)idx[k] * STRIP + q] += w * row[q];
            }
        }
        for (int64_t i = 0; i < n; i++) ehm_ref_store(a->dx, (b * n + i) * width + c, sum + i * STRIP, m);
    }
}

void ehm_ref_mix_rows_bwd(void *self, const ehm_mix_rows_bwd_args *a) {
    ehm_ref *r = self;
    mix_job j = {.args = a};
    int64_t strips = (a->dx.dim[2] + STRIP - 1) / STRIP;
    j.scratch = ehm_ref_scratch(r, a->dx.dim[1] * STRIP, &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->dx.dim[0] * strips, 1, mix_bwd_strips, &j);
}

/* ---- each picture times its number ---- */

/* Tokens of all pictures: out = (x +) s[b] * y, x may be absent. */
typedef struct {
    ehm_view out, x, y, s;
    double *scratch;
    int64_t stride;
} scaled_job;

static void scaled_tokens(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const scaled_job *j = ctx;
    int64_t n = j->out.dim[1], d = j->out.dim[2];
    double *row = j->scratch + i_thread * j->stride, *kept = row + d;
    memset(kept, 0, (size_t)d * sizeof *kept);
    for (int64_t i = begin; i < end; i++) {
        double s = ehm_ref_get(j->s, i / n);
        ehm_ref_load(row, j->y, i * d, d);
        if (j->x.rank) ehm_ref_load(kept, j->x, i * d, d);
        for (int64_t q = 0; q < d; q++) row[q] = kept[q] + s * row[q];
        ehm_ref_store(j->out, i * d, row, d);
    }
}

static void scaled(void *self, scaled_job j) {
    ehm_ref *r = self;
    j.scratch = ehm_ref_scratch(r, 2 * j.out.dim[2], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, j.out.dim[0] * j.out.dim[1], 16, scaled_tokens, &j);
}

void ehm_ref_add_scaled(void *self, const ehm_add_scaled_args *a) {
    scaled(self, (scaled_job){.out = a->out, .x = a->x, .y = a->y, .s = a->s});
}

void ehm_ref_scale_samples(void *self, const ehm_scale_samples_args *a) {
    scaled(self, (scaled_job){.out = a->out, .y = a->x, .s = a->s});
}
