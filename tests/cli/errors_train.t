# Training that cannot begin: which setting, which value, what would do.
$ ehm pretrain --out run
ehm: no pictures are given
  hint:  --data PATH: a folder, a tar, an array, or scenes:0:5000 for built-in pictures
[2]
$ ehm pretrain --data scenes:1:16:32
ehm: no run folder is given
  hint:  --out DIR
[2]
$ ehm pretran --data scenes:1:16:32
ehm: pretran: there is no such command
  hint:  did you mean pretrain?
usage: ehm COMMAND [options]     (ehm help lists the commands)
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --mask-raito 0.5
ehm: --mask-raito: there is no such option
  hint:  did you mean --mask-ratio?
usage: ehm pretrain --data PATH --out DIR [options]     (ehm help pretrain)
[2]
$ mkdir empty && ehm pretrain --data empty --out run
ehm: empty: no pictures (0 other files, 0 hidden or special)
...
[1]

# Names with a near one.
$ ehm pretrain --data scenes:1:16:32 --out run --recipe mea
ehm: recipe "mea" is not known
  hint:  did you mean "mae"? ehm list recipes shows all
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --mask randon --quiet
ehm: mask rule "randon" is not known
  hint:  did you mean "random"? ehm list masks shows all
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --preset tinny
ehm: --preset tinny: must be one of auto|pico|tiny|small|base|large|huge
  hint:  did you mean tiny?
usage: ehm pretrain --data PATH --out DIR [options]     (ehm help pretrain)
[2]

# Ranges: key, value and what is permitted.
$ ehm pretrain --data scenes:1:16:32 --out run --mask-ratio 1.5
ehm: --mask-ratio 1.5: must be a number from 0 to 1 (share)
...
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --epochs -1
ehm: --epochs -1: must be a number from 0 to 1e+09 (epochs)
...
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --batch-size 0
ehm: --batch-size 0: must be a whole number from 1 to 1048576 or auto (pictures)
...
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --blr nan
ehm: --blr nan: must be a number from 0 to 1000 (rate)
...
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --mask-ratio 0.999 --quiet
ehm: mask_ratio 0.999 hides 64 of 64 patches; training needs at least one hidden and one visible
  hint:  give --mask-ratio a value that leaves at least one patch on each side
[2]

# Things that do not go together.
$ ehm pretrain --data scenes:1:16:32 --out run --batch-size 17 --quiet
ehm: --batch-size 17 is more than the 16 pictures there are
  hint:  a batch of at most 16, or more pictures
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --preset pico --patch-size 8 --img-size 33 --quiet
ehm: ...33...
...
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --preset pico --embed-dim 130 --quiet
ehm: ...130...
...
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --epochs 2 --steps 3 --quiet
ehm: --epochs 2 and --steps 3 are two lengths
  hint:  give one of them
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --mean 0.5,x,0.5 --quiet
ehm: --mean 0.5,x,0.5: "x" is not a number
...
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --mean 0.5 --quiet
ehm: --mean 0.5: 1 numbers, the pictures have 3 channels
...
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --std 0,1,1 --quiet
ehm: --std 0,1,1: must be above 0
...
[2]
$ ehm pretrain --data scenes:1:16:32 --out run --crop-min 0.9 --crop-max 0.5 --quiet
ehm: --crop-min 0.9 is more than --crop-max 0.5
...
[2]
$ echo taken >file && ehm pretrain --data scenes:1:16:32 --out file --quiet
ehm: file: is a file, a run needs a folder
[2]
$ ehm pretrain --data scenes:1:16:32 --out file/run --quiet
ehm: file: cannot make this folder: Not a directory
[1]

# Nothing of all that has left a folder behind.
$ ls
empty
file
