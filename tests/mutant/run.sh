#!/bin/bash
# Sabotages one line at a time in a copy of the tree; the named test must go red. usage: run.sh [NAME of one mutant]
# mutants.txt: name | file | perl substitution | suite or suite::case
set -u
cd "$(dirname "$0")/../.."
tree=build/mutant/tree bin=build/mutant/build
mkdir -p "$tree"
cp -rpu CMakeLists.txt VERSION README.md LICENSE include src tests tools bench "$tree/" 2>/dev/null
[ -f "$bin/CMakeCache.txt" ] || cmake -S "$tree" -B "$bin" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE="-O1" >build/mutant/configure.log || { cat build/mutant/configure.log; exit 1; }
cmake --build "$bin" -j "$(nproc)" --target ehm_tests ehm >build/mutant/build.log 2>&1 || { tail -20 build/mutant/build.log; exit 1; }
passed=0 failed=0
while IFS='|' read -r name file change test; do
    name=$(echo "$name" | xargs) file=$(echo "$file" | xargs) test=$(echo "$test" | xargs)
    case $name in ''|'#'*) continue ;; esac
    [ $# -gt 0 ] && [ "$1" != "$name" ] && continue
    cp -p "$tree/$file" build/mutant/kept
    perl -0pi -e "$(echo "$change" | sed 's/^ *//; s/ *$//')" "$tree/$file"
    if cmp -s "$tree/$file" build/mutant/kept; then
        echo "FAIL $name: the line to sabotage is not in $file any more"; failed=$((failed + 1)); continue
    fi
    if ! cmake --build "$bin" -j "$(nproc)" --target ehm_tests >build/mutant/build.log 2>&1; then
        echo "FAIL $name: does not compile"; tail -3 build/mutant/build.log; failed=$((failed + 1))
    elif EHM_TEST_ROOT=$PWD timeout 300 "$bin/tests/ehm_tests" $test >build/mutant/out.log 2>&1; then
        echo "FAIL $name: $test stayed green"; failed=$((failed + 1))
    else
        echo "ok   $name: $test went red"; passed=$((passed + 1))
    fi
    cp -p build/mutant/kept "$tree/$file"
    touch "$tree/$file"
done <tests/mutant/mutants.txt
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
