#include "net/table_resize.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* One axis: each of n_out rows is a weighted sum of rows first .. first + n of the input. */
typedef struct { int32_t first, n; } span;
typedef struct { span *at; double *weight; int32_t width; } axis;

static bool axis_open(axis *x, int32_t n_in, int32_t n_out) {
    double scale = (double)n_in / n_out, wide = scale > 1 ? scale : 1, support = 2 * wide;
    x->width = 2 * (int32_t)ceil(support) + 1;
    x->at = malloc(sizeof *x->at * (size_t)n_out);
    x->weight = malloc(sizeof *x->weight * (size_t)n_out * (size_t)x->width);
    if (!x->at || !x->weight) return false;
    for (int32_t i = 0; i < n_out; i++) {
        double centre = scale * (i + 0.5), sum = 0, *w = x->weight + (size_t)i * (size_t)x->width;
        int32_t first = (int32_t)fmax(centre - support + 0.5, 0), end = (int32_t)fmin(centre + support + 0.5, n_in);
        x->at[i] = (span){first, end - first};
        for (int32_t k = 0; k < end - first; k++) sum += w[k] = cubic((first + k - centre + 0.5) / wide);
        for (int32_t k = 0; k < end - first; k++) w[k] /= sum;
    }
    return true;
}

static void axis_close(axis *x) { free(x->at), free(x->weight); }

/* Along the middle of [n_outer, n, n_inner]. */
static void along(double *out, const double *in, const axis *x, int64_t n_outer, int32_t n_in, int32_t n_out, int64_t n_inner) {
    for (int64_t o = 0; o < n_outer; o++)
        for (int32_t i = 0; i < n_out; i++) {
            double *to = out + (o * n_out + i) * n_inner;
            const double *w = x->weight + (size_t)i * (size_t)x->width, *from = in + (o * n_in + x->at[i].first) * n_inner;
            memset(to, 0, sizeof *to * (size_t)n_inner);
            for (int32_t k = 0; k < x->at[i].n; k++, from += n_inner)
                for (int64_t d = 0; d < n_inner; d++) to[d] += w[k] * from[d];
        }
}

ehm_code ehm_table_resize(float *out, const float *in, int32_t dim, int32_t in_h, int32_t in_w, int32_t out_h, int32_t out_w, int32_t n_prefix, ehm_err *err) {
    size_t prefix = (size_t)n_prefix * (size_t)dim, n_in = (size_t)in_h * (size_t)in_w * (size_t)dim, n_out = (size_t)out_h * (size_t)out_w * (size_t)dim;
    axis across = {0}, down = {0};
    double *wide = NULL, *mid = NULL;
    ehm_code rc = EHM_OK;
    memcpy(out, in, sizeof *out * prefix);
    if (in_h == out_h && in_w == out_w) {
        memcpy(out + prefix, in + prefix, sizeof *out * n_in);
        return EHM_OK;
    }
    wide = malloc(sizeof *wide * (n_in > n_out ? n_in : n_out));
    mid = malloc(sizeof *mid * (size_t)in_h * (size_t)out_w * (size_t)dim);
    if (!wide || !mid || !axis_open(&across, in_w, out_w) || !axis_open(&down, in_h, out_h)) {
        rc = EHM_FAIL(err, EHM_E_MEMORY, "no memory to resize a position table");
        goto done;
    }
    for (size_t i = 0; i < n_in; i++) wide[i] = (double)in[prefix + i];
    along(mid, wide, &across, in_h, in_w, out_w, dim);
    along(wide, mid, &down, 1, in_h, out_h, (int64_t)out_w * dim);
    for (size_t i = 0; i < n_out; i++) out[prefix + i] = (float)wide[i];
done:
    axis_close(&across), axis_close(&down);
    free(wide), free(mid);
    return rc;
}
