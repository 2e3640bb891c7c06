#!/bin/sh
# Installs python/ with pip into a fresh virtual environment under build/, then checks it: types, SciPy's trees, the program's features and
# masks to the bit, the PyTorch example. Packages come from PyPI. PyTorch is large: it is taken from PEERS_PYTHON or build/peers where one of
# them has it, else installed when EHM_TEST_TORCH=1 (CPU build, about 200 MB); otherwise its example is left out, and that is said.
# EHM_BIN: the program to compare with (default build/ehm). PYTHON: what makes the environment (default python3).
set -eu
cd "$(dirname "$0")/.."
venv=build/python-venv out=build/python-run
bin=${EHM_BIN:-$PWD/build/ehm}
[ -x "$bin" ] || { echo "test-python: there is no $bin: make builds it"; exit 1; }
unset EHM_LIBRARY PYTHONPATH 2>/dev/null || true
rm -rf "$venv" "$out" && mkdir -p "$out"
before=$(cd python && find . -type f ! -path '*/__pycache__/*' | sort)
"${PYTHON:-python3}" -m venv "$venv"
py=$PWD/$venv/bin/python
echo "test-python: pip install ./python (builds libehm)"
"$py" -m pip install --quiet --disable-pip-version-check ./python >"$out/pip.log" 2>&1 || { tail -30 "$out/pip.log"; exit 1; }
after=$(cd python && find . -type f ! -path '*/__pycache__/*' | sort)
[ "$before" = "$after" ] || { echo "test-python: the build left files in python/"; exit 1; }
cd "$out" # away from the sources: what was installed is what is tested
"$py" - <<'PY'
import os, pathlib, ehm, numpy, importlib.metadata
here = pathlib.Path(ehm.__file__).parent
files = {p.name for p in here.iterdir()}
assert {"libehm.so", "py.typed"} <= files, files
assert ehm.__version__ == importlib.metadata.version("ehm"), (ehm.__version__, importlib.metadata.version("ehm"))
wheel = (next(here.parent.glob("ehm-*.dist-info")) / "WHEEL").read_text()
assert "Tag: py3-none-linux_" in wheel, wheel
needs = [r for r in importlib.metadata.requires("ehm") or []]
assert [r.split(">")[0] for r in needs] == ["numpy"], needs
print(f"installed: ehm {ehm.__version__}, NumPy {numpy.__version__}, libehm with {' '.join(ehm.features()) or 'no libraries'}, {(here / 'libehm.so').stat().st_size >> 10} KiB")
PY
"$py" -m doctest ../../python/ehm/__init__.py 2>/dev/null || "$py" -c "import doctest, ehm, sys; sys.exit(doctest.testmod(ehm).failed)"
"$py" -m pip install --quiet --disable-pip-version-check scipy mypy
"$py" -m mypy --strict --cache-dir mypy -p ehm
for t in ../../tests/python/check_*.py; do "$py" "$t" "$bin" "$PWD"; done
torch=
for p in ${PEERS_PYTHON:-} ../../build/peers/bin/python; do
    [ -n "$torch" ] || ! "$p" -c "import torch" >/dev/null 2>&1 || torch=$p
done
if [ -z "$torch" ] && [ "${EHM_TEST_TORCH:-}" = 1 ]; then
    "$py" -m pip install --quiet --disable-pip-version-check torch --index-url https://download.pytorch.org/whl/cpu && torch=$py
fi
if [ -n "$torch" ]; then
    # Its own packages first, then the one under test from the fresh environment.
    site=$("$py" -c "import ehm, pathlib; print(pathlib.Path(ehm.__file__).parent)")
    mkdir -p borrowed && ln -sfn "$site" borrowed/ehm
    PYTHONPATH=$PWD/borrowed timeout 600 "$torch" ../../python/examples/mae_torch_loop.py
else
    echo "test-python: the PyTorch example was left out: no PyTorch (PEERS_PYTHON names a Python that has it; EHM_TEST_TORCH=1 installs it)"
fi
echo "test-python: done"
