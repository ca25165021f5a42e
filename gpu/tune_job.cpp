// gpu/tune_job.cpp - reads configuration, tokenizer and data, in this order, and maps their names.
#include "gpu/tune_job.h"

#include <utility>

#include "gpu/data/order.h"
#include "gpu/formats/files.h"
#include "gpu/hf/tokenizer.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t config_bytes_max = 1 << 20;
constexpr std::int64_t default_save_steps = 10;

Result<TrainingConfig> read_config(const std::string& file) {
  if (file.empty()) return TrainingConfig{};
  const std::string text = TRY(read_file(file, config_bytes_max));
  return parse_training_config(text);
}
Result<Dataset> read_data(const TrainingConfig& config, const TuneInput& input,
                          const Tokenizer& tokenizer) {
  const std::string path = config.dataset_path.empty() ? input.data : config.dataset_path;
  return load_dataset(path, config, tokenizer);
}
void copy_settings(TuneJob& job, const TrainingConfig& c, const TuneInput& input) {
  job.model_dir = input.model_dir;
  job.base_model = input.name.empty() ? input.model_dir : input.name;
  job.method = input.method == "qlora" ? Method::qlora : Method::lora;
  job.rank = c.rank;
  job.alpha = c.alpha;
  job.use_rslora = c.use_rslora;
  job.targets = c.target_modules;
  if (job.targets.empty()) job.targets = {"q_proj", "v_proj"};  // peft's for the Llama family
  job.seed = c.seed;
  job.learning_rate = c.learning_rate;
  job.warmup_ratio = c.warmup_ratio;
  job.warmup_steps = c.warmup_steps;
  job.save_steps = c.save_steps > 0 ? c.save_steps : default_save_steps;
  job.update.beta1 = c.adam_beta1;
  job.update.beta2 = c.adam_beta2;
  job.update.eps = c.adam_epsilon;
  job.update.weight_decay = c.weight_decay;
  job.update.gradient_norm_max = c.max_grad_norm;
  job.threads = input.threads;
}
}  // namespace

std::optional<TuneFailure> prepare_tune_job(TuneJob& job, Dataset& data, const TuneInput& input) {
  const auto config = read_config(input.config_file);
  if (!config.ok()) return TuneFailure{"bad_config", config.error().what};
  const TrainingConfig& c = config.value();
  for (const auto& note : c.notes) log::info(note);
  const auto schedule = parse_schedule(c.lr_scheduler_type);
  if (!schedule.ok()) return TuneFailure{"bad_config", schedule.error().what};
  auto tokenizer = Tokenizer::load(input.model_dir);
  if (!tokenizer.ok())
    return TuneFailure{"bad_model", without_folder(tokenizer.error().what, input.model_dir)};
  Tokenizer text = std::move(tokenizer).value();
  if (!c.chat_template.empty()) {
    const auto set = text.set_chat_template(c.chat_template);
    if (!set.ok()) return TuneFailure{"bad_config", set.error().what};
  }
  auto loaded = read_data(c, input, text);
  if (!loaded.ok()) return TuneFailure{"bad_data", without_folder(loaded.error().what, input.data)};
  data = std::move(loaded).value();
  auto order = RowOrder::make({data.rows.size(), static_cast<std::size_t>(c.batch_size),
                               static_cast<std::size_t>(c.gradient_accumulation_steps),
                               c.num_train_epochs, c.max_steps, c.shuffle, c.shuffle_seed});
  if (!order.ok()) return TuneFailure{"bad_config", order.error().what};
  copy_settings(job, c, input);
  job.schedule = schedule.value();
  job.epochs = order.value().epochs();
  job.total_steps = order.value().total_steps();
  job.steps_per_epoch = order.value().steps_per_epoch();
  job.rows_of_step = [rows = std::move(order).value()](std::int64_t step) mutable {
    return rows.rows_of_step(step);
  };
  job.rows.clear();
  for (const auto& row : data.rows) job.rows.push_back({row.tokens, row.trained});
  // The order decides the result as much as the rows do.
  job.data_digest = data.digest + " " + std::to_string(c.shuffle) + " " +
                    std::to_string(c.shuffle_seed) + " " + std::to_string(c.batch_size) + " " +
                    std::to_string(c.gradient_accumulation_steps);
  return std::nullopt;
}
}  // namespace kairo::gpu
