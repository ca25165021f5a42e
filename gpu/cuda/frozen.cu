// gpu/cuda/frozen.cu - rows times a matrix as it is stored: gpu/kernels/frozen_matmul.h. Few rows
// are bound by the bytes of the matrix, which leave the memory once, whatever the number of rows.
//
// A lane has 8 values of every 256 of a row, in their order, and the lanes' sums are added in one
// order: a row's bits are the same whatever rows are beside it and however many a block takes.
#include "gpu/cuda/blocks.h"
#include "gpu/cuda/nf4.h"

namespace kairo::cuda {
namespace {
constexpr int lane_values = 8, warps = block_threads / warp_lanes;
constexpr int warp_values = lane_values * warp_lanes;  // of a row, at a time
constexpr int staged = 4 * warp_values;                // values of x's rows in shared memory
constexpr int outs_each = 4;                           // rows of the matrix that a warp has

// What a stored matrix is read by: 8 values of row r from column k on.
struct OfF32 {
  const float* data;
  std::int64_t cols;
  __device__ __forceinline__ void read(std::int64_t r, std::int64_t k, Nf4Levels&,
                                       float (&out)[lane_values]) const {
    const auto* from = reinterpret_cast<const float4*>(data + r * cols + k);
    const float4 a = from[0], b = from[1];
    out[0] = a.x, out[1] = a.y, out[2] = a.z, out[3] = a.w;
    out[4] = b.x, out[5] = b.y, out[6] = b.z, out[7] = b.w;
  }
};
// Of values of two bytes: four words, the earlier value in the lower half of each.
template <class Widened>
__device__ __forceinline__ void read_halves(const void* from, float (&out)[lane_values],
                                            Widened widened) {
  const uint4 words = *static_cast<const uint4*>(from);
  const unsigned of[] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = widened(static_cast<unsigned short>(of[i] & 0xffffu));
    out[2 * i + 1] = widened(static_cast<unsigned short>(of[i] >> 16));
  }
}
struct OfBf16 {
  const Bf16* data;
  std::int64_t cols;
  __device__ __forceinline__ void read(std::int64_t r, std::int64_t k, Nf4Levels&,
                                       float (&out)[lane_values]) const {
    read_halves(data + r * cols + k, out, [](unsigned short bits) {
      return __uint_as_float(static_cast<unsigned>(bits) << 16);
    });
  }
};
struct OfF16 {
  const __half* data;
  std::int64_t cols;
  __device__ __forceinline__ void read(std::int64_t r, std::int64_t k, Nf4Levels&,
                                       float (&out)[lane_values]) const {
    read_halves(data + r * cols + k, out,
                [](unsigned short bits) { return __half2float(__ushort_as_half(bits)); });
  }
};
struct OfNf4 {
  KairoNf4 w;
  std::int64_t cols;
  __device__ __forceinline__ void read(std::int64_t r, std::int64_t k, Nf4Levels& levels,
                                       float (&out)[lane_values]) const {
    nf4_run(w, (r * cols + k) / lane_values, levels, out);
  }
};
template <class Kind>
struct OfBlocks {
  const std::uint8_t* data;
  std::int64_t cols;
  __device__ __forceinline__ void read(std::int64_t r, std::int64_t k, Nf4Levels&,
                                       float (&out)[lane_values]) const {
    eight_of_blocks<Kind>(data, (r * cols + k) / lane_values, out);
  }
};

// Where four values of a staged row lie: all lanes' first four, then all lanes' second four, so
// that what is read at once fills all banks. k4: which four of the row.
__device__ __forceinline__ int place_of(int row, int k4) {
  const int chunk = k4 / (2 * warp_lanes), lane = k4 % (2 * warp_lanes) / 2, half = k4 % 2;
  return row * (staged / 4) + chunk * 2 * warp_lanes + half * warp_lanes + lane;
}
template <int rows>
using Staged = Shared<float4, rows * staged / 4>;

template <int rows>
__device__ __forceinline__ void stage(Staged<rows>& to, View<const float> x, std::int64_t first,
                                      std::int64_t T, std::int64_t begin, std::int64_t cols) {
  const int thread = static_cast<int>(threadIdx.y) * warp_lanes + static_cast<int>(threadIdx.x);
  for (int i = thread; i < rows * staged / 4; i += block_threads) {
    const int row = i / (staged / 4), k4 = i % (staged / 4);
    const std::int64_t k = begin + 4 * static_cast<std::int64_t>(k4);
    float4 value = make_float4(0, 0, 0, 0);
    if (first + row < T && k < cols) {  // columns are whole eights
      const float* from = x.row(first + row) + k;
      value = make_float4(from[0], from[1], from[2], from[3]);
    }
    to.set(place_of(row, k4), value);
  }
}

template <int rows, class Weights>
__global__ void __launch_bounds__(block_threads)
    frozen_rows(View<float> y, View<const float> x, Weights w, std::int64_t T, std::int64_t outs,
                std::int64_t row_tiles) {
  __shared__ Staged<rows> in;
  __shared__ Nf4Levels levels;
  load_nf4_levels(levels);
  const int lane = static_cast<int>(threadIdx.x);
  const std::int64_t first_row = blockIdx.x % row_tiles * rows;
  const std::int64_t first_out =
      (blockIdx.x / row_tiles * warps + threadIdx.y) * static_cast<std::int64_t>(outs_each);
  float sums[outs_each][rows] = {};
  for (std::int64_t begin = 0; begin < w.cols; begin += staged) {
    stage<rows>(in, x, first_row, T, begin, w.cols);
    __syncthreads();
    for (int chunk = 0; chunk < staged / warp_values; ++chunk) {
      const std::int64_t k = begin + chunk * warp_values + lane * lane_values;
      if (k >= w.cols) break;
      float weights[outs_each][lane_values];
#pragma unroll
      for (int o = 0; o < outs_each; ++o) {  // beyond the last row it is read again, for nothing
        const std::int64_t r = first_out + o < outs ? first_out + o : outs - 1;
        w.read(r, k, levels, weights[o]);
      }
#pragma unroll
      for (int t = 0; t < rows; ++t) {
        const int k4 = chunk * 2 * warp_lanes + lane * 2;
        const float4 a = in.get(place_of(t, k4)), b = in.get(place_of(t, k4 + 1));
        const float values[lane_values] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
        for (int o = 0; o < outs_each; ++o)
#pragma unroll
          for (int i = 0; i < lane_values; ++i) sums[o][t] += weights[o][i] * values[i];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int o = 0; o < outs_each; ++o)
#pragma unroll
    for (int t = 0; t < rows; ++t) {
      const float sum = warp_sum(sums[o][t]);
      if (lane == 0 && first_out + o < outs && first_row + t < T)
        y.row(first_row + t)[first_out + o] = sum;
    }
}

template <int rows, class Weights>
std::int32_t launch_rows(const KairoMat& y, const KairoMat& x, const Weights& w, void* stream) {
  const std::int64_t row_tiles = parts_of(y.rows, rows);
  const std::int64_t out_tiles = parts_of(y.cols, static_cast<std::int64_t>(warps) * outs_each);
  return launch(frozen_rows<rows, Weights>, row_tiles * out_tiles, dim3(warp_lanes, warps, 1),
                stream, view_of<float>(y), view_of<const float>(x), w, y.rows, y.cols, row_tiles);
}
template <class Weights>
std::int32_t launch_frozen(const KairoMat& y, const KairoMat& x, const Weights& w, void* stream) {
  if (y.rows <= 0 || y.cols <= 0) return 0;
  if (y.rows == 1) return launch_rows<1>(y, x, w, stream);
  if (y.rows == 2) return launch_rows<2>(y, x, w, stream);
  if (y.rows <= 4) return launch_rows<4>(y, x, w, stream);
  return launch_rows<8>(y, x, w, stream);
}
}  // namespace

extern "C" std::int32_t kairo_cuda_frozen(KairoMat y, KairoMat x, KairoFrozen w, void* stream) {
  if (!are_f32(y, x) || y.rows != x.rows || y.cols != w.rows || x.cols != w.cols ||
      w.cols % lane_values != 0)
    return kairo_cuda_unfit;
  if (w.kind == kairo_nf4) {
    if (!is_aligned(w.nf4.packed, 4)) return kairo_cuda_unfit;
    return launch_frozen(y, x, OfNf4{w.nf4, w.cols}, stream);
  }
  if (w.kind >= kairo_q8_0)
    return with_block_kind(w.kind, [&](auto kind) -> std::int32_t {
      using Kind = decltype(kind);
      if (w.cols % Kind::values != 0 || !is_aligned(w.data, 2)) return kairo_cuda_unfit;
      return launch_frozen(y, x, OfBlocks<Kind>{static_cast<const std::uint8_t*>(w.data), w.cols},
                           stream);
    });
  if (!is_aligned(w.data, 16)) return kairo_cuda_unfit;
  if (w.kind == kairo_f32)
    return launch_frozen(y, x, OfF32{static_cast<const float*>(w.data), w.cols}, stream);
  if (w.kind == kairo_bf16)
    return launch_frozen(y, x, OfBf16{static_cast<const Bf16*>(w.data), w.cols}, stream);
  if (w.kind == kairo_f16)
    return launch_frozen(y, x, OfF16{static_cast<const __half*>(w.data), w.cols}, stream);
  return kairo_cuda_unfit;
}
}  // namespace kairo::cuda
