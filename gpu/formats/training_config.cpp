// gpu/formats/training_config.cpp - training_config.yaml through the table of its settings.
#include "gpu/formats/training_config.h"

#include <yaml-cpp/yaml.h>

#include "gpu/formats/training_settings.h"

namespace kairo::gpu {
namespace {
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
Scalar scalar_of(const YAML::Node& node) {
  Scalar out;
  out.is_null = node.IsNull();
  if (node.IsScalar()) out.text = node.Scalar();
  out.is_string = node.Tag() == "!";
  return out;
}
SettingValue value_of(const YAML::Node& node) {
  SettingValue out;
  if (node.IsMap()) {
    out.shown = "(a map)";
    if (node.size() > items_max) return out;
    std::vector<std::pair<std::string, Scalar>> members;
    for (const auto& item : node) {
      if (!item.first.IsScalar() || !(item.second.IsScalar() || item.second.IsNull())) return out;
      members.emplace_back(item.first.Scalar(), scalar_of(item.second));
    }
    out.members = std::move(members);
    return out;
  }
  if (!node.IsSequence()) {
    out.scalar = scalar_of(node);
    out.shown = out.scalar->is_null ? "null" : "\"" + printable(out.scalar->text) + "\"";
    return out;
  }
  out.shown = "(a list)";
  if (node.size() > items_max) return out;
  std::vector<Scalar> items;
  for (const auto& item : node) {
    if (!item.IsScalar() && !item.IsNull()) return out;
    items.push_back(scalar_of(item));
  }
  out.items = std::move(items);
  return out;
}
std::string suggestion(const std::string& closest) {
  return closest.empty() ? "remove it" : "did you mean " + closest + "?";
}
Status take_section(const std::string& section, const YAML::Node& node, TrainingConfig& config) {
  if (node.IsNull()) return ok();
  if (!node.IsMap()) return bad(section + " must be a map of settings");
  for (const auto& item : node) {
    if (!item.first.IsScalar()) return bad(section + ": a key must be a name");
    const std::string key = item.first.Scalar();
    const std::string field = section + "." + printable(key);
    const Setting* setting = find_setting(section, key);
    if (setting == nullptr)
      return bad(field + " is not a known setting; " + suggestion(closest_key(section, key)));
    const std::size_t notes = config.notes.size();
    const Status taken = setting->take(value_of(item.second), config);
    if (!taken.ok()) return bad(field + ": " + taken.error().what);
    for (std::size_t i = notes; i < config.notes.size(); ++i)
      config.notes[i] = field + " changes nothing here: " + config.notes[i];
  }
  return ok();
}
Status take_all(const YAML::Node& root, TrainingConfig& config) {
  if (!root.IsMap() || !root["training_config"])
    return bad("the file must hold the map training_config");
  for (const auto& item : root)
    if (!item.first.IsScalar() || item.first.Scalar() != "training_config")
      return bad("only training_config may stand at the top");
  const YAML::Node sections = root["training_config"];
  if (sections.IsNull()) return ok();
  if (!sections.IsMap()) return bad("training_config must be a map of sections");
  for (const auto& item : sections) {
    const std::string name = item.first.IsScalar() ? item.first.Scalar() : "";
    bool known = false;
    for (const auto section : config_sections()) known = known || section == name;
    if (!known)
      return bad(printable(name) + " is not a known section; " +
                 suggestion(closest_of(config_sections(), name)));
  }
  for (const auto section : config_sections()) {
    const std::string name(section);
    const YAML::Node node = sections[name];
    if (node) TRY(take_section(name, node, config));
  }
  return ok();
}
// What one setting means only together with another.
Status check_together(const YAML::Node& root, const TrainingConfig& config) {
  const YAML::Node quantization = root["training_config"]["QuantizationConfig"];
  if (config.load_in_4bit.value_or(false) && !quantization["bnb_4bit_quant_type"])
    return bad(
        "QuantizationConfig.bnb_4bit_quant_type is not set, which means fp4; 4-bit weights are "
        "stored as NF4: set it to nf4");
  if (!config.context_column.empty() && config.response_column.empty())
    return bad("DatasetConfig.context_column is set without response_column: set both");
  if (config.max_steps == 0)
    return bad("TrainingArguments.max_steps: 0 must be at least 1, or -1 for whole epochs");
  return ok();
}
}  // namespace

Result<TrainingConfig> parse_training_config(std::string_view yaml) {
  if (yaml.size() > yaml_bytes_max)
    return bad(std::to_string(yaml.size()) + " bytes; at most " + std::to_string(yaml_bytes_max));
  try {
    TrainingConfig config;
    const YAML::Node root = YAML::Load(std::string(yaml));
    TRY(take_all(root, config));
    TRY(check_together(root, config));
    return config;
  } catch (const YAML::Exception& e) {
    return bad("not valid YAML: line " + std::to_string(e.mark.line + 1) + ": " + e.msg);
  }
}
}  // namespace kairo::gpu
