// tests/gpu/cuda/step_test.cpp - the end of a step on the device: loss, square sum, AdamW.
#include "gpu/kernels/adamw.h"
#include "gpu/kernels/cross_entropy.h"
#include "tests/gpu/cuda/desk.h"

namespace kairo::gpu::test {
namespace {
// What a masked loss asks for: the first and the last word, others between.
Indices targets_of(std::int64_t T, std::int64_t V) {
  Indices out;
  for (std::int64_t t = 0; t < T; ++t)
    out.push_back(static_cast<std::int32_t>(t == 0 ? 0 : t == 1 ? V - 1 : (t * 37) % V));
  return out;
}
}  // namespace

TEST_CASE("cuda: the loss of a row and its gradient in its place") {
  struct Case {
    std::int64_t T, V, ld;
    float cap, scale;
  };
  const Case cases[] = {{1, 1, 1, 0, 1},         {3, 2, 2, 0, 0.25f},   {3, 255, 257, 0, 1},
                        {2, 511, 511, 30, 0.5f}, {3, 513, 520, 0, 1},   {2, 2047, 2047, 0, 1},
                        {2, 2049, 2056, 30, 2},  {2, 4100, 4100, 0, 1}, {3, 49152, 49152, 0, 0.25f},
                        {2, 2050, 2051, 0, 0}};
  in_each_order([&] {
    for (const Case& c : cases)
      for (const std::int32_t type : {kairo_f32, kairo_bf16}) {
        CAPTURE(c.V);
        CAPTURE(type);
        Desk d;
        const Indices targets = targets_of(c.T, c.V);
        const Values given = values(c.T * c.V, 11, 12);
        Values logits = given, loss(static_cast<std::size_t>(c.T));
        cross_entropy_cpu(logits.data(), loss.data(), targets.data(), c.T, c.V, c.scale, c.cap);
        const KairoMat dev = d.put({c.T, c.V, c.ld}, given), dev_loss = d.room({c.T, 1, 1});
        REQUIRE(plugin().cross_entropy(dev, dev_loss, d.put(targets), c.scale, type, c.cap,
                                       nullptr) == 0);
        CHECK(apart(d.get(dev_loss), loss) < 2e-6);
        if (type == kairo_f32) CHECK(apart(d.get(dev), logits) < 1e-6);
        const KairoMat narrow = {dev.data, kairo_bf16, c.T, c.V, 2 * c.ld};
        if (type == kairo_bf16 && c.scale != 0)
          CHECK(apart(d.get(narrow), rounded(logits)) < 1.0 / 512);
        if (type == kairo_bf16 && c.scale == 0) CHECK(is_same(d.get(dev), given));
        CHECK(d.is_around_kept());
      }
  });
}

TEST_CASE("cuda: small gradients keep their size in bf16") {
  Desk d;  // two words: of the other's gradient, relative to itself
  const KairoMat logits = d.put({1, 2, 2}, {0, 9}), loss = d.room({1, 1, 1});
  REQUIRE(plugin().cross_entropy(logits, loss, d.put(Indices{1}), 1, kairo_bf16, 0, nullptr) == 0);
  const Values got = d.get({logits.data, kairo_bf16, 1, 2, 4});
  CHECK(got[0] == doctest::Approx(1.2339458e-4).epsilon(0.004));
  CHECK(d.get(loss)[0] == doctest::Approx(1.2340218e-4).epsilon(1e-3));
}

TEST_CASE("cuda: square sums do not depend on the order of work") {
  Values sums;
  in_each_order([&] {
    for (const std::int64_t n : {1, 31, 255, 4095, 4097, 70'001, 5'000'011}) {
      if (n > 1'000'000 && plugin().seed != nullptr && !sums.empty()) continue;  // once
      CAPTURE(n);
      Desk d;
      const Values g = values(n, 3);
      auto* sum = static_cast<double*>(d.room_of(8));
      auto* scratch = static_cast<double*>(d.room_of(kairo_square_sum_scratch * 8));
      REQUIRE(plugin().square_sum(sum, scratch, d.put({1, n, n}, g), nullptr) == 0);
      double got = 0;
      REQUIRE(plugin().memcpy(&got, sum, 8, 2) == 0);
      CHECK(std::sqrt(got) == doctest::Approx(norm_cpu(g.data(), n)).epsilon(1e-12));
      if (n == 70'001) sums.push_back(static_cast<float>(got));
    }
  });
  for (const float sum : sums) CHECK(sum == sums[0]);
}

TEST_CASE("cuda: AdamW") {
  in_each_order([&] {
    for (const std::int64_t n : {1, 31, 257, 4097}) {
      CAPTURE(n);
      Desk d;
      Values p = values(n, 1), m = values(n, 3, 0.1f), v = values(n, 4, 0.1f);
      const Values g = values(n, 2);
      for (float& x : v) x = x * x;
      const KairoMat dev_p = d.put({1, n, n}, p), dev_m = d.put({1, n, n}, m);
      const KairoMat dev_v = d.put({1, n, n}, v), dev_g = d.put({1, n, n}, g);
      for (std::int64_t step = 1; step < 4; ++step) {
        adamw_cpu(p.data(), g.data(), m.data(), v.data(), n,
                  {1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, step, 0.5f});
        const KairoAdamwStep dev = {1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, 0.5f, step};
        REQUIRE(plugin().adamw(dev_p, dev_g, dev_m, dev_v, &dev, nullptr) == 0);
      }
      CHECK(apart(d.get(dev_p), p) < 1e-6);
      CHECK(apart(d.get(dev_m), m) < 1e-6);
      CHECK(apart(d.get(dev_v), v) < 1e-6);
    }
  });
}
}  // namespace kairo::gpu::test
