// gpu/cuda/nf4.cu - 4-bit weights to fp32 or bf16: the bytes of gpu/kernels/nf4_cpu.cpp.
#include "gpu/cuda/nf4.h"

namespace kairo::cuda {
namespace {
constexpr int run = 8;  // weights of a thread: 4 bytes in, of one block of 64, 16 or 32 bytes out

__device__ __forceinline__ float weight_of(const KairoNf4& w, std::int64_t flat) {
  const unsigned byte = w.packed[flat / 2];
  const unsigned code = flat % 2 == 0 ? byte >> 4 : byte & 15u;
  return __fmul_rn(__uint_as_float(nf4_level_bits[code]), nf4_scale(w, flat / nf4_block));
}
__device__ __forceinline__ void put_run(float* out, const float (&w)[run]) {
  auto* to = reinterpret_cast<float4*>(out);
  to[0] = make_float4(w[0], w[1], w[2], w[3]);
  to[1] = make_float4(w[4], w[5], w[6], w[7]);
}
__device__ __forceinline__ unsigned pair_of(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return static_cast<unsigned>(__bfloat16_as_ushort(pair.x)) |
         static_cast<unsigned>(__bfloat16_as_ushort(pair.y)) << 16;
}
__device__ __forceinline__ void put_run(Bf16* out, const float (&w)[run]) {
  *reinterpret_cast<uint4*>(out) = make_uint4(pair_of(w[0], w[1]), pair_of(w[2], w[3]),
                                              pair_of(w[4], w[5]), pair_of(w[6], w[7]));
}

// Rows are whole runs, and what is read and written at once is aligned. A thread finds its runs
// without a division in 64 bits, which would cost more than the weights.
template <class T>
__global__ void __launch_bounds__(block_threads)
    dequantise_runs(Cells runs, View<T> out, KairoNf4 w) {
  __shared__ Nf4Levels levels;
  load_nf4_levels(levels);
  each_cell(runs, [&](std::int64_t r, std::int64_t c) {
    float values[run];
    nf4_run(w, r * runs.cols + c, levels, values);
    put_run(out.row(r) + c * run, values);
  });
}
// Any shape. rows: null, or which row of w each row of out is.
template <class T>
__global__ void __launch_bounds__(block_threads)
    dequantise_cells(Cells cells, View<T> out, KairoNf4 w, const std::int32_t* rows) {
  each_cell(cells, [&](std::int64_t r, std::int64_t c) {
    const std::int64_t from = rows == nullptr ? r : rows[r];
    out.row(r)[c] = stored<T>(weight_of(w, from * cells.cols + c));
  });
}
}  // namespace

extern "C" std::int32_t kairo_cuda_dequantise(KairoMat to, KairoNf4 from, void* stream) {
  return with_type(to.type, [&](auto type) {
    using T = decltype(type);
    constexpr std::int64_t values_of_16_bytes = 16 / static_cast<std::int64_t>(sizeof(T));
    const bool by_runs = to.cols % run == 0 && to.ld % values_of_16_bytes == 0 &&
                         is_aligned(to.data, 16) && is_aligned(from.packed, 4);
    if (!by_runs)
      return launch_cells(dequantise_cells<T>, to.rows, to.cols, stream, view_of<T>(to), from,
                          nullptr);
    return launch_cells(dequantise_runs<T>, to.rows, to.cols / run, stream, view_of<T>(to), from);
  });
}

extern "C" std::int32_t kairo_cuda_decode_nf4(KairoMat to, KairoNf4 from, const std::int32_t* rows,
                                              void* stream) {
  return with_type(to.type, [&](auto type) {
    using T = decltype(type);
    return launch_cells(dequantise_cells<T>, to.rows, to.cols, stream, view_of<T>(to), from, rows);
  });
}
}  // namespace kairo::cuda
