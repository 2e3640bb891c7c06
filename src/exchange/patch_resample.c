#include "exchange/patch_resample.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Keys' cubic; image tools take a = -0.5 where they antialias, PyTorch -0.75 where it does not. */
static double cubic(double x, double a) {
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? a * (((x - 5) * x + 8) * x - 4) : 0;
}

/* ---- patch kernels ---- */

/* R [q,p]: a line of p values brought to q, bicubic with antialiasing. */
static void resize_matrix(double *r, int32_t p, int32_t q) {
    double scale = (double)p / q, wide = scale > 1 ? scale : 1, support = 2 * wide;
    memset(r, 0, sizeof *r * (size_t)p * (size_t)q);
    for (int32_t i = 0; i < q; i++) {
        double centre = scale * (i + 0.5), sum = 0, *w = r + (size_t)i * (size_t)p;
        int32_t first = (int32_t)fmax(centre - support + 0.5, 0), end = (int32_t)fmin(centre + support + 0.5, p);
        for (int32_t k = first; k < end; k++) sum += w[k] = cubic((k - centre + 0.5) / wide, -0.5);
        for (int32_t k = first; k < end; k++) w[k] /= sum;
    }
}

/* out [n,m] = a [n,k] @ b, b [k,m], or [m,k] when it is taken transposed; a likewise [k,n]. */
static void product(double *out, const double *a, bool a_t, const double *b, bool b_t, int32_t n, int32_t k, int32_t m) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < m; j++) {
            double sum = 0;
            for (int32_t x = 0; x < k; x++) sum += a[a_t ? (size_t)x * (size_t)n + (size_t)i : (size_t)i * (size_t)k + (size_t)x] *
                                                   b[b_t ? (size_t)j * (size_t)k + (size_t)x : (size_t)x * (size_t)m + (size_t)j];
            out[(size_t)i * (size_t)m + (size_t)j] = sum;
        }
}

/* Eigenvalues into the diagonal of g, eigenvectors into the columns of v, by Jacobi's rotations: n is a patch's side, and a symmetric matrix of that size is done before
 * anything faster would pay. */
static void eigen(double *g, double *v, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) v[i * n + j] = i == j;
    for (int32_t sweep = 0; sweep < 60; sweep++) {
        double off = 0, all = 0;
        for (int32_t i = 0; i < n; i++)
            for (int32_t j = 0; j < n; j++) *(i == j ? &all : &off) += g[i * n + j] * g[i * n + j];
        if (off <= 1e-30 * all) return;
        for (int32_t i = 0; i < n; i++)
            for (int32_t j = i + 1; j < n; j++) {
                if (g[i * n + j] == 0) continue;
                double theta = (g[j * n + j] - g[i * n + i]) / (2 * g[i * n + j]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1), s = c * t;
                for (int32_t k = 0; k < n; k++) {
                    double x = g[k * n + i], y = g[k * n + j];
                    g[k * n + i] = c * x - s * y, g[k * n + j] = s * x + c * y;
                }
                for (int32_t k = 0; k < n; k++) {
                    double x = g[i * n + k], y = g[j * n + k];
                    g[i * n + k] = c * x - s * y, g[j * n + k] = s * x + c * y;
                    x = v[k * n + i], y = v[k * n + j];
                    v[k * n + i] = c * x - s * y, v[k * n + j] = s * x + c * y;
                }
            }
    }
}

/* The pseudo-inverse of the whole resize is that of its rows times that of its columns: M = R x R gives pinv(M) = pinv(R) x pinv(R). So s [q,p] = pinv(R)^T is enough, and it
 * comes from the smaller of R R^T and R^T R by its eigenvalues; those that are zero but for rounding are left out, as the definition wants. */
static ehm_code pinv_transposed(double *s, int32_t p, int32_t q, ehm_err *err) {
    int32_t n = p < q ? p : q;
    size_t square = (size_t)n * (size_t)n, area = (size_t)p * (size_t)q;
    double *r = malloc(sizeof *r * (area + 3 * square));
    if (!r) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to resample a patch embedding of %d px to %d", (int)p, (int)q);
    double *g = r + area, *v = g + square, *inverse = v + square, largest = 0;
    resize_matrix(r, p, q);
    if (q < p) product(g, r, false, r, true, n, p, n);
    else product(g, r, true, r, false, n, q, n);
    eigen(g, v, n);
    for (int32_t i = 0; i < n; i++) largest = fmax(largest, g[i * n + i]);
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) {
            inverse[i * n + j] = 0;
            for (int32_t k = 0; k < n; k++)
                if (g[k * n + k] > 1e-13 * largest) inverse[i * n + j] += v[i * n + k] * v[j * n + k] / g[k * n + k];
        }
    if (q < p) product(s, inverse, false, r, false, q, n, p); /* (R R^T)^-1 R */
    else product(s, r, false, inverse, false, q, n, p);       /* R (R^T R)^-1 */
    free(r);
    return EHM_OK;
}

ehm_code ehm_patch_resample(float *out, const float *kernel, int64_t dim, int64_t channels, int32_t p, int32_t q, ehm_err *err) {
    size_t in = (size_t)p * (size_t)p, n = (size_t)q * (size_t)q;
    if (p == q) {
        memcpy(out, kernel, sizeof *out * (size_t)dim * (size_t)channels * n);
        return EHM_OK;
    }
    double *s = malloc(sizeof *s * ((size_t)p * (size_t)q * 2 + in + n));
    if (!s) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to resample a patch embedding of %d px to %d", (int)p, (int)q);
    double *mid = s + (size_t)p * (size_t)q, *from = mid + (size_t)p * (size_t)q, *to = from + in;
    ehm_code rc = pinv_transposed(s, p, q, err);
    for (int64_t i = 0; !rc && i < dim * channels; i++, kernel += in, out += n) {
        for (size_t k = 0; k < in; k++) from[k] = (double)kernel[k];
        product(mid, s, false, from, false, q, p, p);
        product(to, mid, false, s, true, q, p, q);
        for (size_t k = 0; k < n; k++) out[k] = (float)to[k];
    }
    free(s);
    return rc;
}

void ehm_patch_channels(float *out, const float *kernel, int64_t dim, int64_t channels, int64_t n, int64_t pixels) {
    double scale = (double)channels / (double)n;
    for (int64_t d = 0; d < dim; d++, kernel += channels * pixels, out += n * pixels) {
        for (int64_t c = 0; n > 1 && c < n; c++)
            for (int64_t k = 0; k < pixels; k++) {
                float v = kernel[c % channels * pixels + k];
                out[c * pixels + k] = n == channels ? v : (float)(v * scale);
            }
        for (int64_t k = 0; n == 1 && k < pixels; k++) {
            double sum = 0;
            for (int64_t c = 0; c < channels; c++) sum += (double)kernel[c * pixels + k];
            out[k] = (float)sum;
        }
    }
}

/* ---- position tables ---- */

/* Four taps of a line of n: where, and how much. Beyond the border the last value stands. */
typedef struct { int32_t at[4]; double w[4]; } taps;

static taps taps_of(int32_t i, int32_t n, int32_t n_out) {
    taps t;
    double x = (double)n / n_out * (i + 0.5) - 0.5, f = x - floor(x);
    for (int32_t k = 0; k < 4; k++) {
        int32_t at = (int32_t)floor(x) + k - 1;
        t.at[k] = at < 0 ? 0 : at >= n ? n - 1 : at;
        t.w[k] = cubic(f - (k - 1), -0.75);
    }
    return t;
}

ehm_code ehm_table_resize_mae(float *out, const float *in, int32_t dim, int32_t in_h, int32_t in_w, int32_t out_h, int32_t out_w, int32_t n_prefix, ehm_err *err) {
    size_t prefix = (size_t)n_prefix * (size_t)dim;
    memcpy(out, in, sizeof *out * prefix);
    out += prefix, in += prefix;
    if (in_h == out_h && in_w == out_w) {
        memcpy(out, in, sizeof *out * (size_t)in_h * (size_t)in_w * (size_t)dim);
        return EHM_OK;
    }
    double *sum = malloc(sizeof *sum * (size_t)dim);
    if (!sum) return EHM_FAIL(err, EHM_E_MEMORY, "no memory to resize a position table");
    for (int32_t r = 0; r < out_h; r++)
        for (int32_t c = 0; c < out_w; c++, out += dim) {
            taps down = taps_of(r, in_h, out_h), across = taps_of(c, in_w, out_w);
            memset(sum, 0, sizeof *sum * (size_t)dim);
            for (int32_t y = 0; y < 4; y++)
                for (int32_t x = 0; x < 4; x++) {
                    const float *from = in + ((size_t)down.at[y] * (size_t)in_w + (size_t)across.at[x]) * (size_t)dim;
                    double w = down.w[y] * across.w[x];
                    for (int32_t d = 0; d < dim; d++) sum[d] += w * (double)from[d];
                }
            for (int32_t d = 0; d < dim; d++) out[d] = (float)sum[d];
        }
    free(sum);
    return EHM_OK;
}
