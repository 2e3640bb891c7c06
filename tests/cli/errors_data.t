# Pictures that are none, or not there: what is wrong, where, and the one thing to try. No library is needed here.
$ mkdir empty && ehm data empty
ehm: empty: no pictures (0 other files, 0 hidden or special)
  hint:  what is a picture is decided by content: ...
[1]
$ mkdir texts && echo hello >texts/a.jpg && ehm data texts
ehm: texts: no pictures (1 other files, 0 hidden or special)
  hint:  what is a picture is decided by content: ...
[1]
$ ehm data
ehm: no pictures were named
  hint:  ehm data PATH
[2]
$ ehm data ''
ehm: --data (empty): must be a PATH
usage: ehm data PATH... [--check] [--export DIR] [options]     (ehm help data)
[2]

# A path that is not there: the near name, also inside a folder; the folder itself.
$ mkdir -p pictures/cat pictures/dog && cp "$ROOT/tests/golden/image/rgb.ppm" pictures/cat/1.ppm && cp "$ROOT/tests/golden/image/rgb.ppm" pictures/dog/2.ppm
$ ehm data pictrues
ehm: pictrues: there is no such file or folder
  hint:  did you mean pictures?
[2]
$ ehm data pictures/cta
ehm: pictures/cta: there is no such file or folder
  hint:  did you mean pictures/cat?
[2]
$ ehm data nowhere/pictures
ehm: nowhere/pictures: there is no such file or folder
  hint:  the folder nowhere/ is not there either
[2]

# A file that is no set of pictures.
$ printf '\001\002\003\004\005' >five.bin && ehm data five.bin
ehm: five.bin: is no picture and no set of pictures (it begins with 01 02 03 04)
  hint:  a set is a folder of pictures, a picture, a tar, a list of paths (.txt), CIFAR ...
[1]
$ : >nothing && ehm data nothing
ehm: nothing: the file is empty
  hint:  a set is ...
[1]

# Built-in pictures: what the three fields are.
$ ehm data scenes:1
ehm: scenes:1: seed and count are needed
  hint:  scenes:SEED:COUNT or scenes:SEED:COUNT:SIZE, for example scenes:1:10000:64
[2]
$ ehm data scenes:x:4
ehm: scenes:x:4: the seed is not a whole number from 0
  hint:  scenes:SEED:COUNT ...
[2]
$ ehm data scenes:1:0
ehm: scenes:1:0: the count is not a whole number from 1 to 100000000
...
[2]
$ ehm data scenes:1:4:3
ehm: scenes:1:4:3: the size is not between 8 and 4096 pixels
...
[2]
$ ehm data scenes:1:4:64:9
ehm: scenes:1:4:64:9: more than three fields
...
[2]
$ ehm data scnes:1:4
ehm: scnes:1:4: there is no such file or folder
  hint:  did you mean scenes:1:4?
[2]

# A part that is not there: what there is.
$ ehm data pictures#mouse
ehm: pictures has no part "mouse": neither a top-level folder nor ImageSets/Main/mouse.txt
  hint:  there is: cat, dog
[2]
$ ehm data pictures#
ehm: pictures#: a part's name is missing after #
[2]
$ ehm data pictures#cat | head -1
1 picture from folder pictures#cat

# Lists: the line that names nothing.
$ printf 'pictures/cat/1.ppm\nnot/there.ppm\n' >list.txt && ehm data list.txt
ehm: list.txt:2: there is no file "not/there.ppm" (1 such lines)
  hint:  paths in a list are relative to the list's folder or to the working folder; remove the lines of files that are gone
[1]
$ printf '\n\n' >blank.txt && ehm data blank.txt
ehm: blank.txt: names no pictures (0 files that are none by content)
[1]

# Arrays. An IDX file of ten 2 x 2 pictures, and nine labels beside it.
$ printf '\0\0\010\003\0\0\0\012\0\0\0\002\0\0\0\002%040d' 0 >a-images-idx3-ubyte && printf '\0\0\010\001\0\0\0\011%09d' 0 >a-labels-idx1-ubyte
$ ehm data a-images-idx3-ubyte
ehm: a-labels-idx1-ubyte has 9 labels, a-images-idx3-ubyte has 10 pictures
[1]
$ ehm data a-labels-idx1-ubyte
ehm: a-labels-idx1-ubyte: an IDX file of 1 dimensions holds no pictures; give the file of images
[1]
$ printf '\0\0\010\003\0\0\0\012\0\0\0\002\0\0\0\002%039d' 0 >b-images-idx3-ubyte && ehm data b-images-idx3-ubyte
ehm: b-images-idx3-ubyte: has 55 bytes, its header says 56
[1]
$ printf '\0\0\010\003\177\377\377\377\177\377\377\377\177\377\377\377x' >c-images-idx3-ubyte && ehm data c-images-idx3-ubyte
ehm: c-images-idx3-ubyte: ...
[1]
$ printf '%s' '\223NUMPY\001\0\066\0{"descr": "|O", "fortran_order": False, "shape": (4,)}' | tr '"' "'" >o && printf "$(cat o)" >o.npy && ehm data o.npy
ehm: o.npy: elements of type '|O' are not read
  hint:  save it as uint8, uint16 or float32
[1]
$ printf '%s' '\223NUMPY\001\0\100\0{"descr": "<f4", "fortran_order": False, "shape": (9, 8, 8, 3)} ' | tr '"' "'" >s && printf "$(cat s)" >s.npy && ehm data s.npy
ehm: s.npy: the shape needs 6912 bytes, the file has 0 after its header
[1]

# Tars that are a range, cut short, or hold nothing.
$ tar cf p1.tar pictures && ehm data 'p{1..3}.tar'
ehm: p2.tar: there is no such file (2 of the 3 that p{1..3}.tar stands for)
[1]
$ head -c 1100 p1.tar >short.tar && ehm data short.tar
ehm: short.tar: the tar ends early: ...
  hint:  the file may not have been copied or downloaded to its end
[1]
$ tar cf texts.tar texts && ehm data texts.tar
ehm: texts.tar: no pictures (1 other files, 0 hidden or special)
...
[1]
$ ehm data p1.tar#cta
ehm: p1.tar has no part "cta": ...
  hint:  ...
[2]
$ printf 'PK\003\004zipzipzip' >a.zip && ehm data a.zip
ehm: a.zip: zip archives are not read
  hint:  unpack it first: unzip a.zip
[1]

# Channels that cannot become one another, and what would do.
$ ehm data pictures --channels 7
ehm: pictures: pictures of 3 channels cannot become 7
  hint:  only 1 to 4 channels become one another; these pictures need --channels 3, ...
[2]
$ ehm data pictures --alpha black
ehm: --alpha black: must be one of drop|keep|white
usage: ehm data ...
[2]

# Exporting over something.
$ ehm data pictures --export pictures
ehm: pictures: ...
  hint:  ...
[2]
