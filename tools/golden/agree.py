"""Golden values of cuts, dendrogram purity and the adjusted Rand index, from NumPy 2.4.6, SciPy 1.17.1 and scikit-learn 1.9.1.

Cuts by count are SciPy's cut_tree; by depth and by effective number they are made from sets here. Purity is counted pair by pair. The
index is scikit-learn's adjusted_rand_score.

usage: python tools/golden/agree.py      (writes tests/golden/agree/agree.txt)
"""
import itertools

import numpy as np
from scipy.cluster.hierarchy import cut_tree, linkage
from sklearn.metrics import adjusted_rand_score

r = np.random.default_rng(11)


def from_data(n, method):
    z = linkage(r.normal(size=(n, 3)), method)
    return z[:, :2].astype(int), z


def chain(n):
    p = r.permutation(n)
    pairs, top = [], p[0]
    for k in range(n - 1):
        pairs.append(sorted((top, p[k + 1])))
        top = n + k
    return np.array(pairs, int).reshape(-1, 2), None


def any_order(n):
    alive, pairs = list(range(n)), []
    for k in range(n - 1):
        a, b = (alive.pop(r.integers(len(alive))) for _ in range(2))
        pairs.append(sorted((a, b)))
        alive.append(n + k)
    return np.array(pairs, int).reshape(-1, 2), None


def members(n, pairs):
    m = [{i} for i in range(n)]
    for a, b in pairs:
        m.append(m[a] | m[b])
    return m


def numbered(groups, n):
    """index of the group of each leaf, groups in the order of their lowest leaf"""
    groups = sorted(groups, key=min)
    return [next(i for i, g in enumerate(groups) if leaf in g) for leaf in range(n)]


def by_depth(n, pairs, m, d):
    out, todo = [], [(len(m) - 1, 0)]
    while todo:
        node, at = todo.pop()
        if at == d or node < n:
            out.append(m[node])
        else:
            todo += [(int(c), at + 1) for c in pairs[node - n]]
    return out


def depth(n, pairs, node):
    return 0 if node < n else 1 + max(depth(n, pairs, int(c)) for c in pairs[node - n])


def by_count(n, pairs, m, k):
    live = {len(m) - 1}
    for node in range(len(m) - 1, len(m) - k, -1):
        live.remove(node)
        live |= {int(c) for c in pairs[node - n]}
    return [m[x] for x in live]


def by_effective(n, pairs, m, want):
    for k in range(1, n + 1):
        g = by_count(n, pairs, m, k)
        if k == n or n * n / sum(len(x) ** 2 for x in g) >= want:
            return g


def purity(n, m, label):
    total, pairs = 0.0, 0
    for i, j in itertools.combinations(range(n), 2):
        if label[i] < 0 or label[i] != label[j]:
            continue
        lca = min((x for x in m if i in x and j in x), key=len)
        known = [label[x] for x in lca if label[x] >= 0]
        total += known.count(label[i]) / len(known)
        pairs += 1
    return total / pairs if pairs else float("nan")


out = []
trees = [(1, *any_order(1)), (2, *any_order(2)), (3, *any_order(3)), (7, *chain(7)), (16, *any_order(16)), (49, *any_order(49)),
         (49, *chain(49)), (64, *from_data(64, "average")), (64, *from_data(64, "single")), (90, *from_data(90, "complete"))]
for n, pairs, z in trees:
    m = members(n, pairs)
    out += [f"tree {n}", " ".join(str(a) for a, _ in pairs), " ".join(str(b) for _, b in pairs), f"depth {depth(n, pairs, len(m) - 1)}"]
    for k in sorted({1, 2, 3, n // 3, n - 1, n} & set(range(1, n + 1))):
        want = numbered(by_count(n, pairs, m, k), n)
        if z is not None:
            c = cut_tree(z, k)[:, 0]
            assert numbered([set(np.flatnonzero(c == v)) for v in set(c)], n) == want
        out += [f"count {k}", " ".join(map(str, want))]
    for d in (0, 1, 2, 5, n):
        out += [f"level {d}", " ".join(map(str, numbered(by_depth(n, pairs, m, d), n)))]
    for k in (1, 1.5, 2, 4.25, n / 3, n - 0.5, n, n + 1):
        out += [f"effective {k!r}", " ".join(map(str, numbered(by_effective(n, pairs, m, k), n)))]
    for classes, left_out in ((1, 0), (2, 0), (4, 0.3), (n, 0.2), (3, 1)):
        label = np.where(r.random(n) < left_out, -1 - r.integers(0, 3, n), r.integers(0, classes, n) * 70001)
        out += [f"purity {purity(n, m, label)!r}", " ".join(map(str, label))]
    # labels that follow the tree: purity near and at 1
    label = np.array(numbered(by_count(n, pairs, m, min(n, 4)), n))
    out += [f"purity {purity(n, m, label)!r}", " ".join(map(str, label))]
    label = np.where(r.random(n) < 0.2, r.integers(0, 4, n), label)
    out += [f"purity {purity(n, m, label)!r}", " ".join(map(str, label))]
for n, a, b in ((1, 1, 1), (2, 1, 2), (5, 1, 1), (9, 9, 9), (9, 1, 9), (40, 3, 5), (40, 2, 2), (200, 14, 3), (200, 200, 200)):
    x = r.integers(0, a, n) * 1000003 if a < n else r.permutation(n)
    y = r.integers(0, b, n) if b < n else r.permutation(n)
    for y in (y, np.where(r.random(n) < 0.7, x, y)):
        out += [f"rand {n} {float(adjusted_rand_score(x, y))!r}", " ".join(map(str, x)), " ".join(map(str, y))]
open("tests/golden/agree/agree.txt", "w").write("\n".join(out) + "\n")
open("tests/golden/agree/HOW", "w").write(__doc__)
