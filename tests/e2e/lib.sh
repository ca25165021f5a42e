# tests/e2e/lib.sh - a real kairo in a folder of its own, with a tiny model, and checks that count.
# Sourced by scripts that were given BUILD as $1. The closing line is the one that tests/run.sh reads.
set -uo pipefail
for needed in awk base64 curl docker-registry jq nats-server pgrep ps python3 skopeo timeout; do
  PATH=$PATH:/usr/local/sbin:/usr/sbin command -v "$needed" >/dev/null && continue
  echo "FAILED  $needed is not installed; \`make deps\` installs it"
  exit 1
done
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "$1" && pwd)
export PATH=$build:$PATH no_proxy=localhost,127.0.0.1,::1 NO_PROXY=localhost,127.0.0.1,::1
work=$(mktemp -d)
export KAIRO_HOME=$work/home KAIRO_MODELS=$work/models OMP_NUM_THREADS=1
export KAIRO_HUB=${KAIRO_HUB:-none} KAIRO_PRESET_REGISTRY=${KAIRO_PRESET_REGISTRY:-none} # no test asks the internet
model=$KAIRO_MODELS/smollm2-135m-instruct
cases=0 failures=0 children=() at_end=() # at_end: what the script has to undo, in this order

finish() { # the exit status: what the script died of, else whether a case failed
  local status=$? child undo
  for undo in "${at_end[@]}"; do $undo; done
  timeout 120 kairo down --purge >"$work/down.log" 2>&1
  for child in "${children[@]}"; do kill "$child" 2>/dev/null; done
  wait 2>/dev/null
  umount "$work/full" 2>/dev/null
  [ -n "${KEEP:-}" ] && echo "kept: $work" || rm -rf "$work"
  echo "test cases: $cases | $((cases - failures)) passed | $failures failed"
  [ "$status" != 0 ] || [ "$failures" = 0 ] || status=1
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

pass() {
  cases=$((cases + 1))
  echo "ok      $1"
}
fail() { # name, what was seen
  cases=$((cases + 1)) failures=$((failures + 1))
  echo "FAILED  $1"
  printf '        %s\n' "${@:2}"
}
skip() { echo "SKIP $1: $2"; }
# same NAME WANTED SEEN: one case.
same() {
  if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "wanted: $2" "seen:   $3"; fi
}
holds() { # NAME command...: one case, passed when the command succeeds
  local name=$1
  shift
  if "$@" >"$work/holds.log" 2>&1; then pass "$name"; else fail "$name" "$*" "$(tail -n 3 "$work/holds.log")"; fi
}
# until_true SECONDS command...
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}
free_port() { # below those of clusters (tests/cluster/up.sh) and of connections that somebody opens meanwhile
  local port
  while :; do
    port=$((10000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}
start_kairo() {
  "$build/tests/gpu/make_tiny_model" "$model" || exit 1
  timeout 60 kairo up -d "$@" >"$work/up.log" 2>&1 || {
    cat "$work/up.log"
    fail "kairo up" "see above"
    exit 1
  }
  registry=$(jq -r .registry "$KAIRO_HOME/run/ports.json")
}
serve_data() { # the data sets of examples/, and everything that can go wrong with a URL
  data=$(free_port)
  python3 "$source_dir/tests/e2e/data_server.py" "$data" "$source_dir/examples" >"$work/data.log" 2>&1 &
  children+=($!)
  until_true 10 curl -sf "http://127.0.0.1:$data/quickstart/data/pip.jsonl" -o /dev/null
}
# workspace NAME [URL] [CONFIGMAP] [IMAGE] [SECRET] [METHOD]: a tuning Workspace on standard output.
workspace() {
  cat <<YAML
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: $1}
resource: {labelSelector: {matchLabels: {kubernetes.io/os: linux}}}
tuning:
  preset: {name: smollm2-135m-instruct}
  method: ${6:-qlora}
$(if [ -n "${3:-}" ]; then echo "  config: $3"; fi)
  input: {urls: ["${2:-http://127.0.0.1:$data/quickstart/data/pip.jsonl}"]}
  output: {image: "${4:-localhost:$registry/e2e/$1:1}", imagePushSecret: ${5:-kairo-local-registry}}
YAML
}
# config NAME MAX_STEPS [EXTRA LINES OF training_config]: a ConfigMap.
config() {
  cat <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: $1}
data:
  training_config.yaml: |
    training_config:
      QuantizationConfig: {load_in_4bit: true, bnb_4bit_quant_type: nf4}
      LoraConfig: {r: 8, lora_alpha: 16, target_modules: all-linear}
      TrainingArguments: {max_steps: $2, per_device_train_batch_size: 4, learning_rate: 1.0e-3, save_steps: 5}
      DatasetConfig: {train_test_split: 1}
${3:-}
YAML
}
apply() { kairo apply -f -; }
field() { kairo get workspace "$1" -o json 2>/dev/null | jq -r "$2"; } # workspace, jq path
state() { field "$1" '.status.state // ""'; }
condition() { # workspace type -> "Status Reason: message"
  field "$1" ".status.conditions[]? | select(.type == \"$2\") | .status + \" \" + .reason + \": \" + .message"
}
is_state() { [ "$(state "$1")" = "$2" ]; }
has_condition() { [ "$(condition "$1" "$2")" = "$3" ]; }
# becomes NAME WORKSPACE TYPE "Status Reason: message" [SECONDS]: one case.
becomes() {
  if until_true "${5:-30}" has_condition "$2" "$3" "$4"; then pass "$1"; else
    fail "$1" "wanted: $4" "seen:   $(condition "$2" "$3")" "state:  $(state "$2")"
  fi
}
# refused NAME "exact text": standard input is applied; one case.
refused() {
  local seen status
  seen=$(timeout 20 kairo apply -f - 2>&1)
  status=$?
  if [ $status = 1 ] && [ "$seen" = "$2" ]; then pass "$1"; else fail "$1" "wanted: $2" "seen:   $seen (exit $status)"; fi
}
