// tests/gpu/kernels/step_kernels_test.cpp - cross entropy, AdamW, the norm and the skinny product
// equal their formulas in double precision at awkward sizes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "gpu/kernels/adamw.h"
#include "gpu/kernels/cross_entropy.h"
#include "gpu/kernels/skinny_matmul.h"
#include "tests/gpu/kernels/reference.h"

namespace kairo::gpu {
namespace {
using test::at;
using test::error_of;
using test::values;
}  // namespace

TEST_CASE("cross entropy: loss and gradient, one token to several blocks, huge logits") {
  for (const auto& [T, V] : {std::pair{1, 1}, {2, 5}, {3, 1024}, {2, 1025}, {1, 49152}}) {
    CAPTURE(T);
    CAPTURE(V);
    auto logits = values(T * V, 9, 30.0f);
    logits[0] += 1000.0f;
    std::vector<std::int32_t> target;
    for (int t = 0; t < T; ++t) target.push_back((t * 7919) % V);
    std::vector<double> want_loss, want;
    for (std::int64_t t = 0; t < T; ++t) {
      double max = -1e300, sum = 0;
      for (std::int64_t v = 0; v < V; ++v) max = std::max(max, at(logits, t * V + v));
      for (std::int64_t v = 0; v < V; ++v) sum += std::exp(at(logits, t * V + v) - max);
      const std::int64_t aim = target[static_cast<std::size_t>(t)];
      want_loss.push_back(std::log(sum) + max - at(logits, t * V + aim));
      for (std::int64_t v = 0; v < V; ++v)
        want.push_back(0.25 *
                       (std::exp(at(logits, t * V + v) - max) / sum - (v == aim ? 1.0 : 0.0)));
    }
    std::vector<float> loss(static_cast<std::size_t>(T));
    cross_entropy_cpu(logits.data(), loss.data(), target.data(), T, V, 0.25f);
    CHECK(error_of(loss, want_loss) < 1e-6);
    CHECK(error_of(logits, want) < 1e-6);
  }
}

TEST_CASE("AdamW follows torch's formula over several steps, decay and clipping included") {
  const std::int64_t n = 37;
  auto p = values(n, 10);
  std::vector<float> m(37, 0.0f), v(37, 0.0f);
  std::vector<double> P(p.begin(), p.end()), M(37, 0.0), V(37, 0.0);
  for (int step = 1; step <= 5; ++step) {
    const auto g = values(n, static_cast<std::uint32_t>(20 + step), 3.0f);
    adamw_cpu(p.data(), g.data(), m.data(), v.data(), n,
              {1e-2f, 0.9f, 0.999f, 1e-8f, 0.1f, step, 0.5f});
    for (std::size_t i = 0; i < P.size(); ++i) {
      const double grad = 0.5 * static_cast<double>(g[i]);
      P[i] *= 1 - 1e-2 * 0.1;
      M[i] = 0.9 * M[i] + 0.1 * grad;
      V[i] = 0.999 * V[i] + 0.001 * grad * grad;
      P[i] -= 1e-2 * (M[i] / (1 - std::pow(0.9, step))) /
              (std::sqrt(V[i] / (1 - std::pow(0.999, step))) + 1e-8);
    }
  }
  CHECK(error_of(p, P) < 2e-6);
  CHECK(error_of(m, M) < 2e-6);
  CHECK(error_of(v, V) < 2e-6);
  CHECK(norm_cpu(p.data(), 0) == 0.0);
  const std::vector<float> threes(40000, 3.0f);
  CHECK(norm_cpu(threes.data(), 40000) == doctest::Approx(600.0).epsilon(1e-12));
}

TEST_CASE("skinny product: every count of rows and columns around its tiles") {
  for (const std::int64_t T : {1, 2, 3, 4, 5, 6, 7, 8, 9})
    for (const std::int64_t out : {1, 3, 4, 5, 11, 12, 13, 29}) {
      CAPTURE(T);
      CAPTURE(out);
      const std::int64_t in = 67, ld_x = in + 2, ld_w = in + 1, ld_y = out + 3;
      const auto x = values(T * ld_x, 11), w = values(out * ld_w, 12);
      std::vector<float> y(static_cast<std::size_t>(T * ld_y), -5.0f);
      skinny_matmul_cpu(y.data(), x.data(), w.data(), {T, out, in, ld_x, ld_w, ld_y});
      std::vector<double> want;
      for (std::int64_t t = 0; t < T; ++t)
        for (std::int64_t o = 0; o < ld_y; ++o) {
          double sum = o < out ? 0 : -5;
          for (std::int64_t i = 0; o < out && i < in; ++i)
            sum += at(x, t * ld_x + i) * at(w, o * ld_w + i);
          want.push_back(sum);
        }
      REQUIRE(error_of(y, want) < 2e-6);
    }
}

TEST_CASE("skinny product: a row's result does not depend on its neighbours, bit for bit") {
  constexpr std::int64_t T = 7, out = 29, in = 67;
  const auto x = values(T * in, 13), w = values(out * in, 14);
  std::vector<float> together(T * out), alone(T * out);
  skinny_matmul_cpu(together.data(), x.data(), w.data(), {T, out, in, in, in, out});
  for (std::int64_t t = 0; t < T; ++t)
    skinny_matmul_cpu(alone.data() + t * out, x.data() + t * in, w.data(),
                      {1, out, in, in, in, out});
  CHECK(together == alone);
}
}  // namespace kairo::gpu
