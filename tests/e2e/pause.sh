#!/usr/bin/env bash
# tests/e2e/pause.sh - a training is paused by an annotation and goes on: its pod ends with a checkpoint, nothing starts it
# again meanwhile, and it ends with the bytes of one that nobody paused. usage: pause.sh BUILD
. "$(dirname "$0")/lib.sh"
start_kairo
serve_data
config steps 400 | apply >/dev/null
paused() { workspace "$1" "" steps | sed "s/^metadata: .*/metadata: {name: $1, annotations: {kairo.dev\/paused: \"true\"}}/"; }
pods() { kairo get pods -o json | jq -r --arg owner "$1-" '[.items[] | select(.metadata.name | startswith($owner))
  | select(.status.phase == "Running" or .status.phase == "Pending")] | length'; }
phase() { field "$1" '.status.tuning.phase // ""'; }
trains() { [ "$(field "$1" '.status.tuning | select(.step > 40 and .phase == "Training") | .phase')" = Training ]; }
is_paused() { [ "$(phase "$1")" = Paused ] && [ "$(pods "$1")" = 0 ]; }

workspace held "" steps | apply >/dev/null
until_true 30 trains held
paused held | apply >/dev/null
holds "its pod ends" until_true 20 is_paused held
same "and it says how it goes on" \
  "False workspacePending: workspace has not completed yet: it is paused: remove the annotation kairo.dev/paused; the tuning goes on from its checkpoint then" \
  "$(condition held WorkspaceSucceeded)"
step=$(field held .status.tuning.step)
sleep 2
same "nothing starts it again" "Paused 0 $step" "$(phase held) $(pods held) $(field held .status.tuning.step)"
kairo describe workspace held >"$work/described"
holds "kairo describe says so" grep -qE '^ *Progress: .*Paused' "$work/described"
workspace held "" steps | apply >/dev/null
holds "it goes on, to its end" timeout 120 kairo wait held
run=$KAIRO_HOME/runs/default/$(field held .metadata.uid)
holds "from its checkpoint" jq -se 'any(.attempt == 2 and .resumed_from > 40)' "$run"/*/state/progress.jsonl
workspace free "" steps | apply >/dev/null
holds "one that nobody paused" timeout 120 kairo wait free
same "has the same bytes" "$(field free .status.artifact.digest)" "$(field held .status.artifact.digest)"

paused later | apply >/dev/null
until_true 20 is_paused later
same "paused before it began" "False WorkspaceTuningJobStatusPending: Tuning job has not started: it is paused: remove the annotation kairo.dev/paused" \
  "$(condition later JobStarted)"
workspace later "" steps | apply >/dev/null
holds "it begins" until_true 30 trains later
