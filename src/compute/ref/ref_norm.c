/* Layer norm (Ba et al. 2016), forward and backward. */
#include <math.h>
#include "compute/ref/ref_int.h"

enum { ROWS_A_CHUNK = 16, STRIP = 32 };

typedef struct {
    const ehm_norm_fwd_args *fwd;
    const ehm_norm_bwd_args *bwd;
    double *scratch;
    int64_t stride;
} norm_job;

static void fwd_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const norm_job *j = ctx;
    const ehm_norm_fwd_args *a = j->fwd;
    int64_t n = a->x.dim[1];
    double *x = j->scratch + i_thread * j->stride, *w = x + n, *b = w + n;
    ehm_ref_load(w, a->weight, 0, n);
    ehm_ref_load(b, a->bias, 0, n);
    for (int64_t r = begin; r < end; r++) {
        double sum = 0, square = 0;
        ehm_ref_load(x, a->x, r * n, n);
        for (int64_t i = 0; i < n; i++) sum += x[i];
        double mean = sum / (double)n;
        for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean); /* second pass: no cancellation */
        double rstd = 1 / sqrt(square / (double)n + (double)a->eps);
        for (int64_t i = 0; i < n; i++) x[i] = (x[i] - mean) * rstd * w[i] + b[i];
        ehm_ref_store(a->out, r * n, x, n);
        ehm_ref_put(a->mean, r, mean);
        ehm_ref_put(a->rstd, r, rstd);
    }
}

void ehm_ref_norm_fwd(void *self, const ehm_norm_fwd_args *a) {
    ehm_ref *r = self;
    norm_job j = {.fwd = a};
    j.scratch = ehm_ref_scratch(r, 3 * a->x.dim[1], &j.stride);
    if (j.scratch) ehm_pool_for(r->pool, a->x.dim[0], ROWS_A_CHUNK, fwd_rows, &j);
}

/* With xhat = (x - mean) rstd and g = dout * weight: dx = rstd (g - mean of g - xhat * mean of (g xhat)). */
static void bwd_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const norm_job *j = ctx;
    const ehm_norm_bwd_args *a = j->bwd;
    int64_t n = a->x.dim[1];
    double *x = j->scratch + i_thread * j->stride, *w = x + n, *g = w + n, *dx = g + n;
    ehm_ref_load(w, a->weight, 0, n);
    for (int64_t r = begin; r < end; r++) {
        double mean = ehm_ref_get(a->mean, r), rstd = ehm_ref_get(a->rstd, r), sum_g = 0, sum_gx = 0;
        ehm_ref_load(x, a->x, r * n, n);
        ehm_ref_load(g, a->dout, r * n, n);
        for (int64_t i = 0; i < n; i++) {
            x[i] = (x[i] - mean) * rstd;
            g[i] *= w[i];
            sum_g += g[i];
            sum_gx += g[i] * x[i];
        }
        double mean_g = sum_g / (double)n, mean_gx = sum_gx / (double)n;
        if (a->accumulate_dx) ehm_ref_load(dx, a->dx, r * n, n);
        else memset(dx, 0, (size_t)n * sizeof *dx);
        for (int64_t i = 0; i < n; i++) dx[i] += rstd * (g[i] - mean_g - x[i] * mean_gx);
        ehm_ref_store(a->dx, r * n, dx, n);
    }
}

/* dweight += sum over rows of dout * xhat, dbias += sum over rows of dout: a strip of columns at a time, rows in order. */
static void bwd_strips(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const ehm_norm_bwd_args *a = ((const norm_job *)ctx)->bwd;
    int64_t width = a->x.dim[1];
    double dw[STRIP], db[STRIP], x[STRIP], g[STRIP];
    (void)i_thread;
    for (int64_t s = begin; s < end; s++) {
        int64_t c = s * STRIP, n = ehm_ref_min(STRIP, width - c);
        memset(dw, 0, sizeof dw);
        memset(db, 0, sizeof db);
        for (int64_t r = 0; r < a->x.dim[0]; r++) {
            double mean = ehm_ref_get(a->mean, r), rstd = ehm_ref_get(a->rstd, r);
            ehm_ref_load(x, a->x, r * width + c, n);
            ehm_ref_load(g, a->dout, r * width + c, n);
            for (int64_t i = 0; i < n; i++) {
                dw[i] += g[i] * ((x[i] - mean) * rstd);
                db[i] += g[i];
            }
        }
        if (a->dweight.rank) {
            ehm_ref_load(x, a->dweight, c, n);
            for (int64_t i = 0; i < n; i++) x[i] += dw[i];
            ehm_ref_store(a->dweight, c, x, n);
        }
        if (a->dbias.rank) {
            ehm_ref_load(x, a->dbias, c, n);
            for (int64_t i = 0; i < n; i++) x[i] += db[i];
            ehm_ref_store(a->dbias, c, x, n);
        }
    }
}

void ehm_ref_norm_bwd(void *self, const ehm_norm_bwd_args *a) {
    ehm_ref *r = self;
    norm_job j = {.bwd = a};
    int64_t n = a->x.dim[1];
    j.scratch = ehm_ref_scratch(r, 4 * n, &j.stride);
    if (!j.scratch) return;
    if (a->dweight.rank || a->dbias.rank) ehm_pool_for(r->pool, (n + STRIP - 1) / STRIP, 1, bwd_strips, &j);
    ehm_pool_for(r->pool, a->x.dim[0], ROWS_A_CHUNK, bwd_rows, &j);
}
