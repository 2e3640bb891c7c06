#!/bin/sh
# What masks along the hierarchy cost over random ones, part by part: each way of making them beside a random-mask step in
# the same round, several rounds, medians and range. usage: bench_masks.sh EHM [ROUNDS] (needs a quiet machine and jq)
set -e
ehm=$1 rounds=${2:-5}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
step() { # step FILE SECONDS options...
    file=$1 seconds=$2
    shift 2
    "$ehm" bench step --json --quiet --seconds "$seconds" "$@" >> "$out/$file"
}
for config in "ViT-Ti/8 at 64|4|--preset tiny --patch-size 8 --img-size 64 --batch-size 64" \
              "ViT-S/16 at 224|8|--preset small --patch-size 16 --img-size 224 --batch-size 16" \
              "ViT-B/16 at 224|12|--preset base --patch-size 16 --img-size 224 --batch-size 8"; do
    name=${config%%|*} rest=${config#*|}
    seconds=${rest%%|*} flags=${rest#*|}
    rm -f "$out"/*
    round=0
    while [ $round -lt "$rounds" ]; do
        # shellcheck disable=SC2086  # flags is a list of options
        {
            step random "$seconds" $flags --mask random
            step all "$seconds" $flags --mask ehm --tree-layers all
            step third "$seconds" $flags --mask ehm --tree-layers first:1/3
            step third_v2 "$seconds" $flags --mask ehm --tree-layers first:1/3 --masks-per-crop 2
        }
        round=$((round + 1))
    done
    echo
    echo "$name, $(jq -rs '.[0] | "\(.device), \(.dtype), batch \(.batch_size)"' "$out/random")"
    echo
    echo "| masks | images/s | step over random | teacher | similarity | tree | selection |"
    echo "|---|---|---|---|---|---|---|"
    for arm in random all third third_v2; do
        jq -rn --arg arm $arm --slurpfile a "$out/$arm" --slurpfile r "$out/random" '
            def r2: . * 100 | round / 100;
            def median: sort | .[length / 2 | floor];
            def share(k): if $a[0][k] then ([$a[] | .[k] / .step_ms * 100] | median | r2 | tostring + " %") else "" end;
            [range($a | length) | $r[.].images_per_s / $a[.].images_per_s] as $ratio
            | {random: "random", all: "ehm, all layers", third: "ehm, first:1/3 (default)", third_v2: "the same, 2 masks a crop"}[$arm] as $name
            | "| \($name) | \([$a[].images_per_s] | median * 10 | round / 10) | \($ratio | median | r2) [\($ratio | min | r2) .. \($ratio | max | r2)] | \(share("teacher_ms")) | \(share("similarity_ms")) | \(share("tree_ms")) | \(share("selection_ms")) |"'
    done
done
