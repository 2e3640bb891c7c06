#!/bin/sh
# examples/embed_masks.c builds against what is installed, as C11 and as C++, through pkg-config, and says what it must; the library shows
# nothing but ehm_* names. usage: example_api.sh SOURCE_ROOT BUILD_FOLDER CC
root=$1 build=$2 cc=${3:-cc}
command -v pkg-config >/dev/null 2>&1 || { echo "pkg-config is not installed"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
example=$root/examples/embed_masks.c
[ "$(wc -l <"$example")" -le 80 ] || fail "examples/embed_masks.c is longer than 80 lines"
cmake --install "$build" --prefix "$tmp/to" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$(find "$tmp/to" -name ehm.pc)") && export PKG_CONFIG_PATH
lib=$(pkg-config --variable=libdir ehm)
flags=$(sed -n 's/^EHM_SANITIZE:[A-Z]*=\(..*\)/-fsanitize=\1/p' "$build/CMakeCache.txt")
# The flat interface stands alone: strict C11 without extensions, and as C++ from the same file.
"$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror $flags "$example" $(pkg-config --cflags --libs ehm) -o "$tmp/embed_masks" || fail "does not build through pkg-config"
if command -v g++ >/dev/null 2>&1; then
    printf '#include <api/api.h>\nint main() { return ehm_api_version() != EHM_API_VERSION; }\n' >"$tmp/v.cc"
    g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror $flags "$tmp/v.cc" $(pkg-config --cflags --libs ehm) -o "$tmp/v" || fail "api.h does not build as C++"
    LD_LIBRARY_PATH=$lib "$tmp/v" || fail "the library has another interface than its header"
fi
LD_LIBRARY_PATH=$lib && export LD_LIBRARY_PATH
"$build/ehm" data scenes:3:2 --export "$tmp/pictures" --quiet >"$tmp/log" || fail "no pictures were written"
picture=$(find "$tmp/pictures/images" -type f | sort | head -1)
"$tmp/embed_masks" untrained:pico "$picture" >"$tmp/out" 2>"$tmp/err" || { cat "$tmp/err"; fail "does not run"; }
[ -s "$tmp/err" ] && fail "writes to standard error: $(cat "$tmp/err")"
grep -q '^128 features: ' "$tmp/out" || fail "says nothing of features: $(cat "$tmp/out")"
[ "$(grep -c '^mask at progress' "$tmp/out")" = 3 ] || fail "expected three masks"
[ "$(tr -cd '#' <"$tmp/out" | wc -c)" = 144 ] || fail "expected 48 hidden patches in each mask"
"$tmp/embed_masks" untrained:pico "$tmp/none.jpg" >"$tmp/out" 2>"$tmp/err" && fail "a picture that is not there is no error"
grep -q none.jpg "$tmp/err" || fail "the error does not name the file: $(cat "$tmp/err")"
if command -v nm >/dev/null 2>&1; then
    other=$(nm -D --defined-only "$lib/libehm.so" | awk '{print $NF}' | grep -v '^ehm_' | head -5 | tr '\n' ' ')
    [ -z "$other" ] || fail "the library shows other names: $other"
fi
