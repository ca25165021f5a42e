// gpu/kernels/frozen_matmul_cpu.cpp - eight columns are decoded, then meet all rows.
#include <omp.h>

#include <algorithm>

#include "gpu/kernels/frozen_matmul.h"
#include "gpu/kernels/frozen_tiles.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t block_rows = 96;          // of x, which stay in a core's cache meanwhile
constexpr std::int64_t worth_threads = 1 << 16;  // multiplications; below, waking them costs more
// A column's stride: not a power of two, so that eight do not share the cache's sets.
std::int64_t column_stride(std::int64_t in) {
  return steps_of(in) * step_values + 2 * step_values;
}
std::int64_t packed_rows(std::int64_t T) {
  return (std::min(T, block_rows) + 1) / 2 * 2;
}
}  // namespace

void decode_row_cpu(float* to, const Frozen& from, std::int64_t r) {
  if (from.nf4) return nf4_dequantize_run_cpu(to, *from.nf4, r * from.cols, from.cols);
  frozen_tiles().decode(from.kind, to, from.data + r * from.row_bytes(), from.cols);
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512cd");
}
const FrozenTiles& frozen_tiles() {
  static const FrozenTiles& tiles = has_avx512() ? tiles_avx512 : tiles_avx2;
  return tiles;
}
namespace {
// All of them in as few parts of at most `most` as can be, which are alike.
std::int64_t even_share(std::int64_t all, std::int64_t most) {
  const std::int64_t parts = (all + most - 1) / most;
  return (all + parts - 1) / parts;
}
// A group of x's rows, of which `rows` are there, side by side.
void pack_group(float* to, const float* x, std::int64_t ld_x, std::int64_t rows, std::int64_t in,
                std::int64_t rows_at_once) {
  for (std::int64_t s = 0; s < steps_of(in); ++s)
    for (std::int64_t r = 0; r < rows_at_once; ++r, to += step_values) {
      const std::int64_t begin = s * step_values;
      const std::int64_t there = r < rows ? std::min(step_values, in - begin) : 0;
      std::copy_n(x + (there > 0 ? r * ld_x + begin : 0), there, to);
      std::fill(to + there, to + step_values, 0.0f);
    }
}

}  // namespace

std::int64_t frozen_matmul_scratch(std::int64_t T, std::int64_t cols, int threads) {
  return packed_rows(T) * steps_of(cols) * step_values +
         threads * tile_columns * column_stride(cols);
}
void frozen_matmul_cpu(float* y, std::int64_t ld_y, const float* x, std::int64_t ld_x,
                       std::int64_t T, const Frozen& w, float* scratch, int threads) {
  const FrozenTiles& tiles = frozen_tiles();
  const std::int64_t at_once = tiles.rows_at_once, steps = steps_of(w.cols);
  const std::int64_t width = steps * step_values, ld_w = column_stride(w.cols);
  const std::int64_t strips = (w.rows + tile_columns - 1) / tile_columns;
  float *packed = scratch, *decoded = scratch + packed_rows(T) * width;
  const bool is_large = T * w.rows * w.cols >= worth_threads;
#pragma omp parallel num_threads(threads) if (is_large)
  for (std::int64_t begin = 0; begin < T; begin += block_rows) {
    const std::int64_t rows = std::min(block_rows, T - begin);
    const std::int64_t groups = (rows + at_once - 1) / at_once;
    const std::int64_t tile_groups = even_share(groups, groups_max);
#pragma omp for schedule(static)
    for (std::int64_t g = 0; g < groups; ++g)
      pack_group(packed + g * at_once * width, x + (begin + g * at_once) * ld_x, ld_x,
                 rows - g * at_once, w.cols, at_once);
    float* columns = decoded + omp_get_thread_num() * tile_columns * ld_w;
#pragma omp for schedule(static)
    for (std::int64_t strip = 0; strip < strips; ++strip) {
      const std::int64_t first = strip * tile_columns;
      const std::int64_t count = std::min(tile_columns, w.rows - first);
      for (std::int64_t c = 0; c < tile_columns; ++c) {
        float* column = columns + c * ld_w;
        if (c < count) decode_row_cpu(column, w, first + c);
        std::fill(column + (c < count ? w.cols : 0), column + width, 0.0f);
      }
      const char* ahead = w.near(std::min(first + tile_columns, w.rows - 1));
      float tile[groups_max * rows_at_once_max * tile_columns];
      for (std::int64_t g = 0; g < groups; g += tile_groups) {
        const std::int64_t these = std::min(tile_groups, groups - g), row = g * at_once;
        tiles.product(tile, packed + row * width, columns, ld_w, steps, these, ahead);
        for (std::int64_t r = 0; r < std::min(these * at_once, rows - row); ++r)
          std::copy_n(tile + r * tile_columns, count, y + (begin + row + r) * ld_y + first);
      }
    }
  }
}
}  // namespace kairo::gpu
