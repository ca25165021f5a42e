#!/usr/bin/env python3
# tests/bench/standby.py - of two processes of an agent the acting one is killed, or ends: until the other acts.
"""usage: standby.py HOME    Polls /metrics of the other every 5 ms. First by a lock on a file, then by a Lease object."""
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

home = sys.argv[1]
AGENTS = ["watcher", "provisioner", "launcher"]  # those of which one acts for the cluster
ROUNDS = 3


class Replica:
    def __init__(self, agent, name, options=()):
        self.process = f"{agent}.{name}"
        self.port_file = f"{home}/run/{self.process}.port"
        if os.path.exists(self.port_file):
            os.remove(self.port_file)  # of an earlier one
        log = open(f"{home}/log/{self.process}.log", "ab")
        self.child = subprocess.Popen(["kairo", "agent", agent, "--replica", name, *options], stdout=log, stderr=log,
                                      env={**os.environ, "KAIRO_HOME": home})

    def ask(self, path):
        try:
            with open(self.port_file) as file:
                return urllib.request.urlopen(f"http://127.0.0.1:{int(file.read())}/{path}", timeout=2).read().decode()
        except (OSError, ValueError, urllib.error.URLError):
            return ""

    def acts(self):
        return any(line.startswith("kairo_acting{") and line.endswith(" 1") for line in self.ask("metrics").splitlines())

    def stands_by(self):
        return self.ask("readyz") == "ok: it stands by\n"

    def end(self, how):
        self.child.send_signal(how)
        if how != signal.SIGSTOP:
            self.child.wait(30)


def until(condition, what):
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > 30:
            sys.exit(f"standby: {what}: not after 30 s")
        time.sleep(0.005)


def takeover(acting, other, how):
    begin = time.monotonic()
    acting.child.send_signal(how)
    until(other.acts, f"{other.process} acts")
    took = (time.monotonic() - begin) * 1000
    acting.child.wait(30)
    return took


def measure(agent, options):
    out = {signal.SIGKILL: [], signal.SIGTERM: []}
    acting = Replica(agent, "bench0", options)
    until(acting.acts, f"{acting.process} acts")
    for number, how in enumerate([signal.SIGKILL, signal.SIGTERM] * ROUNDS):
        other = Replica(agent, f"bench{(number + 1) % 2}", options)
        until(other.stands_by, f"{other.process} stands by")
        time.sleep(0.137 * number % 0.4)  # at another point of the lease's rhythm
        out[how].append(takeover(acting, other, how))
        acting = other
    acting.end(signal.SIGTERM)
    return out


def supervised(agent):
    with open(f"{home}/run/pids") as file:
        pid = int(dict(line.split() for line in file)[agent])
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().decode().split("\0")
    if agent not in words:
        sys.exit(f"standby: process {pid} is not the {agent} of this kairo: {words}")
    return pid


def row(agent, lease, out):
    cells = [f"{sorted(out[how])[ROUNDS // 2]:12.0f}{max(out[how]):10.0f}" for how in (signal.SIGKILL, signal.SIGTERM)]
    print(f"  {agent:12}{lease:8}{cells[0]}{cells[1]}", flush=True)


measured = []
print(f"  {'agent':12}{'lease':8}{'kill -9: ms':>12}{'worst':>10}{'end: ms':>12}{'worst':>10}")
for agent in AGENTS:
    # The supervisor's own holds the file's lock: it is stopped, and its lock is lent by a file of another name.
    pid = supervised(agent)
    os.kill(pid, signal.SIGSTOP)
    try:
        lock = f"{home}/state/{agent}.lease"
        os.rename(lock, lock + ".lent")
        measured.append(measure(agent, []))
        row(agent, "lock", measured[-1])
        os.replace(lock + ".lent", lock)
        measured.append(measure(agent, ["--lease-namespace", "default"]))
        row(agent, "object", measured[-1])
    finally:
        os.kill(pid, signal.SIGCONT)
worst = {name: max(max(out[how]) for out in measured) / 1000 for name, how in (("killed", signal.SIGKILL), ("ended", signal.SIGTERM))}
print("ROWS " + json.dumps(worst))
