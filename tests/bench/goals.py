#!/usr/bin/env python3
# tests/bench/goals.py - the control plane's figures of one run, each beside its goal.
"""usage: goals.py FIGURES OLD_FIGURES    JSON lines; OLD_FIGURES need not exist: then there is no ratio."""
import json
import os
import sys

# figure, words, unit, the goal: (limit, of the older build's figure instead of absolute)
GOALS = (
    ("worst", "empty store -> right, the slowest agent", "s", 2, False),
    ("killed", "standby -> acting after kill -9, the slowest agent", "s", 2, False),
    ("ended", "  and after a clean end", "s", 1, False),
    ("changes", "status changes meanwhile", "", 0, False),
    ("round", "a round with 1,000 nodes and nothing new", "ms", 0.01, True),
    ("waiting", "10,000 waiting Workspaces x 1,000 node facts", "s", 0.02, True),
    ("rss", "watcher's memory with foreign pods", "MiB", 1, False),
    ("calls", "API calls for the tunings, to the last Job", "", 500, False),
    ("last", "last Job after the last apply", "s", 0.2, True),
    ("apply", "apply -> Job, local, p50", "ms", 0.6, True),
    ("applied", "the Workspaces in one file: kairo apply", "s", 0.25, True),
    ("decided", "  and all decided", "s", 0.25, True),
    ("draw", "page: a draw, 100 of 1,000 Workspaces change", "ms", 20, False),
    ("bundle", "page: its scripts, gzipped", "kB", 45, False),
    ("viewers", "page: its agent, 1,000 Workspaces, 10 viewers", "MiB", 40, False),
    ("added", "a chat through the gateway: p50 added", "ms", 1, False),
    ("first", "adapter tuned -> first answer, slowest of 3", "s", 2, False),
)


def figures(path):
    out = {}
    if os.path.exists(path):
        with open(path) as file:
            for line in file:
                out |= json.loads(line)
    return out


ours, old = figures(sys.argv[1]), figures(sys.argv[2])
print(f"  {'':46}{'older':>10}{'now':>10}{'ratio':>8}  goal")
for name, words, unit, limit, is_ratio in GOALS:
    if name not in ours:
        continue
    before = f"{old[name]:10.3g}" if name in old else f"{'-':>10}"
    ratio = ours[name] / old[name] if old.get(name) else None
    goal = f"<= {limit}x" if is_ratio else f"<= {limit} {unit}".rstrip()
    judged = ratio if is_ratio else ours[name]
    verdict = "" if judged is None else "  met" if judged <= limit else "  not met"
    shown = f"{ratio:8.3f}" if ratio is not None else f"{'-':>8}"
    print(f"  {words + (', ' + unit if unit else ''):46}{before}{ours[name]:10.3g}{shown}  {goal}{verdict}")
