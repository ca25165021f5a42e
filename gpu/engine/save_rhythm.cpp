// gpu/engine/save_rhythm.cpp
#include "gpu/engine/save_rhythm.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t at_risk_max_ms = 30'000, interval_min_ms = 1'000;
constexpr double share_aim = 0.01;
constexpr double bytes_per_ms = 400e3;  // hashing and copying of one core, at the slow end
}  // namespace

// The last checkpoint comes anyway and is awaited: room for it is left.
bool is_save_due(const SaveTimes& t) {
  const std::int64_t since = t.trained - t.copied_at;
  if (since > 0 && since + t.step + t.write > at_risk_max_ms) return true;
  return since >= interval_min_ms &&
         t.spent + 2 * t.next <= share_aim * static_cast<double>(t.trained);
}
bool must_await_save(const SaveTimes& t) {
  return t.trained + t.step - t.safe_at > at_risk_max_ms;
}
double first_save_ms(std::int64_t bytes) {
  return static_cast<double>(bytes) / bytes_per_ms;
}
}  // namespace kairo::gpu
