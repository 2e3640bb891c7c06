# What may not be read or written. Root may do everything, so it lays its rights down first.
$ printf '#!/bin/sh\nif [ "$(id -u)" = 0 ]; then exec setpriv --bounding-set=-all --inh-caps=-all "$@"; fi\nexec "$@"\n' >plain && chmod +x plain
? ./plain true
$ mkdir locked && chmod 0 locked && ./plain ehm data locked; chmod 700 locked
ehm: locked: the folder cannot be read: Permission denied
  hint:  change its rights, or run as a user who may read it
$ mkdir -p half/a half/b && cp "$ROOT/tests/golden/image/rgb.ppm" half/a/ && chmod 0 half/b && ./plain ehm data half; chmod 700 half/b
ehm: half/b: the folder cannot be read: Permission denied
  hint:  ...
$ cp half/a/rgb.ppm secret.ppm && chmod 0 secret.ppm && ./plain ehm data secret.ppm; chmod 600 secret.ppm
ehm: ...secret.ppm...
...
$ mkdir readonly && chmod 555 readonly && ./plain ehm pretrain --data scenes:1:8:32 --preset pico --batch-size 4 --steps 1 --out readonly/run --quiet
ehm: readonly/run: cannot make this folder: Permission denied
[1]
$ ./plain ehm data scenes:1:4:32 --export readonly/set --quiet
ehm: readonly/set: cannot make this folder: Permission denied
[1]
$ ./plain ehm embed --model untrained:pico --data scenes:1:4:32 --out readonly/f.npy --quiet
ehm: readonly/f.npy: cannot write: Permission denied
[1]
$ ./plain ehm draw reconstruct --model untrained:pico --image scenes:1:4:32 --out readonly/d.ppm --quiet
ehm: readonly/d.ppm: cannot write: Permission denied
[1]
$ ./plain ehm eval knn --model untrained:pico --train scenes:1:40:32 --test scenes:2:8:32 --k 3 --predictions readonly/p.tsv --quiet
ehm: readonly/p.tsv: cannot write: Permission denied
[1]
$ ls readonly
$ ehm pretrain --data scenes:1:8:32 --preset pico --batch-size 4 --steps 1 --out /proc/ehm/run --quiet
ehm: /proc/ehm: cannot make this folder: No such file or directory
[1]
$ ehm list settings >/dev/full
ehm: the result could not be written: No space left on device
[1]

# The user's cache folder cannot be written, and the archive must be unpacked somewhere.
? ehm --version | grep '^with:' | grep -q zlib
$ tar czf a.tar.gz half/a && HOME=$PWD/readonly ./plain ehm data a.tar.gz
note: there is no cache folder: a.tar.gz is unpacked into memory; --cache DIR keeps it for the next time
...
channels: RGB 1; read as 3, 8 bit
