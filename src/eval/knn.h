/* Weighted nearest neighbours over unit vectors, exact, at the speed of a matrix product (as DINO's eval_knn).
 *
 *     ehm_knn_unit_rows(train, n_train, dim, pool); ehm_knn_unit_rows(query, n_query, dim, pool);
 *     ehm_knn_search(idx, sim, dev, train, n_train, query, n_query, dim, 20, &err);
 *     class = ehm_knn_vote(idx + i * 20, sim + i * 20, 20, 0.07, labels, n_classes, scratch);
 */
#ifndef EHM_EVAL_KNN_H
#define EHM_EVAL_KNN_H
#include "compute/compute.h"

/* Each row divided by its Euclidean norm (rows of zeros stay). x [n,dim]. */
void ehm_knn_unit_rows(float *x, int64_t n, int32_t dim, ehm_pool *pool);
/* Column means and deviations (biased) of x [n,dim]; a deviation of 0 becomes 1. In double, a fixed order of sums. */
void ehm_knn_moments(double *mean, double *std, const float *x, int64_t n, int32_t dim);
void ehm_knn_standardise(float *x, int64_t n, int32_t dim, const double *mean, const double *std, ehm_pool *pool);
/* The k nearest of train [n_train,dim] for each query [n_query,dim] by inner product: idx, sim [n_query,k], largest first, ties to the lower index.
 * k <= n_train. EHM_E_ARG names k and n_train. EHM_E_STOPPED when a stop was asked for. */
ehm_code ehm_knn_search(int32_t *idx, float *sim, ehm_dev *d, const float *train, int64_t n_train, const float *query, int64_t n_query,
                        int32_t dim, int32_t k, ehm_err *err);
/* Weight exp(sim / T) a neighbour; ties go to the lower class. scratch [n_classes]. Labels below 0 do not vote. */
int32_t ehm_knn_vote(const int32_t *idx, const float *sim, int32_t k, double temperature, const int32_t *labels, int32_t n_classes, double *scratch);
#endif
