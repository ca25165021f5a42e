// gpu/cuda/blocks.cu - rows of a matrix in GGUF's blocks as fp32 or bf16: a model's embedding.
#include "gpu/cuda/blocks.h"
#include "gpu/cuda/nf4.h"

namespace kairo::cuda {
namespace {
// A thread has eight values. rows: which row of the matrix each row of out is.
template <class T, class Kind>
__global__ void __launch_bounds__(block_threads)
    decode_blocks(Cells eights, View<T> out, const std::uint8_t* data, const std::int32_t* rows) {
  each_cell(eights, [&](std::int64_t r, std::int64_t c) {
    float values[8];
    eight_of_blocks<Kind>(data, rows[r] * eights.cols + c, values);
    T* to = out.row(r) + c * 8;
#pragma unroll
    for (int i = 0; i < 8; ++i) to[i] = stored<T>(values[i]);
  });
}
}  // namespace

extern "C" std::int32_t kairo_cuda_decode_blocks(KairoMat to, KairoFrozen from,
                                                 const std::int32_t* rows, void* stream) {
  if (to.cols != from.cols || !is_aligned(from.data, 2)) return kairo_cuda_unfit;
  return with_block_kind(from.kind, [&](auto kind) -> std::int32_t {
    using Kind = decltype(kind);
    if (from.cols % Kind::values != 0) return kairo_cuda_unfit;
    return with_type(to.type, [&](auto type) {
      using T = decltype(type);
      return launch_cells(decode_blocks<T, Kind>, to.rows, to.cols / 8, stream, view_of<T>(to),
                          static_cast<const std::uint8_t*>(from.data), rows);
    });
  });
}
}  // namespace kairo::cuda
