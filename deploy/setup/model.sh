#!/usr/bin/env bash
# Converts the small model once into the folder that presets are looked for in: its quantised
# matrices stay as they are, which kairo alone reads. "plain": as fp32, for transformers and older
# builds of kairo; prints that folder, which is the first one where an older kairo-tune made it.
# usage: model.sh PATH_OF_kairo-tune [plain]
set -euo pipefail
cache=${KAIRO_CACHE:-$HOME/.cache/kairo}
folder=${KAIRO_MODELS:-$cache/models}/smollm2-135m-instruct
gguf=$cache/models/gguf/SmolLM2-135M-Instruct.Q4_1.gguf
is_model() { [ -f "$1/model.safetensors" ] && [ -f "$1/tokenizer.json" ]; }
if [ "${2:-}" = plain ]; then
  plain=$cache/plain/smollm2-135m-instruct
  if is_model "$folder" && ! grep -q kairo_blocks "$folder/config.json"; then
    plain=$folder
  elif ! is_model "$plain"; then
    mkdir -p "$cache/plain"
    "$1" import --as f32 "$gguf" "$plain" >&2
  fi
  echo "$plain"
elif is_model "$folder"; then
  echo "model: $folder is there"
else
  exec "$1" import "$gguf" "$folder"
fi
