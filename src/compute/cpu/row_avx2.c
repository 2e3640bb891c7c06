/* Rows and elements with AVX2 and FMA. */
#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__)
#define EHM_VEC_AVX2 1
#define EHM_ROW_NAME ehm_row_avx2
#include "compute/cpu/vec.h"
#include "compute/cpu/row_kern.inc"
#else
typedef int ehm_row_avx2_is_for_x86_64;
#endif
