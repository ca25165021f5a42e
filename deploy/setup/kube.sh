#!/usr/bin/env bash
# Builds Kubernetes' programs for the tests, once, from their published Go modules, and prints their folder.
# usage: kube.sh [--check] [GROUP]   (--check: says where they are, builds nothing)
#   server   etcd, kube-apiserver; kubectl and helm, without which some tests are skipped (the default)
#   cluster  these, kube-controller-manager, kube-scheduler, Karpenter with its kwok provider (karpenter-kwok),
#            its definitions (karpenter-crds/), kwok
#   node     etcd, the four Kubernetes programs, helm, kubelet and kube-proxy
#   all      cluster and node
# KAIRO_KUBE_BIN names a folder that has them already (setup-envtest's will do for server).
# Exit 77: a program of the group cannot be had here; the last line says which and why.
set -euo pipefail
kubernetes=v1.34.3
etcd=v3.6.5
helm=v3.19.5
karpenter=v1.8.0
kwok=v0.7.0
folder=${KAIRO_KUBE_BIN:-${KAIRO_CACHE:-$HOME/.cache/kairo}/kube/$kubernetes}
check=
[ "${1:-}" != --check ] || { check=yes && shift; }
group=${1:-server}
control=(etcd kube-apiserver) extra=(kubectl helm)
case $group in
  server) needed=("${control[@]}") ;;
  cluster) needed=("${control[@]}" kubectl kube-controller-manager kube-scheduler karpenter-kwok karpenter-crds kwok) ;;
  node) needed=("${control[@]}" kubectl kube-controller-manager kube-scheduler kubelet kube-proxy) ;;
  all) needed=("${control[@]}" kubectl kube-controller-manager kube-scheduler kubelet kube-proxy karpenter-kwok karpenter-crds kwok) ;;
  *) echo "kube.sh: $group is no group: server, cluster, node or all" >&2 && exit 2 ;;
esac
lacks() { # names... -> those that are not in the folder
  local name
  for name in "$@"; do [ -x "$folder/$name" ] || printf '%s ' "$name"; done
}
cannot() {
  echo "SKIP a real Kubernetes ($group): $*"
  exit 77
}
wanted=$(lacks "${needed[@]}" "${extra[@]}")
if [ -z "$wanted" ] || { [ -z "$(lacks "${needed[@]}")" ] && [ -n "$check${KAIRO_KUBE_BIN:-}" ]; }; then
  echo "$folder"
  exit 0
fi
absent=$(lacks "${needed[@]}")
[ -z "$check" ] || cannot "$folder lacks ${absent% }; \`bash deploy/setup/kube.sh $group\` builds that (10 to 25 minutes on 2 cores)"
[ -z "${KAIRO_KUBE_BIN:-}" ] || cannot "KAIRO_KUBE_BIN=$KAIRO_KUBE_BIN lacks ${absent% }"
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
field_of() { # module@version, field of what go says of it
  go mod download -json "$1" 2>>"$log" | sed -n "s/.*\"$2\": \"\(.*\)\",*/\1/p"
}
# Builds commands of one module in one go, with what its go.mod replaces by its own staging folders: shared packages
# are compiled once.
build() { # module version "name=package..." flags...
  local module=$1 version=$2 parts=() part mod
  for part in $3; do [[ " $wanted " != *" ${part%%=*} "* ]] || [ -x "$folder/${part%%=*}" ] || parts+=("$part"); done
  shift 3
  [ ${#parts[@]} -gt 0 ] || return 0
  echo "building ${parts[*]%%=*} $version from its Go module (once, into $folder)" >&2
  mod=$(field_of "$module@$version" GoMod)
  [ -n "$mod" ] || cannot "the Go module $module@$version cannot be fetched (see $log)"
  mkdir "$work/${parts[0]%%=*}"
  cd "$work/${parts[0]%%=*}"
  {
    printf 'module build\n\n%s\n\nrequire %s %s\n\nreplace (\n' "$(grep '^go ' "$mod")" "$module" "$version"
    awk -v version="v0.${version#v1.}" \
      '/=> \.\/staging\//{sub(/^[ \t]*(replace[ \t]+)?/,""); print "\t"$1" => "$1" "version}' "$mod"
    echo ')'
  } >go.mod
  {
    printf '//go:build tools\n\npackage tools\n\nimport (\n'
    printf '\t_ "%s"\n' "${parts[@]#*=}"
    echo ')'
  } >tools.go
  go mod tidy >>"$log" 2>&1 || cannot "the Go modules of ${parts[*]%%=*} cannot be fetched (see $log)"
  mkdir out
  go build -trimpath "$@" -o out/ "${parts[@]#*=}" >>"$log" 2>&1 || cannot "${parts[*]%%=*} do not build (see $log)"
  for part in "${parts[@]}"; do
    mv "out/$(program_of "${part#*=}")" "$folder/${part%%=*}.part"
    mv "$folder/${part%%=*}.part" "$folder/${part%%=*}" # its name means that it is whole
  done
}
program_of() { # as go build names it: without the major version
  local name=${1%/v[0-9]}
  echo "${name##*/}"
}
in_turn() { ( build "$@" ) >&2 || true; } # what fails is absent, the others are built
in_turn go.etcd.io/etcd/server/v3 "$etcd" etcd=go.etcd.io/etcd/server/v3 -ldflags '-s -w'
minor=${kubernetes#v1.} about=k8s.io/component-base/version
in_turn k8s.io/kubernetes "$kubernetes" "$(
  for name in kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy; do
    echo "$name=k8s.io/kubernetes/cmd/$name"
  done
)" -ldflags "-s -w -X $about.gitVersion=$kubernetes -X $about.gitMajor=1 -X $about.gitMinor=${minor%%.*} -X $about.gitTreeState=clean"
in_turn helm.sh/helm/v3 "$helm" helm=helm.sh/helm/v3/cmd/helm -ldflags \
  "-s -w -X helm.sh/helm/v3/internal/version.version=$helm $(for part in chartutil lint/rules; do
    echo "-X helm.sh/helm/v3/pkg/$part.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$part.k8sVersionMinor=${minor%%.*}"
  done | tr '\n' ' ')"
in_turn sigs.k8s.io/karpenter "$karpenter" karpenter-kwok=sigs.k8s.io/karpenter/kwok -ldflags '-s -w'
in_turn sigs.k8s.io/kwok "$kwok" kwok=sigs.k8s.io/kwok/cmd/kwok -ldflags "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=$kwok"
if [[ " $wanted " == *" karpenter-crds "* ]] && source=$(field_of "sigs.k8s.io/karpenter@$karpenter" Dir) && [ -n "$source" ]; then
  mkdir -p "$work/crds"
  cp "$source"/pkg/apis/crds/*.yaml "$source"/kwok/apis/crds/*.yaml "$work/crds"
  chmod -R u+w "$work/crds"
  rm -rf "$folder/karpenter-crds"
  mv "$work/crds" "$folder/karpenter-crds"
fi
absent=$(lacks "${needed[@]}")
[ -z "$absent" ] || cannot "${absent% } cannot be built here (see $log): $(tail -n 1 "$log")"
echo "$folder"
