#!/usr/bin/env python3
# tests/bench/apply_latency.py - from the apply of a Workspace to its Job, seen by a watch.
"""usage: apply_latency.py HOME DATA_URL REGISTRY_PORT COUNT"""
import queue
import sys
import threading
import time

from cluster_client import JOBS, WORKSPACES, Cluster, percentile, workspace

home, url, registry, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
cluster, seen = Cluster(home), queue.Queue()


def follow():
    for kind, job in Cluster(home).watch(JOBS):
        if kind == "ADDED":
            seen.put((job["metadata"]["name"], time.monotonic()))


threading.Thread(target=follow, daemon=True).start()
time.sleep(0.5)
took = []
for number in range(count + 3):  # the first three warm up
    name = f"latency-{number}"
    begin = time.monotonic()
    cluster.apply(WORKSPACES, workspace(name, "smollm2-135m-instruct", url, registry))
    while True:
        job, at = seen.get(timeout=20)
        if job == name:
            break
    if number >= 3:
        took.append((at - begin) * 1000)
    cluster.ask("DELETE", f"{WORKSPACES}/{name}")
    while cluster.ask("GET", f"{WORKSPACES}/{name}")[0] != 404:
        time.sleep(0.01)
print(f"  p50 {percentile(took, 0.5):6.1f} ms   p99 {percentile(took, 0.99):6.1f} ms   ({count} Workspaces, one after the other)")
