#!/usr/bin/env bash
# docs.sh YARDER OUT: generates the reference pages and the man pages out of the program's own tables.
#
#   OUT/elements/NAME.md   a page a class
#   OUT/man/yarder.1       all commands            OUT/man/yarder.5    topology files
#   OUT/completion/yarder.bash
set -euo pipefail
yarder=$1 out=$2
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rm -rf "$out"
mkdir -p "$out/elements" "$out/man" "$out/completion"
"$yarder" elements | while read -r name _; do "$yarder" elements "$name" >"$out/elements/$name.md"; done
"$yarder" completion bash >"$out/completion/yarder.bash"
python3 tools/manpage.py "$yarder" docs/man/yarder.1.scd | scdoc >"$out/man/yarder.1"
scdoc <docs/man/yarder.5.scd >"$out/man/yarder.5"
mandoc -T lint -W error "$out"/man/yarder.[15]
# What is escaped where nothing has to be is not shown at all.
if (mandoc -T lint "$out"/man/yarder.[15] || true) | grep -F 'escape'; then exit 1; fi
echo "docs: $out"
