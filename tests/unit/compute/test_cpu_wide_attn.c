/* Attention with the 12 x 32 tiles of AVX-512, sixteen lanes made by the compiler. */
#define EHM_VEC_WIDE 16
#define EHM_TILE_MR 12
#define EHM_ATTN_NAME ehm_attn_wide16
#include "compute/cpu/vec.h"
#include "cpu_attn_check.h"
extern const ehm_attn_kern ehm_attn_wide16;
#include "compute/cpu/attn_kern.inc"

TEST(cpu_wide, attn_12x32) { attn_check(&ehm_attn_wide16, "wide16"); }
