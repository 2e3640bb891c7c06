#!/bin/bash
# Sabotages one line at a time in a copy of the tree; the named test must go red. usage: run.sh [NAME of one mutant]...
# mutants.txt: name | file | perl substitution | suite or suite::case, several divided by spaces
set -u
cd "$(dirname "$0")/../.."
work=build/mutant tree=build/mutant/tree bin=build/mutant/build jobs=${JOBS:-$(nproc)}

restore() { # the file as it is, and newer than what was built from its sabotaged self
    [ -f "$work/dirty" ] || return 0
    cp "$work/kept" "$tree/$(cat "$work/dirty")" && rm "$work/dirty"
}

mkdir -p "$tree"
rm -rf "${tree:?}"/*
[ -f "$work/dirty" ] && cp -p "$(cat "$work/dirty")" "$work/kept" # an earlier run was killed
cp -rp CMakeLists.txt VERSION README.md LICENSE include src tests tools bench "$tree/"
restore
trap restore EXIT
[ -f "$bin/CMakeCache.txt" ] ||
    cmake -S "$tree" -B "$bin" -DCMAKE_BUILD_TYPE=Mutant -DCMAKE_C_FLAGS_MUTANT=-O1 >"$work/configure.log" ||
    { cat "$work/configure.log"; exit 1; }
build() { cmake --build "$bin" -j "$jobs" --target ehm_tests >"$work/build.log" 2>&1; }
build || { tail -20 "$work/build.log"; exit 1; }

passed=0 failed=0
wrong() { echo "FAIL $1"; failed=$((failed + 1)); }
while IFS='|' read -r name file change test; do
    case $name in '' | '#'*) continue ;; esac # a comment may hold quotes
    name=$(echo "$name" | xargs) file=$(echo "$file" | xargs)
    if [ $# -gt 0 ]; then case " $* " in *" $name "*) ;; *) continue ;; esac fi
    change=${change#"${change%%[! ]*}"} change=${change%"${change##*[! ]}"}
    cp -p "$tree/$file" "$work/kept" || { wrong "$name: there is no $file"; continue; }
    echo "$file" >"$work/dirty"
    perl -0pi -e "$change" "$tree/$file"
    if cmp -s "$tree/$file" "$work/kept"; then
        wrong "$name: the line to sabotage is not in $file any more"
    elif ! build; then
        wrong "$name: does not compile"
        grep -m 3 error "$work/build.log"
    else
        for t in $test; do # one that is red is enough; what no such test is, or is skipped, is not red
            EHM_TEST_ROOT=$PWD timeout 300 "$bin/tests/ehm_tests" "$t" </dev/null >"$work/out.log" 2>&1
            code=$?
            [ $code != 0 ] && break
        done
        case $code in
        0) wrong "$name: $test stayed green" ;;
        77) wrong "$name: $test was skipped" ;;
        2) wrong "$name: there is no test $test" ;;
        *) echo "ok   $name: $t went red"; passed=$((passed + 1)) ;;
        esac
    fi
    restore
done < <(cat tests/mutant/mutants.txt) # as it is now: it may be edited meanwhile
echo "$passed caught, $failed not"
[ "$failed" = 0 ]
