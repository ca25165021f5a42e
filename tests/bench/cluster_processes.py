# tests/bench/cluster_processes.py - kairo's agents of one cluster: those that kairo.sh has started, and more like them.
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


def rss(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Agent:
    def __init__(self, child, health):
        self.child, self.health = child, health

    def metric(self, name):
        try:
            text = urllib.request.urlopen(f"http://{self.health}/metrics", timeout=2).read().decode()
        except (OSError, urllib.error.URLError):
            return None
        return next((int(line.split()[-1]) for line in text.splitlines() if line.startswith(name + "{")), None)

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"http://{self.health}/readyz", timeout=2).status == 200
        except (OSError, urllib.error.URLError):
            return False


class Agents:
    def __init__(self, folder, namespace, api):
        self.folder, self.namespace, self.api, self.more = folder, namespace, api, {}

    def words_of(self, role):
        with open(f"{self.folder}/{role}.cmd") as file:
            return shlex.split(file.read())

    def names(self):
        return {name[:-4] for name in os.listdir(self.folder) if name.endswith(".pid")} | set(self.more)

    def pid_of(self, name):
        if name in self.more:
            return self.more[name].child.pid
        with open(f"{self.folder}/{name}.pid") as file:
            return int(file.read().split()[0])

    def spawn(self, name, role, changed):
        """As the watcher runs, with these settings instead of its own; None takes one away."""
        health = f"127.0.0.1:{free_port()}"
        changed = changed | {"KAIRO_HEALTH_ADDRESS": health, "KAIRO_BUS_PASSWORD_FILE": f"{self.folder}/bus/{role}.password"}
        words = []
        for word in self.words_of("watcher"):
            key = word.split("=")[0]
            if key in changed and re.fullmatch(r"KAIRO_\w+", key):
                word = None if changed[key] is None else f"{key}={changed.pop(key)}"
            words += [] if word is None else [word]
        words[-1] = role
        at = words.index("env") + 1
        words[at:at] = [f"{key}={value}" for key, value in changed.items() if value is not None]
        log = open(f"{self.folder}/{name}.log", "ab")
        child = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        self.more[name] = Agent(child, health)
        return self.more[name]

    def kubeconfig(self, account, name, bound=None):
        spec = {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": 86400}
        if bound:
            spec["boundObjectRef"] = {"kind": "Node", "apiVersion": "v1", "name": bound}
        answer = self.api.ask("POST", f"/api/v1/namespaces/{self.namespace}/serviceaccounts/kairo-{account}/token",
                              {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
        with open(f"{self.folder}/{name}.token", "w") as file:
            file.write(answer["status"]["token"])
        with open(f"{self.folder}/watcher.kubeconfig") as file:
            text = re.sub(r"tokenFile: [^}]*", f"tokenFile: {self.folder}/{name}.token", file.read())
        with open(f"{self.folder}/{name}.kubeconfig", "w") as file:
            file.write(text)
        return f"{self.folder}/{name}.kubeconfig"

    def start(self, role, node):
        """One of a node."""
        name = f"{role}-{node}"
        return self.spawn(name, role, {
            "KAIRO_LEASE_NAMESPACE": None, "KAIRO_NODE": node, "KAIRO_KUBECONFIG": self.kubeconfig(role, name, node),
            "KAIRO_STATE_DIR": f"{self.folder}/state/{node}", "KAIRO_RUNS_DIR": f"{self.folder}/runs/{node}"})

    def replica(self, role, number):
        """Another one of the control plane's: it stands by until it has the lease."""
        return self.spawn(f"{role}.{number}", role, {
            "KAIRO_KUBECONFIG": f"{self.folder}/{role}.kubeconfig", "KAIRO_STATE_DIR": f"{self.folder}/state/{role}.{number}"})

    def takeovers(self, role, rounds):
        """Seconds from the kill of the one that acts to the other's first act, each time."""
        out, acting = [], self.pid_of(role)
        for number in range(rounds):
            other = self.replica(role, number)
            self.until(lambda: other.is_ready() and other.metric("kairo_acting") == 0, f"{role} {number} stands by", 60)
            time.sleep(2 + 0.137 * number % 0.4)  # warm, and at another point of the lease's rhythm
            begin = time.monotonic()
            os.kill(acting, signal.SIGKILL)
            self.until(lambda: other.metric("kairo_acting") == 1, f"{role} {number} acts", 60)
            out.append(time.monotonic() - begin)
            acting = other.child.pid
        return out

    def until(self, condition, what, limit):
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                sys.exit(f"cluster: {what}: not after {limit} s")
            time.sleep(0.005)

    def wait_until_quiet(self, roles):
        """No rows wait in any outbox for two seconds."""
        agents = []
        for role in roles:
            health = next(w for w in self.words_of(role) if w.startswith("KAIRO_HEALTH_ADDRESS=")).split("=")[1]
            agents.append(Agent(None, health))
        since, end = time.monotonic(), time.monotonic() + 600
        while time.monotonic() - since < 2:
            if any(agent.metric("kairo_outbox_rows") for agent in agents):
                since = time.monotonic()
            if since > end:
                sys.exit("cluster: the agents are not quiet after 600 s")
            time.sleep(0.2)

    def end(self):
        for agent in self.more.values():
            agent.child.kill()
        for agent in self.more.values():
            agent.child.wait()
