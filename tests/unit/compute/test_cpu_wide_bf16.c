/* The bf16 product on pairs, with sixteen lanes made by the compiler and VDPBF16PS written out: packing and
 * tiles are the template's. */
#define EHM_VEC_WIDE 16
#define EHM_TILE_MR 14
#define EHM_GEMM_PAIRS 1
#define EHM_GEMM_NAME ehm_gemm_wide16_bf16
#define EHM_GEMM_LABEL "wide16_bf16"
#include "compute/cpu/vec.h"
#include "cpu_gemm_check.h"
V_INLINE vf pair_mac(vf c, vf a, vf b) {
    vf a_lo = (vf)((v_u32)a << 16), b_lo = (vf)((v_u32)b << 16), a_hi = (vf)((v_u32)a & 0xffff0000u),
       b_hi = (vf)((v_u32)b & 0xffff0000u);
    return c + a_lo * b_lo + a_hi * b_hi;
}
#define V_MAC(c, a, b) pair_mac(c, a, b)
extern const ehm_gemm_kern ehm_gemm_wide16_bf16;
#include "compute/cpu/gemm_kern.inc"

TEST(cpu_wide, gemm_14x32_bf16_pairs) { gemm_check(&ehm_gemm_wide16_bf16, 2); }
