# Evaluations: what they need, and what they say when it is not there.
$ ehm eval knn --model untrained:pico
ehm: --train is missing: the labelled pictures to learn from
  hint:  for example --train scenes:1:5000 --test scenes:2:1000
[2]
$ ehm eval knn --train scenes:1:40:32
ehm: --model is missing: a run folder, a safetensors file or untrained:PRESET
[2]
$ ehm eval
ehm: ehm eval: TASK is missing
  hint:  one of knn...
usage: ehm eval TASK --model M --train D --test D [options]     (ehm help eval)
[2]
$ ehm eval knnn --model untrained:pico --train scenes:1:40:32
ehm: ehm eval knnn: must be one of knn...
  hint:  did you mean knn?
...
[2]

# No labels; unknown classes.
$ mkdir plain && cp "$ROOT/tests/golden/image/rgb.ppm" plain/1.ppm && cp "$ROOT/tests/golden/image/grey.pgm" plain/2.pgm
$ ehm eval knn --model untrained:pico --train plain --test scenes:2:8:32
ehm: plain has no labels, and this evaluation needs them
  hint:  labels are class folders, WebDataset cls members, or IDX, CIFAR and .npy label files
[1]
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test plain
ehm: plain has no labels, and this evaluation needs them
  hint:  labels are class folders, ...
[1]
$ mkdir -p test/cat test/zebra && cp plain/1.ppm test/cat/ && cp plain/1.ppm test/zebra/
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test test
ehm: test: the class "zebra" is not among the 12 classes of scenes:1:40:32
  hint:  there is: bird, boat, car, cat, ...
[1]

# Neighbours: more than there are, none at all, no number.
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --k 41
ehm: --k 41, but scenes:1:40:32 has 40 pictures
[2]
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --k 0
ehm: --k 0: '0' is no whole number above 0
[2]
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --k 5,x
ehm: --k 5,x: 'x' is no whole number above 0
[2]
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --temperature 0
ehm: --temperature 0: '0' is no number above 0
[2]
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --pools cls,men
ehm: --pools cls,men: must be cls, mean or cls,mean
[2]
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --pools mean,mean
ehm: --pools mean,mean: must be cls, mean or cls,mean
[2]
$ ehm eval knn --model untrained:pico --train scenes:1:1:32 --k 1 --quiet
ehm: --split 0.2: of the labelled pictures of scenes:1:1:32, 1 are left to learn from and 0 to be tested on
  hint:  give more pictures, another --split, or a set of its own as --test
[2]

# Two models: what cannot be told apart is not called better.
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --expect-better
ehm: --expect-better needs --against MODEL to be better than
[2]
$ ehm eval knn --model untrained:pico --against untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --k 3 --expect-better --quiet
knn: 8 test pictures, 40 to learn from
...
ehm: untrained:pico is not better than untrained:pico: the interval of the difference is +0.0000 .. +0.0000
[1]
$ ehm eval knn --model untrained:pico --against runs/none --train scenes:1:40:32 --test scenes:2:8:32 --k 3 --quiet
ehm: runs/none: no such file or folder
  hint:  the folder runs/ is not there either
[2]

# Predictions: a line a picture, and a head.
$ ehm eval knn --model untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --k 3 --predictions p/p.tsv --quiet >log && head -2 p/p.tsv && wc -l <p/p.tsv
file	label	predicted	right
000000	...	...	...
9
