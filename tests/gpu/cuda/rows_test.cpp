// tests/gpu/cuda/rows_test.cpp - rows of values on the device: types, strides, gathering; the same
// bits as the CPU where nothing is summed.
#include "gpu/kernels/cross_entropy.h"
#include "gpu/kernels/dropout.h"
#include "gpu/kernels/low_rank.h"
#include "gpu/kernels/rope.h"
#include "tests/gpu/cuda/desk.h"

namespace kairo::gpu::test {
namespace {
Shape as(Shape s, std::int32_t type) {
  s.type = type;
  return s;
}
Values rows_of(const Values& all, const Indices& rows, std::int64_t cols) {
  Values out;
  for (const std::int32_t r : rows)
    out.insert(out.end(), all.begin() + r * cols, all.begin() + (r + 1) * cols);
  return out;
}
}  // namespace

TEST_CASE("cuda: rows are cleared and copied between the types") {
  in_each_order([&] {
    for (const Shape& s : awkward_shapes())
      for (const std::int32_t to_type : both)
        for (const std::int32_t from_type : both) {
          CAPTURE(s.cols);
          CAPTURE(to_type);
          CAPTURE(from_type);
          Desk d;
          const Values x = values(s.count(), 5);
          const KairoMat from = d.put(as(s, from_type), x), to = d.room(as(s, to_type));
          REQUIRE(plugin().copy(to, from, 1, nullptr) == 0);
          const Values kept = rounded_as(rounded_as(x, from_type), to_type);
          CHECK(is_same(d.get(to), kept));
          if (from_type == kairo_f32) {
            Values half = x;
            for (float& v : half) v *= 0.375f;
            REQUIRE(plugin().copy(to, from, 0.375f, nullptr) == 0);
            CHECK(is_same(d.get(to), rounded_as(half, to_type)));
          } else {
            CHECK(plugin().copy(to, from, 0.375f, nullptr) == kairo_cuda_unfit);
          }
          REQUIRE(plugin().zero(to, nullptr) == 0);
          CHECK(is_same(d.get(to), Values(x.size(), 0)));
          CHECK(d.is_around_kept());
        }
  });
}

TEST_CASE("cuda: rows are added, and a row to each") {
  in_each_order([&] {
    for (const Shape& s : awkward_shapes()) {
      CAPTURE(s.cols);
      Desk d;
      const Values a = values(s.count(), 1), b = values(s.count(), 2), row = values(s.cols, 3);
      Values sum = a, all = a;
      for (std::size_t i = 0; i < a.size(); ++i) {
        sum[i] += 0.5f * b[i];
        all[i] = sum[i] + row[i % static_cast<std::size_t>(s.cols)];
      }
      const KairoMat to = d.put(s, a);
      REQUIRE(plugin().add(to, d.put({s.rows, s.cols, s.cols + 1}, b), 0.5f, nullptr) == 0);
      CHECK(apart(d.get(to), sum) < 1e-7);
      REQUIRE(plugin().add_row(to, d.put({1, s.cols, s.cols}, row), nullptr) == 0);
      CHECK(apart(d.get(to), all) < 1e-7);
      CHECK(d.is_around_kept());
    }
  });
}

TEST_CASE("cuda: rows are gathered and scattered") {
  in_each_order([&] {
    for (const std::int64_t cols : {1, 31, 576, 1025})
      for (const std::int32_t to_type : both)
        for (const std::int32_t from_type : both) {
          CAPTURE(cols);
          Desk d;
          const Values table = values(9 * cols, 7);
          const Indices rows = {8, 0, 3, 3, 7};
          const KairoMat to = d.room({5, cols, cols + 3, to_type});
          const KairoMat from = d.put({9, cols, cols + 1, from_type}, table);
          REQUIRE(plugin().gather(to, from, d.put(rows), nullptr) == 0);
          const Values kept = rounded_as(rounded_as(table, from_type), to_type);
          CHECK(is_same(d.get(to), rows_of(kept, rows, cols)));
          CHECK(d.is_around_kept());
        }
    Desk d;
    const KairoMat to = d.put({3, 2, 3}, {1, 2, 3, 4, 5, 6});
    REQUIRE(plugin().scatter(to, d.put({2, 2, 2}, {7, 8, 9, 10}), d.put(Indices{2, 0}), nullptr) ==
            0);
    CHECK(d.get(to) == Values{9, 10, 3, 4, 7, 8});
    CHECK(d.is_around_kept());
  });
}

TEST_CASE("cuda: rows that are 2^31 values apart") {
  in_each_order([&] {
    constexpr std::int64_t stride = (std::int64_t{1} << 30) + 5;  // the third row begins behind
    void* memory = nullptr;
    REQUIRE(plugin().malloc(&memory, static_cast<std::size_t>(2 * stride + 3) * 4) == 0);
    const KairoMat far = {memory, kairo_f32, 3, 3, stride};
    Desk d;
    const Values x = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    REQUIRE(plugin().copy(far, d.put({3, 3, 3}, x), 1, nullptr) == 0);
    CHECK(d.get(far) == x);
    const KairoMat back = d.room({3, 3, 4});
    REQUIRE(plugin().gather(back, far, d.put(Indices{2, 1, 0}), nullptr) == 0);
    CHECK(d.get(back) == Values{7, 8, 9, 4, 5, 6, 1, 2, 3});
    CHECK(plugin().free(memory) == 0);
  });
}

TEST_CASE("cuda: more blocks than a grid has along y") {
  constexpr std::int64_t rows = 2'097'200;  // 32 a block: 65,538 of them
  Desk d;
  const Values x = values(rows, 4);
  const KairoMat to = d.room({rows, 1, 1, kairo_bf16});
  REQUIRE(plugin().copy(to, d.put({rows, 1, 1}, x), 1, nullptr) == 0);
  CHECK(is_same(d.get(to), rounded(x)));
}

TEST_CASE("cuda: rope turns part of each head, and back") {
  struct Case {
    std::int64_t rows, heads, dim, rotary, beside;
  };
  in_each_order([&] {
    for (const Case& c :
         {Case{1, 1, 2, 2, 0}, {5, 3, 64, 64, 7}, {9, 2, 96, 32, 1}, {33, 5, 130, 128, 0}}) {
      CAPTURE(c.dim);
      Desk d;
      const std::int64_t half = c.rotary / 2, cols = c.heads * c.dim, n = c.rows * cols;
      const Values x = values(n, 1), cos = values(40 * half, 2), sin = values(40 * half, 3);
      Indices angles;
      for (std::int64_t t = 0; t < c.rows; ++t)
        angles.push_back(static_cast<std::int32_t>(7 * t % 40));
      const KairoMat dev = d.put({c.rows, cols, cols + c.beside}, x);
      const KairoMat dev_cos = d.put({40, half, half}, cos), dev_sin = d.put({40, half, half}, sin);
      for (const bool inverse : {false, true}) {
        Values wanted = d.get(dev);
        rope_cpu(wanted.data(), cos.data(), sin.data(), angles.data(),
                 {c.rows, c.heads, c.dim, cols, c.rotary}, inverse);
        REQUIRE(plugin().rope(dev, dev_cos, dev_sin, d.put(angles), c.dim, inverse ? 1 : 0,
                              nullptr) == 0);
        CHECK(apart(d.get(dev), wanted) < 1e-6);
      }
      CHECK(d.is_around_kept());
    }
  });
}

TEST_CASE("cuda: dropout has the CPU's mask") {
  in_each_order([&] {
    for (const Shape& s : awkward_shapes())
      for (const double p : {0.0, 0.1, 0.75}) {
        CAPTURE(s.cols);
        CAPTURE(p);
        Desk d;
        std::vector<std::uint64_t> keys;
        for (std::int64_t t = 0; t < s.rows; ++t)
          keys.push_back(dropout_token_key({17, 3}, t, 2 * t));
        const DropoutMask mask = {keys.data(), 11, p};
        const KairoDropout dev_mask = {d.put(keys), 11, p};
        const Values x = values(s.count(), 1), sum = values(s.count(), 2);
        Values wanted(x.size()), added = sum;
        dropout_cpu(wanted.data(), s.cols, x.data(), s.cols, mask, s.rows, s.cols);
        dropout_add_cpu(added.data(), s.cols, x.data(), s.cols, mask, s.rows, s.cols);
        const KairoMat from = d.put(s, x), out = d.room(s), to = d.put(s, sum);
        REQUIRE(plugin().dropout(out, from, dev_mask, nullptr) == 0);
        CHECK(is_same(d.get(out), wanted));
        REQUIRE(plugin().dropout_add(to, from, dev_mask, nullptr) == 0);
        CHECK(apart(d.get(to), added) < 1e-7);
        // In bf16: what is rounded before is rounded once more.
        const KairoMat narrow = d.put(as(s, kairo_bf16), x), left = d.room(as(s, kairo_bf16));
        const Values kept = rounded(x);
        dropout_cpu(wanted.data(), s.cols, kept.data(), s.cols, mask, s.rows, s.cols);
        REQUIRE(plugin().dropout(left, narrow, dev_mask, nullptr) == 0);
        CHECK(is_same(d.get(left), rounded(wanted)));
        CHECK(d.is_around_kept());
      }
  });
}

TEST_CASE("cuda: low-rank products of modules that lie side by side") {
  in_each_order([&] {
    for (const std::int64_t rank : {1, 8, 33}) {
      CAPTURE(rank);
      Desk d;
      const KairoLowRankParts parts = {3, {0, 70, 100}, {64, 30, 1}};
      const std::vector<LowRankPart> wanted_parts = {{0, 64}, {70, 30}, {100, 1}};
      const std::int64_t T = 5, columns = 95, wide = 101;
      const Values low = values(T * 3 * rank, 1), b = values(rank * columns, 2);
      Values y = values(T * wide, 3);
      const KairoMat to = d.put({T, wide, wide + 2}, y);
      add_low_rank_cpu(y.data(), low.data(), b.data(), {T, rank, 3 * rank, wide, wanted_parts});
      REQUIRE(plugin().add_low_rank(to, d.put({T, 3 * rank, 3 * rank + 5}, low),
                                    d.put({rank, columns, columns}, b), &parts, nullptr) == 0);
      CHECK(apart(d.get(to), y) < of_sums);
      CHECK(d.is_around_kept());
    }
  });
}

TEST_CASE("cuda: values are bounded softly") {
  in_each_order([&] {
    for (const Shape& s : awkward_shapes()) {
      Desk d;
      Values x = values(s.count(), 9, 40);
      const KairoMat m = d.put(s, x);
      softcap_cpu(x.data(), s.count(), 30);
      REQUIRE(plugin().softcap(m, 30, nullptr) == 0);
      CHECK(apart(d.get(m), x) < 1e-6);
      CHECK(d.is_around_kept());
    }
  });
}
}  // namespace kairo::gpu::test
