#!/bin/bash
# Installs build/package/ehm_*.deb on a bare Debian 12 and works with it there: a debootstrap tree in build/package/root, made anew
# from build/package/bare, which is fetched once (about 100 MB). Takes 2 to 5 minutes the first time, then about 1.
# Needs root, debootstrap, and the right to mount; without one of them it says so and skips (exit code 77).
# EHM_PACKAGE_DEV=1 also installs libehm-dev and a compiler, and builds a program on the library (about 150 MB more).
# The mirror is the one that this machine's apt uses; MIRROR=URL names another.
set -u
cd "$(dirname "$0")/.."
here=$PWD/build/package bare=$PWD/build/package/bare root=$PWD/build/package/root
suite=bookworm

skip() { echo "skip: $*"; exit 77; }
fail() { echo "FAIL $*"; exit 1; }

if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null || skip "test-package needs root (chroot, mount); run it as root or where sudo asks for nothing"
    exec sudo -n env EHM_PACKAGE_DEV="${EHM_PACKAGE_DEV:-}" MIRROR="${MIRROR:-}" "$0" "$@"
fi
command -v debootstrap >/dev/null || skip "debootstrap is not installed: apt-get install debootstrap"
# In a mount and process namespace of its own: whatever happens, no mount and no process is left behind.
if [ -z "${EHM_PACKAGE_INSIDE:-}" ]; then
    unshare --mount --pid --fork --propagation private true 2>/dev/null || skip "this machine permits no namespaces (unshare), so nothing can be mounted safely"
    EHM_PACKAGE_INSIDE=1 exec unshare --mount --pid --fork --kill-child --propagation private "$0" "$@"
fi

version=$(head -1 VERSION)
deb=$(ls "$here"/ehm_"$version"_*.deb 2>/dev/null) dev=$(ls "$here"/libehm-dev_"$version"_*.deb 2>/dev/null)
[ -f "$deb" ] && [ -f "$dev" ] || fail "no package of version $version in build/package: make package"
start=$SECONDS
took() { echo "ok   $* ($((SECONDS - start)) s)"; start=$SECONDS; }

# ---- the bare tree ----
repositories() { # of Debian's own, as apt knows them here: URL and suite
    [ -n "${MIRROR:-}" ] && { echo "$MIRROR $suite"; return; }
    apt-get indextargets --format '$(ORIGIN)|$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null | sed -n "s/^Debian|\(.*[ ]$suite.*\)/\1/p" | sort -u
}
main=$(repositories | sed -n "s/ $suite\$//p" | head -1)
main=${main:-http://deb.debian.org/debian}
proxy=$(apt-config shell p Acquire::http::Proxy 2>/dev/null) && eval "$proxy"
[ -z "${p:-}" ] || export http_proxy=$p
[ "$main" != "${main#*://}" ] || fail "not a mirror: $main"
if [ ! -f "$bare/complete" ]; then
    case $bare in */build/package/bare) rm -rf --one-file-system "$bare" ;; esac
    mkdir -p "$bare"
    debootstrap --variant=minbase $suite "$bare" "$main" >"$here/debootstrap.log" 2>&1 || { tail -5 "$here/debootstrap.log"; fail "debootstrap of $suite from $main"; }
    touch "$bare/complete"
    took "debootstrap --variant=minbase $suite"
fi
case $root in */build/package/root) rm -rf --one-file-system "$root" ;; esac
cp -a --reflink=auto "$bare" "$root" || fail "copying the tree"
{ echo "deb $main $suite main"; repositories | grep -v " $suite\$" | sed 's/.*/deb & main/'; } >"$root/etc/apt/sources.list"
apt-config dump 2>/dev/null | grep -i '^Acquire::[a-z:/.]*proxy' >"$root/etc/apt/apt.conf.d/99proxy"
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
mount -t proc proc "$root/proc" || skip "proc cannot be mounted here"
cp "$deb" "$root/ehm.deb" && cp "$dev" "$root/libehm-dev.deb"
cp examples/embed_masks.c examples/tree_masks.c "$root/root/" 2>/dev/null
took "a copy of the bare tree"

inside() { # runs a shell script in the tree as a fresh user would: nothing of this machine's environment
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive chroot "$root" /bin/bash -c "set -eu; cd /root; $1" >"$here/inside.log" 2>&1
}
must() { # what, script
    inside "$2" || { tail -15 "$here/inside.log"; fail "$1"; }
    took "$1"
}

# ---- the package, and the program as a user would ----
must "apt-get update" 'apt-get -q update'
must "apt-get install ./ehm.deb: $(dpkg-deb -f "$deb" Depends)" 'apt-get -qy install --no-install-recommends /ehm.deb; dpkg -s ehm | grep -q "^Status: install ok installed"'
must "ehm --version, every library found" 'ehm --version; ! ldd /usr/bin/ehm | grep "not found"'
must "ehm doctor" 'ehm doctor; ehm doctor --json | grep -q "\"n_notes\""'
must "two steps of pre-training" 'ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 2 --out run; test -s run/model.safetensors'
must "the same with the plainest instructions" 'EHM_ISA=generic ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 2 --out plain --quiet'
must "eval knn" 'ehm eval knn --model run --train scenes:1:48:32 --test scenes:2:24:32'
must "draw reconstruct and tree" 'ehm draw reconstruct --model run --image scenes:1:2:32 --out r.png; ehm draw tree --model run --image scenes:1:1:32 --out t.png; test -s r.png; test -s t.png'
must "report" 'ehm report run --out report.html; grep -q "</html>" report.html'
must "pictures as files: write them out, read them back" 'ehm data scenes:1:8:32 --export pictures; ehm data pictures --check | grep -q "0 bad"; ehm embed --model run --data pictures --out f.npy; test -s f.npy'
must "manual pages and completion" 'for f in man/man1/ehm.1.gz bash-completion/completions/ehm zsh/site-functions/_ehm fish/vendor_completions.d/ehm.fish doc/ehm/copyright doc/ehm/changelog.gz; do test -s /usr/share/$f || { echo "/usr/share/$f is missing"; exit 1; }; done
    for c in $(ehm help --names); do gzip -dc /usr/share/man/man1/ehm-$c.1.gz | grep -q "^.SH SYNOPSIS"; done
    set +e; . /usr/share/bash-completion/completions/ehm; COMP_WORDS=(ehm list mas) COMP_CWORD=2; _ehm; test "${COMPREPLY[*]}" = masks'
if [ -n "${EHM_PACKAGE_DEV:-}" ]; then
    must "apt-get install ./libehm-dev.deb gcc pkg-config" 'apt-get -qy install --no-install-recommends /libehm-dev.deb gcc pkg-config'
    must "examples built with pkg-config run" 'for e in tree_masks embed_masks; do gcc $e.c $(pkg-config --cflags --libs ehm) -lm -o $e; done; ./tree_masks; ./embed_masks run pictures'
    must "apt-get remove libehm-dev" 'apt-get -qy purge libehm-dev; test ! -e /usr/include/ehm'
fi
must "dpkg --verify, and apt-get purge leaves nothing" 'dpkg --verify ehm; dpkg -L ehm >files; apt-get -qy purge ehm; while read -r f; do case $f in */ehm*|*/_ehm|*/libehm*) test ! -e "$f" || { echo "left: $f"; exit 1; } ;; esac; done <files; ! command -v ehm'
umount "$root/proc"
case $root in */build/package/root) rm -rf --one-file-system "$root" ;; esac
echo "the package works on a bare Debian 12"
