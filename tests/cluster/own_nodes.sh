#!/usr/bin/env bash
# What this proves: on a real control plane, with nodes that are there, a tuning goes from its Workspace to its Job, to
# the adapter in the registry, and to a server, on two nodes too, with the exact conditions at each step; KAITO's documentation Workspaces
# are taken unchanged in both versions; a deletion in each phase leaves nothing.
# usage: own_nodes.sh BUILD
source "$(dirname "$0")/kairo.sh"
kairo_up --karpenter # for kwok, which plays the pods of nodes
model smollm2-135m-instruct

port=$(free_port)
printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s/registry}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$work" "$port" >"$work/registry.yaml"
docker-registry serve "$work/registry.yaml" >"$work/registry.log" 2>&1 &
children+=($!)
K create secret docker-registry push --docker-server="localhost:$port" --docker-username=a --docker-password=b >/dev/null

tuning() { # NAME: on nodes that are there
  cat <<YAML
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: $1}
resource: {labelSelector: {matchLabels: {apps: own}}}
tuning:
  preset: {name: smollm2-135m-instruct}
  method: qlora
  input: {urls: ["https://example.org/rows.jsonl"]}
  output: {image: "localhost:$port/adapters/$1:1", imagePushSecret: push}
YAML
}
inference() { # NAME
  cat <<YAML
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: $1}
resource: {labelSelector: {matchLabels: {apps: own}}}
inference: {preset: {name: smollm2-135m-instruct}}
YAML
}
# says NAME WORKSPACE LINES: one case, when all of its conditions are these.
says() {
  local wanted=$3
  said() { [ "$(conditions "$1")" = "$2" ]; }
  if until_true 30 said "$2" "$wanted"; then pass "$1"; else fail "$1" "wanted: $wanted" "seen: $(conditions "$2")"; fi
}
pod_of() { K get pod -l "kaito.sh/workspace=$1" -o jsonpath='{.items[0].metadata.name}' 2>/dev/null; }
has_pod() { [ "$(K get pod "$(pod_of "$1")" -o jsonpath='{.status.phase}')" = Running ]; }
# The end of a training, as the kubelet would tell it; the adapter as the trainer leaves it.
train() { # WORKSPACE
  local uid run
  uid=$(K get workspace "$1" -o jsonpath='{.metadata.uid}')
  run=$(find "$DIR/runs" -type d -name "$uid")/current
  echo '{}' >"$run/results/adapter_config.json"
  head -c 4096 /dev/zero >"$run/results/adapter_model.safetensors"
  date >"$run/results/fine_tuning_completed.txt"
  K patch pod "$(pod_of "$1")" --subresource status --type merge -p '{"status": {"phase": "Succeeded"}}' >/dev/null
}

tuning first | K apply -f - >/dev/null
says "without a node" first "JobStarted False WorkspaceTuningJobStatusPending: Tuning job has not started
NodesReady False NodeNotReady: Not enough Nodes are ready: no node carries the labels of resource.labelSelector; kubectl label node NAME apps=own
ResourceReady False NodeNotFound: no node carries the labels of resource.labelSelector; kubectl label node NAME apps=own
WorkspaceSucceeded False workspacePending: workspace is initializing, tuning job has not started"
node gpu-1 1 apps=own nvidia.com/gpu.memory=81920
says "with a node" first "JobStarted True WorkspaceTuningJobStatusStarted: Tuning job has started
NodesReady True NodesReady: Enough Nodes are ready
ResourceReady True workspaceResourceStatusSuccess: workspace resource is ready
WorkspaceSucceeded False workspacePending: workspace has not completed yet, tuning job is running"
holds "its pod runs there" until_true 20 has_pod first
same "the Job is the Workspace's, and the server says so" "Workspace/first" \
  "$(K get job first -o jsonpath='{.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}')"
train first
says "trained and pushed" first "JobStarted True WorkspaceTuningJobStatusStarted: Tuning job has started
NodesReady True NodesReady: Enough Nodes are ready
ResourceReady True workspaceResourceStatusSuccess: workspace resource is ready
WorkspaceSucceeded True workspaceSucceeded: workspace succeeds"
same "what the status says is in the registry" "$(K get workspace first -o jsonpath='{.status.artifact.digest}')" \
  "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://localhost:$port/adapters/first:1" 2>&1)"
inference server | K apply -f - >/dev/null
says "a server" server "InferenceReady True WorkspaceInferenceStatusSuccess: Inference has been deployed successfully
NodesReady True NodesReady: Enough Nodes are ready
ResourceReady True workspaceResourceStatusSuccess: workspace resource is ready
WorkspaceSucceeded True workspaceSucceeded: workspace succeeds"
same "kubectl get workspace" "NAME     INSTANCE   RESOURCEREADY   INFERENCEREADY   JOBSTARTED   WORKSPACESUCCEEDED   TARGETNODECOUNT   STATE       AGE
first               True                             True         True                 1                 Succeeded   A
server              True            True                          True                 1                 Ready       A" \
  "$(K get workspace | sed '1!s/[0-9a-z]*$/A/')"
K delete workspace --all --wait=false >/dev/null
nothing_is_left "deleted when done and when serving, nothing is left"

# One model on two nodes.
model llama-3.3-70b-instruct
large() { # NAME COUNT
  inference "$1" | sed "s|smollm2-135m|llama-3.3-70b|; s|apps: own|apps: large|; s|^resource: {|&count: $2, |"
}
large large 2 | K apply -f - >/dev/null
node large-1 2 apps=large nvidia.com/gpu.memory=81920
says "with one node of two" large "InferenceReady False WorkspaceInferenceStatusPending: Inference deployment is not ready
NodesReady False NodeNotReady: Not enough Nodes are ready: llama-3.3-70b-instruct needs 2 nodes like large-1 (2 GPUs of 80.0 GiB) for weights of 131.4 GiB; 1 of them is there; kubectl label node NAME apps=large
ResourceReady False NotEnoughNodes: llama-3.3-70b-instruct needs 2 nodes like large-1 (2 GPUs of 80.0 GiB) for weights of 131.4 GiB; 1 of them is there; kubectl label node NAME apps=large
WorkspaceSucceeded False workspacePending: waiting for the inference server"
node large-2 2 apps=large nvidia.com/gpu.memory=81920
says "with both" large "InferenceReady True WorkspaceInferenceStatusSuccess: Inference has been deployed successfully
NodesReady True NodesReady: Enough Nodes are ready
ResourceReady True workspaceResourceStatusSuccess: workspace resource is ready
WorkspaceSucceeded True workspaceSucceeded: workspace succeeds"
same "a pod on each, the first leads" "large-0 large-1 run-volume-large-0
large-1 large-2 run-volume-large-1" \
  "$(K get pods -l kaito.sh/workspace=large -o json | jq -r '.items | sort_by(.metadata.name)[] |
    "\(.metadata.name) \(.spec.nodeName) \(.spec.volumes[] | select(.persistentVolumeClaim != null).persistentVolumeClaim.claimName)"')"
same "what the status says of it" "2 large-1,large-2" "$(K get workspace large -o json | jq -r '.status | "\(.targetNodeCount) \(.workerNodes | join(","))"')"
same "its Service" "http 80 5000,ray 6379 6379,dashboard 8265 8265" \
  "$(K get service large -o json | jq -r '[.spec.ports[] | "\(.name) \(.port) \(.targetPort)"] | join(",")')"
same "its pods pass Pod Security's profile restricted" "namespace/default labeled (server dry run)" \
  "$(K label --dry-run=server ns default pod-security.kubernetes.io/enforce=restricted 2>&1)"
large next 2 | K apply -f - >/dev/null
says "another one waits for the GPUs" next "InferenceReady False WorkspaceInferenceStatusPending: Inference deployment is not ready
NodesReady False NodeNotReady: Not enough Nodes are ready: llama-3.3-70b-instruct needs 2 nodes like large-1 (2 GPUs of 80.0 GiB) for weights of 131.4 GiB; other Workspaces have the GPUs of large-1, large-2
ResourceReady False GPUsInUse: llama-3.3-70b-instruct needs 2 nodes like large-1 (2 GPUs of 80.0 GiB) for weights of 131.4 GiB; other Workspaces have the GPUs of large-1, large-2
WorkspaceSucceeded False workspacePending: waiting for the inference server"
uid_of() { K get statefulset large -o jsonpath='{.metadata.uid}'; }
before=$(uid_of)
K delete statefulset large --wait=false >/dev/null
serves_again() { [ "$(uid_of)" != "$before" ] && [ "$(K get statefulset large -o jsonpath='{.status.readyReplicas}')" = 2 ]; }
holds "it comes back when somebody deletes it" until_true 40 serves_again
K delete workspace large --wait=false >/dev/null
holds "when it has gone, the next one has its nodes" until_true 40 eval '[ "$(state next)" = Ready ]'
node large-3 2 apps=large nvidia.com/gpu.memory=81920
end node-large-2 pusher-large-2
K delete node large-2 >/dev/null
places() { K get pods -l kaito.sh/workspace=next -o json | jq -r '[.items[] | select(.metadata.deletionTimestamp == null).spec.nodeName] | sort | join(",")'; }
on_others() { [ "$(places)" = large-1,large-3 ] && [ "$(state next)" = Ready ]; }
holds "a node is lost: both move to what is there" until_true 150 on_others
K delete workspace next --wait=false >/dev/null
rm -rf "$DIR/runs/large-2" # its machine has gone with its disk
nothing_is_left "deleted on both, nothing is left"
same "no volume either" "" "$(K get persistentvolumes -o json | jq -r '.items[].metadata.name | select(startswith("kairo-run."))')"

# A deletion in each phase.
at_phase() { # NAME OF THE PHASE, then a command that waits for it with the Workspace's name
  local name=phase-$((++phases))
  tuning $name | K apply -f - >/dev/null
  "${@:2}" $name || fail "a Workspace gets to: $1" "$(conditions $name)"
  K delete workspace $name --wait=false >/dev/null
  nothing_is_left "deleted $1, nothing is left"
}
phases=0
has_job() { K get job "$1"; }
at_once() { :; }
with_finalizer() { until_true 20 test -n "$(K get workspace "$1" -o jsonpath='{.metadata.finalizers}')"; }
with_job() { until_true 20 has_job "$1"; }
with_pod() { until_true 30 has_pod "$1"; }
trained() { with_pod "$1" && train "$1"; }
at_phase "at once" at_once
at_phase "with a finalizer" with_finalizer
at_phase "with a Job" with_job
at_phase "with a running pod" with_pod
at_phase "when just trained" trained
kill_hard node-gpu-1
tuning waits | K apply -f - >/dev/null
sleep 1
K delete workspace waits --wait=false >/dev/null
again node-gpu-1
nothing_is_left "deleted while its node's agent is away, which comes back"

# KAITO's documentation, unchanged, in both versions.
K create namespace alpha >/dev/null
documented=$source_dir/tests/cluster/documented.yaml
holds "KAITO's documentation Workspaces are taken" K apply -f "$documented" -f "$source_dir/examples/kaito/phi-3-tuning.yaml"
sed 's|kaito.sh/v1beta1|kaito.sh/v1alpha1|' "$documented" | K apply -n alpha -f - >"$work/alpha.log" 2>&1
same "and in v1alpha1, which has no partition, as in KAITO" \
  'Error from server (BadRequest): error when creating "STDIN": Workspace in version "v1alpha1" cannot be handled as a Workspace: strict decoding error: unknown field "resource.partition"' \
  "$(grep -v created "$work/alpha.log")"
every_one_speaks() { [ "$(K get workspaces -A -o json | jq '[.items[] | select(.status.conditions == null)] | length')" = 0 ]; }
holds "each has conditions" until_true 30 every_one_speaks
same "each condition that is False has words" "" "$(K get workspaces -A -o json |
  jq -r '.items[] | .metadata.name as $name | .status.conditions[] | select(.status == "False" and .message == "") | "\($name) \(.type)"')"
K delete workspace --all -A --wait=false >/dev/null
nothing_is_left "deleted, nothing is left"
same "no agent was refused" "" "$(grep -h forbidden "$DIR"/{watcher,provisioner,launcher}*.log "$DIR"/node-*.log | head -n 3)"
