// gpu/kernels/skinny_matmul_cpu.cpp - register tiles of dot products.
//
// Up to four rows are bound by memory: one weight row after the other, for one stream of reads has
// twice the bandwidth of three. More rows are bound by arithmetic: tiles of four rows and three
// weight rows, and the strip of weights that comes next is fetched meanwhile, in its order in
// memory.
#include <algorithm>
#include <cstring>

#include "gpu/kernels/skinny_matmul.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t lanes = 8, rows_at_once = 4, strip_columns = 12;
constexpr std::int64_t line_floats = 16;                                // of a cache line
using Vec = float __attribute__((vector_size(lanes * sizeof(float))));  // one AVX register

Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// y[r][c] = x[r] . w[c] for R rows of x and C of w: R * C sums, C weights and one x fill the 16
// registers. Each sum has the same order of additions whatever R and C are: among at most 16 rows,
// who else is in the batch does not change an answer's bits (more rows go through gemm, which
// chooses its order by their number). `ahead`: what to fetch, a line per turn; it moves on.
template <int R, int C>
void tile(float* y, const float* x, const float* w, const float*& ahead, const SkinnyShape& s) {
  Vec sums[R][C] = {};
  std::int64_t i = 0;
  for (; i + lanes <= s.in; i += lanes) {
    if constexpr (C > 1) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += line_floats;
    }
    Vec weights[C];
    for (int c = 0; c < C; ++c) weights[c] = load(w + c * s.ld_w + i);
    for (int r = 0; r < R; ++r) {
      const Vec value = load(x + r * s.ld_x + i);
      for (int c = 0; c < C; ++c) sums[r][c] += value * weights[c];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) {
      float sum = 0;
      for (std::int64_t lane = 0; lane < lanes; ++lane) sum += sums[r][c][lane];
      for (std::int64_t j = i; j < s.in; ++j) sum += x[r * s.ld_x + j] * w[c * s.ld_w + j];
      y[r * s.ld_y + c] = sum;
    }
}

template <int R>
void rows(float* y, const float* x, const float* w, std::int64_t columns, const float*& ahead,
          const SkinnyShape& s) {
  std::int64_t c = 0;
  if (s.T > rows_at_once)
    for (; c + 3 <= columns; c += 3) tile<R, 3>(y + c, x, w + c * s.ld_w, ahead, s);
  for (; c < columns; ++c) tile<R, 1>(y + c, x, w + c * s.ld_w, ahead, s);
}
constexpr decltype(&rows<1>) rows_of[rows_at_once] = {rows<1>, rows<2>, rows<3>, rows<4>};
}  // namespace

void skinny_matmul_cpu(float* y, const float* x, const float* w, SkinnyShape s) {
  const std::int64_t strips = (s.out + strip_columns - 1) / strip_columns;
#pragma omp parallel for schedule(static)
  for (std::int64_t strip = 0; strip < strips; ++strip) {
    const std::int64_t begin = strip * strip_columns;
    const std::int64_t columns = std::min(strip_columns, s.out - begin);
    const float* weights = w + begin * s.ld_w;
    const float* ahead = weights + columns * s.ld_w;  // a prefetch past the end does nothing
    for (std::int64_t t = 0; t < s.T; t += rows_at_once)
      rows_of[std::min(s.T - t, rows_at_once) - 1](y + t * s.ld_y + begin, x + t * s.ld_x, weights,
                                                   columns, ahead, s);
  }
}
}  // namespace kairo::gpu
