/* Products of bf16 with VDPBF16PS: as the AVX-512 ones, a unit being two neighbouring k. The instruction
 * treats numbers below 2^-126 as 0 and rounds both products of a pair, which is inside the op's bf16 bound.
 */
#if defined(__x86_64__) && defined(__AVX512F__) && defined(__AVX512BF16__)
#define EHM_VEC_AVX512 1
#define EHM_TILE_MR 14
#define EHM_GEMM_PAIRS 1
#define EHM_GEMM_NAME ehm_gemm_avx512bf16
#define EHM_GEMM_LABEL "avx512_bf16"
#include "compute/cpu/vec.h"
#define V_MAC(c, a, b) _mm512_dpbf16_ps((c), (__m512bh)(a), (__m512bh)(b))
#include "compute/cpu/gemm_kern.inc"
#else
typedef int ehm_gemm_avx512bf16_is_for_x86_64;
#endif
