#!/bin/sh
# The longest functions and files of src/, for information; fails nothing.
echo "longest files:"
find src -name '*.[ch]' -exec wc -l {} + | sort -rn | sed -n '2,11p'
echo "longest functions:"
for f in $(find src -name '*.c'); do
    awk -v f="$f" '/^[a-zA-Z_].*\) *\{ *$/ { start = NR; name = $0 } /^\}/ && start { print NR - start, f ":" start, name; start = 0 }' "$f"
done | sort -rn | head -15
