# Models: what is none, what is cut short or made to harm, and what does not fit the pictures.
$ ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 1 --out run --quiet
run: 1 steps, ...

# --model: what is there, what is near.
$ ehm embed --data scenes:1:4:32 --out f.npy
ehm: --model is missing: a run folder, a safetensors file or untrained:PRESET
[2]
$ ehm embed --model rnu --data scenes:1:4:32 --out f.npy
ehm: rnu: no such file or folder
  hint:  did you mean run?
[2]
$ ehm embed --model pico --data scenes:1:4:32 --out f.npy
ehm: pico: no such file or folder
  hint:  untrained:pico is the preset with random weights
[2]
$ ehm embed --model untrained:pio --data scenes:1:4:32 --out f.npy
ehm: untrained:pio: "pio" is neither a run folder nor a preset
  hint:  presets: pico, tiny, small, base, large, huge
[2]
$ mkdir folder && ehm embed --model folder --data scenes:1:4:32 --out f.npy
ehm: folder: no model.safetensors in this folder, so it is no run folder
  hint:  a model is a run folder, one of its checkpoints, a safetensors file, untrained:RUN or untrained:PRESET
[1]
$ cp -r run unfinished && rm unfinished/model.safetensors unfinished/DONE && ehm embed --model unfinished --data scenes:1:4:32 --out of/checkpoint.npy
note: unfinished: the run has not finished; the model is its checkpoint of step 1
...
$ ehm embed --model run --data scenes:1:4:32 --out of/run.npy --quiet && ehm embed --model unfinished/checkpoints/00000001/ --data scenes:1:4:32 --out of/step.npy --quiet && cmp of/checkpoint.npy of/run.npy && cmp of/step.npy of/run.npy && echo the same
...
the same
$ cp -r unfinished early && rm -r early/checkpoints && ehm embed --model early --data scenes:1:4:32 --out f.npy
ehm: early: the run has not finished, and has no checkpoint yet
  hint:  ehm pretrain --resume --out early finishes it; untrained:early is the model before its first step
[1]
$ cp -r unfinished torn && printf x >torn/checkpoints/00000001/state.bin && ehm embed --model torn --data scenes:1:4:32 --out f.npy
...
[1]
$ echo text >text && ehm embed --model text --data scenes:1:4:32 --out f.npy
ehm: text: not a safetensors file (5 bytes)
[1]
$ ehm embed --model run --data scenes:1:4:32 --out f.npy --device gpu
ehm: device "gpu" is not known; there are auto, cuda, cuda:N, cpu, ref, ref64
  while: opening the model run
  hint:  --device cuda
[2]

# Files of tensors: cut short, or with numbers that lead out of the file.
$ printf '%s\n' 'n=${#2}; { printf "$(printf "\\\\%03o\\\\%03o\\\\0\\\\0\\\\0\\\\0\\\\0\\\\0" $((n % 256)) $((n / 256)))"; printf "%s" "$2"; head -c $3 /dev/zero; } >$1; ehm info $1' >st
$ sh st ok '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 16
ok: safetensors, 1 tensors, 4 numbers
  not a vision transformer that ehm knows: the file has no tensor "patch_embed.proj.weight", ...
$ sh st short '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 9
ehm: short: tensor "a": bytes 0 to 16 are not within the 9 of the file's data; is the file cut short?
[1]
$ sh st long '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 20
ehm: long: 20 bytes of data, but the tensors hold 16
[1]
$ sh st overlap '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}' 24
ehm: overlap: tensor "b" begins at byte 8, inside the one before it (expected 16)
[1]
$ sh st gap '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[20,36]}}' 36
ehm: gap: tensor "b" begins at byte 20, after a gap (expected 16)
[1]
$ sh st back '{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}' 16
ehm: back: tensor "a": bytes 16 to 0 are not within the 16 of the file's data; is the file cut short?
[1]
$ sh st size '{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}}' 16
ehm: size: tensor "a": 16 bytes, but its dtype and shape need 20
[1]
$ sh st vast '{"a":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,16]}}' 16
ehm: vast: tensor "a": its shape overflows
[1]
$ sh st minus '{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}' 16
ehm: minus: tensor "a": dim 0 is not a size
[1]
$ sh st kind '{"a":{"dtype":"Q9","shape":[4],"data_offsets":[0,16]}}' 16
ehm: kind: tensor "a" has the unknown dtype "Q9"
[1]
$ sh st twice '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 16
ehm: twice:1:1: this object has the key "a" twice
[1]
$ sh st list '[]' 0
ehm: list: not a safetensors file (the header is no JSON object)
[1]
$ sh st broken '{"a":' 0
ehm: broken:1:6: text ends where a value is expected
[1]
$ sh st deep "$(printf '%20000d' 0 | tr ' 0' '[[')" 0
ehm: deep: not a safetensors file (...
[1]
$ printf '\377\377\377\377\377\377\377\177{}' >huge && ehm info huge
ehm: huge: not a safetensors file (header of 9223372036854775807 bytes)
[1]
$ head -c 20000 run/model.safetensors >half && ehm embed --model half --data scenes:1:4:32 --out f.npy
ehm: half: tensor "...": bytes ... to ... are not within the ... of the file's data; is the file cut short?
[1]
$ sed 's/norm\.weight/norn.weight/' run/model.safetensors >renamed && ehm embed --model renamed --data scenes:1:4:32 --out f.npy
ehm: ... of the model's ... tensors are missing from the file, first "...norm.weight"
  while: opening the model renamed
[1]
$ sed 's/"num_heads": "4"/"num_heads": "7"/' run/model.safetensors >heads && ehm embed --model heads --data scenes:1:4:32 --out f.npy
ehm: embed_dim 128 is not a multiple of num_heads 7
  while: reading the sizes of a weights file; opening the model heads
...
[1]

# Names from outside bring no control sequences to the terminal.
$ sh st colour '{"a\u001b[31m":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 12
ehm: colour: tensor "a?[31m": bytes 0 to 16 are not within the 12 of the file's data; is the file cut short?
[1]

# Pictures that the model does not take.
$ printf '%s' '\223NUMPY\001\0\100\0{"descr": "|u1", "fortran_order": False, "shape": (4, 8, 8, 5)} ' | tr '"' "'" >s && (printf "$(cat s)"; head -c 1280 /dev/zero) >five.npy
$ ehm embed --model run --data five.npy --out f.npy
ehm: five.npy: pictures of 5 channels cannot become 3
  hint:  only 1 to 4 channels become one another; these pictures need --channels 5, and a model that was trained with it
[2]
$ ehm eval knn --model run --train scenes:1:40:32 --test five.npy
ehm: five.npy: pictures of 5 channels cannot become 3
  hint:  ...
[2]
$ ehm embed --model run --data scenes:1:4:32 --out f.npy --channels 1
ehm: --channels 1, but the model run takes 3
  hint:  leave out --channels: pictures are brought to what the model takes
[1]

# embed: what it writes.
$ ehm embed --model run --data scenes:1:4:32
ehm: --out is missing: the .npy file to write
[2]
$ ehm embed --model run --data scenes:1:4:32 --out f.png
ehm: --out f.png: the name of a feature file ends in .npy
[2]
$ ehm embed --model run --out f.npy
ehm: --data is missing: the pictures to embed
[2]
$ ehm embed --model run --data scenes:1:4:32 --out f.npy --pool men
ehm: --pool men: must be one of cls|mean|patches
  hint:  did you mean mean?
usage: ehm embed --model M --data D --out F.npy [options]     (ehm help embed)
[2]
$ ls f.npy f.tsv 2>&1 | grep -c 'No such file'
2
$ ehm embed --model run --data scenes:1:4:32 --out new/folder/f.npy --quiet >log && ls new/folder
f.npy
f.tsv

# draw: no decoder, no picture to write, nothing to see.
$ ehm draw reconstruct --model run/encoder.safetensors --image scenes:1:4:32 --out d.ppm
ehm: run/encoder.safetensors holds no decoder, so it cannot reconstruct
  hint:  use the run folder or its model.safetensors; encoder.safetensors is the encoder alone
[1]
$ ehm draw reconstruct --model run --image scenes:1:4:32 --out d.jpg
ehm: --out d.jpg: the name of a drawing ends in .png, .ppm or .pgm
[2]
$ ehm draw reconstruct --model run --image scenes:1:4:32
ehm: --out is missing: the picture to write
[2]
$ ehm draw reconstruct --model run --out d.ppm
ehm: --image is missing: a picture, a folder, a list or a set
[2]
$ ehm draw reconstruct --model run --image scenes:1:4:32 --out d.ppm --mask radnom
ehm: mask rule "radnom" is not known
  hint:  did you mean "random"? ehm list masks shows all
[2]
$ ehm draw reconstruct --model run --image scenes:1:4:32 --out d.ppm --mask-ratio 1
ehm: mask ratio 1 leaves 0 of 64 patches visible; both sides need at least one
[2]
$ ehm draw recnstruct --model run --image scenes:1:4:32 --out d.ppm
ehm: ehm draw recnstruct: must be one of ...
  hint:  did you mean reconstruct?
usage: ehm draw WHAT --model M --image I --out F.png [options]     (ehm help draw)
[2]

# info: what is no run.
$ ehm info folder
ehm: folder is a folder, but no run (it has no config.json of ehm)
  hint:  for a folder of pictures: ehm data folder
[1]
$ ehm info unfinshed
ehm: unfinshed: there is no such file or folder
  hint:  did you mean unfinished?
[2]
$ ehm info
ehm: ehm info: FILE is missing
usage: ehm info FILE [options]     (ehm help info)
[2]
$ ehm info unfinished
unfinished: run folder, format 1, not finished, newest checkpoint at step 1
  pictures  16
  go on     ehm pretrain --out unfinished --resume with the same settings
