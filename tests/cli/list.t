$ ehm list masks
name ...
random ...
...
$ ehm list recipes
name ...
mae ...
...
$ ehm list presets | grep -E '^(tiny|base)'
tiny ... 192 ... 12 ... 3 ... 96 ... 4 ... 3 ... 8
base ... 768 ... 12 ... 12 ... 512 ... 8 ... 16 ... 16
$ ehm list tasks --json
{"tasks": [{"name": "knn", "summary": "...", "metrics": "..."}...]}
$ ehm list ops | grep '^gelu_fwd'
gelu_fwd ... x Phi(x), erf ... gelu_bwd
$ ehm list settings | grep '^mask_ratio'
mask_ratio ... mask ... 0.75 ... share of patches hidden from the encoder
# Nobody reads: no message, but it is said by the code.
$ ehm list settings >/dev/full
ehm: the result could not be written: No space left on device
[1]
