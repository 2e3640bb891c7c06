/* The CUDA back end's own state, and what its files share. cuda.c has the device, memory and the table; cuda_blas.c the products;
 * the .cu files everything else, a function of this back end a row of ops.def. */
#ifndef EHM_COMPUTE_CUDA_INT_H
#define EHM_COMPUTE_CUDA_INT_H
#ifdef __cplusplus
extern "C" {
#endif
#include "compute/backend.h"

enum { EHM_CUDA_SCRATCH = 3, EHM_CUDA_LEAVES = 1024 }; /* LEAVES: of a tree, at most; what a mask works on must fit the shared memory of a block */
typedef struct ehm_cuda_blas ehm_cuda_blas;
typedef struct ehm_cuda_graph { void *exec; uint64_t moved; } ehm_cuda_graph; /* cudaGraphExec_t; c->moved when it was made */
typedef struct ehm_cuda {
    int32_t index;          /* of the device */
    void *stream;           /* cudaStream_t */
    ehm_err err;            /* the first failure since the last wait */
    ehm_cuda_blas *blas;
    struct { void *p; size_t bytes; } scratch[EHM_CUDA_SCRATCH]; /* device memory that an op may use until it returns; grows */
    void *staging;          /* pinned host memory: a ring of what is on its way to the device */
    size_t staging_bytes, staging_at;
    void *ahead;            /* pinned: what travels beside the ops, by a stream of its own */
    size_t ahead_bytes;
    void *ahead_stream, *ahead_there; /* cudaStream_t, cudaEvent_t */
    ehm_cuda_graph graph[EHM_SECTIONS];
    uint64_t moved;         /* how often memory that a graph may use was given back */
    int32_t multiprocessors;
    size_t shared_bytes;    /* of a block, at most */
    char about[256];
} ehm_cuda;

/* The current device is each host thread's own: whoever calls CUDA says first which one is meant. */
void ehm_cuda_enter(const ehm_cuda *c);
/* Keep the first failure: what is cudaError_t. */
void ehm_cuda_note(ehm_cuda *c, int what, const char *where);
/* Device memory until the op returns; NULL when there is none, which is noted. which: 0 .. EHM_CUDA_SCRATCH - 1, two uses in one op take two. What
 * an earlier op on the stream still does with it comes before whatever this op starts. */
void *ehm_cuda_scratch(ehm_cuda *c, int32_t which, size_t bytes);

/* Sections, as backend.h has them. EHM_CUDA_GRAPH=off in the environment: none. */
bool ehm_cuda_record(void *self, int32_t section);
bool ehm_cuda_recorded(void *self, int32_t section);
bool ehm_cuda_replay(void *self, int32_t section);
void ehm_cuda_graphs_close(ehm_cuda *c);

ehm_code ehm_cuda_blas_open(ehm_cuda_blas **out, ehm_cuda *c, ehm_err *err);
void ehm_cuda_blas_close(ehm_cuda_blas *b);
const char *ehm_cuda_blas_about(const ehm_cuda_blas *b);
/* out[M,N] = op(a) op(b) (+ bias[N]) (+ add[M,N]), row-major without gaps; a and b of one type, sums in f32. */
typedef struct {
    int64_t m, n, k;
    bool trans_a, trans_b, in_bf16, out_bf16, bias_bf16;
    const void *a, *b, *add; /* add of the type of out, may be out; or NULL */
    const void *bias;        /* f32, or bf16 with bias_bf16; or NULL */
    void *out;
} ehm_cuda_product;
/* By cuBLASLt; false where it has no way for these shapes and addresses, and nothing was done. */
bool ehm_cuda_blas_multiply(ehm_cuda *c, const ehm_cuda_product *p);

#define OP(NAME, what, tol_f32, tol_bf16, bwd) void ehm_cuda_op_##NAME(void *self, const ehm_##NAME##_args *a);
#include "compute/ops.def"
#undef OP
void ehm_cuda_trees(void *self, const ehm_trees_args *a);
void ehm_cuda_tree_masks(void *self, const ehm_tree_masks_args *a);
void ehm_cuda_mask_routes(void *self, const ehm_mask_routes_args *a);
#ifdef __cplusplus
}
#endif
#endif
