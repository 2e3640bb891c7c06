/* The first principal components of many vectors, which come piece by piece.
 *
 *     ehm_scatter s;
 *     EHM_TRY(ehm_scatter_new(&s, dim, a, err));
 *     for (...) EHM_TRY(ehm_scatter_add(&s, x, n, &scratch, err));
 *     EHM_TRY(ehm_pca_of(&pca, &s, a, err));
 *     ehm_pca_project(scores, &pca, x, n);            // scores [n,3]
 *
 * Everything in double. As scikit-learn's PCA(3): variances are over n - 1, and of each axis the number largest in size is positive.
 */
#ifndef EHM_DRAW_PCA_H
#define EHM_DRAW_PCA_H
#include "base/err.h"
#include "base/mem.h"
#include <stdbool.h>
#include <stdint.h>

enum { EHM_PCA_AXES = 3 };

/* Mean, and sum of products of differences from it; pieces are joined as Chan, Golub and LeVeque (1983) do. */
typedef struct {
    int32_t dim;
    int64_t n;
    double *mean, *products; /* [dim], [dim,dim] upper half */
} ehm_scatter;
ehm_code ehm_scatter_new(ehm_scatter *s, int32_t dim, ehm_arena *a, ehm_err *err);
/* x [n,dim]. EHM_E_NUMERIC: a number is not finite, and s is as before. Resets scratch. */
ehm_code ehm_scatter_add(ehm_scatter *s, const float *x, int64_t n, ehm_arena *scratch, ehm_err *err);

typedef struct {
    int32_t dim;
    double *mean, *axis;            /* [dim], [3,dim] of unit length */
    double variance[EHM_PCA_AXES];  /* of each, largest first; 0 where there is none left */
    double share[EHM_PCA_AXES];     /* of the variance of all features */
    bool separated;                 /* false: the third is not to be told from others of about the same variance */
    int32_t n_rounds;
} ehm_pca;
/* Orthogonal iteration on a block of 16 vectors with Rayleigh-Ritz in each round, until |C v - variance v| of all three is below 1e-9 of the largest
 * variance; after 600 rounds it stops unseparated. dim at least 3 (EHM_E_ARG). s stays as it is. */
ehm_code ehm_pca_of(ehm_pca *out, const ehm_scatter *s, ehm_arena *a, ehm_err *err);
/* out [n,3]: (x - mean) along each axis. */
void ehm_pca_project(float *out, const ehm_pca *p, const float *x, int64_t n);

/* Eigenvectors of a small symmetric matrix by Jacobi's rotations: a [n,n] is used up, value [n] falls, vector [n,n] has one a row. */
void ehm_small_eigen(double *value, double *vector, double *a, int32_t n);
/* The value at share (0 to 1) of n sorted ones, between two of them linearly (NumPy's percentile). */
double ehm_sorted_quantile(const float *v, int64_t n, double share);
#endif
