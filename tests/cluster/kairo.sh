# tests/cluster/kairo.sh - kairo on a real control plane: the chart's roles, accounts and bus users; the agents are
# processes here, each with its own service account's token. Nodes are played (node NAME), their pods by kwok.
# Sourced by scripts that were given BUILD as $1. SKIP and 77 where the programs are not here.
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
kube=$(bash "$source_dir/deploy/setup/kube.sh" --check cluster) || { echo "$kube" && exit 77; }
[ -x "$kube/helm" ] || { echo "SKIP kairo on a cluster: there is no helm; deploy/setup/kube.sh builds it" && exit 77; }
DIR=$work/c ns=kairo-system values=() agents=(watcher provisioner launcher)
source "$source_dir/tests/cluster/lib.sh"
cluster_down() { bash "$source_dir/tests/cluster/down.sh" "$DIR"; }
at_end+=(cluster_down)
mkdir -p "$DIR/models"
nats=$(bash "$source_dir/deploy/setup/nats.sh" --check) || nats=$(command -v nats-server)

chart() { # helm's words about the release, nothing of the user's
  HOME=$work HELM_CACHE_HOME=$work/helm timeout 120 "$kube/helm" --kubeconfig "$DIR/admin.kubeconfig" "$@" 2> >(grep -v 'found symbolic link' >&2)
}
# kairo_up [up.sh's flags]: the cluster, the chart, the bus, watcher, provisioner, launcher.
kairo_up() {
  local agent key
  bash "$source_dir/tests/cluster/up.sh" "$@" "$DIR" >"$work/up.log" 2>&1 || {
    fail "the cluster comes up" "$(tail -n 3 "$work/up.log")"
    exit 1
  }
  source "$DIR/cluster.env"
  export KUBECONFIG=$DIR/admin.kubeconfig
  chart install kairo "$source_dir/deploy/chart" -n $ns --create-namespace "${values[@]}" >"$work/helm.log" || { fail "helm install" "$(cat "$work/helm.log")" && exit 1; }
  mkdir -p "$DIR/bus"
  for key in ca.crt tls.crt tls.key; do K get secret kairo-nats-tls -n $ns -o json | jq -r ".data[\"$key\"]" | base64 -d >"$DIR/bus/$key"; done
  bus_port=$((PORT + 7))
  K get configmap kairo-nats -n $ns -o jsonpath='{.data.nats\.conf}' |
    sed -e "s|\"/etc/nats/tls|\"$DIR/bus|g; s|\"/data\"|\"$DIR/bus/data\"|; s|^port: 4222|host: 127.0.0.1\nport: $bus_port|" \
      -e "s|http_port: 8222|http: \"127.0.0.1:$((PORT + 8))\"|" >"$DIR/bus/nats.conf"
  export POD_NAME=kairo-nats-0
  for agent in watcher provisioner launcher node pusher web admin; do
    K get secret "kairo-bus-$agent" -n $ns -o json | jq -r '.data.password' | base64 -d >"$DIR/bus/$agent.password"
    export "KAIRO_BUS_${agent^^}=$(cat "$DIR/bus/$agent.password")"
  done
  start nats "$nats" -c "$DIR/bus/nats.conf"
  { cat /etc/hosts; echo "127.0.0.1 kairo-nats.$ns.svc"; } >"$DIR/hosts" # the certificate's name leads here
  for agent in "${agents[@]}"; do agent_up "$agent"; done
  for agent in "${agents[@]}"; do is_ready_in_time "$agent"; done
}
declare -A health
# agent_up ROLE [NODE [FLAGS...]]: a process of the role, named ROLE or ROLE-NODE, with a token as its pod would have it.
agent_up() {
  local role=$1 node=${2:-} name=$1${2:+-$2} account=$1 bound=() more=(KAIRO_LEASE_NAMESPACE=$ns)
  if [ -n "$node" ]; then
    account=node bound=(--bound-object-kind Node --bound-object-name "$node")
    more=(KAIRO_NODE="$node")
  fi
  K create token "kairo-$account" -n $ns --duration 24h "${bound[@]}" >"$DIR/$name.token"
  sed "s|token: .*}|tokenFile: $DIR/$name.token}|; s|^users.*|users: [{name: admin, user: {tokenFile: $DIR/$name.token}}]|" "$DIR/admin.kubeconfig" >"$DIR/$name.kubeconfig"
  health[$name]=${health[$name]:-$(free_port)}
  start "$name" unshare --map-root-user --mount bash -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$DIR/hosts" \
    env "${more[@]}" KAIRO_MODE=kubeconfig KAIRO_KUBECONFIG="$DIR/$name.kubeconfig" KAIRO_BUS_URL="tls://kairo-nats.$ns.svc:$bus_port" \
    KAIRO_BUS_PASSWORD_FILE="$DIR/bus/$role.password" KAIRO_BUS_CA_FILE="$DIR/bus/ca.crt" KAIRO_STATE_DIR="$DIR/state/${node:-control}" \
    KAIRO_RUNS_DIR="$DIR/runs/${node:-none}" KAIRO_MODELS="$DIR/models" KAIRO_HEALTH_ADDRESS="127.0.0.1:${health[$name]}" KAIRO_BUS_REPLICAS=1 \
    KAIRO_ENGINE_IMAGE=registry.example.org/kairo-engine:1 KAIRO_IMAGE=registry.example.org/kairo:1 "$build/kairo" agent "$role"
}
is_ready_in_time() { # NAME: one case
  holds "$1 is ready with its token" until_true 40 curl -sf "http://127.0.0.1:${health[$1]}/readyz"
}
model() { # PRESETS...: weights that nobody reads, on every node
  local preset file
  for preset in "$@"; do
    mkdir -p "$DIR/models/$preset"
    for file in config.json tokenizer.json model.safetensors; do echo '{}' >"$DIR/models/$preset/$file"; done
  done
}
# node NAME [GPUS [LABELS...]]: a Node that is ready, with its agent and pusher, and kwok behind it.
node() {
  local name=$1 gpus=${2:-1} label
  shift $(($# < 2 ? $# : 2))
  jq -n --arg name "$name" '{apiVersion: "v1", kind: "Node", metadata: {name: $name, labels: {"kubernetes.io/hostname": $name,
    "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}, annotations: {"kwok.x-k8s.io/node": "fake"}}}' | K create -f - >/dev/null
  K patch node "$name" --subresource status --type merge -p "$(jq -n --arg gpus "$gpus" '
    {cpu: "64", memory: "512Gi", pods: "2000", "ephemeral-storage": "1Ti"} + (if $gpus == "0" then {} else {"nvidia.com/gpu": $gpus} end) |
    {status: {capacity: ., allocatable: .}}')" >/dev/null
  for label in "$@"; do K label node "$name" "$label" >/dev/null; done
  K wait --for=condition=Ready "node/$name" --timeout=20s >/dev/null
  agent_up node "$name"
  agent_up pusher "$name"
  is_ready_in_time "node-$name"
  is_ready_in_time "pusher-$name"
}
# What of ours is in the namespace: each object that is a Workspace's, of all kinds that can be listed.
ours() {
  local kinds
  kinds=$(K api-resources --verbs=list --namespaced -o name | grep -vE '^(events|endpoints)' | paste -sd,)
  {
    K get "$kinds" -A -l kaito.sh/workspace -o name
    K get "$kinds" -A -l workspace.kaito.io/name -o name
    K get workspaces -A -o name
    K get nodeclaims,nodepools -l kaito.sh/workspace -o name
  } 2>/dev/null | sort -u
}
runs() { find "$DIR/runs" -name run.json 2>/dev/null; }
nothing_is_left() { # NAME [SECONDS]: one case; nor a run on a node's disk
  is_clean() { [ -z "$(ours)" ] && [ -z "$(runs)" ]; }
  if until_true "${2:-40}" is_clean; then pass "$1"; else
    fail "$1" "$(ours | head -n 5)" "$(runs | head -n 3)"
  fi
}
# The conditions of a Workspace in one line each: "Type Status Reason: message".
conditions() { K get workspace "$1" -o json | jq -r '.status.conditions // [] | sort_by(.type)[] | "\(.type) \(.status) \(.reason): \(.message)"'; }
condition() { conditions "$1" | sed -n "s/^$2 //p"; }
state() { K get workspace "$1" -o jsonpath='{.status.state}'; }
