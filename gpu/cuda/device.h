// gpu/cuda/device.h - what all kernels share: launches, views, the two types, sums of fixed order.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "gpu/cuda/kernels.h"
#include "gpu/cuda/shared.h"

namespace kairo::cuda {
using Bf16 = __nv_bfloat16;
constexpr int warp_lanes = 32, block_threads = 256;
constexpr unsigned all_lanes = ~0u;

// The types. Everything is computed in fp32.
__device__ __forceinline__ float value_of(float x) {
  return x;
}
__device__ __forceinline__ float value_of(Bf16 x) {
  return __bfloat162float(x);
}
template <class T>
__device__ __forceinline__ T stored(float x);
template <>
__device__ __forceinline__ float stored<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ Bf16 stored<Bf16>(float x) {
  return __float2bfloat16_rn(x);
}

template <class T>
struct View {
  T* data;
  std::int64_t ld;
  __device__ __forceinline__ T* row(std::int64_t r) const { return data + r * ld; }
};
template <class T>
View<T> view_of(const KairoMat& m) {
  return {static_cast<T*>(m.data), m.ld};
}
// Calls f with a value of the type; -1 where there is no such type.
template <class F>
std::int32_t with_type(std::int32_t type, F f) {
  if (type == kairo_f32) return f(float{});
  if (type == kairo_bf16) return f(Bf16{});
  return kairo_cuda_unfit;
}
inline bool is_f32(const KairoMat& m) {
  return m.type == kairo_f32;
}
inline bool are_f32(const KairoMat& a, const KairoMat& b) {
  return is_f32(a) && is_f32(b);
}
inline bool is_dense(const KairoMat& m) {
  return m.ld == m.cols || m.rows <= 1;
}
inline bool is_alike(const KairoMat& a, const KairoMat& b) {
  return a.rows == b.rows && a.cols == b.cols;
}

constexpr std::int64_t parts_of(std::int64_t all, std::int64_t each) {
  return (all + each - 1) / each;
}
// Blocks are counted along x alone: y and z end at 65,535.
template <class... Wanted, class... Given>
std::int32_t launch(void (*kernel)(Wanted...), std::int64_t blocks, dim3 block, void* stream,
                    Given... given) {
  if (blocks <= 0) return 0;
  if (blocks > 0x7fffffff) return kairo_cuda_unfit;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks), 1, 1);
  config.blockDim = block;
  config.stream = static_cast<cudaStream_t>(stream);
  return static_cast<std::int32_t>(cudaLaunchKernelEx(&config, kernel, Wanted(given)...));
}

// The values of a matrix, one by one: a thread has up to cells_each columns of one row, as far
// apart as the block is wide, so that neighbours read neighbours.
constexpr int cells_each = 4;
struct Cells {
  std::int64_t rows, cols;
  unsigned chunks;  // blocks side by side
};
template <class F>
__device__ __forceinline__ void each_cell(const Cells& cells, F f) {
  const std::int64_t row =
      static_cast<std::int64_t>(blockIdx.x / cells.chunks) * blockDim.y + threadIdx.y;
  if (row >= cells.rows) return;
  std::int64_t col =
      static_cast<std::int64_t>(blockIdx.x % cells.chunks) * cells_each * blockDim.x + threadIdx.x;
#pragma unroll
  for (int k = 0; k < cells_each; ++k, col += blockDim.x)
    if (col < cells.cols) f(row, col);
}
template <class... Wanted, class... Given>
std::int32_t launch_cells(void (*kernel)(Cells, Wanted...), std::int64_t rows, std::int64_t cols,
                          void* stream, Given... given) {
  if (rows <= 0 || cols <= 0) return 0;
  int width = 8;
  while (width < block_threads && width * cells_each < cols) width *= 2;
  const int height = block_threads / width;
  const std::int64_t chunks = parts_of(cols, static_cast<std::int64_t>(width) * cells_each);
  if (chunks > 0x7fffffff) return kairo_cuda_unfit;
  return launch(kernel, parts_of(rows, height) * chunks,
                dim3(static_cast<unsigned>(width), static_cast<unsigned>(height), 1), stream,
                Cells{rows, cols, static_cast<unsigned>(chunks)}, given...);
}

// Sums and maxima of a warp or of a block: each thread gets the same bits, in any order of work.
template <class T>
__device__ __forceinline__ T warp_sum(T v) {
#pragma unroll
  for (int apart = warp_lanes / 2; apart > 0; apart /= 2) v += __shfl_xor_sync(all_lanes, v, apart);
  return v;
}
__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
  for (int apart = warp_lanes / 2; apart > 0; apart /= 2)
    v = fmaxf(v, __shfl_xor_sync(all_lanes, v, apart));
  return v;
}
// Of blocks of `threads` threads along x. parts may be used again at once.
template <int threads, class T>
__device__ __forceinline__ T block_sum(T v, Shared<T, threads / warp_lanes>& parts) {
  const int thread = static_cast<int>(threadIdx.x);
  v = warp_sum(v);
  if (thread % warp_lanes == 0) parts.set(thread / warp_lanes, v);
  __syncthreads();
  v = 0;
#pragma unroll
  for (int w = 0; w < threads / warp_lanes; ++w) v += parts.get(w);
  __syncthreads();
  return v;
}
// A row's values are the work of a team: a warp, eight of which are a block, or a block.
template <int team>
__device__ __forceinline__ float team_sum(float v,
                                          Shared<float, block_threads / warp_lanes>& parts) {
  if constexpr (team == warp_lanes)
    return warp_sum(v);
  else
    return block_sum<block_threads>(v, parts);
}
template <int team>
__device__ __forceinline__ std::int64_t team_index() {
  return static_cast<std::int64_t>(blockIdx.x) * (block_threads / team) + threadIdx.y;
}
inline bool is_warp_wide(std::int64_t columns) {
  return columns <= 512;
}
template <class... Wanted, class... Given>
std::int32_t launch_teams(void (*kernel)(Wanted...), int team, std::int64_t count, void* stream,
                          Given... given) {
  const int teams = block_threads / team;
  return launch(kernel, parts_of(count, teams),
                dim3(static_cast<unsigned>(team), static_cast<unsigned>(teams), 1), stream,
                given...);
}

// cap tanh(x / cap), and its slope where it is `capped`.
__device__ __forceinline__ float softcap(float x, float cap) {
  return cap * tanhf(x / cap);
}
__device__ __forceinline__ float softcap_slope(float capped, float cap) {
  const float t = capped / cap;
  return 1.0f - t * t;
}
}  // namespace kairo::cuda
