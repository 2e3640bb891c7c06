#!/bin/sh
# Makes short runs, opens their reports in headless Chromium at 1280 and 390 pixels, light and dark, and follows one with --watch while it goes on.
# Screenshots: build/report-shots. CHROMIUM= names a browser; else Debian's is installed where it is missing (about 300 MB; a minute or two).
set -e
ehm=${EHM:-build/ehm}
browser=${CHROMIUM:-}
for name in chromium chromium-browser google-chrome; do
    [ -n "$browser" ] || browser=$(command -v $name 2>/dev/null || true)
done
if [ -z "$browser" ]; then
    echo "test-report: Chromium is missing; installing it (about 300 MB; a minute or two)"
    tools/setup.sh chromium
    browser=$(command -v chromium) || { echo "test-report: no Chromium; install one, or name it: make test-report CHROMIUM=PATH" >&2; exit 1; }
fi
command -v python3 >/dev/null || { echo "test-report: Python 3 is missing (its standard library is enough)" >&2; exit 1; }
out=build/report-run shots=build/report-shots
rm -rf $out $shots && mkdir -p $out $shots

echo "test-report: two short runs"
train="$ehm pretrain --data scenes:1:128:64 --preset pico --batch-size 16 --steps 80 --log-every 2 --threads 1 --watch-every 2 --quiet --eval-train scenes:3:60:64 --eval-test scenes:4:40:64 --eval-every 5"
$train --out $out/hierarchy
$train --out $out/random --recipe mae --seed 1
$ehm eval knn --model $out/hierarchy --train scenes:3:80:64 --test scenes:4:60:64 --quiet >/dev/null
$ehm eval linear --model $out/hierarchy --train scenes:3:80:64 --test scenes:4:60:64 --quiet >/dev/null
$ehm report $out/hierarchy --out $out/one.html --quiet
$ehm report $out/hierarchy $out/random --out $out/two.html --quiet

# A run that is stopped on its way, to be gone on with while its page is open.
goes_on="$ehm pretrain --data scenes:1:128:64 --preset pico --batch-size 16 --steps 60 --log-every 2 --threads 1 --watch-every 1 --save-steps 10 --quiet --out $out/goes_on"
$goes_on &
pid=$!
while kill -0 $pid 2>/dev/null && ! ls $out/goes_on/checkpoints/*20/DONE >/dev/null 2>&1; do sleep 0.1; done
kill -TERM $pid 2>/dev/null || true
wait $pid || true
[ ! -e $out/goes_on/DONE ] || { echo "test-report: the run ended before it could be stopped" >&2; exit 1; }

python3 tools/peers/check_report.py --chromium "$browser" --ehm $ehm --shots $shots --run $out/goes_on --resume "$goes_on --resume" $out/one.html $out/two.html
