// schemas/base/clock.h - the only place that tells the time. Decisions get it as a field of a fact.
#pragma once
#include <cstdint>
#include <string>

namespace kairo {
class Clock {  // thread-safe
 public:
  virtual ~Clock() = default;
  virtual std::int64_t now_ms() const = 0;        // Unix time; may step back when somebody sets it
  virtual std::int64_t monotonic_ms() const = 0;  // for durations; never steps back
};
class SystemClock final : public Clock {
 public:
  std::int64_t now_ms() const override;
  std::int64_t monotonic_ms() const override;
};
// 1764000000000 -> "2025-11-24T16:00:00Z", the form of Kubernetes' metav1.Time (whole seconds,
// UTC).
std::string rfc3339(std::int64_t unix_ms);
// The inverse; -1 when the text is not of that form (fractions of a second are dropped).
std::int64_t parse_rfc3339(const std::string& text);
}  // namespace kairo
