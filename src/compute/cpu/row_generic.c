/* Rows and elements, compiled once per instruction set (row_kern.inc). */
#define EHM_VEC_WIDE 4
#define EHM_ROW_NAME ehm_row_generic
#include "compute/cpu/vec.h"
#include "compute/cpu/row_kern.inc"
