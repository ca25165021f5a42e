// gpu/kernels/gelu_cpu.cpp - the definition of both kinds of GELU and of their gradients.
#include <cmath>

#include "gpu/kernels/gelu.h"
#include "gpu/kernels/tanh.h"

namespace kairo::gpu {
namespace {
// gelu(x) = x (1 + tanh(a (x + b x^3))) / 2
constexpr float a = 0.7978845608028654f, b = 0.044715f;  // a = sqrt(2 / pi)
constexpr float root_half = 0.7071067811865476f, density_0 = 0.3989422804014327f;

float half_of(float x) {  // Phi(x)
  return 0.5f * (1.0f + std::erf(x * root_half));
}
}  // namespace

void geglu_cpu(float* out, std::int64_t ld_out, const float* gate_up, std::int64_t T,
               std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    const float *gate = gate_up + t * 2 * C, *up = gate + C;
    float* o = out + t * ld_out;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) {
      const float x = gate[c];
      o[c] = 0.5f * x * (1.0f + tanh_f32(a * (x + b * x * x * x))) * up[c];
    }
  }
}

void geglu_backward_cpu(float* gate_up, const float* dout, std::int64_t ld_dout, std::int64_t T,
                        std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    float *gate = gate_up + t * 2 * C, *up = gate + C;
    const float* g = dout + t * ld_dout;
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) {
      const float x = gate[c], u = up[c], h = tanh_f32(a * (x + b * x * x * x));
      const float slope =
          0.5f * (1.0f + h) + 0.5f * x * (1.0f - h * h) * a * (1.0f + 3.0f * b * x * x);
      gate[c] = g[c] * u * slope;
      up[c] = g[c] * 0.5f * x * (1.0f + h);
    }
  }
}

void gelu_cpu(float* out, std::int64_t ld_out, const float* x, std::int64_t T, std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    const float* in = x + t * C;
    float* o = out + t * ld_out;
    for (std::int64_t c = 0; c < C; ++c) o[c] = in[c] * half_of(in[c]);
  }
}

void gelu_backward_cpu(float* x, const float* dout, std::int64_t ld_dout, std::int64_t T,
                       std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    float* in = x + t * C;
    const float* g = dout + t * ld_dout;
    for (std::int64_t c = 0; c < C; ++c) {
      const float v = in[c], density = density_0 * exp_f32(-0.5f * v * v);
      in[c] = g[c] * (half_of(v) + v * density);
    }
  }
}
}  // namespace kairo::gpu
