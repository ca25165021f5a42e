#!/usr/bin/env bash
# Bundles the page into OUT: index.html, page.js, page.css, plot.js (uPlot as its authors minified
# it). Needs no node: esbuild is a program of its own.
# usage: build.sh MODULES OUT     (MODULES: the folder node_modules that deploy/setup/page.sh prints)
set -euo pipefail
modules=$1 out=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
esbuild=("$modules"/@esbuild/*/bin/esbuild)
mkdir -p "$out"
NODE_PATH=$modules "${esbuild[0]}" "$here/app.tsx" --bundle --minify --target=es2022 --format=esm \
  --jsx=automatic --jsx-import-source=preact --legal-comments=none --log-level=warning \
  --outfile="$out/page.js"
cp "$here/index.html" "$out/index.html"
cp "$modules/uplot/dist/uPlot.iife.min.js" "$out/plot.js"
