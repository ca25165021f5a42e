// tests/gpu/engine/attention_test.cpp - attention block by block equals its definition, with and
// without a window that ends within a block, forward, backward, and over a cache.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "gpu/engine/ops.h"
#include "gpu/kernels/cached_attention.h"
#include "gpu/plan/attention_rows.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t T = 150, D = 8;
std::vector<float> numbers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& x : out) x = normal(random);
  return out;
}
struct Defined {
  std::vector<double> out, dqkv;
};
// In double, row by row.
Defined define(const std::vector<float>& qkv, const std::vector<float>& dout, const Heads& h) {
  const auto C = static_cast<std::size_t>(h.columns()), Q = static_cast<std::size_t>(h.queries * D);
  Defined d{std::vector<double>(T * Q), std::vector<double>(T * C)};
  const double scale = 1 / std::sqrt(static_cast<double>(D));
  for (std::int64_t head = 0; head < h.queries; ++head) {
    const auto q = static_cast<std::size_t>(head * D),
               k = static_cast<std::size_t>((h.queries + head / (h.queries / h.keys)) * D),
               v = k + static_cast<std::size_t>(h.keys * D);
    for (std::int64_t t = 0; t < T; ++t) {
      const std::int64_t first = h.window == 0 ? 0 : std::max<std::int64_t>(0, t + 1 - h.window);
      const std::size_t row = static_cast<std::size_t>(t) * C;
      const std::size_t out = static_cast<std::size_t>(t) * Q + q;
      std::vector<double> p;
      double sum = 0, mean = 0;
      for (std::int64_t s = first; s <= t; ++s) {
        double dot = 0;
        for (std::size_t i = 0; i < D; ++i)
          dot += static_cast<double>(qkv[row + q + i]) *
                 static_cast<double>(qkv[static_cast<std::size_t>(s) * C + k + i]);
        p.push_back(std::exp(scale * dot));
        sum += p.back();
      }
      for (double& x : p) x /= sum;
      std::vector<double> dp(p.size());
      for (std::size_t s = 0; s < p.size(); ++s) {
        const std::size_t key = (static_cast<std::size_t>(first) + s) * C;
        for (std::size_t i = 0; i < D; ++i) {
          d.out[out + i] += p[s] * static_cast<double>(qkv[key + v + i]);
          d.dqkv[key + v + i] += p[s] * static_cast<double>(dout[out + i]);
          dp[s] += static_cast<double>(dout[out + i]) * static_cast<double>(qkv[key + v + i]);
        }
        mean += p[s] * dp[s];
      }
      for (std::size_t s = 0; s < p.size(); ++s) {
        const std::size_t key = (static_cast<std::size_t>(first) + s) * C;
        const double ds = scale * p[s] * (dp[s] - mean);
        for (std::size_t i = 0; i < D; ++i) {
          d.dqkv[row + q + i] += ds * static_cast<double>(qkv[key + k + i]);
          d.dqkv[key + k + i] += ds * static_cast<double>(qkv[row + q + i]);
        }
      }
    }
  }
  return d;
}
double apart(const std::vector<float>& a, const std::vector<double>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
  return most;
}
}  // namespace

TEST_CASE("attention: blocks, windows, and parts that share a head change nothing") {
  // Two heads of keys: with five threads three parts share each, one block of queries a part.
  static_assert(backward_parts(2, 2, T) == 1 && backward_parts(5, 2, T) == 3);
  static_assert(backward_parts(16, 2, T) == 3 && backward_parts(16, 100, T) == 1);
  static_assert(partial_gradients(2, 2, T, D) == 0 && partial_gradients(5, 2, T, D) == 10 * T * D);
  static_assert(T > 2 * query_block);
  constexpr double bound = 2e-5;  // of values around 1, in fp32
  for (const auto& [window, threads] : {std::pair{0, 2},
                                        {0, 5},
                                        {1, 2},
                                        {7, 16},
                                        {64, 2},
                                        {65, 5},
                                        {100, 2},
                                        {150, 5},
                                        {1000, 2}}) {
    CAPTURE(window);
    CAPTURE(threads);
    const auto ops = make_cpu_ops(threads, scores_to_train(T) + cached_attention_scratch(T, D));
    ops->enter();
    const Heads heads{4, 2, D, window};
    const std::int64_t C = heads.columns(), Q = heads.queries * D;
    const auto qkv = numbers(static_cast<std::size_t>(T * C), 1),
               dout = numbers(static_cast<std::size_t>(T * Q), 2);
    const Defined wanted = define(qkv, dout, heads);
    std::vector<float> out(dout.size()), dqkv(qkv.size());
    const std::vector<std::int32_t> starts = {0, T};
    std::vector<std::int32_t> positions;
    for (std::int32_t t = 0; t < T; ++t) positions.push_back(t);
    const Ragged rows{starts.data(), positions.data(), 1, T, T};
    const Mat qkv_of = Mat::f32(qkv.data(), T, C), out_of = Mat::f32(out.data(), T, Q);
    ops->attention(out_of, qkv_of, heads, rows);
    CHECK(apart(out, wanted.out) <= bound);
    ops->attention_backward(Mat::f32(dqkv.data(), T, C), Mat::f32(dout.data(), T, Q), out_of,
                            qkv_of, heads, rows);
    CHECK(apart(dqkv, wanted.dqkv) <= 4 * bound);

    // The same in pieces that go on from what is cached.
    const std::int64_t cached = heads.keys * T;
    std::vector<float> keys(static_cast<std::size_t>(cached * D)), values(keys.size());
    const std::vector<std::int32_t> slots = {0};
    const KvCache cache = {Mat::f32(keys.data(), cached, D), Mat::f32(values.data(), cached, D), 1,
                           T, slots.data()};
    std::fill(out.begin(), out.end(), 0.0f);
    std::int64_t done = 0;
    for (const std::int64_t piece : {70, 1, 1, 64, 14}) {
      const std::vector<std::int32_t> part = {0, static_cast<std::int32_t>(piece)};
      const Ragged next{part.data(), positions.data() + done, 1, piece, piece};
      ops->cached_attention(out_of.rows_at(done, piece), qkv_of.rows_at(done, piece), heads, next,
                            cache, 0);
      done += piece;
    }
    CHECK(done == T);
    CHECK(apart(out, wanted.out) <= bound);
  }
}

TEST_CASE("attention: gradients of several rows side by side do not depend on the parts") {
  const std::vector<std::int32_t> starts = {0, 1, 80, T};
  std::vector<std::int32_t> positions;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s)
    for (std::int32_t t = 0; t < starts[s + 1] - starts[s]; ++t) positions.push_back(t);
  const Heads heads{4, 2, D, 0};
  const std::int64_t C = heads.columns(), Q = heads.queries * D;
  const Ragged rows{starts.data(), positions.data(), 3, 79, T};
  const auto qkv = numbers(static_cast<std::size_t>(T * C), 3),
             dout = numbers(static_cast<std::size_t>(T * Q), 4);
  static_assert(backward_parts(7, 6, 79) == 2);
  std::vector<std::vector<float>> all;
  for (const int threads : {1, 7, 7}) {
    const auto ops = make_cpu_ops(threads, scores_to_train(T));
    ops->enter();
    std::vector<float> out(dout.size()), dqkv(qkv.size());
    const Mat qkv_of = Mat::f32(qkv.data(), T, C), out_of = Mat::f32(out.data(), T, Q);
    ops->attention(out_of, qkv_of, heads, rows);
    ops->attention_backward(Mat::f32(dqkv.data(), T, C), Mat::f32(dout.data(), T, Q), out_of,
                            qkv_of, heads, rows);
    all.push_back(std::move(dqkv));
  }
  const std::vector<double> whole(all[0].begin(), all[0].end());
  CHECK(apart(all[1], whole) <= 2e-5);
  CHECK(all[1] == all[2]);
}
}  // namespace kairo::gpu
