#include "hierarchy/tree.h"
#include "base/str.h"
#include "hierarchy/tree_int.h"
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

static const char *const linkage_names[EHM_LINKAGES] = {"single", "complete", "average", "weighted", "ward", "centroid"};

const char *ehm_linkage_name(ehm_linkage l) { return (unsigned)l < EHM_LINKAGES ? linkage_names[l] : "unknown"; }

ehm_code ehm_linkage_find(ehm_linkage *out, const char *name, ehm_err *err) {
    for (int i = 0; i < EHM_LINKAGES; i++)
        if (!strcmp(name, linkage_names[i])) {
            *out = (ehm_linkage)i;
            return EHM_OK;
        }
    EHM_FAIL(err, EHM_E_CONFIG, "linkage: \"%s\" is none of single, complete, average, weighted, ward, centroid", name);
    const char *near = ehm_nearest(name, linkage_names, EHM_LINKAGES);
    if (near) EHM_HINT(err, "did you mean %s?", near);
    return EHM_E_CONFIG;
}

static ehm_code check_n(int32_t n, ehm_err *err) {
    if (n >= 1 && n <= EHM_TREE_LEAVES_MAX) return EHM_OK;
    return EHM_FAIL(err, EHM_E_ARG, "a tree over %d items: 1 to %d are possible", (int)n, EHM_TREE_LEAVES_MAX);
}

ehm_code ehm_tree_new(ehm_tree *t, int32_t n, ehm_arena *a, ehm_err *err) {
    EHM_TRY(check_n(n, err));
    int32_t *left = EHM_NEW_N(a, int32_t, n), *right = EHM_NEW_N(a, int32_t, n), *size = EHM_NEW_N(a, int32_t, n);
    double *height = EHM_NEW_N(a, double, n);
    if (!left || !right || !size || !height) return EHM_FAIL(err, EHM_E_MEMORY, "no memory for a tree over %d items", (int)n);
    *t = (ehm_tree){.n = n, .left = left, .right = right, .size = size, .height = height};
    return EHM_OK;
}

/* ---- workspace ---- */
static bool takes_vectors(ehm_linkage l) { return l == EHM_LINK_WARD || l == EHM_LINK_CENTROID; }

static void *place(char *base, size_t *used, size_t count, size_t size) {
    char *p = base ? base + *used : NULL;
    *used += (count * size + 63) & ~(size_t)63;
    return p;
}

size_t ehm_tree_layout(ehm_tree_work *w, void *base, int32_t n_leaves, ehm_linkage l, ehm_dtype type) {
    size_t n = (size_t)n_leaves, stride = (n + 31) & ~(size_t)31, used = 0;
    size_t size = takes_vectors(l) ? sizeof(double) : ehm_dtype_size(type);
    /* A column must not fall into a few sets of the cache. */
    if (stride * size % 512 == 0) stride += 32;
    *w = (ehm_tree_work){.n = n_leaves, .linkage = l, .stride = stride};
    w->rows = place(base, &used, n * stride, size);
    if (takes_vectors(l)) w->vectors = place(base, &used, (n + 4) * stride, size);
    w->gone = place(base, &used, stride, size);
    w->block = place(base, &used, stride / 4, size);
    w->weight = place(base, &used, stride, sizeof(double));
    w->seen = place(base, &used, n, sizeof(int32_t));
    w->log = place(base, &used, n, sizeof(int32_t));
    w->chain = place(base, &used, n + 1, sizeof(int32_t));
    w->grown = place(base, &used, n, sizeof(int32_t));
    w->grown_at = place(base, &used, n, sizeof(int32_t));
    w->node = place(base, &used, n, sizeof(int32_t));
    w->size = place(base, &used, n, sizeof(int32_t));
    w->a = place(base, &used, n, sizeof(int32_t));
    w->b = place(base, &used, n, sizeof(int32_t));
    w->merged = place(base, &used, n, sizeof(int32_t));
    w->h = place(base, &used, n, sizeof(double));
    w->sort = place(base, &used, 4 * n, sizeof(uint64_t));
    return used;
}

size_t ehm_tree_work_bytes(int32_t n, ehm_linkage l, ehm_dtype type) {
    ehm_tree_work w;
    return ehm_tree_layout(&w, NULL, n < 1 ? 1 : n, l, type);
}

/* ---- from merges in the order they were made to a tree ---- */
typedef struct { uint64_t key; int64_t merge; } sort_item;

/* Moves items to their places one by one, equal ones in order; false when that took more than a few steps an item. */
static bool insert_in_place(sort_item *item, int32_t n) {
    int64_t steps = 0, most = 8 * (int64_t)n + 256;
    for (int32_t i = 1; i < n; i++) {
        sort_item it = item[i];
        int32_t j = i;
        for (; j > 0 && item[j - 1].key > it.key; j--) item[j] = item[j - 1];
        item[j] = it;
        if ((steps += i - j) > most) return false;
    }
    return true;
}

/* Counts into buckets; stable. bucket_of: an expression in `it`. */
#define SORT_PASS(to, from, n, at, n_buckets, bucket_of)                  \
    do {                                                                  \
        uint32_t sum_ = 0;                                                \
        memset((at), 0, (size_t)(n_buckets) * sizeof *(at));              \
        for (int32_t i_ = 0; i_ < (n); i_++) {                            \
            const sort_item it = (from)[i_];                              \
            (at)[bucket_of]++;                                            \
        }                                                                 \
        for (int32_t v_ = 0; v_ < (n_buckets); v_++) {                    \
            uint32_t c_ = (at)[v_];                                       \
            (at)[v_] = sum_, sum_ += c_;                                  \
        }                                                                 \
        for (int32_t i_ = 0; i_ < (n); i_++) {                            \
            const sort_item it = (from)[i_];                              \
            (to)[(at)[bucket_of]++] = it;                                 \
        }                                                                 \
    } while (0)

/* Stable, by height. Heights are not negative, so their bits order as they do. Most trees' heights are spread well enough that one pass
 * into as many buckets as there are merges leaves little to move; the others are sorted by one byte a pass. */
static const sort_item *sort_merges(const ehm_tree_work *w, int32_t n) {
    enum { BYTES = 8, VALUES = 256 };
    sort_item *from = w->sort, *to = from + w->n;
    uint32_t *at = (uint32_t *)w->chain; /* of n + 1 */
    double lo = w->h[0], hi = lo;
    uint64_t all = ~(uint64_t)0, any = 0;
    for (int32_t i = 0; i < n; i++) {
        double h = w->h[i];
        uint64_t key;
        memcpy(&key, &h, sizeof key);
        from[i] = (sort_item){key, i};
        lo = h < lo ? h : lo, hi = h > hi ? h : hi;
        all &= key, any |= key;
    }
    double scale = (n - 1) / (hi - lo);
    if (!(hi > lo) || !(scale <= DBL_MAX)) scale = 0;
    if (scale > 0) {
        SORT_PASS(to, from, n, at, n, (size_t)((w->h[it.merge] - lo) * scale));
        if (insert_in_place(to, n)) return to;
    }
    uint32_t count[VALUES];
    for (int32_t i = 0; i < n; i++) from[i].merge = i, memcpy(&from[i].key, &w->h[i], sizeof from[i].key);
    for (int shift = 0; shift < 8 * BYTES; shift += 8) {
        if (!((all ^ any) >> shift & 0xff)) continue;
        SORT_PASS(to, from, n, count, VALUES, it.key >> shift & 0xff);
        sort_item *swap = from;
        from = to, to = swap;
    }
    return from;
}

static void put_merge(ehm_tree *t, int32_t k, int32_t a, int32_t b, int32_t size, double h) {
    t->left[k] = a < b ? a : b, t->right[k] = a < b ? b : a;
    t->size[k] = size, t->height[k] = h;
}

/* Sorted, a merge never comes before those it is made of: they were made earlier and are no higher. */
static void tree_of_chain(ehm_tree *t, ehm_tree_work *w) {
    int32_t n = w->n, *rank = w->seen;
    const sort_item *order = sort_merges(w, n - 1);
    for (int32_t k = 0; k < n - 1; k++) rank[order[k].merge] = k;
    for (int32_t k = 0; k < n - 1; k++) {
        int32_t m = (int32_t)order[k].merge, a = w->a[m], b = w->b[m];
        put_merge(t, k, a < n ? a : n + rank[a - n], b < n ? b : n + rank[b - n], w->merged[m], w->h[m]);
    }
}

static int32_t root_of(int32_t *parent, int32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

/* The spanning tree's edges, shortest first; node[root] is the cluster around a leaf. */
static void tree_of_span(ehm_tree *t, ehm_tree_work *w) {
    int32_t n = w->n, *parent = w->seen;
    const sort_item *order = sort_merges(w, n - 1);
    for (int32_t i = 0; i < n; i++) parent[i] = i, w->node[i] = i, w->size[i] = 1;
    for (int32_t k = 0; k < n - 1; k++) {
        int32_t m = (int32_t)order[k].merge, a = root_of(parent, w->a[m]), b = root_of(parent, w->b[m]);
        put_merge(t, k, w->node[a], w->node[b], w->size[a] + w->size[b], w->h[m]);
        if (w->size[a] > w->size[b]) parent[b] = a;
        else parent[a] = b, a = b;
        w->node[a] = n + k, w->size[a] = t->size[k];
    }
}

/* ---- a build ---- */
/* Rows of distances where S is not symmetric to the bit: pairs take the mean of their two entries. */
static void fill_rows(ehm_tree_work *w, const void *S, ehm_dtype type) {
    for (int32_t i = 0; i < w->n; i++)
        for (int32_t j = 0; j < (int32_t)w->stride; j++) {
            size_t at = (size_t)i * w->stride + (size_t)j;
            bool none = i == j || j >= w->n;
            double s = none ? 0 : ehm_similarity_at(S, type, w->n, i, j);
            if (type == EHM_F64) ((double *)w->rows)[at] = none ? DBL_MAX : w->c - s;
            else ((float *)w->rows)[at] = none ? FLT_MAX : (float)w->c - (float)s;
        }
    w->S = NULL;
}

/* The rows as vectors, in double; the diagonal, which says nothing, becomes the mean of the rest of its row. */
static void fill_vectors(ehm_tree_work *w, const void *S, ehm_dtype type) {
    int32_t n = w->n;
    memset(w->vectors, 0, ((size_t)n + 4) * w->stride * sizeof(double));
    for (int32_t i = 0; i < n; i++) {
        double *v = w->vectors + (size_t)i * w->stride, sum = 0;
        for (int32_t j = 0; j < n; j++)
            if (j != i) v[j] = ehm_similarity_at(S, type, n, i, j), sum += v[j];
        v[i] = sum / (n - 1);
    }
}

static ehm_code check_arguments(ehm_dtype type, int32_t n, ehm_linkage l, ehm_err *err) {
    EHM_TRY(check_n(n, err));
    if (type != EHM_F32 && type != EHM_F64)
        return EHM_FAIL(err, EHM_E_ARG, "similarities of type %s: f32 and f64 are possible", ehm_dtype_name(type));
    if ((unsigned)l >= EHM_LINKAGES) return EHM_FAIL(err, EHM_E_ARG, "linkage number %d does not exist", (int)l);
    return EHM_OK;
}

ehm_code ehm_tree_build_with(const ehm_tree_kern *k, ehm_tree *out, const void *S, ehm_dtype type, int32_t n, ehm_linkage l,
                             uint32_t flags, void *work, ehm_err *err) {
    ehm_similarity_range range;
    ehm_tree_work w;
    bool exact;
    EHM_TRY(check_arguments(type, n, l, err));
    EHM_TRY(ehm_similarity_check_with(k, &range, &exact, S, type, n, flags, err));
    out->n = n, out->offset = 0;
    if (n == 1) return EHM_OK;
    ehm_tree_layout(&w, work, n, l, type);
    if (takes_vectors(l)) {
        if (range.max_abs > 1e150)
            return EHM_FAIL(err, EHM_E_ARG, "similarities up to %g: %s linkage squares them, at most 1e150 is possible",
                            range.max_abs, ehm_linkage_name(l));
        fill_vectors(&w, S, type);
        k->distances(&w);
        if (l == EHM_LINK_WARD) {
            k->chain_f64(&w);
            tree_of_chain(out, &w);
        } else {
            ehm_tree_centroid(&w);
            for (int32_t i = 0; i < n - 1; i++) put_merge(out, i, w.a[i], w.b[i], w.merged[i], w.h[i]);
        }
        return EHM_OK;
    }
    if (range.max - range.min > (type == EHM_F64 ? DBL_MAX : (double)FLT_MAX) / 4)
        return EHM_FAIL(err, EHM_E_ARG, "similarities from %g to %g: their differences do not fit %s", range.min, range.max,
                        ehm_dtype_name(type));
    out->offset = w.c = range.max + 0.0; /* one zero: c - s is then never -0, whose bits would sort last */
    w.S = S;
    if (!exact) fill_rows(&w, S, type);
    if (l == EHM_LINK_SINGLE) {
        (type == EHM_F64 ? k->span_f64 : k->span_f32)(&w);
        tree_of_span(out, &w);
    } else {
        (type == EHM_F64 ? k->chain_f64 : k->chain_f32)(&w);
        tree_of_chain(out, &w);
    }
    return EHM_OK;
}

static const ehm_tree_kern *best_kern(void) {
    const ehm_tree_kern *k = ehm_tree_avx2();
    return k ? k : &ehm_tree_generic;
}

ehm_code ehm_tree_build(ehm_tree *out, const void *S, ehm_dtype type, int32_t n, ehm_linkage l, uint32_t flags, void *work,
                        ehm_err *err) {
    return ehm_tree_build_with(best_kern(), out, S, type, n, l, flags, work, err);
}

ehm_code ehm_similarity_check(ehm_similarity_range *out, const void *S, ehm_dtype type, int32_t n, uint32_t flags, ehm_err *err) {
    bool exact;
    EHM_TRY(check_arguments(type, n, EHM_LINK_AVERAGE, err));
    return ehm_similarity_check_with(best_kern(), out, &exact, S, type, n, flags, err);
}

/* ---- many ---- */
typedef struct {
    ehm_tree *out;
    const char *S;
    char *work;
    size_t matrix_bytes, work_bytes;
    ehm_dtype type;
    int32_t n;
    ehm_linkage l;
    uint32_t flags;
    atomic_int_fast64_t first_bad; /* the lowest tree that failed */
} batch;

static void build_some(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    batch *b = ctx;
    void *work = b->work + (size_t)i_thread * b->work_bytes;
    for (int64_t i = begin; i < end; i++) {
        const char *S = b->S + (size_t)i * b->matrix_bytes;
        if (!ehm_tree_build(&b->out[i], S, b->type, b->n, b->l, b->flags, work, NULL)) continue;
        int_fast64_t lowest = atomic_load(&b->first_bad);
        while (i < lowest && !atomic_compare_exchange_weak(&b->first_bad, &lowest, i)) {}
    }
}

ehm_code ehm_tree_build_batch(ehm_tree *out, const void *S, ehm_dtype type, int32_t n_trees, int32_t n, ehm_linkage l,
                              uint32_t flags, void *work, ehm_pool *pool, ehm_err *err) {
    EHM_TRY(check_arguments(type, n, l, err));
    if (n_trees < 0) return EHM_FAIL(err, EHM_E_ARG, "%d trees", (int)n_trees);
    batch b = {.out = out, .S = S, .work = work, .type = type, .n = n, .l = l, .flags = flags};
    b.matrix_bytes = (size_t)n * (size_t)n * ehm_dtype_size(type);
    b.work_bytes = (ehm_tree_work_bytes(n, l, type) + 63) & ~(size_t)63;
    atomic_init(&b.first_bad, n_trees);
    ehm_pool_for(pool, n_trees, 1, build_some, &b);
    int64_t bad = atomic_load(&b.first_bad);
    if (bad == n_trees) return EHM_OK;
    /* Once more, for the words: no thread needs room for a message, and they do not depend on who came first. */
    ehm_code rc = ehm_tree_build(&out[bad], b.S + (size_t)bad * b.matrix_bytes, type, n, l, flags, work, err);
    EHM_WHILE(err, "building tree %lld of %d", (long long)bad, (int)n_trees);
    return rc;
}

/* ---- SciPy's form ---- */
void ehm_tree_z(double *z, const ehm_tree *t) {
    for (int32_t k = 0; k < t->n - 1; k++, z += 4)
        z[0] = t->left[k], z[1] = t->right[k], z[2] = t->height[k], z[3] = t->size[k];
}

ehm_code ehm_tree_from_z(ehm_tree *out, const double *z, int32_t n, ehm_err *err) {
    uint8_t used[2 * EHM_TREE_LEAVES_MAX] = {0};
    EHM_TRY(check_n(n, err));
    out->n = n, out->offset = 0;
    for (int32_t k = 0; k < n - 1; k++, z += 4) {
        double size = 0;
        for (int c = 0; c < 2; c++) {
            if (!(z[c] >= 0 && z[c] < n + k) || z[c] != floor(z[c]))
                return EHM_FAIL(err, EHM_E_FORMAT, "row %d is no merge: id %g is not one of the nodes 0 to %d that exist by then",
                                (int)k, z[c], (int)(n + k - 1));
            int32_t id = (int32_t)z[c];
            if (used[id]++) return EHM_FAIL(err, EHM_E_FORMAT, "row %d is no merge: node %d was merged before", (int)k, (int)id);
            size += id < n ? 1 : out->size[id - n];
        }
        if (!(z[2] >= 0 && z[2] <= DBL_MAX))
            return EHM_FAIL(err, EHM_E_FORMAT, "row %d is no merge: its height is %g", (int)k, z[2]);
        if (z[3] != size)
            return EHM_FAIL(err, EHM_E_FORMAT, "row %d is no merge: its size is %g, but the two nodes hold %g leaves", (int)k, z[3], size);
        put_merge(out, k, (int32_t)z[0], (int32_t)z[1], (int32_t)size, z[2]);
    }
    return EHM_OK;
}
