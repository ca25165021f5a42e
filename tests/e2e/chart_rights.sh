# tests/e2e/chart_rights.sh - who may what on the API server. Sourced by chart.sh, with the chart installed.
# All that an agent asks for, and what it must not have: VERB RESOURCE[.GROUP][/NAME][:SUBRESOURCE] [NAMESPACE], "-"
# before what is refused. What `kubectl auth can-i --as` asks, without its start.
allowed() { # ACCOUNT VERB WHAT NAMESPACE -> yes or no
  jq -n --arg account "$1" --arg verb "$2" --arg what "$3" --arg where "$4" --arg ns "$ns" '
    ($what | capture("^(?<resource>[a-z]+)(\\.(?<group>[a-z0-9.]+))?(/(?<name>[^:]+))?(:(?<subresource>.*))?$")) as $parts |
    {apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec: {
      user: "system:serviceaccount:\($ns):kairo-\($account)",
      groups: ["system:serviceaccounts", "system:serviceaccounts:\($ns)", "system:authenticated"],
      resourceAttributes: ({verb: $verb, namespace: $where} + ($parts | with_entries(select(.value != null))))}}' |
    curl -s --cacert "$ca" -H "Authorization: Bearer $(cat "$token_file")" -H "Content-Type: application/json" -d @- \
      "$url/apis/authorization.k8s.io/v1/subjectaccessreviews" | jq -r 'if .status.allowed then "yes" else "no" end'
}
granted=() # ACCOUNT VERB RESOURCE NAMESPACE ("-": everywhere)
may() { # ACCOUNT LINES...
  local account=$1 line wanted verb resource where seen wrong=
  shift
  for line in "$@"; do
    wanted=yes
    [ "${line#-}" = "$line" ] || wanted=no line=${line#-}
    read -r verb resource where <<<"$line"
    [ $wanted = no ] || granted+=("$account $verb $resource ${where:--}")
    seen=$(allowed "$account" "$verb" "$resource" "${where:-default}")
    [ "$seen" = $wanted ] || wrong+="$verb $resource: wanted $wanted, seen $seen; "
  done
  same "rights of $account" "" "$wrong"
}
# A right that no line asks for is to spare.
nothing_besides() { # NAME
  same "$1" "$(printf '%s\n' "${granted[@]}" | sort)" "$(
    kubectl get clusterroles,clusterrolebindings,roles,rolebindings -A -o json | jq -r '
      [.items[] | select(.metadata.name | startswith("kairo-"))] as $all |
      $all[] | select(.kind | endswith("Binding")) | (.subjects[0].name | ltrimstr("kairo-")) as $account |
      .roleRef as $role | .metadata.namespace as $where |
      $all[] | select(.kind == $role.kind and .metadata.name == $role.name and .metadata.namespace == $where) | .rules[] |
      (.resourceNames // [""])[] as $name | .verbs[] as $verb | .apiGroups[] as $group | .resources[] as $resource |
      ($resource | split("/")) as $parts | ($parts[1:] | map(":" + .) | join("")) as $sub |
      "\($account) \($verb) \($parts[0])\(if $group == "" then "" else "." + $group end)\(if $name == "" then "" else "/" + $name end)\($sub) \($where // "-")"' | sort
  )"
}
may watcher "get workspaces.kaito.sh" "list workspaces.kaito.sh" "watch workspaces.kaito.sh" "patch workspaces.kaito.sh" \
  "patch workspaces.kaito.sh:status" "update workspaces.kaito.sh:finalizers" "list jobs.batch" "watch jobs.batch" \
  "list statefulsets.apps" "watch statefulsets.apps" "list controllerrevisions.apps" "create controllerrevisions.apps" \
  "delete controllerrevisions.apps" "list pods" "watch pods" "list services" "watch services" "list configmaps" "watch configmaps" \
  "list nodes" "watch nodes" "get leases.coordination.k8s.io/kairo-watcher $ns" "create leases.coordination.k8s.io/kairo-watcher $ns" "patch leases.coordination.k8s.io/kairo-watcher $ns" \
  "-get leases.coordination.k8s.io/kairo-launcher $ns" "-get leases.coordination.k8s.io/kairo-watcher default" \
  "-delete workspaces.kaito.sh" "-create workspaces.kaito.sh" "-update workspaces.kaito.sh" "-get secrets" "-list secrets" \
  "-create jobs.batch" "-delete pods" "-create pods" "-patch nodes" "-get pods:log" "-create pods:exec"
may provisioner "get leases.coordination.k8s.io/kairo-provisioner $ns" "create leases.coordination.k8s.io/kairo-provisioner $ns" \
  "patch leases.coordination.k8s.io/kairo-provisioner $ns" "-delete leases.coordination.k8s.io/kairo-provisioner $ns" \
  "-get leases.coordination.k8s.io/kairo-watcher $ns" "-list nodes" "-get workspaces.kaito.sh" "-get secrets" "-get pods" "-get configmaps"
may launcher "get jobs.batch" "create jobs.batch" "patch jobs.batch" "delete jobs.batch" "get statefulsets.apps" \
  "create statefulsets.apps" "patch statefulsets.apps" "delete statefulsets.apps" "get services" "create services" "patch services" \
  "get configmaps" "create configmaps" "get persistentvolumeclaims" "create persistentvolumeclaims" "get persistentvolumes" \
  "create persistentvolumes" "patch persistentvolumes" "list persistentvolumes" "delete persistentvolumes" "-delete persistentvolumeclaims" "update workspaces.kaito.sh:finalizers" "get leases.coordination.k8s.io/kairo-launcher $ns" \
  "create leases.coordination.k8s.io/kairo-launcher $ns" "patch leases.coordination.k8s.io/kairo-launcher $ns" \
  "-get secrets" "-list secrets" "-list jobs.batch" "-delete services" "-patch configmaps" "-delete configmaps" "-list configmaps" \
  "-get workspaces.kaito.sh" "-patch workspaces.kaito.sh:status" "-create pods" "-delete pods" "-patch nodes"
may node "list pods" "patch nodes" "get secrets" "-list secrets" "-watch secrets" "-create secrets" "-get nodes" "-delete nodes" \
  "-patch nodes:status" "-get pods" "-delete pods" "-create pods" "-create pods:exec" "-get workspaces.kaito.sh" "-create jobs.batch" \
  "-get leases.coordination.k8s.io $ns" "-create serviceaccounts:token $ns"
may web "get workspaces.kaito.sh" "list workspaces.kaito.sh" "watch workspaces.kaito.sh" "list jobs.batch" "list statefulsets.apps" \
  "list nodes" "list events" "list pods" "list services" "list persistentvolumeclaims" "get pods" "get pods:log" \
  "create tokenreviews.authentication.k8s.io" "create subjectaccessreviews.authorization.k8s.io" "-patch workspaces.kaito.sh" \
  "-get secrets" "-list secrets" "-list configmaps" "-create pods" "-delete pods" "-create pods:exec" "-create services:proxy" "-create serviceaccounts:token $ns"
may viewer "list workspaces.kaito.sh" "list events" "get pods:log" "create services:proxy" "-get secrets" "-patch workspaces.kaito.sh" "-list pods" \
  "-create pods" "-delete workspaces.kaito.sh"
# Where nodes are there, nothing is bought: "not one right more" below starts from here.
own=("${granted[@]}")
bought=(nodeclaims.karpenter.sh nodepools.karpenter.sh)
for kind in "${bought[@]}"; do
  may watcher "-list $kind" "-watch $kind" "-get $kind" "-create $kind" "-delete $kind"
  may provisioner "-get $kind" "-list $kind" "-watch $kind" "-create $kind" "-patch $kind" "-update $kind" "-delete $kind"
  may launcher "-list $kind" "-delete $kind"
  may node "-list $kind" "-delete $kind"
done
may provisioner "-patch nodes" "-list events default" "-get configmaps"
nothing_besides "nodes own: there is no right besides"
# Nodes that are bought: of the other mode's objects, which an earlier setting has left, it may find and end a Workspace's.
for mode in nodeclaim karpenter; do
  holds "nodes are bought: $mode" helm upgrade kairo $chart -n $ns --reuse-values --set nodes.provisioner=$mode
  granted=("${own[@]}") asked=nodeclaims.karpenter.sh other=nodepools.karpenter.sh
  [ $mode = nodeclaim ] || asked=nodepools.karpenter.sh other=nodeclaims.karpenter.sh
  may watcher "list nodeclaims.karpenter.sh" "watch nodeclaims.karpenter.sh" "-get nodeclaims.karpenter.sh" "-create nodeclaims.karpenter.sh" \
    "-delete nodeclaims.karpenter.sh" "-delete nodepools.karpenter.sh" "-create nodepools.karpenter.sh" "-patch nodes" "-list events default"
  case $mode in
    nodeclaim) may watcher "-list nodepools.karpenter.sh" "-watch nodepools.karpenter.sh" ;;
    karpenter) may watcher "list nodepools.karpenter.sh" "watch nodepools.karpenter.sh" ;;
  esac
  may provisioner "get $asked" "list $asked" "create $asked" "delete $asked" "list $other" "delete $other" "-get $other" "-create $other" \
    "$([ $mode = karpenter ] || echo -)patch $asked" "-update $asked" "-watch $asked" "-deletecollection $asked" "-patch $asked:status" "-patch $other" "-watch $other" \
    "patch nodes" "-patch nodes:status" "-get nodes" "-list nodes" "-create nodes" "-update nodes" "-delete nodes" \
    "list events default" "-list events $ns" "-list events kube-system" "-watch events default" "-create events default" "-get events default" \
    "get configmaps" "-list configmaps" "-watch configmaps" "-create configmaps" "-patch configmaps" "-get secrets" "-get workspaces.kaito.sh" \
    "-list pods" "-create pods"
  for account in launcher node; do
    may $account "-list nodeclaims.karpenter.sh" "-create nodeclaims.karpenter.sh" "-delete nodeclaims.karpenter.sh" \
      "-list nodepools.karpenter.sh" "-delete nodepools.karpenter.sh" "-delete nodes"
  done
  nothing_besides "$mode: there is no right besides"
done
source tests/e2e/chart_bought.sh
holds "nodes are there again" helm upgrade kairo $chart -n $ns --reuse-values --set nodes.provisioner=own
granted=("${own[@]}")
nothing_besides "and not one right is left of it"
holds "with names of push Secrets" helm upgrade kairo $chart -n $ns --reuse-values --set 'pusher.secrets={push-a,push-b},models.secrets={hub-token}'
may node "get secrets/push-a" "get secrets/push-b" "get secrets/hub-token" "-get secrets/other" "-get secrets"
