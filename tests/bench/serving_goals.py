#!/usr/bin/env python3
# tests/bench/serving_goals.py - what serving.py measured, each figure beside its peer's and the goal.
"""usage: serving_goals.py FIGURES    JSON lines"""
import json
import sys

# ours, the peer's, words, goal of ours / the peer's, more is better
GOALS = (
    ("bf16_1", "bf16_old_1", "bf16 weights, 1 stream, tokens/s; the older build", 1.6, True),
    ("bf16_4", "bf16_old_4", "  4 streams", 1.5, True),
    ("bf16_8", "bf16_old_8", "  8 streams", 1.3, True),
    ("q4_1", "llama_1", "Q4_1, 1 stream, tokens/s; llama.cpp", 1.0, True),
    ("q4_4", "llama_4", "  4 streams", 1.2, True),
    ("q4_8", "llama_8", "  8 streams", 1.5, True),
    ("bf16_turn", "bf16_old_turn", "a chat's fourth turn, prompt, processor s; the older build", 0.15, False),
    ("bf16_1_schema", "bf16_1_free", "under a JSON schema, bf16, 1 stream, tokens/s; free", 0.95, True),
    ("bf16_8_schema", "bf16_8_free", "  8 streams", 0.9, True),
    ("q4_1_schema", "llama_1_schema", "under a JSON schema, Q4_1, 1 stream, tokens/s; llama.cpp's grammar", 1.2, True),
    ("q4_8_schema", "llama_8_schema", "  8 streams", 1.2, True),
    ("bf16_second", "bf16_first", "first token behind 1,000 shared tokens, s; of who came first", 0.1, False),
    ("q4_rss", "llama_rss", "Q4_1: resident MiB with 8 slots; llama.cpp", 1.2, False),
)
seen = {}
with open(sys.argv[1]) as file:
    for line in file:
        seen |= json.loads(line)
print(f"  {'':68}{'peer':>9}{'now':>9}{'ratio':>8}  goal")
for ours, peer, words, goal, is_more_better in GOALS:
    if ours not in seen:
        continue
    if not seen.get(peer):
        print(f"  {words:68}{'-':>9}{seen[ours]:9.4g}{'-':>8}")
        continue
    ratio = seen[ours] / seen[peer]
    is_met = ratio >= goal if is_more_better else ratio <= goal
    sign = ">=" if is_more_better else "<="
    print(f"  {words:68}{seen[peer]:9.4g}{seen[ours]:9.4g}{ratio:8.2f}  {sign} {goal}x  {'met' if is_met else 'not met'}")
