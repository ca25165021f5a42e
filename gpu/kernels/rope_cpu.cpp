// gpu/kernels/rope_cpu.cpp - the definition: (a, b) -> (a cos - b sin, b cos + a sin).
#include "gpu/kernels/rope.h"

namespace kairo::gpu {
void rope_cpu(float* x, const float* cos, const float* sin, const std::int32_t* position,
              RopeShape s, bool inverse) {
  const std::int64_t half = s.rotary / 2;
  const float sign = inverse ? -1.0f : 1.0f;
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < s.T; ++t) {
    const float *c = cos + position[t] * half, *n = sin + position[t] * half;
    for (std::int64_t h = 0; h < s.heads; ++h) {
      float *a = x + t * s.ld + h * s.dim, *b = a + half;
#pragma omp simd
      for (std::int64_t i = 0; i < half; ++i) {
        const float first = a[i], second = b[i], turn = sign * n[i];
        a[i] = first * c[i] - second * turn;
        b[i] = second * c[i] + first * turn;
      }
    }
  }
}
}  // namespace kairo::gpu
