/* The fast CPU back end's element-wise and row-wise kernels, as many as this processor can run. */
#include "cpu_row_check.h"

TEST(cpu_row, generic) { row_check(&ehm_row_generic); }
#if defined(__x86_64__)
TEST(cpu_row, avx2) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) SKIP("this processor has no AVX2");
    row_check(&ehm_row_avx2);
}
TEST(cpu_row, avx512) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
        SKIP("this processor has no AVX-512");
    row_check(&ehm_row_avx512);
}
#endif
