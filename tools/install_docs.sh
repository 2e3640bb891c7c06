#!/bin/sh
# Man pages and completion from the program's own tables. usage: install_docs.sh EHM_BINARY SHARE_DIR
set -e
ehm=$1 share=$2
mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
"$ehm" help --man >"$share/man/man1/ehm.1"
for c in $("$ehm" help --names); do "$ehm" help --man "$c" >"$share/man/man1/ehm-$c.1"; done
"$ehm" help --completion bash >"$share/bash-completion/completions/ehm"
"$ehm" help --completion zsh >"$share/zsh/site-functions/_ehm"
"$ehm" help --completion fish >"$share/fish/vendor_completions.d/ehm.fish"
