// tests/gpu/kernels/layer_kernels_test.cpp - norms, rotation, gate and softmax equal their formulas
// in double precision, and their gradients equal finite differences, at awkward sizes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "gpu/kernels/exp.h"
#include "gpu/kernels/rmsnorm.h"
#include "gpu/kernels/rope.h"
#include "gpu/kernels/softmax.h"
#include "gpu/kernels/swiglu.h"
#include "tests/gpu/kernels/reference.h"

namespace kairo::gpu {
namespace {
using test::at;
using test::error_of;
using test::slopes;
using test::values;
using Doubles = std::vector<double>;
constexpr double tolerance = 2e-6;        // a few fp32 roundings
constexpr double slope_tolerance = 1e-5;  // plus the error of the differences

// sum(dout * rmsnorm(x)) in double: its slope is dx.
double norm_objective(const Doubles& x, const std::vector<float>& w, const std::vector<float>& g,
                      std::int64_t T, std::int64_t C) {
  double total = 0;
  for (std::int64_t t = 0; t < T; ++t) {
    double sum = 0;
    for (std::int64_t c = 0; c < C; ++c) {
      const double v = x[static_cast<std::size_t>(t * C + c)];
      sum += v * v;
    }
    const double scale = 1 / std::sqrt(sum / static_cast<double>(C) + 1e-5);
    for (std::int64_t c = 0; c < C; ++c)
      total += x[static_cast<std::size_t>(t * C + c)] * scale * at(w, c) * at(g, t * C + c);
  }
  return total;
}
double gate_objective(const Doubles& gate_up, const std::vector<float>& g, std::int64_t T,
                      std::int64_t C) {
  double total = 0;
  for (std::int64_t t = 0; t < T; ++t)
    for (std::int64_t c = 0; c < C; ++c) {
      const double x = gate_up[static_cast<std::size_t>(t * 2 * C + c)];
      const double up = gate_up[static_cast<std::size_t>(t * 2 * C + C + c)];
      total += x / (1 + std::exp(-x)) * up * at(g, t * C + c);
    }
  return total;
}
Doubles softmax_row(const Doubles& scores, std::int64_t seen, double scale) {
  Doubles out(scores.size(), 0.0);
  double sum = 0;
  for (std::int64_t k = 0; k < seen; ++k) {
    const auto i = static_cast<std::size_t>(k);
    out[i] = std::exp(scale * scores[i]);
    sum += out[i];
  }
  for (auto& v : out) v /= sum;
  return out;
}
}  // namespace

TEST_CASE("exp: relative error below 2e-7 over its range, clamped outside") {
  double worst = 0;
  for (double x = -87; x <= 88; x += 0.0137) {
    const double want = std::exp(static_cast<double>(static_cast<float>(x)));
    worst =
        std::max(worst, std::fabs(static_cast<double>(exp_f32(static_cast<float>(x))) / want - 1));
  }
  CHECK(worst < 2e-7);
  CHECK(exp_f32(0.0f) == 1.0f);
  CHECK(exp_f32(-1e30f) < 2e-38f);
  CHECK(std::isfinite(exp_f32(1e30f)));
  CHECK(std::isnan(exp_f32(NAN)));
}

TEST_CASE("rmsnorm: value, stride and gradient") {
  for (const auto& [T, C] : {std::pair{1, 1}, {1, 7}, {3, 64}, {2, 65}, {5, 33}}) {
    CAPTURE(T);
    CAPTURE(C);
    const std::int64_t ld = C + 3;
    const auto x = values(T * C, 1, 2.0f), w = values(C, 2), g = values(T * C, 3);
    std::vector<float> out(static_cast<std::size_t>(T * ld), -9.0f),
        inverse(static_cast<std::size_t>(T));
    rmsnorm_cpu(out.data(), ld, inverse.data(), x.data(), C, w.data(), {T, C}, 1e-5f);
    std::vector<float> dense;
    Doubles want;
    for (std::int64_t t = 0; t < T; ++t)
      for (std::int64_t c = 0; c < ld; ++c) {
        if (c >= C) {
          CHECK(at(out, t * ld + c) == -9.0);
          continue;
        }
        std::vector<float> one(static_cast<std::size_t>(T * C), 0.0f);
        one[static_cast<std::size_t>(t * C + c)] = 1.0f;
        dense.push_back(out[static_cast<std::size_t>(t * ld + c)]);
        want.push_back(norm_objective(Doubles(x.begin(), x.end()), w, one, T, C));
      }
    CHECK(error_of(dense, want) < tolerance);
    std::vector<float> dx(static_cast<std::size_t>(T * C), 0.5f);  // the gradient is added
    rmsnorm_backward_cpu(dx.data(), C, g.data(), C, x.data(), C, inverse.data(), w.data(), {T, C},
                         true);
    auto slope = slopes(x, [&](const Doubles& p) { return norm_objective(p, w, g, T, C); });
    for (auto& s : slope) s += 0.5;
    CHECK(error_of(dx, slope) < slope_tolerance);
  }
}

TEST_CASE("swiglu: value, stride and gradient, far into both tails") {
  for (const auto& [T, C] : {std::pair{1, 1}, {2, 17}, {3, 64}}) {
    CAPTURE(T);
    CAPTURE(C);
    const std::int64_t ld = C + 5;
    auto gate_up = values(T * 2 * C, 4, 6.0f);
    gate_up[0] = -90.0f;
    const auto g = values(T * C, 5);
    std::vector<float> out(static_cast<std::size_t>(T * ld)), dense;
    swiglu_cpu(out.data(), ld, gate_up.data(), T, C);
    Doubles want;
    for (std::int64_t t = 0; t < T; ++t)
      for (std::int64_t c = 0; c < C; ++c) {
        const double x = at(gate_up, t * 2 * C + c);
        dense.push_back(out[static_cast<std::size_t>(t * ld + c)]);
        want.push_back(x / (1 + std::exp(-x)) * at(gate_up, t * 2 * C + C + c));
      }
    CHECK(error_of(dense, want) < tolerance);
    const auto slope =
        slopes(gate_up, [&](const Doubles& p) { return gate_objective(p, g, T, C); });
    swiglu_backward_cpu(gate_up.data(), g.data(), C, T, C);
    CHECK(error_of(gate_up, slope) < slope_tolerance);
  }
}

TEST_CASE("rope: halves rotate by their position; the inverse undoes it; other columns stay") {
  const std::int64_t T = 3, heads = 2, dim = 6, ld = heads * dim + 4;
  std::vector<float> cosine, sine;
  for (int p = 0; p < 5; ++p)
    for (int i = 0; i < dim / 2; ++i) {
      cosine.push_back(std::cos(static_cast<float>(p) * 0.3f * static_cast<float>(i + 1)));
      sine.push_back(std::sin(static_cast<float>(p) * 0.3f * static_cast<float>(i + 1)));
    }
  const std::vector<std::int32_t> position = {0, 4, 1};
  const auto x = values(T * ld, 6);
  auto y = x;
  rope_cpu(y.data(), cosine.data(), sine.data(), position.data(), {T, heads, dim, ld, dim}, false);
  for (std::int64_t t = 0; t < T; ++t)
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t i = 0; i < dim / 2; ++i) {
        const std::int64_t a = t * ld + h * dim + i, b = a + dim / 2;
        const double angle =
            position[static_cast<std::size_t>(t)] * 0.3 * static_cast<double>(i + 1);
        CHECK(
            at(y, a) ==
            doctest::Approx(at(x, a) * std::cos(angle) - at(x, b) * std::sin(angle)).epsilon(1e-5));
        CHECK(
            at(y, b) ==
            doctest::Approx(at(x, b) * std::cos(angle) + at(x, a) * std::sin(angle)).epsilon(1e-5));
      }
  for (std::int64_t t = 0; t < T; ++t)
    for (std::int64_t c = heads * dim; c < ld; ++c) CHECK(at(y, t * ld + c) == at(x, t * ld + c));
  rope_cpu(y.data(), cosine.data(), sine.data(), position.data(), {T, heads, dim, ld, dim}, true);
  CHECK(error_of(y, Doubles(x.begin(), x.end())) < tolerance);
}

TEST_CASE("causal softmax: only the past, normalised, stable; gradient") {
  for (const auto& [rows, first] : {std::pair{1, 0}, {1, 9}, {5, 0}, {4, 13}}) {
    CAPTURE(rows);
    CAPTURE(first);
    const std::int64_t keys = first + rows;
    const double scale = 0.37;
    const auto scores = values(rows * keys, 7, 40.0f), g = values(rows * keys, 8);
    auto p = scores;
    causal_softmax_cpu(p.data(), {rows, keys, first}, static_cast<float>(scale));
    Doubles want, slope;
    std::vector<float> delta;
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto begin = scores.begin() + r * keys;
      const Doubles row(begin, begin + keys);
      const auto soft = softmax_row(row, first + r + 1, 0.37f);
      double dot = 0;
      for (std::int64_t k = 0; k < keys; ++k)
        dot += soft[static_cast<std::size_t>(k)] * at(g, r * keys + k);
      delta.push_back(static_cast<float>(dot));
      for (std::int64_t k = 0; k < keys; ++k) {
        const double q = soft[static_cast<std::size_t>(k)];
        want.push_back(q);
        slope.push_back(scale * q * (at(g, r * keys + k) - dot));
      }
    }
    CHECK(error_of(p, want) < tolerance);
    auto dp = g;
    causal_softmax_backward_cpu(dp.data(), p.data(), delta.data(), {rows, keys, first},
                                static_cast<float>(scale));
    CHECK(error_of(dp, slope) < slope_tolerance);
  }
}
}  // namespace kairo::gpu
