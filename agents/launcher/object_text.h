// agents/launcher/object_text.h - one text out of an object as the API server sends it. Private.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace kairo::launcher {
// pointer: a JSON pointer; "" = missing, or not a string.
inline std::string text_at(const std::string& object, const char* pointer) {
  const auto json = nlohmann::json::parse(object, nullptr, false);
  const nlohmann::json::json_pointer at(pointer);
  return json.is_object() && json.contains(at) && json[at].is_string() ? json[at] : "";
}
}  // namespace kairo::launcher
