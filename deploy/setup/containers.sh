#!/usr/bin/env bash
# Installs what runs containers in the tests, from Debian: containerd, runc, CNI plugins, iptables. Idempotent.
# Nothing is started, and nothing is taken away for it: another containerd (Docker's) stays and is used.
# Exit 77: it cannot be had here; the last line says why.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
cannot() {
  echo "SKIP containers: $*"
  exit 77
}
PATH=$PATH:/usr/sbin:/sbin
missing=()
for pair in containerd:containerd runc:runc iptables:iptables ip:iproute2 nsenter:util-linux; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
[ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
[ ${#missing[@]} -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] || cannot "${missing[*]} are not installed, and only root may run containers"
command -v apt-get >/dev/null || cannot "${missing[*]} are not installed, and this is no Debian"
apt-get update -qq || cannot "Debian's packages cannot be reached"
plan=$(apt-get install -s --no-install-recommends "${missing[@]}" 2>&1) || cannot "${missing[*]}: $(tail -n 1 <<<"$plan")"
! grep '^Remv' <<<"$plan" || cannot "${missing[*]} would take away what is installed"
echo "installing ${missing[*]}: what runs containers in tests"
install_packages "${missing[@]}" || cannot "${missing[*]} cannot be installed"
