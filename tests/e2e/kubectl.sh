#!/usr/bin/env bash
# What this proves: `kairo apply` makes of a manifest what the real kubectl makes of it, on the same
# API server, and refuses what kubectl or the server refuses.
# usage: kubectl.sh BUILD
kube=$(bash "$(dirname "$0")/../../deploy/setup/kube.sh" --check | tail -n 1) || kube=
PATH=$PATH:$kube # kubectl is there too
if ! command -v kubectl >/dev/null; then
  echo "SKIP kubectl: kubectl is not installed; deploy/setup/kube.sh builds it"
  exit 77
fi
source "$(dirname "$0")/lib.sh"
mkdir -p "$KAIRO_MODELS"
timeout 60 kairo up -d >"$work/up.log" 2>&1 || {
  fail "kairo up" "$(tail -n 3 "$work/up.log")"
  exit 1
}
port=$(free_port)
python3 "$source_dir/tests/e2e/token_proxy.py" "$port" \
  "http://127.0.0.1:$(jq -r .cluster "$KAIRO_HOME/run/ports.json")" "$KAIRO_HOME/secrets/admin.token" &
children+=($!)
until_true 10 curl -sf "http://127.0.0.1:$port/version" -o /dev/null
program=$(command -v kubectl)
kubectl() { HOME=$work timeout 20 "$program" --server "http://127.0.0.1:$port" "$@"; }

# What the server then has: all but what it sets itself.
have() {
  for kind in configmap secret; do kairo get $kind -o json 2>/dev/null; done |
    jq -cS '.items[]? | select(.metadata.name | startswith("case-")) |
      {kind, name: .metadata.name, labels: .metadata.labels,
       annotations: (.metadata.annotations // {} | del(."kubectl.kubernetes.io/last-applied-configuration")),
       data, immutable}'
}
clear() {
  for kind in configmap secret; do
    kairo get $kind -o json 2>/dev/null | jq -r '.items[]? | .metadata.name' |
      grep '^case-' | while read -r name; do kairo delete $kind "$name" >/dev/null 2>&1; done
  done
}
# both NAME taken|refused [ENDING]: the manifest on standard input by kubectl, then by kairo; one case.
both() {
  local file=$work/case.${3:-yaml} theirs ours seen_theirs=taken seen_ours=taken
  cat >"$file"
  kubectl apply --validate=false -f "$file" >"$work/theirs.log" 2>&1 || seen_theirs=refused
  theirs=$(have)
  clear
  timeout 20 kairo apply -f "$file" >"$work/ours.log" 2>&1 || seen_ours=refused
  ours=$(have)
  clear
  if [ "$seen_theirs $seen_ours" = "$2 $2" ] && { [ "$2" = refused ] || [ "$theirs" = "$ours" ]; }; then
    pass "$1"
  else
    fail "$1" "wanted:  $2" "kubectl: $seen_theirs $theirs $(tail -n 1 "$work/theirs.log")" \
      "kairo:   $seen_ours $ours $(tail -n 1 "$work/ours.log")"
  fi
}
map() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: case-%s}\n' "$1"; }

both "tags" taken < <({ map a; printf 'immutable: no\ndata: {a: "0444", b: !!str 0444, c: !!str yes}\n'; })
both "blocks" taken < <({ map a; printf 'immutable: off\ndata:\n  a: |\n    x: 1\n\n    y\n  b: >-\n    one\n    two\n'; })
both "keys that are no text" taken < <({ map a; printf 'data: {n: "1", yes: "2", 0x1F: "3", 1.5: "4"}\n'; })
both "merge" taken < <(printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: case-m\n  labels: &l {team: nlp}\n  annotations: {<<: *l, owner: me}\n')
both "merge behind an own key" taken < <(printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: case-m\n  labels: &l {team: nlp, tier: lab}\n  annotations: {team: x, <<: *l}\n')
both "merge of a list" taken < <(printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: case-m\n  labels: &l {a: b}\n  annotations: {<<: [*l, {a: c, d: e}]}\n')
both "documents" taken < <({ map a; printf 'data: {a: "1"}\n--- # next\n'; map b; printf 'data: {a: "2"}\n---\n---\n# nothing\n'; })
both "a byte order mark" taken < <(printf '\xef\xbb\xbf%s\n' "$(map a)")
both "line ends of Windows" taken < <({ map a; printf 'data: {a: "x\\ty"}\r\n'; })
both "JSON objects" taken json < <(printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"case-j"},"data":{"a":"\\ud83d\\ude00","b":"http:\\/\\/x"}}\n{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"case-k"},"data":{"a":"b"}}')
both "a list" taken json < <(printf '{\n\t"apiVersion": "v1",\n\t"kind": "List",\n\t"items": [{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"case-l"}}]\n}')
both "a Secret" taken < <(printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: case-s}\nstringData: {a: "1"}\n')
both "a number as text" refused < <({ map a; echo 'data: {a: 3}'; })
both "a switch as text" refused < <({ map a; echo 'data: {a: yes}'; })
both "an object as text" refused < <({ map a; printf 'data:\n  training_config.yaml:\n    a: b\n'; })
both "text as a switch" refused < <({ map a; echo 'immutable: "yes"'; })
both "a number that JSON has not" refused < <({ map a; echo 'data: {a: .inf}'; })
both "a key that is null" refused < <({ map a; echo 'data: {~: "x"}'; })
both "a label that is a number" refused < <(printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: case-x, labels: {v: 1}}\n')
both "a name that is a number" refused < <(printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 0444}\n')
both "a Secret that is no base64" refused < <(printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: case-s}\ndata: {a: hunter2}\n')
both "text behind the dashes" refused < <(printf -- '--- {apiVersion: v1}\n')
both "a tab" refused < <(printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: case-t\n')
both "a comma too many" refused json < <(printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"case-j"},}')
