#!/bin/sh
# tests/bench/peer/llama.sh - installs llama.cpp (pinned, from its wheel) into the cache once; prints its python.
set -eu
venv=${KAIRO_CACHE:-$HOME/.cache/kairo}/llama
if ! [ -e "$venv/installed-1" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check xllamacpp==2026.10.11549 >&2
  "$venv/bin/python" -c 'import xllamacpp' >&2
  touch "$venv/installed-1"
fi
echo "$venv/bin/python"
