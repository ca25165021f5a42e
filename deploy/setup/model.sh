#!/usr/bin/env bash
# Converts the small model once into the folder that presets are looked for in.
# usage: model.sh PATH_OF_kairo-tune
set -euo pipefail
cache=${KAIRO_CACHE:-$HOME/.cache/kairo}
folder=${KAIRO_MODELS:-$cache/models}/smollm2-135m-instruct
if [ -f "$folder/model.safetensors" ] && [ -f "$folder/tokenizer.json" ]; then
  echo "model: $folder is there"
  exit 0
fi
exec "$1" import "$cache/models/gguf/SmolLM2-135M-Instruct.Q4_1.gguf" "$folder"
