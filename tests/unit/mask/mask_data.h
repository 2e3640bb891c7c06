/* What mask tests share: data for every need, trees of known shape, and the tests of uniformity. */
#ifndef EHM_TESTS_MASK_DATA_H
#define EHM_TESTS_MASK_DATA_H
#include "harness.h"
#include "mask/tree_mask_int.h"

/* Everything that a rule may ask for, random but for n; score holds 0 and 1. Arrays from a. */
static inline ehm_mask_in mask_data(int32_t gh, int32_t gw, uint64_t seed, ehm_arena *a) {
    int32_t n = gh * gw, n_levels = 3, n_colour = 3;
    ehm_rng rng = ehm_rng_of(seed, EHM_RNG_test, 7, 0);
    float *S = EHM_NEW_N(a, float, n *n), *other = EHM_NEW_N(a, float, n *n),
          *attention = EHM_NEW_N(a, float, n *n), *cls = EHM_NEW_N(a, float, n),
          *score = EHM_NEW_N(a, float, n), *loss = EHM_NEW_N(a, float, n),
          *colour = EHM_NEW_N(a, float, n *n_colour);
    int32_t *labels = EHM_NEW_N(a, int32_t, n *n_levels);
    for (int32_t i = 0; i < n; i++) {
        for (int32_t j = 0; j <= i; j++) {
            S[i * n + j] = S[j * n + i] = ehm_rng_f32(&rng);
            other[i * n + j] = other[j * n + i] = ehm_rng_f32(&rng);
        }
        float sum = 0;
        for (int32_t j = 0; j < n; j++) sum += attention[i * n + j] = ehm_rng_f32(&rng);
        for (int32_t j = 0; j < n; j++) attention[i * n + j] *= 0.9f / sum;
        cls[i] = ehm_rng_f32(&rng), loss[i] = ehm_rng_f32(&rng), score[i] = (float)ehm_rng_below(&rng, 2);
        for (int32_t c = 0; c < n_colour; c++) colour[i * n_colour + c] = ehm_rng_f32(&rng);
        for (int32_t l = 0; l < n_levels; l++)
            labels[l * n + i] = (int32_t)ehm_rng_below(&rng, (uint32_t)(5 - l)) - 1;
    }
    return (ehm_mask_in){.grid_h = gh,
                         .grid_w = gw,
                         .n_masked = n * 3 / 4,
                         .n_views = 1,
                         .progress_frac = 0.5f,
                         .seed = seed,
                         .rng = ehm_rng_of(seed, EHM_RNG_mask, 0, 0),
                         .similarity = S,
                         .similarity_other = other,
                         .attention = attention,
                         .cls_attention = cls,
                         .score = score,
                         .loss = loss,
                         .colour = colour,
                         .n_colour = n_colour,
                         .labels = labels,
                         .n_levels = n_levels};
}

static inline void mask_sample(ehm_mask_in *in, uint64_t sample) {
    in->sample = sample, in->rng = ehm_rng_of(in->seed, EHM_RNG_mask, in->epoch, sample);
}

/* ---- trees by hand ---- */
static inline void tree_join(ehm_tree *t, int32_t k, int32_t a, int32_t b) {
    int32_t sa = a < t->n ? 1 : t->size[a - t->n], sb = b < t->n ? 1 : t->size[b - t->n];
    t->left[k] = a < b ? a : b, t->right[k] = a < b ? b : a, t->size[k] = sa + sb, t->height[k] = k + 1;
}
/* Halves, halves of halves; n a power of two. */
static inline void tree_balanced(ehm_tree *t, int32_t n, ehm_arena *a) {
    ehm_err err = {0};
    REQUIRE_OK(ehm_tree_new(t, n, a, &err), &err);
    for (int32_t k = 0; k < n - 1; k++) tree_join(t, k, 2 * k, 2 * k + 1);
}
/* One leaf after the other joins the same node: its cut at K is a giant and K - 1 single leaves. */
static inline void tree_chained(ehm_tree *t, int32_t n, ehm_arena *a) {
    ehm_err err = {0};
    REQUIRE_OK(ehm_tree_new(t, n, a, &err), &err);
    for (int32_t k = 0; k < n - 1; k++) tree_join(t, k, k ? n + k - 1 : 0, k + 1);
}
/* Chains over the runs of leaves of these sizes, then one chain of the runs: the cut at n_run is the runs. */
static inline void tree_of_runs(ehm_tree *t, const int32_t *size, int32_t n_run, ehm_arena *a) {
    ehm_err err = {0};
    int32_t n = 0, k = 0, at = 0, top[64];
    for (int32_t i = 0; i < n_run; i++) n += size[i];
    REQUIRE_OK(ehm_tree_new(t, n, a, &err), &err);
    for (int32_t i = 0; i < n_run; at += size[i++]) {
        top[i] = at;
        for (int32_t j = 1; j < size[i]; j++, k++) tree_join(t, k, top[i], at + j), top[i] = n + k;
    }
    for (int32_t i = 1; i < n_run; i++, k++) tree_join(t, k, top[0], top[i]), top[0] = n + k;
}

/* ---- uniformity ---- */

/* Chi-square of the 15 sets of 4 of 6, 14 degrees of freedom: 57 is exceeded with probability 1e-6 (as 14 +-
 * 43 says). */
typedef struct { int32_t count[64], n; } subsets;
static inline void subsets_add(subsets *s, const uint8_t *removed) {
    int32_t bits = 0;
    for (int32_t i = 0; i < 6; i++) bits |= removed[i] << i;
    s->count[bits]++, s->n++;
}
static inline double subsets_chi(const subsets *s) {
    double chi = 0, expect = s->n / 15.0;
    int32_t outside = s->n;
    for (int32_t i = 0; i < 64; i++)
        if (__builtin_popcount((unsigned)i) == 4)
            chi += (s->count[i] - expect) * (s->count[i] - expect) / expect, outside -= s->count[i];
    CHECK_INT(outside, 0);
    return chi;
}

/* How often each patch, and each pair, is removed. */
typedef struct { int32_t n, m, n_draws, *one, *pair; } counts;
static inline void counts_new(counts *c, int32_t n, int32_t m, ehm_arena *a) {
    *c = (counts){n, m, 0, EHM_NEW_N(a, int32_t, n), EHM_NEW_N(a, int32_t, n *n)};
}
static inline void counts_add(counts *c, const uint8_t *removed, bool pairs) {
    int32_t list[512], k = 0;
    for (int32_t i = 0; i < c->n; i++)
        if (removed[i]) list[k++] = i, c->one[i]++;
    CHECK_INT(k, c->m);
    for (int32_t i = 0; pairs && i < k; i++)
        for (int32_t j = 0; j < i; j++) c->pair[list[i] * c->n + list[j]]++;
    c->n_draws++;
}
static inline double counts_worst(const counts *c) {
    double p = (double)c->m / c->n, sd = sqrt(c->n_draws * p * (1 - p)), worst = 0;
    for (int32_t i = 0; i < c->n; i++) worst = fmax(worst, fabs(c->one[i] - c->n_draws * p) / sd);
    return worst;
}
static inline double counts_worst_pair(const counts *c) {
    double p = (double)c->m / c->n * (c->m - 1) / (c->n - 1), sd = sqrt(c->n_draws * p * (1 - p)), worst = 0;
    for (int32_t i = 0; i < c->n; i++)
        for (int32_t j = 0; j < i; j++)
            worst = fmax(worst, fabs(c->pair[i * c->n + j] - c->n_draws * p) / sd);
    return worst;
}
#endif
