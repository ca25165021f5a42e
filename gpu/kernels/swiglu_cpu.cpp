// gpu/kernels/swiglu_cpu.cpp - the definition of SwiGLU and its gradient.
#include "gpu/kernels/bf16.h"
#include "gpu/kernels/exp.h"
#include "gpu/kernels/swiglu.h"
#include "gpu/kernels/wide.h"

namespace kairo::gpu {
namespace {
// Value by value: the same bits however wide the vectors are.
KAIRO_WIDE void gate_row(float* out, const float* gate, std::int64_t C) {
  const float* up = gate + C;
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) out[c] = gate[c] / (1.0f + exp_f32(-gate[c])) * up[c];
}
// silu'(g) = s + g s (1 - s) with s = sigmoid(g).
KAIRO_WIDE void gate_row_backward(float* gate, const float* dout, std::int64_t C) {
  float* up = gate + C;
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) {
    const float x = gate[c], u = up[c], s = 1.0f / (1.0f + exp_f32(-x));
    gate[c] = dout[c] * u * (s + x * s * (1.0f - s));
    up[c] = dout[c] * x * s;
  }
}
KAIRO_WIDE void gate_row_bf16(std::uint16_t* out, const std::uint16_t* gate, std::int64_t C) {
  const std::uint16_t* up = gate + C;
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) {
    const float x = float_of_bf16(gate[c]), u = float_of_bf16(up[c]);
    out[c] = bf16_of_float(x / (1.0f + exp_f32(-x)) * u);
  }
}
KAIRO_WIDE void gate_row_backward_bf16(std::uint16_t* gate, const float* dout, std::int64_t C) {
  std::uint16_t* up = gate + C;
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) {
    const float x = float_of_bf16(gate[c]), u = float_of_bf16(up[c]);
    const float s = 1.0f / (1.0f + exp_f32(-x));
    gate[c] = bf16_of_float(dout[c] * u * (s + x * s * (1.0f - s)));
    up[c] = bf16_of_float(dout[c] * x * s);
  }
}
}  // namespace

void swiglu_cpu(float* out, std::int64_t ld_out, const float* gate_up, std::int64_t T,
                std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) gate_row(out + t * ld_out, gate_up + t * 2 * C, C);
}

void swiglu_backward_cpu(float* gate_up, const float* dout, std::int64_t ld_dout, std::int64_t T,
                         std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t)
    gate_row_backward(gate_up + t * 2 * C, dout + t * ld_dout, C);
}

void swiglu_bf16_cpu(std::uint16_t* out, std::int64_t ld_out, std::uint16_t* gate_up,
                     const float* from, std::int64_t T, std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    std::uint16_t* row = gate_up + t * 2 * C;
    if (from != nullptr) narrow_cpu(row, from + t * 2 * C, 2 * C);
    gate_row_bf16(out + t * ld_out, row, C);
  }
}

void swiglu_backward_bf16_cpu(std::uint16_t* gate_up, const float* dout, std::int64_t ld_dout,
                              std::int64_t T, std::int64_t C) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t)
    gate_row_backward_bf16(gate_up + t * 2 * C, dout + t * ld_dout, C);
}
}  // namespace kairo::gpu
