// gpu/kernels/frozen_tiles.h - the inner loops of serving, once for AVX2 and once for AVX-512, with
// equal bits. Private to gpu/kernels.
#pragma once
#include <cstddef>
#include <cstdint>

#include "gpu/formats/stored.h"

namespace kairo::gpu {
// Values go in steps of eight, and columns, which are the rows of a weight, in tiles of eight. Rows
// of x lie in groups of `rows_at_once`, a group's rows side by side in each step:
// (groups, steps, rows_at_once, 8).
constexpr std::int64_t step_values = 8, tile_columns = 8, groups_max = 3, rows_at_once_max = 2;
constexpr std::int64_t steps_of(std::int64_t values) {
  return (values + step_values - 1) / step_values;
}
// The order of every sum is part of the contract, so that neither the batch nor the CPU changes an
// answer's bits.
struct FrozenTiles {
  std::int64_t rows_at_once;
  // y[r][c] = x[r] . w[c] for the rows of at most groups_max groups and eight columns: eight
  // partial sums over i mod 8, each in the order of i by fused multiply-adds, then added up, first
  // to last.
  //   y: (groups * rows_at_once, 8); w: (8, steps * 8), stride ld_w. ahead: what comes next in
  //   memory, fetched meanwhile, a cache line a step.
  void (*product)(float* y, const float* x, const float* w, std::int64_t ld_w, std::int64_t steps,
                  std::int64_t groups, const char* ahead);
  // row[k] = exp(scale * (row[k] - maximum)) for k in [0, steps * 8), of which the first `keys`
  // count and the others become 0. Returns the sum, in the order of product's.
  float (*exponentials)(float* row, std::int64_t keys, float scale);
  // out[d] of row r = factor[r] * sum over k of p[r][k] v[k][d], in the order of k by fused
  // multiply-adds.   p: stride ld_p; v: (keys, dim), dense; out: (rows), where each begins.
  void (*mix)(float* const* out, const float* p, std::int64_t ld_p, const float* factor,
              std::int64_t rows, const float* v, std::int64_t keys, std::int64_t dim);
  // Whole blocks to their values: the bits of dequantise_blocks.
  void (*decode)(Stored kind, float* to, const std::byte* from, std::int64_t values);
  // levels[code] * scale of the 64 codes of a block (nf4.h).
  void (*nf4_block)(float* to, const std::uint8_t* packed, const float* levels, float scale);
};
extern const FrozenTiles tiles_avx2, tiles_avx512;
// What this CPU can run.
const FrozenTiles& frozen_tiles();
bool has_avx512();
}  // namespace kairo::gpu
