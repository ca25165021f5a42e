#!/usr/bin/env bash
# tests/e2e/tensorboard.sh - a tuning that is killed and goes on, as others read it: TensorBoard's own readers on the trainer's
# event files and on those of `kairo export`, CSV and JSON lines; each step once, its loss bit for bit that of progress.jsonl.
# usage: tensorboard.sh BUILD    KAIRO_TENSORBOARD_PYTHON: a python3 that has tensorboard
. "$(dirname "$0")/lib.sh"
python=${KAIRO_TENSORBOARD_PYTHON:-}
if [ -z "$python" ]; then
  python=${KAIRO_CACHE:-$HOME/.cache/kairo}/tensorboard/bin/python3
  if ! "$python" -c 'import tensorboard' 2>/dev/null; then
    python3 -m venv "${python%/bin/python3}" && "$python" -m pip -q install tensorboard==2.21.0 setuptools==80.9.0 || {
      skip e2e/tensorboard "the tensorboard package is not to be had: pip install tensorboard==2.21.0 setuptools==80.9.0"
      exit 77
    }
  fi
fi
read_by() { timeout 120 "$python" "$source_dir/tests/e2e/event_reader.py" "$@" 2>"$work/tensorboard.err"; }
start_kairo
serve_data
holds "--help teaches" grep -q 'kairo export pip --as tensorboard && tensorboard --logdir logs' <(kairo export --help)
same "what is not there" 1 "$(kairo export nobody >"$work/out" 2>&1; echo $?)"
holds "its words" grep -q 'error: .*"nobody" not found' "$work/out"
config steps 1500 | sed 's/train_test_split: 1/train_test_split: 0.8/; s/save_steps: 5/save_steps: 100, eval_strategy: steps, eval_steps: 500/' |
  apply >/dev/null
workspace seen "" steps | apply >/dev/null

progress=
has_step() { progress=$(ls "$KAIRO_HOME"/runs/default/*/*/state/progress.jsonl 2>/dev/null | head -n 1) && [ "$(tail -n 1 "$progress" | jq .step)" -ge "$1" ]; }
holds "it trains" until_true 60 has_step 250
kill -9 $(pgrep -f "kairo-tune train .*$KAIRO_HOME/") && pass "its process is killed" || fail "its process is killed" "no kairo-tune found"
holds "it is done all the same" timeout 180 kairo wait seen
same "by a second attempt, from a checkpoint" true "$(jq -s '[.[] | select(.attempt == 2 and .phase == "Training") | .resumed_from] | .[0] >= 200' "$progress")"

# "step loss", the loss as the bits of its float. Fast steps are not all reported, so two things are each step once: what the
# first attempt said and then what is beyond it (a file that grows), and what the second one said from its checkpoint on.
python3 - "$progress" "$work" <<'PY'
import json, struct, sys
said = {1: {}, 2: {}}
for text in open(sys.argv[1]):
    try:
        line = json.loads(text)
    except ValueError:
        continue
    if line["phase"] != "Training":
        continue
    begin = line["resumed_from"]
    if line["step"] > begin:
        bits = struct.pack(">f", line["loss"]).hex()
        if said[1].get(line["step"], bits) != bits:
            sys.exit(f"step {line['step']} has another loss the second time")
        said[line["attempt"]].setdefault(line["step"], bits)
last = max(said[1])
for name, first, second in (("grown", last, last), ("cut", begin, begin)):
    with open(f"{sys.argv[2]}/{name}", "w") as out:
        for attempt, keep in ((1, lambda s: s <= first), (2, lambda s: s > second)):
            out.writelines(f"{step} {bits}\n" for step, bits in sorted(said[attempt].items()) if keep(step))
PY
holds "what is done again is bit-equal" test -s "$work/cut"
revision=$(jq -r '.revision[0:12]' "$(dirname "$progress")/../run.json")
run=default/seen/r$revision
logs=$(dirname "$progress")/logs
same "the trainer's: a file for each attempt" "1 2" "$(ls "$logs/$run" | sed 's/.*\.kairo\.//' | paste -sd ' ')"
same "EventAccumulator: each step once, bit for bit" "" "$(diff "$work/grown" <(read_by points "$logs/$run") | head -n 3)"
same "evaluations" 3 "$(read_by times "$logs/$run" eval/loss)"
same "what people see in TensorBoard" "" "$(diff "$work/grown" <(read_by served "$logs" "$run") | head -n 3)"
read_by hparams "$logs" "$run" >"$work/hparams"
same "its settings" '[8,16,0.001,"qlora","STATUS_SUCCESS"]' \
  "$(jq -c '[.hparams.r, .hparams.lora_alpha, .hparams.learning_rate, .hparams.method, .status]' "$work/hparams")"

has_all() { [ "$(kairo export seen | tail -n +2 | wc -l)" = "$(wc -l <"$work/cut")" ]; }
holds "kairo export has the whole curve" until_true 20 has_all
kairo export seen >"$work/seen.csv"
as_truth='import csv, struct, sys
for row in csv.DictReader(open(sys.argv[1])):
    print(row["step"], struct.pack(">f", float(row["loss"])).hex())'
same "CSV: each step once, bit for bit" "" "$(diff "$work/cut" <(python3 -c "$as_truth" "$work/seen.csv") | head -n 3)"
same "its columns" "step,attempt,loss,learning_rate,grad_norm,tokens,tokens_per_second,at_ms,eval_loss,first_step,loss_min,loss_max" \
  "$(head -n 1 "$work/seen.csv")"
kairo export seen --as jsonl --output "$work/seen.jsonl"
same "JSON lines: the run first" '["default/seen",8,2]' "$(head -n 1 "$work/seen.jsonl" | jq -c '[.workspace, .settings.r, (.attempts | length)]')"
same "and the same losses" "" "$(diff <(python3 -c 'import csv, sys
for row in csv.DictReader(open(sys.argv[1])): print(row["step"], row["loss"])' "$work/seen.csv") \
  <(python3 -c 'import json, sys
for text in list(open(sys.argv[1]))[1:]: print(json.loads(text)["step"], json.loads(text)["loss"])' "$work/seen.jsonl"))"
(cd "$work" && kairo export seen --as tensorboard) >"$work/export.out"
holds "event files, and how to look at them" grep -q "^logs/$run: .* 2 attempts; tensorboard --logdir logs$" "$work/export.out"
same "read back: each step once, bit for bit" "" "$(diff "$work/cut" <(read_by points "$work/logs/$run") | head -n 3)"
same "and as people see it" "" "$(diff "$work/cut" <(read_by served "$work/logs" "$run") | head -n 3)"
same "a folder that cannot be made" 1 "$(kairo export seen --as tensorboard --output "$work/seen.csv" >"$work/out" 2>&1; echo $?)"
holds "its words" grep -q -- '--output: .*seen.csv.* cannot be made' "$work/out"

# A volume as output: the event files lie where its owner's TensorBoard looks.
mkdir -p "$work/volume" && chmod 777 "$work/volume"
workspace kept "" steps | sed '/^  output:/d' >"$work/kept.yaml"
echo "  output: {volumeSource: {hostPath: {path: $work/volume}}}" >>"$work/kept.yaml"
apply <"$work/kept.yaml" >/dev/null
holds "with a volume as output" timeout 180 kairo wait kept
holds "the volume has the event files" test -n "$(find "$work/volume/logs/default/kept" -name '*.kairo.1' 2>/dev/null)"
same "to its last step" 1500 "$(read_by points "$(dirname "$(find "$work/volume/logs/default/kept" -name '*.kairo.1')")" | tail -n 1 | cut -d ' ' -f 1)"
kairo delete workspace seen kept >/dev/null
