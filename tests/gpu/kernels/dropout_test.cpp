// tests/gpu/kernels/dropout_test.cpp - the share that stays, the mean, masks that do not depend on
// each other, and a gradient that passes where the value passed.
#include "gpu/kernels/dropout.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace kairo::gpu {
namespace {
constexpr std::int64_t T = 400, C = 500;

std::vector<std::uint64_t> keys_of(const DropoutStep& step) {
  std::vector<std::uint64_t> keys;
  for (std::int64_t t = 0; t < T; ++t) keys.push_back(dropout_token_key(step, t / 100, t % 100));
  return keys;
}
std::vector<float> mask_of(const DropoutStep& step, std::int64_t module, double p) {
  const auto keys = keys_of(step);
  const std::vector<float> ones(static_cast<std::size_t>(T * C), 1.0f);
  std::vector<float> out(ones.size(), -1.0f);
  dropout_cpu(out.data(), C, ones.data(), C, {keys.data(), module, p}, T, C);
  return out;
}
// Correlation of what stays in two masks.
double correlation(const std::vector<float>& a, const std::vector<float>& b) {
  double n = static_cast<double>(a.size()), x = 0, y = 0, xy = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    x += a[i] != 0;
    y += b[i] != 0;
    xy += a[i] != 0 && b[i] != 0;
  }
  return (xy / n - x / n * y / n) / std::sqrt(x / n * (1 - x / n) * y / n * (1 - y / n));
}
}  // namespace

TEST_CASE("dropout: the share that stays, and the mean") {
  for (const double p : {0.05, 0.1, 0.5, 0.9}) {
    CAPTURE(p);
    const auto mask = mask_of({7, 3}, 0, p);
    double kept = 0, sum = 0;
    for (const float v : mask) {
      kept += v != 0;
      sum += static_cast<double>(v);
      CHECK((v == 0 || v == static_cast<float>(1 / (1 - p))));
    }
    const auto n = static_cast<double>(T * C);
    const double deviation = std::sqrt(p * (1 - p) / n);  // of the share; five of them
    CHECK(std::abs(kept / n - (1 - p)) < 5 * deviation);
    CHECK(std::abs(sum / n - 1) < 5 * deviation / (1 - p));
    // Each feature's own share, and each token's.
    for (std::int64_t c = 0; c < C; ++c) {
      double share = 0;
      for (std::int64_t t = 0; t < T; ++t) share += mask[static_cast<std::size_t>(t * C + c)] != 0;
      CHECK(std::abs(share / T - (1 - p)) < 5.5 * std::sqrt(p * (1 - p) / T));
    }
  }
}

TEST_CASE("dropout: modules, steps, seeds, tokens and neighbours have masks of their own") {
  const auto mask = mask_of({7, 3}, 0, 0.5);
  const double limit = 5 / std::sqrt(static_cast<double>(T * C));
  CHECK(std::abs(correlation(mask, mask_of({7, 3}, 1, 0.5))) < limit);
  CHECK(std::abs(correlation(mask, mask_of({7, 4}, 0, 0.5))) < limit);
  CHECK(std::abs(correlation(mask, mask_of({8, 3}, 0, 0.5))) < limit);
  for (const std::int64_t shift : {std::int64_t{1}, std::int64_t{2}, C, C + 1, 100 * C}) {
    const auto cut = static_cast<std::ptrdiff_t>(shift);
    const std::vector<float> a(mask.begin(), mask.end() - cut), b(mask.begin() + cut, mask.end());
    CHECK(std::abs(correlation(a, b)) < 5 / std::sqrt(static_cast<double>(a.size())));
  }
  CHECK(mask == mask_of({7, 3}, 0, 0.5));
}

TEST_CASE("dropout: strides, the definition, and the gradient") {
  const DropoutStep step{42, 5};
  const auto keys = keys_of(step);
  const DropoutMask mask{keys.data(), 11, 0.25};
  std::vector<float> x(3 * 20), out(3 * 24, -7.0f), sum(3 * 22, 0.5f);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  dropout_cpu(out.data(), 24, x.data(), 20, mask, 3, 17);
  dropout_add_cpu(sum.data(), 22, x.data(), 20, mask, 3, 17);
  const float scale = static_cast<float>(1 / 0.75);
  for (std::int64_t t = 0; t < 3; ++t) {
    for (std::int64_t i = 0; i < 17; ++i) {
      const bool stays = dropout_keeps(mask, keys[static_cast<std::size_t>(t)], i);
      const float wanted = stays ? x[static_cast<std::size_t>(t * 20 + i)] * scale : 0.0f;
      CHECK(out[static_cast<std::size_t>(t * 24 + i)] == wanted);
      CHECK(sum[static_cast<std::size_t>(t * 22 + i)] == doctest::Approx(0.5f + wanted));
    }
    CHECK(out[static_cast<std::size_t>(t * 24 + 17)] == -7.0f);
    CHECK(sum[static_cast<std::size_t>(t * 22 + 17)] == 0.5f);
  }
  // A literal, so that no compiler or machine moves the masks of a run that is resumed there.
  CHECK(dropout_token_key(step, 1, 2) == 13790075081448215207u);
}
}  // namespace kairo::gpu
