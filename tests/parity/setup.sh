#!/bin/sh
# tests/parity/setup.sh - installs the Python oracle (pinned) into ${KAIRO_CACHE:-~/.cache/kairo}/oracle.
# About 6 GB: torch of PyPI imports only with its CUDA wheels. Nothing of it runs on a GPU.
set -eu
cache=${KAIRO_CACHE:-$HOME/.cache/kairo}
venv=$cache/oracle
stamp=$venv/installed-7
[ -e "$stamp" ] && exit 0
python3 -m venv "$venv"
find_links=
[ -d "$cache/dl" ] && find_links="--find-links $cache/dl"
# shellcheck disable=SC2086
"$venv/bin/pip" install --quiet --disable-pip-version-check $find_links \
  torch==2.11.0 transformers==5.24.0 trl==1.16.0 peft==0.21.2 accelerate==1.15.0 bitsandbytes==0.50.2 \
  tokenizers==0.23.3 safetensors==0.8.0 numpy==2.4.6 pyarrow==26.0.1 gguf==0.19.0 jsonschema==4.26.0
"$venv/bin/python" -c 'import torch, transformers, peft, bitsandbytes; print(torch.__version__)'
touch "$stamp"
