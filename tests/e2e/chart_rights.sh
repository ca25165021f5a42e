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
granted=
may() { # ACCOUNT LINES...
  local account=$1 line wanted verb resource where seen wrong=
  shift
  for line in "$@"; do
    wanted=yes
    [ "${line#-}" = "$line" ] || wanted=no line=${line#-}
    read -r verb resource where <<<"$line"
    [ $wanted = no ] || [ -n "$where" ] || granted+="$account $verb $resource"$'\n'
    seen=$(allowed "$account" "$verb" "$resource" "${where:-default}")
    [ "$seen" = $wanted ] || wrong+="$verb $resource: wanted $wanted, seen $seen; "
  done
  same "rights of $account" "" "$wrong"
}
may watcher "get workspaces.kaito.sh" "list workspaces.kaito.sh" "watch workspaces.kaito.sh" "patch workspaces.kaito.sh" \
  "patch workspaces.kaito.sh:status" "update workspaces.kaito.sh:finalizers" "list jobs.batch" "watch jobs.batch" \
  "list statefulsets.apps" "watch statefulsets.apps" "list controllerrevisions.apps" "create controllerrevisions.apps" \
  "delete controllerrevisions.apps" "list pods" "watch pods" "list services" "watch services" "list configmaps" "watch configmaps" \
  "list nodes" "watch nodes" "get leases.coordination.k8s.io/kairo-watcher $ns" "patch leases.coordination.k8s.io/kairo-watcher $ns" \
  "-get leases.coordination.k8s.io/kairo-launcher $ns" "-get leases.coordination.k8s.io/kairo-watcher default" \
  "-delete workspaces.kaito.sh" "-create workspaces.kaito.sh" "-update workspaces.kaito.sh" "-get secrets" "-list secrets" \
  "-create jobs.batch" "-delete pods" "-create pods" "-patch nodes" "-get pods:log" "-create pods:exec"
may provisioner "get leases.coordination.k8s.io/kairo-provisioner $ns" "create leases.coordination.k8s.io/kairo-provisioner $ns" \
  "patch leases.coordination.k8s.io/kairo-provisioner $ns" "-delete leases.coordination.k8s.io/kairo-provisioner $ns" \
  "-get leases.coordination.k8s.io/kairo-watcher $ns" "-list nodes" "-get workspaces.kaito.sh" "-get secrets" "-get pods" "-get configmaps"
may launcher "get jobs.batch" "create jobs.batch" "patch jobs.batch" "delete jobs.batch" "get statefulsets.apps" \
  "create statefulsets.apps" "patch statefulsets.apps" "delete statefulsets.apps" "get services" "create services" "patch services" \
  "get configmaps" "create configmaps" "get persistentvolumeclaims" "create persistentvolumeclaims" "get persistentvolumes" \
  "create persistentvolumes" "patch persistentvolumes" "-delete persistentvolumes" "-delete persistentvolumeclaims" "update workspaces.kaito.sh:finalizers" "get leases.coordination.k8s.io/kairo-launcher $ns" \
  "-get secrets" "-list secrets" "-list jobs.batch" "-delete services" "-patch configmaps" "-delete configmaps" "-list configmaps" \
  "-get workspaces.kaito.sh" "-patch workspaces.kaito.sh:status" "-create pods" "-delete pods" "-patch nodes"
may node "list pods" "patch nodes" "get secrets" "-list secrets" "-watch secrets" "-create secrets" "-get nodes" "-delete nodes" \
  "-patch nodes:status" "-get pods" "-delete pods" "-create pods" "-create pods:exec" "-get workspaces.kaito.sh" "-create jobs.batch" \
  "-get leases.coordination.k8s.io $ns" "-create serviceaccounts:token $ns"
# A right that no line above asks for is to spare.
same "there is no right besides" "$(sort <<<"${granted%$'\n'}")" "$(
  kubectl get clusterroles,clusterrolebindings -o json | jq -r '
    [.items[] | select(.metadata.name | startswith("kairo-"))] as $all |
    $all[] | select(.kind == "ClusterRoleBinding") | (.subjects[0].name | ltrimstr("kairo-")) as $account | .roleRef.name as $role |
    $all[] | select(.kind == "ClusterRole" and .metadata.name == $role) | .rules[] |
    .verbs[] as $verb | .apiGroups[] as $group | .resources[] as $resource |
    ($resource | split("/")) as $parts | ($parts[1:] | map(":" + .) | join("")) as $sub |
    "\($account) \($verb) \($parts[0])\(if $group == "" then "" else "." + $group end)\($sub)"' | sort
)"
holds "with names of push Secrets" helm upgrade kairo $chart -n $ns --reuse-values --set 'pusher.secrets={push-a,push-b},models.secrets={hub-token}'
may node "get secrets/push-a" "get secrets/push-b" "get secrets/hub-token" "-get secrets/other" "-get secrets"
