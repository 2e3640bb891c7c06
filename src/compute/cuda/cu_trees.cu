/* Trees by average linkage, a block a picture: the nearest-neighbour chain (Muellner 2011) of hierarchy/tree.h in f32, the same bits.
 *
 * The host writes one row a merge and lets the other rows fetch their entries when they are next read. What they fetch was computed once, at the merge
 * that made the later of the two clusters, from the two distances as they were then, and the formula does not ask which of the two rows it is in. So
 * one triangle in which each entry is written at that merge holds the same bits at all times. Dead slots, whose entries the host hides, hold FLT_MAX
 * here: the formula keeps it. A slot is a row of the matrix; a cluster lives in the higher one of the two that it was made of. */
#include "compute/cuda/cuda_kern.h"
#include <float.h>

enum { THREADS = 256, WARPS = THREADS / WARP, ROOM = 7, OWN_SHARED = 1024, SCRATCH_MOST = 1 << 27 };

typedef struct {
    int32_t *left, *right, *size, *state;
    float *height, *offset;
    const float *s;
    float *far;                /* triangles in device memory, where they do not fit the block's own */
    int64_t first;             /* picture of block 0 */
    int32_t n;
} trees_job;
typedef struct {
    int32_t *chain, *size, *node;  /* by slot: leaves, 0 when dead; leaf, or n + merge */
    int32_t *a, *b, *merged;       /* by merge as they are made: the two nodes, leaves */
    float *h;
} trees_room;

DEV trees_room room_at(int32_t *p, int32_t n) {
    trees_room r;
    r.chain = p, r.size = p + n, r.node = p + 2 * n, r.a = p + 3 * n, r.b = p + 4 * n, r.merged = p + 5 * n, r.h = (float *)(p + 6 * n);
    return r;
}
/* Of the pair in the triangle. A row is read by neighbouring threads either side by side, or at i (i - 1) / 2 + x, which for 32 neighbours i are 32
 * different banks. */
DEV int32_t place(int32_t i, int32_t j) { return i > j ? i * (i - 1) / 2 + j : j * (j - 1) / 2 + i; }

/* ---- what the matrix spans, and the tree of one that is refused ---- */

typedef struct { float lo, hi; int32_t state; } trees_span;

DEV trees_span span_of(const float *s, int32_t n) {
    SHARED float of[WARPS];
    trees_span r;
    float lo = INFINITY, hi = -INFINITY, bad = 0;
    for (int32_t e = (int32_t)threadIdx.x; e < n * n; e += THREADS) {
        if (e % (n + 1) == 0) continue; /* the diagonal */
        const float v = s[e];
        if (!(v == v)) bad = 1;
        lo = fminf(lo, v), hi = fmaxf(hi, v);
    }
    r.lo = -block_max(-lo, of), r.hi = block_max(hi, of) + 0.0f; /* + 0: of two zeros any may come out as the largest */
    bad = block_max(bad, of);
    const double min = (double)r.lo, max = (double)r.hi, most = max > -min ? max : -min;
    r.state = bad != 0 || !(min >= -(double)FLT_MAX) || !(max <= (double)FLT_MAX) || max - min > (double)FLT_MAX / 4 ? EHM_TREES_BAD
              : !(max - min > 1e-6 * most)                                                                          ? EHM_TREES_FLAT
                                                                                                                    : EHM_TREES_OK;
    return r;
}

DEV void put_merge(const trees_job *job, int64_t at, int32_t a, int32_t b, int32_t size, float h) {
    job->left[at] = a < b ? a : b, job->right[at] = a < b ? b : a;
    job->size[at] = size, job->height[at] = h;
}
DEV void put_line(const trees_job *job, int64_t first) {
    for (int32_t m = (int32_t)threadIdx.x; m < job->n - 1; m += THREADS) put_merge(job, first + m, m + 1, m ? job->n + m - 1 : 0, m + 2, 0);
}

/* ---- the chain ---- */

/* Distances are not negative (no zero has a sign), so their bits order as they do. */
typedef struct { uint32_t d, slot; } neighbour;

DEV neighbour warp_nearest(neighbour x) {
    neighbour least;
    least.d = warp_least(x.d);
    least.slot = warp_least(x.d == least.d ? x.slot : UINT32_MAX);
    return least;
}
/* The nearest one of slot x, the lowest of several. of: a place each warp; two of them used in turn make one barrier enough. */
DEV neighbour nearest_of(const float *d, int32_t n, int32_t x, neighbour *of) {
    const int32_t lane = (int32_t)threadIdx.x % WARP;
    neighbour mine;
    mine.d = mine.slot = UINT32_MAX;
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += THREADS) {
        if (i == x) continue;
        const uint32_t bits = bits_f32(d[place(i, x)]);
        if (bits < mine.d) mine.d = bits, mine.slot = (uint32_t)i;
    }
    mine = warp_nearest(mine);
    if (lane == 0) of[threadIdx.x / WARP] = mine;
    BARRIER();
    if (lane < WARPS) mine = of[lane];
    else mine.d = mine.slot = UINT32_MAX;
    return warp_nearest(mine);
}

/* Slot y becomes the union of x and y, of nx and ny leaves, and x dies. Each thread writes the entries of slots of its own. */
DEV void join(float *d, int32_t n, int32_t x, int32_t y, int32_t nx, int32_t ny) {
    const float wx = (float)nx / (float)(nx + ny), wy = (float)ny / (float)(nx + ny);
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += THREADS) {
        if (i == y) continue;
        float *from = &d[place(i == x ? y : i, x)], *to = &d[place(i, y)];
        const float p = *from, q = *to, lo = p < q ? p : q, hi = p > q ? p : q;
        if (i != x) *to = lo + times_rounded(p < q ? wy : wx, hi - lo);
        *from = FLT_MAX;
    }
}

DEV void note_merge(const trees_room *r, int32_t n, int32_t k, int32_t x, int32_t y, int32_t leaves, float h) {
    r->a[k] = r->node[x], r->b[k] = r->node[y], r->merged[k] = leaves, r->h[k] = h;
    r->size[x] = 0, r->size[y] = leaves, r->node[y] = n + k;
}

/* All threads walk alike, each with the chain's last two in hand. What thread 0 writes is read behind a barrier, and the sizes that a merge changes
 * before the one of its scan. */
DEV void merge_all(float *d, const trees_room *r, int32_t n) {
    SHARED neighbour of[2][WARPS];
    const bool writes = threadIdx.x == 0;
    int32_t k = 0, len = 0, lowest = 0, x = 0, prev = -1;
    for (int32_t turn = 0; k < n - 1; turn ^= 1) {
        if (!len) {
            while (!r->size[lowest]) lowest++;
            x = lowest, prev = -1;
            if (writes) r->chain[0] = x;
            len = 1;
        }
        const float before = prev < 0 ? INFINITY : d[place(prev, x)];
        const int32_t nx = r->size[x], np = prev < 0 ? 0 : r->size[prev];
        const neighbour next = nearest_of(d, n, x, of[turn]);
        const float h = f32_bits(next.d);
        if (h < before) { /* among equals the one that we come from is preferred, then the lowest */
            prev = x, x = (int32_t)next.slot;
            if (writes) r->chain[len] = x;
            len++;
            continue;
        }
        join(d, n, x < prev ? x : prev, x < prev ? prev : x, x < prev ? nx : np, x < prev ? np : nx);
        if (writes) note_merge(r, n, k, x < prev ? x : prev, x < prev ? prev : x, nx + np, h);
        BARRIER();
        k++, len -= 2;
        if (len > 0) x = r->chain[len - 1], prev = len > 1 ? r->chain[len - 2] : -1;
    }
}

/* ---- a picture ---- */

/* By height, equal ones as they were made: a merge then never comes before those it is made of. */
DEV void put_sorted(const trees_job *job, const trees_room *r, int64_t first) {
    const int32_t n = job->n;
    int32_t *rank = r->chain;
    for (int32_t m = (int32_t)threadIdx.x; m < n - 1; m += THREADS) {
        int32_t before = 0;
        for (int32_t o = 0; o < n - 1; o++) before += r->h[o] < r->h[m] || (r->h[o] == r->h[m] && o < m);
        rank[m] = before;
    }
    BARRIER();
    for (int32_t m = (int32_t)threadIdx.x; m < n - 1; m += THREADS) {
        const int32_t a = r->a[m], b = r->b[m];
        put_merge(job, first + rank[m], a < n ? a : n + rank[a - n], b < n ? b : n + rank[b - n], r->merged[m], r->h[m]);
    }
}

DEV void grow(const trees_job *job, float *d, int32_t *room) {
    const int32_t n = job->n, lane = (int32_t)threadIdx.x % WARP;
    const int64_t picture = job->first + (int64_t)blockIdx.x, first = picture * (n - 1);
    const float *s = job->s + picture * n * n;
    const trees_room r = room_at(room, n);
    const trees_span span = span_of(s, n);
    if (!threadIdx.x) job->state[picture] = span.state, job->offset[picture] = span.state == EHM_TREES_BAD ? 0 : span.hi;
    if (span.state == EHM_TREES_BAD) { /* the block as a whole */
        put_line(job, first);
        return;
    }
    for (int32_t i = (int32_t)threadIdx.x / WARP; i < n; i += WARPS)
        for (int32_t j = lane; j < i; j += WARP) d[place(i, j)] = span.hi - s[i * n + j] + 0.0f;
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += THREADS) r.size[i] = 1, r.node[i] = i;
    BARRIER();
    merge_all(d, &r, n);
    put_sorted(job, &r, first);
}
KERNEL(grow_near, trees_job) {
    DYNAMIC_SHARED(int32_t, room);
    grow(&job, (float *)(room + ROOM * job.n), room);
}
KERNEL(grow_far, trees_job) {
    DYNAMIC_SHARED(int32_t, room);
    grow(&job, job.far + (int64_t)blockIdx.x * job.n * (job.n - 1) / 2, room);
}

void ehm_cuda_trees(void *self, const ehm_trees_args *a) {
    ehm_cuda *c = (ehm_cuda *)self;
    trees_job j;
    const int64_t pictures = a->s.dim[0], n = a->s.dim[1];
    const size_t room = (size_t)(ROOM * n) * sizeof(int32_t), triangle = (size_t)(n * (n - 1) / 2) * sizeof(float);
    j.left = (int32_t *)ehm_ptr(a->left), j.right = (int32_t *)ehm_ptr(a->right), j.size = (int32_t *)ehm_ptr(a->size);
    j.state = (int32_t *)ehm_ptr(a->state), j.height = (float *)ehm_ptr(a->height), j.offset = (float *)ehm_ptr(a->offset);
    j.s = (const float *)ehm_ptr(a->s), j.far = NULL, j.first = 0, j.n = (int32_t)n;
    if (room + triangle + OWN_SHARED <= c->shared_bytes) {
        LAUNCH_SHARED(c, grow_near, blocks_of(pictures, 1), THREADS, room + triangle, j);
        return;
    }
    int64_t at_once = (int64_t)(SCRATCH_MOST / triangle);
    at_once = at_once < 1 ? 1 : at_once > pictures ? pictures : at_once;
    j.far = (float *)ehm_cuda_scratch(c, 0, (size_t)at_once * triangle);
    if (!j.far) return;
    for (; j.first < pictures; j.first += at_once)
        LAUNCH_SHARED(c, grow_far, blocks_of(pictures - j.first < at_once ? pictures - j.first : at_once, 1), THREADS, room, j);
}
