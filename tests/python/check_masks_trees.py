"""ehm from Python against SciPy and against the program: python check_masks_trees.py EHM FOLDER. Exit 1 where something differs."""

import gc
import os
import pickle
import resource
import threading

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

import ehm
from counting import check, end, fails, folder, run


# ---- trees: SciPy's, to the bit but for average linkage, whose heights it lets fall by rounding ----
rng = np.random.default_rng(1)
for n in (2, 5, 30, 100):
    v = rng.random((n, n))
    S = (v + v.T) / 2
    off = S[~np.eye(n, dtype=bool)].max()
    d = off - S
    np.fill_diagonal(d, 0)
    for how in ("single", "complete", "average", "weighted"):
        z, want = ehm.tree(S, how), linkage(squareform(d, checks=False), how)
        check(f"{how} {n}", z.shape == want.shape and np.allclose(z, want, rtol=0, atol=1e-12) and (how == "average" or np.array_equal(z, want)))
    W = S.copy()
    np.fill_diagonal(W, 0)
    np.fill_diagonal(W, W.sum(1) / (n - 1))
    check(f"ward {n}", np.allclose(ehm.tree(S, "ward"), linkage(W, "ward"), rtol=1e-9))
stack = np.stack([(lambda a: a + a.T)(rng.random((20, 20))) for _ in range(9)])
check("a stack is one by one", np.array_equal(ehm.tree(stack, "complete"), np.stack([ehm.tree(s, "complete") for s in stack])))
check("threads change nothing", np.array_equal(ehm.tree(stack, threads=1), ehm.tree(stack, threads=3)))
check("other types", np.array_equal(ehm.tree(np.arange(16).reshape(4, 4) // 1 * 0 + 1), ehm.tree(np.ones((4, 4)))))
check("other orders in memory", np.array_equal(ehm.tree(np.asfortranarray(stack)[:, ::-1, ::-1]), ehm.tree(np.ascontiguousarray(stack[:, ::-1, ::-1]))))
A = rng.random((6, 6))
check("symmetrise", np.array_equal(ehm.tree(A, symmetrise=True), ehm.tree((A + A.T) / 2)))
fails("halves that differ", ehm.ArgumentError, "symmetrise", lambda: ehm.tree(A))
fails("no square", ehm.ArgumentError, "(3, 4)", lambda: ehm.tree(np.zeros((3, 4))))
fails("nothing", ehm.ArgumentError, "(0, 0)", lambda: ehm.tree(np.zeros((0, 0))))
fails("strings", ehm.ArgumentError, "[n, n]", lambda: ehm.tree(np.full((2, 2), "a")))
fails("NaN", ehm.ArgumentError, "nan", lambda: ehm.tree(np.full((3, 3), np.nan)))
fails("linkage", ehm.SettingError, "average", lambda: ehm.tree(np.ones((3, 3)), "averag"))
np.save(f"{folder}/A.npy", stack)
run("tree", "--affinity", f"{folder}/A.npy", "--out", f"{folder}/Z.npy", "--linkage", "centroid")
check("ehm tree", np.array_equal(np.load(f"{folder}/Z.npy"), ehm.tree(stack, "centroid")))

# ---- masks: those of ehm draw masks ----
for rule, flags, settings in (
    ("random", [], {}),
    ("color:red", ["--mask-ratio", "0.6"], {"ratio": 0.6}),
    ("block", [], {}),
    ("ehm", ["--tree-source", "spatial", "--linkage", "ward", "--k-end", "5", "--select", "circle"],
     {"tree_source": "spatial", "linkage": "ward", "k_end": 5, "select": "circle"}),
):
    run("draw", "masks", "--mask", rule, "--grid", "10x14", "--progress", "0,0.5,1", "--count", "5", "--seed", "9", *flags, "--out", f"{folder}/m.npy")
    want = np.load(f"{folder}/m.npy")
    for i, progress in enumerate((0, 0.5, 1)):
        got = ehm.masks(rule, grid=(10, 14), count=5, progress=progress, seed=9, **settings)  # type: ignore[arg-type]
        check(f"ehm draw masks {rule} at {progress}", got.dtype == bool and np.array_equal(got, want[i] != 0))
score = rng.random((14, 14)).astype(np.float32)
np.save(f"{folder}/score.npy", score)
run("draw", "masks", "--mask", "scores:file", "--mask-file", f"{folder}/score.npy", "--grid", "14x14", "--progress", "1", "--count", "3", "--out", f"{folder}/m.npy")
with ehm.Masker("scores:file") as k:
    k.give(score=score)
    check("scores given as an array", np.array_equal(k.draw(3, 1.0), np.load(f"{folder}/m.npy")[0] != 0))
check("scores from a file", np.array_equal(ehm.masks("scores:file", count=3, progress=1, mask_file=f"{folder}/score.npy"), np.load(f"{folder}/m.npy")[0] != 0))

with ehm.Masker("ehm", (4, 5), ratio=0.5, threads=2) as k:
    check("facts of a masker", (k.n_patches, k.n_masked, k.needs(0), k.needs(1)) == (20, 10, (), ("similarity",)))
    S = (lambda a: a + a.transpose(0, 2, 1))(rng.random((7, 20, 20)))
    k.give(affinity=S)
    m = k.draw(7, 1, seed=3, epoch=2, samples=[5, 4, 3, 2, 1, 0, 9])
    check("exact counts", bool((m.sum((1, 2)) == 10).all()))
    k.give(affinity=S[::-1])
    check("keys are the samples'", np.array_equal(k.draw(7, 1, seed=3, epoch=2, samples=np.array([9, 0, 1, 2, 3, 4, 5])), m[::-1]))
    check("trees of a masker", np.allclose(k.trees(7), ehm.tree(S[::-1].astype(np.float32)), atol=1e-6))
    k.set(mask_ratio=0.25)
    check("set", k.n_masked == 5)
    fails("more masks than pictures", ehm.MismatchError, "7 pictures", lambda: k.draw(3, 1))
    fails("wrong size", ehm.ArgumentError, "20 patches", lambda: k.give(affinity=np.ones((5, 5))))
    fails("asymmetric", ehm.ArgumentError, "transpose", lambda: k.give(affinity=rng.random((20, 20))))
    fails("pickled", TypeError, "pickled", lambda: pickle.dumps(k))
    check("repr", repr(k) == "<ehm.Masker ehm 4x5, hides 5 of 20>")
check("repr of a closed one", "closed" in repr(k))
fails("closed", ehm.ArgumentError, "closed", lambda: k.draw(1))
k.close()
with ehm.Masker("ehm", (2, 2), tree_source="labels", ratio=0.5) as k:
    k.give(labels=np.array([[0, 0, 1, 1]]))
    check("labels", k.draw(6, 1).sum() == 12)
fails("rule", ehm.SettingError, 'did you mean "random"', lambda: ehm.masks("radnom"))
fails("setting", ehm.SettingError, "did you mean --k-end", lambda: ehm.masks(kend=3))
fails("range", ehm.SettingError, "2", lambda: ehm.masks(ratio=2))
fails("both ratios", ehm.SettingError, "same thing", lambda: ehm.masks(ratio=0.5, mask_ratio=0.5))
fails("of training", ehm.SettingError, "no meaning here", lambda: ehm.masks(progress_end=0.5))
fails("progress", ehm.ArgumentError, "progress", lambda: ehm.masks(progress=1.5))
fails("needs", ehm.ArgumentError, "similarity", lambda: ehm.masks("ehm", progress=1))
fails("count", ehm.ArgumentError, "count 0", lambda: ehm.masks(count=0))
fails("grid", ehm.ArgumentError, "grid height", lambda: ehm.masks(grid=(2**33, 14)))
fails("seed", ehm.ArgumentError, "seed -1", lambda: ehm.masks(seed=-1))
fails("a list as a setting", TypeError, "k_end", lambda: ehm.masks(k_end=[1]))  # type: ignore[arg-type]
check("errors are ValueErrors too", issubclass(ehm.SettingError, ValueError) and issubclass(ehm.SettingError, ehm.Error))
rules = {r.name: r for r in ehm.mask_rules()}
check("rules", {"random", "ehm", "block", "color"} <= set(rules) and "green" in rules["color"].args and rules["ehm"].needs == ("similarity",))

# ---- threads, forks, leaks ----
want = ehm.masks("ehm", count=4, progress=1, tree_source="spatial")
same = []


def one() -> None:
    same.append(all(np.array_equal(ehm.masks("ehm", count=4, progress=1, tree_source="spatial"), want) for _ in range(5)))


threads = [threading.Thread(target=one) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
check("threads", same == [True] * 4)
shared = ehm.Masker("ehm", tree_source="spatial")
shared.draw(4, 1)
child = os.fork()
if not child:
    os._exit(0 if np.array_equal(shared.draw(4, 1), want) and np.array_equal(ehm.masks("ehm", count=4, progress=1, tree_source="spatial"), want) else 1)
check("a forked child", os.waitpid(child, 0)[1] == 0)


def used() -> int:
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()


def many(n: int) -> None:
    for _ in range(n):
        with ehm.Masker("ehm", (14, 14)) as masker:
            masker.give(affinity=big)
        try:
            ehm.masks("radnom")
        except ehm.Error:
            pass


big = np.eye(196)
many(50)
before = used()
many(400)
check(f"memory grew by {used() - before} bytes over 400 maskers", used() - before < 8 << 20)
end("masks and trees")
