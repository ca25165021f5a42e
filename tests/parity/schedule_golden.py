# tests/parity/schedule_golden.py - the learning rates of transformers' get_scheduler, for every kind that has a rule of
# its own. usage: schedule_golden.py OUT_DIR (make_golden.py calls it, too)
import json
import os
import sys

import torch
from transformers import get_scheduler

CASES = [
    ("linear", 20, 4, {}),
    ("linear", 5, 9, {}),
    ("cosine", 20, 4, {}),
    ("cosine", 20, 0, {"num_cycles": 1.5}),
    ("cosine_with_restarts", 20, 4, {}),
    ("cosine_with_restarts", 21, 3, {"num_cycles": 3}),
    ("polynomial", 20, 4, {}),
    ("polynomial", 20, 4, {"power": 2.0, "lr_end": 1e-5}),
    ("polynomial", 4, 9, {"power": 0.5}),
    ("constant", 20, 4, {}),
    ("constant_with_warmup", 20, 4, {}),
    ("inverse_sqrt", 20, 4, {}),
    ("inverse_sqrt", 20, 0, {}),
    ("inverse_sqrt", 20, 4, {"timescale": 9}),
    ("cosine_with_min_lr", 20, 4, {"min_lr": 1e-5}),
    ("cosine_with_min_lr", 20, 4, {"min_lr_rate": 0.1, "num_cycles": 1}),
    ("cosine_warmup_with_min_lr", 20, 4, {"min_lr": 1e-5}),
    ("cosine_warmup_with_min_lr", 20, 4, {"min_lr_rate": 0.1, "warmup_lr_rate": 0.2}),
    ("cosine_warmup_with_min_lr", 20, 1, {"min_lr_rate": 0.1, "warmup_lr_rate": 0.2}),
    ("warmup_stable_decay", 20, 4, {"num_decay_steps": 8}),
    ("warmup_stable_decay", 20, 4, {"num_decay_steps": 30, "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", 20, 4, {"num_decay_steps": 6, "num_stable_steps": 3, "min_lr_ratio": 0.05}),
] + [
    ("warmup_stable_decay", 20, 4, {"num_decay_steps": 8, "warmup_type": w, "decay_type": d, "num_cycles": 0.75})
    for w, d in [("linear", "linear"), ("cosine", "cosine"), ("1-sqrt", "1-sqrt")]
]
PEAK = 2e-4


def rates(name, total, warmup, kwargs):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = get_scheduler(name, optimizer, warmup, total, kwargs)
    out = []
    for _ in range(total):
        out.append(scheduler.get_last_lr()[0])
        optimizer.step()
        if len(out) < total:  # polynomial divides by zero one step further when all is warm-up
            scheduler.step()
    return out


def write(folder):
    cases = [{"name": name, "total": total, "warmup": warmup, "kwargs": {k: str(v) for k, v in kwargs.items()},
              "peak": PEAK, "rates": rates(name, total, warmup, kwargs)} for name, total, warmup, kwargs in CASES]
    with open(os.path.join(folder, "schedules.json"), "w") as f:
        json.dump(cases, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    write(sys.argv[1])
