"""Golden files of tests/unit/mask/test_rules.c: statistics of published mask rules, and the EM of Evolved Part Masking, written anew in
NumPy and SciPy from the papers' formulas.

Made with Python 3.11, numpy 2.4.6, scipy 1.17.1:
    python tools/golden/masks.py tests/golden/masks
"""
import math, os, sys
import numpy as np
import scipy
from scipy import ndimage

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(0)


# ---- rules: each returns a boolean array, True where a patch is removed ----
def fit(m, count):
    """Exactly count removed, trimmed or filled uniformly at random."""
    have = int(m.sum())
    flat = m.ravel().copy()
    if have > count:
        flat[rng.choice(np.flatnonzero(flat), have - count, replace=False)] = False
    elif have < count:
        flat[rng.choice(np.flatnonzero(~flat), count - have, replace=False)] = True
    return flat.reshape(m.shape)


def random(h, w, count):
    return fit(np.zeros((h, w), bool), count)


def cell(h, w, count, side=2):
    m = np.zeros((h, w), bool)
    cells = [(y, x) for y in range(0, h, side) for x in range(0, w, side)]
    for k in rng.permutation(len(cells)):
        y, x = cells[k]
        left = count - int(m.sum())
        part = m[y:y + side, x:x + side]
        part[:] = True if part.size <= left else fit(np.zeros(part.shape, bool), left)
    return m


def cell_exact(h, w, ratio, side=2):
    cells = np.zeros((h // side, w // side), bool).ravel()
    cells[rng.permutation(cells.size)[:math.ceil(cells.size * ratio)]] = True
    return cells.reshape(h // side, w // side).repeat(side, 0).repeat(side, 1)


def block(h, w, count, exact):
    m = np.zeros((h, w), bool)
    least = 16 if exact else max(1, h * w * 16 // 196)
    while m.sum() < count:
        left = count - int(m.sum())
        for _ in range(10):
            area = rng.uniform(*sorted((least if exact else min(least, left), left)))
            aspect = math.exp(rng.uniform(math.log(0.3), -math.log(0.3)))
            bh, bw = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if bh < 1 or bw < 1 or (exact and (bh >= h or bw >= w)) or bh > h or bw > w:
                continue
            y, x = rng.integers(0, h - bh + 1), rng.integers(0, w - bw + 1)
            new = int((~m[y:y + bh, x:x + bw]).sum())
            if 0 < new <= left:
                m[y:y + bh, x:x + bw] = True
                break
        else:
            break
    return m if exact else fit(m, count)


def multiblock(h, w, count):
    def size(lo, hi, alo, ahi):
        u = rng.random()
        area, aspect = int(h * w * (lo + u * (hi - lo))), alo + u * (ahi - alo)
        return min(h, round(math.sqrt(area * aspect))), min(w, round(math.sqrt(area / aspect)))

    def place(s):
        y, x = rng.integers(0, h - s[0] + 1), rng.integers(0, w - s[1] + 1)
        m = np.zeros((h, w), bool)
        m[y:y + s[0], x:x + s[1]] = True
        return m

    t, c = size(.15, .2, .75, 1.5), size(.85, 1, 1, 1)
    target = place(t) | place(t) | place(t) | place(t)
    outside = ~place(c) & ~target
    spare = int(target.sum() + outside.sum()) - count
    if spare > 0:
        outside = fit(outside, max(0, int(outside.sum()) - spare))
    return fit(target | outside, count)


def grid(h, w, count):
    assert count * 4 == 3 * h * w
    m = np.ones((h, w), bool)
    m[rng.integers(2)::2, rng.integers(2)::2] = False
    return m


def color(h, w, count, kind):
    noise = rng.standard_normal((h + 40, w + 40))

    def blur(s):
        return ndimage.gaussian_filter(noise, s)

    v = {"red": lambda: blur(1), "green": lambda: blur(1) - blur(2), "blue": lambda: noise - blur(1),
         "purple": lambda: noise - (blur(.5) - blur(2))}[kind]()[20:20 + h, 20:20 + w]
    m = np.ones(h * w, bool)
    m[np.argsort(v.ravel())[::-1][:h * w - count]] = False
    return m.reshape(h, w)


def facts(m):
    """Removed patches; 4-connected removed and visible regions; edges between both; mean city-block distance from removed to visible."""
    edges = int((m[1:] != m[:-1]).sum() + (m[:, 1:] != m[:, :-1]).sum())
    far = ndimage.distance_transform_cdt(m, "taxicab")[m].mean() if m.any() and not m.all() else 0
    return [m.sum(), ndimage.label(m)[1], ndimage.label(~m)[1], edges, far]


N = 3000
rows = [("random", 14, 14, 147, lambda: random(14, 14, 147)), ("cell", 14, 14, 147, lambda: cell(14, 14, 147)),
        ("cell:3", 14, 14, 118, lambda: cell(14, 14, 118, 3)), ("cell:4", 7, 10, 40, lambda: cell(7, 10, 40, 4)),
        ("cell-exact", 14, 14, 118, lambda: cell_exact(14, 14, 118 / 196)), ("block", 14, 14, 78, lambda: block(14, 14, 78, False)),
        ("block", 14, 14, 147, lambda: block(14, 14, 147, False)), ("block", 8, 12, 38, lambda: block(8, 12, 38, False)),
        ("block-exact", 14, 14, 78, lambda: block(14, 14, 78, True)), ("block-exact", 14, 14, 147, lambda: block(14, 14, 147, True)),
        ("multiblock", 14, 14, 118, lambda: multiblock(14, 14, 118)), ("multiblock", 14, 14, 70, lambda: multiblock(14, 14, 70)),
        ("multiblock", 16, 16, 192, lambda: multiblock(16, 16, 192)), ("grid", 14, 14, 147, lambda: grid(14, 14, 147))]
rows += [(f"color:{c}", 14, 14, 147, lambda c=c: color(14, 14, 147, c)) for c in ("red", "green", "blue", "purple")]
rows += [("color:green", 8, 20, 100, lambda: color(8, 20, 100, "green"))]
with open(f"{out}/shapes.csv", "w") as f:
    f.write("rule,grid_h,grid_w,n_masked,n,mean_removed,mean_masked_regions,mean_visible_regions,mean_edges,mean_distance,"
            "sd_removed,sd_masked_regions,sd_visible_regions,sd_edges,sd_distance\n")
    for name, h, w, count, one in rows:
        v = np.array([facts(one()) for _ in range(N)], float)
        f.write(f"{name},{h},{w},{count},{N}," + ",".join(f"{x:.6g}" for x in list(v.mean(0)) + list(v.std(0))) + "\n")


# ---- Evolved Part Masking's EM ----
def em(a, mu, kappa, rounds, exact, dtype):
    x = a.astype(dtype) if exact else a.astype(dtype) / (1e-6 + np.linalg.norm(a.astype(dtype), axis=0))
    mu = mu.astype(dtype)
    mu = mu / (1e-6 + np.linalg.norm(mu, axis=0))

    def posterior():
        s = kappa * (x.T @ mu)
        z = np.exp(s - s.max(1, keepdims=True))
        return z / z.sum(1, keepdims=True)

    for _ in range(rounds):
        z = posterior()
        mu = x @ (z / (1e-6 + z.sum(0)))
        mu = mu / (1e-6 + np.linalg.norm(mu, axis=0))
    z = posterior()
    return (z / (1e-6 + z.sum(0)) if exact else z).argmax(1)


side, maps = 8, 144
n = side * side
yx = np.stack(np.divmod(np.arange(n), side), 1)
d2 = ((yx[:, None] - yx[None]) ** 2).sum(-1)
objects = (yx[:, 0] // 3) * 3 + yx[:, 1] // 3
# Flat attention is left out: there rounding decides.
kinds = {"local": -d2 / 8, "objects": 2.0 * (objects[:, None] == objects[None])}
attention, centres, parts = [], [], []
for kind, logits in kinds.items():
    for k in (6, 12):
        while True:
            maps_ = [np.exp(logits + .5 * rng.standard_normal((n, n))) for _ in range(12)]
            a = np.mean([m / m.sum(1, keepdims=True) for m in maps_], 0).astype(np.float32)
            mu = np.zeros((n, 12), np.float32)
            mu[:, :k] = rng.standard_normal((n, k))
            labels = [[em(a * np.float32(maps) if e else a, mu[:, :k], 40, 15, e, t) for t in (np.float32, np.float64)] for e in (True, False)]
            if all((x[0] == x[1]).all() for x in labels):  # rounding does not decide
                break
        attention.append(a), centres.append(mu), parts.append([k * np.ones(n, int), labels[0][1], labels[1][1]])
        print(kind, k, "parts used: exact", len(set(labels[0][1])), "ours", len(set(labels[1][1])))
np.save(f"{out}/epm_attention.npy", np.array(attention, np.float32))
np.save(f"{out}/epm_centres.npy", np.array(centres, np.float32))
np.save(f"{out}/epm_parts.npy", np.array(parts, np.int32))

with open(f"{out}/HOW", "w") as f:
    f.write(f"tools/golden/masks.py, numpy {np.__version__}, scipy {scipy.__version__}\n"
            f"shapes.csv  moments over n masks each of the papers' formulas; means compared within 6 standard errors\n"
            f"epm_*.npy   attention [case,{n},{n}], first centres [case,{n},12], and K, published labels (attention x {maps}), our variant's\n"
            f"            labels [case,3,{n}]; cases whose labels are the same in 32 and 64 bits; compared exactly\n")
