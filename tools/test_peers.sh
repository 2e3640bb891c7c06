#!/bin/sh
# Trains a few steps, then loads what was written in the real libraries and compares features; then trees with SciPy's. Needs Python 3 with venv; packages come from PyPI:
# build/peers (about 2 GB with PyTorch) unless PEERS_PYTHON names a Python that has them, and build/peers4, which has transformers 4 and takes the rest from
# the first, unless PEERS4_PYTHON names one (none: that part is left out).
set -e
py=${PEERS_PYTHON:-build/peers/bin/python}
if [ ! -x "$py" ] && ! command -v "$py" >/dev/null 2>&1; then
    echo "test-peers: making build/peers from tools/peers/requirements.txt"
    python3 -m venv build/peers
    build/peers/bin/pip install --quiet -r tools/peers/requirements.txt
fi
if ! "$py" -c 'import onnx, onnxruntime' 2>/dev/null; then
    case $py in
    build/peers/*) build/peers/bin/pip install --quiet -r tools/peers/requirements.txt ;; # made before this was asked for
    *) echo "test-peers: $py has no onnx or onnxruntime: pip install -r tools/peers/requirements.txt" >&2; exit 1 ;;
    esac
fi
py4=${PEERS4_PYTHON:-build/peers4/bin/python}
if [ "$py4" != none ] && [ ! -x "$py4" ] && ! command -v "$py4" >/dev/null 2>&1; then
    echo "test-peers: making build/peers4 from tools/peers/requirements-transformers4.txt"
    python3 -m venv build/peers4
    "$py" -c 'import site; print("\n".join(site.getsitepackages()))' >"$(build/peers4/bin/python -c 'import site; print(site.getsitepackages()[0])')/zz_peers.pth"
    build/peers4/bin/pip install --quiet -r tools/peers/requirements-transformers4.txt
fi
ehm=${EHM:-build/ehm}
out=build/peers-run
rm -rf $out && mkdir -p $out

# Everything that this model can be written as; $1: its run, $2: where to, $3: square or wide.
export_all() {
    $ehm export --model "$1" --format mae --out "$2/mae.safetensors" --quiet >/dev/null
    $ehm export --model "$1" --format timm --out "$2/timm" --quiet >/dev/null
    $ehm export --model "$1" --format timm --out "$2/timm.safetensors" --quiet >/dev/null
    $ehm export --model "$1" --format timm --global-pool avg --out "$2/timm_avg" --quiet >/dev/null
    $ehm export --model "$1" --format hf --class ViTModel --out "$2/hf_vit" --quiet >/dev/null
    $ehm export --model "$1" --format onnx --out "$2/encoder.onnx" --quiet >/dev/null
    $ehm export --model "$1" --format onnx --dynamic-batch --out "$2/encoder_any.onnx" --quiet >/dev/null
    $ehm export --model "$1" --format onnx --dynamic-batch --opset 21 --out "$2/encoder_21.onnx" --quiet >/dev/null
    if [ "$3" = square ]; then
        $ehm export --model "$1" --format hf --out "$2/hf_mae" --quiet >/dev/null
        $ehm export --model "$1" --format torchvision --out "$2/tv.safetensors" --quiet >/dev/null
    fi
}

# A classifier fine-tuned on the run, and what it says of the pictures; $1: pooling, $2: training pictures.
classifier() {
    f=$out/ft_$1
    mkdir -p "$f"
    $ehm eval finetune --model $out/run --train "$2" --pool "$1" --mixup 0 --cutmix 0 --smoothing 0 --rand-augment off --erase 0 --drop-path 0 --layer-decay 1 --steps 40 --lr 0.001 --batch-size 16 --save "$f/c.safetensors" --dtype f32 --quiet >/dev/null
    $ehm predict --model "$f/c.safetensors" --data $out/pics --top 1000 --out "$f/labels.tsv" --dtype f32 --quiet >/dev/null
    $ehm export --model "$f/c.safetensors" --format mae --out "$f/mae.safetensors" --quiet >/dev/null
    $ehm export --model "$f/c.safetensors" --format timm --out "$f/timm" --quiet >/dev/null
    $ehm export --model "$f/c.safetensors" --format onnx --out "$f/classifier.onnx" --quiet >/dev/null
    $ehm export --model "$f/c.safetensors" --format onnx --dynamic-batch --opset 20 --out "$f/classifier_any.onnx" --quiet >/dev/null
    if [ "$1" = cls ]; then
        $ehm export --model "$f/c.safetensors" --format hf --out "$f/hf" --quiet >/dev/null
        $ehm export --model "$f/c.safetensors" --format torchvision --out "$f/tv.safetensors" --quiet >/dev/null
    fi
}

for set in "scenes:3:256:64 --preset pico" "scenes:4:128:48 --patch-size 6 --embed-dim 96 --depth 3 --num-heads 3 --decoder-embed-dim 64 --decoder-depth 1 --decoder-num-heads 2"; do
    rm -rf $out/run $out/pics $out/*.safetensors $out/*.onnx $out/timm* $out/hf_* $out/ft_*
    $ehm pretrain --data ${set%% *} ${set#* } --batch-size 32 --steps 20 --out $out/run --dtype f32 --quiet
    $ehm data ${set%% *} --limit 64 --export $out/pics --quiet
    $ehm embed --model $out/run --data $out/pics --out $out/mean.npy --pool mean --dtype f32 --quiet
    $ehm embed --model $out/run --data $out/pics --out $out/cls.npy --pool cls --dtype f32 --quiet
    "$py" tools/peers/check_files.py $out
    export_all $out/run $out square
    classifier cls ${set%% *}
    classifier mean ${set%% *}
    "$py" tools/peers/check_exports.py $out --table $out/exports.tsv
    "$py" tools/peers/check_onnx.py $out --table $out/exports.tsv
    [ "$py4" = none ] || "$py4" tools/peers/check_exports.py $out --only hf --table $out/exports.tsv
done

# Pictures of another shape and of four channels, from an array.
rm -rf $out/run $out/pics $out/*.safetensors $out/*.onnx $out/timm* $out/hf_* $out/ft_*
"$py" -c 'import sys, numpy as np; y, x = np.mgrid[:32, :48]; r = np.random.default_rng(5); v = [[np.sin(a * y + b * x + c) for c in range(4)] for a, b in r.uniform(0.05, 0.6, (64, 2))]
np.save(sys.argv[1], np.clip(128 + 90 * np.array(v).transpose(0, 2, 3, 1) + r.normal(0, 15, (64, 32, 48, 4)), 0, 255).astype(np.uint8))' $out/pixels.npy
$ehm pretrain --data $out/pixels.npy --img-size 32x48 --patch-size 8 --embed-dim 64 --depth 3 --num-heads 2 --decoder-embed-dim 48 --decoder-depth 1 --decoder-num-heads 3 --alpha keep --batch-size 32 --steps 10 --out $out/run --dtype f32 --quiet
$ehm embed --model $out/run --data $out/pixels.npy --out $out/mean.npy --pool mean --alpha keep --dtype f32 --quiet
$ehm embed --model $out/run --data $out/pixels.npy --out $out/cls.npy --pool cls --alpha keep --dtype f32 --quiet
export_all $out/run $out wide
"$py" tools/peers/check_exports.py $out --table $out/exports.tsv
"$py" tools/peers/check_onnx.py $out --table $out/exports.tsv
[ "$py4" = none ] || "$py4" tools/peers/check_exports.py $out --only hf --table $out/exports.tsv

# TensorBoard on a run, and on the same run killed on its way and gone on with.
rm -rf $out/whole $out/killed
run="$ehm pretrain --data scenes:1:64:64 --preset pico --batch-size 16 --steps 16 --watch-every 1 --log-every 1 --save-steps 3 --quiet"
$run --out $out/whole
$run --out $out/killed &
pid=$!
while kill -0 $pid 2>/dev/null && ! ls $out/killed/checkpoints/*6/DONE >/dev/null 2>&1; do sleep 0.05; done
kill -KILL $pid 2>/dev/null && { wait $pid || true; }
$run --out $out/killed --resume
"$py" tools/peers/check_events.py $out/run
"$py" tools/peers/check_events.py $out/whole $out/killed
"$py" tools/peers/check_trees.py $ehm $out/trees
echo "the tutorial, its lines of Python too"
PEERS_PYTHON="$py" EHM_BIN=$(dirname $ehm) EHM_TEST_ROOT=. build/release/tests/ehm_run_t docs/tutorial.md
echo
echo "exports: format, library, compared, largest difference"
column -t -s "$(printf '\t')" $out/exports.tsv 2>/dev/null || cat $out/exports.tsv
