// tests/gpu/cuda/norm_test.cpp - norms on the device against the CPU's kernels.
#include "gpu/kernels/rmsnorm.h"
#include "tests/gpu/cuda/desk.h"

namespace kairo::gpu::test {
namespace {
struct Groups {
  std::int64_t rows, groups, each, beside;
};
// A warp's and a block's share of the work, and what comes just before and after.
const Groups group_shapes[] = {{1, 1, 1, 0},    {3, 2, 31, 3},  {9, 3, 64, 0},  {2, 1, 257, 7},
                               {5, 1, 511, 1},  {2, 1, 512, 0}, {2, 1, 513, 3}, {3, 2, 1023, 2},
                               {1, 1, 4096, 0}, {17, 1, 33, 0}};
constexpr float eps = 1e-5f;
}  // namespace

TEST_CASE("cuda: root mean square norms and their gradients") {
  in_each_order([&] {
    for (const Groups& g : group_shapes)
      for (const std::int32_t type : {kairo_f32, kairo_bf16}) {
        CAPTURE(g.each);
        CAPTURE(type);
        Desk d;
        const NormShape shape = {g.rows, g.each, g.groups};
        const std::int64_t cols = g.groups * g.each, n = g.rows * cols;
        const Shape s = {g.rows, cols, cols + g.beside};
        const Values x = values(n, 1, 3), weight = values(g.each, 2), dout = values(n, 3);
        Values out(static_cast<std::size_t>(n)),
            inverse(static_cast<std::size_t>(g.rows * g.groups));
        rmsnorm_cpu(out.data(), cols, inverse.data(), x.data(), cols, weight.data(), shape, eps);

        Shape narrow = s;
        narrow.type = type;
        const KairoMat dev_x = d.put(s, x), dev_out = d.room(narrow);
        const KairoMat dev_weight = d.put({1, g.each, g.each}, weight);
        const KairoMat dev_inverse = d.room({g.rows, g.groups, g.groups});
        REQUIRE(plugin().norm(dev_out, dev_inverse, dev_x, dev_weight, eps, nullptr) == 0);
        CHECK(apart(d.get(dev_inverse), inverse) < of_sums);
        CHECK(apart(d.get(dev_out), rounded_as(out, type)) < allowed(type));

        // Added to what is there, written, and written over dout.
        Values sum = values(n, 4), alone(static_cast<std::size_t>(n));
        const KairoMat dev_dout = d.put(s, dout), dev_sum = d.put(s, sum), dev_alone = d.room(s);
        rmsnorm_backward_cpu(sum.data(), cols, dout.data(), cols, x.data(), cols, inverse.data(),
                             weight.data(), shape, true);
        rmsnorm_backward_cpu(alone.data(), cols, dout.data(), cols, x.data(), cols, inverse.data(),
                             weight.data(), shape, false);
        const auto backward = plugin().norm_backward;
        REQUIRE(backward(dev_sum, dev_dout, dev_x, dev_inverse, dev_weight, 1, nullptr) == 0);
        CHECK(apart(d.get(dev_sum), sum) < of_sums);
        REQUIRE(backward(dev_alone, dev_dout, dev_x, dev_inverse, dev_weight, 0, nullptr) == 0);
        CHECK(apart(d.get(dev_alone), alone) < of_sums);
        REQUIRE(backward(dev_dout, dev_dout, dev_x, dev_inverse, dev_weight, 0, nullptr) == 0);
        CHECK(is_same(d.get(dev_dout), d.get(dev_alone)));
        CHECK(d.is_around_kept());
      }
  });
}

TEST_CASE("cuda: norms of shapes that do not fit are refused, and nothing is written") {
  Desk d;
  const KairoMat x = d.room({2, 6, 6}), inverse = d.room({2, 1, 1}), weight = d.room({1, 4, 4});
  CHECK(plugin().norm(x, inverse, x, weight, eps, nullptr) == kairo_cuda_unfit);
  CHECK(plugin().error_text(kairo_cuda_unfit) ==
        std::string("these kernels do not take such shapes or types"));
  CHECK(plugin().abi() == kairo_cuda_abi_now);
}
}  // namespace kairo::gpu::test
