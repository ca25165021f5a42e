// gpu/engine/trainer.cpp - step, report, checkpoint, evaluation.
#include "gpu/engine/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "gpu/engine/pace.h"
#include "gpu/engine/save_rhythm.h"

namespace kairo::gpu {
namespace {
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
  add(text(before.ranks), text(now.ranks), " processes");
  add(before.instruction_set, now.instruction_set, "");
  add(before.library, now.library, "");
  // A checkpoint of before there was a choice is one of fp32.
  add(before.products.empty() ? "fp32" : before.products, now.products, " products");
  return out;
}

class Training {
 public:
  Training(Engine& engine, const TrainData& data, const TrainSettings& settings,
           const TrainStart& start, const Clock& clock,
           const std::function<void(const StepReport&)>& on_report)
      : engine_(engine),
        data_(data),
        settings_(settings),
        clock_(clock),
        on_report_(on_report),
        writer_(settings.write_checkpoint),
        best_(start.best),
        saved_step_(start.step) {
    report_.step = start.step;
    report_.total_steps = settings.schedule.total_steps;
    report_.tokens = start.tokens;
    report_.evaluated = start.evaluated;
    for (const auto& row : data.held_out)
      held_out_tokens_ += static_cast<std::int64_t>(row.tokens.size());
    times_.next = first_save_ms(3 * 4 * engine.layout().parameters);
  }
  Result<Trained> run(const std::function<bool()>& should_stop);

 private:
  bool is_evaluation_due() const {
    return !data_.held_out.empty() && report_.evaluated.step != report_.step &&
           settings_.evaluation.is_due(report_.step, report_.total_steps);
  }
  Status step();
  std::string not_finite() const;  // of the step that was done last, for people
  Status evaluate(const std::function<bool()>& should_stop);
  Status save_if_due();
  Status save();
  Status paused(const std::function<Status()>& work);
  void look_at_writer();
  void say();
  Trained ended(bool is_finished) const;

  Engine& engine_;
  const TrainData& data_;
  const TrainSettings& settings_;
  const Clock& clock_;
  const std::function<void(const StepReport&)>& on_report_;
  CheckpointWriter writer_;
  Parameters best_;
  StepReport report_;
  Pace pace_;
  SaveTimes times_;
  std::int64_t saved_step_, held_out_tokens_ = 0, checkpoints_ = 0;
};

Result<Trained> Training::run(const std::function<bool()>& should_stop) {
  while (report_.step < report_.total_steps || is_evaluation_due()) {
    if (should_stop()) {
      if (saved_step_ != report_.step) TRY(save());
      TRY(paused([&] { return writer_.finish(); }));
      return ended(false);
    }
    if (is_evaluation_due()) {
      TRY(evaluate(should_stop));
      continue;
    }
    TRY(step());
    TRY(save_if_due());
  }
  TRY(paused([&] { return writer_.finish(); }));
  return ended(true);
}

Status Training::step() {
  const std::int64_t began = clock_.monotonic_ms();
  const Bag bag = TRY(collect(data_.rows, data_.rows_of_step(report_.step)));
  const double sum = TRY(within_memory(
      engine_, [&] { return engine_.accumulate(bag.rows, bag.targets, report_.step); }));
  report_.loss = bag.targets > 0 ? sum / static_cast<double>(bag.targets) : 0;
  Update update = settings_.update;
  update.learning_rate = report_.learning_rate = learning_rate(settings_.schedule, report_.step);
  report_.gradient_norm = engine_.update(update, report_.step + 1);
  if (!std::isfinite(report_.loss) || !std::isfinite(report_.gradient_norm))
    return Error{Code::invalid, not_finite()};
  ++report_.step;
  report_.tokens += bag.tokens;
  report_.epoch = settings_.epochs * static_cast<double>(report_.step) /
                  static_cast<double>(report_.total_steps);
  pace_.add_step(bag.tokens, clock_.monotonic_ms() - began);
  say();
  return ok();
}

// Its gradient is gone, but the first moment has taken it in.
std::string Training::not_finite() const {
  const std::string where = last_not_finite(engine_.layout(), engine_.state().first_moment);
  return "training: at step " + std::to_string(report_.step + 1) + " loss (" +
         std::to_string(report_.loss) + ") or gradient (" + std::to_string(report_.gradient_norm) +
         ") is not finite" + (where.empty() ? "" : ", from " + where + " backwards") +
         "; lower learning_rate (now " + std::to_string(settings_.schedule.peak) + ")";
}

// Nothing is known when it was asked to stop on the way.
Status Training::evaluate(const std::function<bool()>& should_stop) {
  const std::int64_t began = clock_.monotonic_ms();
  const auto loss = TRY(evaluate_rows(engine_, data_.held_out, should_stop));
  if (!loss) return ok();
  const bool is_best = take_evaluation(report_.evaluated, report_.step, *loss);
  if (is_best && settings_.evaluation.keep_best) {
    const auto now = engine_.state().parameters;
    best_ = std::make_shared<const std::vector<float>>(now.begin(), now.end());
  }
  pace_.add_evaluation(clock_.monotonic_ms() - began);
  say();
  return ok();
}

void Training::say() {
  report_.memory = engine_.memory_note();
  const auto rest = [&](std::int64_t after) {
    const std::int64_t evaluations =
        data_.held_out.empty() ? 0 : settings_.evaluation.count(after, report_.total_steps);
    return Pace::Rest{report_.total_steps - after, evaluations, held_out_tokens_};
  };
  Pace::Rest left = rest(report_.step);
  left.evaluations += is_evaluation_due() ? 1 : 0;
  report_.eta_ms = pace_.eta_ms(left);
  report_.tokens_per_second = pace_.tokens_per_second(rest(0));
  on_report_(report_);
}

Status Training::save_if_due() {
  look_at_writer();
  TRY(paused([&] { return writer_.status(); }));
  const bool is_last = report_.step == report_.total_steps;
  if (is_last) return save();
  if (settings_.save_steps > 0)
    return report_.step - saved_step_ >= settings_.save_steps ? save() : ok();
  times_.trained = pace_.trained_ms();
  times_.step = pace_.ms_per_step();
  if (writer_.is_busy() && must_await_save(times_)) {
    TRY(paused([&] { return writer_.finish(); }));
    look_at_writer();
  }
  return !writer_.is_busy() && is_save_due(times_) ? save() : ok();
}
// Takes the end of a write in flight over.
void Training::look_at_writer() {
  if (writer_.is_busy() || times_.safe_at == times_.copied_at) return;
  times_.safe_at = times_.copied_at;
  times_.write = pace_.trained_ms() - times_.copied_at;
  const double spent = static_cast<double>(pace_.paused_ms()) + writer_.processor_ms();
  times_.next = spent - times_.spent;
  times_.spent = spent;
}
Status Training::save() {
  if (!settings_.write_checkpoint) return ok();
  const CheckpointState state{settings_.fingerprint, report_.step,    report_.tokens,
                              report_.loss,          engine_.shape(), report_.evaluated,
                              engine_.limits()};
  TRY(paused([&] {
    const Status before = writer_.finish();  // whose copy's memory is taken again
    return before.ok() ? writer_.begin(state, engine_.copy_state(), best_) : before;
  }));
  times_.copied_at = pace_.trained_ms();
  saved_step_ = report_.step;
  ++checkpoints_;
  return ok();
}
Status Training::paused(const std::function<Status()>& work) {
  const std::int64_t began = clock_.monotonic_ms();
  const Status done = work();
  pace_.add_pause(clock_.monotonic_ms() - began);
  if (done.ok()) return ok();
  return Error{done.error().code == Code::unavailable ? Code::unavailable : Code::corrupt,
               done.error().what};
}
Trained Training::ended(bool is_finished) const {
  Trained out{is_finished, nullptr, checkpoints_, 0};
  if (is_finished && settings_.evaluation.keep_best) out.best = best_;
  const double spent = static_cast<double>(pace_.paused_ms()) + writer_.processor_ms();
  const auto all = static_cast<double>(pace_.trained_ms() + pace_.paused_ms());
  if (all > 0) out.checkpoint_share = spent / all;
  return out;
}
}  // namespace

std::int64_t targets_of(const TrainRow& row) {
  std::int64_t n = 0;
  for (std::size_t i = 1; i < row.trained.size(); ++i) n += row.trained[i] != 0 ? 1 : 0;
  return n;
}

TrainStart resume(Engine& engine, const Result<Checkpoint>& found) {
  const auto anew = [](const Error& why) {
    return TrainStart{0, 0, "starts anew: " + why.what, {}, nullptr};
  };
  if (!found.ok()) return anew(found.error());
  const auto& c = found.value();
  const auto restored = engine.restore({c.parameters, c.first_moment, c.second_moment});
  if (!restored.ok()) return anew(restored.error());
  const std::string differs = difference(c.state.shape, engine.shape());
  const std::string note =
      "goes on from step " + std::to_string(c.state.step) +
      (differs.empty() ? "" : "; not bit-equal to an undisturbed run: before / now " + differs);
  Parameters best;
  if (!c.best_parameters.empty())
    best = std::make_shared<const std::vector<float>>(c.best_parameters);
  return {c.state.step, c.state.tokens, note, c.state.evaluated, best};
}

Result<Trained> train(Engine& engine, const TrainData& data, const TrainSettings& settings,
                      const TrainStart& start, const Clock& clock,
                      const std::function<void(const StepReport&)>& on_report,
                      const std::function<bool()>& should_stop) {
  return Training(engine, data, settings, start, clock, on_report).run(should_stop);
}
}  // namespace kairo::gpu
