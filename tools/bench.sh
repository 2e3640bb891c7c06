#!/bin/sh
# make bench: kernels beside the measured peak of this processor, then whole training steps. usage: bench.sh BUILD_FOLDER
set -e
"$1/bench_ops" ${BENCH_ARGS:-}
for type in f32 bf16; do
    "$1/ehm" bench step --preset tiny --img-size 64 --batch-size 128 --dtype $type --seconds 10
done
if [ -n "${PEERS_PYTHON:-}" ]; then "$PEERS_PYTHON" "$(dirname "$0")/bench_tree.py"; fi
