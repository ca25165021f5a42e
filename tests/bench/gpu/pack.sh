#!/usr/bin/env bash
# tests/bench/gpu/pack.sh - a folder with all that a GPU machine needs for bench.py, about 60 MB: the programs, the test programs
# whose kernels a GPU can run, what they are linked with besides libtorch, golden files, a tokenizer, bitsandbytes for the peer.
# usage: pack.sh BUILD FOLDER
# FOLDER.tar.xz is the same, to be carried. On the GPU machine, which has an NVIDIA driver and a python3 with torch 2.11, transformers and peft: python3 FOLDER/bench.py
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source_dir=$(cd "$here/../../.." && pwd)
build=$1 out=$2
cache=${KAIRO_CACHE:-$HOME/.cache/kairo}
programs=(kairo-tune kairo-serve tests/gpu/train_bench tests/gpu/cuda/test_gpu_cuda tests/gpu/test_gpu_engine tests/gpu/test_gpu_families)
for file in "${programs[@]}" libkairo_cuda.so; do
  [ -f "$build/$file" ] || { echo "error: $build/$file is not there; build it (make bench-gpu does)" >&2; exit 1; }
done
rm -rf "$out"
mkdir -p "$out"/{bin,lib,golden,tokenizer,python}
for file in "${programs[@]}" libkairo_cuda.so; do strip -o "$out/bin/$(basename "$file")" "$build/$file"; done
# Every machine has its own C library, and one of the same age for C++.
ldd "${programs[@]/#/$build/}" | awk '/=> \// { print $1, $3 }' | sort -u |
  grep -vE '^(libc|libm|libdl|librt|libutil|libpthread|libstdc\+\+|libgcc_s|ld-linux[^ ]*|libtorch_cpu|libc10|libgomp|libcudart|libcupti)\.so|/torch/|/nvidia/' |
  while read -r soname file; do install -m 644 "$file" "$out/lib/$soname"; done
cp -r "$source_dir"/tests/gpu/golden/. "$out/golden"
cp "$cache"/models/smollm2-135m-instruct/tokenizer{,_config}.json "$out/tokenizer"
cp "$here"/{bench,measures,peer,shapes}.py "$out"
wheel=$out/wheel
python3 -m pip download -q --no-deps --only-binary=:all: --platform manylinux_2_24_x86_64 -d "$wheel" bitsandbytes==0.50.2
unzip -q "$wheel"/*.whl 'bitsandbytes/*.py' 'bitsandbytes/libbitsandbytes_cuda130.so' 'bitsandbytes/libbitsandbytes_cpu.so' '*dist-info/METADATA' -d "$out/python"
rm -r "$wheel"
tar -cJf "$out.tar.xz" -C "$(dirname "$out")" "$(basename "$out")"
echo "$(du -sm "$out" | cut -f1) MB in $out, $(du -sm "$out.tar.xz" | cut -f1) MB as $out.tar.xz"
