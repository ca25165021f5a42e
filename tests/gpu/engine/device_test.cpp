// tests/gpu/engine/device_test.cpp - a run on another device than the CPU: the same losses, what it
// is in each progress line, interrupted with the bytes of an undisturbed one; and never gone on
// from on the CPU.
#include "gpu/engine/device.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "gpu/aten/aten_ops.h"
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
}  // namespace kairo::gpu
