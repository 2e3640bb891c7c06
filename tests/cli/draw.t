# Drawings of trees, masks and attention: what they print, what they write, and every way to ask for what is not there.
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 1 --out run --quiet
run: 1 steps, ...

# masks: rules that need no model, as pictures and as numbers.
$ ehm draw masks --mask random --grid 14x14 --progress 0,0.5,1 --count 3 --out m.ppm
m.ppm: 3 x 3 masks by random on 14 x 14 patches
  u 0.00  removed 147 of 196
  u 0.50  removed 147 of 196
  u 1.00  removed 147 of 196
$ head -c 2 m.ppm
P6
$ ehm draw masks --grid 3x5 --out deeper/still/m.npy --count 2 --progress 0,1 && head -c 128 deeper/still/m.npy | tr -cd '[:print:]' && wc -c <deeper/still/m.npy
deeper/still/m.npy: 2 x 2 masks by random on 3 x 5 patches
  u 0.00  removed 12 of 15
  u 1.00  removed 12 of 15
NUMPY...|u1...(2, 2, 3, 5)...188
$ ehm draw masks --grid 7x1 --mask-ratio 0 --count 1 --progress 1 --out none.ppm && ehm draw masks --grid 7x1 --mask-ratio 1 --count 1 --progress 1 --out all.ppm
none.ppm: 1 x 1 masks by random on 7 x 1 patches
  u 1.00  removed 0 of 7
all.ppm: 1 x 1 masks by random on 7 x 1 patches
  u 1.00  removed 7 of 7

# The same seed, the same masks; another, others. The same masks at any progress are one row.
$ for i in 1 1 2; do ehm draw masks --mask block --grid 8x8 --seed $i --out $i.npy --quiet >/dev/null; cksum <$i.npy; done | uniq | wc -l
2
$ ehm draw masks --mask grid --grid 8x8 --count 1 --out one.ppm
one.ppm: 1 x 1 masks by grid on 8 x 8 patches
...

# A file's masks and scores; a picture without a model.
$ ehm draw masks --mask grid --grid 8x8 --count 1 --progress 1 --out one.npy --quiet && ehm draw masks --mask file --mask-file one.npy --grid 8x8 --out f.ppm
one.npy: ...
  u 1.00  removed 48 of 64
ehm: one.npy: ...
...
[2]
$ ehm draw masks --mask scores:contrast --image scenes:1:1 --grid 8x8 --count 1 --progress 1 --out c.ppm
c.ppm: 1 x 1 masks by scores:contrast on 8 x 8 patches
  u 1.00  removed 48 of 64
$ ehm draw masks --mask ehm --tree-source spatial --grid 8x8 --count 2 --progress 0,1 --k-jitter 0 --out s.ppm
s.ppm: 2 x 2 masks by ehm on 8 x 8 patches
  u 0.00  removed 48 of 64
  u 1.00  removed 48 of 64, K 10.0: ...

# From a model: the rule and its settings are those of its run unless given.
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 1 --mask block --mask-ratio 0.5 --out blocks --quiet
blocks: 1 steps, ...
$ ehm draw masks --model blocks --image scenes:1:1:32 --count 2 --progress 1 --out b.ppm
b.ppm: 1 x 2 masks by block on ...
  u 1.00  removed 32 of 64
$ ehm draw masks --model blocks --image scenes:1:1:32 --count 2 --progress 1 --mask random --mask-ratio 0.75 --out b.ppm
b.ppm: 1 x 2 masks by random on ...
  u 1.00  removed 48 of 64
$ ehm draw masks --model run --mask ehm --image scenes:1:2:32 --count 2 --progress 0,1 --out e.ppm --json 2>/dev/null | ehm_json_ok
out mask grid_h grid_w n_each picture rows
$ ehm draw tree --model run --image scenes:1:2:32 --out t.ppm --quiet
t.ppm: 2 pictures, ...
$ ehm draw tree --model run --image scenes:1:2:32 --out t.ppm --json 2>/dev/null | ehm_json_ok
out n pictures
$ ehm draw tree --model run --image scenes:1:2:32 --out t.ppm --quiet --tree-source spatial --linkage ward --count 1
t.ppm: 1 picture, ...; tree from spatial, ward linkage
$ ehm draw tree --model run --image scenes:1:2:32 --out t.ppm --quiet --tree-source labels && ehm draw tree --model run --image scenes:1:2:32 --out t.ppm --quiet --tree-source swapped
t.ppm: 2 pictures, ...
t.ppm: 2 pictures, ...
$ ehm draw attention --model run --image scenes:1:2:32 --out a.ppm --quiet
a.ppm: 2 pictures, ... 4 blocks of 4 heads
$ ehm draw attention --model run --image scenes:1:2:32 --out a.ppm --quiet --json | ehm_json_ok
out n blocks heads pictures
$ ehm draw reconstruct --model run --mask ehm --image scenes:1:2:32 --out r.ppm --quiet
r.ppm: 2 pictures, ...

# What is missing.
$ ehm draw tree --image scenes:1:2:32 --out t.ppm
ehm: --model is missing: a run folder or a model.safetensors
[2]
$ ehm draw attention --model run --out a.ppm
ehm: --image is missing: a picture, a folder, a list or a set
[2]
$ ehm draw tree --model run --image scenes:1:2:32
ehm: --out is missing: the picture to write
[2]
$ ehm draw tree --model run --image scenes:1:2:32 --out t.npy
ehm: --out t.npy: the name of a drawing ends in .png, .ppm or .pgm
[2]
$ ehm draw masks --grid 8x8 --out m.gif
ehm: --out m.gif: the name of a drawing ends in .png, .ppm or .pgm, that of numbers in .npy
[2]
$ ehm draw masks --out m.ppm
ehm: which patches? --model and --image, or --grid are missing
  hint:  --grid 14x14 is enough for rules that look at no picture
[2]
$ ehm draw masks --mask ehm --grid 14x14 --out m.ppm
ehm: mask rule ehm needs the model's attention: --model and --image are missing
[2]
$ ehm draw masks --mask attention --grid 14x14 --image scenes:1:1 --out m.ppm
ehm: mask rule attention needs the model's attention: --model is missing
[2]
$ ehm draw masks --mask ehm --model run --out m.ppm
ehm: mask rule ehm needs the model's attention: --image is missing
[2]
$ ehm draw masks --mask ehm --tree-source pixels --grid 14x14 --out m.ppm
ehm: mask rule ehm needs the picture's colours: --image is missing
[2]
$ ehm draw masks --mask ehm --tree-source labels --grid 14x14 --out m.ppm
ehm: mask rule ehm needs the picture's labels: --image is missing
[2]
$ ehm draw masks --mask ehm --tree-source file --grid 14x14 --out m.ppm
ehm: --mask-file is missing: mask rule ehm takes similarities from an .npy file
[2]
$ ehm draw masks --mask scores --grid 14x14 --out m.ppm
ehm: --mask-file is missing: mask rule scores takes its numbers from an .npy file
[2]
$ ehm draw masks --mask file --mask-file nowhere.npy --grid 14x14 --out m.ppm
ehm: nowhere.npy: ...
...
[1]
$ ehm draw masks --mask scores:loss --grid 14x14 --out m.ppm
ehm: mask rule scores:loss needs each patch's last loss, which only a training knows
[2]
$ ehm draw tree --model run --image scenes:1:1:32 --tree-source swapped --out t.ppm
ehm: scenes:1:1:32: --tree-source swapped takes another picture's tree, and only one can be read
  hint:  name a second picture with another --image
[2]
$ ehm draw tree --model run --image scenes:1:1:32 --tree-source file --out t.ppm
ehm: --mask-file is missing: --tree-source file takes similarities from an .npy file
[2]
$ ehm draw tree --model run --image scenes:1:1:32 --tree-layers 0,9 --out t.ppm
ehm: --tree-layers 0,9: the encoder has 4 blocks
  hint:  ...
[2]

# What cannot be.
$ ehm draw masks --grid 14 --out m.ppm
ehm: --grid 14: must be HEIGHTxWIDTH in patches, such as 14x14, each 1 to 1024
[2]
$ ehm draw masks --grid 0x4 --out m.ppm
ehm: --grid 0x4: must be HEIGHTxWIDTH in patches, such as 14x14, each 1 to 1024
[2]
$ ehm draw masks --grid 4x4x4 --out m.ppm
ehm: --grid 4x4x4: must be ...
[2]
$ ehm draw masks --grid 8x8 --model run --image scenes:1:1:32 --out m.ppm
ehm: --grid 8x8 and --model cannot be had together: a model has a grid of its own
[2]
$ ehm draw masks --grid 8x8 --progress lr --out m.ppm
ehm: --progress lr: "lr" is no number from 0 to 1
  hint:  draw masks takes a list of values, such as 0,0.5,1
[2]
$ ehm draw masks --grid 8x8 --progress 0,1.5 --out m.ppm
ehm: --progress 0,1.5: "1.5" is no number from 0 to 1
  hint:  draw masks takes a list of values, such as 0,0.5,1
[2]
$ ehm draw masks --grid 8x8 --progress 0,,1 --out m.ppm
ehm: --progress 0,,1: "" is no number from 0 to 1
  hint:  draw masks takes a list of values, such as 0,0.5,1
[2]
$ ehm draw masks --grid 8x8 --progress nan --out m.ppm
ehm: --progress nan: "nan" is no number from 0 to 1
  hint:  draw masks takes a list of values, such as 0,0.5,1
[2]
$ ehm draw masks --grid 8x8 --mask radnom --out m.ppm
ehm: mask rule "radnom" is not known
  hint:  did you mean "random"? ehm list masks shows all
[2]
$ ehm draw masks --grid 8x8 --mask color:grene --out m.ppm
ehm: ...
...
[2]
$ ehm draw masks --grid 1024x1024 --count 10000 --out m.npy
ehm: 5 values of 10000 masks of 1048576 patches are too many to draw: a smaller --count
[2]
$ ehm draw masks --grid 8x8 --count 1000 --progress 0 --out m.ppm
ehm: the strip of masks would be ... px (at most 32768): draw fewer at once
[1]
$ ehm draw tree --model run --image scenes:1:2:32 --grid 8x8 --out t.ppm
ehm: --grid: ehm draw tree takes no such option
  hint:  taken by: ehm draw masks
usage: ehm draw WHAT --model M --image I --out F.png [options]     (ehm help draw)
[2]

# Pictures that cannot be read are left out, with the reason.
$ mkdir set && ehm data scenes:1:3:32 --export exported --quiet >/dev/null && cp $(find exported -name '*.p?m' -o -name '*.png' | head -2) set && head -c 60 "$(ls -d set/* | head -1)" >set/half && mv set/half "$(ls -d set/* | head -1)"
$ ehm draw tree --model run --image set --out t.ppm 2>&1 | grep -v ^note
warning: left out: ...: ...
t.ppm: 1 picture, ...
