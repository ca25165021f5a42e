// gpu/cuda/low_rank.cu - the second half of adapters' products for modules that lie side by side:
// gpu/kernels/low_rank.h. Each sum goes from rank 0 up, and then onto y.
#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
__global__ void __launch_bounds__(block_threads)
    add_low_rank_cells(Cells cells, View<float> y, View<const float> low, View<const float> b,
                       KairoLowRankParts parts, int rank) {
  each_cell(cells, [&](std::int64_t t, std::int64_t c) {
    std::int64_t begin = 0;  // of the part's columns in b
    int part = 0;
    while (c >= begin + parts.cols[part]) begin += parts.cols[part++];
    const float *from = low.row(t) + static_cast<std::int64_t>(part) * rank, *up = b.data + c;
    float sum = 0;
    for (int r = 0; r < rank; ++r) sum += from[r] * up[r * b.ld];
    y.row(t)[parts.first[part] + c - begin] += sum;
  });
}
}  // namespace

extern "C" std::int32_t kairo_cuda_add_low_rank(KairoMat y, KairoMat low, KairoMat b,
                                                const KairoLowRankParts* parts, void* stream) {
  if (!are_f32(y, low) || !is_f32(b) || parts->count < 0 ||
      parts->count > kairo_low_rank_parts_max || low.rows != y.rows ||
      low.cols != b.rows * parts->count)
    return kairo_cuda_unfit;
  std::int64_t columns = 0;
  for (std::int64_t i = 0; i < parts->count; ++i) {
    if (parts->first[i] < 0 || parts->cols[i] < 0 || parts->first[i] + parts->cols[i] > y.cols)
      return kairo_cuda_unfit;
    columns += parts->cols[i];
  }
  if (columns != b.cols) return kairo_cuda_unfit;
  return launch_cells(add_low_rank_cells, y.rows, columns, stream, view_of<float>(y),
                      view_of<const float>(low), view_of<const float>(b), *parts,
                      static_cast<int>(b.rows));
}
}  // namespace kairo::cuda
