#!/bin/sh
# tests/bench/peer/run.sh - ours against peft on the same tokens, one after the other, in one run.
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
"$bench" --model "$model" --rows "$work/rows" --method "$method" --steps "$steps" --batch "$batch" \
  --rank 16 --alpha 32 --learning-rate 2e-4 --schedule constant --clip 0 --threads "$threads" \
  2>/dev/null >"$work/ours.json"
"$python" "$here/train.py" --model "$model" --rows "$work/rows" --method "$method" --steps "$steps" \
  --batch "$batch" --threads "$threads" 2>/dev/null | tail -1 >"$work/peer.json"
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)"
"$python" - "$work/ours.json" "$work/peer.json" <<'PY'
import json, sys
ours, peer = (json.load(open(f)) for f in sys.argv[1:])
for name, r in (("kairo", ours), ("peft", peer)):
    print(f"{name:6} {r['tokens_per_second']:8.1f} tok/s  peak RSS {r['peak_rss_bytes'] / 2**20:7.0f} MiB  "
          f"first step at {r['first_step_at_seconds']:5.1f} s  losses {r['losses'][0]:.5f} .. {r['losses'][-1]:.5f}")
print(f"speed x{ours['tokens_per_second'] / peer['tokens_per_second']:.2f}, "
      f"memory x{ours['peak_rss_bytes'] / peer['peak_rss_bytes']:.2f}")
PY
