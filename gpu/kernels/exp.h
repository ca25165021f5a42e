// gpu/kernels/exp.h - exp(x) in fp32 as straight-line code that compilers vectorise.
#pragma once
#include <bit>
#include <cstdint>

namespace kairo::gpu {
// exp(r) for |r| <= ln2 / 2, by a polynomial of degree 6. F: float, or a vector of such.
template <class F>
inline F exp_of_small(F r) {
  F p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * r * r + r + 1.0f;
}
// Relative error below 2e-7 for x in [-87, 88]; smaller x gives about 1.6e-38, larger x
// about 1.6e38. x = n ln2 + r with |r| <= ln2 / 2; 2^n through the exponent.
inline float exp_f32(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the sum's low bits hold n
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln2 in two parts
  const auto two_to_n =
      std::bit_cast<float>((std::bit_cast<std::int32_t>(shifted) + (127 - 0x4B400000)) << 23);
  return exp_of_small(r) * two_to_n;
}
}  // namespace kairo::gpu
