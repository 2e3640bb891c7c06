#!/bin/sh
# Each header that is installed compiles alone, as C11 and, where a C++ compiler is there, through ehm.h as C++.
# usage: headers.sh SOURCE_ROOT CC
root=$1 cc=${2:-cc} bad=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for h in $(cd "$root/src" && find . -name '*.h' ! -name '*_int.h' ! -name backend.h ! -path './cli/*' ! -path './compute/cpu/*' ! -path './compute/ref/*' ! -path './compute/cuda/*' ! -name cuda_plugin.h | sed 's|^\./||' | sort); do
    printf '#include "%s"\n#include "%s"\nint main(void) { return 0; }\n' "$h" "$h" >"$tmp/h.c"
    "$cc" -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I"$root/src" "$tmp/h.c" || { echo "src/$h does not compile alone as C11"; bad=1; }
done
if command -v g++ >/dev/null 2>&1; then
    printf '#include "ehm.h"\nint main() { return 0; }\n' >"$tmp/h.cc"
    g++ -std=gnu++17 -Wall -fsyntax-only -I"$root/src" -I"$root/include" "$tmp/h.cc" || { echo "include/ehm.h does not compile as C++"; bad=1; }
fi
exit $bad
