#!/usr/bin/env bash
# tests/e2e/by_hand.sh - what people do by hand beside the agents: volumes of their own, a Job or a
# server deleted under way, a namesake of a Service, another spelling of a preset.
# usage: by_hand.sh BUILD
. "$(dirname "$0")/lib.sh"
start_kairo
serve_data
config quick 6 | apply >/dev/null
config long 3000 | apply >/dev/null

# --- data from a volume, the adapter into a volume, served from there -------------------------------
mkdir -p "$work/in/more" "$work/out"
cp "$source_dir/examples/quickstart/data/pip.jsonl" "$work/in/more/"
echo "of an earlier run" >"$work/out/fine_tuning_completed.txt"
cat <<YAML | apply >/dev/null
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: volumes}
resource: {labelSelector: {matchLabels: {kubernetes.io/os: linux}}}
tuning:
  preset: {name: HuggingFaceTB/SmolLM2-135M-Instruct}
  method: qlora
  config: quick
  input: {volumeSource: {hostPath: {path: "$work/in"}}}
  output: {volumeSource: {hostPath: {path: "$work/out"}}}
YAML
holds "volumes: tuned" timeout 60 kairo wait volumes
same "volumes: state" Succeeded "$(state volumes)"
same "volumes: the adapter lies in the user's" \
  "adapter_config.json adapter_model.safetensors fine_tuning_completed.txt logs" "$(ls "$work/out" | tr '\n' ' ' | sed 's/ $//')"
same "volumes: the sentinel is this run's" "Fine-tuning completed." "$(head -n 1 "$work/out/fine_tuning_completed.txt")"
same "volumes: nothing was pushed" null "$(field volumes .status.artifact)"
cat <<YAML | apply >/dev/null
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: server}
resource: {labelSelector: {matchLabels: {kubernetes.io/os: linux}}}
inference:
  preset: {name: SmolLM2-135M-Instruct}
  adapters: [{source: {name: mine, volumeSource: {hostPath: {path: "$work/out"}}}}]
YAML
holds "server: ready with an adapter from a volume" timeout 60 kairo wait server
holds "server: answers as the adapter" timeout 30 kairo chat server --max-tokens 4 --adapter mine "Who are you?"

# --- a server and a Job that somebody deletes --------------------------------------------------------
uid_of() { kairo get "$1" "$2" -o json 2>/dev/null | jq -r .metadata.uid; }
replaced() { [ -n "$(uid_of "$1" "$2")" ] && [ "$(uid_of "$1" "$2")" != "$3" ]; }
before=$(uid_of statefulset server)
holds "the StatefulSet is deleted" timeout 60 kairo delete statefulset server --no-wait
holds "and applied again" until_true 30 replaced statefulset server "$before"
holds "the server answers again" until_true 60 kairo chat server --max-tokens 2 hi
workspace long "" long | apply >/dev/null
training() { [ "$(field long '.status.tuning | select(.phase == "Training" and .step > 20) | .phase')" = Training ]; }
holds "a training runs" until_true 60 training
before=$(uid_of job long)
holds "its Job is deleted" timeout 60 kairo delete job long --no-wait
holds "and applied again" until_true 60 replaced job long "$before"
resumed() { [ "$(field long '.status.tuning | select(.attempt == 2 and .resumedFromStep > 20) | .attempt')" = 2 ]; }
holds "the training goes on from its checkpoint" until_true 60 resumed
holds "delete it" timeout 60 kairo delete workspace long

# --- a Service that is somebody else's ----------------------------------------------------------------
cat <<YAML | apply >/dev/null
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
YAML
workspace_of_server() { field server . | jq '{apiVersion, kind, metadata: {name: "web"}, resource, inference: {preset: .inference.preset}}'; }
workspace_of_server | apply >/dev/null
becomes "a namesake's Service is not taken" web InferenceReady \
  "False ClusterUnavailable: Service default/web belongs to another owner; remove it or rename the workspace"
same "it is as it was" web "$(kairo get service web -o json | jq -r .spec.selector.app)"
holds "delete the Workspace" timeout 60 kairo delete workspace web
same "the Service stays" web "$(kairo get service web -o json | jq -r .metadata.name)"
