#!/usr/bin/env bash
# tests/crash/run.sh - kill -9 of random processes during real small runs, round after round.
#
# usage: run.sh BUILD [ROUNDS] [SEED]. Each round tunes a tiny model for some seconds while two to
# four processes are killed: agents, the local cluster, nats-server, the registry, the trainer, or
# all of them at once as in a power cut. Afterwards: state Succeeded, one image with the digest that
# an undisturbed run has (so the adapter is bit-equal), the same losses at the same steps, one
# training and one run folder, and no process that belongs to nobody.
rounds=${2:-20}
seed=${3:-${SEED:-$$}}
. "$(dirname "$0")/../e2e/lib.sh"
RANDOM=$seed
echo "seed $seed"
start_kairo
serve_data
config steps 400 | apply >/dev/null

tune() { workspace "$1" "" steps "localhost:$registry/crash/$1:1" | apply >/dev/null; }
run_dir() { echo "$KAIRO_HOME/runs/default/$(field "$1" .metadata.uid)"; }
losses() { # the last word about each step: an attempt repeats steps since its checkpoint
  cat "$1"/*/state/progress.jsonl | jq -r 'select(.phase == "Training" and .step > 0) | "\(.step) \(.loss)"' |
    sort -u
}
# Every pair "step loss" of a run that also stands in the undisturbed run's list is equal there; a
# step has one loss only, however often it was taken.
agrees() { # losses-file reference-file
  [ "$(cut -d' ' -f1 "$1" | uniq -d | wc -l)" = 0 ] &&
    join "$1" "$2" | awk '$2 != $3 { bad = 1 } END { exit bad }'
}
digest_in_registry() { # repository -> digest of tag 1
  until_true 20 curl -sf -u "kairo:$(cat "$KAIRO_HOME/secrets/registry")" "http://localhost:$registry/v2/"
  curl -s -u "kairo:$(cat "$KAIRO_HOME/secrets/registry")" -o /dev/null -D - \
    -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
    "http://localhost:$registry/v2/$1/manifests/1" | tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'
}
tags_of() {
  curl -s -u "kairo:$(cat "$KAIRO_HOME/secrets/registry")" "http://localhost:$registry/v2/$1/tags/list" |
    jq -r '.tags | join(" ")'
}
pid_of() { awk -v name="$1" '$1 == name { print $2 }' "$KAIRO_HOME/run/pids" 2>/dev/null; }
trainers() { pgrep -f "kairo-tune train .*$KAIRO_HOME/"; }

# Kills one of them, by a pid that is known to be ours.
strike() {
  local victims=(watcher provisioner launcher node pusher cluster nats registry trainer everything)
  local victim=${victims[RANDOM % ${#victims[@]}]} pid agent
  case $victim in
    trainer) pid=$(trainers | head -n 1) ;;
    everything)
      pid="$(pid_of nats) $(pid_of registry) $(pid_of cluster) $(trainers | tr '\n' ' ')"
      for agent in watcher provisioner launcher node pusher; do pid+=" $(pid_of $agent)"; done
      ;;
    *) pid=$(pid_of "$victim") ;;
  esac
  # shellcheck disable=SC2086
  [ -n "${pid// /}" ] && kill -9 $pid 2>/dev/null
  echo -n " $victim"
}
strays() { # processes of this kairo that its supervisor does not know, and containers of no pod
  local known pid
  known=" $(awk '{ print $2 }' "$KAIRO_HOME/run/pids" | tr '\n' ' ') "
  pgrep -f "$KAIRO_HOME" | while read -r pid; do
    [ "$(ps -o comm= -p "$pid")" = bash ] && continue
    [[ $known == *" $pid "* ]] || ps -o pid=,args= -p "$pid"
  done | grep -vE ' kairo up |data_server|pgrep'
}

tune reference
until_true 120 is_state reference Succeeded || fail "undisturbed run" "$(condition reference WorkspaceSucceeded)"
losses "$(run_dir reference)" >"$work/reference"
layer=$(field reference .status.artifact.digest)
echo "undisturbed: $(wc -l <"$work/reference") reported steps, $layer"

for round in $(seq "$rounds"); do
  name=round-$round
  echo -n "$name: killed"
  tune "$name"
  strikes=$((2 + RANDOM % 3))
  for _ in $(seq $strikes); do
    sleep "$((RANDOM % 3)).$((RANDOM % 10))"
    strike
  done
  echo
  if ! until_true 180 is_state "$name" Succeeded; then
    fail "$name succeeds" "$(kairo get workspace "$name" 2>&1)" "$(condition "$name" WorkspaceSucceeded)"
    continue
  fi
  digest=$(field "$name" .status.artifact.digest)
  losses "$(run_dir "$name")" >"$work/losses"
  seen="image $(digest_in_registry "crash/$name") tags $(tags_of "crash/$name") runs $(find "$(run_dir "$name")" -mindepth 1 -type d -prune | wc -l)"
  wanted="image $digest tags 1 runs 1"
  if [ "$seen" = "$wanted" ] && [ "$digest" = "$layer" ] && agrees "$work/losses" "$work/reference"; then
    pass "$name: one image, bit-equal adapter, same losses ($(wc -l <"$work/losses") steps seen)"
  else
    fail "$name" "wanted: $wanted, digest $layer" "seen:   $seen" "$(join "$work/losses" "$work/reference" 2>&1 | awk '$2 != $3' | head -n 3)"
  fi
  kairo delete workspace "$name" >/dev/null
done
sleep 1
left=$(strays)
same "no process belongs to nobody" "" "$left"
same "no run folder is left" "$(basename "$(run_dir reference)")" "$(ls "$KAIRO_HOME/runs/default")"
