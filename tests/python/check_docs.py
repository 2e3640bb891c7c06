"""The Python of docs/python.md runs as it stands, and its comments on shapes are true."""

import pathlib
import re

import numpy as np

page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
blocks = re.findall(r"```python\n(.*?)```", page, re.S)
names: dict = {}
for block in blocks:
    exec(compile(block, "docs/python.md", "exec"), names)
n_shapes = 0
for line in "\n".join(blocks).splitlines():
    said = re.match(r"(\w+) = .*#.*?(float32|float64|uint8|bool) \[([\d, ]+)\]", line)
    if said and said[1] != "masks":
        a = names[said[1]]
        n_shapes += 1
        assert a.dtype == np.dtype(said[2]) and a.shape == tuple(int(x) for x in said[3].split(",")), (line, a.dtype, a.shape)
assert len(blocks) >= 4 and n_shapes >= 6, (len(blocks), n_shapes)
print(f"docs/python.md: {len(blocks)} blocks run, {n_shapes} shapes as said")
