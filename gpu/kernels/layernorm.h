// gpu/kernels/layernorm.h - normalisation by mean and deviation, forward and the gradient of its
// input.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// out[t][c] = (x[t][c] - mean) * inverse[t] * weight[c] + bias[c], inverse[t] = 1 / sqrt(variance +
// eps)
//   x: (T, C) dense   out: (T, C) with row stride ld_out   inverse: (T)   no aliasing. Bound:
//   bytes.
void layernorm_cpu(float* out, std::int64_t ld_out, float* inverse, const float* x,
                   const float* weight, const float* bias, std::int64_t T, std::int64_t C,
                   float eps);
// dx[t][c] += gradient of the input for dout (T, C; row stride ld_dout); weight and bias are
// frozen.
void layernorm_backward_cpu(float* dx, const float* dout, std::int64_t ld_dout, const float* x,
                            const float* inverse, const float* weight, std::int64_t T,
                            std::int64_t C);
}  // namespace kairo::gpu
