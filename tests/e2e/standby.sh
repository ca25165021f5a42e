#!/usr/bin/env bash
# tests/e2e/standby.sh - two processes of a role: one acts, the other takes over when it is killed, ends or is paused, in the
# middle of a tuning; the run goes through once. With a lock on a file, then with a Lease object. usage: standby.sh BUILD
. "$(dirname "$0")/lib.sh"
start_kairo
serve_data
config steps 400 | apply >/dev/null

ask() { curl -sf --max-time 2 "http://127.0.0.1:$(cat "$KAIRO_HOME/run/$1.port")/$2"; } # process, path
acts() { [ "$(ask "$1" metrics | awk '/^kairo_acting/ { print $2 }')" = 1 ]; }
stands_by() { [ "$(ask "$1" readyz)" = "ok: it stands by" ]; }
declare -A pids
replica() { # AGENT NAME [OPTIONS]: starts one more
  kairo agent "$1" --replica "$2" "${@:3}" >"$work/$1.$2.log" 2>&1 &
  pids[$1.$2]=$!
  children+=($!)
}
pid_of() { [ -n "${pids[$1]:-}" ] && echo "${pids[$1]}" || awk -v name="$1" '$1 == name { print $2 }' "$KAIRO_HOME/run/pids"; }
strike() { # SIGNAL PROCESS, which is surely an agent
  local pid
  pid=$(pid_of "$2")
  grep -qsz '^agent$' "/proc/$pid/cmdline" && kill "-$1" "$pid"
}
one_of() { # PROCESS...: exactly one acts
  local process count=0
  for process in "$@"; do acts "$process" && count=$((count + 1)); done
  [ $count = 1 ]
}
is_training() { [ "$(field "$1" '.status.tuning | select(.phase == "Training" and .step > 5) | .phase')" = Training ]; }
tuned_once() { # NAME JOB-UID: one case each
  holds "$1: tuned" timeout 120 kairo wait "$1"
  same "$1: by the same Job" "$2" "$(job_of "$1")"
  same "$1: in one attempt" 1 "$(field "$1" '.status.tuning.attempt // 1')"
  same "$1: in one run folder" 1 "$(find "$KAIRO_HOME/runs/default/$(field "$1" .metadata.uid)" -mindepth 1 -maxdepth 1 -type d | wc -l)"
}
job_of() { kairo get job "$1" -o json 2>/dev/null | jq -r .metadata.uid; }
tune() { workspace "$1" "" steps | apply >/dev/null; }

# --- a lock on a file -----------------------------------------------------------------------------
for agent in watcher provisioner launcher; do
  replica $agent b
  holds "the second $agent stands by, and is ready" until_true 20 stands_by $agent.b
done
tune kill
holds "kill: a training runs" until_true 60 is_training kill
job=$(job_of kill)
for agent in watcher provisioner launcher; do
  strike KILL $agent
  holds "kill: one $agent acts again" until_true 10 one_of $agent $agent.b
done
tune next
holds "kill: another Workspace gets its Job" until_true 30 job_of next
tuned_once kill "$job"
for agent in watcher provisioner launcher; do # whichever acts ends, and the other acts
  acting=$agent.b other=$agent
  if acts $agent; then acting=$agent other=$agent.b; fi
  strike TERM $acting
  holds "end: one $agent acts again" until_true 10 one_of $agent $agent.b
  [ $acting = $agent ] || replica $agent b
done
holds "end: the other Workspace is tuned too" timeout 120 kairo wait next

# --- a Lease object ---------------------------------------------------------------------------------
for agent in watcher launcher; do
  strike TERM $agent.b
  until_true 10 acts $agent
  strike STOP $agent # it has the lock and does nothing
  replica $agent c --lease-namespace default
  holds "Lease: $agent c acts" until_true 10 acts $agent.c
  replica $agent d --lease-namespace default
  holds "Lease: $agent d stands by" until_true 10 stands_by $agent.d
done
tune lease
holds "Lease: a training runs" until_true 60 is_training lease
job=$(job_of lease)
for agent in watcher launcher; do
  strike KILL $agent.c
  holds "Lease: $agent d acts" until_true 10 acts $agent.d
  replica $agent c --lease-namespace default
  holds "Lease: a new $agent c stands by" until_true 10 stands_by $agent.c
done
for agent in watcher launcher; do
  strike STOP $agent.d
  holds "paused: $agent c acts" until_true 10 acts $agent.c
  strike CONT $agent.d
  ended() { ! kill -0 "${pids[$agent.d]}" 2>/dev/null; }
  holds "paused: $agent d ends when it sees that" until_true 10 ended
  holds "paused: and says why" grep -q "another process acts by now" "$work/$agent.d.log"
done
tuned_once lease "$job"

# --- a damaged store --------------------------------------------------------------------------------
version=$(field lease .metadata.resourceVersion)
for agent in node pusher; do
  echo damaged >"$KAIRO_HOME/state/$agent/CURRENT"
  before=$(pid_of $agent)
  strike KILL $agent
  is_new() { [ "$(pid_of "$1")" != "$2" ] && [ "$(ask "$1" readyz)" = ok ]; }
  holds "damaged: $agent goes on" until_true 20 is_new $agent "$before"
  holds "damaged: $agent keeps it for who wants to look" test -e "$KAIRO_HOME/state/$agent.damaged/CURRENT"
done
same "damaged: nothing changed" "$version" "$(field lease .metadata.resourceVersion)"
holds "delete them" timeout 60 kairo delete workspace kill next lease
same "the Lease object names its holder" true \
  "$(kairo get lease kairo-launcher -o json | jq '.spec.holderIdentity | length > 0')"
for agent in watcher launcher; do strike CONT $agent; done
