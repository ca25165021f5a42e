// gpu/kernels/swiglu_cpu.cpp - the definition of SwiGLU and its gradient.
#include "gpu/kernels/exp.h"
#include "gpu/kernels/swiglu.h"

namespace kairo::gpu {
void swiglu_cpu(float* out, std::int64_t ld_out, const float* gate_up, std::int64_t T,
                std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    const float *gate = gate_up + t * 2 * C, *up = gate + C;
    float* o = out + t * ld_out;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) o[c] = gate[c] / (1.0f + exp_f32(-gate[c])) * up[c];
  }
}

// silu'(g) = s + g s (1 - s) with s = sigmoid(g).
void swiglu_backward_cpu(float* gate_up, const float* dout, std::int64_t ld_dout, std::int64_t T,
                         std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    float *gate = gate_up + t * 2 * C, *up = gate + C;
    const float* g = dout + t * ld_dout;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) {
      const float x = gate[c], u = up[c], s = 1.0f / (1.0f + exp_f32(-x));
      gate[c] = g[c] * u * (s + x * s * (1.0f - s));
      up[c] = g[c] * x * s;
    }
  }
}
}  // namespace kairo::gpu
