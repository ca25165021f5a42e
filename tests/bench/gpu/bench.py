#!/usr/bin/env python3
"""tests/bench/gpu/bench.py - kairo on a GPU: right first, then fast, beside the peers in the same call.

usage: bench.py [--out FOLDER] [--shape llama8b] [--seconds 580] [--only PART...]

It needs an NVIDIA driver from 580 on and a python3 with torch 2.11, transformers and peft; pack.sh has put all else beside it.
Parts in their order: tests, sanitizer, parity, kernels, qlora, lora, serve. A part that fails is named, and the others go on.
Whole output of each command lies in FOLDER; the table comes last. Without a GPU `--device aten-cpu --shape tiny` shows that
the script itself works."""
import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "python"))
import torch

import measures
import shapes

parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].partition("\n")[0], epilog=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--out", default=os.path.join(HERE, "out"))
parser.add_argument("--shape", choices=shapes.SHAPES, default="llama8b")
parser.add_argument("--device", default="cuda")
parser.add_argument("--seconds", type=float, default=580)
parser.add_argument("--only", nargs="+", default=["tests", "sanitizer", "parity", "kernels", "qlora", "lora", "serve"])
a = parser.parse_args()
on_gpu = a.device == "cuda"
if on_gpu and not torch.cuda.is_available():
    sys.exit("SKIP: this python's torch finds no NVIDIA GPU; --device aten-cpu --shape tiny tries the script")
began = time.monotonic()
os.makedirs(a.out, exist_ok=True)
run = measures.Run(a.out, began + a.seconds)
work = tempfile.mkdtemp(prefix="kairo-bench-")
model, small = os.path.join(work, "model"), os.path.join(work, "small")
little = 8 if a.shape == "tiny" else 1  # of it, where only the script is tried
table, failures, bound = [], [], {}  # rows: words, figure, goal, is met


def say(text):
    print(f"[{time.monotonic() - began:5.0f} s] {text}", flush=True)


def row(words, figure, goal="", is_met=None):
    table.append((words, figure, goal, is_met))
    say(f"{words}: {figure}")


def ratio(words, ours, theirs, unit, goal, at_most=False):
    times = ours / theirs
    is_met = times <= goal if at_most else times >= goal
    row(words, f"{ours:,.0f} {unit} beside {theirs:,.0f}: {times:.2f}x", f"{'<=' if at_most else '>='} {goal}x", is_met)


def rows_file(name, count, shortest, longest, shape):
    path = os.path.join(work, f"{name}.rows")
    if not os.path.exists(path):
        shapes.make_rows(path, count, shortest // little, longest // little, shapes.SHAPES[shape][6])
    return path


def the_model():
    if not os.path.exists(model):
        begin = time.monotonic()
        shapes.make_model(a.shape, model, os.path.join(HERE, "tokenizer"), "cuda" if on_gpu else "cpu")
        say(f"random weights of {a.shape}, {shapes.parameters(a.shape) / 1e9:.2f}e9: {time.monotonic() - begin:.0f} s")
    return model


def tests():
    text, _ = run("selftest", measures.program("kairo-tune"), "selftest", "--device", a.device)
    row("self-test", text.strip())
    if not on_gpu:
        return
    for name, test, only in (("kernels", "test_gpu_cuda", ()), ("seam", "test_gpu_engine", ("-tc=*on a GPU*",)),
                             ("families", "test_gpu_families", ("-tc=*on a GPU*",))):
        done = measures.doctest(run, f"test_{name}", test, *only)
        row(f"tests: {name}", f"{done['cases']} cases passed in {done['seconds']:.0f} s")


def sanitizer():
    tool = shutil.which("compute-sanitizer")
    if not on_gpu or tool is None:
        row("compute-sanitizer", "not there")
        return
    for check in ("memcheck", "racecheck"):
        done = measures.doctest(run, check, "test_gpu_cuda", "-tc=*stored matrix*,*NF4*,*square norms*",
                                tool=(tool, "--tool", check, "--error-exitcode", "9"))
        row(f"compute-sanitizer {check}", f"no errors in {done['cases']} cases, {done['seconds']:.0f} s")


def parity():
    shape = "tiny" if a.shape == "tiny" else "smollm2"
    shapes.make_model(shape, small, os.path.join(HERE, "tokenizer"), "cpu")
    rows, steps = rows_file("small", 64, 40, 90, shape), str(100 // little)
    on_cpu = measures.train(run, "parity_cpu", "cpu", small, rows, "--batch", "4", "--steps", steps, "--type", "fp32")
    for kind, goal in (("fp32", 1e-5), ("bf16", 5e-3)):
        ours = measures.train(run, f"parity_{kind}", a.device, small, rows, "--batch", "4", "--steps", steps, "--type", kind)
        most = measures.apart(ours, on_cpu)
        row(f"loss of {steps} steps beside the CPU's, {kind}", f"{most:.1e} apart at most", f"<= {goal}", most <= goal)


def kernels():
    if not on_gpu:
        return
    bound.update(measures.ceilings())
    row("copy; bf16 products", f"{bound['copy_bytes'] / 1e12:.2f} TB/s; {bound['flops'] / 1e12:.0f} TFLOP/s")
    for name, rate in measures.kernels().items():
        share = rate / bound["copy_bytes"]
        goal = 0.85 if name == "nf4" else None
        row(f"kernel {name}, of the copy's bytes a second", f"{share:.2f}", f">= {goal}" if goal else "",
            share >= goal if goal else None)


def compare(name, method, rows, ours, theirs, goal, peak_goal=None):
    """Tokens a second, and the peak of the device's memory."""
    a_run = measures.train(run, f"{name}_kairo", a.device, the_model(), rows, "--method", method, "--type", "bf16", *ours)
    speed = measures.tokens_a_second(a_run)
    try:
        other = measures.peer(run, f"{name}_peft", "cuda" if on_gpu else "cpu", the_model(), rows, "--method", method, *theirs)
    except Exception as error:  # out of memory, say: ours is told alone
        row(f"{name}, tokens/s", f"{speed:,.0f}; the peer: {error}")
        return speed
    ratio(f"{name}, tokens/s beside peft", speed, measures.tokens_a_second(other), "tokens/s", goal)
    if peak_goal and other["peak_device_bytes"] and a_run["peak_device_bytes"]:
        ratio(f"{name}, peak MiB beside peft", a_run["peak_device_bytes"] / 2**20, other["peak_device_bytes"] / 2**20, "MiB",
              peak_goal, at_most=True)
    return speed


def qlora():
    default = rows_file("default", 256, 200, 400, a.shape)
    compare("QLoRA, batch 1 of 200-400 tokens", "qlora", default, ("--batch", "1", "--steps", "25"), ("--steps", "13"), 6)
    long = rows_file("long", 64, 1000, 1024, a.shape)
    big = compare("QLoRA, 8 rows of 1,024", "qlora", long, ("--batch", "8", "--steps", "7"),
                  ("--batch", "8", "--steps", "5", "--checkpointing"), 1.8)
    compare("QLoRA, 1,024 x 1", "qlora", long, ("--batch", "1", "--steps", "7"), ("--steps", "7"), 1, peak_goal=0.6)
    lora = measures.train(run, "lora_8", a.device, the_model(), long, "--type", "bf16", "--batch", "8", "--steps", "7")
    share = big / measures.tokens_a_second(lora)
    row("QLoRA / LoRA, 8 rows of 1,024", f"{share:.2f}", ">= 0.95", share >= 0.95)


def lora():
    rows = rows_file("longest", 16, 4090, 4096, a.shape)
    done = measures.train(run, "lora", a.device, the_model(), rows, "--type", "bf16", "--batch", "2", "--steps", "7")
    speed = measures.tokens_a_second(done)
    row("LoRA bf16, 4,096 x 2", f"{speed:,.0f} tokens/s", ">= 14,000", speed >= 14000)
    row("start to first step, page cache warm", f"{done['first_step_at_seconds']:.1f} s", "<= 6 s", done["first_step_at_seconds"] <= 6)


def serve():
    for weights in ("stored", "nf4"):
        rates = measures.serve(run, a.device, the_model(), weights, (1, 8, 32), 128 if on_gpu else 8)
        size = shapes.parameters(a.shape) * (2 if weights == "stored" else 0.53)
        most = bound.get("copy_bytes", 0) / size  # tokens/s of one stream, were the weights' bytes all
        share = rates[1] / most if most else 0
        row(f"generate, {weights}: 1 / 8 / 32 streams", " / ".join(f"{rate:,.0f}" for rate in rates.values()) + " tokens/s" +
            (f"; one is {share:.2f} of the memory's bound" if most else ""), ">= 0.8" if weights == "stored" and most else "",
            share >= 0.8 if weights == "stored" and most else None)


if on_gpu:
    row("machine", f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
for part in a.only:
    try:
        globals()[part]()
    except Exception as error:  # pylint: disable=broad-except
        failures.append(part)
        with open(os.path.join(a.out, f"failed_{part}.log"), "w", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        row(f"FAILED {part}", str(error)[:600])
shutil.rmtree(work, ignore_errors=True)
lines = [f"{'':52}{'seen':64}goal"]
for words, figure, goal, is_met in table:
    lines.append(f"{words:52}{figure:64}{goal}{'' if is_met is None else '  met' if is_met else '  NOT MET'}")
with open(os.path.join(a.out, "table.json"), "w", encoding="utf-8") as file:
    json.dump(table, file, indent=1)
print("\n" + "\n".join(lines))
sys.exit(1 if failures else 0)
