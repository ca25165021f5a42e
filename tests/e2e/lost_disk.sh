#!/usr/bin/env bash
# What this proves: a machine that goes with its disk takes no more of a training than the steps since its last
# checkpoint. On a real kairo: the checkpoint goes into the registry, the Node object and the run directory are removed,
# another Node of this machine fetches it and goes on, with the losses of an undisturbed run to the last bit and its very
# adapter; then the registry has no checkpoint any more.
# usage: lost_disk.sh BUILD
source "$(dirname "$0")/lib.sh"
export KAIRO_CHECKPOINT_EVERY=1s
start_kairo
serve_data
config steps 1500 | apply >/dev/null

kept() { # NAME [WORD]: a tuning whose checkpoints are kept
  workspace "$1" "" steps "localhost:$registry/lost/$1:1" |
    sed "s|^metadata: .*|metadata: {name: $1, annotations: {kairo.dev/keep-checkpoints: \"${2:-true}\"}}|"
}
run_dir() { echo "$KAIRO_HOME/runs/default/$(field "$1" .metadata.uid)"; }
progress() { cat "$(run_dir "$1")"/*/state/progress.jsonl 2>/dev/null; }
losses() { # of the steps that an attempt has taken and reported; not each is
  jq -r 'select(.phase == "Training" and .step > .resumed_from) | "\(.step) \(.loss)"' | sort -u
}
tags() {
  curl -s -u "kairo:$(cat "$KAIRO_HOME/secrets/registry")" "http://localhost:$registry/v2/lost/$1/tags/list" |
    jq -r '.tags // [] | sort | join(" ")'
}
node() { kairo get nodes -o json | jq -r '(.items // [.])[0].metadata | .name + "/" + .uid'; }
pid_of() { awk -v name="$1" '$1 == name { print $2 }' "$KAIRO_HOME/run/pids" 2>/dev/null; }
trainers() { pgrep -f "kairo-tune train .*$KAIRO_HOME/"; }
# The machine is another one: its processes are gone, its disk is empty, its Node object is new.
lose_node() { # WORKSPACE
  local before dir
  before=$(node) dir=$(run_dir "$1")
  kill -9 "$(pid_of cluster)" $(trainers) 2>/dev/null
  rm -rf "$dir"
  until_true 20 kairo delete node "${before%/*}" || fail "the Node object goes" "$(kairo delete node "${before%/*}" 2>&1)"
  kill -9 "$(pid_of cluster)" # its kubelet tells of the machine anew when it starts
  is_another() { [ "$(node)" != "$before" ] && [ -n "$(node)" ]; }
  holds "another machine takes its place" until_true 60 is_another
}

kept reference false | apply >/dev/null
until_true 120 is_state reference Succeeded || fail "undisturbed run" "$(condition reference WorkspaceSucceeded)"
progress reference | losses >"$work/reference"
same "without the wish no checkpoint is pushed" 1 "$(tags reference)"

kept tuning | apply >/dev/null
is_safe() { grep -qE '^step [0-9]+ is in the registry' <<<"$(field tuning '.status.tuning.checkpoint // ""')"; }
holds "a checkpoint becomes safe, and the status says so" until_true 60 is_safe
safe=$(field tuning .status.tuning.checkpoint)
same "it lies beside the adapter's place" "is in the registry: localhost:$registry/lost/tuning:1-checkpoint-$(field tuning .metadata.uid)" \
  "$(sed -E 's/^step [0-9]+ //' <<<"$safe")"
step=$(sed -E 's/^step ([0-9]+) .*/\1/' <<<"$safe")
lose_node tuning
goes_on() { [ "$(progress tuning | jq -r 'select(.phase == "Training") | .resumed_from' | head -n 1)" -ge "$step" ]; }
holds "another machine goes on from step $step or later" until_true 90 goes_on
until_true 120 is_state tuning Succeeded || fail "it succeeds" "$(condition tuning WorkspaceSucceeded)" "$(condition tuning JobStarted)"
progress tuning | losses >"$work/losses"
join "$work/losses" "$work/reference" >"$work/both"
holds "some steps are reported by both" test -s "$work/both"
same "each loss is the undisturbed run's, to the last bit" "" "$(awk '$2 != $3' "$work/both")"
same "so is the adapter" "$(field reference .status.artifact.digest)" "$(field tuning .status.artifact.digest)"
is_gone() { [ "$(tags tuning)" = 1 ]; }
holds "the registry has no checkpoint any more" until_true 20 is_gone
