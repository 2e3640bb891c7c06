#include "eval/tree_measures.h"
#include <math.h>

/* The normal equations of u have the closed form u_i = (r_i - U) / (n - 2), with r_i the off-diagonal row sums and U = sum u = sum r / 2 (n - 1). */
double ehm_tree_popularity(const float *S, int32_t n) {
    if (n < 3) return NAN;
    double total = 0, pairs = (double)n * (n - 1), rest = 0, spread = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            if (i != j) total += S[i * n + j];
    double mean = total / pairs, U = total / (2 * ((double)n - 1));
    /* Explained is what the u_i alone vary by: with v_i = u_i - mean / 2, which sum to 0, the pairs sum to (n - 2) sum v_i^2. */
    for (int64_t i = 0; i < n; i++) {
        double r = 0;
        for (int64_t j = 0; j < n; j++)
            if (i != j) {
                r += S[i * n + j];
                double d = S[i * n + j] - mean;
                spread += d * d;
            }
        double v = (r - U) / (n - 2) - mean / 2;
        rest += v * v;
    }
    spread /= 2; /* each pair was met twice */
    return spread > 0 ? fmin(1, (n - 2) * rest / spread) : NAN;
}

double ehm_sink_index(const float *A, int32_t n) {
    double most = 0, total = 0;
    for (int64_t j = 0; j < n; j++) {
        double s = 0;
        for (int64_t i = 0; i < n; i++) s += A[i * n + j];
        total += s;
        if (s > most) most = s;
    }
    return total > 0 ? most * n / total : NAN;
}

/* Entropy of a row p / s is log s - sum p log p / s. */
static double entropy(const float *A, int64_t stride, int32_t n) {
    double sum = 0;
    int32_t rows = 0;
    if (n < 2) return NAN;
    for (int64_t i = 0; i < n; i++) {
        double s = 0, h = 0;
        for (int64_t j = 0; j < n; j++) {
            double p = A[i * stride + j];
            s += p;
            if (p > 0) h += p * log(p);
        }
        if (s > 0) sum += log(s) - h / s, rows++;
    }
    return rows ? sum / rows / log(n) : NAN;
}
double ehm_attention_entropy(const float *A, int32_t n) { return entropy(A, n, n); }
double ehm_attention_entropy_patches(const float *A, int32_t n) { return entropy(A + n + 2, (int64_t)n + 1, n); }

double ehm_frontier_agreement(const ehm_frontier *a, const ehm_frontier *b, ehm_arena *scratch) {
    EHM_ASSERT(a->n == b->n);
    return ehm_adjusted_rand(a->of_leaf, b->of_leaf, a->n, scratch);
}

void ehm_frontier_mirror(int32_t *out, const int32_t *node, int32_t grid_h, int32_t grid_w) {
    for (int32_t y = 0; y < grid_h; y++)
        for (int32_t x = 0; x < grid_w; x++) out[y * grid_w + x] = node[y * grid_w + grid_w - 1 - x];
}

bool ehm_affinity_halves(ehm_affinity_opt *first, ehm_affinity_opt *second, const ehm_affinity_opt *o) {
    *first = *second = *o;
    first->n_layers = second->n_layers = 0;
    for (int32_t i = 0; i < o->n_layers; i++) {
        ehm_affinity_opt *h = i % 2 ? second : first;
        h->layer[h->n_layers++] = o->layer[i];
    }
    return o->n_layers >= 2;
}
