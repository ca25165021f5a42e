# tests/e2e/chart_gateway.sh - OpenAI's API with the chart's own rights: a file and a job become a Workspace whose fetch may
# reach the gateway. Sourced by chart.sh, after the agents.
echo "sk-chart-0123456789abcdef team" >"$work/openai-keys"
chmod 600 "$work/openai-keys"
holds "a Secret with keys" kubectl create secret generic openai-keys -n $ns --from-file=keys="$work/openai-keys"
holds "the gateway is installed" helm upgrade kairo $chart -n $ns --reuse-values --set gateway.enabled=true \
  --set gateway.keysSecret=openai-keys,gateway.registry=registry.example.org/openai,gateway.registrySecret=openai-registry
granted=()
may gateway "get workspaces.kaito.sh default" "list workspaces.kaito.sh default" "watch workspaces.kaito.sh default" "create workspaces.kaito.sh default" \
  "patch workspaces.kaito.sh default" "delete workspaces.kaito.sh default" "get configmaps default" "list configmaps default" "create configmaps default" \
  "patch configmaps default" "delete configmaps default" "-get workspaces.kaito.sh $ns" "-list workspaces.kaito.sh kube-system" "-get secrets default" \
  "-list secrets $ns" "-patch workspaces.kaito.sh:status default" "-create pods default" "-get pods default" "-create jobs.batch default" \
  "-watch configmaps default" "-get configmaps $ns" "-create services:proxy default"
same "the gateway has no right besides" "$(printf '%s\n' "${granted[@]}" | sort)" "$(
  kubectl get roles -A -o json | jq -r '.items[] | select(.metadata.name == "kairo-gateway") | .metadata.namespace as $where | .rules[] |
    .verbs[] as $verb | .apiGroups[] as $group | .resources[] | "gateway \($verb) \(.)\(if $group == "" then "" else "." + $group end) \($where)"' | sort)"
same "nor any in the whole cluster" "" "$(kubectl get clusterrolebindings -o json | jq -r '.items[] | select(any(.subjects[]?; .name == "kairo-gateway")) | .metadata.name')"
address=http://kairo-gateway.$ns.svc
same "the launcher knows its address" "$address" \
  "$(kubectl get deployment kairo-launcher -n $ns -o json | jq -r '.spec.template.spec.containers[0].env[] | select(.name == "KAIRO_OPENAI_URL") | .value')"

kubectl create token kairo-gateway -n $ns >"$work/gateway.token"
kubeconfig "$work/gateway.token" >"$work/gateway.kubeconfig"
openai_port=$(free_port)
env KAIRO_MODE=kubeconfig KAIRO_KUBECONFIG="$work/gateway.kubeconfig" KAIRO_STATE_DIR="$work/gateway" KAIRO_OPENAI_ADDRESS="127.0.0.1:$openai_port" \
  KAIRO_OPENAI_URL="$address" KAIRO_OPENAI_KEYS_FILE="$work/openai-keys" KAIRO_OPENAI_REGISTRY=registry.example.org/openai \
  KAIRO_OPENAI_REGISTRY_SECRET=openai-registry KAIRO_OPENAI_NAMESPACE=default kairo gateway 2>"$work/gateway.log" &
children+=($!)
openai() { curl -s --max-time 10 -H "Authorization: Bearer sk-chart-0123456789abcdef" "${@:2}" "http://127.0.0.1:$openai_port$1"; } # PATH, options
holds "it is ready with its token" until_true 30 curl -sf "http://127.0.0.1:$openai_port/readyz"
same "nobody without a key" 401 "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$openai_port/v1/models")"
file=$(openai /v1/files -F purpose=fine-tune -F file=@examples/quickstart/data/pip.jsonl | jq -r .id)
holds "a file is taken" test "${file#file-}" != "$file"
job=$(openai /v1/fine_tuning/jobs -H 'Content-Type: application/json' \
  -d "{\"model\": \"smollm2-135m-instruct\", \"training_file\": \"$file\", \"method\": {\"type\": \"supervised\"}}" | jq -r .id)
holds "a job is a Workspace" until_true 20 kubectl get workspace "$job"
holds "whose file has the Service's address" grep -q "^$address/v1/files/$file/rows.jsonl?token=" <(kubectl get workspace "$job" -o jsonpath='{.tuning.input.urls[0]}')
job_of_workspace() { kubectl get job "$job" -o json; }
if until_true 30 job_of_workspace; then
  same "its fetch may reach the gateway, there alone" "[\"kairo\",\"fetch\",\"--to\",\"/mnt/data\",\"--gateway\",\"$address\"]" \
    "$(kubectl get job "$job" -o json | jq -c '.spec.template.spec.initContainers[0].command')"
else
  fail "its Job is made" "$(kubectl get workspace "$job" -o json | jq -c .status)" "$(tail -n 2 "$work"/gateway.log "$work"/launcher.log)"
fi
# The fetch itself, in a network of its own where the Service's name leads to a private address, as in a cluster.
{ cat /etc/hosts; echo "10.9.9.9 kairo-gateway.$ns.svc other.$ns.svc"; } >"$work/hosts.gateway"
fetch_there() { # URL OPTIONS...
  timeout 60 unshare --map-root-user --net --mount bash -c 'mount --bind "$0" /etc/hosts && ip link set lo up && ip addr add 10.9.9.9/32 dev lo
    python3 -m http.server 80 --bind 10.9.9.9 -d "$1" >/dev/null 2>&1 & trap "kill $!" EXIT
    until (exec 3<>/dev/tcp/10.9.9.9/80) 2>/dev/null; do sleep 0.1; done
    DATA_URLS=$2 kairo fetch --to "$3" "${@:4}"' "$work/hosts.gateway" "$PWD/examples/quickstart/data" "$1" "$(mktemp -d -p "$work")" "${@:2}" 2>&1
}
if ! unshare --map-root-user --net --mount ip link show >/dev/null 2>&1; then
  skip "a fetch from the Service" "no network namespace is to be had, or ip is not installed"
else
  holds "a fetch from the Service" fetch_there "$address/pip.jsonl" --gateway "$address"
  refused="has a loopback, private or link-local address, which is not fetched from"
  holds "not without the launcher's word" grep -q "kairo-gateway.$ns.svc $refused" <(fetch_there "$address/pip.jsonl")
  holds "nor from another Service" grep -q "other.$ns.svc $refused" <(fetch_there "http://other.$ns.svc/pip.jsonl" --gateway "$address")
fi
same "the job is cancelled" cancelled "$(openai "/v1/fine_tuning/jobs/$job/cancel" -X POST | jq -r .status)"
same "nobody was refused" "" "$(grep -h forbidden "$work/gateway.log" | head -n 3)"
kill "${children[-1]}" 2>/dev/null
holds "away again" helm upgrade kairo $chart -n $ns --reuse-values --set gateway.enabled=false
same "but for its files" "persistentvolumeclaim/kairo-gateway" "$(kubectl get deploy,sa,svc,role,netpol,pvc -A -o name | grep kairo-gateway | sed 's|.*/persist|persist|')"
kubectl patch pvc kairo-gateway -n $ns --type merge -p '{"metadata": {"finalizers": null}}' >/dev/null # no controller does here
kubectl delete pvc kairo-gateway -n $ns --wait=false >/dev/null
