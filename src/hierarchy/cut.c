/* Frontiers of a tree. Every cut is a set of opened merges, closed upwards (whoever is opened has an opened
 * parent); walking the merges from the root down then hands each node the frontier node above it. */
#include "hierarchy/cut.h"
#include <string.h>

static int32_t size_of(const ehm_tree *t, int32_t node) { return node < t->n ? 1 : t->size[node - t->n]; }
static int64_t square(int64_t x) { return x * x; }

ehm_code ehm_frontier_new(ehm_frontier *f, int32_t n, ehm_arena *a, ehm_err *err) {
    *f = (ehm_frontier){0};
    if (n < 1 || n > EHM_TREE_LEAVES_MAX)
        return EHM_FAIL(err, EHM_E_ARG, "a cut of %d leaves: there may be 1 to %d", n, EHM_TREE_LEAVES_MAX);
    f->n = n;
    f->node = EHM_NEW_N(a, int32_t, n);
    f->start = EHM_NEW_N(a, int32_t, n + 1);
    f->member = EHM_NEW_N(a, int32_t, n);
    f->of_leaf = EHM_NEW_N(a, int32_t, n);
    f->work = EHM_NEW_N(a, int32_t, 4 * n);
    if (!f->node || !f->start || !f->member || !f->of_leaf || !f->work)
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a cut of %d leaves", n);
    return EHM_OK;
}

/* From top, the frontier node above each leaf, everything that is public. index_of [2n] is scratch. */
static void gather(ehm_frontier *f, const int32_t *top, int32_t *index_of) {
    int32_t n = f->n;
    for (int32_t i = 0; i < 2 * n; i++) index_of[i] = -1;
    f->n_nodes = 0;
    memset(f->start, 0, (size_t)(n + 1) * sizeof *f->start);
    for (int32_t i = 0; i < n; i++) { /* ascending leaves meet the nodes in the order of their lowest leaf */
        int32_t *k = &index_of[top[i]];
        if (*k < 0) f->node[*k = f->n_nodes++] = top[i];
        f->of_leaf[i] = *k;
        f->start[*k + 1]++;
    }
    for (int32_t k = 0; k < f->n_nodes; k++) f->start[k + 1] += f->start[k];
    int32_t *next = index_of;
    memcpy(next, f->start, (size_t)f->n_nodes * sizeof *next);
    for (int32_t i = 0; i < n; i++) f->member[next[f->of_leaf[i]]++] = i;
}

/* The frontier after the first n_done merges. */
static void cut_after(ehm_frontier *f, const ehm_tree *t, int32_t n_done) {
    int32_t n = t->n, *top = f->work;
    EHM_ASSERT(f->n == n);
    top[2 * n - 2] = 2 * n - 2;
    for (int32_t k = n - 2; k >= 0; k--) {
        bool opened = k >= n_done;
        top[t->left[k]] = opened ? t->left[k] : top[n + k];
        top[t->right[k]] = opened ? t->right[k] : top[n + k];
    }
    gather(f, top, f->work + 2 * n);
}

void ehm_cut_count(ehm_frontier *f, const ehm_tree *t, int32_t k) {
    cut_after(f, t, t->n - (k < 1 ? 1 : k > t->n ? t->n : k));
}

static double effective(int32_t n, int64_t sum_of_squares) {
    return (double)square(n) / (double)sum_of_squares;
}

void ehm_cut_effective(ehm_frontier *f, const ehm_tree *t, double k) {
    int32_t n = t->n, n_done = n - 1;
    int64_t sum = square(n);
    if (k >= n) n_done = 0; /* said apart: all leaves, whatever a division rounds to */
    for (; n_done > 0 && effective(n, sum) < k; n_done--) {
        int32_t m = n_done - 1;
        sum += square(size_of(t, t->left[m])) + square(size_of(t, t->right[m])) - square(t->size[m]);
    }
    cut_after(f, t, n_done);
}

void ehm_cut_depth(ehm_frontier *f, const ehm_tree *t, int32_t d) {
    int32_t n = t->n, *top = f->work, *depth = f->work + 2 * n;
    EHM_ASSERT(f->n == n);
    top[2 * n - 2] = 2 * n - 2, depth[2 * n - 2] = 0;
    for (int32_t k = n - 2; k >= 0; k--) {
        int32_t l = t->left[k], r = t->right[k];
        bool opened = depth[n + k] < d;
        depth[l] = depth[r] = depth[n + k] + 1;
        top[l] = opened ? l : top[n + k];
        top[r] = opened ? r : top[n + k];
    }
    gather(f, top, depth);
}

double ehm_frontier_effective(const ehm_frontier *f) {
    int64_t sum = 0;
    for (int32_t i = 0; i < f->n_nodes; i++) sum += square(ehm_frontier_size(f, i));
    return effective(f->n, sum);
}

int32_t ehm_frontier_largest(const ehm_frontier *f) {
    int32_t most = 0;
    for (int32_t i = 0; i < f->n_nodes; i++)
        if (ehm_frontier_size(f, i) > most) most = ehm_frontier_size(f, i);
    return most;
}

int32_t ehm_tree_depth(const ehm_tree *t, int32_t *work) {
    int32_t n = t->n, deepest = 0, *depth = work;
    depth[2 * n - 2] = 0;
    for (int32_t k = n - 2; k >= 0; k--) {
        int32_t below = depth[n + k] + 1;
        depth[t->left[k]] = depth[t->right[k]] = below;
        if (below > deepest) deepest = below;
    }
    return deepest;
}

int32_t ehm_tree_members(int32_t *leaf, const ehm_tree *t, int32_t node, int32_t *stack) {
    int32_t n_leaves = 0, n_open = 0;
    stack[n_open++] = node;
    while (n_open) { /* never more than one right subtree a level waits: n places are enough */
        int32_t x = stack[--n_open];
        if (x < t->n) {
            leaf[n_leaves++] = x;
            continue;
        }
        stack[n_open++] = t->right[x - t->n];
        stack[n_open++] = t->left[x - t->n];
    }
    return n_leaves;
}
