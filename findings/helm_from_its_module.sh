#!/usr/bin/env bash
# helm 3.19.5 built from its Go module (go install) believes that the cluster is Kubernetes 1.20: the version that `helm template`
# and `helm lint` compare a chart's kubeVersion with, and give it as .Capabilities.KubeVersion, is set by the linker in helm's
# own builds alone; the code holds v1.20. A chart for Kubernetes >= 1.25 is refused, though the client library in that same
# program is of 1.34; and a chart that asks .Capabilities renders what is for 1.20. --kube-version sets it.
# kairo's deploy/setup/kube.sh links helm with the version of the API server that it is tested against.
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
command -v go >/dev/null || { echo "SKIP: go is not installed"; exit 77; }
GOBIN="$folder" GOFLAGS=-buildvcs=false CGO_ENABLED=0 go install helm.sh/helm/v3/cmd/helm@v3.19.5 2>/dev/null || {
  echo "SKIP: helm 3.19.5 cannot be built here"
  exit 77
}
mkdir -p "$folder/chart/templates"
printf 'apiVersion: v2\nname: chart\nversion: 0.1.0\nkubeVersion: ">=1.25.0-0"\n' >"$folder/chart/Chart.yaml"
printf 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: seen}\ndata: {version: "{{ .Capabilities.KubeVersion }}"}\n' \
  >"$folder/chart/templates/seen.yaml"
cd "$folder"
{
  echo "client library: $(go version -m helm | awk '$2 == "k8s.io/client-go" { print $3 }')"
  echo "for >= 1.25: $(./helm template seen chart 2>&1 | grep ^Error)"
  echo "told 1.34: $(./helm template seen chart --kube-version 1.34.0 | sed -n 's/^data: //p')"
  sed -i /kubeVersion/d chart/Chart.yaml
  echo "for any: $(./helm template seen chart | sed -n 's/^data: //p')"
} >seen
cat seen
cat >expected <<'TEXT'
client library: v0.34.2
for >= 1.25: Error: chart requires kubeVersion: >=1.25.0-0 which is incompatible with Kubernetes v1.20.0
told 1.34: {version: "v1.34.0"}
for any: {version: "v1.20.0"}
TEXT
diff expected seen || { echo "it behaves otherwise now"; exit 1; }
