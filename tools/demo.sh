#!/bin/bash
# make demo: from nothing to a pre-trained model, its k-NN figure beside the same network untrained, and a sheet of reconstructions.
# usage: demo.sh [FOLDER_OR_SET]      At most 6 minutes on 2 cores, packages and building included; training gets the time that is left.
set -u
start=$(date +%s)
limit=${DEMO_SECONDS:-345}
data=${1:-}
out=runs/demo
say() { printf '\n== %s\n' "$*"; }
left() { echo $((limit - ($(date +%s) - start))); }

say "1/4 packages and build"
make --no-print-directory setup || exit 1
make --no-print-directory all >build.log.$$ 2>&1 || { tail -30 build.log.$$; rm -f build.log.$$; exit 1; }
rm -f build.log.$$
ehm=build/ehm
echo "built $($ehm --version | head -1) in $(($(date +%s) - start)) s"

if [ -z "$data" ]; then
    set_train="scenes:1:20000"
    eval_args="--train scenes:1:4000 --test scenes:2:1500"
    batch="--batch-size 64"
else
    set_train=$data
    eval_args="--train $data"
    batch=""
fi
reserve=60 # looks at pictures on the way, k-NN, drawings
[ "$(left)" -gt $((reserve + 40)) ] || reserve=45
train_seconds=$(($(left) - reserve))
[ "$train_seconds" -ge 30 ] || train_seconds=30
minutes=$(awk "BEGIN { printf \"%.2f\", $train_seconds / 60 }")

say "2/4 pre-training on $set_train for $minutes minutes (masks along the model's own hierarchy)"
$ehm pretrain --data "$set_train" --preset pico $batch --lr 1e-3 --out $out --overwrite --max-minutes "$minutes" ${DEMO_FLAGS:-} || exit $?

rc=0
say "3/4 do its features tell pictures apart? k-NN, beside the same network untrained"
summary=$($ehm data "$set_train" --json 2>/dev/null)
count=$(printf '%s' "$summary" | sed -n 's/.*"count": *\([0-9]*\).*/\1/p')
if printf '%s' "$summary" | grep -q '"classes": *\[\]'; then
    echo "no labels in $data, so there is no k-NN figure (class folders would give one)"
elif [ "${count:-0}" -lt 200 ]; then
    echo "$count labelled pictures are too few for a k-NN figure with an interval (200 would do)"
else
    $ehm eval knn --model $out --against "untrained:$out" $eval_args --pools mean --expect-better || rc=$?
fi

say "4/4 pictures"
$ehm draw reconstruct --model $out --image "$set_train" --count 12 --out $out/pictures/reconstruct.png || exit $?
$ehm draw tree --model $out --image "$set_train" --count 4 --out $out/pictures/tree.png || exit $?

$ehm report $out --quiet >/dev/null || echo "demo: report.html was not written" >&2

cat <<END

Done in $(($(date +%s) - start)) s.
  pictures    $out/pictures/reconstruct.png          what it makes of hidden patches
              $out/pictures/tree.png                 the tree over four pictures, cut at several levels
              $out/pictures/masks_over_training.png  how the masks grew while it learned
  weights     $out/model.safetensors (encoder and decoder), $out/encoder.safetensors (loads in timm)
  report      $out/report.html                       all of it on one page: curves, pictures over time, figures, settings
  curves      $out/metrics.jsonl, or tensorboard --logdir $out
  next        build/ehm pretrain --data YOUR_FOLDER --out runs/mine
              build/ehm embed --model $out --data YOUR_FOLDER --out features.npy
              build/ehm help
END
[ $rc = 0 ] || echo "demo: the features did not beat the untrained network's (exit $rc)" >&2
exit $rc
