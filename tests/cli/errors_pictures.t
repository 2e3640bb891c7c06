# Broken pictures: skipped, counted, listed; and when there are too many of them.
? ehm --version | grep '^with:' | grep jpeg | grep -q png
$ ehm data scenes:1:10:32 --export set --quiet | tail -1
exported: 10 pictures, 10 label maps, ... boxes, 10 captions to set
$ G=$ROOT/tests/golden/image; D=set/images; cp $G/crop_420.jpg $D/cat/good.jpg && head -c 700 $G/crop_420.jpg >$D/cat/half.jpg && printf '\377\330\377' >$D/cat/three.jpg
$ head -c 60 "$ROOT/tests/golden/image/rgb8.png" >set/images/cat/half.png; : >set/images/cat/empty.png; echo notes >set/images/cat/notes.txt; echo dust >set/images/cat/._x.jpg
$ ehm data set
14 pictures from folder set
3 other files are ignored
...
... of those looked at cannot be read; ehm data --check names them
$ ehm data set --check --quiet
14 pictures from folder set
3 other files are ignored
...
checked: every file read in ..., 3 bad
  images/cat/half.jpg: JPEG data ends early (after 700 bytes)
  images/cat/half.png: PNG data ends early (after 60 bytes)
  images/cat/three.jpg: JPEG data ends early (after 3 bytes)
near-duplicates: ...
...
ehm: set: 3 of 14 pictures cannot be read
  hint:  training goes on without bad files up to a share of --max-bad
[1]
$ ehm data set --check --json --quiet
{"data": "set", ..."count": 14, "ignored": 3, ..."bad": 3, "bad_files": [{"name": "images/cat/half.jpg", "reason": "JPEG data ends early (after 700 bytes)"}, ...
ehm: set: 3 of 14 pictures cannot be read
  hint:  ...
[1]

# A picture of too many pixels is a bad file, and the way out is said.
$ ehm data set --check --max-pixels 1024 --quiet
...
checked: every file read in ..., 4 bad
  images/cat/good.jpg: picture of ... px is over the limit of 1024 pixels; --max-pixels raises the limit
...
ehm: set: 4 of 14 pictures cannot be read
  hint:  ...
[1]

# In training they are replaced and listed once each; the share that is permitted ends it.
$ ehm pretrain --data set --preset pico --batch-size 7 --steps 8 --out run --quiet
ehm: 3 of 14 pictures seen are bad, a share of 0.214 where 0.01 is permitted: images/cat/...
  while: step ...
  hint:  ehm data --check names every bad file; --max-bad permits a larger share
[1]
$ ehm pretrain --data set --preset pico --batch-size 7 --steps 8 --max-bad 0.3 --out run2 --quiet && sort run2/bad_files.tsv
run2: 8 steps, ...
3	images/cat/half.jpg	JPEG data ends early (after 700 bytes)
4	images/cat/half.png	PNG data ends early (after 60 bytes)
5	images/cat/three.jpg	JPEG data ends early (after 3 bytes)
index	file	reason
$ ehm pretrain --data set --preset pico --batch-size 7 --steps 8 --max-pixels 10 --out run3 --quiet
ehm: picture of ... px is over the limit of 10 pixels
  while: reading images/...; measuring mean and deviation: none of the 14 pictures looked at can be read
  hint:  --max-pixels raises the limit
[1]

# Features and drawings leave them out and say so.
$ ehm embed --model run2 --data set --out f.npy
warning: left out, cannot be read: images/cat/half.jpg
...
f.npy: [11, 128] f32, mean of patch tokens after the final norm
f.tsv: file and label of each row
11 pictures in ...
3 pictures could not be read and are left out of both files
$ wc -l <f.tsv
12
$ ehm draw reconstruct --model run2 --image set --count 5 --out d.png
warning: left out: images/cat/three.jpg: JPEG data ends early (after 3 bytes)
...
d.png: 5 pictures, ...
$ ehm embed --model run2 --data set/images/cat/half.jpg --out f.npy
ehm: none of the 1 pictures can be used: half.jpg: JPEG data ends early (after 700 bytes)
  hint:  ehm data --check names every bad file
[1]

# What no decoder is there for is named.
$ mkdir heic && printf '\0\0\0\030ftypheic\0\0\0\0mif1heic' >heic/a.heic && ehm data heic
ehm: heic pictures cannot be read
  while: reading a.heic; ...
  hint:  convert it first: heif-convert ...
[1]
