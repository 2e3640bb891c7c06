#!/usr/bin/env python3
"""Average linkage beside SciPy and fastcluster on one core, interleaved: n = 64, 196, 784.

usage: $PEERS_PYTHON tools/bench_tree.py [ROUNDS]      (at least 7; needs numpy, scipy, fastcluster; CC: a C compiler)

A round times each program over the same matrices, one after the other, in turn; a time is the mean over a round's matrices, what is
printed is the median over rounds with the least and the most. It is the thread's processor time, so that others on the machine count
as little as possible. SciPy and fastcluster take condensed distances in double, ready made;
ours takes the square similarities in f32 (as training does) and f64, and its time includes the distances, the sort and the check that all is
finite. It is told that the matrix is symmetric (EHM_TREE_TRUSTED), as training tells it: a condensed matrix cannot be anything else.
"""
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import fastcluster
import numpy as np
import scipy
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLAGS = "-std=c17 -D_GNU_SOURCE -O3 -fPIC -ffp-contract=off -fno-math-errno -I".split()
TIMER = r"""
#include "hierarchy/tree.h"
/* n_trees trees, one after the other; heights of the last into h. Not 0: failed. */
int bench_trees(const char *S, int type, int n_trees, int n, ehm_tree *t, void *work) {
    size_t bytes = (size_t)n * (size_t)n * ehm_dtype_size((ehm_dtype)type);
    for (int i = 0; i < n_trees; i++)
        if (ehm_tree_build(t, S + (size_t)i * bytes, (ehm_dtype)type, n, EHM_LINK_AVERAGE, EHM_TREE_TRUSTED, work, NULL)) return 1;
    return 0;
}
int bench_open(ehm_tree *t, void **work, ehm_arena *a, int n) {
    if (ehm_tree_new(t, n, a, NULL)) return 1;
    *work = ehm_arena_alloc(a, 1, ehm_tree_work_bytes(n, EHM_LINK_AVERAGE, EHM_F64));
    return !*work;
}
"""


class Tree(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int32), *((f, ctypes.c_void_p) for f in ("left", "right", "size")),
                ("height", ctypes.POINTER(ctypes.c_double)), ("offset", ctypes.c_double)]


def library(folder):
    cc = os.environ.get("CC", "gcc").split()
    (folder / "timer.c").write_text(TIMER)
    objects = []
    sources = [folder / "timer.c", ROOT / "src/hierarchy/similarity.c", *sorted((ROOT / "src/hierarchy").glob("tree*.c")), *(ROOT / f"src/base/{b}.c" for b in "dtype err machine mem pool str".split())]
    for i, c in enumerate(sources):
        objects.append(folder / f"{i}.o")
        wide = ["-mavx2", "-mfma", "-mf16c"] if c.stem.endswith("_avx2") and os.uname().machine == "x86_64" else []
        subprocess.run([*cc, *FLAGS[:-1], "-I", str(ROOT / "src"), *wide, "-c", str(c), "-o", str(objects[-1])], check=True)
    so = folder / "libtree.so"
    subprocess.run([*cc, "-shared", "-o", str(so), *map(str, objects), "-lpthread", "-lm"], check=True)
    return ctypes.CDLL(str(so))


def similarities(rng, n):
    """Half noise, half what attention looks like: exponentials of products of smooth features."""
    if rng.random() < 0.5:
        s = rng.random((n, n), np.float32)
    else:
        f = rng.normal(size=(n, 16)).cumsum(0) / np.sqrt(np.arange(1, n + 1))[:, None]
        s = np.exp(f @ f.T / 4).astype(np.float32)
    return np.triu(s, 1) + np.triu(s, 1).T


def main():
    rounds = max(7, int(sys.argv[1]) if len(sys.argv) > 1 else 15)
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    with tempfile.TemporaryDirectory() as folder:
        lib = library(pathlib.Path(folder))
        print(f"one core ({core}), {rounds} rounds; numpy {np.__version__}, scipy {scipy.__version__}, fastcluster {fastcluster.__version__}")
        print("     n  program        median us   [least .. most]   times SciPy's speed, times fastcluster's")
        for n, count in ((64, 32), (196, 16), (784, 2)):
            rng = np.random.default_rng(n)
            s32 = np.stack([similarities(rng, n) for _ in range(count)])
            s64 = s32.astype(np.float64)
            off = ~np.eye(n, dtype=bool)
            condensed = [squareform(np.where(off, s[off].max() - s, 0), checks=False) for s in s64]
            tree, work, arena = Tree(), ctypes.c_void_p(), (ctypes.c_size_t * 16)()
            if lib.bench_open(ctypes.byref(tree), ctypes.byref(work), arena, n):
                sys.exit("bench_tree: no memory")

            def ours(s, kind):
                begin = time.thread_time()
                bad = lib.bench_trees(ctypes.c_void_p(s.ctypes.data), kind, count, n, ctypes.byref(tree), work)
                t = (time.thread_time() - begin) / count
                if bad:
                    sys.exit("bench_tree: a tree failed")
                return t

            def peer(f):
                begin = time.thread_time()
                for d in condensed:
                    f(d, "average")
                return (time.thread_time() - begin) / count

            programs = {"scipy": lambda: peer(linkage), "fastcluster": lambda: peer(fastcluster.linkage),
                        "ehm f32": lambda: ours(s32, 0), "ehm f64": lambda: ours(s64, 2)}
            times = {p: [] for p in programs}
            for r in range(rounds + 1):
                for p, f in programs.items():
                    t = f()
                    if r:  # the first is for warming up
                        times[p].append(t * 1e6)
            heights = np.array(tree.height[: n - 1])
            want = linkage(condensed[-1], "average")[:, 2]
            if not np.allclose(heights, want, rtol=0, atol=1e-6 * want[-1]):
                sys.exit(f"bench_tree: heights differ from SciPy's by {abs(heights - want).max()}")
            med = {p: np.median(t) for p, t in times.items()}
            for p, t in times.items():
                ratio = f"{med['scipy'] / med[p]:6.1f} {med['fastcluster'] / med[p]:6.1f}" if p.startswith("ehm") else ""
                print(f"{n:6d}  {p:12s} {med[p]:10.1f}   [{min(t):.1f} .. {max(t):.1f}]  {ratio}")


sys.stdout.reconfigure(line_buffering=True)
main()
