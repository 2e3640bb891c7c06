"""Golden values of weighted k-NN and of the bootstrap, from scikit-learn 1.9.1, SciPy 1.17.1 and NumPy 2.4.6.

usage: python tools/golden/knn.py      (writes tests/golden/knn/knn.txt)
"""
import numpy as np
from scipy.stats import bootstrap
from sklearn.neighbors import KNeighborsClassifier

r = np.random.default_rng(5)
n, q, d, c = 120, 60, 10, 5
centre = r.normal(size=(c, d))
ly, qy = r.integers(0, c, n), r.integers(0, c, q)
x = (centre[ly] + 1.3 * r.normal(size=(n, d))).astype(np.float32)
z = (centre[qy] + 1.3 * r.normal(size=(q, d))).astype(np.float32)
out = [f"{n} {q} {d} {c}"]
out += [" ".join(f"{v:.9g}" for v in row) for row in x] + [" ".join(map(str, ly))]
out += [" ".join(f"{v:.9g}" for v in row) for row in z] + [" ".join(map(str, qy))]
for k, t in ((1, 0.07), (7, 0.07), (20, 0.07), (20, 1.0), (100, 0.5)):
    m = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=lambda dist, t=t: np.exp((1 - dist) / t))
    p = m.fit(x, ly).predict(z)
    dist, idx = m.kneighbors(z)
    out += [f"{k} {t:g}", " ".join(map(str, p)), " ".join(map(str, idx[:, 0])), " ".join(f"{1 - v:.9g}" for v in dist[:, -1])]
hit = (r.random(400) < 0.37).astype(float)
ci = bootstrap((hit,), np.mean, n_resamples=20000, method="percentile", random_state=np.random.default_rng(1)).confidence_interval
out += [" ".join(str(int(v)) for v in hit), f"{hit.mean():.9g} {ci.low:.9g} {ci.high:.9g}"]
open("tests/golden/knn/knn.txt", "w").write("\n".join(out) + "\n")
open("tests/golden/knn/HOW", "w").write(__doc__)
