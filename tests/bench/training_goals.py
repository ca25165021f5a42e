#!/usr/bin/env python3
# tests/bench/training_goals.py - what peer/run.sh measured, each figure beside its peer's and the goal.
"""usage: training_goals.py FIGURES    JSON lines: {"method", "by", and train_bench's or peft's figures}"""
import json
import sys

seen = {}
with open(sys.argv[1]) as file:
    for line in file:
        row = json.loads(line)
        seen[row["method"], row["by"]] = row
with open("/proc/cpuinfo") as file:
    has = set(next((line for line in file if line.startswith("flags")), "").split())
unit = "amx_bf16" if "amx_bf16" in has else "avx512_bf16" if "avx512_bf16" in has else "neither"
older = {"amx_bf16": 3, "avx512_bf16": 1.6, "neither": 1.05}[unit]
# method, figure, words, peers of which the best counts, goal of ours / theirs or of ours alone, more is better
GOALS = (
    ("lora", "tokens_per_second", "LoRA, tokens/s; the older build", ("older",), older, True),
    ("lora", "tokens_per_second", "  peft in bf16", ("peft-bf16",), 4 if unit == "amx_bf16" else None, True),
    ("qlora", "tokens_per_second", "QLoRA, tokens/s; peft + bitsandbytes in its faster type", ("peft-bf16", "peft"),
     5 if unit == "amx_bf16" else 3, True),
    ("lora", "peak_rss_bytes", "LoRA, peak MiB; the older build", ("older",), 0.7, False),
    ("lora", "load_seconds", "LoRA, s from the start of loading to the first step; the older build", ("older",), "0.8 s", False),
)
print(f"  goals of a processor with {unit}" if unit != "neither" else "  goals of a processor without bf16 instructions")
print(f"  {'':72}{'peer':>9}{'now':>9}{'ratio':>8}  goal")
for method, figure, words, peers, goal, is_more_better in GOALS:
    if (method, "kairo") not in seen:
        continue
    unit_of = 2**20 if figure.endswith("bytes") else 1
    now = seen[method, "kairo"][figure] / unit_of
    theirs = [seen[method, peer][figure] / unit_of for peer in peers if seen.get((method, peer), {}).get(figure)]
    peer = (max(theirs) if is_more_better else min(theirs)) if theirs else None
    text, verdict = f"{peer:9.4g}{now:9.4g}{now / peer:8.2f}" if theirs else f"{'-':>9}{now:9.4g}{'-':>8}", ""
    if isinstance(goal, str):
        verdict = f"  <= {goal}  {'met' if now <= float(goal.split()[0]) else 'not met'}"
    elif goal is not None and theirs:
        is_met = now / peer >= goal if is_more_better else now / peer <= goal
        verdict = f"  {'>=' if is_more_better else '<='} {goal}x  {'met' if is_met else 'not met'}"
    print(f"  {words:72}{text}{verdict}")
