#!/usr/bin/env bash
# What this proves: the chart installs on a real API server, refuses wrong values, keeps its secrets, gives each agent
# what it needs there and on the bus and nothing more; docs/install-on-kubernetes.md's commands run.
# No controllers and no nodes: pods are not made; the agents run here, each with its service account's token.
# usage: chart.sh BUILD
kube=$(bash "$(dirname "$0")/../../deploy/setup/kube.sh" --check | tail -n 1) || kube=
for needed in kube-apiserver kubectl helm; do
  [ ! -x "$kube/$needed" ] || continue
  echo "SKIP the chart: there is no $needed; deploy/setup/kube.sh builds it"
  exit 77
done
source "$(dirname "$0")/lib.sh"
PATH=$kube:$PATH
cd "$source_dir" || exit 1
chart=deploy/chart ns=kairo-system
export HOME=$work HELM_CACHE_HOME=$work/helm KAIRO_KUBE_BIN=$kube # nothing of the user's
helm() { command timeout 60 "$kube/helm" "$@" 2> >(grep -v 'found symbolic link' >&2); }

holds "helm lint" helm lint --strict $chart
bad() { # NAME SETTING WORDS: refused before anything is made
  local seen
  if seen=$(helm template kairo $chart --set "$2" 2>&1 >/dev/null); then seen=taken; fi
  case $seen in *"$3"*) pass "$1" ;; *) fail "$1" "wanted: $3" "seen:   $seen" ;; esac
}
bad "a value that is none" watcher.replica=2 "replica"
bad "a count that is none" watcher.replicas=0 "watcher/replicas"
bad "two servers" nats.replicas=2 "nats/replicas"
bad "a level that is none" log=loud "/log"
bad "a password in the URL" bus.external.url=nats://u:p@h:4222 "bus/external/url"
bad "a storage size without unit" nats.storage.size=4G "nats/storage/size"
bad "a relative host path" node.hostPath=kairo/ "node/hostPath"
bad "a kernel's log that is no path" node.kernelLog=kern.log "node/kernelLog"
bad "no label at all" node.anyLabel=null "anyLabel"
bad "a name that is none" "pusher.secrets={A_B}" "pusher/secrets/0"
bad "a hub that is no address" models.hub=ftp://hub "models/hub"
bad "image volumes sometimes" imageVolumes=sometimes "/imageVolumes"
bad "a rhythm that is none" pusher.checkpointEvery=often "pusher/checkpointEvery"
bad "an amount that is none" models.limit=much "models/limit"
bad "a gateway without keys" gateway.enabled=true,gateway.registry=registry.example.org/openai "gateway/keysSecret"
bad "a gateway without a registry" gateway.enabled=true,gateway.keysSecret=keys "gateway/registry"
bad "a gateway's registry with a scheme" gateway.registry=https://registry.example.org/openai "gateway/registry"
bash deploy/kustomize/render.sh "$kube/helm" >"$work/kairo.yaml"
holds "deploy/kustomize/kairo.yaml is the chart's (render.sh)" diff deploy/kustomize/kairo.yaml "$work/kairo.yaml"

coproc server { "$build/tests/bench/kube_server" 2>"$work/server.log"; }
server_pid=$server_PID
children+=("$server_pid")
read -r -t 120 url token_file ca <&"${server[0]}" || {
  fail "the API server" "$(tail -n 3 "$work/server.log")"
  exit 1
}
kubeconfig() { # TOKEN_FILE
  jq -n --arg url "$url" --arg ca "$ca" --arg token "$1" '{apiVersion: "v1", kind: "Config", "current-context": "c",
    clusters: [{name: "c", cluster: {server: $url, "certificate-authority": $ca}}],
    users: [{name: "u", user: {tokenFile: $token}}], contexts: [{name: "c", context: {cluster: "c", user: "u"}}]}'
}
kubeconfig "$token_file" >"$work/admin.kubeconfig"
export KUBECONFIG=$work/admin.kubeconfig
kubectl delete crd workspaces.kaito.sh >/dev/null # the chart brings it
node() { # NAME: one that is ready
  echo "{apiVersion: v1, kind: Node, metadata: {name: $1, labels: {kubernetes.io/hostname: $1, kubernetes.io/os: linux}}}" |
    kubectl create -f - >/dev/null
  kubectl patch node "$1" --subresource status --type merge -p '{"status": {"conditions": [{"type": "Ready", "status": "True"}],
    "capacity": {"cpu": "2", "memory": "16Gi", "pods": "110"}, "allocatable": {"cpu": "2", "memory": "16Gi", "pods": "110"}}}' >/dev/null
}
node gpu-1
node other

# The commands of the page, in their order, up to a heading.
page=docs/install-on-kubernetes.md
commands() { # FROM TO (awk patterns of headings)
  awk -v from="$1" -v to="$2" '$0 ~ from {on = 1} $0 ~ to && on {exit} on && /^```/ {code = /bash/; next} on && code' $page
}
run_page() {
  local line
  while IFS= read -r line; do holds "$line" bash -c "set -o pipefail; $line" </dev/null; done < <(commands "$@")
}
run_page '^# Install' '^## What the chart'
same "the definition is kairo's" true "$(kubectl get crd workspaces.kaito.sh -o json |
  jq '.spec.versions[0].schema.openAPIV3Schema.properties | has("terminationGracePeriodSeconds")')"
notes=$(helm get notes kairo -n $ns)
holds "the notes say what is there" grep -q "nodes with nvidia.com/gpu: 0" <<<"$notes"
secrets() { kubectl get secret -n $ns -o json | jq -cS '[.items[] | select(.metadata.name | startswith("kairo-")) | {(.metadata.name): .data}]'; }
before=$(secrets)
run_page '^## What the chart' '^## What each'
same "an upgrade keeps passwords and certificates" "$before" "$(secrets)"
same "eight secrets" 8 "$(jq length <<<"$before")"

kubectl create namespace "dry-$ns" >/dev/null
dry() { # NAME SETTINGS...: what is rendered is taken by the server
  helm template kairo $chart -n "dry-$ns" --set "$2" | awk -v RS='---\n' -v ORS='---\n' '!/cert-manager.io/' >"$work/dry.yaml"
  holds "server-side dry run: $1" kubectl apply --server-side --force-conflicts --dry-run=server -f "$work/dry.yaml"
}
dry "three servers, cert-manager" nats.replicas=3,bus.tls.from=cert-manager,nats.storage.storageClass=fast
dry "a NATS of one's own" bus.external.url=tls://nats.example.org:4222,bus.external.caSecret=nats-ca,bus.external.replicas=3,bus.cluster=blue
dry "another path, the kernel's log, registries with passwords" 'node.hostPath=/data/kairo,node.kernelLog=/var/log/kern.log,node.kernelLogGroup=4,image.pullSecrets={pull},networkPolicies.metricsFrom.team=obs'
dry "OpenAI's API" gateway.enabled=true,gateway.keysSecret=keys,gateway.registry=registry.example.org/openai,gateway.registrySecret=push,gateway.storage.storageClass=fast,gateway.from.team=ml
dry "the least" admission.policies=false,networkPolicies.enabled=false,priorityClass.name=,watcher.replicas=1,bus.passwords=own,bus.tls.from=own

source tests/e2e/chart_rights.sh
source tests/e2e/chart_agents.sh
source tests/e2e/chart_gateway.sh

run_page '^## Away' '^never$'
same "nothing of it is left in the namespace" "" "$(kubectl get deploy,ds,sts,cm,secret,sa,svc,netpol,pdb,role,rolebinding -n $ns -o name | grep kairo)"
kubectl create namespace $ns >/dev/null 2>&1
run_page '^## Without helm' '^## Away'
