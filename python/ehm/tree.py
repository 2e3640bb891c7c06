"""Trees over a matrix of similarities."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np
import numpy.typing as npt

from . import _lib
from ._lib import F64Array

Linkage = Literal["single", "complete", "average", "weighted", "ward", "centroid"]


def tree(affinity: npt.ArrayLike, linkage: Linkage = "average", symmetrise: bool = False, threads: int = 0) -> F64Array:
    """Agglomerative trees, as SciPy's ``linkage`` gives them.

    Args:
        affinity: [n, n], or [b, n, n] for b trees; numbers of any type (computed in float64), the higher the nearer. The
            diagonal does not matter. 1 <= n <= 4096.
        linkage: "ward" and "centroid" take the rows as vectors.
        symmetrise: take the mean of both halves; without it, halves that differ by more than rounding are refused.
        threads: for several trees; 0: all processors.

    Returns:
        float64 [n - 1, 4], or [b, n - 1, 4]: two ids, height and size of each merge, sorted by height. A height is the largest
        off-diagonal affinity minus that of the two: ``scipy.cluster.hierarchy`` takes it as it is.

    Raises:
        ArgumentError: a shape that is none, NaN or infinity, halves that differ.
        SettingError: an unknown linkage.
    """
    a, stacked = _lib.square_of(affinity, None, "affinity", np.float64)
    b, n = a.shape[0], a.shape[1]
    z = np.empty((b, n - 1, 4), dtype=np.float64)
    _lib.call("tree", _lib.pointer(z), _lib.pointer(a), _lib.F64, b, n, os.fsencode(linkage), int(symmetrise), _lib.whole(threads, "threads", 0, 1024))
    return z if stacked else z[0]
