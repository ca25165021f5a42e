// gpu/kernels/bf16.h - bfloat16 as bits: the upper half of an fp32 number.
#pragma once
#include <bit>
#include <cstdint>

namespace kairo::gpu {
inline float float_of_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
// To the nearest, ties to even; too large becomes infinite, NaN stays NaN (as torch rounds).
// Straight-line code that compilers vectorise.
inline std::uint16_t bf16_of_float(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  return static_cast<std::uint16_t>(is_nan ? 0x7fc0 : rounded);
}
// n values each, no aliasing, single-threaded: callers run rows in parallel.
void narrow_cpu(std::uint16_t* out, const float* in, std::int64_t n, float scale = 1);
void widen_cpu(float* out, const std::uint16_t* in, std::int64_t n);
}  // namespace kairo::gpu
