#!/usr/bin/env python3
"""tests/e2e/event_reader.py - what TensorBoard reads of a run's event files.

usage: event_reader.py points FOLDER        "step loss-as-hex" a line, by EventAccumulator, as they come
       event_reader.py times FOLDER TAG     the number of points of a tag, by EventAccumulator
       event_reader.py served LOGDIR RUN    "step loss-as-hex" a line, by the web server, which people see
       event_reader.py hparams LOGDIR RUN   the run's hparams as the web server has them: JSON
"""
import json
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request


def bits(value):
    return struct.pack(">f", value).hex()


def accumulated(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


class Server:
    """TensorBoard as people start it, on a port of its own choice."""

    def __init__(self, logdir):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", "--logdir", logdir, "--host", "127.0.0.1", "--port", "0",
             "--samples_per_plugin", "scalars=100000", "--reload_interval", "1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "http://" in line:
                self.base = "http://" + line.split("http://")[1].split()[0].rstrip("/")
                return
        sys.exit("tensorboard printed no address")

    def ask(self, path, body=None):
        request = urllib.request.Request(self.base + path, data=body and json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)

    def until(self, ask, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := ask():
                    return found
            except urllib.error.HTTPError:
                pass
            time.sleep(0.3)
        sys.exit("tensorboard does not show the run")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def served(logdir, run):
    query = urllib.parse.urlencode({"run": run, "tag": "train/loss"})
    with Server(logdir) as server:
        for _, step, value in server.until(lambda: server.ask("/data/plugin/scalars/scalars?" + query)):
            print(step, bits(value))


def hparams(logdir, run):
    wish = {"experimentName": "", "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
            "colParams": [], "startIndex": 0, "sliceSize": 100}

    def groups():
        found = server.ask("/data/plugin/hparams/session_groups", wish)["sessionGroups"]
        return [g for g in found if any(s["name"] == run for s in g["sessions"])]

    with Server(logdir) as server:
        group = server.until(groups)[0]
        print(json.dumps({"hparams": group["hparams"], "status": group["sessions"][0].get("status")}))


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "points":
        for event in accumulated(sys.argv[2]).Scalars("train/loss"):
            print(event.step, bits(event.value))
    elif what == "times":
        print(len(accumulated(sys.argv[2]).Scalars(sys.argv[3])))
    elif what == "served":
        served(sys.argv[2], sys.argv[3])
    else:
        hparams(sys.argv[2], sys.argv[3])
