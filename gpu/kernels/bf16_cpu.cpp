// gpu/kernels/bf16_cpu.cpp - rows of bf16 to fp32 and back.
#include "gpu/kernels/bf16.h"
#include "gpu/kernels/wide.h"

namespace kairo::gpu {
KAIRO_WIDE void narrow_cpu(std::uint16_t* out, const float* in, std::int64_t n, float scale) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) out[i] = bf16_of_float(scale * in[i]);
}
KAIRO_WIDE void widen_cpu(float* out, const std::uint16_t* in, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) out[i] = float_of_bf16(in[i]);
}
}  // namespace kairo::gpu
