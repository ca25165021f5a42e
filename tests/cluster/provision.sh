#!/usr/bin/env bash
# What this proves: on a real control plane with real Karpenter a node is bought for a Workspace, with the exact
# conditions at each step, by a NodeClaim and by a NodePool; what cannot work is not bought; no capacity and an unknown
# machine are said in the provider's words; spot loss in the middle gets another node; a model on two nodes gets two, and
# of these a lost one alone anew; a deletion in each phase leaves nothing, also where the definitions of Karpenter are
# absent.
# usage: provision.sh BUILD
source "$(dirname "$0")/kairo.sh"
machine=Standard_NC24ads_A100_v4 class=karpenter.kwok.sh/KWOKNodeClass/default
export KAIRO_NODE_PROVISIONER=nodeclaim KAIRO_NODE_CLASS=$class KAIRO_RELEASE_AFTER=never
values=(--set nodes.provisioner=nodeclaim --set nodes.class=$class)
kairo_up --karpenter
model smollm2-135m-instruct llama-3.3-70b-instruct

wish() { # NAME [MACHINE]
  cat <<YAML
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: $1}
resource: {instanceType: ${2:-$machine}, labelSelector: {matchLabels: {apps: $1}}}
tuning:
  preset: {name: smollm2-135m-instruct}
  method: qlora
  input: {urls: ["https://example.org/rows.jsonl"]}
  output: {image: "registry.example.org/adapters/$1:1", imagePushSecret: push}
YAML
}
wish_large() { # NAME COUNT: a model that two machines of this type hold together
  cat <<YAML
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: $1}
resource: {count: $2, instanceType: Standard_NC48ads_A100_v4, labelSelector: {matchLabels: {apps: $1}}}
inference: {preset: {name: llama-3.3-70b-instruct}}
YAML
}
says() { # NAME WORKSPACE TYPE PATTERN [SECONDS]: one case, when that condition reads so
  is_said() { grep -qxE -- "$4" <<<"$(condition "$2" "$3")"; }
  said() { is_said "$name" "$workspace" "$type" "$pattern"; }
  local name=$1 workspace=$2 type=$3 pattern=$4
  if until_true "${5:-30}" said; then pass "$1"; else fail "$1" "wanted: $pattern" "seen: $(conditions "$2")"; fi
}
# was_said NAME WORKSPACE TYPE PATTERN [SECONDS]: one case, when that condition has read so since `follow WORKSPACE`: what
# passes while nobody looks counts too.
follow() { start "seen-$1" "$BIN/kubectl" --kubeconfig "$DIR/admin.kubeconfig" get workspace "$1" -o json --watch; }
seen_of() { jq -r '.status.conditions // [] | sort_by(.type)[] | "\(.type) \(.status) \(.reason): \(.message)"' "$DIR/seen-$1.log" 2>/dev/null | uniq; }
was_said() {
  is_seen() { grep -qxE -- "$type $pattern" <<<"$(seen_of "$workspace")"; }
  local name=$1 workspace=$2 type=$3 pattern=$4
  if until_true "${5:-30}" is_seen; then pass "$1"; else fail "$1" "wanted: $pattern" "seen: $(seen_of "$2" | grep "^$3 " | uniq)"; fi
}
claim_of() { K get nodeclaims -l "kaito.sh/workspace=$1" -o jsonpath='{.items[0].metadata.name}' 2>/dev/null; }
pool_claim_of() { K get nodeclaims -l "karpenter.kaito.sh/workspace-name=$1" -o jsonpath='{.items[0].metadata.name}' 2>/dev/null; }
node_of() { K get nodeclaim "$1" -o jsonpath='{.status.nodeName}' 2>/dev/null; }
claims() { K get nodeclaims -o json | jq -r '[.items[] | select(.metadata.deletionTimestamp == null).metadata.name] | sort | join(" ")'; }
nodes_of_claims() { K get nodeclaims -o json | jq -r '[.items[] | select(.metadata.deletionTimestamp == null).status.nodeName // empty] | sort | join(" ")'; }
have_nodes() { [ "$(nodes_of_claims | wc -w)" = "$1" ]; }
pods_on() { K get pods -l "kaito.sh/workspace=$1" -o json | jq -r '[.items[] | select(.metadata.deletionTimestamp == null and .status.phase == "Running").spec.nodeName] | sort | join(" ")'; }
agents_on() { # NODE: what the DaemonSet starts there
  agent_up node "$1"
  agent_up pusher "$1"
}
agents_off() { # NODE: the machine is gone, and its disk with it
  end "node-$1" "pusher-$1"
  rm -rf "$DIR/runs/$1"
}
class_there() { printf 'apiVersion: karpenter.kwok.sh/v1alpha1\nkind: KWOKNodeClass\nmetadata: {name: default}\n' | K apply --server-side -f - >/dev/null; }
K create secret docker-registry push --docker-server=registry.example.org --docker-username=a --docker-password=b >/dev/null

# --- nothing is bought that cannot work
wish old Standard_NC6s_v3 | K apply -f - >/dev/null
says "a retired machine is not bought" old ResourceReady \
  'False UnsupportedInstanceType: instanceType Standard_NC6s_v3 .* is retired by Azure, and the CUDA build needs 8\.0 or newer; use one of .*'
says "and NodeClaimReady says so" old NodeClaimReady 'False NodeClaimNotReady: nothing is bought: .*'
same "there is no claim" "" "$(K get nodeclaims -o name)"
K delete workspace old --timeout=30s >/dev/null
nothing_is_left "a refused one leaves nothing"

# --- a NodeClaim, to the Job
wish tune | K apply -f - >/dev/null
until_true 20 eval '[ -n "$(claim_of tune)" ]'
claim=$(claim_of tune)
same "the claim has KAITO's name" yes "$(grep -qxE 'ws[0-9a-f]{9}' <<<"$claim" && echo yes || echo "$claim")"
same "the claim is KAITO's" "kaito default tune $machine true Never gpu" "$(K get nodeclaim "$claim" -o json | jq -r '
  [.metadata.labels["karpenter.sh/nodepool"], .metadata.labels["kaito.sh/workspacenamespace"], .metadata.labels["kaito.sh/workspace"],
   (.spec.requirements[] | select(.key == "node.kubernetes.io/instance-type") | .values[0]), .metadata.annotations["karpenter.sh/do-not-disrupt"],
   .spec.expireAfter, .spec.taints[0].value] | join(" ")')"
says "the claim becomes ready" tune NodeClaimReady 'True NodeClaimsReady: Enough NodeClaims are ready'
node=$(node_of "$claim")
says "the agent is waited for" tune NodesReady \
  "False NodeAgentNotReady: Not enough Nodes are ready: kairo's node agent on node $node has not said yet that the model is there"
same "the node has the label" nvidia "$(K get node "$node" -o jsonpath='{.metadata.labels.accelerator}')"
agents_on "$node"
says "resources are ready" tune ResourceReady 'True workspaceResourceStatusSuccess: workspace resource is ready'
says "nodes are ready" tune NodesReady 'True NodesReady: Enough Nodes are ready'
holds "the Job is there" until_true 20 K get job tune
same "one node was bought" 1 "$(K get nodeclaims -o name | wc -l)"

# --- spot loss in the middle
follow tune
until_true 10 eval 'seen_of tune | grep -q .'
K delete node "$node" --wait=false >/dev/null
agents_off "$node"
K delete pods -l kaito.sh/workspace=tune --force --grace-period=0 >/dev/null 2>&1
is_another() { [ -n "$(claim_of tune)" ] && [ "$(claim_of tune)" != "$claim" ]; }
was_said "the loss is said" tune NodeClaimReady 'False .*: NodeClaim .* (is being|has been) deleted.*' 30
holds "another claim is made" until_true 90 is_another
end seen-tune
K delete workspace tune --wait=false >/dev/null
nothing_is_left "deleted while a node is on its way, nothing is left" 60

# --- no capacity: Karpenter deletes the claim, its Event has the reason
K delete kwoknodeclass default >/dev/null
wish none | K apply -f - >/dev/null
says "no capacity is said in Karpenter's words, and when it is asked again" none NodeClaimReady \
  'False InsufficientCapacityError: NodeClaim ws[0-9a-f]{9} has been deleted: InsufficientCapacityError: .*; the next one is asked for at .* \(attempt [0-9]+\)' 40
class_there
says "it is had when there is some" none NodeClaimReady 'True NodeClaimsReady: Enough NodeClaims are ready' 60
K delete workspace none --wait=false >/dev/null
nothing_is_left "and nothing is left of it" 60

# --- a model on two nodes: a claim for each
wish_large few 1 | K apply -f - >/dev/null
says "who asks for one hears how many would do" few ResourceReady \
  'False InsufficientMemory: llama-3\.3-70b-instruct needs about .* or 2 nodes of it together: make the Workspace anew with resource\.count: 2'
same "and nothing is bought" "" "$(claims)"
K delete workspace few --timeout=30s >/dev/null
wish_large two 3 | K apply -f - >/dev/null
holds "two machines are bought, as few as do" until_true 40 have_nodes 2
same "by claims of KAITO's names" 2 "$(claims | tr ' ' '\n' | grep -cxE 'ws[0-9a-f]{9}')"
says "both claims are ready" two NodeClaimReady 'True NodeClaimsReady: Enough NodeClaims are ready'
read -r one other <<<"$(nodes_of_claims)"
says "the agents are waited for" two NodesReady \
  "False NodeAgentNotReady: Not enough Nodes are ready: kairo's node agent on node .* has not said yet that the model is there; 0 of 2 nodes are usable"
agents_on "$one"
says "of both" two NodesReady "False NodeAgentNotReady: .* on node $other has not said yet that the model is there; 1 of 2 nodes are usable"
agents_on "$other"
says "resources are ready" two ResourceReady 'True workspaceResourceStatusSuccess: workspace resource is ready'
is_on() { [ "$(pods_on two)" = "$1" ] && [ "$(state two)" = Ready ]; }
holds "a pod serves on each" until_true 60 is_on "$one $other"
same "what the status says of it" "2 $one,$other" "$(K get workspace two -o json | jq -r '.status | "\(.targetNodeCount) \(.workerNodes | join(","))"')"
# one of them is lost
before=$(claims) kept=$(K get nodeclaims -o json | jq -r --arg node "$one" '.items[] | select(.status.nodeName == $node).metadata.name')
follow two
until_true 10 eval 'seen_of two | grep -q .'
K delete node "$other" --wait=false >/dev/null
agents_off "$other"
K delete pods -l kaito.sh/workspace=two --field-selector "spec.nodeName=$other" --force --grace-period=0 >/dev/null 2>&1
was_said "that one is lost is said, and how many are left" two NodeClaimReady 'False .*: NodeClaim .* has been deleted.*; 1 of 2 NodeClaims are ready' 60
is_replaced() { have_nodes 2 && [ "$(claims)" != "$before" ]; }
holds "another claim is made" until_true 90 is_replaced
end seen-two
same "the other one is kept" "$kept" "$(claims | tr ' ' '\n' | grep -x "$kept")"
third=$(nodes_of_claims | tr ' ' '\n' | grep -vx "$one")
agents_on "$third"
holds "and it serves on both again" until_true 90 is_on "$(printf '%s\n' "$one" "$third" | sort | paste -sd' ')"
K delete workspace two --wait=false >/dev/null
gone_of_cloud() { [ -z "$(K get nodepools,nodeclaims -o name)" ]; }
holds "with the Workspace both go" until_true 60 gone_of_cloud
agents_off "$one" && agents_off "$third"
nothing_is_left "nothing is left of the two" 60

# --- by a NodePool
for agent in watcher provisioner; do end $agent; done
export KAIRO_NODE_PROVISIONER=karpenter
chart upgrade kairo "$source_dir/deploy/chart" -n $ns --reuse-values --set nodes.provisioner=karpenter >>"$work/helm.log"
for agent in watcher provisioner; do agent_up $agent; done
for agent in watcher provisioner; do is_ready_in_time $agent; done
wish pool | K apply -f - >/dev/null
until_true 30 eval '[ -n "$(pool_claim_of pool)" ]'
same "a pool of one, that is not disturbed" '1 [{"nodes":"0"}] true' "$(K get nodepools -l karpenter.kaito.sh/workspace-name=pool -o json |
  jq -r '.items[0].spec | "\(.replicas) \(.disruption.budgets | tostring) \(.template.metadata.annotations["karpenter.sh/do-not-disrupt"])"')"
says "Karpenter's claim becomes ready" pool NodeClaimReady 'True NodeClaimsReady: Enough NodeClaims are ready'
node=$(node_of "$(pool_claim_of pool)")
agents_on "$node"
says "nodes are ready with their GPU" pool NodesReady 'True NodesReady: Enough Nodes are ready with GPU resources'
holds "the Job of the pool is there" until_true 20 K get job pool
K delete workspace pool --wait=false >/dev/null
is_pool_gone() { [ -z "$(K get nodepools,nodeclaims -o name)" ]; }
holds "the pool goes with the Workspace" until_true 60 is_pool_gone
agents_off "$node"
nothing_is_left "nothing is left of the pool" 60

# --- one pool for a model on two nodes
wish_large both 2 | K apply -f - >/dev/null
holds "Karpenter makes two claims" until_true 40 have_nodes 2
pool=$(K get nodepools -o jsonpath='{.items[*].metadata.name}')
replicas() { K get nodepool "$pool" -o jsonpath='{.spec.replicas}'; }
same "of one pool of two" 2 "$(replicas)"
read -r one other <<<"$(nodes_of_claims)"
agents_on "$one" && agents_on "$other"
says "both nodes are ready with their GPUs" both NodesReady 'True NodesReady: Enough Nodes are ready with GPU resources'
is_on_both() { [ "$(pods_on both)" = "$one $other" ] && [ "$(state both)" = Ready ]; }
holds "a pod of both serves on each" until_true 60 is_on_both
K patch nodepool "$pool" --type merge -p '{"spec": {"replicas": 3}}' >/dev/null
is_two() { [ "$(replicas)" = 2 ]; }
holds "who scales the pool is not heard" until_true 30 is_two
K delete workspace both --wait=false >/dev/null
holds "the pool of two goes with the Workspace" until_true 60 is_pool_gone
agents_off "$one" && agents_off "$other"
nothing_is_left "nothing is left of the pool of two" 60

# Each mode with its own rights only (tests/e2e/chart_rights.sh has the table); policies hold it to Workspaces' nodes.
same "no agent was refused" "" "$(grep -hE 'forbidden|denied request' "$DIR"/{watcher,provisioner,launcher}*.log "$DIR"/node-*.log | head -n 3)"

# --- Karpenter's definitions are not there
K delete crd nodeclaims.karpenter.sh nodepools.karpenter.sh --timeout=30s >/dev/null
for agent in watcher provisioner; do end $agent && agent_up $agent; done
for agent in watcher provisioner; do is_ready_in_time $agent; done
wish bare | K apply -f - >/dev/null
says "that nothing can be asked for is said" bare NodeClaimReady 'False NodeClaimNotReady: NodePool .* cannot be made: .*is the CustomResourceDefinition installed\?'
holds "and a deletion ends all the same" K delete workspace bare --timeout=80s # an effect is tried again within 30 s
