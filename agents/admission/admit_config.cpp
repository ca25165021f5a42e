// agents/admission/admit_config.cpp - training_config.yaml, as far as admission reads it.
#include "agents/admission/admit_config.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "schemas/yaml/yaml.h"

namespace kairo::admission {
namespace {
using yaml::Value;
using Kind = Value::Kind;
const std::set<std::string> sections{"ModelConfig",       "QuantizationConfig", "LoraConfig",
                                     "TrainingArguments", "DatasetConfig",      "DataCollator"};

// The value of a map; null: absent, null, or there is no such map.
const Value* setting(const Value* map, std::string_view key) {
  const Value* value = map == nullptr ? nullptr : map->find(key);
  return value == nullptr || value->kind == Kind::null ? nullptr : value;
}

// As Go prints the type that its YAML reader makes of it.
std::string type_of(const Value& value) {
  switch (value.kind) {
    case Kind::null:
      return "nil";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float64";
    case Kind::text:
    case Kind::time:
      return "string";
    case Kind::list:
      return "[]interface {}";
    case Kind::map:
      return "map[interface {}]interface {}";
  }
  return "string";
}

std::string check_quantization(const Value* section, const std::string& map,
                               const std::string& method) {
  int on = 0;
  for (const char* key : {"load_in_4bit", "load_in_8bit"}) {
    const Value* value = setting(section, key);
    if (value != nullptr && value->kind != Kind::boolean)
      return "invalid value: value must be either nil or a boolean, got type " + type_of(*value) +
             ": " + key;
    on += value != nullptr && value->boolean;
  }
  if (on == 2)
    return "invalid value: Cannot set both 'load_in_4bit' and 'load_in_8bit' to true in ConfigMap "
           "'" +
           map + "'";
  if (method == "lora" && on > 0)
    return "invalid value: For method 'lora', 'load_in_4bit' or 'load_in_8bit' in ConfigMap '" +
           map + "' must not be true";
  if (method == "qlora" && on == 0)
    return "missing field(s): For method 'qlora', either 'load_in_4bit' or 'load_in_8bit' must be "
           "true in ConfigMap '" +
           map + "'";
  return {};
}

std::string check_output_dir(const Value* arguments, const std::string& map,
                             const std::string& ns) {
  const Value* dir = arguments == nullptr ? nullptr : arguments->find("output_dir");
  if (dir == nullptr) return {};
  if (dir->kind != Kind::text)
    return "invalid value: output_dir is not a string in ConfigMap '" + map + "' in namespace '" +
           ns + "': output_dir";
  const std::string& text = dir->text;
  const auto clean = (text.starts_with("/mnt") ? std::filesystem::path(text)
                                               : std::filesystem::path("/mnt") / text)
                         .lexically_normal()
                         .string();
  if (!clean.starts_with("/mnt/") || clean == "/mnt/")
    return "invalid value: Invalid output_dir specified: '" + text +
           "', must be a directory: output_dir";
  return {};
}

std::string check(const std::string& text, const std::string& map, const std::string& ns,
                  const std::string& method) {
  const auto read = yaml::read(text, "training_config.yaml", yaml::Dialect::pyyaml);
  if (!read.ok()) return "invalid value: ConfigMap '" + map + "': " + read.error().what;
  const Value* config =
      read.value().empty() ? nullptr : setting(&read.value().front(), "training_config");
  if (config == nullptr || config->kind != Kind::map)
    return "invalid value: training_config in ConfigMap '" + map + "' is not a map";
  for (const yaml::Entry& section : config->entries)
    if (!sections.contains(section.key))
      return "invalid value: Unrecognized section: " + section.key + " in ConfigMap '" + map +
             "'; sections are DataCollator, DatasetConfig, LoraConfig, ModelConfig, "
             "QuantizationConfig, TrainingArguments";
  const std::string wrong = check_quantization(setting(config, "QuantizationConfig"), map, method);
  return wrong.empty() ? check_output_dir(setting(config, "TrainingArguments"), map, ns) : wrong;
}
}  // namespace

std::string check_training_config(const std::string& config_map, const std::string& name,
                                  const std::string& method) {
  const auto json = nlohmann::json::parse(config_map, nullptr, false);
  const nlohmann::json::json_pointer at("/data/training_config.yaml");
  if (!json.is_object() || !json.contains(at) || !json[at].is_string())
    return "missing field(s): training_config.yaml in ConfigMap '" + name + "'";
  const std::string ns = json.value(nlohmann::json::json_pointer("/metadata/namespace"), "");
  return check(json[at].get<std::string>(), name, ns, method);
}
}  // namespace kairo::admission
