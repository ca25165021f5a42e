// gpu/formats/take_setting.h - the ways to take a setting's value; private to the tables of
// settings.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gpu/formats/training_settings.h"

namespace kairo::gpu {
// One section's settings each. A null keeps the default, as Python's None.
std::vector<Setting> model_settings();
std::vector<Setting> lora_settings();
std::vector<Setting> argument_settings();
std::vector<Setting> evaluation_settings();
std::vector<Setting> ignored_arguments();
std::vector<Setting> data_settings();

// "<value> must be <wanted>"
Error bad(const SettingValue& v, const std::string& wanted);
bool is_null(const SettingValue& v);
std::string lower(std::string text);
std::string plain_text(const Scalar& s);  // a number in decimal; else as it is written
Result<double> number_of(const SettingValue& v);
Result<bool> boolean_of(const SettingValue& v);

constexpr double huge = std::numeric_limits<double>::max();  // any finite number is at most that
constexpr const char* computes = "the engine chooses how it computes";

TakeSetting text(std::string TrainingConfig::*member);
TakeSetting number(double TrainingConfig::*member, double min, double max, const char* range);
// A torch type by its name: bfloat16, float16, float32 or auto, with or without "torch.".
TakeSetting precision(Precision TrainingConfig::*member);
// The value must say what is done anyway: one of accepted (alone or as a list's only item), an
// empty text or collection, or null.
TakeSetting only(std::vector<std::string> accepted, const char* why);
// Accepted, but it changes nothing: why. The parser puts the field's name before it.
TakeSetting note(const char* why);
template <class T>
TakeSetting integer(T TrainingConfig::*member, std::int64_t min, const char* range) {
  return [=](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    const double x = TRY(number_of(v));
    if (x != std::floor(x)) return bad(v, "a whole number");
    if (!(x >= static_cast<double>(min) && x <= 1e15)) return bad(v, range);
    c.*member = static_cast<T>(x);
    return ok();
  };
}
template <class T>
TakeSetting boolean(T TrainingConfig::*member) {
  return [member](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    c.*member = TRY(boolean_of(v));
    return ok();
  };
}
}  // namespace kairo::gpu
