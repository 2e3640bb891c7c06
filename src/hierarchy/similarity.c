/* The matrix that a tree is built from: its checks, its scalings. */
#include "hierarchy/tree_int.h"
#include <float.h>
#include <math.h>

static double at(const void *S, ehm_dtype type, int32_t n, int32_t i, int32_t j) {
    size_t k = (size_t)i * (size_t)n + (size_t)j;
    return type == EHM_F64 ? ((const double *)S)[k] : (double)((const float *)S)[k];
}

double ehm_similarity_at(const void *S, ehm_dtype type, int32_t n, int32_t i, int32_t j) {
    double a = at(S, type, n, i, j), b = at(S, type, n, j, i);
    if (a == b) return a;
    double mean = a / 2 + b / 2; /* halves first: it cannot overflow, and the order of the two does not matter */
    return type == EHM_F64 ? mean : (double)(float)mean;
}

/* Pair by pair, for the words of an error and for matrices that are symmetric but for rounding. */
static ehm_code check_pairs(ehm_similarity_range *r, const void *S, ehm_dtype type, int32_t n, uint32_t flags, ehm_err *err) {
    double widest = 0;
    *r = (ehm_similarity_range){.min = DBL_MAX, .max = -DBL_MAX};
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) {
            if (i == j) continue;
            double s = at(S, type, n, i, j);
            if (!isfinite(s)) return EHM_FAIL(err, EHM_E_ARG, "similarity (%d, %d) is %g", (int)i, (int)j, s);
            if (fabs(s) > widest) widest = fabs(s);
        }
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = i + 1; j < n; j++) {
            double a = at(S, type, n, i, j), b = at(S, type, n, j, i);
            if (!(flags & EHM_TREE_SYMMETRISE) && fabs(a - b) > 1e-4 * widest) {
                EHM_FAIL(err, EHM_E_ARG,
                         "similarity (%d, %d) is %.9g, but (%d, %d) is %.9g: not symmetric (1e-4 of the largest, %g, is allowed)",
                         (int)i, (int)j, a, (int)j, (int)i, b, widest);
                EHM_HINT(err, "--symmetrise takes the mean of the two");
                return EHM_E_ARG;
            }
            double s = ehm_similarity_at(S, type, n, i, j);
            if (s < r->min) r->min = s;
            if (s > r->max) r->max = s;
        }
    r->max_abs = fmax(r->max, -r->min);
    return EHM_OK;
}

ehm_code ehm_similarity_check_with(const ehm_tree_kern *k, ehm_similarity_range *r, bool *exact, const void *S, ehm_dtype type,
                                   int32_t n, uint32_t flags, ehm_err *err) {
    *r = (ehm_similarity_range){0};
    *exact = true;
    if (n == 1) return EHM_OK;
    if (flags & EHM_TREE_TRUSTED && (type == EHM_F64 ? k->range_f64(r, S, n) : k->range_f32(r, S, n))) return EHM_OK;
    if (type == EHM_F64 ? k->check_f64(r, S, n) : k->check_f32(r, S, n)) return EHM_OK;
    *exact = false;
    return check_pairs(r, S, type, n, flags, err);
}

bool ehm_similarity_is_flat(const ehm_similarity_range *r) { return !(r->max - r->min > 1e-6 * r->max_abs); }

/* One weight at a time is set to what makes its own row sum 1, with the others as they are by then. The sums are the gradient of a
 * convex function of the logarithms of the weights, of which this is coordinate descent: it converges wherever a solution exists. */
int32_t ehm_similarity_balance(float *S, int32_t n, float *row_work) {
    enum { ROUNDS_MAX = 100 };
    const double close = 1e-6, limit = 1e15; /* a matrix without a solution (a star, say) drives weights to 0 and infinity */
    float *w = row_work;
    int32_t round = 0;
    for (int32_t i = 0; i < n; i++) w[i] = 1;
    for (bool agree = false; !agree && round < ROUNDS_MAX; round++) {
        agree = true;
        for (int32_t i = 0; i < n; i++) {
            const float *row = S + (size_t)i * (size_t)n;
            double sum = 0;
            for (int32_t j = 0; j < n; j++)
                if (j != i) sum += (double)row[j] * (double)w[j];
            if (!(sum > 0)) continue;
            if (fabs(sum * (double)w[i] - 1) > close) agree = false;
            w[i] = (float)fmin(fmax(1 / sum, 1 / limit), limit);
        }
    }
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++)
            if (i != j) S[(size_t)i * (size_t)n + (size_t)j] *= w[i] * w[j];
    return round;
}

void ehm_similarity_prior(float *S, int32_t grid_h, int32_t grid_w, double weight) {
    int32_t n = grid_h * grid_w;
    if (weight == 0 || n < 2) return;
    double sigma = (grid_h > grid_w ? grid_h : grid_w) / 7.0, scale = -0.5 / (sigma * sigma);
    double least = DBL_MAX, sum = 0, prior_sum = 0;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) {
            if (i == j) continue;
            double s = (double)S[(size_t)i * (size_t)n + (size_t)j];
            if (s < least) least = s;
            sum += s;
        }
    /* How often a step of (dy, dx) occurs between two patches. */
    for (int32_t dy = 0; dy < grid_h; dy++)
        for (int32_t dx = 0; dx < grid_w; dx++)
            if (dy || dx)
                prior_sum += (dy ? 2 : 1) * (dx ? 2 : 1) * (double)(grid_h - dy) * (double)(grid_w - dx) *
                             exp(scale * ((double)dy * dy + (double)dx * dx));
    double pairs = (double)n * (n - 1), mean = sum / pairs - least, prior_mean = prior_sum / pairs;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) {
            if (i == j) continue;
            float *s = &S[(size_t)i * (size_t)n + (size_t)j];
            double dy = i / grid_w - j / grid_w, dx = i % grid_w - j % grid_w;
            double moved = mean > 0 ? ((double)*s - least) / mean : 0; /* a flat S says nothing: the prior alone */
            *s = (float)(moved + weight * exp(scale * (dy * dy + dx * dx)) / prior_mean);
        }
}
