// gpu/kernels/rmsnorm_cpu.cpp - the definition: one pass for the scale, one for the values.
#include <cmath>

#include "gpu/kernels/rmsnorm.h"

namespace kairo::gpu {
void rmsnorm_cpu(float* out, std::int64_t ld_out, float* inverse, const float* x,
                 const float* weight, std::int64_t T, std::int64_t C, float eps) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    const float* in = x + t * C;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < C; ++c) sum += in[c] * in[c];
    const float scale = 1.0f / std::sqrt(sum / static_cast<float>(C) + eps);
    inverse[t] = scale;
    float* o = out + t * ld_out;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) o[c] = in[c] * scale * weight[c];
  }
}

// With u = dout * weight and n = x * inverse: dx = inverse * (u - n * mean(u * n)).
void rmsnorm_backward_cpu(float* dx, const float* dout, std::int64_t ld_dout, const float* x,
                          const float* inverse, const float* weight, std::int64_t T,
                          std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    const float *in = x + t * C, *g = dout + t * ld_dout;
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (std::int64_t c = 0; c < C; ++c) dot += g[c] * weight[c] * in[c];
    const float scale = inverse[t];
    const float shrink = dot * scale * scale / static_cast<float>(C);
    float* o = dx + t * C;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) o[c] += scale * (g[c] * weight[c] - in[c] * shrink);
  }
}
}  // namespace kairo::gpu
