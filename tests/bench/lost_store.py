#!/usr/bin/env python3
# tests/bench/lost_store.py - every agent in turn loses its store: until it is right, and what a user sees change.
"""usage: lost_store.py HOME    Right: /readyz says ok, all records are there again, nothing is left to do."""
import json
import os
import shutil
import signal
import sys
import threading
import time

from cluster_client import AGENTS, WORKSPACES, Cluster, is_ready, metric, pid_of

home = sys.argv[1]
changes = []


def follow():
    for kind, item in Cluster(home).watch(WORKSPACES):
        changes.append((kind, item["metadata"]["name"]))


threading.Thread(target=follow, daemon=True).start()
time.sleep(0.5)
with open(f"{home}/run/lock") as file:
    supervisor = int(file.read())
worst = 0.0
print(f"  {'agent':12}{'right after s':>14}{'records':>9}{'status changes':>16}")
for agent in AGENTS:
    wanted, seen = metric(home, agent, "kairo_records"), len(changes)
    os.kill(supervisor, signal.SIGSTOP)  # it must not start the successor before the store is gone
    os.kill(int(pid_of(home, agent)), signal.SIGKILL)
    os.remove(f"{home}/run/{agent}.port")
    shutil.rmtree(f"{home}/state/{agent}")
    begin = time.monotonic()
    os.kill(supervisor, signal.SIGCONT)
    while not (is_ready(home, agent) and metric(home, agent, "kairo_records") >= wanted
               and metric(home, agent, "kairo_outbox_rows") == 0):
        if time.monotonic() - begin > 60:
            sys.exit(f"lost_store: {agent} is not right 60 s after it lost its store")
        time.sleep(0.005)
    took = time.monotonic() - begin
    worst = max(worst, took)
    time.sleep(1)  # whatever it might still write
    print(f"  {agent:12}{took:14.2f}{metric(home, agent, 'kairo_records'):9}{len(changes) - seen:16}")
print("ROWS " + json.dumps({"worst": worst, "changes": len(changes)}))
