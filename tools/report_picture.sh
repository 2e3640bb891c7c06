#!/bin/sh
# The report of a real run as a picture, docs/pictures/report.png: pre-trains on CIFAR-10 with every default but three epochs, scores the features by
# k-NN, writes the report and takes a picture of it in headless Chromium. About half an hour on two cores; stopped, it goes on from its checkpoint.
# usage: DATA=cifar10.tar.gz tools/report_picture.sh [EHM]     OUT= run folder (default runs/cifar10), CHROMIUM= browser, FLAGS= more of ehm pretrain's options
set -e
data=${DATA:?names the CIFAR-10 set, such as cifar10.tar.gz}
ehm=${1:-build/ehm} out=${OUT:-runs/cifar10} picture=docs/pictures/report.png largest=1000000
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$browser" ] || { echo "report_picture: no Chromium; install one (Debian: chromium), or name it: CHROMIUM=PATH" >&2; exit 1; }

# shellcheck disable=SC2086 # FLAGS is several words
[ -e "$out/DONE" ] || "$ehm" pretrain --data "$data#train" --epochs 3 --resume --out "$out" ${FLAGS:-}
grep -qs task "$out/evaluations.jsonl" || "$ehm" eval knn --model "$out" --against "untrained:$out" --train "$data#test" # split: pictures that the run never saw
"$ehm" report "$out" --out "$out/report.html"
"$browser" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=0.75 --window-size=1280,6600 --screenshot="$PWD/$picture" "file://$(realpath "$out/report.html")" 2>"$out/browser.log" ||
    { cat "$out/browser.log" >&2; exit 1; }
n=$(wc -c <"$picture")
[ "$n" -le $largest ] || { echo "report_picture: $picture has $n bytes, more than $largest" >&2; exit 1; }
echo "$picture"
