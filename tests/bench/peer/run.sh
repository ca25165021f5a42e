#!/bin/sh
# tests/bench/peer/run.sh - ours against peft on the same tokens, one after the other, in one run:
# kairo as its default is (bf16 where the CPU gains by it) and in fp32, peft in both types; KAIRO_OLD_BUILD: an older build, too.
# usage: run.sh TRAIN_BENCH MODEL DATA.jsonl [lora|qlora] [STEPS] [BATCH] [answer|all] [THREADS]
# The oracle comes from tests/parity/setup.sh. First step, imports and loading are counted apart.
set -eu
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}"  # as kairo-tune sets it; for both, to be fair
bench=$1 model=$2 data=$3 method=${4:-lora} steps=${5:-15} batch=${6:-4} loss_on=${7:-all}
threads=${8:-$(nproc)}
here=$(dirname "$0")
python=${KAIRO_CACHE:-$HOME/.cache/kairo}/oracle/bin/python
[ -x "$python" ] || { echo "SKIP: no oracle; run tests/parity/setup.sh"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" "$here/tokenise.py" "$model" "$data" "$work/rows" 256 "$loss_on" 2>/dev/null
echo "load before: $(cut -d' ' -f1-3 /proc/loadavg); threads $threads, $method, $steps steps of $batch rows"
ours() { # NAME PROGRAM [ARGUMENTS]
  name=$1 program=$2
  shift 2
  "$program" --model "$model" --rows "$work/rows" --method "$method" --steps "$steps" --batch "$batch" \
    --rank 16 --alpha 32 --learning-rate 2e-4 --schedule constant --clip 0 --threads "$threads" "$@" \
    2>/dev/null >"$work/$name.json"
}
peft() { # NAME TYPE
  "$python" "$here/train.py" --model "$model" --rows "$work/rows" --method "$method" --steps "$steps" \
    --batch "$batch" --threads "$threads" --type "$2" 2>/dev/null | tail -1 >"$work/$1.json"
}
names="kairo kairo-fp32 peft-bf16 peft"
if [ -x "${KAIRO_OLD_BUILD:-}/tests/gpu/train_bench" ]; then
  ours older "$KAIRO_OLD_BUILD/tests/gpu/train_bench"
  names="older $names"
fi
ours kairo "$bench" --type bf16
ours kairo-fp32 "$bench"
peft peft-bf16 bfloat16
peft peft float32
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)"
"$python" - "$work" "$method" $names <<'PY'
import json, sys
rows = {name: json.load(open(f"{sys.argv[1]}/{name}.json")) for name in sys.argv[3:]}
for name, r in rows.items():
    print(f"{name:10} {r['tokens_per_second']:8.1f} tok/s  peak RSS {r['peak_rss_bytes'] / 2**20:7.0f} MiB  "
          f"first step at {r['first_step_at_seconds']:5.1f} s  losses {r['losses'][0]:.5f} .. {r['losses'][-1]:.5f}")
    print("FIGURES", json.dumps({"method": sys.argv[2], "by": name, **{k: v for k, v in r.items() if isinstance(v, (int, float))}}))
ours = rows["kairo"]
print(ours["products"])
for name, r in rows.items():
    if name != "kairo":
        print(f"kairo/{name}: speed x{ours['tokens_per_second'] / r['tokens_per_second']:.2f}, "
              f"memory x{ours['peak_rss_bytes'] / r['peak_rss_bytes']:.2f}")
PY
