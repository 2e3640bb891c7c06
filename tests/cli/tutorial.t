# docs/tutorial.md beside its commands, which run as the test docs_tutorial: the lines to build with, links, messages.

# What the page has people type to build is there to be made.
$ sed -n '/^```sh/,/^```$/p' $ROOT/docs/tutorial.md | sed -n 's/^\(sudo \)*make *\([a-z]*\).*/make -n -C $ROOT \2/p' >build.sh; grep -o '`make [a-z]*`' $ROOT/docs/tutorial.md | tr -d '`' | sed 's/make/make -n -C $ROOT/' | sort -u >>build.sh; wc -l <build.sh; sh -e build.sh >log 2>&1 || cat log
5

# Every link leads to a file, pictures are small, and none is without a place on the page.
$ for f in $(grep -o '](\([^)]*\))' $ROOT/docs/tutorial.md | tr -d '()]' | grep -v ^http); do test -s $ROOT/docs/$f || echo "no $f"; done; find $ROOT/docs/pictures -name 'tutorial_*' -size +150k
$ for f in $ROOT/docs/pictures/tutorial_*; do grep -c "(pictures/${f##*/})" $ROOT/docs/tutorial.md; done | sort -u
1

# What its table of troubles quotes is what is said.
$ ehm data scenes:1:20:32 --export few --quiet >/dev/null && ehm pretrain --data few/images --out r --preset pico --batch-size 64 --steps 2 --quiet
ehm: --batch-size 64 is more than the 20 pictures there are
  hint:  a batch of at most 20, or more pictures
[2]
$ head -c 300 $(ls few/images/bird/*.png | head -1) >few/images/bird/half.png; ehm pretrain --data few/images --out r --preset pico --batch-size 4 --epochs 2 --quiet
...
ehm: 1 of 20 pictures seen are bad, a share of 0.05 where 0.01 is permitted: bird/half.png: ...
  while: step 5
  hint:  ehm data --check names every bad file; --max-bad permits a larger share
[1]
$ rm -r r; ehm pretrain --data few/images --out r --preset pico --batch-size 4 --epochs 1 --max-bad 0.05 --quiet
r: 5 steps, ...
$ ehm pretrain --data scenes:1:100000:224 --out r2 --preset huge --batch-size 65536 --steps 2 --quiet
ehm: a batch of 65536 pictures needs ...GiB..., ... are free
  hint:  ...
[1]
$ ehm pretrain --data scenes:1:32:32 --out r3 --preset pico --batch-size 8 --steps 40 --lr 1000 --clip-grad 0 --warmup-epochs 0 --quiet
ehm: step ...: the ... is not finite ...
...
[3]
$ ehm draw reconstruct --model r --image few/images --count 2 --unnorm visible --out v.png --quiet && ehm draw reconstruct --model r --image few/images --count 2 --unnorm none --out n.png --quiet && ls v.png n.png
v.png...
n.png...
n.png
v.png
