/* What the files of attention share. */
#ifndef EHM_COMPUTE_CU_ATTENTION_H
#define EHM_COMPUTE_CU_ATTENTION_H
#include "compute/cuda/cuda_kern.h"

/* qkv [B,N,3*width], out, dout [B,N,width], lse, dots [B,H,N], dqkv as qkv, probs [B,N,N] or [B,H,N,N]; grid: pieces of N, heads, pictures */
typedef struct {
    cu_in qkv, dout;
    cu_out out, dqkv;
    float *lse, *dots, *probs;
    int64_t n, width, heads, k;
    float scale;
    int32_t per_head;
} attn_job;

/* On tensor cores, where they fit: bf16, heads 32, 64 or 80 wide, at addresses of 16 bytes (those that are not used are NULL). job.dots is there for bwd. */
bool ehm_cuda_mma_fits(const attn_job *j);
void ehm_cuda_mma_fwd(ehm_cuda *c, const attn_job *job, int64_t pictures);
void ehm_cuda_mma_bwd(ehm_cuda *c, const attn_job *job, int64_t pictures);
void ehm_cuda_mma_probs(ehm_cuda *c, const attn_job *job, int64_t pictures);
#endif
