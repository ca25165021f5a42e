// tests/gpu/kernels/family_kernels_test.cpp - what only some families need: LayerNorm, the GELUs
// and bounded scores equal their formulas in double precision, and their gradients finite
// differences.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "gpu/kernels/cross_entropy.h"
#include "gpu/kernels/gelu.h"
#include "gpu/kernels/layernorm.h"
#include "gpu/kernels/rmsnorm.h"
#include "gpu/kernels/softmax.h"
#include "gpu/kernels/tanh.h"
#include "tests/gpu/kernels/reference.h"

namespace kairo::gpu {
namespace {
using test::at;
using test::error_of;
using test::slopes;
using test::values;
using Doubles = std::vector<double>;
constexpr double bound = 2e-6, slope_bound = 1e-5;

double at(const Doubles& v, std::int64_t i) {
  return v[static_cast<std::size_t>(i)];
}
Doubles layer_norm(const Doubles& x, const std::vector<float>& w, const std::vector<float>& b,
                   std::int64_t T, std::int64_t C) {
  Doubles out;
  for (std::int64_t t = 0; t < T; ++t) {
    double mean = 0, variance = 0;
    for (std::int64_t c = 0; c < C; ++c) mean += at(x, t * C + c) / static_cast<double>(C);
    for (std::int64_t c = 0; c < C; ++c)
      variance += std::pow(at(x, t * C + c) - mean, 2) / static_cast<double>(C);
    for (std::int64_t c = 0; c < C; ++c)
      out.push_back((at(x, t * C + c) - mean) / std::sqrt(variance + 1e-5) * at(w, c) + at(b, c));
  }
  return out;
}
double gelu(double x) {
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}
double gelu_by_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}
Doubles softmax(const Doubles& scores, double cap) {
  Doubles out;
  double sum = 0;
  for (const double s : scores) {
    out.push_back(std::exp(cap * std::tanh(s / cap)));
    sum += out.back();
  }
  for (double& p : out) p /= sum;
  return out;
}
double dot(const Doubles& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * static_cast<double>(b[i]);
  return sum;
}
}  // namespace

TEST_CASE("tanh: relative error below 4e-7 from far below 0 to far above") {
  double worst = 0;
  for (double x = -20; x <= 20; x += 0.00137) {
    const auto rounded = static_cast<float>(x);
    const double want = std::tanh(static_cast<double>(rounded));
    worst = std::max(worst, std::fabs(static_cast<double>(tanh_f32(rounded)) / want - 1));
  }
  CHECK(worst < 4e-7);
  CHECK(tanh_f32(0.0f) == 0.0f);
  CHECK(tanh_f32(-1e30f) == -1.0f);
  CHECK(tanh_f32(1e-30f) == 1e-30f);
}

TEST_CASE("rmsnorm of groups: as of rows of their own, added or replaced in place") {
  const std::int64_t T = 3, groups = 4, C = 5, n = T * groups * C;
  const auto x = values(n, 1, 2.0f), w = values(C, 2), g = values(n, 3);
  std::vector<float> out(static_cast<std::size_t>(n)), rows = out;
  std::vector<float> inverse(static_cast<std::size_t>(T * groups)), alone = inverse;
  const std::int64_t ld = groups * C;
  rmsnorm_cpu(out.data(), ld, inverse.data(), x.data(), ld, w.data(), {T, C, groups}, 1e-5f);
  rmsnorm_cpu(rows.data(), C, alone.data(), x.data(), C, w.data(), {T * groups, C}, 1e-5f);
  CHECK(out == rows);
  CHECK(inverse == alone);
  auto added = std::vector<float>(static_cast<std::size_t>(n), 0.0f), in_place = g;
  rmsnorm_backward_cpu(added.data(), ld, g.data(), ld, x.data(), ld, inverse.data(), w.data(),
                       {T, C, groups}, true);
  rmsnorm_backward_cpu(in_place.data(), ld, in_place.data(), ld, x.data(), ld, inverse.data(),
                       w.data(), {T, C, groups}, false);
  CHECK(in_place == added);
}

TEST_CASE("layernorm: value, stride and gradient") {
  for (const auto& [T, C] : {std::pair{1, 1}, {1, 7}, {3, 64}, {2, 65}}) {
    CAPTURE(T);
    CAPTURE(C);
    const std::int64_t ld = C + 3;
    const auto x = values(T * C, 1, 2.0f), w = values(C, 2), b = values(C, 4);
    const auto g = values(T * C, 3);
    std::vector<float> out(static_cast<std::size_t>(T * ld), -9.0f), dense;
    std::vector<float> inverse(static_cast<std::size_t>(T));
    layernorm_cpu(out.data(), ld, inverse.data(), x.data(), w.data(), b.data(), T, C, 1e-5f);
    for (std::int64_t t = 0; t < T; ++t) {
      for (std::int64_t c = 0; c < C; ++c)
        dense.push_back(out[static_cast<std::size_t>(t * ld + c)]);
      CHECK(at(out, t * ld + C) == -9.0);
    }
    CHECK(error_of(dense, layer_norm(Doubles(x.begin(), x.end()), w, b, T, C)) < bound);
    std::vector<float> dx(static_cast<std::size_t>(T * C), 0.5f);  // the gradient is added
    layernorm_backward_cpu(dx.data(), g.data(), C, x.data(), inverse.data(), w.data(), T, C);
    auto slope = slopes(x, [&](const Doubles& p) { return dot(layer_norm(p, w, b, T, C), g); });
    for (auto& s : slope) s += 0.5;
    CHECK(error_of(dx, slope) < slope_bound);
  }
}

TEST_CASE("gelu, alone and as a gate: value and gradient, far into both tails") {
  for (const auto& [T, C] : {std::pair{1, 1}, {2, 17}, {3, 64}}) {
    CAPTURE(T);
    CAPTURE(C);
    auto gate_up = values(T * 2 * C, 4, 6.0f), x = values(T * C, 6, 6.0f);
    gate_up[0] = x[0] = -90.0f;
    const auto g = values(T * C, 5);
    std::vector<float> gated(static_cast<std::size_t>(T * C)), alone = gated;
    geglu_cpu(gated.data(), C, gate_up.data(), T, C);
    gelu_cpu(alone.data(), C, x.data(), T, C);
    const auto gate = [&](const Doubles& p) {
      Doubles out;
      for (std::int64_t t = 0; t < T; ++t)
        for (std::int64_t c = 0; c < C; ++c)
          out.push_back(gelu_by_tanh(at(p, t * 2 * C + c)) * at(p, t * 2 * C + C + c));
      return out;
    };
    const auto each = [&](const Doubles& p) {
      Doubles out;
      for (const double v : p) out.push_back(gelu(v));
      return out;
    };
    CHECK(error_of(gated, gate(Doubles(gate_up.begin(), gate_up.end()))) < bound);
    CHECK(error_of(alone, each(Doubles(x.begin(), x.end()))) < bound);
    const auto gate_slope = slopes(gate_up, [&](const Doubles& p) { return dot(gate(p), g); });
    const auto slope = slopes(x, [&](const Doubles& p) { return dot(each(p), g); });
    geglu_backward_cpu(gate_up.data(), g.data(), C, T, C);
    gelu_backward_cpu(x.data(), g.data(), C, T, C);
    CHECK(error_of(gate_up, gate_slope) < slope_bound);
    CHECK(error_of(x, slope) < slope_bound);
  }
}

TEST_CASE("bounded scores: softmax and the gradient through the bound") {
  const std::int64_t rows = 3, keys = 9;
  const float scale = 0.4f, cap = 2.0f;
  const auto scores = values(rows * keys, 7, 20.0f), g = values(rows * keys, 8);
  const CausalShape shape = {rows, keys, keys - rows};
  auto p = scores;
  causal_softmax_cpu(p.data(), shape, scale, cap);
  Doubles want, slope;
  std::vector<float> delta;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t seen = shape.first + r + 1;
    std::vector<float> row(scores.begin() + r * keys, scores.begin() + r * keys + seen);
    const std::vector<float> of(g.begin() + r * keys, g.begin() + r * keys + seen);
    const auto soft = [&](Doubles s) {
      for (double& v : s) v *= static_cast<double>(scale);
      return softmax(s, static_cast<double>(cap));
    };
    Doubles here = soft(Doubles(row.begin(), row.end()));
    delta.push_back(static_cast<float>(dot(here, of)));
    auto d = slopes(row, [&](const Doubles& s) { return dot(soft(s), of); });
    here.resize(static_cast<std::size_t>(keys));
    d.resize(static_cast<std::size_t>(keys));
    want.insert(want.end(), here.begin(), here.end());
    slope.insert(slope.end(), d.begin(), d.end());
  }
  CHECK(error_of(p, want) < bound);
  auto dp = g;
  causal_softmax_backward_cpu(dp.data(), p.data(), delta.data(), shape, scale);
  causal_cap_backward_cpu(dp.data(), scores.data(), shape, scale, cap);
  CHECK(error_of(dp, slope) < slope_bound);
}

TEST_CASE("bounded logits: the loss and the gradient of what was bounded") {
  const std::int64_t T = 2, V = 37;
  const auto logits = values(T * V, 9, 30.0f);
  const std::vector<std::int32_t> target = {3, 36};
  const double cap = 5;
  const auto losses = [&](const Doubles& l) {
    Doubles out;
    for (std::int64_t t = 0; t < T; ++t)
      out.push_back(-std::log(at(softmax(Doubles(l.begin() + t * V, l.begin() + (t + 1) * V), cap),
                                 target[static_cast<std::size_t>(t)])));
    return out;
  };
  auto x = logits;
  std::vector<float> loss(2);
  cross_entropy_cpu(x.data(), loss.data(), target.data(), T, V, 0.25f, static_cast<float>(cap));
  CHECK(error_of(loss, losses(Doubles(logits.begin(), logits.end()))) < 1e-6);
  CHECK(error_of(x, slopes(logits, [&](const Doubles& l) {
                   const Doubles each = losses(l);
                   return 0.25 * (each[0] + each[1]);
                 })) < slope_bound);
}
}  // namespace kairo::gpu
