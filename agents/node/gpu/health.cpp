// agents/node/gpu/health.cpp - silence, then what the driver says, then the table.
#include "agents/node/gpu/health.h"

namespace kairo::node {
namespace {
// The driver writes its verdict down behind the error.
constexpr std::int64_t verdict_after_ms = 2'000;

std::string after(const GpuSight& seen, const Xids& xids) {
  if (!seen.fatal) return "the driver asks for it";
  const auto entry = xids.find(seen.fatal->number);
  return "after Xid " + std::to_string(seen.fatal->number) +
         (entry == xids.end() ? "" : " (" + entry->second.meaning + ")");
}
}  // namespace

std::string trouble_of(const GpuSight& seen, const Xids& xids, std::int64_t now_ms) {
  const std::string reset = remedy_of(XidClass::reset), reboot = remedy_of(XidClass::reboot);
  if (seen.busy_since_ms != 0 && now_ms - seen.busy_since_ms > silent_ms_max)
    return "the driver does not answer about it: " + reboot;
  if (seen.error && seen.error->code == GpuCode::lost)
    return seen.fatal ? words_of(xids, seen.fatal->number) : "the GPU is lost: " + reboot;
  if (seen.error && seen.error->code == GpuCode::reset_required)
    return "the GPU must be reset, " + after(seen, xids) + ": " + reset;
  const auto verdict = seen.reading ? (*seen.reading)[Measure::recovery_action] : std::nullopt;
  const bool is_newer =
      verdict && (!seen.fatal || seen.read_at_ms >= seen.fatal->at_ms + verdict_after_ms);
  if (is_newer && (*verdict == 1 || *verdict == 4))
    return "the GPU must be reset, " + after(seen, xids) + ": " + reset;
  if (is_newer && *verdict == 2)
    return "the node must be restarted, " + after(seen, xids) + ": " + reboot;
  if (is_newer && *verdict != 0)
    return "the driver wants the GPU drained (recovery action " + std::to_string(*verdict) +
           "), " + after(seen, xids) + ": " + reset;
  if (!is_newer && seen.fatal) return words_of(xids, seen.fatal->number);
  if (seen.reading && (*seen.reading)[Measure::remap_failure] == 1U)
    return "a row of its memory could not be replaced: " + reboot;
  return {};
}

std::string Convalescence::settle(const std::string& uuid, std::string trouble,
                                  std::int64_t now_ms) {
  if (!trouble.empty()) {
    cases_[uuid] = {trouble, now_ms};
    return trouble;
  }
  const auto known = cases_.find(uuid);
  if (known == cases_.end()) return {};
  if (now_ms - known->second.ill_at_ms < well_after_ms) return known->second.trouble;
  cases_.erase(known);
  return {};
}
}  // namespace kairo::node
