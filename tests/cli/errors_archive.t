# Compressed archives: unpacked once into the cache; broken ones and a cache that cannot be written say so.
? ehm --version | grep '^with:' | grep -q zlib
$ mkdir -p set/cat set/dog && cp "$ROOT/tests/golden/image/rgb.ppm" set/cat/1.ppm && cp "$ROOT/tests/golden/image/grey.pgm" set/dog/2.pgm && tar czf set.tar.gz set
$ ehm data set.tar.gz
unpacking set.tar.gz once into the cache: ...
unpacked set.tar.gz
2 pictures from tar set.tar.gz
...
$ find .cache -name 'set-*.tar' | wc -l
1
$ ehm data set.tar.gz | head -1
2 pictures from tar set.tar.gz
$ head -c $(($(wc -c <set.tar.gz) - 20)) set.tar.gz >half.tar.gz && ehm data half.tar.gz --quiet
ehm: half.tar.gz: the gzip data ends early
  hint:  the file may not have been copied or downloaded to its end
[1]
$ (head -c 60 set.tar.gz; printf 'xxxxxxxx'; tail -c +69 set.tar.gz) >hurt.tar.gz && ehm data hurt.tar.gz
ehm: hurt.tar.gz: ...
...
[1]
$ echo text | gzip >text.gz && ehm data text.gz
ehm: text.gz: gzip data that holds no tar and no IDX pictures
  hint:  a set is ...
[1]
$ find .cache -name 'half-*.tar' -o -name 'hurt-*.tar' -o -name '*.tmp*'
$ cp set.tar.gz other.tar.gz; echo file >not_a_folder; ehm data other.tar.gz --cache not_a_folder
ehm: other.tar.gz: is compressed, and the cache folder cannot be used: not_a_folder: cannot make this folder: Not a directory
  hint:  --cache DIR names a folder that may be written; the unpacked archive is kept there
[1]
$ ehm data other.tar.gz --cache made/here --quiet | head -1 && ls made/here | grep -c '^other-.*tar$'
2 pictures from tar other.tar.gz
1
$ printf 'BZh91AY&SY' >a.tar.bz2 && ehm data a.tar.bz2
ehm: a.tar.bz2: bzip2 archives are not read
  hint:  unpack it first: bunzip2 a.tar.bz2
[1]
