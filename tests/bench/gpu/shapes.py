"""tests/bench/gpu/shapes.py - models of exact shapes with random weights, and rows of random tokens."""
import json
import os
import shutil

import torch
from safetensors.torch import save_file

# layers, hidden, intermediate, heads, key heads, head, vocabulary, tied
SHAPES = {
    "tiny": (2, 64, 160, 4, 2, 16, 49152, True),
    "smollm2": (30, 576, 1536, 9, 3, 64, 49152, True),
    "llama8b": (32, 4096, 14336, 32, 8, 128, 128256, False),
}


def linears(shape):
    """Name and (out, in) of a layer's matrices."""
    _, hidden, wide, heads, keys, head, _, _ = SHAPES[shape]
    return {"self_attn.q_proj": (heads * head, hidden), "self_attn.k_proj": (keys * head, hidden),
            "self_attn.v_proj": (keys * head, hidden), "self_attn.o_proj": (hidden, heads * head),
            "mlp.gate_proj": (wide, hidden), "mlp.up_proj": (wide, hidden), "mlp.down_proj": (hidden, wide)}


def parameters(shape):
    layers, hidden, _, _, _, _, vocabulary, tied = SHAPES[shape]
    return layers * sum(a * b for a, b in linears(shape).values()) + (1 if tied else 2) * vocabulary * hidden


def make_model(shape, folder, tokenizer, device):
    """A Llama of that shape in bf16: config.json, sharded weights, a tokenizer whose ids it has."""
    layers, hidden, wide, heads, keys, head, vocabulary, tied = SHAPES[shape]
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(tokenizer):
        shutil.copy(os.path.join(tokenizer, name), folder)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "head_dim": head,
              "intermediate_size": wide, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": keys,
              "vocab_size": vocabulary, "tie_word_embeddings": tied, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
              "max_position_embeddings": 8192, "hidden_act": "silu", "torch_dtype": "bfloat16", "attention_bias": False,
              "mlp_bias": False, "bos_token_id": 1, "eos_token_id": 2}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    generator = torch.Generator(device).manual_seed(1)

    def random(*size):
        return (torch.randn(size, generator=generator, device=device) * 0.02).to(torch.bfloat16).cpu()

    index, shard, number = {}, {"model.embed_tokens.weight": random(vocabulary, hidden)}, 0

    def close():
        nonlocal shard, number
        name = f"model-{number:05d}.safetensors"
        save_file(shard, os.path.join(folder, name), metadata={"format": "pt"})
        index.update({tensor: name for tensor in shard})
        shard, number = {}, number + 1

    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, size in linears(shape).items():
            shard[f"{prefix}{name}.weight"] = random(*size)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shard[f"{prefix}{name}.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
        if layer % 8 == 7:
            close()
    shard["model.norm.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
    if not tied:
        shard["lm_head.weight"] = random(vocabulary, hidden)
    close()
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump({"metadata": {}, "weight_map": index}, file)


def make_rows(path, count, shortest, longest, vocabulary, seed=1):
    """Tokenised rows (gpu/engine/rows_file.h), all of them targets."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(shortest, longest + 1, (count,), generator=generator, dtype=torch.int32)
    total = int(lengths.sum())
    save_file({"rows.tokens": torch.randint(3, vocabulary, (total,), generator=generator, dtype=torch.int32),
               "rows.trained": torch.ones(total, dtype=torch.uint8), "rows.lengths": lengths}, path)
    return total
