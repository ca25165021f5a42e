// gpu/cuda/nf4.h - a 4-bit weight's value: the roundings of gpu/kernels/nf4_cpu.cpp.
#pragma once
#include "gpu/cuda/device.h"

namespace kairo::cuda {
constexpr std::int64_t nf4_block = 64, nf4_group = 256;

__constant__ const std::uint32_t nf4_level_bits[16] = {
    0xbf800000, 0xbf3239b1, 0xbf066b30, 0xbeca32a0, 0xbe91a24d, 0xbe3d353f, 0xbdba7871, 0x00000000,
    0x3da2faff, 0x3e24cae3, 0x3e7c04dd, 0x3ead033a, 0x3ee1a4b8, 0x3f1007ab, 0x3f3913b3, 0x3f800000};

// In shared memory: 16 banks, so that no two lanes ever wait for each other.
using Nf4Levels = Shared<float, 16>;
__device__ __forceinline__ void load_nf4_levels(Nf4Levels& levels) {
  const int thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  if (thread < 16) levels.set(thread, __uint_as_float(nf4_level_bits[thread]));
  __syncthreads();
}
// Two roundings, as the format has them: never a fused multiply-add.
__device__ __forceinline__ float nf4_scale(const KairoNf4& w, std::int64_t of_block) {
  return __fadd_rn(__fmul_rn(w.map[w.scales[of_block]], w.group_scales[of_block / nf4_group]),
                   w.offset);
}
// Weights [8 i, 8 i + 8), which are of one block. packed: aligned to 4 bytes.
__device__ __forceinline__ void nf4_run(const KairoNf4& w, std::int64_t i, Nf4Levels& levels,
                                        float (&out)[8]) {
  const float scale = nf4_scale(w, i * 8 / nf4_block);
  const std::uint32_t bytes = reinterpret_cast<const std::uint32_t*>(w.packed)[i];
#pragma unroll
  for (int k = 0; k < 8; k += 2) {
    const unsigned byte = bytes >> (4 * k) & 255u;
    out[k] = __fmul_rn(levels.get(static_cast<int>(byte >> 4)), scale);
    out[k + 1] = __fmul_rn(levels.get(static_cast<int>(byte & 15u)), scale);
  }
}
inline bool is_aligned(const void* p, std::uintptr_t bytes) {
  return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
}
}  // namespace kairo::cuda
