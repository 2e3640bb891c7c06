#!/bin/sh
# Draws docs/pictures/masks_RULE.png anew: a strip for every mask rule that needs no model, through `ehm draw masks`.
# usage: tools/pictures.sh [EHM]     the program; default build/ehm
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
ehm=${1:-$root/build/ehm}
out=$root/docs/pictures
largest=30720 # bytes; what a clone of the sources should not grow beyond
log=$(mktemp)
trap 'rm -f "$log"' EXIT
[ -x "$ehm" ] || { echo "pictures: $ehm is not there; make builds it" >&2; exit 1; }
# A rule's variants behind the colon have a picture each; rules that need a model or a file say so and are left out.
for rule in $("$ehm" list masks | sed 1d | cut -d' ' -f1) color:red color:blue color:purple; do
    file=$out/masks_$(echo "$rule" | tr ':-' '__').png
    [ "$rule" = color ] && rule=color:green file=$out/masks_color_green.png
    if "$ehm" draw masks --mask "$rule" --grid 14x14 --count 6 --seed 1 --out "$file" >"$log" 2>&1; then
        n=$(wc -c <"$file")
        [ "$n" -le $largest ] || { echo "pictures: $file has $n bytes, more than $largest" >&2; exit 1; }
        echo "$file"
    elif grep -q 'needs\|--mask-file is missing' "$log"; then
        echo "left out: $(sed -n 's/^ehm: //p' "$log")"
    else
        cat "$log" >&2
        exit 1
    fi
done
