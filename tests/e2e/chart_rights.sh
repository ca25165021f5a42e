# tests/e2e/chart_rights.sh - who may what on the API server. Sourced by chart.sh, with the chart installed.
# All that an agent asks for, and what it must not have: VERB RESOURCE[/NAME] [NAMESPACE], "-" before what is refused.
may() { # ACCOUNT LINES...
  local account=$1 line wanted verb resource where seen wrong=
  shift
  for line in "$@"; do
    wanted=yes
    [ "${line#-}" = "$line" ] || wanted=no line=${line#-}
    read -r verb resource where <<<"$line"
    seen=$(kubectl auth can-i "$verb" "${resource%%:*}" -n "${where:-default}" --as "system:serviceaccount:$ns:kairo-$account" \
      $(case $resource in *:*) echo "--subresource=${resource#*:}" ;; esac) 2>/dev/null)
    [ "$seen" = $wanted ] || wrong+="$verb $resource: wanted $wanted, seen $seen; "
  done
  same "rights of $account" "" "$wrong"
}
may watcher "get workspaces.kaito.sh" "list workspaces.kaito.sh" "watch workspaces.kaito.sh" "patch workspaces.kaito.sh" \
  "patch workspaces.kaito.sh:status" "update workspaces.kaito.sh:finalizers" "watch jobs.batch" "list statefulsets.apps" \
  "create controllerrevisions.apps" "delete controllerrevisions.apps" "list controllerrevisions.apps" \
  "watch pods" "watch services" "watch configmaps" "watch nodes" \
  "get leases.coordination.k8s.io/kairo-watcher $ns" "patch leases.coordination.k8s.io/kairo-watcher $ns" \
  "-get leases.coordination.k8s.io/kairo-launcher $ns" "-get leases.coordination.k8s.io/kairo-watcher default" \
  "-delete workspaces.kaito.sh" "-create workspaces.kaito.sh" "-update workspaces.kaito.sh" "-get secrets" "-list secrets" \
  "-create jobs.batch" "-delete pods" "-create pods" "-patch nodes" "-get pods:log" "-create pods:exec"
may provisioner "get leases.coordination.k8s.io/kairo-provisioner $ns" "create leases.coordination.k8s.io/kairo-provisioner $ns" \
  "-get leases.coordination.k8s.io/kairo-watcher $ns" "-list nodes" "-get workspaces.kaito.sh" "-get secrets" "-get pods" "-get configmaps"
may launcher "get jobs.batch" "create jobs.batch" "patch jobs.batch" "delete jobs.batch" "get statefulsets.apps" \
  "create statefulsets.apps" "patch statefulsets.apps" "delete statefulsets.apps" "get services" "create services" "patch services" \
  "get configmaps" "create configmaps" "update workspaces.kaito.sh:finalizers" "get leases.coordination.k8s.io/kairo-launcher $ns" \
  "-get secrets" "-list secrets" "-list jobs.batch" "-delete services" "-patch configmaps" "-delete configmaps" "-list configmaps" \
  "-get workspaces.kaito.sh" "-patch workspaces.kaito.sh:status" "-create pods" "-delete pods" "-patch nodes"
may node "list pods" "patch nodes" "get secrets" "-list secrets" "-watch secrets" "-create secrets" "-get nodes" "-delete nodes" \
  "-patch nodes:status" "-get pods" "-delete pods" "-create pods" "-create pods:exec" "-get workspaces.kaito.sh" "-create jobs.batch" \
  "-get leases.coordination.k8s.io $ns" "-create serviceaccounts:token $ns"
holds "with names of push Secrets" helm upgrade kairo $chart -n $ns --reuse-values --set 'pusher.secrets={push-a,push-b}'
may node "get secrets/push-a" "get secrets/push-b" "-get secrets/other" "-get secrets"
