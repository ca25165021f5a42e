// agents/watcher/admit_config.cpp - training_config.yaml, as far as admission reads it.
#include "agents/watcher/admit_config.h"

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

namespace kairo::watcher {
namespace {
const std::set<std::string> sections{"ModelConfig",       "QuantizationConfig", "LoraConfig",
                                     "TrainingArguments", "DatasetConfig",      "DataCollator"};

// nullopt-like: 0 = absent or null, 1 = true, 2 = false, 3 = something else
int boolean(const YAML::Node& section, const char* key) {
  const YAML::Node value = section[key];
  if (!value || value.IsNull()) return 0;
  bool out = false;
  if (!value.IsScalar() || value.Tag() == "!" || !YAML::convert<bool>::decode(value, out)) return 3;
  return out ? 1 : 2;
}

// As Go prints the type that its YAML reader makes of it.
std::string type_of(const YAML::Node& value) {
  if (value.IsMap()) return "map[interface {}]interface {}";
  if (value.IsSequence()) return "[]interface {}";
  std::int64_t whole = 0;
  double number = 0;
  if (value.Tag() == "!") return "string";  // quoted
  if (YAML::convert<std::int64_t>::decode(value, whole)) return "int";
  return YAML::convert<double>::decode(value, number) ? "float64" : "string";
}

std::string check_quantization(const YAML::Node& section, const std::string& map,
                               const std::string& method) {
  const bool there = section && section.IsMap();
  bool any = false;
  int on = 0;
  for (const char* key : {"load_in_4bit", "load_in_8bit"}) {
    const int value = there ? boolean(section, key) : 0;
    if (value == 3)
      return "invalid value: value must be either nil or a boolean, got type " +
             type_of(section[key]) + ": " + key;
    any = any || value == 1;
    on += value == 1;
  }
  if (on == 2)
    return "invalid value: Cannot set both 'load_in_4bit' and 'load_in_8bit' to true in ConfigMap "
           "'" +
           map + "'";
  if (method == "lora" && any)
    return "invalid value: For method 'lora', 'load_in_4bit' or 'load_in_8bit' in ConfigMap '" +
           map + "' must not be true";
  if (method == "qlora" && !any)
    return "missing field(s): For method 'qlora', either 'load_in_4bit' or 'load_in_8bit' must be "
           "true in ConfigMap '" +
           map + "'";
  return {};
}

std::string check_output_dir(const YAML::Node& arguments, const std::string& map,
                             const std::string& ns) {
  if (!arguments || !arguments.IsMap() || !arguments["output_dir"]) return {};
  const YAML::Node dir = arguments["output_dir"];
  if (!dir.IsScalar() || type_of(dir) != "string")
    return "invalid value: output_dir is not a string in ConfigMap '" + map + "' in namespace '" +
           ns + "': output_dir";
  const std::string& text = dir.Scalar();
  const auto clean = (text.starts_with("/mnt") ? std::filesystem::path(text)
                                               : std::filesystem::path("/mnt") / text)
                         .lexically_normal()
                         .string();
  if (!clean.starts_with("/mnt/") || clean == "/mnt/")
    return "invalid value: Invalid output_dir specified: '" + text +
           "', must be a directory: output_dir";
  return {};
}

std::string check(const std::string& yaml, const std::string& map, const std::string& ns,
                  const std::string& method) {
  const YAML::Node root = YAML::Load(yaml);
  const YAML::Node config = root.IsMap() ? root["training_config"] : YAML::Node();
  if (!config || !config.IsMap())
    return "invalid value: training_config in ConfigMap '" + map + "' is not a map";
  for (const auto& section : config)
    if (!sections.contains(section.first.Scalar()))
      return "invalid value: Unrecognized section: " + section.first.Scalar() + " in ConfigMap '" +
             map +
             "'; sections are DataCollator, DatasetConfig, LoraConfig, ModelConfig, "
             "QuantizationConfig, TrainingArguments";
  const std::string wrong = check_quantization(config["QuantizationConfig"], map, method);
  return wrong.empty() ? check_output_dir(config["TrainingArguments"], map, ns) : wrong;
}
}  // namespace

std::string check_training_config(const std::string& config_map, const std::string& name,
                                  const std::string& method) {
  const auto json = nlohmann::json::parse(config_map, nullptr, false);
  const nlohmann::json::json_pointer at("/data/training_config.yaml");
  if (!json.is_object() || !json.contains(at) || !json[at].is_string())
    return "missing field(s): training_config.yaml in ConfigMap '" + name + "'";
  try {
    const std::string ns = json.value(nlohmann::json::json_pointer("/metadata/namespace"), "");
    return check(json[at].get<std::string>(), name, ns, method);
  } catch (const YAML::Exception& bad) {
    return "invalid value: training_config.yaml in ConfigMap '" + name +
           "' is not valid YAML: line " + std::to_string(bad.mark.line + 1) + ": " + bad.msg;
  }
}
}  // namespace kairo::watcher
