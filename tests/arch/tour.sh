#!/bin/sh
# docs/tour.md is true: each file it names is there, and each function of a list line is defined in the file the line
# names, or else in the last one named before. Each list has three functions. usage: tour.sh SOURCE_ROOT
root=$1 page=$1/docs/tour.md bad=0 file= n_list=0 n_functions=0 no=0
wrong() { echo "docs/tour.md:$no: $*"; bad=1; }
named() { printf '%s\n' "$1" | grep -o '`[^`]*`' | tr -d '`' | grep -E '^[a-zA-Z_/]+\.[a-z]+$' | grep /; }
end_list() {
    if [ "$n_list" != 0 ] && [ "$n_list" != 3 ]; then wrong "the list before has $n_list functions, expected 3"; fi
    n_list=0
}
while IFS= read -r line; do
    no=$((no + 1))
    for f in $(named "$line"); do [ -f "$root/$f" ] || wrong "there is no $f"; done
    case $line in
    '- `'*)
        name=$(printf '%s\n' "$line" | sed 's/^- `\([^`]*\)`.*/\1/')
        own=$(named "$line" | head -1)
        in=${own:-$file}
        n_list=$((n_list + 1)) n_functions=$((n_functions + 1))
        # A definition begins in the first column, is no prototype, and has the name before its bracket.
        grep -qE "^[a-zA-Z].*[ *]$name\(" "$root/$in" || wrong "$name is not defined in $in"
        ;;
    *)
        end_list
        for f in $(named "$line"); do case $f in src/*.c) file=$f; break ;; esac; done
        ;;
    esac
done <"$page"
end_list
[ "$n_functions" -ge 40 ] || { echo "docs/tour.md: $n_functions functions were found: is the page still written as this test reads it?"; bad=1; }
exit $bad
