#!/usr/bin/env bash
# The real node of up.sh --node: a network namespace that is joined to this machine by a pair of links, and in it
# containerd, kubelet, kube-proxy, names of Services, and a registry with TLS and a password.
# usage: node.sh --check | network DIR | start DIR | stop DIR | remove DIR    (up.sh and down.sh call it)
# Nothing outside of the namespace, DIR and two routes is touched: removing the namespace removes bridge, links and rules.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
controllers='cpu cpuacct cpuset memory devices freezer blkio pids systemd'
check() {
  local lacks=() name
  cannot() { echo "SKIP a real node: $*" && exit 77; }
  [ "$(id -u)" = 0 ] || cannot "only root may make namespaces and control groups"
  for name in containerd runc iptables ip nsenter mount docker-registry skopeo htpasswd cc; do
    command -v $name >/dev/null || lacks+=("$name")
  done
  [ -x /usr/lib/cni/bridge ] || lacks+=("CNI plugins in /usr/lib/cni")
  [ ${#lacks[@]} = 0 ] || cannot "${lacks[*]} are not installed; \`bash deploy/setup/containers.sh\` installs them"
  [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || [ -w /sys/fs/cgroup/memory ] || cannot "/sys/fs/cgroup has no controllers"
  ip netns add kairo-probe-$$ 2>/dev/null || cannot "no network namespace can be made here"
  nsenter --net=/run/netns/kairo-probe-$$ iptables -t nat -L -n >/dev/null 2>&1 || lacks=(iptables)
  ip netns del kairo-probe-$$
  [ ${#lacks[@]} = 0 ] || cannot "iptables does not work here"
}
if [ "$1" = --check ]; then check && exit 0; fi
DIR=$(cd "$2" && pwd)
source "$here/lib.sh"
source "$DIR/cluster.env"
REGISTRY=$NODEIP:5005

network() {
  ip netns add "$ID"
  ip link add "${ID}h" type veth peer name eth0 netns "$ID"
  ip addr add "$HOSTIP/30" dev "${ID}h"
  ip link set "${ID}h" up
  nsenter --net="$NETNS" sh -e <<SH
ip link set lo up
ip addr add $NODEIP/30 dev eth0
ip link set eth0 up
ip route add default via $HOSTIP # nothing is forwarded there: only that every address has a route
echo 1 >/proc/sys/net/ipv4/ip_forward
SH
  ip route add "$SERVICES" via "$NODEIP"
  ip route add "$PODS" via "$NODEIP"
}
cgroups() { # a root of its own: two kubelets under /kubepods remove each other's pods
  local name file
  if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then mkdir -p "/sys/fs/cgroup/$ID"; fi
  for name in $controllers; do
    [ -d "/sys/fs/cgroup/$name" ] || continue
    mkdir -p "/sys/fs/cgroup/$name/$ID"
    [ "$name" != cpuset ] || for file in cpuset.mems cpuset.cpus; do
      cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$ID/$file"
    done
  done
}
registry() { # https://$REGISTRY, user kairo
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout registry.key -out registry.csr -subj /CN=registry 2>/dev/null
  openssl x509 -req -in registry.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out registry.crt -days 30 \
    -extfile <(echo "subjectAltName=IP:$NODEIP") 2>/dev/null
  openssl rand -hex 16 >registry.password
  htpasswd -Bbn kairo "$(cat registry.password)" >htpasswd
  cat >registry.yaml <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $DIR/registry}, delete: {enabled: true}}
http: {addr: ":5005", tls: {certificate: $DIR/registry.crt, key: $DIR/registry.key}}
auth: {htpasswd: {realm: kairo, path: $DIR/htpasswd}}
YAML
  start registry docker-registry serve registry.yaml
  mkdir -p trust "certs.d/$REGISTRY"
  cp ca.crt trust/ca.crt
  # As a cloud's nodes have it: whoever runs on the node may pull.
  cat >"certs.d/$REGISTRY/hosts.toml" <<TOML
server = "https://$REGISTRY"
[host."https://$REGISTRY"]
capabilities = ["pull", "resolve"]
ca = "$DIR/ca.crt"
[host."https://$REGISTRY".header]
Authorization = "Basic $(printf 'kairo:%s' "$(cat registry.password)" | base64 -w0)"
TOML
  echo "REGISTRY=$REGISTRY" >>cluster.env
  is_up() { curl -sf --cacert ca.crt -u "kairo:$(cat registry.password)" "https://$REGISTRY/v2/"; }
  wait_for 20 "the registry answers" registry is_up
}
pause_image() { # what holds a pod's network
  printf '#include <signal.h>\n#include <unistd.h>\nstatic void end(int s) { (void)s; _exit(0); }\nint main(void) { signal(SIGTERM, end); for (;;) pause(); }\n' |
    cc -x c -Os -static -s -o pause -
  python3 "$here/images.py" small-images pause=pause >images.log
  push small-images:pause pause:1
}
push() { # LAYOUT:IMAGE NAME:TAG
  skopeo copy -q --dest-cert-dir trust --dest-creds "kairo:$(cat registry.password)" "oci:$1" "docker://$REGISTRY/$2"
}
configure() {
  mkdir -p cni
  cat >cni/10-kairo.conflist <<JSON
{"cniVersion": "1.0.0", "name": "$ID", "plugins": [
  {"type": "bridge", "bridge": "kbr0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$DIR/cni-ipam", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  cat >containerd.toml <<TOML
version = 2
root = "$DIR/containerd/root"
state = "$DIR/containerd/state"
[grpc]
address = "$DIR/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$REGISTRY/pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$DIR/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "$DIR/certs.d"
TOML
  cat >kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /$ID
failSwapOn: false
failCgroupV1: false
containerRuntimeEndpoint: unix://$DIR/containerd.sock
podLogsDir: $DIR/podlogs
resolvConf: ""
clusterDNS: [$NODEIP]
clusterDomain: cluster.local
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DIR/ca.crt}}
authorization: {mode: Webhook}
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
YAML
  cat >proxy.yaml <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $DIR/proxy.kubeconfig}
conntrack: {maxPerCore: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}
hostnameOverride: node1
clusterCIDR: $PODS
YAML
}
begin() {
  cd "$DIR"
  cgroups
  registry
  pause_image
  configure
  start dns python3 "$here/dns.py" "$NODEIP" "$API" ca.crt admin.token
  start containerd containerd -c containerd.toml
  wait_for 30 "containerd listens" containerd test -S containerd.sock
  start kubelet "$BIN/kubelet" --config=kubelet.yaml --kubeconfig=kubelet.kubeconfig --hostname-override=node1 \
    --node-ip="$NODEIP" --root-dir="$DIR/kubelet" --cert-dir="$DIR/kubelet-pki"
  start proxy "$BIN/kube-proxy" --config=proxy.yaml
  wait_for 90 "the node is ready" kubelet K wait --for=condition=Ready node/node1 --timeout=1s
}
stop() { # its tasks outlive containerd: through our own socket, before it goes
  local ctr=(ctr -a "$DIR/containerd.sock" -n k8s.io) task name process
  set +e
  end dns
  if pid_of containerd >/dev/null; then
    name=$(for task in $("${ctr[@]}" containers ls -q); do "${ctr[@]}" containers info "$task" | grep -oE '/cni-[0-9a-f-]+'; done | sort -u)
    for task in $("${ctr[@]}" tasks ls -q); do "${ctr[@]}" tasks kill -s KILL -a "$task" & done 2>/dev/null
    wait
    sleep 0.3
    for task in $("${ctr[@]}" tasks ls -q); do "${ctr[@]}" tasks rm -f "$task" & done >/dev/null 2>&1
    wait
    for task in $name; do ip netns del "${task#/}" 2>/dev/null; done
  fi
  end containerd
  for process in /proc/[0-9]*; do # shims that name our socket
    [[ "$(cat "$process/comm" 2>/dev/null)" != containerd-shim* ]] ||
      ! tr '\0' ' ' <"$process/cmdline" | grep -qF -- "-address $DIR/containerd.sock" || kill "${process#/proc/}"
  done 2>/dev/null
  end registry
}
remove() {
  local mount folder
  set +e
  awk -v below="$DIR/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mount; do
    umount "$mount" 2>/dev/null || umount -l "$mount"
  done
  ip link del "${ID}h" 2>/dev/null
  ip netns del "$ID"
  for folder in "/sys/fs/cgroup/$ID" /sys/fs/cgroup/*/"$ID"; do
    [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null
  done
  return 0
}
case $1 in network) network ;; start) begin ;; stop) stop ;; remove) remove ;; esac
