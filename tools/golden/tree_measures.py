"""Golden files of tests/unit/eval/test_tree_measures.c: numbers about matrices, by NumPy's least squares and plain sums.

Made with Python 3.11, numpy 2.4.6, scikit-learn 1.9.1:
    python tools/golden/tree_measures.py tests/golden/tree_measures
"""
import os, sys
import numpy as np
import sklearn
from sklearn.metrics import adjusted_rand_score

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(7)


def popularity(S):
    n = len(S)
    i, j = np.triu_indices(n, 1)
    X = np.zeros((len(i), n))
    X[np.arange(len(i)), i] = X[np.arange(len(i)), j] = 1
    y = S[i, j]
    u = np.linalg.lstsq(X, y, rcond=None)[0]
    return 1 - ((y - X @ u) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def sink(A):
    return A.sum(0).max() * len(A) / A.sum()


def entropy(A):
    p = A / A.sum(1, keepdims=True)
    return np.mean([-(r[r > 0] * np.log(r[r > 0])).sum() for r in p]) / np.log(len(A))


with open(f"{out}/matrices.txt", "w") as f:
    cases = []
    for n, kind in [(3, 0), (4, 1), (5, 2), (7, 0), (7, 3), (9, 1), (12, 2), (12, 4)]:
        A = rng.random((n, n)) ** 3
        if kind == 1:
            A[:, 2] += 5  # a sink
        if kind == 2:
            A[rng.random((n, n)) < .4] = 0
            A[:, 0] += .01
        if kind == 3:
            A = np.eye(n) + 1e-3
        if kind == 4:
            A = np.ones((n, n))
        A = (A / A.sum(1, keepdims=True)).astype(np.float32)
        u = rng.normal(size=n)
        S = ((u[:, None] + u[None]) + kind * .7 * rng.normal(size=(n, n))).astype(np.float32)
        S = ((S + S.T) / 2).astype(np.float32)
        cases.append((n, A, S))
    for n, A, S in cases:
        A64, S64 = A.astype(float), S.astype(float)
        f.write(f"{n} {popularity(S64)!r} {sink(A64)!r} {entropy(A64)!r}\n".replace("np.float64(", "").replace(")", ""))
        for M in (A, S):
            f.write(" ".join(f"{v:.9g}" for v in M.ravel()) + "\n")

with open(f"{out}/agreement.txt", "w") as f:
    for n, a, b in [(6, 2, 3), (12, 4, 4), (12, 1, 5), (30, 6, 3), (30, 30, 6), (8, 8, 8), (20, 3, 3)]:
        x, y = rng.integers(0, a, n), rng.integers(0, b, n)
        if n == 20:
            y = (x + 1) % 3  # the same parts, other names
        f.write(f"{n} {float(adjusted_rand_score(x, y))!r} " + " ".join(map(str, np.concatenate([x, y]))) + "\n")

with open(f"{out}/HOW", "w") as f:
    f.write(f"tools/golden/tree_measures.py, numpy {np.__version__}, scikit-learn {sklearn.__version__}\n"
            "matrices.txt   n, popularity of S (numpy.linalg.lstsq over pairs), sink index and entropy of A; then A, then S, row by row\n"
            "agreement.txt  n, adjusted_rand_score, two labellings\n")
