"""Golden values of how nodes and cuts of trees fit labelled regions, from SciPy 1.17.1 and NumPy 2.4.6.

usage: python tools/golden/best_cut.py      (writes tests/golden/best_cut/best_cut.txt)
Trees are scipy.cluster.hierarchy.linkage of random points, cuts are its cut_tree; IoU is counted from sets of leaves. A line a case: n, the three
values, the labels (-1: none), then Z row by row. The last lines: rows and columns of a matrix, its numbers, the cosines of its rows (NumPy).
"""
import os
import numpy as np
import scipy
from scipy.cluster.hierarchy import cut_tree, linkage


def iou(a, b):
    return len(a & b) / len(a | b)


def nodes_of(Z, n):
    sets = [{i} for i in range(n)]
    for row in Z:
        sets.append(sets[int(row[0])] | sets[int(row[1])])
    return sets


def cut_value(groups, label, regions, known):
    taken = {r: set() for r in regions}
    for g in set(groups):
        members = {i for i in known if groups[i] == g}
        if members:
            taken[max(sorted(regions), key=lambda r: sum(label[i] == r for i in members))] |= members  # max takes the first, the lowest
    return np.mean([iou(taken[r], regions[r]) for r in regions])


rng = np.random.default_rng(11)
out = []
for n, k, hole, method in [(2, 2, 0, "average"), (5, 1, 0, "single"), (9, 3, 0, "average"), (16, 3, .2, "complete"), (25, 5, .3, "average"),
                           (80, 4, 0, "average"), (100, 12, .1, "ward"), (90, 30, 0, "single"), (6, 6, 0, "average")]:
    points = rng.normal(size=(n, 3))
    label = np.argmax(points @ rng.normal(size=(3, k)) + .6 * rng.normal(size=(n, k)), 1) * 3 + 2
    label[rng.random(n) < hole] = -1
    if n == 2:
        label[:] = [4, 1]
    Z = linkage(points, method)
    known = {i for i in range(n) if label[i] >= 0}
    regions = {int(r): {i for i in known if label[i] == r} for r in sorted(set(label[list(known)]))}
    sets = [s & known for s in nodes_of(Z, n)]
    node = np.mean([max(iou(s, regions[r]) for s in sets) for r in regions])
    cuts = {c: cut_value(cut_tree(Z, c).ravel(), label, regions, known) for c in range(1, min(n, 64) + 1)}
    best = max(cuts[c] for c in cuts if c >= 2)
    values = " ".join(repr(float(v)) for v in (node, best, cuts[len(regions)]))
    out.append(f"{n} {values} " + " ".join(map(str, label)))
    out.append(" ".join(f"{v:.17g}" for v in Z.ravel()))
x = rng.normal(size=(7, 5)).astype(np.float32)
x[3] = x[1] * np.float32(-2)
u = x.astype(float) / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
out.append("0 7 5 " + " ".join(f"{v:.9g}" for v in x.ravel()) + " " + " ".join(f"{v:.12g}" for v in (u @ u.T).ravel()))
os.makedirs("tests/golden/best_cut", exist_ok=True)
open("tests/golden/best_cut/best_cut.txt", "w").write("\n".join(out) + "\n")
open("tests/golden/best_cut/HOW", "w").write(__doc__ + f"\nRun with SciPy {scipy.__version__}, NumPy {np.__version__}.\n")
