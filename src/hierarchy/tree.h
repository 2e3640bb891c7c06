/* Agglomerative trees over n items from a matrix of similarities. Usable alone: base is all it needs.
 *
 *     ehm_tree t; ehm_tree_new(&t, n, &arena);
 *     void *work = ehm_arena_alloc(&arena, 1, ehm_tree_work_bytes(n, EHM_LINK_AVERAGE, EHM_F32));
 *     ehm_code rc = ehm_tree_build(&t, S, EHM_F32, n, EHM_LINK_AVERAGE, 0, work, &err);
 *     // t.left[k], t.right[k]: what merge k joined; node n + k is the result; t.height[k] its distance
 *
 * Distance d = c - S, with c the largest off-diagonal similarity (kept in the tree); the diagonal is ignored. Complete, average,
 * weighted and Ward's linkage by the nearest-neighbour chain (Muellner 2011) in O(n^2); single linkage by the minimum spanning tree
 * (Prim 1957), as SciPy does; centroid by nearest-neighbour lists, because the chain is wrong for it. Ward and centroid take the rows
 * as vectors: the diagonal is set to the row's off-diagonal mean, squared distances in double, O(n^3). Merges are sorted by height,
 * stably, as SciPy's linkage() gives them (centroid: in merge order); ties are broken as SciPy breaks them. In EHM_F64 the arithmetic
 * is SciPy's as well, so Z is equal to the bit; but for average linkage, where no height may fall below a part's by rounding, as
 * SciPy's may. Entries that differ by rounding are averaged. Two calls with the same bits give the same bits, on any thread.
 */
#ifndef EHM_HIERARCHY_TREE_H
#define EHM_HIERARCHY_TREE_H
#include "base/dtype.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/pool.h"

enum { EHM_TREE_LEAVES_MAX = 4096 };

typedef enum {
    EHM_LINK_SINGLE,
    EHM_LINK_COMPLETE,
    EHM_LINK_AVERAGE,
    EHM_LINK_WEIGHTED,
    EHM_LINK_WARD,
    EHM_LINK_CENTROID,
    EHM_LINKAGES
} ehm_linkage;
const char *ehm_linkage_name(ehm_linkage l);
ehm_code ehm_linkage_find(ehm_linkage *out, const char *name, ehm_err *err); /* EHM_E_CONFIG names the near one */

/* Leaves are 0..n-1; merge k in 0..n-2 makes node n + k. left < right (column 0 of SciPy's Z holds the smaller id). */
typedef struct {
    int32_t n;
    int32_t *left, *right; /* [n-1] node ids */
    int32_t *size;         /* [n-1] leaves below node n + k */
    double *height;        /* [n-1] */
    double offset;         /* c: similarity = offset - distance (0 where rows are vectors) */
} ehm_tree;
/* Arrays from a. EHM_E_ARG unless 1 <= n <= EHM_TREE_LEAVES_MAX; EHM_E_MEMORY. */
ehm_code ehm_tree_new(ehm_tree *t, int32_t n, ehm_arena *a, ehm_err *err);

enum {
    EHM_TREE_SYMMETRISE = 1, /* take (S_ij + S_ji) / 2 instead of refusing an asymmetric matrix */
    /* The caller vouches that S_ij == S_ji to the bit: one sweep checks that S is finite, none that it is symmetric. A matrix that is
     * not gives some tree. The result is the same bits with and without. */
    EHM_TREE_TRUSTED = 2
};
/* Bytes of workspace of one build; any alignment of 64 does. */
size_t ehm_tree_work_bytes(int32_t n, ehm_linkage l, ehm_dtype type);
/* S [n,n] EHM_F32 or EHM_F64, row-major. out has room for n leaves. Allocates nothing. n = 1: no merge.
 * Errors EHM_E_ARG, naming the entry and its value: NaN or infinite off the diagonal; |S_ij - S_ji| > 1e-4 max |S| (hint: symmetrise). */
ehm_code ehm_tree_build(ehm_tree *out, const void *S, ehm_dtype type, int32_t n, ehm_linkage l, uint32_t flags, void *work,
                        ehm_err *err);
/* n_trees of them, S [n_trees,n,n], over the pool's threads; work: ehm_pool_threads(pool) workspaces, each rounded up to 64 bytes.
 * The first failing tree (by index) is named. */
ehm_code ehm_tree_build_batch(ehm_tree *out, const void *S, ehm_dtype type, int32_t n_trees, int32_t n, ehm_linkage l,
                              uint32_t flags, void *work, ehm_pool *pool, ehm_err *err);
/* z [n-1,4] as SciPy's linkage(): the two ids, height, size. */
void ehm_tree_z(double *z, const ehm_tree *t);
/* The reverse, checked: EHM_E_FORMAT names the row that is no merge. */
ehm_code ehm_tree_from_z(ehm_tree *out, const double *z, int32_t n, ehm_err *err);

/* ---- the matrix itself ---- */
typedef struct { double min, max, max_abs; } ehm_similarity_range; /* off the diagonal; 0 when n = 1 */
/* The checks that ehm_tree_build makes, alone. */
ehm_code ehm_similarity_check(ehm_similarity_range *out, const void *S, ehm_dtype type, int32_t n, uint32_t flags, ehm_err *err);
/* Spans less than 1e-6 of its largest magnitude: it holds no information, whatever tree comes out. */
bool ehm_similarity_is_flat(const ehm_similarity_range *r);
/* S scaled symmetrically, S_ij *= w_i w_j, until its off-diagonal row sums agree (Sinkhorn and Knopp 1967, symmetric), to 1e-6 or 100
 * rounds; S >= 0. Rows that sum to 0 stay. Returns the rounds made. */
int32_t ehm_similarity_balance(float *S, int32_t n, float *row_work);
/* S += weight * exp(-d^2 / (2 sigma^2)) over the grid's distances in patches, sigma = longer side / 7. Before, S is moved and scaled
 * (least off-diagonal value 0, mean 1) and so is the prior scaled (mean 1): a tree does not change under either. weight 0: S as it is. */
void ehm_similarity_prior(float *S, int32_t grid_h, int32_t grid_w, double weight);
#endif
