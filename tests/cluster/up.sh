#!/usr/bin/env bash
# Starts a real Kubernetes in DIR: etcd, API server (its calls in audit.log), controller manager, scheduler, on loopback.
# usage: up.sh [--karpenter] [--node] DIR      then: export KUBECONFIG=DIR/admin.kubeconfig; down.sh DIR ends it
#   --karpenter  with Karpenter and its kwok provider, and kwok, which plays the nodes and pods that it makes
#   --node       with one real node in a network of its own: containerd, kubelet, kube-proxy, a registry (root only)
# Ports and addresses are free ones: several stand side by side.
# KUBE_APISERVER_FLAGS, KUBE_CONTROLLER_FLAGS: more flags of these. Exit 77: something that it needs is not here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
karpenter='' node=''
while [ $# -gt 1 ]; do
  case $1 in --karpenter) karpenter=yes ;; --node) node=yes ;; *) break ;; esac
  shift
done
[ $# = 1 ] && [[ $1 != -* ]] || { sed -n '2,7s/^# //p' "$0" >&2 && exit 2; }
mkdir -p "$1"
DIR=$(cd "$1" && pwd)
source "$here/lib.sh"
[ ! -e "$DIR/cluster.env" ] || give_up "$DIR has a cluster already; down.sh $DIR ends it"
[ ${#DIR} -le 60 ] || give_up "$DIR is too long a name: sockets below it cannot be opened (at most 60 characters)"
group=server
[ -z "$karpenter" ] || group=cluster
BIN=$(bash "$cluster_source/deploy/setup/kube.sh" --check $group) || { echo "$BIN" && exit 77; }
for name in kube-controller-manager kube-scheduler kubectl ${node:+kubelet kube-proxy}; do
  [ -x "$BIN/$name" ] || { echo "SKIP a real Kubernetes: $BIN lacks $name; bash deploy/setup/kube.sh all builds it" && exit 77; }
done
[ -z "$node" ] || bash "$here/node.sh" --check || exit 77

is_free() { # PORT: it and the nine after it
  local i
  for i in {0..9}; do ! (exec 3<>"/dev/tcp/127.0.0.1/$(($1 + i))") 2>/dev/null || return 1; done
  [ ! -e "/run/netns/kairo-$1" ]
}
until PORT=$((20000 + RANDOM % 1270 * 10)) && is_free $PORT; do :; done
ID=kairo-$PORT x=$((PORT / 10 / 250)) y=$((PORT / 10 % 250)) # address ranges of its own
HOSTIP=10.$((64 + x)).$y.1 NODEIP=10.$((64 + x)).$y.2 PODS=10.$((96 + x)).$y.0/24 SERVICES=10.$((128 + x)).$y.0/24
listen=127.0.0.1 API=https://127.0.0.1:$PORT NETNS=
if [ -n "$node" ]; then listen=0.0.0.0 API=https://$NODEIP:$PORT NETNS=/run/netns/$ID; fi
for name in PORT ID HOSTIP NODEIP PODS SERVICES API BIN NETNS; do echo "$name=${!name}"; done >"$DIR/cluster.env"
cd "$DIR"
umask 077
[ -z "$node" ] || bash "$here/node.sh" network "$DIR" # all programs are in there

# Keys: verified by everybody, as in a cluster that matters.
{
  openssl genrsa -out sa.key 2048 && openssl rsa -in sa.key -pubout -out sa.pub
  ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  openssl req -x509 "${ec[@]}" -keyout ca.key -out ca.crt -subj "/CN=$ID-ca" -days 30 -addext keyUsage=critical,keyCertSign,cRLSign
  sign() { # NAME SUBJECT EXTENSION
    openssl req "${ec[@]}" -keyout "$1.key" -out "$1.csr" -subj "$2" &&
      openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 30 -extfile <(echo "$3")
  }
  sign apiserver /CN=kube-apiserver \
    "subjectAltName=IP:127.0.0.1,IP:$NODEIP,IP:${SERVICES%.*}.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  sign apiserver-kubelet "/O=system:masters/CN=apiserver-kubelet" extendedKeyUsage=clientAuth
} 2>keys.log || give_up "openssl: $(tail -n 1 keys.log)"
: >tokens.csv
person() { # NAME USER [GROUP]: a token, and a kubeconfig that holds it
  openssl rand -hex 16 >"$1.token"
  echo "$(cat "$1.token"),$2,$1${3:+,\"$3\"}" >>tokens.csv
  cat >"$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: $ID, cluster: {server: "$API", certificate-authority: $DIR/ca.crt}}]
users: [{name: $1, user: {token: $(cat "$1.token")}}]
contexts: [{name: $ID, context: {cluster: $ID, user: $1}}]
current-context: $ID
YAML
}
person admin admin system:masters
person controllers system:kube-controller-manager
person scheduler system:kube-scheduler
person proxy system:kube-proxy
person kubelet system:node:node1 system:nodes
person karpenter karpenter system:masters
person kwok kwok system:masters
cat >audit.yaml <<'YAML'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: Metadata, userGroups: [system:serviceaccounts:kairo-system]}
  - {level: Metadata, users: [admin, karpenter]}
  - {level: None}
YAML

local_url() { echo "http://127.0.0.1:$((PORT + $1))"; }
start etcd "$BIN/etcd" --data-dir etcd --log-level error --unsafe-no-fsync \
  --listen-client-urls "$(local_url 1)" --advertise-client-urls "$(local_url 1)" --listen-peer-urls "$(local_url 2)" \
  --initial-advertise-peer-urls "$(local_url 2)" --initial-cluster "default=$(local_url 2)"
# shellcheck disable=SC2086 # flags are words
start apiserver "$BIN/kube-apiserver" --etcd-servers="$(local_url 1)" --bind-address=$listen --advertise-address="$NODEIP" \
  --secure-port=$PORT --tls-cert-file=apiserver.crt --tls-private-key-file=apiserver.key --client-ca-file=ca.crt \
  --token-auth-file=tokens.csv --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --allow-privileged=true --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key \
  --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range="$SERVICES" \
  --kubelet-preferred-address-types=InternalIP --kubelet-client-certificate=apiserver-kubelet.crt \
  --kubelet-client-key=apiserver-kubelet.key --audit-policy-file=audit.yaml --audit-log-path=audit.log ${KUBE_APISERVER_FLAGS:-}
is_ready() { [ "$(ask /readyz)" = ok ]; }
wait_for 90 "the API server is ready" apiserver is_ready
# Not before: without the roles that the server makes first they end with "forbidden".
as() { printf -- '--%s=%s ' kubeconfig "$1.kubeconfig" authentication-kubeconfig "$1.kubeconfig" authorization-kubeconfig "$1.kubeconfig"; }
[ -n "$node" ] || KUBE_CONTROLLER_FLAGS="--node-monitor-grace-period=24h ${KUBE_CONTROLLER_FLAGS:-}" # nobody renews for a node that a test made
# shellcheck disable=SC2046,SC2086
start controllers "$BIN/kube-controller-manager" $(as controllers) --service-account-private-key-file=sa.key --root-ca-file=ca.crt \
  --use-service-account-credentials=true --leader-elect=false --bind-address=127.0.0.1 --secure-port=$((PORT + 3)) \
  --kube-api-qps=200 --kube-api-burst=400 ${KUBE_CONTROLLER_FLAGS:-}
# shellcheck disable=SC2046
start scheduler "$BIN/kube-scheduler" $(as scheduler) --leader-elect=false --bind-address=127.0.0.1 --secure-port=$((PORT + 4))
wait_for 60 "the controllers work (a default service account)" controllers K get serviceaccount default
[ -z "$karpenter" ] || bash "$here/karpenter.sh" "$DIR"
[ -z "$node" ] || bash "$here/node.sh" start "$DIR"
echo "export KUBECONFIG=$DIR/admin.kubeconfig"
