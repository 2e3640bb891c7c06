/* Parts of image retrieval: global descriptors, whitening, exact search, patches matched with a geometric check.
 *
 *     ehm_gem(d, tokens, n_patches, dim, 3);                              // one picture's descriptor
 *     EHM_TRY(ehm_whiten_learn(&w, rows, n, dim, 0, pool, a, err));       // from unit rows
 *     ehm_whiten_apply(out, &w, rows, n, pool);
 *     EHM_TRY(ehm_rank_search(&r, device, database, n_db, queries, n_q, dim, &q, a, err));
 *     ehm_match m = ehm_match_patches(similarities, &grid_of_query, &grid_of_result, scratch);
 */
#ifndef EHM_EVAL_RETRIEVE_H
#define EHM_EVAL_RETRIEVE_H
#include "base/mem.h"
#include "compute/compute.h"

/* Generalised mean of patch tokens (Radenovic et al. 2019): (mean of max(x, 1e-6)^p)^(1/p) of each feature, in double. Tokens are signed:
 * the negative half is cut off. out [dim], tokens [n,dim]. */
void ehm_gem(float *out, const float *tokens, int64_t n, int32_t dim, double p);

/* Principal components and whitening, as scikit-learn's PCA(whiten=True): y = (x - mean) V / sqrt(eigenvalue), the eigenvalues those of
 * the covariance with n - 1, largest first, each component's sign such that its entry of largest size is positive. Components without
 * variance (below 1e-9 of the largest eigenvalue, or beyond n - 1) are left out. */
typedef struct {
    int32_t dim, n_kept;
    const double *mean;  /* [dim] */
    const double *axis;  /* [n_kept,dim], each over the square root of its eigenvalue */
    const double *value; /* [n_kept] eigenvalues */
} ehm_whiten;
/* x [n,dim] f32; n_max: at most so many components, 0 all. The same for any pool. Errors: EHM_E_MISMATCH (fewer than two rows, or rows all
 * alike), EHM_E_NUMERIC (not finite, or no convergence), EHM_E_MEMORY. */
ehm_code ehm_whiten_learn(ehm_whiten *out, const float *x, int64_t n, int32_t dim, int32_t n_max, ehm_pool *pool, ehm_arena *a, ehm_err *err);
void ehm_whiten_apply(float *out /* [n,n_kept] */, const ehm_whiten *w, const float *x, int64_t n, ehm_pool *pool);
/* Eigenvalues (ascending) and vectors of a symmetric matrix a [n,n] in place: row k becomes the vector of value[k]. Householder's
 * reduction to three diagonals, then implicit QL. false: no convergence (never for finite numbers). scratch [2n]. */
bool ehm_symmetric_eigen(double *a, double *value, int32_t n, double *scratch);

/* Exact search: every query against every picture by blocks of a matrix product. At a million pictures of 768 features that is 3 GB of
 * descriptors and some 1.5 GFLOP a query; beyond that, this function is the place for an approximate index (inverted lists with
 * product quantisation, or a graph): it would fill top and top_score, and ranks of positives that it misses would be -1. */
typedef struct {
    int64_t n_queries;
    const int64_t *self;      /* [n_queries] picture that is left out of a query's list, -1 none; NULL: none at all */
    const int64_t *positive;  /* database numbers of all positives, ascending within a query; those of query q are [start[q], start[q+1]) */
    const int64_t *start;     /* [n_queries + 1] */
    int32_t n_top;            /* list length wanted; cut to the pictures there are */
} ehm_rank_ask;
typedef struct {
    int32_t n_top;            /* entries of a list */
    int32_t *top;             /* [n_queries,n_top] best first; -1: no more */
    float *top_score;         /* [n_queries,n_top] inner product */
    int64_t *rank;            /* [start[n_queries]] place of each positive in the whole list, from 0, ascending within a query */
} ehm_rank_got;
/* Rows are expected to be of unit length. At equal scores the wrong ones stand first, so that a descriptor that says nothing gets no credit;
 * then the lower number. Errors: EHM_E_ARG (an empty database), EHM_E_STOPPED, EHM_E_MEMORY, the device's. */
ehm_code ehm_rank_search(ehm_rank_got *out, ehm_dev *d, const float *database, int64_t n_db, const float *query, int32_t dim,
                         const ehm_rank_ask *ask, ehm_arena *a, ehm_err *err);

/* Patches matched with a geometric check. sim [n_q,n_r] are the inner products of the unit patch tokens of a query and a result.
 *   1. Matches: patch i of the query and j of the result, where j is i's nearest and i is j's nearest (at equal similarity the lower
 *      number). At most one match a patch.
 *   2. Hypotheses: each pair of the 32 matches of highest similarity (ties: the lower i) gives one turn, scale and shift that takes
 *      the two query patches to the two result patches, and one that mirrors first. Scales outside 1/8 to 8, and pairs that fall on one
 *      point, are left out.
 *   3. Inliers of a hypothesis: all matches whose query patch lands within one patch side (1.0) of its result patch, each axis in patches.
 * The score is the inliers of the best hypothesis, and the number of matches where there are fewer than 2. Nothing is drawn at random. */
typedef struct { int32_t h, w; } ehm_grid;
enum { EHM_MATCH_SEEDS = 32 };
typedef struct { int32_t n_matches, n_inliers; bool mirrored; double scale, degrees; } ehm_match;
typedef struct { int32_t q, r; float sim; } ehm_match_pair;
/* scratch: pairs [h*w of the query], best_q [h*w of the result]. */
ehm_match ehm_match_patches(const float *sim, int64_t row_step, ehm_grid q, ehm_grid r, ehm_match_pair *pairs, int32_t *best_q);

/* Intervals over groups of queries: what was made of one original is drawn together. A line is a number that is the mean of a value of its
 * queries, or the micro average precision of their candidates. */
typedef struct {
    const float *value;        /* [n_queries]; NaN: the query is not in it. NULL: micro average precision of the candidates below */
    const float *score;        /* [n] candidates of all queries */
    const uint8_t *right;      /* [n] */
    const int32_t *query;      /* [n] whose candidate */
    int64_t n;
    const float *n_positive;   /* [n_queries] how many positives each has; NaN: the query is not in it */
    double *draws;             /* [EHM_BOOT_DRAWS] gets the number in each draw, NaN where it does not exist; NULL: not kept */
} ehm_group_line;
/* value, lo, hi [n_lines]; group [n_queries] in 0..n_groups-1. Draws are those of ehm_bootstrap over the groups, the same for all lines.
 * minus[i] >= 0: line i is the difference of line i and line minus[i] in value, lo, hi of place n_lines + i (else untouched); NULL: none. Lines
 * without a query are NaN. Errors: EHM_E_MEMORY, EHM_E_STOPPED. */
ehm_code ehm_group_bootstrap(double *value, double *lo, double *hi, const ehm_group_line *lines, int32_t n_lines, const int32_t *minus,
                             const int32_t *group, int64_t n_queries, int64_t n_groups, uint64_t seed, ehm_err *err);
#endif
