// gpu/engine/tune_settings.cpp - a job's settings for people: of hparams, of tables of runs.
#include <nlohmann/json.hpp>

#include "gpu/engine/tune.h"

namespace kairo::gpu {
namespace {
std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}
std::string targets_text(const LoraTargets& targets) {
  return targets.pattern.empty() ? joined(targets.names) : targets.pattern;
}
}  // namespace

std::string settings_json(const TuneJob& j) {
  const bool has_steps = j.rows_of_step && j.total_steps > 0;
  const nlohmann::ordered_json out = {
      {"model", j.base_model},
      {"method", j.method == Method::qlora ? "qlora" : "lora"},
      {"dtype", j.type == Type::bf16 ? "bfloat16" : "float32"},
      {"r", j.rank},
      {"lora_alpha", j.alpha},
      {"lora_dropout", j.dropout},
      {"use_rslora", j.use_rslora},
      {"target_modules", targets_text(j.targets)},
      {"learning_rate", j.learning_rate},
      {"lr_scheduler_type", name_of(j.schedule)},
      {"warmup_steps", warmup_of(j.warmup_steps, j.warmup_ratio, j.total_steps)},
      {"weight_decay", j.update.weight_decay},
      {"max_grad_norm", j.update.gradient_norm_max},
      {"num_train_epochs", j.epochs},
      {"max_steps", j.total_steps},
      {"rows_per_step", has_steps ? j.rows_of_step(0).size() : 0},
      {"rows", j.rows.size()},
      {"held_out_rows", j.held_out.size()},
      {"seed", j.seed},
      {"data", j.data_digest.substr(0, 12)}};
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}
}  // namespace kairo::gpu
