# deploy/setup/debian.sh - installs Debian's packages and starts nothing of theirs. Sourced.
# Debian starts a server as soon as it is installed (docker-registry on port 5000 of every address). kairo starts its
# own, on loopback, as the user who runs it.
as_root=''
[ "$(id -u)" = 0 ] || as_root=sudo
policy=/usr/sbin/policy-rc.d
made_policy=
forbid_starts() {
  [ ! -e "$policy" ] || return 0
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod 755 "$policy"
  made_policy=1
}
allow_starts() {
  [ -z "$made_policy" ] || $as_root rm -f "$policy"
  made_policy=
}
trap allow_starts EXIT
has_package() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q '^install ok'; }
install_packages() { # NAMES...
  local status
  $as_root apt-get update -qq
  forbid_starts
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  status=$?
  allow_starts
  return $status
}
