#!/usr/bin/env bash
# tests/bench/cluster.sh - kairo on a real control plane, with the chart's accounts and bus, beside what KAITO needed there.
#
# usage: cluster.sh BUILD   BENCH_MODES="own nodeclaim karpenter" chooses: nodes that are there, or bought by either.
# BENCH_TUNINGS=100 BENCH_MANY=1000 BENCH_SCALE=10000 (0: without) set the sizes.
here=$(cd "$(dirname "$0")" && pwd)
if [ $# = 1 ]; then # each mode has a cluster of its own
  figures=$(mktemp) began=$SECONDS
  trap 'rm -f "$figures"' EXIT
  printf 'kairo %s; %s cores (%s), load %s\n' "$("$1/kairo" version | tail -n 1 | sed 's/^kairo //')" "$(nproc)" \
    "$(awk -F': *' '/^model name/ { print $2; exit }' /proc/cpuinfo)" "$(cut -d' ' -f1-3 /proc/loadavg)"
  for mode in ${BENCH_MODES:-own nodeclaim karpenter}; do
    status=0
    bash "$0" "$1" "$mode" "$figures" || status=$?
    [ $status != 77 ] || exit 0 # it has said what is not here
    [ $status = 0 ] || exit $status
  done
  python3 "$here/cluster_goals.py" "$figures"
  printf '\nbench-cluster: done in %s s\n' "$((SECONDS - began))"
  exit
fi
mode=$2 figures=$3
source "$here/../cluster/kairo.sh"
trap 'status=$?; finish >/dev/null; exit $status' EXIT
values=(--set nodes.provisioner="$mode" --set nodes.class=karpenter.kwok.sh/KWOKNodeClass/default)
export KAIRO_NODE_PROVISIONER=$mode KAIRO_NODE_CLASS=karpenter.kwok.sh/KWOKNodeClass/default
kairo_up --karpenter >"$work/up.out"
model smollm2-135m-instruct
if [ "$mode" = own ]; then
  node big 0 apps=own >>"$work/up.out"
  K patch node big --subresource status --type merge \
    -p '{"status": {"capacity": {"cpu": "99999", "memory": "999Ti", "pods": "20000"}, "allocatable": {"cpu": "99999", "memory": "999Ti", "pods": "20000"}}}' >/dev/null
fi
if grep FAILED "$work/up.out"; then exit 1; fi
K create secret docker-registry push --docker-server=registry.example.org --docker-username=a --docker-password=b >/dev/null
export DIR PORT ns
timeout "${BENCH_TIMEOUT:-1500}" python3 "$here/cluster.py" "$mode" "$figures" "${BENCH_TUNINGS:-100}" "${BENCH_MANY:-1000}" "${BENCH_SCALE:-10000}"
