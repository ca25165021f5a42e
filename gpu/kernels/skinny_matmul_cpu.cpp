// gpu/kernels/skinny_matmul_cpu.cpp - dot products, four at a time so that adds overlap.
#include "gpu/kernels/skinny_matmul.h"

namespace kairo::gpu {
namespace {
// One row of x against four rows of w.
void dot_1x4(float* y, const float* x, const float* w, std::int64_t in, std::int64_t ld_w) {
  const float *w0 = w, *w1 = w + ld_w, *w2 = w + 2 * ld_w, *w3 = w + 3 * ld_w;
  float a = 0, b = 0, c = 0, d = 0;
#pragma omp simd reduction(+ : a, b, c, d)
  for (std::int64_t i = 0; i < in; ++i) {
    a += x[i] * w0[i];
    b += x[i] * w1[i];
    c += x[i] * w2[i];
    d += x[i] * w3[i];
  }
  y[0] = a;
  y[1] = b;
  y[2] = c;
  y[3] = d;
}
// Four rows of x against one row of w.
void dot_4x1(float* y, std::int64_t ld_y, const float* x, std::int64_t ld_x, const float* w,
             std::int64_t in) {
  const float *x0 = x, *x1 = x + ld_x, *x2 = x + 2 * ld_x, *x3 = x + 3 * ld_x;
  float a = 0, b = 0, c = 0, d = 0;
#pragma omp simd reduction(+ : a, b, c, d)
  for (std::int64_t i = 0; i < in; ++i) {
    a += x0[i] * w[i];
    b += x1[i] * w[i];
    c += x2[i] * w[i];
    d += x3[i] * w[i];
  }
  y[0] = a;
  y[ld_y] = b;
  y[2 * ld_y] = c;
  y[3 * ld_y] = d;
}
float dot(const float* x, const float* w, std::int64_t in) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < in; ++i) sum += x[i] * w[i];
  return sum;
}
}  // namespace

void skinny_matmul_cpu(float* y, const float* x, const float* w, SkinnyShape s) {
  const std::int64_t tiles = (s.out + 3) / 4;
#pragma omp parallel for schedule(static)
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t begin = tile * 4, count = s.out - begin < 4 ? s.out - begin : 4;
    std::int64_t t = 0;
    for (; t + 4 <= s.T; t += 4)
      for (std::int64_t o = begin; o < begin + count; ++o)
        dot_4x1(y + t * s.ld_y + o, s.ld_y, x + t * s.ld_x, s.ld_x, w + o * s.ld_w, s.in);
    for (; t < s.T; ++t) {
      if (count == 4) {
        dot_1x4(y + t * s.ld_y + begin, x + t * s.ld_x, w + begin * s.ld_w, s.in, s.ld_w);
        continue;
      }
      for (std::int64_t o = begin; o < begin + count; ++o)
        y[t * s.ld_y + o] = dot(x + t * s.ld_x, w + o * s.ld_w, s.in);
    }
  }
}
}  // namespace kairo::gpu
