#!/usr/bin/env bash
# Builds the newest nats-server for the tests, once, from its published Go module, and prints its
# path. usage: nats.sh [--check]   (--check: says where it is, builds nothing)
# KAIRO_NATS_SERVER names one that is there already.
# Exit 77: it cannot be had here; the last line says why.
set -euo pipefail
module=github.com/nats-io/nats-server/v2
version=v2.15.3
cannot() {
  echo "SKIP nats-server $version: $*"
  exit 77
}
if [ -n "${KAIRO_NATS_SERVER:-}" ]; then
  [ -x "$KAIRO_NATS_SERVER" ] || cannot "KAIRO_NATS_SERVER=$KAIRO_NATS_SERVER is no program"
  echo "$KAIRO_NATS_SERVER"
  exit 0
fi
folder=${KAIRO_CACHE:-$HOME/.cache/kairo}/nats/$version
program=$folder/nats-server
if [ -x "$program" ]; then
  echo "$program"
  exit 0
fi
[ "${1:-}" != --check ] || cannot "$program is not there; deploy/setup/nats.sh builds it (about a minute)"
command -v go >/dev/null || cannot "Go is not installed (Debian's is too old: https://go.dev/dl)"
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9 # two checkouts build it once
if [ ! -x "$program" ]; then
  echo "building nats-server $version from its Go module (once, into $folder)" >&2
  log=$folder/build.log
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  # Without downloads of a newer Go: what is installed either will do or is named in the log.
  GOTOOLCHAIN=local GOBIN=$work CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$module@$version" >"$log" 2>&1 ||
    cannot "it cannot be fetched or built with $(go env GOVERSION): $(tail -n 1 "$log")"
  mv "$work/nats-server" "$program.part"
  mv "$program.part" "$program"
fi
echo "$program"
