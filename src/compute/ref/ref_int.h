/* The reference back end: plain C that says what each op means. One file a group of ops.
 *
 * Every op loads its operands as double, computes in double and rounds once when it stores, so the same code serves f32, bf16 and
 * (device "ref64") f64, and is the oracle for the others. Work is cut by size and sums have a fixed order, so the bits are the
 * same for any number of threads. Only ref/ includes this. */
#ifndef EHM_COMPUTE_REF_INT_H
#define EHM_COMPUTE_REF_INT_H
#include "compute/backend.h"

typedef struct {
    ehm_pool *pool;
    int32_t n_threads;
    double *scratch; /* n_threads pieces of scratch_n; grows, never shrinks */
    size_t scratch_n;
    ehm_err err;     /* the first failure since wait was called */
    char text[96];   /* describe */
} ehm_ref;

/* A piece of n doubles for each thread; piece i starts at i * *stride. NULL: no memory, and the error is noted. */
double *ehm_ref_scratch(ehm_ref *r, int64_t n, int64_t *stride);

/* n elements from the first'th of v on, as double; and back, rounded to the type of v. */
void ehm_ref_load(double *restrict dst, ehm_view v, int64_t first, int64_t n);
void ehm_ref_store(ehm_view v, int64_t first, const double *restrict src, int64_t n);
/* One element. */
double ehm_ref_get(ehm_view v, int64_t i);
void ehm_ref_put(ehm_view v, int64_t i, double value);

/* c[m,n] += a[m,k] b[k,n], rows lc, la, lb apart: what the products of all ops here come down to. */
void ehm_ref_gemm_add(double *restrict c, int64_t lc, const double *restrict a, int64_t la, const double *restrict b,
                      int64_t lb, int64_t m, int64_t n, int64_t k);

static inline int64_t ehm_ref_min(int64_t a, int64_t b) { return a < b ? a : b; }

#define OP(name, what, tol_f32, tol_bf16, bwd) void ehm_ref_##name(void *self, const ehm_##name##_args *a);
#include "compute/ops.def"
#undef OP
#endif
