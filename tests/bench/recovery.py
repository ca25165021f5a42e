#!/usr/bin/env python3
# tests/bench/recovery.py - kill -9 of each agent of one kairo, until its successor answers /readyz with 200.
"""usage: recovery.py HOME    Polls every 5 ms; refuses a pid that does not look like this kairo's agent."""
import os
import signal
import statistics
import sys
import time

from cluster_client import AGENTS, is_ready, metric, pid_of

home = sys.argv[1]


took = []
print(f"  {'agent':12}{'ready after ms':>15}{'records read':>14}")
for agent in AGENTS:
    old = pid_of(home, agent)
    with open(f"/proc/{old}/cmdline", "rb") as file:
        words = file.read().decode().split("\0")
    if agent not in words:
        sys.exit(f"recovery: process {old} is not the {agent} of this kairo: {words}")
    os.remove(f"{home}/run/{agent}.port")  # else the dead one's port would be asked
    begin = time.monotonic()
    os.kill(int(old), signal.SIGKILL)
    while not is_ready(home, agent):
        if time.monotonic() - begin > 30:
            sys.exit(f"recovery: {agent} is not ready 30 s after kill -9")
        time.sleep(0.005)
    took.append((time.monotonic() - begin) * 1000)
    if pid_of(home, agent) == old:
        sys.exit(f"recovery: {agent} kept pid {old}")
    print(f"  {agent:12}{took[-1]:15.0f}{metric(home, agent, 'kairo_records'):14}")
print(f"  {'median':12}{statistics.median(took):15.0f}")
