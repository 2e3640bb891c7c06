"""Arrays as numpy.save writes them, one of each type, order and rank, from NumPy 2.4.6.

values.txt has a line a file: name, type, rank, shape, then the values in C order.

usage: python tools/golden/npy_files.py      (writes tests/golden/npy)
"""
import numpy as np

top = "tests/golden/npy"
r = np.random.default_rng(2)
lines = []


def put(name, a, version=None):
    with open(f"{top}/{name}.npy", "wb") as f:
        np.lib.format.write_array(f, a, version=version)
    v = [repr(float(x)) for x in np.ravel(a, order="C")]
    lines.append(" ".join([name, a.dtype.str[1:], str(a.ndim), *map(str, a.shape), *v]))


for t in ("f2", "f4", "f8"):
    put(t, r.normal(size=(2, 3)).astype("<" + t))
    put(t + "_big", r.normal(size=(2, 3)).astype(">" + t))
put("f2_all", np.array([0, -0.0, 2.0**-24, -(2.0**-14) + 2.0**-24, 2.0**-14, 1, -65504, np.inf, -np.inf, np.nan], "<f2"))
for t in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"):
    info = np.iinfo(t)
    a = np.array([info.min, info.max, info.max // 3, 7], t)
    put(t, a.astype("<" + t))
    if t[1] != "1":
        put(t + "_big", a.astype(">" + t))
put("b1", np.array([[True, False, True]]))
a = r.normal(size=(2, 3, 4)).astype("<f4")
put("c_order", a)
put("fortran", np.asfortranarray(a))
put("fortran_big", np.asfortranarray(a.astype(">f8")))
put("scalar", np.array(2.5))
put("one", np.arange(3.0))
put("empty", np.zeros((0, 3)))
put("many_dims", np.arange(16, dtype="<i2").reshape(1, 2, 1, 2, 1, 2, 2, 1))
put("version2", np.arange(4.0).reshape(2, 2), (2, 0))
put("version3", np.arange(4.0).reshape(2, 2), (3, 0))
open(f"{top}/values.txt", "w").write("\n".join(lines) + "\n")
open(f"{top}/HOW", "w").write(__doc__)
