#!/usr/bin/env python3
# tests/bench/cluster.py - one mode of provisioning on the control plane that cluster.sh has started.
"""usage: cluster.py own|nodeclaim|karpenter FIGURES COUNT MANY SCALE     DIR, PORT and ns in the environment

Calls are read from the API server's audit log: those of kairo's service accounts, watches and Lease objects apart.
Prints words for people; appends its figures to FIGURES, a line of JSON.
"""
import json
import os
import sys
import threading
import time

from cluster_bare import bare
from cluster_client import JOBS, WORKSPACES, percentile
from cluster_processes import Agents, rss
from cluster_writes import write_rate
from kube_api import Api

mode, figures_file, count, many, scale = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
folder, port, namespace = os.environ["DIR"], int(os.environ["PORT"]), os.environ["ns"]
MACHINE = "Standard_NC24ads_A100_v4"
NODES, CLAIMS = "/api/v1/nodes", {"nodeclaim": "/apis/karpenter.sh/v1/nodeclaims", "karpenter": "/apis/karpenter.sh/v1/nodepools"}
CONTROL = ("watcher", "provisioner", "launcher")
figures = {"sizes": {"count": count, "many": many, "scale": scale}}


def api():
    with open(f"{folder}/admin.token") as file:
        return Api(port, file.read().strip(), f"{folder}/ca.crt")


def tuning(name, label="own"):
    resource = {"labelSelector": {"matchLabels": {"apps": label}}}
    if mode != "own":
        resource = {"instanceType": MACHINE, "labelSelector": {"matchLabels": {"apps": name}}}
    return {"apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": {"name": name, "namespace": "default"},
            "resource": resource,
            "tuning": {"preset": {"name": "smollm2-135m-instruct"}, "method": "qlora", "input": {"urls": ["https://example.org/rows.jsonl"]},
                       "output": {"image": f"registry.example.org/adapters/{name}:1", "imagePushSecret": "push"}}}


class Audit:
    """What kairo's service accounts asked since the last look."""

    def __init__(self):
        self.file = open(f"{folder}/audit.log")
        self.look()

    def look(self):
        out = {"calls": 0, "leases": 0, "conflicts": 0, "by": {}}
        for line in self.file:
            entry = json.loads(line)
            user = entry["user"]["username"]
            if not user.startswith(f"system:serviceaccount:{namespace}:") or entry["verb"] == "watch" or entry["stage"] != "ResponseComplete":
                continue
            resource = entry.get("objectRef", {}).get("resource", "?")
            if resource == "leases":
                out["leases"] += 1
                continue
            subresource = entry["objectRef"].get("subresource")
            what = f"{user.rsplit('-', 1)[1]} {entry['verb']} {resource}{'/' + subresource if subresource else ''}"
            out["calls"] += 1
            out["by"][what] = out["by"].get(what, 0) + 1
            out["conflicts"] += entry["responseStatus"]["code"] == 409
        return out


class Seen:
    """When each object of a kind first satisfied a condition."""

    def __init__(self, path, name_of):
        self.times = {}
        threading.Thread(target=self.follow, args=(path, name_of), daemon=True).start()

    def follow(self, path, name_of):
        for kind, found in api().follow(path):
            name = name_of(kind, found)
            if name:
                self.times.setdefault(name, time.monotonic())

    def wait(self, name, limit=120):
        end = time.monotonic() + limit
        while name not in self.times:
            if time.monotonic() > end:
                sys.exit(f"cluster: nothing of {name} after {limit} s")
            time.sleep(0.0005)
        return self.times[name]


def added(kind, found):
    return found["metadata"]["name"] if kind == "ADDED" else None


def claimed_by(kind, found):
    labels = found["metadata"].get("labels", {})
    return labels.get("kaito.sh/workspace") or labels.get("karpenter.kaito.sh/workspace-name")


def usable_for(kind, node):
    """A node that its agent says to have the model: the name of its Workspace."""
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))
    has_model = node["metadata"].get("annotations", {}).get("kairo.dev/models")
    return node["metadata"]["labels"].get("apps") if ready and has_model else None


def ready_claim(kind, claim):
    conditions = claim.get("status", {}).get("conditions", [])
    return claimed_by(kind, claim) if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) else None


class Both:
    """When two things were true of it."""

    def __init__(self, *parts):
        self.parts = parts

    def wait(self, name):
        return max(part.wait(name) for part in self.parts)


def per(number, total):
    return f"{number / total:.1f} each"


def show_calls(calls, total):
    print(f"    {calls['calls']} calls ({per(calls['calls'], total)}), {calls['conflicts']} conflicts; Lease objects apart: {calls['leases']}")
    for what, number in sorted(calls["by"].items(), key=lambda item: -item[1]):
        print(f"      {number:6} {what}")


def memory(agents, words):
    values = {name: rss(agents.pid_of(name)) for name in agents.names() if name.split("-")[0] in (*CONTROL, "node", "pusher")}
    shown = {name: value for name, value in values.items() if name in CONTROL}
    shown |= {kind: max(v for n, v in values.items() if n.startswith(kind + "-")) for kind in ("node", "pusher")
              if any(n.startswith(kind + "-") for n in values)}
    print(f"  memory with {words}, MiB: " + ", ".join(f"{name} {value:.1f}" for name, value in shown.items()))
    return max(shown.values())


def show_bare(mine, path):
    """The floor of the figure before: both writes and their events, by a client that does nothing else."""
    then = next(o for o in mine.ask("GET", path)["items"] if claimed_by("", o) == "alone-0")
    kind = {"jobs": "Job", "nodeclaims": "NodeClaim", "nodepools": "NodePool"}[path.rsplit("/", 1)[1]]
    parts = bare(mine, lambda where: Seen(where, added), tuning("bare"), then | {"kind": kind, "apiVersion": path[6:].rsplit("/", 1)[0].split("/namespaces")[0]})
    figures[f"{mode}_bare"] = sum(parts)
    print(f"  the API server alone, from a write to its event: Workspace p50 {parts[0]:.1f} ms, {kind} {parts[1]:.1f}; together {sum(parts):.1f}")


def own(agents, mine, jobs):
    time.sleep(1)  # the watch of Jobs begins
    alone = []
    for number in range(30):
        began = time.monotonic()
        mine.ask("POST", WORKSPACES, tuning(f"alone-{number}"))
        alone.append((jobs.wait(f"alone-{number}") - began) * 1000)
        time.sleep(0.2)
    figures["own_job"] = percentile(alone, 0.5)
    print(f"  apply -> Job, one alone: p50 {figures['own_job']:.1f} ms, worst {max(alone):.1f} ms")
    show_bare(mine, JOBS)
    time.sleep(2)
    burst(mine, jobs)

    for number in range(100):
        mine.ask("POST", WORKSPACES, tuning(f"waits-{number}", "nowhere"))
    time.sleep(5)
    audit = Audit()
    time.sleep(30)
    idle = audit.look()
    figures["waiting"] = idle["calls"] / 30
    print(f"  while 100 Workspaces wait: {idle['calls']} calls in 30 s; Lease objects, however many Workspaces there are: {idle['leases'] / 30:.1f} a second")

    rate(mine, jobs)
    figures["rss_many"] = memory(agents, f"{many + 230:,} Workspaces")
    if scale:
        at_scale(agents, mine)


def burst(mine, jobs, usable=None, claims=None):
    audit = Audit()
    began = time.monotonic()
    for number in range(count):
        mine.ask("POST", WORKSPACES, tuning(f"burst-{number}"))
    applied = time.monotonic()
    names = [f"burst-{n}" for n in range(count)]
    last = max(jobs.wait(name, 400) for name in names)
    time.sleep(0.2)
    calls = audit.look()
    print(f"  {count} Workspaces, posted within {applied - began:.1f} s: the last Job {last - applied:.2f} s after the last apply")
    if claims:
        asked = max(claims.wait(name) for name in names)
        after = [jobs.wait(name) - usable.wait(name) for name in names]
        figures[f"{mode}_burst"] = max(after)
        print(f"    the last {'NodePool' if mode == 'karpenter' else 'NodeClaim'} {asked - applied:.2f} s after the last apply; "
              f"from the node, its agent and its claim being ready to the Job: p50 {percentile(after, 0.5) * 1000:.0f} ms, worst {max(after) * 1000:.0f} ms")
    else:
        figures["own_burst"] = last - applied
    figures[f"{mode}_calls"] = calls["calls"]
    figures["conflicts"] = figures.get("conflicts", 0) + calls["conflicts"]
    show_calls(calls, count)


def rate(mine, jobs):
    """All that kairo writes for MANY Workspaces, against the same objects written by curl alone."""
    names = [f"many-{n}" for n in range(many)]
    begin = time.monotonic()
    posters = [threading.Thread(target=post, args=(names[part::4],)) for part in range(4)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    posted = time.monotonic()
    took = max(jobs.wait(name, 300) for name in names) - begin
    time.sleep(8)  # the controllers' pods
    alone = write_rate(mine, folder, port, names)
    figures["rate"] = alone["seconds"] / took
    print(f"  {many} Workspaces: posted in {posted - begin:.1f} s, the last Job after {took:.1f} s; the same {alone['writes']} writes by curl alone "
          f"{alone['seconds']:.1f} s ({alone['writes'] / alone['seconds']:.0f} a second): {100 * figures['rate']:.0f} % of the server's own rate")


def post(names, label="own"):
    mine = api()
    for name in names:
        mine.ask("POST", WORKSPACES, tuning(name, label))


def at_scale(agents, mine):
    names = [f"scale-{n}" for n in range(scale - many - 230)]
    posters = [threading.Thread(target=post, args=(names[part::4], "nowhere")) for part in range(4)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    agents.wait_until_quiet(CONTROL)
    figures["rss_scale"] = memory(agents, f"{scale:,} Workspaces")
    print(f"  kill -9 of an agent that acts, with {scale:,} Workspaces, until its standby acts; five times each")
    worst = []
    for role in CONTROL:
        took = agents.takeovers(role, 5)
        worst += took
        print(f"    {role:12} median {sorted(took)[2]:.2f} s, worst {max(took):.2f} s", flush=True)
    figures["takeover"] = max(worst)


def bought(agents, mine, jobs):
    claims = Seen(CLAIMS[mode], claimed_by)
    usable = Both(Seen(NODES, usable_for), Seen(CLAIMS["nodeclaim"], ready_claim))  # the cloud's and Karpenter's time is over

    def send_agents():  # what the DaemonSet does: to each node that appears
        for kind, node in api().follow(NODES):
            name = node["metadata"]["name"]
            if kind != "DELETED" and f"node-{name}" not in agents.names():
                agents.start("node", name)

    threading.Thread(target=send_agents, daemon=True).start()
    time.sleep(1)
    to_claim, to_job = [], []
    for number in range(10):
        name = f"alone-{number}"
        began = time.monotonic()
        mine.ask("POST", WORKSPACES, tuning(name))
        to_claim.append((claims.wait(name) - began) * 1000)
        to_job.append((jobs.wait(name) - usable.wait(name)) * 1000)
        time.sleep(0.3)
    figures[f"{mode}_claim"], figures[f"{mode}_job"] = percentile(to_claim, 0.5), percentile(to_job, 0.5)
    print(f"  one alone: apply -> {'NodePool' if mode == 'karpenter' else 'NodeClaim'} p50 {figures[mode + '_claim']:.1f} ms; "
          f"node, agent and claim ready -> Job p50 {figures[mode + '_job']:.1f} ms, worst {max(to_job):.1f} ms")
    show_bare(mine, CLAIMS[mode])
    time.sleep(2)
    burst(mine, jobs, usable, claims)
    memory(agents, f"{count + 10} Workspaces")


print(f"\n{mode}: {'nodes that are there' if mode == 'own' else 'nodes bought by a ' + ('NodePool' if mode == 'karpenter' else 'NodeClaim') + ' each'}"
      f"  [load {open('/proc/loadavg').read().split()[0]}]", flush=True)
processes = Agents(folder, namespace, api())
try:
    (own if mode == "own" else bought)(processes, api(), Seen(JOBS, added))
finally:
    processes.end()
with open(figures_file, "a") as out:
    out.write(json.dumps(figures) + "\n")
