# tests/cluster/lib.sh - the programs of one real Kubernetes in one folder: started, found again, ended.
# Sourced after DIR is set (the folder, absolute). Each program NAME has NAME.pid, NAME.log and NAME.cmd there.
# cluster.env holds what was chosen: PORT, API (URL), BIN, HOSTIP, NODEIP, PODS, SERVICES, ID, REGISTRY (with --node).
cluster_source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Pids wrap (at 32768 on small machines): a pid is one's own only with the same start.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
pid_of() { # NAME -> its pid, or nothing and 1
  local pid at
  [ -f "$DIR/$1.pid" ] && read -r pid at <"$DIR/$1.pid" && [ -n "$at" ] && [ "$(started_at "$pid")" = "$at" ] && echo "$pid"
}
start() { # NAME command...: in the cluster's own network, if it has one
  local name=$1
  shift
  printf '%q ' "$@" >"$DIR/$name.cmd"
  again "$name"
}
again() { # NAME: once more with the same command
  local pid inside=()
  [ -z "${NETNS:-}" ] || inside=(nsenter --net="$NETNS") # ip netns exec would remount /sys and lose cgroup v1's mounts
  eval "set -- $1 $(cat "$DIR/$1.cmd")"
  (cd "$DIR" && umask 022 && exec setsid "${inside[@]}" "${@:2}" >>"$DIR/$1.log" 2>&1 </dev/null 9>&- 8>&-) &
  pid=$!
  disown $pid # its end is no news for the shell
  echo "$pid $(started_at $pid)" >"$DIR/$1.pid"
}
end() { # NAMES...: asked, waited for 3 s together, then killed
  local name pid i
  for name in "$@"; do ! pid=$(pid_of "$name") || kill "$pid"; done
  for i in {1..30}; do
    for name in "$@"; do ! pid_of "$name" >/dev/null || { sleep 0.1 && continue 2; }; done
    break
  done
  for name in "$@"; do
    ! pid=$(pid_of "$name") || kill -9 "$pid"
    rm -f "$DIR/$name.pid"
  done
}
kill_hard() { # NAME: as a machine that loses its power; when it returns the ports are free
  local pid i
  pid=$(pid_of "$1") && kill -9 "$pid"
  for i in {1..100}; do [ -e "/proc/${pid:-none}" ] && sleep 0.1 || break; done # its memory goes before its sockets
  rm -f "$DIR/$1.pid"
}
ask() { # PATH: as the administrator
  curl -s -m 10 --cacert "$DIR/ca.crt" -H "Authorization: Bearer $(cat "$DIR/admin.token")" "$API$1"
}
K() { "$BIN/kubectl" --kubeconfig "$DIR/admin.kubeconfig" --cache-dir "$DIR/kubectl-cache" "$@"; }
# wait_for SECONDS WHAT PROGRAM command...: until the command succeeds; fails when the program has ended.
wait_for() {
  local end=$((SECONDS + $1)) what=$2 program=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    pid_of "$program" >/dev/null || give_up "$program ended: $(grep -aE '^[EF][0-9]|err|rror|panic' "$DIR/$program.log" | tail -n 3)"
    [ $SECONDS -lt $end ] || give_up "not in time: $what ($(tail -n 1 "$DIR/$program.log"))"
    sleep 0.1
  done
}
give_up() {
  echo "up.sh: $*" >&2
  exit 1
}
