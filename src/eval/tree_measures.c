#include "eval/tree_measures.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- nodes and cuts against labelled regions ---- */

static int by_value(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

typedef struct {
    const ehm_tree *t;
    int32_t n, k;           /* leaves, regions */
    int32_t *region;        /* [k] labels, ascending */
    int32_t *count;         /* [2n-1,k] leaves of each region below a node */
    int32_t *total;         /* [2n-1] labelled leaves below it */
} regions;

static bool regions_of(regions *r, const ehm_tree *t, const int32_t *label, ehm_arena *scratch) {
    int32_t n = t->n, n_labelled = 0, k = 0;
    *r = (regions){.t = t, .n = n, .region = EHM_NEW_N(scratch, int32_t, n)};
    if (n < 2 || !r->region) return false;
    for (int32_t i = 0; i < n; i++)
        if (label[i] >= 0) r->region[n_labelled++] = label[i];
    qsort(r->region, (size_t)n_labelled, sizeof *r->region, by_value);
    for (int32_t i = 0; i < n_labelled; i++)
        if (!i || r->region[i] != r->region[k - 1]) r->region[k++] = r->region[i];
    r->k = k;
    r->count = k ? EHM_NEW_N(scratch, int32_t, (size_t)(2 * n - 1) * (size_t)k) : NULL;
    r->total = EHM_NEW_N(scratch, int32_t, 2 * n - 1);
    if (!r->count || !r->total) return false;
    for (int32_t i = 0; i < n; i++) {
        const int32_t *at = label[i] < 0 ? NULL : bsearch(&label[i], r->region, (size_t)k, sizeof *at, by_value);
        if (at) r->count[(int64_t)i * k + (at - r->region)] = r->total[i] = 1;
    }
    for (int32_t m = 0; m < n - 1; m++) {
        int32_t *sum = r->count + (int64_t)(n + m) * k;
        const int32_t *a = r->count + (int64_t)t->left[m] * k, *b = r->count + (int64_t)t->right[m] * k;
        for (int32_t j = 0; j < k; j++) sum[j] = a[j] + b[j];
        r->total[n + m] = r->total[t->left[m]] + r->total[t->right[m]];
    }
    return true;
}

static double best_node(const regions *r) {
    const int32_t *all = r->count + (int64_t)(2 * r->n - 2) * r->k; /* the root's */
    double sum = 0;
    for (int32_t j = 0; j < r->k; j++) {
        double best = 0;
        for (int32_t v = 0; v < 2 * r->n - 1; v++) {
            double both = r->count[(int64_t)v * r->k + j];
            best = fmax(best, both / (r->total[v] + all[j] - both));
        }
        sum += best;
    }
    return sum / r->k;
}

/* both, taken [k]: leaves of the region in nodes that took its label; labelled leaves in those nodes. */
static double cut_fit(const regions *r, const ehm_frontier *f, int32_t *both, int32_t *taken) {
    const int32_t *all = r->count + (int64_t)(2 * r->n - 2) * r->k;
    double sum = 0;
    memset(both, 0, sizeof *both * (size_t)r->k), memset(taken, 0, sizeof *taken * (size_t)r->k);
    for (int32_t i = 0; i < f->n_nodes; i++) {
        const int32_t *c = r->count + (int64_t)f->node[i] * r->k;
        int32_t most = 0;
        for (int32_t j = 1; j < r->k; j++)
            if (c[j] > c[most]) most = j;
        both[most] += c[most], taken[most] += r->total[f->node[i]];
    }
    for (int32_t j = 0; j < r->k; j++) sum += (double)both[j] / (taken[j] + all[j] - both[j]);
    return sum / r->k;
}

ehm_tree_fit ehm_tree_fit_of(const ehm_tree *t, const int32_t *label, ehm_arena *scratch) {
    ehm_tree_fit out = {NAN, NAN, NAN};
    ehm_frontier f;
    ehm_err ignored = {0};
    regions r;
    if (!regions_of(&r, t, label, scratch) || ehm_frontier_new(&f, t->n, scratch, &ignored)) return out;
    int32_t *work = EHM_NEW_N(scratch, int32_t, 2 * r.k), most = t->n < EHM_TREE_CUT_MOST ? t->n : EHM_TREE_CUT_MOST;
    if (!work) return out;
    out.best_node = best_node(&r), out.best_cut = 0;
    for (int32_t k = 2; k <= most; k++) {
        ehm_cut_count(&f, t, k);
        out.best_cut = fmax(out.best_cut, cut_fit(&r, &f, work, work + r.k));
    }
    ehm_cut_count(&f, t, r.k);
    out.label_cut = cut_fit(&r, &f, work, work + r.k);
    return out;
}

void ehm_cosines(float *S, const float *x, int32_t n, int32_t D) {
    for (int64_t i = 0; i < n; i++) { /* the diagonal holds squared norms until all pairs are done */
        for (int64_t j = 0; j <= i; j++) {
            double s = 0;
            for (int32_t k = 0; k < D; k++) s += (double)x[i * D + k] * (double)x[j * D + k];
            S[i * n + j] = (float)s;
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) {
            double norms = sqrt((double)S[i * n + i]) * sqrt((double)S[j * n + j]);
            S[i * n + j] = S[j * n + i] = norms > 0 ? (float)((double)S[i * n + j] / norms) : 0;
        }
    for (int64_t i = 0; i < n; i++) S[i * n + i] = 1;
}
