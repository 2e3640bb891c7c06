/* The CUDA back end that was built with these tests, for a GPU that is there (EHM_TEST_GPU in the environment). */
#ifndef EHM_TESTS_REAL_GPU_H
#define EHM_TESTS_REAL_GPU_H
#include "harness.h"
#include <stdlib.h>

static inline void real_plugin(void) {
#ifdef EHM_CUDA_REAL
    setenv("EHM_CUDA_PLUGIN", EHM_CUDA_REAL, 1); /* the tests do not lie where the program does */
#else
    ehm_test_fail(__FILE__, __LINE__, "no CUDA back end was built (nvcc is missing)");
    ehm_test_leave();
#endif
}
#endif
