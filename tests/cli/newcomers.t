# What people with photos of their own met first.
$ ehm data scenes:1:36:32 --export set --quiet
exported: 36 pictures, 36 label maps, ... boxes, 36 captions to set
$ mv set/images photos; ls photos | head -3 | tr '\n' ' '; ls photos | wc -l; find photos -type f | wc -l
bird boat car 12
36
$ ehm pretrain --data photos --preset pico --batch-size 8 --steps 2 --watch-every 0 --seed 3 --out runs/a --quiet
runs/a: 2 steps, ...

# Some of a folder's pictures are of all its classes, not the first of its first class; each named by itself, they are taken as they come.
$ for w in tree attention features reconstruct neighbours; do ehm draw $w --model runs/a --image photos --count 4 --out d.ppm --json --quiet >json; echo $w: $(grep -o '"pictures": \[.*' json | grep -o '"[a-z]*/[0-9]*\.p[a-z]*"' | cut -d/ -f1 | sort -u | wc -l); done
tree: 4
attention: 4
features: 4
reconstruct: 4
neighbours: ...
$ ehm draw attention --model runs/a --image photos --count 3 --out d.ppm --json --quiet | grep -o '"pictures".*' | tr -d '"[]}' | tr ',' '\n' | cut -d/ -f1
pictures: bird
 fish
 mug
$ ls photos/*/* | head -9 >list.txt; ehm draw attention --model runs/a --image list.txt --count 3 --out d.ppm --json --quiet | grep -o '"pictures".*' | tr -d '"[]}' | tr ',' '\n' | cut -d/ -f2
bird
boat
car
$ set -- photos/bird/*; ehm draw attention --model runs/a --image $1 --image $2 --image $3 --image photos/car/$(ls photos/car | head -1) --count 2 --out d.ppm --json --quiet | grep -c "$(basename $2)"
1
$ ehm draw attention --model runs/a --image photos --each --count 3 --out each --quiet && ls each | cut -d_ -f1 | tr '\n' ' '
each: 3 drawings, ...
bird fish mug...

# A query that lies in the gallery is not its own neighbour, and every neighbour has the name of its class.
$ ehm draw neighbours --model runs/a --image $(ls photos/bird/* | head -1) --data photos --nearest 100 --out n.ppm --quiet
n.ppm: 1 picture, ...; 35 neighbours among 36 pictures
$ cp $(ls photos/bird/* | head -1) copy.img; ehm draw neighbours --model runs/a --image copy.img --data photos --nearest 100 --out n.ppm --quiet
n.ppm: 1 picture, ...; 36 neighbours among 36 pictures, 1 exact copy

# The settings of a run make another like it; those that followed from it follow anew.
$ ehm pretrain --config runs/a/config.json --out runs/b --quiet && cmp runs/a/model.safetensors runs/b/model.safetensors && echo the same
runs/b: 2 steps, ...
the same
$ ehm pretrain --config runs/a/config.json --mask-ratio 0.5 --out runs/c --print-config 2>/dev/null >c.json; grep -E '^  "(seed|data|preset|depth|steps|mask_ratio|resume|quiet|img_size)":' c.json
  "seed": {"value": 3, "origin": "config file"},
  "quiet": {"value": false, "origin": "default"},
  "data": {"value": ["photos"], "origin": "config file"},
  "img_size": {"value": "32", "origin": "data"},
  "preset": {"value": "pico", "origin": "config file"},
  "depth": {"value": 4, "origin": "preset"},
  "mask_ratio": {"value": 0.5, "origin": "flag"},
  "steps": {"value": 2, "origin": "config file"},
  "resume": {"value": false, "origin": "default"},
$ ehm pretrain --config runs/a/config.json --epochs 1 --out runs/c --print-config 2>/dev/null | grep -E '^  "(epochs|steps)":'
  "epochs": {"value": 1, "origin": "flag"},
  "steps": {"value": 4, "origin": "data"},
$ ehm pretrain --config runs/a/config.json
ehm: no run folder is given
  hint:  --out DIR
[2]
$ sed 's/"shape"/"shapes"/' runs/a/config.json >odd.json; ehm pretrain --config odd.json --out runs/c
ehm: shapes: there is no such setting
  while: reading settings from odd.json
...
[2]

# Words.
$ ehm plan --data photos --preset pico --batch-size 36 --epochs 1 2>/dev/null | grep '^steps'
steps        1: 36 pictures, 1 epoch of 1 batch; ...
$ ehm data scenes:1:4:32 | head -1; echo note >photos/note; ehm data photos | head -2
4 pictures from scenes:1:4:32
36 pictures from folder photos
1 other file is ignored
$ ehm pretrain --data photos --preset huge --batch-size 1048576 --out runs/d --quiet
ehm: --batch-size 1048576 is more than the 36 pictures there are
  hint:  a batch of at most 36, or more pictures
[2]
$ ehm data photos --export again --quiet
exported: 36 pictures, ... to again
$ ehm import runs/a/model.safetensors --out i.safetensors --quiet
i.safetensors: written, ... tensors
$ ehm eval finetune --model runs/a --train photos --test photos --epochs 1 --batch-size 8 2>&1 | grep '^rand_augment'
rand_augment       m9-mstd0.5               data

# A format that cannot be read, among others that can: said at once, and training goes on.
$ printf '\0\0\0\030ftypheic\0\0\0\0mif1heic' >photos/car/phone.heic; ehm pretrain --data photos --preset pico --batch-size 8 --epochs 1 --watch-every 0 --out runs/e 2>&1 | grep -c 'warning: photos: 1 more picture is left out: heic cannot be read, such as car/phone.heic; to convert it: heif-convert'
1
$ cat runs/e/bad_files.tsv 2>/dev/null | wc -l; ls runs/e/DONE
...
runs/e/DONE

# --check fails where a file is bad, after it named them all; a set without one is fine.
$ head -c 60 $(ls photos/bird/* | head -1) >photos/bird/half.png; ehm data photos --check --quiet
...
checked: every file read in ..., 2 bad
  bird/half.png: ...
  car/phone.heic: heic pictures cannot be read; convert it first: heif-convert -q 95 FILE.heic FILE.jpg
...
ehm: photos: 2 of 38 pictures cannot be read
  hint:  ...
[1]
$ ehm data photos --check --quiet --json >json 2>/dev/null; ehm_json_ok <json >/dev/null && grep -o '"left_out": 1\|"bad": 2\|"error"' json
"left_out": 1
"bad": 2
$ rm photos/bird/half.png photos/car/phone.heic; ehm data photos --check --quiet >/dev/null

# Pictures that only a note in the file turns upright.
? ehm --version | grep '^with:' | grep -q jpeg
$ mkdir turned && cp $ROOT/tests/golden/image/exif6.jpg $ROOT/tests/golden/image/s420.jpg turned; ehm data turned | grep EXIF
1 of those looked at is turned by EXIF orientation, which is ignored; exiftran -ai or mogrify -auto-orient turns the files upright
$ ehm data turned --json | grep -o '"turned": 1'
"turned": 1
$ ehm pretrain --data turned --preset pico --batch-size 2 --steps 1 --dry-run --out runs/f 2>&1 | grep -c '^warning: 1 of 2 pictures looked at .*EXIF orientation is ignored'
1

# The first N of class folders are of few classes, and it is said; as many as there are, or without --limit, nothing is.
$ ehm data scenes:1:24:16 --quiet --export cut >/dev/null 2>&1; ehm data cut --limit 12 2>&1 >/dev/null | grep -v '^ '
warning: cut: the first 12 pictures are of 6 of the 12 classes; --limit takes them in order; a text file with lines of path, tab, class picks others
$ ehm data cut --limit 24 2>&1 >/dev/null; ehm data cut 2>&1 >/dev/null; ehm data scenes:1:24 --limit 12 2>&1 >/dev/null
$ find cut/images -name '*.png' | sort | awk -F/ 'NR % 2 {print $0 "\t" $3}' >some.txt; ehm data some.txt 2>&1 | head -2
12 pictures from list some.txt
12 classes, 1 picture each: bird, ...
