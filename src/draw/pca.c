#include "draw/pca.h"
#include "base/hash.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 16, ROUNDS_MAX = 600, ROWS_AT_ONCE = 32 };

static ehm_code no_memory(int32_t dim, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory for the principal components of %d features", dim);
}

/* ---- covariance ---- */

ehm_code ehm_scatter_new(ehm_scatter *s, int32_t dim, ehm_arena *a, ehm_err *err) {
    *s = (ehm_scatter){.dim = dim, .mean = EHM_NEW_N(a, double, dim), .products = EHM_NEW_N(a, double, (size_t)dim *(size_t)dim)};
    return s->mean && s->products ? EHM_OK : no_memory(dim, err);
}

/* Sums of products of n rows of differences, in pieces that stay in the cache. */
static void add_products(double *products, const double *x, int64_t n, int32_t dim) {
    for (int64_t first = 0; first < n; first += ROWS_AT_ONCE)
        for (int32_t i = 0; i < dim; i++)
            for (int64_t r = first; r < n && r < first + ROWS_AT_ONCE; r++) {
                const double *v = x + r * dim;
                double *row = products + (int64_t)i * dim, vi = v[i];
                for (int32_t k = i; k < dim; k++) row[k] += vi * v[k];
            }
}

ehm_code ehm_scatter_add(ehm_scatter *s, const float *x, int64_t n, ehm_arena *scratch, ehm_err *err) {
    int32_t dim = s->dim;
    size_t count;
    if (n < 1) return EHM_OK;
    ehm_arena_reset(scratch);
    if (!ehm_mul_size(&count, (size_t)n, (size_t)dim)) return no_memory(dim, err);
    double *mean = EHM_NEW_N(scratch, double, dim), *from_mean = EHM_NEW_N(scratch, double, count);
    if (!mean || !from_mean) return no_memory(dim, err);
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(x[i])) return EHM_FAIL(err, EHM_E_NUMERIC, "a feature (number %zu) is not finite", i % (size_t)dim + 1);
        mean[i % (size_t)dim] += (double)x[i] / (double)n;
    }
    for (size_t i = 0; i < count; i++) from_mean[i] = (double)x[i] - mean[i % (size_t)dim];
    add_products(s->products, from_mean, n, dim);
    /* both means moved to the common one */
    double *apart = from_mean, weight = (double)s->n * (double)n / (double)(s->n + n);
    for (int32_t k = 0; k < dim; k++) apart[k] = mean[k] - s->mean[k];
    for (int32_t i = 0; i < dim; i++)
        for (int32_t k = i; k < dim; k++) s->products[(int64_t)i * dim + k] += weight * apart[i] * apart[k];
    s->n += n;
    for (int32_t k = 0; k < dim; k++) s->mean[k] += apart[k] * ((double)n / (double)s->n);
    return EHM_OK;
}

/* ---- small eigenproblem ---- */

static void rotate(double *a, double *vector, int32_t n, int32_t p, int32_t q) {
    double apq = a[p * n + q];
    if (apq == 0) return;
    double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq), t = copysign(1, theta) / (fabs(theta) + hypot(theta, 1)), c = 1 / hypot(t, 1), s = t * c;
    for (int32_t k = 0; k < n; k++) {
        double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y, a[k * n + q] = s * x + c * y;
    }
    for (int32_t k = 0; k < n; k++) {
        double x = a[p * n + k], y = a[q * n + k];
        a[p * n + k] = c * x - s * y, a[q * n + k] = s * x + c * y;
        x = vector[p * n + k], y = vector[q * n + k];
        vector[p * n + k] = c * x - s * y, vector[q * n + k] = s * x + c * y;
    }
}

void ehm_small_eigen(double *value, double *vector, double *a, int32_t n) {
    for (int32_t i = 0; i < n * n; i++) vector[i] = i % (n + 1) == 0;
    for (int32_t sweep = 0; sweep < 60; sweep++) {
        double off = 0, all = 0;
        for (int32_t i = 0; i < n * n; i++) all += a[i] * a[i], off += i % (n + 1) ? a[i] * a[i] : 0;
        if (off <= 1e-32 * all) break;
        for (int32_t p = 0; p < n; p++)
            for (int32_t q = p + 1; q < n; q++) rotate(a, vector, n, p, q);
    }
    for (int32_t i = 0; i < n; i++) value[i] = a[i * n + i];
    for (int32_t i = 0; i < n; i++) {
        int32_t best = i;
        for (int32_t k = i + 1; k < n; k++)
            if (value[k] > value[best]) best = k;
        for (int32_t k = 0; k < n && best != i; k++) {
            double v = vector[i * n + k];
            vector[i * n + k] = vector[best * n + k], vector[best * n + k] = v;
        }
        double v = value[i];
        value[i] = value[best], value[best] = v;
    }
}

/* ---- the largest ones of a large matrix ---- */

typedef struct {
    int32_t dim, m;
    double *c;             /* [dim,dim] covariance */
    double *q, *z, *turned; /* [m,dim] */
} block;

static double dot(const double *a, const double *b, int32_t n) {
    double part[4] = {0};
    int32_t k = 0;
    for (; k + 4 <= n; k += 4)
        for (int32_t u = 0; u < 4; u++) part[u] += a[k + u] * b[k + u];
    for (; k < n; k++) part[0] += a[k] * b[k];
    return (part[0] + part[1]) + (part[2] + part[3]);
}

/* Numbers without a pattern, the same everywhere: a start that is at right angles to no axis but by a miracle. */
static void scrambled(double *v, int32_t dim, uint64_t which) {
    for (int32_t k = 0; k < dim; k++) {
        uint64_t at[2] = {which, (uint64_t)k};
        v[k] = (double)(ehm_hash64(at, sizeof at, 1) >> 11) / 9007199254740992.0 - 0.5;
    }
}

static double unit(double *v, int32_t dim) {
    double norm = sqrt(dot(v, v, dim));
    for (int32_t k = 0; k < dim && norm > 0; k++) v[k] /= norm;
    return norm;
}

/* Gram-Schmidt, twice over; a vector of which nothing is left (the matrix has no such rank) begins anew. */
static void make_orthonormal(double *q, int32_t m, int32_t dim) {
    for (int32_t i = 0; i < m; i++) {
        double *v = q + (int64_t)i * dim;
        unit(v, dim);
        for (int32_t pass = 0, tries = 0; pass < 2; pass++) {
            for (int32_t j = 0; j < i; j++) {
                const double *w = q + (int64_t)j * dim;
                double along = dot(v, w, dim);
                for (int32_t k = 0; k < dim; k++) v[k] -= along * w[k];
            }
            if (unit(v, dim) < 1e-10 && tries++ < 8) scrambled(v, dim, (uint64_t)(1000 + i * 8 + tries)), unit(v, dim), pass = -1;
        }
    }
}

/* out_i = sum over j of turn[i,j] in_j */
static void combine(double *out, const double *turn, const double *in, int32_t m, int32_t dim) {
    memset(out, 0, sizeof *out * (size_t)m * (size_t)dim);
    for (int32_t i = 0; i < m; i++)
        for (int32_t j = 0; j < m; j++)
            for (int32_t k = 0; k < dim; k++) out[(int64_t)i * dim + k] += turn[i * m + j] * in[(int64_t)j * dim + k];
}

/* One round. True: done, the axes are q. */
static bool round_of(block *b, double *value) {
    int32_t m = b->m, dim = b->dim;
    double small[BLOCK * BLOCK], turn[BLOCK * BLOCK];
    for (int32_t j = 0; j < m; j++)
        for (int32_t i = 0; i < dim; i++) b->z[(int64_t)j * dim + i] = dot(b->c + (int64_t)i * dim, b->q + (int64_t)j * dim, dim);
    for (int32_t i = 0; i < m; i++)
        for (int32_t j = i; j < m; j++) small[i * m + j] = small[j * m + i] = dot(b->q + (int64_t)i * dim, b->z + (int64_t)j * dim, dim);
    ehm_small_eigen(value, turn, small, m);
    combine(b->turned, turn, b->q, m, dim);
    memcpy(b->q, b->turned, sizeof *b->q * (size_t)m * (size_t)dim);
    combine(b->turned, turn, b->z, m, dim);
    bool done = true;
    for (int32_t j = 0; j < EHM_PCA_AXES; j++) {
        double left = 0;
        for (int32_t k = 0; k < dim; k++) {
            double d = b->turned[(int64_t)j * dim + k] - value[j] * b->q[(int64_t)j * dim + k];
            left += d * d;
        }
        done = done && sqrt(left) <= 1e-9 * value[0];
    }
    if (done) return true;
    memcpy(b->q, b->turned, sizeof *b->q * (size_t)m * (size_t)dim);
    make_orthonormal(b->q, m, dim);
    return false;
}

static void turn_positive(double *v, int32_t dim) {
    int32_t largest = 0;
    for (int32_t k = 1; k < dim; k++)
        if (fabs(v[k]) > fabs(v[largest])) largest = k;
    for (int32_t k = 0; k < dim && v[largest] < 0; k++)
        if (k != largest) v[k] = -v[k];
    v[largest] = fabs(v[largest]);
}

ehm_code ehm_pca_of(ehm_pca *out, const ehm_scatter *s, ehm_arena *a, ehm_err *err) {
    int32_t dim = s->dim, m = dim < BLOCK ? dim : BLOCK;
    size_t many = (size_t)dim * (size_t)m;
    double value[BLOCK], total = 0;
    ehm_arena work = {0};
    if (dim < EHM_PCA_AXES || s->n < 1)
        return EHM_FAIL(err, EHM_E_ARG, "three principal components of %lld vectors of %d features", (long long)s->n, dim);
    *out = (ehm_pca){.dim = dim, .mean = EHM_NEW_N(a, double, dim), .axis = EHM_NEW_N(a, double, (size_t)EHM_PCA_AXES *(size_t)dim)};
    block b = {.dim = dim,
               .m = m,
               .c = EHM_NEW_N(&work, double, (size_t)dim *(size_t)dim),
               .q = EHM_NEW_N(&work, double, many),
               .z = EHM_NEW_N(&work, double, many),
               .turned = EHM_NEW_N(&work, double, many)};
    if (!out->mean || !out->axis || !b.c || !b.q || !b.z || !b.turned) {
        ehm_arena_free(&work);
        return no_memory(dim, err);
    }
    memcpy(out->mean, s->mean, sizeof *out->mean * (size_t)dim);
    double over = s->n > 1 ? (double)(s->n - 1) : 1;
    for (int32_t i = 0; i < dim; i++)
        for (int32_t k = i; k < dim; k++)
            b.c[(int64_t)i * dim + k] = b.c[(int64_t)k * dim + i] = s->products[(int64_t)i * dim + k] / over;
    for (int32_t i = 0; i < dim; i++) total += b.c[(int64_t)i * dim + i];
    for (int32_t j = 0; j < m; j++) scrambled(b.q + (int64_t)j * dim, dim, (uint64_t)j);
    make_orthonormal(b.q, m, dim);
    memset(value, 0, sizeof value);
    while (total > 0 && !out->separated && out->n_rounds < ROUNDS_MAX) out->separated = round_of(&b, value), out->n_rounds++;
    if (!(total > 0)) out->separated = true;
    for (int32_t j = 0; j < EHM_PCA_AXES; j++) {
        double *v = out->axis + (int64_t)j * dim;
        memcpy(v, b.q + (int64_t)j * dim, sizeof *v * (size_t)dim);
        turn_positive(v, dim);
        out->variance[j] = value[j] > 0 ? value[j] : 0;
        out->share[j] = total > 0 ? out->variance[j] / total : 0;
    }
    ehm_arena_free(&work);
    return EHM_OK;
}

void ehm_pca_project(float *out, const ehm_pca *p, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        for (int32_t j = 0; j < EHM_PCA_AXES; j++) {
            const double *v = p->axis + (int64_t)j * p->dim;
            double sum = 0;
            for (int32_t k = 0; k < p->dim; k++) sum += v[k] * ((double)x[i * p->dim + k] - p->mean[k]);
            out[i * EHM_PCA_AXES + j] = (float)sum;
        }
}

double ehm_sorted_quantile(const float *v, int64_t n, double share) {
    double at = share * (double)(n - 1);
    int64_t i = (int64_t)at;
    if (n < 1) return NAN;
    if (i >= n - 1) return (double)v[n - 1];
    return (double)v[i] + (at - (double)i) * ((double)v[i + 1] - (double)v[i]);
}
