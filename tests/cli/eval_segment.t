# Segmentation: heads, references, windows, files, and what is refused.
$ ehm eval segment --train scenes:1:8:64
ehm: --model is missing: a run folder, a safetensors file or untrained:PRESET
[2]
$ ehm eval segment --model untrained:pico
ehm: --train is missing: the pictures with label maps to learn from
  hint:  for example --train scenes:1:2000 --test scenes:2:500
[2]

# The MLP head, fine-tuned; a line each class; what to compare with.
$ ehm eval segment --model untrained:pico --train scenes:1:48:64 --test scenes:2:12:64 --steps 6 --batch-size 8 --predictions p/p.tsv --overlays o --overlay-count 3 --save s/net.safetensors --quiet
segment: 12 test pictures, 48 to learn from
model            head  ...mean IoU ...pixel accuracy ...class accuracy ...IoU
untrained:pico   mlp, fine-tuned ...  <
untrained:pico   class ...
...
(pixels)         mlp on bare patches ...
(most frequent)  always ...
protocol: mlp head, encoder fine-tuned; pictures 0.5 to 2 times their size when tested, ...the whole picture fitted into 64x64, ...
...
$ head -1 p/p.tsv | cut -f 1-5 && wc -l <p/p.tsv && ls o | wc -l && test -f s/net.safetensors
file	pixels	mean IoU	pixel accuracy	class accuracy
13
3

# The linear head keeps the encoder unless it is told otherwise; label maps as pictures.
$ ehm eval segment --model untrained:pico --train scenes:1:32:64 --test scenes:2:8:64 --head linear --class-weights median --steps 4 --batch-size 8 --no-reference --predictions maps --quiet
segment: 8 test pictures, 32 to learn from
model           head  ...
untrained:pico  linear, encoder frozen ...  <
untrained:pico  class ...
...
protocol: linear head, encoder frozen; ...weighted by median frequency; ...
...
$ find maps -type f | wc -l && head -2 maps/pictures.tsv | cut -f 2
9
pixels
4096

# Windows over pictures larger than the input; another input size.
$ ehm eval segment --model untrained:pico --train scenes:1:16:96 --test scenes:2:4:80x96 --head linear --no-frozen --img-size 48x32 --stride 16 --steps 2 --batch-size 4 --no-reference --quiet
segment: 4 test pictures, 16 to learn from
model ...
untrained:pico  linear, fine-tuned ...
...
protocol: linear head, encoder fine-tuned; ...windows of 48x32 with stride 16 over the picture at its own size, logits averaged...
...
$ ehm eval segment --model untrained:pico --train scenes:1:16:96 --test scenes:2:4:80x96 --window whole --steps 2 --batch-size 4 --no-reference --frames 2 --quiet
segment: 4 test pictures, 16 to learn from
...
protocol: ...the whole picture fitted into 64x64...
...
note: intervals draw 2 runs of up to 2 pictures in a row

# The same for any number of loader threads; a seed of its own.
$ ehm eval segment --model untrained:pico --train scenes:1:32:64 --test scenes:2:8:64 --steps 3 --batch-size 8 --workers 1 --json --quiet >a && ehm eval segment --model untrained:pico --train scenes:1:32:64 --test scenes:2:8:64 --steps 3 --batch-size 8 --workers 3 --json --quiet >b && cmp a b && ehm_json_ok <a
task protocol n_test n_train best rows notes
$ ehm eval segment --model untrained:pico --train scenes:1:32:64 --test scenes:2:8:64 --steps 3 --batch-size 8 --seed 1 --json --quiet >b; cmp -s a b
[1]

# Without a test set; two models on the same pictures; a run folder that goes on.
$ ehm eval segment --model untrained:pico --against untrained:pico --train scenes:1:48:64 --steps 2 --batch-size 8 --no-reference --out run --expect-better --quiet
segment: ... test pictures, ... to learn from
model ...
untrained:pico  mlp, fine-tuned ...  <
                  difference     +0.00 (+0.00 .. +0.00) ...
...
note: no --test given: a share of 0.2 of scenes:1:48:64 was held out and tested on
ehm: untrained:pico is not better than untrained:pico: the interval of the difference is +0.0000 .. +0.0000
[1]
$ test -f run/DONE && test -f run/model.safetensors && test -f run/against/DONE
$ ehm eval segment --model untrained:pico --train scenes:1:48:64 --steps 2 --batch-size 8 --no-reference --out run --resume --head linear --quiet
ehm: run: the run has head mlp, here it is linear
...
[1]

# What cannot be.
$ mkdir flat && cp "$ROOT/tests/golden/image/rgb.ppm" flat/
$ ehm eval segment --model untrained:pico --train flat --test scenes:2:4:64 --quiet
ehm: flat has no label maps, and segmentation learns from them
...
[1]
$ ehm eval segment --model untrained:pico --train scenes:1:16:64 --test flat --quiet
ehm: flat has no label maps, and segmentation learns from them
...
[1]
$ ehm eval segment --model untrained:pico --train scenes:1:16:64 --head deep
ehm: ...linear...
...
[2]
$ ehm eval segment --model untrained:pico --train scenes:1:16:64 --head-width 30
ehm: --head-width 30: must be a multiple of 4
[2]
$ ehm eval segment --model untrained:pico --train scenes:1:16:64 --scale-min 2 --scale-max 1
ehm: --scale-min 2 is over --scale-max 1
[2]
$ ehm eval segment --model untrained:pico --train scenes:1:16:64 --overlay-count 3
ehm: --overlay-count 3 needs --overlays DIR to draw into
[2]
$ ehm eval segment --model untrained:pico --train scenes:1:16:64 --window whole --stride 8
ehm: --stride 8 is the step of sliding windows, and --window whole asks for none
[2]
$ ehm eval segment --model untrained:pico --train scenes:1:16:96 --stride 65 --quiet
ehm: --stride 65 leaves gaps between windows of 64x64
[2]
$ ehm eval segment --model untrained:pico --train scenes:1:16:64 --img-size 60 --quiet
ehm: img_size 60x60 is not a multiple of patch_size 8
...
[2]
$ ehm eval segment --model untrained:pico --train scenes:1:16:64 --img-size 64y --quiet
ehm: --img-size 64y: must be a number of pixels or HxW
  hint:  auto is what the model was trained with; another size resizes its position table
[2]
$ touch taken && ehm eval segment --model untrained:pico --train scenes:1:16:64 --predictions taken --quiet
ehm: --predictions taken: is a file, and a folder is needed
  hint:  a table ends in .tsv; anything else is a folder for label maps
[2]

# Sets of files: a class that training never shows, a label map of another size, another set's classes.
? ehm --version | grep '^with:' | grep -q png
$ ehm data scenes:3:12:64 --export set --quiet >log && mkdir -p few/images few/labels && cp set/classes.tsv few/ && for n in 000000 000004; do cp set/images/*/$n.png few/images/; cp set/labels/class/$n.png few/labels/; done
$ ehm eval segment --model untrained:pico --train few --test set --steps 1 --batch-size 2 --no-reference --quiet
segment: 12 test pictures, 2 to learn from
...
note: ... test pixels (... %) are of ... classes that no training picture shows and count as wrong: ...
...note: 2 of 12 test pictures have a near-duplicate in the training set (ehm data TRAIN TEST --check names them)
$ cp set/classes.tsv other.tsv && sed 's/robot/machine/' other.tsv >few/classes.tsv
$ ehm eval segment --model untrained:pico --train few --test set --steps 1 --batch-size 2 --quiet
ehm: images/...png: the label map shows "robot" (value ...), which is no class of the training set
[1]
$ cp other.tsv few/classes.tsv && mkdir small && ehm data scenes:3:1:32 --export small --quiet >log && cp small/labels/class/000000.png few/labels/000004.png
$ ehm eval segment --model untrained:pico --train few --test set --steps 1 --batch-size 2 --quiet
ehm: images/000004.png: the picture is 64x64, but its label map is 32x32
  hint:  label maps have a pixel for each of the picture's; resize them with nearest neighbours
[1]

? test -f "$DATA/camvid.tar" && ehm --version | grep '^with:' | grep -q jpeg
$ ehm eval segment --model untrained:pico --train "$DATA/camvid.tar#val" --test "$DATA/camvid.tar#test" --limit 40 --window whole --steps 2 --batch-size 8 --head linear --no-reference --quiet
segment: 40 test pictures, 40 to learn from
...
note: intervals draw 4 runs of up to 10 pictures in a row: the names are those of video frames (--frames 1 draws single pictures)
