/* Functions of a whole vector: exp, log(1 + e), and the upper tail of the normal distribution.
 * Coefficients of exp and the tail are our own fits (weighted least squares, reweighted to minimax, in double;
 * tools/golden/vec_math_fit.py). */
#ifndef EHM_COMPUTE_CPU_VEC_MATH_H
#define EHM_COMPUTE_CPU_VEC_MATH_H
#include "compute/cpu/vec.h"

/* e^x within 1.5e-7 of its value, for x <= 88 (all users have x <= 0); 0 below -87.33; NaN stays NaN. */
V_INLINE vf v_exp(vf x) {
    /* adding 1.5 * 2^23 rounds x / ln 2 to a whole number n, which then stands in the low bits */
    const vf magic = v_set1(12582912.f);
    vf t = v_fma(x, v_set1(0x1.715476p+0f), magic), n = v_sub(t, magic);
    /* ln 2 in two parts, the first short enough that n times it is exact */
    vf r = v_fnma(n, v_set1(0x1.62e400p-1f), x);
    r = v_fnma(n, v_set1(0x1.7f7d1cp-20f), r);
    /* in pairs (Estrin), which halves the chain of dependent steps: that, not the number of operations, is
     * what takes the time */
    vf r2 = v_mul(r, r);
    vf p = v_fma(v_fma(v_set1(0x1.123a20p-7f), r, v_set1(0x1.5558f2p-5f)), r2,
                 v_fma(v_set1(0x1.555492p-3f), r, v_set1(0x1.fffffcp-2f)));
    p = v_fma(v_mul(r2, r2), v_set1(0x1.6a23cep-10f), p);
    p = v_fma(p, r2, v_add(r, v_set1(1.f)));
    /* from the limit on, n = -126 comes with p > 1, so the exponent stays in range; what lies below it is
     * garbage and dropped */
    return v_drop_below(v_scale(p, t), x, v_set1(-87.33f));
}
/* log(1 + e) for 0 <= e <= 1, relative error about 2e-7, small e included: 2 atanh(s) with s = e / (2 + e) <= 1/3,
 * whose series of seven terms leaves 2e-8. */
V_INLINE vf v_log1p(vf e) {
    vf s = v_div(e, v_add(v_set1(2.f), e)), z = v_mul(s, s), z2 = v_mul(z, z);
    vf p = v_fma(v_fma(v_set1(1.f / 13), z, v_set1(1.f / 11)), z2, v_fma(v_set1(1.f / 9), z, v_set1(1.f / 7)));
    p = v_fma(p, z2, v_fma(v_set1(1.f / 5), z, v_set1(1.f / 3)));
    s = v_add(s, s);
    return v_fma(v_mul(p, z), s, s);
}
/* Phi(-x) for x >= 0, relative error about 2e-7 near 0: e * T(1 / (1 + 0.3 x)), e = exp(-x*x/2) given by the
 * caller. */
V_INLINE vf v_normal_tail(vf x, vf e) {
    vf t = v_div(v_set1(1.f), v_fma(v_set1(0.3f), x, v_set1(1.f))); /* a quicker inverse (rcp and a Newton
                                                                       step) measured slower */
    vf t2 = v_mul(t, t), t4 = v_mul(t2, t2);
    vf lo = v_fma(v_fma(v_set1(0.12947102f), t, v_set1(0.09963698f)), t2,
                  v_fma(v_set1(0.12079843f), t, v_set1(0.11962639f)));
    vf hi = v_fma(v_fma(v_set1(0.03593237f), t, v_set1(-0.15827852f)), t2,
                  v_fma(v_set1(0.20821075f), t, v_set1(-0.055397473f)));
    return v_mul(v_fma(hi, t4, lo), v_mul(t, e));
}
#endif
