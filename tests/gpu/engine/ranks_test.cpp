// tests/gpu/engine/ranks_test.cpp - several processes train one adapter: the losses of one process,
// their own bytes each time, interrupted or not; one that dies ends the run with its reason. This
// program itself computes nothing, so that it may fork.
#include "gpu/engine/ranks.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "gpu/aten/aten_ops.h"
#include "gpu/aten/device_memory.h"
#include "gpu/aten/memory_meter.h"
#include "gpu/engine/device.h"
#include "tests/gpu/engine/tune_bench.h"

namespace kairo::gpu {
namespace {
using namespace test;
// What run(), in a process of its own, returns; 128: it was killed.
int in_process(const std::function<int()>& run) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(run());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
// The job by so many processes. change: of the job, in each.
int train_by(int count, const TuneBench& bench, TuneJob job, const std::function<bool()>& stop,
             const std::function<void(TuneJob&, int rank)>& change = {}) {
  return in_process([&] {
    if (count > 1) {
      auto ranks = Ranks::start(count);
      if (!ranks.ok()) return 100;
      job.ranks = std::move(ranks).value();
    }
    if (change) change(job, job.ranks == nullptr ? 0 : job.ranks->rank());
    TuneJob folders;
    folders.output_dir = job.output_dir;
    folders.state_dir = job.state_dir;
    folders.ranks = job.ranks;
    const auto prepare = [&](TuneJob& j) {
      j = job;
      return std::optional<TuneFailure>();
    };
    return static_cast<int>(run_tune(folders, prepare, bench.clock, stop));
  });
}
std::vector<double> evaluations_of(const std::vector<nlohmann::json>& lines) {
  std::vector<double> out;
  for (const auto& line : lines)
    if (line["phase"] == "Training" && line.contains("eval_loss") &&
        (out.empty() || out.back() != line["eval_loss"].get<double>()))
      out.push_back(line["eval_loss"].get<double>());
  return out;
}
struct RanksBench : TuneBench {
  TuneJob evaluated(const std::string& name) const {
    TuneJob j = job(name);
    j.dropout = 0.1;
    j.held_out = j.rows;
    j.evaluation = {1, 0, false, true, false};  // whose lines are all written
    return j;
  }
};
}  // namespace

TEST_CASE("values are summed in the order of the ranks, whatever their number") {
  CHECK(in_process([] {
          auto started = Ranks::start(3);
          if (!started.ok()) return 1;
          Ranks& ranks = *started.value();
          const auto rank = static_cast<std::size_t>(ranks.rank());
          // In another order the small ones are lost: (1e8 - 1e8) + 1 = 1, 1e8 + (1 - 1e8) = 0.
          const float mine[] = {1e8f, -1e8f, 1.0f};
          std::vector<float> values((5 << 20) / 4 + 3, mine[rank]);  // more than one part
          values[7] = static_cast<float>(rank);
          ranks.sum(values);
          bool is_right = values[7] == 3.0f;
          values[7] = 1.0f;
          for (const float v : values) is_right = is_right && v == 1.0f;
          double loss = 0.5;
          ranks.sum(std::span(&loss, 1));
          is_right = is_right && loss == 1.5 && ranks.least(5 - ranks.rank()) == 3;
          is_right = is_right && ranks.anyone(rank == 2) && !ranks.anyone(false);
          is_right = is_right && ranks.first(rank == 0) && !ranks.first(rank == 1);
          if (ranks.rank() > 0) ::_exit(ranks.anyone(!is_right) ? 1 : 0);
          return ranks.anyone(!is_right) ? 1 : 0;
        }) == 0);
}

TEST_CASE("a row is computed by who has the fewest tokens") {
  CHECK(shares(std::vector<std::int64_t>{5, 9, 4, 1}, 2) == std::vector{1, 0, 1, 0});
  CHECK(shares(std::vector<std::int64_t>{3, 3, 3}, 2) == std::vector{0, 1, 0});
  CHECK(shares(std::vector<std::int64_t>{7}, 1) == std::vector{0});
  CHECK(shares({}, 3).empty());
}

TEST_CASE("each rank sees one device") {
  CHECK(visible_device(nullptr, 2) == "2");
  CHECK(visible_device("", 1) == "1");
  CHECK(visible_device("3,5,7", 0) == "3");
  CHECK(visible_device("3,GPU-a1,7", 1) == "GPU-a1");
  CHECK(visible_device("3,5", 2) == "");
}

TEST_CASE_FIXTURE(RanksBench, "two processes, and three, have the losses of one") {
  const TuneJob one = evaluated("one");
  REQUIRE(train_by(1, *this, one, never()) == 0);
  const auto wanted = evaluations_of(progress(one));
  REQUIRE(wanted.size() == 9);
  for (const int count : {2, 3}) {
    CAPTURE(count);
    const TuneJob j = evaluated("by-" + std::to_string(count));
    REQUIRE(train_by(count, *this, j, never()) == 0);
    const auto losses = evaluations_of(progress(j));
    REQUIRE(losses.size() == 9);
    for (std::size_t i = 0; i < losses.size(); ++i)
      CHECK(losses[i] == doctest::Approx(wanted[i]).epsilon(1e-5));
    CHECK(progress(j).back()["loss"].get<double>() ==
          doctest::Approx(progress(one).back()["loss"].get<double>()).epsilon(1e-5));
    CHECK(progress(j).back()["tokens"] == progress(one).back()["tokens"]);

    const TuneJob again = evaluated("again-" + std::to_string(count));
    REQUIRE(train_by(count, *this, again, after(13)) == 75);
    REQUIRE(train_by(count, *this, again, never()) == 0);
    CHECK(progress(again).back()["resumed_from"].get<int>() > 0);
    CHECK(adapter_bytes(again) == adapter_bytes(j));
    CHECK(train_by(count, *this, again, never()) == 0);  // all is done already
  }
}

TEST_CASE_FIXTURE(RanksBench, "a process that dies, or fails, ends the run with its reason") {
  const TuneJob whole = evaluated("whole");
  REQUIRE(train_by(2, *this, whole, never()) == 0);
  struct Row {
    const char* name;
    std::function<void()> in_step;
    const char* message;
  };
  for (const Row& row :
       {Row{"killed", [] { ::raise(SIGKILL); }, "process 2 of the run was killed by signal 9"},
        {"exited", [] { ::_exit(7); }, "process 2 of the run has ended with exit code 7"},
        {"failed", [] { throw DeviceFailure(false, "the device failed: told to"); },
         "process 2 of the run gave up: the device failed: told to"}}) {
    CAPTURE(row.name);
    const TuneJob j = evaluated(row.name);
    CHECK(train_by(2, *this, j, never(), [&](TuneJob& its, int rank) {
            if (rank == 0) return;
            its.rows_of_step = [of = its.rows_of_step, &row,
                                asked = false](std::int64_t step) mutable {
              asked = asked || step == 8;  // all steps are looked at first, for the memory plan
              if (asked && step == 5) row.in_step();
              return of(step);
            };
          }) == 1);
    CHECK(progress(j).back()["code"] == "internal");
    CHECK(progress(j).back()["message"] == row.message);
    CHECK(train_by(2, *this, j, never()) == 0);
    CHECK(adapter_bytes(j) == adapter_bytes(whole));
  }
}

TEST_CASE_FIXTURE(RanksBench, "one device with too little memory: all go on with the same plan") {
  const TuneJob one = evaluated("one");
  REQUIRE(train_by(1, *this, one, never()) == 0);
  const auto on = [](std::int64_t limit_of_second) {
    return [limit_of_second](TuneJob& j, int rank) {
      const auto meter = std::make_shared<MemoryMeter>(rank == 1 ? limit_of_second : 0);
      j.device = std::make_shared<const Device>(Device{
          "aten-cpu", "a device", "", 0,
          [meter](int threads) { return make_aten_ops("cpu", threads, memory_of("cpu", meter)); }});
    };
  };
  const TuneJob j = evaluated("small");
  REQUIRE(train_by(2, *this, j, never(), on(2'300'000)) == 0);
  const std::string memory = progress(j).back().value("memory", "");
  CHECK(
      memory.starts_with("too little memory: another process of the run found its device's too "
                         "little; from now on "));
  CHECK(progress(j).back()["eval_loss"].get<double>() ==
        doctest::Approx(progress(one).back()["eval_loss"].get<double>()).epsilon(1e-5));
}
}  // namespace kairo::gpu
