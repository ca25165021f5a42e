// agents/bus/bus.cpp - subject tokens, the size of a message.
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
Status check_size(const Message& message) {
  if (message.bytes.size() <= message_bytes_max) return ok();
  return Error{Code::invalid, "publish " + message.subject + ": " +
                                  std::to_string(message.bytes.size()) + " bytes, at most " +
                                  std::to_string(message_bytes_max)};
}
}  // namespace kairo::bus
