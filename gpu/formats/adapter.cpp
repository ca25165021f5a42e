// gpu/formats/adapter.cpp - PEFT's adapter_config.json (the keys of 0.11, which later ones accept
// too).
#include "gpu/formats/adapter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "gpu/formats/files.h"
#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
constexpr std::int64_t config_bytes_max = 1 << 20, rank_max = 4096;
constexpr std::string_view prefix = "base_model.model.";
constexpr std::string_view a_suffix = ".lora_A.weight", b_suffix = ".lora_B.weight";

json config_json(const AdapterConfig& c) {
  return {{"alpha_pattern", json::object()},
          {"auto_mapping", nullptr},
          {"base_model_name_or_path", c.base_model},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"inference_mode", true},
          {"init_lora_weights", true},
          {"layer_replication", nullptr},
          {"layers_pattern", nullptr},
          {"layers_to_transform", nullptr},
          {"loftq_config", json::object()},
          {"lora_alpha", c.alpha == std::floor(c.alpha) ? json(static_cast<std::int64_t>(c.alpha))
                                                        : json(c.alpha)},
          {"lora_dropout", 0.0},
          {"megatron_config", nullptr},
          {"megatron_core", "megatron.core"},
          {"modules_to_save", nullptr},
          {"peft_type", "LORA"},
          {"r", c.rank},
          {"rank_pattern", json::object()},
          {"revision", nullptr},
          {"target_modules", c.targets},
          {"task_type", "CAUSAL_LM"},
          {"use_dora", false},
          {"use_rslora", c.use_rslora}};
}

// What would change the result and is not computed here.
std::string refusal(const json& root) {
  constexpr std::array<const char*, 7> must_be_empty = {
      "alpha_pattern",   "rank_pattern", "modules_to_save",        "layer_replication",
      "megatron_config", "use_dora",     "trainable_token_indices"};
  for (const char* key : must_be_empty)
    if (root.contains(key) && !root[key].is_null() && root[key] != false && !root[key].empty())
      return std::string(key) + " is not supported";
  if (root.value("peft_type", json()) != "LORA") return "peft_type is not LORA";
  if (root.contains("bias") && root["bias"] != "none") return "bias is not \"none\"";
  if (root.contains("fan_in_fan_out") && root["fan_in_fan_out"] == true)
    return "fan_in_fan_out is not supported";
  return "";
}

Result<AdapterConfig> parse_config(const std::string& text, const std::string& file) {
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
  if (config.rank < 1 || config.rank > rank_max) return bad("r is out of range [1, 4096]");
  config.use_rslora = root.contains("use_rslora") && root["use_rslora"] == true;
  if (root.contains("base_model_name_or_path") && root["base_model_name_or_path"].is_string())
    config.base_model = root["base_model_name_or_path"].get<std::string>();
  if (root.contains("target_modules") && root["target_modules"].is_array())
    for (const auto& name : root["target_modules"])
      if (name.is_string()) config.targets.push_back(name.get<std::string>());
  std::sort(config.targets.begin(), config.targets.end());
  return config;
}

// "base_model.model.<path>.lora_A.weight" -> path, or empty.
std::string module_path(const std::string& name, std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return "";
  return name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
}
}  // namespace

double AdapterConfig::scale() const {
  const auto r = static_cast<double>(rank);
  return alpha / (use_rslora ? std::sqrt(r) : r);
}

Status write_adapter(const std::string& dir, const AdapterConfig& config,
                     std::span<const TensorToWrite> tensors) {
  TRY(make_folders(dir));
  TRY(write_tensors(dir + "/adapter_model.safetensors", tensors));
  return write_file(dir + "/adapter_config.json", config_json(config).dump(2) + "\n");
}

Result<Adapter> load_adapter(const std::string& dir) {
  const std::string config_file = dir + "/adapter_config.json";
  const std::string tensor_file = dir + "/adapter_model.safetensors";
  Adapter adapter;
  const std::string text = TRY(read_file(config_file, config_bytes_max));
  adapter.config = TRY(parse_config(text, config_file));
  const TensorFile file = TRY(TensorFile::open(tensor_file));
  std::map<std::string, AdapterModule> modules;
  for (const auto& t : file.header().tensors) {
    const bool is_a = t.name.ends_with(a_suffix);
    const std::string path = module_path(t.name, is_a ? a_suffix : b_suffix);
    if (path.empty() || t.shape.size() != 2)
      return Error{Code::invalid, tensor_file + ": " + t.name + " is no LoRA matrix"};
    auto& module = modules[path];
    module.path = path;
    (is_a ? module.in : module.out) = t.shape[is_a ? 1 : 0];
    const std::int64_t rank = t.shape[is_a ? 0 : 1];
    if (rank != adapter.config.rank || (module.rank != 0 && module.rank != rank))
      return Error{Code::corrupt, tensor_file + ": " + t.name + " has rank " +
                                      std::to_string(rank) + ", adapter_config.json says " +
                                      std::to_string(adapter.config.rank)};
    module.rank = rank;
    auto& values = is_a ? module.a : module.b;
    values.resize(static_cast<std::size_t>(t.count()));
    TRY(file.read(t, values));
  }
  for (auto& [path, module] : modules) {
    if (module.a.empty() || module.b.empty())
      return Error{Code::corrupt, tensor_file + ": " + path + " lacks lora_A or lora_B"};
    adapter.modules.push_back(std::move(module));
  }
  if (adapter.modules.empty()) return Error{Code::corrupt, tensor_file + ": no LoRA matrices"};
  return adapter;
}
}  // namespace kairo::gpu
