#!/usr/bin/env bash
# Karpenter with its kwok provider on the cluster of DIR, and kwok as the nodes that it makes. usage: karpenter.sh DIR
# Nodes: those with the annotation kwok.x-k8s.io/node=fake (Karpenter's have it) become and stay Ready; a pod on one
# runs, and ends only when somebody writes so into its status.
set -euo pipefail
DIR=$(cd "${1:?usage: karpenter.sh DIR}" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$DIR/cluster.env"
K apply --server-side -f "$BIN/karpenter-crds" >"$DIR/karpenter-crds.log"
K wait --for=condition=Established crd/nodeclaims.karpenter.sh crd/nodepools.karpenter.sh crd/kwoknodeclasses.karpenter.kwok.sh \
  --timeout=30s >>"$DIR/karpenter-crds.log"
# Machines: name, cores, memory, GPUs; on demand and, cheaper, spot.
jq -n '[("Standard_NC6s_v3 6 112Gi 1", "Standard_NC12s_v3 12 224Gi 2", "Standard_NC24ads_A100_v4 24 220Gi 1",
    "Standard_NC48ads_A100_v4 48 440Gi 2", "Standard_NC80adis_H100_v5 80 640Gi 2", "Standard_D4s_v5 4 16Gi 0") |
  split(" ") as [$name, $cpu, $memory, $gpus] | {name: $name, architecture: "amd64", operatingSystems: ["linux"],
    resources: ({cpu: $cpu, memory: $memory, "ephemeral-storage": "1Ti", pods: "110"} +
      if $gpus == "0" then {} else {"nvidia.com/gpu": $gpus} end),
    offerings: [("on-demand", "spot") as $type | {Available: true, Price: (($gpus | tonumber) + if $type == "spot" then 0.5 else 1 end),
      Requirements: [{key: "karpenter.sh/capacity-type", operator: "In", values: [$type]},
        {key: "topology.kubernetes.io/zone", operator: "In", values: ["zone-1"]}]}]}]' >"$DIR/machines.json"
start karpenter env KUBECONFIG="$DIR/karpenter.kubeconfig" DISABLE_LEADER_ELECTION=true SYSTEM_NAMESPACE=kube-system \
  KARPENTER_SERVICE=karpenter METRICS_PORT=$((PORT + 5)) HEALTH_PROBE_PORT=$((PORT + 6)) LOG_LEVEL=info \
  INSTANCE_TYPES_FILE_PATH="$DIR/machines.json" FEATURE_GATES=StaticCapacity=true "$BIN/karpenter-kwok"
start kwok "$BIN/kwok" --kubeconfig="$DIR/kwok.kubeconfig" --manage-all-nodes=false --config="$here/kwok.yaml" \
  --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake
is_ready() { curl -sf "http://127.0.0.1:$((PORT + 6))/readyz"; }
wait_for 60 "Karpenter is ready" karpenter is_ready
node_class() {
  printf 'apiVersion: karpenter.kwok.sh/v1alpha1\nkind: KWOKNodeClass\nmetadata: {name: default}\n' | K apply --server-side -f -
}
wait_for 30 "a node class can be made" karpenter node_class # a definition's first list is answered 429 for a moment
pid_of kwok >/dev/null || give_up "kwok ended: $(tail -n 2 "$DIR/kwok.log")"
