// gpu/kernels/rmsnorm.h - root mean square normalisation, forward and the gradient of its input.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// Rows of `groups` times C values; each C of them are normalised on their own, by the same weight.
struct NormShape {
  std::int64_t T, C, groups = 1;
};
// out[c] = x[c] * inverse * weight[c], inverse = 1 / sqrt(mean_c(x[c]^2) + eps) of each group.
//   x, out: (T, groups * C) with row strides   inverse: (T, groups)   no aliasing. Bound: bytes.
void rmsnorm_cpu(float* out, std::int64_t ld_out, float* inverse, const float* x, std::int64_t ld_x,
                 const float* weight, NormShape s, float eps);
// The same with out in bf16 (bf16.h), rounded once.
void rmsnorm_bf16_cpu(std::uint16_t* out, std::int64_t ld_out, float* inverse, const float* x,
                      std::int64_t ld_x, const float* weight, NormShape s, float eps);
// dx[c] = gradient of the input for dout; with `add` it is added to dx, without dx may be dout.
// weight is frozen: no dweight.
//   x and inverse as in the forward pass. dx, dout: as out.
void rmsnorm_backward_cpu(float* dx, std::int64_t ld_dx, const float* dout, std::int64_t ld_dout,
                          const float* x, std::int64_t ld_x, const float* inverse,
                          const float* weight, NormShape s, bool add);
}  // namespace kairo::gpu
