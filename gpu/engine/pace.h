// gpu/engine/pace.h - where the time of a run goes: steps, evaluations, checkpoints; and from that
// its speed and its end (pure).
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace kairo::gpu {
class Pace {
 public:
  void add_step(std::int64_t tokens, std::int64_t ms);
  void add_evaluation(std::int64_t ms) { evaluation_ms_ = ms; }
  void add_pause(std::int64_t ms) { paused_ms_ += ms; }  // the training stood for a checkpoint
  std::int64_t trained_ms() const { return trained_ms_; }
  std::int64_t paused_ms() const { return paused_ms_; }
  std::int64_t ms_per_step() const;  // of the last steps
  // What is still to come: steps, evaluations; tokens of one evaluation.
  struct Rest {
    std::int64_t steps = 0, evaluations = 0, evaluation_tokens = 0;
  };
  std::int64_t eta_ms(const Rest& rest) const;  // -1: not known before the first step
  // Of the last steps, with the share of all that comes between steps.
  double tokens_per_second(const Rest& whole_run) const;

 private:
  double evaluation_ms(const Rest& rest) const;
  double step_ms() const;                                      // with its share of the pauses
  std::vector<std::pair<std::int64_t, std::int64_t>> window_;  // (tokens, ms)
  std::int64_t window_tokens_ = 0, window_ms_ = 0;
  std::int64_t trained_ms_ = 0, paused_ms_ = 0, evaluation_ms_ = -1;
};
}  // namespace kairo::gpu
