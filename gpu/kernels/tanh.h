// gpu/kernels/tanh.h - tanh(x) in fp32 as straight-line code that compilers vectorise.
#pragma once
#include "gpu/kernels/exp.h"

namespace kairo::gpu {
// Relative error below 4e-7. Near 0 an odd polynomial of degree 11, else 1 - 2 / (exp(2 |x|) + 1).
inline float tanh_f32(float x) {
  const float size = x < 0 ? -x : x, square = x * x;
  float p = -5.70498872745e-3f;
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const float near = x + x * square * p;
  const float far = 1.0f - 2.0f / (exp_f32(2.0f * size) + 1.0f);
  return size < 0.625f ? near : x < 0 ? -far : far;
}
// cap tanh(x / cap), and its slope.
inline float softcap_f32(float x, float cap) {
  return cap * tanh_f32(x / cap);
}
inline float softcap_slope_f32(float capped, float cap) {
  const float t = capped / cap;
  return 1.0f - t * t;
}
}  // namespace kairo::gpu
