// gpu/formats/training_settings.h - the table of every setting that training_config.yaml may hold;
// private to its parser.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gpu/formats/training_config.h"

namespace kairo::gpu {
// A scalar of the file, as PyYAML types it: yes is a boolean, 1e-4 a string.
struct Scalar {
  std::string text;  // as it is written
  bool is_string = false, is_null = false;
  std::optional<bool> boolean = std::nullopt;
  std::optional<double> number = std::nullopt;
};
struct SettingValue {
  std::optional<Scalar> scalar;              // one of these three, or none: a value of other values
  std::optional<std::vector<Scalar>> items;  // a list of scalars
  std::optional<std::vector<std::pair<std::string, Scalar>>> members;  // a map of scalars
  std::string shown;  // the value as people read it, at most 80 characters
};
// Takes the value into the config. invalid: what is wrong, without the field's name.
using TakeSetting = std::function<Status(const SettingValue&, TrainingConfig&)>;
struct Setting {
  std::string_view section, key;
  TakeSetting take;
};
std::span<const std::string_view> config_sections();
// Null: no such setting. Every section has at least one.
const Setting* find_setting(std::string_view section, std::string_view key);
// The key of the section that is nearest to the given one by edits; empty: none is near.
std::string closest_key(std::string_view section, std::string_view key);
std::string closest_of(std::span<const std::string_view> names, std::string_view name);
}  // namespace kairo::gpu
