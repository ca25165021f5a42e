"""tests/parity/bf16.py - a hundred steps in bf16 beside the same in fp32: every loss, and the held-out rows' at the end.

usage: bf16.py TRAIN_BENCH MODEL ROWS    Exit 77: this CPU has no bf16 instructions.
"""
import json
import subprocess
import sys

STEP_BOUND, HELD_OUT_BOUND, STEPS = 5e-3, 2e-3, 100


def run(kind):
    words = [sys.argv[1], "--model", sys.argv[2], "--rows", sys.argv[3], "--steps", str(STEPS), "--batch", "2",
             "--held-out", "16", "--learning-rate", "2e-4", "--schedule", "constant", "--clip", "0", "--type", kind]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode == 77:
        print("SKIP: this CPU has no bf16 instructions")
        sys.exit(77)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


bf16, fp32 = run("mkl"), run("fp32")
apart = [abs(a - b) / b for a, b in zip(bf16["losses"], fp32["losses"], strict=True)]
held_out = abs(bf16["held_out_loss"] - fp32["held_out_loss"]) / fp32["held_out_loss"]
worst = max(range(STEPS), key=apart.__getitem__)
print(f"  {STEPS} steps: loss {fp32['losses'][0]:.4f} .. {fp32['losses'][-1]:.4f} in fp32, farthest apart "
      f"{apart[worst]:.1e} at step {worst + 1} (bound {STEP_BOUND:.0e})")
print(f"  held-out rows: {fp32['held_out_loss']:.5f} in fp32, {bf16['held_out_loss']:.5f} in bf16: "
      f"{held_out:.1e} apart (bound {HELD_OUT_BOUND:.0e})")
if apart[worst] > STEP_BOUND or held_out > HELD_OUT_BOUND:
    sys.exit("parity: bf16 is too far from fp32")
