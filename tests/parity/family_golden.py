# tests/parity/family_golden.py - a tiny random model of each family, by transformers: its logits with an adapter, and
# peft's names and gradients for that. usage: family_golden.py OUT_DIR [CASE...] (make_golden.py calls it, too)
#
# families.json says how to build each (config.json, the shape of every tensor); what lies in the tensors is a formula
# (values below, and tests/gpu/engine/families_test.cpp), so that no weights need to be kept.
import json
import os
import sys

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

VOCABULARY, RANK, ALPHA = 96, 2, 4
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
         "pad_token_id": 2}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
FACTORS = [1.0 + 0.25 * i for i in range(8)]


def longrope(pairs):
    return {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": FACTORS[:pairs], "long_factor": [2 + 3 * f for f in FACTORS[:pairs]]}


def phi3(**more):
    return {"model_type": "phi3", "pad_token_id": 0, "sliding_window": None, "original_max_position_embeddings": 32, **more}


CASES = {
    "llama": {"model_type": "llama"},
    "llama_linear": {"model_type": "llama", "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    "llama_yarn": {"model_type": "llama", "rope_parameters": YARN},
    "llama_yarn_mscale": {"model_type": "llama", "rope_parameters": {**YARN, "mscale": 1.2, "mscale_all_dim": 0.8, "beta_fast": 16.0, "beta_slow": 2.0}},
    "llama_bias": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "mistral_window": {"model_type": "mistral", "sliding_window": 7},
    "qwen2": {"model_type": "qwen2", "use_sliding_window": False, "tie_word_embeddings": True},
    "qwen2_yarn": {"model_type": "qwen2", "use_sliding_window": False, "rope_parameters": YARN},
    "qwen2_windows": {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    "qwen3": {"model_type": "qwen3", "head_dim": 32, "use_sliding_window": False},
    "phi3": phi3(),
    "phi3_window": phi3(sliding_window=7),
    "phi3_short": phi3(rope_parameters=longrope(8)),
    "phi3_long": phi3(original_max_position_embeddings=16, rope_parameters=longrope(8)),
    "phi4_mini": phi3(partial_rotary_factor=0.75, tie_word_embeddings=True, rope_parameters={**longrope(6), "partial_rotary_factor": 0.75}),
    "smollm3": {"model_type": "smollm3", "no_rope_layers": [1, 0], "use_sliding_window": False},
    "granite": {"model_type": "granite", "embedding_multiplier": 3.0, "attention_multiplier": 0.2, "residual_multiplier": 0.4, "logits_scaling": 2.0},
    "granite4": {"model_type": "granitemoehybrid", "num_local_experts": 0, "shared_intermediate_size": 96, "layer_types": ["attention", "attention"],
                 "position_embedding_type": "rope", "embedding_multiplier": 3.0, "attention_multiplier": 0.2, "residual_multiplier": 0.4,
                 "logits_scaling": 2.0, "mamba_n_heads": 2},
    "granite4_nope": {"model_type": "granitemoehybrid", "num_local_experts": 0, "shared_intermediate_size": 96,
                      "layer_types": ["attention", "attention"], "attention_multiplier": 0.25, "mamba_n_heads": 2},
    "olmo2": {"model_type": "olmo2"},
    "olmo3": {"model_type": "olmo3", "sliding_window": 7, "layer_types": ["sliding_attention", "full_attention"],
              "rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}, "full_attention": YARN}},
    "gemma2": {"model_type": "gemma2", "head_dim": 16, "sliding_window": 7, "query_pre_attn_scalar": 24, "attn_logit_softcapping": 2.0,
               "final_logit_softcapping": 3.0, "layer_types": ["sliding_attention", "full_attention"], "tie_word_embeddings": True},
    "gemma3": {"model_type": "gemma3_text", "head_dim": 16, "sliding_window": 7, "query_pre_attn_scalar": 24,
               "layer_types": ["sliding_attention", "full_attention"], "tie_word_embeddings": True},
    "ministral3": {"model_type": "ministral3", "head_dim": 16, "rope_parameters": {**YARN, "llama_4_scaling_beta": 0.1, "mscale": 1.0, "mscale_all_dim": 1.0}},
    "gemma3_images": {"wraps": "gemma3"},
    "mistral3_images": {"wraps": "ministral3"},
    "falcon_7b": {"model_type": "falcon", "new_decoder_architecture": False, "multi_query": True, "parallel_attn": True, "bias": False, "alibi": False},
    "falcon_40b": {"model_type": "falcon", "new_decoder_architecture": True, "num_kv_heads": 2, "bias": False, "alibi": False},
}
ROWS = (29, 13)  # tokens of each


def stream(name, count):
    """Numbers in [-1, 1), as an adapter's start (gpu/model/lora_layout.h) with the seed 0."""
    start = 0xCBF29CE484222325
    for byte in name.encode():
        start = ((start ^ byte) * 0x100000001B3) & ((1 << 64) - 1)
    with np.errstate(over="ignore"):
        z = np.uint64(start) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (2.0 * (z >> np.uint64(40)).astype(np.float64) / 16777216.0 - 1.0).astype(np.float32)


def values(name, shape):
    """Of a tensor: of matrices 0.25 u, of biases 0.1 u, of norms' weights 1 + 0.25 u; fp32 at each step."""
    u = stream(name, int(np.prod(shape)))
    scaled = u * np.float32(0.1 if name.endswith("bias") else 0.25)
    is_norm = len(shape) == 1 and not name.endswith("bias")
    return torch.from_numpy((np.float32(1) + scaled if is_norm else scaled).reshape(shape))


def tokens(length):
    return [(7 + 13 * i + 5 * i * i) % VOCABULARY for i in range(length)]


# Models for images and text: only the text is computed. The names that a hub's files have, by transformers' own.
IMAGES = {"gemma3": ("gemma3", {"vision_config": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
                                                 "image_size": 28, "patch_size": 14}, "mm_tokens_per_image": 1}),
          "ministral3": ("mistral3", {"vision_config": {"model_type": "pixtral", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
                                                        "num_attention_heads": 1, "image_size": 28, "patch_size": 14}})}
STORED = {"model.language_model.": "language_model.model.", "lm_head.": "language_model.lm_head."}


def with_images(name):
    kind, more = IMAGES[name]
    text = {**SIZES, **CASES[name]}
    return AutoConfig.for_model(kind, text_config=text, tie_word_embeddings=text["tie_word_embeddings"], **more)


def stored(name):
    for here, there in STORED.items():
        if name.startswith(here):
            return there + name[len(here):]
    return name


def case(name, words):
    sizes = {key: value for key, value in SIZES.items() if not (words.get("model_type") == "falcon" and key in ("intermediate_size", "num_key_value_heads"))}
    words = {**sizes, **words}
    wraps = words.pop("wraps", None)
    config = with_images(wraps) if wraps else AutoConfig.for_model(words.pop("model_type"), **words)
    model = (AutoModelForImageTextToText if wraps else AutoModelForCausalLM).from_config(config, attn_implementation="eager", dtype=torch.float32)
    config.architectures = [type(model).__name__]
    of_text = {n: p for n, p in model.named_parameters() if not wraps or n.startswith(tuple(STORED))}
    names = {n: stored(n) if wraps else n for n in of_text}
    parameters = {names[n]: list(p.shape) for n, p in of_text.items()}
    for n, p in of_text.items():
        p.data = values(names[n], p.shape)
    modules = sorted({n.rsplit(".", 2)[-2] for n, p in of_text.items() if p.dim() == 2 and ".layers." in n or ".h." in n and p.dim() == 2})
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM", target_modules=modules,
                                             exclude_modules=".*vision_tower.*" if wraps else None)).eval()
    adapter = {n: p for n, p in model.named_parameters() if "lora_" in n}
    for n, p in adapter.items():
        p.data = values(n.replace(".default", ""), p.shape)
    out, total = {}, torch.zeros(())
    for i, length in enumerate(ROWS):
        row = torch.tensor([tokens(length)])
        logits = model(input_ids=row, use_cache=False).logits[0]
        loss = torch.nn.functional.cross_entropy(logits[:-1], row[0, 1:], reduction="sum") / sum(n - 1 for n in ROWS)
        loss.backward()
        total += loss.detach()
        out[f"{name}/logits.{i}"] = logits.detach().contiguous()
    out[f"{name}/loss"] = total.reshape(1)
    for n, p in adapter.items():
        out[f"{name}/grad.{n.replace('.default', '')}"] = p.grad.contiguous()
    told = json.loads(config.to_json_string())
    for key in ("transformers_version", "_attn_implementation_autoset"):
        told.pop(key, None)
    return {"config": told, "parameters": parameters, "targets": modules}, out


def write(out, names=()):
    told, tensors = {}, {}
    for name in names or CASES:
        told[name], more = case(name, dict(CASES[name]))
        tensors.update(more)
    with open(os.path.join(out, "families.json"), "w") as file:
        json.dump(told, file, separators=(",", ":"), sort_keys=True)
        file.write("\n")
    save_file(tensors, os.path.join(out, "families.safetensors"))


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2:])
