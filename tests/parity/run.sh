#!/bin/sh
# tests/parity/run.sh - makes the golden files anew with the live oracle and fails on any difference; then
# compares conversations with the tokenizers and chat templates of real models.
# usage: run.sh BUILD    Installs the oracle (transformers, peft, bitsandbytes; 5 GB, once).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
cache=${KAIRO_CACHE:-$HOME/.cache/kairo}
"$here/setup.sh"
"$here/chats_setup.sh"
smollm2=$(bash "$root/deploy/setup/model.sh" "$1/kairo-tune" plain)
cmake --build "$1" --target parity_chats
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "parity: golden files with transformers and peft (some minutes)"
"$cache/oracle/bin/python" "$here/make_golden.py" "$work/golden" --smollm2 "$smollm2" \
  --gsm8k "$root/examples/gsm8k/train-256.jsonl" 2>"$work/log" || { tail -n 20 "$work/log" >&2; exit 1; }
"$cache/oracle/bin/python" "$here/compare.py" "$work/golden" "$root/tests/gpu/golden"
echo "parity: SmolLM2 in bf16 and in fp32 (some minutes where the CPU has no AMX)"
cmake --build "$1" --target train_bench
"$cache/oracle/bin/python" "$here/../bench/peer/tokenise.py" "$smollm2" \
  "$root/examples/gsm8k/train-256.jsonl" "$work/rows" 216 all 2>"$work/log" || { tail -n 20 "$work/log" >&2; exit 1; }
python3 "$here/bf16.py" "$1/tests/gpu/train_bench" "$smollm2" "$work/rows" || [ $? = 77 ]
echo "parity: conversations with the tokenizers and templates of real models (a minute)"
"$cache/oracle/bin/python" "$here/chats.py" "$cache/chats" "$work/chats" 2>"$work/log" || { tail -n 20 "$work/log" >&2; exit 1; }
"$1/tests/gpu/hf/parity_chats" "$work/chats" "$cache/chats/llama"
echo "parity: answers of SmolLM2 and of a tuned adapter under JSON schemas, judged by jsonschema (some minutes)"
mkdir -p "$work/tuned"
sed -n '/^    training_config:/,/^---/{/^---/d;s/^    //;p}' "$root/examples/quickstart/workspace.yaml" >"$work/tuned/config.yaml"
"$1/kairo-tune" train --model "$smollm2" --data "$root/examples/quickstart/data/pip.jsonl" --config "$work/tuned/config.yaml" \
  --method qlora --output "$work/tuned/adapter" --state "$work/tuned/run" 2>"$work/log" || { tail -n 20 "$work/log" >&2; exit 1; }
"$cache/oracle/bin/python" "$here/schema_answers.py" "$1/kairo-serve" "$smollm2" "$work/tuned/adapter"
