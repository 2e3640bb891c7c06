/* The fast CPU back end's attention, with every kernel that this processor can run. */
#include "cpu_attn_check.h"

TEST(cpu_attn, generic) { attn_check(&ehm_attn_generic, "generic"); }
#if defined(__x86_64__)
TEST(cpu_attn, avx2) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) SKIP("this processor has no AVX2");
    attn_check(&ehm_attn_avx2, "avx2");
}
TEST(cpu_attn, avx512) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
        SKIP("this processor has no AVX-512");
    attn_check(&ehm_attn_avx512, "avx512");
}
#endif
