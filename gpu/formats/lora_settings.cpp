// gpu/formats/lora_settings.cpp - the section LoraConfig.
#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
constexpr const char* pulls = "this is not used by the trainer";
using C = TrainingConfig;
constexpr const char* names = "a list of module names, or a regular expression";
Result<std::vector<std::string>> names_of(const SettingValue& v) {
  if (!v.items) return bad(v, names);
  std::vector<std::string> out;
  for (const auto& item : *v.items) {
    if (item.is_null || item.text.empty()) return bad(v, names);
    out.push_back(item.text);
  }
  return out;
}
// As peft: a list of ends of paths, all-linear, or an expression that whole paths match.
Status take_targets(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  c.targets.names.clear();
  c.targets.pattern.clear();
  if (!v.scalar) {
    c.targets.names = TRY(names_of(v));
  } else if (lower(v.scalar->text) == "all-linear") {
    c.targets.names = {"all-linear"};
  } else {
    if (v.scalar->text.empty()) return bad(v, names);
    c.targets.pattern = v.scalar->text;
  }
  return ok();
}
Status take_excluded(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  if (v.scalar)
    c.targets.exclude_pattern = v.scalar->text;
  else
    c.targets.exclude = TRY(names_of(v));
  return ok();
}
Status take_layers(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  SettingValue one = v;
  c.targets.layers.clear();
  for (const auto& item : v.scalar ? std::vector<Scalar>{*v.scalar}
                                   : v.items.value_or(std::vector<Scalar>{Scalar{"?"}})) {
    one.scalar = item;
    const auto x = number_of(one);
    if (!x.ok() || x.value() != std::floor(x.value()) || !(x.value() >= 0 && x.value() < 1e6))
      return bad(v, "the number of a layer, counted from 0, or a list of such");
    c.targets.layers.push_back(static_cast<std::int64_t>(x.value()));
  }
  return ok();
}
Status take_layers_pattern(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  if (v.scalar)
    c.targets.layers_pattern = {v.scalar->text};
  else
    c.targets.layers_pattern = TRY(names_of(v));
  return ok();
}
Status take_init(const SettingValue& v, TrainingConfig& c) {
  c.gaussian_init = v.scalar && lower(v.scalar->text) == "gaussian";
  if (c.gaussian_init) return ok();
  return only({"true"},
              "or gaussian: B starts at zero, A at peft's default; others change the base model, "
              "need data, or start with an effect")(v, c);
}
}  // namespace

std::vector<Setting> lora_settings() {
  const std::string_view s = "LoraConfig";
  std::vector<Setting> out = {
      {s, "r", integer(&C::rank, 1, "at least 1")},
      {s, "lora_alpha", number(&C::alpha, 1e-6, 1e6, "above 0")},
      {s, "use_rslora", boolean(&C::use_rslora)},
      {s, "target_modules", take_targets},
      {s, "exclude_modules", take_excluded},
      {s, "layers_to_transform", take_layers},
      {s, "layers_pattern", take_layers_pattern},
      {s, "lora_dropout", number(&C::dropout, 0, 0.999, "in [0, 0.999]")},
      {s, "bias", only({"none"}, "biases are not trained")},
      {s, "use_dora", only({"false"}, "DoRA is not supported")},
      {s, "fan_in_fan_out", only({"false"}, "linear layers only")},
      {s, "init_lora_weights", take_init},
      {s, "task_type", only({"causal_lm"}, "language models are trained")},
      {s, "peft_type", only({"lora"}, "the only method there is")},
  };
  for (const auto* key :
       {"modules_to_save", "rank_pattern", "alpha_pattern", "loftq_config", "megatron_config",
        "layer_replication", "trainable_token_indices", "target_parameters", "eva_config",
        "corda_config", "lora_ga_config", "velora_config", "monteclora_config", "arrow_config",
        "kasa_config", "use_bdlora", "alora_invocation_tokens"})
    out.push_back({s, key, only({}, "left out: it is not supported")});
  for (const auto* key : {"use_qalora", "lora_bias", "ensure_weight_tying"})
    out.push_back({s, key, only({"false"}, "it is not supported")});
  for (const auto* key : {"inference_mode", "auto_mapping", "base_model_name_or_path", "revision",
                          "megatron_core", "peft_version", "qalora_group_size", "runtime_config"})
    out.push_back({s, key, note(pulls)});
  return out;
}
}  // namespace kairo::gpu
