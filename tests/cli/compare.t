# Several models on several tasks: groups by seed, differences, what is refused.
$ for s in 0 1 2; do ehm pretrain --data scenes:1:48:32 --preset pico --steps 2 --batch-size 16 --seed $s --out a$s --quiet && ehm pretrain --data scenes:1:48:32 --preset pico --mask block --recipe mae --steps 2 --batch-size 16 --seed $s --out b$s --quiet || exit 1; done >/dev/null

# One seed each: the same figures as ehm eval has, and the same difference as --against gives.
$ ehm compare a0 b0 --tasks knn,linear --train scenes:1:120:32 --test scenes:2:60:32 --strengths 0.01,1 --quiet
task    model  seeds  features ...metric    value  95 % interval ...difference to a0
knn     a0     1      ...top-1, % ...(baseline)
knn     b0     1      ...top-1, % ... (...)...
linear  a0     1      ...top-1, % ...(baseline)
linear  b0     1      ...top-1, % ... (...)...
linear  a0     1      ...top-5, % ...(baseline)
linear  b0     1      ...top-5, % ... (...)...
linear  a0     1      ...log loss ...(baseline)
linear  b0     1      ...log loss ... (...)...
...
one seed: covers test items alone; a claim about a method needs at least 3
differences are paired: ...
knn: 60 test items, 120 to learn from; protocol: ...
...
$ ehm compare a0 b0 --tasks finetune --train scenes:1:48:32 --test scenes:2:20:32 --steps 6 --batch-size 16 --lr 1e-3 --json --quiet >c.json && ehm_json_ok <c.json && grep -o '"metric": "log loss".*' c.json | grep -o '"difference\(_lo\|_hi\|\)": [^,]*' >mine; ehm eval finetune --model b0 --against a0 --train scenes:1:48:32 --test scenes:2:20:32 --steps 6 --batch-size 16 --lr 1e-3 --json --quiet | grep -o '"metric": "log loss".*' | grep -o '"difference\(_lo\|_hi\|\)": [^,}]*' >theirs; wc -l <mine; awk -F: 'NR == FNR { v[NR] = $2; next } { d = v[FNR] - $2; if (d < -1e-6 || d > 1e-6) print "differs", v[FNR], $2 }' mine theirs
baseline groups tasks rows
3

# Runs that differ by their seed alone are one group, whatever their order; the untrained model is another.
$ ehm compare b1 a0 a2 b0 a1 b2 untrained:a0 --baseline a2 --tasks knn --train scenes:1:120:32 --test scenes:2:60:32 --quiet
task  model         seeds  features ...metric    value  95 % interval...spread  difference to a{0,1,2}
knn   a{0,1,2}      3 ...(baseline)
knn     a0          (0) ...
knn     a1          (1) ...
knn     a2          (2) ...
knn   b{0,1,2}      3 ... (... .. ...)...
knn     b0          (0) ...
knn     b1          (1) ...
knn     b2          (2) ...
knn   untrained:a0  1 ...
...
one seed: ...
3 or more seeds: mean and standard deviation (spread) over them; intervals draw test items and seeds
groups that do not share their seeds are compared by their means, seeds of each drawn apart
...
$ ehm compare a0 a1 a2 b0 b1 b2 --tasks knn --train scenes:1:120:32 --test scenes:2:60:32 --json --quiet | grep -o '"\(name\|seeds\|n_seeds\|covers\|paired_by_seed\|difference_covers\)": [^,}]*' | LC_ALL=C sort | uniq -c | sed 's/^ *//'
2 "covers": "items and seeds"
6 "covers": "items"
1 "difference_covers": "items and seeds"
6 "n_seeds": 1
2 "n_seeds": 3
1 "name": "a{0
1 "name": "b{0
1 "paired_by_seed": true
2 "seeds": [0

# All rows, with what the tasks compare with.
$ ehm compare a0 b0 --tasks knn --train scenes:1:120:32 --test scenes:2:60:32 --pools cls --k 5,10 --all-rows --quiet >all && grep -c '^knn  *a0 ' all; grep -c '^knn  *b0 .* (.*)' all; grep -c '^knn  *(pixels)' all
4
4
2
# Tasks whose measures are no means over items; what one of them does not take is no mistake where another does.
$ ehm compare a0 b0 --tasks segment,tree --train scenes:1:32:32 --test scenes:2:12:32 --steps 2 --batch-size 16 --quiet
task     model  seeds  features ...
segment  a0     1      mlp, fine-tuned  mean IoU, % ...(baseline)
segment  b0     1      mlp, fine-tuned  mean IoU, % ...
segment  a0 ...
segment  b0 ...
segment  a0 ...
segment  b0 ...
tree     a0     1      own - swapped    purity ...(baseline)
tree     b0     1      own - swapped    purity ...
...

# What is refused.
$ ehm compare a0 --tasks knn
ehm: two or more models are compared, and one was given
  hint:  ehm eval TASK --model a0 measures one
...
[2]
$ ehm compare a0 a0/ --tasks knn
ehm: a0/: is given twice, the other time as a0
[2]
$ ehm compare a0 a0/model.safetensors b0 --tasks knn --quiet
ehm: a0/model.safetensors: is given twice, the other time as a0
[2]
$ ehm compare a0 b0
ehm: --tasks is missing: what the models are compared on
...
[2]
$ ehm compare a0 b0 --tasks knn,lineal
ehm: there is no evaluation task 'lineal'; there are: ...
  while: reading --tasks knn,lineal
  hint:  did you mean 'linear'?
...
[2]
$ ehm compare a0 b0 --tasks knn,knn
ehm: --tasks knn,knn: knn stands there twice
[2]
$ ehm compare a0 b0 --tasks knn --baseline a1 --train scenes:1:20:32 --quiet
ehm: --baseline a1: is none of the models that are compared
...
[2]
$ ehm compare a0 b0 --tasks knn
ehm: --train is missing: the pictures that knn learns from
[2]
$ ehm compare a0 b0 --tasks tree,knn --train scenes:1:20:32
ehm: --test is missing: the pictures that tree looks at
[2]
$ ehm compare a0 b0 --tasks knn --train scenes:1:20:32 --epochs 3
ehm: --epochs: none of the tasks knn has a use for it
[2]
$ ehm compare a0 b0 --tasks knn --train scenes:1:20:32 --against a1
ehm: --against: ehm compare takes no such option
  hint:  taken by: ehm eval
...
[2]
$ echo '{"against": "a1"}' >against.json && ehm compare a0 b0 --tasks knn --train scenes:1:20:32 --config against.json
ehm: --against: is for a single model, and ehm compare has several
  hint:  --baseline M is the model that the others are compared with
[2]
$ mkdir p && ehm data scenes:3:4:32 --export s >/dev/null 2>&1 && cp s/images/*/*.png p && ehm compare a0 b0 --tasks tree,segment --train p --test p --quiet
ehm: the task segment needs label maps, and p has none
[1]
$ ehm pretrain --data scenes:1:32:32 --channels 1 --preset pico --steps 1 --batch-size 16 --out grey --quiet >/dev/null && ehm compare a0 grey --tasks knn --train scenes:1:20:32 --quiet
ehm: a0 takes 3 channels and grey takes 1: they cannot look at the same pictures
[1]
