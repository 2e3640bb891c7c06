/* Whole back ends held against ref, and against themselves: every op of the table in every shape of ops_cases.h. */
#ifndef EHM_TESTS_OPS_AGAINST_H
#define EHM_TESTS_OPS_AGAINST_H
#include "ops_cases.h"

/* Largest |got - want| over largest |want| against the bound; bound 0: the same values. NaN only where NaN is wanted. */
static inline void compare(const op_case *c, const ehm_dev *d, const op_arg_case *got, const op_arg_case *want, double bound) {
    double top = 0, worst = 0;
    int64_t at = -1;
    for (int64_t i = 0; i < want->n; i++) {
        double w = want->got[i], g = got->got[i], e = isnan(w) && isnan(g) ? 0 : fabs(g - w);
        if (isfinite(w)) top = fmax(top, fabs(w));
        if (w == g) e = 0;
        if (isnan(e)) e = INFINITY;
        if (e > worst) worst = e, at = i;
    }
    if (worst <= bound * (top > 0 ? top : 1)) return;
    ehm_test_fail(__FILE__, __LINE__, "%s: %s[%lld] of %lld is %.9g, expected %.9g (error %g of largest %g, bound %g)", case_name(c, d),
                  got->name, (long long)at, (long long)got->n, got->got[at], want->got[at], worst, top, bound);
}

/* The bound that fits what an op was given: bf16 anywhere makes it the bf16 bound, unless that is 0 (then nothing is rounded anew). */
static inline double bound_of(const op_case *c) {
    const ehm_op_info *op = &ehm_op_table[c->op];
    return c->act == EHM_BF16 && case_has_act(c) && op->tol_bf16 > 0 ? op->tol_bf16 : op->tol_f32;
}

static inline void op_against_ref(ehm_dev *d, ehm_dev *ref, ehm_op op, ehm_dtype act) {
    op_case want, got;
    for (int i = 0; case_make(&want, op, i, act); i++) {
        REQUIRE(case_make(&got, op, i, act));
        if (case_run(&want, ref) && case_run(&got, d))
            for (int k = 0; k < got.n; k++)
                if (got.t[k].rank && got.t[k].role != IN) compare(&got, d, &got.t[k], &want.t[k], bound_of(&got));
        case_free(&want);
        case_free(&got);
    }
}
static inline void against_ref(const char *name, ehm_dtype act) {
    ehm_dev *d = device(name, 2), *ref = device("ref", 1);
    for (int op = 0; op < EHM_OPS_N; op++) op_against_ref(d, ref, (ehm_op)op, act);
    ehm_dev_close(ref);
    ehm_dev_close(d);
}
static inline void products_against_ref(const char *name) {
    ehm_dev *d = device(name, 2), *ref = device("ref", 1);
    op_against_ref(d, ref, EHM_OP_matmul, EHM_F32);
    op_against_ref(d, ref, EHM_OP_matmul, EHM_BF16);
    ehm_dev_close(ref);
    ehm_dev_close(d);
}
/* Same bits: ref for any number of threads, all devices from one time to the next. */
static inline void same_bits(const char *name, int32_t threads_a, int32_t threads_b, ehm_dtype act) {
    ehm_dev *d = device(name, threads_a), *e = device(name, threads_b);
    for (int op = 0; op < EHM_OPS_N; op++) {
        op_case a, b;
        for (int i = 0; case_make(&a, (ehm_op)op, i, act); i++) {
            REQUIRE(case_make(&b, (ehm_op)op, i, act));
            if (case_run(&a, d) && case_run(&b, e))
                for (int k = 0; k < a.n; k++)
                    if (a.t[k].role != IN && memcmp(a.t[k].got, b.t[k].got, (size_t)a.t[k].n * sizeof(double)))
                        ehm_test_fail(__FILE__, __LINE__, "%s: %s differs between %d and %d threads", case_name(&a, d), a.t[k].name,
                                      (int)threads_a, (int)threads_b);
            case_free(&a);
            case_free(&b);
        }
    }
    ehm_dev_close(d);
    ehm_dev_close(e);
}
#endif
