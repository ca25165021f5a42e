// schemas/base/clock.cpp - the real clocks, and the text form of a time.
#include "schemas/base/clock.h"

#include <chrono>
#include <cstdio>
#include <ctime>

namespace kairo {
namespace {
template <class C>
std::int64_t ms_of() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(C::now().time_since_epoch()).count();
}
}  // namespace
std::int64_t SystemClock::now_ms() const {
  return ms_of<std::chrono::system_clock>();
}
std::int64_t SystemClock::monotonic_ms() const {
  return ms_of<std::chrono::steady_clock>();
}

std::string rfc3339(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}
std::int64_t parse_rfc3339(const std::string& text) {
  std::tm parts{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return -1;
  return static_cast<std::int64_t>(timegm(&parts)) * 1000;
}
}  // namespace kairo
