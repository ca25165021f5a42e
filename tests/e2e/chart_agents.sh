# tests/e2e/chart_agents.sh - the agents with their own tokens, on the chart's bus. Sourced by chart.sh.
# The bus: the configuration and the Secrets that the cluster has; other paths, ports and addresses.
bus=$work/bus port=$(free_port)
mkdir -p "$bus/data"
for key in ca.crt tls.crt tls.key; do
  kubectl get secret kairo-nats-tls -n $ns -o json | jq -r ".data[\"$key\"]" | base64 -d >"$bus/$key"
done
kubectl get configmap kairo-nats -n $ns -o jsonpath='{.data.nats\.conf}' >"$bus/of_chart.conf"
sed -e "s|/etc/nats/tls|$bus|; s|/data|$bus/data|; s|^port: 4222|host: 127.0.0.1\nport: $port|; s|http_port: 8222|http: \"127.0.0.1:$(free_port)\"|" \
  -e "s|\"/etc/nats/tls|\"$bus|g" "$bus/of_chart.conf" >"$bus/nats.conf"
export POD_NAME=kairo-nats-0
for agent in watcher provisioner launcher node pusher web admin; do
  kubectl get secret "kairo-bus-$agent" -n $ns -o json | jq -r '.data.password' | base64 -d >"$bus/$agent.password"
  export "KAIRO_BUS_${agent^^}=$(cat "$bus/$agent.password")"
done
holds "nats-server takes the configuration" nats-server -t -c "$bus/nats.conf"
same "the certificate is the Service's" "$bus/tls.crt: OK" \
  "$(openssl verify -CAfile "$bus/ca.crt" -verify_hostname "kairo-nats.$ns.svc" "$bus/tls.crt" 2>&1)"
helm template kairo $chart -n $ns --set nats.replicas=3 -s templates/nats.yaml | sed -n '/nats.conf: |/,/^---/p' |
  sed -e '1d;$d' -e "s|\"/etc/nats/tls|\"$bus|g; s|/data|$bus/data|" >"$bus/three.conf"
holds "nats-server takes that of three" nats-server -t -c "$bus/three.conf"
nats-server -c "$bus/nats.conf" >"$bus/log" 2>&1 &
children+=($!)
until_true 10 grep -q "Server is ready" "$bus/log"

models=$work/models/smollm2-135m-instruct
mkdir -p "$models"
for file in config.json tokenizer.json model.safetensors; do echo '{}' >"$models/$file"; done
# The certificate is the Service's, and is looked at: its name leads here.
{ cat /etc/hosts; echo "127.0.0.1 kairo-nats.$ns.svc"; } >"$work/hosts"
named() { exec unshare --map-root-user --mount bash -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$work/hosts" "$@"; }
declare -A health
for agent in watcher provisioner launcher node pusher; do
  account=$agent bound=()
  case $agent in node | pusher) account=node bound=(--bound-object-kind Node --bound-object-name gpu-1) ;; esac
  kubectl create token "kairo-$account" -n $ns "${bound[@]}" >"$work/$agent.token"
  kubeconfig "$work/$agent.token" >"$work/$agent.kubeconfig"
  health[$agent]=$(free_port)
  lease=(KAIRO_NODE=gpu-1)
  [ $account = node ] || lease=(KAIRO_LEASE_NAMESPACE=$ns)
  named env "${lease[@]}" KAIRO_MODE=kubeconfig KAIRO_KUBECONFIG="$work/$agent.kubeconfig" KAIRO_BUS_URL="tls://kairo-nats.$ns.svc:$port" \
    KAIRO_BUS_PASSWORD_FILE="$bus/$agent.password" KAIRO_BUS_CA_FILE="$bus/ca.crt" KAIRO_STATE_DIR="$work/state" \
    KAIRO_RUNS_DIR="$work/runs" KAIRO_MODELS="$work/models" KAIRO_HEALTH_ADDRESS="127.0.0.1:${health[$agent]}" KAIRO_BUS_REPLICAS=1 \
    KAIRO_ENGINE_IMAGE=registry.example.org/kairo-engine:1 KAIRO_OPENAI_URL="http://kairo-gateway.$ns.svc" kairo agent "$agent" 2>"$work/$agent.log" &
  children+=($!)
done
for agent in "${!health[@]}"; do
  holds "$agent is ready with its token, on the chart's bus" until_true 30 curl -sf "http://127.0.0.1:${health[$agent]}/readyz"
done
if until_true 30 kubectl get job first-tuning; then pass "a Workspace goes to its Job"; else
  fail "a Workspace goes to its Job" "$(kubectl get workspace first-tuning -o json | jq -c .status)" "$(tail -n 2 "$work"/*.log)"
fi
same "the Job's image is the one that was named" registry.example.org/kairo-engine:1 \
  "$(kubectl get job first-tuning -o jsonpath='{.spec.template.spec.containers[0].image}')"
same "its fetch may reach no private address" '["kairo","fetch","--to","/mnt/data"]' \
  "$(kubectl get job first-tuning -o json | jq -c '.spec.template.spec.initContainers[0].command')"
# The page, with its own token; a viewer's decides what is shown.
kubectl create token kairo-web -n $ns >"$work/web.token"
kubeconfig "$work/web.token" >"$work/web.kubeconfig"
page_port=$(free_port)
named env KAIRO_MODE=kubeconfig KAIRO_KUBECONFIG="$work/web.kubeconfig" KAIRO_BUS_URL="tls://kairo-nats.$ns.svc:$port" \
  KAIRO_BUS_PASSWORD_FILE="$bus/web.password" KAIRO_BUS_CA_FILE="$bus/ca.crt" KAIRO_HEALTH_ADDRESS="127.0.0.1:$page_port" kairo web 2>"$work/web.log" &
children+=($!)
holds "the page is ready with its token, on the chart's bus" until_true 30 curl -sf "http://127.0.0.1:$page_port/readyz"
shown() { # TOKEN PATH: status and body
  curl -s --max-time 5 -w ' %{http_code}' -H "Authorization: Bearer $1" "http://127.0.0.1:$page_port/api/v1/$2"
}
viewer=$(kubectl create token kairo-viewer -n $ns)
same "a viewer sees the Workspaces" first-tuning "$(shown "$viewer" workspaces | sed 's/ 200$//' | jq -r '.items[].metadata.name')"
same "and their events" "200" "$(shown "$viewer" workspaces/default/first-tuning/events | tail -c 3)"
same "a token that nobody made" "The API server does not know this token (any more); docs/page.md says how to get one.  401" \
  "$(shown nonsense workspaces | tr '\n' ' ')"
same "an account without the right" "system:serviceaccount:$ns:kairo-launcher may not list workspaces of all namespaces; a ClusterRoleBinding to kairo-viewer allows it  403" \
  "$(shown "$(cat "$work/launcher.token")" workspaces | tr '\n' ' ')"
# The page's commands for a cluster. kubectl is the real one but for its port-forward, which wants a pod: this one leads to the page.
mkdir -p "$work/forward"
cat >"$work/forward/kubectl" <<SH
#!/bin/bash
case " \$* " in *" port-forward svc/kairo-web :80 --address 127.0.0.1 "*" -n $ns "*) ;; *) exec "$kube/kubectl" "\$@" ;; esac
echo "Forwarding from 127.0.0.1:$page_port -> 8080"
exec -a "\$0" sleep 60
SH
chmod +x "$work/forward/kubectl"
of_cluster() { PATH=$work/forward:$PATH timeout 30 kairo "$@" --kubeconfig "$work/admin.kubeconfig" 2>&1; }
same "export, before a step is known" "error: workspace first-tuning: no step of its training is known yet; \`kairo wait first-tuning\` follows it" "$(of_cluster export first-tuning)"
for step in 1 2 3; do
  echo "{\"phase\":\"Training\",\"step\":$step,\"total_steps\":3,\"loss\":0.$step,\"attempt\":1,\"at_ms\":176400000${step}000}"
done >"$(find "$work/runs/default" -type d -name state | head -n 1)/progress.jsonl"
has_curve() { [ "$(of_cluster export first-tuning | tail -n +2 | cut -d , -f 1-3 | paste -sd ' ')" = "1,1,0.1 2,1,0.2 3,1,0.3" ]; }
holds "export, by the node agent, the bus, the page and a port-forward" until_true 30 has_curve
same "without kubectl" "error: kubectl is not on PATH; it opens the way to the page's Service (a port-forward)" \
  "$(PATH=$(dirname "$(command -v kairo)") kairo export first-tuning --kubeconfig "$work/admin.kubeconfig" 2>&1)"
holds "in another namespace there is no such page" grep -q 'kubectl create token kairo-viewer -n default: .*not found.*KAIRO_PAGE_TOKEN$' \
  <(of_cluster export first-tuning --kairo-namespace default)
PATH=$work/forward:$PATH kairo dashboard --kubeconfig "$work/admin.kubeconfig" >"$work/dashboard.out" 2>&1 &
dashboard=$!
holds "dashboard says the address" until_true 20 grep -qE "^http://127.0.0.1:$page_port/#token=.{100,}" "$work/dashboard.out"
same "with a token that the page takes" first-tuning "$(shown "$(sed -n 's/.*#token=//p' "$work/dashboard.out")" workspaces | sed 's/ 200$//' | jq -r '.items[].metadata.name')"
holds "through a port-forward" pgrep -f "$work/forward/kubectl"
kill "$dashboard"
wait "$dashboard"
same "it ends, and the port-forward with it" "" "$(pgrep -f "$work/forward/kubectl")"
same "nobody was refused" "" "$(grep -h forbidden "$work"/*.log | head -n 3)"
same "the node says which models it has" smollm2-135m-instruct "$(kubectl get node gpu-1 -o jsonpath='{.metadata.annotations.kairo\.dev/models}')"

patch() { # NAME NODE METADATA WORDS: what the node agent must not do is refused with these words
  local seen
  seen=$(curl -s --cacert "$ca" -X PATCH "$url/api/v1/nodes/$2" -H "Authorization: Bearer $(cat "$work/node.token")" \
    -H "Content-Type: application/merge-patch+json" -d "{\"metadata\": $3}" | jq -r .message)
  case $seen in *"$4"*) pass "$1" ;; *) fail "$1" "wanted: $4" "seen:   $seen" ;; esac
}
patch "a node agent on another Node" other '{"annotations": {"kairo.dev/models": "x"}}' "may write to the Node that it runs on only"
patch "a node agent and a label" gpu-1 '{"labels": {"a": "b"}}' "may write annotations of kairo.dev on a Node only"
patch "a node agent and another's annotation" gpu-1 '{"annotations": {"a": "b"}}' "may write annotations of kairo.dev on a Node only"
kubectl delete workspace first-tuning --wait=false >/dev/null
# The Job is deleted in the foreground: its finalizer is the garbage collector's, of which there is none here.
collected() {
  kubectl patch job first-tuning --type=merge -p '{"metadata": {"finalizers": null}}'
  ! kubectl get job first-tuning
}
until_true 60 collected
gone() { ! kubectl get workspace first-tuning; }
holds "a Workspace goes when it is deleted" until_true 30 gone
