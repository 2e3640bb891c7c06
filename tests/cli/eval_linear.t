# Linear probe: tables, files, low shot, and what is refused.
$ ehm eval linear --train scenes:1:40:32
ehm: --model is missing: a run folder, a safetensors file or untrained:PRESET
[2]
$ ehm eval linear --model untrained:pico
ehm: --train is missing: the labelled pictures to learn from
...
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --strengths 0.1,1e-3,1,0.1,10 --quiet
linear: 40 test pictures, 120 to learn from
model           features ...top-1...top-5...log loss
untrained:pico  cls, C ...
untrained:pico  mean, C ...
(pixels)        raw pixels 32x32x3, C ...
protocol: ...mean 0 and deviation 1...
note: chosen on ... held-out pictures: untrained:pico cls C ... %); untrained:pico mean C ... %); raw pixels C ... %)
...
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --pools mean --no-raw --no-standardise --strengths 1 --quiet
linear: 40 test pictures, 120 to learn from
model           features ...
untrained:pico  mean, C 1 ...  <
protocol: ...features as they are...
note: chosen on ...

# The same for any number of threads; another seed holds other pictures out.
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --threads 1 --workers 1 --json --quiet >a && ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --threads 2 --workers 3 --json --quiet >b && cmp a b && ehm_json_ok <a
task protocol n_test n_train best rows notes
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --threads 1 --workers 1 --seed 1 --json --quiet >b; cmp -s a b
[1]

# Low shot: so many pictures of each class, several times.
$ ehm eval linear --model untrained:pico --train scenes:1:200:32 --test scenes:2:40:32 --shots 3 --draws 4 --no-raw --confusion c/c.tsv --predictions p.tsv --quiet
linear: 40 test pictures, 36 to learn from
model           features ...
untrained:pico  cls, 3 a class ...
untrained:pico  mean, 3 a class ...
protocol: ...
note: most confused: ... taken for ...
note: chosen on 12 held-out pictures: ...
...
note: pictures a class: 3, drawn 4 times; figures are means over the draws, intervals cover draws and test pictures
$ awk -F '\t' 'NR > 1 { for (i = 2; i <= NF; i++) n += $i } END { print NR, NF, n }' c/c.tsv && head -1 c/c.tsv | cut -f 1-3 && wc -l <p.tsv
13 13 160
true	bird	boat
41
$ ehm eval linear --model untrained:pico --train scenes:1:200:32 --test scenes:2:40:32 --shots 1 --draws 2 --no-raw --quiet
linear: 40 test pictures, 12 to learn from
model ...
untrained:pico  cls, 1 a class ...)
untrained:pico  mean, 1 a class ...  <
protocol: ...
note: no class has a second picture that could be held out, so nothing was chosen: untrained:pico cls C 0.01; untrained:pico mean C 0.01
...

# Without a test set, and two models on the same pictures.
$ ehm eval linear --model untrained:pico --against untrained:pico --train scenes:1:160:32 --strengths 0.01,0.1 --expect-better --quiet
linear: ...
model           features ...
untrained:pico  cls, ...
                  difference ...+0.00 (+0.00 .. +0.00)...
...
note: no --test given: a share of 0.2 of scenes:1:160:32 was held out and tested on
ehm: untrained:pico is not better than untrained:pico: the interval of the difference is +0.0000 .. +0.0000
[1]

# What cannot be.
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:8:32 --shots 100 --quiet
ehm: --shots 100, but the class "bird" of scenes:1:120:32 has ... pictures to learn from
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --draws 3
ehm: --draws 3 needs --shots: without it all pictures are learned from, once
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --strengths 1,0
ehm: --strengths 1,0: '0' is no number above 0
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --strengths inf
ehm: --strengths inf: 'inf' is no number above 0
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --pools patches
ehm: --pools patches: must be cls, mean or cls,mean
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --k 3
ehm: --k: ehm eval linear takes no such option
  hint:  taken by: ehm eval knn, ehm compare
...
[2]
$ mkdir -p two/cat two/zebra plain && cp "$ROOT/tests/golden/image/rgb.ppm" two/cat/1.ppm && cp two/cat/1.ppm two/zebra/ && cp two/cat/1.ppm plain/
$ ehm eval linear --model untrained:pico --train scenes:1:1:32 --test scenes:2:8:32 --quiet
ehm: scenes:1:1:32: all 1 pictures to learn from are of the class "...", and a probe tells classes apart
[1]
$ ehm eval linear --model untrained:pico --train scenes:1:40:32 --test two --quiet
ehm: two: the class "zebra" is not among the 12 classes of scenes:1:40:32
...
[1]
$ ehm eval linear --model untrained:pico --train plain --test plain --quiet
ehm: plain has no labels, and this evaluation needs them
...
[1]

# Classes without a picture to learn from are no part of the model: what is of them counts as wrong.
$ ehm eval linear --model untrained:pico --train scenes:1:8:32 --test scenes:2:40:32 --no-raw --quiet
linear: 40 test pictures, 8 to learn from
...
note: ... test pictures are of classes without a picture to learn from and count as wrong
...

# A share of each class, at least one of each: low-shot evaluation. Several depths side by side.
$ ehm eval linear --model untrained:pico --train scenes:1:240:32 --test scenes:2:40:32 --shots-share 0.1 --draws 3 --no-raw --depths last:2 --quiet
linear: 40 test pictures, 24 to learn from
model           features ...
untrained:pico  cls of depths last:2, 10 % of a class ...
untrained:pico  mean of depths last:2, 10 % of a class ...
protocol: ...
note: chosen on 12 held-out pictures: ...
...
note: 10 % of each class's pictures, at least one (24 in all), drawn 3 times; figures are means over the draws, intervals cover draws and test pictures
$ ehm eval linear --model untrained:pico --train scenes:1:240:32 --test scenes:2:40:32 --shots-share 0.001 --draws 1 --no-raw --pools mean --quiet | head -1
linear: 40 test pictures, 12 to learn from
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --shots 3 --shots-share 0.1 --quiet
ehm: --shots 3 and --shots-share 0.1: give one
[2]

# As masked autoencoders are probed.
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --protocol mae --epochs 2 --confusion c.tsv --predictions p.tsv --quiet
linear: 40 test pictures, 120 to learn from
model           features  top-1 ...
untrained:pico  cls       ...
untrained:pico  mean      ...
protocol: linear probing of masked autoencoders (He et al. 2022, A.1): ...
note: batch 16 (published: 16384), rate 0.00625 (0.1 * batch / 256 published), warm-up 0.222 of 2 epochs, 14 steps, weight decay 0
note: most confused: ...
note: loss on the training crops of the last epoch: untrained:pico cls ...; untrained:pico mean ...
$ wc -l <p.tsv
41
$ ehm eval linear --model untrained:pico --against untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --protocol mae --epochs 1 --batch-size 32 --blr 0.2 --weight-decay 0.01 --warmup-epochs 0 --depths 2,4 --no-raw --quiet
linear: 40 test pictures, 120 to learn from
model           features            top-1 ...
untrained:pico  cls of depths 2,4   ...
                  difference        +0.00 (+0.00 .. +0.00)...
untrained:pico  mean of depths 2,4  ...
                  difference        +0.00 (+0.00 .. +0.00)...
untrained:pico  cls of depths 2,4   ...
untrained:pico  mean of depths 2,4  ...
protocol: ...
note: batch 32 (published: 16384), rate 0.025 (0.1 * batch / 256 published), warm-up 0 of 1 epochs, 3 steps, weight decay 0.01
...
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --protocol mae --epochs 2 --threads 1 --workers 1 --json --quiet >a && ehm eval linear --model untrained:pico --train scenes:1:120:32 --protocol mae --epochs 2 --threads 2 --workers 3 --json --quiet >b && cmp a b && ehm_json_ok <a
task protocol n_test n_train best rows notes
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --protocol mae --epochs 2 --seed 1 --split 0.2 --json --quiet >b; cmp -s a b
[1]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --epochs 3
ehm: --epochs: not a setting of --protocol fast
  hint:  it belongs to --protocol mae
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --protocol mae --shots 3
ehm: --shots: not a setting of --protocol mae
  hint:  it belongs to --protocol fast
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --protocol mae --clip-grad 1
ehm: --clip-grad: not a setting of --protocol mae
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --protocol mae --batch-size 121 --quiet
ehm: a batch of 121 of 120 labelled pictures: batch norm needs two pictures, and a batch has no picture twice
[2]
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --protocol moco
ehm: --protocol moco: must be one of fast|mae
...
[2]
# A stop leaves nothing behind.
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --protocol mae --epochs 100000 --predictions late.tsv --quiet 2>o & p=$!
> sleep 3; kill -TERM $p; wait $p; echo $?; head -1 o; ls late.tsv 2>/dev/null
143
ehm: stopped ...
[2]
