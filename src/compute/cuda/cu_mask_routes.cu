/* From lists of hidden and visible patches to the indices that a step goes by. */
#include "compute/cuda/cuda_kern.h"

enum { THREADS = 256 };

typedef struct {
    int32_t *embed_idx, *src, *pos_idx, *target_idx, *back, *pred;
    const int32_t *visible, *masked;
    int32_t n_visible, n_masked;
} routes_job;
KERNEL(mask_routes, routes_job) { /* a block a sample: each place is written once */
    const int64_t b = blockIdx.x, v = job.n_visible, m = job.n_masked, l = v + m;
    for (int64_t i = threadIdx.x; i < v; i += THREADS) {
        const int32_t patch = job.visible[b * v + i];
        job.embed_idx[b * v + i] = patch;
        job.src[b * (1 + v) + 1 + i] = (int32_t)i, job.pos_idx[b * (1 + v) + 1 + i] = 1 + patch;
        job.back[b * (1 + l) + 1 + patch] = 1 + (int32_t)i;
    }
    for (int64_t i = threadIdx.x; i < m; i += THREADS) {
        const int32_t patch = job.masked[b * m + i];
        job.target_idx[b * m + i] = patch, job.pred[b * m + i] = 1 + patch;
        job.back[b * (1 + l) + 1 + patch] = -1;
    }
    if (threadIdx.x == 0) job.src[b * (1 + v)] = -1, job.pos_idx[b * (1 + v)] = 0, job.back[b * (1 + l)] = 0;
}
void ehm_cuda_mask_routes(void *self, const ehm_mask_routes_args *a) {
    routes_job j;
    j.embed_idx = (int32_t *)ehm_ptr(a->embed_idx), j.src = (int32_t *)ehm_ptr(a->src), j.pos_idx = (int32_t *)ehm_ptr(a->pos_idx);
    j.target_idx = (int32_t *)ehm_ptr(a->target_idx), j.back = (int32_t *)ehm_ptr(a->back), j.pred = (int32_t *)ehm_ptr(a->pred);
    j.visible = (const int32_t *)ehm_ptr(a->visible), j.masked = (const int32_t *)ehm_ptr(a->masked);
    j.n_visible = (int32_t)a->visible.dim[1], j.n_masked = (int32_t)a->masked.dim[1];
    LAUNCH_FLAT((ehm_cuda *)self, mask_routes, blocks_of(a->visible.dim[0], 1), THREADS, j);
}
