// tests/gpu/cuda/layer_test.cpp - layer norms and gates on the device against the CPU's kernels.
#include "gpu/kernels/gelu.h"
#include "gpu/kernels/layernorm.h"
#include "gpu/kernels/swiglu.h"
#include "tests/gpu/cuda/desk.h"

namespace kairo::gpu::test {
namespace {
struct Gate {
  std::int32_t how;
  std::int64_t halves;
  decltype(&swiglu_cpu) forward;
  decltype(&swiglu_backward_cpu) backward;
};
const Gate gates[] = {{kairo_swiglu, 2, swiglu_cpu, swiglu_backward_cpu},
                      {kairo_geglu, 2, geglu_cpu, geglu_backward_cpu},
                      {kairo_gelu, 1, gelu_cpu, gelu_backward_cpu}};
}  // namespace

TEST_CASE("cuda: layer norms and their gradients") {
  in_each_order([&] {
    for (const Shape& s : awkward_shapes())
      for (const std::int32_t type : both) {
        if (s.cols == 1) continue;  // its deviation is nothing but rounding
        CAPTURE(s.cols);
        CAPTURE(type);
        Desk d;
        const std::int64_t T = s.rows, C = s.cols;
        const Values x = values(T * C, 1, 3), weight = values(C, 2), bias = values(C, 3);
        const Values dout = values(T * C, 4);
        Values out(x.size()), inverse(static_cast<std::size_t>(T)), dx = values(T * C, 5);
        const KairoMat dev_x = d.put(s, x), dev_dx = d.put(s, dx), dev_dout = d.put(s, dout);
        const KairoMat dev_out = d.room({T, C, s.ld, type}), dev_inverse = d.room({T, 1, 1});
        const KairoMat dev_weight = d.put({1, C, C}, weight), dev_bias = d.put({1, C, C}, bias);
        layernorm_cpu(out.data(), C, inverse.data(), x.data(), weight.data(), bias.data(), T, C,
                      1e-5f);
        REQUIRE(plugin().layer_norm(dev_out, dev_inverse, dev_x, dev_weight, dev_bias, 1e-5f,
                                    nullptr) == 0);
        CHECK(apart(d.get(dev_inverse), inverse) < of_sums);
        CHECK(apart(d.get(dev_out), rounded_as(out, type)) < allowed(type));
        layernorm_backward_cpu(dx.data(), dout.data(), C, x.data(), inverse.data(), weight.data(),
                               T, C);
        REQUIRE(plugin().layer_norm_backward(dev_dx, dev_dout, dev_x, dev_inverse, dev_weight,
                                             nullptr) == 0);
        CHECK(apart(d.get(dev_dx), dx) < of_sums);
        CHECK(d.is_around_kept());
      }
  });
}

TEST_CASE("cuda: gates and their gradients") {
  in_each_order([&] {
    for (const Gate& g : gates)
      for (const Shape& s : awkward_shapes())
        for (const std::int32_t type : both) {
          CAPTURE(g.how);
          CAPTURE(s.cols);
          CAPTURE(type);
          Desk d;
          const std::int64_t T = s.rows, C = s.cols, wide = g.halves * C;
          const Values given = values(T * wide, 1, 4), dout = values(T * C, 2);
          const Values kept = rounded_as(given, type);
          Values out(static_cast<std::size_t>(T * C)), gradient = kept;
          g.forward(out.data(), C, kept.data(), T, C);
          g.backward(gradient.data(), dout.data(), C, T, C);

          const Shape inner = {T, wide, wide + 2, type};
          const KairoMat dev_out = d.room({T, C, s.ld, type}), gate_up = d.room(inner);
          const KairoMat from = d.put({T, wide, wide + 1}, given), dev_dout = d.put(s, dout);
          // Taken over from sums in fp32, then where the values are already.
          for (const KairoMat& source : {from, gate_up}) {
            REQUIRE(plugin().gate(dev_out, gate_up, source, g.how, nullptr) == 0);
            CHECK(apart(d.get(dev_out), rounded_as(out, type)) < allowed(type, 1e-6));
            CHECK(is_same(d.get(gate_up), kept));
          }
          REQUIRE(plugin().gate_backward(gate_up, dev_dout, g.how, nullptr) == 0);
          CHECK(apart(d.get(gate_up), rounded_as(gradient, type)) < allowed(type, 2e-6));
          CHECK(d.is_around_kept());
        }
  });
}
}  // namespace kairo::gpu::test
