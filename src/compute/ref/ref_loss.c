/* Pixel targets, mean squared error, and sums. */
#include <math.h>
#include "compute/ref/ref_int.h"

typedef struct {
    const void *args;
    double *scratch;
    int64_t stride;
} loss_job;

static void target_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const loss_job *j = ctx;
    const ehm_pixel_target_args *a = j->args;
    const int32_t *idx = ehm_ptr(a->idx);
    int64_t m = a->idx.dim[1], l = a->patches.dim[1], p = a->patches.dim[2];
    double *t = j->scratch + i_thread * j->stride;
    for (int64_t i = begin; i < end; i++) {
        ehm_ref_load(t, a->patches, (i / m * l + idx[i]) * p, p);
        if (a->norm_pix) {
            double sum = 0, square = 0;
            for (int64_t k = 0; k < p; k++) sum += t[k];
            double mean = sum / (double)p;
            for (int64_t k = 0; k < p; k++) square += (t[k] - mean) * (t[k] - mean);
            double rstd = 1 / sqrt(square / (double)(p - 1) + 1e-6); /* unbiased, as torch's var is and MAE uses it */
            for (int64_t k = 0; k < p; k++) t[k] = (t[k] - mean) * rstd;
        }
        ehm_ref_store(a->target, i * p, t, p);
    }
}

void ehm_ref_pixel_target(void *self, const ehm_pixel_target_args *a) {
    ehm_ref *r = self;
    loss_job j = {.args = a};
    j.scratch = ehm_ref_scratch(r, a->patches.dim[2], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->idx.dim[0] * a->idx.dim[1], 16, target_rows, &j);
}

static void mse_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const loss_job *j = ctx;
    const ehm_mse_args *a = j->args;
    int64_t f = a->pred.dim[1];
    double *diff = j->scratch + i_thread * j->stride, *target = diff + f;
    for (int64_t r = begin; r < end; r++) {
        double sum = 0;
        ehm_ref_load(diff, a->pred, r * f, f);
        ehm_ref_load(target, a->target, r * f, f);
        for (int64_t i = 0; i < f; i++) {
            diff[i] -= target[i];
            sum += diff[i] * diff[i];
            diff[i] *= 2 / (double)f * (double)a->scale;
        }
        ehm_ref_put(a->row_loss, r, sum / (double)f);
        if (a->dpred.rank) ehm_ref_store(a->dpred, r * f, diff, f);
    }
}

void ehm_ref_mse(void *self, const ehm_mse_args *a) {
    ehm_ref *r = self;
    loss_job j = {.args = a};
    j.scratch = ehm_ref_scratch(r, 2 * a->pred.dim[1], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->pred.dim[0], 16, mse_rows, &j);
}

/* ---- sums over everything: blocks of fixed size, their sums added in order ---- */

enum { SUM_BLOCK = 16384, SUM_PIECE = 512 };

typedef struct {
    ehm_view x;
    bool square;
    double *sums; /* one a block */
} sum_job;

static void sum_blocks(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const sum_job *j = ctx;
    double piece[SUM_PIECE];
    (void)i_thread;
    for (int64_t b = begin; b < end; b++) {
        double sum = 0;
        int64_t last = ehm_ref_min(j->x.dim[0], (b + 1) * SUM_BLOCK);
        for (int64_t i = b * SUM_BLOCK; i < last; i += SUM_PIECE) {
            int64_t n = ehm_ref_min(SUM_PIECE, last - i);
            ehm_ref_load(piece, j->x, i, n);
            for (int64_t k = 0; k < n; k++) sum += j->square ? piece[k] * piece[k] : piece[k];
        }
        j->sums[b] = sum;
    }
}

static void sum_all(ehm_ref *r, ehm_view out, ehm_view x, bool square, double scale, bool accumulate) {
    int64_t blocks = (x.dim[0] + SUM_BLOCK - 1) / SUM_BLOCK, stride;
    sum_job j = {.x = x, .square = square, .sums = ehm_ref_scratch(r, blocks, &stride)};
    double total = 0;
    if (!j.sums) return;
    ehm_pool_for(r->pool, blocks, 1, sum_blocks, &j);
    for (int64_t b = 0; b < blocks; b++) total += j.sums[b];
    ehm_ref_put(out, 0, total * scale + (accumulate ? ehm_ref_get(out, 0) : 0));
}

void ehm_ref_sum(void *self, const ehm_sum_args *a) {
    sum_all(self, a->out, a->x, false, (double)a->scale, a->accumulate);
}

void ehm_ref_sumsq(void *self, const ehm_sumsq_args *a) { sum_all(self, a->out, a->x, true, 1, a->accumulate); }
