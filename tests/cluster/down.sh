#!/usr/bin/env bash
# Ends what up.sh started in DIR, and leaves no process, mount, network or control group. The folder stays, with its logs.
# usage: down.sh DIR
set -uo pipefail
DIR=$(cd "${1:?usage: down.sh DIR}" 2>/dev/null && pwd) || exit 0
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ -e "$DIR/cluster.env" ] || exit 0
source "$DIR/cluster.env"
others() { # what runs on the cluster: karpenter, agents of a test
  local file name
  for file in "$DIR"/*.pid; do
    name=$(basename "$file" .pid)
    case $name in '*' | proxy | kubelet | containerd | scheduler | controllers | apiserver | etcd | registry) ;; *) echo "$name" ;; esac
  done
}
# shellcheck disable=SC2046
end $(others) proxy kubelet scheduler controllers
[ -z "$NETNS" ] || bash "$(dirname "${BASH_SOURCE[0]}")/node.sh" stop "$DIR"
end apiserver # it does not end by itself while watches are open
end etcd
[ -z "$NETNS" ] || bash "$(dirname "${BASH_SOURCE[0]}")/node.sh" remove "$DIR"
rm -f "$DIR/cluster.env"
