// gpu/engine/schedule.cpp - linear, cosine and constant rates after a linear warm-up.
#include "gpu/engine/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kairo::gpu {
Result<ScheduleKind> parse_schedule(const std::string& name) {
  if (name == "linear") return ScheduleKind::linear;
  if (name == "cosine") return ScheduleKind::cosine;
  if (name == "constant") return ScheduleKind::constant;
  if (name == "constant_with_warmup") return ScheduleKind::constant_with_warmup;
  return Error{Code::invalid, "lr_scheduler_type \"" + name +
                                  "\" is not supported; there are: linear, cosine, constant, "
                                  "constant_with_warmup"};
}

std::int64_t warmup_of(std::int64_t warmup_steps, double ratio, std::int64_t total_steps) {
  if (warmup_steps > 0) return warmup_steps;
  return static_cast<std::int64_t>(std::ceil(ratio * static_cast<double>(total_steps)));
}

double learning_rate(const Schedule& s, std::int64_t done) {
  if (s.kind == ScheduleKind::constant) return s.peak;
  const auto step = static_cast<double>(done);
  if (done < s.warmup_steps) return s.peak * step / static_cast<double>(s.warmup_steps);
  const auto rest = static_cast<double>(std::max<std::int64_t>(1, s.total_steps - s.warmup_steps));
  switch (s.kind) {
    case ScheduleKind::linear:
      return s.peak * std::max(0.0, static_cast<double>(s.total_steps - done) / rest);
    case ScheduleKind::cosine: {
      const double progress = (step - static_cast<double>(s.warmup_steps)) / rest;
      return s.peak * std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * progress)));
    }
    case ScheduleKind::constant:
    case ScheduleKind::constant_with_warmup:
      return s.peak;
  }
  return s.peak;
}
}  // namespace kairo::gpu
