// gpu/serve/fields.cpp
#include "gpu/serve/fields.h"

#include <cmath>

namespace kairo::gpu {
using Json = nlohmann::json;

Error bad(const std::string& field, const std::string& why) {
  return {Code::invalid, field + " " + why};
}
std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}
bool is_absent(const Json& object, const char* key) {
  return !object.contains(key) || object[key].is_null();
}

void Fields::number(const char* key, float& out, double low, double high) {
  if (is_absent(object_, key)) return;
  const Json& value = object_[key];
  if (!value.is_number() || value.get<double>() < low || value.get<double>() > high)
    return wrong(key, "must be a number from " + Json(low).dump() + " to " + Json(high).dump());
  out = value.get<float>();
}
void Fields::integer(const char* key, int& out, int low, int high) {
  if (is_absent(object_, key)) return;
  const Json& value = object_[key];
  const bool is_whole =
      value.is_number_integer() ||
      (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
  if (!is_whole || value.get<double>() < low || value.get<double>() > high)
    return wrong(
        key, "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  out = value.get<int>();
}
void Fields::flag(const char* key, bool& out) {
  if (is_absent(object_, key)) return;
  if (!object_[key].is_boolean()) return wrong(key, "must be true or false");
  out = object_[key].get<bool>();
}
void Fields::text(const char* key, std::string& out) {
  if (is_absent(object_, key)) return;
  if (!object_[key].is_string()) return wrong(key, "must be a string");
  out = object_[key].get<std::string>();
}
void Fields::only(const char* key, const Json& neutral) {
  if (is_absent(object_, key) || object_[key] == neutral) return;
  if (object_[key].is_number() && neutral.is_number() &&
      object_[key].get<double>() == neutral.get<double>())
    return;
  wrong(key, "is not supported here: leave it out");
}
void Fields::wrong(const std::string& key, const std::string& why) {
  if (error_) return;
  const std::string value = object_.contains(key) ? " (it is " + shown(object_[key]) + ")" : "";
  error_ = bad(path_ + key, why + value);
}
}  // namespace kairo::gpu
