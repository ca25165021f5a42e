// gpu/kernels/rmsnorm.h - root mean square normalisation, forward and the gradient of its input.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// out[t][c] = x[t][c] * inverse[t] * weight[c], inverse[t] = 1 / sqrt(mean_c(x[t][c]^2) + eps)
//   x: (T, C) dense   out: (T, C) with row stride ld_out   inverse: (T)   no aliasing. Bound:
//   bytes.
void rmsnorm_cpu(float* out, std::int64_t ld_out, float* inverse, const float* x,
                 const float* weight, std::int64_t T, std::int64_t C, float eps);
// dx[t][c] += gradient of the input for dout (T, C; row stride ld_dout). weight is frozen: no
// dweight.
//   x: (T, C) and inverse: (T) as in the forward pass. dx: (T, C) dense.
void rmsnorm_backward_cpu(float* dx, const float* dout, std::int64_t ld_dout, const float* x,
                          const float* inverse, const float* weight, std::int64_t T,
                          std::int64_t C);
}  // namespace kairo::gpu
