"""Coefficients of src/compute/cpu/vec_math.h: python3 vec_math_fit.py (numpy 2.4.6, mpmath 1.3.0).

Weighted least squares on dense points, reweighted towards the largest error (Lawson), so close to minimax. Functions come from mpmath with
40 digits. Printed: the largest weighted error of the fit in double, and the coefficients rounded to f32.
"""
import mpmath as mp
import numpy as np

mp.mp.dps = 40


def fit(columns, values, weight, turns):
    w = np.ones(len(values))
    for _ in range(turns):
        s = np.sqrt(w) * weight
        c, *_ = np.linalg.lstsq(columns * s[:, None], values * s, rcond=None)
        e = np.abs((columns @ c - values) * weight)
        w = np.maximum(w * e / np.mean(w * e), 1e-12)
    return c, e.max()


# exp(r) = 1 + r + r^2 P(r) on [-ln2/2, ln2/2], P of degree 4; weight: relative error of exp
n = 2000
r = np.log(2) / 2 * 1.0005 * np.cos(np.pi * (np.arange(n) + 0.5) / n)
f = np.array([float((mp.e ** mp.mpf(x) - 1 - mp.mpf(x)) / mp.mpf(x) ** 2) for x in r])
c, e = fit(np.vander(r, 5, increasing=True), f, r**2 / np.exp(r), 200)
print("exp: relative error", e, [float(np.float32(x)).hex() for x in c])

# Phi(-x) exp(x^2/2) = T(t), t = 1 / (1 + p x), T(0) = 0, degree 8; p by search; weight: relative error
x = np.concatenate([np.linspace(0, 6, 1500), np.linspace(6, 13.5, 500)])
g = np.array([float(mp.erfc(mp.mpf(v) / mp.sqrt(2)) / 2 * mp.exp(mp.mpf(v) ** 2 / 2)) for v in x])
best = None
for p in np.arange(0.15, 0.5, 0.01):
    c, e = fit(np.vander(1 / (1 + p * x), 9, increasing=True)[:, 1:], g, 1 / g, 40)
    if best is None or e < best[0]:
        best = (e, p, c)
print("tail: relative error", best[0], "p", round(best[1], 2), [str(np.float32(v)) for v in best[2]])
