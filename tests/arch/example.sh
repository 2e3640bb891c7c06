#!/bin/sh
# examples/tree_masks.c builds against base, hierarchy and mask alone, without any library but the C library, and says
# what its pictures must say. usage: example.sh SOURCE_ROOT CC
root=$1 cc=${2:-cc}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
[ "$(wc -l <"$root/examples/tree_masks.c")" -le 60 ] || fail "examples/tree_masks.c is longer than 60 lines"
mkdir "$tmp/src" && cp -r "$root/src/base" "$root/src/hierarchy" "$root/src/mask" "$tmp/src" || exit 1
"$cc" -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -I"$tmp/src" "$root/examples/tree_masks.c" || fail "examples/tree_masks.c has warnings"
# -O1: it is built for each test; nothing of the other folders is there to be found
"$cc" -std=gnu17 -D_GNU_SOURCE -O1 -I"$tmp/src" "$root/examples/tree_masks.c" "$tmp"/src/base/*.c "$tmp"/src/hierarchy/*.c "$tmp"/src/mask/*.c \
    -lpthread -lm -o "$tmp/tree_masks" || fail "does not build against base, hierarchy and mask alone"
"$tmp/tree_masks" >"$tmp/out" 2>"$tmp/err" || { cat "$tmp/err"; fail "does not run"; }
[ -s "$tmp/err" ] && fail "writes to standard error: $(cat "$tmp/err")"
# Five nodes are the five things of its picture; each of the three masks hides 48 of 64 patches, one on each line's place.
sed -n '/^5 nodes/,/^$/p' "$tmp/out" | sed '1d;/^$/d' | tr -d '\n' >"$tmp/five"
[ "$(cat "$tmp/five")" = "aaaaaaaaaaaaaaaaaabbbaaaabbbbbbaccbbbbbccccbbdccddddddddddddddee" ] || fail "the cut at five nodes: $(cat "$tmp/five")"
[ "$(grep -c '^mask at progress' "$tmp/out")" = 3 ] || fail "expected three masks"
[ "$(grep '^[.#]\{8\}$' "$tmp/out" | wc -l)" = 24 ] || fail "expected three masks of eight lines"
[ "$(tr -cd '#' <"$tmp/out" | wc -c)" = 144 ] || fail "expected 48 hidden patches in each mask"
"$tmp/tree_masks" | cmp -s - "$tmp/out" || fail "does not say the same twice"
