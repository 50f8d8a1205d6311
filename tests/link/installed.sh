#!/usr/bin/env bash
# installed.sh BUILD CC…: what is installed of each library is enough to build its examples, and no more is loaded.
set -u
build=$1; shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
echo 1..11
say() { if [ "$1" = 0 ]; then echo "ok $2 - $3"; else sed 's/^/# /' "$dir/err" | head -30; echo "not ok $2 - $3"; fi; }
# compile LIBRARY EXAMPLE… -- CC…
compile() {
  local library=$1 wrong=0 examples=(); shift
  while [ "$1" != -- ]; do examples+=("$1"); shift; done
  shift
  : >"$dir/err"
  for example in "${examples[@]}"; do
    # shellcheck disable=SC2046
    "$@" "$root/examples/$example.c" $(pkg-config --cflags --libs "$library") -o "$dir/$example" 2>>"$dir/err" || wrong=1
  done
  return $wrong
}
# needs LIBRARY ALLOWED: nothing else is loaded by it
needs() {
  readelf -d "$(find "$dir/root" -name "lib$1.so.0")" | grep NEEDED |
    grep -vE "$2|libc\.so|libm\.so|libpthread|ld-linux|libasan|libubsan|libtsan|libgcc_s" >"$dir/err"
  [ ! -s "$dir/err" ]
}
DESTDIR=$dir/root meson install -C "$build" --no-rebuild --quiet >"$dir/err" 2>&1
say $? 1 "it installs"
pc=$(find "$dir/root" -name yarder-client.pc)
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$dir/root PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
lib=$(find "$dir/root" -name 'libyarder-client.so.0')
export LD_LIBRARY_PATH=${lib%/*}
compile yarder-client produce subscribe -- "$@"; say $? 2 "the client's examples are built with pkg-config alone"
"$dir/produce" unix:"$dir/nobody" s </dev/null >"$dir/err" 2>&1
[ $? = 1 ] && grep -q nobody "$dir/err"; say $? 3 "they run, and say that nobody listens"
needs yarder-client libgnutls; say $? 4 "the client library needs libc and GnuTLS, nothing else"
compile yarder-log tail -- "$@"; say $? 5 "the log's example is built with pkg-config alone"
"$dir/tail" "$dir/nothing" >"$dir/err" 2>&1
[ $? = 1 ] && grep -q nothing "$dir/err"; say $? 6 "it runs, and says that nothing is there"
needs yarder-log libzstd; say $? 7 "the log's library needs libc and zstd, nothing else"
compile yarder-live live -- "$@"; say $? 8 "the example of current values is built with pkg-config alone"
"$dir/live" "$dir/nothing" '*' >"$dir/err" 2>&1
[ $? = 1 ] && grep -q nothing "$dir/err"; say $? 9 "it runs, and says that nobody is there"
needs yarder-live 'nothing else'; say $? 10 "the library of current values needs libc, nothing else"
printf '#include <yarder/client.h>\n#include <yarder/element.h>\n#include <yarder/live.h>\n#include <yarder/log.h>\n#include <yarder/name.h>\n#include <yarder/protocol.h>\nint main(){}\n' >"$dir/all.c"
"$@" -Wall -Wextra -Wpedantic -Werror -I "$root/include" -fsyntax-only "$dir/all.c" 2>"$dir/err"
say $? 11 "every public header stands on its own feet"
