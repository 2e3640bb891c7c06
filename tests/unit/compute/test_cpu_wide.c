/* The 14 x 32 tiles of AVX-512, with sixteen lanes made by the compiler: the same templates, so that their
 * logic is proved on processors without AVX-512. Only the one-line operations of vec.h differ. */
#define EHM_VEC_WIDE 16
#define EHM_TILE_MR 14
#define EHM_GEMM_NAME ehm_gemm_wide16
#define EHM_GEMM_LABEL "wide16"
#include "compute/cpu/vec.h"
#include "cpu_gemm_check.h"
extern const ehm_gemm_kern ehm_gemm_wide16;
#include "compute/cpu/gemm_kern.inc"

TEST(cpu_wide, gemm_14x32) { gemm_check(&ehm_gemm_wide16, 2); }
