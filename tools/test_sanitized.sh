#!/bin/sh
# Runs the tests of a sanitizer build. usage: test_sanitized.sh asan|ubsan|tsan [SUITE...]
# tsan judges the reference back end and the loader: an uninstrumented OpenMP cannot be judged.
kind=$1
shift
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1 EHM_SANITIZED=$kind
bin=build/$kind/tests/ehm_tests
[ $# -gt 0 ] && exec "$bin" "$@"
if [ "$kind" = tsan ]; then
    exec "$bin" $("$bin" --list | sed 's/::.*//' | sort -u | grep -E '^(pool|loader|ops|log|train|order|augment)')
fi
cd "build/$kind" && exec ctest --output-on-failure -j "$(nproc)" --timeout 1500 -E '^(headers|arch)$'
