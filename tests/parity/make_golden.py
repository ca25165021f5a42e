# tests/parity/make_golden.py - writes the golden files of tests/gpu/golden from transformers, peft and
# bitsandbytes, and by the other scripts here. usage: make_golden.py OUT_DIR [--smollm2 MODEL_DIR --gsm8k TRAIN_JSONL]
import argparse
import json
import math
import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import numpy as np
import torch
import bitsandbytes.functional as bnb
import config_golden
import data_golden
import evaluation_golden
import family_golden
import gguf_golden
import jinja_golden
import model_config_golden
import packed_golden
import rows_golden
import schedule_golden
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, LlamaConfig

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def initial_adapter(path, rank, columns, seed):
    """The product's documented start (gpu/model/lora_layout.h), written a second time."""
    mask = (1 << 64) - 1
    start = 0xCBF29CE484222325
    for byte in path.encode():
        start = ((start ^ byte) * 0x100000001B3) & mask
    with np.errstate(over="ignore"):
        z = np.uint64(start ^ seed) + np.arange(1, rank * columns + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float64)
    values = (2.0 * u / 16777216.0 - 1.0) * (1.0 / math.sqrt(columns))
    return torch.from_numpy(values.astype(np.float32).reshape(rank, columns))


def path_of(name):
    return name.removeprefix("base_model.model.").split(".lora_")[0]


def with_adapter(model, rank, alpha, seed, targets=LINEAR, random_b=False):
    model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, bias="none",
                                             task_type="CAUSAL_LM", target_modules=targets))
    generator = torch.Generator().manual_seed(seed + 1)
    for name, p in model.named_parameters():
        if "lora_A" in name:
            p.data = initial_adapter(path_of(name), p.shape[0], p.shape[1], seed)
        elif "lora_B" in name and random_b:
            p.data = torch.randn(p.shape, generator=generator) * 0.05
    return model.train()


def summed_loss(model, rows):
    """Sum of -log p over the targets of (tokens, trained) rows, one row at a time."""
    total = torch.zeros((), dtype=torch.float32)
    for tokens, trained in rows:
        if not any(trained[1:]):
            continue
        logits = model(input_ids=torch.tensor([tokens])).logits[0, :-1]
        keep = torch.tensor(trained[1:], dtype=torch.bool)
        total = total + torch.nn.functional.cross_entropy(
            logits[keep].float(), torch.tensor(tokens[1:])[keep], reduction="sum")
    return total


def flat_rows(rows):
    return {"rows.tokens": torch.tensor([t for r, _ in rows for t in r], dtype=torch.float32),
            "rows.trained": torch.tensor([t for _, m in rows for t in m], dtype=torch.float32),
            "rows.lengths": torch.tensor([len(r) for r, _ in rows], dtype=torch.float32)}


def tiny_rows(vocab):
    generator = torch.Generator().manual_seed(3)
    rows = []
    for length, prompt in ((17, 5), (1, 0), (70, 30), (2, 1), (131, 0), (33, 32), (40, 40)):
        tokens = torch.randint(0, vocab, (length,), generator=generator).tolist()
        trained = [0] * prompt + [1] * (length - prompt)
        if length == 70:
            trained[50:60] = [0] * 10  # a second turn that is not trained
        rows.append((tokens, trained))
    return rows


def tiny_model(out, name, dtype, **extra):
    torch.manual_seed(11)
    # Multiples of 64: bitsandbytes 0.50.2 misreads scales on AVX-512 CPUs when columns % 64 = 32.
    config = LlamaConfig(vocab_size=160, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
                         bos_token_id=1, eos_token_id=2, pad_token_id=2, **extra)
    model = AutoModelForCausalLM.from_config(config)
    for n, p in model.named_parameters():  # large enough that every part of the model matters
        scale = 0.3 if "embed" in n or "lm_head" in n else 0.15
        p.data = torch.randn(p.shape) * scale if p.dim() == 2 else 1 + 0.1 * torch.randn(p.shape)
    folder = f"{out}/{name}"
    model.to(dtype).save_pretrained(folder)
    os.remove(f"{folder}/generation_config.json")
    return folder


def tiny_case(out, name, folder, quantised, targets):
    extra = {}
    if quantised:
        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **extra)
    if quantised:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    model = with_adapter(model, 4, 8, 7, targets, random_b=True)
    rows = tiny_rows(160)
    count = sum(sum(m[1:]) for _, m in rows)
    loss = summed_loss(model, rows)
    (loss / count).backward()
    tensors = {**flat_rows(rows), "loss": loss.detach().reshape(1)}
    for n, p in model.named_parameters():
        if p.requires_grad:
            key = n.replace(".default", "")
            tensors["value." + key] = p.detach().clone().contiguous()
            tensors["grad." + key] = p.grad.clone().contiguous()
    with torch.no_grad():
        tokens = rows[2][0]
        tensors["logits"] = model(input_ids=torch.tensor([tokens])).logits[0].contiguous()
        with model.disable_adapter():
            tensors["logits.base"] = model(input_ids=torch.tensor([tokens])).logits[0].contiguous()
    save_file(tensors, f"{out}/{name}.safetensors")


def dropout_case(out, folder, p, draws):
    """The loss a target and the gradient's norm of tiny_lora under draws masks: their distribution."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=p, bias="none", task_type="CAUSAL_LM",
                                             target_modules=LINEAR)).train()
    kept = load_file(f"{out}/tiny_lora.safetensors")
    trained = {n.replace(".default", ""): v for n, v in model.named_parameters() if v.requires_grad}
    for name, v in trained.items():
        v.data = kept["value." + name].clone()
    rows = tiny_rows(160)
    count = sum(sum(m[1:]) for _, m in rows)
    torch.manual_seed(3)
    losses, norms = [], []
    for _ in range(draws):
        model.zero_grad()
        loss = summed_loss(model, rows) / count
        loss.backward()
        losses.append(loss.item())
        norms.append(math.sqrt(sum(v.grad.pow(2).sum().item() for v in trained.values())))
    save_file({"losses": torch.tensor(losses), "norms": torch.tensor(norms)}, f"{out}/dropout.safetensors")


def nf4_case(out):
    generator = torch.Generator().manual_seed(5)
    tensors = {"map": bnb.create_dynamic_map()}
    for name, shape in (("a", (96, 192)), ("odd", (7, 66)), ("many", (320, 64))):
        w = torch.randn(shape, generator=generator) * torch.rand((shape[0], 1), generator=generator)
        if name == "a":
            w[0, :64] = 0.0  # a block of zeros
        packed, state = bnb.quantize_4bit(w.clone(), quant_type="nf4", blocksize=64,
                                          compress_statistics=True)
        tensors.update({f"{name}.weight": w, f"{name}.packed": packed.reshape(-1).clone(),
                        f"{name}.scales": state.absmax.clone(),
                        f"{name}.group_scales": state.state2.absmax.clone(),
                        f"{name}.offset": state.offset.reshape(1).clone(),
                        f"{name}.dequantised": bnb.dequantize_4bit(packed, state).contiguous()})
    save_file(tensors, f"{out}/nf4.safetensors")


def smollm2_case(out, folder, data, quantised):
    extra = {}
    if quantised:
        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for line in open(data, encoding="utf-8").read().splitlines()[:40]:
        row = json.loads(line)
        chat = row.get("messages") or [{"role": "user", "content": row["question"]},
                                       {"role": "assistant", "content": row["answer"]}]
        tokens = tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"][:512]
        rows.append((tokens, [1] * len(tokens)))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **extra)
    if quantised:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    model = with_adapter(model, 16, 32, 7)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4,
                                  weight_decay=0.0)
    losses = []
    for step in range(10):
        batch = rows[step * 4:step * 4 + 4]
        count = sum(sum(m[1:]) for _, m in batch)
        loss = 0.0
        for row in batch:
            part = summed_loss(model, [row]) / count
            part.backward()
            loss += part.item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss)
        print(step, loss, file=sys.stderr, flush=True)
    name = "smollm2_qlora" if quantised else "smollm2_lora"
    save_file({**flat_rows(rows), "losses": torch.tensor(losses, dtype=torch.float64).float()},
              f"{out}/{name}.safetensors")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--smollm2", default="")
    parser.add_argument("--gsm8k", default="")
    a = parser.parse_args()
    os.makedirs(a.out, exist_ok=True)
    torch.set_num_threads(2)
    plain = tiny_model(a.out, "tiny_llama", torch.float32, tie_word_embeddings=True)
    scaled = tiny_model(a.out, "tiny_llama3", torch.bfloat16, tie_word_embeddings=False, head_dim=32,
                        rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0,
                                         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                         "original_max_position_embeddings": 64})
    tiny_case(a.out, "tiny_lora", plain, False, LINEAR)
    tiny_case(a.out, "tiny_qlora", plain, True, LINEAR)
    tiny_case(a.out, "tiny3_lora", scaled, False, ["v_proj", "up_proj", "layers.1.self_attn.o_proj"])
    evaluation_golden.write(a.out, plain, tiny_rows(160), with_adapter, flat_rows)
    dropout_case(a.out, plain, 0.2, 200)
    nf4_case(a.out)
    data_golden.write(a.out)
    family_golden.write(a.out)
    gguf_golden.write(a.out)
    jinja_golden.write(a.out)
    schedule_golden.write(a.out)
    config_golden.write(a.out)
    model_config_golden.write(a.out)
    packed_golden.write(a.out)
    if a.smollm2:
        rows_golden.write(a.out, a.smollm2)
        smollm2_case(a.out, a.smollm2, a.gsm8k, False)
        smollm2_case(a.out, a.smollm2, a.gsm8k, True)


main()
