/* Similarities from a file: .npy (N x N, or B x N x N for many), or text, one matrix with a row a line, numbers divided by spaces,
 * tabs, commas or semicolons, lines that begin with # left out.
 *
 *     ehm_similarities s; ehm_similarities_read(&s, "A.npy", &arena, &err);   // "-" is standard input
 *     ehm_tree_build(&t, s.matrix, EHM_F64, s.n, ...);
 */
#ifndef EHM_HIERARCHY_SIMILARITY_FILE_H
#define EHM_HIERARCHY_SIMILARITY_FILE_H
#include "base/err.h"
#include "base/mem.h"

typedef struct {
    int32_t n, n_matrices;
    bool stacked;         /* the file had the third dimension, even if it holds one matrix */
    const double *matrix; /* [n_matrices,n,n], in the arena */
} ehm_similarities;
/* EHM_E_FORMAT names the shape or the line; EHM_E_IO. That numbers are finite and symmetric is for ehm_tree_build to say. */
ehm_code ehm_similarities_read(ehm_similarities *out, const char *path, ehm_arena *a, ehm_err *err);
#endif
