// gpu/formats/config_fields.h - fields of a config.json, each checked as it is read.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace kairo::gpu {
// Beyond every model that there is, and small enough that no product of sizes leaves 63 bits.
constexpr std::int64_t layers_max = 1 << 10, width_max = 1 << 20, tokens_max = 1 << 24;

// Reads fields of one object and keeps the first error.
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string where)
      : object_(object), where_(std::move(where)) {}
  bool says(const char* key) const { return object_.contains(key); }  // perhaps null
  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }
  std::int64_t integer(const char* key, std::int64_t absent) {
    if (!has(key)) return absent;
    const nlohmann::json& v = object_[key];
    if (!v.is_number_integer()) return fail(key, "is not an integer"), absent;
    // Beyond 63 bits no range takes it.
    return v.is_number_unsigned() && v.get<std::uint64_t>() >> 63 != 0 ? -1 : v.get<std::int64_t>();
  }
  // In [1, max]; 1 when it is not.
  std::int64_t dimension(const char* key, std::int64_t max, std::int64_t absent = 0) {
    const std::int64_t value = integer(key, absent);
    if (value >= 1 && value <= max) return value;
    if (!has(key)) return fail(key, "is missing"), 1;
    fail(key, "is " + at(key).dump() + ", out of range [1, " + std::to_string(max) + "]");
    return 1;
  }
  double number(const char* key, double absent) {
    if (!has(key)) return absent;
    if (!object_[key].is_number()) return fail(key, "is not a number"), absent;
    return object_[key].get<double>();
  }
  bool flag(const char* key, bool absent) {
    if (!has(key)) return absent;
    if (!object_[key].is_boolean()) return fail(key, "is not true or false"), absent;
    return object_[key].get<bool>();
  }
  std::string text(const char* key) {
    if (!has(key)) return "";
    if (!object_[key].is_string()) return fail(key, "is not a string"), "";
    return object_[key].get<std::string>();
  }
  const nlohmann::json& at(const char* key) const { return object_[key]; }
  void fail(const std::string& key, const std::string& why) {
    if (error_.empty()) error_ = where_ + ": " + key + " " + why;
  }
  const std::string& error() const { return error_; }

 private:
  const nlohmann::json& object_;
  std::string where_, error_;
};
}  // namespace kairo::gpu
