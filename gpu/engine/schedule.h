// gpu/engine/schedule.h - the learning rate of every optimizer step (pure).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "schemas/base/result.h"

namespace kairo::gpu {
enum class ScheduleKind : std::uint8_t {
  linear,
  cosine,
  cosine_with_restarts,
  polynomial,
  constant,
  constant_with_warmup,
  inverse_sqrt,
  cosine_with_min_lr,
  cosine_warmup_with_min_lr,
  warmup_stable_decay
};
enum class Ramp : std::uint8_t { linear, cosine, one_minus_sqrt };
// What lr_scheduler_kwargs say, under transformers' names; each kind reads its own.
struct ScheduleOptions {
  double num_cycles = 0.5, power = 1, lr_end = 1e-7, min_lr_ratio = 0;
  double min_lr_rate = 0;                                   // min_lr as a share of the peak
  double warmup_lr_rate = -1;                               // below 0: not given
  std::int64_t timescale = 0;                               // 0: the warm-up's steps, or 10,000
  std::int64_t num_decay_steps = 0, num_stable_steps = -1;  // -1: what the others leave
  Ramp warmup_type = Ramp::linear, decay_type = Ramp::cosine;
  std::string text() const;  // all values, for a run's fingerprint
};
struct Schedule {
  ScheduleKind kind = ScheduleKind::linear;
  double peak = 0;
  std::int64_t total_steps = 0, warmup_steps = 0;
  ScheduleOptions options = {};
};
// transformers' lr_scheduler_type. invalid: another one; names them all, or says why not.
Result<ScheduleKind> parse_schedule(const std::string& name);
std::string name_of(ScheduleKind kind);
// lr_scheduler_kwargs: names and values as written. peak: the learning rate. invalid: a name that
// the kind does not take (names those that it does), a value out of its range, or one that is
// missing.
Result<ScheduleOptions> parse_schedule_options(
    ScheduleKind kind, std::span<const std::pair<std::string, std::string>> arguments, double peak);
// warmup_steps when positive, else ceil(ratio * total_steps): as transformers.
std::int64_t warmup_of(std::int64_t warmup_steps, double ratio, std::int64_t total_steps);
// done: optimizer steps finished, in [0, total_steps). transformers' LambdaLR semantics: with a
// warm-up the first step has rate 0, but for cosine_warmup_with_min_lr.
double learning_rate(const Schedule& schedule, std::int64_t done);
}  // namespace kairo::gpu
