/* Attention for any processor. */
#define EHM_VEC_WIDE 4
#define EHM_TILE_MR 6
#define EHM_ATTN_NAME ehm_attn_generic
#include "compute/cpu/vec.h"
#include "compute/cpu/attn_kern.inc"
