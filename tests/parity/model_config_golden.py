# tests/parity/model_config_golden.py - what each field of a config.json changes: the logits of tiny_llama with it (every
# 20th after the last token), and whether training has others. usage: model_config_golden.py OUT_DIR (make_golden.py calls it, too)
import json
import os
import shutil
import sys
import tempfile

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

LLAMA, MISTRAL = {}, {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None}
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 10000.0}
ABSENT = "<absent>"
ROWS = [
    # LlamaConfig and MistralConfig, each field that no tensor's shape shows
    (LLAMA, {}),
    (LLAMA, {"hidden_act": "gelu"}),
    (LLAMA, {"hidden_act": "swish"}),
    (LLAMA, {"hidden_act": "silu_and_mul"}),
    (LLAMA, {"initializer_range": 0.5}),
    (LLAMA, {"rms_norm_eps": 0.5}),
    (LLAMA, {"rms_norm_eps": ABSENT}),
    (LLAMA, {"use_cache": False}),
    (LLAMA, {"pad_token_id": 7}),
    (LLAMA, {"bos_token_id": 7}),
    (LLAMA, {"eos_token_id": [7, 8]}),
    (LLAMA, {"pretraining_tp": 2}),
    (LLAMA, {"tie_word_embeddings": False}),
    (LLAMA, {"attention_bias": True}),
    (LLAMA, {"mlp_bias": True}),
    (LLAMA, {"attention_dropout": 0.5}),
    (LLAMA, {"attention_dropout": 0}),
    (LLAMA, {"attention_dropout": None}),
    (LLAMA, {"sliding_window": 4}),
    (LLAMA, {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4}),
    (MISTRAL, {}),
    (MISTRAL, {"sliding_window": 4}),
    (MISTRAL, {"sliding_window": 64}),
    (MISTRAL, {"attention_dropout": 0.5}),
    (MISTRAL, {"attention_bias": True}),
    (MISTRAL, {"num_key_value_heads": ABSENT, "num_attention_heads": 4}),
    # rope
    (LLAMA, {"rope_parameters": ABSENT}),
    (LLAMA, {"rope_parameters": ABSENT, "rope_theta": 500000.0}),
    (LLAMA, {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}),
    (LLAMA, {"rope_theta": 500000.0}),
    (LLAMA, {"rope_scaling": LINEAR}),
    (LLAMA, {"rope_parameters": ABSENT, "rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    (LLAMA, {"rope_parameters": {**LINEAR, "rope_theta": 500000.0}, "rope_scaling": {"type": "linear", "factor": 2.0}}),
    (LLAMA, {"rope_parameters": LINEAR, "rope_scaling": {}}),
    (LLAMA, {"rope_parameters": {**LINEAR, "rope_theta": ABSENT}, "rope_theta": 500000.0}),
    (LLAMA, {"rope_parameters": {**LLAMA3, "original_max_position_embeddings": 16}}),
    (LLAMA, {"rope_parameters": LLAMA3}),
    (LLAMA, {"rope_parameters": {**LLAMA3, "original_max_position_embeddings": 16},
             "original_max_position_embeddings": 32}),
    (LLAMA, {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "factor": 4.0}}),
    (LLAMA, {"partial_rotary_factor": 0.5}),
    (LLAMA, {"partial_rotary_factor": 0.5, "rope_parameters": LINEAR}),
    (LLAMA, {"rope_parameters": {**LINEAR, "partial_rotary_factor": 0.5}}),
    (LLAMA, {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}}),
    # PreTrainedConfig, and what its models look for beside their own fields
    (LLAMA, {"is_causal": False}),
    (LLAMA, {"is_causal": True}),
    (LLAMA, {"is_decoder": False}),
    (LLAMA, {"per_layer_config": {"0": {"rms_norm_eps": 0.5}}}),
    (LLAMA, {"per_layer_config": {}}),
    (LLAMA, {"chunk_size_feed_forward": 3}),
    (LLAMA, {"is_encoder_decoder": True}),
    (LLAMA, {"output_hidden_states": True}),
    (LLAMA, {"tie_last_hidden_states": False}),
    (LLAMA, {"pruned_heads": {"0": [1]}}),
    (LLAMA, {"model_type": "mistral", "sliding_window": 4}),
    (LLAMA, {"model_type": "granite", "embedding_multiplier": 3.0}),
    (LLAMA, {"model_type": ABSENT}),
    (LLAMA, {"residual_dropout": 0.5, "hidden_dropout": 0.5, "embd_pdrop": 0.5}),
    (LLAMA, {"final_logit_softcapping": 1.0, "attn_logit_softcapping": 1.0, "logit_scale": 3.0}),
    (LLAMA, {"use_sliding_window": True, "max_window_layers": 1}),
]


def patched(config, patch):
    out = dict(config)
    for key, value in patch.items():
        if isinstance(value, dict):
            value = {k: v for k, v in value.items() if v != ABSENT}
        out.pop(key, None) if value == ABSENT else out.__setitem__(key, value)
    return out


def logits(folder, config):
    """Evaluation's and training's logits, and whether the file's tensors are all that the model has."""
    with tempfile.TemporaryDirectory() as model_dir:
        shutil.copy(os.path.join(folder, "model.safetensors"), model_dir)
        with open(os.path.join(model_dir, "config.json"), "w") as f:
            json.dump(config, f)
        model, info = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, output_loading_info=True)
    ids = torch.arange(3, 51)[None] * 37 % 150 + 3
    torch.manual_seed(1)
    with torch.no_grad():
        return model.eval()(ids).logits, model.train()(ids).logits, not info["missing_keys"]


def write(folder):
    model = os.path.join(folder, "tiny_llama")
    with open(os.path.join(model, "config.json")) as f:
        base = json.load(f)
    wanted, _, _ = logits(model, base)
    rows, tensors = [], {}
    for family, patch in ROWS:
        config = patched(base, {**family, **patch})
        try:
            evaluated, trained, is_whole = logits(model, config)
            changes = "weights" if not is_whole else "evaluation" if not torch.allclose(
                evaluated, wanted, atol=1e-5) else "training" if not torch.allclose(trained, wanted, atol=1e-5) else ""
        except Exception as e:
            changes = "error " + type(e).__name__
        row = {"name": json.dumps({**family, **patch}), "config": config, "changes": changes}
        if changes in ("", "evaluation", "training"):
            tensors[f"logits.{len(rows)}"] = evaluated[0, -1, ::20].clone()
        rows.append(row)
    save_file(tensors, os.path.join(folder, "model_config.safetensors"))
    with open(os.path.join(folder, "model_config.json"), "w") as f:
        json.dump(rows, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    write(sys.argv[1])
