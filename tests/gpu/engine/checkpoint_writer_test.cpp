// tests/gpu/engine/checkpoint_writer_test.cpp - proves: what is written is the state at the copy,
// one write at a time, the first error is told by every call that follows, nothing in flight is
// lost at the end; and when a copy is due.
#include "gpu/engine/checkpoint_writer.h"

#include <doctest/doctest.h>

#include <future>

#include "gpu/engine/pace.h"
#include "gpu/engine/save_rhythm.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
struct SlowDisk {  // each write waits for its turn
  std::promise<void> turn;
  std::shared_future<void> open = turn.get_future().share();
  std::vector<std::string> written;
  WriteCheckpoint write() {
    return [this](const CheckpointState& state, const CheckpointBuffers& b) {
      open.wait();
      written.push_back(std::to_string(state.step) + ":" + std::to_string(b.parameters[0]) + " " +
                        std::to_string(b.second_moment[1]) + " " +
                        std::to_string(b.best_parameters.size()));
      return ok();
    };
  }
};
CheckpointState at(std::int64_t step) {
  CheckpointState state;
  state.step = step;
  return state;
}
}  // namespace

TEST_CASE("the state at the copy is written while the training changes it") {
  SlowDisk disk;
  std::vector<float> p = {1, 2}, m = {3, 4}, v = {5, 6};
  {
    CheckpointWriter writer(disk.write());
    CHECK_FALSE(writer.is_busy());
    REQUIRE(writer.begin(at(1), copy_of({p, m, v, {}}), nullptr).ok());
    p[0] = 10;
    v[1] = 60;
    CHECK(writer.is_busy());
    CHECK(disk.written.empty());
    disk.turn.set_value();
    REQUIRE(
        writer.begin(at(2), copy_of({p, m, v, {}}), std::make_shared<const std::vector<float>>(2))
            .ok());
    p[0] = 100;
  }  // awaits the second
  CHECK(disk.written ==
        std::vector<std::string>{"1:1.000000 6.000000 0", "2:10.000000 60.000000 2"});
}

TEST_CASE("a write that failed is told by every call after it, and nothing is written any more") {
  int calls = 0;
  CheckpointWriter writer([&](const CheckpointState&, const CheckpointBuffers&) -> Status {
    ++calls;
    return Error{Code::unavailable, "no space"};
  });
  const std::vector<float> x = {1};
  REQUIRE(writer.begin(at(1), copy_of({x, x, x, {}}), nullptr).ok());
  CHECK(writer.finish().error().what == "no space");
  CHECK(writer.status().error().code == Code::unavailable);
  CHECK_FALSE(writer.begin(at(2), copy_of({x, x, x, {}}), nullptr).ok());
  CHECK(calls == 1);
}

TEST_CASE("when a checkpoint is due") {
  struct Case {
    std::string name;
    SaveTimes times;
    bool is_due, must_wait;
  };
  // trained, step, copied_at, safe_at, write, spent, next
  const Case cases[] = {
      {"nothing trained since", {5'000, 10, 5'000, 5'000, 5, 0, 1}, false, false},
      {"under a second", {900, 10, 0, 0, 0, 0, 0.1}, false, false},
      {"a second, at no cost", {1'000, 10, 0, 0, 0, 0, 1}, true, false},
      {"a second, too dear", {1'000, 10, 0, 0, 0, 0, 11}, false, false},
      {"dear ones come seldom", {20'000, 500, 0, 0, 0, 0, 100}, true, false},
      {"what was spent counts", {29'000, 400, 19'000, 19'000, 100, 100, 100}, false, false},
      {"again under one percent", {30'000, 400, 20'000, 20'000, 100, 100, 100}, true, false},
      {"never over thirty seconds", {29'600, 500, 0, 0, 0, 0, 5'000}, true, true},
      {"of which the write takes its part", {20'000, 500, 0, 0, 10'000, 0, 5'000}, true, false},
      {"a step takes longer than that", {40'000, 40'000, 0, 0, 100, 9'000, 5'000}, true, true},
      {"the write before is slow", {55'000, 500, 29'000, 0, 0, 0, 1}, true, true},
      {"the write before is safe", {55'000, 500, 29'000, 29'000, 0, 0, 2'000}, false, false},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    CHECK(is_save_due(c.times) == c.is_due);
    CHECK(must_await_save(c.times) == c.must_wait);
  }
  CHECK(first_save_ms(58'000'000) == doctest::Approx(145));
}

TEST_CASE("speed and end of a run have evaluations and checkpoints in them") {
  Pace pace;
  const Pace::Rest whole{100, 4, 3'000}, left{50, 2, 3'000};
  CHECK(pace.eta_ms(left) == -1);
  CHECK(pace.tokens_per_second(whole) == 0);
  for (int i = 0; i < 20; ++i)
    pace.add_step(1'000, i < 4 ? 9'000 : 500);  // those four are forgotten
  CHECK(pace.ms_per_step() == 500);
  CHECK(pace.eta_ms({50, 0, 0}) == 25'000);
  CHECK(pace.tokens_per_second({100, 0, 0}) == doctest::Approx(2'000));
  // Not measured yet: 3,000 tokens forward take a third of 1,500 ms.
  CHECK(pace.eta_ms(left) == 26'000);
  CHECK(pace.tokens_per_second(whole) == doctest::Approx(1'000 / 0.52));
  pace.add_evaluation(5'000);
  CHECK(pace.eta_ms(left) == 35'000);
  CHECK(pace.tokens_per_second(whole) == doctest::Approx(1'000 / 0.7));
  pace.add_pause(4'400);  // a tenth of 44 s
  CHECK(pace.eta_ms(left) == 37'500);
  CHECK(pace.tokens_per_second(whole) == doctest::Approx(1'000 / 0.75));
  CHECK(pace.trained_ms() == 44'000);
  CHECK(pace.paused_ms() == 4'400);
}
}  // namespace kairo::gpu
