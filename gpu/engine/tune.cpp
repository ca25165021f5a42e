// gpu/engine/tune.cpp - the run's phases and what each of their errors means.
#include "gpu/engine/tune.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "gpu/engine/progress.h"
#include "gpu/engine/tune_result.h"
#include "gpu/formats/files.h"
#include "gpu/plan/step_flops.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
using wire::RunPhase;
constexpr const char* checkpoints_folder = "/checkpoints";

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

// A broken device may be another one after a restart; too little memory will not be more.
TuneFailure device_failure(const DeviceFailure& e) {
  if (!e.is_memory) return {"internal", e.what()};
  return {"out_of_memory", std::string(e.what()) +
                               "; lower max_length or the batch, choose qlora, or take a device "
                               "with more memory"};
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * share);
  return text;
}

class Run {
 public:
  // progress: null: of a rank that writes nothing.
  Run(TuneJob job, ProgressFile* progress)
      : job_(std::move(job)), progress_(progress), ranks_(job_.ranks) {
    line_.eta_ms = -1;
  }
  Phase prepare(const PrepareJob& prepare) {
    if (auto failed = prepare(job_)) return failed;
    if (job_.device != nullptr && progress_ != nullptr)
      progress_->say_device(job_.device->name, job_.device->self_test, job_.device->gpu);
    if (auto failed = check_job(job_)) return failed;
    if (progress_ != nullptr) progress_->say_settings(settings_json(job_));
    fingerprint_ = fingerprint(job_);
    line_.total_steps = static_cast<std::uint32_t>(job_.total_steps);
    line_.rows = static_cast<std::uint32_t>(job_.rows.size());
    line_.held_out_rows = static_cast<std::uint32_t>(job_.held_out.size());
    line_.dropped_rows = static_cast<std::uint32_t>(job_.dropped);
    line_.truncated_rows = static_cast<std::uint32_t>(job_.truncated);
    return std::nullopt;
  }
  Phase say(RunPhase phase) {
    line_.phase = phase;
    return said(write());
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
    if (ranks_ != nullptr) ranks_->give_up(line_.message);
    const auto written = write();
    log::error("run failed", {{"code", failure.code}, {"why", line_.message}});
    if (!written.ok()) log::error("progress", {{"why", written.error().what}});
    return exit_of(failure.code);
  }
  Phase look_for_result(bool& done) {
    const auto found = find_result(job_, fingerprint_);
    if (!found.ok()) return write_failure(found.error());
    done = found.value();
    if (!done) return std::nullopt;
    const wire::ProgressT& last = progress_->last();
    if (last.step == line_.total_steps && last.total_steps == line_.total_steps) line_ = last;
    line_.step = line_.total_steps;
    line_.eta_ms = 0;
    return std::nullopt;
  }
  Phase load(const std::function<bool()>& should_stop) {
    const std::string checkpoints = job_.state_dir + checkpoints_folder;
    if (progress_ != nullptr) remove_unfinished_checkpoints(checkpoints);
    const auto found = load_checkpoint(checkpoints, fingerprint_);
    EngineOptions options = engine_options(job_);
    options.should_stop = [&should_stop] { return should_stop(); };
    if (found.ok()) {
      options.as_before = found.value().state.shape;
      options.limits = found.value().state.limits;
    }
    auto engine = Engine::load(options);
    if (!engine.ok()) return model_failure(engine.error());
    engine_ = std::move(engine).value();
    log::info(engine_->products().text);
    log::info(engine_->plan().text());
    say_memory(engine_->memory_note());
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
    if (progress_ != nullptr)
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
          if (last.ok()) last = write();
        },
        [&] {
          const bool stops = !last.ok() || should_stop();
          return ranks_ == nullptr ? stops : ranks_->first(stops);
        });
    if (!trained.ok())
      return trained.error().code == Code::invalid ? TuneFailure{"bad_config", trained.error().what}
                                                   : write_failure(trained.error());
    if (!last.ok()) return write_failure(last.error());
    log::info("checkpoints", {{"written", std::to_string(trained.value().checkpoints)},
                              {"cost", percent(trained.value().checkpoint_share) + " of the run"}});
    say_speed();
    if (!trained.value().is_finished) return stopped();
    best_ = trained.value().best;
    return std::nullopt;
  }
  Phase save() {
    std::span<const float> parameters = engine_->state().parameters;
    if (best_ && line_.best_step != line_.step) {
      parameters = *best_;
      log::info("the adapter is that of the best step",
                {{"step", std::to_string(line_.best_step)}});
    }
    return said(write_result(job_, fingerprint_, *engine_, parameters));
  }
  Phase copy() { return said(copy_result(job_)); }

 private:
  Status write() { return progress_ == nullptr ? ok() : progress_->write(line_); }
  static TuneFailure stopped() { return {"stopped", "asked to stop"}; }
  static Phase said(const Status& status) {
    if (status.ok()) return std::nullopt;
    return write_failure(status.error());
  }
  // The last steps' speed, and what share of the products' own it is.
  void say_speed() const {
    const double ceiling = engine_->products().flops_per_second;
    if (line_.tokens_per_second <= 0 || ceiling <= 0) return;
    const StepFlops flops =
        step_flops(engine_->config(), engine_->layout(), engine_->plan().kept_layers);
    double tokens = 0, targets = 0;
    for (const auto& row : job_.rows) {
      tokens += static_cast<double>(row.tokens.size());
      targets += static_cast<double>(targets_of(row));
    }
    const double speed = static_cast<double>(line_.tokens_per_second) *
                         (flops.per_token + flops.per_target * targets / tokens);
    log::info("speed", {{"tokens_per_second", std::to_string(std::lround(line_.tokens_per_second))},
                        {"products", std::to_string(std::llround(speed / 1e9)) + " GFLOP/s, " +
                                         percent(speed / ceiling) + " of what they reach alone"}});
  }
  void say_memory(const std::string& note) {
    if (note == memory_) return;
    memory_ = note;
    log::warn(note);
    log::info(engine_->plan().text());
    if (progress_ != nullptr) progress_->say_memory(note);
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
    say_memory(r.memory);
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
  ProgressFile* progress_;
  RanksPtr ranks_;
  wire::ProgressT line_;
  std::unique_ptr<Engine> engine_;
  std::string fingerprint_;
  TrainStart start_;
  std::int64_t evaluated_step_ = -1;
  std::string memory_;  // what was said of it
  Parameters best_;     // null: the last ones are the result
};
}  // namespace

namespace {
// Of a rank but 0: what it computes is in rank 0's gradients and losses.
TuneExit follow(TuneJob job, const PrepareJob& prepare, const Clock& clock) {
  const RanksPtr ranks = job.ranks;
  Run run(std::move(job), nullptr);
  const auto never = [] { return false; };
  try {
    if (!ranks->first(false)) return TuneExit::done;
    if (auto failed = run.prepare(prepare)) return run.end(*failed);
    if (auto failed = run.load(never)) return run.end(*failed);
    if (auto failed = run.train_all(clock, never)) return run.end(*failed);
  } catch (const DeviceFailure& failure) {
    return run.end(device_failure(failure));
  }
  return TuneExit::done;
}
}  // namespace

TuneExit run_tune(TuneJob job, const PrepareJob& prepare, const Clock& clock,
                  const std::function<bool()>& should_stop) {
  const RanksPtr ranks = job.ranks;
  if (ranks != nullptr && ranks->rank() > 0) return follow(std::move(job), prepare, clock);
  auto opened = ProgressFile::open(job.state_dir, clock);
  if (!opened.ok()) {
    log::error("run failed", {{"why", opened.error().what}});
    return exit_of(write_failure(opened.error()).code);
  }
  ProgressFile progress = std::move(opened).value();
  progress.tell(job.on_line);
  Run run(std::move(job), &progress);
  bool done = false;
  if (auto failed = run.say(RunPhase::Starting)) return run.end(*failed);
  if (auto failed = run.say(RunPhase::Tokenizing)) return run.end(*failed);
  if (auto failed = run.prepare(prepare)) return run.end(*failed);
  if (auto failed = run.look_for_result(done)) return run.end(*failed);
  try {
    if (ranks != nullptr) ranks->first(!done);
    if (!done) {
      if (auto failed = run.say(RunPhase::Loading)) return run.end(*failed);
      if (auto failed = run.load(should_stop)) return run.end(*failed);
      if (auto failed = run.train_all(clock, should_stop)) return run.end(*failed);
      if (auto failed = run.say(RunPhase::Saving)) return run.end(*failed);
      if (auto failed = run.save()) return run.end(*failed);
    }
  } catch (const DeviceFailure& failure) {
    return run.end(device_failure(failure));
  }
  if (auto failed = run.copy()) return run.end(*failed);
  if (auto failed = run.say(RunPhase::Done)) return run.end(*failed);
  return TuneExit::done;
}
}  // namespace kairo::gpu
