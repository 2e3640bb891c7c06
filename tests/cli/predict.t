# What evaluations saved, used on other pictures: the same answers as the evaluation gave.
$ ehm eval linear --model untrained:pico --train scenes:1:120:32 --test scenes:2:40:32 --strengths 0.01,1 --save p/linear.safetensors --predictions l.tsv --quiet >/dev/null && ehm predict --model p/linear.safetensors --data scenes:2:40:32 --out o/l.tsv --quiet
o/l.tsv: a line for each picture
linear: 40 pictures, 12 classes, ...
$ head -1 o/l.tsv && cut -f 1,2 o/l.tsv | tail -n +2 >mine && cut -f 1,3 l.tsv | tail -n +2 >theirs && cmp mine theirs && awk -F '\t' 'NR > 1 { if ($3 < $5 || $5 < $7 || $3 > 1) bad++ } END { print NF, bad + 0 }' o/l.tsv
file	class	probability	class 2	probability 2	class 3	probability 3	class 4	probability 4	class 5	probability 5
11 0
# A probe of two depths, one without standardised features, MAE's protocol; all of them stand alone, on any set of pictures.
$ ehm eval linear --model untrained:pico --train scenes:1:60:32 --test scenes:2:30:32 --depths 2,4 --strengths 0.1 --no-standardise --pools mean --save d.safetensors --predictions l.tsv --quiet >/dev/null && ehm predict --model d.safetensors --data scenes:2:30:32 --out d.tsv --top 1 --quiet >/dev/null && tail -n +2 d.tsv | cut -f 1,2 >mine && cut -f 1,3 l.tsv | tail -n +2 >theirs && cmp mine theirs && head -1 d.tsv
file	class	probability
$ ehm eval linear --model untrained:pico --train scenes:1:60:32 --test scenes:2:30:32 --protocol mae --epochs 4 --save m.safetensors --predictions l.tsv --quiet >/dev/null && ehm predict --model m.safetensors --data scenes:2:30:32 --out m.tsv --top 100 --quiet >/dev/null && tail -n +2 m.tsv | cut -f 1,2 >mine && cut -f 1,3 l.tsv | tail -n +2 >theirs && cmp mine theirs && awk -F '\t' 'NR > 1 { s = 0; for (i = 3; i <= NF; i += 2) s += $i; if (s < 0.9999 || s > 1.0001) bad++ } END { print NF, bad + 0 }' m.tsv
25 0
$ ehm eval linear --model untrained:pico --train scenes:1:60:32 --test scenes:2:30:32 --shots 2 --save s.safetensors --quiet
ehm: --save s.safetensors: one classifier is written, and --draws 5 fits as many
  hint:  --draws 1 fits one
[2]
$ ehm embed --model d.safetensors --data scenes:2:4:32 --out e.npy --quiet | head -1
e.npy: [4, 128] f32, mean of patch tokens after the final norm

$ ehm eval finetune --model untrained:pico --train scenes:1:96:32 --test scenes:2:40:32 --steps 4 --batch-size 16 --out r --predictions l.tsv --quiet >/dev/null && ehm predict --model r --data scenes:2:40:32 --out f.tsv --json --quiet >f.json && ehm_json_ok <f.json && tail -n +2 f.tsv | cut -f 1,2 >mine && cut -f 1,3 l.tsv | tail -n +2 >theirs && cmp mine theirs
task files n n_bad bad n_classes seconds

# Label maps as large as the pictures.
$ ehm eval segment --model untrained:pico --train scenes:1:48:32 --test scenes:2:12:32 --steps 4 --batch-size 16 --no-reference --save s.safetensors --predictions sp --quiet >/dev/null && ehm predict --model s.safetensors --data scenes:2:12:32 --out sm --quiet
sm: a label map for each picture, names in classes.tsv
segment: 12 pictures, 22 classes, ...
$ head -2 sm/classes.tsv; ls sm | wc -l; for f in sp/*.p[ng][gm]; do cmp $f sm/${f#sp/}; done
0	sky
1	field
13

# Boxes: a table, and COCO's form with the numbers of pictures and classes that ehm data --export gives.
$ ehm eval detect --model untrained:pico --train scenes:1:48:32 --test scenes:2:12:32 --steps 4 --batch-size 16 --score-min 0.01 --max-boxes 10 --save b.safetensors --predictions b.json --quiet >/dev/null && ehm predict --model b.safetensors --data scenes:2:12:32 --out boxes.tsv --quiet
boxes.tsv: a line for each box
boxes.json: the same in COCO's form
detect: 12 pictures, 12 classes, ... boxes, ...
$ ehm_json_ok <boxes.json && head -1 boxes.tsv && grep -o '"bbox": *\[[^]]*\]' b.json >theirs; grep -o '"bbox": *\[[^]]*\]' boxes.json >mine; cmp mine theirs && grep -o '"image_id": [0-9]*, "category_id": [0-9]*' b.json | sort >theirs; grep -o '"image_id": [0-9]*, "category_id": [0-9]*' boxes.json | sort >mine; cmp mine theirs && test $(wc -l <boxes.tsv) = $(($(wc -l <mine) + 1))
images annotations categories
file	class	score	x0	y0	x1	y1
$ ehm eval instances --model untrained:pico --train scenes:1:32:32 --test scenes:2:8:32 --steps 2 --batch-size 16 --score-min 0.01 --max-boxes 5 --save i.safetensors --predictions i.json --quiet >/dev/null && ehm predict --model i.safetensors --data scenes:2:8:32 --out masks.json --quiet | head -2 && grep -o '"counts": "[^ ]*"' i.json >theirs; grep -o '"counts": "[^ ]*"' masks.json >mine; test -s mine && cmp mine theirs
masks.tsv: a line for each box
masks.json: the same in COCO's form

# Pictures that cannot be read are left out and named; none that can be is an error, and nothing is written.
$ ehm data scenes:3:6:32 --export x >/dev/null 2>&1 && mkdir k broken && cp x/images/*/000000.p* k/a.png && cp x/images/*/000001.p* k/c.png && head -c 60 k/a.png >k/b.png && cp k/b.png broken && ehm predict --model d.safetensors --data k --out k.tsv
...
warning: left out, cannot be read: b.png: ...
...
linear: 2 pictures, 12 classes, ...
1 pictures could not be read and are left out; the first: b.png: ...
$ cut -f 1 k.tsv
file
a.png
c.png
$ ehm predict --model s.safetensors --data k --out km --quiet && ls km
...
segment: 2 pictures, ...
1 pictures could not be read and are left out; the first: b.png: ...
a.p...
c.p...
classes.tsv
$ ehm predict --model d.safetensors --data broken --out n.tsv --quiet; test -e n.tsv
ehm: ...
...
[1]
$ ehm predict --model s.safetensors --data broken --out nm --quiet
...
ehm: broken: none of 1 pictures can be read, the first: b.png: ...
[1]
# Two pictures of one name and different endings keep their endings.
$ mkdir two && cp k/a.png two/a.png && cp k/c.png two/a.jpg && ehm predict --model s.safetensors --data two --out tm --quiet >/dev/null && ls tm
a.jpg.p...
a.png.p...
classes.tsv

# What is refused.
$ ehm predict --data k --out y.tsv
ehm: --model is missing: a network that an evaluation saved, or the run folder of one
...
[2]
$ ehm predict --model untrained:pico --data k --out y.tsv
ehm: --model untrained:pico: has learned no task, so there is nothing to predict
[2]
$ ehm pretrain --data scenes:1:32:32 --preset pico --steps 1 --batch-size 16 --out run --quiet >/dev/null && ehm predict --model run --data k --out y.tsv
ehm: run: holds no task that was learned, so there is nothing to predict
...
[1]
$ ehm predict --model d.safetensors --out y.tsv
ehm: --data is missing: the pictures to predict
[2]
$ ehm predict --model d.safetensors --data k
ehm: --out is missing: the file to write, or for label maps the folder
[2]
$ ehm predict --model d.safetensors --data k --out k
ehm: --out k: is a folder, and a file is written for linear
[2]
$ ehm predict --model s.safetensors --data k --out k.tsv
ehm: --out k.tsv: is a file, and label maps need a folder
[2]
$ mkdir none && ehm predict --model d.safetensors --data none --out y.tsv
ehm: none: no pictures ...
...
[1]
$ ehm predict --model d.safetensors --data k --out y.tsv --channels 1
ehm: --channels 1, but d.safetensors takes 3
...
[1]
