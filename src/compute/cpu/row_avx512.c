/* Rows and elements with AVX-512. */
#if defined(__x86_64__) && defined(__AVX512F__)
#define EHM_VEC_AVX512 1
#define EHM_ROW_NAME ehm_row_avx512
#include "compute/cpu/vec.h"
#include "compute/cpu/row_kern.inc"
#else
typedef int ehm_row_avx512_is_for_x86_64;
#endif
