// tests/gpu/engine/self_test_test.cpp - a device that computes something else is found by call and
// shape; a kernel of its own is given up, and the run goes on with the device below.
#include "gpu/engine/self_test.h"

#include <doctest/doctest.h>

#include <limits>

#include "gpu/aten/aten_ops.h"
#include "gpu/kernels/cached_attention.h"
#include "gpu/plan/attention_rows.h"

namespace kairo::gpu {
namespace {
// A device with some wrong kernels, each as kernels go wrong.
class WrongOps final : public ForwardOps {
 public:
  WrongOps(std::unique_ptr<Ops> base, std::initializer_list<Call> own)
      : ForwardOps(std::move(base), own) {}
  void norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
            float eps) override {
    ForwardOps::norm(out, inverse, x, weight, is_own(Call::norm) ? 0 : eps);  // forgets eps
  }
  void gather(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    ForwardOps::gather(to, from, rows);
    if (is_own(Call::gather) && to.cols > 31)  // the last column is another block's
      zero(to.columns_at(to.cols - 1, 1));
  }
  void gate_backward(const Mat& gate_up, const Mat& dout, Activation how) override {
    const bool is_wrong = is_own(Call::gate_backward) && how == Activation::geglu;
    ForwardOps::gate_backward(gate_up, dout, is_wrong ? Activation::swiglu : how);
  }
  void add(const Mat& to, const Mat& from, float scale) override {
    ForwardOps::add(to, from, scale);
    if (is_own(Call::add)) zero(to.columns_at(to.cols, 1));  // writes beside its view
  }
  double length(const Mat& flat) override {
    if (!is_own(Call::length)) return ForwardOps::length(flat);
    return std::numeric_limits<double>::quiet_NaN();
  }
};
std::unique_ptr<Ops> cpu() {
  return make_cpu_ops(2,
                      std::max(scores_to_train_bf16(130, 24), cached_attention_scratch(130, 24)));
}
}  // namespace

TEST_CASE("self-test: devices that are right agree in each trial") {
  for (const bool is_aten : {false, true}) {
    const auto device = is_aten ? make_aten_ops("cpu", 2) : cpu();
    const auto result = self_test(*device);
    REQUIRE_MESSAGE(result.ok(), result.error().what);
    CHECK(result.value().given_up.empty());
    CHECK(result.value().text() ==
          "self-test: " + std::to_string(result.value().trials) + " trials against the CPU agree");
    CHECK(result.value().trials > 100);
  }
}

TEST_CASE("self-test: each call is tried") {
  std::bitset<call_names.size()> tried;
  // Who owns a call that it does not override forwards it: nothing is given up, all is counted.
  class Counted final : public ForwardOps {
   public:
    using ForwardOps::ForwardOps;
  };
  Counted device(cpu(), {});
  const auto result = self_test(device, &device);
  REQUIRE(result.ok());
  for (const Call call : result.value().tried) tried.set(static_cast<std::size_t>(call));
  for (std::size_t i = 0; i < call_names.size(); ++i) {
    CAPTURE(call_names[i]);
    CHECK(tried.test(i));
  }
}

TEST_CASE("self-test: a wrong kernel is named and given up, or stops the run") {
  struct Row {
    Call call;
    const char *shape, *off;
  };
  for (const Row& row : {Row{Call::norm, "5 x 1, fp32", ""},
                         {Call::gather, "5 x 577", ""},
                         {Call::gate_backward, "5 x 1, fp32", ""},
                         {Call::add, "5 x 1", ""},
                         {Call::length, "5 x 1, fp32", "inf of the largest value"}}) {
    CAPTURE(name_of(row.call));
    WrongOps wrong(cpu(), {row.call});
    const auto kept = self_test(wrong, &wrong);
    REQUIRE_MESSAGE(kept.ok(), kept.error().what);
    REQUIRE(kept.value().given_up.size() == 1);
    CHECK(kept.value().given_up[0].call == row.call);
    CHECK(kept.value().given_up[0].shape == row.shape);
    CHECK_FALSE(wrong.is_own(row.call));
    CHECK(kept.value().text().find("; " + std::string(name_of(row.call)) + " (" + row.shape +
                                   ") is off by " + row.off) != std::string::npos);
    CHECK(kept.value().text().ends_with(": libtorch computes it instead"));

    WrongOps bad(cpu(), {row.call});  // as the device itself: there is nobody else
    const auto stopped = self_test(bad);
    REQUIRE_FALSE(stopped.ok());
    CHECK(stopped.error().what.starts_with(
        "the device does not compute what the CPU does: " + std::string(name_of(row.call)) + " (" +
        row.shape + ") is off by "));
  }
}
}  // namespace kairo::gpu
