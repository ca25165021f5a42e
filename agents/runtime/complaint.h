// agents/runtime/complaint.h - when a trouble that repeats is worth a line in the log. Pure.
#pragma once
#include <cstdint>

namespace kairo::runtime {
// What passes within a second (a server that starts beside us) is not said; what lasts is said then
// and every ten seconds.
class Complaint {
 public:
  // Once per attempt, with the monotonic clock. True: say it now.
  bool is_due(bool failed, std::int64_t now_ms) {
    if (failed && !is_failing_) next_ms_ = now_ms + patience_ms;
    is_failing_ = failed;
    if (!failed || now_ms < next_ms_) return false;
    next_ms_ = now_ms + every_ms;
    return true;
  }

 private:
  static constexpr std::int64_t patience_ms = 1'000, every_ms = 10'000;
  std::int64_t next_ms_ = 0;
  bool is_failing_ = false;
};
}  // namespace kairo::runtime
