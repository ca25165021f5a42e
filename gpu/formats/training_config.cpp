// gpu/formats/training_config.cpp - training_config.yaml through the table of its settings.
#include "gpu/formats/training_config.h"

#include <algorithm>

#include "gpu/formats/training_settings.h"
#include "schemas/yaml/yaml.h"

namespace kairo::gpu {
namespace {
using yaml::Value;
using Kind = Value::Kind;
constexpr std::size_t yaml_bytes_max = 1 << 20;
constexpr std::size_t items_max = 1000;

Error bad(const std::string& what) {
  return {Code::invalid, "training_config.yaml: " + what};
}
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text.size() > 80 ? text.substr(0, 77) + "..." : text;
}
bool is_scalar(const Value& v) {
  return v.kind != Kind::list && v.kind != Kind::map;
}
Scalar scalar_of(const Value& v) {
  Scalar out;
  out.text = v.text;
  out.is_string = v.kind == Kind::text;
  out.is_null = v.kind == Kind::null;
  if (v.kind == Kind::boolean) out.boolean = v.boolean;
  if (v.kind == Kind::integer || v.kind == Kind::real) out.number = v.real;
  return out;
}
SettingValue value_of(const Value& v) {
  SettingValue out;
  if (v.kind == Kind::map) {
    out.shown = "(a map)";
    if (v.entries.size() > items_max) return out;
    std::vector<std::pair<std::string, Scalar>> members;
    for (const auto& entry : v.entries) {
      if (!is_scalar(entry.value)) return out;
      members.emplace_back(entry.key, scalar_of(entry.value));
    }
    out.members = std::move(members);
    return out;
  }
  if (v.kind != Kind::list) {
    out.scalar = scalar_of(v);
    out.shown = out.scalar->is_null ? "null" : "\"" + printable(out.scalar->text) + "\"";
    return out;
  }
  out.shown = "(a list)";
  if (v.items.size() > items_max) return out;
  std::vector<Scalar> items;
  for (const auto& item : v.items) {
    if (!is_scalar(item)) return out;
    items.push_back(scalar_of(item));
  }
  out.items = std::move(items);
  return out;
}
std::string suggestion(const std::string& closest) {
  return closest.empty() ? "remove it" : "did you mean " + closest + "?";
}
Status take_section(const std::string& section, const Value& node, TrainingConfig& config) {
  if (node.kind == Kind::null) return ok();
  if (node.kind != Kind::map) return bad(section + " must be a map of settings");
  for (const auto& [key, line, column, value] : node.entries) {
    const std::string field = section + "." + printable(key);
    const Setting* setting = find_setting(section, key);
    if (setting == nullptr)
      return bad(field + " is not a known setting; " + suggestion(closest_key(section, key)));
    const std::size_t notes = config.notes.size();
    const Status taken = setting->take(value_of(value), config);
    if (!taken.ok()) return bad(field + ": " + taken.error().what);
    for (std::size_t i = notes; i < config.notes.size(); ++i)
      config.notes[i] = field + " changes nothing here: " + config.notes[i];
  }
  return ok();
}
Status take_all(const Value& sections, TrainingConfig& config) {
  if (sections.kind != Kind::map) return bad("training_config must be a map of sections");
  for (const auto& entry : sections.entries)
    if (std::ranges::find(config_sections(), entry.key) == config_sections().end())
      return bad(printable(entry.key) + " is not a known section; " +
                 suggestion(closest_of(config_sections(), entry.key)));
  for (const auto section : config_sections())
    if (const Value* node = sections.find(section))
      TRY(take_section(std::string(section), *node, config));
  return ok();
}
// What one setting means only together with another.
Status check_together(const Value& sections, const TrainingConfig& config) {
  const Value* quantization = sections.find("QuantizationConfig");
  if (config.load_in_4bit.value_or(false) && quantization->find("bnb_4bit_quant_type") == nullptr)
    return bad(
        "QuantizationConfig.bnb_4bit_quant_type is not set, which means fp4; 4-bit weights are "
        "stored as NF4: set it to nf4");
  if (!config.context_column.empty() && config.response_column.empty())
    return bad("DatasetConfig.context_column is set without response_column: set both");
  const Value* data = sections.find("DatasetConfig");
  if (!config.validation_file.empty() && data->find("train_test_split") != nullptr &&
      config.train_test_split < 1)
    return bad(
        "DatasetConfig.validation_file and a train_test_split below 1 would both hold rows out; "
        "leave train_test_split out, or validation_file");
  if (config.max_steps == 0)
    return bad("TrainingArguments.max_steps: 0 must be at least 1, or -1 for whole epochs");
  return ok();
}
}  // namespace

bool TrainingConfig::wants_bf16() const {
  if (load_in_4bit.value_or(false) && compute_dtype != Precision::unset)
    return compute_dtype == Precision::half;
  if (bf16.value_or(false) || fp16.value_or(false) || dtype == Precision::half) return true;
  return dtype != Precision::single && bf16.value_or(true);
}

Result<TrainingConfig> parse_training_config(std::string_view text) {
  yaml::Limits limits;
  limits.bytes = yaml_bytes_max;
  const auto documents =
      TRY(yaml::read(text, "training_config.yaml", yaml::Dialect::pyyaml, limits));
  const Value* root = documents.empty() ? nullptr : &documents.front();
  const Value* sections = root == nullptr ? nullptr : root->find("training_config");
  if (sections == nullptr) return bad("the file must hold the map training_config");
  TrainingConfig config;
  for (const auto& entry : root->entries)  // KAITO reads training_config only
    if (entry.key != "training_config")
      config.notes.push_back("training_config.yaml: " + printable(entry.key) +
                             " stands beside training_config: only its aliases are read");
  if (sections->kind == Kind::null) return config;
  TRY(take_all(*sections, config));
  TRY(check_together(*sections, config));
  if (!config.validation_file.empty()) config.train_test_split = 1;
  return config;
}
}  // namespace kairo::gpu
