// agents/transfer/text.h - what the readers of foreign headers and JSON share. Private to pusher/.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace kairo::transfer {
inline std::string lower(std::string text) {  // ASCII alone: header names, schemes, hosts
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}
// Its text, or "" when it is missing or no string.
inline std::string string_at(const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}
}  // namespace kairo::transfer
