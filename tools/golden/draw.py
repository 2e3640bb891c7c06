"""Golden values of principal components (scikit-learn 1.9.1) and of attention rollout (NumPy 2.4.6).

usage: python tools/golden/draw.py      (writes tests/golden/draw/pca.txt and rollout.txt)

pca.txt: for each case n and dim; x [n,dim]; the three axes of PCA(3, svd_solver="full"), turned so that the number largest in size is positive; variances and
their shares; scores of the first four vectors; 2nd and 98th percentile of each score over all vectors (numpy.percentile).
rollout.txt: blocks, tokens; the mean of heads of each block [tokens,tokens]; rows 0 and 5 of the rollout of Abnar and Zuidema 2020 as a product of matrices:
(A + 1) / 2 with rows divided by their sums, the first block rightmost. Rows of A sum to 1 only nearly, as those of bf16 do.
"""
import numpy as np
from sklearn.decomposition import PCA

r = np.random.default_rng(11)


def line(v):
    return " ".join(f"{x:.9g}" for x in np.ravel(v))


out = []
for n, dim, rank in ((90, 20, 20), (40, 7, 7), (30, 24, 2)):
    x = (r.normal(size=(n, rank)) * np.geomspace(5, 0.2, rank) @ r.normal(size=(rank, dim)) + r.normal(size=dim) * 10).astype(np.float32)
    p = PCA(3, svd_solver="full").fit(x.astype(np.float64))
    sign = np.array([np.sign(a[np.abs(a).argmax()]) for a in p.components_])
    scores = p.transform(x.astype(np.float64)) * sign
    out += [f"{n} {dim}"] + [line(v) for v in x] + [line(v) for v in p.components_ * sign[:, None]]
    out += [line(p.explained_variance_), line(p.explained_variance_ratio_), line(scores[:4]), line(np.percentile(scores, (2, 98), axis=0))]
open("tests/golden/draw/pca.txt", "w").write("\n".join(out) + "\n")

blocks, tokens, heads = 5, 10, 3
z = r.normal(size=(blocks, heads, tokens, tokens)) * 2
a = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
a = (a.mean(1) * (1 + 0.01 * r.normal(size=(blocks, tokens, 1)))).astype(np.float32)
product = np.eye(tokens)
for m in a.astype(np.float64):
    m = 0.5 * m + 0.5 * np.eye(tokens)
    product = m / m.sum(1, keepdims=True) @ product
out = [f"{blocks} {tokens}"] + [line(m) for m in a] + [line(product[0]), line(product[5])]
open("tests/golden/draw/rollout.txt", "w").write("\n".join(out) + "\n")
open("tests/golden/draw/HOW", "w").write(__doc__)
