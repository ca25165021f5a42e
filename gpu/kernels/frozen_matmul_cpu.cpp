// gpu/kernels/frozen_matmul_cpu.cpp - eight columns are decoded, then meet all rows.
#include <omp.h>

#include <algorithm>

#include "gpu/kernels/frozen_matmul.h"
#include "gpu/kernels/frozen_tiles.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t block_rows = 96;          // of x, which stay in a core's cache meanwhile
constexpr std::int64_t own_rows = 8;             // of x, which each thread packs for itself
constexpr std::int64_t worth_threads = 1 << 16;  // multiplications; below, waking them costs more

constexpr std::int64_t parts_of(std::int64_t all, std::int64_t most) {
  return (all + most - 1) / most;
}
// All of them in as few parts of at most `most` as can be, which are alike.
constexpr std::int64_t even_share(std::int64_t all, std::int64_t most) {
  return parts_of(all, parts_of(all, most));
}
// A column's stride: whole cache lines, of which stores write one each (across two they take half
// as long again), and no power of two, so that eight columns do not share the cache's sets.
constexpr std::int64_t column_stride(std::int64_t in) {
  return (steps_of(in) + 3) / 2 * 2 * step_values;
}
constexpr std::int64_t packed_rows(std::int64_t T) {
  return parts_of(std::min(T, block_rows), rows_at_once_max) * rows_at_once_max;
}

constexpr std::int64_t packed_values(std::int64_t T, std::int64_t in, int threads) {
  return (T <= own_rows ? threads : 1) * packed_rows(T) * steps_of(in) * step_values;
}

// Rows of x as products want them (frozen_tiles.h).
struct Packed {
  float* at;
  std::int64_t rows, width, at_once;
  std::int64_t groups() const { return parts_of(rows, at_once); }
  float* group(std::int64_t g) const { return at + g * at_once * width; }
  void fill(std::int64_t g, const float* x, std::int64_t ld_x, std::int64_t in) const {
    float* to = group(g);
    for (std::int64_t i = 0; i < in; i += step_values)
      for (std::int64_t r = g * at_once; r < (g + 1) * at_once; ++r, to += step_values) {
        const std::int64_t there = r < rows ? std::min(step_values, in - i) : 0;
        if (there > 0) std::copy_n(x + r * ld_x + i, there, to);
        std::fill(to + there, to + step_values, 0.0f);
      }
  }
};
// Rows [first, first + 8) of one matrix: y begins at its column `first`.
void strip(float* y, std::int64_t ld_y, const Packed& x, const Frozen& w, std::int64_t first,
           float* columns) {
  const FrozenTiles& tiles = frozen_tiles();
  const std::int64_t ld = column_stride(w.cols), count = std::min(tile_columns, w.rows - first);
  for (std::int64_t c = 0; c < tile_columns; ++c) {
    float* column = columns + c * ld;
    if (c < count) decode_row_cpu(column, w, first + c);
    std::fill(column + (c < count ? w.cols : 0), column + x.width, 0.0f);
  }
  const char* ahead = w.near(std::min(first + tile_columns, w.rows - 1));
  const std::int64_t groups = x.groups(), share = even_share(groups, groups_max);
  float tile[groups_max * rows_at_once_max * tile_columns];
  for (std::int64_t g = 0; g < groups; g += share) {
    const std::int64_t these = std::min(share, groups - g), row = g * x.at_once;
    tiles.product(tile, x.group(g), columns, ld, x.width / step_values, these, ahead);
    for (std::int64_t r = 0; r < std::min(these * x.at_once, x.rows - row); ++r)
      std::copy_n(tile + r * tile_columns, count, y + (row + r) * ld_y);
  }
}
}  // namespace

std::int64_t frozen_matmul_scratch(std::int64_t T, std::int64_t cols, int threads) {
  return packed_values(T, cols, threads) + threads * tile_columns * column_stride(cols);
}
void frozen_matmul_cpu(float* y, std::int64_t ld_y, const float* x, std::int64_t ld_x,
                       std::int64_t T, std::span<const Frozen> stacked, float* scratch,
                       int threads) {
  const std::int64_t in = stacked.front().cols, width = steps_of(in) * step_values;
  const std::int64_t at_once = frozen_tiles().rows_at_once;
  std::int64_t strips = 0, values = 0;
  for (const Frozen& w : stacked) {
    strips += parts_of(w.rows, tile_columns);
    values += w.rows * in;
  }
  const bool is_own = T <= own_rows;
  const std::int64_t chunk = std::max<std::int64_t>(1, strips / (8 * threads));
  float* const decoded = scratch + packed_values(T, in, threads);
#pragma omp parallel num_threads(threads) if (T * values >= worth_threads)
  for (std::int64_t begin = 0; begin < T; begin += block_rows) {
    const std::int64_t thread = omp_get_thread_num();
    const Packed packed = {scratch + (is_own ? thread * packed_rows(T) * width : 0),
                           std::min(block_rows, T - begin), width, at_once};
    if (is_own) {
      for (std::int64_t g = 0; g < packed.groups(); ++g) packed.fill(g, x, ld_x, in);
    } else {
#pragma omp for schedule(static)
      for (std::int64_t g = 0; g < packed.groups(); ++g) packed.fill(g, x + begin * ld_x, ld_x, in);
    }
    // A thread that has to wait for a core does not hold the others up.
#pragma omp for schedule(dynamic, chunk)
    for (std::int64_t i = 0; i < strips; ++i) {
      std::int64_t at = i, column = 0;
      std::size_t m = 0;
      for (; at >= parts_of(stacked[m].rows, tile_columns); ++m) {
        at -= parts_of(stacked[m].rows, tile_columns);
        column += stacked[m].rows;
      }
      const std::int64_t first = at * tile_columns;
      strip(y + begin * ld_y + column + first, ld_y, packed, stacked[m], first,
            decoded + thread * tile_columns * column_stride(in));
    }
  }
}
}  // namespace kairo::gpu
