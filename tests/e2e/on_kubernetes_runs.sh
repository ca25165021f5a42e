# tests/e2e/on_kubernetes_runs.sh - tune, evict, push, serve. Sourced by on_kubernetes.sh, with kairo installed.
# The commands of a page, in their order; its registry is ours.
export REGISTRY_USER=kairo REGISTRY_PASSWORD=$password
mkdir -p "$work/page"
cp -r docs examples deploy "$work/page/"
sed -i "s|registry.example.org|$REGISTRY|g" "$work"/page/examples/kubernetes/*.yaml
commands() { # PAGE FROM TO (awk patterns of lines)
  awk -v from="$2" -v to="$3" '$0 ~ from {on = 1} $0 ~ to && on {exit} on && /^```/ {code = /bash/; next} on && code' "docs/$1" |
    sed "s|registry.example.org|$REGISTRY|g"
}
run_page() {
  local line
  while IFS= read -r line; do
    if (cd "$work/page" && timeout 900 bash -c "set -o pipefail -m; $line") </dev/null >"$work/line.log" 2>&1; then pass "$line"; else
      fail "$line" "$(tail -n 4 "$work/line.log")" "$(kubectl get workspace,pod -o wide 2>&1)" "$(kubectl get events --sort-by=.lastTimestamp | tail -n 6)"
    fi
  done < <(commands "$@")
}
uid_of() { kubectl get workspace "$1" -o jsonpath='{.metadata.uid}'; }
progress_of() { find "$DIR/kairo" -path "*$1*" -name progress.jsonl | head -n 1; } # uid
losses() { jq -c "select(.loss > 0) | [.step, .loss]" "$1" | sort -u; }
pod_of() { kubectl get pod -l "kaito.sh/workspace=$1" --field-selector status.phase=Running -o jsonpath="{.items[0].metadata.name}" 2>/dev/null; }

run_page first-tuning.md '^.*1. A node' '^.*4. Serve'
losses "$(progress_of "$(uid_of first)")" >"$work/undisturbed"
same "twelve steps" 12 "$(wc -l <"$work/undisturbed")"

# The same once more, evicted in the middle.
sed -e 's|name: first$|name: evicted|; s|adapters/first|adapters/evicted|' "$work/page/examples/kubernetes/first-tuning.yaml" | kubectl apply -f - >/dev/null
uid=$(uid_of evicted)
at_step() { [ "$(jq -s 'map(.step // 0) | max' "$(progress_of "$uid")")" -ge "$1" ]; }
holds "one of three servers of the bus is deleted" kubectl -n $ns delete pod kairo-nats-1 --wait=false
holds "the second training has begun" until_true 300 at_step 5
pod=$(pod_of evicted)
holds "its pod is evicted" kubectl create --raw "/api/v1/namespaces/default/pods/$pod/eviction" -f - <<JSON
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$pod", "namespace": "default"}}
JSON
resumed() { # it may be short: what was seen is kept
  second=$(pod_of evicted)
  [ -n "$second" ] && [ "$second" != "$pod" ]
}
holds "another pod takes over" until_true 120 resumed
timeout 300 kairo logs -f evicted --context "$ID" >"$work/followed" 2>&1 &
follower=$!
holds "it ends all the same" kubectl wait --for=condition=WorkspaceSucceeded workspace/evicted --timeout=15m
wait $follower
same "kairo logs -f gives what kubectl logs gives, each line once" "$(kubectl logs "$second" -c evicted)" "$(cat "$work/followed")"
same "kairo logs too" "$(kubectl logs "$second" -c evicted)" "$(kairo logs evicted --context "$ID" 2>&1)"
same "its losses are those of the undisturbed one" "$(cat "$work/undisturbed")" "$(losses "$(progress_of "$uid")")"
digest() { skopeo inspect --cert-dir "$DIR/trust" --creds "kairo:$password" --format '{{.Digest}}' "docker://$REGISTRY/adapters/$1:1"; }
same "the pushed adapters are equal" "$(digest first)" "$(digest evicted)"
same "what the status says was pushed" "$(digest first)" "$(kubectl get workspace first -o jsonpath='{.status.artifact.digest}')"

run_page first-tuning.md '^.*4. Serve' '^.*5. Away'
ip=$(kubectl get service first-server -o jsonpath='{.spec.clusterIP}')
holds "POST /chat through the Service" bash -c "curl -sf -m 60 http://$ip/chat -d '{\"prompt\": \"Hello\", \"generate_kwargs\": {\"max_new_tokens\": 8}}' | jq -e .Result"
same "kubectl get workspace" "NAME           INSTANCE   RESOURCEREADY   INFERENCEREADY   JOBSTARTED   WORKSPACESUCCEEDED   TARGETNODECOUNT   STATE       AGE
evicted                   True                             True         True                 1                 Succeeded   A
first                     True                             True         True                 1                 Succeeded   A
first-server              True            True                          True                 1                 Ready       A" \
  "$(kubectl get workspace | sed '1!s/[0-9a-z]*$/A/')"

# The operations, with a server and a node that trains nothing at the moment.
run_page operations.md '^# Operations' '^never$'
known=$(grep -o '`kairo_[a-z_]*`' docs/operations.md | tr -d '`' | sort -u)
launcher=$(kubectl -n $ns get pod -l app.kubernetes.io/component=launcher -o jsonpath='{.items[0].metadata.name}')
{
  kubectl get --raw "/api/v1/namespaces/$ns/pods/$launcher:8080/proxy/metrics"
  until_true 120 curl -sf -m 5 "http://$ip/metrics"
  curl -sf -m 5 "http://$ip/metrics"
  cat tests/agents/node/golden/{gpus,trainings}.prom # of a node with GPUs, as unit tests have it
} >"$work/metrics"
same "each metric of the page is there" "" "$(for name in $known; do grep -q "^$name" "$work/metrics" || echo "$name"; done)"
same "each rule asks for a metric of the table" "" "$(sed -n "/^groups:/,/^\`\`\`/p" docs/operations.md | grep -o 'kairo_[a-z_]*' | sort -u |
  while read -r name; do grep -q "\`$name\`" docs/operations.md || echo "$name"; done)"
same "upgrades, a drain: the finished trainings are as they were" "Succeeded Succeeded" \
  "$(kubectl get workspace first evicted -o jsonpath='{.items[*].status.state}')"
answers() { curl -sf -m 20 "http://$ip/chat" -d '{"prompt": "Hello", "generate_kwargs": {"max_new_tokens": 4}}'; }
holds "the server that was drained answers again" until_true 120 answers

run_page first-tuning.md '^.*5. Away' '^never$'
kubectl delete workspace evicted >/dev/null
same "no object of the Workspaces is left" "" "$(kubectl get all,pvc,pv,secret,controllerrevision -A -l kaito.sh/workspace -o name)"
same "no run is left on the node's disk" "" "$(find "$DIR/kairo/runs" -name run.json)"
holds "helm uninstall" helm uninstall kairo --namespace $ns --wait
bash tests/cluster/down.sh "$DIR"
same "no process, mount, network or control group is left" "" "$(
  pgrep -af "$DIR" | grep -v pgrep
  grep -F " $DIR/" /proc/self/mounts
  ip netns | grep "$ID"
  ip link | grep "$ID"
  ls -d /sys/fs/cgroup/"$ID" /sys/fs/cgroup/*/"$ID" 2>/dev/null
)"
