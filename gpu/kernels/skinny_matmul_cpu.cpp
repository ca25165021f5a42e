// gpu/kernels/skinny_matmul_cpu.cpp - register tiles of dot products: a weight is loaded once for
// up to four rows, a row's value once for three or four weights.
#include <algorithm>
#include <cstring>

#include "gpu/kernels/skinny_matmul.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t lanes = 8;
using Vec = float __attribute__((vector_size(lanes * sizeof(float))));  // one AVX register
constexpr std::int64_t columns_at_once = 12;  // of y, by one thread; 3 and 4 divide it

Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// R rows of x against C rows of w. R * C sums, C weights and one x fill the 16 registers. Each sum
// has the same order of additions whatever R and C are: a batch does not change its answers.
template <int R, int C>
void dot_tile(float* y, const float* x, const float* w, const SkinnyShape& s) {
  Vec sums[R][C] = {};
  std::int64_t i = 0;
  for (; i + lanes <= s.in; i += lanes) {
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
void dot_rows(float* y, const float* x, const float* w, std::int64_t columns,
              const SkinnyShape& s) {
  constexpr int C = R <= 2 ? 4 : 3;
  std::int64_t c = 0;
  for (; c + C <= columns; c += C) dot_tile<R, C>(y + c, x, w + c * s.ld_w, s);
  for (; c < columns; ++c) dot_tile<R, 1>(y + c, x, w + c * s.ld_w, s);
}
}  // namespace

void skinny_matmul_cpu(float* y, const float* x, const float* w, SkinnyShape s) {
  const std::int64_t strips = (s.out + columns_at_once - 1) / columns_at_once;
#pragma omp parallel for schedule(static)
  for (std::int64_t strip = 0; strip < strips; ++strip) {
    const std::int64_t begin = strip * columns_at_once;
    const std::int64_t columns = std::min(columns_at_once, s.out - begin);
    const float* weights = w + begin * s.ld_w;
    for (std::int64_t t = 0; t < s.T; t += 4) {
      float* to = y + t * s.ld_y + begin;
      const float* from = x + t * s.ld_x;
      switch (std::min<std::int64_t>(s.T - t, 4)) {
        case 1:
          dot_rows<1>(to, from, weights, columns, s);
          break;
        case 2:
          dot_rows<2>(to, from, weights, columns, s);
          break;
        case 3:
          dot_rows<3>(to, from, weights, columns, s);
          break;
        default:
          dot_rows<4>(to, from, weights, columns, s);
      }
    }
  }
}
}  // namespace kairo::gpu
