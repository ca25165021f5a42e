# tests/bench/cluster_writes.py - the API server's own write rate, for the objects that kairo's agents wrote.
import json
import os
import subprocess
import time

COPY = "bench.example.org"  # the same definition under another name: the agents do not touch what is of it
GROUPS = {"workspaces": "/apis/kaito.sh/v1beta1", "jobs": "/apis/batch/v1", "controllerrevisions": "/apis/apps/v1"}
AT_ONCE = 8  # connections: more make the server no faster on two cores


def clean(found):
    metadata = found["metadata"]
    kept = {key: metadata[key] for key in ("name", "labels", "annotations") if key in metadata}
    return {**{k: v for k, v in found.items() if k not in ("status", "metadata")}, "metadata": kept | {"namespace": "alone"}}


def make_namespace(api):
    if "alone" not in [n["metadata"]["name"] for n in api.ask("GET", "/api/v1/namespaces")["items"]]:
        api.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "alone"}})


def define_copy(api, plural, group, version):
    """The definition under the group COPY, unless it is there. Its collection's path."""
    path, copy = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", f"/apis/{COPY}/{version}/{plural}"
    there = [d["metadata"]["name"] for d in api.ask("GET", path)["items"]]
    if f"{plural}.{COPY}" not in there:
        spec = api.ask("GET", f"{path}/{plural}.{group}")["spec"] | {"group": COPY}
        spec["names"].pop("shortNames", None)
        spec["names"].pop("categories", None)
        api.ask("POST", path, {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                               "metadata": {"name": f"{plural}.{COPY}"}, "spec": spec})
    for _ in range(100):
        try:
            api.ask("GET", copy)
            return copy
        except RuntimeError:
            time.sleep(0.1)
    raise RuntimeError(f"{COPY} is not served")


def suspended(job):
    """A Job as one of kairo's is, whose pod nobody makes: that is the controller's work."""
    job = clean(job) | {"apiVersion": "batch/v1", "kind": "Job"}
    job["spec"].pop("selector", None)
    job["spec"]["suspend"] = True
    for part in ("batch.kubernetes.io/controller-uid", "controller-uid", "batch.kubernetes.io/job-name", "job-name"):
        job["spec"]["template"]["metadata"].get("labels", {}).pop(part, None)
        job["metadata"].get("labels", {}).pop(part, None)
    return job


def write_rate(api, folder, port, names):
    """Writes copies of what is in the namespace default into another one, as often as the agents do for each: the
    Workspace, its revision, finalizer with annotations, a first status, the Job, the last status."""
    make_namespace(api)
    there = {kind: {o["metadata"]["name"]: o for o in api.ask("GET", f"{group}/namespaces/default/{kind}")["items"]}
             for kind, group in GROUPS.items()}
    define_copy(api, "workspaces", "kaito.sh", "v1beta1")
    revisions = {o["metadata"]["labels"]["workspace.kaito.io/name"]: o for o in there["controllerrevisions"].values()}
    phases = [[], [], [], [], [], []]
    for name in names:
        workspace = there["workspaces"][name]
        bare = clean(workspace)
        notes = bare["metadata"].pop("annotations")
        bare |= {"apiVersion": COPY + "/v1beta1", "kind": "Workspace"}
        revision = clean(revisions[name]) | {"apiVersion": "apps/v1", "kind": "ControllerRevision"}
        job = suspended(there["jobs"][name])
        path = {kind: f"{group}/namespaces/alone/{kind}".replace("kaito.sh", COPY) for kind, group in GROUPS.items()}
        status = {"status": workspace["status"]}
        early = {"status": workspace["status"] | {"state": "Pending"}}
        phases[0].append(("POST", path["workspaces"], bare))
        phases[1].append(("POST", path["controllerrevisions"], revision))
        phases[2].append(("PATCH", f"{path['workspaces']}/{name}", {"metadata": {"annotations": notes, "finalizers": ["example.org/bench"]}}))
        phases[3].append(("PATCH", f"{path['workspaces']}/{name}/status", early))
        phases[4].append(("POST", path["jobs"], job))
        phases[5].append(("PATCH", f"{path['workspaces']}/{name}/status", status))
    files = os.path.join(folder, "alone")
    os.makedirs(files)
    configs = [write_config(files, number, phase, folder, port) for number, phase in enumerate(phases)]
    begin = time.monotonic()
    for config in configs:
        done = subprocess.run(["curl", "-q", "-s", "--parallel", "--parallel-max", str(AT_ONCE), "-K", config], capture_output=True, text=True)
        codes = done.stdout.split()
        if done.returncode != 0 or any(code not in ("200", "201") for code in codes):
            raise RuntimeError(f"curl {done.returncode}: {set(codes)} {done.stderr[:200]}")
    return {"seconds": time.monotonic() - begin, "writes": sum(map(len, phases))}


def write_config(files, number, phase, folder, port):
    with open(f"{folder}/admin.token") as file:
        token = file.read().strip()
    stanzas = []
    for at, (method, path, body) in enumerate(phase):
        name = f"{files}/{number}-{at}.json"
        with open(name, "w") as file:
            json.dump(body, file)
        content = "application/json" if method == "POST" else "application/merge-patch+json"
        stanzas.append("\n".join([
            f'url = "https://127.0.0.1:{port}{path}"', f"request = {method}", f'header = "Authorization: Bearer {token}"',
            f'header = "Content-Type: {content}"', f'data = "@{name}"', f'cacert = "{folder}/ca.crt"', 'output = "/dev/null"',
            'write-out = "%{http_code}\\n"', "max-time = 60"]))
    config = f"{files}/{number}.curl"
    with open(config, "w") as file:
        file.write("\nnext\n".join(stanzas) + "\n")
    return config
