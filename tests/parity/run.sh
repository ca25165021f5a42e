#!/bin/sh
# tests/parity/run.sh - makes the golden files anew with the live oracle and fails on any difference.
# usage: run.sh [MODEL_DIR TRAIN.jsonl]   with both: the SmolLM2 losses too.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/setup.sh"
python=${KAIRO_CACHE:-$HOME/.cache/kairo}/oracle/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ $# -ge 2 ]; then
  "$python" "$here/make_golden.py" "$work" --smollm2 "$1" --gsm8k "$2" 2>/dev/null
else
  "$python" "$here/make_golden.py" "$work" 2>/dev/null
fi
"$python" "$here/compare.py" "$work" "$here/../gpu/golden"
