// gpu/engine/pace.cpp - a window of the last steps, so that a slow hour is soon forgotten.
#include "gpu/engine/pace.h"

#include <algorithm>

namespace kairo::gpu {
namespace {
constexpr std::size_t window_max = 16;
constexpr double forward_share = 1.0 / 3;  // of a step: backward takes twice as long
}  // namespace

void Pace::add_step(std::int64_t tokens, std::int64_t ms) {
  ms = std::max<std::int64_t>(ms, 1);
  trained_ms_ += ms;
  window_.emplace_back(tokens, ms);
  window_tokens_ += tokens;
  window_ms_ += ms;
  if (window_.size() <= window_max) return;
  window_tokens_ -= window_.front().first;
  window_ms_ -= window_.front().second;
  window_.erase(window_.begin());
}
std::int64_t Pace::ms_per_step() const {
  return window_.empty() ? 0 : window_ms_ / static_cast<std::int64_t>(window_.size());
}
double Pace::step_ms() const {
  if (window_.empty()) return 0;
  const double pauses = static_cast<double>(paused_ms_) / static_cast<double>(trained_ms_);
  return static_cast<double>(window_ms_) / static_cast<double>(window_.size()) * (1 + pauses);
}
double Pace::evaluation_ms(const Rest& rest) const {
  if (evaluation_ms_ >= 0) return static_cast<double>(evaluation_ms_);
  if (window_tokens_ == 0) return 0;
  return static_cast<double>(window_ms_) / static_cast<double>(window_tokens_) * forward_share *
         static_cast<double>(rest.evaluation_tokens);
}
std::int64_t Pace::eta_ms(const Rest& rest) const {
  if (window_.empty()) return -1;
  return static_cast<std::int64_t>(step_ms() * static_cast<double>(rest.steps) +
                                   evaluation_ms(rest) * static_cast<double>(rest.evaluations));
}
double Pace::tokens_per_second(const Rest& whole_run) const {
  if (window_.empty()) return 0;
  const double between = evaluation_ms(whole_run) * static_cast<double>(whole_run.evaluations) /
                         static_cast<double>(std::max<std::int64_t>(whole_run.steps, 1));
  return static_cast<double>(window_tokens_) / static_cast<double>(window_.size()) * 1000 /
         (step_ms() + between);
}
}  // namespace kairo::gpu
