/* How far trees and frontiers agree with labels, and with each other. */
#include "hierarchy/cut.h"
#include <math.h>
#include <stdlib.h>

/* ---- dendrogram purity ---- */

static int by_value(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Labels as 0, 1, ... in the order of their values, -1 where left out; returns how many there are, -1 without
 * memory. */
static int32_t rank_labels(int32_t *rank, const int32_t *label, int32_t n, ehm_arena *scratch) {
    int32_t *known = EHM_NEW_N(scratch, int32_t, n), n_known = 0, n_labelled = 0;
    if (!known) return -1;
    for (int32_t i = 0; i < n; i++)
        if (label[i] >= 0) known[n_labelled++] = label[i];
    qsort(known, (size_t)n_labelled, sizeof *known, by_value);
    for (int32_t i = 0; i < n_labelled; i++)
        if (!i || known[i] != known[n_known - 1]) known[n_known++] = known[i];
    for (int32_t i = 0; i < n; i++) {
        const int32_t *at =
            label[i] < 0 ? NULL : bsearch(&label[i], known, (size_t)n_known, sizeof *known, by_value);
        rank[i] = at ? (int32_t)(at - known) : -1;
    }
    return n_known;
}

typedef struct {
    const ehm_tree *t;
    int32_t n, n_classes;
    int32_t *parent, *size, *labelled; /* [2n-1] */
    int32_t *start;                    /* [2n-1] first place in the tree's order of leaves */
    int32_t *rank;                     /* [n] by place */
    int64_t *count, *light;            /* [n_classes] */
    double sum, pairs;
} purity;

static bool purity_new(purity *p, const ehm_tree *t, const int32_t *label, ehm_arena *scratch) {
    int32_t n = t->n, *rank = EHM_NEW_N(scratch, int32_t, n);
    *p = (purity){.t = t, .n = n, .n_classes = rank ? rank_labels(rank, label, n, scratch) : -1};
    if (p->n_classes < 0) return false;
    p->parent = EHM_NEW_N(scratch, int32_t, 2 * n);
    p->size = EHM_NEW_N(scratch, int32_t, 2 * n);
    p->labelled = EHM_NEW_N(scratch, int32_t, 2 * n);
    p->start = EHM_NEW_N(scratch, int32_t, 2 * n);
    p->rank = EHM_NEW_N(scratch, int32_t, n);
    p->count = EHM_NEW_N(scratch, int64_t, p->n_classes + 1);
    p->light = EHM_NEW_N(scratch, int64_t, p->n_classes + 1);
    if (!p->parent || !p->size || !p->labelled || !p->start || !p->rank || !p->count || !p->light)
        return false;
    for (int32_t i = 0; i < n; i++) p->size[i] = 1, p->labelled[i] = rank[i] >= 0;
    for (int32_t k = 0; k < n - 1; k++) {
        int32_t l = t->left[k], r = t->right[k];
        p->parent[l] = p->parent[r] = n + k;
        p->size[n + k] = p->size[l] + p->size[r];
        p->labelled[n + k] = p->labelled[l] + p->labelled[r];
    }
    p->start[2 * n - 2] = 0;
    for (int32_t k = n - 2; k >= 0; k--) {
        p->start[t->left[k]] = p->start[n + k];
        p->start[t->right[k]] = p->start[n + k] + p->size[t->left[k]];
    }
    for (int32_t i = 0; i < n; i++) p->rank[p->start[i]] = rank[i];
    return true;
}

/* The child with more leaves, and its sibling. */
static int32_t heavy_of(const purity *p, int32_t node, int32_t *light) {
    int32_t l = p->t->left[node - p->n], r = p->t->right[node - p->n];
    bool left = p->size[l] >= p->size[r];
    *light = left ? r : l;
    return left ? l : r;
}

/* node joins what count holds with the leaves of its light child: h of a label with l more make h l pairs, each
 * with a share of (h + l) / labelled. */
static void join(purity *p, int32_t node, int32_t light) {
    const int32_t *rank = p->rank + p->start[light];
    int32_t n = p->size[light];
    for (int32_t i = 0; i < n; i++)
        if (rank[i] >= 0) p->light[rank[i]]++;
    for (int32_t i = 0; i < n; i++) {
        if (rank[i] < 0 || !p->light[rank[i]]) continue;
        double h = (double)p->count[rank[i]], l = (double)p->light[rank[i]];
        p->sum += h * l * (h + l) / p->labelled[node];
        p->pairs += h * l;
        p->count[rank[i]] += p->light[rank[i]];
        p->light[rank[i]] = 0;
    }
}

/* Up one heavy path: count starts with its lowest leaf, and only light subtrees are walked through. A leaf is in
 * at most log2 n of those, which is the O(n log n). */
static void climb(purity *p, int32_t top) {
    int32_t node = top, light;
    while (node >= p->n) node = heavy_of(p, node, &light);
    int32_t rank = p->rank[p->start[node]];
    if (rank >= 0) p->count[rank] = 1;
    while (node != top) {
        node = p->parent[node];
        heavy_of(p, node, &light);
        join(p, node, light);
    }
    for (int32_t i = 0; i < p->size[top]; i++)
        if (p->rank[p->start[top] + i] >= 0) p->count[p->rank[p->start[top] + i]] = 0;
}

double ehm_tree_purity(const ehm_tree *t, const int32_t *label, ehm_arena *scratch) {
    purity p;
    if (!purity_new(&p, t, label, scratch)) return NAN;
    int32_t light;
    if (p.n > 1) climb(&p, 2 * p.n - 2);
    for (int32_t node = 2 * p.n - 2; node >= p.n; node--) {
        heavy_of(&p, node, &light);
        if (light >= p.n) climb(&p, light);
    }
    return p.pairs > 0 ? p.sum / p.pairs : NAN;
}

/* ---- adjusted Rand index ---- */

static int by_bits(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Pairs of equal keys. Sorts key. */
static double equal_pairs(uint64_t *key, int32_t n) {
    double pairs = 0;
    qsort(key, (size_t)n, sizeof *key, by_bits);
    for (int32_t i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && key[i + run] == key[i]; run++) { }
        pairs += (double)run * (run - 1) / 2;
    }
    return pairs;
}

double ehm_adjusted_rand(const int32_t *a, const int32_t *b, int32_t n, ehm_arena *scratch) {
    uint64_t *key = n > 0 ? EHM_NEW_N(scratch, uint64_t, n) : NULL;
    if (!key) return NAN;
    for (int32_t i = 0; i < n; i++) key[i] = (uint64_t)(uint32_t)a[i] << 32 | (uint32_t)b[i];
    double both = equal_pairs(key, n);
    for (int32_t i = 0; i < n; i++) key[i] = (uint32_t)a[i];
    double in_a = equal_pairs(key, n);
    for (int32_t i = 0; i < n; i++) key[i] = (uint32_t)b[i];
    double in_b = equal_pairs(key, n), all = (double)n * (n - 1) / 2;
    /* The same partition; also where chance would agree as well (one cluster, all apart): there it is 0 / 0. */
    if (both == in_a && both == in_b) return 1;
    double expected = in_a / all * in_b;
    return (both - expected) / ((in_a + in_b) / 2 - expected);
}
