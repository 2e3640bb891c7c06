#!/bin/sh
# Installs into a temporary folder and builds a program against it, through pkg-config and through the CMake package.
# usage: install.sh BUILD_FOLDER CC
build=$1 cc=${2:-cc}
command -v pkg-config >/dev/null 2>&1 || { echo "pkg-config is not installed"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
cmake --install "$build" --prefix "$tmp/to" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
mv "$tmp/to" "$tmp/moved"
cat >"$tmp/use.c" <<'C'
#include <ehm.h>
int main(void) {
    ehm_err err = {0};
    return ehm_mask_rule_find("random", NULL, &err) && ehm_mask_n_visible(196, 0.75) == 49 ? 0 : 1;
}
C
PKG_CONFIG_PATH=$(dirname "$(find "$tmp/moved" -name ehm.pc)") && export PKG_CONFIG_PATH
lib=$(pkg-config --variable=libdir ehm)
flags=$(sed -n 's/^EHM_SANITIZE:[A-Z]*=\(..*\)/-fsanitize=\1/p' "$build/CMakeCache.txt")
"$cc" $flags "$tmp/use.c" $(pkg-config --cflags --libs ehm) -o "$tmp/use" || fail "does not build through pkg-config"
LD_LIBRARY_PATH=$lib "$tmp/use" || fail "does not run"
mkdir "$tmp/c"
printf 'cmake_minimum_required(VERSION 3.25)\nproject(u C)\nfind_package(ehm REQUIRED)\nadd_executable(u ../use.c)\ntarget_link_libraries(u ehm::ehm)\n' >"$tmp/c/CMakeLists.txt"
cmake -S "$tmp/c" -B "$tmp/c/b" -DCMAKE_PREFIX_PATH="$tmp/moved" -DCMAKE_C_COMPILER="$cc" -DCMAKE_C_FLAGS="$flags" >"$tmp/log" 2>&1 && cmake --build "$tmp/c/b" >>"$tmp/log" 2>&1 || { tail -5 "$tmp/log"; fail "does not build through the CMake package"; }
"$tmp/c/b/u" || fail "does not run through the CMake package"
for f in share/man/man1/ehm.1 share/man/man1/ehm-pretrain.1 share/bash-completion/completions/ehm share/zsh/site-functions/_ehm share/fish/vendor_completions.d/ehm.fish bin/ehm; do
    [ -s "$tmp/moved/$f" ] || fail "$f is missing or empty"
done
if [ -f "$build/libehm_cuda.so" ]; then # beside the libraries, and knows where CUDA's are
    plugin=$(find "$tmp/moved" -name libehm_cuda.so)
    [ -n "$plugin" ] || fail "libehm_cuda.so was built and is not installed"
    if ldd "$plugin" | grep -q "not found"; then fail "the installed libehm_cuda.so lacks $(ldd "$plugin" | grep "not found")"; fi
fi
"$tmp/moved/bin/ehm" --version >/dev/null || fail "the installed program does not run"
