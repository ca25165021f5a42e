#!/usr/bin/env bash
# deploy/setup/cuda.sh - what a machine with an NVIDIA GPU needs besides `make deps`: the libraries that libtorch's CUDA half
# (which came with libtorch) is linked with. Once, into the same folder as libtorch; 1.6 GB to fetch, 2.9 GB there.
# usage: cuda.sh      `make deps` calls it where there is an NVIDIA driver, `make images` for the image of GPU nodes.
set -euo pipefail
cache=${KAIRO_CACHE:-$HOME/.cache/kairo}
site=$cache/site
# As torch 2.11.0 names them (Requires-Dist), and cuda-toolkit 13.0.2, whose parts these are. cusolver and nvrtc are
# opened only by operators that kairo does not call.
wheels=(nvidia-cublas==13.1.0.3 nvidia-cudnn-cu13==9.19.0.56 nvidia-cufft==12.0.0.61 nvidia-nccl-cu13==2.28.9
  nvidia-cusparselt-cu13==0.8.0 nvidia-cusparse==12.6.3.3 nvidia-nvshmem-cu13==3.4.5 nvidia-curand==10.4.0.35
  nvidia-nvjitlink==13.0.88 nvidia-cufile==1.15.1.6)
[ -f "$site/.complete" ] || { echo "error: no libtorch in $site; run make deps" >&2; exit 1; }
if [ ! -f "$site/.complete-cuda" ]; then
  echo "fetching the libraries of libtorch's CUDA half (1.6 GB, once) into $site"
  dl=$(mktemp -d "$cache/cuda.XXXXXX")
  trap 'rm -rf "$dl"' EXIT
  for wheel in "${wheels[@]}"; do
    echo "  $wheel"
    python3 -m pip download -q --no-deps -d "$dl" "$wheel"
    unzip -q -o "$dl"/*.whl -x '*/include/*' -d "$site"
    rm "$dl"/*.whl
  done
  touch "$site/.complete-cuda"
fi
echo "libtorch's CUDA half is whole ($site)"
