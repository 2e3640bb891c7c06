"""Golden values of ranking metrics, PCA whitening and GeM, from scikit-learn 1.9.1, PyTorch and NumPy 2.4.6.

usage: python tools/golden/ranking.py      (writes tests/golden/ranking/ranking.txt)

Plain and micro average precision: sklearn.metrics.average_precision_score. Oxford's: the loop of the benchmark's own compute_ap.cpp over the whole
ranked list, written anew here (the area under straight lines between the points of recall and precision). Intersection over union:
sklearn.metrics.jaccard_score. Whitening: sklearn.decomposition.PCA(whiten=True, svd_solver="full"). GeM: torch.
"""
import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, jaccard_score

r = np.random.default_rng(11)
out = []


def oxford(truth):
    before_recall, before_precision, area, seen = 0.0, 1.0, 0.0, 0
    for place, right in enumerate(truth, 1):
        seen += int(right)
        recall, precision = seen / truth.sum(), seen / place
        area += (recall - before_recall) * (before_precision + precision) / 2
        before_recall, before_precision = recall, precision
    return area


lists = [[1, 0, 0], [0, 0, 1], [1, 1, 1], [0, 1, 0, 1, 1, 0, 0, 1]] + [list((r.random(n) < p).astype(int)) for n, p in ((30, 0.2), (200, 0.05), (500, 0.5))]
out.append(str(len(lists)))
for t in lists:
    t = np.array(t)
    assert t.sum()
    scores = -np.arange(len(t), dtype=float)
    places = np.flatnonzero(t)
    out.append(f"{len(places)} {average_precision_score(t, scores):.17g} {oxford(t):.17g}")
    out.append(" ".join(map(str, places)))

micro = []
for n, steps in ((50, 1000), (400, 12), (300, 1)):  # few steps: many ties
    s = np.round(r.random(n), 4) if steps == 1000 else r.integers(0, steps, n) / 8
    micro.append((s.astype(np.float32), (r.random(n) < 0.15 + 0.5 * s / s.max()).astype(int) if s.max() > 0 else (r.random(n) < 0.3).astype(int)))
out.append(str(len(micro)))
for s, t in micro:
    out.append(f"{len(s)} {average_precision_score(t, s):.17g}")
    out.append(" ".join(f"{v:.9g}" for v in s))
    out.append(" ".join(map(str, t)))

c, n = 5, 300
truth, guess = r.integers(0, c - 1, n), r.integers(0, c - 1, n)  # the last class is nowhere
guess[truth == 1] = np.where(r.random((truth == 1).sum()) < 0.7, 1, guess[truth == 1])
truth[truth == 3] = 0  # predicted, never true
counts = np.zeros((c, c), int)
np.add.at(counts, (truth, guess), 1)
iou = jaccard_score(truth, guess, labels=[0, 1, 2, 3], average=None)
out.append(f"{c} {np.mean(iou[:3]):.17g}")
out += [" ".join(map(str, row)) for row in counts] + [" ".join(f"{v:.17g}" for v in iou)]

n, d = 40, 7
x = (r.normal(size=(n, d)) @ r.normal(size=(d, d)) + r.normal(size=d)).astype(np.float32)
p = PCA(whiten=True, svd_solver="full").fit(x.astype(np.float64))
out.append(f"{n} {d}")
out += [" ".join(f"{v:.9g}" for v in row) for row in x]
out.append(" ".join(f"{v:.17g}" for v in p.explained_variance_))
out += [" ".join(f"{v:.9g}" for v in row) for row in p.transform(x.astype(np.float64))]

n, d = 9, 6
x = r.normal(size=(n, d)).astype(np.float32)
out.append(f"{n} {d}")
out += [" ".join(f"{v:.9g}" for v in row) for row in x]
for power in (1.0, 3.0, 4.5):
    y = torch.from_numpy(x).double().clamp(min=1e-6).pow(power).mean(0).pow(1 / power)
    out.append(f"{power:g} " + " ".join(f"{v:.9g}" for v in y.numpy()))
open("tests/golden/ranking/ranking.txt", "w").write("\n".join(out) + "\n")
open("tests/golden/ranking/HOW", "w").write(__doc__)
