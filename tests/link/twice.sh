#!/usr/bin/env bash
# twice.sh ARCHIVE…: a symbol that two floors both define would link only by luck.
set -u
echo 1..1
twice=$(nm -g --defined-only "$@" 2>/dev/null | awk '$2 ~ /[TDBR]/ { print $3 }' | sort | uniq -d)
if [ -z "$twice" ]; then echo "ok 1 - no symbol is defined by two floors"
else echo "# $twice"; echo "not ok 1 - no symbol is defined by two floors"; fi
