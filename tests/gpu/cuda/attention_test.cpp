// tests/gpu/cuda/attention_test.cpp - attention on the device against the formulas in double
// precision: ragged segments, grouped heads, windows, caps, both types, caches.
#include <algorithm>

#include "tests/gpu/cuda/desk.h"

namespace kairo::gpu::test {
namespace {
struct Case {
  const char* name;
  KairoHeads heads;
  Indices lengths;
};
const Case cases[] = {
    {"one value", {1, 1, 1, 0, 0, 0, 0}, {1, 2}},
    {"grouped, ragged", {4, 2, 32, 0, 0, 0, 0}, {5, 1, 37}},
    {"three heads a group, interleaved", {6, 2, 20, 0, 0.3f, 0, 1}, {33, 31}},
    {"window", {2, 1, 64, 3, 0, 0, 0}, {40, 2}},
    {"window of more than a tile", {4, 1, 16, 33, 0, 0, 0}, {75}},
    {"cap", {2, 2, 80, 0, 0.2f, 2, 0}, {34, 3}},
    {"wide heads", {2, 1, 130, 0, 0, 0, 0}, {9, 35}},
    {"the widest heads", {1, 1, 256, 7, 0, 3, 0}, {12}},
};
struct Rows {
  Indices starts = {0}, positions;
  std::int64_t longest = 0;
  explicit Rows(const Indices& lengths) {
    for (const std::int32_t n : lengths) {
      starts.push_back(starts.back() + n);
      for (std::int32_t i = 0; i < n; ++i) positions.push_back(i);
      longest = std::max<std::int64_t>(longest, n);
    }
  }
  KairoRagged on(Desk& d) const {
    return {d.put(starts), d.put(positions), static_cast<std::int64_t>(starts.size()) - 1, longest,
            starts.back()};
  }
};
// As gpu/engine/mat.h says.
struct Columns {
  KairoHeads h;
  std::int64_t group() const { return h.queries / h.keys; }
  std::int64_t all() const { return (h.queries + 2 * h.keys) * h.dim; }
  std::int64_t query(std::int64_t q) const {
    return (h.interleaved != 0 ? q / group() * (group() + 2) + q % group() : q) * h.dim;
  }
  std::int64_t key(std::int64_t q) const {
    const std::int64_t kv = q / group();
    return (h.interleaved != 0 ? kv * (group() + 2) + group() : h.queries + kv) * h.dim;
  }
  std::int64_t value(std::int64_t q) const {
    return key(q) + (h.interleaved != 0 ? 1 : h.keys) * h.dim;
  }
};
struct Answer {
  std::vector<double> out, dqkv;
};
// One query row of one head: its probabilities, what comes out, and what goes back.
void one_row(Answer* a, const Values& qkv, const Values& dout, const Columns& c, std::int64_t begin,
             std::int64_t row, std::int64_t head) {
  const std::int64_t D = c.h.dim,
                     first = c.h.window == 0 ? 0 : std::max<std::int64_t>(0, row + 1 - c.h.window);
  const double scale =
      c.h.scale > 0 ? static_cast<double>(c.h.scale) : 1 / std::sqrt(static_cast<double>(D));
  const double cap = static_cast<double>(c.h.cap);
  const auto at_of = [&](std::int64_t r, std::int64_t column) {
    return (begin + r) * c.all() + column;
  };
  const std::int64_t o = (begin + row) * c.h.queries * D + head * D, q = at_of(row, c.query(head));
  std::vector<double> p, slope;
  double max = -INFINITY, sum = 0, delta = 0;
  for (std::int64_t k = first; k <= row; ++k) {
    double s = 0;
    for (std::int64_t i = 0; i < D; ++i) s += at(qkv, q + i) * at(qkv, at_of(k, c.key(head)) + i);
    s *= scale;
    const double t = cap > 0 ? std::tanh(s / cap) : 0;
    p.push_back(cap > 0 ? cap * t : s);
    slope.push_back(1 - t * t);
    max = std::max(max, p.back());
  }
  for (double& x : p) sum += x = std::exp(x - max);
  for (double& x : p) x /= sum;
  for (std::int64_t k = first; k <= row; ++k)
    for (std::int64_t i = 0; i < D; ++i)
      a->out[static_cast<std::size_t>(o + i)] +=
          p[static_cast<std::size_t>(k - first)] * at(qkv, at_of(k, c.value(head)) + i);
  for (std::int64_t i = 0; i < D; ++i)
    delta += at(dout, o + i) * a->out[static_cast<std::size_t>(o + i)];
  for (std::int64_t k = first; k <= row; ++k) {
    const auto n = static_cast<std::size_t>(k - first);
    const std::int64_t key = at_of(k, c.key(head)), value = at_of(k, c.value(head));
    double dp = 0;
    for (std::int64_t i = 0; i < D; ++i) dp += at(dout, o + i) * at(qkv, value + i);
    const double ds = p[n] * (dp - delta) * slope[n] * scale;
    for (std::int64_t i = 0; i < D; ++i) {
      a->dqkv[static_cast<std::size_t>(q + i)] += ds * at(qkv, key + i);
      a->dqkv[static_cast<std::size_t>(key + i)] += ds * at(qkv, q + i);
      a->dqkv[static_cast<std::size_t>(value + i)] += p[n] * at(dout, o + i);
    }
  }
}
Answer answer(const Values& qkv, const Values& dout, const KairoHeads& heads, const Rows& rows) {
  const Columns c = {heads};
  Answer a;
  a.out.resize(dout.size());
  a.dqkv.resize(qkv.size());
  for (std::size_t s = 0; s + 1 < rows.starts.size(); ++s)
    for (std::int64_t r = 0; r < rows.starts[s + 1] - rows.starts[s]; ++r)
      for (std::int64_t h = 0; h < heads.queries; ++h)
        one_row(&a, qkv, dout, c, rows.starts[s], r, h);
  return a;
}
}  // namespace

TEST_CASE("cuda: attention and its gradient") {
  in_each_order([&] {
    for (const Case& c : cases)
      for (const std::int32_t type : {kairo_f32, kairo_bf16}) {
        CAPTURE(c.name);
        CAPTURE(type);
        Desk d;
        const Rows rows(c.lengths);
        const std::int64_t T = rows.starts.back(), wide = c.heads.queries * c.heads.dim;
        const std::int64_t columns = Columns{c.heads}.all();
        const Values qkv = rounded_as(values(T * columns, 1, 2), type), dout = values(T * wide, 2);
        const Answer wanted = answer(qkv, dout, c.heads, rows);

        const KairoRagged ragged = rows.on(d);
        const KairoMat dev_qkv = d.put({T, columns, columns + 3, type}, qkv);
        const KairoMat out = d.room({T, wide, wide + 1, type});
        REQUIRE(plugin().attention(out, dev_qkv, c.heads, ragged, nullptr) == 0);
        CHECK(error_of(d.get(out), wanted.out) < allowed(type, 1e-5));
        const KairoMat dqkv = d.room({T, columns, columns + 2}),
                       dev_dout = d.put({T, wide, wide + 5}, dout);
        auto* scratch =
            static_cast<float*>(d.room_of(static_cast<std::size_t>(8 * T * c.heads.queries)));
        REQUIRE(plugin().attention_backward(dqkv, dev_dout, out, dev_qkv, c.heads, ragged, scratch,
                                            nullptr) == 0);
        // In bf16 `out` is rounded, of which the gradient takes each row's sum.
        CHECK(error_of(d.get(dqkv), wanted.dqkv) < allowed(type, 2e-5));
        CHECK(d.is_around_kept());
      }
  });
}

// Two sequences in slots 2 and 0 of three, of two layers; their rows come in two rounds, cut at
// different places: the same bits, whoever is beside them.
TEST_CASE("cuda: attention over a cache goes on where it was") {
  in_each_order([&] {
    for (const Case& c : cases) {
      CAPTURE(c.name);
      Desk d;
      constexpr std::int32_t context = 80, n = 45;
      const std::int64_t columns = Columns{c.heads}.all(), wide = c.heads.queries * c.heads.dim;
      const std::int64_t room = 3 * 2 * c.heads.keys * context;
      const Values qkv = values(n * columns, 6, 2), other = values(n * columns, 7, 2);
      const Rows whole({n});
      const Values none(static_cast<std::size_t>(n * wide));
      const Answer wanted = answer(qkv, none, c.heads, whole);
      const Answer beside = answer(other, none, c.heads, whole);
      Values first_time;
      for (const std::int32_t cut : {1, 33}) {
        CAPTURE(cut);
        const KairoMat keys = d.room({room, c.heads.dim, c.heads.dim});
        const KairoMat kept = d.room({room, c.heads.dim, c.heads.dim});
        const KairoCache cache = {static_cast<float*>(keys.data), static_cast<float*>(kept.data), 2,
                                  context, d.put(Indices{2, 0})};
        Values got, got_beside;
        const auto round = [&](std::int32_t from, std::int32_t to) {
          const std::int32_t rows = to - from;
          Values pair(qkv.begin() + from * columns, qkv.begin() + to * columns);
          pair.insert(pair.end(), other.begin() + from * columns, other.begin() + to * columns);
          Indices positions;
          for (int s = 0; s < 2; ++s)
            for (std::int32_t i = from; i < to; ++i) positions.push_back(i);
          const KairoRagged ragged = {d.put(Indices{0, rows, 2 * rows}), d.put(positions), 2, rows,
                                      2 * rows};
          const KairoMat out = d.room({2 * rows, wide, wide + 1});
          REQUIRE(plugin().cached_attention(out, d.put({2 * rows, columns, columns}, pair), c.heads,
                                            ragged, cache, 1, nullptr) == 0);
          const Values all = d.get(out);
          got.insert(got.end(), all.begin(), all.begin() + rows * wide);
          got_beside.insert(got_beside.end(), all.begin() + rows * wide, all.end());
        };
        round(0, cut);
        round(cut, n);
        CHECK(error_of(got, wanted.out) < 1e-5);
        CHECK(error_of(got_beside, beside.out) < 1e-5);
        // The last row of the last key head: slot 2, layer 1.
        const auto at_last = static_cast<std::ptrdiff_t>(
            ((5 * c.heads.keys + c.heads.keys - 1) * context + n - 1) * c.heads.dim);
        const Values all_keys = d.get(keys), all_values = d.get(kept);
        const auto last = [&](std::int64_t column, const Values& of) {
          const auto from = qkv.begin() + (n - 1) * columns + column;
          return std::equal(from, from + c.heads.dim, of.begin() + at_last);
        };
        CHECK(last(Columns{c.heads}.key(c.heads.queries - 1), all_keys));
        CHECK(last(Columns{c.heads}.value(c.heads.queries - 1), all_values));
        if (first_time.empty()) first_time = got;
        CHECK(is_same(got, first_time));
        CHECK(d.is_around_kept());
      }
    }
  });
}

TEST_CASE("cuda: heads that the kernels do not take are refused") {
  Desk d;
  const KairoHeads heads = {1, 1, 257, 0, 0, 0, 0};
  const Rows rows({1});
  const KairoMat qkv = d.room({1, 3 * 257, 3 * 257}), out = d.room({1, 257, 257});
  CHECK(plugin().attention(out, qkv, heads, rows.on(d), nullptr) == kairo_cuda_unfit);
}
}  // namespace kairo::gpu::test
