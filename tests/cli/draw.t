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
a.ppm: 2 pictures, ...; block 4 of 4, 4 heads
$ ehm draw attention --model run --image scenes:1:2:32 --out a.ppm --quiet --json | ehm_json_ok
out n blocks block heads pictures
$ ehm draw reconstruct --model run --mask ehm --image scenes:1:2:32 --out r.ppm --quiet
r.ppm: 2 pictures, ...; mean loss on hidden patches ...
$ for how in patch visible none; do ehm draw reconstruct --model run --image scenes:1:1:32 --unnorm $how --out $how.ppm --quiet >/dev/null; cksum <$how.ppm; done | sort -u | wc -l
3

# attention: a block, a patch, numbers. The maps are the mean of heads, four heads, and rollout.
$ ehm draw attention --model run --image scenes:1:2:32 --layer 2 --point 3,8 --out a.ppm --quiet
a.ppm: 2 pictures, ...; block 2 of 4, 4 heads
$ ehm draw attention --model run --image scenes:1:3:32 --layer 1 --out a.npy --quiet && head -c 128 a.npy | tr -cd '[:print:]'
a.npy: [3, 6, 8, 8] f32, mean of heads, 4 heads, rollout; block 1 of 4, 4 heads
NUMPY...f4...(3, 6, 8, 8)...

# features: one basis, of the pictures drawn or of another set.
$ ehm draw features --model run --image scenes:1:3:32 --out f.ppm --quiet
f.ppm: 3 pictures, ...; components hold ... % of the variance of 192 patches
$ ehm draw features --model run --image scenes:1:1:32 --basis-from scenes:2:40:32 --basis-count 10 --layer 2 --out f.ppm --json --quiet | ehm_json_ok
out n basis_pictures basis_patches explained pictures
$ ehm draw features --model run --image scenes:1:1:32 --basis-from scenes:2:40:32 --basis-count 10 --out one.npy --quiet && ehm draw features --model run --image scenes:1:2:32 --basis-from scenes:2:40:32 --basis-count 10 --out two.npy --quiet
one.npy: [1, 8, 8, 3] f32; components hold ... % of the variance of 640 patches
two.npy: [2, 8, 8, 3] f32; components hold ... % of the variance of 640 patches
$ tail -c 768 one.npy >one && head -c -768 two.npy | tail -c 768 | cmp - one && echo the same picture, the same numbers
the same picture, the same numbers

# neighbours: of the set itself or of another; copies are seen.
$ ehm draw neighbours --model run --image scenes:1:6:32 --count 2 --nearest 3 --out n.ppm --quiet
n.ppm: 2 pictures, ...; 6 neighbours among 6 pictures, ... of 6 of the query's label
$ ehm draw neighbours --model run --image scenes:1:2:32 --data scenes:1:9:32 --pool cls --nearest 2 --out n.ppm --quiet
n.ppm: 2 pictures, ...; 4 neighbours among 9 pictures, ... of the query's label, 2 exact copies
$ ehm draw neighbours --model run --image scenes:1:2:32 --data scenes:1:9:32 --nearest 100 --out n.ppm --json --quiet | ehm_json_ok
out n searched pool pictures neighbours

# One file a picture, for every word; names stay apart.
$ ehm data scenes:1:4:32 --export pictures --quiet >/dev/null && find pictures/images -name '0000*' | sort >list.txt && wc -l <list.txt
4
$ for w in reconstruct attention features tree neighbours masks; do ehm draw $w --model run --image list.txt --each --out each_$w --quiet | cut -d. -f1; ls each_$w | wc -l; done
each_reconstruct: 4 drawings, pictures_images_...
4
each_attention: 4 drawings, pictures_images_...
4
each_features: 4 drawings, pictures_images_...
4
each_tree: 4 drawings, pictures_images_...
4
each_neighbours: 4 drawings, pictures_images_...
4
each_masks: 4 drawings, pictures_images_...
4
$ ehm draw tree --model run --image list.txt --each --count 2 --out two --json --quiet | ehm_json_ok && ls two | wc -l
out n pictures
2
$ ehm draw attention --model run --image list.txt --image pictures/images --each --out both --json --quiet | ehm_json_ok && ls both | wc -l
out n blocks block heads pictures files
8
$ ehm draw features --model run --image "$(head -1 list.txt)" --out single.ppm --quiet
single.ppm: 1 picture, ...

# What --each is not.
$ ehm draw tree --model run --image list.txt --each --out t.png
ehm: --out t.png: with --each it is the folder for one file a picture, and this names a file
  hint:  leave --each out for one sheet of all pictures
[2]
$ ehm draw attention --model run --image list.txt --each --out a.npy
ehm: --out a.npy: with --each it is the folder for one file a picture, and this is a file
  hint:  leave --each out for one sheet of all pictures
[2]
$ ehm draw tree --model run --image list.txt --each --out list.txt
ehm: --out list.txt: with --each it is the folder for one file a picture, and this is a file
  hint:  leave --each out for one sheet of all pictures
[2]
$ ehm draw tree --model run --image list.txt --out two
ehm: --out two: the name of a drawing ends in .png, .ppm or .pgm
  hint:  with --each it is a folder, for one file a picture
[2]
$ ehm draw masks --grid 8x8 --each --out m
ehm: --each makes a strip of masks for every picture: --image is missing
[2]
$ ehm draw tree --model run --image scenes:1:300:32 --count 300 --tree-source spatial --out t.ppm --quiet
ehm: t.ppm: a sheet of 300 drawings would be ... px (at most 32768)
  hint:  a smaller --count, or --each for one file a picture
[2]
$ ehm draw attention --model run --image scenes:1:3000:32 --count 3000 --out t.ppm
ehm: --count 3000: a sheet of more than 2000 pictures cannot be read
  hint:  --each writes one file a picture
[2]

# Any number of channels: said how they are shown, others on request.
$ printf '\223NUMPY\1\0\166\0%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 16, 24, 4), }" >four.npy && head -c 9216 /dev/zero | tr '\0' 'x' >>four.npy
$ ehm pretrain --data four.npy --preset pico --patch-size 8 --img-size 16x24 --batch-size 2 --steps 1 --watch-every 0 --out run4 --quiet
run4: 1 steps, ...
$ for w in reconstruct attention features tree neighbours masks; do ehm draw $w --model run4 --image four.npy --count 2 --show-channels 4,3,2 --out four_$w.ppm --quiet >/dev/null 2>&1; head -c 2 four_$w.ppm; done; echo
P6P6P6P6P6P6
$ ehm draw tree --model run4 --image four.npy --show-channels 5 --out t.ppm
ehm: --show-channels 5: there is no such channel
  hint:  one number (grey), two (red and cyan) or three (red, green, blue), each from 1 to 4
[2]
$ ehm draw tree --model run4 --image scenes:1:2:32 --out t.ppm
ehm: none of the 2 pictures can be used: ...: a picture of 3 channels cannot become one of 4; ...
...
[1]

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
$ ehm draw features --model run --image scenes:1:1:32 --each
ehm: --out is missing: the folder to write
[2]
$ ehm draw neighbours --model run --image scenes:1:1:32 --out n.ppm --quiet
ehm: scenes:1:1:32: there is one picture only, which has no neighbour
  hint:  --data names the pictures to look for neighbours among
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
$ ehm draw attention --model run --image scenes:1:1:32 --layer 5 --out a.ppm
ehm: --layer 5: the encoder has 4 blocks, counted from 1
[2]
$ ehm draw features --model run --image scenes:1:1:32 --layer 0 --out a.ppm
ehm: --layer 0: ...
...
[2]
$ ehm draw attention --model run --image scenes:1:1:32 --point 9,1 --out a.ppm
ehm: --point 9,1: the model has 8 rows and 8 columns of patches, counted from 1
[2]
$ ehm draw attention --model run --image scenes:1:1:32 --point 3 --out a.ppm
ehm: --point 3: must be ROW,COL in patches counted from 1, such as 4,4
[2]
$ ehm draw attention --model run --image scenes:1:1:32 --point 3,x --out a.ppm
ehm: --point 3,x: must be ROW,COL in patches counted from 1, such as 4,4
[2]
$ ehm draw features --model run --image scenes:1:1:32 --basis-from nowhere --out a.ppm
ehm: nowhere: there is no such file or folder
[2]
$ ehm draw neighbours --model run --image scenes:1:3:32 --pool patches --out n.ppm
ehm: --pool patches: pictures are compared by one vector each, cls or mean
[2]
$ ehm draw tree --model run --image scenes:1:2:32 --point 1,1 --out t.ppm
ehm: --point: ehm draw tree takes no such option
  hint:  taken by: ehm draw attention
usage: ehm draw WHAT --model M --image I --out F.png [options]     (ehm help draw)
[2]
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
