// gpu/kernels/frozen_matmul.h - rows times frozen matrices, which are decoded as they are needed.
#pragma once
#include <cstdint>
#include <span>

#include "gpu/kernels/frozen.h"

namespace kairo::gpu {
// y[t][o] = sum_i x[t][i] * w[o][i], for matrices w that are stacked: the columns of y are the rows
// of the first, then of the second, and so on.
//   x: (T, cols of each), stride ld_x   y: (T, rows of all), stride ld_y   no aliasing.
// A row's bits are the same whatever rows are beside it, and on every CPU (frozen_tiles.h). Few
// rows are bound by the bytes of w, which are read once for 96 of them; more by arithmetic.
void frozen_matmul_cpu(float* y, std::int64_t ld_y, const float* x, std::int64_t ld_x,
                       std::int64_t T, std::span<const Frozen> stacked, float* scratch,
                       int threads);
// Floats of scratch for matrices with so many columns.
std::int64_t frozen_matmul_scratch(std::int64_t T, std::int64_t cols, int threads);
}  // namespace kairo::gpu
