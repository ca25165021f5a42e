// gpu/formats/adapter_config.cpp - PEFT's adapter_config.json, every field of 0.21 known.
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <optional>
#include <string_view>

#include "gpu/formats/adapter.h"
#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
constexpr std::int64_t rank_max = 4096;
// peft loads such adapters and folds them into the weights.
constexpr const char* merge_first =
    "merge it into its model with peft (PeftModel.from_pretrained(..).merge_and_unload()) and give "
    "the merged model";

// Fields that name another computation, whatever they say; absent, null, false and empty are none.
struct Variant {
  std::string_view key, what;
};
constexpr Variant variants[] = {
    {"use_dora", "DoRA also scales the base weights' columns"},
    {"use_qalora", "QA-LoRA pools the inputs"},
    {"use_bdlora", "BD-LoRA's matrices are block-diagonal"},
    {"lora_bias", "B has a bias"},
    {"rank_pattern", "modules have ranks of their own"},
    {"alpha_pattern", "modules have scales of their own"},
    {"modules_to_save", "whole modules are replaced"},
    {"trainable_token_indices", "rows of the embedding are replaced"},
    {"target_parameters", "parameters beside the linear modules are adapted"},
    {"layer_replication", "layers are repeated"},
    {"megatron_config", "the layers are Megatron's"},
    {"arrow_config", "Arrow mixes several adapters for every token"},
    {"kasa_config", "KaSA also cuts the base weights"},
    {"monteclora_config", "MonteCLoRA draws its weights anew"}};
// Fields of the training, or of where the modules are, which the tensors' names say.
constexpr std::string_view harmless[] = {
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config",
    "exclude_modules",
    "fan_in_fan_out",  // peft itself sets it false for linear layers
    "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout",
    "lora_ga_config", "megatron_core", "peft_version", "qalora_group_size", "revision",
    "runtime_config", "target_modules", "velora_config",
    // of peft 0.3 and before
    "enable_lora", "merge_weights"};
constexpr std::string_view taken[] = {"alora_invocation_tokens",
                                      "bias",
                                      "init_lora_weights",
                                      "lora_alpha",
                                      "peft_type",
                                      "r",
                                      "task_type",
                                      "use_rslora"};

bool says_nothing(const json& v) {
  if (v.is_number()) return v.get<double>() == 0;
  if (v.is_string()) return v.get_ref<const std::string&>().empty();
  return v.is_null() || v == false || (v.is_structured() && v.empty());
}
std::string shown(const json& v) {
  const std::string text = v.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > 80 ? text.substr(0, 77) + "..." : text;
}
std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}
// Whether the base model stays as it is; else the adapter holds only what training added to another
// one, made of the base by this initialisation.
std::string init_refusal(const json& v) {
  if (v.is_null() || v.is_boolean()) return "";
  const std::string name = v.is_string() ? lower(v.get<std::string>()) : "";
  for (const auto* same : {"gaussian", "eva", "orthogonal", "mica"})
    if (name == same) return "";
  if (name == "loftq")
    return std::string("LoftQ quantises the base weights and starts from what is lost; ") +
           merge_first;
  const bool converts = name.starts_with("pissa") || name.starts_with("corda") || name == "olora" ||
                        name == "lora_ga";
  if (!converts) return std::string("this initialisation is not known; ") + merge_first;
  return "the base weights were changed at the start of training; convert the adapter to LoRA "
         "first, where it was trained: model.save_pretrained(DIR, "
         "path_initial_model_for_weight_conversion=DIR_OF_THE_INITIAL_ADAPTER), and give DIR";
}
bool is_text(const json& root, const char* key, std::string_view wanted) {
  return root.contains(key) && root[key].is_string() &&
         lower(root[key].get<std::string>()) == wanted;
}

// What would change the result and is not computed here.
std::string refusal(const json& root) {
  const auto named = [&](std::string_view key, const std::string& why) {
    return std::string(key) + " is " + shown(root[std::string(key)]) + ": " + why;
  };
  if (!is_text(root, "peft_type", "lora"))
    return "peft_type is " + (root.contains("peft_type") ? shown(root["peft_type"]) : "absent") +
           ", not \"LORA\"; only LoRA adapters are read";
  if (root.contains("init_lora_weights"))
    if (const auto why = init_refusal(root["init_lora_weights"]); !why.empty())
      return named("init_lora_weights", why);
  // An empty list is not nothing: peft makes an aLoRA of it.
  if (root.contains("alora_invocation_tokens") && !root["alora_invocation_tokens"].is_null())
    return named("alora_invocation_tokens",
                 "aLoRA adapts only what follows these tokens, which is not supported; train it as "
                 "LoRA (without this field)");
  for (const auto& v : variants)
    if (const auto at = root.find(v.key); at != root.end() && !says_nothing(*at))
      return named(v.key, std::string(v.what) + ", which is not supported; " + merge_first);
  if (root.contains("bias") && !root["bias"].is_null() && root["bias"] != "none")
    return named("bias", std::string("trained biases are not supported; ") + merge_first);
  if (root.contains("task_type") && !root["task_type"].is_null() &&
      !is_text(root, "task_type", "causal_lm"))
    return named("task_type", "adapters of causal language models (CAUSAL_LM) are read");
  if (root.contains("use_rslora") && !root["use_rslora"].is_null() &&
      !root["use_rslora"].is_boolean())
    return named("use_rslora", "it must be true or false");
  for (const auto& [key, value] : root.items()) {
    const auto is_key = [&key = key](std::string_view known) { return known == key; };
    const bool known = std::ranges::any_of(harmless, is_key) ||
                       std::ranges::any_of(taken, is_key) ||
                       std::ranges::any_of(variants, is_key, &Variant::key);
    if (!known && !says_nothing(value))
      return "the field " + json(key).dump(-1, ' ', true, json::error_handler_t::replace) + " is " +
             shown(value) +
             " and not known here: it may change what the adapter computes; remove it if it does "
             "not, else " +
             merge_first;
  }
  return "";
}
}  // namespace

namespace {
Result<std::vector<std::string>> names_of(const json& root, const char* key) {
  std::vector<std::string> out;
  for (const auto& name : root[key]) {
    if (!name.is_string())
      return Error{Code::invalid, std::string(key) + " is " + shown(root[key]) +
                                      ": it must be a text or a list of texts"};
    out.push_back(name.get<std::string>());
  }
  return out;
}
// A list of texts, or one text; neither when it is absent or null.
Status take_names(const json& root, const char* key, std::vector<std::string>& names,
                  std::string& text) {
  if (!root.contains(key) || root[key].is_null()) return ok();
  if (root[key].is_string())
    text = root[key].get<std::string>();
  else
    names = TRY(names_of(root, key));
  return ok();
}
// peft's default for the families that it has one for; Phi-3's adapters name theirs.
const LoraTargets targets_when_null = {"q_proj", "v_proj"};

Result<LoraTargets> targets_of(const json& root) {
  if (!root.contains("target_modules") || root["target_modules"].is_null())
    return targets_when_null;
  LoraTargets out;
  TRY(take_names(root, "target_modules", out.names, out.pattern));
  if (lower(out.pattern) == "all-linear") {
    out.names = {"all-linear"};
    out.pattern.clear();
  }
  TRY(take_names(root, "exclude_modules", out.exclude, out.exclude_pattern));
  std::string one;
  TRY(take_names(root, "layers_pattern", out.layers_pattern, one));
  if (!one.empty()) out.layers_pattern = {one};
  if (root.contains("layers_to_transform") && !root["layers_to_transform"].is_null()) {
    const json& layers = root["layers_to_transform"];
    for (const auto& layer : layers.is_array() ? layers : json::array({layers})) {
      if (!layer.is_number_integer())
        return Error{Code::invalid, "layers_to_transform is " + shown(layers) +
                                        ": it must be a layer's number or a list of such"};
      out.layers.push_back(layer.get<std::int64_t>());
    }
  }
  std::ranges::sort(out.names);
  return out;
}
}  // namespace

double AdapterConfig::scale() const {
  const auto r = static_cast<double>(rank);
  return alpha / (use_rslora ? std::sqrt(r) : r);
}

Result<AdapterConfig> parse_adapter_config(const std::string& text, const std::string& file) {
  const auto bad = [&](const std::string& why) { return Error{Code::invalid, file + ": " + why}; };
  const auto parsed = parse_json_object(text);
  if (!parsed.ok()) return bad(parsed.error().what);
  const json& root = parsed.value();
  if (const std::string why = refusal(root); !why.empty()) return bad(why);
  if (!root.contains("r") || !root["r"].is_number_integer()) return bad("r is not an integer");
  if (!root.contains("lora_alpha") || !root["lora_alpha"].is_number())
    return bad("lora_alpha is not a number");
  AdapterConfig config;
  config.rank = root["r"].get<std::int64_t>();
  config.alpha = root["lora_alpha"].get<double>();
  if (config.rank < 1 || config.rank > rank_max)
    return bad("r is " + shown(root["r"]) + ", out of range [1, 4096]");
  config.use_rslora = root.contains("use_rslora") && root["use_rslora"] == true;
  if (root.contains("base_model_name_or_path") && root["base_model_name_or_path"].is_string())
    config.base_model = root["base_model_name_or_path"].get<std::string>();
  auto targets = targets_of(root);
  if (!targets.ok()) return bad(targets.error().what);
  config.targets = std::move(targets).value();
  return config;
}

std::string adapter_config_text(const AdapterConfig& c) {
  const double alpha = c.use_rslora ? c.scale() * static_cast<double>(c.rank) : c.alpha;
  LoraTargets targets = c.targets;
  std::ranges::sort(targets.names);
  const auto or_null = [](const auto& list) { return list.empty() ? json(nullptr) : json(list); };
  json out = {
      {"alpha_pattern", json::object()},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", c.base_model},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layer_replication", nullptr},
      {"layers_pattern", or_null(targets.layers_pattern)},
      {"layers_to_transform", or_null(targets.layers)},
      {"loftq_config", json::object()},
      {"lora_alpha",
       alpha == std::floor(alpha) ? json(static_cast<std::int64_t>(alpha)) : json(alpha)},
      {"lora_dropout", c.dropout},
      {"megatron_config", nullptr},
      {"megatron_core", "megatron.core"},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", c.rank},
      {"rank_pattern", json::object()},
      {"revision", nullptr},
      {"target_modules", targets.pattern.empty() ? json(targets.names) : json(targets.pattern)},
      {"task_type", "CAUSAL_LM"},
      {"use_dora", false},
      {"use_rslora", false}};
  if (!targets.exclude_pattern.empty()) out["exclude_modules"] = targets.exclude_pattern;
  if (!targets.exclude.empty()) out["exclude_modules"] = targets.exclude;
  return out.dump(2) + "\n";
}
}  // namespace kairo::gpu
