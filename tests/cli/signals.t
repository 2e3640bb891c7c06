# A run that is asked to stop leaves a checkpoint and goes on from it; a loss that is no number ends it with 3.
? env --default-signal=INT true
$ printf '%s\n' 'env --default-signal=INT ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --epochs 100000 --threads 1 --out run "$@" >/dev/null & p=$!' 'n=$(wc -l 2>/dev/null <run/metrics.jsonl); until [ "$(wc -l 2>/dev/null <run/metrics.jsonl)" -gt "${n:-0}" ] 2>/dev/null; do kill -0 $p || break; sleep 0.05; done' 'kill -$SIG $p; wait $p; echo $?' >stop
$ SIG=INT sh stop --quiet
ehm: run: stopped at step ... of 400000, checkpoint written
  hint:  the same command with --resume goes on
130
$ test "$(ls run/checkpoints | wc -l)" -ge 1 && test ! -e run/DONE && ehm info run | head -1
run: run folder, format 1, not finished, newest checkpoint at step ...
$ SIG=TERM sh stop --resume --quiet
ehm: run: stopped at step ... of 400000, checkpoint written
  hint:  the same command with --resume goes on
143
$ SIG=INT sh stop --resume 2>&1 | grep -A1 -e '^ehm: stop' -e '^130'
ehm: stopping; again to end at once
...
130

# Not one line of the curve is lost or stands there twice.
$ sed 's/,.*//' run/metrics.jsonl | sort | uniq -d

# Other commands end at the next picture.
$ timeout --preserve-status -s INT 2 ehm data scenes:1:1000000:32 --check --quiet
ehm: stopped ...
[130]
$ timeout --preserve-status -s TERM 2 ehm embed --model untrained:pico --data scenes:1:1000000:32 --out f.npy --quiet; echo $?; ls f.npy* f.tsv*
ehm: stopped ...
143
ls: ...
ls: ...
[2]
$ timeout --preserve-status -s INT 2 ehm draw reconstruct --model untrained:pico --image scenes:1:1000000:32 --count 2000 --out d.ppm --quiet
ehm: stopped ...
[130]

# A loss or gradient that is not finite: what, where, and the pictures.
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 50 --lr 1000 --clip-grad 0 --warmup-epochs 0 --out nan --quiet
ehm: step ...: the ... is not finite (...
  hint:  ...nonfinite.json names the pictures...
[3]
$ ehm_json_ok <nan/nonfinite.json
step epoch seed lr loss grad_norm samples...
$ test ! -e nan/DONE && test ! -e nan/model.safetensors
