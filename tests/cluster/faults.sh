#!/usr/bin/env bash
# What this proves: on a real control plane, whatever is killed meanwhile, 500 Workspaces applied at once go to their
# Jobs and leave nothing when they are deleted: API server killed, its history compacted, conflicts, agents killed.
# usage: faults.sh BUILD     (COUNT=n Workspaces)
source "$(dirname "$0")/kairo.sh"
count=${COUNT:-500}
kairo_up --karpenter
model smollm2-135m-instruct
node big 0 apps=own
K patch node big --subresource status --type merge \
  -p '{"status": {"capacity": {"cpu": "99999", "memory": "999Ti"}, "allocatable": {"cpu": "99999", "memory": "999Ti"}}}' >/dev/null

many() { # FROM TO: applied by eight at a time
  local number
  for ((number = $1; number <= $2; number++)); do
    jq -nc --arg name "many-$number" '{apiVersion: "kaito.sh/v1beta1", kind: "Workspace", metadata: {name: $name},
      resource: {labelSelector: {matchLabels: {apps: "own"}}},
      tuning: {preset: {name: "smollm2-135m-instruct"}, method: "qlora", input: {urls: ["https://example.org/rows.jsonl"]},
        output: {image: "registry.example.org/\($name):1", imagePushSecret: "push"}}}' >"$work/many-$number.json"
  done
  seq "$1" "$2" | xargs -P 4 -I{} curl -sf -m 30 --cacert "$DIR/ca.crt" -H "Authorization: Bearer $(cat "$DIR/admin.token")" -o /dev/null \
    -H "Content-Type: application/json" -d "@$work/many-{}.json" "$API/apis/kaito.sh/v1beta1/namespaces/default/workspaces" || true
}
jobs_are() { [ "$(ask "/apis/batch/v1/namespaces/default/jobs" | jq '.items | length')" = "$1" ]; }
workspaces_are() { [ "$(ask "/apis/kaito.sh/v1beta1/namespaces/default/workspaces" | jq '.items | length')" = "$1" ]; }

many 1 1
holds "one Workspace goes to its Job" until_true 30 jobs_are 1
is_ready() { [ "$(ask /readyz)" = ok ]; }
kill_hard apiserver
sleep 2
again apiserver
holds "the API server is back" until_true 60 is_ready
many 2 2
holds "killed and back: the next Workspace goes to its Job" until_true 60 jobs_are 2

# The history that the watches would go on from is thrown away while the watcher does not look.
listed() { grep -F 'kairo-system:kairo-watcher' "$DIR/audit.log" | grep -c '/workspaces?[^"]*sendInitialEvents=true'; }
pid=$(pid_of watcher)
before=$(listed)
kill -STOP "$pid"
many 3 3
revision=$(ask "/api/v1/namespaces?limit=1" | jq -r .metadata.resourceVersion)
holds "etcd compacts its history" curl -sf -d "{\"revision\": $revision, \"physical\": true}" "http://127.0.0.1:$((PORT + 1))/v3/kv/compaction"
kill_hard apiserver # its cache holds what etcd has forgotten
again apiserver
until_true 60 is_ready
kill -CONT "$pid"
holds "history compacted: the Workspace of meanwhile goes to its Job" until_true 90 jobs_are 3
holds "since the server has forgotten where it was, it has listed anew" test "$(listed)" -gt "$before"

# Somebody else writes on a Workspace all the time.
meddle() {
  local number
  for number in {1..60}; do K annotate workspace many-4 example.org/number=$number --overwrite; done >/dev/null 2>&1
}
many 4 4
meddle &
children+=($!)
holds "somebody else writes on it: it goes to its Job all the same" until_true 60 jobs_are 4

restarted=$(date -u +%FT%T) # a server that starts knows no roles for a moment, and refuses everybody
many 5 "$count" &
applying=$!
for round in {1..12}; do
  victim=$(shuf -n 1 -e watcher provisioner launcher node-big)
  kill_hard "$victim"
  again "$victim"
  sleep $((RANDOM % 3)).$((RANDOM % 10))
done
wait $applying
holds "$count are there" until_true 60 workspaces_are "$count"
if until_true 240 jobs_are "$count"; then pass "each has its Job, with agents killed meanwhile"; else
  fail "each has its Job, with agents killed meanwhile" "$(ask /apis/batch/v1/namespaces/default/jobs | jq '.items | length') of $count" \
    "$(K get workspace -o json | jq -c '[.items[].status.conditions[]? | select(.status == "False") | .reason + ": " + .message] | group_by(.) | map([.[0], length])' | tail -c 600)"
fi
K delete workspace --all --wait=false >/dev/null &
for round in {1..6}; do
  victim=$(shuf -n 1 -e watcher provisioner launcher node-big)
  kill_hard "$victim"
  again "$victim"
  sleep 2
done
nothing_is_left "all deleted, with agents killed meanwhile: nothing is left" 240
same "no agent was refused" "" "$(grep -h forbidden "$DIR"/{watcher,launcher}*.log "$DIR"/node-*.log | awk -v after="$restarted" '$1 > after' | head -n 3)"
for agent in watcher provisioner launcher node-big; do
  echo "$agent: $(awk '/VmHWM/ { printf "%d MiB at most", $2 / 1024 }' "/proc/$(pid_of "$agent")/status")"
done
