# tests/bench/cluster_client.py - the few REST calls that the benchmarks make, on one connection each.
import http.client
import json
import math
import os
import urllib.request


class Cluster:
    def __init__(self, home):
        with open(os.path.join(home, "run/ports.json")) as file:
            self.port = json.load(file)["cluster"]
        with open(os.path.join(home, "secrets/admin.token")) as file:
            self.headers = {"Authorization": "Bearer " + file.read().strip()}
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)

    def ask(self, method, path, body=None, content="application/json"):
        headers = self.headers | ({"Content-Type": content} if body else {})
        self.connection.request(method, path, body, headers)
        reply = self.connection.getresponse()
        return reply.status, json.loads(reply.read() or b"{}")

    def apply(self, path, document):
        status, answer = self.ask("PATCH", f"{path}/{document['metadata']['name']}?fieldManager=bench&force=true",
                                  json.dumps(document), "application/apply-patch+yaml")
        if status >= 300:
            raise RuntimeError(f"{status}: {answer.get('message', answer)}")

    def watch(self, path):
        """Yields (type, object) for ever, from now on."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        _, listing = self.ask("GET", path)
        version = listing["metadata"]["resourceVersion"]
        connection.request("GET", f"{path}?watch=1&resourceVersion={version}", headers=self.headers)
        reply = connection.getresponse()
        while line := reply.readline():
            if line.strip():
                event = json.loads(line)
                yield event["type"], event["object"]


WORKSPACES = "/apis/kaito.sh/v1beta1/namespaces/default/workspaces"
JOBS = "/apis/batch/v1/namespaces/default/jobs"


def workspace(name, preset, url, registry):
    return {
        "apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": {"name": name, "namespace": "default"},
        "resource": {"labelSelector": {"matchLabels": {"kubernetes.io/os": "linux"}}},
        "tuning": {"preset": {"name": preset}, "method": "qlora", "input": {"urls": [url]},
                   "output": {"image": f"localhost:{registry}/bench/{name}:1",
                              "imagePushSecret": "kairo-local-registry"}}}


AGENTS = ("watcher", "provisioner", "launcher", "node", "pusher")


def metric(home, agent, name):
    with open(f"{home}/run/{agent}.port") as file:
        port = file.read().strip()
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    return sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith(name + "{"))


def is_ready(home, agent):
    try:
        with open(f"{home}/run/{agent}.port") as file:
            port = int(file.read())
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).status == 200
    except (OSError, ValueError):
        return False


def pid_of(home, agent):
    with open(f"{home}/run/pids") as file:
        return dict(line.split() for line in file).get(agent)


def percentile(values, share):
    """Nearest rank: the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
