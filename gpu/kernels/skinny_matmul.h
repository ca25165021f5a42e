// gpu/kernels/skinny_matmul.h - a few rows times a large weight: decoding reads every weight once.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// y[t][o] = sum_i x[t][i] * w[o][i]
//   x: (T, in), stride ld_x   w: (out, in), stride ld_w   y: (T, out), stride ld_y   no aliasing.
// T >= 1, meant for T <= 16; each weight comes from memory once. Bound: bytes of w.
struct SkinnyShape {
  std::int64_t T, out, in, ld_x, ld_w, ld_y;
};
void skinny_matmul_cpu(float* y, const float* x, const float* w, SkinnyShape s);
}  // namespace kairo::gpu
