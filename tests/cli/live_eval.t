# Evaluations on the way: lines, cost, resume, what is refused.
$ ehm pretrain --data scenes:1:48:32 --out r --recipe mae --preset pico --patch-size 8 --embed-dim 32 --depth 3 --decoder-embed-dim 16 --epochs 4 --batch-size 16 --lr 1e-3 --watch-every 0 --eval-train scenes:3:60:32 --eval-test scenes:4:30:32 --eval-every 1 --quiet
r: 12 steps, last loss ...
$ grep -c '"eval":' r/metrics.jsonl && grep '"eval":' r/metrics.jsonl | tail -1
4
{"step": 12, "epoch": 4, "eval": {"knn_cls": {"value": ..., "lo": ..., "hi": ...}, "knn_cls_standardised": {...}, "knn_mean": {...}, "knn_mean_standardised": {...}, "linear_cls": {...}, ..."linear_cls_log_loss": {...}, "linear_mean": {...}...}}
$ grep -c 'eval_seconds.*eval_share' r/timing.jsonl && grep -c 'evaluation at step .*took .*time so far' r/train.log && ls r | grep -c pictures; grep -c eval_seconds r/metrics.jsonl
4
4
0
0
[1]
$ grep -ao 'eval/[a-z]*_mean[a-z_]*' r/events* | grep -c knn_mean_standardised
4
# The same as a task says of the finished model.
$ ehm eval linear --model r --train scenes:3:60:32 --test scenes:4:30:32 --no-raw --json --quiet | grep -o '"cls, [^"]*", "metric": "top-1", "value": [0-9.]*' | sed 's/.*: //' >a; grep '"step": 12, .*"eval"' r/metrics.jsonl | sed 's/.*"linear_cls": {"value": \([0-9.]*\).*/\1/' >b; cmp a b && test -s a && echo same
same

# Under a stop, with checkpoints between the evaluations: what was cut comes again, nothing twice.
$ ehm pretrain --data scenes:1:48:32 --out s --recipe mae --preset pico --patch-size 8 --embed-dim 32 --depth 3 --decoder-embed-dim 16 --epochs 4 --batch-size 16 --lr 1e-3 --watch-every 0 --eval-train scenes:3:60:32 --eval-test scenes:4:30:32 --eval-every 1 --quiet --save-steps 5 --keep 9
s: 12 steps, last loss ...
$ cp -r s t && rm -r s/checkpoints/00000012 s/DONE s/model.safetensors && ehm pretrain --out s --resume --quiet && cmp r/metrics.jsonl s/metrics.jsonl && cmp r/model.safetensors s/model.safetensors && echo same
s: 12 steps, last loss ...
same
# A line that a stop left out is made up for where the run goes on, here at the step of the checkpoint itself.
$ ehm pretrain --data scenes:1:48:32 --out u --recipe mae --preset pico --patch-size 8 --embed-dim 32 --depth 3 --decoder-embed-dim 16 --epochs 4 --batch-size 16 --lr 1e-3 --watch-every 0 --eval-train scenes:3:60:32 --eval-test scenes:4:30:32 --eval-every 1 --quiet --save-steps 3 --keep 9
u: 12 steps, last loss ...
$ rm -r u/checkpoints/00000012 u/checkpoints/00000009 u/DONE && grep -v '"step": 6, .*"eval"' u/metrics.jsonl >m; cat m >u/metrics.jsonl; ehm pretrain --out u --resume --quiet && cmp r/metrics.jsonl u/metrics.jsonl && echo same
u: 12 steps, last loss ...
same
$ rm -r t/checkpoints/00000012 t/DONE; ehm pretrain --out t --resume --eval-every 2 --quiet
ehm: t: the run has eval_every 1, but 2 is given
...
[1]

# At the end alone, with a share held out; a set smaller than the neighbours.
$ ehm pretrain --data scenes:1:48:32 --out e --recipe mae --preset pico --patch-size 8 --embed-dim 32 --depth 2 --decoder-embed-dim 16 --epochs 2 --batch-size 16 --eval-train scenes:3:22:32 --eval-every 0 --quiet && grep -c '"eval"' e/metrics.jsonl && ls e/pictures | grep -c model
e: 6 steps, last loss ...
1
0
[1]

# What cannot be, before anything is written.
$ ehm pretrain --data scenes:1:48:32 --out x --preset pico --eval-test scenes:4:30:32 --quiet
ehm: --eval-test needs --eval-train: the labelled pictures that evaluations on the way learn from
  hint:  for example --eval-train scenes:1:2000 --eval-test scenes:2:1000
[2]
$ ehm pretrain --data scenes:1:48:32 --out x --preset pico --eval-every 2 --quiet
ehm: --eval-every needs --eval-train: the labelled pictures that evaluations on the way learn from
...
[2]
$ mkdir plain two && mkdir two/cat two/zebra && cp "$ROOT/tests/golden/image/rgb.ppm" plain/1.ppm && cp plain/1.ppm two/cat/ && cp plain/1.ppm two/zebra/
$ ehm pretrain --data scenes:1:48:32 --out x --preset pico --eval-train plain --quiet
ehm: plain has no labels, and this evaluation needs them
  while: opening the pictures of --eval-train and --eval-test
...
[1]
$ ehm pretrain --data scenes:1:48:32 --out x --preset pico --eval-train scenes:3:60:32 --eval-test two --quiet
ehm: two: the class "zebra" is not among the 12 classes of scenes:3:60:32
...
[1]
$ ehm pretrain --data scenes:1:48:32 --out x --preset pico --eval-train nowhere --quiet --dry-run
ehm: nowhere: there is no such file or folder
  while: opening the pictures of --eval-train and --eval-test
...
[2]
$ ls -d x
ls: cannot access 'x': No such file or directory
[2]
