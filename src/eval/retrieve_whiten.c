/* GeM pooling, and whitening by principal components. */
#include "eval/retrieve.h"
#include <float.h>
#include <math.h>
#include <string.h>

void ehm_gem(float *out, const float *tokens, int64_t n, int32_t dim, double p) {
    for (int32_t k = 0; k < dim; k++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) {
            double x = (double)tokens[i * dim + k];
            x = x > 1e-6 ? x : 1e-6;
            sum += p == 3 ? x * x * x : pow(x, p);
        }
        out[k] = (float)pow(sum / (double)n, 1 / p);
    }
}

/* ---- eigenvectors of a symmetric matrix ---- */

/* a becomes the orthogonal matrix whose row k, in the basis of before, is basis vector k of the three-diagonal matrix (diagonal, off[0..n-2]). */
static void to_three_diagonals(double *a, double *diagonal, double *off, int32_t n) {
    for (int32_t k = 0; k + 2 < n; k++) {
        /* Reflect what stands right of the entry beside the diagonal into that entry. Row k keeps the mirror's vector, scaled so that the
         * reflection is 1 - v v'. */
        double *v = a + (int64_t)k * n, norm = 0, largest = 0, far = 0;
        diagonal[k] = v[k];
        for (int32_t i = k + 1; i < n; i++) largest = fmax(largest, fabs(v[i]));
        for (int32_t i = k + 2; i < n; i++) far = fmax(far, fabs(v[i]));
        if (!(far > DBL_MIN / DBL_EPSILON)) { /* nothing to take away: no mirror */
            off[k] = v[k + 1];
            for (int32_t i = k; i < n; i++) v[i] = 0;
            continue;
        }
        /* In units of the largest: of a matrix of low rank only rounding is left after a while, whose squares would vanish. */
        for (int32_t i = k + 1; i < n; i++) v[i] /= largest, norm += v[i] * v[i];
        norm = sqrt(norm);
        double beside = v[k + 1], length = sqrt(norm * (norm + fabs(beside)));
        off[k] = beside > 0 ? -norm * largest : norm * largest;
        v[k + 1] += beside > 0 ? norm : -norm;
        for (int32_t i = k + 1; i < n; i++) v[i] /= length;
        v[k] = 0;
        /* rest <- (1 - v v') rest (1 - v v') = rest - v q' - q v' with p = rest v, q = p - (v'p / 2) v */
        double *p = off + n, along = 0; /* off has a second half for this */
        for (int32_t i = k + 1; i < n; i++) {
            const double *row = a + (int64_t)i * n;
            double sum = 0;
            for (int32_t j = k + 1; j < n; j++) sum += row[j] * v[j];
            p[i] = sum;
            along += sum * v[i];
        }
        for (int32_t i = k + 1; i < n; i++) p[i] -= along / 2 * v[i];
        for (int32_t i = k + 1; i < n; i++) {
            double *row = a + (int64_t)i * n, vi = v[i], qi = p[i];
            for (int32_t j = k + 1; j < n; j++) row[j] -= vi * p[j] + qi * v[j];
        }
    }
    if (n > 1) {
        diagonal[n - 2] = a[(int64_t)(n - 2) * n + n - 2];
        off[n - 2] = a[(int64_t)(n - 2) * n + n - 1];
    }
    diagonal[n - 1] = a[(int64_t)n * n - 1];
    /* The product of the mirrors, last one first; the rows below k are done when row k's mirror is taken away. Row by row of the
     * transpose, so that the rotations to come find each vector in one piece. */
    for (int32_t k = n - 1; k >= 0; k--) {
        double *v = a + (int64_t)k * n;
        if (k + 2 < n)
            for (int32_t i = k + 1; i < n; i++) {
                double *row = a + (int64_t)i * n, dot = 0;
                for (int32_t j = k + 1; j < n; j++) dot += row[j] * v[j];
                for (int32_t j = k + 1; j < n; j++) row[j] -= dot * v[j];
            }
        for (int32_t j = 0; j < n; j++) v[j] = j == k;
        for (int32_t i = k + 1; i < n; i++) a[(int64_t)i * n + k] = 0;
    }
}

/* Implicit QL with Wilkinson's shift (Bowdler, Martin, Reinsch and Wilkinson 1968), on the block from `first` that off[] holds together. */
static bool three_diagonals_solve(double *vectors, double *d, double *off, int32_t n) {
    double largest = 0;
    for (int32_t i = 0; i < n; i++) largest = fmax(largest, fabs(d[i]) + fabs(off[i]));
    /* Beside the largest entry such a one is rounding, whatever its neighbours are: without this, what is left of a matrix of low rank is solved to
     * digits that it does not have. */
    double nothing = DBL_EPSILON / 1024 * largest;
    for (int32_t first = 0; first < n; first++)
        for (int32_t round = 0;; round++) {
            int32_t last = first;
            while (last + 1 < n && fabs(off[last]) > nothing && fabs(off[last]) > DBL_EPSILON * (fabs(d[last]) + fabs(d[last + 1]))) last++;
            if (last == first) break;
            if (round == 100) return false;
            double half_gap = (d[first + 1] - d[first]) / (2 * off[first]);
            double shift = d[first] - off[first] / (half_gap + copysign(hypot(half_gap, 1), half_gap));
            double x = d[last] - shift, s = 1, c = 1, carried = 0;
            bool split = false;
            for (int32_t i = last - 1; i >= first; i--) {
                double bulge = s * off[i], b = c * off[i], r = hypot(bulge, x);
                off[i + 1] = r;
                if (r == 0) { /* fell apart early: begin again with the parts */
                    d[i + 1] -= carried;
                    off[last] = 0;
                    split = true;
                    break;
                }
                s = bulge / r, c = x / r;
                x = d[i + 1] - carried;
                double turned = (d[i] - x) * s + 2 * c * b;
                carried = s * turned;
                d[i + 1] = x + carried;
                x = c * turned - b;
                double *low = vectors + (int64_t)i * n, *high = low + n;
                for (int32_t k = 0; k < n; k++) {
                    double h = high[k];
                    high[k] = s * low[k] + c * h;
                    low[k] = c * low[k] - s * h;
                }
            }
            if (split) continue;
            d[first] -= carried;
            off[first] = x;
            off[last] = 0;
        }
    return true;
}

bool ehm_symmetric_eigen(double *a, double *value, int32_t n, double *scratch) {
    double *off = scratch; /* [n], and behind it [n] for products */
    if (n < 1) return true;
    memset(off, 0, sizeof *off * 2 * (size_t)n);
    to_three_diagonals(a, value, off, n);
    off[n - 1] = 0;
    if (!three_diagonals_solve(a, value, off, n)) return false;
    for (int32_t i = 0; i < n; i++) { /* smallest first; few swaps, each moves a row */
        int32_t least = i;
        for (int32_t k = i + 1; k < n; k++)
            if (value[k] < value[least]) least = k;
        if (least == i) continue;
        double t = value[i];
        value[i] = value[least], value[least] = t;
        for (int32_t k = 0; k < n; k++) {
            t = a[(int64_t)i * n + k];
            a[(int64_t)i * n + k] = a[(int64_t)least * n + k], a[(int64_t)least * n + k] = t;
        }
    }
    return true;
}

/* ---- whitening ---- */

typedef struct {
    const float *x;
    int64_t n;
    int32_t dim;
    const double *mean;
    double *cov;
} cov_ctx;

/* Rows of the covariance's upper half; pictures in their order, in blocks that stay in the cache. */
static void cov_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    enum { BLOCK = 32 };
    const cov_ctx *c = ctx;
    (void)i_thread;
    for (int64_t first = 0; first < c->n; first += BLOCK)
        for (int64_t i = begin; i < end; i++)
            for (int64_t s = first; s < c->n && s < first + BLOCK; s++) {
                const float *x = c->x + s * c->dim;
                double xi = (double)x[i] - c->mean[i], *row = c->cov + i * c->dim;
                for (int32_t k = (int32_t)i; k < c->dim; k++) row[k] += xi * ((double)x[k] - c->mean[k]);
            }
}

ehm_code ehm_whiten_learn(ehm_whiten *out, const float *x, int64_t n, int32_t dim, int32_t n_max, ehm_pool *pool, ehm_arena *a, ehm_err *err) {
    size_t d = (size_t)dim;
    ehm_arena scratch = {0};
    ehm_code rc = EHM_OK;
    *out = (ehm_whiten){.dim = dim};
    if (n < 2) return EHM_FAIL(err, EHM_E_MISMATCH, "whitening needs at least two pictures to learn from, and there are %lld", (long long)n);
    double *mean = EHM_NEW_N(a, double, d), *cov = EHM_NEW_N(&scratch, double, d * d), *value = EHM_NEW_N(&scratch, double, d),
           *work = EHM_NEW_N(&scratch, double, 2 * d);
    if (!mean || !cov || !value || !work) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for the covariance of %d features", dim);
        goto done;
    }
    for (int64_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++) mean[k] += (double)x[i * dim + (int64_t)k];
    for (size_t k = 0; k < d; k++) {
        mean[k] /= (double)n;
        if (!isfinite(mean[k])) {
            rc = EHM_FAIL(err, EHM_E_NUMERIC, "a descriptor to learn whitening from is not finite (feature %zu)", k);
            goto done;
        }
    }
    ehm_pool_for(pool, dim, 8, cov_rows, &(cov_ctx){x, n, dim, mean, cov});
    for (size_t i = 0; i < d; i++)
        for (size_t k = i; k < d; k++) cov[k * d + i] = cov[i * d + k] /= (double)(n - 1);
    if (!ehm_symmetric_eigen(cov, value, dim, work)) {
        rc = EHM_FAIL(err, EHM_E_NUMERIC, "the principal components of %d features were not found", dim);
        goto done;
    }
    int32_t most = n - 1 < dim ? (int32_t)(n - 1) : dim, kept = 0;
    if (n_max > 0 && n_max < most) most = n_max;
    while (kept < most && value[dim - 1 - kept] > 1e-9 * value[dim - 1] && value[dim - 1] > 1e-18) kept++;
    if (!kept) {
        rc = EHM_FAIL(err, EHM_E_MISMATCH, "whitening cannot be learned: the descriptors of all %lld pictures are the same", (long long)n);
        goto done;
    }
    double *axis = EHM_NEW_N(a, double, d * (size_t)kept), *kept_value = EHM_NEW_N(a, double, kept);
    if (!axis || !kept_value) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory for %d principal components", kept);
        goto done;
    }
    for (int32_t j = 0; j < kept; j++) {
        const double *v = cov + (int64_t)(dim - 1 - j) * dim;
        int32_t largest = 0;
        for (int32_t k = 1; k < dim; k++)
            if (fabs(v[k]) > fabs(v[largest])) largest = k;
        kept_value[j] = value[dim - 1 - j];
        double f = (v[largest] < 0 ? -1 : 1) / sqrt(kept_value[j]);
        for (int32_t k = 0; k < dim; k++) axis[(int64_t)j * dim + k] = f * v[k];
    }
    out->mean = mean, out->axis = axis, out->value = kept_value, out->n_kept = kept;
done:
    ehm_arena_free(&scratch);
    return rc;
}

typedef struct {
    float *out;
    const ehm_whiten *w;
    const float *x;
} apply_ctx;
static void apply_rows(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    const apply_ctx *c = ctx;
    const ehm_whiten *w = c->w;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++)
        for (int32_t j = 0; j < w->n_kept; j++) {
            const double *axis = w->axis + (int64_t)j * w->dim;
            const float *x = c->x + i * w->dim;
            double part[4] = {0}; /* four chains of sums: the same on every machine, and none waits for the one before */
            int32_t k = 0;
            for (; k + 4 <= w->dim; k += 4)
                for (int32_t u = 0; u < 4; u++) part[u] += axis[k + u] * ((double)x[k + u] - w->mean[k + u]);
            for (; k < w->dim; k++) part[0] += axis[k] * ((double)x[k] - w->mean[k]);
            c->out[i * w->n_kept + j] = (float)((part[0] + part[1]) + (part[2] + part[3]));
        }
}
void ehm_whiten_apply(float *out, const ehm_whiten *w, const float *x, int64_t n, ehm_pool *pool) {
    ehm_pool_for(pool, n, 32, apply_rows, &(apply_ctx){out, w, x});
}
