"""Golden values of softmax regression, from scikit-learn 1.9.1, SciPy 1.17.1 and NumPy 2.4.6.

usage: python tools/golden/linear.py      (writes tests/golden/linear/linear.txt)
The features are not stored: they come from a formula that the test repeats (x_of below).
A line a fit: classes C, the objective, the mean log loss on the test rows; then coefficients, intercepts, predictions.
"""
import os
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

N, Q, D = 300, 60, 7


def x_of(first, n, classes):
    i = np.arange(first, first + n, dtype=np.float64)[:, None]
    k = np.arange(D, dtype=np.float64)[None, :]
    y = np.arange(first, first + n) * 7 % 11 % classes
    x = np.sin(12.9898 * i + 78.233 * k * k + 3 * k) + 0.6 * np.cos(2.1 * (y[:, None] + 1) * (k + 1))
    return x.astype(np.float32).astype(np.float64), y


out = []
for classes in (2, 5):
    x, y = x_of(0, N, classes)
    z, t = x_of(N, Q, classes)
    for c in (1e-3, 0.1, 10.0):
        m = LogisticRegression(C=c, tol=1e-10, max_iter=100000).fit(x, y)
        p = m.predict_proba(x)
        # scikit-learn's own objective; with two classes its one vector is penalised
        f = c * N * log_loss(y, p) + 0.5 * (m.coef_ ** 2).sum()
        w, b = m.coef_, m.intercept_
        if classes == 2:  # the vector of the second class is the half, of the first its opposite
            w, b = np.vstack([-w[0] / 2, w[0] / 2]), np.array([-b[0] / 2, b[0] / 2])
        out.append(f"{classes} {c:g} {f:.12g} {log_loss(t, m.predict_proba(z), labels=m.classes_):.12g}")
        out += [" ".join(f"{v:.9g}" for v in row) for row in w] + [" ".join(f"{v:.9g}" for v in b - b.mean())]
        out.append(" ".join(map(str, m.predict(z))))
os.makedirs("tests/golden/linear", exist_ok=True)
open("tests/golden/linear/linear.txt", "w").write("\n".join(out) + "\n")
open("tests/golden/linear/HOW", "w").write(__doc__)
