#!/usr/bin/env python3
# tests/bench/apply_latency.py - from the apply of a Workspace to its Job, seen by a watch.
"""usage: apply_latency.py HOME DATA_URL REGISTRY_PORT COUNT    `kairo` is in PATH."""
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time

from cluster_client import JOBS, WORKSPACES, Cluster, percentile, workspace

home, url, registry, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
cluster, seen = Cluster(home), queue.Queue()
WARM_UP = 3


def follow():
    for kind, job in Cluster(home).watch(JOBS):
        if kind == "ADDED":
            seen.put((job["metadata"]["name"], time.monotonic()))


def by_rest(document):
    cluster.apply(WORKSPACES, document)


def by_program(document):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        global begin  # writing the file is not part of it
        begin = time.monotonic()
        subprocess.run(["kairo", "apply", "-f", file.name], check=True, stdout=subprocess.DEVNULL, timeout=30)


threading.Thread(target=follow, daemon=True).start()
time.sleep(0.5)
print(f"  {'applied by':34}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'count':>7}")
rows = {}
for label, apply in (("REST request", by_rest), ("`kairo apply`, process start incl.", by_program)):
    took = []
    for number in range(count + WARM_UP):
        name = f"latency-{apply.__name__.replace('_', '-')}-{number}"
        begin = time.monotonic()
        apply(workspace(name, "smollm2-135m-instruct", url, registry))
        while True:
            job, at = seen.get(timeout=20)
            if job == name:
                break
        if number >= WARM_UP:
            took.append((at - begin) * 1000)
        cluster.ask("DELETE", f"{WORKSPACES}/{name}")
        while cluster.ask("GET", f"{WORKSPACES}/{name}")[0] != 404:
            time.sleep(0.01)
    rows[apply.__name__] = percentile(took, 0.5)
    print(f"  {label:34}{percentile(took, 0.5):9.1f}{percentile(took, 0.99):9.1f}{max(took):9.1f}{count:7}")
print("ROWS " + json.dumps({"apply": rows["by_rest"]}))
