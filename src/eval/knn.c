#include "eval/knn.h"
#include "base/log.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { QUERY_ROWS = 1024, TRAIN_ROWS = 8192 };

typedef struct { float *x; int64_t n; int32_t dim; const double *mean, *std; } rows_ctx;

static void unit_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    rows_ctx *c = ctx;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        float *x = c->x + i * c->dim;
        double s = 0;
        for (int32_t k = 0; k < c->dim; k++) s += (double)x[k] * (double)x[k];
        float f = s > 0 ? (float)(1 / sqrt(s)) : 0;
        for (int32_t k = 0; k < c->dim; k++) x[k] *= f;
    }
}
void ehm_knn_unit_rows(float *x, int64_t n, int32_t dim, ehm_pool *pool) {
    ehm_pool_for(pool, n, 256, unit_rows, &(rows_ctx){.x = x, .n = n, .dim = dim});
}
void ehm_knn_moments(double *mean, double *std, const float *x, int64_t n, int32_t dim) {
    for (int32_t k = 0; k < dim; k++) mean[k] = std[k] = 0;
    for (int64_t i = 0; i < n; i++)
        for (int32_t k = 0; k < dim; k++) mean[k] += (double)x[i * dim + k];
    for (int32_t k = 0; k < dim; k++) mean[k] /= (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int32_t k = 0; k < dim; k++) {
            double e = (double)x[i * dim + k] - mean[k];
            std[k] += e * e;
        }
    for (int32_t k = 0; k < dim; k++) {
        std[k] = sqrt(std[k] / (double)n);
        if (!(std[k] > 0)) std[k] = 1;
    }
}
static void standardise(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    rows_ctx *c = ctx;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++)
        for (int32_t k = 0; k < c->dim; k++) {
            float *x = c->x + i * c->dim + k;
            *x = (float)(((double)*x - c->mean[k]) / c->std[k]);
        }
}
void ehm_knn_standardise(float *x, int64_t n, int32_t dim, const double *mean, const double *std, ehm_pool *pool) {
    ehm_pool_for(pool, n, 256, standardise, &(rows_ctx){x, n, dim, mean, std});
}

typedef struct { const float *scores; int64_t stride, n_train; int32_t first, k; int32_t *idx; float *sim; int32_t *n_have; } top_ctx;

/* A sorted list a query: most scores fall under its last entry and cost one comparison. */
static void keep_top(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    top_ctx *c = ctx;
    (void)i_thread;
    for (int64_t q = begin; q < end; q++) {
        const float *s = c->scores + q * c->stride;
        int32_t *idx = c->idx + q * c->k, have = c->n_have[q];
        float *sim = c->sim + q * c->k;
        for (int64_t t = 0; t < c->n_train; t++) {
            float v = s[t];
            if (have == c->k && !(v > sim[have - 1])) continue;
            int32_t at = have < c->k ? have++ : have - 1;
            while (at > 0 && v > sim[at - 1]) sim[at] = sim[at - 1], idx[at] = idx[at - 1], at--;
            sim[at] = v, idx[at] = c->first + (int32_t)t;
        }
        c->n_have[q] = have;
    }
}

ehm_code ehm_knn_search(int32_t *idx, float *sim, ehm_dev *d, const float *train, int64_t n_train, const float *query, int64_t n_query,
                        int32_t dim, int32_t k, ehm_err *err) {
    ehm_buf *bt = NULL, *bq = NULL, *bs = NULL;
    int32_t have[QUERY_ROWS];
    float *host = NULL;
    ehm_code rc = EHM_OK;
    if (k < 1 || k > n_train) return EHM_FAIL(err, EHM_E_ARG, "k = %d neighbours, but there are %lld training pictures", k, (long long)n_train);
    host = malloc(sizeof(float) * QUERY_ROWS * TRAIN_ROWS);
    if (!host) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for a block of %d x %d similarities", QUERY_ROWS, TRAIN_ROWS);
        goto done;
    }
    if ((rc = ehm_buf_new(&bt, d, sizeof(float) * (size_t)TRAIN_ROWS * (size_t)dim, err))) goto done;
    if ((rc = ehm_buf_new(&bq, d, sizeof(float) * (size_t)QUERY_ROWS * (size_t)dim, err))) goto done;
    if ((rc = ehm_buf_new(&bs, d, sizeof(float) * (size_t)QUERY_ROWS * TRAIN_ROWS, err))) goto done;
    for (int64_t q = 0; q < n_query; q += QUERY_ROWS) {
        int64_t nq = n_query - q < QUERY_ROWS ? n_query - q : QUERY_ROWS;
        ehm_view vq = ehm_view_2d(bq, EHM_F32, nq, dim);
        memset(have, 0, sizeof have);
        ehm_upload(d, vq, query + q * dim, ehm_view_bytes(vq));
        for (int64_t t = 0; t < n_train; t += TRAIN_ROWS) {
            int64_t nt = n_train - t < TRAIN_ROWS ? n_train - t : TRAIN_ROWS;
            ehm_view vt = ehm_view_2d(bt, EHM_F32, nt, dim), vs = ehm_view_2d(bs, EHM_F32, nq, nt);
            if (ehm_stop_asked()) {
                rc = EHM_FAIL(err, EHM_E_STOPPED, "stopped while searching neighbours");
                goto done;
            }
            ehm_upload(d, vt, train + t * dim, ehm_view_bytes(vt));
            ehm_matmul(d, &(ehm_matmul_args){.out = vs, .a = vq, .b = vt, .trans_b = true});
            ehm_download(d, host, vs, ehm_view_bytes(vs));
            top_ctx c = {host, nt, nt, (int32_t)t, k, idx + q * k, sim + q * k, have};
            ehm_pool_for(ehm_dev_pool(d), nq, 16, keep_top, &c);
        }
        ehm_progress(false, "neighbours: %lld of %lld test pictures", (long long)(q + nq), (long long)n_query);
    }
    rc = ehm_dev_check(d, err);
done:
    ehm_buf_free(bt);
    ehm_buf_free(bq);
    ehm_buf_free(bs);
    free(host);
    return rc;
}

int32_t ehm_knn_vote(const int32_t *idx, const float *sim, int32_t k, double temperature, const int32_t *labels, int32_t n_classes, double *scratch) {
    int32_t best = 0;
    for (int32_t c = 0; c < n_classes; c++) scratch[c] = 0;
    for (int32_t i = 0; i < k; i++)
        if (labels[idx[i]] >= 0) scratch[labels[idx[i]]] += exp((double)sim[i] / temperature);
    for (int32_t c = 1; c < n_classes; c++)
        if (scratch[c] > scratch[best]) best = c;
    return best;
}
