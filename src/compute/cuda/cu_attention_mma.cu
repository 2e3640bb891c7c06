/* Attention on tensor cores: bf16, heads 32, 64 or 80 wide, any number of tokens. Forward and backward without the matrix of scores in memory (Dao 2023), scores rounded
 * to bf16 only where they become a factor of the next product. */
#include "compute/cuda/cu_attention.h"

enum { THREADS = 128, TILE = 64 };
#define LOG2_E 1.4426950408889634f
#define LN_2 0.69314718055994531f
typedef struct EHM_ALIGN(16) { uint32_t v[4]; } eight; /* bf16 values */

#define HEAD 32
#define MMA(name) mma32_##name
#include "compute/cuda/cu_attention_mma.inc"
#undef HEAD
#undef MMA
#define HEAD 64
#define MMA(name) mma64_##name
#include "compute/cuda/cu_attention_mma.inc"
#undef HEAD
#undef MMA
#define HEAD 80
#define MMA(name) mma80_##name
#include "compute/cuda/cu_attention_mma.inc"
#undef HEAD
#undef MMA

static bool aligned(const void *p) { return (uintptr_t)p % 16 == 0; }
bool ehm_cuda_mma_fits(const attn_job *j) {
    return j->qkv.bf16 && (j->k == 32 || j->k == 64 || j->k == 80) && aligned(j->qkv.p) && aligned(j->out.p) && aligned(j->dqkv.p) && aligned(j->dout.p);
}
static dim3 tiles(const attn_job *j, int64_t pictures, bool heads) {
    return EHM_DIM3((uint32_t)((j->n + TILE - 1) / TILE), (uint32_t)(heads ? j->heads : 1), (uint32_t)pictures);
}
/* Bytes of n tiles of 64 lines, and of as many numbers twice (log sums and dots). */
static size_t shared_bytes(const attn_job *j, int32_t n, bool sums) {
    return (size_t)(n * TILE) * (size_t)(j->k + 8) * 2 + (sums ? 2 * TILE * sizeof(float) : 0);
}
#define FOR_HEAD(c, name, grid, bytes, j)                                    \
    do {                                                                     \
        if ((j).k == 32) LAUNCH_SHARED(c, mma32_##name, grid, THREADS, bytes, j); \
        else if ((j).k == 64) LAUNCH_SHARED(c, mma64_##name, grid, THREADS, bytes, j); \
        else LAUNCH_SHARED(c, mma80_##name, grid, THREADS, bytes, j);        \
    } while (0)

void ehm_cuda_mma_fwd(ehm_cuda *c, const attn_job *job, int64_t pictures) {
    attn_job j = *job;
    FOR_HEAD(c, fwd, tiles(&j, pictures, true), shared_bytes(&j, 2, false), j);
}
void ehm_cuda_mma_bwd(ehm_cuda *c, const attn_job *job, int64_t pictures) {
    attn_job j = *job;
    FOR_HEAD(c, bwd_keys, tiles(&j, pictures, true), shared_bytes(&j, 2, true), j);
    FOR_HEAD(c, bwd_queries, tiles(&j, pictures, true), shared_bytes(&j, 2, false), j);
}
void ehm_cuda_mma_probs(ehm_cuda *c, const attn_job *job, int64_t pictures) {
    attn_job j = *job;
    FOR_HEAD(c, probs, tiles(&j, pictures, j.per_head), shared_bytes(&j, 1, false), j);
}
