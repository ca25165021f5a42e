#!/usr/bin/env bash
# Builds etcd, a Kubernetes API server, kubectl and helm for the tests, once, from their published Go modules,
# and prints the folder. usage: kube.sh [--check]   (--check: says where they are, builds nothing)
# KAIRO_KUBE_BIN names a folder that has them already (setup-envtest's will do).
# Exit 77: they cannot be had here; the last line says why.
set -euo pipefail
kubernetes=v1.34.3
etcd=v3.6.5
helm=v3.19.5
folder=${KAIRO_KUBE_BIN:-${KAIRO_CACHE:-$HOME/.cache/kairo}/kube/$kubernetes}
if [ -x "$folder/kube-apiserver" ] && [ -x "$folder/etcd" ] &&
  { { [ -x "$folder/kubectl" ] && [ -x "$folder/helm" ]; } || [ "${1:-}" = --check ] || [ -n "${KAIRO_KUBE_BIN:-}" ]; }; then
  echo "$folder" # a kubectl or helm that is absent is a test that is skipped
  exit 0
fi
cannot() {
  echo "SKIP a real Kubernetes API server: $*"
  exit 77
}
[ "${1:-}" != --check ] || cannot "$folder has none; deploy/setup/kube.sh builds it (about 10 minutes on 2 cores)"
[ -z "${KAIRO_KUBE_BIN:-}" ] || cannot "KAIRO_KUBE_BIN=$KAIRO_KUBE_BIN lacks kube-apiserver or etcd"
command -v go >/dev/null || cannot "Go is not installed (Debian's is too old: https://go.dev/dl)"
seen=$(go env GOVERSION)
[ "$(printf '%s\n' go1.24 "$seen" | sort -V | head -n 1)" = go1.24 ] || cannot "$seen is older than go1.24 (https://go.dev/dl)"

mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9 # two checkouts build it once
export GOFLAGS=-buildvcs=false CGO_ENABLED=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$folder/build.log
: >"$log"
go_mod_of() { go mod download -json "$1" 2>>"$log" | sed -n 's/.*"GoMod": "\(.*\)",*/\1/p'; }
# Builds the command `package` of `module`, with what its go.mod replaces by its own staging folders.
build() { # module version package name flags...
  local module=$1 version=$2 package=$3 name=$4 mod
  shift 4
  [ ! -x "$folder/$name" ] || return 0
  echo "building $name $version from its Go module (once, into $folder)" >&2
  mod=$(go_mod_of "$module@$version")
  [ -n "$mod" ] || cannot "the Go module $module@$version cannot be fetched (see $log)"
  mkdir "$work/$name"
  cd "$work/$name"
  {
    printf 'module build\n\n%s\n\nrequire %s %s\n\nreplace (\n' "$(grep '^go ' "$mod")" "$module" "$version"
    awk -v version="v0.${version#v1.}" \
      '/=> \.\/staging\//{sub(/^[ \t]*(replace[ \t]+)?/,""); print "\t"$1" => "$1" "version}' "$mod"
    echo ')'
  } >go.mod
  printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$package" >tools.go
  go mod tidy >>"$log" 2>&1 || cannot "the Go modules of $name cannot be fetched (see $log)"
  go build -trimpath "$@" -o "$folder/$name.part" "$package" >>"$log" 2>&1 || cannot "$name does not build (see $log)"
  mv "$folder/$name.part" "$folder/$name"
}
build go.etcd.io/etcd/server/v3 "$etcd" go.etcd.io/etcd/server/v3 etcd -ldflags '-s -w'
minor=${kubernetes#v1.} about=k8s.io/component-base/version
for name in kube-apiserver kubectl; do
  build k8s.io/kubernetes "$kubernetes" "k8s.io/kubernetes/cmd/$name" "$name" \
    -ldflags "-s -w -X $about.gitVersion=$kubernetes -X $about.gitMajor=1 -X $about.gitMinor=${minor%%.*}"
done
( # without it the cluster still runs
  build helm.sh/helm/v3 "$helm" helm.sh/helm/v3/cmd/helm helm -ldflags \
    "-s -w -X helm.sh/helm/v3/internal/version.version=$helm $(for part in chartutil lint/rules; do
      echo "-X helm.sh/helm/v3/pkg/$part.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$part.k8sVersionMinor=${minor%%.*}"
    done | tr '\n' ' ')"
) >&2 || true
echo "$folder"
