#!/usr/bin/env python3
# tests/bench/many.py - a thousand Workspaces in one file, until each has its final condition.
"""usage: many.py HOME COUNT    They name a model that no engine here runs: decided, refused, never started."""
import collections
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time

from cluster_client import AGENTS, WORKSPACES, Cluster, metric, workspace

home, count = sys.argv[1], int(sys.argv[2])
seen = queue.Queue()
# The watcher writes this one at once, before anything is decided; it is no answer.
PLACEHOLDER = "workspaceResourceStatusNotReady"


def verdict(item):
    for c in item.get("status", {}).get("conditions", []):
        if c["type"] == "ResourceReady" and (c["status"] == "True" or c["reason"] != PLACEHOLDER):
            return c["reason"]
    return None


def follow():
    for _, item in Cluster(home).watch(WORKSPACES):
        if item["metadata"]["name"].startswith("many-") and verdict(item):
            seen.put((item["metadata"]["name"], time.monotonic()))


def counters(name):
    return {agent: metric(home, agent, name) for agent in AGENTS}


threading.Thread(target=follow, daemon=True).start()
time.sleep(0.5)
with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
    for number in range(count):
        document = workspace(f"many-{number}", "qwen/qwen3.5-4b", "https://example.org/x.jsonl", 5000)
        file.write("---\n" + json.dumps(document) + "\n")
    file.flush()
    facts, effects, begin = counters("kairo_facts_total"), counters("kairo_effects_total"), time.monotonic()
    subprocess.run(["kairo", "apply", "-f", file.name], check=True, stdout=subprocess.DEVNULL, timeout=300)
applied, decided = time.monotonic() - begin, {}
while len(decided) < count:
    try:
        name, at = seen.get(timeout=max(0.1, begin + 300 - time.monotonic()))
    except queue.Empty:
        sys.exit(f"many: {len(decided)} of {count} have a final condition after 300 s")
    decided.setdefault(name, at)
took = max(decided.values()) - begin
facts_after, effects_after = counters("kairo_facts_total"), counters("kairo_effects_total")
_, listing = Cluster(home).ask("GET", WORKSPACES)
reasons = collections.Counter(verdict(i) for i in listing["items"] if i["metadata"]["name"].startswith("many-"))
print(f"  {'Workspaces':>10}{'applied s':>11}{'all decided s':>15}{'Workspaces/s':>14}  conditions")
print(f"  {count:10}{applied:11.2f}{took:15.2f}{count / took:14.1f}  {', '.join(f'{r} {n}' for r, n in reasons.items())}")
print(f"\n  {'agent':12}{'facts':>9}{'facts/s':>10}{'effects':>10}{'effects/s':>11}")
rows = [(a, facts_after[a] - facts[a], effects_after[a] - effects[a]) for a in AGENTS]
for agent, f, e in rows + [("all five", sum(r[1] for r in rows), sum(r[2] for r in rows))]:
    print(f"  {agent:12}{f:9}{f / took:10.0f}{e:10}{e / took:11.0f}")
print("ROWS " + json.dumps({"applied": applied, "decided": took}))
