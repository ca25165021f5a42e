// agents/node/stall.h - a training that makes no step while its GPU idles. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/fact_generated.h"

namespace kairo::node {
constexpr std::int64_t stall_ms_min = 30'000;
constexpr std::int64_t stall_ms_unknown = 600'000;  // where its steps are not known yet
// How long a run of these lines may take for a step: five times as long as all but a hundredth of
// its last attempt's steps took.
std::int64_t patience_ms(std::string_view progress_lines);

// Of one run. Times are monotonic.
class StallWatch {
 public:
  StallWatch() = default;
  // Goes on from what this node's agent has said of the run last, before the agent began anew.
  // words: of all runs.
  static StallWatch recalled(const std::vector<wire::FactT>& words, const std::string& uid,
                             const std::string& revision, const std::string& node);
  // A line has come; or the one that is there was read for the first time.
  void moved(const wire::ProgressT& last, std::int64_t patience, std::int64_t now_ms);
  // None has. utilization: of its GPU, in percent; nullopt: not known, and then it is not idle.
  // true: it is taken for hung, which is told once for each of its processes.
  bool look(std::optional<std::uint64_t> utilization, std::int64_t now_ms);
  // What was seen, how often, and what recalled() needs.
  void say(wire::TrainingT& training) const;
  // Only of such it is asked: it trains, on a GPU that says its uuid.
  bool is_watched() const;
  const std::string& gpu() const { return last_.gpu; }

 private:
  wire::ProgressT last_;
  std::string words_;  // what was seen; "" = it goes on
  std::int64_t patience_ms_ = stall_ms_unknown;
  std::int64_t moved_ms_ = 0, busy_ms_ = 0;
  unsigned count_ = 0, counted_step_ = 0, counted_attempt_ = 0;
};
}  // namespace kairo::node
