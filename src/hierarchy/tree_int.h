/* For the tree's own files: one build's workspace, and the loops that exist once portable and once with AVX2, equal to the bit. */
#ifndef EHM_HIERARCHY_TREE_INT_H
#define EHM_HIERARCHY_TREE_INT_H
#include "hierarchy/tree.h"

/* Where a build works. "Slot": a row of the matrix; a cluster lives in the higher slot of the two that it was made of.
 * T is float or double as the build's type; Ward and centroid are always double. */
typedef struct {
    int32_t n, n_grown;
    ehm_linkage linkage;
    size_t stride;      /* of rows, in elements; a multiple of 32 */
    const void *S;      /* [n,n] T, exactly symmetric, rows made from it when first needed; NULL: all rows are made */
    double c;           /* d = c - S */
    void *rows;         /* [n, stride] T */
    double *vectors;    /* [n, stride] Ward and centroid: the rows as vectors */
    void *gone;         /* [stride] T: 0 for live slots, the largest T for dead ones and padding */
    void *block;        /* [stride / 4] T, a scan's notes */
    double *weight;     /* [stride] sizes by slot as numbers */
    int32_t *seen;      /* [n] how much of the log a row knows; -1: the row is not made yet */
    int32_t *log;       /* [n] merges so far: the slot that lives on */
    int32_t *chain;     /* [n + 1] */
    int32_t *grown;     /* [n] live slots that hold more than a leaf, in any order */
    int32_t *grown_at;  /* [n] slot -> place in grown */
    int32_t *node;      /* [n] slot -> leaf, or n + merge in the order they were made */
    int32_t *size;      /* [n] slot -> leaves; 0: dead */
    int32_t *a, *b, *merged; /* [n] merges in the order they were made: nodes joined, leaves */
    double *h;          /* [n] */
    void *sort;         /* [4 n] u64 */
} ehm_tree_work;

/* Lays the workspace out at base (NULL: only counts). Returns its bytes. */
size_t ehm_tree_layout(ehm_tree_work *w, void *base, int32_t n, ehm_linkage l, ehm_dtype type);

typedef struct {
    /* True when S is finite and S_ij == S_ji off the diagonal; r is written only then. n >= 2. */
    bool (*check_f32)(ehm_similarity_range *r, const float *S, int32_t n);
    bool (*check_f64)(ehm_similarity_range *r, const double *S, int32_t n);
    /* True when S is finite off the diagonal; otherwise as above. */
    bool (*range_f32)(ehm_similarity_range *r, const float *S, int32_t n);
    bool (*range_f64)(ehm_similarity_range *r, const double *S, int32_t n);
    /* Merges in chain order into a, b, merged, h. */
    void (*chain_f32)(ehm_tree_work *w);
    void (*chain_f64)(ehm_tree_work *w);
    /* The minimum spanning tree's edges into a, b (leaves), h, in the order they were found. */
    void (*span_f32)(ehm_tree_work *w);
    void (*span_f64)(ehm_tree_work *w);
    /* rows[i][j] = Euclidean distance of vectors i and j, each sum in index order. vectors must be symmetric. */
    void (*distances)(ehm_tree_work *w);
} ehm_tree_kern;
extern const ehm_tree_kern ehm_tree_generic;
const ehm_tree_kern *ehm_tree_avx2(void); /* NULL where it is not built in or the processor has none */

void ehm_tree_centroid(ehm_tree_work *w); /* rows made -> a, b, merged, h in merge order; a < b */

/* ehm_tree_build with the loops named. */
ehm_code ehm_tree_build_with(const ehm_tree_kern *k, ehm_tree *out, const void *S, ehm_dtype type, int32_t n, ehm_linkage l,
                             uint32_t flags, void *work, ehm_err *err);

/* ehm_similarity_check with the loops named; *exact: S_ij == S_ji everywhere off the diagonal. */
ehm_code ehm_similarity_check_with(const ehm_tree_kern *k, ehm_similarity_range *r, bool *exact, const void *S, ehm_dtype type,
                                   int32_t n, uint32_t flags, ehm_err *err);
double ehm_similarity_at(const void *S, ehm_dtype type, int32_t n, int32_t i, int32_t j); /* the mean of (i, j) and (j, i) */
#endif
