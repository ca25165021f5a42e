#!/usr/bin/env bash
# Writes kairo.yaml anew: the chart, rendered, with Secrets that come from outside. usage: render.sh HELM > kairo.yaml
set -euo pipefail
cd "$(dirname "$0")"
echo "# Written by render.sh from ../chart; change it there, or patch it in an overlay."
"$1" template kairo ../chart --namespace kairo-system --kube-version 1.30.0 \
  --set bus.passwords=own --set bus.tls.from=own 2>/dev/null
