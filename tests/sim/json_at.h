// tests/sim/json_at.h - a look into an object that may lack the place.
#pragma once
#include <nlohmann/json.hpp>

namespace kairo::sim {
// The value at the pointer ("/status/phase"), or null.
inline const nlohmann::json& at(const nlohmann::json& object, const char* path) {
  static const nlohmann::json none;
  const nlohmann::json::json_pointer pointer(path);
  return object.contains(pointer) ? object.at(pointer) : none;
}
}  // namespace kairo::sim
