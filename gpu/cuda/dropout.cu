// gpu/cuda/dropout.cu - the mask of gpu/kernels/dropout_cpu.cpp, bit by bit, made where it is used.
#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
struct Mask {
  const std::uint64_t* keys;
  std::uint64_t module;  // what it adds to a token's key
  std::uint32_t threshold;
  float scale;
};
__device__ __forceinline__ std::uint32_t hash(std::uint32_t i, std::uint64_t lanes) {
  std::uint32_t h = i * 0x9e3779b9u + static_cast<std::uint32_t>(lanes);
  h = (h ^ (h >> 16)) * 0x85ebca6bu + static_cast<std::uint32_t>(lanes >> 32);
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}
// 1 / (1 - p) where the feature stays, else 0: for a product.
__device__ __forceinline__ float factor(const Mask& m, std::int64_t t, std::int64_t i) {
  std::uint64_t z = m.keys[t] + m.module;  // splitmix64's finaliser
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z = z ^ (z >> 31);
  return hash(static_cast<std::uint32_t>(i), z) >= m.threshold ? m.scale : 0.0f;
}
template <class T>
__global__ void __launch_bounds__(block_threads)
    drop_cells(Cells cells, View<T> out, View<const T> x, Mask mask) {
  each_cell(cells, [&](std::int64_t t, std::int64_t c) {
    out.row(t)[c] = stored<T>(value_of(x.row(t)[c]) * factor(mask, t, c));
  });
}
__global__ void __launch_bounds__(block_threads)
    drop_add_cells(Cells cells, View<float> sum, View<const float> x, Mask mask) {
  each_cell(cells, [&](std::int64_t t, std::int64_t c) {
    sum.row(t)[c] += x.row(t)[c] * factor(mask, t, c);
  });
}
Mask mask_of(const KairoDropout& m) {
  constexpr std::uint64_t golden_gamma = 0x9e3779b97f4a7c15;
  return {m.keys, static_cast<std::uint64_t>(m.module + 1) * golden_gamma,
          static_cast<std::uint32_t>(m.p * 4294967296.0), static_cast<float>(1 / (1 - m.p))};
}
}  // namespace

extern "C" std::int32_t kairo_cuda_dropout(KairoMat out, KairoMat x, KairoDropout mask,
                                           void* stream) {
  if (!is_alike(out, x) || out.type != x.type) return kairo_cuda_unfit;
  return with_type(x.type, [&](auto type) {
    using T = decltype(type);
    return launch_cells(drop_cells<T>, x.rows, x.cols, stream, view_of<T>(out), view_of<const T>(x),
                        mask_of(mask));
  });
}

extern "C" std::int32_t kairo_cuda_dropout_add(KairoMat sum, KairoMat x, KairoDropout mask,
                                               void* stream) {
  if (!is_alike(sum, x) || !are_f32(sum, x)) return kairo_cuda_unfit;
  return launch_cells(drop_add_cells, x.rows, x.cols, stream, view_of<float>(sum),
                      view_of<const float>(x), mask_of(mask));
}
}  // namespace kairo::cuda
