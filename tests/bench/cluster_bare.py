# tests/bench/cluster_bare.py - what the API server alone needs: an object is posted until a watch shows it.
import time

from cluster_writes import COPY, clean, define_copy, make_namespace, suspended


def delivery(api, seen, path, objects):
    """Milliseconds from each POST until the object's event, sorted. seen(path): as cluster.Seen, of names."""
    events, out = seen(path), []
    time.sleep(0.5)  # the watch begins
    for made in objects:
        began = time.monotonic()
        api.ask("POST", path, made)
        out.append((events.wait(made["metadata"]["name"]) - began) * 1000)
        time.sleep(0.1)
    return sorted(out)


def named(made, number):
    return made | {"metadata": made["metadata"] | {"name": f"bare-{number}"}}


def bare(api, seen, workspace, then, count=20):
    """Medians for a Workspace, and for what follows from it: `then`, a Job or a claim that kairo has made. Both are
    copies that no controller looks at, with the same definitions and rules."""
    make_namespace(api)
    collection = define_copy(api, "workspaces", "kaito.sh", "v1beta1").rsplit("/", 1)
    path = f"{collection[0]}/namespaces/alone/workspaces"
    first = clean(workspace) | {"apiVersion": f"{COPY}/v1beta1"}
    group, version = then["apiVersion"].split("/")
    if then["kind"] == "Job":
        next_path, following = "/apis/batch/v1/namespaces/alone/jobs", suspended(then)
    else:
        next_path = define_copy(api, then["kind"].lower() + "s", group, version)
        following = clean(then) | {"apiVersion": f"{COPY}/{version}"}
        following["metadata"].pop("namespace")
    return [delivery(api, seen, where, [named(made, n) for n in range(count)])[count // 2]
            for where, made in ((path, first), (next_path, following))]
