$ ehm help
ehm ...: pre-trains vision transformers on pictures by masked image modelling

usage: ehm COMMAND [options]
       ehm help COMMAND

Commands
...
  help ... explains commands and options

Common options
...
  --version               version, libraries built in, compiler
...
$ ehm --help >a && ehm -h | diff a - && ehm help | diff a -

$ ehm help list >a && ehm list --help | diff a - && ehm list -h --whatever | diff a - && cat a
ehm list: lists what there is to choose from

usage: ehm list WHAT [options]

WHAT
  presets       model sizes
...
Example
  ehm list masks
...
$ ehm help lst
ehm: ehm help lst: must be one of ...
  hint:  did you mean list?
...
[2]

# No line is wider than 100 columns where there is no terminal.
$ for c in "" $(ehm help --names); do ehm help $c | awk -v c="$c" 'length($0) > 100 { print c ": " $0 }'; done

# Every command has a manual page and is in each completion script; bash understands its own.
$ for c in $(ehm help --names); do ehm help --man $c | head -1; done | grep -c '^.TH EHM-' >n; ehm help --names | wc -l | diff -b - n
$ ehm help --man | head -2
.TH EHM 1 "" "ehm ..." "User commands"
.SH NAME
$ for s in bash zsh fish; do for c in $(ehm help --names); do ehm help --completion $s | grep -q "$c" || echo "$s lacks $c"; done; done
$ ehm help --completion tcsh
ehm: --completion tcsh: must be one of bash|zsh|fish
...
[2]
$ ehm help --settings | grep '^| .--mask-ratio'
| `--mask-ratio X` | share of patches hidden from the encoder | share, 0 to 1; default 0.75; He et al. 2022, 3 |
$ ehm help --man --settings
ehm: --man, --completion, --settings, --names and --examples cannot be had together
[2]
$ ehm help list --json
{"version": "...", "commands": [{"name": "list", ...}]}
$ ehm --version
ehm ...
...
compiler: ...

# Colour only where it is asked for or where there is a terminal.
$ ehm help --color always | head -1 | od -c | head -1
0000000 033   [   1   m   e   h   m ...
$ ehm help | grep -c "$(printf '\033')"
0
[1]

# The settings page in docs is the one that this program would write.
? test -f "$ROOT/docs/settings.md"
$ ehm help --settings | diff "$ROOT/docs/settings.md" - && echo same
same

# A page for a word of a command, with its own options and no other's.
$ ehm help eval segment | head -1
ehm eval segment: semantic segmentation: a linear or MLP head on patches, mean IoU at the label
$ ehm help eval segment | grep -c -e '--stride' -e '--temperature' && ehm help eval | grep -c -e '--stride'
1
0
[1]
# Training with labels has defaults of its own, and a probe has no use for much of it: help, manual page, completion and --print-config know.
$ ehm help eval finetune | grep -A2 -e '--blr X'
  --blr X                 base learning rate; lr = blr * effective batch / 256, or, where blr is not
                          given and the batch is smaller than 256, blr * sqrt(effective batch / 256)
                          (rate, 0 to 1000; default 0.001; fine-tuning of He et al. 2022, A.1)
$ ehm help eval linear | grep -c -e '--steps N' -e '--ema' -e '--beta1' -e '--clip-grad'
0
[1]
$ ehm help eval linear | grep -e '--epochs' -A1
  --epochs X              with --protocol mae: length of training (epochs, 0 to 1e+09; default 90;
                          He et al. 2022, A.1)
$ ehm help compare | grep -e '--blr'
  --blr X                 base learning rate (rate, 0 to 1000; default the task's own; ehm help eval
$ ehm help --man eval | grep -A3 '^finetune, detect, instances: base learning rate'
finetune, detect, instances: base learning rate; lr = blr * effective batch / 256, or, where blr is not given and the batch is smaller than 256, blr * sqrt(effective batch / 256) (rate, 0 to 1000; default 0.001; fine\-tuning of He et al. 2022, A.1)
.IP
segment: base learning rate, instead of lr; lr = blr * effective batch / 256 (rate, 0 to 1000; default none)
...
$ ehm help --completion bash | grep -A30 '^    eval)' | grep -e 'linear)' | grep -c -e '--beta1'
0
[1]
$ for t in finetune detect linear; do ehm eval $t --print-config --model untrained:pico --train scenes:1:9 | grep -o '"blr": {"value": [^,]*'; done
"blr": {"value": 0.001
"blr": {"value": 0.001
"blr": {"value": 0.1
$ ehm help eval nothing
ehm: ehm eval has no "nothing"
  hint:  there are knn, linear, finetune, segment, retrieve, detect, instances, tree
[2]
$ ehm help embed nothing
ehm: ehm embed has no "nothing"
[2]

# What a task takes in its own way, compare does not show with pre-training's default.
$ ehm help --settings | grep '<br>eval' | grep -v '<br>eval [a-z, ]*: not taken |$' | sed 's/^| `--\([a-z0-9-]*\).*/\1/' | sort >theirs; ehm help compare | tr '\n' ' ' | tr -s ' ' | sed 's/ --/\n--/g' | grep 'default the task' | sed 's/^--\([a-z0-9-]*\).*/\1/' | sort >mine; wc -l <theirs; comm -23 theirs mine
8
