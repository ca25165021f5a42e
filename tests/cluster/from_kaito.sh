#!/usr/bin/env bash
# What this proves: what KAITO's controller has left on a cluster is taken over: what is done stays done, what runs goes
# on, what fails stays failed, an edit replaces KAITO's Job, every deletion ends; and kairo's own workloads carry what
# KAITO knows its own by. The Workspaces' hash and revision are KAITO's to the byte (tests/agents/watcher).
# usage: from_kaito.sh BUILD
source "$(dirname "$0")/kairo.sh"
kairo_up --karpenter # for kwok, which plays the pods of nodes
model smollm2-135m-instruct

workspace() { # NAME tuning|inference [URL]
  local what="inference: {preset: {name: smollm2-135m-instruct}}"
  [ "$2" = inference ] || what="tuning:
  preset: {name: smollm2-135m-instruct}
  method: qlora
  input: {urls: [\"https://example.org/${3:-rows}.jsonl\"]}
  output: {volumeSource: {emptyDir: {}}}"
  cat <<YAML
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: $1}
resource: {labelSelector: {matchLabels: {apps: own}}}
$what
YAML
}
tunings=(done runs fails edited lost)
for name in "${tunings[@]}"; do workspace "$name" tuning | K apply -f - >/dev/null; done
workspace serves inference | K apply -f - >/dev/null
is_noted() { [ "$(K get workspaces -o json | jq '[.items[] | select(.metadata.annotations["workspace.kaito.io/revision"] == "1" and .metadata.finalizers != null)] | length')" = 6 ]; }
holds "finalizer, hash and revision, as KAITO writes them" until_true 30 is_noted
end watcher provisioner launcher

# KAITO's hands: its workloads, and its status.
owner() { K get workspace "$1" -o json | jq -c '[{apiVersion, kind, name: .metadata.name, uid: .metadata.uid, controller: true, blockOwnerDeletion: true}]'; }
head_of() { printf 'metadata: {name: %s, labels: {kaito.sh/workspace: %s}, annotations: {workspace.kaito.io/revision: "1"}, ownerReferences: %s}\n' "$1" "$1" "$(owner "$1")"; }
pod="metadata: {labels: {kaito.sh/workspace: NAME}}, spec: {restartPolicy: RESTART, containers: [{name: NAME, image: kaito-base}]}"
kaitos_job() {
  printf 'apiVersion: batch/v1\nkind: Job\n%s\nspec: {backoffLimit: 0, template: {%s}}\n' "$(head_of "$1")" "$(sed "s/NAME/$1/g; s/RESTART/Never/" <<<"$pod")" | K apply -f - >/dev/null
}
kaitos_server() {
  printf 'apiVersion: apps/v1\nkind: StatefulSet\n%s\nspec: {serviceName: %s-headless, selector: {matchLabels: {kaito.sh/workspace: %s}}, template: {%s}}\n' \
    "$(head_of "$1")" "$1" "$1" "$(sed "s/NAME/$1/g; s/RESTART/Always/" <<<"$pod")" | K apply -f - >/dev/null
}
node gpu-1 1 apps=own nvidia.com/gpu.memory=81920
for name in "${tunings[@]}"; do kaitos_job "$name"; done
kaitos_server serves
phase_of() { K get pod -l "kaito.sh/workspace=$1" -o jsonpath='{.items[0].status.phase}'; }
all_run() { [ "$(K get pods -o json | jq '[.items[] | select(.status.phase == "Running")] | length')" = 6 ]; }
holds "KAITO's pods run" until_true 40 all_run
ends() { # WORKSPACE PHASE
  K patch pod "$(K get pod -l "kaito.sh/workspace=$1" -o jsonpath='{.items[0].metadata.name}')" --subresource status --type merge -p "{\"status\": {\"phase\": \"$2\"}}" >/dev/null
}
ends done Succeeded
ends fails Failed
job_is() { [ "$(K get job "$1" -o json | jq -r '[.status.conditions[]? | select(.status == "True") | .type] | join(" ")')" != "" ]; }
holds "one has done its work" until_true 30 job_is done
holds "one has failed" until_true 30 job_is fails
for name in "${tunings[@]}" serves; do K patch workspace "$name" --subresource status --type merge -p '{"status": {"conditions": null, "state": null, "tuning": null}}' >/dev/null; done
uids() { K get jobs,statefulsets -o json | jq -r '.items[] | "\(.kind)/\(.metadata.name) \(.metadata.uid)"' | sort; }
uids >"$work/before"

# kairo comes: nothing of it has been here before.
end node-gpu-1 pusher-gpu-1 nats
rm -rf "$DIR/bus/data" "$DIR/state" "$DIR/runs"
again nats
for agent in "${agents[@]}"; do agent_up "$agent"; done
agent_up node gpu-1
agent_up pusher gpu-1
for agent in "${agents[@]}"; do is_ready_in_time "$agent"; done
says() { # WORKSPACE STATE
  is_so() { [ "$(state "$1")" = "$2" ]; }
  if until_true 30 is_so "$1" "$2"; then pass "$1 is $2"; else fail "$1 is $2" "$(state "$1")" "$(conditions "$1")"; fi
}
says done Succeeded
says runs Running
says fails Failed
says serves Ready
sleep 3
same "no workload was touched" "$(cat "$work/before")" "$(uids)"
same "no run was made" "" "$(runs)"

K delete job done --wait=false >/dev/null
sleep 2
same "what is done stays done without its Job" "Succeeded " "$(state done) $(K get job done -o name 2>/dev/null)"
ends runs Succeeded
says runs Succeeded
K delete job lost --wait=false >/dev/null
is_ours() { [ -n "$(K get job "$1" -o jsonpath='{.metadata.annotations.kairo\.dev/revision}' 2>/dev/null)" ]; }
holds "a Job that somebody takes away in the middle is made again, by kairo" until_true 40 is_ours lost
workspace edited tuning others | K apply -f - >/dev/null
holds "an edit replaces KAITO's Job" until_true 40 is_ours edited
same "KAITO would take it for its own" "$(K get workspace edited -o jsonpath='{.metadata.annotations.workspace\.kaito\.io/revision}')" \
  "$(K get job edited -o jsonpath='{.metadata.annotations.workspace\.kaito\.io/revision}')"
K delete workspace --all --wait=false >/dev/null
nothing_is_left "all are deleted, nothing is left"
same "no agent was refused" "" "$(grep -h forbidden "$DIR"/{watcher,provisioner,launcher}*.log "$DIR"/node-*.log | head -n 3)"
