// gpu/cuda/nf4.cu - 4-bit weights to fp32 or bf16: the bytes of gpu/kernels/nf4_cpu.cpp.
#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
constexpr int run = 8;  // weights of a thread: 4 bytes in, of one block of 64, 16 or 32 bytes out
constexpr std::int64_t block = 64, group = 256;

__constant__ const std::uint32_t level_bits[16] = {
    0xbf800000, 0xbf3239b1, 0xbf066b30, 0xbeca32a0, 0xbe91a24d, 0xbe3d353f, 0xbdba7871, 0x00000000,
    0x3da2faff, 0x3e24cae3, 0x3e7c04dd, 0x3ead033a, 0x3ee1a4b8, 0x3f1007ab, 0x3f3913b3, 0x3f800000};

// Two roundings, as the format has them: never a fused multiply-add.
__device__ __forceinline__ float scale_of(const KairoNf4& w, std::int64_t of_block) {
  return __fadd_rn(__fmul_rn(w.map[w.scales[of_block]], w.group_scales[of_block / group]),
                   w.offset);
}
__device__ __forceinline__ float weight_of(const KairoNf4& w, std::int64_t flat) {
  const unsigned byte = w.packed[flat / 2];
  const unsigned code = flat % 2 == 0 ? byte >> 4 : byte & 15u;
  return __fmul_rn(__uint_as_float(level_bits[code]), scale_of(w, flat / block));
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
  __shared__ Shared<float, 16> levels;  // 16 banks: no two lanes ever wait for each other
  const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  if (thread < 16) levels.set(thread, __uint_as_float(level_bits[thread]));
  __syncthreads();
  each_cell(runs, [&](std::int64_t r, std::int64_t c) {
    const std::int64_t at = r * runs.cols + c;
    const float scale = scale_of(w, at * run / block);
    const std::uint32_t bytes = reinterpret_cast<const std::uint32_t*>(w.packed)[at];
    float values[run];
#pragma unroll
    for (int i = 0; i < run; i += 2) {
      const unsigned byte = bytes >> (4 * i) & 255u;
      values[i] = __fmul_rn(levels.get(static_cast<int>(byte >> 4)), scale);
      values[i + 1] = __fmul_rn(levels.get(static_cast<int>(byte & 15u)), scale);
    }
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
bool is_aligned(const void* p, std::uintptr_t bytes) {
  return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
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
