/* Attention with AVX-512. */
#if defined(__x86_64__) && defined(__AVX512F__)
#define EHM_VEC_AVX512 1
#define EHM_TILE_MR 12
#define EHM_ATTN_NAME ehm_attn_avx512
#include "compute/cpu/vec.h"
#include "compute/cpu/attn_kern.inc"
#else
typedef int ehm_attn_avx512_is_for_x86_64;
#endif
