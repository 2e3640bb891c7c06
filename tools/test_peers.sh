#!/bin/sh
# Trains a few steps, then loads what was written in the real libraries and compares features; then trees with SciPy's. Needs Python 3 with venv; packages come from PyPI
# into build/peers (about 2 GB with PyTorch) unless PEERS_PYTHON names a Python that has them.
set -e
py=${PEERS_PYTHON:-build/peers/bin/python}
if [ ! -x "$py" ] && ! command -v "$py" >/dev/null 2>&1; then
    echo "test-peers: making build/peers from tools/peers/requirements.txt"
    python3 -m venv build/peers
    build/peers/bin/pip install --quiet -r tools/peers/requirements.txt
fi
out=build/peers-run
rm -rf $out && mkdir -p $out
for set in "scenes:3:256:64 --preset pico" "scenes:4:128:48 --patch-size 6 --embed-dim 96 --depth 3 --num-heads 3 --decoder-embed-dim 64 --decoder-depth 1 --decoder-num-heads 2"; do
    rm -rf $out/run $out/pics
    build/ehm pretrain --data ${set%% *} ${set#* } --batch-size 32 --steps 20 --out $out/run --dtype f32 --quiet
    build/ehm data ${set%% *} --limit 64 --export $out/pics --quiet
    build/ehm embed --model $out/run --data $out/pics --out $out/mean.npy --pool mean --dtype f32 --quiet
    build/ehm embed --model $out/run --data $out/pics --out $out/cls.npy --pool cls --dtype f32 --quiet
    "$py" tools/peers/check_files.py $out
done
"$py" tools/peers/check_events.py $out/run
"$py" tools/peers/check_trees.py build/ehm $out/trees
