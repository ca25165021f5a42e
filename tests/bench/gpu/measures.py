"""tests/bench/gpu/measures.py - what bench.py runs, one function a measure; each gives a dictionary of figures."""
import ctypes
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import torch

HERE = os.path.dirname(os.path.abspath(__file__))


def environment():
    """Of our programs: libtorch and NVIDIA's libraries are those of this machine's python."""
    site = os.path.dirname(os.path.dirname(torch.__file__))
    nvidia = os.path.join(site, "nvidia")
    folders = [os.path.join(HERE, "lib"), os.path.join(site, "torch", "lib")]
    if os.path.isdir(nvidia):
        folders += sorted(os.path.join(nvidia, name, "lib") for name in os.listdir(nvidia))
    before = os.environ.get("LD_LIBRARY_PATH")
    return os.environ | {"LD_LIBRARY_PATH": ":".join(folders + ([before] if before else [])),
                         "KAIRO_GOLDEN": os.path.join(HERE, "golden"), "HF_HUB_OFFLINE": "1", "GOMP_SPINCOUNT": "1000",
                         "KAIRO_CUDA_PLUGIN": os.path.join(HERE, "bin", "libkairo_cuda.so"),
                         "PYTHONPATH": os.path.join(HERE, "python")}


class Run:
    """Runs commands, keeps their whole output as files, and the most memory that the GPU had meanwhile."""

    def __init__(self, out, deadline):
        self.out, self.deadline = out, deadline

    def left(self):
        return max(1, self.deadline - time.monotonic())

    def __call__(self, name, *command, limit=120):
        begin = time.monotonic()
        with open(os.path.join(self.out, f"{name}.log"), "w", encoding="utf-8") as log:
            done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, stderr=log, text=True, check=False,
                                  timeout=min(limit, self.left()))
            log.write(done.stdout)
        if done.returncode != 0:
            raise RuntimeError(f"{name}: exit code {done.returncode}; the end of {name}.log: {tail(log.name)}")
        return done.stdout, time.monotonic() - begin

    def json(self, name, *command, limit=120):
        text, _ = self(name, *command, limit=limit)
        return json.loads(text.strip().splitlines()[-1])


def tail(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return " ".join(file.read().split()[-60:])


def program(name):
    return os.path.join(HERE, "bin", name)


def doctest(run, name, test, *arguments, tool=()):
    text, seconds = run(name, *tool, program(test), *arguments, limit=200)
    line = next(row for row in text.splitlines() if "test cases:" in row)
    return {"cases": line.split("test cases:")[1].split("|")[0].strip(), "seconds": seconds}


def timed(action, repeats=5):
    """Median seconds of an action on the GPU."""
    for _ in range(2):
        action()
    seconds = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        action()
        end.record()
        torch.cuda.synchronize()
        seconds.append(begin.elapsed_time(end) / 1000)
    return statistics.median(seconds)


def ceilings():
    """What the machine does at best: bytes read and written a second by a copy, bf16 products."""
    source = torch.randn(1 << 30, device="cuda")
    target = torch.empty_like(source)
    copy = 2 * source.nbytes / timed(lambda: target.copy_(source))
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    b = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    return {"copy_bytes": copy, "flops": 2 * 8192**3 / timed(lambda: a @ b)}


class Mat(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("type", ctypes.c_int32), ("rows", ctypes.c_int64), ("cols", ctypes.c_int64),
                ("ld", ctypes.c_int64)]


class Nf4(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("packed", "scales", "group_scales", "map")] + [("offset", ctypes.c_float)]


class Frozen(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("nf4", Nf4), ("rows", ctypes.c_int64), ("cols", ctypes.c_int64),
                ("kind", ctypes.c_int32)]


def kernels():
    """Bytes a second of NF4 -> bf16, and of one row and eight times a stored matrix, at sizes beyond the cache."""
    library = ctypes.CDLL(program("libkairo_cuda.so"))
    rows, cols = 32768, 8192
    n = rows * cols
    packed = torch.randint(0, 256, (n // 2,), device="cuda", dtype=torch.uint8)
    scales = torch.randint(0, 256, (n // 64,), device="cuda", dtype=torch.uint8)
    groups, table = torch.rand(n // 64 // 256, device="cuda"), torch.rand(256, device="cuda")
    nf4 = Nf4(packed.data_ptr(), scales.data_ptr(), groups.data_ptr(), table.data_ptr(), 0.5)
    weights = torch.randn(rows, cols, device="cuda").to(torch.bfloat16)

    def call(function, *arguments):
        code = function(*arguments, None)
        if code != 0:
            raise RuntimeError(f"a launch gave code {code}")

    to = Mat(torch.empty_like(weights).data_ptr(), 1, rows, cols, cols)
    out = {"nf4": (n / 2 + n / 64 + 2 * n) / timed(lambda: call(library.kairo_cuda_dequantise, to, nf4))}
    for count in (1, 8):
        x, y = torch.randn(count, cols, device="cuda"), torch.empty(count, rows, device="cuda")
        x_view, y_view = Mat(x.data_ptr(), 0, count, cols, cols), Mat(y.data_ptr(), 0, count, rows, rows)
        for name, frozen, size in (("bf16", Frozen(weights.data_ptr(), Nf4(), rows, cols, 1), 2 * n),
                                   ("nf4", Frozen(0, nf4, rows, cols, 3), n / 2 + n / 64)):
            seconds = timed(lambda: call(library.kairo_cuda_frozen, y_view, x_view, frozen))
            out[f"rows_{name}_{count}"] = size / seconds
    return out


def train(run, name, device, model, rows, *arguments, limit=150):
    return run.json(name, program("train_bench"), "--device", device, "--model", model, "--rows", rows, "--rank", "16",
                    "--alpha", "32", "--learning-rate", "2e-4", "--schedule", "constant", "--clip", "0", *arguments, limit=limit)


def peer(run, name, device, model, rows, *arguments, limit=150):
    return run.json(name, sys.executable, os.path.join(HERE, "peer.py"), model, rows, "--device", device, *arguments, limit=limit)


def tokens_a_second(figures):
    """Median of three parts of the steps after the first."""
    steps = list(zip(figures["step_tokens"], figures["step_seconds"]))[1:]
    parts = [steps[i * len(steps) // 3:(i + 1) * len(steps) // 3] for i in range(3)]
    return statistics.median(sum(t for t, _ in part) / sum(s for _, s in part) for part in parts if part)


def apart(a, b):
    """The largest relative difference of two rows of losses."""
    return max(abs(x - y) / abs(y) for x, y in zip(a["losses"], b["losses"]))


def ask(port, tokens):
    body = {"prompt": "Once upon a time", "temperature": 0, "max_tokens": tokens}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)["usage"]["completion_tokens"]


def serve(run, device, model, weights, streams, tokens):
    """Tokens a second of so many clients at once."""
    port = 17511
    with open(os.path.join(run.out, f"serve_{weights}.log"), "w", encoding="utf-8") as log:
        server = subprocess.Popen([program("kairo-serve"), "--model", model, "--name", "base", "--device", device, "--port", str(port),
                                   "--slots", str(max(streams)), "--context", "512", "--weights", weights],
                                  env=environment(), stdout=log, stderr=log)
    try:
        while True:
            try:
                ask(port, 4)
                break
            except OSError:
                if server.poll() is not None or run.left() < 30:
                    raise RuntimeError(f"the server did not start: {tail(log.name)}") from None
                time.sleep(0.2)
        out = {}
        for count in streams:
            done = []
            begin = time.monotonic()
            threads = [threading.Thread(target=lambda: done.append(ask(port, tokens))) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if len(done) != count:
                raise RuntimeError(f"{len(done)} of {count} requests were answered")
            out[count] = sum(done) / (time.monotonic() - begin)
        return out
    finally:
        server.terminate()
        server.wait()
