#!/usr/bin/env bash
# tensorboard 2.21.0: where its python reader (EventAccumulator) is told to keep 0 scalars, it keeps all of them, as its docs say.
# The web server's --samples_per_plugin takes the same number to mean none: with scalars=0 it has the tag and not one point of it, with
# the fast loader and without, and says nothing; a large number shows all points. Whoever carries the 0 over to see each step
# of a long run sees an empty chart instead.
# kairo's docs (docs/other-programs.md) name a large number.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -c 'import venv' 2>/dev/null || { echo "SKIP: python3's venv is not installed"; exit 77; }
python3 -m venv "$folder/venv"
python=$folder/venv/bin/python3
"$python" -m pip install -q tensorboard==2.21.0 setuptools==80.9.0 >"$folder/pip.log" 2>&1 || {
  echo "SKIP: tensorboard 2.21.0 cannot be installed here"
  exit 77
}
cat >"$folder/look.py" <<'PY'
import json, subprocess, sys, time, urllib.error, urllib.parse, urllib.request

import tensorboard
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

print("tensorboard", tensorboard.__version__, flush=True)
folder, steps = sys.argv[1], 20
writer = EventFileWriter(folder + "/logs/run")
for step in range(1, steps + 1):
    value = Summary.Value(tag="train/loss", simple_value=1 / step)
    writer.add_event(Event(wall_time=1e9 + step, step=step, summary=Summary(value=[value])))
writer.close()


def points(*options):
    server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", folder + "/logs", "--host", "127.0.0.1",
                               "--port", "0", "--reload_interval", "1", *options], stderr=subprocess.PIPE, text=True)
    try:
        base = next("http://" + line.split("http://")[1].split()[0].rstrip("/") for line in server.stderr if "http://" in line)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(base + "/data/plugin/scalars/tags") as reply:
                    if "train/loss" not in json.load(reply).get("run", {}):
                        raise LookupError
                time.sleep(2)  # the tag is known: its points are, too
                query = urllib.parse.urlencode({"run": "run", "tag": "train/loss"})
                with urllib.request.urlopen(base + "/data/plugin/scalars/scalars?" + query) as reply:
                    return str(len(json.load(reply)))
            except urllib.error.HTTPError as error:
                return f"HTTP {error.code}"
            except LookupError:
                time.sleep(0.3)
        return "no tag"
    finally:
        server.terminate()
        server.wait()


seen = {}
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(folder + "/logs/run", size_guidance={"scalars": 0})
events.Reload()
seen["reader"] = str(len(events.Scalars("train/loss")))
print(f"EventAccumulator, size_guidance scalars: 0: {seen['reader']} of {steps} points", flush=True)
for loader in ("true", "false"):
    for samples in ("scalars=0", "scalars=100000"):
        seen[loader, samples] = points("--load_fast", loader, "--samples_per_plugin", samples)
        print(f"--load_fast {loader} --samples_per_plugin {samples}: {seen[loader, samples]} of {steps} points", flush=True)
print("SEEN", " ".join(seen.values()))
PY
"$python" "$folder/look.py" "$folder" 2>"$folder/errors" | tee "$folder/out" | grep -v '^SEEN'
if grep -qx 'SEEN 20 0 20 0 20' "$folder/out"; then echo "as described"; else
  echo "changed; it was 20 0 20 0 20: $(grep '^SEEN' "$folder/out" || tail -n 3 "$folder/errors")"
  exit 1
fi
