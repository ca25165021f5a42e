// gpu/kernels/layernorm_cpu.cpp - the definition: the variance is that of the differences.
#include <cmath>

#include "gpu/kernels/layernorm.h"

namespace kairo::gpu {
namespace {
float mean_of(const float* x, std::int64_t C) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t c = 0; c < C; ++c) sum += x[c];
  return sum / static_cast<float>(C);
}
}  // namespace

void layernorm_cpu(float* out, std::int64_t ld_out, float* inverse, const float* x,
                   const float* weight, const float* bias, std::int64_t T, std::int64_t C,
                   float eps) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    const float* in = x + t * C;
    const float mean = mean_of(in, C);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < C; ++c) sum += (in[c] - mean) * (in[c] - mean);
    const float scale = 1.0f / std::sqrt(sum / static_cast<float>(C) + eps);
    inverse[t] = scale;
    float* o = out + t * ld_out;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) o[c] = (in[c] - mean) * scale * weight[c] + bias[c];
  }
}

// With u = dout * weight and n = (x - mean) * inverse: dx = inverse * (u - mean(u) - n * mean(u
// n)).
void layernorm_backward_cpu(float* dx, const float* dout, std::int64_t ld_dout, const float* x,
                            const float* inverse, const float* weight, std::int64_t T,
                            std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    const float *in = x + t * C, *g = dout + t * ld_dout;
    const float mean = mean_of(in, C), scale = inverse[t];
    float sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
    for (std::int64_t c = 0; c < C; ++c) {
      const float u = g[c] * weight[c];
      sum += u;
      dot += u * (in[c] - mean);
    }
    const float shift = sum / static_cast<float>(C);
    const float shrink = dot * scale * scale / static_cast<float>(C);
    float* o = dx + t * C;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c)
      o[c] += scale * (g[c] * weight[c] - shift - (in[c] - mean) * shrink);
  }
}
}  // namespace kairo::gpu
