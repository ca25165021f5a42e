#!/usr/bin/env bash
# kube-apiserver 1.34.3 without the feature gate ImageVolume, its default: a Pod with a volume of the type `image` is not refused.
# The volume *and every mount of it* are taken out, the answer is 201, and no warning comes, with fieldValidation=Strict neither.
# The container starts without the folder, where an unknown volume in a mount would have been an error. With the gate on the
# same request is stored as it was sent. (That fields of a disabled gate are dropped is the API server's rule; that a mount of
# what was dropped goes too, and that Strict is silent, is the surprise.)
# kairo goes by the versions of the node's kubelet and runtime, reads back what it made, and says it in the Workspace's status.
set -euo pipefail
kubernetes=v1.34.3 etcd=v3.6.5
folder=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
for program in go curl python3 openssl; do command -v "$program" >/dev/null || { echo "SKIP: $program is not installed"; exit 77; }; done
export GOFLAGS=-buildvcs=false CGO_ENABLED=0
# Its go.mod may point into folders of its own repository, which are published as modules of the same minor version.
program() { # MODULE VERSION PACKAGE OUTPUT
  local mod
  mkdir "$folder/build-$4" && cd "$folder/build-$4"
  mod=$(go mod download -json "$1@$2" | sed -n 's/.*"GoMod": "\(.*\)",*/\1/p') && [ -n "$mod" ] || return 1
  {
    printf 'module build\n\n%s\n\nrequire %s %s\n\nreplace (\n' "$(grep '^go ' "$mod")" "$1" "$2"
    awk -v version="v0.${2#v1.}" '/=> \.\/staging\//{sub(/^[ \t]*(replace[ \t]+)?/,""); print "\t"$1" => "$1" "version}' "$mod"
    echo ')'
  } >go.mod
  printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$3" >tools.go
  go mod tidy 2>/dev/null && go build -trimpath -o "$folder/$4" "$3"
}
echo "building etcd $etcd and kube-apiserver $kubernetes (10 minutes on 2 cores when Go has cached nothing)"
(program go.etcd.io/etcd/server/v3 $etcd go.etcd.io/etcd/server/v3 etcd) &&
  (program k8s.io/kubernetes $kubernetes k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver) || {
  echo "SKIP: the Go modules of etcd $etcd and Kubernetes $kubernetes cannot be fetched or built here"
  exit 77
}
openssl genrsa -out "$folder/key" 2048 2>/dev/null
echo "secret,admin,1,system:masters" >"$folder/tokens"
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
ask() { curl -sk -H "Authorization: Bearer secret" -H "Content-Type: application/json" "${@:2}" "https://127.0.0.1:$port$1"; }
start() { # FLAGS...: a control plane of its own
  local store peer
  store=$(free_port) peer=$(free_port) port=$(free_port)
  "$folder/etcd" --data-dir "$folder/data-$store" --listen-client-urls "http://127.0.0.1:$store" --advertise-client-urls "http://127.0.0.1:$store" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
    >"$folder/etcd.log" 2>&1 &
  pids+=($!)
  "$folder/kube-apiserver" --etcd-servers "http://127.0.0.1:$store" --secure-port "$port" --bind-address 127.0.0.1 --cert-dir "$folder/certs-$port" \
    --token-auth-file "$folder/tokens" --authorization-mode AlwaysAllow --disable-admission-plugins ServiceAccount --service-cluster-ip-range 10.0.0.0/24 \
    --service-account-issuer https://example.org --service-account-key-file "$folder/key" --service-account-signing-key-file "$folder/key" \
    "$@" >"$folder/apiserver.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 300); do
    if [ "$(ask /readyz)" = ok ] && ask /api/v1/namespaces/default | grep -q '"Active"'; then return; fi
    sleep 0.3
  done
  tail -n 5 "$folder/apiserver.log"
  echo "SKIP: kube-apiserver does not start here"
  exit 77
}
pod='{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
  "containers": [{"name": "c", "image": "example.org/c:1", "volumeMounts": [{"name": "weights", "mountPath": "/weights"}]}],
  "volumes": [{"name": "weights", "image": {"reference": "example.org/weights:1"}}]}}'
sent() { # what the server makes of the pod
  ask "/api/v1/namespaces/default/pods?fieldValidation=Strict" -D "$folder/head" -d "$pod" -o "$folder/made"
  python3 - "$folder" <<'PYTHON'
import json, sys
head = open(sys.argv[1] + "/head").read().lower()
spec = json.load(open(sys.argv[1] + "/made")).get("spec", {})
print("  status", head.split()[1], "with a warning" if "\nwarning:" in head else "without a warning")
print("  volumes", [v["name"] for v in spec.get("volumes", [])], "mounts", [m["mountPath"] for m in spec["containers"][0].get("volumeMounts", [])])
PYTHON
}
echo "kube-apiserver $kubernetes, etcd $etcd"
{
  start
  echo "as it comes:"
  sent
  start --feature-gates=ImageVolume=true
  echo "with the gate ImageVolume:"
  sent
} >"$folder/seen"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
as it comes:
  status 201 without a warning
  volumes [] mounts []
with the gate ImageVolume:
  status 201 without a warning
  volumes ['weights'] mounts ['/weights']
TEXT
if cmp -s "$folder/seen" "$folder/expected"; then echo "as described"; else
  echo "changed; it was:"
  cat "$folder/expected"
  exit 1
fi
