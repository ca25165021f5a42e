#!/usr/bin/env bash
# tests/lint.sh - clang-tidy over the files that differ from main, or all of them with ALL=1.
# usage: lint.sh BUILD
set -euo pipefail
build=$1
if [ -n "${ALL:-}" ]; then
  files=$(git ls-files 'agents/*.cpp' 'schemas/*.cpp' 'state/*.cpp' 'gpu/*.cpp')
else
  base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD~1)
  files=$(git diff --name-only --diff-filter=d "$base" -- 'agents/*.cpp' 'schemas/*.cpp' 'state/*.cpp' 'gpu/*.cpp')
fi
# clang 14 reads neither libtorch's headers as C++20 nor GCC's omp.h.
unread=$(xargs -r grep -lE '<(ATen|omp\.h)' <<<"$files" || true)
if [ -n "$unread" ]; then
  files=$(grep -vxF "$unread" <<<"$files" || true)
  echo "lint: not read: $(tr '\n' ' ' <<<"$unread")"
fi
if [ -z "$files" ]; then
  echo "lint: no file differs (ALL=1 looks at every file)"
  exit 0
fi
echo "lint: $(wc -l <<<"$files") files"
status=0
output=$(xargs -P "$(nproc)" -n 4 clang-tidy-14 -p "$build" --quiet --warnings-as-errors='*' <<<"$files" 2>&1) || status=1
grep -vE '^[0-9]+ warnings? generated|^Suppressed|^Use -header-filter|^$' <<<"$output" || true
exit $status
