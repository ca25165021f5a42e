#!/usr/bin/env bash
# tests/bench/run.sh - speed and memory, through the real parts, against peers in the same run.
#
# usage: run.sh BUILD    BENCH_ONLY="control push serve train" chooses; BENCH_APPLIES=50,
# BENCH_MANY=1000, BENCH_PUSH_MB=200, BENCH_STEPS=12 set the sizes.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../e2e/lib.sh"
only=${BENCH_ONLY:-control push serve train}
began=$SECONDS
wants() { case " $only " in *" $1 "*) ;; *) return 1 ;; esac; }
title() { printf '\n%s\n' "$1"; }
needs() { cmake --build "$build" --target "$@" >"$work/build.log" 2>&1 || { tail "$work/build.log"; exit 1; }; }
real_model=${KAIRO_CACHE:-$HOME/.cache/kairo}/models/smollm2-135m-instruct
agents="watcher provisioner launcher node pusher"
pid_of() { awk -v name="$1" '$1 == name { print $2 }' "$KAIRO_HOME/run/pids"; }
rss() { awk '/^VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }
memory() { # label
  local name
  printf '  %-22s' "$1"
  for name in $agents cluster nats registry; do printf ' %s %s' "$name" "$(rss "$(pid_of "$name")")"; done
  printf '  (MiB)\n'
}
is_ready() { curl -sf -o /dev/null "http://127.0.0.1:$(cat "$KAIRO_HOME/run/$1.port")/readyz"; }

printf 'kairo %s on %s cores (%s), %s GiB, load %s\n' "$(kairo version | tail -n 1 | sed 's/^kairo //')" "$(env -u OMP_NUM_THREADS nproc)" \
  "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
  "$(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" "$(cut -d' ' -f1 /proc/loadavg)"

if wants control; then
  start_kairo
  serve_data
  until_true 20 is_ready watcher
  url="http://127.0.0.1:$data/quickstart/data/pip.jsonl"
  title "Memory of the processes, idle"
  memory "idle"
  title "Apply -> Job created (API, watch, bus, RocksDB of three agents, run directory, Job)"
  python3 "$here/apply_latency.py" "$KAIRO_HOME" "$url" "$registry" "${BENCH_APPLIES:-50}"
  title "Many Workspaces at once"
  python3 "$here/many.py" "$KAIRO_HOME" "${BENCH_MANY:-1000}"
  memory "with ${BENCH_MANY:-1000} Workspaces"
  title "kill -9 -> ready again (its supervisor restarts it; it reads ${BENCH_MANY:-1000} records)"
  for name in $agents; do
    old=$(pid_of "$name")
    begin=$(date +%s%N)
    rm -f "$KAIRO_HOME/run/$name.port"
    kill -9 "$old"
    until_true 30 is_ready "$name" || fail "recovery of $name" "not ready after 30 s"
    printf '  %-12s %5d ms\n' "$name" "$((($(date +%s%N) - begin) / 1000000))"
  done
  timeout 120 kairo down --purge >/dev/null 2>&1
fi

if wants push; then
  needs push_bench
  start_kairo
  (umask 077 && kairo get secret kairo-local-registry -o json | jq -r '.data[".dockerconfigjson"]' | base64 -d >"$work/auth.json")
  mkdir -p "$work/adapter"
  echo '{}' >"$work/adapter/adapter_config.json"
  # A registry of its own for the peer: in the same one skopeo would mount the layer, not send it.
  peer_port=$(free_port)
  printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
    "$work/peer-registry" "$peer_port" >"$work/registry.yml"
  docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  children+=($!)
  until_true 10 curl -sf "http://127.0.0.1:$peer_port/v2/"
  title "Push of ${BENCH_PUSH_MB:-200} MB to a registry on loopback, by kairo (with making the image) and by skopeo (made before)"
  for round in 1 2 3; do # another layer each time
    head -c "${BENCH_PUSH_MB:-200}M" /dev/urandom >"$work/adapter/adapter_model.safetensors"
    ours=$("$build/tests/bench/push_bench" "localhost:$registry/bench/ours$round:1" "$work/adapter" "$work/auth.json" "$work/push$round")
    rm -rf "$work/image"
    skopeo copy -q --src-tls-verify=false --src-authfile "$work/auth.json" "docker://localhost:$registry/bench/ours$round:1" "dir:$work/image"
    begin=$(date +%s%N)
    skopeo copy -q --dest-tls-verify=false "dir:$work/image" "docker://localhost:$peer_port/bench/peer$round:1"
    theirs=$(awk -v ns="$(($(date +%s%N) - begin))" -v mb="$(($(du -sb "$work/image" | cut -f1) / 1000000))" 'BEGIN { printf "%.1f", mb / ns * 1e9 }')
    printf '  kairo %7.1f MB/s   skopeo %7.1f MB/s   x%s\n' "$ours" "$theirs" "$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }')"
  done
  timeout 120 kairo down --purge >/dev/null 2>&1
fi

if wants serve; then
  title "Serving SmolLM2-135M on the CPU, greedy, 64 tokens an answer"
  if [ -f "$real_model/config.json" ]; then
    port=$(free_port)
    env -u OMP_NUM_THREADS kairo-serve --model "$real_model" --name smollm2 --port "$port" 2>"$work/serve.log" &
    children+=($!)
    until_true 30 curl -sf "http://127.0.0.1:$port/health"
    python3 "$here/serving.py" "$port" 1 4 8
    printf '  resident: %s MiB\n' "$(rss "${children[-1]}")"
    kill "${children[-1]}"
  else
    skip serving "no model in $real_model: run deploy/setup/model.sh"
  fi
fi

if wants train; then
  needs train_bench
  for method in qlora lora; do
    title "Training SmolLM2-135M ($method), examples/gsm8k, against peft on the same tokens"
    env -u OMP_NUM_THREADS sh "$here/peer/run.sh" "$build/tests/gpu/train_bench" "$real_model" \
      "$source_dir/examples/gsm8k/train-256.jsonl" $method "${BENCH_STEPS:-12}" 2>&1 | sed 's/^/  /'
  done
fi
trap - EXIT
finish >/dev/null # stops what is left; no cases are counted here
printf '\nbench: done in %s s\n' "$((SECONDS - began))"
