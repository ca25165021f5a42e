// gpu/formats/evaluation_settings.cpp - the part of TrainingArguments that is about held-out rows.
#include <algorithm>

#include "gpu/formats/take_setting.h"

namespace kairo::gpu {
namespace {
constexpr const char* batches =
    "held-out rows run without padding in batches that fit the memory; their loss is the mean over "
    "all their targets";
constexpr const char* loss_only = "the held-out rows' loss and perplexity are all that is computed";
constexpr const char* strategy_decides = "eval_strategy and train_test_split decide";

using Number = double EvaluationSettings::*;
TakeSetting number_of_steps(Number member) {
  return [member](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    const double x = TRY(number_of(v));
    if (!(x >= 0 && x <= huge)) return bad(v, "at least 0; below 1 it is a share of all steps");
    c.evaluation.*member = x;
    return ok();
  };
}
TakeSetting boolean_in(bool EvaluationSettings::*member) {
  return [member](const SettingValue& v, TrainingConfig& c) -> Status {
    if (is_null(v)) return ok();
    c.evaluation.*member = TRY(boolean_of(v));
    return ok();
  };
}
// A bare no is a boolean of YAML 1.1 and means the same.
Status take_strategy(const SettingValue& v, TrainingConfig& c) {
  if (is_null(v)) return ok();
  std::string name = v.scalar ? v.scalar->text : "";
  if (const auto flag = boolean_of(v); flag.ok() && !flag.value()) name = "no";
  if (name != "no" && name != "steps" && name != "epoch") return bad(v, "no, steps or epoch");
  if (!c.evaluation.strategy.empty() && c.evaluation.strategy != name)
    return bad(v, c.evaluation.strategy +
                      ": eval_strategy and its old name evaluation_strategy say different things");
  c.evaluation.strategy = name;
  return ok();
}
}  // namespace

std::vector<Setting> evaluation_settings() {
  const std::string_view s = "TrainingArguments";
  std::vector<Setting> out = {
      {s, "eval_strategy", take_strategy},
      {s, "evaluation_strategy", take_strategy},
      {s, "eval_steps", number_of_steps(&EvaluationSettings::steps)},
      {s, "logging_steps", number_of_steps(&EvaluationSettings::logging_steps)},
      {s, "eval_delay", number_of_steps(&EvaluationSettings::delay)},
      {s, "eval_on_start", boolean_in(&EvaluationSettings::on_start)},
      {s, "load_best_model_at_end", boolean_in(&EvaluationSettings::load_best)},
      {s, "metric_for_best_model",
       only({"loss", "eval_loss"}, "the held-out rows' loss is the only figure there is")},
      {s, "greater_is_better", only({"false"}, "the best loss is the least one")},
  };
  for (const auto* key : {"per_device_eval_batch_size", "per_gpu_eval_batch_size", "eval_packing",
                          "eval_accumulation_steps"})
    out.push_back({s, key, note(batches)});
  for (const auto* key :
       {"prediction_loss_only", "batch_eval_metrics", "include_for_metrics",
        "include_inputs_for_metrics", "eval_do_concat_batches", "eval_use_gather_object"})
    out.push_back({s, key, note(loss_only)});
  for (const auto* key : {"do_eval", "do_train", "do_predict"})
    out.push_back({s, key, note(strategy_decides)});
  return out;
}
}  // namespace kairo::gpu
