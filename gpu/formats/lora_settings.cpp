// gpu/formats/lora_settings.cpp - the section LoraConfig.
#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
constexpr const char* pulls = "this is not used by the trainer";
using C = TrainingConfig;
Status take_targets(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  if (v.scalar) {
    c.target_modules = {v.scalar->text};
    return ok();
  }
  if (!v.items) return bad(v, "a list of module names, or all-linear");
  c.target_modules.clear();
  for (const auto& item : *v.items) {
    if (item.is_null || item.text.empty()) return bad(v, "a list of module names, or all-linear");
    c.target_modules.push_back(item.text);
  }
  return ok();
}
}  // namespace

std::vector<Setting> lora_settings() {
  const std::string_view s = "LoraConfig";
  std::vector<Setting> out = {
      {s, "r", integer(&C::rank, 1, "at least 1")},
      {s, "lora_alpha", number(&C::alpha, 1e-6, 1e6, "above 0")},
      {s, "use_rslora", boolean(&C::use_rslora)},
      {s, "target_modules", take_targets},
      {s, "lora_dropout", number(&C::dropout, 0, 0.999, "in [0, 0.999]")},
      {s, "bias", only({"none"}, "biases are not trained")},
      {s, "use_dora", only({"false"}, "DoRA is not supported")},
      {s, "fan_in_fan_out", only({"false"}, "linear layers only")},
      {s, "init_lora_weights", only({"true"}, "B starts at zero and A as peft's default")},
      {s, "task_type", only({"causal_lm"}, "language models are trained")},
      {s, "peft_type", only({"lora"}, "the only method there is")},
  };
  for (const auto* key :
       {"modules_to_save", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern",
        "loftq_config", "megatron_config", "layer_replication"})
    out.push_back({s, key, only({}, "left out: it is not supported")});
  for (const auto* key :
       {"inference_mode", "auto_mapping", "base_model_name_or_path", "revision", "megatron_core"})
    out.push_back({s, key, note(pulls)});
  return out;
}
}  // namespace kairo::gpu
