// gpu/engine/schedule.cpp - the schedules of transformers 5.24, term by term.
#include "gpu/engine/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kairo::gpu {
namespace {
constexpr double pi = std::numbers::pi;

double half_cosine(double turns) {
  return 0.5 * (1 + std::cos(pi * turns));
}
double rising(Ramp ramp, double progress) {
  switch (ramp) {
    case Ramp::linear:
      return progress;
    case Ramp::cosine:
      return 0.5 * (1 - std::cos(pi * progress));
    case Ramp::one_minus_sqrt:
      return 1 - std::sqrt(1 - progress);
  }
  return progress;
}
double falling(Ramp ramp, double progress, double cycles) {
  switch (ramp) {
    case Ramp::linear:
      return 1 - progress;
    case Ramp::cosine:
      return half_cosine(cycles * 2 * progress);
    case Ramp::one_minus_sqrt:
      return 1 - std::sqrt(progress);
  }
  return progress;
}
// The share of the peak that is left when a share of the way from it to the least is gone.
double above(double least, double factor) {
  return std::max(0.0, factor * (1 - least) + least);
}
double stable_decay(const Schedule& s, double step) {
  const auto& o = s.options;
  const auto warmup = static_cast<double>(s.warmup_steps),
             decay = static_cast<double>(o.num_decay_steps);
  const double stable = o.num_stable_steps >= 0
                            ? static_cast<double>(o.num_stable_steps)
                            : static_cast<double>(s.total_steps) - warmup - decay;
  if (step < warmup) return above(o.min_lr_ratio, rising(o.warmup_type, step / warmup));
  if (step < warmup + stable) return 1;
  if (step >= warmup + stable + decay) return o.min_lr_ratio;
  const double progress = (step - warmup - stable) / std::max(1.0, decay);
  return above(o.min_lr_ratio, falling(o.decay_type, progress, o.num_cycles));
}
double polynomial(const Schedule& s, double step) {
  const auto& o = s.options;
  const auto total = static_cast<double>(s.total_steps),
             warmup = static_cast<double>(s.warmup_steps);
  if (step > total || total <= warmup) return o.lr_end / s.peak;
  const double left = 1 - (step - warmup) / (total - warmup);
  return ((s.peak - o.lr_end) * std::pow(left, o.power) + o.lr_end) / s.peak;
}
double inverse_sqrt(const Schedule& s, double step) {
  const std::int64_t given = s.options.timescale;
  const auto scale = static_cast<double>(given > 0            ? given
                                         : s.warmup_steps > 0 ? s.warmup_steps
                                                              : 10'000);
  return 1 / std::sqrt((step + scale - static_cast<double>(s.warmup_steps)) / scale);
}
// This kind counts from 1, and its warm-up begins above 0.
double warmed_up_cosine(const Schedule& s, double step) {
  const auto& o = s.options;
  const auto warmup = static_cast<double>(s.warmup_steps);
  if (step < warmup && o.warmup_lr_rate < 0) return (step + 1) / std::max(1.0, warmup);
  if (step < warmup)
    return o.warmup_lr_rate + (1 - o.warmup_lr_rate) * step / std::max(1.0, warmup - 1);
  const double rest = std::max(1.0, static_cast<double>(s.total_steps) - warmup);
  return above(o.min_lr_rate, half_cosine(o.num_cycles * 2 * (step - warmup + 1) / rest));
}
double after_warmup(const Schedule& s, double step) {
  const auto warmup = static_cast<double>(s.warmup_steps);
  const double rest = std::max(1.0, static_cast<double>(s.total_steps) - warmup);
  const double progress = (step - warmup) / rest;
  switch (s.kind) {
    case ScheduleKind::linear:
      return std::max(0.0, static_cast<double>(s.total_steps) - step) / rest;
    case ScheduleKind::cosine:
    case ScheduleKind::cosine_with_min_lr:
      return above(s.options.min_lr_rate, half_cosine(s.options.num_cycles * 2 * progress));
    case ScheduleKind::cosine_with_restarts:
      if (progress >= 1) return 0;
      return half_cosine(std::fmod(s.options.num_cycles * progress, 1.0));
    case ScheduleKind::polynomial:
      return polynomial(s, step);
    case ScheduleKind::inverse_sqrt:
      return inverse_sqrt(s, step);
    case ScheduleKind::constant:
    case ScheduleKind::constant_with_warmup:
    case ScheduleKind::cosine_warmup_with_min_lr:
    case ScheduleKind::warmup_stable_decay:
      return 1;
  }
  return 1;
}
}  // namespace

std::int64_t warmup_of(std::int64_t warmup_steps, double ratio, std::int64_t total_steps) {
  if (warmup_steps > 0) return warmup_steps;
  return static_cast<std::int64_t>(std::ceil(ratio * static_cast<double>(total_steps)));
}

double learning_rate(const Schedule& s, std::int64_t done) {
  const auto step = static_cast<double>(done);
  if (s.kind == ScheduleKind::constant) return s.peak;
  if (s.kind == ScheduleKind::warmup_stable_decay) return s.peak * stable_decay(s, step);
  if (s.kind == ScheduleKind::cosine_warmup_with_min_lr) return s.peak * warmed_up_cosine(s, step);
  if (done < s.warmup_steps) return s.peak * step / static_cast<double>(s.warmup_steps);
  return s.peak * after_warmup(s, step);
}
}  // namespace kairo::gpu
