// tests/gpu/kernels/nf4_test.cpp - NF4 codes, scales and values have exactly bitsandbytes' bytes.
#include "gpu/kernels/nf4.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
struct Quantised {
  std::vector<std::uint8_t> packed, scales;
  std::vector<float> absmax, group_scales;
};
Quantised quantise(const std::vector<float>& w, float offset) {
  const auto n = static_cast<std::int64_t>(w.size());
  Quantised q;
  q.packed.resize(static_cast<std::size_t>(nf4_bytes(n)));
  q.absmax.resize(static_cast<std::size_t>(nf4_blocks(n)));
  q.scales.resize(q.absmax.size());
  q.group_scales.resize(static_cast<std::size_t>(nf4_groups(n)));
  nf4_quantize_cpu(q.packed.data(), q.absmax.data(), w.data(), n);
  nf4_quantize_scales_cpu(q.scales.data(), q.group_scales.data(), q.absmax.data(), offset,
                          nf4_blocks(n));
  return q;
}
}  // namespace

TEST_CASE("codes, 8-bit scales and dequantised weights equal bitsandbytes'") {
  const test::Golden file("nf4.safetensors");
  const auto map = dynamic_map();
  CHECK(std::vector<float>(map.begin(), map.end()) == file.floats("map"));
  for (const std::string name : {"a", "odd", "many"}) {
    CAPTURE(name);
    const auto shape = file.shape(name + ".weight");
    const float offset = file.floats(name + ".offset")[0];
    const auto q = quantise(file.floats(name + ".weight"), offset);
    CHECK(q.packed == file.bytes(name + ".packed"));
    CHECK(q.scales == file.bytes(name + ".scales"));
    CHECK(q.group_scales == file.floats(name + ".group_scales"));
    std::vector<float> w(static_cast<std::size_t>(shape[0] * shape[1]));
    const Nf4View view{q.packed.data(), q.scales.data(), q.group_scales.data(), offset};
    nf4_dequantize_cpu(w.data(), shape[1], view, shape[0], shape[1]);
    CHECK(w == file.floats(name + ".dequantised"));
    // A wider stride leaves the columns behind the weights alone.
    const std::int64_t ld = shape[1] + 3;
    std::vector<float> wide(static_cast<std::size_t>(shape[0] * ld), -7.0f);
    nf4_dequantize_cpu(wide.data(), ld, view, shape[0], shape[1]);
    for (std::int64_t r = 0; r < shape[0]; ++r)
      for (std::int64_t c = 0; c < ld; ++c) {
        const float want = c < shape[1] ? w[static_cast<std::size_t>(r * shape[1] + c)] : -7.0f;
        REQUIRE(wide[static_cast<std::size_t>(r * ld + c)] == want);
      }
  }
}

TEST_CASE("awkward sizes: one weight, odd counts, a block's edge and one beyond, one column") {
  for (const std::int64_t n : {1, 2, 3, 63, 64, 65, 127, 128, 129, 64 * 256, 64 * 256 + 1}) {
    CAPTURE(n);
    std::vector<float> w(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = std::sin(static_cast<float>(i) * 0.7f);
    const auto q = quantise(w, 0.5f);
    const Nf4View view{q.packed.data(), q.scales.data(), q.group_scales.data(), 0.5f};
    std::vector<float> row(w.size()), column(w.size());
    nf4_dequantize_cpu(row.data(), n, view, 1, n);
    nf4_dequantize_cpu(column.data(), 1, view, n, 1);
    CHECK(row == column);
    // Half the widest gap between levels (0.30) times the scale, plus the scale's own error (1 %).
    for (std::size_t i = 0; i < w.size(); ++i) REQUIRE(std::fabs(row[i] - w[i]) <= 0.165f);
  }
}

TEST_CASE("zero blocks, extremes and ties have defined codes") {
  std::vector<float> w(64, 0.0f);
  auto q = quantise(w, 0.0f);
  CHECK(q.absmax[0] == 0.0f);
  CHECK(q.packed[0] == 0x77);  // level 7 is zero
  w[0] = -2.0f;
  w[1] = 2.0f;
  q = quantise(w, 0.0f);
  CHECK(q.absmax[0] == 2.0f);
  CHECK(q.packed[0] == 0x0f);
  // Exactly between two levels goes to the lower one.
  w[2] = 2.0f * ((nf4_levels[14] + nf4_levels[15]) / 2);
  w[3] = std::nextafter(w[2], 3.0f);
  q = quantise(w, 0.0f);
  CHECK(q.packed[1] == 0xef);
}
}  // namespace kairo::gpu
