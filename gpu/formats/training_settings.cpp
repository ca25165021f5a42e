// gpu/formats/training_settings.cpp - the table of all sections, and the nearest name in it.
#include "gpu/formats/training_settings.h"

#include <algorithm>
#include <cctype>

#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
// Constant; built when it is first asked for.
const std::vector<Setting>& settings() {
  static const std::vector<Setting> table = [] {
    std::vector<Setting> out = model_settings();
    for (auto* part :
         {lora_settings, argument_settings, evaluation_settings, ignored_arguments, data_settings})
      for (auto& setting : part()) out.push_back(std::move(setting));
    return out;
  }();
  return table;
}
constexpr std::string_view sections[] = {"ModelConfig",  "QuantizationConfig",
                                         "LoraConfig",   "TrainingArguments",
                                         "DataCollator", "DatasetConfig"};
// Levenshtein distance of short names.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (std::tolower(a[i - 1]) != std::tolower(b[j - 1]));
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}
}  // namespace

std::span<const std::string_view> config_sections() {
  return sections;
}
const Setting* find_setting(std::string_view section, std::string_view key) {
  for (const auto& setting : settings())
    if (setting.section == section && setting.key == key) return &setting;
  return nullptr;
}
std::string closest_of(std::span<const std::string_view> names, std::string_view name) {
  if (name.size() > 64) return "";
  std::string_view best;
  std::size_t least = std::max<std::size_t>(3, name.size() / 2 + 1);
  for (const auto n : names) {
    const std::size_t distance = edits(n, name);
    if (distance < least) {
      least = distance;
      best = n;
    }
  }
  return std::string(best);
}
std::string closest_key(std::string_view section, std::string_view key) {
  std::vector<std::string_view> names;
  for (const auto& setting : settings())
    if (setting.section == section) names.push_back(setting.key);
  return closest_of(names, key);
}
}  // namespace kairo::gpu
