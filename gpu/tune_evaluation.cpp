// gpu/tune_evaluation.cpp
#include "gpu/tune_evaluation.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace kairo::gpu {
namespace {
constexpr double steps_max = 1e15;

Error bad(const std::string& what) {
  return {Code::invalid, "training_config.yaml: TrainingArguments." + what};
}
std::string text_of(double number) {
  std::string out = std::to_string(number);
  while (out.ends_with('0')) out.pop_back();
  if (out.ends_with('.')) out.pop_back();
  return out;
}
// eval_steps, whose default is logging_steps.
Result<std::int64_t> steps_between(const EvaluationSettings& s, std::int64_t total_steps) {
  const bool is_default = s.steps == 0;
  const double steps = is_default ? s.logging_steps : s.steps;
  const std::string field = is_default ? "logging_steps" : "eval_steps";
  if (steps == 0)
    return bad("eval_steps is not set and its default, logging_steps, is 0; set eval_steps");
  return whole_steps(field, steps, total_steps);
}
Status check(const TrainingConfig& config, std::size_t held_out) {
  const EvaluationSettings& s = config.evaluation;
  const bool is_timed = s.strategy == "steps" || s.strategy == "epoch";
  if (s.load_best && !is_timed)
    return bad(
        "load_best_model_at_end: true needs evaluations to choose by; set eval_strategy to steps "
        "or epoch, or load_best_model_at_end to false");
  if (held_out > 0) return ok();
  const std::string remedy =
      " needs rows that are held out; set DatasetConfig.train_test_split below 1 (now " +
      text_of(config.train_test_split) + ") or DatasetConfig.validation_file";
  if (is_timed) return bad("eval_strategy: " + s.strategy + remedy + ", or eval_strategy to no");
  if (s.on_start) return bad("eval_on_start: true" + remedy + ", or eval_on_start to false");
  return ok();
}
}  // namespace

Result<std::int64_t> whole_steps(const std::string& field, double steps, std::int64_t total_steps) {
  if (steps < 1)
    return static_cast<std::int64_t>(std::ceil(static_cast<double>(total_steps) * steps));
  if (steps != std::floor(steps) || steps > steps_max)
    return bad(field + ": " + text_of(steps) +
               " must be a whole number of steps, or a share of all steps below 1");
  return static_cast<std::int64_t>(steps);
}

Result<EvaluationPlan> plan_evaluation(const TrainingConfig& config, std::size_t held_out,
                                       const RunLength& run) {
  TRY(check(config, held_out));
  const EvaluationSettings& s = config.evaluation;
  EvaluationPlan plan;
  plan.at_start = s.on_start;
  plan.at_end = held_out > 0 && s.strategy != "no";
  plan.keep_best = s.load_best;
  double from = std::ceil(s.delay);
  if (s.strategy == "steps") plan.every = TRY(steps_between(s, run.total_steps));
  if (s.strategy == "epoch") {  // there the delay counts epochs
    plan.every = std::max<std::int64_t>(run.steps_per_epoch, 1);
    from = std::ceil(s.delay * static_cast<double>(plan.every));
  }
  plan.from = static_cast<std::int64_t>(std::min(from, steps_max));
  return plan;
}
}  // namespace kairo::gpu
