# tests/bench/peer/train.py - the peer: transformers + peft (+ bitsandbytes) in a plain PyTorch loop on the same
# tokenised rows as train_bench. Prints one JSON line with the same names.
import time

BEGAN = time.perf_counter()
import argparse
import json
import os
import resource

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--rows", required=True)
parser.add_argument("--method", choices=["lora", "qlora"], default="lora")
parser.add_argument("--type", choices=["float32", "bfloat16"], default="float32")
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--steps", type=int, default=15)
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--alpha", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=2e-4)
parser.add_argument("--threads", type=int, default=2)
a = parser.parse_args()
os.environ.update(OMP_NUM_THREADS=str(a.threads), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

torch.set_num_threads(a.threads)
torch.manual_seed(0)
imported = time.perf_counter()
extra = {}
if a.method == "qlora":
    extra["quantization_config"] = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, a.type))
model = AutoModelForCausalLM.from_pretrained(a.model, dtype=getattr(torch, a.type), **extra)
if a.method == "qlora":
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
model = get_peft_model(model, LoraConfig(
    r=a.rank, lora_alpha=a.alpha, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
    target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])).train()
loaded = time.perf_counter()
file = load_file(a.rows)
rows, at = [], 0
for length in file["rows.lengths"].tolist():
    rows.append((file["rows.tokens"][at:at + length], file["rows.trained"][at:at + length]))
    at += length
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad],
                              lr=a.learning_rate, weight_decay=0.0)
losses, tokens, first = [], 0, None
per_epoch = -(-len(rows) // a.batch)
for step in range(a.steps):
    begin = step % per_epoch * a.batch
    batch = rows[begin:begin + a.batch]  # file order
    width = max(len(t) for t, _ in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for i, (t, m) in enumerate(batch):
        ids[i, :len(t)] = t
        mask[i, :len(t)] = 1
        labels[i, :len(t)] = torch.where(m.bool(), t.long(), -100)
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    losses.append(loss.item())
    if first is None:
        first = time.perf_counter()
    else:
        tokens += int(mask.sum())
seconds = time.perf_counter() - first
print(json.dumps({"tokens_per_second": tokens / seconds if a.steps > 1 else 0.0, "seconds": seconds,
                  "import_seconds": imported - BEGAN, "load_seconds": loaded - imported,
                  "first_step_at_seconds": first - BEGAN,
                  "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                  "losses": losses}))
