/* Products with AVX-512: tiles of 14 x 32, that is 28 sums, two of b and one of a in 32 registers. */
#if defined(__x86_64__) && defined(__AVX512F__)
#define EHM_VEC_AVX512 1
#define EHM_TILE_MR 14
#define EHM_GEMM_NAME ehm_gemm_avx512
#define EHM_GEMM_LABEL "avx512"
#include "compute/cpu/vec.h"
#include "compute/cpu/gemm_kern.inc"
#else
typedef int ehm_gemm_avx512_is_for_x86_64;
#endif
