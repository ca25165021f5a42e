// gpu/engine/trainer.cpp - step, report, checkpoint.
#include "gpu/engine/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kairo::gpu {
namespace {
// Speed over the last steps: a window of at most 16, so that a pause is soon forgotten.
class Speed {
 public:
  void add(std::int64_t tokens, std::int64_t ms) {
    window_.emplace_back(tokens, std::max<std::int64_t>(ms, 1));
    if (window_.size() > 16) window_.erase(window_.begin());
  }
  double tokens_per_second() const {
    double tokens = 0, ms = 0;
    for (const auto& [n, t] : window_) {
      tokens += static_cast<double>(n);
      ms += static_cast<double>(t);
    }
    return ms > 0 ? tokens * 1000 / ms : 0;
  }
  std::int64_t ms_per_step() const {
    std::int64_t ms = 0;
    for (const auto& [n, t] : window_) ms += t;
    return window_.empty() ? 0 : ms / static_cast<std::int64_t>(window_.size());
  }

 private:
  std::vector<std::pair<std::int64_t, std::int64_t>> window_;
};
struct Bag {  // one optimizer step's data
  std::vector<TrainRow> rows;
  std::int64_t tokens = 0, targets = 0;
};
Result<Bag> collect(std::span<const TrainRow> data, const std::vector<std::size_t>& indices) {
  Bag bag;
  for (const std::size_t i : indices) {
    if (i >= data.size()) return Error{Code::invalid, "the order names a row that is not there"};
    bag.rows.push_back(data[i]);
    bag.tokens += static_cast<std::int64_t>(data[i].tokens.size());
    bag.targets += targets_of(data[i]);
  }
  return bag;
}
// "2 / 4 threads, ..."; empty: none.
std::string difference(const ComputeShape& before, const ComputeShape& now) {
  std::string out;
  const auto add = [&out](const std::string& a, const std::string& b, const std::string& what) {
    if (a == b) return;
    out += (out.empty() ? "" : ", ") + (a.empty() || a == "0" ? "not known" : a) + " / " + b + what;
  };
  const auto text = [](std::int64_t n) { return std::to_string(n); };
  add(text(before.microbatch_tokens), text(now.microbatch_tokens), " tokens at a time");
  add(text(before.head_rows), text(now.head_rows), " rows of logits");
  add(text(before.threads), text(now.threads), " threads");
  add(before.instruction_set, now.instruction_set, "");
  add(before.library, now.library, "");
  return out;
}
}  // namespace

std::int64_t targets_of(const TrainRow& row) {
  std::int64_t n = 0;
  for (std::size_t i = 1; i < row.trained.size(); ++i) n += row.trained[i] != 0 ? 1 : 0;
  return n;
}

TrainStart resume(Engine& engine, const Result<Checkpoint>& found) {
  if (!found.ok()) return {0, 0, "starts anew: " + found.error().what};
  const auto& c = found.value();
  const auto restored = engine.restore({c.parameters, c.first_moment, c.second_moment});
  if (!restored.ok()) return {0, 0, "starts anew: " + restored.error().what};
  const std::string differs = difference(c.state.shape, engine.shape());
  const std::string note =
      "goes on from step " + std::to_string(c.state.step) +
      (differs.empty() ? "" : "; not bit-equal to an undisturbed run: before / now " + differs);
  return {c.state.step, c.state.tokens, note};
}

Result<TrainEnd> train(Engine& engine, std::span<const TrainRow> data,
                       const RowsOfStep& rows_of_step, const TrainSettings& settings,
                       const TrainStart& start, const Clock& clock,
                       const std::function<void(const StepReport&)>& on_step,
                       const std::function<bool()>& should_stop) {
  StepReport report;
  report.step = start.step;
  report.total_steps = settings.schedule.total_steps;
  report.tokens = start.tokens;
  Speed speed;
  std::int64_t saved_at = clock.monotonic_ms(), saved_step = start.step;
  const auto save = [&]() -> Status {
    const CheckpointState state{settings.fingerprint, report.step, report.tokens, report.loss,
                                engine.shape()};
    const auto saved = save_checkpoint(settings.checkpoint_dir, state, engine.state());
    if (!saved.ok())
      return Error{saved.error().code == Code::unavailable ? Code::unavailable : Code::corrupt,
                   saved.error().what};
    saved_at = clock.monotonic_ms();
    saved_step = report.step;
    return ok();
  };
  while (report.step < report.total_steps) {
    if (should_stop()) {
      if (saved_step != report.step) TRY(save());
      return TrainEnd::stopped;
    }
    const std::int64_t began = clock.monotonic_ms();
    const Bag bag = TRY(collect(data, rows_of_step(report.step)));
    const double sum = TRY(engine.accumulate(bag.rows, bag.targets));
    report.loss = bag.targets > 0 ? sum / static_cast<double>(bag.targets) : 0;
    Update update = settings.update;
    update.learning_rate = report.learning_rate = learning_rate(settings.schedule, report.step);
    report.gradient_norm = engine.update(update, report.step + 1);
    if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm))
      return Error{Code::invalid, "training: loss " + std::to_string(report.loss) + " at step " +
                                      std::to_string(report.step + 1) +
                                      " is not finite; lower learning_rate (now " +
                                      std::to_string(settings.schedule.peak) + ")"};
    ++report.step;
    report.tokens += bag.tokens;
    speed.add(bag.tokens, clock.monotonic_ms() - began);
    report.epoch = settings.epochs * static_cast<double>(report.step) /
                   static_cast<double>(report.total_steps);
    report.tokens_per_second = speed.tokens_per_second();
    report.eta_ms = speed.ms_per_step() * (report.total_steps - report.step);
    on_step(report);
    const bool due = report.step - saved_step >= settings.save_steps ||
                     clock.monotonic_ms() - saved_at >= settings.save_ms;
    if (due || report.step == report.total_steps) TRY(save());
  }
  return TrainEnd::finished;
}
}  // namespace kairo::gpu
