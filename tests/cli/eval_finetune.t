# Fine-tuning: a table, files, a run folder that goes on, two models, and what is refused.
$ ehm eval finetune --train scenes:1:40:32
ehm: --model is missing: a run folder, a safetensors file, untrained:RUN or untrained:PRESET
[2]
$ ehm eval finetune --model untrained:pico
ehm: --train is missing: the labelled pictures to learn from
...
[2]
$ ehm eval finetune --model untrained:pico --train scenes:1:40:32 --rand-augment loud
ehm: --rand-augment loud: must be auto, off or a policy such as m9-mstd0.5
...
[2]
$ ehm eval finetune --model untrained:pico --train scenes:1:40:32 --pool patches
ehm: --pool patches: a classifier reads mean or cls
[2]
$ ehm eval finetune --model untrained:pico --train scenes:1:40:32 --mask random
ehm: --mask: ehm eval finetune takes no such option
...
[2]
$ ehm eval finetune --model untrained:pico --train scenes:1:40:32 --frozen --drop-path 0.1 --quiet
ehm: --drop-path 0.1 needs an encoder that learns, and --frozen keeps it
[2]

# From scratch, with a run folder.
$ ehm eval finetune --model untrained:pico --train scenes:1:96:32 --test scenes:2:40:32 --steps 4 --batch-size 16 --out r --save m.safetensors --predictions p.tsv --confusion c.tsv --quiet
finetune: 40 test pictures, 96 to learn from
model           training ...top-1...top-5...log loss
untrained:pico  whole network, mean, 0.67 epochs ...  <
protocol: ...layer-wise decay of the rate...
note: trained for 4 steps of 16 pictures, ...
...
$ ls r && wc -l <p.tsv && cmp m.safetensors r/model.safetensors
DONE
checkpoints
config.json
...
metrics.jsonl
model.safetensors
...
41
$ ehm eval finetune --model untrained:pico --train scenes:1:96:32 --test scenes:2:40:32 --steps 4 --batch-size 16 --out r --quiet
ehm: r: holds a run that is finished
...
[2]
$ ehm eval finetune --model untrained:pico --train scenes:1:96:32 --test scenes:2:40:32 --steps 4 --batch-size 16 --out r --resume --predictions q.tsv --quiet
finetune: 40 test pictures, ...
...
$ cmp p.tsv q.tsv

# The head alone, without a test set, two models on the same pictures; the same for any number of threads.
$ ehm eval finetune --model untrained:pico --against untrained:pico --train scenes:1:120:32 --steps 3 --batch-size 16 --frozen --pool cls --rand-augment off --threads 1 --device ref --json --quiet >a && ehm_json_ok <a
task protocol n_test n_train best rows notes
$ ehm eval finetune --model untrained:pico --against untrained:pico --train scenes:1:120:32 --steps 3 --batch-size 16 --frozen --pool cls --rand-augment off --threads 2 --workers 3 --device ref --json --quiet >b && cmp a b
$ ehm eval finetune --model untrained:pico --against untrained:pico --train scenes:1:120:32 --steps 3 --batch-size 16 --frozen --pool cls --rand-augment off --quiet
finetune: ...
model                   training ...
untrained:pico          head alone, cls, ...  <
...difference ...+0.00 (+0.00 .. +0.00)...+0.000 (+0.000 .. +0.000)
untrained:pico (again)  head alone, cls, ...
...
