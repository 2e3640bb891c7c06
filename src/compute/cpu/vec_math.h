/* Functions of a whole vector: exp, and the upper tail of the normal distribution.
 * Coefficients are our own fits (weighted least squares, reweighted to minimax, in double; tools/golden/vec_math_fit.py). */
#ifndef EHM_COMPUTE_CPU_VEC_MATH_H
#define EHM_COMPUTE_CPU_VEC_MATH_H
#include "compute/cpu/vec.h"

/* e^x within 1.5e-7 of its value; 0 below -87.33; NaN stays NaN; meant for x <= 88. */
V_INLINE vf v_exp(vf x) {
    const vf low = v_set1(-87.33f);
    vf y = v_max(low, v_min(v_set1(88.f), x)); /* NaN passes both: it is the second argument */
    vf n = v_round(v_mul(y, v_set1(0x1.715476p+0f)));
    /* ln 2 in two parts, the first short enough that n times it is exact */
    vf r = v_fnma(n, v_set1(0x1.62e400p-1f), y);
    r = v_fnma(n, v_set1(0x1.7f7d1cp-20f), r);
    vf p = v_set1(0x1.6a23cep-10f);
    p = v_fma(p, r, v_set1(0x1.123a20p-7f));
    p = v_fma(p, r, v_set1(0x1.5558f2p-5f));
    p = v_fma(p, r, v_set1(0x1.555492p-3f));
    p = v_fma(p, r, v_set1(0x1.fffffcp-2f));
    p = v_fma(v_mul(r, r), p, r);
    vf s = v_pow2(n);
    s = v_fma(p, s, s);
    return v_where_lt0(v_sub(x, low), v_zero(), s);
}
/* Phi(-x) for x >= 0, relative error about 2e-7 near 0: e * T(1 / (1 + 0.3 x)), e = exp(-x*x/2) given by the caller. */
V_INLINE vf v_normal_tail(vf x, vf e) {
    vf t = v_div(v_set1(1.f), v_fma(v_set1(0.3f), x, v_set1(1.f)));
    vf p = v_set1(0.03593237f);
    p = v_fma(p, t, v_set1(-0.15827852f));
    p = v_fma(p, t, v_set1(0.20821075f));
    p = v_fma(p, t, v_set1(-0.055397473f));
    p = v_fma(p, t, v_set1(0.12947102f));
    p = v_fma(p, t, v_set1(0.09963698f));
    p = v_fma(p, t, v_set1(0.12079843f));
    p = v_fma(p, t, v_set1(0.11962639f));
    return v_mul(v_mul(p, t), e);
}
#endif
