// gpu/tune_evaluation.h - from TrainingArguments' words about steps and held-out rows to a decided
// plan.
#pragma once
#include <cstdint>
#include <string>

#include "gpu/engine/evaluation.h"
#include "gpu/formats/training_config.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// A setting's steps in whole ones, as transformers 5.24: below 1 a share of all steps, rounded up.
// invalid: neither a share nor a whole number; names the field.
Result<std::int64_t> whole_steps(const std::string& field, double steps, std::int64_t total_steps);
struct RunLength {
  std::int64_t total_steps = 0, steps_per_epoch = 0;
};
// As transformers 5.24, which evaluates the last step, too; but rows that are held out are
// evaluated at the end without eval_strategy as well, and whatever eval_delay says. invalid: it
// cannot be done; names the field and the remedy.
Result<EvaluationPlan> plan_evaluation(const TrainingConfig& config, std::size_t held_out,
                                       const RunLength& run);
}  // namespace kairo::gpu
