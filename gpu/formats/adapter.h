// gpu/formats/adapter.h - a LoRA adapter on disk, exactly as peft writes and reads it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gpu/formats/lora_targets.h"
#include "gpu/formats/safetensors.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct AdapterConfig {
  std::string base_model;  // base_model_name_or_path; a name or a path, informative
  std::int64_t rank = 8;
  double alpha = 8;
  bool use_rslora = false;  // scale = alpha / sqrt(rank) instead of alpha / rank
  double dropout = 0;       // of the training; for people
  LoraTargets targets;      // written with its names ascending
  double scale() const;
};
// One adapted module: delta W = scale * b a.   a: (rank, in)   b: (out, rank)   row-major f32.
struct AdapterModule {
  std::string path;  // "model.layers.0.self_attn.q_proj"
  std::int64_t rank = 0, in = 0, out = 0;
  std::vector<float> a, b;
};
struct Adapter {
  AdapterConfig config;
  std::vector<AdapterModule> modules;  // ascending by path
};
// adapter_config.json. A field that would change the result is refused by name and value, with the
// way out; so is one that is not known and says something: a variant to come is no plain LoRA.
// file: named in errors. invalid.
Result<AdapterConfig> parse_adapter_config(const std::string& text, const std::string& file);
// The keys of peft 0.11, which later ones accept too. The scale of rsLoRA is baked into lora_alpha:
// not every server of adapters reads use_rslora.
std::string adapter_config_text(const AdapterConfig& config);
// Writes adapter_config.json and adapter_model.safetensors into dir (made if absent), synced.
// tensors: named "base_model.model.<path>.lora_A.weight" / ".lora_B.weight".
Status write_adapter(const std::string& dir, const AdapterConfig& config,
                     std::span<const TensorToWrite> tensors);
// not_found: a file is absent. invalid: a kind of adapter that is not plain LoRA on linear layers.
// corrupt: the files disagree.
Result<Adapter> load_adapter(const std::string& dir);
}  // namespace kairo::gpu
