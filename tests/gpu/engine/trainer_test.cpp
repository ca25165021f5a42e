// tests/gpu/engine/trainer_test.cpp - proves on an engine of one number: which steps are kept and
// evaluated, that training goes on while a slow disk writes and stands before too much is at risk,
// and that a disk that fails ends the run.
#include "gpu/engine/trainer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <thread>

namespace kairo::gpu {
namespace {
struct FakeClock final : Clock {
  std::atomic<std::int64_t> ms = 0;
  std::int64_t now_ms() const override { return ms; }
  std::int64_t monotonic_ms() const override { return ms; }
};
// Each step adds one to the parameter and takes step_ms. -log p of a row is told by loss_at.
class Counter final : public Engine {
 public:
  Counter() {
    plan_.microbatch_tokens = 100;
    layout_.parameters = 1;
  }
  Result<double> accumulate(std::span<const TrainRow>, std::int64_t, std::int64_t) override {
    while (waits_for_disk && saved < copies) std::this_thread::yield();
    clock.ms += step_ms;
    return 1.0;
  }
  Result<double> evaluate(std::span<const TrainRow> rows) override {
    clock.ms += evaluation_ms;
    const auto step = static_cast<std::int64_t>(parameters_[0]);
    ++evaluations[step];
    return loss_at.contains(step) ? loss_at[step] * static_cast<double>(rows.size()) * 2 : 8.0;
  }
  double update(const Update&, std::int64_t) override {
    parameters_[0] += 1;
    return 1;
  }
  CheckpointBuffers state() const override {
    ++copies;
    return {parameters_, moment_, moment_};
  }
  std::span<const float> gradient() const override { return moment_; }
  Status restore(const CheckpointBuffers& s) override {
    parameters_.assign(s.parameters.begin(), s.parameters.end());
    return ok();
  }
  const ModelConfig& config() const override { return config_; }
  const LoraLayout& layout() const override { return layout_; }
  const MemoryPlan& plan() const override { return plan_; }
  const ProductChoice& products() const override { return products_; }
  ComputeShape shape() const override { return {}; }

  FakeClock clock;
  std::int64_t step_ms = 100, evaluation_ms = 0;
  std::map<std::int64_t, double> loss_at;
  std::map<std::int64_t, int> evaluations;
  bool waits_for_disk = false;  // with each step, so that real time decides nothing
  mutable int copies = 0;
  std::atomic<int> saved = 0;

 private:
  std::vector<float> parameters_{0}, moment_{0};
  ModelConfig config_;
  LoraLayout layout_;
  MemoryPlan plan_;
  ProductChoice products_;
};
struct TrainBench {
  Counter engine;
  std::vector<std::int32_t> tokens = {1, 2, 3};
  std::vector<std::uint8_t> mask = {0, 1, 1};
  std::vector<TrainRow> row{{tokens, mask}}, held_out{{tokens, mask}, {tokens, mask}};
  TrainSettings settings;
  std::vector<StepReport> reports;
  std::vector<std::int64_t> saved;  // whole on disk
  TrainBench() {
    settings.schedule = {ScheduleKind::constant, 1, 10, 0};
    settings.write_checkpoint = [&](const CheckpointState& state, const CheckpointBuffers& b) {
      CHECK(b.parameters[0] == static_cast<float>(state.step));
      saved.push_back(state.step);
      ++engine.saved;
      return ok();
    };
  }
  Result<Trained> run(
      const std::function<bool()>& should_stop = [] { return false; },
      const TrainStart& start = {}) {
    const TrainData data{row, held_out, [](std::int64_t) { return std::vector<std::size_t>{0}; }};
    return train(
        engine, data, settings, start, engine.clock,
        [&](const StepReport& r) { reports.push_back(r); }, should_stop);
  }
};
using Steps = std::vector<std::int64_t>;
std::function<bool()> after_looks(int looks) {
  return [looks]() mutable { return looks-- <= 0; };
}
}  // namespace

TEST_CASE_FIXTURE(TrainBench, "checkpoints: the user's steps, the last one, the one of a stop") {
  settings.save_steps = 3;
  SUBCASE("finished") {
    const auto done = run();
    REQUIRE(done.ok());
    CHECK(done.value().is_finished);
    CHECK(saved == Steps{3, 6, 9, 10});
    CHECK(done.value().checkpoints == 4);
  }
  SUBCASE("stopped between two") {
    const auto done = run(after_looks(5));
    REQUIRE(done.ok());
    CHECK_FALSE(done.value().is_finished);
    CHECK(saved == Steps{3, 5});
  }
  SUBCASE("stopped at one") {
    REQUIRE(run(after_looks(6)).ok());
    CHECK(saved == Steps{3, 6});
  }
  SUBCASE("stopped at once") {
    REQUIRE(run(after_looks(0)).ok());
    CHECK(saved == Steps{});
  }
}

TEST_CASE_FIXTURE(TrainBench, "without save_steps time decides") {
  engine.waits_for_disk = true;
  settings.schedule.total_steps = 12;
  SUBCASE("cheap ones come every second of training") {
    engine.step_ms = 400;
    REQUIRE(run().ok());
    CHECK(saved == Steps{3, 6, 9, 12});
  }
  SUBCASE("slow steps are kept each") {
    engine.step_ms = 31'000;
    REQUIRE(run().ok());
    CHECK(saved == Steps{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  }
}

TEST_CASE_FIXTURE(TrainBench,
                  "a slow disk: training goes on beside it, until too much is at risk") {
  settings.schedule.total_steps = 50;
  engine.step_ms = 1'000;
  std::promise<void> turn;
  auto open = turn.get_future().share();
  int safe_at_31 = 0;
  settings.write_checkpoint = [&](const CheckpointState& state, const CheckpointBuffers&) {
    open.wait();
    saved.push_back(state.step);
    ++engine.saved;
    return ok();
  };
  // The first copy is of step 1; thirty seconds later, at step 30, the training stands. Somebody
  // else lets the disk go on once all those steps were reported.
  std::promise<void> stands;
  std::thread disk([&] {
    stands.get_future().wait();
    turn.set_value();
  });
  const TrainData data{row, {}, [](std::int64_t) { return std::vector<std::size_t>{0}; }};
  const auto done = train(
      engine, data, settings, {}, engine.clock,
      [&](const StepReport& r) {
        reports.push_back(r);
        if (r.step == 30) stands.set_value();
        if (r.step == 31) safe_at_31 = engine.saved;
      },
      [] { return false; });
  disk.join();
  REQUIRE(done.ok());
  CHECK(saved.front() == 1);
  CHECK(safe_at_31 >= 1);  // step 31 came after the first write
  CHECK(saved.back() == 50);
}

TEST_CASE_FIXTURE(TrainBench,
                  "a disk that fails ends the run; its kind decides what is done then") {
  settings.save_steps = 2;
  for (const auto& [code, wanted] :
       {std::pair{Code::unavailable, Code::unavailable}, {Code::invalid, Code::corrupt}}) {
    settings.write_checkpoint = [code = code](const CheckpointState&,
                                              const CheckpointBuffers&) -> Status {
      return Error{code, "write"};
    };
    const auto done = run();
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().code == wanted);
    const auto stopped = run(after_looks(1));  // of the last write, too
    REQUIRE_FALSE(stopped.ok());
    CHECK(stopped.error().code == wanted);
  }
}

TEST_CASE_FIXTURE(TrainBench, "evaluations: when, once each, and which is best") {
  settings.save_steps = 100;
  settings.evaluation = {3, 0, true, true, true};
  engine.loss_at = {{0, 1.0}, {3, 3.0}, {6, 2.0}, {9, 2.0}, {10, 2.5}};
  const auto done = run();
  REQUIRE(done.ok());
  CHECK(engine.evaluations == std::map<std::int64_t, int>{{0, 1}, {3, 1}, {6, 1}, {9, 1}, {10, 1}});
  const Evaluated& last = reports.back().evaluated;
  CHECK(last.step == 10);
  CHECK(last.loss == 2.5);
  CHECK(last.best_step == 6);  // not the look at the start, and of two equal ones the first
  CHECK(last.best_loss == 2.0);
  REQUIRE(done.value().best);
  CHECK(done.value().best->at(0) == 6.0f);
  CHECK(reports.back().eta_ms == 0);
}

TEST_CASE_FIXTURE(TrainBench, "gone on from a checkpoint, the best one is still known") {
  settings.save_steps = 4;
  settings.evaluation = {2, 0, false, true, true};
  engine.loss_at = {{2, 1.0}};
  Checkpoint kept;
  settings.write_checkpoint = [&](const CheckpointState& state, const CheckpointBuffers& b) {
    kept.state = state;
    kept.parameters.assign(b.parameters.begin(), b.parameters.end());
    kept.best_parameters.assign(b.best_parameters.begin(), b.best_parameters.end());
    return ok();
  };
  REQUIRE(run(after_looks(6)).ok());  // steps 1, 2, evaluation, 3, 4, evaluation
  CHECK(kept.state.step == 4);
  CHECK(kept.state.evaluated.best_step == 2);
  engine.evaluations.clear();
  const auto start = resume(engine, Result<Checkpoint>(kept));
  CHECK(start.best->at(0) == 2.0f);
  const auto done = run([] { return false; }, start);
  REQUIRE(done.ok());
  CHECK(done.value().best->at(0) == 2.0f);
  CHECK(reports.back().evaluated.best_loss == 1.0);
  // That of step 4 came after its checkpoint: it is made again.
  CHECK(engine.evaluations == std::map<std::int64_t, int>{{4, 1}, {6, 1}, {8, 1}, {10, 1}});
}

TEST_CASE_FIXTURE(TrainBench, "asked to stop while it evaluates, it keeps the step and stops") {
  settings.save_steps = 100;
  settings.evaluation = {5, 0, false, true, false};
  bool stop = false;
  engine.loss_at = {{5, 1.0}};
  for (int i = 0; i < 200; ++i) held_out.push_back({tokens, mask});  // six batches
  const auto done = run([&] { return stop || (stop = engine.evaluations[5] == 2); });
  REQUIRE(done.ok());
  CHECK_FALSE(done.value().is_finished);
  CHECK(saved == Steps{5});
  CHECK(reports.back().evaluated.step == -1);
}

TEST_CASE("which steps are evaluated") {
  struct Case {
    std::string name;
    EvaluationPlan plan;
    Steps due;  // of 10 steps, the start included
  };
  const Case cases[] = {{"never", {0, 0, false, false, false}, {}},
                        {"at the end", {0, 0, false, true, false}, {10}},
                        {"every 3", {3, 0, false, true, false}, {3, 6, 9, 10}},
                        {"every 5", {5, 0, false, true, false}, {5, 10}},
                        {"every 5, not at the end", {5, 0, false, false, false}, {5, 10}},
                        {"every 2 from 5 on", {2, 5, false, true, false}, {6, 8, 10}},
                        {"from a multiple on", {2, 6, false, true, false}, {6, 8, 10}},
                        {"delayed beyond the end", {2, 50, false, true, false}, {10}},
                        {"rarer than the run is long", {50, 0, false, true, false}, {10}},
                        {"a look at the start", {0, 0, true, false, false}, {0}}};
  for (const auto& c : cases) {
    CAPTURE(c.name);
    Steps due;
    for (std::int64_t step = 0; step <= 10; ++step)
      if (c.plan.is_due(step, 10)) due.push_back(step);
    CHECK(due == c.due);
    for (std::int64_t after = 0; after <= 10; ++after) {
      const auto left = std::count_if(due.begin(), due.end(), [&](auto s) { return s > after; });
      CHECK(c.plan.count(after, 10) == left);
    }
  }
}
}  // namespace kairo::gpu
