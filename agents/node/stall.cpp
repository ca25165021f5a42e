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

StallWatch StallWatch::recalled(const std::vector<wire::FactT>& words, const std::string& uid,
                                const std::string& revision, const std::string& node) {
  StallWatch out;
  for (const wire::FactT& fact : words) {
    const wire::TrainingT* said = fact.body.AsTraining();
    if (fact.uid != uid || said == nullptr || said->node != node || said->revision != revision)
      continue;
    if (said->progress) out.last_ = *said->progress;
    out.words_ = said->stalled;
    out.count_ = said->stalls;
    out.counted_step_ = said->stalls_step;
    out.counted_attempt_ = said->stalls_attempt;
  }
  return out;
}

void StallWatch::moved(const wire::ProgressT& last, std::int64_t patience, std::int64_t now_ms) {
  if (last_ != last) words_.clear();
  if (last.step > counted_step_) count_ = 0;
  last_ = last;
  patience_ms_ = patience;
  moved_ms_ = busy_ms_ = now_ms;
}

bool StallWatch::is_watched() const {
  return last_.phase == wire::RunPhase::Training && !last_.gpu.empty() &&
         counted_attempt_ != last_.attempt;
}

bool StallWatch::look(std::optional<std::uint64_t> utilization, std::int64_t now_ms) {
  if (!utilization || *utilization > 0) busy_ms_ = now_ms;
  const std::int64_t idle_ms = now_ms - std::max(moved_ms_, busy_ms_);
  if (!is_watched() || idle_ms < patience_ms_) return false;
  counted_step_ = count_ > 0 ? std::max(counted_step_, last_.step) : last_.step;
  ++count_;
  counted_attempt_ = last_.attempt;
  words_ = "no step since " + rfc3339(last_.at_ms) + " (step " + std::to_string(last_.step) +
           " of " + std::to_string(last_.total_steps) + "), and its GPU (" + last_.device +
           ") has been idle for " + std::to_string(idle_ms / 1'000) + " s";
  return true;
}

void StallWatch::say(wire::TrainingT& training) const {
  training.stalled = words_;
  training.stalls = count_;
  training.stalls_step = counted_step_;
  training.stalls_attempt = counted_attempt_;
}
}  // namespace kairo::node
