/* Attention with AVX2 and FMA. */
#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__)
#define EHM_VEC_AVX2 1
#define EHM_TILE_MR 6
#define EHM_ATTN_NAME ehm_attn_avx2
#include "compute/cpu/vec.h"
#include "compute/cpu/attn_kern.inc"
#else
typedef int ehm_attn_avx2_is_for_x86_64;
#endif
