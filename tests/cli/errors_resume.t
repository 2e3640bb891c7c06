# Going on with a run, starting from weights, and what stands in the way.
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 8 --save-steps 4 --keep 3 --out run --quiet
run: 8 steps, ...
$ ls run/checkpoints
00000004
00000008

# A folder that holds a run.
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 8 --out run --quiet
ehm: run: holds a run that is finished
  hint:  --resume goes on with it, --overwrite deletes it, --out names another folder
[2]
$ ehm pretrain --out run --resume --overwrite
ehm: --overwrite deletes the run that --resume would go on with; give one
[2]
$ mkdir album && echo mine >album/mine.txt && ehm pretrain --data scenes:1:32:32 --out album --overwrite --quiet; cat album/mine.txt
ehm: album: holds "mine.txt" and no run, so --overwrite does not touch it
  hint:  --out names another folder
mine
$ ehm pretrain --out run --resume
run: the run is finished (8 steps); --extend EPOCHS goes on from it

# As it was after a kill: the newest checkpoint is step 4. What differs is named, with both values.
$ rm -r run/checkpoints/00000008 run/DONE run/model.safetensors
$ ehm info run | head -1
run: run folder, format 1, not finished, newest checkpoint at step 4
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 8 --out run --quiet
ehm: run: holds a run
  hint:  --resume goes on with it, --overwrite deletes it, --out names another folder
[2]
$ ehm pretrain --out run --resume --data scenes:1:31:32 --quiet
ehm: run: the run was trained on 32 pictures, scenes:1:31:32 has 31
  hint:  give the data that the run began with, or start another run with --init run
[1]
$ ehm pretrain --out run --resume --data scenes:2:32:32 --quiet
ehm: run: the run's pictures have index hash ..., those of scenes:2:32:32 have ...: names, labels or sizes differ
  hint:  give the data that the run began with, or start another run with --init run
[1]
$ ehm pretrain --out run --resume --depth 3 --quiet
ehm: run: the run has depth 4, but 3 is given
  hint:  leave it out to go on as the run was, or use another --out
[1]
$ ehm pretrain --out run --resume --preset tiny --quiet
ehm: run: the run has preset pico, but tiny is given
...
[1]
$ ehm pretrain --out run --resume --mask-ratio 0.5 --quiet
ehm: run: the run has mask_ratio 0.75, but 0.5 is given
...
[1]
$ ehm pretrain --out run --resume --blr 1e-3 --quiet
ehm: run: the run has blr 0.00015, but 0.001 is given
...
[1]
$ ehm pretrain --out run --resume --steps 10 --quiet
ehm: run: the run has steps 8, but 10 is given
  hint:  leave it out to go on as planned; --extend N adds epochs to a finished run
[1]
$ ehm pretrain --out run --extend 1 --quiet
ehm: run: the run is at step 4 of 8; only a finished one is extended
  hint:  --resume goes on with it
[2]
$ ehm pretrain --out run --resume --quiet
run: 8 steps, ...
$ ehm pretrain --out run --extend 1 --quiet
run: 12 steps, ...
$ ehm pretrain --out run --extend 0.01 --quiet
ehm: --extend 0.01: not a single step; an epoch has 4
[2]
$ ehm pretrain --out none --extend 1
ehm: none: holds no finished run, so there is nothing to extend
  hint:  --epochs sets the length of a new run
[2]
$ ehm pretrain --out none --resume
note: none: no checkpoint to go on from, so the run starts afresh
ehm: no pictures are given
...
[2]

# Stopped before its first checkpoint: its settings are there.
$ mkdir -p early/checkpoints && cp run/config.json early && ehm pretrain --out early --resume --quiet
ehm: no pictures are given
  hint:  --config early/config.json begins that run again as it was
[2]
$ ehm pretrain --config early/config.json --out early --resume --quiet
early: 8 steps, ...

# A checkpoint that was hurt is passed over; where none is whole, nothing is guessed.
$ printf '%s\n' 'for d in "$@"; do printf xxxx | dd of=run/checkpoints/$d/state.bin bs=1 seek=5000 conv=notrunc status=none; done; rm -f run/DONE' >hurt
$ sh hurt 00000012 && ehm pretrain --out run --resume 2>&1 | grep -E '^(warning|run)'
warning: checkpoint 00000012 is passed over: run/checkpoints/00000012/state.bin: its SHA-256 differs
run: 12 steps, ...
$ sh hurt $(ls run/checkpoints) && ehm pretrain --out run --resume --quiet
ehm: run: all checkpoints are damaged
  hint:  --overwrite deletes the run and starts afresh
[1]

# --init: what is no model, and what has other sizes.
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 2 --out run2 --quiet
run2: 2 steps, ...
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 2 --out new --init album --quiet
ehm: --init album: there is no model.safetensors in this folder
  hint:  a run folder has one when the run is finished
[2]
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 2 --out new --init album/mine.txt --quiet
ehm: album/mine.txt: not a safetensors file (5 bytes)
[1]
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 2 --embed-dim 64 --out new --init run2 --quiet
ehm: tensor "cls_token" is 1x1x128 in the file, but 1x1x64 in the model
  while: starting from --init run2
...
[1]
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 2 --num-heads 8 --out new --init run2 --quiet
ehm: run2/model.safetensors has 4 attention heads, and the encoder asked for has 8
  while: starting from --init run2
  hint:  --num-heads 4
[1]
$ ls -d new
ls: cannot access 'new': No such file or directory
[2]

# A run that is being trained names its process.
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --epochs 100000 --threads 1 --out busy --quiet 2>/dev/null & p=$!
> until test -s busy/metrics.jsonl; do kill -0 $p || break; sleep 0.05; done
> ehm pretrain --out busy --resume >o 2>&1; echo $?; sed "s/process $p\$/process P/" o
> ehm pretrain --data scenes:1:32:32 --out busy --overwrite >o 2>&1; echo $?; sed "s/process $p\$/process P/" o
> kill -9 $p; wait $p; rm -rf busy
1
ehm: busy/lock: in use by process P
  hint:  wait for that process or end it; --out names another folder
1
ehm: busy/lock: in use by process P
  hint:  wait for that process or end it; --out names another folder
...

# A deeper network's weights are not cut short in silence.
$ ehm pretrain --data scenes:1:32:32 --preset pico --batch-size 8 --steps 1 --out deep --quiet
...
$ ehm pretrain --data scenes:1:32:32 --preset pico --depth 2 --batch-size 8 --steps 1 --out shallow --init deep --quiet
ehm: deep/model.safetensors holds blocks.2.attn.proj.bias, and ...
  while: starting from --init deep
  hint:  give the sizes of that file's network: ehm info deep/model.safetensors
[1]
