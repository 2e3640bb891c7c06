"""Fresh random matrices through `ehm tree` and SciPy's linkage(): the same merges, the same order of children, the same heights.

usage: check_trees.py EHM FOLDER [SEED]      EHM is the program; files go to FOLDER; SEED replays a run
"""
import os
import subprocess
import sys

import numpy as np
from scipy.cluster.hierarchy import is_valid_linkage, linkage
from scipy.spatial.distance import squareform

ehm, top = sys.argv[1:3]
seed = int(sys.argv[3]) if len(sys.argv) > 3 else int.from_bytes(os.urandom(4), "little")
r = np.random.default_rng(seed)
print(f"trees: seed {seed}")
os.makedirs(top, exist_ok=True)
SIZES = (2, 3, 4, 5, 8, 16, 49, 64, 100, 196, 333, 500, 1000)
LINKAGES = ("single", "complete", "average", "weighted", "ward", "centroid")
TIE = 1e-10  # of the largest height: merges nearer to each other than this may come in either order by rounding alone


def noise(n):
    a = r.random((n, n))
    return a + a.T


def attention(n):
    """rows that sum to 1, as a layer gives them, symmetrised"""
    a = np.exp(r.normal(size=(n, n)) + r.normal(size=n))
    a /= a.sum(1, keepdims=True)
    return (a + a.T) / 2


def clusters(n):
    """correlations of points in groups"""
    x = r.normal(size=(max(2, n // 20), 12))[r.integers(0, max(2, n // 20), n)] * 2 + r.normal(size=(n, 12))
    return x @ x.T


def off_mean(s):
    """the rows as vectors: the diagonal set to the mean of what is off it"""
    x, n = s.copy(), len(s)
    np.fill_diagonal(x, 0)
    np.fill_diagonal(x, x.sum(1) / (n - 1))
    return x


def peer(s, method):
    if method in ("ward", "centroid"):
        return linkage(off_mean(s), method)
    off = ~np.eye(len(s), dtype=bool)
    d = s[off].max() - s
    np.fill_diagonal(d, 0)
    return linkage(squareform(d, checks=False), method)


def run(method, path, out, *more):
    return subprocess.run([ehm, "tree", "--affinity", path, "--out", out, "--linkage", method, "--quiet", *more], check=True, capture_output=True).stdout


worst, n_trees, n_ties, bad = {}, 0, 0, 0
for n in SIZES:
    for kind in (noise, attention, clusters):
        for method in LINKAGES:
            for _ in range(20):
                s = kind(n)
                s = (s + s.T) / 2
                want = peer(s, method)
                gaps = np.diff(np.sort(want[:, 2]))
                if not len(gaps) or gaps.min() > TIE * want[:, 2].max():
                    break
                n_ties += 1
            else:
                print(f"{kind.__name__}, {n} leaves, {method}: 20 draws without a tie-free one")
                bad += 1
                continue
            np.save(f"{top}/A.npy", s)
            run(method, f"{top}/A.npy", f"{top}/Z.npy")
            got = np.load(f"{top}/Z.npy")
            n_trees += 1
            off = np.abs(got[:, 2] - want[:, 2]).max() if got.shape == want.shape else np.inf
            h = off / want[:, 2].max() if off else 0.0
            worst[method] = max(worst.get(method, 0), h)
            if h > 1e-10 or not np.array_equal(got[:, [0, 1, 3]], want[:, [0, 1, 3]]):
                bad += 1
                np.save(f"{top}/bad_{kind.__name__}_{n}_{method}.npy", s)
                print(f"{kind.__name__}, {n} leaves, {method}: differs from SciPy; heights by {h:.2e}")
            if method != "centroid":
                is_valid_linkage(got, throw=True)
for method, h in worst.items():
    print(f"  {method}: largest relative difference of heights {h:.1e}")

# What may come in: types, orders, many at once, pipes; all as SciPy has it from the same numbers.
b = np.stack([noise(40) for _ in range(5)])
forms = {"f32": b.astype("f4"), "f16": b.astype("f2"), "i32": np.round(b * 1e8).astype("i4"), "big-endian": b.astype(">f8"), "Fortran order": np.asfortranarray(b)}
for name, a in forms.items():
    np.save(f"{top}/B.npy", a)
    for method in LINKAGES:
        run(method, f"{top}/B.npy", f"{top}/Z.npy", "--threads", "3")
        got = np.load(f"{top}/Z.npy")
        for s, z in zip(a.astype("f8"), got):
            want = peer(s, method)
            tie_free = np.diff(np.sort(want[:, 2])).min() > TIE * want[:, 2].max()
            n_trees += 1
            if not np.allclose(z[:, 2], want[:, 2], rtol=0, atol=1e-10 * want[:, 2].max()) or (tie_free and not np.array_equal(z[:, :2], want[:, :2])):
                bad += 1
                print(f"{name}, {method}: differs from SciPy")
with open(f"{top}/B.npy", "rb") as f:
    p = subprocess.run([ehm, "tree", "--affinity", "-", "--out", "-", "--quiet"], stdin=f, check=True, capture_output=True)
run("average", f"{top}/B.npy", f"{top}/Z.npy")
bad += p.stdout != open(f"{top}/Z.npy", "rb").read()
np.savetxt(f"{top}/A.csv", b[0], delimiter=",")
run("average", f"{top}/A.csv", f"{top}/Z.npy")
bad += not np.allclose(np.load(f"{top}/Z.npy"), peer(b[0], "average"), rtol=1e-12)
# Tied whole numbers: SciPy's own order, where its chain decides it. Not Ward's: there the rows are vectors with a mean in them, whose
# distances are rounded in another order here and there, so that ties are not exact.
for n in (3, 7, 20, 64):
    for method in ("complete", "average", "weighted"):
        s = r.integers(0, 4, (n, n)).astype("f8")
        s = np.triu(s, 1) + np.triu(s, 1).T
        np.save(f"{top}/A.npy", s)
        run(method, f"{top}/A.npy", f"{top}/Z.npy")
        n_trees += 1
        if not np.allclose(np.load(f"{top}/Z.npy"), peer(s, method), rtol=1e-12):
            bad += 1
            print(f"tied, {n} leaves, {method}: differs from SciPy")
print(f"trees: {n_trees} compared with SciPy, {n_ties} matrices drawn again because of near ties, {bad} differ")
sys.exit(bad > 0)
