// agents/cluster/token.cpp - read, trim, keep.
#include "agents/cluster/token.h"

#include <fstream>
#include <sstream>

namespace kairo::cluster {
namespace {
constexpr std::int64_t fresh_ms = 50'000;
std::string trimmed(const std::string& text) {
  const auto from = text.find_first_not_of(" \t\r\n");
  if (from == std::string::npos) return "";
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}
}  // namespace

TokenFile::TokenFile(std::string path, const Clock& clock)
    : path_(std::move(path)), clock_(clock) {}

Result<std::string> TokenFile::header() {
  if (path_.empty()) return std::string();
  const std::lock_guard lock(mutex_);
  const std::int64_t now = clock_.monotonic_ms();
  if (read_at_ms_ != 0 && now - read_at_ms_ < fresh_ms) return header_;
  std::ifstream file(path_);
  std::ostringstream content;
  content << file.rdbuf();
  const std::string token = trimmed(content.str());
  if (!token.empty()) header_ = "Authorization: Bearer " + token;
  if (header_.empty())
    return Error{Code::unavailable,
                 "token file " + path_ + ": " + (file ? "is empty" : "cannot be read")};
  read_at_ms_ = now;
  return header_;
}
void TokenFile::forget(const std::string& header) {
  const std::lock_guard lock(mutex_);
  if (header == header_) read_at_ms_ = 0;  // else another thread has read a newer one
}
}  // namespace kairo::cluster
