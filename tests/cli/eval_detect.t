# Boxes: learning, tables and files, other formats of boxes, what is refused.
$ ehm eval detect --train scenes:1:8:64
ehm: --model is missing: a run folder, a safetensors file or untrained:PRESET
[2]
$ ehm eval detect --model untrained:pico
ehm: --train is missing: the pictures with boxes to learn from
  hint:  for example --train scenes:1:2000 --test scenes:2:500
[2]
$ ehm eval detect --model untrained:pico --train scenes:1:8:64 --img-size 64x
ehm: --img-size 64x: must be a number of pixels or HxW
  hint:  auto is what the model was trained with; another size resizes its position table
[2]
$ ehm eval detect --model untrained:pico --train scenes:1:8:64 --detect-width 30
ehm: --detect-width 30: must be a multiple of 4
[2]
$ ehm eval detect --model untrained:pico --train scenes:1:8:64 --scale-min 3
ehm: --scale-min 3 is over --scale-max 2
[2]
$ ehm eval detect --model untrained:pico --train scenes:1:8:64 --box-sheet-count 3
ehm: --box-sheet-count 3 needs --box-sheet F.png to draw
[2]
$ mkdir full && ehm eval detect --model untrained:pico --train scenes:1:8:64 --test scenes:2:4:64 --predictions full --quiet
ehm: --predictions full: is a folder, and a file is written
[2]

# Twelve pictures are learned by heart: half of the boxes overlap by more than half at the least.
$ ehm eval detect --model untrained:pico --train scenes:1:12:64 --test scenes:1:12:64 --detect-width 32 --batch-size 4 --lr 1e-3 --steps 240 --drop-path 0 --scale-min 0.9 --scale-max 1.1 --predictions p.json --box-sheet s/s.png --save net.safetensors --json --quiet >a.json && ehm_json_ok <a.json && (echo "{\"all\":" && cat p.json && echo "}") | ehm_json_ok
task protocol n_test n_train best rows notes
all
$ tr '{' '\n' <a.json | grep '"AP50"' | sed 's/.*"value":\([^,]*\).*/\1/' | awk 'NR == 1 { print($1 > 0.3 ? "learned" : "not learned: " $1) } NR == 2 { print($1 < 0.5 ? "mean boxes are worse" : $1) }'
learned
mean boxes are worse
$ head -c 8 s/s.png | od -c | head -1 && tr '{' '\n' <p.json | grep -c image_id | awk '{ print($1 >= 12 ? "some" : "few") }' && grep -ac 'score_min' net.safetensors
0000000 211   P   N   G  \r  \n 032  \n
some
1

# The same for any number of loader threads; a table a line a picture; two models on the same pictures.
$ ehm eval detect --model untrained:pico --train scenes:1:8:64 --test scenes:2:6:64 --detect-width 16 --batch-size 4 --steps 3 --workers 1 --json --quiet >a && ehm eval detect --model untrained:pico --train scenes:1:8:64 --test scenes:2:6:64 --detect-width 16 --batch-size 4 --steps 3 --workers 3 --json --quiet >b && cmp a b
$ ehm eval detect --model untrained:pico --against untrained:pico --train scenes:1:12:64 --detect-width 16 --batch-size 4 --steps 2 --score-min 0.01 --max-boxes 7 --predictions p.tsv --quiet
detect: ... test pictures, ... to learn from
model           what           AP                         AP50                       AP75
untrained:pico  fine-tuned     ...
                  difference   +0.00 (+0.00 .. +0.00)     +0.00 (+0.00 .. +0.00)     +0.00 (+0.00 .. +0.00)
...
(mean boxes)    of each class  ...
protocol: FCOS head ...encoder fine-tuned...64x64 (stretch)...at most 7 boxes...
note: to learn from: ...
note: tested: ...
...
note: no --test given: a share of 0.2 of scenes:1:12:64 was held out and tested on
$ head -1 p.tsv && awk -F '\t' 'NR > 1 { if (NF != 4 || $3 > 7 || ($3 > 0) != (length($4) > 0)) print }' p.tsv
file	true	found	boxes

# The encoder alone can be kept; another size; the whole picture padded.
$ ehm eval detect --model untrained:pico --frozen --img-size 48x96 --fit pad --train scenes:1:8:64 --test scenes:2:4:64 --detect-width 16 --batch-size 4 --steps 2 --quiet
detect: 4 test pictures, 8 to learn from
model           what            AP...
untrained:pico  encoder frozen  ...
...
protocol: ...encoder frozen...in 96x48 (pad)...
...

# Boxes from a COCO file: a class that was not learned, boxes that are none, no boxes at all.
$ ehm data scenes:3:8:64 --export set --quiet >out && cp -r set other && sed 's/"name": "flower"/"name": "zebra"/' set/boxes.json >other/boxes.json
$ ehm eval detect --model untrained:pico --train set --test other --steps 1 --quiet
ehm: other: the class "zebra" of boxes is not among the ... of set
...
[1]
$ sed 's/"bbox": \[[^]]*\]/"bbox": [3,4,0,0]/' set/boxes.json >other/boxes.json && ehm eval detect --model untrained:pico --train scenes:1:8:64 --test other --detect-width 16 --batch-size 4 --steps 1 --quiet | grep 'note: tested'
note: tested: ... boxes in 8 pictures...; 1 boxes without size or outside their picture are left out
$ sed '0,/"iscrowd": *0/s//"iscrowd": 1/' set/boxes.json >other/boxes.json && ehm eval detect --model untrained:pico --train other --test other --detect-width 16 --batch-size 4 --steps 1 --quiet | grep -e 'note: tested' -e 'note: to learn'
note: to learn from: 9 boxes in 8 pictures, 1 of them without a box; 1 more are crowds or difficult: not learned from
note: tested: 9 boxes in 8 pictures, 1 of them without a box; 1 more are crowds or difficult: what is found there is neither right nor wrong
$ ehm data other --export again --quiet >out && grep -o '"iscrowd": *1' again/boxes.json
"iscrowd": 1
$ sed '0,/"area": *[0-9.]*/s//"area": 12.5/' set/boxes.json >other/boxes.json && ehm data other --export third --quiet >out && grep -o '"area": *12.5' third/boxes.json
"area": 12.5
$ rm other/boxes.json && ehm eval detect --model untrained:pico --train other --test set --steps 1 --quiet
ehm: other has no boxes, and detection learns from them
  hint:  boxes are Annotations/STEM.xml (Pascal VOC), boxes.json (COCO) or boxes/NAME.tsv beside the pictures
[1]

# Pascal VOC.
? test -f "$DATA/bccd.tar"
$ ehm eval detect --model untrained:pico --train "$DATA/bccd.tar#train" --test "$DATA/bccd.tar#test" --limit 16 --detect-width 16 --batch-size 4 --steps 2 --quiet
detect: 16 test pictures, 16 to learn from
model           what             AP...
untrained:pico  fine-tuned       ...
untrained:pico  class Platelets  ...
untrained:pico  class RBC        ...
untrained:pico  class WBC        ...
(mean boxes)    of each class    ...
...
