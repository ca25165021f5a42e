#!/usr/bin/env python3
# tests/bench/kube.py - the five agents on a real Kubernetes API server: calls, time to the last Job, memory.
"""usage: kube.py KUBE_SERVER MODELS COUNT PODS    `kairo` and nats-server are in PATH.

No kubelet and no controllers: Jobs are made, nothing runs. The agents speak plain HTTP to a proxy, which counts.
Prints words for people, then a line "ROWS {...}" for run.sh.
"""
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from cluster_client import AGENTS, JOBS, WORKSPACES, is_ready, percentile
from kube_api import Api

kube_server, models, count, pods = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
here = os.path.dirname(os.path.abspath(__file__))
children, work = [], tempfile.mkdtemp()


def start(words, **more):
    children.append(subprocess.Popen(words, **more))
    return children[-1]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def api_of(server):
    """Of the API server itself, not through the proxy."""
    with open(server[1]) as file:
        return Api(int(server[0].rsplit(":", 1)[1]), file.read().strip(), server[2])


def make_home(token, cluster_port, nats_port):
    home = os.path.join(work, "home")
    for part in ("secrets", "run", "log", "state", "runs"):
        os.makedirs(os.path.join(home, part))
    for agent in AGENTS + ("admin",):
        for kind, secret in (("token", token), ("nats", "any")):
            with open(os.path.join(home, f"secrets/{agent}.{kind}"), "w") as file:
                file.write(secret + "\n")
    with open(os.path.join(home, "run/ports.json"), "w") as file:
        json.dump({"nats": nats_port, "cluster": cluster_port, "registry": 0}, file)
    return home


def show_node(api):
    node = {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "local", "labels": {"kubernetes.io/hostname": "local", "kubernetes.io/os": "linux",
                                                     "kairo.dev/local": "true"}}}
    room = {"cpu": "2", "memory": "16Gi", "pods": "110"}
    status = {"capacity": room, "allocatable": room, "conditions": [{"type": "Ready", "status": "True", "reason": "Bench"}]}
    api.ask("POST", "/api/v1/nodes", node)
    api.ask("PATCH", "/api/v1/nodes/local/status", {"status": status}, "application/merge-patch+json")


def tuning(name):
    return {"apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": {"name": name, "namespace": "default"},
            "resource": {"labelSelector": {"matchLabels": {"kubernetes.io/os": "linux"}}},
            "tuning": {"preset": {"name": "smollm2-135m-instruct"}, "method": "qlora",
                       "input": {"urls": ["https://example.org/x.jsonl"]},
                       "output": {"volumeSource": {"persistentVolumeClaim": {"claimName": "adapters"}}}}}


def rss(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def until(limit, what, done):
    end = time.monotonic() + limit
    while not done():
        if time.monotonic() > end:
            sys.exit(f"kube: {what} did not come within {limit} s")
        time.sleep(0.02)


def run():
    server = start([kube_server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    words = server.stdout.readline().split()
    if not words:
        return server.wait()
    api = api_of(words)
    show_node(api)
    proxy_port, nats_port = free_port(), free_port()
    proxy = start([sys.executable, os.path.join(here, "tls_proxy.py"), str(proxy_port), str(api.port), words[2]],
                  stdout=subprocess.PIPE, text=True)
    proxy.stdout.readline()
    start(["nats-server", "-a", "127.0.0.1", "-p", str(nats_port), "-js", "-sd", os.path.join(work, "js")],
          stderr=subprocess.DEVNULL)
    with open(words[1]) as file:
        home = make_home(file.read().strip(), proxy_port, nats_port)
    environment = os.environ | {"KAIRO_HOME": home, "KAIRO_MODELS": models}

    def start_agent(agent):
        log = open(os.path.join(home, f"log/{agent}.log"), "w")
        return start(["kairo", "agent", agent], env=environment, stderr=log)

    agents = {agent: start_agent(agent) for agent in AGENTS}
    until(60, "the agents' readiness", lambda: all(is_ready(home, a) for a in AGENTS))
    time.sleep(2)

    def counted():
        proxy.send_signal(signal.SIGUSR1)
        return json.loads(proxy.stdout.readline())

    seen = queue.Queue()

    def follow():
        for kind, job in api_of(words).watch(JOBS):
            if kind == "ADDED":
                seen.put((job["metadata"]["name"], time.monotonic()))

    threading.Thread(target=follow, daemon=True).start()
    time.sleep(0.5)

    def wait_for(names):
        while names:
            name, at = seen.get(timeout=60)
            names.discard(name)
        return at

    alone = []
    for number in range(20):
        began = time.monotonic()
        api.ask("POST", WORKSPACES, tuning(f"alone-{number}"))
        alone.append((wait_for({f"alone-{number}"}) - began) * 1000)
        time.sleep(0.2)
    time.sleep(2)
    before = counted()
    for number in range(count):
        api.ask("POST", WORKSPACES, tuning(f"burst-{number}"))
    applied = time.monotonic()
    last = wait_for({f"burst-{n}" for n in range(count)})
    after = counted()
    calls = {m: after.get(m, 0) - before.get(m, 0) for m in ("GET", "POST", "PUT", "PATCH", "DELETE")}
    reads, all_calls = calls["GET"], sum(calls.values())
    print(f"  {count} tunings, to the last Job: {all_calls} calls ({reads} reads), "
          f"last Job {last - applied:.2f} s after the last apply; one alone: p50 {percentile(alone, 0.5):.1f} ms")

    foreign = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i", "env": [
        {"name": "SOME_VARIABLE", "value": "x" * 200}]}]}}

    def new_watcher():  # its memory when it has listed what is there
        agents["watcher"].kill()
        agents["watcher"].wait()
        os.remove(f"{home}/run/watcher.port")
        agents["watcher"] = start_agent("watcher")
        until(60, "the watcher's readiness", lambda: is_ready(home, "watcher"))
        time.sleep(3)
        return rss(agents["watcher"].pid)

    start_mib = new_watcher()

    def make(part):
        mine = api_of(words)
        for number in range(part, pods, 4):
            mine.ask("POST", "/api/v1/namespaces/default/pods", foreign | {"metadata": {"name": f"foreign-{number}"}})

    makers = [threading.Thread(target=make, args=(part,)) for part in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    there = api.ask("GET", "/api/v1/namespaces/default/pods?limit=1")
    there = len(there["items"]) + there["metadata"].get("remainingItemCount", 0)
    if there != pods:
        sys.exit(f"kube: {there} of {pods} foreign pods could be made")
    grown = new_watcher() - start_mib
    print(f"  {pods} foreign pods: a watcher that has started holds {grown:+.1f} MiB more")
    print("ROWS " + json.dumps({"calls": all_calls, "last": last - applied, "alone": percentile(alone, 0.5), "rss": grown}))
    return 0


status = 1
try:
    status = run()
finally:
    for child in reversed(children):
        child.kill()
    for child in children:
        child.wait()
    shutil.rmtree(work, ignore_errors=True)
sys.exit(status)
