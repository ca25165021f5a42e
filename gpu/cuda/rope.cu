// gpu/cuda/rope.cu - rotary positions in place, and back: gpu/kernels/rope.h.
#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
// A cell is a pair of one head: (a, b) -> (a cos - b sin, b cos + a sin).
__global__ void __launch_bounds__(block_threads)
    rope_pairs(Cells pairs, View<float> x, View<const float> cos, View<const float> sin,
               const std::int32_t* angles, int half, std::int64_t dim, float sign) {
  each_cell(pairs, [&](std::int64_t t, std::int64_t c) {
    const int pair = static_cast<int>(c), head = pair / half, i = pair - head * half;
    float* a = x.row(t) + head * dim + i;
    const float first = a[0], second = a[half], turn = cos.row(angles[t])[i];
    const float lift = sign * sin.row(angles[t])[i];
    a[0] = first * turn - second * lift;
    a[half] = second * turn + first * lift;
  });
}
}  // namespace

extern "C" std::int32_t kairo_cuda_rope(KairoMat x, KairoMat cos, KairoMat sin,
                                        const std::int32_t* angles, std::int64_t dim,
                                        std::int32_t inverse, void* stream) {
  const std::int64_t half = cos.cols;
  if (dim <= 0 || x.cols % dim != 0 || half <= 0 || 2 * half > dim || x.cols > 0x7fffffff ||
      sin.cols != half || !is_f32(x) || !are_f32(cos, sin))
    return kairo_cuda_unfit;
  return launch_cells(rope_pairs, x.rows, x.cols / dim * half, stream, view_of<float>(x),
                      view_of<const float>(cos), view_of<const float>(sin), angles,
                      static_cast<int>(half), dim, inverse != 0 ? -1.0f : 1.0f);
}
}  // namespace kairo::cuda
