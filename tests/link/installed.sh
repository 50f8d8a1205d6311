#!/usr/bin/env bash
# installed.sh BUILD CC…: what is installed of the client library is enough to build the examples, and no more is loaded.
set -u
build=$1; shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
echo 1..4
say() { if [ "$1" = 0 ]; then echo "ok $2 - $3"; else sed 's/^/# /' "$dir/err" | head -30; echo "not ok $2 - $3"; fi; }
DESTDIR=$dir/root meson install -C "$build" --no-rebuild --quiet >"$dir/err" 2>&1
say $? 1 "it installs"
pc=$(find "$dir/root" -name yarder-client.pc)
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$dir/root PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
wrong=0
: >"$dir/err"
for example in produce subscribe; do
  # shellcheck disable=SC2046
  "$@" "$root/examples/$example.c" $(pkg-config --cflags --libs yarder-client) -o "$dir/$example" 2>>"$dir/err" || wrong=1
done
say $wrong 2 "the examples are built with pkg-config alone"
lib=$(find "$dir/root" -name 'libyarder-client.so.0')
LD_LIBRARY_PATH=${lib%/*} "$dir/produce" unix:"$dir/nobody" s </dev/null >"$dir/err" 2>&1
[ $? = 1 ] && grep -q nobody "$dir/err"; say $? 3 "they run, and say that nobody listens"
readelf -d "$lib" | grep NEEDED | grep -vE 'libgnutls|libc\.so|libm\.so|libpthread|ld-linux|libasan|libubsan|libtsan|libgcc_s' >"$dir/err"
[ ! -s "$dir/err" ]; say $? 4 "the library needs libc and GnuTLS, nothing else"
