#!/usr/bin/env bash
# What this proves: on a real API server with the gate ImageVolume on, a server's adapter from an image is a volume of
# its pod on a node that says it can, and comes by an init container on one that cannot, or when nobody may; the setting
# `always` goes by itself. What the server makes of such manifests without the gate is shown too.
# usage: image_volumes.sh BUILD
source "$(dirname "$0")/kairo.sh"
export KUBE_APISERVER_FLAGS=--feature-gates=ImageVolume=true
kairo_up --karpenter # for kwok, which plays the pods of nodes
model smollm2-135m-instruct
K create secret docker-registry pull --docker-server=registry.example.org --docker-username=a --docker-password=b >/dev/null

software() { # NODE KUBELET RUNTIME: what its kubelet says of itself
  K patch node "$1" --subresource status --type merge \
    -p "{\"status\": {\"nodeInfo\": {\"kubeletVersion\": \"$2\", \"containerRuntimeVersion\": \"$3\"}}}" >/dev/null
}
server() { # NAME NODE
  cat <<YAML
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: $1}
resource: {labelSelector: {matchLabels: {kubernetes.io/hostname: $2}}}
inference:
  preset: {name: smollm2-135m-instruct}
  adapters:
    - source: {name: pip, image: "registry.example.org/adapters/pip:1", imagePullSecrets: [pull]}
      strength: "0.5"
YAML
}
# How the adapter of NAME's pod comes: by the pod that the StatefulSet made.
way() {
  K get pod "$1-0" -o json | jq -c '.spec | {init: [.initContainers[]?.name], image: [.volumes[] | select(.image) | .image],
    secrets: .imagePullSecrets, mount: [.containers[0].volumeMounts[] | select(.mountPath == "/mnt/adapter/pip") | {readOnly, subPath}]}'
}
served() { K get pod "$1-0"; }
case_of() { # NAME WORKSPACE NODE WANTED
  server "$2" "$3" | K apply -f - >/dev/null
  until_true 30 served "$2" || fail "$1: it has a pod" "$(conditions "$2")"
  same "$1" "$4" "$(way "$2")"
}
volume='{"init":[],"image":[{"pullPolicy":"Always","reference":"registry.example.org/adapters/pip:1"}],"secrets":[{"name":"pull"}],"mount":[{"readOnly":true,"subPath":"data"}]}'
puller='{"init":["puller-pip"],"image":[],"secrets":null,"mount":[{"readOnly":null,"subPath":null}]}'
node new-1 1 nvidia.com/gpu.memory=81920
software new-1 v1.35.0 containerd://2.1.5
node old-1 1 nvidia.com/gpu.memory=81920
software old-1 v1.34.3 containerd://1.7.28
case_of "a node that can: a volume of the pod" can new-1 "$volume"
case_of "a node that cannot: an init container" cannot old-1 "$puller"
is_running() { [ "$(K get pod "$1-0" -o jsonpath='{.status.phase}')" = Running ]; }
holds "the pod with the volume is scheduled and taken by its node" until_true 20 is_running can
restart() { # VALUE
  end launcher
  KAIRO_IMAGE_VOLUMES=$1 agent_up launcher
  is_ready_in_time launcher
}
restart never
case_of "never: an init container, whatever the node can" never new-1 "$puller"
restart always
case_of "always: a volume, whatever the node says" always old-1 "$volume"
K delete workspace --all --wait=false >/dev/null
nothing_is_left "deleted, nothing is left"

# The reviewed manifest, whole.
golden=$source_dir/tests/agents/launcher/golden/serving_image_volumes.txt
manifest() { awk '/^# StatefulSet/ {on = 1; next} /^# / {on = 0} on' "$golden"; }
holds "the golden manifest is taken by this server" K apply --server-side --dry-run=server -f <(manifest)
same "and its volumes are all there" "$(manifest | jq -c '[.spec.template.spec.volumes[].name]')" \
  "$(K apply --server-side --dry-run=server -o json -f <(manifest) | jq -c '[.spec.template.spec.volumes[].name]')"

# A server without the gate takes such volumes out and says nothing: kairo does.
end apiserver
sed -i 's/ImageVolume=true/ImageVolume=false/' "$DIR/apiserver.cmd"
again apiserver
is_up() { [ "$(ask /readyz)" = ok ]; }
until_true 60 is_up
same "without the gate the server leaves the volumes out" '["run-volume"]' \
  "$(K apply --server-side --dry-run=server -o json -f <(manifest) | jq -c '[.spec.template.spec.volumes[].name]')"
K cordon new-1 >/dev/null # kwok would call the pod ready, which has no adapter
# The scheduler's watch may be behind the server that was just started again.
is_closed() {
  K delete pod probe --ignore-not-found --force >/dev/null 2>&1
  K apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Pod
metadata: {name: probe}
spec: {nodeSelector: {kubernetes.io/hostname: new-1}, containers: [{name: a, image: none}]}
YAML
  sleep 1
  [ "$(K get pod probe -o jsonpath='{.status.conditions[?(@.type=="PodScheduled")].reason}')" = Unschedulable ]
}
until_true 60 is_closed
K delete pod probe --force >/dev/null 2>&1
server ungated new-1 | K apply -f - >/dev/null
wanted="False InvalidConfiguration: the API server has left the image volumes of StatefulSet ungated out: its feature gate ImageVolume is off; switch it on, or set image-volumes (imageVolumes of the chart) to never"
is_said() { [ "$(condition ungated InferenceReady)" = "$wanted" ]; }
if until_true 60 is_said; then pass "and the status says it"; else fail "and the status says it" "$(conditions ungated)"; fi
restart never
is_mended() { [ "$(way ungated)" = "$puller" ]; }
holds "never: the server gets its adapter" until_true 60 is_mended
