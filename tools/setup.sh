#!/bin/sh
# Installs the Debian packages that the build needs and that are missing: as root, or through sudo without asking;
# otherwise prints the one line to run, and stops. Nothing is done when all are there.
set -u
need="cmake pkg-config libjpeg62-turbo-dev libpng-dev libwebp-dev libtiff-dev libgif-dev zlib1g-dev libzstd-dev liblzma-dev libdnnl-dev $*"
command -v dpkg-query >/dev/null 2>&1 || {
    echo "setup: this is not Debian; install CMake 3.25 or newer and what you want of: JPEG, PNG, WebP, TIFF, GIF, zlib, zstd, lzma, oneDNN" >&2
    command -v cmake >/dev/null 2>&1 && exit 0
    exit 1
}
missing=""
for p in $need; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1 || missing="$missing gcc"
[ -z "$missing" ] && exit 0
line="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then run=""; elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then run="sudo -n"; else
    echo "setup: these Debian packages are missing; run this once, then try again:" >&2
    echo "    sudo $line" >&2
    exit 1
fi
echo "setup: installing$missing"
log=$(mktemp)
try() { DEBIAN_FRONTEND=noninteractive $run $line >"$log" 2>&1; }
if ! try; then
    $run apt-get update >>"$log" 2>&1
    try || { tail -20 "$log" >&2; echo "setup: '$line' failed; its last lines are above" >&2; rm -f "$log"; exit 1; }
fi
rm -f "$log"
