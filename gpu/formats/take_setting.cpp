// gpu/formats/take_setting.cpp - values of settings, checked.
#include "gpu/formats/take_setting.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace kairo::gpu {
namespace {
std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}
}  // namespace

Error bad(const SettingValue& v, const std::string& wanted) {
  return {Code::invalid, v.shown + " must be " + wanted};
}
bool is_null(const SettingValue& v) {
  return v.scalar && v.scalar->is_null;
}
Result<double> number_of(const SettingValue& v) {
  double out = 0;
  if (!v.scalar || v.scalar->is_null) return bad(v, "a number");
  const std::string& t =
      v.scalar->text;  // quoted numbers are numbers: "2e-5" is how YAML 1.1 needs it
  const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), out);
  if (error != std::errc() || end != t.data() + t.size() || !std::isfinite(out))
    return bad(v, "a number");
  return out;
}
Result<bool> boolean_of(const SettingValue& v) {
  if (v.scalar && !v.scalar->is_null && !v.scalar->is_string) {
    const std::string t = lower(v.scalar->text);
    if (t == "true" || t == "yes" || t == "on") return true;
    if (t == "false" || t == "no" || t == "off") return false;
  }
  return bad(v, "true or false");
}

TakeSetting text(std::string TrainingConfig::*member) {
  return [member](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    if (!v.scalar) return bad(v, "a string");
    c.*member = v.scalar->text;
    return ok();
  };
}
TakeSetting number(double TrainingConfig::*member, double min, double max, const char* range) {
  return [=](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    const double x = TRY(number_of(v));
    if (!(x >= min && x <= max)) return bad(v, range);
    c.*member = x;
    return ok();
  };
}
TakeSetting only(std::vector<std::string> accepted, const char* why) {
  return [accepted = std::move(accepted), why](const SettingValue& v, TrainingConfig&) -> Status {
    if (is_null(v) || (v.members && v.members->empty()) || (v.items && v.items->empty()))
      return ok();
    if (v.scalar) {
      const std::string t = lower(v.scalar->text);
      if (std::find(accepted.begin(), accepted.end(), t) != accepted.end()) return ok();
      const auto x = number_of(v);
      if (x.ok() && x.value() == 0 &&
          std::find(accepted.begin(), accepted.end(), "0") != accepted.end())
        return ok();
    }
    std::string list;
    for (const auto& a : accepted) list += (list.empty() ? "" : " or ") + a;
    return bad(v, list + ": " + why);
  };
}
TakeSetting note(const char* why) {
  return [why](const SettingValue&, TrainingConfig& c) -> Status {
    c.notes.emplace_back(why);
    return ok();
  };
}
}  // namespace kairo::gpu
