// tests/gpu/kernels/step_kernels_test.cpp - cross entropy, AdamW and the norm
// equal their formulas in double precision at awkward sizes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "gpu/kernels/adamw.h"
#include "gpu/kernels/cross_entropy.h"
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
}  // namespace kairo::gpu
