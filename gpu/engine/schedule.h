// gpu/engine/schedule.h - the learning rate of every optimizer step (pure).
#pragma once
#include <cstdint>
#include <string>

#include "schemas/base/result.h"

namespace kairo::gpu {
enum class ScheduleKind : std::uint8_t { linear, cosine, constant, constant_with_warmup };
struct Schedule {
  ScheduleKind kind = ScheduleKind::linear;
  double peak = 0;
  std::int64_t total_steps = 0, warmup_steps = 0;
};
// The names of transformers' lr_scheduler_type. invalid: another one; names these.
Result<ScheduleKind> parse_schedule(const std::string& name);
// warmup_steps when positive, else ceil(ratio * total_steps): as transformers.
std::int64_t warmup_of(std::int64_t warmup_steps, double ratio, std::int64_t total_steps);
// done: optimizer steps finished, in [0, total_steps). transformers' LambdaLR semantics: with a
// warm-up the first step has rate 0.
double learning_rate(const Schedule& schedule, std::int64_t done);
}  // namespace kairo::gpu
