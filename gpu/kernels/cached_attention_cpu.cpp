// gpu/kernels/cached_attention_cpu.cpp - scores, softmax and mixture in tiles of fixed order.
#include <algorithm>
#include <array>

#include "gpu/kernels/cached_attention.h"
#include "gpu/kernels/cross_entropy.h"
#include "gpu/kernels/frozen_tiles.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t whole_steps(std::int64_t values) {
  return steps_of(values) * step_values;
}
}  // namespace

std::int64_t cached_attention_scratch(std::int64_t keys, std::int64_t dim) {
  return vectors_at_once * (whole_steps(keys) + whole_steps(dim)) +
         tile_columns * (whole_steps(dim) + groups_max * 2);
}

void cached_attention_cpu(const CachedHeads& h, std::int64_t begin, float* scratch) {
  const FrozenTiles& tiles = frozen_tiles();
  const std::int64_t count = std::min(vectors_at_once, h.vectors() - begin);
  const auto row_of = [&](std::int64_t m) { return (begin + m) / h.group; };
  const auto head_of = [&](std::int64_t m) { return (begin + m) % h.group; };
  const auto first_of = [&](std::int64_t m) {  // the first key that a vector sees
    const std::int64_t seen = h.past + row_of(m) + 1;
    return h.window == 0 ? 0 : std::max<std::int64_t>(0, seen - h.window);
  };
  const std::int64_t first = first_of(0), keys = h.past + row_of(count - 1) + 1 - first;
  const std::int64_t steps = steps_of(h.dim), width = steps * step_values, ld = whole_steps(keys);
  float* const queries = scratch;  // packed as products want them
  float* const scores = queries + vectors_at_once * width;
  float* const padded = scores + vectors_at_once * ld;  // keys whose tile is not whole
  float* const tile = padded + tile_columns * width;
  const float *k = h.k + first * h.dim, *v = h.v + first * h.dim;

  const std::int64_t at_once = tiles.rows_at_once, groups = (count + at_once - 1) / at_once;
  for (std::int64_t m = 0; m < groups * at_once; ++m)
    for (std::int64_t s = 0; s < steps; ++s) {
      float* to = queries + ((m / at_once * steps + s) * at_once + m % at_once) * step_values;
      const std::int64_t there = m < count ? std::min(step_values, h.dim - s * step_values) : 0;
      if (there > 0)
        std::copy_n(h.q + row_of(m) * h.ld_q + head_of(m) * h.dim + s * step_values, there, to);
      std::fill(to + there, to + step_values, 0.0f);
    }
  for (std::int64_t key = 0; key < keys; key += tile_columns) {
    const std::int64_t here = std::min(tile_columns, keys - key);
    const float* columns = k + key * h.dim;
    if (here < tile_columns || width != h.dim) {
      std::fill_n(padded, tile_columns * width, 0.0f);
      for (std::int64_t c = 0; c < here; ++c)
        std::copy_n(columns + c * h.dim, h.dim, padded + c * width);
      columns = padded;
    }
    for (std::int64_t g = 0; g < groups; g += groups_max) {
      const std::int64_t these = std::min(groups_max, groups - g);
      tiles.product(tile, queries + g * steps * at_once * step_values, columns, width, steps, these,
                    reinterpret_cast<const char*>(columns + tile_columns * width));
      for (std::int64_t m = g * at_once; m < std::min((g + these) * at_once, count); ++m)
        std::copy_n(tile + (m - g * at_once) * tile_columns, tile_columns, scores + m * ld + key);
    }
  }

  std::array<float, vectors_at_once> factors{};
  std::array<float*, vectors_at_once> out{};
  for (std::int64_t m = 0; m < count; ++m) {
    float* const row = scores + m * ld;
    const std::int64_t hidden = first_of(m) - first, seen = h.past + row_of(m) + 1 - first;
    // A row's sums begin at its own first key, wherever the others begin.
    if (hidden > 0) std::copy(row + hidden, row + seen, row);
    if (h.cap > 0) {
      for (std::int64_t i = 0; i < seen - hidden; ++i) row[i] *= h.scale;
      softcap_cpu(row, whole_steps(seen - hidden), h.cap);
    }
    const float sum = tiles.exponentials(row, seen - hidden, h.cap > 0 ? 1.0f : h.scale);
    if (hidden > 0) {
      std::copy_backward(row, row + seen - hidden, row + seen);
      std::fill_n(row, hidden, 0.0f);
    }
    std::fill(row + seen, row + ld, 0.0f);
    const auto at = static_cast<std::size_t>(m);
    factors[at] = 1.0f / sum;
    out[at] = h.out + row_of(m) * h.ld_out + head_of(m) * h.dim;
  }
  tiles.mix(out.data(), scores, ld, factors.data(), count, v, keys, h.dim);
}
}  // namespace kairo::gpu
