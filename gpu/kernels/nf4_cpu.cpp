// gpu/kernels/nf4_cpu.cpp - the definition of NF4: thresholds, packing, 8-bit scales.
// Compiled without FMA contraction: every rounding below is part of the format.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "gpu/kernels/bf16.h"
#include "gpu/kernels/frozen_tiles.h"
#include "gpu/kernels/nf4.h"

namespace kairo::gpu {
namespace {
constexpr std::array<std::uint32_t, 16> level_bits = {
    0xbf800000, 0xbf3239b1, 0xbf066b30, 0xbeca32a0, 0xbe91a24d, 0xbe3d353f, 0xbdba7871, 0x00000000,
    0x3da2faff, 0x3e24cae3, 0x3e7c04dd, 0x3ead033a, 0x3ee1a4b8, 0x3f1007ab, 0x3f3913b3, 0x3f800000};
constexpr int lut_size = 65536;

std::array<float, 16> make_levels() {
  std::array<float, 16> levels{};
  for (std::size_t i = 0; i < 16; ++i) levels[i] = std::bit_cast<float>(level_bits[i]);
  return levels;
}
std::array<float, 15> midpoints() {
  std::array<float, 15> t{};
  for (std::size_t i = 0; i < 15; ++i) t[i] = (nf4_levels[i] + nf4_levels[i + 1]) / 2;
  return t;
}
// torch.linspace in fp32: from both ends towards the middle, with fused multiply-adds.
std::vector<float> linspace(float start, float end, int steps) {
  std::vector<float> out(static_cast<std::size_t>(steps));
  const float step = (end - start) / static_cast<float>(steps - 1);
  for (int i = 0; i < steps; ++i)
    out[static_cast<std::size_t>(i)] =
        i < steps / 2 ? std::fma(step, static_cast<float>(i), start)
                      : std::fma(-step, static_cast<float>(steps - 1 - i), end);
  return out;
}
// The nearest code of 65,536 evenly spaced points in [-1, 1]: bitsandbytes looks codes up in such a
// table, so its rounding is that of the table, not of the value.
std::vector<std::uint8_t> make_scale_lut() {
  const auto map = dynamic_map();
  std::vector<std::uint8_t> lut(lut_size);
  std::size_t code = 0;
  for (int i = 0; i < lut_size; ++i) {
    const float x = static_cast<float>(i) / 65535.0f * 2.0f - 1.0f;
    while (code < 255 && x > (map[code] + map[code + 1]) / 2) ++code;
    lut[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(code);
  }
  return lut;
}
void quantize_block(std::uint8_t* codes, float* absmax, const float* w, std::int64_t n,
                    const std::array<float, 15>& thresholds) {
  float max = 0;
  for (std::int64_t i = 0; i < n; ++i) max = std::max(max, std::fabs(w[i]));
  const bool whole = n == nf4_block;  // a short last block divides and stores the clamped scale
  const float clamped = std::max(max, 1e-38f);
  const float inverse = 1.0f / clamped;
  *absmax = whole ? max : clamped;
  for (std::int64_t i = 0; i < n; ++i) {
    const float x = std::clamp(whole ? w[i] * inverse : w[i] / clamped, -1.0f, 1.0f);
    int code = 0;
    for (const float t : thresholds) code += x > t ? 1 : 0;
    codes[i] = static_cast<std::uint8_t>(code);
  }
}
}  // namespace

const std::array<float, 16> nf4_levels = make_levels();

std::array<float, 256> dynamic_map() {
  std::vector<float> values = {0.0f, 1.0f};
  for (int i = 0; i < 7; ++i) {
    const auto edges = linspace(0.1f, 1.0f, (1 << i) + 1);
    const auto scale = static_cast<float>(std::pow(10.0, i - 6));
    for (std::size_t k = 0; k + 1 < edges.size(); ++k) {
      const float mean = (edges[k] + edges[k + 1]) / 2.0f;
      values.push_back(scale * mean);
      values.push_back(-scale * mean);
    }
  }
  std::sort(values.begin(), values.end());
  std::array<float, 256> map{};
  std::copy(values.begin(), values.end(), map.begin());
  return map;
}

void nf4_quantize_cpu(std::uint8_t* packed, float* absmax, const float* w, std::int64_t n) {
  const auto thresholds = midpoints();
  const std::int64_t blocks = nf4_blocks(n);
#pragma omp parallel for schedule(static)
  for (std::int64_t b = 0; b < blocks; ++b) {
    std::array<std::uint8_t, nf4_block + 1> codes;
    codes.fill(7);  // an odd count is padded with zero
    const std::int64_t begin = b * nf4_block, count = std::min(nf4_block, n - begin);
    quantize_block(codes.data(), absmax + b, w + begin, count, thresholds);
    for (std::int64_t i = 0; i < count; i += 2) {
      const auto k = static_cast<std::size_t>(i);
      packed[(begin + i) / 2] = static_cast<std::uint8_t>(codes[k] << 4 | codes[k + 1]);
    }
  }
}

void nf4_quantize_scales_cpu(std::uint8_t* scales, float* group_scales, const float* absmax,
                             float offset, std::int64_t blocks) {
  const auto lut = make_scale_lut();
  for (std::int64_t begin = 0; begin < blocks; begin += nf4_group) {
    const std::int64_t end = std::min(begin + nf4_group, blocks);
    float max = 0;
    for (std::int64_t i = begin; i < end; ++i) max = std::max(max, std::fabs(absmax[i] - offset));
    group_scales[begin / nf4_group] = max;
    const float inverse = max > 0 ? 1.0f / max : 0.0f;
    for (std::int64_t i = begin; i < end; ++i) {
      const float x = std::clamp((absmax[i] - offset) * inverse, -1.0f, 1.0f);
      // bitsandbytes rounds like this; NOLINTNEXTLINE(bugprone-incorrect-roundings)
      scales[i] = lut[static_cast<std::size_t>((x + 1.0f) * 32767.5f + 0.5f)];
    }
  }
}

namespace {
struct Tables {
  std::array<float, 256> map = dynamic_map();
  std::array<std::array<float, 2>, 256> pairs{};  // both levels of a byte
  Tables() {
    for (std::size_t i = 0; i < 256; ++i) pairs[i] = {nf4_levels[i >> 4], nf4_levels[i & 15]};
  }
};
const Tables& tables() {
  static const Tables made;
  return made;
}
float scale_of(const Tables& t, const Nf4View& w, std::int64_t block) {
  return t.map[w.scales[block]] * w.group_scales[block / nf4_group] + w.offset;
}
// as(x): the weight x in the type that is written.
template <class Out, class As>
void dequantize_run(Out* out, const Tables& t, const Nf4View& w, std::int64_t first,
                    std::int64_t count, const As& as) {
  std::int64_t c = 0;
  while (c < count) {
    const std::int64_t flat = first + c, block = flat / nf4_block;
    const std::int64_t end = std::min(count, c + (block + 1) * nf4_block - flat);
    const float scale = scale_of(t, w, block);
    std::int64_t at = flat;
    if (at % 2 != 0) {
      out[c++] = as(t.pairs[w.packed[at / 2]][1] * scale);
      ++at;
    }
    for (; c + 1 < end; c += 2, at += 2) {
      const auto& pair = t.pairs[w.packed[at / 2]];
      out[c] = as(pair[0] * scale);
      out[c + 1] = as(pair[1] * scale);
    }
    if (c < end) out[c++] = as(t.pairs[w.packed[at / 2]][0] * scale);
  }
}
template <class Out, class As>
void dequantize(Out* out, std::int64_t ld, const Nf4View& w, std::int64_t rows, std::int64_t cols,
                const As& as) {
  const Tables& t = tables();
#pragma omp parallel for schedule(static)
  for (std::int64_t r = 0; r < rows; ++r) dequantize_run(out + r * ld, t, w, r * cols, cols, as);
}
}  // namespace

void nf4_dequantize_run_cpu(float* out, const Nf4View& w, std::int64_t first, std::int64_t count) {
  const Tables& t = tables();
  if (first % nf4_block != 0 || count % nf4_block != 0)
    return dequantize_run(out, t, w, first, count, [](float x) { return x; });
  const FrozenTiles& tiles = frozen_tiles();
  for (std::int64_t at = first; at < first + count; at += nf4_block)
    tiles.nf4_block(out + (at - first), w.packed + at / 2, nf4_levels.data(),
                    scale_of(t, w, at / nf4_block));
}
void nf4_dequantize_cpu(float* out, std::int64_t ld, const Nf4View& w, std::int64_t rows,
                        std::int64_t cols) {
  dequantize(out, ld, w, rows, cols, [](float x) { return x; });
}
void nf4_dequantize_bf16_cpu(std::uint16_t* out, std::int64_t ld, const Nf4View& w,
                             std::int64_t rows, std::int64_t cols) {
  dequantize(out, ld, w, rows, cols, bf16_of_float);
}
}  // namespace kairo::gpu
