// gpu/kernels/rmsnorm_cpu.cpp - the definition: one pass for the scale, one for the values.
#include <cmath>

#include "gpu/kernels/bf16.h"
#include "gpu/kernels/rmsnorm.h"
#include "gpu/kernels/wide.h"

namespace kairo::gpu {
namespace {
KAIRO_WIDE float norm_row_bf16(std::uint16_t* out, const float* x, const float* weight,
                               std::int64_t C, float eps) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t c = 0; c < C; ++c) sum += x[c] * x[c];
  const float scale = 1.0f / std::sqrt(sum / static_cast<float>(C) + eps);
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) out[c] = bf16_of_float(x[c] * scale * weight[c]);
  return scale;
}
}  // namespace

void rmsnorm_cpu(float* out, std::int64_t ld_out, float* inverse, const float* x, std::int64_t ld_x,
                 const float* weight, NormShape s, float eps) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < s.T * s.groups; ++i) {
    const std::int64_t t = i / s.groups, first = i % s.groups * s.C;
    const float* in = x + t * ld_x + first;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < s.C; ++c) sum += in[c] * in[c];
    const float scale = 1.0f / std::sqrt(sum / static_cast<float>(s.C) + eps);
    inverse[i] = scale;
    float* o = out + t * ld_out + first;
#pragma omp simd
    for (std::int64_t c = 0; c < s.C; ++c) o[c] = in[c] * scale * weight[c];
  }
}

void rmsnorm_bf16_cpu(std::uint16_t* out, std::int64_t ld_out, float* inverse, const float* x,
                      std::int64_t ld_x, const float* weight, NormShape s, float eps) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < s.T * s.groups; ++i) {
    const std::int64_t t = i / s.groups, first = i % s.groups * s.C;
    inverse[i] = norm_row_bf16(out + t * ld_out + first, x + t * ld_x + first, weight, s.C, eps);
  }
}

// With u = dout * weight and n = x * inverse: dx = inverse * (u - n * mean(u * n)).
void rmsnorm_backward_cpu(float* dx, std::int64_t ld_dx, const float* dout, std::int64_t ld_dout,
                          const float* x, std::int64_t ld_x, const float* inverse,
                          const float* weight, NormShape s, bool add) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < s.T * s.groups; ++i) {
    const std::int64_t t = i / s.groups, first = i % s.groups * s.C;
    const float *in = x + t * ld_x + first, *g = dout + t * ld_dout + first;
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (std::int64_t c = 0; c < s.C; ++c) dot += g[c] * weight[c] * in[c];
    const float scale = inverse[i];
    const float shrink = dot * scale * scale / static_cast<float>(s.C);
    float* o = dx + t * ld_dx + first;
    if (add) {
#pragma omp simd
      for (std::int64_t c = 0; c < s.C; ++c) o[c] += scale * (g[c] * weight[c] - in[c] * shrink);
    } else {
#pragma omp simd
      for (std::int64_t c = 0; c < s.C; ++c) o[c] = scale * (g[c] * weight[c] - in[c] * shrink);
    }
  }
}
}  // namespace kairo::gpu
