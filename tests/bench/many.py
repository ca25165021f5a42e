#!/usr/bin/env python3
# tests/bench/many.py - a thousand Workspaces at once, until each has a final condition.
"""usage: many.py HOME COUNT    They ask for what this machine does not have: every agent decides, none works."""
import json
import sys
import threading
import time
import urllib.request

from cluster_client import WORKSPACES, Cluster, workspace

home, count = sys.argv[1], int(sys.argv[2])
cluster = Cluster(home)


def metric(name):
    total = 0
    for agent in ("watcher", "provisioner", "launcher", "node", "pusher"):
        with open(f"{home}/run/{agent}.port") as file:
            port = file.read().strip()
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        total += sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith(name + "{"))
    return total


def refused(item):
    return any(c["type"] == "ResourceReady" and c["status"] == "False" for c in item.get("status", {}).get("conditions", []))


facts, effects, begin = metric("kairo_facts_total"), metric("kairo_effects_total"), time.monotonic()
for number in range(count):
    cluster.apply(WORKSPACES, workspace(f"many-{number}", "phi-3-mini-128k-instruct", "https://example.org/x.jsonl", 5000))
applied = time.monotonic() - begin
while True:
    _, listing = cluster.ask("GET", WORKSPACES)
    done = sum(refused(item) for item in listing["items"] if item["metadata"]["name"].startswith("many-"))
    if done == count:
        break
    if time.monotonic() - begin > 300:
        sys.exit(f"many: {done} of {count} have a condition after 300 s")
    time.sleep(0.05)
took = time.monotonic() - begin
facts, effects = metric("kairo_facts_total") - facts, metric("kairo_effects_total") - effects
print(f"  {count} Workspaces applied in {applied:.1f} s, all explained after {took:.1f} s: {count / took:.0f} Workspaces/s")
print(f"  {facts} facts taken by the five agents ({facts / took:.0f}/s), {effects} effects performed ({effects / took:.0f}/s)")
