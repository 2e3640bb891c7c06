"""Trees of agglomerative clustering as SciPy makes them, for tests/golden/tree/.

Made with: Python 3.11, SciPy 1.17.1, NumPy 2.4.6
Run:       python tools/golden/tree.py      (writes tests/golden/tree/trees.txt and HOW)

Similarities are not stored: test and script make them by the same integer hash of (seed, i, j), i < j.
    real:  (hash >> 9) / 2^24, and 0.5 more where i / 7 = j / 7, so that there is something to find; exact in float
    tied:  hash modulo 4 or 12
    flat:  3
Distances handed to SciPy are c - S, c the largest off the diagonal; Ward and centroid get the rows as vectors, with the diagonal set to
the mean of the row's other entries, summed from left to right. A tree: line "tree KIND SEED N LINKAGE GAP", then n - 1 lines of Z with
heights in hexadecimal. GAP: least difference of successive sorted heights over the largest. Of real trees the first seed is taken whose
gap is above 2e-6 (500 leaves: the 30th if none is). To keep the file small, trees of 500 leaves and large tied ones are one line "sum": a hash (FNV-1a) of ids and sizes,
every tenth height and the last.
"""
import pathlib
import warnings
import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

warnings.simplefilter("ignore")
LINKAGES = ["single", "complete", "average", "weighted", "ward", "centroid"]
M = 0xFFFFFFFF


def hash3(seed, i, j):
    u, m = np.uint64, np.uint64(M)
    h = (u(seed * 0x9E3779B1 & M) + i * u(0x85EBCA77) + j * u(0xC2B2AE3D)) & m
    h = ((h ^ (h >> u(15))) * u(0x2C1B3C6D)) & m
    h = ((h ^ (h >> u(12))) * u(0x297A2D39)) & m
    return h ^ (h >> u(15))


def similarity(kind, seed, n):
    i, j = np.triu_indices(n, 1)
    h = hash3(seed, i.astype(np.uint64), j.astype(np.uint64))
    if kind == "real":
        v = (h >> np.uint64(9)) / 2.0**24 + np.where(i // 7 == j // 7, 0.5, 0.0)
    else:
        v = np.full(len(h), 3.0) if kind == "flat" else (h % np.uint64(kind[4:])).astype(float)
    s = np.zeros((n, n))
    s[i, j] = v
    return s + s.T


def tree(s, name):
    n = len(s)
    if name in ("ward", "centroid"):
        x, total = s.copy(), np.zeros(n)
        for j in range(n):
            total = total + s[:, j]
        np.fill_diagonal(x, total / (n - 1))
        return linkage(x, name)
    d = s[~np.eye(n, dtype=bool)].max() - s
    np.fill_diagonal(d, 0)
    return linkage(squareform(d, checks=False), name)


def fnv(z):
    h = 0x811C9DC5
    for a, b, _, size in z:
        for v in (a, b, size):
            h = ((h ^ int(v)) * 0x01000193) & M
    return h


def gap_of(z):
    h = np.sort(z[:, 2])
    return np.diff(h).min() / h[-1] if len(h) > 1 and h[-1] > 0 else 1.0 if len(h) == 1 else 0.0


cases = [("real", n, n, l) for n in (2, 3, 64, 196, 500) for l in LINKAGES]
cases += [(k, seed, n, l) for k in ("tied4", "tied12") for seed, n in ((1, 5), (2, 16), (3, 64), (4, 196))
          for l in ("single", "complete", "average", "weighted", "ward")]
cases += [("flat", 0, n, l) for n in (2, 9, 64) for l in LINKAGES]
out = []
for kind, seed, n, name in cases:
    z = tree(similarity(kind, seed, n), name)
    while kind == "real" and gap_of(z) <= 2e-6 and seed < 30000:
        seed += 1000
        z = tree(similarity(kind, seed, n), name)
    out.append(f"tree {kind} {seed} {n} {name} {gap_of(z):.3e}")
    if n <= 16 or (kind == "real" and n <= 196):
        out += [f"{int(a)} {int(b)} {float(d).hex()} {int(size)}" for a, b, d, size in z]
    else:
        out.append(f"sum {fnv(z)} " + " ".join(float(d).hex() for d in z[::10, 2]) + f" {float(z[-1, 2]).hex()}")
where = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "tree"
where.mkdir(parents=True, exist_ok=True)
(where / "trees.txt").write_text("\n".join(out) + "\n")
(where / "HOW").write_text(__doc__)
