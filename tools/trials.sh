#!/bin/bash
# The trial of docs/trials.md: pre-training under several mask rules, all else equal, resumable. About two hours an arm on one core.
# usage: DATA=tiny-imagenet-100.tar.gz#train tools/trials.sh [ARM...]      arms: random green ehm direct moved pixels mixed; all of them without a word
set -u
data=${DATA:?names a set of pictures, such as tiny-imagenet-100.tar.gz#train}
out=${OUT:-runs/trials} epochs=${EPOCHS:-30} seed=${SEED:-0}
declare -A arm=([random]="--recipe mae" [green]="--recipe mae --mask color:green" [ehm]="--recipe ehm" [direct]="--recipe ehm --similarity direct"
                [moved]="--recipe ehm --tree-source moved" [pixels]="--recipe ehm --tree-source pixels" [mixed]="--recipe ehm --mix-random 0.5")
names=("$@")
[ $# -gt 0 ] || names=(random green ehm direct moved pixels mixed)
for name in "${names[@]}"; do
    [ -n "${arm[$name]:-}" ] || { echo "trials: there is no arm $name; arms: ${!arm[*]}" >&2; exit 2; }
    # shellcheck disable=SC2086 # an arm is several words
    build/ehm pretrain --data "$data" --preset tiny --epochs "$epochs" --batch-size 128 --lr 1e-3 --seed "$seed" --keep 40 --resume --out "$out/$name-$seed" \
        ${TRIAL_FLAGS:-} ${arm[$name]} || exit $?
done
