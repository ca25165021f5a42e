// agents/node/stall.cpp - the time since the last line, and since its GPU was last seen to work.
#include "agents/node/stall.h"

#include <algorithm>
#include <vector>

#include "agents/node/progress.h"
#include "schemas/base/clock.h"

namespace kairo::node {
std::int64_t patience_ms(std::string_view lines) {
  std::vector<std::int64_t> steps;
  std::optional<wire::ProgressT> before;
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    if (end == std::string_view::npos) break;
    const auto line = last_progress(lines.substr(0, end + 1));
    lines.remove_prefix(end + 1);
    if (!line) continue;
    if (before && before->attempt != line->attempt) steps.clear();
    const bool is_step = before && before->phase == wire::RunPhase::Training &&
                         line->phase == wire::RunPhase::Training &&
                         before->attempt == line->attempt && line->step > before->step;
    if (is_step) steps.push_back((line->at_ms - before->at_ms) / (line->step - before->step));
    before = line;
  }
  if (steps.empty()) return stall_ms_unknown;
  std::sort(steps.begin(), steps.end());
  const std::int64_t slow = steps[(steps.size() * 99 - 1) / 100];
  return std::clamp<std::int64_t>(5 * slow, stall_ms_min, 24 * 3'600'000);
}

void StallWatch::moved(const wire::ProgressT& last, std::int64_t patience, std::int64_t now_ms) {
  last_ = last;
  patience_ms_ = patience;
  moved_ms_ = busy_ms_ = now_ms;
}

bool StallWatch::is_watched() const {
  return last_.phase == wire::RunPhase::Training && !last_.gpu.empty() &&
         counted_attempt_ != last_.attempt;
}

std::optional<Stall> StallWatch::look(std::optional<std::uint64_t> utilization,
                                      std::int64_t now_ms) {
  if (!utilization || *utilization > 0) busy_ms_ = now_ms;
  const std::int64_t idle_ms = now_ms - std::max(moved_ms_, busy_ms_);
  if (!is_watched() || idle_ms < patience_ms_) return std::nullopt;
  const bool is_same_step = count_ > 0 && last_.step <= counted_step_;
  count_ = is_same_step ? count_ + 1 : 1;
  counted_step_ = is_same_step ? std::max(counted_step_, last_.step) : last_.step;
  counted_attempt_ = last_.attempt;
  return Stall{"no step since " + rfc3339(last_.at_ms) + " (step " + std::to_string(last_.step) +
                   " of " + std::to_string(last_.total_steps) + "), and its GPU (" + last_.device +
                   ") has been idle for " + std::to_string(idle_ms / 1'000) + " s",
               count_};
}
}  // namespace kairo::node
