#!/usr/bin/env bash
# What this proves: the images hold all that their programs need and nothing of the machine that built
# them, come out the same twice, and can be pushed to a registry. (Root: a chroot stands for a container.)
# usage: images.sh BUILD
source "$(dirname "$0")/lib.sh"
images() { python3 "$source_dir/deploy/images/build.py" "$build" "$@"; }
digest() { jq -r --arg name "$2" '.manifests[] | select(.annotations[] == $name).digest' "$1/index.json"; }
unpack() { # layout image folder
  local layer manifest=$1/blobs/sha256/$(digest "$1" "$2" | cut -d: -f2)
  mkdir -p "$3"
  jq -r '.layers[].digest' "$manifest" | cut -d: -f2 | while read -r layer; do
    tar -xzf "$1/blobs/sha256/$layer" -C "$3"
  done
}

images "$work/first" >"$work/first.log" || { fail "the images are built" "$(cat "$work/first.log")"; exit 1; }
cat "$work/first.log"
images "$work/second" --only kairo >/dev/null
same "built twice, the same image" "$(digest "$work/first" kairo)" "$(digest "$work/second" kairo)"
plain=$(awk '$1 == "kairo" { print int($3) }' "$work/first.log")
holds "the control plane's image has at most 60 MB" test "$plain" -le 60
unpack "$work/first" kairo "$work/kairo"
unpack "$work/first" kairo-engine "$work/engine"
same "the folder of the build is nowhere in the programs" "" \
  "$(strings -a "$work"/engine/usr/bin/* | grep -F -e "$source_dir" -e "$HOME/" | sort -u | head -n 3)"
same "each library's licence is there" "" \
  "$(for package in libnats3.4 librocksdb-dev libcurl4 libc6; do
    [ -s "$work/kairo/usr/share/doc/$package/copyright" ] || echo "$package"
  done)"

if [ "$(id -u)" != 0 ] || ! chroot --userspec=65532:65532 "$work/kairo" /usr/bin/kairo version >"$work/version" 2>&1; then
  if [ "$(id -u)" != 0 ]; then skip "images that run" "only root may chroot"; else fail "kairo runs alone" "$(cat "$work/version")"; fi
  exit 0
fi
same "kairo runs alone, as nobody" "$(kairo version)" "$(cat "$work/version")"
"$build/tests/gpu/make_tiny_model" "$work/engine/model" >/dev/null
mkdir -p "$work"/engine/{data,out,state,dev}
: >"$work/engine/dev/null"
head -n 8 "$source_dir/examples/quickstart/data/pip.jsonl" >"$work/engine/data/rows.jsonl"
printf 'training_config:\n  TrainingArguments: {max_steps: 1, per_device_train_batch_size: 2}\n' >"$work/engine/config.yaml"
chown -R 65532:65532 "$work"/engine/{out,state,data}
mkdir -p "$work/engine/proc"
in_engine() { # where /proc is that of this machine, as in a container
  unshare -m sh -c 'mount --bind /proc "$1/proc" && shift && exec "$@"' sh "$work/engine" \
    chroot --userspec=65532:65532 "$work/engine" "$@"
}
holds "the trainer runs alone, as nobody" in_engine /usr/bin/kairo-tune train --model /model \
  --data /data --config /config.yaml --output /out --state /state --method lora --name tiny
holds "and leaves an adapter" test -s "$work/engine/out/adapter_model.safetensors"
holds "the server has its libraries" in_engine /usr/bin/kairo-serve --help

# Of a driver that is only played: the image's own libtorch_cuda opens, and finds no GPU behind it.
if [ -n "${KAIRO_CUDA_IMAGE:-}" ]; then
  images "$work/cuda" --cuda >"$work/cuda.log" || { fail "the image for GPUs is built" "$(cat "$work/cuda.log")"; exit 1; }
  grep kairo-engine-cuda "$work/cuda.log"
  unpack "$work/cuda" kairo-engine-cuda "$work/gpu"
  install -D "$build/tests/gpu/libkairo_fake_cuda.so" "$work/gpu/fake/libcuda.so.1"
  same "libtorch's CUDA half opens in the image for GPUs" "device cuda: libtorch finds no GPU: look at CUDA_VISIBLE_DEVICES" \
    "$(LD_LIBRARY_PATH=/fake KAIRO_FAKE_CUDA='13000 0 1 9 0 none' chroot --userspec=65532:65532 "$work/gpu" \
      /usr/bin/kairo-tune selftest --device cuda 2>&1 | grep -o 'device cuda: libtorch finds no GPU: look at CUDA_VISIBLE_DEVICES')"
  holds "kairo's kernels have what they are linked with" chroot "$work/gpu" /lib64/ld-linux-x86-64.so.2 --list /usr/lib/kairo/libkairo_cuda.so
  rm -rf "$work/cuda" "$work/gpu"
else
  skip "the image for GPUs" "2.8 GB, minutes; run deploy/setup/cuda.sh, then set KAIRO_CUDA_IMAGE=1"
fi

port=$(free_port)
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s/registry}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$work" "$port" >"$work/registry.yaml"
docker-registry serve "$work/registry.yaml" >"$work/registry.log" 2>&1 &
children+=($!)
until_true 10 curl -sf "http://127.0.0.1:$port/v2/"
version=$(kairo version | awk '{ print $2 }')
images "$work/third" --only kairo --push "127.0.0.1:$port/team" >"$work/push.log" 2>&1
same "pushed, the registry has the same image" "$(digest "$work/first" kairo)" \
  "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://127.0.0.1:$port/team/kairo:$version" 2>&1)"
