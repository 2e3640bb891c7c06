# ehm tree: what it reads, what it writes, and what it says when a matrix is none.
$ printf '1 .9 .1\n.9 1 .2\n.1 .2 1\n' >A.txt && ehm tree --affinity A.txt --out Z.npy
Z.npy: [2, 4] f64, a tree of 3 leaves by average linkage, heights 0 to 0.75
$ head -c 128 Z.npy | tail -c 118 | tr -s ' ' && tail -c 64 Z.npy | od -An -t f8 | tr -s ' '
{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), } 
 0 1
 0 2
 2 3
 0.75 3
$ ehm tree --affinity A.txt --out Z.npy --json
{"out": "Z.npy", "n": 3, "n_trees": 1, "n_flat": 0, "linkage": "average", "height_min": 0, "height_max": 0.75}
$ ehm tree --affinity A.txt --out Z.npy --json | ehm_json_ok
out n n_trees n_flat linkage height_min height_max
$ for l in single complete average weighted ward centroid; do ehm tree --affinity A.txt --out Z.npy --linkage $l; done
Z.npy: [2, 4] f64, a tree of 3 leaves by single linkage, heights 0 to 0.7
Z.npy: [2, 4] f64, a tree of 3 leaves by complete linkage, heights 0 to 0.8
Z.npy: [2, 4] f64, a tree of 3 leaves by average linkage, heights 0 to 0.75
Z.npy: [2, 4] f64, a tree of 3 leaves by weighted linkage, heights 0 to 0.75
Z.npy: [2, 4] f64, a tree of 3 leaves by ward linkage, heights 0.540833 to 0.920598
Z.npy: [2, 4] f64, a tree of 3 leaves by centroid linkage, heights 0.540833 to 0.797261
$ ehm tree --affinity A.txt --out deep/er/Z.npy --quiet
deep/er/Z.npy: [2, 4] f64, a tree of 3 leaves by average linkage, heights 0 to 0.75

# Pipes: nothing but the array on standard output.
$ ehm tree --affinity A.txt --out Z.npy && ehm tree --affinity - --out - <A.txt >P.npy && cmp P.npy Z.npy
Z.npy: [2, 4] f64, a tree of 3 leaves by average linkage, heights 0 to 0.75
$ ehm tree --affinity A.txt --out - --json
ehm: --json and --out - would both write to standard output
{"error": {"code": "config", "what": "--json and --out - would both write to standard output"}}
[2]
$ ehm tree --affinity A.txt --out - >/dev/full
ehm: standard output: cannot write: No space left on device
[1]

# Text as programs write it: commas, semicolons, tabs, comments, a byte order mark, ends of lines with or without.
$ printf '\357\273\277# from a table\r\n1;.5\r\n\r\n+5e-1;\t1' | ehm tree --affinity - --out Z.npy
Z.npy: [1, 4] f64, a tree of 2 leaves by average linkage, heights 0 to 0
$ printf '1,\t2\n 3 ,1\n' | ehm tree --affinity - --out Z.npy --symmetrise
Z.npy: [1, 4] f64, a tree of 2 leaves by average linkage, heights 0 to 0

# Arrays of other types, and many matrices at once: npy TYPE SHAPE BYTES [FORTRAN_ORDER] writes one.
$ cat >npy <<'END'
> d="{'descr': '$1', 'fortran_order': ${4:-False}, 'shape': $2}"
> printf "\\223NUMPY\\001\\000\\$(printf %03o ${#d})\\000%s$3" "$d"
> END
$ sh npy '|u1' '(2, 3, 3)' '\0\7\1\7\0\3\1\3\0\0\1\2\1\0\5\2\5\0' >B.npy && ehm tree --affinity B.npy --out Z.npy --linkage complete --threads 2
Z.npy: [2, 2, 4] f64, 2 trees of 3 leaves by complete linkage, heights 0 to 6
$ tail -c 128 Z.npy | od -An -t f8 | tr -s ' '
 0 1
 0 2
 2 3
 6 3
 1 2
 0 2
 0 3
 4 3
$ cp Z.npy Z2.npy && sh npy '>i2' '(2, 3, 3)' '\0\0\0\0\0\7\0\1\0\1\0\2\0\7\0\1\0\0\0\0\0\3\0\5\0\1\0\2\0\3\0\5\0\0\0\0' True >F.npy && ehm tree --affinity F.npy --out Z.npy --linkage complete && cmp Z.npy Z2.npy
Z.npy: [2, 2, 4] f64, 2 trees of 3 leaves by complete linkage, heights 0 to 6
$ sh npy '|u1' '(1, 3, 3)' '\0\7\1\7\0\3\1\3\0' >B.npy && ehm tree --affinity B.npy --out Z.npy --json
{"out": "Z.npy", "n": 3, "n_trees": 1, "n_flat": 0, "linkage": "average", "height_min": 0, "height_max": 5}

# One item has a tree without merges.
$ sh npy '|u1' '(1, 1)' '\7' >x.npy && ehm tree --affinity x.npy --out Z.npy && wc -c <Z.npy && grep -c "(0, 4)" Z.npy
Z.npy: [0, 4] f64, a tree of 1 leaf by average linkage
128
1
$ sh npy '|u1' '(2, 1, 1)' '\7\7' >x.npy && ehm tree --affinity x.npy --out Z.npy --json
{"out": "Z.npy", "n": 1, "n_trees": 2, "n_flat": 0, "linkage": "average", "height_min": null, "height_max": null}

# No information: said, and done as SciPy does.
$ printf '1 1 1\n1 1 1\n1 1 1\n' | ehm tree --affinity - --out Z.npy
warning: all similarities are equal: the tree holds no information
Z.npy: [2, 4] f64, a tree of 3 leaves by average linkage, heights 0 to 0
$ sh npy '|u1' '(2, 3, 3)' '\0\7\1\7\0\3\1\3\0\4\4\4\4\4\4\4\4\4' >x.npy && ehm tree --affinity x.npy --out Z.npy
warning: 1 of 2 matrices (the first is [1]) have equal similarities: their trees hold no information
Z.npy: [2, 2, 4] f64, 2 trees of 3 leaves by average linkage, heights 0 to 5

# Entries that cannot be: named, with the matrix where there are many.
$ sh npy '<f2' '(2, 2, 2)' '\0\74\0\70\0\70\0\74\0\74\0\176\0\176\0\74' >nan.npy && ehm tree --affinity nan.npy --out Z.npy
ehm: similarity (0, 1) is nan
  while: building tree 1 of 2; reading nan.npy as similarities
[1]
$ sh npy '<f2' '(2, 2)' '\0\74\0\174\0\174\0\74' >inf.npy && ehm tree --affinity inf.npy --out Z.npy
ehm: similarity (0, 1) is inf
  while: reading inf.npy as similarities
[1]
$ printf '1 nan\nnan 1\n' | ehm tree --affinity - --out Z.npy
ehm: similarity (0, 1) is nan
  while: reading standard input as similarities
[1]
$ printf '1 2\n3 1\n' | ehm tree --affinity - --out Z.npy
ehm: similarity (0, 1) is 2, but (1, 0) is 3: not symmetric (1e-4 of the largest, 3, is allowed)
  while: reading standard input as similarities
  hint:  --symmetrise takes the mean of the two
[1]
$ printf '1 2\nnan 1\n' | ehm tree --affinity - --out Z.npy --symmetrise
ehm: similarity (1, 0) is nan
  while: reading standard input as similarities
[1]
$ sh npy '|u1' '(2, 2, 2)' '\0\1\1\0\0\1\2\0' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: similarity (0, 1) is 1, but (1, 0) is 2: not symmetric (1e-4 of the largest, 2, is allowed)
  while: building tree 1 of 2; reading x.npy as similarities
  hint:  --symmetrise takes the mean of the two
[1]

# Shapes that are no similarities.
$ sh npy '|u1' '(2, 3)' '\0\1\1\0\1\2' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: shape (2, 3) is not square
[1]
$ sh npy '|u1' '(2, 2, 1)' '\0\1\1\0' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: shape (2, 2, 1) is not square
[1]
$ sh npy '|u1' '(4,)' '\0\1\1\0' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: shape (4,) is no matrix of similarities
  hint:  similarities are N x N, or B x N x N for many matrices at once
[1]
$ sh npy '|u1' '(1, 1, 2, 2)' '\0\1\1\0' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: shape (1, 1, 2, 2) is no matrix of similarities
  hint:  similarities are N x N, or B x N x N for many matrices at once
[1]
$ sh npy '|u1' '(0, 0)' '' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: shape (0, 0) holds no similarities
[1]
$ sh npy '|u1' '(0, 3, 3)' '' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: shape (0, 3, 3) holds no similarities
[1]
$ { sh npy '|u1' '(4097, 4097)' ''; head -c 16785409 /dev/zero; } >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: 4097 items, a tree has at most 4096 leaves
[1]
$ yes 1 | head -4097 | tr '\n' ' ' | ehm tree --affinity - --out Z.npy
ehm: standard input: line 1 has more than 4096 numbers, the most a tree has leaves
[1]

# Files that hold no numbers.
$ sh npy '<c8' '(1, 1)' '\0\0\0\0\0\0\0\0' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: elements of type '<c8' are not read
  hint:  save it as whole or real numbers, a.astype('float32')
[1]
$ sh npy '|O' '(1, 1)' '\0' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: elements of type '|O' are not read
  hint:  Python objects need Python: save it as numbers, a.astype('float32')
[1]
$ sh npy '<f8' '(2, 2)' '\0\0\0' | ehm tree --affinity - --out Z.npy
ehm: standard input: is cut short; shape (2, 2) of type f8 takes 32 bytes, the file has 3 after its header
[1]
$ sh npy '|u1' '(1, 1)' '\0\0\0' >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: has trailing bytes; shape (1, 1) of type u1 takes 1 bytes, the file has 3 after its header
[1]
$ : >x.npy && ehm tree --affinity x.npy --out Z.npy
ehm: x.npy: is empty
[1]
$ ehm tree --affinity - --out Z.npy </dev/null
ehm: standard input: is empty
[1]
$ ehm tree --affinity B.npyy --out Z.npy
ehm: B.npyy: cannot open: No such file or directory
  hint:  did you mean B.npy?
[1]
$ ehm tree --affinity no/B.npy --out Z.npy
ehm: no/B.npy: cannot open: No such file or directory
  hint:  the folder no/ is not there either
[1]
$ ehm tree --affinity . --out Z.npy
ehm: .: is a folder, a file is needed
[1]
$ ehm tree --affinity "$ROOT/tests/golden/image/rgb8.png" --out Z.npy
ehm: .../tests/golden/image/rgb8.png: is neither a .npy file nor a matrix as text
  hint:  numpy.save("A.npy", a) writes what is read here
[1]
$ ehm tree --affinity "$ROOT/tests/golden/image/grey.jpg" --out Z.npy
ehm: .../tests/golden/image/grey.jpg: is neither a .npy file nor a matrix as text
  hint:  numpy.save("A.npy", a) writes what is read here
[1]

# Text that is no matrix.
$ printf '1,2\n2,1,3\n' | ehm tree --affinity - --out Z.npy
ehm: standard input: line 2 has 3 numbers, the first row has 2
[1]
$ printf '1,2\n2,1\n3,4\n' | ehm tree --affinity - --out Z.npy
ehm: standard input: more than 2 rows of 2 numbers are not square
[1]
$ printf '1,2,3\n2,1,4\n' | ehm tree --affinity - --out Z.npy
ehm: standard input: 2 rows of 3 numbers are not square
[1]
$ printf 'name,a\na,1\n' | ehm tree --affinity - --out Z.npy
ehm: standard input: line 1, column 1: 'name' is no number
  hint:  a matrix as text holds numbers alone, no names of rows or columns
[1]
$ printf '1,,2\n2,1\n' | ehm tree --affinity - --out Z.npy
ehm: standard input: line 1, column 2 is empty
[1]
$ printf '1,2,\n2,1\n' | ehm tree --affinity - --out Z.npy
ehm: standard input: line 1, column 3 is empty
[1]
$ printf '\n# nothing\n' | ehm tree --affinity - --out Z.npy
ehm: standard input: holds no numbers
[1]

# Names and settings.
$ ehm tree --out Z.npy
ehm: --affinity is missing: the similarities, N x N or B x N x N, - for standard input
[2]
$ ehm tree --affinity A.txt
ehm: --out is missing: the .npy file to write, - for standard output
[2]
$ ehm tree --affinity A.txt --out Z.csv
ehm: --out Z.csv: the name of an array ends in .npy
[2]
$ ehm tree --affinity A.txt --out Z.npy --linkage wards
ehm: --linkage wards: must be one of single|complete|average|weighted|ward|centroid
  hint:  did you mean ward?
usage: ehm tree --affinity A.npy --out Z.npy [options]     (ehm help tree)
[2]
$ ehm tree --affinity B.npy --out ./B.npy
ehm: --out ./B.npy: is the file that --affinity reads
[2]
$ ehm tree --affinity A.txt --out A.txt/Z.npy
ehm: A.txt: cannot make this folder: Not a directory
[1]
$ ehm tree A.txt --out Z.npy
ehm: ehm tree: what is "A.txt" for?
  hint:  this command takes options only
usage: ehm tree --affinity A.npy --out Z.npy [options]     (ehm help tree)
[2]
