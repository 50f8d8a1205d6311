#!/usr/bin/env bash
# upward.sh CC… -- BASE IO BATCH: a call from base up to batch must not link, the same call downward must.
set -u
compiler=()
while [ "$1" != -- ]; do compiler+=("$1"); shift; done
base=$2 io=$3 batch=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf 'int yd_header_check(const void *, unsigned long);\nint floor_calls(void);\nint floor_calls(void) { return yd_header_check(0, 0); }\n' >"$dir/calls.c"
printf 'int main(void) { return 0; }\n' >"$dir/main.c"
"${compiler[@]}" -c "$dir/calls.c" -o "$dir/calls.o" && "${compiler[@]}" -c "$dir/main.c" -o "$dir/main.o" || exit 1
echo 1..2
if "${compiler[@]}" "$dir/main.o" "$dir/calls.o" "$base" -o "$dir/up" 2>"$dir/err"; then echo "not ok 1 - an upward call does not link"
elif grep -q yd_header_check "$dir/err"; then echo "ok 1 - an upward call does not link"
else sed 's/^/# /' "$dir/err"; echo "not ok 1 - an upward call does not link"; fi
if "${compiler[@]}" "$dir/main.o" "$dir/calls.o" "$batch" "$io" "$base" -lpthread -luv -lm -o "$dir/down" 2>"$dir/err"; then echo "ok 2 - the same call downward links"
else sed 's/^/# /' "$dir/err"; echo "not ok 2 - the same call downward links"; fi
