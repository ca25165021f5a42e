// gpu/formats/take_setting.cpp - values of settings, checked.
#include "gpu/formats/take_setting.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

namespace kairo::gpu {
namespace {
// A string that is a number for Python's float(): KAITO hands every value on as an argument, so
// that "2e-5" and 2e-5, which YAML 1.1 takes for a string, are numbers.
std::optional<double> number_in(std::string t) {
  t.erase(std::remove(t.begin(), t.end(), '_'), t.end());
  const std::size_t begin = t.find_first_not_of(" +");
  if (begin == t.npos) return std::nullopt;
  t = t.substr(begin, t.find_last_not_of(' ') + 1 - begin);
  double out = 0;
  const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), out);
  if (error != std::errc() || end != t.data() + t.size()) return std::nullopt;
  return out;
}
}  // namespace

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}
Error bad(const SettingValue& v, const std::string& wanted) {
  return {Code::invalid, v.shown + " must be " + wanted};
}
bool is_null(const SettingValue& v) {
  return v.scalar && v.scalar->is_null;
}
std::string plain_text(const Scalar& s) {
  if (!s.number) return s.text;
  char out[32];
  return {out, std::to_chars(out, out + sizeof out, *s.number).ptr};
}
Result<double> number_of(const SettingValue& v) {
  if (!v.scalar || v.scalar->is_null || v.scalar->boolean) return bad(v, "a number");
  const auto x = v.scalar->number ? v.scalar->number : number_in(v.scalar->text);
  if (!x || !std::isfinite(*x)) return bad(v, "a number");
  return *x;
}
// The words of transformers' string_to_bool, too.
Result<bool> boolean_of(const SettingValue& v) {
  if (v.scalar && v.scalar->boolean) return *v.scalar->boolean;
  const std::string t = v.scalar ? lower(v.scalar->text) : "";
  for (const auto* word : {"true", "yes", "t", "y", "1"})
    if (t == word) return true;
  for (const auto* word : {"false", "no", "f", "n", "0"})
    if (t == word) return false;
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
TakeSetting precision(Precision TrainingConfig::*member) {
  return [member](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    std::string name = v.scalar ? v.scalar->text : "";
    if (name.starts_with("torch.")) name.erase(0, 6);
    if (name == "float32" || name == "float")
      c.*member = Precision::single;
    else if (name == "bfloat16" || name == "float16" || name == "half")
      c.*member = Precision::half;
    else if (name == "auto")
      c.*member = Precision::unset;
    else
      return bad(v, "bfloat16, float16, float32 or auto");
    return ok();
  };
}
TakeSetting only(std::vector<std::string> accepted, const char* why) {
  return [accepted = std::move(accepted), why](const SettingValue& v, TrainingConfig&) -> Status {
    if (is_null(v) || (v.members && v.members->empty()) || (v.items && v.items->empty()))
      return ok();
    if (v.scalar) {
      std::string t = lower(v.scalar->text);
      if (v.scalar->boolean) t = *v.scalar->boolean ? "true" : "false";
      if (std::find(accepted.begin(), accepted.end(), t) != accepted.end()) return ok();
      if (v.scalar->text.empty()) return ok();
      const auto x = number_of(v);
      if (x.ok() && x.value() == 0 &&
          std::find(accepted.begin(), accepted.end(), "0") != accepted.end())
        return ok();
    }
    if (v.items && v.items->size() == 1 &&
        std::find(accepted.begin(), accepted.end(), lower(v.items->front().text)) != accepted.end())
      return ok();
    std::string list;
    for (const auto& a : accepted) list += (list.empty() ? "" : " or ") + a;
    return bad(v, list.empty() ? why : list + ": " + why);
  };
}
TakeSetting note(const char* why) {
  return [why](const SettingValue&, TrainingConfig& c) -> Status {
    c.notes.emplace_back(why);
    return ok();
  };
}
}  // namespace kairo::gpu
