"""tests/bench/gpu/peer.py - the peer: transformers + peft (+ bitsandbytes) in a plain PyTorch loop, on the rows of
train_bench and with its names. KAITO trains this way: batch by batch, padded, the model in bf16.

usage: peer.py MODEL ROWS --method lora|qlora --batch N --accumulate N --steps N [--device D] [--checkpointing]"""
import time

BEGAN = time.perf_counter()
import argparse
import json

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("rows")
parser.add_argument("--method", choices=["lora", "qlora"], default="lora")
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--accumulate", type=int, default=1)
parser.add_argument("--steps", type=int, default=9)
parser.add_argument("--device", default="cuda")
parser.add_argument("--checkpointing", action="store_true")
a = parser.parse_args()
extra = {"device_map": {"": a.device}}
if a.method == "qlora":
    extra["quantization_config"] = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                                      bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.bfloat16, **extra)
if a.method == "qlora":
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=a.checkpointing)
elif a.checkpointing:
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
model = get_peft_model(model, LoraConfig(
    r=16, lora_alpha=32, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
    target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])).train()
file = load_file(a.rows)
rows, at = [], 0
for length in file["rows.lengths"].tolist():
    rows.append(file["rows.tokens"][at:at + length].long())
    at += length
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4, weight_decay=0.0)
losses, tokens, seconds, begin, first = [], [], [], time.perf_counter(), None
for step in range(a.steps):
    taken = [rows[(step * a.batch * a.accumulate + i) % len(rows)] for i in range(a.batch * a.accumulate)]
    targets, total = sum(len(row) - 1 for row in taken), 0.0
    for m in range(a.accumulate):
        batch = taken[m * a.batch:(m + 1) * a.batch]
        width = max(map(len, batch))
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for i, row in enumerate(batch):
            ids[i, :len(row)], mask[i, :len(row)], labels[i, :len(row)] = row, 1, row
        loss = model(input_ids=ids.to(a.device), attention_mask=mask.to(a.device), labels=labels.to(a.device),
                     num_items_in_batch=targets).loss
        loss.backward()
        total += loss.item()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    losses.append(total)
    now = time.perf_counter()
    seconds.append(now - begin)
    tokens.append(sum(map(len, taken)))
    begin, first = now, first if first is not None else now
print(json.dumps({"step_tokens": tokens, "step_seconds": seconds, "first_step_at_seconds": first - BEGAN, "losses": losses,
                  "peak_device_bytes": torch.cuda.max_memory_reserved() if a.device.startswith("cuda") else 0}))
