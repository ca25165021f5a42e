// agents/bus/bus.cpp - subject tokens.
#include "agents/bus/bus.h"

namespace kairo::bus {
std::string token(const std::string& text) {
  if (text.empty()) return "_";
  std::string out;
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    if (plain) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('_');
    out.push_back("0123456789abcdef"[byte >> 4]);
    out.push_back("0123456789abcdef"[byte & 15]);
  }
  return out;
}
}  // namespace kairo::bus
