# tests/e2e/on_kubernetes_runs.sh - tune, evict, push, serve. Sourced by on_kubernetes.sh, with kairo installed.
# The commands of a page, in their order; its registry is ours.
export REGISTRY_USER=kairo REGISTRY_PASSWORD=$password
mkdir -p "$work/page"
cp -r docs examples "$work/page/"
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
pod_of() { kubectl get pod -l "kaito.sh/workspace=$1" --field-selector status.phase=Running -o jsonpath='{.items[0].metadata.name}'; }

run_page first-tuning.md '^.*1. A node' '^.*4. Serve'
losses "$(progress_of "$(uid_of first)")" >"$work/undisturbed"
same "twelve steps" 12 "$(wc -l <"$work/undisturbed")"

# The same once more, evicted in the middle.
sed -e 's|name: first$|name: evicted|; s|adapters/first|adapters/evicted|' "$work/page/examples/kubernetes/first-tuning.yaml" | kubectl apply -f - >/dev/null
uid=$(uid_of evicted)
at_step() { [ "$(jq -s 'map(.step // 0) | max' "$(progress_of "$uid")")" -ge "$1" ]; }
holds "the second training has begun" until_true 300 at_step 5
pod=$(pod_of evicted)
holds "its pod is evicted" kubectl create --raw "/api/v1/namespaces/default/pods/$pod/eviction" -f - <<JSON
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$pod", "namespace": "default"}}
JSON
holds "it ends all the same" kubectl wait --for=condition=WorkspaceSucceeded workspace/evicted --timeout=15m
same "in another pod" "" "$(kubectl get pod "$pod" -o name 2>/dev/null)"
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
