#!/usr/bin/env bash
# alone.sh CC… -- BASE IO BATCH LOG: a program that reads log files needs these archives, zstd and the C library.
set -u
compiler=()
while [ "$1" != -- ]; do compiler+=("$1"); shift; done
base=$2 io=$3 batch=$4 log=$5
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/alone.c" <<'C'
#include "io/file.h"
#include <yarder/log.h>
#include "log/reader.h"
int main(int argc, char **argv)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .level = YD_ACK_DURABLE};
    struct yd_log_reader *reader;
    struct yd_log_gap gap;
    struct yd_trail trail;
    struct yd_batch *batch;
    yd_trail_clear(&trail);
    if (argc < 2 || yd_log_reader_open_dir(yd_fs_linux(), argv[1], &start, &reader, &trail) < 0) return 1;
    while (yd_log_reader_next(reader, &batch, &gap) == 0) yd_batch_unref(batch);
    yd_log_reader_close(reader);
    return 0;
}
C
echo 1..2
if "${compiler[@]}" -I"$root/include" -I"$root/src" "$dir/alone.c" "$log" "$batch" "$io" "$base" -lzstd -lpthread -lm -o "$dir/alone" 2>"$dir/err"
then echo "ok 1 - a reader of log files links with log, batch, io, base, zstd and the C library"
else sed 's/^/# /' "$dir/err"; echo "not ok 1 - a reader of log files links with log, batch, io, base, zstd and the C library"; exit 1; fi
others=$(ldd "$dir/alone" | grep -vE 'linux-vdso|ld-linux|libc\.so|libm\.so|libasan|libubsan|libtsan|libgcc_s|libstdc|libdl|libpthread|librt|libresolv|libzstd')
if [ -z "$others" ]; then echo "ok 2 - it loads no other library"; else sed 's/^/# /' <<<"$others"; echo "not ok 2 - it loads no other library"; fi
