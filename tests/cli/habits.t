# What holds for every command. This table has a line for each command and each of its words; the first check sees to that.
$ cat >calls <<'E'
> ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 2 --out run
> ehm plan --data scenes:1:16:32
> ehm embed --model untrained:pico --data scenes:1:4:32 --out f.npy
> ehm eval knn --model untrained:pico --train scenes:1:24:32 --test scenes:2:12:32
> ehm eval linear --model untrained:pico --train scenes:1:48:32 --save p.safetensors
> ehm eval finetune --model untrained:pico --train scenes:1:16:32 --test scenes:2:8:32 --epochs 1 --batch-size 8
> ehm eval segment --model untrained:pico --train scenes:1:16:32 --test scenes:2:8:32 --head linear --epochs 1 --batch-size 8
> ehm eval retrieve --model untrained:pico --gallery scenes:1:8:32 --copies mirror --severity 1
> ehm eval detect --model untrained:pico --train scenes:1:8:32 --test scenes:2:4:32 --epochs 1 --batch-size 8
> ehm eval instances --model untrained:pico --train scenes:1:8:32 --test scenes:2:4:32 --epochs 1 --batch-size 8
> ehm eval tree --model untrained:pico --test scenes:2:8:32
> ehm compare untrained:pico run --tasks knn --train scenes:1:24:32 --test scenes:2:12:32
> ehm predict --model p.safetensors --data scenes:3:4:32 --out labels.tsv
> ehm import run --out imported.safetensors
> ehm export --model run --format mae --out mae.safetensors
> ehm draw reconstruct --model run --image scenes:1:2:32 --out r.ppm
> ehm draw attention --model run --image scenes:1:1:32 --out a.ppm
> ehm draw features --model run --image scenes:1:2:32 --out f.ppm
> ehm draw tree --model run --image scenes:1:1:32 --out t.ppm
> ehm draw masks --mask random --grid 4x4 --out m.ppm
> ehm draw neighbours --model run --image scenes:1:1:32 --data scenes:2:8:32 --out n.ppm
> ehm tree --affinity S.csv --out Z.npy
> ehm report run --out report.html
> ehm data scenes:1:8:32 --check
> ehm info run
> ehm list presets
> ehm list masks
> ehm list recipes
> ehm list tasks
> ehm list ops
> ehm list settings
> ehm doctor
> ehm bench step --preset pico --batch-size 4 --seconds 0.1
> ehm bench features --preset pico --batch-size 4 --seconds 0.1
> ehm help
> ehm help eval knn
> ehm help --names
> ehm help --examples
> ehm --version
> ehm draw --help
> E
> printf '0 1 2\n1 0 3\n2 3 0\n' >S.csv; printf 'no weights' >broken.safetensors
$ for c in $(ehm help --names); do [ $c = help ] || for w in $(ehm $c zzzz 2>&1 | sed -n 's/.*must be one of //p' | tr -d ,) ""; do grep -q "^ehm $c${w:+ $w}\b" calls || echo "no call of: $c $w"; done; done

# --json: one object on stdout. --quiet: nothing on stderr.
$ while IFS= read -r call; do $call --json --quiet </dev/null >out 2>err || echo "exit code $?: $call"; ehm_json_ok <out >keys || { echo "$call"; cat keys; }; [ ! -s err ] || { echo "not quiet: $call"; cat err; }; done <calls
$ ehm help --names --json | ehm_json_ok && ehm --version --json | ehm_json_ok
names
version libraries compiler

# No result: still one object, on stdout; the words for people on stderr; exit code 2 and the near name.
$ for c in $(ehm help --names); do ehm $c --json --quite >out 2>err; echo "$? $(ehm_json_ok <out) $(grep -c 'did you mean --quiet' err)"; done | sort -u
2 error 1
$ ehm --json 2>&1
usage: ehm COMMAND [options]     (ehm help lists the commands)
{"error": {"code": "config", "what": "no command was named"}}
[2]
$ ehm pretrain --data scenes:1:16:32 --out d --preset pico --dry-run --json 2>/dev/null && test ! -e d
{"dry_run": true}
$ ehm help --man --json 2>/dev/null | ehm_json_ok; ehm help --completion bash --json
error
ehm: --completion is a text for another reader: --json cannot be had with it
  hint:  ehm help --json and ehm list settings --json hold what these are made of
{"error": {"code": "config", ...
[2]
$ ehm list ops --quiet --verbose
ehm: --quiet and --verbose: which of the two?
...
[2]
$ test "$(ehm info run --verbose | wc -l)" -gt "$(ehm info run | wc -l)"

# Exit codes, and the same with --json.
$ ehm info broken.safetensors --json --quiet 2>&1
ehm: broken.safetensors: ...
{"error": {"code": "format", ...
[1]
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 50 --lr 1000 --clip-grad 0 --warmup-epochs 0 --out nan --json 2>/dev/null
{"error": {"code": "numeric", ...
[3]
$ timeout --preserve-status -s TERM 1 ehm data scenes:1:1000000:32 --check --json 2>/dev/null
{"error": {"code": "stopped", ...
[143]

# Colour: none where there is no terminal, whatever is printed.
$ while IFS= read -r call; do case $call in *" list "*|*" help"*|*" info "*|*" doctor"*|*" plan "*) $call;; esac; done <calls >out 2>&1; ehm lst >>out 2>&1; grep -c "$(printf '\033')" out
0
[1]
? command -v script
$ echo 'script -qec "$1" /dev/null </dev/null | grep -q "$(printf "\033")\[" && echo colour || echo plain' >terminal; for c in 'ehm help list' 'ehm lst'; do TERM=xterm sh terminal "$c"; done
colour
colour
$ for c in 'NO_COLOR=1 ehm help list' 'NO_COLOR=1 ehm lst' 'TERM=dumb ehm help list' 'ehm help list --color never' 'ehm list ops --colr never --color never'; do TERM=xterm sh terminal "$c"; done
plain
plain
plain
plain
plain
$ for c in 'NO_COLOR= ehm help list' 'NO_COLOR=1 ehm help list --color always'; do TERM=xterm sh terminal "$c"; done
colour
colour

# Completion: commands, words, options of a word, values, files.
? command -v bash
$ cat >comp <<'E'
> . ./bash.comp
> compopt() { :; }
> while read -r line; do
>     read -ra COMP_WORDS <<<"$line"
>     [[ $line == *" _" ]] && COMP_WORDS[-1]=
>     COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
>     _ehm
>     echo "$line: ${COMPREPLY[*]}"
> done
> E
> ehm help --completion bash >bash.comp && mkdir -p comp.d/folder && touch 'comp.d/two words' && cd comp.d && sed -i 's,./bash,../bash,' ../comp
> bash -u ../comp <<'E'
> ehm pr
> ehm --vers
> ehm list _
> ehm help bench _
> ehm eval knn --temp
> ehm eval segment --temp
> ehm --threads = 2 eval ret
> ehm pretrain --dtype _
> ehm pretrain --dtype = b
> ehm pretrain --mask ran
> ehm pretrain --no-norm
> ehm compare a --tasks knn,lin
> ehm data two
> ehm embed --cache _
> ehm embed --batch-size _
> ehm tree --linkage w
> E
ehm pr: pretrain predict
ehm --vers: --version
ehm list _: presets masks recipes tasks ops settings
ehm help bench _: step features
ehm eval knn --temp: --temperature
ehm eval segment --temp: 
ehm --threads = 2 eval ret: retrieve
ehm pretrain --dtype _: auto f32 bf16
ehm pretrain --dtype = b: bf16
ehm pretrain --mask ran: random
ehm pretrain --no-norm: --no-norm-pix-loss
ehm compare a --tasks knn,lin: knn,linear
ehm data two: two words
ehm embed --cache _: folder
ehm embed --batch-size _: 
ehm tree --linkage w: weighted ward
$ for s in zsh fish; do ehm help --completion $s >$s.comp; ! command -v $s >/dev/null || $s -n $s.comp; done

# Manual pages: the sections that there should be, and nothing that the formatter warns of.
$ for c in "" $(ehm help --names); do ehm help --man $c >p.1; for h in NAME SYNOPSIS DESCRIPTION OPTIONS 'EXIT STATUS' ENVIRONMENT 'SEE ALSO'; do grep -q "^.SH $h" p.1 || echo "ehm $c lacks $h"; done; done
? command -v groff
$ for c in "" $(ehm help --names); do ehm help --man $c | groff -man -ww -z -Tutf8 2>&1; done
