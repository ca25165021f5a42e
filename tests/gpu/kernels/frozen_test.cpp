// tests/gpu/kernels/frozen_test.cpp - rows times frozen matrices, and attention over a cache: the
// stated order of every sum to the bit, the same for AVX2 and AVX-512 and whatever the batch is.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "gpu/kernels/cached_attention.h"
#include "gpu/kernels/frozen_matmul.h"
#include "gpu/kernels/frozen_tiles.h"
#include "tests/gpu/kernels/reference.h"

namespace kairo::gpu {
namespace {
using test::at;
using test::error_of;
using test::values;
std::vector<const FrozenTiles*> all_tiles() {
  std::vector<const FrozenTiles*> all = {&tiles_avx2};
  if (has_avx512()) all.push_back(&tiles_avx512);
  return all;
}
std::size_t sized(std::int64_t n) {
  return static_cast<std::size_t>(n);
}
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
// The order that frozen_tiles.h states.
float dot(const float* x, const float* w, std::int64_t n) {
  std::array<float, step_values> sums{};
  for (std::int64_t i = 0; i < n; ++i)
    sums[sized(i % step_values)] = std::fma(x[i], w[i], sums[sized(i % step_values)]);
  float sum = 0;
  for (const float s : sums) sum += s;
  return sum;
}
std::vector<float> product(const std::vector<float>& x, std::int64_t tokens, const Frozen& w,
                           int threads = 2) {
  std::vector<float> y(sized(tokens * w.rows), -5.0f), scratch;
  scratch.resize(sized(frozen_matmul_scratch(tokens, w.cols, threads)));
  frozen_matmul_cpu(y.data(), w.rows, x.data(), w.cols, tokens, std::span(&w, 1), scratch.data(),
                    threads);
  return y;
}
}  // namespace

TEST_CASE("frozen product: the stated order of sums, at every count around its tiles") {
  for (const std::int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 13, 95, 97, 193})
    for (const auto& [out, in] : {std::pair{1, 3}, {7, 8}, {8, 64}, {29, 67}, {40, 96}}) {
      CAPTURE(tokens);
      CAPTURE(out);
      const auto x = values(tokens * in, 11), w = values(out * in, 12);
      std::vector<float> wanted;
      for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t o = 0; o < out; ++o)
          wanted.push_back(dot(x.data() + t * in, w.data() + o * in, in));
      REQUIRE(same_bits(product(x, tokens, Frozen::of(Stored::f32, w.data(), out, in)), wanted));
    }
}

TEST_CASE("frozen product: strides, threads, stacks and large sizes change nothing") {
  constexpr std::int64_t out = 515, in = 576, ld_x = in + 3, ld_y = out + 2, most = 9;
  const auto x = values(most * ld_x, 13), w = values(out * in, 14);
  const auto rows_of = [&](std::int64_t begin, std::int64_t count) {
    return Frozen::of(Stored::f32, w.data() + begin * in, count, in);
  };
  const std::vector<Frozen> whole = {rows_of(0, out)},
                            parts = {rows_of(0, 8), rows_of(8, 7), rows_of(15, 500)};
  for (const std::int64_t tokens : {std::int64_t{1}, most})
    for (const int threads : {1, 3})
      for (const auto& stacked : {whole, parts}) {
        std::vector<float> y(sized(tokens * ld_y), -5.0f), scratch;
        scratch.resize(sized(frozen_matmul_scratch(tokens, in, threads)));
        frozen_matmul_cpu(y.data(), ld_y, x.data(), ld_x, tokens, stacked, scratch.data(), threads);
        for (std::int64_t t = 0; t < tokens; ++t) {
          for (std::int64_t o = 0; o < out; ++o)
            REQUIRE(y[sized(t * ld_y + o)] == dot(x.data() + t * ld_x, w.data() + o * in, in));
          CHECK(y[sized(t * ld_y + out)] == -5.0f);
        }
      }
}

TEST_CASE("frozen product: a row's bits do not depend on the rows beside it") {
  constexpr std::int64_t tokens = 130, out = 37, in = 75;
  const auto x = values(tokens * in, 15), w = values(out * in, 16);
  const Frozen frozen = Frozen::of(Stored::f32, w.data(), out, in);
  const auto together = product(x, tokens, frozen);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::vector<float> row(x.begin() + t * in, x.begin() + (t + 1) * in);
    const std::vector<float> wanted(together.begin() + t * out, together.begin() + (t + 1) * out);
    REQUIRE(same_bits(product(row, 1, frozen), wanted));
  }
}

TEST_CASE("frozen product: every kind multiplies what a reader of the file would get") {
  for (std::size_t k = 0; k < stored_layouts.size(); ++k) {
    const auto kind = static_cast<Stored>(k);
    CAPTURE(std::string(name_of(kind)));
    constexpr std::int64_t tokens = 3, out = 21, in = 512;
    const auto blocks = test::random_blocks(kind, out * in, 17);
    std::vector<float> plain(sized(out * in));
    dequantise_blocks(kind, blocks, plain);
    const Frozen frozen = Frozen::of(kind, blocks.data(), out, in);
    for (const FrozenTiles* tiles : all_tiles()) {
      std::vector<float> decoded(plain.size());
      tiles->decode(kind, decoded.data(), blocks.data(), out * in);
      for (std::size_t i = 0; i < plain.size(); ++i) {
        if (std::isnan(plain[i]) && std::isnan(decoded[i]))
          continue;  // of bytes taken as plain f16
        REQUIRE(std::memcmp(&decoded[i], &plain[i], sizeof(float)) == 0);
      }
    }
    if (!is_quantised(kind)) continue;
    const auto x = values(tokens * in, 18);
    CHECK(same_bits(product(x, tokens, frozen),
                    product(x, tokens, Frozen::of(Stored::f32, plain.data(), out, in))));
  }
}

TEST_CASE("frozen product: NF4, in whole blocks a row and across them") {
  for (const std::int64_t in : {64, 192, 40, 33}) {
    CAPTURE(in);
    constexpr std::int64_t tokens = 2, out = 19;
    const std::int64_t n = out * in, blocks = nf4_blocks(n);
    const auto weights = values(n, 19);
    std::vector<std::uint8_t> packed(sized(nf4_bytes(n))), scales(sized(blocks));
    std::vector<float> absmax(sized(blocks)), groups(sized(nf4_groups(n))), plain(sized(n));
    nf4_quantize_cpu(packed.data(), absmax.data(), weights.data(), n);
    nf4_quantize_scales_cpu(scales.data(), groups.data(), absmax.data(), 0.9f, blocks);
    const Nf4View view = {packed.data(), scales.data(), groups.data(), 0.9f};
    nf4_dequantize_cpu(plain.data(), in, view, out, in);
    const auto x = values(tokens * in, 20);
    CHECK(same_bits(product(x, tokens, Frozen::of(view, out, in)),
                    product(x, tokens, Frozen::of(Stored::f32, plain.data(), out, in))));
    for (const FrozenTiles* tiles : all_tiles()) {
      std::vector<float> block(64), wanted(64);
      tiles->nf4_block(block.data(), packed.data(), nf4_levels.data(), 0.7f);
      for (std::size_t i = 0; i < 64; ++i)
        wanted[i] = nf4_levels[i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15] * 0.7f;
      CHECK(same_bits(block, wanted));
    }
  }
}

TEST_CASE("frozen tiles: AVX2 and AVX-512 give the same bits") {
  constexpr std::int64_t steps = 9, in = steps * step_values, rows = 6, keys = 43, dim = 76;
  const auto x = values(rows * in, 21), w = values(tile_columns * in, 22);
  std::vector<std::vector<float>> all;
  for (const FrozenTiles* tiles : all_tiles()) {
    const std::int64_t at_once = tiles->rows_at_once;
    std::vector<float> packed(x.size()), result;
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t i = 0; i < in; ++i)
        packed[sized(((r / at_once * steps + i / 8) * at_once + r % at_once) * 8 + i % 8)] =
            x[sized(r * in + i)];
    for (std::int64_t r = 0; r < rows; r += at_once) {
      std::vector<float> y(sized(at_once * tile_columns));
      tiles->product(y.data(), packed.data() + r * in, w.data(), in, steps, 1,
                     reinterpret_cast<const char*>(w.data()));
      result.insert(result.end(), y.begin(), y.end());
    }
    std::vector<float> row = values(48, 23, 9.0f);
    result.push_back(tiles->exponentials(row.data(), keys, 0.4f));
    result.insert(result.end(), row.begin(), row.end());
    for (std::size_t i = keys; i < row.size(); ++i) CHECK(row[i] == 0.0f);
    const auto p = values(7 * 48, 24), v = values(keys * dim, 25);
    std::vector<float> mixed(7 * dim), factors(7, 0.25f);
    std::vector<float*> to;
    for (std::int64_t r = 0; r < 7; ++r) to.push_back(mixed.data() + r * dim);
    tiles->mix(to.data(), p.data(), 48, factors.data(), 7, v.data(), keys, dim);
    for (std::int64_t r = 0; r < 7; ++r)
      for (std::int64_t d = 0; d < dim; ++d) {
        float sum = 0;
        for (std::int64_t k = 0; k < keys; ++k)
          sum = std::fma(p[sized(r * 48 + k)], v[sized(k * dim + d)], sum);
        REQUIRE(mixed[sized(r * dim + d)] == 0.25f * sum);
      }
    result.insert(result.end(), mixed.begin(), mixed.end());
    all.push_back(std::move(result));
  }
  for (const auto& one : all) CHECK(same_bits(one, all.front()));
}

namespace {
struct AttentionCase {
  std::int64_t rows, group, past, dim, window;
  float cap;
};
struct Attention {
  AttentionCase c;
  std::int64_t keys = c.past + c.rows, ld = c.group * c.dim + 3;
  std::vector<float> q = values(c.rows * ld, 31), k = values(keys * c.dim, 32, 2.0f),
                     v = values(keys * c.dim, 33);
  // Rows [first, first + count), as if they were all that there is.
  std::vector<float> run(std::int64_t first, std::int64_t count) const {
    std::vector<float> out(sized(count * ld), -5.0f), scratch;
    scratch.resize(sized(cached_attention_scratch(keys, c.dim)));
    const CachedHeads heads = {
        q.data() + first * ld, ld,    k.data(), v.data(), out.data(), ld, count, c.group,
        c.past + first,        c.dim, c.window, 0.3f,     c.cap};
    for (std::int64_t m = 0; m < heads.vectors(); m += vectors_at_once)
      cached_attention_cpu(heads, m, scratch.data());
    return out;
  }
  std::vector<double> wanted() const {
    std::vector<double> out(sized(c.rows * ld), -5.0);
    for (std::int64_t r = 0; r < c.rows; ++r)
      for (std::int64_t h = 0; h < c.group; ++h) {
        const std::int64_t seen = c.past + r + 1;
        const std::int64_t first = c.window == 0 ? 0 : std::max<std::int64_t>(0, seen - c.window);
        std::vector<double> p;
        for (std::int64_t key = first; key < seen; ++key) {
          double score = 0;
          for (std::int64_t d = 0; d < c.dim; ++d)
            score += at(q, r * ld + h * c.dim + d) * at(k, key * c.dim + d);
          score *= 0.3f;
          p.push_back(std::exp(c.cap > 0 ? c.cap * std::tanh(score / c.cap) : score));
        }
        double sum = 0;
        for (const double one : p) sum += one;
        for (std::int64_t d = 0; d < c.dim; ++d) {
          double mixed = 0;
          for (std::int64_t key = first; key < seen; ++key)
            mixed += p[sized(key - first)] / sum * at(v, key * c.dim + d);
          out[sized(r * ld + h * c.dim + d)] = mixed;
        }
      }
    return out;
  }
};
}  // namespace

TEST_CASE(
    "cached attention: equals its formula; a row alone has the bits that it has with others") {
  for (const AttentionCase& c : {AttentionCase{1, 1, 0, 8, 0, 0},
                                 {1, 3, 57, 64, 0, 0},
                                 {30, 3, 0, 64, 0, 0},
                                 {17, 1, 5, 20, 0, 0},
                                 {5, 50, 9, 16, 0, 0},
                                 {40, 2, 11, 24, 7, 0},
                                 {3, 2, 90, 24, 40, 0},
                                 {20, 2, 3, 12, 0, 5},
                                 {20, 4, 3, 128, 6, 5}}) {
    CAPTURE(c.rows);
    CAPTURE(c.group);
    CAPTURE(c.window);
    const Attention attention{c};
    const auto together = attention.run(0, c.rows);
    CHECK(error_of(together, attention.wanted()) < 3e-6);
    for (std::int64_t r = 0; r < c.rows; ++r) {
      const auto alone = attention.run(r, 1);
      const std::vector<float> row(together.begin() + r * attention.ld,
                                   together.begin() + (r + 1) * attention.ld);
      REQUIRE(same_bits(alone, row));
    }
  }
}
}  // namespace kairo::gpu
