// gpu/engine/tune.cpp - the run's phases and what each of their errors means.
#include "gpu/engine/tune.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "gpu/engine/progress.h"
#include "gpu/formats/adapter.h"
#include "gpu/formats/files.h"
#include "gpu/model/target_match.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
using wire::RunPhase;
constexpr const char *completed_file = "/fine_tuning_completed.txt",
                     *config_file = "/adapter_config.json",
                     *adapter_file = "/adapter_model.safetensors",
                     *checkpoints_folder = "/checkpoints";
constexpr std::int64_t config_bytes_max = 4 << 20, completed_bytes_max = 1 << 12;
constexpr std::int64_t steps_looked_at = 10'000, rows_looked_at = 10'000'000;
constexpr std::int64_t row_bytes =
    128;  // of a row beside its tokens: two vectors, two spans, their blocks

using Phase = std::optional<TuneFailure>;  // empty: the phase went well

TuneExit exit_of(const std::string& code) {
  if (code == "stopped") return TuneExit::stopped;
  if (code == "internal") return TuneExit::internal;
  if (code == "disk_full") return TuneExit::disk_full;
  return TuneExit::permanent;
}
TuneFailure write_failure(const Error& e) {
  return {e.code == Code::unavailable ? "disk_full" : "internal", e.what};
}

// A digest of the model that costs no full read: config.json, and of every weight file its size and
// two megabytes.
std::string model_digest(const std::string& dir) {
  Sha256 hash;
  const auto config = read_file(dir + "/config.json", config_bytes_max);
  hash.update(config.ok() ? config.value() : "");
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dir, error))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    const auto size = static_cast<std::int64_t>(fs::file_size(file, error));
    hash.update(file.filename().string() + " " + std::to_string(size) + "\n");
    std::ifstream in(file, std::ios::binary);
    std::string part(1 << 20, '\0');
    for (const std::int64_t at : {std::int64_t{0}, size / 2}) {
      in.clear();
      in.seekg(at);
      in.read(part.data(), static_cast<std::streamsize>(part.size()));
      hash.update(std::string_view(part).substr(0, static_cast<std::size_t>(in.gcount())));
    }
  }
  return hash.hex();
}
// Everything that decides the parameters after step n.
std::string fingerprint(const TuneJob& j) {
  std::string text = "kairo 1 " + model_digest(j.model_dir) + " " + j.data_digest;
  for (const double v :
       {j.alpha, j.dropout, j.learning_rate, j.warmup_ratio, j.epochs, j.update.beta1,
        j.update.beta2, j.update.eps, j.update.weight_decay, j.update.gradient_norm_max})
    text += " " + std::to_string(v * 1e9);
  for (const auto v : {static_cast<std::int64_t>(j.method), j.rank,
                       static_cast<std::int64_t>(j.use_rslora), static_cast<std::int64_t>(j.seed),
                       static_cast<std::int64_t>(j.schedule), j.warmup_steps, j.total_steps})
    text += " " + std::to_string(v);
  text += " " + j.schedule_options.text();
  AdapterConfig adapter;
  adapter.targets = j.targets;
  text += " " + std::to_string(static_cast<int>(j.init)) + adapter_config_text(adapter);
  const EvaluationPlan& e = j.evaluation;
  if (e.keep_best)  // else evaluations decide nothing
    text += " best " + std::to_string(e.every) + " " + std::to_string(e.from) + " " +
            std::to_string(e.at_end);
  return sha256_hex(text);
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * share);
  return text;
}

class Run {
 public:
  Run(TuneJob job, ProgressFile progress) : job_(std::move(job)), progress_(std::move(progress)) {
    line_.eta_ms = -1;
  }
  Phase prepare(const PrepareJob& prepare) {
    if (auto failed = prepare(job_)) return failed;
    if (auto failed = check_job(job_)) return failed;
    line_.total_steps = static_cast<std::uint32_t>(job_.total_steps);
    line_.rows = static_cast<std::uint32_t>(job_.rows.size());
    line_.held_out_rows = static_cast<std::uint32_t>(job_.held_out.size());
    line_.dropped_rows = static_cast<std::uint32_t>(job_.dropped);
    line_.truncated_rows = static_cast<std::uint32_t>(job_.truncated);
    return std::nullopt;
  }
  Phase say(RunPhase phase) {
    line_.phase = phase;
    return said(progress_.write(line_));
  }
  // The run's last line when a phase did not go well.
  TuneExit end(const TuneFailure& failure) {
    if (failure.code == "stopped") {
      const auto unsaid = say(RunPhase::Stopped);
      return unsaid ? end(*unsaid) : TuneExit::stopped;
    }
    line_.phase = RunPhase::Failed;
    line_.code = failure.code;
    line_.message = failure.message;
    for (const auto& folder : {job_.model_dir, job_.state_dir, job_.output_dir})
      line_.message = without_folder(line_.message, folder);
    const auto written = progress_.write(line_);
    log::error("run failed", {{"code", failure.code}, {"why", line_.message}});
    if (!written.ok()) log::error("progress", {{"why", written.error().what}});
    return exit_of(failure.code);
  }
  // Whether the output folder holds this very run's result. What another run said is removed.
  Phase look_for_result(bool& done) {
    fingerprint_ = fingerprint(job_);
    const std::string path = job_.output_dir + completed_file;
    const auto text = read_file(path, completed_bytes_max);
    if (!text.ok() && text.error().code == Code::not_found) return std::nullopt;
    std::error_code error;
    done = text.ok() && text.value() == completed_text() &&
           fs::exists(job_.output_dir + adapter_file, error);
    if (done) {
      log::info("already completed", {{"file", path}});
      const wire::ProgressT& last = progress_.last();
      if (last.step == line_.total_steps && last.total_steps == line_.total_steps) line_ = last;
      line_.step = line_.total_steps;
      line_.eta_ms = 0;
      return std::nullopt;
    }
    log::warn("the output folder holds another run's result, which will be replaced",
              {{"file", path}});
    fs::remove(path, error);
    if (error) return said(write_error("remove", path, error.value()));
    return said(sync_folder(job_.output_dir));
  }
  Phase load(const std::function<bool()>& should_stop) {
    const std::string checkpoints = job_.state_dir + checkpoints_folder;
    remove_unfinished_checkpoints(checkpoints);
    const auto found = load_checkpoint(checkpoints, fingerprint_);
    EngineOptions options = engine_options(job_);
    options.should_stop = [&should_stop] { return should_stop(); };
    if (found.ok()) options.as_before = found.value().state.shape;
    auto engine = Engine::load(options);
    if (!engine.ok()) return model_failure(engine.error());
    engine_ = std::move(engine).value();
    log::info(engine_->plan().text());
    start_ = resume(*engine_, found);
    log::info(start_.note);
    return std::nullopt;
  }
  Phase train_all(const Clock& clock, const std::function<bool()>& should_stop) {
    TrainSettings settings;
    settings.schedule = {job_.schedule, job_.learning_rate, job_.total_steps,
                         warmup_of(job_.warmup_steps, job_.warmup_ratio, job_.total_steps),
                         job_.schedule_options};
    settings.update = job_.update;
    settings.epochs = job_.epochs;
    settings.fingerprint = fingerprint_;
    settings.save_steps = job_.save_steps;
    settings.write_checkpoint = [dir = job_.state_dir + checkpoints_folder](
                                    const CheckpointState& state,
                                    const CheckpointBuffers& buffers) {
      return save_checkpoint(dir, state, buffers);
    };
    settings.evaluation = job_.evaluation;
    line_.resumed_from = line_.step = static_cast<std::uint32_t>(start_.step);
    line_.tokens = static_cast<std::uint64_t>(start_.tokens);
    take(start_.evaluated);
    if (auto failed = say(RunPhase::Training)) return failed;
    Status last = ok();  // a progress line that could not be written stops the run
    const auto trained = train(
        *engine_, {job_.rows, job_.held_out, job_.rows_of_step}, settings, start_, clock,
        [&](const StepReport& r) {
          report(r);
          if (last.ok()) last = progress_.write(line_);
        },
        [&] { return !last.ok() || should_stop(); });
    if (!trained.ok())
      return trained.error().code == Code::invalid ? TuneFailure{"bad_config", trained.error().what}
                                                   : write_failure(trained.error());
    if (!last.ok()) return write_failure(last.error());
    log::info("checkpoints", {{"written", std::to_string(trained.value().checkpoints)},
                              {"cost", percent(trained.value().checkpoint_share) + " of the run"}});
    if (!trained.value().is_finished) return stopped();
    best_ = trained.value().best;
    return std::nullopt;
  }
  Phase save() {
    AdapterConfig config;
    config.base_model = job_.base_model;
    config.rank = job_.rank;
    config.alpha = job_.alpha;
    config.use_rslora = job_.use_rslora;
    config.dropout = job_.dropout;
    config.targets = job_.targets;
    if (is_all_linear(config.targets)) config.targets.names = {};
    for (const auto& module : engine_->layout().modules) {  // as peft writes all-linear
      auto& names = config.targets.names;
      const std::string name = name_of(module.module);
      if (is_all_linear(job_.targets) && std::ranges::find(names, name) == names.end())
        names.push_back(name);
    }
    std::span<const float> parameters = engine_->state().parameters;
    if (best_ && line_.best_step != line_.step) {
      parameters = *best_;
      log::info("the adapter is that of the best step",
                {{"step", std::to_string(line_.best_step)}});
    }
    const auto tensors = adapter_tensors(engine_->layout(), parameters);
    if (auto failed = said(write_adapter(job_.output_dir, config, tensors))) return failed;
    return said(write_file(job_.output_dir + completed_file, completed_text()));
  }
  // Again after a restart, too: the result is whole in output_dir before the first byte is copied.
  Phase copy() {
    if (job_.copy_dir.empty()) return std::nullopt;
    std::error_code ignored;
    fs::remove(job_.copy_dir + completed_file, ignored);  // of another run; ours comes last
    for (const char* file : {config_file, adapter_file, completed_file})
      if (const auto done = copy_file(job_.output_dir + file, job_.copy_dir + file); !done.ok()) {
        TuneFailure failure = write_failure(done.error());
        failure.message = "the output volume: " + without_folder(failure.message, job_.copy_dir);
        return failure;
      }
    return std::nullopt;
  }

 private:
  std::string completed_text() const {
    return "Fine-tuning completed.\nrun " + sha256_hex(fingerprint_ + " " + job_.base_model) + "\n";
  }
  static TuneFailure stopped() { return {"stopped", "asked to stop"}; }
  static Phase said(const Status& status) {
    if (status.ok()) return std::nullopt;
    return write_failure(status.error());
  }
  void report(const StepReport& r) {
    line_.phase = RunPhase::Training;
    line_.step = static_cast<std::uint32_t>(r.step);
    line_.epoch = static_cast<float>(r.epoch);
    line_.loss = static_cast<float>(r.loss);
    line_.learning_rate = static_cast<float>(r.learning_rate);
    line_.grad_norm = static_cast<float>(r.gradient_norm);
    line_.tokens = static_cast<std::uint64_t>(r.tokens);
    line_.tokens_per_second = static_cast<float>(r.tokens_per_second);
    line_.eta_ms = r.eta_ms;
    const bool is_new = r.evaluated.step >= 0 && r.evaluated.step != evaluated_step_;
    take(r.evaluated);
    if (!is_new) return;
    const std::int64_t best = r.evaluated.best_step;
    log::info("evaluation", {{"step", std::to_string(r.evaluated.step)},
                             {"eval_loss", std::to_string(r.evaluated.loss)},
                             {"perplexity", std::to_string(std::exp(r.evaluated.loss))},
                             {"rows", std::to_string(job_.held_out.size())},
                             {"best_step", best < 0 ? "none" : std::to_string(best)}});
  }
  void take(const Evaluated& e) {
    evaluated_step_ = e.step;
    if (e.step >= 0) {
      line_.eval_step = static_cast<std::uint32_t>(e.step);
      line_.eval_loss = static_cast<float>(e.loss);
    }
    if (e.best_step < 0) return;
    line_.best_step = static_cast<std::uint32_t>(e.best_step);
    line_.best_eval_loss = static_cast<float>(e.best_loss);
  }
  TuneJob job_;
  ProgressFile progress_;
  wire::ProgressT line_;
  std::unique_ptr<Engine> engine_;
  std::string fingerprint_;
  TrainStart start_;
  std::int64_t evaluated_step_ = -1;
  Parameters best_;  // null: the last ones are the result
};
}  // namespace

TuneFailure model_failure(const Error& e) {
  if (e.code == Code::conflict) return {"stopped", e.what};
  return {e.code == Code::unavailable ? "out_of_memory" : "bad_model", e.what};
}

std::optional<TuneFailure> check_job(const TuneJob& job) {
  if (job.rows.empty()) return TuneFailure{"bad_data", "the data set has no rows"};
  if (job.total_steps < 1) return TuneFailure{"bad_config", "there is no optimizer step to take"};
  const auto is_trained = [](const TrainRow& row) { return targets_of(row) > 0; };
  if (std::none_of(job.rows.begin(), job.rows.end(), is_trained))
    return TuneFailure{"bad_data", "no token of the data set is trained"};
  const auto config = load_model_config(job.model_dir);
  if (!config.ok()) return model_failure(config.error());
  const auto layout = make_lora_layout(config.value(), job.rank, 1.0, job.targets);
  if (!layout.ok()) return TuneFailure{"bad_config", layout.error().what};
  std::int64_t longest = 0;
  for (const auto* rows : {&job.rows, &job.held_out})
    for (std::size_t i = 0; i < rows->size(); ++i) {
      const TrainRow& row = (*rows)[i];
      longest = std::max(longest, static_cast<std::int64_t>(row.tokens.size()));
      for (const auto token : row.tokens)
        if (token < 0 || token >= config.value().vocab)
          return TuneFailure{"bad_data",
                             std::string(rows == &job.rows ? "row " : "held-out row ") +
                                 std::to_string(i + 1) + ": token " + std::to_string(token) +
                                 " is not in the model's vocabulary; is the tokenizer of another "
                                 "model?"};
    }
  if (longest - 1 > config.value().positions)
    return TuneFailure{"bad_data",
                       "a row has " + std::to_string(longest) + " tokens, the model takes " +
                           std::to_string(config.value().positions) + "; set max_length"};
  return std::nullopt;
}

void fill_extremes(EngineOptions& options, const TuneJob& job) {
  const auto inputs = [](const TrainRow& row) {
    return std::max<std::int64_t>(static_cast<std::int64_t>(row.tokens.size()) - 1, 1);
  };
  options.longest_row = 1;
  for (const auto& row : job.rows) options.longest_row = std::max(options.longest_row, inputs(row));
  if (job.evaluation.count_all(job.total_steps) > 0)
    for (const auto& row : job.held_out)
      options.longest_row = std::max(options.longest_row, inputs(row));
  options.keeps_best = job.evaluation.keep_best;
  for (const auto* rows : {&job.rows, &job.held_out})
    for (const auto& row : *rows)
      options.data_bytes +=
          row_bytes + static_cast<std::int64_t>(row.tokens.size_bytes() + row.trained.size_bytes());
  options.tokens_per_step = options.longest_row;
  const std::int64_t steps = std::min(job.total_steps, steps_looked_at);
  std::int64_t looked_at = 0;
  for (std::int64_t step = 0; step < steps && looked_at < rows_looked_at; ++step) {
    const auto rows = job.rows_of_step(step);
    std::int64_t tokens = 0;
    for (const std::size_t i : rows) tokens += inputs(job.rows[i]);
    looked_at += static_cast<std::int64_t>(rows.size());
    options.tokens_per_step = std::max(options.tokens_per_step, tokens);
  }
}

EngineOptions engine_options(const TuneJob& job) {
  EngineOptions options;
  options.model_dir = job.model_dir;
  options.method = job.method;
  options.rank = job.rank;
  options.alpha = job.alpha;
  options.use_rslora = job.use_rslora;
  options.dropout = job.dropout;
  options.targets = job.targets;
  options.init = job.init;
  options.seed = job.seed;
  options.threads = job.threads;
  options.budget_bytes = job.budget_bytes;
  fill_extremes(options, job);
  return options;
}

TuneExit run_tune(TuneJob job, const PrepareJob& prepare, const Clock& clock,
                  const std::function<bool()>& should_stop) {
  auto progress = ProgressFile::open(job.state_dir, clock);
  if (!progress.ok()) {
    log::error("run failed", {{"why", progress.error().what}});
    return exit_of(write_failure(progress.error()).code);
  }
  Run run(std::move(job), std::move(progress).value());
  bool done = false;
  if (auto failed = run.say(RunPhase::Starting)) return run.end(*failed);
  if (auto failed = run.say(RunPhase::Tokenizing)) return run.end(*failed);
  if (auto failed = run.prepare(prepare)) return run.end(*failed);
  if (auto failed = run.look_for_result(done)) return run.end(*failed);
  if (!done) {
    if (auto failed = run.say(RunPhase::Loading)) return run.end(*failed);
    if (auto failed = run.load(should_stop)) return run.end(*failed);
    if (auto failed = run.train_all(clock, should_stop)) return run.end(*failed);
    if (auto failed = run.say(RunPhase::Saving)) return run.end(*failed);
    if (auto failed = run.save()) return run.end(*failed);
  }
  if (auto failed = run.copy()) return run.end(*failed);
  if (auto failed = run.say(RunPhase::Done)) return run.end(*failed);
  return TuneExit::done;
}
}  // namespace kairo::gpu
