// tests/gpu/engine/step_flops_test.cpp - counted by hand.
#include "gpu/plan/step_flops.h"

#include <doctest/doctest.h>

#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
TEST_CASE("step flops: each product of a layer, there and back") {
  const auto config = load_model_config(test::golden("tiny_llama")).value();
  const auto shape = [&](Group g) { return shape_of(config, g); };
  double base = 0;
  for (const Group g : all_groups) base += static_cast<double>(shape(g).out * shape(g).in);
  const auto layers = static_cast<double>(config.layers);
  const LoraLayout none =
      lay_out(config, 4, 1, [](std::int64_t, Module m) { return m == Module::down; });
  const auto out = static_cast<double>(shape(Group::down).out),
             in = static_cast<double>(shape(Group::down).in);
  // Base there and back 2 * 2; of down's adapter B's columns 2 * 2 and dB 2, x A^T 2, dx and dA 4.
  const double adapter = 4 * (6 * out + 6 * in);
  const StepFlops kept = step_flops(config, none, config.layers);
  CHECK(kept.per_token == doctest::Approx(layers * (4 * base + adapter)));
  CHECK(kept.per_target == 4.0 * static_cast<double>(config.vocab * config.hidden));
  const StepFlops again = step_flops(config, none, 0);
  CHECK(again.per_token - kept.per_token ==
        doctest::Approx(layers * (2 * base + 4 * (2 * out + 2 * in))));
}
}  // namespace kairo::gpu
