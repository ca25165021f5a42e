// agents/provisioner/follow.h - what follows one thing over time: marks with the decision's clock.
// A clock that is set back, or a store that was lost, begins the time anew. Pure.
#pragma once
#include <algorithm>
#include <string>

#include "agents/runtime/decision.h"

namespace kairo::provisioner {
inline void wake(runtime::Decision& d, std::int64_t at_ms) {
  d.wake_at_ms = d.wake_at_ms == 0 ? at_ms : std::min(d.wake_at_ms, at_ms);
}
inline void mark(runtime::Decision& d, const std::string& key, const std::string& value,
                 std::int64_t at_ms, std::uint64_t seen = 0) {
  wire::MarkT mark;
  mark.key = key;
  mark.value = value;
  mark.at_ms = at_ms;
  mark.seen = seen;
  d.marks.push_back(std::move(mark));
}
// Since when it has been so (value), as far as is known.
inline std::int64_t since(runtime::Decision& d, const wire::RecordT& record, const std::string& key,
                          const std::string& value, std::int64_t now_ms) {
  const wire::MarkT& known = runtime::mark_of(record, key);
  if (known.value == value && known.at_ms <= now_ms) return known.at_ms;
  mark(d, key, value, now_ms);
  return now_ms;
}
// Seen to be so once a minute, for long enough. A gap between two sights (nobody was there to look,
// or the clock was set) begins the count anew: one sight decides nothing.
inline bool has_lasted(runtime::Decision& d, const wire::RecordT& record, const std::string& key,
                       const std::string& value, std::int64_t long_ms, std::int64_t now_ms) {
  constexpr std::int64_t view_ms = 60'000, gap_ms_max = 3 * view_ms;
  const wire::MarkT& known = runtime::mark_of(record, key);
  const std::int64_t passed_ms = now_ms - known.at_ms;
  const bool goes_on = known.value == value && passed_ms >= 0 && passed_ms <= gap_ms_max;
  std::uint64_t views = goes_on ? known.seen : 1;
  if (goes_on && passed_ms >= view_ms) ++views;
  if (!goes_on || views != known.seen) mark(d, key, value, now_ms, views);
  const bool is_new_view = !goes_on || views != known.seen;
  const bool has = static_cast<std::int64_t>(views - 1) * view_ms >= long_ms;
  if (!has) wake(d, (is_new_view ? now_ms : known.at_ms) + view_ms);
  return has;
}
}  // namespace kairo::provisioner
