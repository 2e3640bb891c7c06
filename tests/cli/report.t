# One page of a run: written at its end, by hand, of several runs; figures that evaluations add.
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 4 --log-every 1 --out a --quiet && ls a/report.html
a: 4 steps, ...
a/report.html
$ ehm report a --out r/x.html
r/x.html: ... KiB, 1 run (a)
$ grep -c '<section id=' r/x.html; grep -o '<title>.*report</title>' r/x.html; tail -1 r/x.html; grep -c 'http://\|https://' r/x.html
6
<title>a ... ehm report</title>
</html>
1
# (the one address is the name of SVG's namespace in the script; nothing is fetched)
$ grep 'https*://' r/x.html
var d=document,NS='http://www.w3.org/2000/svg';...
$ ehm report a --out - | head -1
<!DOCTYPE html>
$ ehm report a --json | ehm_json_ok
runs
$ ehm report a --json | grep -o '"\(finished\|steps\|steps_total\|bad_files\|lines_damaged\)": [^,]*'
"finished": true
"steps": 4
"steps_total": 4
"lines_damaged": 0
"bad_files": 0
"steps": "4"
# The command on the page makes the run anew, to the bit.
$ sh -c "$(ehm report a --json | sed 's/.*"command": "\([^"]*\)".*/\1/; s/--out a/--out again/') --quiet" && cmp a/metrics.jsonl again/metrics.jsonl && cmp a/model.safetensors again/model.safetensors
again: 4 steps, ...

# Several runs.
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 6 --log-every 1 --recipe mae --seed 1 --out b --quiet >/dev/null && ehm report a b && grep -o '<code>recipe</code></th><td class="wrap">[a-z]*</td><td class="wrap">[a-z]*</td>' report.html
report.html: ..., 2 runs (a, b)
<code>recipe</code></th><td class="wrap">ehm</td><td class="wrap">mae</td>

# Evaluations are added to the run, and to its page.
$ ehm eval knn --model a --train scenes:1:60:32 --test scenes:2:20:32 --pools mean --quiet >/dev/null && ehm eval knn --model a --train scenes:1:60:32 --test scenes:2:20:32 --pools mean --threads 1 --quiet >/dev/null && wc -l <a/evaluations.jsonl && grep -o '<pre>ehm eval.*</pre>' a/report.html
2
<pre>ehm eval knn --model a --train scenes:1:60:32 --test scenes:2:20:32 --pools mean</pre>
$ tail -1 a/evaluations.jsonl | ehm_json_ok
time version command model steps settings units task protocol n_test n_train best rows notes
$ ehm eval knn --model a --train scenes:1:60:32 --test scenes:2:20:32 --pools mean --no-record --quiet >/dev/null && wc -l <a/evaluations.jsonl
2
$ ehm eval knn --model a/checkpoints/$(ls a/checkpoints | tail -1) --train scenes:1:60:32 --test scenes:2:20:32 --pools mean --quiet >/dev/null; wc -l <a/evaluations.jsonl
3
$ ehm eval knn --model untrained:a --train scenes:1:60:32 --test scenes:2:20:32 --pools mean --quiet >/dev/null; wc -l <a/evaluations.jsonl
3
$ ehm eval finetune --model a --train scenes:1:48:32 --test scenes:2:20:32 --steps 4 --batch-size 16 --out ft --quiet >/dev/null && ls ft/report.html ft/evaluations.jsonl && wc -l <a/evaluations.jsonl && grep -c '<h4>finetune</h4>' ft/report.html a/report.html
ft/evaluations.jsonl
ft/report.html
4
ft/report.html:1
a/report.html:1

# A run that goes on, and one that is damaged.
$ rm a/DONE && echo '{"step": 5, "lo' >>a/metrics.jsonl && ehm report a --quiet && grep -o 'metrics.jsonl: damaged lines[^<]*' a/report.html
a/report.html: ...
metrics.jsonl: damaged lines were passed over: 1
$ rm a/config.json && ehm report a --quiet && grep -o 'config.json is missing' a/report.html
a/report.html: ...
config.json is missing

# What cannot be.
$ ehm report nowhere
ehm: nowhere: there is no such folder
...
[1]
$ mkdir empty && ehm report empty
ehm: empty: holds no run (neither config.json nor metrics.jsonl)
  hint:  a run folder is what ehm pretrain --out or ehm eval finetune --out wrote; it holds config.json and metrics.jsonl
[1]
$ ehm report r/x.html
ehm: r/x.html: is a file, and a report is made of run folders
[1]
$ ehm report a --json --out -
ehm: --json and --out - would both write to standard output
{"error": ...
[2]
$ ehm report a --report-pictures lots
ehm: --report-pictures lots: must be a size such as 6M
[2]
$ ehm report
ehm: ...
...
[2]
