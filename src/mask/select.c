/* Which nodes are hidden, so that exactly n_masked patches are, each equally often whatever the sizes. */
#include "mask/pick_int.h"
#include "mask/tree_mask_int.h"
#include <math.h>
#include <string.h>

/* ---- keys: a number for each node and leaf that depends on nothing else that is drawn ---- */

/* Random 64-bit numbers a, b of one node or leaf: the counter holds its number, and the mask's number stands
 * above the high bits of the sample, where no sample gets. */
typedef struct { ehm_rng base; } key_space;
typedef struct { uint64_t a, b; } key_pair;

static key_space keys_of(const ehm_mask_in *in, uint32_t purpose, int32_t view) {
    key_space s = {ehm_rng_of(in->seed, purpose, in->epoch, in->sample)};
    s.base.ctr[3] ^= (uint32_t)view << 20;
    return s;
}

static key_pair key_of(const key_space *s, uint32_t item) {
    uint32_t w[4], ctr[4] = {item, s->base.ctr[1], s->base.ctr[2], s->base.ctr[3]};
    ehm_philox4x32(w, ctr, s->base.key);
    return (key_pair){w[0] | (uint64_t)w[1] << 32, w[2] | (uint64_t)w[3] << 32};
}

/* draw * n / 2^64, 0..n-1. The probability of being below a limit is off by less than 2^-64, and there is no
 * loop that would tie a decision to another one's number. */
static int64_t below(uint64_t draw, int64_t n) {
    return (int64_t)((unsigned __int128)draw * (unsigned __int128)n >> 64);
}

/* ---- sorting ---- */

/* The index takes the low bits of its key: distinct keys, one word to move, and ties go to the lower one. */
static uint64_t index_mask(int32_t n) {
    uint64_t m = 1;
    while (m < (uint64_t)n) m <<= 1;
    return m - 1;
}

static void sort_few(uint64_t *v, int32_t n) {
    for (int32_t i = 1; i < n; i++) {
        uint64_t x = v[i];
        int32_t j = i;
        for (; j > 0 && v[j - 1] > x; j--) v[j] = v[j - 1];
        v[j] = x;
    }
}

/* Heapsort, for keys whose distribution is not known. */
static void sort_any(uint64_t *v, int32_t n) {
    for (int32_t end = n, root = n / 2; end > 1;) {
        uint64_t x;
        if (root > 0) x = v[--root];
        else x = v[--end], v[end] = v[0];
        int32_t at = root;
        for (int32_t child; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && v[child + 1] > v[child]) child++;
            if (v[child] <= x) break;
            v[at] = v[child];
        }
        v[at] = x;
    }
}

/* Uniform keys fall evenly into as many buckets as there are keys: one pass, then each is nearly in place.
 * spare [n], count [n + 1]. The C library's sort may allocate, and masks are drawn in every step. */
static void sort_uniform(uint64_t *v, int32_t n, uint64_t *spare, int32_t *count) {
    if (n <= 16) {
        sort_few(v, n);
        return;
    }
    memset(count, 0, (size_t)(n + 1) * sizeof *count);
    for (int32_t i = 0; i < n; i++) count[below(v[i], n) + 1]++;
    for (int32_t i = 0; i < n; i++) count[i + 1] += count[i];
    for (int32_t i = 0; i < n; i++) spare[count[below(v[i], n)]++] = v[i];
    sort_few(spare, n);
    memcpy(v, spare, (size_t)n * sizeof *v);
}

/* ---- the two ways to choose ---- */

/* Pivotal sampling (Deville and Tille 1998) in integers: node k has n_masked of each of its n shares, so mass
 * size * n_masked of capacity size * n. Two nodes fight until one is full or empty; expectations are kept by
 * the odds, which are exact, and the last one open is the only one cut. */
void ehm_mask_pivot(int32_t *take, const int32_t *start, const int32_t *order, int32_t n_nodes,
                    int32_t n_masked, const uint64_t *draw) {
    int64_t n = start[n_nodes], open_m = 0, open_c = 0;
    int32_t open = -1;
    for (int32_t i = 0; i < n_nodes; i++) {
        int32_t k = order[i], size = start[k + 1] - start[k];
        int64_t m = (int64_t)size * n_masked, c = (int64_t)size * n;
        if (open >= 0) {
            int64_t up = open_c - open_m < m ? open_c - open_m : m, down = open_m < c - m ? open_m : c - m;
            if (below(draw[k], up + down) < down) open_m += up, m -= up;
            else open_m -= down, m += down;
            take[open] = (int32_t)(open_m / n);
            if (open_m == 0 || open_m == open_c) open = -1;
        }
        take[k] = (int32_t)(m / n);
        if (m > 0 && m < c) open = k, open_m = m, open_c = c; /* then the other one is closed */
    }
}

void ehm_mask_arc(uint8_t *inside, int32_t n, int32_t first, int32_t n_masked) {
    for (int32_t i = 0; i < n; i++) {
        int32_t at = i - first + (i < first ? n : 0);
        inside[i] = at < n_masked;
    }
}

/* ---- from numbers of leaves to leaves ---- */

typedef struct {
    uint8_t *removed;
    const ehm_frontier *f;
    const ehm_tree *tree;
    const ehm_mask_settings *s;
    const ehm_mask_in *in;
    key_space nodes, leaves;
    int32_t *order, *take, *count, *leaf, *stack; /* [n], count [n+1] */
    uint64_t *key, *spare, *draw;                 /* [n] */
    uint8_t *inside;                              /* [n] */
} job;

static int32_t order_leaves(const job *j, const int32_t *leaf, int32_t n_leaf, bool second) {
    uint64_t mask = index_mask(j->f->n);
    for (int32_t i = 0; i < n_leaf; i++) {
        key_pair k = key_of(&j->leaves, (uint32_t)leaf[i]);
        j->key[i] = ((second ? k.b : k.a) & ~mask) | (uint64_t)leaf[i];
    }
    sort_uniform(j->key, n_leaf, j->spare, j->count);
    for (int32_t i = 0; i < n_leaf; i++) j->leaf[i] = (int32_t)(j->key[i] & mask);
    return n_leaf;
}

/* The node's leaves in the order in which a boundary passes through it, to j->leaf. */
static void inner_order(const job *j, int32_t k) {
    if (j->s->boundary == EHM_BOUNDARY_TREE) ehm_tree_members(j->leaf, j->tree, j->f->node[k], j->stack);
    else order_leaves(j, j->f->member + j->f->start[k], ehm_frontier_size(j->f, k), false);
}

static void remove_whole(const job *j, int32_t k) {
    for (int32_t i = j->f->start[k]; i < j->f->start[k + 1]; i++) j->removed[j->f->member[i]] = 1;
}

/* take of the leaves below node are to go: its two halves fight for them as nodes do, so that one goes or
 * stays whole, and on into the other. Each leaf still goes equally often. */
static void enter_subtree(const job *j, int32_t node, int32_t take) {
    int32_t n = j->f->n;
    while (node >= n && take > 0) {
        int32_t half[2] = {j->tree->left[node - n], j->tree->right[node - n]}, start[3] = {0}, part[2] = {0};
        for (int i = 0; i < 2; i++) start[i + 1] = start[i] + (half[i] < n ? 1 : j->tree->size[half[i] - n]);
        uint64_t draw[2] = {0, key_of(&j->leaves, (uint32_t)node).a};
        ehm_mask_pivot(part, start, (const int32_t[2]){0, 1}, 2, take, draw);
        int next = part[0] == 0 || part[0] == start[1]; /* the half that is not decided */
        int32_t done = half[1 - next];
        if (part[1 - next]) {
            int32_t n_leaf = ehm_tree_members(j->leaf, j->tree, done, j->stack);
            for (int32_t i = 0; i < n_leaf; i++) j->removed[j->leaf[i]] = 1;
        }
        node = half[next], take = part[next];
    }
    if (take > 0) j->removed[node] = 1;
}

/* Ascending keys put the heavier rather first: exponential times of rate weight (Efraimidis and Spirakis
 * 2006). A node without weight comes after all others, in random order. */
static uint64_t weighted_key(uint64_t uniform, double weight) {
    const uint64_t infinite = 0x7ff0000000000000u;
    double time = weight > 0 ? -log(1 - (double)(uniform >> 11) * 0x1p-53) / weight : INFINITY;
    uint64_t bits;
    memcpy(&bits, &time, sizeof bits);
    if (bits >= infinite) bits = infinite | uniform >> 12;
    return bits << 1;
}

static double weight_of(const job *j, const float *weight, int32_t k) {
    double sum = 0;
    for (int32_t i = j->f->start[k]; i < j->f->start[k + 1]; i++) sum += (double)weight[j->f->member[i]];
    return sum;
}

static void order_nodes(const job *j, const float *weight) {
    int32_t n_nodes = j->f->n_nodes;
    uint64_t mask = index_mask(n_nodes);
    for (int32_t k = 0; k < n_nodes; k++) {
        key_pair key = key_of(&j->nodes, (uint32_t)j->f->member[j->f->start[k]]); /* its lowest leaf */
        uint64_t first = weight ? weighted_key(key.a, weight_of(j, weight, k)) : key.a;
        j->key[k] = (first & ~mask) | (uint64_t)k, j->draw[k] = key.b;
    }
    if (weight) sort_any(j->key, n_nodes);
    else sort_uniform(j->key, n_nodes, j->spare, j->count);
    for (int32_t i = 0; i < n_nodes; i++) j->order[i] = (int32_t)(j->key[i] & mask);
}

static int32_t select_pivot(const job *j, int32_t n_masked) {
    const ehm_frontier *f = j->f;
    int32_t n_cut = 0;
    ehm_mask_pivot(j->take, f->start, j->order, f->n_nodes, n_masked, j->draw);
    for (int32_t k = 0; k < f->n_nodes; k++) {
        int32_t take = j->take[k];
        if (take == ehm_frontier_size(f, k)) remove_whole(j, k);
        else if (take > 0) {
            n_cut++;
            if (j->s->boundary == EHM_BOUNDARY_TREE) {
                enter_subtree(j, f->node[k], take);
                continue;
            }
            inner_order(j, k);
            for (int32_t i = 0; i < take; i++) j->removed[j->leaf[i]] = 1;
        }
    }
    return n_cut;
}

static int32_t select_arc(const job *j, int32_t first, int32_t n_masked) {
    const ehm_frontier *f = j->f;
    int32_t n_cut = 0, at = 0;
    ehm_mask_arc(j->inside, f->n, first, n_masked);
    for (int32_t i = 0; i < f->n_nodes; i++) {
        int32_t k = j->order[i], size = ehm_frontier_size(f, k), take = 0;
        const uint8_t *inside = j->inside + at;
        at += size;
        for (int32_t p = 0; p < size; p++) take += inside[p];
        if (take == size) remove_whole(j, k);
        else if (take > 0) {
            n_cut++;
            inner_order(j, k);
            for (int32_t p = 0; p < size; p++)
                if (inside[p]) j->removed[j->leaf[p]] = 1;
        }
    }
    return n_cut;
}

/* n_more of those that are still there, uniformly. Their keys are not the ones that a cut node was entered
 * by: what is left of it has the higher of those. */
static void remove_random(const job *j, int32_t n_more) {
    int32_t n_left = 0;
    for (int32_t i = 0; i < j->f->n; i++)
        if (!j->removed[i]) j->take[n_left++] = i;
    order_leaves(j, j->take, n_left, true);
    for (int32_t i = 0; i < n_more; i++) j->removed[j->leaf[i]] = 1;
}

static ehm_code job_init(job *j, uint8_t *removed, const ehm_frontier *f, const ehm_tree *tree,
                         const ehm_mask_in *in, int32_t view, ehm_arena *scratch, ehm_err *err) {
    size_t n = (size_t)f->n;
    *j = (job){.removed = removed,
               .f = f,
               .tree = tree,
               .s = ehm_mask_settings_or(in->settings),
               .in = in,
               .nodes = keys_of(in, EHM_RNG_mask_nodes, view),
               .leaves = keys_of(in, EHM_RNG_mask_leaves, view)};
    uint64_t *wide = EHM_NEW_N(scratch, uint64_t, 3 * n);
    int32_t *narrow = EHM_NEW_N(scratch, int32_t, 5 * n + 1);
    j->inside = EHM_NEW_N(scratch, uint8_t, n);
    if (!wide || !narrow || !j->inside)
        return EHM_FAIL(err, EHM_E_MEMORY, "mask: no memory for %d patches", (int)f->n);
    j->key = wide, j->spare = wide + n, j->draw = wide + 2 * n;
    j->order = narrow, j->take = narrow + n, j->leaf = narrow + 2 * n, j->stack = narrow + 3 * n,
    j->count = narrow + 4 * n;
    return EHM_OK;
}

static ehm_code weights_of(const float **weight, const ehm_mask_in *in, ehm_node_order order, int32_t n,
                           ehm_err *err) {
    if (order == EHM_NODE_ORDER_UNIFORM) return EHM_OK;
    bool by_loss = order == EHM_NODE_ORDER_LOSS;
    const char *what = ehm_mask_need_name(by_loss ? EHM_MASK_NEEDS_LOSS : EHM_MASK_NEEDS_CLS);
    *weight = by_loss ? in->loss : in->cls_attention;
    if (!*weight)
        return EHM_FAIL(err, EHM_E_ARG, "mask: the order of nodes needs %s, and none was given", what);
    return ehm_mask_check_values(*weight, 1, n, true, what, err);
}

ehm_code ehm_mask_select_view(uint8_t *removed, int32_t *n_cut, const ehm_frontier *f, const ehm_tree *tree,
                              int32_t n_masked, const ehm_mask_in *in, int32_t view, ehm_arena *scratch,
                              ehm_err *err) {
    const ehm_mask_settings *s = ehm_mask_settings_or(in->settings);
    const float *weight = NULL;
    if (n_masked < 0 || n_masked > f->n)
        return EHM_FAIL(err, EHM_E_ARG, "mask: %d of %d patches cannot be removed", (int)n_masked, (int)f->n);
    if (f->n_nodes < f->n) { /* single patches are a random mask, whatever the order and the boundary */
        if (s->boundary == EHM_BOUNDARY_TREE && !tree)
            return EHM_FAIL(err, EHM_E_ARG, "mask: boundary tree without a tree");
        EHM_TRY(weights_of(&weight, in, s->node_order, f->n, err));
    }
    job j;
    EHM_TRY(job_init(&j, removed, f, tree, in, view, scratch, err));
    memset(removed, 0, (size_t)f->n);
    int32_t by_nodes = ehm_mask_by_nodes(s, n_masked), cut;
    order_nodes(&j, weight);
    if (weight || s->select == EHM_SELECT_PREFIX) cut = select_arc(&j, 0, by_nodes);
    else if (s->select == EHM_SELECT_CIRCLE) /* the number of no leaf */
        cut = select_arc(&j, (int32_t)below(key_of(&j.nodes, UINT32_MAX).a, f->n), by_nodes);
    else cut = select_pivot(&j, by_nodes);
    if (by_nodes < n_masked) remove_random(&j, n_masked - by_nodes);
    if (n_cut) *n_cut = cut;
    return EHM_OK;
}

int32_t ehm_mask_by_nodes(const ehm_mask_settings *s, int32_t n_masked) {
    return (int32_t)round((1 - s->mix_random) * n_masked);
}

bool ehm_mask_for_device(const ehm_mask_settings *s) {
    return s->tree_source == EHM_SOURCE_ATTENTION && s->linkage == EHM_LINK_AVERAGE && !s->balance && s->tree_prior <= 0 &&
           (s->cut == EHM_CUT_EFFECTIVE || s->cut == EHM_CUT_COUNT) && s->select == EHM_SELECT_PIVOT &&
           s->node_order == EHM_NODE_ORDER_UNIFORM;
}

int32_t ehm_mask_numbers(uint32_t keys[10], const ehm_mask_in *in) {
    const ehm_mask_settings *s = ehm_mask_settings_or(in->settings);
    int32_t n = in->grid_h * in->grid_w;
    double u, rounding;
    for (int i = 0; i < 2; i++) {
        key_space k = keys_of(in, i ? EHM_RNG_mask_leaves : EHM_RNG_mask_nodes, 0);
        uint32_t *to = keys + 5 * i;
        to[0] = k.base.ctr[1], to[1] = k.base.ctr[2], to[2] = k.base.ctr[3], to[3] = k.base.key[0], to[4] = k.base.key[1];
    }
    if (ehm_mask_all_leaves(s, n, (double)in->progress_frac)) return n;
    ehm_mask_draw_level(&u, &rounding, in);
    return ehm_mask_nodes_at(s, n, u);
}

ehm_code ehm_mask_select(uint8_t *removed, int32_t *n_cut, const ehm_frontier *f, const ehm_tree *tree,
                         int32_t n_masked, const ehm_mask_in *in, ehm_arena *scratch, ehm_err *err) {
    return ehm_mask_select_view(removed, n_cut, f, tree, n_masked, in, 0, scratch, err);
}
