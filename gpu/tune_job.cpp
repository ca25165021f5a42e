// gpu/tune_job.cpp - reads configuration, tokenizer and data, in this order, and maps their names.
#include "gpu/tune_job.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>
#include <vector>

#include "gpu/data/order.h"
#include "gpu/engine/machine.h"
#include "gpu/formats/files.h"
#include "gpu/hf/tokenizer.h"
#include "gpu/model/lora_choice.h"
#include "gpu/tune_evaluation.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
constexpr std::int64_t config_bytes_max = 1 << 20, started_at_bytes_max = 64,
                       tokenizer_bytes_max = std::int64_t{256} << 20;

Result<TrainingConfig> read_config(const std::string& file) {
  if (file.empty()) return TrainingConfig{};
  const std::string text = TRY(read_file(file, config_bytes_max));
  return parse_training_config(text);
}
// A path of the configuration is one of KAITO's pod, where /mnt/data holds the data and /mnt/config
// the configuration; both lie elsewhere here. A relative one lies below `below`.
Result<std::string> place_of(const std::string& field, const std::string& path,
                             const std::string& below, const TuneInput& input) {
  const fs::path config_folder = fs::path(input.config_file).parent_path();
  const std::pair<std::string, std::string> mounts[] = {
      {"/mnt/data", input.data},
      {"/mnt/config", config_folder.empty() ? "." : config_folder.string()}};
  const bool from_mnt = path.starts_with("data/") || path == "data";  // as KAITO joins it
  const fs::path base = from_mnt ? fs::path("/mnt") : fs::path(below);
  const std::string whole = (base / path).lexically_normal().string();
  for (const auto& [mount, folder] : mounts)
    if (whole == mount || whole.starts_with(mount + "/"))
      return folder + whole.substr(mount.size());
  return Error{Code::invalid, "training_config.yaml: " + field + ": \"" + path +
                                  "\" must lie in the data folder (/mnt/data) or beside the "
                                  "configuration (/mnt/config)"};
}
// When the run began, in Unix seconds: written at its first start.
Result<std::int64_t> first_start_of(const std::string& state_dir, const Clock& clock) {
  const std::int64_t now = clock.now_ms() / 1000;
  if (state_dir.empty()) return now;
  const std::string path = state_dir + "/started_at";
  const auto text = read_file(path, started_at_bytes_max);
  std::int64_t seconds = 0;
  if (text.ok()) {
    const char* end = text.value().data() + text.value().size();
    if (std::from_chars(text.value().data(), end, seconds).ec == std::errc() && seconds > 0)
      return seconds;
  }
  TRY(write_file(path, std::to_string(now) + "\n"));
  return now;
}
std::optional<TuneFailure> check_method(const TrainingConfig& c, const TuneInput& input) {
  if (!c.load_in_4bit || *c.load_in_4bit == (input.method == "qlora")) return std::nullopt;
  return TuneFailure{"bad_config",
                     "training_config.yaml: QuantizationConfig.load_in_4bit: " +
                         std::string(*c.load_in_4bit ? "true" : "false") + " is not method " +
                         input.method + ": set it to " + (*c.load_in_4bit ? "false" : "true") +
                         ", or the method to " + (*c.load_in_4bit ? "qlora" : "lora")};
}
// What else than the data decides its rows: the configuration, the tokenizer's files and the chat
// templates, and the time that templates see.
std::string rows_made_by(const TuneInput& input, const std::string& chat_template,
                         std::int64_t chat_time_s) {
  Sha256 sha;
  const auto add = [&sha](const std::string& path) {
    const auto text = read_file(path, tokenizer_bytes_max);
    sha.update(path + "\n" + (text.ok() ? text.value() : "") + "\n");
  };
  if (!input.config_file.empty()) add(input.config_file);
  if (!chat_template.empty() && !is_template_text(chat_template)) add(chat_template);
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(input.model_dir, error), end; !error && at != end;
       at.increment(error))
    if (at->path().extension() == ".json" || at->path().extension() == ".jinja")
      files.push_back(at->path().string());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) add(file);
  sha.update(std::to_string(chat_time_s));
  return sha.hex();
}
// The tokenizer with the template and the time that the rows are rendered with; made_by names both.
std::optional<TuneFailure> set_up_chat(Tokenizer& tokenizer, const TrainingConfig& c,
                                       const TuneInput& input, const std::string& state_dir,
                                       const Clock& clock, std::string& made_by) {
  const auto started = first_start_of(state_dir, clock);
  if (!started.ok())
    return TuneFailure{started.error().code == Code::unavailable ? "disk_full" : "internal",
                       started.error().what};
  tokenizer.set_chat_time(started.value());
  std::string from = c.chat_template;
  if (!from.empty() && !is_template_text(from)) {
    auto path = place_of("ModelConfig.chat_template", from, "/mnt/config", input);
    if (!path.ok()) return TuneFailure{"bad_config", path.error().what};
    from = std::move(path).value();
  }
  made_by = rows_made_by(input, from, started.value());
  if (from.empty()) return std::nullopt;
  const auto set = tokenizer.set_chat_template(from);
  if (set.ok()) return std::nullopt;
  return TuneFailure{"bad_config", "training_config.yaml: ModelConfig.chat_template: " +
                                       without_folder(set.error().what, input.data)};
}
void copy_settings(TuneJob& job, const TrainingConfig& c, const TuneInput& input) {
  job.model_dir = input.model_dir;
  job.base_model = input.name.empty() ? input.model_dir : input.name;
  job.method = input.method == "qlora" ? Method::qlora : Method::lora;
  job.type = c.wants_bf16() ? Type::bf16 : Type::f32;
  job.rank = c.rank;
  job.alpha = c.alpha;
  job.use_rslora = c.use_rslora;
  job.dropout = c.dropout;
  job.targets = c.targets;
  job.init = c.gaussian_init ? LoraInit::gaussian : LoraInit::uniform;
  job.seed = c.seed;
  job.learning_rate = c.learning_rate;
  job.warmup_ratio = c.warmup_ratio;
  job.warmup_steps = c.warmup_steps;
  job.update.beta1 = c.adam_beta1;
  job.update.beta2 = c.adam_beta2;
  job.update.eps = c.adam_epsilon;
  job.update.weight_decay = c.weight_decay;
  job.update.gradient_norm_max = c.max_grad_norm;
  job.threads = input.threads;
}
}  // namespace

std::optional<TuneFailure> prepare_tune_job(TuneJob& job, Dataset& data, const TuneInput& input,
                                            const Clock& clock,
                                            const std::function<bool()>& should_stop) {
  const auto config = read_config(input.config_file);
  if (!config.ok()) return TuneFailure{"bad_config", config.error().what};
  const TrainingConfig& c = config.value();
  for (const auto& note : c.notes) log::info(note);
  if (auto failed = check_method(c, input)) return failed;
  // Before anything is tokenised: a model that cannot be trained is refused at once.
  const auto model = load_model_config(input.model_dir);
  if (!model.ok() && model.error().code != Code::not_found) return model_failure(model.error());
  if (model.ok())
    if (const auto fit = check_training(model.value()); !fit.ok())
      return model_failure(fit.error());
  const ModelConfig sizes = model.ok() ? model.value() : ModelConfig();
  const auto schedule = parse_schedule(c.lr_scheduler_type);
  if (!schedule.ok()) return TuneFailure{"bad_config", schedule.error().what};
  const auto options =
      parse_schedule_options(schedule.value(), c.lr_scheduler_kwargs, c.learning_rate);
  if (!options.ok()) return TuneFailure{"bad_config", options.error().what};
  auto tokenizer = Tokenizer::load(input.model_dir);
  if (!tokenizer.ok())
    return TuneFailure{"bad_model", without_folder(tokenizer.error().what, input.model_dir)};
  Tokenizer text = std::move(tokenizer).value();
  LoadOptions load;
  load.threads = input.threads > 0 ? input.threads : usable_cores();
  load.should_stop = should_stop;
  if (!job.state_dir.empty()) load.cache_file = job.state_dir + "/rows.bin";
  if (auto failed = set_up_chat(text, c, input, job.state_dir, clock, load.made_by)) return failed;
  auto path = c.dataset_path.empty()
                  ? Result<std::string>(input.data)
                  : place_of("DatasetConfig.dataset_path", c.dataset_path, "/mnt/data", input);
  if (!path.ok()) return TuneFailure{"bad_config", path.error().what};
  if (!c.validation_file.empty()) {
    auto held_out =
        place_of("DatasetConfig.validation_file", c.validation_file, "/mnt/data", input);
    if (!held_out.ok()) return TuneFailure{"bad_config", held_out.error().what};
    load.held_out = std::move(held_out).value();
  }
  auto loaded = load_dataset(path.value(), c, text, load);
  if (!loaded.ok())
    return TuneFailure{loaded.error().code == Code::conflict ? "stopped" : "bad_data",
                       without_folder(loaded.error().what, input.data)};
  data = std::move(loaded).value();
  if (data.nulls_dropped > 0)
    log::info(
        "members of messages and tools that are null in a parquet file were left out: Arrow fills "
        "them in where another row has them",
        {{"members", std::to_string(data.nulls_dropped)}});
  const std::uint64_t order_seed = c.data_seed.value_or(c.shuffle_seed);
  // As accelerate: each process takes its rows of every micro-batch.
  constexpr std::int64_t rows_max = std::int64_t{1} << 40;
  const std::int64_t batch_of_all =
      job.ranks == nullptr ? c.batch_size : std::min(c.batch_size, rows_max) * job.ranks->count();
  OrderSettings settings{data.rows.size(),
                         static_cast<std::size_t>(batch_of_all),
                         static_cast<std::size_t>(c.gradient_accumulation_steps),
                         c.num_train_epochs,
                         c.max_steps,
                         c.shuffle,
                         order_seed};
  if (c.group_by_length)
    for (const auto& row : data.rows) settings.lengths.push_back(row.tokens.size());
  auto order = RowOrder::make(settings);
  if (!order.ok()) return TuneFailure{"bad_config", order.error().what};
  copy_settings(job, c, input);
  if (job.targets.names.empty() && job.targets.pattern.empty())
    job.targets.names = default_targets(sizes);
  job.schedule = schedule.value();
  job.schedule_options = options.value();
  job.epochs = order.value().epochs();
  job.total_steps = order.value().total_steps();
  job.steps_per_epoch = order.value().steps_per_epoch();
  const auto save_steps = whole_steps("save_steps", c.save_steps, job.total_steps);
  if (!save_steps.ok()) return TuneFailure{"bad_config", save_steps.error().what};
  job.save_steps = save_steps.value();
  job.rows_of_step = [rows = std::move(order).value()](std::int64_t step) mutable {
    return rows.rows_of_step(step);
  };
  job.rows.clear();
  job.held_out.clear();
  for (const auto& row : data.rows) job.rows.push_back({row.tokens, row.trained});
  for (const auto& row : data.held_out_rows) job.held_out.push_back({row.tokens, row.trained});
  job.dropped = data.dropped;
  job.truncated = data.truncated;
  auto evaluation = plan_evaluation(c, job.held_out.size(), {job.total_steps, job.steps_per_epoch});
  if (!evaluation.ok()) return TuneFailure{"bad_config", evaluation.error().what};
  job.evaluation = evaluation.value();
  // The order decides the result as much as the rows do.
  job.data_digest = data.digest + " " + std::to_string(c.shuffle) + " " +
                    std::to_string(order_seed) + " " + std::to_string(batch_of_all) + " " +
                    std::to_string(c.gradient_accumulation_steps) +
                    (c.group_by_length ? " by length" : "");
  return std::nullopt;
}
}  // namespace kairo::gpu
