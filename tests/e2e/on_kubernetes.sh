#!/usr/bin/env bash
# What this proves: kairo on a real Kubernetes, with a real kubelet and containerd: `make images`, `helm install`, a
# tuning in a pod, evicted and resumed with equal losses, the adapter pushed by the DaemonSet, a server that answers
# with it through its Service; the commands of docs/first-tuning.md and docs/operations.md; nothing is left at the end.
# usage: on_kubernetes.sh BUILD        (KEEP=1 leaves the cluster's folder)
bash "$(dirname "$0")/../cluster/node.sh" --check || exit 77
source "$(dirname "$0")/lib.sh"
kube=$(bash "$source_dir/deploy/setup/kube.sh" --check node) || { echo "$kube" && exit 77; }
nats=$(bash "$source_dir/deploy/setup/nats.sh" --check) || { echo "$nats" && exit 77; }
[ -x "$kube/helm" ] || { echo "SKIP kairo on Kubernetes: there is no helm; deploy/setup/kube.sh builds it" && exit 77; }
weights=${KAIRO_CACHE:-$HOME/.cache/kairo}/models/smollm2-135m-instruct
[ -s "$weights/model.safetensors" ] || { echo "SKIP kairo on Kubernetes: no weights; deploy/setup/model.sh converts them" && exit 77; }
DIR=$work/c ns=kairo-system
source "$source_dir/tests/cluster/lib.sh"
cd "$source_dir" || exit 1
cluster_down() { bash "$source_dir/tests/cluster/down.sh" "$DIR"; }
at_end+=(cluster_down)
bash tests/cluster/up.sh --node "$DIR" >"$work/up.log" 2>&1 || { fail "the cluster comes up" "$(tail -n 3 "$work/up.log")" && exit 1; }
source "$DIR/cluster.env"
ln -s "$build/kairo" "$work/kubectl-kairo"
export PATH=$work:$kube:$PATH KUBECONFIG=$DIR/admin.kubeconfig HOME=$work HELM_CACHE_HOME=$work/helm
password=$(cat "$DIR/registry.password")
pass "a cluster with a node"

# Images: kairo's own as everybody makes them, with this registry's authority; and one of the bus.
version=$(kairo version | awk '{ print $2 }')
python3 deploy/images/build.py "$build" "$work/images" --ca "$DIR/ca.crt" >"$work/images.log" || { fail "make images" "$(tail -n 3 "$work/images.log")" && exit 1; }
python3 tests/cluster/images.py "$work/small" nats-server="$nats" >>"$work/images.log"
push() { skopeo copy -q --dest-cert-dir "$DIR/trust" --dest-creds "kairo:$password" "oci:$1" "docker://$REGISTRY/$2"; }
holds "kairo's image is pushed" push "$work/images:kairo" "kairo:$version"
holds "the engine's image is pushed" push "$work/images:kairo-engine" "kairo-engine:$version"
holds "the bus's image is pushed" push "$work/small:nats-server" nats:1
rm -rf "$work/images" "$work/small"

# The node as its administrator leaves it: weights, volumes for the bus, a label.
mkdir -p "$DIR/kairo/models" "$DIR"/volumes/{0,1,2}
cp -r "$weights" "$DIR/kairo/models/"
kubectl apply -f - >/dev/null <<YAML
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
$(for number in 0 1 2; do
  cat <<VOLUME
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: bus-$number}
spec:
  capacity: {storage: 4Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: local
  local: {path: $DIR/volumes/$number}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node1]}]}]}}
VOLUME
done)
YAML
kubectl label node node1 kairo.dev/node=true >/dev/null
kubectl label namespace default pod-security.kubernetes.io/enforce=restricted >/dev/null # refuses a pod that is not
holds "helm install" helm install kairo deploy/chart --namespace $ns --create-namespace --wait --timeout 3m \
  --set "image.registry=$REGISTRY,image.tag=$version,nats.image=$REGISTRY/nats:1,nats.replicas=3,node.hostPath=$DIR/kairo"
if ! kubectl -n $ns wait --for=condition=Ready pod --all --timeout=60s >"$work/ready.log" 2>&1; then
  fail "all of kairo's pods are ready" "$(kubectl -n $ns get pod -o wide)" "$(kubectl -n $ns get events --sort-by=.lastTimestamp | tail -n 8)"
  exit 1
fi
pass "all of kairo's pods are ready"
source tests/e2e/on_kubernetes_runs.sh
