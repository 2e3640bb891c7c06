/* Our own kernels give the same bits for any number of threads: every op, every shape of the op tests. (With
 * oneDNN only the same number of threads promises that, so it is off here.) */
#include "property/ops_cases.h"

static void same_for(int32_t threads, ehm_dtype act) {
    ehm_err err = {0};
    ehm_dev *one, *more;
    setenv("EHM_GEMM", "own", 1);
    REQUIRE_OK(ehm_dev_open(&one, "cpu", 1, &err), &err);
    REQUIRE_OK(ehm_dev_open(&more, "cpu", threads, &err), &err);
    unsetenv("EHM_GEMM");
    for (int op = 0; op < EHM_OPS_N; op++) {
        op_case a, b;
        for (int i = 0; case_make(&a, (ehm_op)op, i, act); i++) {
            REQUIRE(case_make(&b, (ehm_op)op, i, act));
            if (case_run(&a, one) && case_run(&b, more))
                for (int k = 0; k < a.n; k++)
                    if (a.t[k].role != IN &&
                        memcmp(a.t[k].got, b.t[k].got, (size_t)a.t[k].n * sizeof(double)))
                        ehm_test_fail(__FILE__, __LINE__, "%s: %s differs between 1 and %d threads",
                                      case_name(&a, one), a.t[k].name, (int)threads);
            case_free(&a);
            case_free(&b);
        }
    }
    ehm_dev_close(one);
    ehm_dev_close(more);
}
TEST(cpu_bits, two_threads_f32) { same_for(2, EHM_F32); }
TEST(cpu_bits, two_threads_bf16) { same_for(2, EHM_BF16); }
TEST(cpu_bits, five_threads_f32) { same_for(5, EHM_F32); }
