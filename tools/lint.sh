#!/bin/sh
# Static analysis with what is installed; exit 1 when cppcheck finds an error.
rc=0
if command -v cppcheck >/dev/null 2>&1; then
    cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
        --error-exitcode=1 -j "$(nproc)" -Isrc -D_GNU_SOURCE src || rc=1
else
    echo "lint: cppcheck is not installed (apt-get install cppcheck)"
fi
if command -v clang-tidy >/dev/null 2>&1 && [ -f build/release/compile_commands.json ]; then
    clang-tidy --quiet -p build/release --checks='-*,clang-analyzer-core.*,clang-analyzer-unix.*,bugprone-sizeof-*,bugprone-suspicious-*' \
        $(find src -name '*.c' ! -name '*_avx512*' | sort) 2>/dev/null || rc=1
else
    echo "lint: clang-tidy or build/release/compile_commands.json is not there; left out"
fi
exit $rc
