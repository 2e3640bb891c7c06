/* Products with AVX2 and FMA: tiles of 6 x 16. Twelve sums hide the latency of 4 cycles at two multiply-adds
 * a cycle. */
#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__)
#define EHM_VEC_AVX2 1
#define EHM_TILE_MR 6
#define EHM_GEMM_NAME ehm_gemm_avx2
#define EHM_GEMM_LABEL "avx2"
#include "compute/cpu/vec.h"
#include "compute/cpu/gemm_kern.inc"
#else
typedef int ehm_gemm_avx2_is_for_x86_64;
#endif
