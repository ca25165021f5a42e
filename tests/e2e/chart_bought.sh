# tests/e2e/chart_bought.sh - what RBAC cannot say of nodes that are bought, the chart's policies do: the provisioner has
# nothing to do with nodes of others. Sourced by chart_rights.sh while nodes.provisioner is karpenter; Karpenter's
# definitions are those of its Go module.
kubectl create token kairo-provisioner -n $ns >"$work/provisioner.token"
by_provisioner() { # METHOD PATH [BODY] -> "" or why it was refused
  curl -s --cacert "$ca" -X "$1" "$url$2" -H "Authorization: Bearer $(cat "$work/provisioner.token")" \
    -H "Content-Type: application/$([ "$1" = PATCH ] && echo merge-patch+)json" ${3:+-d "$3"} | jq -r 'select(.kind == "Status" and .status != "Success").message'
}
policy() { # NAME WORDS METHOD PATH [BODY]: refused with these words; "" = it is done
  local seen
  seen=$(by_provisioner "${@:3}")
  if [ "$seen" = "$2" ] || { [ -n "$2" ] && [[ $seen == *"denied request: "*"$2" ]]; }; then pass "$1"; else
    fail "$1" "wanted: ${2:-done}" "seen:   ${seen:-done}"
  fi
}
one_label="may write the label accelerator=nvidia on a Node only"
enforced() { [ -n "$(by_provisioner PATCH "/api/v1/nodes/other?dryRun=All" '{"metadata": {"annotations": {"a": "b"}}}')" ]; }
until_true 20 enforced # the API server reads its policies after they are made
policy "the provisioner marks a node" "" PATCH "/api/v1/nodes/other?dryRun=All" '{"metadata": {"labels": {"accelerator": "nvidia"}}}'
while read -r name patch; do
  policy "the provisioner and a node's $name" "$one_label" PATCH "/api/v1/nodes/other?dryRun=All" "$patch"
done <<'JSON'
labels {"metadata": {"labels": {"a": "b"}}}
accelerator {"metadata": {"labels": {"accelerator": "amd"}}}
hostname {"metadata": {"labels": {"kubernetes.io/hostname": null}}}
annotations {"metadata": {"annotations": {"a": "b"}}}
finalizers {"metadata": {"finalizers": ["example.org/a"]}}
taints {"spec": {"unschedulable": true}}
JSON
if [ -d "$kube/karpenter-crds" ]; then
  kubectl apply --server-side -f "$kube/karpenter-crds" >/dev/null
  kubectl wait --for=condition=Established crd/nodeclaims.karpenter.sh crd/nodepools.karpenter.sh --timeout=30s >/dev/null
  node_spec='{"nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"}, "requirements": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}'
  wish() { # KIND NAME LABELS
    jq -n --arg kind "$1" --arg name "$2" --argjson labels "$3" --argjson spec "$node_spec" '{apiVersion: "karpenter.sh/v1", kind: $kind,
      metadata: {name: $name, labels: $labels}, spec: (if $kind == "NodePool" then {template: {spec: $spec}} else $spec end)}'
  }
  is_served() { wish NodePool served '{}' | kubectl create --dry-run=server -f -; }
  until_true 20 is_served
  others="may make and end NodeClaims and NodePools of Workspaces only"
  # Claims may be made in the mode nodeclaim only: what a rule already refuses, no policy is asked about.
  policy "a NodePool of a Workspace is made" "" POST "/apis/karpenter.sh/v1/nodepools?dryRun=All" "$(wish NodePool mine '{"karpenter.kaito.sh/workspace-name": "w"}')"
  policy "and nobody else's" "$others" POST "/apis/karpenter.sh/v1/nodepools?dryRun=All" "$(wish NodePool mine '{"a": "b"}')"
  pools=/apis/karpenter.sh/v1/nodepools
  for name in somebodys workspaces; do
    wish NodePool $name "$([ $name = workspaces ] && echo '{"karpenter.kaito.sh/workspace-name": "w"}' || echo '{"a": "b"}')" |
      jq '.spec.replicas = 1' | kubectl create -f - >/dev/null
  done
  policy "a Workspace's NodePool gets other replicas" "" PATCH "$pools/workspaces?dryRun=All" '{"spec": {"replicas": 2}}'
  policy "and nothing else" "may change a NodePool's replicas only" PATCH "$pools/workspaces?dryRun=All" \
    '{"spec": {"template": {"spec": {"expireAfter": "Never"}}}}'
  policy "nor another label" "may change a NodePool's replicas only" PATCH "$pools/workspaces?dryRun=All" '{"metadata": {"labels": {"a": "b"}}}'
  policy "and nobody else's" "$others" PATCH "$pools/somebodys?dryRun=All" '{"spec": {"replicas": 2}}'
  kubectl delete nodepools somebodys workspaces --timeout=20s >/dev/null
  for kind in NodeClaim NodePool; do
    wish $kind somebodys '{"a": "b"}' | kubectl create -f - >/dev/null
    wish $kind workspaces '{"kaito.sh/workspace": "w"}' | kubectl create -f - >/dev/null
    policy "a $kind of somebody is not ended" "$others" DELETE "/apis/karpenter.sh/v1/${kind,,}s/somebodys"
    policy "a $kind of a Workspace is" "" DELETE "/apis/karpenter.sh/v1/${kind,,}s/workspaces"
  done
  kubectl delete crd nodeclaims.karpenter.sh nodepools.karpenter.sh --timeout=30s >/dev/null
else
  skip "policies about NodeClaims" "there are no definitions of Karpenter; deploy/setup/kube.sh cluster brings them"
fi
