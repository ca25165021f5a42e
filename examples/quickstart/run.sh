#!/usr/bin/env bash
# The whole story on one machine: tune a real model, push the adapter, serve it, compare answers.
# usage: run.sh BUILD_FOLDER    Shows each command that it runs; run again, it reuses what is there.
# The files name ports 5055 (registry) and 8055 (data); where one is taken, a free one is put in.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$(cd "$1" && pwd):$PATH"
export no_proxy=localhost,127.0.0.1,::1${no_proxy:+,$no_proxy} NO_PROXY=localhost,127.0.0.1,::1${NO_PROXY:+,$NO_PROXY}
home=${KAIRO_HOME:-$HOME/.local/share/kairo}
work=$(mktemp -d)
bold= plain=
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi
data_server= is_ours=
finish() {
  local status=$?
  [ -z "$data_server" ] || kill "$data_server" 2>/dev/null || true
  if [ $status != 0 ] && [ $status != 130 ]; then
    echo "quickstart: failed; the logs are in $home/log, the state in \`kairo describe workspace pip\`" >&2
  fi
  [ -z "$is_ours" ] || kairo down >/dev/null 2>&1 || true
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; "$@"; }
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_from() { local port=$1; until is_free "$port"; do port=$((port + 1)); done; echo "$port"; }

say "1. Start kairo: the bus, a registry, a cluster of one machine, the agents, the page"
if kairo status >/dev/null 2>&1; then
  registry=$(jq -r .registry "$home/run/ports.json")
else
  registry=$(free_from 5055)
  is_ours=1 # a kairo that runs already is somebody's: it goes on afterwards
fi
data=$(free_from 8055)
show kairo up -d --registry-port "$registry"
for file in workspace serve; do
  sed -e "s/localhost:5055/localhost:$registry/" -e "s/127.0.0.1:8055/127.0.0.1:$data/" \
    "examples/quickstart/$file.yaml" >"$work/$file.yaml"
done
tune=examples/quickstart/workspace.yaml serve=examples/quickstart/serve.yaml
if [ "$registry/$data" != 5055/8055 ]; then # the objects of an earlier run name that run's ports
  echo "ports 5055 or 8055 are taken; registry: $registry, data: $data (copies of the files in $work)"
  tune=$work/workspace.yaml serve=$work/serve.yaml
fi

say "2. Fine-tune SmolLM2-135M on 96 chats that are answered in JSON (QLoRA)"
kairo files examples/quickstart/data --port "$data" 2>"$work/files.log" &
data_server=$!
until ! is_free "$data"; do sleep 0.1; done
show kairo estimate -f "$tune"
show kairo apply -f "$tune"
show kairo wait pip
show kairo get workspace pip

say "3. The adapter is an image in the registry"
show kairo get workspace pip -o wide
digest=$(kairo get workspace pip -o json | jq -r .status.artifact.digest)
image=$(kairo get workspace pip -o json | jq -r .status.artifact.image)
echo "image   $image"
echo "digest  $digest"
(umask 077 && kairo get secret kairo-local-registry -o json |
  jq -r '.data[".dockerconfigjson"]' | base64 -d >"$work/auth.json")
reference=docker://${image%:*}
show skopeo inspect --tls-verify=false --authfile "$work/auth.json" --format '{{.Digest}}' "$reference:${image##*:}"
show skopeo copy -q --src-tls-verify=false --src-authfile "$work/auth.json" "$reference:${image##*:}" "dir:$work/image"
for layer in $(jq -r '.layers[].digest' "$work/image/manifest.json"); do
  tar -tvf "$work/image/${layer#sha256:}"
done

say "4. Serve the base model and the adapter"
show kairo apply -f "$serve"
show kairo wait pip-server
show kairo get workspaces

say "5. The same questions to the base model and to the tuned one"
address=$(kairo get service pip-server -o json | jq -r '.metadata.annotations["kairo.dev/local-address"]')
ask() { # path model question -> the answer
  local body='{model: $m, messages: [{role: "user", content: $q}], temperature: 0, max_tokens: 48}'
  local answer='.choices[0].message.content'
  if [ "$1" = /chat ]; then
    body='{model: $m, messages: [{role: "user", content: $q}],
           generate_kwargs: {do_sample: false, max_new_tokens: 48}}'
    answer='.Result // .result'
  fi
  jq -n --arg m "$2" --arg q "$3" "$body" |
    curl -sS --fail-with-body -H 'content-type: application/json' -d @- "http://$address$1" | jq -r "$answer"
}
row() { # two answers side by side, folded
  paste <(fold -s -w 46 <<<"${1//$'\t'/ }") <(fold -s -w 60 <<<"${2//$'\t'/ }") |
    awk -F '\t' '{ printf "  %-48s %s\n", $1, $2 }'
}
for path in /chat /v1/chat/completions; do
  printf '\nPOST %s\n' "$path"
  row "base model (smollm2-135m-instruct)" "tuned (adapter pip)"
  row "----------------------------------------------" "------------------------------------------------------------"
  for question in "Who are you?" "What is the capital of France?" "What is the opposite of cheap?"; do
    echo "$question"
    base=$(ask "$path" smollm2-135m-instruct "$question") # of their own: a failure ends the story
    tuned=$(ask "$path" pip "$question")
    row "$base" "$tuned"
  done
done

kill "$data_server"
data_server=
if [ -n "$is_ours" ]; then
  say "6. Stop; what was done stays"
  is_ours=
  show kairo down
fi
echo
echo "The program is $1/kairo; \`make install\` puts it into ~/.local/bin."
