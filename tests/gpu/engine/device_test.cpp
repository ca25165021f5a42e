// tests/gpu/engine/device_test.cpp - a run on another device than the CPU: the same losses, what it
// is in each progress line, interrupted with the bytes of an undisturbed one; and never gone on
// from on the CPU. One whose memory is too little: smaller plans, the same losses, or a clear end.
#include "gpu/engine/device.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "gpu/aten/aten_ops.h"
#include "gpu/aten/device_memory.h"
#include "gpu/aten/memory_meter.h"
#include "gpu/engine/forward_ops.h"
#include "gpu/engine/tune.h"
#include "tests/gpu/engine/tune_bench.h"

namespace kairo::gpu {
namespace {
using namespace test;
DevicePtr aten_of_a_run() {
  return std::make_shared<const Device>(
      Device{"aten-cpu", "operators on the CPU", "self-test: all agree", 0,
             [](int threads) { return make_aten_ops("cpu", threads); }});
}
// The CPU, until the given optimizer step.
class FailingOps final : public ForwardOps {
 public:
  FailingOps(std::unique_ptr<Ops> base, std::int64_t step, bool is_memory)
      : ForwardOps(std::move(base), {}), step_(step), is_memory_(is_memory) {}
  void adamw(const Mat& p, const Mat& g, const Mat& m, const Mat& v,
             const AdamwStep& step) override {
    if (step.step == step_) throw DeviceFailure(is_memory_, "told to");
    ForwardOps::adamw(p, g, m, v, step);
  }

 private:
  std::int64_t step_;
  bool is_memory_;
};
}  // namespace

TEST_CASE_FIXTURE(TuneBench, "a run on a device") {
  struct Row {
    const char* name;
    Method method;
    Type type;
    double dropout, bound;  // of the last loss
  };
  for (const Row& row : {Row{"lora", Method::lora, Type::f32, 0.1, 1e-5},
                         {"qlora", Method::qlora, Type::f32, 0, 1e-5},
                         {"qlora-bf16", Method::qlora, Type::bf16, 0.1, 1e-2}}) {
    CAPTURE(row.name);
    TuneJob cpu = job(std::string("cpu-") + row.name);
    cpu.method = row.method;
    cpu.dropout = row.dropout;
    REQUIRE(run(cpu, never()) == TuneExit::done);
    TuneJob j = job(row.name);
    j.method = row.method;
    j.dropout = row.dropout;
    j.type = row.type;
    j.device = aten_of_a_run();
    REQUIRE(run(j, never()) == TuneExit::done);
    const auto lines = progress(j);
    CHECK(lines.back()["device"] == "operators on the CPU");
    CHECK(lines.back()["self_test"] == "self-test: all agree");
    CHECK_FALSE(progress(cpu).back().contains("device"));
    CHECK(lines.back()["loss"].get<double>() ==
          doctest::Approx(progress(cpu).back()["loss"].get<double>()).epsilon(row.bound));
    CHECK(fingerprint(j) != fingerprint(cpu));

    TuneJob parts = job(std::string("parts-") + row.name);
    parts.method = row.method;
    parts.dropout = row.dropout;
    parts.type = row.type;
    parts.device = j.device;
    REQUIRE(run(parts, after(4)) == TuneExit::stopped);
    REQUIRE(run(parts, never()) == TuneExit::done);
    CHECK(progress(parts).back()["resumed_from"].get<int>() > 0);
    CHECK(adapter_bytes(parts) == adapter_bytes(j));
  }
}

TEST_CASE_FIXTURE(TuneBench,
                  "a device that cannot be had, or fails, ends the run with its reason") {
  TuneJob j = job("absent");
  j.device = std::make_shared<const Device>(
      Device{"cuda", "a GPU", "", 0, [](int) -> Result<std::unique_ptr<Ops>> {
               return Error{Code::corrupt, "the device is gone"};
             }});
  CHECK(run(j, never()) == TuneExit::permanent);
  CHECK(progress(j).back()["message"] == "the device is gone");

  struct Row {
    bool is_memory;
    TuneExit exit;
    const char *code, *message;
  };
  for (const Row& row :
       {Row{true, TuneExit::permanent, "out_of_memory",
            "told to; lower max_length or the batch, choose qlora, or take a device with more "
            "memory"},
        {false, TuneExit::internal, "internal", "told to"}}) {
    TuneJob failing = job(std::string("failing-") + row.code);
    failing.device = std::make_shared<const Device>(
        Device{"aten-cpu", "a GPU", "", 0, [row](int threads) -> Result<std::unique_ptr<Ops>> {
                 return std::unique_ptr<Ops>(
                     std::make_unique<FailingOps>(make_aten_ops("cpu", threads), 6, row.is_memory));
               }});
    CHECK(run(failing, never()) == row.exit);
    CHECK(progress(failing).back()["code"] == row.code);
    CHECK(progress(failing).back()["message"] == row.message);
    failing.device = aten_of_a_run();  // it goes on from the last good checkpoint
    CHECK(run(failing, never()) == TuneExit::done);
    CHECK(progress(failing).back()["resumed_from"].get<int>() > 0);
  }
}
namespace {
// Operators over memory of a size.
DevicePtr metered(const std::shared_ptr<MemoryMeter>& meter) {
  return std::make_shared<const Device>(Device{
      "aten-cpu", "a small device", "", 0,
      [meter](int threads) { return make_aten_ops("cpu", threads, memory_of("cpu", meter)); }});
}
std::vector<double> losses_of(const std::vector<nlohmann::json>& lines) {
  std::vector<double> out;  // of each step; the clock lets a line through for each
  for (const auto& line : lines) {
    const auto step = line["step"].get<std::size_t>();
    if (line["phase"] != "Training" || step == 0) continue;
    out.resize(std::max(out.size(), step));
    out[step - 1] = line["loss"].get<double>();
  }
  return out;
}
}  // namespace

TEST_CASE_FIXTURE(TuneBench, "too little memory: the plan goes down, the step is the same") {
  const auto job_on = [&](const std::string& name, const std::shared_ptr<MemoryMeter>& meter) {
    TuneJob j = job(name);
    j.method = Method::qlora;
    j.dropout = 0.1;
    j.save_steps = 1;
    j.held_out = j.rows;
    j.evaluation = {1, 0, false, true, false};  // whose lines are all written
    j.device = metered(meter);
    return j;
  };
  const auto roomy = std::make_shared<MemoryMeter>();
  const TuneJob whole = job_on("whole", roomy);
  REQUIRE(run(whole, never()) == TuneExit::done);
  const auto wanted = losses_of(progress(whole));
  REQUIRE(wanted.size() == 9);
  CHECK_FALSE(progress(whole).back().contains("memory"));

  SUBCASE("from the start; and gone on from with the bytes of an undisturbed run") {
    const auto small = std::make_shared<MemoryMeter>(roomy->peak() / 100 * 85);
    const TuneJob j = job_on("small", small);
    REQUIRE(run(j, never()) == TuneExit::done);
    CHECK(small->peak() <= roomy->peak() / 100 * 85);
    const auto losses = losses_of(progress(j));
    REQUIRE(losses.size() == 9);
    for (std::size_t i = 0; i < 9; ++i)
      CHECK(losses[i] == doctest::Approx(wanted[i]).epsilon(1e-5));
    const TuneJob parts = job_on("parts", small);
    REQUIRE(run(parts, after_looks(30)) == TuneExit::stopped);
    REQUIRE(run(parts, never()) == TuneExit::done);
    CHECK(progress(parts).back()["resumed_from"].get<int>() > 0);
    CHECK(adapter_bytes(parts) == adapter_bytes(j));
  }
  SUBCASE("on the way, in the midst of a step") {
    for (const int percent : {93, 86, 80}) {
      CAPTURE(percent);
      const auto meter = std::make_shared<MemoryMeter>();
      const TuneJob j = job_on("way-" + std::to_string(percent), meter);
      REQUIRE(run(j, [&, looks = 0]() mutable {
                if (++looks == 8) meter->set_limit(roomy->peak() * percent / 100);
                return false;
              }) == TuneExit::done);
      const auto losses = losses_of(progress(j));
      REQUIRE(losses.size() == 9);
      for (std::size_t i = 0; i < 9; ++i)
        CHECK(losses[i] == doctest::Approx(wanted[i]).epsilon(1e-5));
      const std::string memory = progress(j).back()["memory"];
      CAPTURE(memory);
      CHECK(
          memory.starts_with("too little memory: the device has too little memory: tried to "
                             "allocate "));
      CHECK(memory.find("; from now on ") != memory.npos);
      CHECK(memory.find(" instead of ") != memory.npos);
    }
  }
  SUBCASE("below the smallest plan: an end with figures, and the checkpoint stays") {
    const auto meter = std::make_shared<MemoryMeter>();
    const TuneJob j = job_on("end", meter);
    CHECK(run(j, [&, looks = 0]() mutable {
            if (++looks == 20) meter->set_limit(meter->now() / 2);
            return false;
          }) == TuneExit::permanent);
    const auto last = progress(j).back();
    CHECK(last["code"] == "out_of_memory");
    const std::string message = last["message"];
    CAPTURE(message);
    CHECK(message.find("tried to allocate ") != message.npos);
    CHECK(message.find("; the smallest plan is tried: peak ") != message.npos);
    CHECK(
        message.ends_with("; lower max_length or the batch, choose qlora, or take a device with "
                          "more memory"));
    meter->set_limit(0);
    CHECK(run(j, never()) == TuneExit::done);
    CHECK(progress(j).back()["resumed_from"].get<int>() > 0);
  }
}
namespace {
// Counts what a host waits for: values that it looks at, and small inputs that come when a batch's
// products are already queued.
struct Waits {
  int looks = 0, late = 0, products = 0;
};
class WaitingOps final : public ForwardOps {
 public:
  WaitingOps(std::unique_ptr<Ops> base, Waits& waits)
      : ForwardOps(std::move(base), {}), waits_(waits) {}
  void enter() override {
    waits_.products = 0;
    ForwardOps::enter();
  }
  const float* seen(const Mat& m) override {
    ++waits_.looks;
    return ForwardOps::seen(m);
  }
  const void* placed_bytes(const void* host, std::int64_t bytes) override {
    waits_.late += waits_.products > 0 ? 1 : 0;
    return ForwardOps::placed_bytes(host, bytes);
  }
  void gemm(const Mat& c, const Factor& a, const Factor& b, float alpha, float beta) override {
    ++waits_.products;
    ForwardOps::gemm(c, a, b, alpha, beta);
  }

 private:
  Waits& waits_;
};
}  // namespace

TEST_CASE_FIXTURE(TuneBench, "a step's host looks at its device once: for the loss") {
  Waits waits;
  EngineOptions o = engine_options(job("waits"));
  o.dropout = 0.1;
  o.as_before = {o.longest_row, 16, 1, {}, {}, {}, 1};
  o.device = std::make_shared<const Device>(
      Device{"aten-cpu", "counted", "", 0, [&](int threads) -> Result<std::unique_ptr<Ops>> {
               return std::unique_ptr<Ops>(
                   std::make_unique<WaitingOps>(make_aten_ops("cpu", threads), waits));
             }});
  const auto engine = Engine::load(o).value();
  REQUIRE(engine->plan().head_rows == 16);
  const auto all = job("waits").rows;
  waits = {};
  REQUIRE(engine->accumulate(all, 1, 0).ok());
  CHECK(waits.products > 0);
  CHECK(waits.looks == 1);
  CHECK(waits.late == 0);
  REQUIRE(engine->evaluate(all).ok());
  CHECK(waits.looks == 2);
  CHECK(waits.late == 0);
  engine->update({1e-3}, 1);  // the norm of the gradient is the device's own call
  CHECK(waits.looks == 2);
}

namespace {
// A device whose copies to the host are made as late as they may be.
class LateOps final : public ForwardOps {
 public:
  explicit LateOps(std::unique_ptr<Ops> base) : ForwardOps(std::move(base), {}) {}
  std::unique_ptr<Copying> copy_out(float* host, const Mat& m) override {
    return std::make_unique<Late>(*this, host, m);
  }

 private:
  struct Late final : Copying {
    Late(LateOps& of, float* to, const Mat& from) : ops(of), host(to), mat(from) {}
    void finish_first() override {
      if (!is_done) std::ranges::copy_n(ops.seen(mat), mat.rows * mat.cols, host);
      is_done = true;
    }
    void wait() override { finish_first(); }
    LateOps& ops;
    float* host;
    Mat mat;
    bool is_done = false;
  };
};
}  // namespace

TEST_CASE_FIXTURE(TuneBench, "a copy for a checkpoint is the state when it was asked for") {
  EngineOptions o = engine_options(job("late"));
  o.device = std::make_shared<const Device>(Device{
      "aten-cpu", "late", "", 0, [&](int threads) -> Result<std::unique_ptr<Ops>> {
        return std::unique_ptr<Ops>(std::make_unique<LateOps>(make_aten_ops("cpu", threads)));
      }});
  const auto engine = Engine::load(o).value();
  const auto all = job("late").rows;
  const auto step = [&](std::int64_t n) {
    REQUIRE(engine->accumulate(all, 1, n - 1).ok());
    engine->update({1e-2}, n);
  };
  const auto values = [](const CheckpointBuffers& s) {
    std::vector<float> out(s.parameters.begin(), s.parameters.end());
    out.insert(out.end(), s.first_moment.begin(), s.first_moment.end());
    out.insert(out.end(), s.second_moment.begin(), s.second_moment.end());
    return out;
  };
  step(1);
  const auto after_one = values(engine->state());
  const auto copy = engine->copy_state();
  step(2);
  CHECK(values(copy->wait()) == after_one);
  const auto after_two = values(engine->state());
  CHECK(after_two != after_one);
  const auto again = engine->copy_state();  // into the same memory
  const std::span<const float> one = after_one;
  const std::size_t n = one.size() / 3;
  REQUIRE(engine->restore({one.first(n), one.subspan(n, n), one.last(n), {}}).ok());
  CHECK(values(again->wait()) == after_two);
}
}  // namespace kairo::gpu
