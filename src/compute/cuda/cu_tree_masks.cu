/* Masks along trees, a block a sample: the cut of hierarchy/cut.h, then mask/select.c with pivotal selection and uniform node order, the same bits.
 *
 * What the host sorts is ranked here by counting, each thread for keys of its own: distinct keys have one order, however it is found. Two things are
 * walked by one thread: the cut by effective count, and the fights of nodes for what is to be hidden. */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 128 };
enum { N_DONE, N_NODES, CUT, CUT_TAKE, NOTES }; /* numbers for the whole block: merges below the cut, nodes, the node that is partly hidden (-1: none) */

typedef struct {
    int32_t *visible, *masked, *n_cut;
    const int32_t *left, *right, *size, *state, *k, *keys;
    int64_t pictures;
    int32_t n, n_masked, by_nodes, effective, along_tree;
} masks_job;
/* A sample's tree and the places in shared memory that it is worked on in. Leaves are i, nodes of the cut k in the order of their lowest leaves. */
typedef struct {
    const int32_t *left, *right, *size; /* [n-1] */
    uint64_t *key, *draw;               /* [n] */
    int32_t *above;                     /* [2n] the parent of each node of the tree */
    int32_t *gone;                      /* [2n] hidden with all its leaves */
    int32_t *top, *first, *number;      /* [n] of leaves: the node above; its lowest leaf; and, for lowest leaves, its k */
    int32_t *lowest, *leaves, *order, *mass; /* [n] of k: lowest leaf, how many; turns of the fights, what each holds after them */
    int32_t *hidden;                    /* [n] */
    int32_t n;
} masks_room;
enum { ROOM = 2 * 8 + 12 * 4 }; /* bytes a leaf */

DEV masks_room room_of(const masks_job *job, uint64_t *base, int64_t picture) {
    masks_room r;
    const int32_t n = job->n;
    int32_t *p = (int32_t *)(base + 2 * n);
    const int64_t first = picture * (n - 1);
    r.left = job->left + first, r.right = job->right + first, r.size = job->size + first, r.n = n;
    r.key = base, r.draw = base + n;
    r.above = p, r.gone = p + 2 * n, r.top = p + 4 * n, r.first = p + 5 * n, r.number = p + 6 * n;
    r.lowest = p + 7 * n, r.leaves = p + 8 * n, r.order = p + 9 * n, r.mass = p + 10 * n, r.hidden = p + 11 * n;
    return r;
}
DEV int32_t size_of(const masks_room *r, int32_t node) { return node < r->n ? 1 : r->size[node - r->n]; }
DEV int32_t square(int32_t x) { return x * x; } /* of sizes: 2^20 at most */
DEV int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

/* ---- keys: Philox4x32-10 as base/rng.c ---- */

typedef struct { uint64_t a, b; } key_pair;

DEV key_pair key_of(const int32_t *key, int32_t item) {
    uint32_t c0 = (uint32_t)item, c1 = (uint32_t)key[0], c2 = (uint32_t)key[1], c3 = (uint32_t)key[2];
    uint32_t k0 = (uint32_t)key[3], k1 = (uint32_t)key[4];
    key_pair of;
    for (int32_t i = 0; i < 10; i++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    of.a = c0 | (uint64_t)c1 << 32, of.b = c2 | (uint64_t)c3 << 32;
    return of;
}
/* The index takes the key's low bits, so no two are equal. */
DEV uint64_t with_index(uint64_t key, int32_t i, int32_t n) {
    uint64_t mask = 1;
    while (mask < (uint64_t)n) mask <<= 1;
    return (key & ~(mask - 1)) | (uint64_t)i;
}
/* How many keys come before. */
DEV int32_t rank_of(const uint64_t *key, int32_t n, uint64_t mine) {
    int32_t before = 0;
    for (int32_t i = 0; i < n; i++) before += key[i] < mine;
    return before;
}

/* ---- the cut ---- */

/* Merges are undone from the last one on until n^2 over the sum of the nodes' squares is k. change [n-1]: what undoing a merge adds to that sum. */
DEV void effective_cut(const masks_room *r, int32_t k, int32_t *change, int32_t *note) {
    const int32_t n = r->n;
    for (int32_t m = (int32_t)threadIdx.x; m < n - 1; m += THREADS)
        change[m] = square(size_of(r, r->left[m])) + square(size_of(r, r->right[m])) - square(r->size[m]);
    BARRIER();
    if (!threadIdx.x) {
        int32_t done = n - 1, sum = square(n);
        for (; done > 0 && (double)square(n) / (double)sum < (double)k; done--) sum += change[done - 1];
        note[N_DONE] = done;
    }
}

/* The node above each leaf, which of its leaves is the lowest, and the nodes in the order of those. */
DEV void nodes_of(const masks_room *r, int32_t n_done, int32_t *note) {
    const int32_t n = r->n;
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += THREADS) {
        int32_t top = i;
        if (n_done) /* else leaves are the nodes, and no tree is needed */
            while (r->above[top] < n + n_done) top = r->above[top];
        r->top[i] = top;
    }
    BARRIER();
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += THREADS) {
        int32_t j = 0;
        while (r->top[j] != r->top[i]) j++;
        r->first[i] = j;
    }
    BARRIER();
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += THREADS) {
        int32_t k = 0;
        for (int32_t j = 0; j < i; j++) k += r->first[j] == j;
        if (i == n - 1) note[N_NODES] = k + (r->first[i] == i);
        if (r->first[i] != i) continue;
        r->number[i] = k, r->lowest[k] = i, r->leaves[k] = size_of(r, r->top[i]);
    }
    BARRIER();
}

DEV void cut(const masks_job *job, const masks_room *r, int32_t k, bool single, int32_t *note) {
    const int32_t n = r->n;
    if (!single) {
        for (int32_t m = (int32_t)threadIdx.x; m < n - 1; m += THREADS) r->above[r->left[m]] = r->above[r->right[m]] = n + m;
        if (job->effective) effective_cut(r, k, r->mass, note);
    }
    if (!threadIdx.x) {
        if (single) note[N_DONE] = 0;
        else if (!job->effective) note[N_DONE] = n - (k < 1 ? 1 : k);
        r->above[2 * n - 2] = 2 * n; /* the root's: no merge */
    }
    BARRIER();
    nodes_of(r, note[N_DONE], note);
}

/* ---- which nodes are hidden ---- */

DEV void order_nodes(const masks_room *r, int32_t n_nodes, const int32_t *keys) {
    for (int32_t k = (int32_t)threadIdx.x; k < n_nodes; k += THREADS) {
        const key_pair key = key_of(keys, r->lowest[k]);
        r->key[k] = with_index(key.a, k, n_nodes), r->draw[k] = key.b;
    }
    BARRIER();
    for (int32_t k = (int32_t)threadIdx.x; k < n_nodes; k += THREADS) r->order[rank_of(r->key, n_nodes, r->key[k])] = k;
    BARRIER();
}

/* What node a gives node b, or takes from it, so that one of them is full or empty: pivotal sampling (Deville and Tille 1998) in integers. Masses
 * are sizes times leaves, so 32 bits hold them. */
DEV void fight(int32_t *m_a, int32_t c_a, int32_t *m_b, int32_t c_b, uint64_t draw) {
    const int32_t up = least(c_a - *m_a, *m_b), down = least(*m_a, c_b - *m_b);
    if (multiply_high(draw, (uint64_t)(up + down)) < (uint64_t)down) *m_a += up, *m_b -= up;
    else *m_a -= down, *m_b += down;
}
/* One thread. The last node that is open is the only one that is cut. */
DEV void fight_all(const masks_room *r, int32_t n_nodes, int32_t n_masked, int32_t *note) {
    int32_t open = -1, open_m = 0, open_c = 0;
    for (int32_t i = 0; i < n_nodes; i++) {
        const int32_t k = r->order[i], c = r->leaves[k] * r->n;
        int32_t m = r->leaves[k] * n_masked;
        if (open >= 0) {
            fight(&open_m, open_c, &m, c, r->draw[k]);
            r->mass[open] = open_m;
            if (open_m == 0 || open_m == open_c) open = -1;
        }
        r->mass[k] = m;
        if (m > 0 && m < c) open = k, open_m = m, open_c = c;
    }
    note[CUT] = open, note[CUT_TAKE] = open_m / r->n;
}

/* ---- which leaves of the node that is cut ---- */

/* One thread: two halves fight for what goes, one of them goes or stays whole, and on into the other. */
DEV void enter_subtree(const masks_room *r, int32_t node, int32_t take, const int32_t *keys) {
    while (take > 0 && take < size_of(r, node)) {
        const int32_t a = r->left[node - r->n], b = r->right[node - r->n], all = size_of(r, node), size = size_of(r, a);
        int32_t in_a = size * take, in_b = (all - size) * take;
        fight(&in_a, size * all, &in_b, (all - size) * all, key_of(keys, node).a);
        in_a /= all, in_b /= all;
        if (in_a == 0 || in_a == size) {
            if (in_a) r->gone[a] = 1;
            node = b, take = in_b;
        } else {
            if (in_b) r->gone[b] = 1;
            node = a, take = in_a;
        }
    }
    if (take > 0) r->gone[node] = 1;
}
DEV void hide_along_tree(const masks_room *r, int32_t node, int32_t take, const int32_t *keys) {
    for (int32_t i = (int32_t)threadIdx.x; i < 2 * r->n; i += THREADS) r->gone[i] = 0;
    BARRIER();
    if (!threadIdx.x) enter_subtree(r, node, take, keys);
    BARRIER();
    for (int32_t i = (int32_t)threadIdx.x; i < r->n; i += THREADS) {
        if (r->top[i] != node) continue;
        for (int32_t at = i; at != node; at = r->above[at])
            if (r->gone[at]) r->hidden[i] = 1;
    }
}

/* So many leaves more: the ones of the lowest keys among those that are still there and, with node, below it. second: their other keys, because of what
 * is left of a node that was cut at random the first are the higher ones. */
DEV void hide_random(const masks_room *r, int32_t node, int32_t n_more, bool second, const int32_t *keys) {
    for (int32_t i = (int32_t)threadIdx.x; i < r->n; i += THREADS) {
        const bool there = !r->hidden[i] && (node < 0 || r->top[i] == node);
        const key_pair key = key_of(keys, i);
        r->key[i] = there ? with_index(second ? key.b : key.a, i, r->n) : UINT64_MAX; /* which comes after n_more or more */
    }
    BARRIER();
    for (int32_t i = (int32_t)threadIdx.x; i < r->n; i += THREADS)
        if (rank_of(r->key, r->n, r->key[i]) < n_more) r->hidden[i] = 1;
    BARRIER();
}

/* ---- a sample ---- */

DEV void put_lists(const masks_job *job, const masks_room *r, int64_t sample) {
    const int32_t n = r->n;
    int32_t *visible = job->visible + sample * (n - job->n_masked), *masked = job->masked + sample * job->n_masked;
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += THREADS) {
        int32_t before = 0;
        for (int32_t j = 0; j < i; j++) before += r->hidden[j];
        if (r->hidden[i]) masked[before] = i;
        else visible[i - before] = i;
    }
}

KERNEL(draw_masks, masks_job) {
    DYNAMIC_SHARED(uint64_t, base);
    SHARED int32_t note[NOTES];
    const int64_t sample = blockIdx.x, picture = sample % job.pictures;
    const int32_t k = job.k[sample], *of_nodes = job.keys + sample * EHM_TREE_KEYS, *of_leaves = of_nodes + EHM_TREE_KEYS / 2;
    const masks_room r = room_of(&job, base, picture);
    cut(&job, &r, k, k >= r.n || job.state[picture] != EHM_TREES_OK, note);
    const int32_t n_nodes = note[N_NODES];
    order_nodes(&r, n_nodes, of_nodes);
    if (!threadIdx.x) {
        fight_all(&r, n_nodes, job.by_nodes, note);
        if (job.n_cut) job.n_cut[sample] = note[CUT] >= 0;
    }
    BARRIER();
    for (int32_t i = (int32_t)threadIdx.x; i < r.n; i += THREADS) {
        const int32_t of = r.number[r.first[i]];
        r.hidden[i] = of != note[CUT] && r.mass[of] > 0;
    }
    BARRIER();
    if (note[CUT] >= 0) {
        const int32_t node = r.top[r.lowest[note[CUT]]];
        if (job.along_tree) hide_along_tree(&r, node, note[CUT_TAKE], of_leaves);
        else hide_random(&r, node, note[CUT_TAKE], false, of_leaves);
        BARRIER();
    }
    if (job.by_nodes < job.n_masked) hide_random(&r, -1, job.n_masked - job.by_nodes, true, of_leaves);
    put_lists(&job, &r, sample);
}

void ehm_cuda_tree_masks(void *self, const ehm_tree_masks_args *a) {
    masks_job j;
    j.visible = (int32_t *)ehm_ptr(a->visible), j.masked = (int32_t *)ehm_ptr(a->masked), j.n_cut = (int32_t *)ehm_ptr(a->n_cut);
    j.left = (const int32_t *)ehm_ptr(a->left), j.right = (const int32_t *)ehm_ptr(a->right), j.size = (const int32_t *)ehm_ptr(a->size);
    j.state = (const int32_t *)ehm_ptr(a->state), j.k = (const int32_t *)ehm_ptr(a->k), j.keys = (const int32_t *)ehm_ptr(a->keys);
    j.pictures = a->left.dim[0], j.n = (int32_t)a->left.dim[1] + 1, j.n_masked = a->n_masked, j.by_nodes = a->by_nodes;
    j.effective = a->effective, j.along_tree = a->along_tree;
    LAUNCH_SHARED((ehm_cuda *)self, draw_masks, blocks_of(a->k.dim[0], 1), THREADS, (size_t)ROOM * (size_t)j.n, j);
}
