/* Products for any processor: the compiler's vectors, four lanes, tiles of 6 x 8. */
#define EHM_VEC_WIDE 4
#define EHM_TILE_MR 6
#define EHM_GEMM_NAME ehm_gemm_generic
#define EHM_GEMM_LABEL "generic"
#include "compute/cpu/vec.h"
#include "compute/cpu/gemm_kern.inc"
